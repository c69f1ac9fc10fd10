//! For more providers: pictures that are passed on, calls that are asked about, and how long an event is remembered.

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
ALTER TABLE messages ADD COLUMN media_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN ask_at {time};
ALTER TABLE inbox ADD COLUMN keep_until {time};
DROP INDEX inbox_received;
CREATE INDEX inbox_kept ON inbox (keep_until) WHERE keep_until IS NOT NULL;
CREATE INDEX inbox_undated ON inbox (received_at) WHERE keep_until IS NULL;
CREATE INDEX calls_ask ON calls (ask_at) WHERE ask_at IS NOT NULL;
";

const DOWN: &str = "
DROP INDEX calls_ask;
DROP INDEX inbox_undated;
DROP INDEX inbox_kept;
CREATE INDEX inbox_received ON inbox (received_at);
ALTER TABLE inbox DROP COLUMN keep_until;
ALTER TABLE calls DROP COLUMN ask_at;
ALTER TABLE messages DROP COLUMN media_limit;
";
