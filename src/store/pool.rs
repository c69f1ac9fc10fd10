//! Choosing a number: a few index probes from a random point of the pool, never a scan of pool or history.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db, PhoneIndex, Tx, bindings::Pair, lock, statement};
use crate::domain::{
    clock::Time,
    error::{PoolLimit, Result},
    ids::NumberId,
    number::ProviderName,
};

/// The predicate of the partial index `numbers_assignable`, literally: a bound parameter would not match it.
const ASSIGNABLE: &str = "n.status = 'active' AND n.sms AND n.voice AND n.deleted_at IS NULL";

/// `$from, $from+1, ..` for a list of names.
pub(super) fn marks(names: &[ProviderName], from: usize) -> String {
    // An empty list is not SQL; a provider is never called NULL.
    if names.is_empty() { "NULL".to_owned() } else { places(from, names.len()) }
}

/// `$from, $from+1, ..`, so many.
fn places(from: usize, count: usize) -> String {
    (from..from + count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

fn names(usable: &[ProviderName]) -> impl Iterator<Item = sea_orm::Value> {
    usable.iter().map(|name| name.as_str().into())
}

/// The first number from `point` on (and round the circle) that neither phone holds, locked against draining; of one
/// country, or of any.
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
    let (of_country, from) = if country.is_some() { (" AND n.country = $4", 5) } else { ("", 4) };
    for side in [">=", "<"] {
        let sql = format!(
            "SELECT n.id AS id FROM numbers n
            WHERE {ASSIGNABLE}{of_country} AND n.spread {side} $1 AND n.provider IN ({})
                AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $2)
                AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.phone_index = $3)
            ORDER BY n.spread LIMIT 1 {}",
            marks(usable, from),
            lock(tx, "FOR SHARE OF n")
        );
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
    let sql =
        format!("SELECT n.id AS id FROM numbers n WHERE {ASSIGNABLE} AND n.provider IN ({}) LIMIT 1", marks(usable, 1));
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
    let providers = marks(usable, 1);
    let mut questions = vec![
        ("n.deleted_at IS NULL".to_owned(), PoolLimit::NoNumbers),
        (
            format!("n.deleted_at IS NULL AND n.status = 'active' AND n.provider IN ({providers})"),
            PoolLimit::NoneActive,
        ),
        (format!("{ASSIGNABLE} AND n.provider IN ({providers})"), PoolLimit::NoneCapable),
    ];
    if let Some(countries) = countries {
        // A phone of no country has no number of its country.
        let of_country = match countries.len() {
            0 => "FALSE".to_owned(),
            count => format!("n.country IN ({})", places(usable.len() + 1, count)),
        };
        let predicate = format!("{ASSIGNABLE} AND n.provider IN ({providers}) AND {of_country}");
        questions.push((predicate, PoolLimit::NoneInCountry));
    }
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
    let sql = "SELECT 1 AS one FROM bindings WHERE phone_index IN ($1, $2) AND contact_until > $3 LIMIT 1";
    let values = [pair.customer.0.clone().into(), pair.driver.0.clone().into(), now.into()];
    let open = db.conn().query_one_raw(statement(db, sql, values)).await?;
    Ok(if open.is_some() { PoolLimit::AllHeld } else { PoolLimit::AllCooling })
}

/// How many numbers there are, by provider, country and status.
#[derive(Clone, Debug, FromQueryResult)]
pub struct PoolCount {
    /// The provider.
    pub provider: String,
    /// ISO 3166 country, if known.
    pub country: Option<String>,
    /// All of them.
    pub total: i64,
    /// Those that may be given to new rides.
    pub usable: i64,
    /// Those with an open contact window.
    pub open: i64,
    /// Those without one that still cool down for somebody.
    pub cooling: i64,
}

/// Counts the pool; numbers of other providers than the `usable` ones are in the total only.
pub async fn count(db: &impl Db, usable: &[ProviderName], now: Time) -> Result<Vec<PoolCount>> {
    let sql = format!(
        "SELECT q.provider AS provider, q.country AS country, COUNT(*) AS total,
            COUNT(CASE WHEN q.usable THEN 1 END) AS usable,
            COUNT(CASE WHEN q.open THEN 1 END) AS open,
            COUNT(CASE WHEN q.cooling AND NOT q.open THEN 1 END) AS cooling
        FROM (SELECT n.provider, n.country, ({ASSIGNABLE} AND n.provider IN ({})) AS usable,
                EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.contact_until > $1) AS open,
                EXISTS (SELECT 1 FROM bindings b WHERE b.number_id = n.id AND b.barred_until > $1) AS cooling
            FROM numbers n WHERE n.deleted_at IS NULL) q
        GROUP BY q.provider, q.country ORDER BY q.provider, q.country",
        marks(usable, 2)
    );
    let values = std::iter::once(now.into()).chain(names(usable));
    Ok(PoolCount::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?)
}
