//! Contact that a ride left to the next one of the same two people: whose it was, and when contact would close without it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// Nobody noted the ride before, nor when contact would have closed: rides that have such contact keep it to their end, with
// whatever driver.
const UP: &str = "
ALTER TABLE rides ADD COLUMN floor_ride BIGINT;
ALTER TABLE rides ADD COLUMN floor_own {time};
UPDATE rides SET floor_ride = id, floor_own = contact_until WHERE contact_floor IS NOT NULL;
";

const DOWN: &str = "
ALTER TABLE rides DROP COLUMN floor_own;
ALTER TABLE rides DROP COLUMN floor_ride;
";

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
