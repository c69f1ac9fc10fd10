//! Bindings: when this phone contacts this number, it reaches the other party of this ride.
//!
//! The unique index on (number, phone) is what keeps two rides apart; nothing here checks first and hopes.
//!
//! A party has one row at a time. What it held before another driver, phone or number came is `retired`: closed, and
//! barred until its cool-down is over.

use sea_orm::{ConnectionTrait as _, FromQueryResult, entity::prelude::*, sea_query::Expr};

use super::{
    Db, PhoneIndex, Tx,
    entity::bindings::{Column, Entity},
    lock, row, statement,
};
use crate::domain::{
    clock::Time,
    error::Result,
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    person::Role,
    ride::Window,
};

/// The phones of a ride's two parties, as the index knows them.
#[derive(Clone)]
pub struct Pair {
    /// The customer's.
    pub customer: PhoneIndex,
    /// The driver's.
    pub driver: PhoneIndex,
}

impl Pair {
    /// Both, in the order in which rows are written: the same for every transaction, so that two of them cannot each
    /// wait for the other's second row.
    fn in_order(&self) -> [(&PhoneIndex, Role); 2] {
        let (customer, driver) = ((&self.customer, Role::Customer), (&self.driver, Role::Driver));
        if self.customer < self.driver { [customer, driver] } else { [driver, customer] }
    }
}

/// Forgets what these phones held and may have again.
pub async fn release_expired(tx: &Tx, phones: &[&PhoneIndex], now: Time) -> Result<()> {
    Entity::delete_many()
        .filter(Column::PhoneIndex.is_in(phones.iter().map(|phone| phone.0.clone())))
        .filter(Column::BarredUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Binds both phones to the number, or changes nothing and answers `false`: one of them is bound there already.
pub async fn bind(tx: &Tx, number: NumberId, pair: &Pair, ride: RideId, window: Window) -> Result<bool> {
    for (phone, role) in pair.in_order() {
        if !insert(tx, number, (phone, role), ride, window).await? {
            Entity::delete_many().filter(Column::RideId.eq(ride.0)).filter(present()).exec(tx.conn()).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Binds one party's phone, which comes in place of what [`retire`] closed; `false` if the number is barred for it. What
/// the same party of the same ride had with this phone before, it may have again.
pub async fn rebind(
    tx: &Tx,
    number: NumberId,
    (phone, role): (&PhoneIndex, Role),
    ride: RideId,
    window: Window,
) -> Result<bool> {
    Entity::delete_many()
        .filter(Column::NumberId.eq(number.0))
        .filter(Column::PhoneIndex.eq(phone.0.clone()))
        .filter(Column::RideId.eq(ride.0))
        .filter(Column::Role.eq(role.as_str()))
        .filter(Expr::cust("retired"))
        .exec(tx.conn())
        .await?;
    insert(tx, number, (phone, role), ride, window).await
}

async fn insert(
    tx: &Tx,
    number: NumberId,
    (phone, role): (&PhoneIndex, Role),
    ride: RideId,
    window: Window,
) -> Result<bool> {
    let sql = "INSERT INTO bindings (number_id, phone_index, ride_id, role, contact_until, barred_until)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (number_id, phone_index) DO NOTHING";
    let values = [
        number.0.into(),
        phone.0.clone().into(),
        ride.0.into(),
        role.as_str().into(),
        window.contact_until.into(),
        window.barred_until.into(),
    ];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// Closes what a party of a ride holds, and leaves it barred until `barred_until`: the person, the phone or the number
/// is another from now on.
pub async fn retire(tx: &Tx, ride: RideId, role: Role, now: Time, barred_until: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::Retired, Expr::value(true))
        .col_expr(Column::ContactUntil, Expr::value(now))
        .col_expr(Column::BarredUntil, Expr::value(barred_until))
        .filter(Column::RideId.eq(ride.0))
        .filter(Column::Role.eq(role.as_str()))
        .filter(present())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The predicate of the partial index `bindings_ride`, literally.
fn present() -> Expr {
    Expr::cust("NOT retired")
}

/// An ended ride of the same two phones whose number they may keep.
pub struct FormerRide {
    /// That ride.
    pub ride_id: RideId,
    /// Its number; the row is locked against draining.
    pub number_id: NumberId,
    /// What the new ride's customer was in it.
    pub customer_was: Role,
    /// Its customer and driver.
    pub parties: (PersonId, PersonId),
    /// The end of its contact window, if that is open still.
    pub open_until: Option<Time>,
}

/// Finds a number that these two phones hold with each other and with no live ride.
pub async fn former_of_pair(tx: &Tx, pair: &Pair, usable: &[ProviderName], now: Time) -> Result<Option<FormerRide>> {
    #[derive(FromQueryResult)]
    struct Row {
        ride_id: i64,
        number_id: i64,
        role: String,
        contact_until: Time,
        customer_id: i64,
        driver_id: i64,
    }
    let sql = format!(
        "SELECT mine.ride_id AS ride_id, mine.number_id AS number_id, mine.role AS role,
            mine.contact_until AS contact_until, r.customer_id AS customer_id, r.driver_id AS driver_id
        FROM bindings mine
        JOIN bindings theirs ON theirs.ride_id = mine.ride_id AND theirs.role <> mine.role
        JOIN rides r ON r.id = mine.ride_id
        JOIN numbers n ON n.id = mine.number_id
        WHERE mine.phone_index = $1 AND theirs.phone_index = $2 AND theirs.number_id = mine.number_id
            AND NOT mine.retired AND NOT theirs.retired
            AND (r.status IN ('completed', 'cancelled') OR r.timeout_at <= $3 OR r.deleted_at IS NOT NULL
                OR mine.contact_until <= $3)
            AND n.status = 'active' AND n.sms AND n.voice AND n.deleted_at IS NULL AND n.provider IN ({})
        ORDER BY mine.ride_id DESC LIMIT 1 {}",
        super::pool::provider_placeholders(usable, 4),
        lock(tx, "FOR SHARE OF n")
    );
    let values = [pair.customer.0.clone().into(), pair.driver.0.clone().into(), now.into()];
    let values = values.into_iter().chain(usable.iter().map(|name| name.as_str().into()));
    let row = Row::find_by_statement(statement(tx, &sql, values)).one(tx.conn()).await?;
    row.map(|row| {
        Ok(FormerRide {
            ride_id: RideId(row.ride_id),
            number_id: NumberId(row.number_id),
            customer_was: row::role(&row.role)?,
            parties: (PersonId(row.customer_id), PersonId(row.driver_id)),
            open_until: Some(row.contact_until).filter(|until| *until > now),
        })
    })
    .transpose()
}

/// Hands the two rows of a former ride over to a new one; `false` if somebody else was faster.
pub async fn take_over(tx: &Tx, former: &FormerRide, pair: &Pair, ride: RideId, window: Window) -> Result<bool> {
    let rows = Entity::delete_many()
        .filter(Column::RideId.eq(former.ride_id.0))
        .filter(Column::NumberId.eq(former.number_id.0))
        .filter(Column::PhoneIndex.is_in([pair.customer.0.clone(), pair.driver.0.clone()]))
        .exec(tx.conn())
        .await?;
    Ok(rows.rows_affected == 2 && bind(tx, former.number_id, pair, ride, window).await?)
}

/// Hands what a ride holds to another ride of the same two people, which holds nothing, with this window.
pub async fn pass(tx: &Tx, from: RideId, to: RideId, window: Window) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::RideId, Expr::value(to.0))
        .col_expr(Column::ContactUntil, Expr::value(window.contact_until))
        .col_expr(Column::BarredUntil, Expr::value(window.barred_until))
        .filter(Column::RideId.eq(from.0))
        .filter(present())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Moves the end of a ride's contact. Rows that a later ride took over are no longer this ride's, and
/// retired rows stay as they are.
pub async fn set_window(tx: &Tx, ride: RideId, window: Window) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::ContactUntil, Expr::value(window.contact_until))
        .col_expr(Column::BarredUntil, Expr::value(window.barred_until))
        .filter(Column::RideId.eq(ride.0))
        .filter(present())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// How many rides on this number have their contact window open.
pub async fn open_rides(db: &impl Db, number: NumberId, now: Time) -> Result<i64> {
    let sql = "SELECT COUNT(DISTINCT ride_id) AS rides FROM bindings WHERE number_id = $1 AND contact_until > $2";
    let row = db.conn().query_one_raw(statement(db, sql, [number.0.into(), now.into()])).await?;
    Ok(row.map(|row| row.try_get("", "rides")).transpose()?.unwrap_or(0))
}

/// Forgets bindings whose cool-down is over, oldest first, at most `limit`; answers how many.
pub async fn prune(tx: &Tx, now: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM bindings WHERE id IN (SELECT id FROM bindings WHERE barred_until <= $1 ORDER BY barred_until LIMIT $2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.conn().execute_raw(statement(tx, sql, [now.into(), limit.into()])).await?.rows_affected())
}

/// The number under which a party of a ride sees the other one, as its binding says.
pub async fn number_of(db: &impl Db, ride: RideId, role: Role) -> Result<Option<NumberId>> {
    let of_party = Entity::find().filter(Column::RideId.eq(ride.0)).filter(Column::Role.eq(role.as_str()));
    let select = of_party.filter(present());
    Ok(select.one(db.conn()).await?.map(|model| NumberId(model.number_id)))
}
