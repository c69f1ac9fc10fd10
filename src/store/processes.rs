//! Processes that serve this database. Each has a row, whose counter shows that the process is alive and whose ID is in
//! its claims.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement, TransactionOptions, Value};

use super::{Db as _, Pool, Tx, execute, exists, lock, params::Params};
use crate::domain::{
    clock::Time,
    error::Result,
    ids::{ProcessId, SendId},
    peers::Counter,
};

/// Holder of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No process by name: the claim ends with its lease.
    Unnamed,
    /// This process: the claim ends with its lease, or with the process.
    Process(ProcessId),
}

impl From<Holder> for Value {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Unnamed => None::<ProcessId>.into(),
            Holder::Process(id) => id.into(),
        }
    }
}

/// Claims to release.
#[derive(Clone, Copy, Debug)]
pub enum Claims {
    Of(ProcessId),
    /// Claims of all processes.
    All,
}

/// Separate connection for the counter, so that no request can delay its renewal.
pub struct HeartbeatConnection(pub(super) Pool);

impl HeartbeatConnection {
    /// Creates the row of this process.
    pub async fn register(&self, id: ProcessId, now: Time) -> Result<()> {
        self.0.execute_raw(insert(self.0.get_database_backend(), id, now)).await?;
        Ok(())
    }

    /// Increments the counter of this process and reads those of the others. `None` if its row is gone.
    pub async fn renew(&self, id: ProcessId) -> Result<Option<Vec<Counter>>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: ProcessId,
            counter: i64,
        }
        let sql = |text: &str| Statement::from_sql_and_values(DbBackend::Postgres, text, [id.into()]);
        let tx = self.0.begin(TransactionOptions::default()).await?;
        let renewed = tx.execute_raw(sql("UPDATE processes SET counter = counter + 1 WHERE id = $1")).await?;
        let others = sql("SELECT id, counter FROM processes WHERE id <> $1");
        let others = Row::find_by_statement(others).all(&tx).await?;
        tx.commit().await?;
        let counter = |row: Row| Counter { process: row.id, value: row.counter };
        Ok((renewed.rows_affected() > 0).then(|| others.into_iter().map(counter).collect()))
    }
}

fn insert(backend: DbBackend, id: ProcessId, now: Time) -> Statement {
    let sql = "INSERT INTO processes (id, counter, started_at) VALUES ($1, 0, $2)";
    Statement::from_sql_and_values(backend, sql, [id.into(), now.into()])
}

/// Creates the row of this process, which is the only one, and releases all claims of others.
pub async fn register_alone(tx: &Tx, id: ProcessId, now: Time) -> Result<()> {
    release(tx, Claims::All, now).await?;
    execute(tx, "DELETE FROM processes", []).await?;
    tx.conn().execute_raw(insert(tx.conn().get_database_backend(), id, now)).await?;
    Ok(())
}

/// Deletes the row of a dead process and releases its claims; `false` if it is alive, or if another process did that
/// first.
pub async fn take_over(tx: &Tx, dead: Counter, now: Time) -> Result<bool> {
    // If it is alive after all, its renewal waits for this lock and then finds no row.
    let sql = "DELETE FROM processes WHERE id = $1 AND counter = $2";
    if execute(tx, sql, [dead.process.into(), dead.value.into()]).await? == 0 {
        return Ok(false);
    }
    release(tx, Claims::Of(dead.process), now).await?;
    // Its clock may have been ahead of ours, so parts that it stored and that were never sent are due too.
    let sql = format!(
        "UPDATE outbox SET due_at = $1 WHERE id IN (
            SELECT id FROM outbox WHERE state = 'pending' AND attempts = 0 AND slot_at IS NULL AND due_at > $1 {})",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    execute(tx, &sql, [now.into()]).await?;
    Ok(true)
}

/// Deletes the row of this process and releases its claims.
pub async fn leave(tx: &Tx, id: ProcessId, now: Time) -> Result<()> {
    execute(tx, "DELETE FROM processes WHERE id = $1", [id.into()]).await?;
    release(tx, Claims::Of(id), now).await
}

/// Tables whose rows can be claimed: the key, the columns that a release sets to its time, and the rows that are open.
const CLAIMABLE: [(&str, &str, &str, &str); 5] = [
    // A claimed part has had its slot and needs no other one.
    ("outbox", "id", "slot_at = $1, due_at", "state = 'pending'"),
    ("calls", "id", "poll_at", "poll_at IS NOT NULL"),
    ("event_endpoints", "id", "due_at", "TRUE"),
    ("breakers", "provider", "probe_at", "is_open"),
    ("jobs", "name", "due_at", "TRUE"),
];

/// Releases claims and makes their rows due. A part of a text may have been sent, so its next claim marks the text as
/// possibly duplicated.
///
/// Locked rows are skipped: a process that died during a transaction can hold its locks for a while. The process that
/// took over checks [`any_left`] and tries again.
pub async fn release(tx: &Tx, claims: Claims, now: Time) -> Result<()> {
    let (whose, process) = match claims {
        Claims::Of(id) => ("claimed_by = $2", Some(id)),
        Claims::All => ("claimed_by IS NOT NULL", None),
    };
    let skip = lock(tx, "FOR UPDATE SKIP LOCKED");
    for (table, key, due, open) in CLAIMABLE {
        let sql = format!(
            "UPDATE {table} SET {due} = $1, claimed_by = NULL
            WHERE {key} IN (SELECT {key} FROM {table} WHERE {whose} AND {open} {skip})"
        );
        let values = std::iter::once(now.into()).chain(process.map(Value::from));
        execute(tx, &sql, values).await?;
    }
    Ok(())
}

/// Releases the parts that this process has claimed but is not working on, and returns their number.
pub async fn release_lost(tx: &Tx, id: ProcessId, held: &BTreeSet<SendId>, now: Time) -> Result<u64> {
    let mut params = Params::new([now.into(), id.into()]);
    // `NOT IN (NULL)` would match nothing.
    let unheld = if held.is_empty() { String::new() } else { format!("AND id NOT IN ({})", params.add_list(held)) };
    let sql = format!(
        "UPDATE outbox SET due_at = $1, claimed_by = NULL WHERE claimed_by = $2 AND state = 'pending' {unheld}"
    );
    execute(tx, &sql, params).await
}

/// Checks whether a process still has claims.
pub async fn any_left(tx: &Tx, id: ProcessId) -> Result<bool> {
    let claimed: Vec<_> = CLAIMABLE
        .iter()
        .map(|(table, _, _, open)| format!("EXISTS (SELECT 1 FROM {table} WHERE claimed_by = $1 AND {open})"))
        .collect();
    let sql = format!("SELECT 1 AS one WHERE {}", claimed.join(" OR "));
    exists(tx, &sql, [id.into()]).await
}
