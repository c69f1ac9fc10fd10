//! The database: the only room that knows SeaORM, tables, constraints and sealing.
//!
//! Functions live in one module a table or a hot question ([`routing`], [`pool`], [`outbox`]), take a [`Db`] and
//! answer in domain types. Reads may run on the [`Store`] itself; everything that changes something runs in a [`Tx`],
//! which only [`Store::write`] makes: it retries when the database asks for that.

mod connect;
mod entity;
mod error;
mod exclusive;
mod pooled;
mod row;
mod schema;
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
pub mod paces;
pub mod people;
pub mod pool;
pub mod processes;
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
    ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait as _, Value,
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

/// How often a transaction is tried that the database aborts to break a deadlock.
const MAX_TRIES: u32 = 5;

/// The database with its keys.
#[derive(Clone)]
pub struct Store {
    db: Pool,
    vault: Arc<Vault>,
    /// SQLite has one writer. Waiting for our turn here is fair; waiting in its busy handler is not.
    writer: Option<Arc<Mutex<()>>>,
    /// Sent when a transaction that recorded platform events commits: they have no position in the log yet.
    pub(crate) events_pending: Wakeup,
    /// How to reach the database once more.
    options: DatabaseOptions,
    /// See [`connect`]: never used, only there.
    _anchor: Option<Arc<sea_orm::sqlx::SqliteConnection>>,
}

/// A transaction under way. When the last clone is dropped without a commit, nothing has changed.
#[derive(Clone)]
pub struct Tx {
    db: Arc<DatabaseTransaction>,
    vault: Arc<Vault>,
    /// It recorded platform events.
    has_events: Arc<AtomicBool>,
}

impl Tx {
    /// Runs a part of the work; if that fails, everything is as it was before, and the transaction can go on.
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

/// What becomes of the changes of a transaction whose work succeeded.
#[derive(Clone, Copy)]
enum TxEnd {
    Commit,
    RollBack,
}

/// Where a query can run: on the store, or inside a transaction.
pub trait Db: Sync {
    /// SeaORM's side of it.
    #[doc(hidden)]
    type Connection: ConnectionTrait;
    /// The connection.
    #[doc(hidden)]
    fn conn(&self) -> &Self::Connection;
    /// The keys.
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
    /// The work runs again from the start when the database broke a deadlock or could not serialise it, so it must
    /// have no effects outside the transaction. It is given the transaction by value: an async closure that borrows it
    /// would make a future that the compiler cannot prove `Send` (rust-lang/rust#110338).
    pub async fn write<T, F: Future<Output = Result<T>>>(&self, work: impl Fn(Tx) -> F) -> Result<T> {
        self.run(&work, TxEnd::Commit).await
    }

    /// Runs a unit of work as [`write`](Self::write) does and rolls it back, whatever its outcome.
    pub async fn dry_run<T, F: Future<Output = Result<T>>>(&self, work: impl Fn(Tx) -> F) -> Result<T> {
        self.run(&work, TxEnd::RollBack).await
    }

    async fn run<T, F: Future<Output = Result<T>>>(&self, work: &impl Fn(Tx) -> F, end: TxEnd) -> Result<T> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.run_once(work, end).await {
                Err(cause) if tried < MAX_TRIES && error::is_retriable(&cause) => {
                    tracing::debug!(tried, "the database asked to run a transaction again");
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
                self.events_pending.send();
            }
        } else if let Err(failed) = db.rollback().await {
            // The connection goes back clean even so: dropping the transaction rolls it back too.
            tracing::warn!(cause = %error::describe(&failed), "a rollback failed");
        }
        outcome
    }

    /// The index under which a phone is found.
    pub fn phone_index(&self, phone: &PhoneNumber) -> PhoneIndex {
        self.vault.phone_index(&phone.match_key())
    }

    /// A keyed fingerprint of a request's body, to tell a repeat from another request under the same key.
    pub fn fingerprint(&self, body: &[u8]) -> Vec<u8> {
        self.vault.digest("request", body)
    }

    /// Closes all connections.
    pub async fn close(self) {
        if let Err(failed) = self.db.db.close().await {
            tracing::warn!(cause = %error::describe(&failed), "closing the database failed");
        }
    }
}

/// What time it is there, to the microsecond; `None` where the database has no clock but ours.
pub async fn time_there(db: &impl Db) -> Result<Option<Time>> {
    if db.conn().get_database_backend() == DbBackend::Sqlite {
        return Ok(None);
    }
    let asked = statement(db, "SELECT clock_timestamp() AS at", []);
    let row = db.conn().query_one_raw(asked).await?;
    Ok(row.map(|row| row.try_get("", "at")).transpose()?)
}

/// A statement in SQL that both databases understand, with `$1`-style parameters.
fn statement(db: &impl Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.conn().get_database_backend(), sql, values)
}

/// `$from, $from+1, ..`: this many parameters of a list.
fn placeholders(from: usize, count: usize) -> String {
    (from..from + count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

/// Whether other processes can serve this database at the same time.
pub fn has_peers(store: &Store) -> bool {
    store.db.get_database_backend() != DbBackend::Sqlite
}

/// A row lock, where the database has them; SQLite's one writer needs none.
fn lock(db: &impl Db, clause: &'static str) -> &'static str {
    match db.conn().get_database_backend() {
        DbBackend::Sqlite => "",
        _ => clause,
    }
}

/// Restricts a list to the page that was asked for, one item longer to tell whether there is more.
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
