//! Bindings: when this phone contacts this number, it reaches the other party of this ride.
//!
//! The unique index on (number, phone) keeps two rides apart. Nothing here checks first and hopes.
//!
//! A party has one binding at a time. Bindings from before the driver, phone or number changed are `retired`: closed,
//! and barred until their cool-down is over.

use sea_orm::{ActiveValue::Set, FromQueryResult, entity::prelude::*, sea_query::Expr};

use super::{
    Db, PhoneIndex, Tx,
    entity::bindings::{ActiveModel, Column, Entity},
    execute, lock,
    params::Params,
    query_one, query_value,
};
use crate::domain::{
    clock::Time,
    error::Result,
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    person::Role,
    ride::Window,
};

/// Phones of a ride's two parties.
#[derive(Clone)]
pub struct Pair {
    pub customer: PhoneIndex,
    pub driver: PhoneIndex,
}

impl Pair {
    /// Returns both in the order in which every transaction writes its rows, so that two transactions cannot each wait
    /// for the other's second row.
    fn in_order(&self) -> [(&PhoneIndex, Role); 2] {
        let (customer, driver) = ((&self.customer, Role::Customer), (&self.driver, Role::Driver));
        if self.customer < self.driver { [customer, driver] } else { [driver, customer] }
    }
}

/// Deletes bindings of these phones whose cool-down is over.
pub async fn release_expired(tx: &Tx, phones: &[&PhoneIndex], now: Time) -> Result<()> {
    Entity::delete_many()
        .filter(Column::PhoneIndex.is_in(phones.iter().copied()))
        .filter(Column::BarredUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Binds both phones to the number. Returns `false` and changes nothing if one of them is bound there already.
pub async fn bind(tx: &Tx, number: NumberId, pair: &Pair, ride: RideId, window: Window) -> Result<bool> {
    for (phone, role) in pair.in_order() {
        if !insert(tx, number, (phone, role), ride, window).await? {
            Entity::delete_many().filter(Column::RideId.eq(ride)).filter(present()).exec(tx.conn()).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Binds one party's phone, after [`retire`] closed its previous binding; `false` if the number is barred for it. A
/// binding that the same party of the same ride had with this phone before is no bar.
pub async fn rebind(
    tx: &Tx,
    number: NumberId,
    (phone, role): (&PhoneIndex, Role),
    ride: RideId,
    window: Window,
) -> Result<bool> {
    Entity::delete_many()
        .filter(Column::NumberId.eq(number))
        .filter(Column::PhoneIndex.eq(phone))
        .filter(Column::RideId.eq(ride))
        .filter(Column::Role.eq(role))
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
    let (contact_until, barred_until) = (window.contact_until.into(), window.barred_until.into());
    let values = [number.into(), phone.into(), ride.into(), role.into(), contact_until, barred_until];
    Ok(execute(tx, sql, values).await? > 0)
}

/// Closes the binding of a party and bars it until `barred_until`, because the person, the phone or the number changes.
pub async fn retire(tx: &Tx, ride: RideId, role: Role, now: Time, barred_until: Time) -> Result<()> {
    let retired = ActiveModel {
        retired: Set(true),
        contact_until: Set(now),
        barred_until: Set(barred_until),
        ..Default::default()
    };
    Entity::update_many()
        .set(retired)
        .filter(Column::RideId.eq(ride))
        .filter(Column::Role.eq(role))
        .filter(present())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Literally the predicate of the partial index `bindings_ride`.
fn present() -> Expr {
    Expr::cust("NOT retired")
}

/// Ended ride of the same two phones, whose number they may keep.
pub struct FormerRide {
    pub ride_id: RideId,
    /// The row is locked against draining.
    pub number_id: NumberId,
    /// Role that the new ride's customer had in it.
    pub customer_was: Role,
    /// Its customer and driver.
    pub parties: (PersonId, PersonId),
    /// End of its contact window, if that is still open.
    pub open_until: Option<Time>,
}

/// Finds a number that these two phones hold with each other, but for no live ride.
pub async fn former_of_pair(tx: &Tx, pair: &Pair, usable: &[ProviderName], now: Time) -> Result<Option<FormerRide>> {
    #[derive(FromQueryResult)]
    struct Row {
        ride_id: RideId,
        number_id: NumberId,
        role: Role,
        contact_until: Time,
        customer_id: PersonId,
        driver_id: PersonId,
    }
    let mut params = Params::new([(&pair.customer).into(), (&pair.driver).into(), now.into()]);
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
        params.add_list(usable),
        lock(tx, "FOR SHARE OF n")
    );
    let row: Option<Row> = query_one(tx, &sql, params).await?;
    Ok(row.map(|row| FormerRide {
        ride_id: row.ride_id,
        number_id: row.number_id,
        customer_was: row.role,
        parties: (row.customer_id, row.driver_id),
        open_until: Some(row.contact_until).filter(|until| *until > now),
    }))
}

/// Hands the two bindings of a former ride over to a new one; `false` if another transaction was faster.
pub async fn take_over(tx: &Tx, former: &FormerRide, pair: &Pair, ride: RideId, window: Window) -> Result<bool> {
    let rows = Entity::delete_many()
        .filter(Column::RideId.eq(former.ride_id))
        .filter(Column::NumberId.eq(former.number_id))
        .filter(Column::PhoneIndex.is_in([&pair.customer, &pair.driver]))
        .exec(tx.conn())
        .await?;
    Ok(rows.rows_affected == 2 && bind(tx, former.number_id, pair, ride, window).await?)
}

/// Hands the bindings of a ride to another ride of the same two people, which has none, with this window.
pub async fn pass(tx: &Tx, from: RideId, to: RideId, window: Window) -> Result<()> {
    set_columns(tx, from, ActiveModel { ride_id: Set(to), ..with_window(window) }).await
}

/// Changes the window of a ride's bindings. Bindings that a later ride took over are no longer this ride's, and retired
/// ones stay as they are.
pub async fn set_window(tx: &Tx, ride: RideId, window: Window) -> Result<()> {
    set_columns(tx, ride, with_window(window)).await
}

fn with_window(window: Window) -> ActiveModel {
    ActiveModel {
        contact_until: Set(window.contact_until),
        barred_until: Set(window.barred_until),
        ..Default::default()
    }
}

async fn set_columns(tx: &Tx, ride: RideId, columns: ActiveModel) -> Result<()> {
    Entity::update_many().set(columns).filter(Column::RideId.eq(ride)).filter(present()).exec(tx.conn()).await?;
    Ok(())
}

/// Counts the rides on this number whose contact window is open.
pub async fn open_rides(db: &impl Db, number: NumberId, now: Time) -> Result<i64> {
    let sql = "SELECT COUNT(DISTINCT ride_id) AS rides FROM bindings WHERE number_id = $1 AND contact_until > $2";
    Ok(query_value(db, sql, [number.into(), now.into()]).await?.unwrap_or(0))
}

/// Finds the number under which a party of a ride sees the other one.
pub async fn number_of(db: &impl Db, ride: RideId, role: Role) -> Result<Option<NumberId>> {
    let select = Entity::find().filter(Column::RideId.eq(ride)).filter(Column::Role.eq(role)).filter(present());
    Ok(select.one(db.conn()).await?.map(|model| model.number_id))
}
