//! Figures about the whole pool, for operators. Unlike choosing a number, these queries read all of it.

use sea_orm::FromQueryResult;

use super::ASSIGNABLE;
use crate::{
    domain::{
        clock::Time,
        error::Result,
        ids::NumberId,
        number::ProviderName,
        pool::{Holders, Rejection},
    },
    store::{Db, bindings::Pair, params::Params, query_all},
};

/// Numbers of the pool, counted by whether two phones could get them.
pub struct Classes {
    pub free: i64,
    /// Counted by the first reason that applies; a reason without numbers is absent.
    pub rejected: Vec<(Rejection, i64)>,
}

/// Sorts all numbers of the pool into classes. With `countries`, a number must be of one of them. The `chosen` number
/// counts as free, whatever the two phones hold with each other.
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
        class: Option<Rejection>,
        numbers: i64,
    }
    let mut params = Params::new([now.into(), (&pair.customer).into(), (&pair.driver).into(), chosen.into()]);
    // A comparison with NULL is unknown rather than false.
    let conditions = Rejection::ALL.iter().filter_map(|rejection| {
        let condition = match rejection {
            Rejection::NotActive => "n.status <> 'active'".to_owned(),
            Rejection::ProviderNotConfigured => format!("(n.provider IN ({})) IS NOT TRUE", params.add_list(usable)),
            Rejection::NotCapable => "NOT (n.sms AND n.voice)".to_owned(),
            Rejection::OtherCountry => format!("(n.country IN ({})) IS NOT TRUE", params.add_list(countries?)),
            Rejection::HeldByCustomer => "c.contact_until > $1".to_owned(),
            Rejection::HeldByDriver => "d.contact_until > $1".to_owned(),
            Rejection::CoolingForCustomer => "c.barred_until > $1".to_owned(),
            Rejection::CoolingForDriver => "d.barred_until > $1".to_owned(),
        };
        Some(format!("WHEN {condition} THEN '{rejection}' "))
    });
    let sql = format!(
        "SELECT q.class AS class, COUNT(*) AS numbers
        FROM (SELECT CASE WHEN n.id = $4 THEN NULL {}END AS class
            FROM numbers n
            LEFT JOIN bindings c ON c.number_id = n.id AND c.phone_index = $2
            LEFT JOIN bindings d ON d.number_id = n.id AND d.phone_index = $3
            WHERE n.deleted_at IS NULL) q
        GROUP BY q.class",
        conditions.collect::<String>()
    );
    let rows: Vec<Row> = query_all(db, &sql, params).await?;
    let mut classes = Classes { free: 0, rejected: Vec::new() };
    for row in rows {
        match row.class {
            None => classes.free = row.numbers,
            Some(rejection) => classes.rejected.push((rejection, row.numbers)),
        }
    }
    classes.rejected.sort_unstable();
    Ok(classes)
}

/// Amounts of numbers of one provider and country.
#[derive(Clone, Debug, FromQueryResult)]
pub struct PoolCount {
    pub provider: ProviderName,
    /// ISO 3166 code, if known.
    pub country: Option<String>,
    pub total: i64,
    /// Numbers that can be assigned to new rides.
    pub usable: i64,
    /// Numbers with an open contact window.
    pub open: i64,
    /// Numbers without one that are cooling down for a phone.
    pub cooling: i64,
}

/// Counts the numbers of the pool. Numbers of providers other than the `usable` ones count only in the total.
pub async fn count(db: &impl Db, usable: &[ProviderName], now: Time) -> Result<Vec<PoolCount>> {
    let mut params = Params::new([now.into()]);
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
        params.add_list(usable)
    );
    query_all(db, &sql, params).await
}

/// Part of the pool: a provider and a country. `None` is the whole pool.
pub type Part = Option<(ProviderName, Option<String>)>;

/// Counts phones by how many numbers they hold, in each part of the pool and in the whole pool. Reads every binding
/// that is open or cooling down.
pub async fn holders(db: &impl Db, usable: &[ProviderName], now: Time) -> Result<Vec<(Part, Holders)>> {
    #[derive(FromQueryResult)]
    struct Row {
        provider: Option<ProviderName>,
        country: Option<String>,
        held: i64,
        held_usable: i64,
        phones: i64,
    }
    let mut params = Params::new([now.into()]);
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
        params.add_list(usable)
    );
    let rows: Vec<Row> = query_all(db, &sql, params).await?;
    let rows = rows.into_iter().map(|Row { provider, country, held, held_usable, phones }| {
        (provider.map(|provider| (provider, country)), Holders { held, held_usable, phones })
    });
    Ok(rows.collect())
}

/// Finds the largest number of people that one phone has had contact with since `since` and still holds a number for,
/// in each part of the pool and in the whole pool. Each of these people needs another number, so no smaller pool would
/// have been enough. Numbers that were given back since, and people who were erased, are not counted, so the result may
/// be too low but is never too high.
pub async fn needed(db: &impl Db, since: Time, now: Time) -> Result<Vec<(Part, i64)>> {
    #[derive(FromQueryResult)]
    struct Row {
        provider: Option<ProviderName>,
        country: Option<String>,
        needed: Option<i64>,
    }
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
    let rows: Vec<Row> = query_all(db, sql, [now.into(), since.into()]).await?;
    let rows = rows
        .into_iter()
        .map(|Row { provider, country, needed }| (provider.map(|provider| (provider, country)), needed.unwrap_or(0)));
    Ok(rows.collect())
}
