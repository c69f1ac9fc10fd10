//! Looking up the route of a text or call: one round trip of index probes, whatever the size of the pool and of
//! history.

use sea_orm::FromQueryResult;

use super::{Db, PhoneIndex, columns::ProxyNumber, error::UnknownValue, query_one, sealed};
use crate::domain::{
    clock::Time,
    contact::{BoundContact, CallerId, RouteFacts},
    error::Result,
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    text::Language,
};

#[derive(FromQueryResult)]
struct Row {
    number_id: NumberId,
    provider: ProviderName,
    suspended: bool,
    from_pool: bool,
    ride_id: Option<RideId>,
    role: Option<Role>,
    contact_until: Option<Time>,
    driver_id: Option<PersonId>,
    to_sealed: Option<Vec<u8>>,
    language: Option<Language>,
}

/// Looks up everything that decides the route of a contact from this phone to this number.
pub async fn look_up(db: &impl Db, number: &PhoneNumber, from: &CallerId) -> Result<RouteFacts> {
    let (from_key, from_index) = match from.phone().map(PhoneNumber::match_key) {
        Some(key) => (key.expose().to_owned(), db.vault().phone_index(&key)),
        None => (String::new(), PhoneIndex(Vec::new())),
    };
    let sql = "SELECT n.id AS number_id, n.provider AS provider, n.status = 'suspended' AS suspended,
            EXISTS (SELECT 1 FROM numbers p WHERE p.match_key = $2 AND p.deleted_at IS NULL) AS from_pool,
            b.ride_id AS ride_id, b.role AS role, b.contact_until AS contact_until,
            r.driver_id AS driver_id, other.phone_sealed AS to_sealed,
            COALESCE(me.language, (
                SELECT p.language FROM people p WHERE p.phone_index = $3 AND p.language IS NOT NULL
                ORDER BY p.id DESC LIMIT 1)) AS language
        FROM numbers n
        LEFT JOIN bindings b ON b.number_id = n.id AND b.phone_index = $3
        LEFT JOIN rides r ON r.id = b.ride_id
        LEFT JOIN people me ON me.phone_index = $3
            AND me.id = CASE b.role WHEN 'customer' THEN r.customer_id ELSE r.driver_id END
        LEFT JOIN people other ON other.id = CASE b.role WHEN 'customer' THEN r.driver_id ELSE r.customer_id END
        WHERE n.match_key = $1 AND n.deleted_at IS NULL";
    let values = [number.match_key().expose().into(), from_key.into(), from_index.into()];
    let Some(found) = query_one::<Row>(db, sql, values).await? else {
        return Ok(RouteFacts { number: None, suspended: false, from_pool: false, binding: None, language: None });
    };
    let binding = match (found.ride_id, found.role, found.contact_until, found.driver_id) {
        (Some(ride_id), Some(from_role), Some(contact_until), Some(driver_id)) => Some(BoundContact {
            ride_id,
            driver_id,
            from_role,
            contact_until,
            to: found.to_sealed.map(|phone| sealed::open_phone(db, &phone)).transpose()?,
        }),
        (None, None, None, None) => None,
        _ => return Err(UnknownValue::of("bindings").into()),
    };
    let Row { number_id, provider, suspended, from_pool, language, .. } = found;
    Ok(RouteFacts { number: Some((number_id, provider)), suspended, from_pool, binding, language })
}

/// Party that made a call: everything that decides what they hear.
pub struct CallParty {
    /// Number that they called.
    pub number: Option<PhoneNumber>,
    pub language: Option<Language>,
    /// Whether they were to reach the other party, and not the support number.
    pub to_party: bool,
}

/// Finds the party that made this call; `None` if the call is unknown.
pub async fn call_party(db: &impl Db, provider: &ProviderName, call_key: &str) -> Result<Option<CallParty>> {
    #[derive(FromQueryResult)]
    struct Row {
        number: Option<ProxyNumber>,
        language: Option<Language>,
        to_party: bool,
    }
    let sql = "SELECT n.phone_number AS number, p.language AS language, c.reason IS NULL AS to_party
        FROM calls c
        LEFT JOIN numbers n ON n.id = c.number_id
        LEFT JOIN rides r ON r.id = c.ride_id
        LEFT JOIN people p ON p.id = CASE c.from_role
            WHEN 'customer' THEN r.customer_id WHEN 'driver' THEN r.driver_id END
        WHERE c.provider = $1 AND c.provider_call_id = $2";
    let found: Option<Row> = query_one(db, sql, [provider.into(), call_key.into()]).await?;
    Ok(found.map(|Row { number, language, to_party }| CallParty {
        number: number.map(|number| number.0),
        language,
        to_party,
    }))
}
