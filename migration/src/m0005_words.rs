//! For texts that belong to no ride: a conversation in the outbox becomes optional, a text can say itself which phone it
//! goes to, and a table tells who was answered by itself, and when.
//!
//! SQLite cannot make a column optional, so its table is made anew; nothing refers to it.

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
ALTER TABLE messages ADD COLUMN phone_sealed {bytes};

CREATE TABLE auto_replies (
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    phone_index {bytes} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (number_id, phone_index)
);
CREATE INDEX auto_replies_at ON auto_replies (at);

{postgres} ALTER TABLE outbox ALTER COLUMN ride_id DROP NOT NULL;
{postgres} ALTER TABLE outbox ALTER COLUMN to_role DROP NOT NULL;
{postgres} ALTER TABLE outbox
    ADD CONSTRAINT outbox_conversation_whole CHECK ((ride_id IS NULL) = (to_role IS NULL));

{sqlite} CREATE TABLE outbox_new (
    id {id},
    message_id BIGINT NOT NULL REFERENCES messages (id),
    ride_id BIGINT REFERENCES rides (id),
    to_role TEXT CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL,
    part INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'sent', 'delivered', 'undelivered', 'failed')),
    attempts INTEGER NOT NULL,
    in_flight BOOLEAN NOT NULL,
    in_doubt BOOLEAN NOT NULL,
    due_at {time} NOT NULL,
    reference TEXT NOT NULL,
    provider_id TEXT,
    CONSTRAINT outbox_conversation_whole CHECK ((ride_id IS NULL) = (to_role IS NULL))
);
{sqlite} INSERT INTO outbox_new
    (id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference, provider_id)
    SELECT id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference, provider_id
    FROM outbox;
{sqlite} DROP TABLE outbox;
{sqlite} ALTER TABLE outbox_new RENAME TO outbox;
{sqlite} CREATE UNIQUE INDEX outbox_conversation ON outbox (ride_id, to_role, seq);
{sqlite} CREATE UNIQUE INDEX outbox_reference ON outbox (reference);
{sqlite} CREATE INDEX outbox_message ON outbox (message_id);
{sqlite} CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'owed';
{sqlite} CREATE INDEX outbox_owed ON outbox (ride_id, to_role, seq) WHERE state = 'owed';
";

const DOWN: &str = "
DELETE FROM outbox WHERE ride_id IS NULL;

{sqlite} CREATE TABLE outbox_new (
    id {id},
    message_id BIGINT NOT NULL REFERENCES messages (id),
    ride_id BIGINT NOT NULL REFERENCES rides (id),
    to_role TEXT NOT NULL CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL,
    part INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'sent', 'delivered', 'undelivered', 'failed')),
    attempts INTEGER NOT NULL,
    in_flight BOOLEAN NOT NULL,
    in_doubt BOOLEAN NOT NULL,
    due_at {time} NOT NULL,
    reference TEXT NOT NULL,
    provider_id TEXT
);
{sqlite} INSERT INTO outbox_new
    (id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference, provider_id)
    SELECT id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference, provider_id
    FROM outbox;
{sqlite} DROP TABLE outbox;
{sqlite} ALTER TABLE outbox_new RENAME TO outbox;
{sqlite} CREATE UNIQUE INDEX outbox_conversation ON outbox (ride_id, to_role, seq);
{sqlite} CREATE UNIQUE INDEX outbox_reference ON outbox (reference);
{sqlite} CREATE INDEX outbox_message ON outbox (message_id);
{sqlite} CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'owed';
{sqlite} CREATE INDEX outbox_owed ON outbox (ride_id, to_role, seq) WHERE state = 'owed';

{postgres} ALTER TABLE outbox DROP CONSTRAINT outbox_conversation_whole;
{postgres} ALTER TABLE outbox ALTER COLUMN to_role SET NOT NULL;
{postgres} ALTER TABLE outbox ALTER COLUMN ride_id SET NOT NULL;

DROP TABLE auto_replies;
ALTER TABLE messages DROP COLUMN phone_sealed;
";
