-- An address to which events are posted. Deleted by its client, together with its retries.
CREATE TABLE event_endpoints (
    id {id},
    client_id BIGINT, -- the row in `clients` of the client that owns it
    url TEXT NOT NULL,
    description TEXT,
    types TEXT, -- event types with spaces between them; NULL: all
    include_text BOOLEAN NOT NULL, -- events about texts contain the text
    status TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
    disabled_reason TEXT,
    secret_sealed {bytes} NOT NULL,
    former_secret_sealed {bytes}, -- the secret before the last rotation, which signs too until `former_secret_until`
    former_secret_until {time},
    position BIGINT NOT NULL, -- the last position in the log that was delivered, or set aside as a retry
    failures INTEGER NOT NULL, -- in a row
    failing_since {time},
    is_slow BOOLEAN NOT NULL, -- the last delivery took long
    due_at {time} NOT NULL, -- a claimed endpoint: the end of the lease
    claim_number INTEGER NOT NULL, -- counts claims, and is their guard
    claimed_by BIGINT, -- the process that is delivering to it
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
-- store::deliveries::claim: endpoints that are due, earliest first.
CREATE INDEX event_endpoints_due ON event_endpoints (due_at) WHERE status = 'enabled';

-- An event that an endpoint did not accept, or is to get again. Deleted when it is accepted, with its endpoint, or
-- after its event.
CREATE TABLE event_retries (
    endpoint_id BIGINT NOT NULL REFERENCES event_endpoints (id) ON DELETE CASCADE,
    event_id BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'dead')),
    attempts INTEGER NOT NULL,
    first_at {time} NOT NULL, -- the first attempt, or the request to deliver it again
    due_at {time} NOT NULL,
    PRIMARY KEY (endpoint_id, event_id)
);
-- store::deliveries::due, and ::claim: whether an endpoint has a retry that is due.
CREATE INDEX event_retries_due ON event_retries (endpoint_id, due_at) WHERE state = 'pending';

-- An attempt to deliver an event. Deleted after 30 days; it outlives its endpoint.
CREATE TABLE event_attempts (
    id {id},
    endpoint_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    at {time} NOT NULL,
    status INTEGER, -- HTTP status of the answer
    failure TEXT,
    duration_ms BIGINT NOT NULL
);
-- store::deliveries::list_attempts by event.
CREATE INDEX event_attempts_event ON event_attempts (event_id, id);
-- store::deliveries::list_attempts by endpoint.
CREATE INDEX event_attempts_endpoint ON event_attempts (endpoint_id, id);
-- store::retention::prune.
CREATE INDEX event_attempts_at ON event_attempts (at);
