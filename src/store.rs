//! The database: the only module that knows SeaORM, tables, constraints and sealing.
//!
//! There is a module per table or hot query ([`routing`], [`pool`], [`outbox`]). Its functions take a [`Db`] and return
//! domain types. Reads may run on the [`Store`] itself. Every change runs in a [`Tx`], which only [`Store::write`]
//! creates: it retries when the database asks for that.

mod columns;
mod connect;
mod entity;
mod error;
mod exclusive;
mod params;
mod pooled;
mod schema;
mod sealed;
mod vault;

pub mod arrivals;
pub mod auto_replies;
pub mod bindings;
pub mod breakers;
pub mod calls;
pub mod clients;
pub mod comparisons;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod idempotency;
pub mod inbox;
pub mod jobs;
pub mod keys;
pub mod messages;
pub mod numbers;
pub mod outbox;
pub mod people;
pub mod pool;
pub mod processes;
pub mod rate_limits;
pub mod retention;
pub mod rides;
pub mod routing;
pub mod simulator;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

pub use connect::DatabaseOptions;
pub use error::{is_unopenable, is_unwritable};
pub use exclusive::{ExclusiveUse, LockError};
pub use pooled::Pool;
pub use schema::SchemaError;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _, TryGetable, Value,
};
use tokio::sync::Mutex;
pub(crate) use vault::Vault;
pub use vault::{Keys, PhoneIndex};

use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        page::{Order, PageRequest},
        phone::PhoneNumber,
    },
    wakeup::Wakeup,
};

/// Maximum number of attempts of a transaction that the database aborts to break a deadlock.
const MAX_TRIES: u32 = 5;

/// The database with its keys.
#[derive(Clone)]
pub struct Store {
    db: Pool,
    vault: Arc<Vault>,
    /// SQLite has one writer. Waiting for a turn here is fair, waiting in its busy handler is not.
    writer: Option<Arc<Mutex<()>>>,
    /// Sent when a transaction that recorded platform events commits, because they have no position in the log yet.
    pub(crate) unplaced_events: Wakeup,
    /// For opening further connections.
    options: DatabaseOptions,
    /// Never used, only kept open; see [`connect`].
    _anchor: Option<Arc<sea_orm::sqlx::SqliteConnection>>,
}

/// Open transaction. It is rolled back if the last clone is dropped without a commit.
#[derive(Clone)]
pub struct Tx {
    db: Arc<DatabaseTransaction>,
    vault: Arc<Vault>,
    /// Whether it recorded platform events.
    has_events: Arc<AtomicBool>,
}

impl Tx {
    /// Runs a part of the work. If it fails, its changes are undone, and the transaction can go on.
    pub async fn attempt<T, F: Future<Output = Result<T>>>(&self, work: impl FnOnce(Tx) -> F) -> Result<T> {
        let savepoint = Arc::new(self.db.begin().await?);
        let inner =
            Tx { db: Arc::clone(&savepoint), vault: Arc::clone(&self.vault), has_events: Arc::clone(&self.has_events) };
        let outcome = work(inner).await;
        let savepoint = Arc::into_inner(savepoint).ok_or_else(|| Error::internal("an attempt outlived its work"))?;
        match outcome {
            Ok(_) => savepoint.commit().await?,
            Err(_) => savepoint.rollback().await?,
        }
        outcome
    }
}

/// End of a transaction whose work succeeded.
#[derive(Clone, Copy)]
enum TxEnd {
    Commit,
    RollBack,
}

/// Target of a query: the store, or a transaction.
pub trait Db: Sync {
    #[doc(hidden)]
    type Connection: ConnectionTrait;
    #[doc(hidden)]
    fn conn(&self) -> &Self::Connection;
    #[doc(hidden)]
    fn vault(&self) -> &Vault;
}

impl Db for Store {
    type Connection = Pool;
    fn conn(&self) -> &Pool {
        &self.db
    }
    fn vault(&self) -> &Vault {
        &self.vault
    }
}

impl Db for Tx {
    type Connection = DatabaseTransaction;
    fn conn(&self) -> &DatabaseTransaction {
        &self.db
    }
    fn vault(&self) -> &Vault {
        &self.vault
    }
}

impl Store {
    /// Runs a unit of work in one transaction and commits it if it succeeds.
    ///
    /// The work runs again from the start if the database broke a deadlock or could not serialise it, so it must have
    /// no effects outside the transaction. It gets the transaction by value, because the compiler cannot prove that the
    /// future of an async closure that borrows it is `Send` (rust-lang/rust#110338).
    pub async fn write<T, F: Future<Output = Result<T>>>(&self, work: impl Fn(Tx) -> F) -> Result<T> {
        self.run(&work, TxEnd::Commit).await
    }

    /// Runs a unit of work like [`write`](Self::write), but always rolls it back.
    pub async fn dry_run<T, F: Future<Output = Result<T>>>(&self, work: impl Fn(Tx) -> F) -> Result<T> {
        self.run(&work, TxEnd::RollBack).await
    }

    async fn run<T, F: Future<Output = Result<T>>>(&self, work: &impl Fn(Tx) -> F, end: TxEnd) -> Result<T> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.run_once(work, end).await {
                Err(cause) if tried < MAX_TRIES && error::is_retriable(&cause) => {
                    tracing::debug!(tried, "retrying a transaction");
                    tokio::time::sleep(Duration::from_millis(5 * u64::from(tried))).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn run_once<T, F: Future<Output = Result<T>>>(&self, work: &impl Fn(Tx) -> F, end: TxEnd) -> Result<T> {
        let _turn = match &self.writer {
            Some(writer) => Some(writer.lock().await),
            None => None,
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = Tx {
            db: Arc::new(self.db.begin(options).await?),
            vault: Arc::clone(&self.vault),
            has_events: Arc::default(),
        };
        let outcome = work(tx.clone()).await;
        let db = Arc::into_inner(tx.db).ok_or_else(|| Error::internal("a transaction outlived its work"))?;
        if outcome.is_ok() && matches!(end, TxEnd::Commit) {
            db.commit().await?;
            if tx.has_events.load(Relaxed) {
                self.unplaced_events.send();
            }
        } else if let Err(failed) = db.rollback().await {
            // Dropping the transaction rolls it back too, so the connection goes back clean even now.
            tracing::warn!(cause = %error::describe(&failed), "failed to roll back a transaction");
        }
        outcome
    }

    /// Returns the index by which a phone is found.
    pub fn phone_index(&self, phone: &PhoneNumber) -> PhoneIndex {
        self.vault.phone_index(&phone.match_key())
    }

    /// Returns a keyed fingerprint of a request's body, which tells a repeat from a different request with the same
    /// key.
    pub fn fingerprint(&self, body: &[u8]) -> Vec<u8> {
        self.vault.digest("request", body)
    }

    /// Closes all connections.
    pub async fn close(self) {
        if let Err(failed) = self.db.db.close().await {
            tracing::warn!(cause = %error::describe(&failed), "failed to close the database");
        }
    }
}

/// Returns the time of the database server, to the microsecond; `None` if the database is embedded and has our clock.
pub async fn time_there(db: &impl Db) -> Result<Option<Time>> {
    if db.conn().get_database_backend() == DbBackend::Sqlite {
        return Ok(None);
    }
    query_value(db, "SELECT clock_timestamp() AS at", []).await
}

/// Creates a statement in SQL that both databases understand, with `$1`-style parameters.
fn statement(db: &impl Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.conn().get_database_backend(), sql, values)
}

/// Runs a statement and returns the number of rows that it changed.
async fn execute(db: &impl Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(db.conn().execute_raw(statement(db, sql, values)).await?.rows_affected())
}

/// Reads all rows of a query.
async fn query_all<R: FromQueryResult>(
    db: &impl Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<R>> {
    Ok(R::find_by_statement(statement(db, sql, values)).all(db.conn()).await?)
}

/// Reads the first row of a query.
async fn query_one<R: FromQueryResult>(
    db: &impl Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<R>> {
    Ok(R::find_by_statement(statement(db, sql, values)).one(db.conn()).await?)
}

/// Reads the only column of all rows.
async fn query_values<T: TryGetable>(
    db: &impl Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<T>> {
    db.conn().query_all_raw(statement(db, sql, values)).await?.iter().map(only_column).collect()
}

/// Reads the only column of the first row.
async fn query_value<T: TryGetable>(
    db: &impl Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<T>> {
    db.conn().query_one_raw(statement(db, sql, values)).await?.as_ref().map(only_column).transpose()
}

/// Looks up the column by its name, so that an error names it.
fn only_column<T: TryGetable>(row: &QueryResult) -> Result<T> {
    let name = row.column_names().pop().unwrap_or_default();
    Ok(row.try_get("", &name)?)
}

/// Checks whether a query has any row.
async fn exists(db: &impl Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<bool> {
    Ok(db.conn().query_one_raw(statement(db, sql, values)).await?.is_some())
}

/// Converts a `LIMIT`.
fn row_limit(rows: impl TryInto<i64>) -> Value {
    rows.try_into().unwrap_or(i64::MAX).into()
}

/// Checks whether other processes can serve this database at the same time.
pub fn has_peers(store: &Store) -> bool {
    store.db.get_database_backend() != DbBackend::Sqlite
}

/// Returns a locking clause, or nothing on SQLite, whose one writer needs no row locks.
fn lock(db: &impl Db, clause: &'static str) -> &'static str {
    match db.conn().get_database_backend() {
        DbBackend::Sqlite => "",
        _ => clause,
    }
}

/// Restricts a list to the requested page and one more item, which shows whether there is a next page.
fn page<E: sea_orm::EntityTrait>(
    select: sea_orm::Select<E>,
    id: impl sea_orm::ColumnTrait,
    request: &PageRequest,
) -> sea_orm::Select<E> {
    use sea_orm::{QueryFilter as _, QueryOrder as _, QuerySelect as _};

    let select = match (request.order, request.after) {
        (Order::Ascending, Some(after)) => select.filter(id.gt(after)),
        (Order::Descending, Some(after)) => select.filter(id.lt(after)),
        (_, None) => select,
    };
    let select = match request.order {
        Order::Ascending => select.order_by_asc(id),
        Order::Descending => select.order_by_desc(id),
    };
    select.limit(request.limit + 1)
}
