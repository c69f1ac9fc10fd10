//! For a choice of number, and for the first limit that a depleted pool hit: both are probes, however many numbers there
//! are of another status or provider, or were.

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
CREATE INDEX numbers_of_provider ON numbers (provider, spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
CREATE INDEX numbers_of_country ON numbers (provider, country, spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
DROP INDEX numbers_assignable;
DROP INDEX numbers_assignable_country;
";

const DOWN: &str = "
CREATE INDEX numbers_assignable_country ON numbers (country, spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
CREATE INDEX numbers_assignable ON numbers (spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
DROP INDEX numbers_of_country;
DROP INDEX numbers_of_provider;
DROP INDEX numbers_living;
";
