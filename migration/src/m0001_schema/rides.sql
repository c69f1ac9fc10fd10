-- A ride. A deleted one keeps its row.
CREATE TABLE rides (
    id {id},
    customer_id BIGINT NOT NULL REFERENCES people (id),
    driver_id BIGINT NOT NULL REFERENCES people (id),
    driver_changed_at {time}, -- when the ride last got another driver; NULL if it never did
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    start TEXT NOT NULL,
    destination TEXT NOT NULL,
    datetime {time} NOT NULL,
    utc_offset_s INTEGER NOT NULL, -- the offset in which the platform gave `datetime`
    status TEXT NOT NULL CHECK (status IN ('scheduled', 'in_progress', 'completed', 'cancelled')),
    ended_by TEXT CHECK (ended_by IN ('platform', 'timeout')),
    ended_at {time},
    timeout_at {time} NOT NULL, -- a ride that the platform has not ended by then is completed
    max_duration_s BIGINT, -- the ride's own limit; NULL: the configured one
    grace_s BIGINT, -- the ride's own time of contact after its end; NULL: the configured one
    contact_until {time} NOT NULL,
    -- Contact that an earlier ride of the same two people left to this one when it took over that ride's number. All
    -- NULL without it.
    inherited_contact_until {time},
    inherited_from_ride_id BIGINT,
    own_contact_until {time}, -- when contact would close without it
    closed_reason TEXT CHECK (closed_reason IN ('number_suspended')), -- why contact closed early
    closing_announced BOOLEAN NOT NULL DEFAULT FALSE, -- the event about the end of contact is recorded
    external_id TEXT, -- the platform's ID
    customer_seq BIGINT NOT NULL, -- the last position taken in the customer's conversation
    driver_seq BIGINT NOT NULL, -- the same for the driver
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time},
    CONSTRAINT rides_end_whole CHECK (
        (status IN ('completed', 'cancelled')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_by IS NULL)
    )
);
-- The rule: one ride per external ID. store::rides::list by external ID.
CREATE UNIQUE INDEX rides_external_id ON rides (external_id) WHERE external_id IS NOT NULL AND deleted_at IS NULL;
-- store::rides::list by customer, ::has_open_contact and ::with_open_contact.
CREATE INDEX rides_customer ON rides (customer_id, id);
-- The same by driver.
CREATE INDEX rides_driver ON rides (driver_id, id);
-- store::rides::list by number; store::numbers::with_usage: the latest ride of a number.
CREATE INDEX rides_number ON rides (number_id, id);
-- store::rides::overdue.
CREATE INDEX rides_timeout ON rides (timeout_at)
    WHERE status IN ('scheduled', 'in_progress') AND deleted_at IS NULL;
-- store::rides::list: rides whose number was suspended while no other one was free.
CREATE INDEX rides_stranded ON rides (id) WHERE closed_reason = 'number_suspended' AND deleted_at IS NULL;
-- store::rides::announce_closings: rides whose contact has closed without an event about it, earliest first.
CREATE INDEX rides_closing ON rides (contact_until) WHERE NOT closing_announced;

-- An entry of a ride's timeline. Kept with its ride.
CREATE TABLE ride_events (
    id {id},
    ride_id BIGINT NOT NULL REFERENCES rides (id),
    event TEXT NOT NULL,
    at {time} NOT NULL
);
-- store::rides::events.
CREATE INDEX ride_events_ride ON ride_events (ride_id, id);
