//! The first schema: people, numbers, rides, bindings, texts, calls, inbox, outbox, clients.

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
CREATE TABLE people (
    id {id},
    role TEXT NOT NULL CHECK (role IN ('customer', 'driver')),
    name TEXT,
    name_key TEXT,
    phone_index {bytes},
    phone_sealed {bytes},
    language TEXT,
    external_id TEXT,
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time},
    CONSTRAINT people_are_whole_or_erased CHECK (
        (deleted_at IS NULL AND name IS NOT NULL AND phone_index IS NOT NULL AND phone_sealed IS NOT NULL)
        OR (deleted_at IS NOT NULL AND name IS NULL AND name_key IS NULL AND phone_index IS NULL
            AND phone_sealed IS NULL AND external_id IS NULL)
    )
);
CREATE UNIQUE INDEX people_external_id ON people (role, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX people_phone ON people (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX people_name ON people (role, name_key {prefix});

CREATE TABLE numbers (
    id {id},
    phone_number TEXT NOT NULL,
    match_key TEXT NOT NULL,
    provider TEXT NOT NULL,
    sms BOOLEAN NOT NULL,
    voice BOOLEAN NOT NULL,
    mms BOOLEAN NOT NULL,
    country TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'draining', 'suspended')),
    spread BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time}
);
CREATE UNIQUE INDEX numbers_match_key ON numbers (match_key);
CREATE INDEX numbers_assignable ON numbers (spread)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;

CREATE TABLE rides (
    id {id},
    customer_id BIGINT NOT NULL REFERENCES people (id),
    driver_id BIGINT NOT NULL REFERENCES people (id),
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    start TEXT NOT NULL,
    destination TEXT NOT NULL,
    datetime {time} NOT NULL,
    utc_offset_s INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('scheduled', 'in_progress', 'completed', 'cancelled')),
    ended_by TEXT CHECK (ended_by IN ('platform', 'timeout')),
    ended_at {time},
    timeout_at {time} NOT NULL,
    contact_until {time} NOT NULL,
    contact_floor {time},
    external_id TEXT,
    customer_seq BIGINT NOT NULL,
    driver_seq BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time},
    CONSTRAINT rides_end_whole CHECK (
        (status IN ('completed', 'cancelled')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_by IS NULL)
    )
);
CREATE UNIQUE INDEX rides_external_id ON rides (external_id) WHERE external_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX rides_customer ON rides (customer_id, id);
CREATE INDEX rides_driver ON rides (driver_id, id);
CREATE INDEX rides_number ON rides (number_id, id);
CREATE INDEX rides_timeout ON rides (timeout_at)
    WHERE status IN ('scheduled', 'in_progress') AND deleted_at IS NULL;

CREATE TABLE bindings (
    id {id},
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    phone_index {bytes} NOT NULL,
    ride_id BIGINT NOT NULL REFERENCES rides (id),
    role TEXT NOT NULL CHECK (role IN ('customer', 'driver')),
    contact_until {time} NOT NULL,
    barred_until {time} NOT NULL,
    CONSTRAINT bindings_bar_after_contact CHECK (barred_until >= contact_until)
);
CREATE UNIQUE INDEX bindings_number_phone ON bindings (number_id, phone_index);
CREATE UNIQUE INDEX bindings_ride ON bindings (ride_id, role);
CREATE INDEX bindings_phone ON bindings (phone_index, barred_until);
CREATE INDEX bindings_barred ON bindings (barred_until);

CREATE TABLE ride_events (
    id {id},
    ride_id BIGINT NOT NULL REFERENCES rides (id),
    event TEXT NOT NULL,
    at {time} NOT NULL
);
CREATE INDEX ride_events_ride ON ride_events (ride_id, id);

CREATE TABLE messages (
    id {id},
    ride_id BIGINT REFERENCES rides (id),
    kind TEXT NOT NULL CHECK (kind IN ('relay', 'notice', 'platform')),
    from_role TEXT CHECK (from_role IN ('customer', 'driver')),
    to_role TEXT CHECK (to_role IN ('customer', 'driver')),
    body_sealed {bytes},
    media_sealed {bytes},
    status TEXT NOT NULL,
    reason TEXT,
    provider TEXT NOT NULL,
    number_id BIGINT REFERENCES numbers (id),
    parts INTEGER NOT NULL,
    part_limit INTEGER NOT NULL,
    received_at {time},
    sent_at {time},
    delivered_at {time},
    possibly_duplicated BOOLEAN NOT NULL,
    created_at {time} NOT NULL
);
CREATE INDEX messages_ride ON messages (ride_id, id);
CREATE INDEX messages_status ON messages (status, id);

CREATE TABLE outbox (
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
CREATE UNIQUE INDEX outbox_conversation ON outbox (ride_id, to_role, seq);
CREATE UNIQUE INDEX outbox_reference ON outbox (reference);
CREATE INDEX outbox_message ON outbox (message_id);
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'owed';
CREATE INDEX outbox_owed ON outbox (ride_id, to_role, seq) WHERE state = 'owed';

CREATE TABLE calls (
    id {id},
    ride_id BIGINT REFERENCES rides (id),
    from_role TEXT CHECK (from_role IN ('customer', 'driver')),
    status TEXT NOT NULL,
    reason TEXT,
    provider TEXT NOT NULL,
    provider_call_id TEXT NOT NULL,
    number_id BIGINT REFERENCES numbers (id),
    started_at {time} NOT NULL,
    answered_at {time},
    ended_at {time},
    duration_s BIGINT
);
CREATE UNIQUE INDEX calls_provider ON calls (provider, provider_call_id);
CREATE INDEX calls_ride ON calls (ride_id, id);
CREATE INDEX calls_status ON calls (status, id);
CREATE INDEX calls_open ON calls (started_at) WHERE status IN ('connecting', 'ringing', 'answered');

CREATE TABLE inbox (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_key TEXT NOT NULL,
    received_at {time} NOT NULL,
    PRIMARY KEY (provider, kind, event_key)
);
CREATE INDEX inbox_received ON inbox (received_at);

CREATE TABLE clients (
    id {id},
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at {time} NOT NULL,
    revoked_at {time}
);
CREATE UNIQUE INDEX clients_client_id ON clients (client_id);

CREATE TABLE idempotency_keys (
    id {id},
    client_id BIGINT NOT NULL REFERENCES clients (id),
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint {bytes} NOT NULL,
    snapshot_sealed {bytes},
    created_at {time} NOT NULL
);
CREATE UNIQUE INDEX idempotency_keys_request ON idempotency_keys (client_id, operation, idempotency_key);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE key_checks (
    name TEXT NOT NULL PRIMARY KEY,
    value {bytes} NOT NULL
);

CREATE TABLE simulator_screens (
    id {id},
    phone_index {bytes} NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'call', 'announcement')),
    number_sealed {bytes} NOT NULL,
    body_sealed {bytes},
    at {time} NOT NULL
);
CREATE INDEX simulator_screens_phone ON simulator_screens (phone_index, id);
CREATE INDEX simulator_screens_at ON simulator_screens (at);
";

const DOWN: &str = "
DROP TABLE simulator_screens;
DROP TABLE key_checks;
DROP TABLE idempotency_keys;
DROP TABLE clients;
DROP TABLE inbox;
DROP TABLE calls;
DROP TABLE outbox;
DROP TABLE messages;
DROP TABLE ride_events;
DROP TABLE bindings;
DROP TABLE rides;
DROP TABLE numbers;
DROP TABLE people;
";
