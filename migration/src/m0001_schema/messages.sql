-- A text: a relay that one party wrote, a notice of ours, or a text of the platform. Kept for good, with its content
-- sealed.
CREATE TABLE messages (
    id {id},
    ride_id BIGINT REFERENCES rides (id), -- NULL: it belongs to no ride
    kind TEXT NOT NULL CHECK (kind IN ('relay', 'notice', 'platform')),
    from_role TEXT CHECK (from_role IN ('customer', 'driver')),
    to_role TEXT CHECK (to_role IN ('customer', 'driver')),
    body_sealed {bytes},
    media_sealed {bytes}, -- addresses of pictures
    phone_sealed {bytes}, -- the recipient of a text without a ride, until no part of it is pending
    status TEXT NOT NULL, -- derived from the states of its parts in the outbox
    reason TEXT,
    provider_status INTEGER, -- HTTP status of the provider's answer to the last send that failed
    provider TEXT NOT NULL,
    number_id BIGINT REFERENCES numbers (id),
    parts INTEGER NOT NULL, -- how many parts it has in the outbox
    media_limit INTEGER NOT NULL DEFAULT 0, -- the most pictures in a part; 0: pictures are dropped
    ignores_window BOOLEAN NOT NULL DEFAULT FALSE, -- it is sent from `number_id` even if contact is closed
    received_at {time},
    sent_at {time},
    delivered_at {time},
    possibly_duplicated BOOLEAN NOT NULL,
    created_at {time} NOT NULL
);
-- store::messages::of_ride, and ::list by ride.
CREATE INDEX messages_ride ON messages (ride_id, id);
-- store::messages::list by status.
CREATE INDEX messages_status ON messages (status, id);

-- A relay that has arrived while the platform is asked whether it may pass. It keeps the text's position in the
-- conversation, and later texts wait for it. Deleted when the text is taken, or a day after `held_until`.
CREATE TABLE arrivals (
    provider TEXT NOT NULL,
    event_key TEXT NOT NULL, -- the same as in `inbox`
    ride_id BIGINT NOT NULL REFERENCES rides (id) ON DELETE CASCADE,
    to_role TEXT NOT NULL CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL, -- the first of the positions that are reserved for the parts of the text
    held_after_seq BIGINT NOT NULL, -- parts behind this position wait,
    held_until {time} NOT NULL, -- and no longer than until then
    arrived_at {time} NOT NULL,
    PRIMARY KEY (provider, event_key)
);
-- store::outbox::claim: whether an arrival holds a part back. store::arrivals::positions.
CREATE INDEX arrivals_conversation ON arrivals (ride_id, to_role);
-- store::arrivals::next_release and store::retention::prune.
CREATE INDEX arrivals_held_until ON arrivals (held_until);

-- The last automatic answer of a number to a phone without a ride, so that a phone gets one a day. Deleted after
-- that.
CREATE TABLE auto_replies (
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    phone_index {bytes} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (number_id, phone_index)
);
-- store::retention::prune.
CREATE INDEX auto_replies_at ON auto_replies (at);
