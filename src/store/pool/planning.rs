//! What operators ask about the whole pool. Unlike choosing a number, this reads all of it.

use sea_orm::FromQueryResult;

use super::{ASSIGNABLE, marks, names, of_countries};
use crate::{
    domain::{clock::Time, error::Result, ids::NumberId, number::ProviderName, pool::Rejection},
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
                format!("(n.provider IN ({})) IS NOT TRUE", marks(usable, fixed + 1))
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
