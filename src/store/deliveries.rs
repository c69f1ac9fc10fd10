//! How endpoints are served: who reads the log for one now, what it did not take at once, and what came of each attempt.
//!
//! An endpoint is claimed in the name of a process and under a lease, and finished under a guard on the number of its claim,
//! like a part of the outbox.
//! A claim that was lost writes nothing, and whoever has it delivers the same events again.

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set,
    FromQueryResult, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Expr, LockType},
};

use super::{
    Db, Tx, endpoints,
    entity::{event_attempts, event_endpoints, event_retries},
    error::UnknownValue,
    lock,
    processes::Holder,
    row, statement,
};
use crate::domain::{
    clock::Time,
    endpoint::{Attempt, DisabledReason, EndpointHealth, EndpointStatus, Retry, RetryState},
    error::{Error, Result},
    event::EventType,
    ids::{ClientId, EndpointId, EventId},
    outbound::PostFailure,
    page::{Page, PageRequest},
    signature::WebhookSecret,
    target::TargetUrl,
};

/// Which endpoints to serve: those that do well are not to wait for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// They take what they get, and soon.
    Fast,
    /// They failed the last time, or took long.
    Slow,
}

/// The right to serve an endpoint until the lease is over, or the process that holds it is dead; and what that needs.
pub struct Claimed {
    /// The endpoint.
    pub id: EndpointId,
    /// Which claim this is; the guard of [`finish`].
    claim: i32,
    /// Whose it is.
    pub holder: Holder,
    /// Where it is.
    pub url: TargetUrl,
    /// What it hears of; all if not said.
    pub types: Option<Vec<EventType>>,
    /// Events about texts bring the text along.
    pub include_text: bool,
    /// The last place in the log that was read for it.
    pub position: i64,
    /// How it does.
    pub health: EndpointHealth,
    /// What signs for it: the present secret, and the former one while it lives.
    pub secrets: Vec<WebhookSecret>,
}

/// What was claimed at once.
pub struct Claims {
    /// How many endpoints.
    pub count: usize,
    /// Those of them that can be served. The others stay claimed until the lease is over, and hold up nobody.
    pub readable: Vec<Claimed>,
}

/// Claims up to about `limit` endpoints of a lane for which there is something to do.
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
                    WHERE r.endpoint_id = e.id AND r.state = 'owed' AND r.due_at <= $2))
            ORDER BY e.due_at LIMIT $3 {})
        RETURNING *",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    let values = [(now + lease).into(), now.into(), limit.into(), holder.into()];
    let models = event_endpoints::Model::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?;
    let count = models.len();
    let readable = models.into_iter().filter_map(|model| {
        let id = EndpointId(model.id);
        readable(id, claimed(tx, model, holder, now))
    });
    Ok(Claims { count, readable: readable.collect() })
}

fn claimed(tx: &Tx, model: event_endpoints::Model, holder: Holder, now: Time) -> Result<Claimed> {
    Ok(Claimed {
        id: EndpointId(model.id),
        claim: model.claim_number,
        holder,
        url: TargetUrl::from_stored(model.url.clone()),
        types: endpoints::types(model.types.as_deref())?,
        include_text: model.include_text,
        position: model.position,
        health: EndpointHealth { failures: model.failures, failing_since: model.failing_since },
        secrets: endpoints::secrets(tx, model, now)?,
    })
}

/// One endpoint that cannot be read must not stop the others.
fn readable<T>(endpoint_id: EndpointId, read: Result<T>) -> Option<T> {
    read.inspect_err(|cause| tracing::error!(%cause, %endpoint_id, "an event endpoint cannot be read")).ok()
}

fn retry(model: event_retries::Model) -> Result<Retry> {
    Ok(Retry {
        event_id: EventId(model.event_id),
        state: row::word(RetryState::parse, "state", &model.state)?,
        attempts: model.attempts,
        first_at: model.first_at,
        due_at: model.due_at,
    })
}

/// What is to be tried again now, in the order of the log.
pub async fn due(db: &impl Db, endpoint: EndpointId, limit: u64, now: Time) -> Result<Vec<Retry>> {
    let sql = "SELECT r.* FROM event_retries r JOIN events e ON e.id = r.event_id
        WHERE r.endpoint_id = $1 AND r.state = 'owed' AND r.due_at <= $2 ORDER BY e.position LIMIT $3";
    let values = [endpoint.0.into(), now.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let models = event_retries::Model::find_by_statement(statement(db, sql, values)).all(db.conn()).await?;
    models.into_iter().map(retry).collect()
}

/// What came of a claim.
pub struct Served {
    /// The attempts, in order, each with what becomes of its event: taken, or this.
    pub attempts: Vec<(Tried, Option<Retry>)>,
    /// The last place in the log that is done with, delivered or to be tried again.
    pub position: i64,
    /// How the endpoint does now.
    pub health: EndpointHealth,
    /// It took long, if anything was tried.
    pub is_slow: Option<bool>,
    /// When it may be served again.
    pub due_at: Time,
    /// It takes events again after it was left alone: all that it is owed of what was first tried since then is due.
    pub back_since: Option<Time>,
    /// It failed for so long that it is disabled.
    pub is_hopeless: bool,
}

/// An attempt to be stored.
pub struct Tried {
    /// What.
    pub event_id: EventId,
    /// When it was first tried, if it was put aside before: the guard of what is stored of that.
    pub first_at: Option<Time>,
    /// When.
    pub at: Time,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why the event was not taken, unless it was.
    pub failure: Option<PostFailure>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Writes down what came of a claim, and gives it back. `false` if it was lost: then nothing changes.
pub async fn finish(tx: &Tx, claimed: &Claimed, served: &Served, now: Time) -> Result<bool> {
    use event_endpoints::{Column, Entity};

    let mut update = Entity::update_many()
        .col_expr(Column::Position, Expr::value(served.position))
        .col_expr(Column::Failures, Expr::value(served.health.failures))
        .col_expr(Column::FailingSince, Expr::value(served.health.failing_since))
        .col_expr(Column::DueAt, Expr::value(served.due_at))
        .col_expr(Column::ClaimedBy, Expr::value(None::<i64>));
    if let Some(is_slow) = served.is_slow {
        update = update.col_expr(Column::IsSlow, Expr::value(is_slow));
    }
    if served.is_hopeless {
        update = update
            .col_expr(Column::Status, Expr::value(EndpointStatus::Disabled.as_str()))
            .col_expr(Column::DisabledReason, Expr::value(DisabledReason::Failing.as_str()))
            .col_expr(Column::Version, Expr::cust("version + 1"))
            .col_expr(Column::UpdatedAt, Expr::value(now));
    }
    let mine = update.filter(Column::Id.eq(claimed.id.0)).filter(Column::ClaimNumber.eq(claimed.claim));
    if mine.exec(tx.conn()).await?.rows_affected == 0 {
        return Ok(false);
    }
    insert_attempts(tx, claimed.id, served.attempts.iter().map(|(tried, _)| tried)).await?;
    for (tried, becomes) in &served.attempts {
        match (tried.first_at, becomes) {
            (None, None) => {}
            (None, Some(retry)) => put_retry(tx, claimed.id, retry).await?,
            (Some(first_at), Some(retry)) => change_retry(tx, claimed.id, first_at, retry).await?,
            (Some(first_at), None) => drop_retry(tx, claimed.id, first_at, tried.event_id).await?,
        }
    }
    if let Some(since) = served.back_since {
        event_retries::Entity::update_many()
            .col_expr(event_retries::Column::DueAt, Expr::value(now))
            .filter(event_retries::Column::EndpointId.eq(claimed.id.0))
            .filter(event_retries::Column::State.eq(RetryState::Owed.as_str()))
            .filter(event_retries::Column::DueAt.gt(now))
            .filter(event_retries::Column::FirstAt.gte(since))
            .exec(tx.conn())
            .await?;
    }
    Ok(true)
}

async fn insert_attempts(tx: &Tx, endpoint: EndpointId, tried: impl Iterator<Item = &Tried>) -> Result<()> {
    let models: Vec<_> = tried.map(|tried| attempt_row(endpoint, tried)).collect();
    if !models.is_empty() {
        event_attempts::Entity::insert_many(models).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

fn attempt_row(endpoint: EndpointId, tried: &Tried) -> event_attempts::ActiveModel {
    event_attempts::ActiveModel {
        endpoint_id: Set(endpoint.0),
        event_id: Set(tried.event_id.0),
        at: Set(tried.at),
        status: Set(tried.status.map(i32::from)),
        failure: Set(tried.failure.map(|failure| failure.as_str().to_owned())),
        duration_ms: Set(tried.duration_ms),
        ..Default::default()
    }
}

/// Stores that an event is to be tried again, or was given up, over whatever was stored of it before.
pub async fn put_retry(tx: &Tx, endpoint: EndpointId, retry: &Retry) -> Result<()> {
    let sql = "INSERT INTO event_retries (endpoint_id, event_id, state, attempts, first_at, due_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (endpoint_id, event_id) DO UPDATE
        SET state = excluded.state, attempts = excluded.attempts, first_at = excluded.first_at, due_at = excluded.due_at";
    let values = [
        endpoint.0.into(),
        retry.event_id.0.into(),
        retry.state.as_str().into(),
        retry.attempts.into(),
        retry.first_at.into(),
        retry.due_at.into(),
    ];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// Stores what became of an event that was tried again, unless somebody asked for it anew meanwhile.
async fn change_retry(tx: &Tx, endpoint: EndpointId, first_at: Time, retry: &Retry) -> Result<()> {
    use event_retries::{Column, Entity};

    Entity::update_many()
        .col_expr(Column::State, Expr::value(retry.state.as_str()))
        .col_expr(Column::Attempts, Expr::value(retry.attempts))
        .col_expr(Column::DueAt, Expr::value(retry.due_at))
        .filter(Column::EndpointId.eq(endpoint.0))
        .filter(Column::EventId.eq(retry.event_id.0))
        .filter(Column::FirstAt.eq(first_at))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Forgets that an event was to be tried again, unless somebody asked for it anew meanwhile.
async fn drop_retry(tx: &Tx, endpoint: EndpointId, first_at: Time, event: EventId) -> Result<()> {
    event_retries::Entity::delete_by_id((endpoint.0, event.0))
        .filter(event_retries::Column::FirstAt.eq(first_at))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Which retries to list.
#[derive(Clone, Copy, Debug)]
pub struct RetryFilter {
    /// In this state.
    pub state: Option<RetryState>,
}

/// What an endpoint did not take, a page at a time, by event.
pub async fn list_retries(
    db: &impl Db,
    endpoint: EndpointId,
    filter: RetryFilter,
    page: &PageRequest,
) -> Result<Page<Retry>> {
    use event_retries::{Column, Entity};

    let mut select = Entity::find().filter(Column::EndpointId.eq(endpoint.0));
    if let Some(state) = filter.state {
        select = select.filter(Column::State.eq(state.as_str()));
    }
    let models = super::page(select, Column::EventId, page).all(db.conn()).await?;
    let retries = models.into_iter().map(retry).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(retries, page, |retry| retry.event_id.0))
}

/// Whose attempts to list.
#[derive(Clone, Copy, Debug)]
pub enum AttemptsOf {
    /// Everything that was tried there.
    Endpoint(EndpointId),
    /// That event, wherever it was tried.
    Event(EventId),
}

fn attempt(model: event_attempts::Model) -> Result<Attempt> {
    let failure = model.failure.as_deref();
    Ok(Attempt {
        id: model.id,
        endpoint_id: EndpointId(model.endpoint_id),
        event_id: EventId(model.event_id),
        at: model.at,
        status: model.status.map(u16::try_from).transpose().map_err(|_| UnknownValue("status"))?,
        failure: failure.map(|failure| row::word(PostFailure::parse, "failure", failure)).transpose()?,
        duration_ms: model.duration_ms,
    })
}

/// Attempts, a page at a time.
pub async fn list_attempts(db: &impl Db, of: AttemptsOf, page: &PageRequest) -> Result<Page<Attempt>> {
    use event_attempts::{Column, Entity};

    let select = match of {
        AttemptsOf::Endpoint(id) => Entity::find().filter(Column::EndpointId.eq(id.0)),
        AttemptsOf::Event(id) => Entity::find().filter(Column::EventId.eq(id.0)),
    };
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let attempts = models.into_iter().map(attempt).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(attempts, page, |attempt| attempt.id))
}

/// The enabled endpoints that hear of events of this type, or only those of one client; none of them is deleted until this
/// transaction ends.
pub async fn hearers(tx: &Tx, kind: EventType, of: Option<ClientId>) -> Result<Vec<EndpointId>> {
    use event_endpoints::{Column, Entity};

    let mut select = Entity::find().filter(Column::Status.eq(EndpointStatus::Enabled.as_str()));
    if let Some(client) = of {
        select = select.filter(Column::ClientId.eq(client.0));
    }
    let models = select.order_by_asc(Column::Id).lock(LockType::KeyShare).all(tx.conn()).await?;
    let hears = |model: &event_endpoints::Model| {
        let types = readable(EndpointId(model.id), endpoints::types(model.types.as_deref()));
        types.is_some_and(|types| types.is_none_or(|types| types.contains(&kind)))
    };
    Ok(models.into_iter().filter(hears).map(|model| EndpointId(model.id)).collect())
}

/// Forgets attempts from before `before`, at most `limit`; answers how many.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM event_attempts WHERE id IN
        (SELECT id FROM event_attempts WHERE at < $1 ORDER BY at LIMIT $2)";
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}

/// Forgets what was to be tried again of events that the log has forgotten, at most `limit`; answers how many. It looks at
/// all that is to be tried again.
pub async fn prune_retries(tx: &Tx, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM event_retries WHERE (endpoint_id, event_id) IN
        (SELECT r.endpoint_id, r.event_id FROM event_retries r
            WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id) LIMIT $1)";
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    Ok(tx.conn().execute_raw(statement(tx, sql, [limit.into()])).await?.rows_affected())
}
