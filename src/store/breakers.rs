//! What all replicas know of the health of providers. A provider without a row has always been well.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db, Tx, lock, processes::Holder, row, statement};
use crate::domain::{
    breaker::{Breaker, BreakerReason},
    clock::Time,
    error::Result,
    number::ProviderName,
};

#[derive(FromQueryResult)]
struct Row {
    provider: String,
    is_open: bool,
    reason: Option<String>,
    since: Time,
    probe_at: Option<Time>,
    failed_probes: i32,
}

const COLUMNS: &str = "provider, is_open, reason, since, probe_at, failed_probes";

fn breaker(row: Row) -> Result<Breaker> {
    let Row { provider, is_open, reason, since, probe_at, failed_probes } = row;
    let reason = reason.map(|why| row::word(BreakerReason::parse, "reason", &why)).transpose()?;
    Ok(Breaker { provider: row::provider(&provider)?, is_open, reason, since, probe_at, probes: failed_probes })
}

/// All of them.
pub async fn all(db: &impl Db) -> Result<Vec<Breaker>> {
    let sql = format!("SELECT {COLUMNS} FROM breakers");
    let rows = Row::find_by_statement(statement(db, &sql, [])).all(db.conn()).await?;
    rows.into_iter().map(breaker).collect()
}

/// A provider's breaker, locked, if it is open.
pub async fn open_locked(tx: &Tx, provider: &ProviderName) -> Result<Option<Breaker>> {
    let sql = format!("SELECT {COLUMNS} FROM breakers WHERE provider = $1 AND is_open {}", lock(tx, "FOR UPDATE"));
    let found = Row::find_by_statement(statement(tx, &sql, [provider.as_str().into()])).one(tx.conn()).await?;
    found.map(breaker).transpose()
}

/// Opens a breaker; `false` if it was open.
pub async fn trip(tx: &Tx, provider: &ProviderName, reason: BreakerReason, probe_at: Time, now: Time) -> Result<bool> {
    let sql = "INSERT INTO breakers (provider, is_open, reason, since, probe_at, failed_probes)
        VALUES ($1, TRUE, $4, $2, $3, 0)
        ON CONFLICT (provider) DO UPDATE SET is_open = TRUE, reason = excluded.reason, since = excluded.since,
            probe_at = excluded.probe_at, failed_probes = 0
        WHERE NOT breakers.is_open";
    let values = [provider.as_str().into(), now.into(), probe_at.into(), reason.as_str().into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// Says why a breaker is open, as the last send showed.
pub async fn blame(tx: &Tx, provider: &ProviderName, reason: BreakerReason) -> Result<()> {
    let sql = "UPDATE breakers SET reason = $2 WHERE provider = $1 AND is_open";
    tx.conn().execute_raw(statement(tx, sql, [provider.as_str().into(), reason.as_str().into()])).await?;
    Ok(())
}

/// Says when the next probe is due, how many failed, and who has one under way, while the breaker is open.
pub async fn probe(tx: &Tx, provider: &ProviderName, probe_at: Time, probes: i32, holder: Holder) -> Result<()> {
    let sql = "UPDATE breakers SET probe_at = $2, failed_probes = $3, claimed_by = $4 WHERE provider = $1 AND is_open";
    let values = [provider.as_str().into(), probe_at.into(), probes.into(), holder.into()];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// Closes a breaker; `false` if it was closed.
pub async fn close(tx: &Tx, provider: &ProviderName, now: Time) -> Result<bool> {
    let sql = "UPDATE breakers SET is_open = FALSE, reason = NULL, since = $2, probe_at = NULL, failed_probes = 0,
            claimed_by = NULL
        WHERE provider = $1 AND is_open";
    let values = [provider.as_str().into(), now.into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}
