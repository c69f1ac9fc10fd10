//! From a provider's webhook to our answer: verify, read, act, and answer in the provider's dialect, in time.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Context,
    intercept::{Inquiry, apply_answer},
    relay::{Step, handle_call, handle_text},
    reports::{after, handle_call_report, handle_report, handle_waiting_caller},
};
use crate::{
    domain::{
        call::CallFlow,
        contact::{CallReport, ProviderEvent},
        error::Result,
        notice::Announcement,
        number::ProviderName,
        outbound::{Exchange, OutboundRequest},
    },
    provider::{
        Acknowledgement, Provider, Unverified, WebhookKind, WebhookRequest, WebhookResponse, registry::ProviderLookup,
    },
};

/// Deadline for a call: its caller hears silence meanwhile, and providers give up after a few seconds.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// Pauses between attempts to record a call report after its provider was answered.
const REPORT_RETRY_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(40)];

/// Reason why a webhook is not accepted.
pub enum NoIntake {
    /// There is no such provider.
    Unknown,
    /// The provider has no account here, so nothing it sends can be verified.
    NotConfigured,
    /// The provider does not call this webhook with this method.
    WrongMethod,
}

/// Webhook on its way from request to response. Between two steps, the platform may have to be asked about a contact:
/// [`next_question`](Intake::next_question) returns the question, and its caller sends it.
pub struct Intake {
    ctx: Arc<Context>,
    adapter: Arc<dyn Provider>,
    webhook: WebhookKind,
    /// Response that is decided already, because the webhook was refused or could not be parsed.
    settled: Option<WebhookResponse>,
    events: Vec<ProviderEvent>,
    /// Index of the event that is handled now; `until` is its deadline.
    next: usize,
    until: Option<Instant>,
    inquiry: Inquiry,
    /// Deadline for all texts and reports.
    deadline: Instant,
    flow: Option<CallFlow>,
    is_all_handled: bool,
}

impl Intake {
    /// Verifies and parses a webhook of the provider with this name.
    pub fn open(
        ctx: &Arc<Context>,
        provider: &str,
        webhook: WebhookKind,
        request: &WebhookRequest,
    ) -> std::result::Result<Self, NoIntake> {
        let adapter = match ctx.providers.find(provider) {
            ProviderLookup::Unknown => return Err(NoIntake::Unknown),
            ProviderLookup::NotConfigured => return Err(NoIntake::NotConfigured),
            ProviderLookup::Configured(adapter) => adapter,
        };
        let profile = adapter.profile();
        if !profile.methods[webhook as usize].contains(&request.method) {
            return Err(NoIntake::WrongMethod);
        }
        let (settled, events) = match read(ctx, adapter.as_ref(), webhook, request) {
            Ok(events) => (None, events),
            Err(response) => (Some(response), Vec::new()),
        };
        Ok(Self {
            ctx: Arc::clone(ctx),
            adapter,
            webhook,
            settled,
            events,
            next: 0,
            until: None,
            inquiry: Inquiry::default(),
            deadline: Instant::now() + profile.response_timeout,
            flow: None,
            is_all_handled: true,
        })
    }

    /// Handles events up to the next one that the platform must be asked about. Returns `None` when all are handled.
    pub async fn next_question(&mut self) -> Option<OutboundRequest> {
        while let Some(event) = self.events.get(self.next) {
            let until = *self.until.get_or_insert_with(|| match event {
                // The caller hears silence meanwhile.
                ProviderEvent::Call(_) => Instant::now() + CALL_DEADLINE,
                ProviderEvent::CallReport(report) if report.caller_waits => Instant::now() + CALL_DEADLINE,
                _ => self.deadline,
            });
            match handle_event(&self.ctx, &self.adapter.profile().name, event, &mut self.inquiry, until).await {
                Ok(Step::Ask(question)) => return Some(question),
                Ok(Step::Done(decided)) => self.flow = decided.or(self.flow.take()),
                // This does not hold up the events after it. The provider repeats all of them together.
                Err(NotHandled) => self.is_all_handled = false,
            }
            (self.next, self.until, self.inquiry) = (self.next + 1, None, Inquiry::default());
        }
        None
    }

    /// Waits for the answer to the last question, but no longer than the event may take: a provider or a caller waits.
    pub async fn wait_for(&mut self, answer: impl Future<Output = Exchange>) {
        let until = self.until.unwrap_or(self.deadline);
        if let Ok(exchange) = tokio::time::timeout_at(until, answer).await {
            apply_answer(&self.ctx, &mut self.inquiry, &exchange);
        }
    }

    /// Returns the response, in the provider's dialect, once there is no further question.
    pub fn response(self) -> WebhookResponse {
        let Self { ctx, adapter, webhook, settled, events, flow, is_all_handled, .. } = self;
        if let Some(response) = settled {
            return response;
        }
        if !is_all_handled {
            return adapter.acknowledge(webhook, Acknowledgement::NotNow);
        }
        let render = |flow: &CallFlow| adapter.render_call(flow, &ctx.report_url(&adapter.profile().name));
        match (flow, webhook) {
            (Some(flow), _) => render(&flow),
            // A caller may be waiting on the line, unless the event was of a kind for which nobody waits.
            (None, WebhookKind::Voice) if !events.iter().any(is_about_texts) => {
                render(&announce(&ctx, Announcement::NoContact))
            }
            (None, _) => adapter.acknowledge(webhook, Acknowledgement::Accepted),
        }
    }
}

/// Returns the events of a webhook, or the response to one that is refused or cannot be parsed.
fn read(
    ctx: &Context,
    adapter: &dyn Provider,
    webhook: WebhookKind,
    request: &WebhookRequest,
) -> std::result::Result<Vec<ProviderEvent>, WebhookResponse> {
    let provider = &adapter.profile().name;
    let verified = adapter.verify(request, ctx.now()).map_err(|why| {
        match why {
            Unverified::NotChallenged => {
                tracing::debug!(%provider, webhook = webhook.as_str(), "asked for webhook credentials")
            }
            _ => tracing::warn!(%provider, webhook = webhook.as_str(), %why, "refused a webhook"),
        }
        adapter.refuse(why)
    })?;
    adapter.parse(webhook, &verified).map_err(|malformed| {
        tracing::warn!(%provider, webhook = webhook.as_str(), %malformed, "failed to parse a signed webhook");
        match webhook {
            WebhookKind::Voice => {
                adapter.render_call(&announce(ctx, Announcement::OutOfOrder), &ctx.report_url(provider))
            }
            WebhookKind::Sms | WebhookKind::Status => adapter.acknowledge(webhook, Acknowledgement::Unreadable),
        }
    })
}

async fn handle_event(
    ctx: &Arc<Context>,
    provider: &ProviderName,
    event: &ProviderEvent,
    inquiry: &mut Inquiry,
    until: Instant,
) -> std::result::Result<Step<Option<CallFlow>>, NotHandled> {
    let flow = match event {
        ProviderEvent::Text(text) => match within(until, handle_text(ctx, provider, text, inquiry)).await? {
            Step::Ask(question) => return Ok(Step::Ask(question)),
            Step::Done(()) => None,
        },
        ProviderEvent::Report(report) => {
            within(until, handle_report(ctx, provider, report)).await?;
            None
        }
        // A caller always gets an answer, even if the database does not respond.
        ProviderEvent::CallReport(report) if report.caller_waits => {
            let flow = within(until, handle_waiting_caller(ctx, provider, report)).await;
            Some(flow.unwrap_or_else(|NotHandled| {
                tokio::spawn(handle_call_report_later(Arc::clone(ctx), provider.clone(), report.clone()));
                after(report.status, true, ctx.settings.catalogue.default())
            }))
        }
        ProviderEvent::CallReport(report) => {
            within(until, handle_call_report(ctx, provider, report)).await?;
            None
        }
        ProviderEvent::Call(call) => match within(until, handle_call(ctx, provider, call, inquiry)).await {
            Ok(Step::Ask(question)) => return Ok(Step::Ask(question)),
            Ok(Step::Done(flow)) => Some(flow),
            Err(NotHandled) => Some(announce(ctx, Announcement::OutOfOrder)),
        },
        ProviderEvent::Ignored => None,
        ProviderEvent::Unreadable(why) => {
            tracing::warn!(%provider, why, "failed to parse a part of a signed webhook");
            None
        }
    };
    Ok(Step::Done(flow))
}

/// Returns the announcement for a caller about whom nothing is known.
fn announce(ctx: &Context, announcement: Announcement) -> CallFlow {
    ctx.settings.catalogue.default().announce(announcement)
}

/// Retries to record a call report: its provider was answered already, and may not report again.
async fn handle_call_report_later(ctx: Arc<Context>, provider: ProviderName, report: CallReport) {
    for pause in REPORT_RETRY_PAUSES {
        tokio::time::sleep(pause).await;
        if handle_call_report(&ctx, &provider, &report).await.is_ok() {
            return;
        }
    }
    tracing::error!(%provider, "failed to record a call report");
}

fn is_about_texts(event: &ProviderEvent) -> bool {
    matches!(event, ProviderEvent::Text(_) | ProviderEvent::Report(_))
}

/// Event whose effect may not be committed. The provider repeats it, and the inbox detects whether it was.
struct NotHandled;

async fn within<T>(until: Instant, work: impl Future<Output = Result<T>>) -> std::result::Result<T, NotHandled> {
    match tokio::time::timeout_at(until, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => {
            tracing::error!(%cause, "failed to handle a webhook");
            Err(NotHandled)
        }
        Err(_) => {
            tracing::error!("failed to handle a webhook in time");
            Err(NotHandled)
        }
    }
}
