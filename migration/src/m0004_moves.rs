//! For rides that live on with another driver, phone or number: what was held before stays barred beside what is held
//! now. For rides whose number was suspended and that found no other. For texts that go out after contact closed.

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
ALTER TABLE bindings ADD COLUMN former BOOLEAN NOT NULL DEFAULT FALSE;
DROP INDEX bindings_ride;
CREATE UNIQUE INDEX bindings_ride ON bindings (ride_id, role) WHERE NOT former;
ALTER TABLE rides ADD COLUMN closed_reason TEXT CHECK (closed_reason IN ('number_suspended'));
CREATE INDEX rides_stranded ON rides (id) WHERE closed_reason = 'number_suspended' AND deleted_at IS NULL;
ALTER TABLE messages ADD COLUMN unbound BOOLEAN NOT NULL DEFAULT FALSE;
";

const DOWN: &str = "
ALTER TABLE messages DROP COLUMN unbound;
DROP INDEX rides_stranded;
ALTER TABLE rides DROP COLUMN closed_reason;
DELETE FROM bindings WHERE former;
DROP INDEX bindings_ride;
CREATE UNIQUE INDEX bindings_ride ON bindings (ride_id, role);
ALTER TABLE bindings DROP COLUMN former;
";
