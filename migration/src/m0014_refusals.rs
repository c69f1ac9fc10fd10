//! Why a breaker is open, and the status with which a provider answered the last send of a text that failed.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
ALTER TABLE breakers ADD COLUMN reason TEXT;
ALTER TABLE messages ADD COLUMN provider_status INTEGER;
";

const DOWN: &str = "
ALTER TABLE messages DROP COLUMN provider_status;
ALTER TABLE breakers DROP COLUMN reason;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
