//! What operators ask about the whole pool. Unlike choosing a number, this reads all of it.

use sea_orm::FromQueryResult;

use super::{ASSIGNABLE, names, of_countries, provider_placeholders};
use crate::{
    domain::{
        clock::Time,
        error::Result,
        ids::NumberId,
        number::ProviderName,
        pool::{Holders, Rejection},
    },
    store::{Db, bindings::Pair, row, statement},
};

/// The pool as two phones that need a number see it.
pub struct Classes {
    /// Numbers that they could have.
    pub free: i64,
    /// Numbers that they could not have, by the first reason that holds; no reason without numbers.
    pub rejected: Vec<(Rejection, i64)>,
}

/// Sorts all numbers of the pool into classes. With `countries`, a number must be of one of them. The `chosen` number is
/// free, whatever the two phones hold with each other.
pub async fn classes(
    db: &impl Db,
    pair: &Pair,
    usable: &[ProviderName],
    countries: Option<&[String]>,
    chosen: Option<NumberId>,
    now: Time,
) -> Result<Classes> {
    #[derive(FromQueryResult)]
    struct Row {
        class: String,
        numbers: i64,
    }
    let fixed = 4;
    // What is compared with nothing at all is unknown, not false.
    let conditions = Rejection::ALL.iter().filter_map(|rejection| {
        let condition = match rejection {
            Rejection::NotActive => "n.status <> 'active'".to_owned(),
            Rejection::ProviderNotConfigured => {
                format!("(n.provider IN ({})) IS NOT TRUE", provider_placeholders(usable, fixed + 1))
            }
            Rejection::NotCapable => "NOT (n.sms AND n.voice)".to_owned(),
            Rejection::OtherCountry => {
                format!("({}) IS NOT TRUE", of_countries(countries?, fixed + usable.len() + 1))
            }
            Rejection::HeldByCustomer => "c.contact_until > $1".to_owned(),
            Rejection::HeldByDriver => "d.contact_until > $1".to_owned(),
            Rejection::CoolingForCustomer => "c.barred_until > $1".to_owned(),
            Rejection::CoolingForDriver => "d.barred_until > $1".to_owned(),
        };
        Some(format!("WHEN {condition} THEN '{rejection}' "))
    });
    let sql = format!(
        "SELECT q.class AS class, COUNT(*) AS numbers
        FROM (SELECT CASE WHEN n.id = $4 THEN 'free' {}ELSE 'free' END AS class
            FROM numbers n
            LEFT JOIN bindings c ON c.number_id = n.id AND c.phone_index = $2
            LEFT JOIN bindings d ON d.number_id = n.id AND d.phone_index = $3
            WHERE n.deleted_at IS NULL) q
        GROUP BY q.class",
        conditions.collect::<String>()
    );
    let chosen = chosen.map(|id| id.0);
    let values = [now.into(), pair.customer.0.clone().into(), pair.driver.0.clone().into(), chosen.into()];
    let countries = countries.into_iter().flatten().map(|country| country.as_str().into());
    let values = values.into_iter().chain(names(usable)).chain(countries);
    let rows = Row::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    let mut classes = Classes { free: 0, rejected: Vec::new() };
    for row in rows {
        match row.class.as_str() {
            "free" => classes.free = row.numbers,
            class => classes.rejected.push((row::word(Rejection::parse, "class", class)?, row.numbers)),
        }
    }
    classes.rejected.sort_unstable();
    Ok(classes)
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
            COUNT(CASE WHEN q.held AND NOT q.open THEN 1 END) AS cooling
        FROM (SELECT n.provider, n.country, ({ASSIGNABLE} AND n.provider IN ({})) AS usable,
                h.contact_until > $1 AS open, h.number_id IS NOT NULL AS held
            FROM numbers n
            LEFT JOIN (SELECT number_id, MAX(contact_until) AS contact_until
                FROM bindings WHERE barred_until > $1 GROUP BY number_id) h ON h.number_id = n.id
            WHERE n.deleted_at IS NULL) q
        GROUP BY q.provider, q.country ORDER BY q.provider, q.country",
        provider_placeholders(usable, 2)
    );
    let values = std::iter::once(now.into()).chain(names(usable));
    Ok(PoolCount::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?)
}

/// A group of phones in one part of the pool; in all of it where there is no provider.
#[derive(FromQueryResult)]
struct Held {
    provider: Option<String>,
    country: Option<String>,
    held: i64,
    held_usable: i64,
    phones: i64,
}

/// A part of the pool: a provider and a country; `None` is all of it.
pub type Part = Option<(String, Option<String>)>;

fn part(provider: Option<String>, country: Option<String>) -> Part {
    provider.map(|provider| (provider, country))
}

/// How many phones hold how many numbers, in each part of the pool and in all of it. Reads every binding that is open or
/// cools down.
pub async fn holders(db: &impl Db, usable: &[ProviderName], now: Time) -> Result<Vec<(Part, Holders)>> {
    let sql = format!(
        "WITH held AS (
            SELECT b.phone_index, n.provider, n.country, COUNT(*) AS held,
                COUNT(CASE WHEN {ASSIGNABLE} AND n.provider IN ({}) THEN 1 END) AS held_usable
            FROM bindings b JOIN numbers n ON n.id = b.number_id
            WHERE b.barred_until > $1 AND n.deleted_at IS NULL
            GROUP BY b.phone_index, n.provider, n.country)
        SELECT provider, country, held, held_usable, COUNT(*) AS phones
        FROM held GROUP BY provider, country, held, held_usable
        UNION ALL
        SELECT NULL, NULL, q.held, q.held_usable, COUNT(*)
        FROM (SELECT CAST(SUM(held) AS BIGINT) AS held, CAST(SUM(held_usable) AS BIGINT) AS held_usable
            FROM held GROUP BY phone_index) q
        GROUP BY q.held, q.held_usable",
        provider_placeholders(usable, 2)
    );
    let values = std::iter::once(now.into()).chain(names(usable));
    let rows = Held::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    let rows = rows.into_iter().map(|Held { provider, country, held, held_usable, phones }| {
        (part(provider, country), Holders { held, held_usable, phones })
    });
    Ok(rows.collect())
}

#[derive(FromQueryResult)]
struct Needed {
    provider: Option<String>,
    country: Option<String>,
    needed: Option<i64>,
}

/// The most different people that one phone has had contact with since `since` and still holds a number for, in each
/// part of the pool and in all of it. Each of them needs a number of their own, so no pool could have done with fewer.
/// Numbers that were given back since are not counted, nor people who were erased: it is never too many.
pub async fn needed(db: &impl Db, since: Time, now: Time) -> Result<Vec<(Part, i64)>> {
    let sql = "WITH held AS (
            SELECT mine.phone_index, n.provider, n.country, other.phone_index AS other
            FROM bindings mine
            JOIN numbers n ON n.id = mine.number_id
            JOIN rides r ON r.id = mine.ride_id
            JOIN people other ON other.id = CASE mine.role WHEN 'customer' THEN r.driver_id ELSE r.customer_id END
            WHERE mine.barred_until > $1 AND mine.contact_until > $2)
        SELECT q.provider AS provider, q.country AS country, MAX(q.needed) AS needed
        FROM (SELECT provider, country, COUNT(DISTINCT other) AS needed
            FROM held GROUP BY phone_index, provider, country) q
        GROUP BY q.provider, q.country
        UNION ALL
        SELECT NULL, NULL, MAX(q.needed)
        FROM (SELECT COUNT(DISTINCT other) AS needed FROM held GROUP BY phone_index) q";
    let rows = Needed::find_by_statement(statement(db, sql, [now.into(), since.into()])).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| (part(row.provider, row.country), row.needed.unwrap_or(0))).collect())
}
