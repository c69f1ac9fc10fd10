//! For numbers chosen by country, and for rides with lengths of their own; those from before have none, and go by the
//! rule.

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
ALTER TABLE rides ADD COLUMN grace_s BIGINT;
ALTER TABLE rides ADD COLUMN max_duration_s BIGINT;
CREATE INDEX numbers_assignable_country ON numbers (country, spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
";

const DOWN: &str = "
DROP INDEX numbers_assignable_country;
ALTER TABLE rides DROP COLUMN max_duration_s;
ALTER TABLE rides DROP COLUMN grace_s;
";
