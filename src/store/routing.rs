//! The routing lookup: one round trip of index probes, whatever the size of pool and history.

use sea_orm::FromQueryResult;

use super::{Db, error::UnknownValue, row, statement};
use crate::domain::{
    clock::Time,
    contact::{BoundContact, Contacting, RouteFacts},
    error::Result,
    ids::{NumberId, PersonId, RideId},
    phone::PhoneNumber,
};

#[derive(FromQueryResult)]
struct Row {
    number_id: i64,
    provider: String,
    from_pool: bool,
    ride_id: Option<i64>,
    role: Option<String>,
    contact_until: Option<Time>,
    driver_id: Option<i64>,
    to_sealed: Option<Vec<u8>>,
}

/// What is known about this phone contacting this number.
pub async fn look_up(db: &impl Db, number: &PhoneNumber, from: &Contacting) -> Result<RouteFacts> {
    let (from_key, from_index) = match from.phone().map(PhoneNumber::match_key) {
        Some(key) => (key.expose().to_owned(), db.vault().phone_index(&key).0),
        None => (String::new(), Vec::new()),
    };
    let sql = "SELECT n.id AS number_id, n.provider AS provider,
            EXISTS (SELECT 1 FROM numbers p WHERE p.match_key = $2 AND p.deleted_at IS NULL) AS from_pool,
            b.ride_id AS ride_id, b.role AS role, b.contact_until AS contact_until,
            r.driver_id AS driver_id, other.phone_sealed AS to_sealed
        FROM numbers n
        LEFT JOIN bindings b ON b.number_id = n.id AND b.phone_index = $3
        LEFT JOIN rides r ON r.id = b.ride_id
        LEFT JOIN people other ON other.id = CASE b.role WHEN 'customer' THEN r.driver_id ELSE r.customer_id END
        WHERE n.match_key = $1 AND n.deleted_at IS NULL";
    let values = [number.match_key().expose().into(), from_key.into(), from_index.into()];
    let Some(found) = Row::find_by_statement(statement(db, sql, values)).one(db.conn()).await? else {
        return Ok(RouteFacts { number: None, from_pool: false, binding: None });
    };
    let binding = match (found.ride_id, row::roles(found.role.as_deref())?, found.contact_until, found.driver_id) {
        (Some(ride_id), Some(from_role), Some(contact_until), Some(driver_id)) => Some(BoundContact {
            ride_id: RideId(ride_id),
            driver_id: PersonId(driver_id),
            from_role,
            contact_until,
            to: found.to_sealed.map(|sealed| row::open_phone(db, &sealed)).transpose()?,
        }),
        (None, None, None, None) => None,
        _ => return Err(UnknownValue("bindings").into()),
    };
    let number = Some((NumberId(found.number_id), row::provider(&found.provider)?));
    Ok(RouteFacts { number, from_pool: found.from_pool, binding })
}
