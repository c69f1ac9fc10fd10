//! The schema of the database: checking whether this build can use it, and migrating it.

use std::collections::BTreeSet;

use migration::{BEFORE_RELEASE, Migrator, MigratorTrait as _, SchemaManager};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, SqliteTransactionMode, Statement,
    TransactionOptions,
};

use super::Store;
use crate::domain::error::Error;

/// Key of the advisory lock. It is arbitrary, but the same in every replica.
const MIGRATION_LOCK: i64 = 0x6d61_736b_6c69_6e65;

/// Table in which the migrator keeps the names of applied migrations.
const MIGRATIONS: &str = "seaql_migrations";

/// Reason why the schema cannot be used or migrated.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A version whose migrations no longer exist created it.
    #[error(
        "this database was created by a development version before 0.1.0: export what you need, delete it and start \
         again with an empty one"
    )]
    BeforeRelease,
    /// Migrations were applied that this build does not know.
    #[error("this database was migrated by a newer version of Maskline: start that version")]
    Newer,
    /// The database does not answer, or a statement failed.
    #[error("the database cannot be used: {0}")]
    Database(#[from] Error),
}

impl From<DbErr> for SchemaError {
    fn from(failed: DbErr) -> Self {
        Self::Database(failed.into())
    }
}

impl Store {
    /// Applies missing migrations. Replicas that start together wait for each other. The lock belongs to the
    /// transaction, so it also works behind a pooler.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = self.db.begin(options).await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            // Changing a large table, or waiting for a replica that does, takes longer than the usual limit.
            tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
            tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
        }
        if !is_current(&tx).await? {
            Migrator::up(&tx, None).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Checks whether the schema is the one that this build expects.
    pub async fn is_migrated(&self) -> Result<bool, SchemaError> {
        let tx = self.db.begin(TransactionOptions::default()).await?;
        let is_current = is_current(&tx).await?;
        tx.commit().await?;
        Ok(is_current)
    }
}

/// Checks whether all migrations are applied. Fails if there are some that this build does not know.
async fn is_current(tx: &DatabaseTransaction) -> Result<bool, SchemaError> {
    let applied = applied(tx).await?;
    let known: BTreeSet<_> = Migrator::names().map(str::to_owned).collect();
    if applied.contains(BEFORE_RELEASE) {
        return Err(SchemaError::BeforeRelease);
    }
    if !applied.is_subset(&known) {
        return Err(SchemaError::Newer);
    }
    Ok(applied == known)
}

async fn applied(tx: &DatabaseTransaction) -> Result<BTreeSet<String>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        version: String,
    }
    if !SchemaManager::new(tx).has_table(MIGRATIONS).await? {
        return Ok(BTreeSet::new());
    }
    let sql = format!("SELECT version FROM {MIGRATIONS}");
    let rows = Row::find_by_statement(Statement::from_string(tx.get_database_backend(), sql)).all(tx).await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}
