//! The simulated network: the other side of the simulator's wire.
//!
//! It signs webhooks as a provider would and passes them to the same intake. It receives sends through the [`Outbound`]
//! port and shows every phone what it got. Screens are stored in the database, so all replicas show the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use chrono::Duration;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::SecretString;
use serde::Serialize;

use crate::{
    domain::screen::EntryKind,
    domain::{
        call::CallStatus,
        client::ApiCaller,
        error::{Error, Result},
        outbound::{Exchange, NoResponse, OutboundRequest, OutboundResponse, PostFailure, Receiver},
        phone::PhoneNumber,
        string_enum::string_enum,
        text::MessageText,
    },
    outbound::Outbound,
    provider::{
        WebhookKind, WebhookRequest, WebhookResponse,
        simulator::{NAME, SIGNATURE_HEADER, sign, wire},
    },
    service::{Context, Intake, comparisons},
    store::simulator::{self as screens, ScreenEntry},
};

/// Length of a simulated conversation.
const TALK: Duration = Duration::seconds(30);

pub struct SimulatedNetwork {
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
    secret: SecretString,
    /// Number of the next event. Together with `run` it makes event ids unique across processes.
    events: AtomicU64,
    run: String,
}

string_enum! {
    /// Outcome of a simulated call.
    CallOutcome {
        /// The other party's phone rang, and the two talked.
        Connected = "connected",
        /// The caller heard an announcement.
        Announced = "announced",
    }
}

/// The caller's experience of a simulated call.
pub enum CallExperience {
    /// The other party's phone rang, and the two talked.
    Connected {
        rang: PhoneNumber,
        /// Number shown on its screen.
        caller_id: PhoneNumber,
    },
    /// Text of an announcement.
    Announced(String),
}

impl SimulatedNetwork {
    /// Creates a network that shares `secret` with the adapter.
    pub fn new(ctx: Arc<Context>, outbound: Arc<dyn Outbound>, secret: SecretString) -> Self {
        let run = crate::service::random_name("");
        Self { ctx, outbound, secret, events: AtomicU64::new(0), run }
    }

    fn event_id(&self, kind: &str) -> String {
        format!("{kind}-{}-{}", self.run, self.events.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls one of our webhooks with a signed event.
    async fn webhook(&self, webhook: WebhookKind, event: &impl Serialize) -> Result<WebhookResponse> {
        let body = serde_json::to_string(event).map_err(Error::internal)?;
        let url = format!("{}/webhooks/{NAME}/{}", self.ctx.settings.public_base_url, webhook.as_str());
        let signature = sign(&self.secret, &url, &body, self.ctx.now());
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(&signature).map_err(Error::internal)?);
        let request = WebhookRequest { method: Method::POST, url, headers, body: Bytes::from(body) };
        let refused = || Error::internal("the simulator's webhook was refused");
        let mut intake = Intake::open(&self.ctx, NAME.as_str(), webhook, &request).map_err(|_| refused())?;
        while let Some(question) = intake.next_question().await {
            intake.wait_for(self.outbound.send(Receiver::Interceptor, question)).await;
        }
        let answer = intake.response();
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::SERVICE_UNAVAILABLE => Err(Error::Busy { retry_after: Duration::seconds(1) }),
            _ => Err(refused()),
        }
    }

    /// Whether no other provider is configured.
    pub fn is_alone(&self) -> bool {
        self.ctx.providers.configured().len() == 1
    }

    /// Counts the phone against the caller's limit: acting as it, or looking at it, reveals whether it belongs to
    /// somebody.
    pub async fn admit(&self, caller: &ApiCaller, phone: &PhoneNumber) -> Result<()> {
        comparisons::count_simulated(&self.ctx, caller, phone).await
    }

    pub async fn send_text(&self, from: &PhoneNumber, to: &PhoneNumber, text: &MessageText) -> Result<String> {
        let event = wire::Text {
            id: self.event_id("text"),
            from: from.expose().to_owned(),
            to: to.expose().to_owned(),
            text: text.expose().to_owned(),
        };
        self.webhook(WebhookKind::Sms, &event).await?;
        Ok(event.id)
    }

    /// Calls a number from a phone. If the other phone rings, the two talk for half a minute.
    pub async fn call(&self, from: &PhoneNumber, to: &PhoneNumber) -> Result<(String, CallExperience)> {
        let event =
            wire::Call { id: self.event_id("call"), from: from.expose().to_owned(), to: to.expose().to_owned() };
        let answer = self.webhook(WebhookKind::Voice, &event).await?;
        let heard = match serde_json::from_str(&answer.body).map_err(Error::internal)? {
            wire::Flow::Connect { to, caller_id } => {
                let number = |text: &str| PhoneNumber::from_wire(text).map_err(Error::internal);
                let (rang, caller_id) = (number(&to)?, number(&caller_id)?);
                self.show(&rang, EntryKind::Call, &caller_id, "").await?;
                for (status, duration_s) in
                    [(CallStatus::Answered, None), (CallStatus::Completed, Some(TALK.num_seconds()))]
                {
                    let news = wire::Status::Call { call_id: event.id.clone(), status, duration_s };
                    self.webhook(WebhookKind::Status, &news).await?;
                }
                CallExperience::Connected { rang, caller_id }
            }
            wire::Flow::Say { text } => {
                self.show(from, EntryKind::Announcement, to, &text).await?;
                CallExperience::Announced(text)
            }
            wire::Flow::HangUp => return Err(Error::internal("a call was cut off without a word")),
        };
        Ok((event.id, heard))
    }

    /// Returns the entries on a phone's screen, oldest first.
    pub async fn screen(&self, phone: &PhoneNumber) -> Result<Vec<ScreenEntry>> {
        screens::screen(&self.ctx.store, phone).await
    }

    async fn show(&self, phone: &PhoneNumber, kind: EntryKind, number: &PhoneNumber, words: &str) -> Result<()> {
        let entry = &ScreenEntry { kind, number: number.clone(), words: words.to_owned(), at: self.ctx.now() };
        self.ctx.store.write(|tx| async move { screens::show(&tx, phone, entry).await }).await
    }

    /// Accepts a send: shows it on the phone and reports it as delivered.
    async fn deliver(&self, request: &OutboundRequest) -> Result<String> {
        let send: wire::Send = serde_json::from_str(&request.body).map_err(Error::internal)?;
        let number = |text: &str| PhoneNumber::from_wire(text).map_err(Error::internal);
        let (from, to) = (number(&send.from)?, number(&send.to)?);
        self.show(&to, EntryKind::Text, &from, &send.text).await?;
        self.webhook(WebhookKind::Status, &wire::Status::Text { reference: send.reference }).await?;
        Ok(self.event_id("sent"))
    }
}

impl Outbound for SimulatedNetwork {
    fn send(&self, _: Receiver, request: OutboundRequest) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let began = Instant::now();
            let outcome = match self.deliver(&request).await {
                Ok(id) => {
                    let body = serde_json::to_vec(&wire::Sent { id }).unwrap_or_default().into();
                    Ok(OutboundResponse { status: StatusCode::CREATED, headers: HeaderMap::new(), body })
                }
                Err(cause) => {
                    tracing::error!(%cause, "failed to deliver a simulated text");
                    Err(NoResponse { why: PostFailure::Unreachable, status: None, may_have_arrived: true })
                }
            };
            Exchange { took: began.elapsed(), outcome }
        })
    }
}
