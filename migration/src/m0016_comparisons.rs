//! For the limit on phones that a client compares with stored ones: what it compared lately, without the phones.

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
CREATE TABLE comparisons (
    client_id BIGINT NOT NULL,
    subject TEXT NOT NULL,
    digest {bytes} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (client_id, subject, digest)
);
CREATE INDEX comparisons_at ON comparisons (at);
";

const DOWN: &str = "
DROP TABLE comparisons;
";
