//! Rides.

mod history;

use chrono::{FixedOffset, Offset as _, TimeZone as _, Utc};
use sea_orm::{
    ActiveValue::Set, FromQueryResult, JoinType, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    entity::prelude::*, sea_query::Expr,
};

pub use self::history::{announce_closings, events, record};
use super::{
    Db, Tx,
    columns::ProxyNumber,
    entity::{
        numbers,
        rides::{ActiveModel, Column, Entity, Model, Relation},
    },
    error::{OnUnique as _, UnknownValue, uq},
    execute, exists,
    params::Params,
    query_value, query_values, row_limit,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Error, Result},
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    page::{Page, PageRequest},
    person::Role,
    ride::{InheritedContact, NewRide, Ride, RideStatus},
    text::ExternalId,
};

/// Rides to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct RideFilter {
    pub status: Option<RideStatus>,
    pub customer_id: Option<PersonId>,
    pub driver_id: Option<PersonId>,
    pub number_id: Option<NumberId>,
    /// Whether the contact window is open.
    pub contact_open: Option<bool>,
    /// The platform's ID.
    pub external_id: Option<ExternalId>,
    /// Whether contact was closed because no other number was free.
    pub stranded: Option<bool>,
}

/// Ride with its number.
#[derive(FromQueryResult)]
struct Row {
    #[sea_orm(nested)]
    ride: Model,
    proxy_number: ProxyNumber,
}

impl TryFrom<Row> for Ride {
    type Error = Error;

    fn try_from(Row { ride, proxy_number }: Row) -> Result<Self> {
        let offset = FixedOffset::east_opt(ride.utc_offset_s).ok_or_else(|| UnknownValue::of("utc_offset_s"))?;
        let inherited = match (ride.inherited_contact_until, ride.inherited_from_ride_id, ride.own_contact_until) {
            (Some(until), Some(from), Some(own)) => Some(InheritedContact { until, from, own }),
            _ => None,
        };
        Ok(Self {
            id: ride.id,
            customer_id: ride.customer_id,
            driver_id: ride.driver_id,
            number_id: ride.number_id,
            proxy_number: proxy_number.0,
            start: ride.start,
            destination: ride.destination,
            datetime: ride.datetime.with_timezone(&offset),
            status: ride.status,
            ended_by: ride.ended_by,
            ended_at: ride.ended_at,
            timeout_at: ride.timeout_at,
            contact_until: ride.contact_until,
            inherited,
            closed_reason: ride.closed_reason,
            grace_s: ride.grace_s,
            max_duration_s: ride.max_duration_s,
            external_id: ride.external_id,
            version: ride.version,
            created_at: ride.created_at,
            updated_at: ride.updated_at,
        })
    }
}

/// Rides that are not deleted, with their numbers.
fn existing() -> Select<Entity> {
    Entity::find()
        .join(JoinType::InnerJoin, Relation::Numbers.def())
        .column_as(numbers::Column::PhoneNumber, "proxy_number")
        .filter(Column::DeletedAt.is_null())
}

pub async fn find(db: &impl Db, id: RideId) -> Result<Option<Ride>> {
    existing().filter(Column::Id.eq(id)).into_model::<Row>().one(db.conn()).await?.map(Ride::try_from).transpose()
}

/// Finds a ride and locks its row until this transaction ends.
pub async fn find_locked(tx: &Tx, id: RideId) -> Result<Option<Ride>> {
    // The number's row is not locked: rides share it.
    Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    find(tx, id).await
}

/// Reads a ride that must exist: this transaction stored or locked it.
async fn reload(tx: &Tx, id: RideId) -> Result<Ride> {
    find(tx, id).await?.ok_or_else(|| Error::internal("a ride of this transaction is not there"))
}

pub async fn list(db: &impl Db, filter: &RideFilter, page: &PageRequest, now: Time) -> Result<Page<Ride>> {
    let select = existing()
        .apply_if(filter.status, |select, status| select.filter(Column::Status.eq(status)))
        .apply_if(filter.customer_id, |select, id| select.filter(Column::CustomerId.eq(id)))
        .apply_if(filter.driver_id, |select, id| select.filter(Column::DriverId.eq(id)))
        .apply_if(filter.number_id, |select, id| select.filter(Column::NumberId.eq(id)))
        .apply_if(filter.external_id.as_ref(), |select, id| select.filter(Column::ExternalId.eq(id)));
    let select = match filter.contact_open {
        Some(true) => select.filter(Column::ContactUntil.gt(now)),
        Some(false) => select.filter(Column::ContactUntil.lte(now)),
        None => select,
    };
    let select = match filter.stranded {
        // Literally the predicate of the partial index `rides_stranded`.
        Some(true) => select.filter(Expr::cust("closed_reason = 'number_suspended'")),
        Some(false) => select.filter(Column::ClosedReason.is_null()),
        None => select,
    };
    let rows = super::page(select, Column::Id, page).into_model::<Row>().all(db.conn()).await?;
    let rides = rows.into_iter().map(Ride::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(rides, page, |ride| ride.id.0))
}

/// Times of a new ride. The fields are those of [`Ride`].
#[derive(Clone, Copy)]
pub struct RideTimes {
    pub timeout_at: Time,
    pub contact_until: Time,
    pub inherited: Option<InheritedContact>,
}

/// Stores a new ride on this number.
pub async fn insert(
    tx: &Tx,
    new: &NewRide,
    (customer_id, driver_id): (PersonId, PersonId),
    number_id: NumberId,
    times: RideTimes,
    now: Time,
) -> Result<Ride> {
    let model = ActiveModel {
        customer_id: Set(customer_id),
        driver_id: Set(driver_id),
        number_id: Set(number_id),
        start: Set(new.start.clone()),
        destination: Set(new.destination.clone()),
        datetime: Set(new.datetime.with_timezone(&Utc)),
        utc_offset_s: Set(new.datetime.offset().fix().local_minus_utc()),
        status: Set(RideStatus::Scheduled),
        timeout_at: Set(times.timeout_at),
        contact_until: Set(times.contact_until),
        grace_s: Set(new.terms.grace.map(|grace| grace.num_seconds())),
        max_duration_s: Set(new.terms.max_duration.map(|longest| longest.num_seconds())),
        external_id: Set(new.external_id.clone()),
        customer_seq: Set(0),
        driver_seq: Set(0),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..with_inherited(times.inherited)
    };
    let inserted = model.insert(tx.conn()).await.on_unique(&uq::RIDES_EXTERNAL_ID, Conflict::ExternalIdTaken)?;
    reload(tx, inserted.id).await
}

/// The columns of inherited contact.
fn with_inherited(inherited: Option<InheritedContact>) -> ActiveModel {
    ActiveModel {
        inherited_contact_until: Set(inherited.map(|inherited| inherited.until)),
        inherited_from_ride_id: Set(inherited.map(|inherited| inherited.from)),
        own_contact_until: Set(inherited.map(|inherited| inherited.own)),
        ..Default::default()
    }
}

/// Stores an edited ride under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Ride, now: Time) -> Result<Ride> {
    let model = ActiveModel {
        id: Set(after.id),
        driver_id: Set(after.driver_id),
        number_id: Set(after.number_id),
        start: Set(after.start.clone()),
        destination: Set(after.destination.clone()),
        datetime: Set(Utc.from_utc_datetime(&after.datetime.naive_utc())),
        utc_offset_s: Set(after.datetime.offset().local_minus_utc()),
        status: Set(after.status),
        ended_by: Set(after.ended_by),
        ended_at: Set(after.ended_at),
        timeout_at: Set(after.timeout_at),
        contact_until: Set(after.contact_until),
        closed_reason: Set(after.closed_reason),
        external_id: Set(after.external_id.clone()),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..with_inherited(after.inherited)
    };
    model.update(tx.conn()).await.on_unique(&uq::RIDES_EXTERNAL_ID, Conflict::ExternalIdTaken)?;
    Ok(Ride { version: after.version + 1, updated_at: now, ..after.clone() })
}

/// Marks a ride as deleted and closes its contact. The row must be locked.
pub async fn delete(tx: &Tx, ride: &Ride, now: Time) -> Result<()> {
    let deleted = ActiveModel {
        id: Set(ride.id),
        deleted_at: Set(Some(now)),
        contact_until: Set(ride.contact_until.min(now)),
        ..Default::default()
    };
    deleted.update(tx.conn()).await?;
    Ok(())
}

/// Closes the contact window of a ride whose number a new ride of the same two phones took over. Contact continues
/// under the new ride.
pub async fn hand_over(tx: &Tx, id: RideId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::ContactUntil, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::ContactUntil.gt(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Reopens the contact of a ride that was handed over, on this number and until `contact_until`. The row must be
/// locked.
pub async fn reopen_contact(tx: &Tx, ride: &Ride, number_id: NumberId, contact_until: Time, now: Time) -> Result<Ride> {
    update(tx, &Ride { number_id, contact_until, ..ride.clone() }, now).await?;
    // The end of its contact must be announced again.
    execute(tx, "UPDATE rides SET closing_announced = FALSE WHERE id = $1", [ride.id.into()]).await?;
    reload(tx, ride.id).await
}

/// Allocates the next `count` positions in the conversation with one party and returns the first. The row stays locked
/// until the transaction ends, so positions become visible in order. `None` if contact is closed, or if the driver is
/// no longer `driver`.
pub async fn allocate_positions(
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
    let count = i64::from(count);
    let mut params = Params::new([id.into(), count.into(), now.into()]);
    // Contact and driver are compared as of when the row is locked, not as of when the statement began.
    let same_driver = driver.map_or_else(String::new, |driver| format!("AND driver_id = {}", params.add(driver)));
    let sql = format!(
        "UPDATE rides SET {seq} = {seq} + $2
        WHERE id = $1 AND contact_until > $3 AND deleted_at IS NULL {same_driver} RETURNING {seq}"
    );
    let last: Option<i64> = query_value(tx, &sql, params).await?;
    Ok(last.map(|last| last - count + 1))
}

/// Checks whether a person has a ride whose contact window is open.
pub async fn has_open_contact(db: &impl Db, role: Role, id: PersonId, now: Time) -> Result<bool> {
    let open = Entity::find().filter(party(role).eq(id)).filter(Column::ContactUntil.gt(now)).limit(1);
    Ok(open.one(db.conn()).await?.is_some())
}

fn party(role: Role) -> Column {
    match role {
        Role::Customer => Column::CustomerId,
        Role::Driver => Column::DriverId,
    }
}

/// Finds rides whose maximum duration is over and that have not ended.
pub async fn overdue(db: &impl Db, now: Time, limit: u64) -> Result<Vec<RideId>> {
    let overdue = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Expr::cust("status IN ('scheduled', 'in_progress')"))
        .filter(Column::DeletedAt.is_null())
        .filter(Column::TimeoutAt.lte(now))
        .order_by_asc(Column::TimeoutAt)
        .limit(limit);
    Ok(overdue.into_tuple().all(db.conn()).await?)
}

/// Moves a ride to another number, with the contact that it has there.
pub async fn move_to_number(
    tx: &Tx,
    id: RideId,
    number_id: NumberId,
    contact_until: Time,
    inherited: Option<InheritedContact>,
) -> Result<Ride> {
    let model = ActiveModel {
        id: Set(id),
        number_id: Set(number_id),
        contact_until: Set(contact_until),
        ..with_inherited(inherited)
    };
    model.update(tx.conn()).await?;
    reload(tx, id).await
}

/// Finds a person's rides whose contact window is open, by ID.
pub async fn with_open_contact(db: &impl Db, role: Role, id: PersonId, now: Time) -> Result<Vec<RideId>> {
    let open = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(party(role).eq(id))
        .filter(Column::ContactUntil.gt(now))
        .order_by_asc(Column::Id);
    Ok(open.into_tuple().all(db.conn()).await?)
}

/// Finds rides with open contact on suspended numbers, oldest first.
pub async fn on_suspended_numbers(db: &impl Db, now: Time, limit: u64) -> Result<Vec<RideId>> {
    let sql = "SELECT DISTINCT b.ride_id FROM numbers n JOIN bindings b ON b.number_id = n.id
        WHERE n.status = 'suspended' AND n.deleted_at IS NULL AND NOT b.retired AND b.contact_until > $1
        ORDER BY b.ride_id LIMIT $2";
    query_values(db, sql, [now.into(), row_limit(limit)]).await
}

/// Finds rides with open contact on numbers of these providers, by ID, after `after`.
pub async fn on_numbers_of(
    db: &impl Db,
    providers: &[ProviderName],
    after: RideId,
    now: Time,
    limit: u64,
) -> Result<Vec<RideId>> {
    if providers.is_empty() {
        return Ok(Vec::new());
    }
    let mut params = Params::new([after.into(), now.into(), row_limit(limit)]);
    let sql = format!(
        "SELECT DISTINCT b.ride_id FROM bindings b JOIN numbers n ON n.id = b.number_id
        WHERE b.ride_id > $1 AND b.contact_until > $2 AND NOT b.retired AND n.provider IN ({})
        ORDER BY b.ride_id LIMIT $3",
        params.add_list(providers)
    );
    query_values(db, &sql, params).await
}

/// Records that a ride has another driver from now on.
pub async fn record_driver_change(tx: &Tx, id: RideId, now: Time) -> Result<()> {
    execute(tx, "UPDATE rides SET driver_changed_at = $2 WHERE id = $1", [id.into(), now.into()]).await?;
    Ok(())
}

/// Checks whether a ride's driver has not changed since `time`.
pub async fn has_same_driver_since(db: &impl Db, id: RideId, time: Time) -> Result<bool> {
    let changed = "SELECT 1 AS one FROM rides WHERE id = $1 AND driver_changed_at > $2";
    Ok(!exists(db, changed, [id.into(), time.into()]).await?)
}
