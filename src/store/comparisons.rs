//! Recent comparisons of phones by clients with stored ones. Rows hold keyed digests, never phones.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult};

use super::{Db, Tx, execute, params::Params, query_all, query_values};
use crate::domain::{
    clock::Time,
    comparison::{Comparison, ComparisonLimit},
    error::Result,
    ids::ClientId,
};

/// Maximum number of comparisons that one statement looks up. SQLite combines 500 selects at most.
const LOOKED_UP: usize = 100;

/// Counts a comparison of this client, unless it is counted already. If the client has used up its allowance, counts
/// nothing and returns how long that lasts.
///
/// Comparisons of one client with one subject are counted one after the other, so that concurrent ones cannot exceed
/// the allowance. A transaction that counts several must do so in their order.
pub async fn count(tx: &Tx, client: ClientId, comparison: &Comparison, now: Time) -> Result<Option<Duration>> {
    #[derive(FromQueryResult)]
    struct Row {
        digest: Vec<u8>,
        at: Time,
    }
    let (subject, ComparisonLimit { most, within }) = (comparison.subject.to_string(), comparison.subject.limit());
    let of_subject = || [client.into(), subject.as_str().into()];
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";
        execute(tx, sql, [format!("comparisons:{client}").into(), subject.as_str().into()]).await?;
    }
    let sql = "SELECT digest, at FROM comparisons WHERE client_id = $1 AND subject = $2 ORDER BY at";
    let rows: Vec<Row> = query_all(tx, sql, of_subject()).await?;
    let live: Vec<_> = rows.iter().filter(|row| row.at > now - within).collect();
    if live.iter().any(|row| row.digest == comparison.digest) {
        return Ok(None);
    }
    if live.len() >= most {
        return Ok(live.first().map(|oldest| oldest.at + within - now));
    }
    if live.len() < rows.len() {
        let sql = "DELETE FROM comparisons WHERE client_id = $1 AND subject = $2 AND at <= $3";
        execute(tx, sql, of_subject().into_iter().chain([(now - within).into()])).await?;
    }
    let sql = "INSERT INTO comparisons (client_id, subject, digest, at) VALUES ($1, $2, $3, $4)";
    execute(tx, sql, of_subject().into_iter().chain([comparison.digest.clone().into(), now.into()])).await?;
    Ok(None)
}

/// Returns those of these comparisons that are not counted. Each is looked up by the primary key.
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
    let mut params = Params::new([client.into()]);
    let counted = comparisons.iter().enumerate().map(|(index, Comparison { subject, digest })| {
        format!(
            "SELECT CAST({index} AS BIGINT) AS nth FROM comparisons
            WHERE client_id = $1 AND subject = {} AND digest = {} AND at > {}",
            params.add(subject.to_string()),
            params.add(digest.clone()),
            params.add(now - subject.limit().within)
        )
    });
    let sql = counted.collect::<Vec<_>>().join(" UNION ALL ");
    let counted: Vec<i64> = query_values(db, &sql, params).await?;
    let is_counted = |index: i64| counted.contains(&index);
    let numbered = (0..).zip(comparisons).filter(|(index, _)| !is_counted(*index));
    Ok(numbered.map(|(_, comparison)| comparison.clone()).collect())
}
