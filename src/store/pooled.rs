//! The connection pool, and reads outside a transaction.
//!
//! A pooler that hands out connections by transaction allows no such reads: a statement with parameters is several
//! messages, and each could go to a different connection of the server. So every read is a transaction there.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    TransactionOptions, TransactionTrait as _, entity::prelude::async_trait,
};

/// When the server cancels a statement; see [`Pool::begin`].
pub(super) const STATEMENT_TIMEOUT_S: u64 = 10;
/// When the server ends a transaction in which nothing happens: its process is lost, and its locks keep others waiting.
pub(super) const IDLE_TIMEOUT_S: u64 = 15;

/// Pool of connections to the database.
#[derive(Clone)]
pub struct Pool {
    pub(super) db: DatabaseConnection,
    /// Whether a pooler between us and the server hands out connections by transaction.
    pub(super) by_transaction: bool,
}

impl Pool {
    pub(super) async fn begin(&self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        let tx = self.db.begin_with_options(options).await?;
        if self.by_transaction {
            // The driver names its statements and leaves them on the connection, where a statement of another client
            // may have the same name. This is sent on its own, so that poolers that track statements see it.
            tx.execute_unprepared("DEALLOCATE ALL").await?;
            // Without a pooler, connections are opened with these limits. A pooler accepts no such parameters.
            let limits = format!(
                "SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s';
                 SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'"
            );
            tx.execute_unprepared(&limits).await?;
        }
        Ok(tx)
    }

    async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin(TransactionOptions::default()).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if !self.by_transaction {
            return self.db.execute_raw(statement).await;
        }
        let tx = self.begin_read().await?;
        let done = tx.execute_raw(statement).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if !self.by_transaction {
            return self.db.query_one_raw(statement).await;
        }
        let tx = self.begin_read().await?;
        let found = tx.query_one_raw(statement).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if !self.by_transaction {
            return self.db.query_all_raw(statement).await;
        }
        let tx = self.begin_read().await?;
        let found = tx.query_all_raw(statement).await?;
        tx.commit().await?;
        Ok(found)
    }
}
