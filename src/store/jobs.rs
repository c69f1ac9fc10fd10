//! Periodic jobs, which all replicas share: a row says when each is due again.

use chrono::Duration;

use super::{Tx, execute, processes::Holder};
use crate::domain::{clock::Time, error::Result};

/// A row that is due later than a period and this from now was written by a clock that ran ahead, and must not stop the
/// job. It is more than the clocks of replicas that are ready can differ.
const AHEAD: Duration = Duration::minutes(1);

/// Takes this period's run of a job; `false` if it was taken already. A job without a row is due.
///
/// The row is a claim and not a lock. It keeps the name of the process that took it: if that process dies, the job is
/// due again, even if it was finished.
pub async fn claim(tx: &Tx, name: &str, period: Duration, holder: Holder, now: Time) -> Result<bool> {
    let sql = "INSERT INTO jobs (name, due_at, claimed_by) VALUES ($1, $2, $5)
               ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, claimed_by = excluded.claimed_by
               WHERE jobs.due_at <= $3 OR jobs.due_at > $4";
    let values = [name.into(), (now + period).into(), now.into(), (now + period + AHEAD).into(), holder.into()];
    Ok(execute(tx, sql, values).await? > 0)
}

/// Writes the row `probe`, which is no job, to see whether the database accepts writes.
pub async fn probe(tx: &Tx, now: Time) -> Result<()> {
    let sql = "INSERT INTO jobs (name, due_at) VALUES ('probe', $1)
               ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at";
    execute(tx, sql, [now.into()]).await?;
    Ok(())
}
