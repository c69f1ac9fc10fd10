//! Delivering events: each endpoint reads the log like a subscriber.
//!
//! A round takes what is next for one endpoint, posts it, and writes in one transaction what came of it and how far the
//! endpoint has got. So a round that is lost is repeated, under the same ids. What fails is put aside to be tried again by
//! itself, and the endpoint goes on; one that only fails is left alone, and tried with one event at a time.
//!
//! The worker decides how much happens at once.

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};

use super::{Service, random};
pub use crate::store::deliveries::Lane;
use crate::{
    domain::{
        clock::Time,
        courier::{Parcel, PostFailure, Receipt},
        endpoint::{Retry, RetryState, retry_pause},
        error::{Error, Result},
        event::StoredEvent,
        ids::{EndpointId, RideId},
        signature,
    },
    store::{
        deliveries::{self, Claimed, Served, Tried},
        endpoints, events, messages,
    },
};

/// Events of one round at most.
const ROUND: u64 = 32;
/// How long a claim is ours. A round begins nothing new after a fourth of it, and an exchange takes a sixth at most.
const LEASE: Duration = Duration::seconds(60);
/// An endpoint that took so long for an answer is slow.
const SLOW: std::time::Duration = std::time::Duration::from_secs(2);
/// Pings under way at most.
pub(super) const PINGS: usize = 8;

/// What is next for an endpoint.
pub struct Round {
    endpoint: Claimed,
    /// In the order of the log.
    pub items: Vec<Item>,
    /// The place in the log that is reached when all of it was tried; none if all of it was tried before.
    reaches: Option<i64>,
}

/// An event of a round.
pub struct Item {
    event: StoredEvent,
    /// What became of it before, if it was tried.
    before: Option<Retry>,
}

impl Item {
    /// Whose order it belongs to.
    pub fn ride(&self) -> Option<RideId> {
        self.event.data.ride_id
    }
}

/// An exchange that is over.
pub struct Finished {
    at: Time,
    status: Option<u16>,
    failure: Option<PostFailure>,
    took: std::time::Duration,
}

impl Finished {
    /// The endpoint took the event.
    pub fn is_taken(&self) -> bool {
        self.failure.is_none()
    }

    fn new(at: Time, receipt: &Receipt) -> Self {
        Self { at, status: receipt.status(), failure: receipt.failure(), took: receipt.took }
    }

    fn duration_ms(&self) -> i64 {
        i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX)
    }
}

/// What came of a ping.
pub struct Pong {
    /// The endpoint took it.
    pub delivered: bool,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was not taken, unless it was.
    pub failure: Option<PostFailure>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

impl Service {
    /// Claims endpoints for which there is something to do, and looks up what.
    pub async fn claim_rounds(&self, lane: Lane, limit: u32) -> Result<Vec<Round>> {
        let now = self.now();
        let claimed =
            self.store.write(|tx| async move { deliveries::claim(&tx, lane, limit, LEASE, now).await }).await?;
        let mut rounds = Vec::with_capacity(claimed.len());
        for endpoint in claimed {
            let endpoint_id = endpoint.id;
            match self.round(endpoint, now).await {
                Ok(round) => rounds.push(round),
                // The others are served; this one again when the lease is over.
                Err(cause) => tracing::error!(%cause, %endpoint_id, "what is next for an event endpoint is unknown"),
            }
        }
        Ok(rounds)
    }

    /// What is to be tried again comes first; then the log.
    async fn round(&self, endpoint: Claimed, now: Time) -> Result<Round> {
        let limit = if endpoint.health.is_failing() { 1 } else { ROUND };
        let mut items = Vec::new();
        for retry in deliveries::due(&self.store, endpoint.id, limit, now).await? {
            if let Some(event) = events::find(&self.store, retry.event_id).await? {
                items.push(Item { event, before: Some(retry) });
            }
        }
        if !items.is_empty() {
            return Ok(Round { endpoint, items, reaches: None });
        }
        // Asked before the log is read: up to here, nothing can be missing from what is read.
        let end = events::last_position(&self.store).await?;
        let news = events::after(&self.store, endpoint.position, endpoint.types.as_deref(), limit).await?;
        let last = news.last().map_or(endpoint.position, |event| event.position);
        let is_all = (news.len() as u64) < limit;
        let reaches = if is_all { last.max(end) } else { last };
        let items = news.into_iter().map(|event| Item { event, before: None }).collect();
        Ok(Round { endpoint, items, reaches: Some(reaches) })
    }

    /// Posts an event of a round.
    pub async fn deliver(&self, round: &Round, item: &Item) -> Result<Finished> {
        let Item { event, .. } = item;
        let mut data = serde_json::to_value(&event.data).map_err(Error::internal)?;
        if round.endpoint.include_text
            && let Some(text) = self.text_of(event).await?
        {
            data["text"] = text.into();
        }
        let (now, id) = (self.now(), format!("evt_{}", event.id));
        let body = body(event.kind.as_str(), event.at, &data);
        let headers = signature::headers(&round.endpoint.secrets, id, now, &body);
        let url = round.endpoint.url.as_str().to_owned();
        let receipt = self.courier.post(Parcel { url, headers, body }).await;
        Ok(Finished::new(now, &receipt))
    }

    /// The words of the text that an event is about, unless they are erased.
    async fn text_of(&self, event: &StoredEvent) -> Result<Option<String>> {
        let Some(id) = event.data.message_id.filter(|_| event.kind.is_about_text()) else { return Ok(None) };
        let message = messages::find(&self.store, id).await?;
        Ok(message.map(|message| message.body.expose().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Writes down what came of a round: of its first events, as many as were tried.
    pub async fn finish_round(&self, round: &Round, finished: &[Finished]) -> Result<()> {
        let now = self.now();
        let served = &self.served(round, finished, now);
        let endpoint_id = round.endpoint.id;
        let kept =
            self.store.write(|tx| async move { deliveries::finish(&tx, &round.endpoint, served, now).await }).await?;
        if !kept {
            tracing::debug!(%endpoint_id, "a claim of an event endpoint was lost");
            return Ok(());
        }
        for (tried, becomes) in &served.attempts {
            if becomes.as_ref().is_some_and(|retry| retry.state == RetryState::Dead) {
                tracing::warn!(%endpoint_id, event_id = %tried.event_id, "an event was given up at an endpoint");
            }
        }
        match (served.health.failing_since, round.endpoint.health.failing_since) {
            _ if served.is_hopeless => {
                tracing::warn!(%endpoint_id, "an event endpoint was disabled: it failed for days")
            }
            (Some(_), None) => tracing::warn!(%endpoint_id, "an event endpoint fails"),
            (None, Some(_)) => tracing::info!(%endpoint_id, "an event endpoint takes events again"),
            _ => {}
        }
        Ok(())
    }

    fn served(&self, round: &Round, finished: &[Finished], now: Time) -> Served {
        let before = round.endpoint.health;
        let health = before.after(finished.iter().map(Finished::is_taken), now);
        let gate = health.gate(self.chance.unit());
        let attempts = round.items.iter().zip(finished).map(|(item, finished)| {
            let tried = Tried {
                event_id: item.event.id,
                at: finished.at,
                status: finished.status,
                failure: finished.failure,
                duration_ms: finished.duration_ms(),
            };
            (tried, (!finished.is_taken()).then(|| self.try_again(item, now)))
        });
        let tried_last = finished.len().checked_sub(1).and_then(|at| round.items.get(at));
        let position = match round.reaches {
            Some(end) if finished.len() == round.items.len() => end,
            Some(_) => tried_last.map_or(round.endpoint.position, |item| item.event.position),
            None => round.endpoint.position,
        };
        Served {
            attempts: attempts.collect(),
            position,
            health,
            is_slow: finished.iter().map(|finished| finished.took >= SLOW).reduce(|one, other| one || other),
            due_at: gate.map_or(now, |pause| now + pause),
            is_back: before.gate(0.0).is_some() && gate.is_none(),
            is_hopeless: health.is_hopeless(now),
        }
    }

    /// What becomes of an event that was not taken.
    fn try_again(&self, item: &Item, now: Time) -> Retry {
        let (attempts, first_at) =
            item.before.as_ref().map_or((1, now), |before| (before.attempts.saturating_add(1), before.first_at));
        let pause = retry_pause(attempts, now - first_at, self.chance.unit());
        Retry {
            event_id: item.event.id,
            state: if pause.is_some() { RetryState::Owed } else { RetryState::Dead },
            attempts,
            first_at,
            due_at: pause.map_or(now, |pause| now + pause),
        }
    }

    /// Posts a test to an endpoint, and tells what came of it. It changes nothing.
    pub async fn ping_endpoint(&self, id: EndpointId) -> Result<Pong> {
        let now = self.now();
        let (url, secrets) = endpoints::signing(&self.store, id, now).await?.ok_or(Error::NotFound)?;
        let Ok(_place) = self.pings.try_acquire() else {
            return Err(Error::Busy { retry_after: Duration::seconds(1) });
        };
        let body = body("endpoint.ping", now, &json!({ "endpoint_id": id }));
        let headers = signature::headers(&secrets, random::name("ping_"), now, &body);
        let receipt = self.courier.post(Parcel { url: url.as_str().to_owned(), headers, body }).await;
        let finished = Finished::new(now, &receipt);
        Ok(Pong {
            delivered: finished.is_taken(),
            status: finished.status,
            failure: finished.failure,
            duration_ms: finished.duration_ms(),
        })
    }
}

/// The body of a post, after Standard Webhooks.
pub(super) fn body(kind: &str, at: Time, data: &Value) -> Vec<u8> {
    let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({ "type": kind, "timestamp": timestamp, "data": data }).to_string().into_bytes()
}
