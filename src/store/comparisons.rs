//! What clients compared lately with what is stored. Rows hold keyed digests, never phones.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult};

use super::{Db, Tx, statement};
use crate::domain::{
    clock::Time,
    comparison::{Allowance, Comparison},
    error::{Error, Result},
    ids::ClientId,
};

/// How many comparisons one statement looks up: SQLite joins 500 selects at most.
const LOOKED_UP: usize = 100;

/// Counts a comparison of this client, unless it is counted already. If the client has used up its allowance, nothing is
/// counted, and the answer says how long that lasts.
///
/// Comparisons of one client with one subject come here one after the other, so that those which arrive together do not
/// all find room. A transaction that counts several must do so in their order.
pub async fn count(tx: &Tx, client: ClientId, comparison: &Comparison, now: Time) -> Result<Option<Duration>> {
    #[derive(FromQueryResult)]
    struct Row {
        digest: Vec<u8>,
        at: Time,
    }
    let (subject, Allowance { most, within }) = (comparison.subject.to_string(), comparison.subject.allowance());
    let of_subject = || [client.0.into(), subject.as_str().into()];
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";
        let values = [format!("comparisons:{client}").into(), subject.as_str().into()];
        tx.conn().execute_raw(statement(tx, sql, values)).await?;
    }
    let sql = "SELECT digest, at FROM comparisons WHERE client_id = $1 AND subject = $2 ORDER BY at";
    let rows = Row::find_by_statement(statement(tx, sql, of_subject())).all(tx.conn()).await?;
    let live: Vec<_> = rows.iter().filter(|row| row.at > now - within).collect();
    if live.iter().any(|row| row.digest == comparison.digest) {
        return Ok(None);
    }
    if live.len() >= most {
        return Ok(live.first().map(|oldest| oldest.at + within - now));
    }
    if live.len() < rows.len() {
        let sql = "DELETE FROM comparisons WHERE client_id = $1 AND subject = $2 AND at <= $3";
        let values = of_subject().into_iter().chain([(now - within).into()]);
        tx.conn().execute_raw(statement(tx, sql, values)).await?;
    }
    let sql = "INSERT INTO comparisons (client_id, subject, digest, at) VALUES ($1, $2, $3, $4)";
    let values = of_subject().into_iter().chain([comparison.digest.clone().into(), now.into()]);
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(None)
}

/// Those of these comparisons that are not counted. Each is looked up by the primary key.
pub async fn uncounted(
    db: &impl Db,
    client: ClientId,
    comparisons: &[Comparison],
    now: Time,
) -> Result<Vec<Comparison>> {
    let mut all = Vec::new();
    for some in comparisons.chunks(LOOKED_UP) {
        all.extend(uncounted_of(db, client, some, now).await?);
    }
    Ok(all)
}

async fn uncounted_of(
    db: &impl Db,
    client: ClientId,
    comparisons: &[Comparison],
    now: Time,
) -> Result<Vec<Comparison>> {
    #[derive(FromQueryResult)]
    struct Row {
        nth: i64,
    }
    let counted = (0..comparisons.len()).map(|index| {
        let (subject, digest, since) = (index * 3 + 2, index * 3 + 3, index * 3 + 4);
        format!(
            "SELECT CAST({index} AS BIGINT) AS nth FROM comparisons
            WHERE client_id = $1 AND subject = ${subject} AND digest = ${digest} AND at > ${since}"
        )
    });
    let sql = counted.collect::<Vec<_>>().join(" UNION ALL ");
    let values = comparisons.iter().flat_map(|comparison| {
        let since = now - comparison.subject.allowance().within;
        [comparison.subject.to_string().into(), comparison.digest.clone().into(), since.into()]
    });
    let values = std::iter::once(client.0.into()).chain(values);
    let rows = Row::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    let is_counted = |index: usize| rows.iter().any(|row| usize::try_from(row.nth).is_ok_and(|row| row == index));
    let numbered = comparisons.iter().enumerate().filter(|(index, _)| !is_counted(*index));
    Ok(numbered.map(|(_, comparison)| comparison.clone()).collect())
}

/// Forgets comparisons from before `before`, at most `limit`; answers how many.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM comparisons WHERE (client_id, subject, digest) IN
        (SELECT client_id, subject, digest FROM comparisons WHERE at < $1 ORDER BY at LIMIT $2)";
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}
