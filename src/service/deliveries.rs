//! Delivers events: each endpoint reads the log like a subscriber.
//!
//! A round loads the next events for one endpoint, posts them, and records the outcomes and the new position of the
//! endpoint in one transaction. A round that is lost is repeated with the same ids. A failed event is set aside and
//! retried automatically after the new events, and the endpoint moves on. An endpoint that only fails is paused, and
//! then tried with one event at a time. So an endpoint that permanently rejects some events still gets all others, and
//! those few are retried on their own schedule.
//!
//! The worker decides how much happens at once.

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};

use super::{
    Context, chance,
    endpoints::{find, require_own},
};
pub use crate::store::deliveries::Lane;
use crate::{
    domain::{
        client::ApiCaller,
        clock::Time,
        endpoint::{Retry, RetryState, retry_pause},
        error::{Error, Result},
        event::StoredEvent,
        ids::{EndpointId, RideId},
        outbound::{Exchange, OutboundRequest, PostFailure},
        signature,
    },
    store::{
        self,
        deliveries::{self, ClaimedEndpoint, DeliveryAttempt, RoundOutcome},
        endpoints, events, messages,
        processes::Holder,
    },
};

/// Maximum number of new events in a round.
const MAX_NEW_EVENTS: u64 = 24;
/// Maximum number of retries in a round.
const MAX_RETRIES: u64 = 8;
/// Maximum number of claims in one search for work: claimed endpoints may turn out to have nothing to deliver.
const CLAIMS: usize = 8;
/// Lease of a claim that nothing else ends. A round begins no exchange after a quarter of it, and an exchange takes at
/// most a sixth.
const LEASE: Duration = Duration::seconds(60);
/// Response time from which an endpoint counts as slow.
const SLOW: std::time::Duration = std::time::Duration::from_secs(2);

/// Next events for an endpoint.
pub struct Round {
    endpoint: ClaimedEndpoint,
    /// New events in the order of the log, then retries.
    pub items: Vec<Item>,
    /// Number of new events among the items.
    news: usize,
    /// Log position of the endpoint once all new events have been tried.
    end_position: i64,
}

impl Round {
    pub fn holder(&self) -> Holder {
        self.endpoint.holder
    }
}

/// Event of a round.
pub struct Item {
    event: StoredEvent,
    /// Outcome of earlier attempts, if there were any.
    before: Option<Retry>,
}

impl Item {
    /// Returns the ride whose events must stay in order.
    pub fn ride(&self) -> Option<RideId> {
        self.event.data.ride_id
    }
}

/// Result of one delivery attempt.
pub struct DeliveryResult {
    at: Time,
    status: Option<u16>,
    failure: Option<PostFailure>,
    took: std::time::Duration,
}

impl DeliveryResult {
    /// Checks whether the endpoint accepted the event.
    pub fn is_taken(&self) -> bool {
        self.failure.is_none()
    }

    /// Creates the record of an exchange whose request was signed at this time.
    pub fn new(at: Time, exchange: &Exchange) -> Self {
        Self { at, status: exchange.status(), failure: exchange.failure(), took: exchange.took }
    }

    fn duration_ms(&self) -> i64 {
        i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Claims endpoints that have something to do, and loads their rounds. Endpoints with nothing new to deliver are
/// advanced immediately.
pub async fn claim_rounds(ctx: &Context, lane: Lane, limit: u32) -> Result<Vec<Round>> {
    let limit = usize::try_from(limit).map_err(Error::internal)?;
    let mut rounds = Vec::new();
    let Some(holder) = ctx.membership.holder() else { return Ok(rounds) };
    for _ in 0..CLAIMS {
        let (now, free) = (ctx.now(), limit - rounds.len());
        let claimed =
            ctx.store.write(|tx| async move { deliveries::claim(&tx, lane, free, holder, LEASE, now).await }).await?;
        let claims = claimed.count;
        let mut idle = Vec::new();
        for endpoint in claimed.readable {
            let endpoint_id = endpoint.id;
            match round(ctx, endpoint, now).await {
                Ok(round) if round.items.is_empty() => idle.push(round),
                Ok(round) => rounds.push(round),
                // The other endpoints are served. This one is claimed again when its lease ends.
                Err(cause) => {
                    tracing::error!(%cause, %endpoint_id, "failed to load the next events for an endpoint");
                }
            }
        }
        if let Err(cause) = finish_empty_rounds(ctx, &idle).await {
            tracing::error!(%cause, "failed to record the positions of event endpoints");
        }
        if claims < free || rounds.len() >= limit {
            break;
        }
    }
    Ok(rounds)
}

/// Loads new events, then retries. A failing endpoint is tried with a single event: the next new one if there is any,
/// so that an event it keeps rejecting does not hold up the others.
async fn round(ctx: &Context, endpoint: ClaimedEndpoint, now: Time) -> Result<Round> {
    let is_failing = endpoint.health.is_failing();
    let limit = if is_failing { 1 } else { MAX_NEW_EVENTS };
    // Read before the events: up to this position, none of those read below can be missing.
    let end = events::last_position(&ctx.store).await?;
    let news = events::after(&ctx.store, endpoint.position, endpoint.types.as_deref(), limit).await?;
    let last = news.last().map_or(endpoint.position, |event| event.position);
    let is_all = (news.len() as u64) < limit;
    let end_position = if is_all { last.max(end) } else { last };
    let mut items: Vec<_> = news.into_iter().map(|event| Item { event, before: None }).collect();
    let (news, again) = (items.len(), if is_failing { u64::from(items.is_empty()) } else { MAX_RETRIES });
    if again > 0 {
        for retry in deliveries::due(&ctx.store, endpoint.id, again, now).await? {
            if let Some(event) = events::find(&ctx.store, retry.event_id).await? {
                items.push(Item { event, before: Some(retry) });
            }
        }
    }
    Ok(Round { endpoint, items, news, end_position })
}

/// Records that there was nothing for these endpoints.
async fn finish_empty_rounds(ctx: &Context, rounds: &[Round]) -> Result<()> {
    if rounds.is_empty() {
        return Ok(());
    }
    let now = ctx.now();
    let outcomes: Vec<_> = rounds.iter().map(|round| (&round.endpoint, outcome_of(ctx, round, &[], now))).collect();
    let outcomes = &outcomes;
    ctx.store
        .write(|tx| async move {
            for (endpoint, outcome) in outcomes {
                // If the claim was lost, another process has it, and this has no effect.
                deliveries::finish(&tx, endpoint, outcome, now).await?;
            }
            Ok(())
        })
        .await
}

/// Builds the request for an event of a round. Returns it with the time of its signature.
pub async fn prepare(ctx: &Context, round: &Round, item: &Item) -> Result<(OutboundRequest, Time)> {
    let Item { event, .. } = item;
    let mut data = serde_json::to_value(&event.data).map_err(Error::internal)?;
    if round.endpoint.include_text
        && let Some(text) = text_for(ctx, round.endpoint.id, event).await?
    {
        data["text"] = text.into();
    }
    let (now, id) = (ctx.now(), format!("evt_{}", event.id));
    let body = body(event.kind.as_str(), event.at, &data);
    let headers = signature::headers(&round.endpoint.secrets, id, now, body.as_bytes());
    Ok((OutboundRequest::post_json(round.endpoint.url.as_str().to_owned(), headers, body), now))
}

/// Returns the text that an event is about, unless it was erased or the endpoint's client may no longer read texts. The
/// permission is checked for each text, so that none is sent after it was withdrawn.
async fn text_for(ctx: &Context, endpoint: EndpointId, event: &StoredEvent) -> Result<Option<String>> {
    let Some(id) = event.data.message_id.filter(|_| event.kind.is_about_text()) else { return Ok(None) };
    if !endpoints::may_post_texts(&ctx.store, endpoint).await? {
        return Ok(None);
    }
    let message = match messages::find(&ctx.store, id).await {
        // It will not become readable later, and the event matters more than its text.
        Err(cause) if store::is_unopenable(&cause) => {
            tracing::error!(%cause, message_id = %id, "failed to read the text of an event: delivering without it");
            None
        }
        found => found?,
    };
    Ok(message.map(|message| message.body.expose().to_owned()).filter(|text| !text.is_empty()))
}

/// Records the outcomes of a round. `finished` covers its first events, as many as were tried.
pub async fn finish_round(ctx: &Context, round: &Round, finished: &[DeliveryResult]) -> Result<()> {
    let now = ctx.now();
    let outcome = &outcome_of(ctx, round, finished, now);
    let endpoint_id = round.endpoint.id;
    let kept =
        ctx.store.write(|tx| async move { deliveries::finish(&tx, &round.endpoint, outcome, now).await }).await?;
    if !kept {
        tracing::debug!(%endpoint_id, "lost the claim of an event endpoint");
        return Ok(());
    }
    for (tried, becomes) in &outcome.attempts {
        if becomes.as_ref().is_some_and(|retry| retry.state == RetryState::Dead) {
            tracing::warn!(%endpoint_id, event_id = %tried.event_id, "gave up delivering an event to an endpoint");
        }
    }
    match (outcome.health.failing_since, round.endpoint.health.failing_since) {
        _ if outcome.must_disable => {
            tracing::warn!(%endpoint_id, "disabled an event endpoint that failed for days")
        }
        (Some(_), None) => tracing::warn!(%endpoint_id, "event endpoint began to fail"),
        (None, Some(_)) => tracing::info!(%endpoint_id, "event endpoint accepts events again"),
        _ => {}
    }
    Ok(())
}

fn outcome_of(ctx: &Context, round: &Round, finished: &[DeliveryResult], now: Time) -> RoundOutcome {
    let before = round.endpoint.health;
    // Repeated rejection of one event says nothing about an endpoint that accepts others.
    let tells =
        |item: &Item, finished: &DeliveryResult| finished.is_taken() || item.before.is_none() || before.is_failing();
    let telling = round.items.iter().zip(finished).filter(|(item, finished)| tells(item, finished));
    let health = before.after(telling.map(|(_, finished)| finished.is_taken()), now);
    let failed_last = finished.iter().rev().find(|finished| !finished.is_taken());
    let pause = failed_last.and_then(|failed| health.gate(failed.status.is_some(), ctx.chance.unit()));
    let attempts = round.items.iter().zip(finished).map(|(item, finished)| {
        let tried = DeliveryAttempt {
            event_id: item.event.id,
            first_at: item.before.as_ref().map(|before| before.first_at),
            at: finished.at,
            status: finished.status,
            failure: finished.failure,
            duration_ms: finished.duration_ms(),
        };
        (tried, (!finished.is_taken()).then(|| try_again(ctx, item, now)))
    });
    let tried_last = finished.len().checked_sub(1).and_then(|at| round.items.get(at));
    let position = if finished.len() >= round.news {
        round.end_position
    } else {
        tried_last.map_or(round.endpoint.position, |item| item.event.position)
    };
    RoundOutcome {
        attempts: attempts.collect(),
        position,
        health,
        is_slow: finished.iter().map(|finished| finished.took >= SLOW).reduce(|one, other| one || other),
        due_at: pause.map_or(now, |pause| now + pause),
        back_since: before.failing_since.filter(|_| before.is_gated() && !health.is_gated()),
        must_disable: failed_last.is_some() && health.must_disable(now),
    }
}

/// Schedules the next attempt of an event that the endpoint rejected.
fn try_again(ctx: &Context, item: &Item, now: Time) -> Retry {
    let (attempts, first_at) =
        item.before.as_ref().map_or((1, now), |before| (before.attempts.saturating_add(1), before.first_at));
    let pause = retry_pause(attempts, now - first_at, ctx.chance.unit());
    Retry {
        event_id: item.event.id,
        state: if pause.is_some() { RetryState::Pending } else { RetryState::Dead },
        attempts,
        first_at,
        due_at: pause.map_or(now, |pause| now + pause),
    }
}

/// Prepares a test post to an endpoint. Changes nothing.
pub async fn prepare_ping(ctx: &Context, caller: &ApiCaller, id: EndpointId) -> Result<OutboundRequest> {
    let now = ctx.now();
    require_own(caller, &find(ctx, id).await?)?;
    let (url, secrets) = endpoints::signing(&ctx.store, id, now).await?.ok_or(Error::NotFound)?;
    let body = body("endpoint.ping", now, &json!({ "endpoint_id": id }));
    let headers = signature::headers(&secrets, chance::name("ping_"), now, body.as_bytes());
    Ok(OutboundRequest::post_json(url.as_str().to_owned(), headers, body))
}

/// Builds the body of a post, in the format of Standard Webhooks.
pub(super) fn body(kind: &str, at: Time, data: &Value) -> String {
    let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({ "type": kind, "timestamp": timestamp, "data": data }).to_string()
}
