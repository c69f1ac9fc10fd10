//! For the first limit that a depleted pool hit: each question is one probe, however many numbers there are of another
//! status or provider, or were.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

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

const UP: &str = "
CREATE INDEX numbers_living ON numbers (status, provider) WHERE deleted_at IS NULL;
CREATE INDEX numbers_assignable_provider ON numbers (provider, country)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
";

const DOWN: &str = "
DROP INDEX numbers_assignable_provider;
DROP INDEX numbers_living;
";
