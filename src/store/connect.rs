//! Opening the database and bringing its schema up to date.

use std::{path::Path, sync::Arc, time::Duration};

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{Keys, Store, Vault};
use crate::domain::error::{Error, Result};

/// Any number, as long as every replica uses the same one and nobody else does.
const MIGRATION_LOCK: i64 = 0x6d61_736b_6c69_6e65;

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `sqlite://path` or `postgres://...`.
    pub url: secrecy::SecretString,
    /// The most connections to hold open.
    pub max_connections: u32,
}

impl DatabaseOptions {
    /// The file of an embedded database.
    pub fn sqlite_path(url: &str) -> Option<&Path> {
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"))?;
        Some(Path::new(path.split('?').next().unwrap_or(path)))
    }
}

impl Store {
    /// Connects; does not touch the schema.
    pub async fn connect(options: &DatabaseOptions, keys: &Keys) -> Result<Self> {
        use secrecy::ExposeSecret as _;

        let url = options.url.expose_secret();
        let vault = Arc::new(Vault::new(keys)?);
        if let Some(folder) = DatabaseOptions::sqlite_path(url).and_then(Path::parent) {
            std::fs::create_dir_all(folder).map_err(Error::internal)?;
        }
        let mut connect = ConnectOptions::new(url);
        connect
            .max_connections(options.max_connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_timeout(Duration::from_secs(5))
            .statement_timeout(Duration::from_secs(10))
            .set_application_name("maskline")
            .sqlx_logging(false)
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
        let db = Database::connect(connect).await?;
        let writer = (db.get_database_backend() == DbBackend::Sqlite).then(|| Arc::new(Mutex::new(())));
        Ok(Self { db, vault, writer, told: Arc::default() })
    }

    /// Applies what is missing of the schema. Replicas that start together wait for each other: the lock belongs to
    /// the transaction, so it also works behind a pooler that hands connections around.
    pub async fn migrate(&self) -> Result<()> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = self.db.begin_with_options(options).await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
        }
        Migrator::up(&tx, None).await?;
        Ok(tx.commit().await?)
    }

    /// Whether the schema is the one this build expects.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(Migrator::get_pending_migrations(&self.db).await?.is_empty())
    }
}
