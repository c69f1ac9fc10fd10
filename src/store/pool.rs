//! Choosing a number: a few index probes from a random point of the pool, never a scan of pool or history. What may scan
//! is kept apart, in [`planning`].

mod level;
mod planning;

pub use level::{level, set_level};
pub use planning::{Part, PoolCount, classes, count, holders, needed};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db, PhoneIndex, Tx, bindings::Pair, lock, placeholders, statement};
use crate::domain::{
    clock::Time,
    error::{PoolLimit, Result},
    ids::NumberId,
    number::ProviderName,
};

/// The predicate of the partial indexes `numbers_assignable` and `numbers_assignable_country`, literally: a bound
/// parameter would not match it.
const ASSIGNABLE: &str = "n.status = 'active' AND n.sms AND n.voice AND n.deleted_at IS NULL";

/// `$from, $from+1, ..` for a list of providers.
pub(super) fn provider_placeholders(names: &[ProviderName], from: usize) -> String {
    // An empty list is not SQL; a provider is never called NULL.
    if names.is_empty() { "NULL".to_owned() } else { placeholders(from, names.len()) }
}

/// The number is of one of these countries, whose parameters begin at `from`. A phone of no country has no number of its
/// country.
fn of_countries(countries: &[String], from: usize) -> String {
    match countries.len() {
        0 => "FALSE".to_owned(),
        count => format!("n.country IN ({})", placeholders(from, count)),
    }
}

fn names(usable: &[ProviderName]) -> impl Iterator<Item = sea_orm::Value> {
    usable.iter().map(|name| name.as_str().into())
}

/// The first number from `point` on (and round the circle) that neither phone holds, locked against draining; of one
/// country, or of any. One probe for each configured provider, so that numbers of others are never passed over.
pub async fn choose(
    tx: &Tx,
    pair: &Pair,
    usable: &[ProviderName],
    country: Option<&str>,
    point: u32,
) -> Result<Option<NumberId>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
    }
    if usable.is_empty() {
        return Ok(None);
    }
    let (of_country, from) = if country.is_some() { (" AND n.country = $4", 5) } else { ("", 4) };
    for side in [">=", "<"] {
        let probes = (from..from + usable.len()).map(|provider| {
            format!(
                "SELECT * FROM (SELECT n.id, n.ring_position FROM numbers n
                WHERE {ASSIGNABLE} AND n.provider = ${provider}{of_country} AND n.ring_position {side} $1
                    AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $2)
                    AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $3)
                ORDER BY n.ring_position LIMIT 1 {}) first_{provider}",
                lock(tx, "FOR SHARE OF n")
            )
        });
        let probes: Vec<_> = probes.collect();
        let sql = format!("SELECT id FROM ({}) firsts ORDER BY ring_position LIMIT 1", probes.join(" UNION ALL "));
        let values = [i64::from(point).into(), pair.customer.0.clone().into(), pair.driver.0.clone().into()];
        let values = values.into_iter().chain(country.map(Into::into)).chain(names(usable));
        let statement = statement(tx, &sql, values);
        if let Some(row) = Row::find_by_statement(statement).one(tx.conn()).await? {
            return Ok(Some(NumberId(row.id)));
        }
    }
    Ok(None)
}

/// A number from which a phone can be told something: one that it holds nothing on, if there is one.
pub async fn sender(tx: &Tx, phone: &PhoneIndex, usable: &[ProviderName]) -> Result<Option<NumberId>> {
    let alone = Pair { customer: phone.clone(), driver: phone.clone() };
    if let Some(unheld) = choose(tx, &alone, usable, None, 0).await? {
        return Ok(Some(unheld));
    }
    let sql = format!(
        "SELECT n.id AS id FROM numbers n WHERE {ASSIGNABLE} AND n.provider IN ({}) LIMIT 1",
        provider_placeholders(usable, 1)
    );
    let row = tx.conn().query_one_raw(statement(tx, &sql, names(usable))).await?;
    row.map(|row| Ok(NumberId(row.try_get("", "id")?))).transpose()
}

/// The first limit that a pool without a free number hit. With `countries`, a number must be of one of them.
pub async fn limit(
    db: &impl Db,
    pair: &Pair,
    usable: &[ProviderName],
    countries: Option<&[String]>,
    now: Time,
) -> Result<PoolLimit> {
    let providers = provider_placeholders(usable, 1);
    let mut questions = vec![
        ("n.deleted_at IS NULL".to_owned(), PoolLimit::NoNumbers),
        (
            format!("n.deleted_at IS NULL AND n.status = 'active' AND n.provider IN ({providers})"),
            PoolLimit::NoneActive,
        ),
        (format!("{ASSIGNABLE} AND n.provider IN ({providers})"), PoolLimit::NoneCapable),
    ];
    if let Some(countries) = countries {
        let of_country = of_countries(countries, usable.len() + 1);
        let predicate = format!("{ASSIGNABLE} AND n.provider IN ({providers}) AND {of_country}");
        questions.push((predicate, PoolLimit::NoneInCountry));
    }
    let eligible = questions.last().map(|(predicate, _)| predicate.clone()).unwrap_or_default();
    for (predicate, limit) in questions {
        let sql = format!("SELECT 1 AS one FROM numbers n WHERE {predicate} LIMIT 1");
        let mut values: Vec<sea_orm::Value> =
            if predicate.contains('$') { names(usable).collect() } else { Vec::new() };
        if limit == PoolLimit::NoneInCountry {
            values.extend(countries.into_iter().flatten().map(|country| country.as_str().into()));
        }
        if db.conn().query_one_raw(statement(db, &sql, values)).await?.is_none() {
            return Ok(limit);
        }
    }
    // What they hold on numbers that they could not get anyway is not why.
    let countries = countries.unwrap_or_default();
    let from = usable.len() + countries.len() + 1;
    let sql = format!(
        "SELECT 1 AS one FROM bindings b JOIN numbers n ON n.id = b.number_id
        WHERE b.phone_index IN (${from}, ${}) AND b.contact_until > ${} AND {eligible} LIMIT 1",
        from + 1,
        from + 2
    );
    let phones = [pair.customer.0.clone().into(), pair.driver.0.clone().into(), now.into()];
    let values = names(usable).chain(countries.iter().map(|country| country.as_str().into())).chain(phones);
    let open = db.conn().query_one_raw(statement(db, &sql, values)).await?;
    Ok(if open.is_some() { PoolLimit::AllHeld } else { PoolLimit::AllCooling })
}
