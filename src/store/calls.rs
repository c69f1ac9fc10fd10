//! Calls.

use sea_orm::{
    ActiveValue::{self, Set},
    ConnectionTrait as _, FromQueryResult, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::Expr,
};

use super::{
    Db, Tx,
    entity::calls::{ActiveModel, Column, Entity, Model},
    events, lock,
    processes::Holder,
    row, statement,
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

/// Which calls to list.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of this ride.
    pub ride_id: Option<RideId>,
    /// In this status.
    pub status: Option<CallStatus>,
}

/// A call to be stored.
pub struct NewCall<'a> {
    /// See [`Call::ride_id`].
    pub ride_id: Option<RideId>,
    /// See [`Call::from_role`].
    pub from_role: Option<Role>,
    /// See [`Call::status`].
    pub status: CallStatus,
    /// See [`Call::reason`].
    pub reason: Option<&'static str>,
    /// The provider that carries it.
    pub provider: &'a ProviderName,
    /// The provider's id of the call.
    pub provider_call_id: &'a str,
    /// The proxy number.
    pub number_id: Option<NumberId>,
    /// When to ask the provider what became of it, if it does not tell.
    pub ask_at: Option<Time>,
}

/// A call about which its provider is to be asked now.
#[derive(FromQueryResult)]
pub struct Question {
    /// The call.
    pub id: i64,
    /// When it began.
    pub started_at: Time,
    /// The provider's id of it.
    pub provider_call_id: String,
    provider: String,
}

impl Question {
    /// Whom to ask.
    pub fn provider(&self) -> Result<ProviderName> {
        row::provider(&self.provider)
    }
}

fn call(model: Model) -> Result<Call> {
    Ok(Call {
        id: CallId(model.id),
        ride_id: model.ride_id.map(RideId),
        from_role: row::roles(model.from_role.as_deref())?,
        status: row::word(CallStatus::parse, "status", &model.status)?,
        reason: model.reason,
        started_at: model.started_at,
        answered_at: model.answered_at,
        ended_at: model.ended_at,
        duration_s: model.duration_s,
    })
}

/// Calls, a page at a time.
pub async fn list(db: &impl Db, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
    let mut select = Entity::find();
    if let Some(ride) = filter.ride_id {
        select = select.filter(Column::RideId.eq(ride.0));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let calls = models.into_iter().map(call).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(calls, page, |call| call.id.0))
}

/// All calls of a ride, oldest first.
pub async fn of_ride(db: &impl Db, ride: RideId) -> Result<Vec<Call>> {
    let select = Entity::find().filter(Column::RideId.eq(ride.0)).order_by_asc(Column::Id);
    select.all(db.conn()).await?.into_iter().map(call).collect()
}

/// The call.
pub async fn find(db: &impl Db, provider: &ProviderName, provider_call_id: &str) -> Result<Option<Call>> {
    let select = Entity::find()
        .filter(Column::Provider.eq(provider.as_str()))
        .filter(Column::ProviderCallId.eq(provider_call_id));
    select.one(db.conn()).await?.map(call).transpose()
}

/// The call, locked.
pub async fn find_locked(tx: &Tx, provider: &ProviderName, provider_call_id: &str) -> Result<Option<Call>> {
    let select = Entity::find()
        .filter(Column::Provider.eq(provider.as_str()))
        .filter(Column::ProviderCallId.eq(provider_call_id))
        .lock_exclusive();
    select.one(tx.conn()).await?.map(call).transpose()
}

/// What events say of a call; of its phones nothing.
fn event_data(model: &Model) -> Result<EventData> {
    Ok(EventData {
        ride_id: model.ride_id.map(RideId),
        call_id: Some(CallId(model.id)),
        number_id: model.number_id.map(NumberId),
        provider: Some(row::provider(&model.provider)?),
        from_role: row::roles(model.from_role.as_deref())?,
        status: Some(model.status.clone()),
        reason: model.reason.clone(),
        duration_s: model.duration_s,
        ..EventData::default()
    })
}

/// Stores a call, unless there is one under the provider's id: `false`. Tells the platform of one that may not reach the
/// other party.
pub async fn insert(tx: &Tx, new: &NewCall<'_>, now: Time) -> Result<bool> {
    let sql = "INSERT INTO calls
                   (ride_id, from_role, status, reason, provider, provider_call_id, number_id, started_at, ended_at,
                    poll_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (provider, provider_call_id) DO NOTHING
               RETURNING id";
    let values = [
        new.ride_id.map(|id| id.0).into(),
        new.from_role.map(Role::as_str).into(),
        new.status.as_str().into(),
        new.reason.into(),
        new.provider.as_str().into(),
        new.provider_call_id.into(),
        new.number_id.map(|id| id.0).into(),
        now.into(),
        new.status.is_ending().then_some(now).into(),
        new.ask_at.into(),
    ];
    let Some(stored) = tx.conn().query_one_raw(statement(tx, sql, values)).await? else { return Ok(false) };
    if let Some(reason) = new.reason {
        let refused = EventData {
            ride_id: new.ride_id,
            call_id: Some(CallId(stored.try_get("", "id")?)),
            number_id: new.number_id,
            provider: Some(new.provider.clone()),
            from_role: new.from_role,
            reason: Some(reason.to_owned()),
            ..EventData::default()
        };
        events::record(tx, EventType::ContactRejected, &refused, now).await?;
    }
    Ok(true)
}

/// Stores what a call that was so `before` has become `after` some news, and tells the platform. The row must be locked.
pub async fn update(tx: &Tx, before: &Call, after: &Call, now: Time) -> Result<()> {
    let model = ActiveModel {
        id: Set(after.id.0),
        status: Set(after.status.as_str().to_owned()),
        answered_at: Set(after.answered_at),
        ended_at: Set(after.ended_at),
        duration_s: Set(after.duration_s),
        poll_at: if after.status.is_ending() { Set(None) } else { ActiveValue::NotSet },
        claimed_by: if after.status.is_ending() { Set(None) } else { ActiveValue::NotSet },
        ..Default::default()
    };
    let data = event_data(&model.update(tx.conn()).await?)?;
    for event in EventType::of_call(before, after) {
        let (at, data) = match event {
            EventType::CallConnected => {
                let status = Some(CallStatus::Answered.as_str().to_owned());
                (after.answered_at, EventData { status, duration_s: None, ..data.clone() })
            }
            _ => (after.ended_at, data.clone()),
        };
        events::record(tx, event, &data, at.unwrap_or(now)).await?;
    }
    Ok(())
}

/// Takes up to about `limit` calls about which their provider is to be asked now, and puts them off until `again`: a
/// process that dies meanwhile leaves them to another.
pub async fn take_questions(tx: &Tx, limit: u32, holder: Holder, again: Time, now: Time) -> Result<Vec<Question>> {
    let sql = format!(
        "UPDATE calls SET poll_at = $1, claimed_by = $4
         WHERE id IN (SELECT id FROM calls WHERE poll_at IS NOT NULL AND poll_at <= $2 ORDER BY poll_at LIMIT $3 {})
         RETURNING id, started_at, provider_call_id, provider",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let values = [again.into(), now.into(), i64::from(limit).into(), holder.into()];
    Ok(Question::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?)
}

/// Asks about a call again at this time, unless it is over.
pub async fn ask_again(tx: &Tx, id: i64, at: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::PollAt, Expr::value(at))
        .col_expr(Column::ClaimedBy, Expr::value(None::<i64>))
        .filter(Column::Id.eq(id))
        .filter(Column::PollAt.is_not_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Gives up on calls that began before `before` and of whose end the provider never told, at most about `limit`, and tells
/// the platform; answers how many.
pub async fn forget(tx: &Tx, before: Time, limit: u64, now: Time) -> Result<usize> {
    let sql = format!(
        "UPDATE calls SET status = 'unknown', poll_at = NULL, claimed_by = NULL
         WHERE id IN (SELECT id FROM calls WHERE status IN ('connecting', 'ringing', 'answered') AND started_at <= $1
             ORDER BY started_at LIMIT $2 {})
         RETURNING *",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let forgotten = Model::find_by_statement(statement(tx, &sql, [before.into(), limit.into()])).all(tx.conn()).await?;
    for model in &forgotten {
        events::record(tx, EventType::CallEnded, &event_data(model)?, now).await?;
    }
    Ok(forgotten.len())
}
