//! For texts: each part knows its place in the text, so that no later rule of splitting finds other parts than were
//! counted. Parts that were stored before, or by a replica of the version before, have none.

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
ALTER TABLE outbox ADD COLUMN words_from INTEGER;
ALTER TABLE outbox ADD COLUMN words_to INTEGER;
";

const DOWN: &str = "
ALTER TABLE outbox DROP COLUMN words_to;
ALTER TABLE outbox DROP COLUMN words_from;
";
