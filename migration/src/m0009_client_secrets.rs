//! Secrets of API clients are stored as SHA-256 and have a version, and a rotated one keeps working for a day.
//!
//! Clients from before have hashes that nothing can check any more, so they are deleted, with the answers kept for their
//! repeated requests. The first client is created again at the next start; create the others again.

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
DELETE FROM idempotency_keys;
DELETE FROM clients;
ALTER TABLE clients DROP COLUMN secret_hash;
ALTER TABLE clients ADD COLUMN secret_hash {bytes} NOT NULL;
ALTER TABLE clients ADD COLUMN secret_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE clients ADD COLUMN former_secret_hash {bytes};
ALTER TABLE clients ADD COLUMN former_secret_until {time};
CREATE INDEX clients_former_secret ON clients (former_secret_until) WHERE former_secret_until IS NOT NULL;
";

const DOWN: &str = "
DELETE FROM idempotency_keys;
DELETE FROM clients;
DROP INDEX clients_former_secret;
ALTER TABLE clients DROP COLUMN former_secret_until;
ALTER TABLE clients DROP COLUMN former_secret_hash;
ALTER TABLE clients DROP COLUMN secret_version;
ALTER TABLE clients DROP COLUMN secret_hash;
ALTER TABLE clients ADD COLUMN secret_hash TEXT NOT NULL;
";
