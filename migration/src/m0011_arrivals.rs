//! For the order of a conversation while the platform is asked about a text: the position that the text got when it arrived,
//! and until when later texts wait for it. A row goes when its text is taken, so there are few.

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
CREATE TABLE arrivals (
    provider TEXT NOT NULL,
    event_key TEXT NOT NULL,
    ride_id BIGINT NOT NULL REFERENCES rides (id) ON DELETE CASCADE,
    to_role TEXT NOT NULL CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL,
    held_after BIGINT NOT NULL,
    held_until {time} NOT NULL,
    arrived_at {time} NOT NULL,
    PRIMARY KEY (provider, event_key)
);
CREATE INDEX arrivals_conversation ON arrivals (ride_id, to_role);
CREATE INDEX arrivals_held_until ON arrivals (held_until);
";

const DOWN: &str = "
DROP TABLE arrivals;
";
