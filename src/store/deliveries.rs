//! Deliveries to event endpoints: claims, retries, and the attempts that were made.
//!
//! An endpoint is claimed in the name of a process and under a lease, and finished under a guard on the number of its
//! claim, like a part of the outbox. A lost claim stores nothing, and the process that has taken over delivers the same
//! events again.

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, LockType},
};

use super::{
    Db, Tx, endpoints,
    entity::{event_attempts, event_endpoints, event_retries},
    error::UnknownValue,
    execute, lock,
    processes::Holder,
    query_all, row_limit,
};
use crate::domain::{
    clock::Time,
    endpoint::{Attempt, DisabledReason, EndpointHealth, EndpointStatus, Retry, RetryState},
    error::Result,
    event::EventType,
    ids::{ClientId, EndpointId, EventId},
    outbound::PostFailure,
    page::{Page, PageRequest},
    signature::WebhookSecret,
    target::TargetUrl,
};

/// Endpoints that share capacity, so that failing and slow ones do not hold up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Fast,
    /// The last delivery failed or took long.
    Slow,
}

/// Right to deliver to an endpoint until the lease is over, or until the process that holds it is dead, with everything
/// that deliveries need.
pub struct ClaimedEndpoint {
    pub id: EndpointId,
    /// Number of the claim, which is the guard of [`finish`].
    claim: i32,
    pub holder: Holder,
    pub url: TargetUrl,
    /// Event types that it gets; all if `None`.
    pub types: Option<Vec<EventType>>,
    /// Whether events about texts include the text.
    pub include_text: bool,
    /// Last position in the log that was read for it.
    pub position: i64,
    pub health: EndpointHealth,
    /// The current secret, and the former one until it expires.
    pub secrets: Vec<WebhookSecret>,
}

/// Result of [`claim`].
pub struct Claims {
    /// Number of endpoints that were claimed.
    pub count: usize,
    /// Those whose row can be read. The others stay claimed until the lease is over, and hold up none.
    pub readable: Vec<ClaimedEndpoint>,
}

/// Claims up to about `limit` endpoints of a lane that have something to deliver.
pub async fn claim(tx: &Tx, lane: Lane, limit: usize, holder: Holder, lease: Duration, now: Time) -> Result<Claims> {
    let which = match lane {
        Lane::Fast => "e.failures = 0 AND NOT e.is_slow",
        Lane::Slow => "(e.failures > 0 OR e.is_slow)",
    };
    let sql = format!(
        "UPDATE event_endpoints SET claim_number = claim_number + 1, due_at = $1, claimed_by = $4
        WHERE id IN (
            SELECT e.id FROM event_endpoints e
            WHERE e.status = 'enabled' AND e.due_at <= $2 AND {which} AND (
                e.position < (SELECT l.last_position FROM event_sequence l WHERE l.id = 1)
                OR EXISTS (SELECT 1 FROM event_retries r JOIN events v ON v.id = r.event_id
                    WHERE r.endpoint_id = e.id AND r.state = 'pending' AND r.due_at <= $2))
            ORDER BY e.due_at LIMIT $3 {})
        RETURNING *",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let values = [(now + lease).into(), now.into(), row_limit(limit), holder.into()];
    let models: Vec<event_endpoints::Model> = query_all(tx, &sql, values).await?;
    let count = models.len();
    let readable = models.into_iter().filter_map(|model| readable(model.id, claimed(tx, model, holder, now)));
    Ok(Claims { count, readable: readable.collect() })
}

fn claimed(tx: &Tx, model: event_endpoints::Model, holder: Holder, now: Time) -> Result<ClaimedEndpoint> {
    Ok(ClaimedEndpoint {
        id: model.id,
        claim: model.claim_number,
        holder,
        url: model.url.clone(),
        types: endpoints::types(model.types.clone())?,
        include_text: model.include_text,
        position: model.position,
        health: EndpointHealth { failures: model.failures, failing_since: model.failing_since },
        secrets: endpoints::secrets(tx, model, now)?,
    })
}

/// Skips an endpoint that cannot be read, so that it does not stop the others.
fn readable<T>(endpoint_id: EndpointId, read: Result<T>) -> Option<T> {
    read.inspect_err(|cause| tracing::error!(%cause, %endpoint_id, "failed to read an event endpoint")).ok()
}

impl From<event_retries::Model> for Retry {
    fn from(model: event_retries::Model) -> Self {
        let event_retries::Model { event_id, state, attempts, first_at, due_at, .. } = model;
        Self { event_id, state, attempts, first_at, due_at }
    }
}

/// Finds the retries of an endpoint that are due, in the order of the log.
pub async fn due(db: &impl Db, endpoint: EndpointId, limit: u64, now: Time) -> Result<Vec<Retry>> {
    let sql = "SELECT r.* FROM event_retries r JOIN events e ON e.id = r.event_id
        WHERE r.endpoint_id = $1 AND r.state = 'pending' AND r.due_at <= $2 ORDER BY e.position LIMIT $3";
    let values = [endpoint.into(), now.into(), row_limit(limit)];
    let models: Vec<event_retries::Model> = query_all(db, sql, values).await?;
    Ok(models.into_iter().map(Retry::from).collect())
}

/// Outcome of a round of deliveries to a claimed endpoint.
pub struct RoundOutcome {
    /// Attempts in order, each with the retry of its event unless the event was accepted.
    pub attempts: Vec<(DeliveryAttempt, Option<Retry>)>,
    /// Last position in the log that is done, because its event was delivered or is a retry now.
    pub position: i64,
    pub health: EndpointHealth,
    /// Whether a delivery took long. `None` if there was none.
    pub is_slow: Option<bool>,
    /// When the endpoint may be claimed again.
    pub due_at: Time,
    /// Set if the endpoint works again after a pause: then retries of events first attempted since this time are due.
    pub back_since: Option<Time>,
    /// Whether it has failed for so long that it is to be disabled.
    pub must_disable: bool,
}

/// Attempt to store. Fields without a comment are those of [`Attempt`].
pub struct DeliveryAttempt {
    pub event_id: EventId,
    /// Time of the first attempt, if this was a retry: the guard of the retry's row.
    pub first_at: Option<Time>,
    pub at: Time,
    pub status: Option<u16>,
    pub failure: Option<PostFailure>,
    pub duration_ms: i64,
}

/// Stores the outcome of a round and gives the claim back. Returns `false` and changes nothing if the claim was lost.
pub async fn finish(tx: &Tx, claimed: &ClaimedEndpoint, outcome: &RoundOutcome, now: Time) -> Result<bool> {
    use event_endpoints::{ActiveModel, Column, Entity};

    let mut changes = ActiveModel {
        position: Set(outcome.position),
        failures: Set(outcome.health.failures),
        failing_since: Set(outcome.health.failing_since),
        due_at: Set(outcome.due_at),
        claimed_by: Set(None),
        ..Default::default()
    };
    if let Some(is_slow) = outcome.is_slow {
        changes.is_slow = Set(is_slow);
    }
    let mut update = Entity::update_many();
    if outcome.must_disable {
        changes.status = Set(EndpointStatus::Disabled);
        changes.disabled_reason = Set(Some(DisabledReason::Failing));
        changes.updated_at = Set(now);
        update = update.col_expr(Column::Version, Expr::cust("version + 1"));
    }
    let mine = update.set(changes).filter(Column::Id.eq(claimed.id)).filter(Column::ClaimNumber.eq(claimed.claim));
    if mine.exec(tx.conn()).await?.rows_affected == 0 {
        return Ok(false);
    }
    insert_attempts(tx, claimed.id, outcome.attempts.iter().map(|(attempt, _)| attempt)).await?;
    for (attempt, retry) in &outcome.attempts {
        match (attempt.first_at, retry) {
            (None, None) => {}
            (None, Some(retry)) => put_retry(tx, claimed.id, retry).await?,
            (Some(first_at), Some(retry)) => change_retry(tx, claimed.id, first_at, retry).await?,
            (Some(first_at), None) => drop_retry(tx, claimed.id, first_at, attempt.event_id).await?,
        }
    }
    if let Some(since) = outcome.back_since {
        event_retries::Entity::update_many()
            .col_expr(event_retries::Column::DueAt, Expr::value(now))
            .filter(event_retries::Column::EndpointId.eq(claimed.id))
            .filter(event_retries::Column::State.eq(RetryState::Pending))
            .filter(event_retries::Column::DueAt.gt(now))
            .filter(event_retries::Column::FirstAt.gte(since))
            .exec(tx.conn())
            .await?;
    }
    Ok(true)
}

async fn insert_attempts(
    tx: &Tx,
    endpoint_id: EndpointId,
    attempts: impl Iterator<Item = &DeliveryAttempt>,
) -> Result<()> {
    let row = |attempt: &DeliveryAttempt| event_attempts::ActiveModel {
        endpoint_id: Set(endpoint_id),
        event_id: Set(attempt.event_id),
        at: Set(attempt.at),
        status: Set(attempt.status.map(i32::from)),
        failure: Set(attempt.failure),
        duration_ms: Set(attempt.duration_ms),
        ..Default::default()
    };
    let models: Vec<_> = attempts.map(row).collect();
    if !models.is_empty() {
        event_attempts::Entity::insert_many(models).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Stores a retry in place of an earlier one of the same event.
pub async fn put_retry(tx: &Tx, endpoint: EndpointId, retry: &Retry) -> Result<()> {
    let sql = "INSERT INTO event_retries (endpoint_id, event_id, state, attempts, first_at, due_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (endpoint_id, event_id) DO UPDATE
        SET state = excluded.state, attempts = excluded.attempts, first_at = excluded.first_at, due_at = excluded.due_at";
    let Retry { event_id, state, attempts, first_at, due_at } = *retry;
    let values = [endpoint.into(), event_id.into(), state.into(), attempts.into(), first_at.into(), due_at.into()];
    execute(tx, sql, values).await?;
    Ok(())
}

/// Stores the outcome of a retry, unless the event has been requested again since.
async fn change_retry(tx: &Tx, endpoint: EndpointId, first_at: Time, retry: &Retry) -> Result<()> {
    use event_retries::{ActiveModel, Column, Entity};

    let changes = ActiveModel {
        state: Set(retry.state),
        attempts: Set(retry.attempts),
        due_at: Set(retry.due_at),
        ..Default::default()
    };
    Entity::update_many()
        .set(changes)
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::EventId.eq(retry.event_id))
        .filter(Column::FirstAt.eq(first_at))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Deletes a retry, unless the event has been requested again since.
async fn drop_retry(tx: &Tx, endpoint: EndpointId, first_at: Time, event: EventId) -> Result<()> {
    event_retries::Entity::delete_by_id((endpoint, event))
        .filter(event_retries::Column::FirstAt.eq(first_at))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Retries to list.
#[derive(Clone, Copy, Debug)]
pub struct RetryFilter {
    pub state: Option<RetryState>,
}

/// Lists a page of an endpoint's retries, by event.
pub async fn list_retries(
    db: &impl Db,
    endpoint: EndpointId,
    filter: RetryFilter,
    page: &PageRequest,
) -> Result<Page<Retry>> {
    use event_retries::{Column, Entity};

    let select = Entity::find()
        .filter(Column::EndpointId.eq(endpoint))
        .apply_if(filter.state, |select, state| select.filter(Column::State.eq(state)));
    let models = super::page(select, Column::EventId, page).all(db.conn()).await?;
    Ok(Page::cut(models.into_iter().map(Retry::from).collect(), page, |retry| retry.event_id.0))
}

/// Attempts to list.
#[derive(Clone, Copy, Debug)]
pub enum AttemptsOf {
    Endpoint(EndpointId),
    /// Attempts to deliver an event, at any endpoint.
    Event(EventId),
}

fn attempt(model: event_attempts::Model) -> Result<Attempt> {
    Ok(Attempt {
        id: model.id,
        endpoint_id: model.endpoint_id,
        event_id: model.event_id,
        at: model.at,
        status: model.status.map(u16::try_from).transpose().map_err(|_| UnknownValue::of("status"))?,
        failure: model.failure,
        duration_ms: model.duration_ms,
    })
}

pub async fn list_attempts(db: &impl Db, of: AttemptsOf, page: &PageRequest) -> Result<Page<Attempt>> {
    use event_attempts::{Column, Entity};

    let select = Entity::find().filter(match of {
        AttemptsOf::Endpoint(id) => Column::EndpointId.eq(id),
        AttemptsOf::Event(id) => Column::EventId.eq(id),
    });
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let attempts = models.into_iter().map(attempt).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(attempts, page, |attempt| attempt.id))
}

/// Finds the enabled endpoints that get events of this type, of one client or of all. None of them is deleted until
/// this transaction ends.
pub async fn hearers(tx: &Tx, kind: EventType, of: Option<ClientId>) -> Result<Vec<EndpointId>> {
    use event_endpoints::{Column, Entity};

    let select = Entity::find()
        .filter(Column::Status.eq(EndpointStatus::Enabled))
        .apply_if(of, |select, client| select.filter(Column::ClientId.eq(client)));
    let models = select.order_by_asc(Column::Id).lock(LockType::KeyShare).all(tx.conn()).await?;
    let hears = |model: &event_endpoints::Model| {
        let types = readable(model.id, endpoints::types(model.types.clone()));
        types.is_some_and(|types| types.is_none_or(|types| types.contains(&kind)))
    };
    Ok(models.into_iter().filter(hears).map(|model| model.id).collect())
}

/// Deletes up to `limit` retries of events that are no longer in the log and returns their number. Reads all retries.
pub async fn prune_retries(tx: &Tx, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM event_retries WHERE (endpoint_id, event_id) IN
        (SELECT r.endpoint_id, r.event_id FROM event_retries r
            WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id) LIMIT $1)";
    execute(tx, sql, [row_limit(limit)]).await
}
