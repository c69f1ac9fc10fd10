//! For claims that name the process that holds them, so that another can take them over as soon as that process is dead.
//!
//! A claim without a name, such as one made by a version before, ends with its lease.

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
CREATE TABLE processes (
    id BIGINT NOT NULL PRIMARY KEY,
    counter BIGINT NOT NULL,
    started_at {time} NOT NULL
);

ALTER TABLE outbox ADD COLUMN claimed_by BIGINT;
CREATE INDEX outbox_claimed ON outbox (claimed_by) WHERE claimed_by IS NOT NULL;
ALTER TABLE calls ADD COLUMN claimed_by BIGINT;
CREATE INDEX calls_claimed ON calls (claimed_by) WHERE claimed_by IS NOT NULL;
ALTER TABLE event_endpoints ADD COLUMN claimed_by BIGINT;
ALTER TABLE breakers ADD COLUMN claimed_by BIGINT;
ALTER TABLE jobs ADD COLUMN claimed_by BIGINT;
";

const DOWN: &str = "
ALTER TABLE jobs DROP COLUMN claimed_by;
ALTER TABLE breakers DROP COLUMN claimed_by;
ALTER TABLE event_endpoints DROP COLUMN claimed_by;
DROP INDEX calls_claimed;
ALTER TABLE calls DROP COLUMN claimed_by;
DROP INDEX outbox_claimed;
ALTER TABLE outbox DROP COLUMN claimed_by;
DROP TABLE processes;
";
