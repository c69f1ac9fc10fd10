-- An event for the platform. It is stored in the transaction of its cause and gets its position in the log after the
-- commit, so that a reader that goes by position misses no event that commits late. Deleted after EVENT_RETENTION.
CREATE TABLE events (
    id {id},
    position BIGINT,
    type TEXT NOT NULL,
    ride_id BIGINT,
    data TEXT NOT NULL, -- JSON
    at {time} NOT NULL
);
-- The rule: a position is given once. store::events::after and ::list.
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
-- store::events::any_without_position and ::assign_positions: events that wait for their position.
CREATE INDEX events_without_position ON events (id) WHERE position IS NULL;
-- store::events::list by ride.
CREATE INDEX events_ride ON events (ride_id, position) WHERE ride_id IS NOT NULL;
-- store::events::after and ::list by type.
CREATE INDEX events_type ON events (type, position) WHERE position IS NOT NULL;
-- store::retention::prune.
CREATE INDEX events_at ON events (at);

-- One row for good: the last position that was given. Its lock makes positions be given by one transaction at a time.
CREATE TABLE event_sequence (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last_position BIGINT NOT NULL
);
INSERT INTO event_sequence (id, last_position) VALUES (1, 0);
