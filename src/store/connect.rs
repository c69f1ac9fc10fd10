//! Opening the database.

use std::{path::Path, sync::Arc, time::Duration};

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DbBackend, DbErr, RuntimeErr,
    sqlx::{
        self, Connection as _, PgConnection, Row as _, SqliteConnection,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::{sync::Mutex, time::timeout};

use super::{
    Keys, Store, Vault,
    pooled::{IDLE_TIMEOUT_S, Pool, STATEMENT_TIMEOUT_S},
    processes::HeartbeatConnection,
};
use crate::{
    domain::error::{Error, Result},
    wakeup::Wakeup,
};

/// When a connection that does not answer a simple query is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long opening a [`HeartbeatConnection`] may take.
const LINE_PATIENCE: Duration = Duration::from_secs(1);

/// Settings of the database connection.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `sqlite://path` or `postgres://...`.
    pub url: secrecy::SecretString,
    /// Maximum number of open connections.
    pub max_connections: u32,
    /// Whether there is a pooler before PostgreSQL that hands out connections by transaction, such as PgBouncer in
    /// transaction mode.
    pub pooler: bool,
}

impl DatabaseOptions {
    /// Returns the file of an embedded database.
    pub fn sqlite_path(url: &str) -> Option<&Path> {
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"))?;
        Some(Path::new(path.split('?').next().unwrap_or(path)))
    }
}

impl Store {
    /// Connects, and leaves the schema as it is.
    pub async fn connect(options: &DatabaseOptions, keys: &Keys) -> Result<Self> {
        use secrecy::ExposeSecret as _;

        let url = options.url.expose_secret();
        let vault = Arc::new(Vault::new(keys)?);
        if let Some(folder) = DatabaseOptions::sqlite_path(url).and_then(Path::parent) {
            std::fs::create_dir_all(folder).map_err(Error::internal)?;
        }
        let mut connect = connection(options, options.max_connections, Duration::from_secs(5));
        connect
            .map_sqlx_postgres_pool_opts(|pool| {
                // It replaces the ping: it takes as many round trips and finds more.
                pool.test_before_acquire(false).before_acquire(|connection, _| Box::pin(takes_writes(connection)))
            })
            .map_sqlx_sqlite_pool_opts(|pool| {
                pool.after_release(|connection, _| Box::pin(has_no_transaction(connection)))
            })
            .map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .create_if_missing(true)
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(5))
                    .journal_mode(SqliteJournalMode::Wal)
                    // FULL, not NORMAL: in WAL mode NORMAL may lose the last commits when the power fails, and we
                    // have acknowledged those.
                    .synchronous(SqliteSynchronous::Full)
            });
        let db = Pool { db: Database::connect(connect).await?, by_transaction: options.pooler };
        let embedded = db.get_database_backend() == DbBackend::Sqlite;
        let writer = embedded.then(|| Arc::new(Mutex::new(())));
        let anchor = if embedded { Some(Arc::new(anchor(url).await?)) } else { None };
        Ok(Self { db, vault, writer, unplaced_events: Wakeup::new(), options: options.clone(), _anchor: anchor })
    }

    /// Opens a separate connection to PostgreSQL, outside the pool.
    pub async fn heartbeat_connection(&self) -> Result<HeartbeatConnection> {
        let mut connect = connection(&self.options, 1, LINE_PATIENCE);
        connect.min_connections(1).map_sqlx_postgres_pool_opts(|pool| pool.test_before_acquire(false));
        Ok(HeartbeatConnection(Pool { db: Database::connect(connect).await?, by_transaction: self.options.pooler }))
    }
}

/// Options that all connections share.
fn connection(options: &DatabaseOptions, count: u32, patience: Duration) -> ConnectOptions {
    use secrecy::ExposeSecret as _;

    let mut connect = ConnectOptions::new(options.url.expose_secret());
    connect
        .max_connections(count)
        .acquire_timeout(patience)
        .connect_timeout(patience)
        .set_application_name("maskline")
        .sqlx_logging(false);
    if options.pooler {
        connect.map_sqlx_postgres_opts(|postgres| {
            // No start-up parameter that a pooler does not know, and no statement kept for the next transaction, which
            // has a different connection.
            postgres.extra_float_digits(None).statement_cache_capacity(0)
        });
    } else {
        connect.statement_timeout(Duration::from_secs(STATEMENT_TIMEOUT_S));
        connect.map_sqlx_postgres_opts(|postgres| {
            postgres.options([("idle_in_transaction_session_timeout", format!("{IDLE_TIMEOUT_S}s"))])
        });
    }
    connect
}

/// Opens a connection that is never used. While there is one, SQLite keeps its write-ahead log and the log's index, so
/// other connections can be opened and read even if a full disk has no room to create these files again.
async fn anchor(url: &str) -> Result<SqliteConnection> {
    let failed = |cause: sqlx::Error| Error::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(cause))));
    let mut connection = SqliteConnection::connect(url).await.map_err(failed)?;
    let looked = sqlx::Executor::execute(&mut connection, sqlx::raw_sql("SELECT name FROM sqlite_schema LIMIT 1"));
    looked.await.map_err(failed)?;
    Ok(connection)
}

/// Checks whether an idle connection may be used again: it is not broken, and leads neither to a standby nor to a
/// server that was made read-only. After a failover, a new connection leads to the new primary.
async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let asked = sqlx::Executor::fetch_one(connection, sqlx::raw_sql("SHOW transaction_read_only"));
    Ok(match timeout(PATIENCE, asked).await {
        Ok(Ok(row)) => row.try_get::<String, _>(0)? == "off",
        Ok(Err(_)) | Err(_) => false,
    })
}

/// Checks whether a connection may go back to the pool. When its disk fails or is full, SQLite rolls back on its own.
/// Our rollback then fails, sqlx counts a transaction that no longer exists, and the connection can begin no other one.
async fn has_no_transaction(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Once this is done, everything sent before, such as a rollback, is done too.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::{
        domain::clock::{Clock as _, SystemClock},
        store::{is_unwritable, jobs, processes::Holder},
    };

    async fn on_one_connection(folder: &Path) -> Store {
        let url = format!("sqlite://{}", folder.join("maskline.db").display());
        let options = DatabaseOptions { url: url.into(), max_connections: 1, pooler: false };
        let keys = Keys { data: vec![("k".to_owned(), vec![1; 32].into())], index: vec![2; 32].into() };
        let store = Store::connect(&options, &keys).await.expect("a database");
        store.migrate().await.expect("a schema");
        store
    }

    /// Keeps a database from growing on its one connection, as a disk without room would.
    async fn limit_pages(store: &Store, pages: u32) {
        store.db.execute_unprepared(&format!("PRAGMA max_page_count = {pages}")).await.expect("a pragma");
    }

    async fn write_much(store: &Store) -> Result<()> {
        let now = SystemClock.now();
        let name = "x".repeat(50_000);
        store
            .write(|tx| {
                let name = name.clone();
                async move { jobs::claim(&tx, &name, chrono::Duration::days(1), Holder::Unnamed, now).await.map(drop) }
            })
            .await
    }

    #[tokio::test]
    async fn a_full_database_is_said_to_take_no_writes_and_works_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = on_one_connection(folder.path()).await;
        limit_pages(&store, 1).await;
        for _ in 0..3 {
            // The limit is the connection's, and goes with it.
            let failed = write_much(&store).await.expect_err("there is no room");
            assert!(is_unwritable(&failed), "{failed}");
            limit_pages(&store, 1).await;
        }
        limit_pages(&store, 1_000_000).await;
        write_much(&store).await.expect("there is room");
        store.write(|tx| async move { jobs::probe(&tx, SystemClock.now()).await }).await.expect("it can be written");
    }
}
