//! Choosing a number: a few index probes from a random point of the pool, never a scan of the pool or of history.
//! Queries that may scan are in [`planning`].

mod level;
mod planning;

pub use level::{level, set_level};
pub use planning::{Part, PoolCount, classes, count, holders, needed};

use super::{Db, PhoneIndex, Tx, bindings::Pair, exists, lock, params::Params, query_value};
use crate::domain::{
    clock::Time,
    error::{PoolLimit, Result},
    ids::NumberId,
    number::ProviderName,
};

/// Literally the predicate of the partial indexes `numbers_assignable` and `numbers_assignable_country`: a bound
/// parameter would not match it.
const ASSIGNABLE: &str = "n.status = 'active' AND n.sms AND n.voice AND n.deleted_at IS NULL";

/// Chooses the first number from `point` on (and round the ring) that neither phone holds, of one country or of any,
/// and locks it against draining. One probe per configured provider, so that numbers of other providers are never read.
pub async fn choose(
    tx: &Tx,
    pair: &Pair,
    usable: &[ProviderName],
    country: Option<&str>,
    point: u32,
) -> Result<Option<NumberId>> {
    if usable.is_empty() {
        return Ok(None);
    }
    for side in [">=", "<"] {
        let mut params = Params::new([i64::from(point).into(), (&pair.customer).into(), (&pair.driver).into()]);
        let of_country =
            country.map_or_else(String::new, |country| format!(" AND n.country = {}", params.add(country)));
        let probes = usable.iter().enumerate().map(|(at, provider)| {
            format!(
                "SELECT * FROM (SELECT n.id, n.ring_position FROM numbers n
                WHERE {ASSIGNABLE} AND n.provider = {}{of_country} AND n.ring_position {side} $1
                    AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $2)
                    AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $3)
                ORDER BY n.ring_position LIMIT 1 {}) first_{at}",
                params.add(provider),
                lock(tx, "FOR SHARE OF n")
            )
        });
        let probes: Vec<_> = probes.collect();
        let sql = format!("SELECT id FROM ({}) firsts ORDER BY ring_position LIMIT 1", probes.join(" UNION ALL "));
        if let Some(chosen) = query_value(tx, &sql, params).await? {
            return Ok(Some(chosen));
        }
    }
    Ok(None)
}

/// Chooses a number from which to text a phone, preferably one that the phone does not hold.
pub async fn sender(tx: &Tx, phone: &PhoneIndex, usable: &[ProviderName]) -> Result<Option<NumberId>> {
    let alone = Pair { customer: phone.clone(), driver: phone.clone() };
    if let Some(unheld) = choose(tx, &alone, usable, None, 0).await? {
        return Ok(Some(unheld));
    }
    let mut params = Params::new([]);
    let providers = params.add_list(usable);
    let sql = format!("SELECT n.id FROM numbers n WHERE {ASSIGNABLE} AND n.provider IN ({providers}) LIMIT 1");
    query_value(tx, &sql, params).await
}

/// Finds the first limit that a pool without a free number hit. With `countries`, a number must be of one of them.
pub async fn limit(
    db: &impl Db,
    pair: &Pair,
    usable: &[ProviderName],
    countries: Option<&[String]>,
    now: Time,
) -> Result<PoolLimit> {
    let limits = [PoolLimit::NoNumbers, PoolLimit::NoneActive, PoolLimit::NoneCapable];
    for limit in limits.into_iter().chain(countries.map(|_| PoolLimit::NoneInCountry)) {
        let mut params = Params::new([]);
        let within = within(limit, usable, countries, &mut params);
        if !exists(db, &format!("SELECT 1 AS one FROM numbers n WHERE {within} LIMIT 1"), params).await? {
            return Ok(limit);
        }
    }
    // Bindings on numbers that the pair could not get anyway are not the cause.
    let mut params = Params::new([(&pair.customer).into(), (&pair.driver).into(), now.into()]);
    let sql = format!(
        "SELECT 1 AS one FROM bindings b JOIN numbers n ON n.id = b.number_id
        WHERE b.phone_index IN ($1, $2) AND b.contact_until > $3 AND {} LIMIT 1",
        within(PoolLimit::NoneInCountry, usable, countries, &mut params)
    );
    Ok(if exists(db, &sql, params).await? { PoolLimit::AllHeld } else { PoolLimit::AllCooling })
}

/// Returns the condition for numbers of which, if there are none, the pool has hit this limit.
fn within(limit: PoolLimit, usable: &[ProviderName], countries: Option<&[String]>, params: &mut Params) -> String {
    if limit == PoolLimit::NoNumbers {
        return "n.deleted_at IS NULL".to_owned();
    }
    let providers = params.add_list(usable);
    let of_providers = if limit == PoolLimit::NoneActive {
        format!("n.deleted_at IS NULL AND n.status = 'active' AND n.provider IN ({providers})")
    } else {
        format!("{ASSIGNABLE} AND n.provider IN ({providers})")
    };
    match countries {
        Some(countries) if limit == PoolLimit::NoneInCountry => {
            format!("{of_providers} AND n.country IN ({})", params.add_list(countries))
        }
        _ => of_providers,
    }
}
