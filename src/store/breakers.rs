//! Circuit breakers, which all replicas share. A provider without a row has never been down.

use sea_orm::FromQueryResult;

use super::{Db, Tx, execute, lock, processes::Holder, query_all, query_one};
use crate::domain::{
    breaker::{Breaker, BreakerReason},
    clock::Time,
    error::Result,
    number::ProviderName,
};

#[derive(FromQueryResult)]
struct Row {
    provider: ProviderName,
    is_open: bool,
    reason: BreakerReason,
    since: Time,
    probe_at: Option<Time>,
    failed_probes: i32,
}

const COLUMNS: &str = "provider, is_open, reason, since, probe_at, failed_probes";

impl From<Row> for Breaker {
    fn from(Row { provider, is_open, reason, since, probe_at, failed_probes: probes }: Row) -> Self {
        Self { provider, is_open, reason, since, probe_at, probes }
    }
}

/// Reads the breakers of all providers.
pub async fn all(db: &impl Db) -> Result<Vec<Breaker>> {
    let rows: Vec<Row> = query_all(db, &format!("SELECT {COLUMNS} FROM breakers"), []).await?;
    Ok(rows.into_iter().map(Breaker::from).collect())
}

/// Finds a provider's breaker if it is open, and locks its row.
pub async fn open_locked(tx: &Tx, provider: &ProviderName) -> Result<Option<Breaker>> {
    let sql = format!("SELECT {COLUMNS} FROM breakers WHERE provider = $1 AND is_open {}", lock(tx, "FOR UPDATE"));
    let found: Option<Row> = query_one(tx, &sql, [provider.into()]).await?;
    Ok(found.map(Breaker::from))
}

/// Opens a breaker; `false` if it was open.
pub async fn trip(tx: &Tx, provider: &ProviderName, reason: BreakerReason, probe_at: Time, now: Time) -> Result<bool> {
    let sql = "INSERT INTO breakers (provider, is_open, reason, since, probe_at, failed_probes)
        VALUES ($1, TRUE, $4, $2, $3, 0)
        ON CONFLICT (provider) DO UPDATE SET is_open = TRUE, reason = excluded.reason, since = excluded.since,
            probe_at = excluded.probe_at, failed_probes = 0
        WHERE NOT breakers.is_open";
    Ok(execute(tx, sql, [provider.into(), now.into(), probe_at.into(), reason.into()]).await? > 0)
}

/// Changes the reason why a breaker is open to that of the last send.
pub async fn set_reason(tx: &Tx, provider: &ProviderName, reason: BreakerReason) -> Result<()> {
    let sql = "UPDATE breakers SET reason = $2 WHERE provider = $1 AND is_open";
    execute(tx, sql, [provider.into(), reason.into()]).await?;
    Ok(())
}

/// Stores when the next probe of an open breaker is due, the number of failed probes, and the process that is sending
/// one.
pub async fn probe(tx: &Tx, provider: &ProviderName, probe_at: Time, probes: i32, holder: Holder) -> Result<()> {
    let sql = "UPDATE breakers SET probe_at = $2, failed_probes = $3, claimed_by = $4 WHERE provider = $1 AND is_open";
    execute(tx, sql, [provider.into(), probe_at.into(), probes.into(), holder.into()]).await?;
    Ok(())
}

/// Closes a breaker; `false` if it was closed.
pub async fn close(tx: &Tx, provider: &ProviderName, now: Time) -> Result<bool> {
    let sql = "UPDATE breakers SET is_open = FALSE, since = $2, probe_at = NULL, failed_probes = 0, claimed_by = NULL
        WHERE provider = $1 AND is_open";
    Ok(execute(tx, sql, [provider.into(), now.into()]).await? > 0)
}
