//! The processes that serve this database: a row each, whose counter says that it lives, and whose id stands in its claims.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement, TransactionOptions, Value};

use super::{Db as _, Pool, Tx, lock, placeholders, statement};
use crate::domain::{
    clock::Time,
    error::Result,
    ids::{ProcessId, SendId},
    peers::Counter,
};

/// Who holds a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody by name: the claim ends with its lease.
    Unnamed,
    /// This process: the claim ends with its lease, or with the process.
    Process(ProcessId),
}

impl From<Holder> for Value {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Unnamed => None::<i64>.into(),
            Holder::Process(id) => id.0.into(),
        }
    }
}

/// Whose claims to release.
#[derive(Clone, Copy, Debug)]
pub enum Claims {
    /// Those of this process.
    Of(ProcessId),
    /// Those of all processes.
    All,
}

/// A connection of its own, which no request can keep waiting: what is renewed over it shows that this process lives.
pub struct Line(pub(super) Pool);

impl Line {
    /// Makes a row for this process.
    pub async fn register(&self, id: ProcessId, now: Time) -> Result<()> {
        self.0.execute_raw(insert(self.0.get_database_backend(), id, now)).await?;
        Ok(())
    }

    /// Renews the counter of this process, and reads those of the others. `None`: its row is gone.
    pub async fn renew(&self, id: ProcessId) -> Result<Option<Vec<Counter>>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            counter: i64,
        }
        let sql = |text: &str| Statement::from_sql_and_values(DbBackend::Postgres, text, [id.0.into()]);
        let tx = self.0.begin(TransactionOptions::default()).await?;
        let renewed = tx.execute_raw(sql("UPDATE processes SET counter = counter + 1 WHERE id = $1")).await?;
        let others = sql("SELECT id, counter FROM processes WHERE id <> $1");
        let others = Row::find_by_statement(others).all(&tx).await?;
        tx.commit().await?;
        let counter = |row: Row| Counter { process: ProcessId(row.id), value: row.counter };
        Ok((renewed.rows_affected() > 0).then(|| others.into_iter().map(counter).collect()))
    }
}

fn insert(backend: DbBackend, id: ProcessId, now: Time) -> Statement {
    let sql = "INSERT INTO processes (id, counter, started_at) VALUES ($1, 0, $2)";
    Statement::from_sql_and_values(backend, sql, [id.0.into(), now.into()])
}

/// Makes a row for this process, which is the only one: whatever others have claimed is released.
pub async fn register_alone(tx: &Tx, id: ProcessId, now: Time) -> Result<()> {
    release(tx, Claims::All, now).await?;
    tx.conn().execute_raw(statement(tx, "DELETE FROM processes", [])).await?;
    tx.conn().execute_raw(insert(tx.conn().get_database_backend(), id, now)).await?;
    Ok(())
}

/// Removes the row of a process that is dead, and releases its claims; `false` if it is alive or somebody else did that.
pub async fn take_over(tx: &Tx, dead: Counter, now: Time) -> Result<bool> {
    // Its own renewal waits for this lock, and finds no row.
    let sql = "DELETE FROM processes WHERE id = $1 AND counter = $2";
    let values = [dead.process.0.into(), dead.value.into()];
    if tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() == 0 {
        return Ok(false);
    }
    release(tx, Claims::Of(dead.process), now).await?;
    // Its clock may have been ahead of ours: what it stored and nobody has tried to send is due, too.
    let sql = format!(
        "UPDATE outbox SET due_at = $1 WHERE id IN (
            SELECT id FROM outbox WHERE state = 'owed' AND attempts = 0 AND slot_at IS NULL AND due_at > $1 {})",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    tx.conn().execute_raw(statement(tx, &sql, [now.into()])).await?;
    Ok(true)
}

/// Removes the row of this process, and releases what it did not finish.
pub async fn leave(tx: &Tx, id: ProcessId, now: Time) -> Result<()> {
    tx.conn().execute_raw(statement(tx, "DELETE FROM processes WHERE id = $1", [id.0.into()])).await?;
    release(tx, Claims::Of(id), now).await
}

/// Tables whose rows can be claimed: the key, what is set to the time of a release, and which rows still can be claimed.
const CLAIMABLE: [(&str, &str, &str, &str); 5] = [
    // What was claimed has had its slot, and needs no other.
    ("outbox", "id", "slot_at = $1, due_at", "state = 'owed'"),
    ("calls", "id", "poll_at", "poll_at IS NOT NULL"),
    ("event_endpoints", "id", "due_at", "TRUE"),
    ("breakers", "provider", "probe_at", "is_open"),
    ("jobs", "name", "due_at", "TRUE"),
];

/// Releases claims: whatever was claimed is due. A part of a text may have been sent, and its next claim marks the text so.
///
/// A row that is locked is passed over: a process that died in the middle of a transaction can hold its locks for a while.
/// Whoever took over asks [`any_left`], and comes again.
pub async fn release(tx: &Tx, claims: Claims, now: Time) -> Result<()> {
    let (whose, process) = match claims {
        Claims::Of(id) => ("claimed_by = $2", Some(id.0)),
        Claims::All => ("claimed_by IS NOT NULL", None),
    };
    let skip = lock(tx, "FOR UPDATE SKIP LOCKED");
    for (table, key, due, open) in CLAIMABLE {
        let sql = format!(
            "UPDATE {table} SET {due} = $1, claimed_by = NULL
            WHERE {key} IN (SELECT {key} FROM {table} WHERE {whose} AND {open} {skip})"
        );
        let values = std::iter::once(now.into()).chain(process.map(Value::from));
        tx.conn().execute_raw(statement(tx, &sql, values)).await?;
    }
    Ok(())
}

/// Releases the parts of texts that this process has claimed, but for those that it works on; answers how many.
pub async fn release_lost(tx: &Tx, id: ProcessId, held: &BTreeSet<SendId>, now: Time) -> Result<u64> {
    let unheld = match held.len() {
        0 => String::new(),
        count => format!("AND id NOT IN ({})", placeholders(3, count)),
    };
    let sql =
        format!("UPDATE outbox SET due_at = $1, claimed_by = NULL WHERE claimed_by = $2 AND state = 'owed' {unheld}");
    let values = [now.into(), id.0.into()].into_iter().chain(held.iter().map(|part| part.0.into()));
    Ok(tx.conn().execute_raw(statement(tx, &sql, values)).await?.rows_affected())
}

/// Whether anything still is claimed by this process.
pub async fn any_left(tx: &Tx, id: ProcessId) -> Result<bool> {
    let claimed: Vec<_> = CLAIMABLE
        .iter()
        .map(|(table, _, _, open)| format!("EXISTS (SELECT 1 FROM {table} WHERE claimed_by = $1 AND {open})"))
        .collect();
    let sql = format!("SELECT 1 AS one WHERE {}", claimed.join(" OR "));
    Ok(tx.conn().query_one_raw(statement(tx, &sql, [id.0.into()])).await?.is_some())
}
