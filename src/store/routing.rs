//! The routing lookup: one round trip of index probes, whatever the size of pool and history; and who hears what becomes
//! of a call.

use sea_orm::FromQueryResult;

use super::{Db, error::UnknownValue, row, statement};
use crate::domain::{
    clock::Time,
    contact::{BoundContact, CallerId, RouteFacts},
    error::Result,
    ids::{NumberId, PersonId, RideId},
    number::ProviderName,
    phone::PhoneNumber,
    text::Language,
};

#[derive(FromQueryResult)]
struct Row {
    number_id: i64,
    provider: String,
    suspended: bool,
    from_pool: bool,
    ride_id: Option<i64>,
    role: Option<String>,
    contact_until: Option<Time>,
    driver_id: Option<i64>,
    to_sealed: Option<Vec<u8>>,
    language: Option<String>,
}

/// What is known about this phone contacting this number.
pub async fn look_up(db: &impl Db, number: &PhoneNumber, from: &CallerId) -> Result<RouteFacts> {
    let (from_key, from_index) = match from.phone().map(PhoneNumber::match_key) {
        Some(key) => (key.expose().to_owned(), db.vault().phone_index(&key).0),
        None => (String::new(), Vec::new()),
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
    let Some(found) = Row::find_by_statement(statement(db, sql, values)).one(db.conn()).await? else {
        return Ok(RouteFacts { number: None, suspended: false, from_pool: false, binding: None, language: None });
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
    let language = found.language.map(Language::from_stored);
    Ok(RouteFacts { number, suspended: found.suspended, from_pool: found.from_pool, binding, language })
}

/// Who is on the line of a call, as far as what they hear depends on it.
pub struct Caller {
    /// The number they called.
    pub number: Option<PhoneNumber>,
    /// What they read.
    pub language: Option<Language>,
    /// They were to reach the other party, and nobody else.
    pub to_party: bool,
}

/// Who made this call; `None` if it is not known.
pub async fn caller(db: &impl Db, provider: &ProviderName, call_key: &str) -> Result<Option<Caller>> {
    #[derive(FromQueryResult)]
    struct Row {
        number: Option<String>,
        language: Option<String>,
        to_party: bool,
    }
    let sql = "SELECT n.phone_number AS number, p.language AS language, c.reason IS NULL AS to_party
        FROM calls c
        LEFT JOIN numbers n ON n.id = c.number_id
        LEFT JOIN rides r ON r.id = c.ride_id
        LEFT JOIN people p ON p.id = CASE c.from_role
            WHEN 'customer' THEN r.customer_id WHEN 'driver' THEN r.driver_id END
        WHERE c.provider = $1 AND c.provider_call_id = $2";
    let values = [provider.as_str().into(), call_key.into()];
    let found = Row::find_by_statement(statement(db, sql, values)).one(db.conn()).await?;
    found
        .map(|found| {
            Ok(Caller {
                number: found.number.as_deref().map(row::number_phone).transpose()?,
                language: found.language.map(Language::from_stored),
                to_party: found.to_party,
            })
        })
        .transpose()
}
