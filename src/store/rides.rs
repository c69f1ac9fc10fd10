//! Rides.

mod history;

use chrono::{FixedOffset, Offset as _, TimeZone as _, Utc};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, FromQueryResult, JoinType, QueryOrder as _, QuerySelect as _, Select,
    entity::prelude::*, sea_query::Expr,
};

pub use self::history::{events, record, tell_closings};
use super::{
    Db, Tx,
    entity::{
        numbers,
        rides::{ActiveModel, Column, Entity, Relation},
    },
    error::{OnUnique as _, UnknownValue, uq},
    pool::provider_placeholders,
    row, statement,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Result},
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    page::{Page, PageRequest},
    person::Role,
    ride::{CloseReason, ContactFloor, EndedBy, NewRide, Ride, RideStatus},
    text::{ExternalId, Place},
};

/// Which rides to list.
#[derive(Clone, Debug, Default)]
pub struct RideFilter {
    /// In this status.
    pub status: Option<RideStatus>,
    /// Of this customer.
    pub customer_id: Option<PersonId>,
    /// Of this driver.
    pub driver_id: Option<PersonId>,
    /// On this number.
    pub number_id: Option<NumberId>,
    /// Whose contact window is open, or is not.
    pub contact_open: Option<bool>,
    /// With this id of the platform's.
    pub external_id: Option<ExternalId>,
    /// Whose contact was closed because no other number was free for them, or was not.
    pub stranded: Option<bool>,
}

/// A ride with its number in clear.
#[derive(FromQueryResult)]
struct Row {
    id: i64,
    customer_id: i64,
    driver_id: i64,
    number_id: i64,
    proxy_number: String,
    start: String,
    destination: String,
    datetime: DateTimeUtc,
    utc_offset_s: i32,
    status: String,
    ended_by: Option<String>,
    ended_at: Option<DateTimeUtc>,
    timeout_at: DateTimeUtc,
    contact_until: DateTimeUtc,
    inherited_contact_until: Option<DateTimeUtc>,
    inherited_from_ride_id: Option<i64>,
    own_contact_until: Option<DateTimeUtc>,
    closed_reason: Option<String>,
    grace_s: Option<i64>,
    max_duration_s: Option<i64>,
    external_id: Option<String>,
    version: i64,
    created_at: DateTimeUtc,
    updated_at: DateTimeUtc,
}

impl TryFrom<Row> for Ride {
    type Error = crate::domain::error::Error;

    fn try_from(row: Row) -> Result<Self> {
        let offset = FixedOffset::east_opt(row.utc_offset_s).ok_or(UnknownValue("utc_offset_s"))?;
        Ok(Self {
            id: RideId(row.id),
            customer_id: PersonId(row.customer_id),
            driver_id: PersonId(row.driver_id),
            number_id: NumberId(row.number_id),
            proxy_number: row::number_phone(&row.proxy_number)?,
            start: Place::from_stored(row.start),
            destination: Place::from_stored(row.destination),
            datetime: row.datetime.with_timezone(&offset),
            status: row::word(RideStatus::parse, "status", &row.status)?,
            ended_by: row.ended_by.map(|by| row::word(EndedBy::parse, "ended_by", &by)).transpose()?,
            ended_at: row.ended_at,
            timeout_at: row.timeout_at,
            contact_until: row.contact_until,
            floor: match (row.inherited_contact_until, row.inherited_from_ride_id, row.own_contact_until) {
                (Some(until), Some(from), Some(own)) => Some(ContactFloor { until, from: RideId(from), own }),
                _ => None,
            },
            closed_reason: row
                .closed_reason
                .map(|why| row::word(CloseReason::parse, "closed_reason", &why))
                .transpose()?,
            grace_s: row.grace_s,
            max_duration_s: row.max_duration_s,
            external_id: row.external_id.map(ExternalId::from_stored),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn living() -> Select<Entity> {
    Entity::find()
        .join(JoinType::InnerJoin, Relation::Number.def())
        .column_as(numbers::Column::PhoneNumber, "proxy_number")
        .filter(Column::DeletedAt.is_null())
}

/// The ride with this id.
pub async fn find(db: &impl Db, id: RideId) -> Result<Option<Ride>> {
    living().filter(Column::Id.eq(id.0)).into_model::<Row>().one(db.conn()).await?.map(Ride::try_from).transpose()
}

/// The same, and nobody else changes it before this transaction ends.
pub async fn find_locked(tx: &Tx, id: RideId) -> Result<Option<Ride>> {
    // The number's row stays out of the lock: rides share it.
    Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await?;
    find(tx, id).await
}

/// Rides, a page at a time.
pub async fn list(db: &impl Db, filter: &RideFilter, page: &PageRequest, now: Time) -> Result<Page<Ride>> {
    let mut select = living();
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    if let Some(id) = filter.customer_id {
        select = select.filter(Column::CustomerId.eq(id.0));
    }
    if let Some(id) = filter.driver_id {
        select = select.filter(Column::DriverId.eq(id.0));
    }
    if let Some(id) = filter.number_id {
        select = select.filter(Column::NumberId.eq(id.0));
    }
    if let Some(id) = &filter.external_id {
        select = select.filter(Column::ExternalId.eq(id.as_str()));
    }
    select = match filter.contact_open {
        Some(true) => select.filter(Column::ContactUntil.gt(now)),
        Some(false) => select.filter(Column::ContactUntil.lte(now)),
        None => select,
    };
    // The predicate of the partial index `rides_stranded`, literally.
    select = match filter.stranded {
        Some(true) => select.filter(Expr::cust("closed_reason = 'number_suspended'")),
        Some(false) => select.filter(Column::ClosedReason.is_null()),
        None => select,
    };
    let rows = super::page(select, Column::Id, page).into_model::<Row>().all(db.conn()).await?;
    let rides = rows.into_iter().map(Ride::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(rides, page, |ride| ride.id.0))
}

/// The times of a ride to be made.
#[derive(Clone, Copy)]
pub struct RideTimes {
    /// See [`Ride::timeout_at`].
    pub timeout_at: Time,
    /// See [`Ride::contact_until`].
    pub contact_until: Time,
    /// See [`Ride::floor`].
    pub floor: Option<ContactFloor>,
}

/// Stores a new ride on this number.
pub async fn insert(
    tx: &Tx,
    new: &NewRide,
    (customer, driver): (PersonId, PersonId),
    number_id: NumberId,
    times: RideTimes,
    now: Time,
) -> Result<Ride> {
    let model = ActiveModel {
        customer_id: Set(customer.0),
        driver_id: Set(driver.0),
        number_id: Set(number_id.0),
        start: Set(new.start.as_str().to_owned()),
        destination: Set(new.destination.as_str().to_owned()),
        datetime: Set(new.datetime.with_timezone(&Utc)),
        utc_offset_s: Set(new.datetime.offset().fix().local_minus_utc()),
        status: Set(RideStatus::Scheduled.as_str().to_owned()),
        timeout_at: Set(times.timeout_at),
        contact_until: Set(times.contact_until),
        inherited_contact_until: Set(times.floor.map(|floor| floor.until)),
        inherited_from_ride_id: Set(times.floor.map(|floor| floor.from.0)),
        own_contact_until: Set(times.floor.map(|floor| floor.own)),
        grace_s: Set(new.terms.grace.map(|grace| grace.num_seconds())),
        max_duration_s: Set(new.terms.max_duration.map(|longest| longest.num_seconds())),
        external_id: Set(new.external_id.as_ref().map(|id| id.as_str().to_owned())),
        customer_seq: Set(0),
        driver_seq: Set(0),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let inserted = model.insert(tx.conn()).await.on_unique(&uq::RIDES_EXTERNAL_ID, Conflict::ExternalIdTaken)?;
    let stored = find(tx, RideId(inserted.id)).await?;
    stored.ok_or_else(|| crate::domain::error::Error::internal("a ride just stored is not there"))
}

/// Stores an edited ride under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Ride, now: Time) -> Result<Ride> {
    let model = ActiveModel {
        id: Set(after.id.0),
        driver_id: Set(after.driver_id.0),
        number_id: Set(after.number_id.0),
        start: Set(after.start.as_str().to_owned()),
        destination: Set(after.destination.as_str().to_owned()),
        datetime: Set(Utc.from_utc_datetime(&after.datetime.naive_utc())),
        utc_offset_s: Set(after.datetime.offset().local_minus_utc()),
        status: Set(after.status.as_str().to_owned()),
        ended_by: Set(after.ended_by.map(|by| by.as_str().to_owned())),
        ended_at: Set(after.ended_at),
        timeout_at: Set(after.timeout_at),
        contact_until: Set(after.contact_until),
        inherited_contact_until: Set(after.floor.map(|floor| floor.until)),
        inherited_from_ride_id: Set(after.floor.map(|floor| floor.from.0)),
        own_contact_until: Set(after.floor.map(|floor| floor.own)),
        closed_reason: Set(after.closed_reason.map(|why| why.as_str().to_owned())),
        external_id: Set(after.external_id.as_ref().map(|id| id.as_str().to_owned())),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..Default::default()
    };
    model.update(tx.conn()).await.on_unique(&uq::RIDES_EXTERNAL_ID, Conflict::ExternalIdTaken)?;
    Ok(Ride { version: after.version + 1, updated_at: now, ..after.clone() })
}

/// Leaves a tombstone; contact is closed from now on. The row must be locked.
pub async fn delete(tx: &Tx, ride: &Ride, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::DeletedAt, Expr::value(now))
        .col_expr(Column::ContactUntil, Expr::value(ride.contact_until.min(now)))
        .filter(Column::Id.eq(ride.id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Closes the contact window of a ride whose number a new ride of the same two phones took over: from now on contact
/// goes by the new one.
pub async fn hand_over(tx: &Tx, id: RideId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::ContactUntil, Expr::value(now))
        .filter(Column::Id.eq(id.0))
        .filter(Column::ContactUntil.gt(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Opens the contact of a ride again that was handed over, until `contact_until` and on this number. The row must be locked.
pub async fn take_back(tx: &Tx, ride: &Ride, number: NumberId, contact_until: Time, now: Time) -> Result<Ride> {
    let reopened = Ride { number_id: number, contact_until, ..ride.clone() };
    update(tx, &reopened, now).await?;
    // That it closes is to be told again.
    let sql = "UPDATE rides SET closing_announced = FALSE WHERE id = $1";
    tx.conn().execute_raw(statement(tx, sql, [ride.id.0.into()])).await?;
    find(tx, ride.id).await?.ok_or_else(|| crate::domain::error::Error::internal("a locked ride is not there"))
}

/// Takes the next `count` places in the conversation with one party, and answers the first. The row stays locked until
/// the transaction ends, so places are taken in the order in which they become visible. `None` if contact is closed, or
/// somebody else than `driver` drives.
pub async fn take_places(
    tx: &Tx,
    id: RideId,
    driver: Option<PersonId>,
    to: Role,
    count: i32,
    now: Time,
) -> Result<Option<i64>> {
    let seq = match to {
        Role::Customer => "customer_seq",
        Role::Driver => "driver_seq",
    };
    // Both are read from the row as it is once its lock is ours, not as it was when the statement began.
    let same_driver = if driver.is_some() { "AND driver_id = $4" } else { "" };
    let sql = format!(
        "UPDATE rides SET {seq} = {seq} + $2
        WHERE id = $1 AND contact_until > $3 AND deleted_at IS NULL {same_driver} RETURNING {seq} AS last"
    );
    let count = i64::from(count);
    let values = [id.0.into(), count.into(), now.into()].into_iter().chain(driver.map(|driver| driver.0.into()));
    let statement = super::statement(tx, &sql, values);
    let row = tx.conn().query_one_raw(statement).await?;
    row.map(|row| Ok(row.try_get::<i64>("", "last")? - count + 1)).transpose()
}

/// A ride whose contact window is open has this person.
pub async fn has_open_contact(db: &impl Db, role: Role, id: PersonId, now: Time) -> Result<bool> {
    let open = Entity::find().filter(party(role).eq(id.0)).filter(Column::ContactUntil.gt(now)).limit(1);
    Ok(open.one(db.conn()).await?.is_some())
}

fn party(role: Role) -> Column {
    match role {
        Role::Customer => Column::CustomerId,
        Role::Driver => Column::DriverId,
    }
}

/// Rides that nobody ended and whose longest duration has run out.
pub async fn overdue(db: &impl Db, now: Time, limit: u64) -> Result<Vec<RideId>> {
    let ids: Vec<i64> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Expr::cust("status IN ('scheduled', 'in_progress')"))
        .filter(Column::DeletedAt.is_null())
        .filter(Column::TimeoutAt.lte(now))
        .order_by_asc(Column::TimeoutAt)
        .limit(limit)
        .into_tuple()
        .all(db.conn())
        .await?;
    Ok(ids.into_iter().map(RideId).collect())
}

/// Puts a ride on another number, with the contact that it has there.
pub async fn move_to_number(
    tx: &Tx,
    id: RideId,
    number: NumberId,
    contact_until: Time,
    floor: Option<ContactFloor>,
) -> Result<Ride> {
    let model = ActiveModel {
        id: Set(id.0),
        number_id: Set(number.0),
        contact_until: Set(contact_until),
        inherited_contact_until: Set(floor.map(|floor| floor.until)),
        inherited_from_ride_id: Set(floor.map(|floor| floor.from.0)),
        own_contact_until: Set(floor.map(|floor| floor.own)),
        ..Default::default()
    };
    model.update(tx.conn()).await?;
    find(tx, id).await?.ok_or_else(|| crate::domain::error::Error::internal("a ride just stored is not there"))
}

/// Rides of a person whose contact window is open, by id.
pub async fn with_open_contact(db: &impl Db, role: Role, id: PersonId, now: Time) -> Result<Vec<RideId>> {
    let open = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(party(role).eq(id.0))
        .filter(Column::ContactUntil.gt(now))
        .order_by_asc(Column::Id);
    let ids: Vec<i64> = open.into_tuple().all(db.conn()).await?;
    Ok(ids.into_iter().map(RideId).collect())
}

/// Rides with open contact on numbers that are suspended, oldest first.
pub async fn on_suspended_numbers(db: &impl Db, now: Time, limit: u64) -> Result<Vec<RideId>> {
    #[derive(FromQueryResult)]
    struct Row {
        ride_id: i64,
    }
    let sql = "SELECT DISTINCT b.ride_id AS ride_id FROM numbers n JOIN bindings b ON b.number_id = n.id
        WHERE n.status = 'suspended' AND n.deleted_at IS NULL AND NOT b.retired AND b.contact_until > $1
        ORDER BY b.ride_id LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = Row::find_by_statement(super::statement(db, sql, [now.into(), limit.into()])).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| RideId(row.ride_id)).collect())
}

/// Rides with open contact on numbers of these providers, by id, those behind `after`.
pub async fn on_numbers_of(
    db: &impl Db,
    providers: &[ProviderName],
    after: RideId,
    now: Time,
    limit: u64,
) -> Result<Vec<RideId>> {
    #[derive(FromQueryResult)]
    struct Row {
        ride_id: i64,
    }
    if providers.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT b.ride_id AS ride_id FROM bindings b JOIN numbers n ON n.id = b.number_id
        WHERE b.ride_id > $1 AND b.contact_until > $2 AND NOT b.retired AND n.provider IN ({})
        ORDER BY b.ride_id LIMIT $3",
        provider_placeholders(providers, 4)
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [after.0.into(), now.into(), limit.into()];
    let values = values.into_iter().chain(providers.iter().map(|name| name.as_str().into()));
    let rows = Row::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| RideId(row.ride_id)).collect())
}

/// Says that a ride has another driver from now on.
pub async fn note_driver(tx: &Tx, id: RideId, now: Time) -> Result<()> {
    let sql = "UPDATE rides SET driver_changed_at = $2 WHERE id = $1";
    tx.conn().execute_raw(statement(tx, sql, [id.0.into(), now.into()])).await?;
    Ok(())
}

/// Whether a ride has had its present driver since before `time`.
pub async fn has_same_driver_since(db: &impl Db, id: RideId, time: Time) -> Result<bool> {
    let sql = "SELECT 1 AS one FROM rides WHERE id = $1 AND driver_changed_at > $2";
    Ok(db.conn().query_one_raw(statement(db, sql, [id.0.into(), time.into()])).await?.is_none())
}
