//! Periodic jobs of all replicas together: a row says when each is due again.

use chrono::Duration;
use sea_orm::ConnectionTrait as _;

use super::{Db as _, Tx, processes::Holder, statement};
use crate::domain::{clock::Time, error::Result};

/// A row that is due later than a period and this from now was written by a clock that ran ahead, and must not keep the
/// job from running. More than replicas that are ready can differ.
const AHEAD: Duration = Duration::minutes(1);

/// Takes this period's run of a job; `false` if it was taken already. A job that was never seen is due.
///
/// The row is a claim, not a lock. It keeps the name of who took it: when that process is dead, the job is due again, whether
/// it ended or not.
pub async fn claim(tx: &Tx, name: &str, period: Duration, holder: Holder, now: Time) -> Result<bool> {
    let sql = "INSERT INTO jobs (name, due_at, claimed_by) VALUES ($1, $2, $5)
               ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, claimed_by = excluded.claimed_by
               WHERE jobs.due_at <= $3 OR jobs.due_at > $4";
    let values = [name.into(), (now + period).into(), now.into(), (now + period + AHEAD).into(), holder.into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// A write that changes nothing for anybody, to see whether the database takes writes: the row of a job that nobody has.
pub async fn probe(tx: &Tx, now: Time) -> Result<()> {
    let sql = "INSERT INTO jobs (name, due_at) VALUES ('probe', $1)
               ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at";
    tx.conn().execute_raw(statement(tx, sql, [now.into()])).await?;
    Ok(())
}
