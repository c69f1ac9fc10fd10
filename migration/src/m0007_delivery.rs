//! For delivery that survives: a part of a text knows the number and provider that it is to go by, when it becomes pointless,
//! the moment that was reserved for it, and how often it was sent only to try its provider; a ride knows since when it has its driver, so that a text to or of the one before
//! is not sent again. Beside them, what all replicas share of a provider's health and of its pace, and when which periodic
//! job is due.
//!
//! Rows that a version before stores meanwhile have none of it: upkeep makes up for that.
//!
//! SQLite cannot change a CHECK, so its table is made anew; nothing refers to it.

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
{postgres} ALTER TABLE outbox ADD COLUMN provider TEXT;
{postgres} ALTER TABLE outbox ADD COLUMN number_id BIGINT REFERENCES numbers (id);
{postgres} ALTER TABLE outbox ADD COLUMN expires_at {time};
{postgres} ALTER TABLE outbox ADD COLUMN slot_at {time};
{postgres} ALTER TABLE outbox ADD COLUMN probes INTEGER NOT NULL DEFAULT 0;
{postgres} ALTER TABLE outbox DROP CONSTRAINT outbox_state_check;
{postgres} ALTER TABLE outbox ADD CONSTRAINT outbox_state_check
    CHECK (state IN ('owed', 'sent', 'delivered', 'undelivered', 'failed', 'expired'));
{postgres} UPDATE outbox SET provider = m.provider, number_id = m.number_id
    FROM messages m WHERE m.id = outbox.message_id AND outbox.state = 'owed';
{postgres} DROP INDEX outbox_due;

{sqlite} CREATE TABLE outbox_new (
    id {id},
    message_id BIGINT NOT NULL REFERENCES messages (id),
    ride_id BIGINT REFERENCES rides (id),
    to_role TEXT CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL,
    part INTEGER NOT NULL,
    state TEXT NOT NULL
        CONSTRAINT outbox_state_check CHECK (state IN ('owed', 'sent', 'delivered', 'undelivered', 'failed', 'expired')),
    attempts INTEGER NOT NULL,
    in_flight BOOLEAN NOT NULL,
    in_doubt BOOLEAN NOT NULL,
    due_at {time} NOT NULL,
    reference TEXT NOT NULL,
    provider_id TEXT,
    provider TEXT,
    number_id BIGINT REFERENCES numbers (id),
    expires_at {time},
    slot_at {time},
    probes INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT outbox_conversation_whole CHECK ((ride_id IS NULL) = (to_role IS NULL))
);
{sqlite} INSERT INTO outbox_new
    (id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference, provider_id,
     provider, number_id)
    SELECT o.id, o.message_id, o.ride_id, o.to_role, o.seq, o.part, o.state, o.attempts, o.in_flight, o.in_doubt, o.due_at,
        o.reference, o.provider_id, m.provider, m.number_id
    FROM outbox o JOIN messages m ON m.id = o.message_id;
{sqlite} DROP TABLE outbox;
{sqlite} ALTER TABLE outbox_new RENAME TO outbox;
{sqlite} CREATE UNIQUE INDEX outbox_conversation ON outbox (ride_id, to_role, seq);
{sqlite} CREATE UNIQUE INDEX outbox_reference ON outbox (reference);
{sqlite} CREATE INDEX outbox_message ON outbox (message_id);
{sqlite} CREATE INDEX outbox_owed ON outbox (ride_id, to_role, seq) WHERE state = 'owed';

CREATE INDEX outbox_due ON outbox (provider, due_at) WHERE state = 'owed';
CREATE INDEX outbox_expiring ON outbox (expires_at) WHERE state = 'owed';

ALTER TABLE rides ADD COLUMN driver_since {time};
UPDATE rides SET driver_since = updated_at
    WHERE EXISTS (SELECT 1 FROM bindings b WHERE b.ride_id = rides.id AND b.role = 'driver' AND b.former);

CREATE TABLE breakers (
    provider TEXT NOT NULL PRIMARY KEY,
    is_open BOOLEAN NOT NULL,
    since {time} NOT NULL,
    probe_at {time},
    probes INTEGER NOT NULL
);

CREATE TABLE paces (
    name TEXT NOT NULL PRIMARY KEY,
    spent_until {time} NOT NULL
);

CREATE TABLE jobs (
    name TEXT NOT NULL PRIMARY KEY,
    due_at {time} NOT NULL
);
";

const DOWN: &str = "
DROP TABLE jobs;
DROP TABLE paces;
DROP TABLE breakers;
ALTER TABLE rides DROP COLUMN driver_since;
DROP INDEX outbox_expiring;
DROP INDEX outbox_due;
UPDATE outbox SET state = 'failed' WHERE state = 'expired';

{postgres} ALTER TABLE outbox DROP CONSTRAINT outbox_state_check;
{postgres} ALTER TABLE outbox ADD CONSTRAINT outbox_state_check
    CHECK (state IN ('owed', 'sent', 'delivered', 'undelivered', 'failed'));
{postgres} ALTER TABLE outbox DROP COLUMN probes;
{postgres} ALTER TABLE outbox DROP COLUMN slot_at;
{postgres} ALTER TABLE outbox DROP COLUMN expires_at;
{postgres} ALTER TABLE outbox DROP COLUMN number_id;
{postgres} ALTER TABLE outbox DROP COLUMN provider;

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
{sqlite} CREATE INDEX outbox_owed ON outbox (ride_id, to_role, seq) WHERE state = 'owed';
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'owed';
";
