//! For platform events: the log, the endpoints that read it, what is to be tried again there, and what came of each attempt.
//! Beside them what the log must say once, whoever notices first: that contact of a ride closed, that the pool is low.
//!
//! An event is stored in the transaction of its cause, without a position; it gets one when that is committed. So a reader
//! who goes by position passes over nothing that commits late, as one who went by id would.
//!
//! Attempts outlive their endpoint and go by age alone: a month of them does not go in one transaction.

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
CREATE TABLE events (
    id {id},
    position BIGINT,
    type TEXT NOT NULL,
    ride_id BIGINT,
    data TEXT NOT NULL,
    at {time} NOT NULL
);
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_unplaced ON events (id) WHERE position IS NULL;
CREATE INDEX events_ride ON events (ride_id, position) WHERE ride_id IS NOT NULL;
CREATE INDEX events_type ON events (type, position) WHERE position IS NOT NULL;
CREATE INDEX events_at ON events (at);

CREATE TABLE event_log (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last_position BIGINT NOT NULL
);
INSERT INTO event_log (id, last_position) VALUES (1, 0);

CREATE TABLE event_endpoints (
    id {id},
    url TEXT NOT NULL,
    description TEXT,
    types TEXT,
    include_text BOOLEAN NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
    disabled_reason TEXT,
    secret_sealed {bytes} NOT NULL,
    former_secret_sealed {bytes},
    former_secret_until {time},
    position BIGINT NOT NULL,
    failures INTEGER NOT NULL,
    failing_since {time},
    is_slow BOOLEAN NOT NULL,
    due_at {time} NOT NULL,
    claim INTEGER NOT NULL,
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
CREATE INDEX event_endpoints_due ON event_endpoints (due_at) WHERE status = 'enabled';

CREATE TABLE event_retries (
    endpoint_id BIGINT NOT NULL REFERENCES event_endpoints (id) ON DELETE CASCADE,
    event_id BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'dead')),
    attempts INTEGER NOT NULL,
    first_at {time} NOT NULL,
    due_at {time} NOT NULL,
    PRIMARY KEY (endpoint_id, event_id)
);
CREATE INDEX event_retries_due ON event_retries (endpoint_id, due_at) WHERE state = 'owed';

CREATE TABLE event_attempts (
    id {id},
    endpoint_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    at {time} NOT NULL,
    status INTEGER,
    failure TEXT,
    duration_ms BIGINT NOT NULL
);
CREATE INDEX event_attempts_event ON event_attempts (event_id, id);
CREATE INDEX event_attempts_endpoint ON event_attempts (endpoint_id, id);
CREATE INDEX event_attempts_at ON event_attempts (at);

CREATE TABLE pool_level (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    level TEXT NOT NULL CHECK (level IN ('enough', 'low', 'depleted')),
    since {time}
);
INSERT INTO pool_level (id, level) VALUES (1, 'enough');

ALTER TABLE rides ADD COLUMN closing_told BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE rides SET closing_told = TRUE WHERE status IN ('completed', 'cancelled') OR deleted_at IS NOT NULL;
CREATE INDEX rides_closing ON rides (contact_until) WHERE NOT closing_told;
";

const DOWN: &str = "
DROP INDEX rides_closing;
ALTER TABLE rides DROP COLUMN closing_told;
DROP TABLE pool_level;
DROP TABLE event_attempts;
DROP TABLE event_retries;
DROP TABLE event_endpoints;
DROP TABLE event_log;
DROP TABLE events;
";
