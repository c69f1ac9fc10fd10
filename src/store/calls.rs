//! Calls.

use sea_orm::{
    ActiveValue::{self, Set},
    FromQueryResult, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
};

use super::{
    Db, Tx,
    entity::calls::{ActiveModel, Column, Entity, Model},
    events, lock,
    processes::Holder,
    query_all, query_value, row_limit,
};
use crate::domain::{
    call::{Call, CallStatus},
    clock::Time,
    error::Result,
    event::{EventData, EventType},
    ids::{CallId, NumberId, RideId},
    number::ProviderName,
    page::{Page, PageRequest},
    person::Role,
};

/// Calls to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    pub ride_id: Option<RideId>,
    pub status: Option<CallStatus>,
}

/// Call to store. Fields without a comment are those of [`Call`].
pub struct NewCall<'a> {
    pub ride_id: Option<RideId>,
    pub from_role: Option<Role>,
    pub status: CallStatus,
    pub reason: Option<&'static str>,
    /// Provider that carries it.
    pub provider: &'a ProviderName,
    pub provider_call_id: &'a str,
    /// Proxy number.
    pub number_id: Option<NumberId>,
    /// When to ask the provider for the call's status, if the provider does not report it.
    pub poll_at: Option<Time>,
}

/// Call whose provider is to be asked for its status now.
#[derive(FromQueryResult)]
pub struct DuePoll {
    pub id: CallId,
    pub started_at: Time,
    pub provider_call_id: String,
    pub provider: ProviderName,
}

impl From<Model> for Call {
    fn from(model: Model) -> Self {
        Self {
            id: model.id,
            ride_id: model.ride_id,
            from_role: model.from_role,
            status: model.status,
            reason: model.reason,
            started_at: model.started_at,
            answered_at: model.answered_at,
            ended_at: model.ended_at,
            duration_s: model.duration_s,
        }
    }
}

pub async fn list(db: &impl Db, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
    let select = Entity::find()
        .apply_if(filter.ride_id, |select, ride| select.filter(Column::RideId.eq(ride)))
        .apply_if(filter.status, |select, status| select.filter(Column::Status.eq(status)));
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    Ok(Page::cut(models.into_iter().map(Call::from).collect(), page, |call| call.id.0))
}

/// Reads all calls of a ride, oldest first.
pub async fn of_ride(db: &impl Db, ride: RideId) -> Result<Vec<Call>> {
    let select = Entity::find().filter(Column::RideId.eq(ride)).order_by_asc(Column::Id);
    Ok(select.all(db.conn()).await?.into_iter().map(Call::from).collect())
}

fn by_provider_id(provider: &ProviderName, provider_call_id: &str) -> Select<Entity> {
    Entity::find().filter(Column::Provider.eq(provider)).filter(Column::ProviderCallId.eq(provider_call_id))
}

pub async fn find(db: &impl Db, provider: &ProviderName, provider_call_id: &str) -> Result<Option<Call>> {
    Ok(by_provider_id(provider, provider_call_id).one(db.conn()).await?.map(Call::from))
}

/// Finds a call and locks its row until this transaction ends.
pub async fn find_locked(tx: &Tx, provider: &ProviderName, provider_call_id: &str) -> Result<Option<Call>> {
    let select = by_provider_id(provider, provider_call_id).lock_exclusive();
    Ok(select.one(tx.conn()).await?.map(Call::from))
}

/// Data of an event about a call. It has no phone.
fn event_data(model: &Model) -> EventData {
    EventData {
        ride_id: model.ride_id,
        call_id: Some(model.id),
        number_id: model.number_id,
        provider: Some(model.provider.clone()),
        from_role: model.from_role,
        status: Some(model.status.to_string()),
        reason: model.reason.clone(),
        duration_s: model.duration_s,
        ..EventData::default()
    }
}

/// Stores a call, and records an event if it may not reach the other party; `false` if the provider's ID is stored
/// already.
pub async fn insert(tx: &Tx, new: &NewCall<'_>, now: Time) -> Result<bool> {
    let sql = "INSERT INTO calls
                   (ride_id, from_role, status, reason, provider, provider_call_id, number_id, started_at, ended_at,
                    poll_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (provider, provider_call_id) DO NOTHING
               RETURNING id";
    let values = [
        new.ride_id.into(),
        new.from_role.into(),
        new.status.into(),
        new.reason.into(),
        new.provider.into(),
        new.provider_call_id.into(),
        new.number_id.into(),
        now.into(),
        new.status.is_ending().then_some(now).into(),
        new.poll_at.into(),
    ];
    let Some(call_id) = query_value::<CallId>(tx, sql, values).await? else { return Ok(false) };
    if let Some(reason) = new.reason {
        let rejected = EventData {
            ride_id: new.ride_id,
            call_id: Some(call_id),
            number_id: new.number_id,
            provider: Some(new.provider.clone()),
            from_role: new.from_role,
            reason: Some(reason.to_owned()),
            ..EventData::default()
        };
        events::record(tx, EventType::ContactRejected, &rejected, now).await?;
    }
    Ok(true)
}

/// Stores a call that a report changed from `before` to `after`, and records its events. The row must be locked.
pub async fn update(tx: &Tx, before: &Call, after: &Call, now: Time) -> Result<()> {
    let model = ActiveModel {
        id: Set(after.id),
        status: Set(after.status),
        answered_at: Set(after.answered_at),
        ended_at: Set(after.ended_at),
        duration_s: Set(after.duration_s),
        poll_at: if after.status.is_ending() { Set(None) } else { ActiveValue::NotSet },
        claimed_by: if after.status.is_ending() { Set(None) } else { ActiveValue::NotSet },
        ..Default::default()
    };
    let data = event_data(&model.update(tx.conn()).await?);
    for event in EventType::of_call(before, after) {
        let (at, data) = match event {
            EventType::CallConnected => {
                let status = Some(CallStatus::Answered.to_string());
                (after.answered_at, EventData { status, duration_s: None, ..data.clone() })
            }
            _ => (after.ended_at, data.clone()),
        };
        events::record(tx, event, &data, at.unwrap_or(now)).await?;
    }
    Ok(())
}

/// Claims up to about `limit` calls whose provider is to be asked now, and postpones them until `again`. If the process
/// dies, another one asks then.
pub async fn claim_due_polls(tx: &Tx, limit: u32, holder: Holder, again: Time, now: Time) -> Result<Vec<DuePoll>> {
    let sql = format!(
        "UPDATE calls SET poll_at = $1, claimed_by = $4
         WHERE id IN (SELECT id FROM calls WHERE poll_at IS NOT NULL AND poll_at <= $2 ORDER BY poll_at LIMIT $3 {})
         RETURNING id, started_at, provider_call_id, provider",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    query_all(tx, &sql, [again.into(), now.into(), row_limit(limit), holder.into()]).await
}

/// Schedules the next poll of a call, unless the call is over.
pub async fn poll_again(tx: &Tx, id: CallId, at: Time) -> Result<()> {
    Entity::update_many()
        .set(ActiveModel { poll_at: Set(Some(at)), claimed_by: Set(None), ..Default::default() })
        .filter(Column::Id.eq(id))
        .filter(Column::PollAt.is_not_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Sets up to about `limit` calls that began before `before` and whose end was never reported to `unknown`, records
/// their events, and returns their number.
pub async fn close_unreported(tx: &Tx, before: Time, limit: u64, now: Time) -> Result<usize> {
    let sql = format!(
        "UPDATE calls SET status = 'unknown', poll_at = NULL, claimed_by = NULL
         WHERE id IN (SELECT id FROM calls WHERE status IN ('connecting', 'ringing', 'answered') AND started_at <= $1
             ORDER BY started_at LIMIT $2 {})
         RETURNING *",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let forgotten: Vec<Model> = query_all(tx, &sql, [before.into(), row_limit(limit)]).await?;
    for model in &forgotten {
        events::record(tx, EventType::CallEnded, &event_data(model), now).await?;
    }
    Ok(forgotten.len())
}
