-- One part of a text on its way to a provider; a long text has several. Kept with its text.
CREATE TABLE outbox (
    id {id},
    message_id BIGINT NOT NULL REFERENCES messages (id),
    -- The conversation that the part belongs to, and its position there. A text without a ride is in no conversation.
    ride_id BIGINT REFERENCES rides (id),
    to_role TEXT CHECK (to_role IN ('customer', 'driver')),
    seq BIGINT NOT NULL,
    -- Which part of the text it is, from 0, and the bytes of the body that it carries.
    part INTEGER NOT NULL,
    body_start INTEGER NOT NULL,
    body_end INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'sent', 'delivered', 'undelivered', 'failed', 'expired')),
    attempts INTEGER NOT NULL, -- also the guard of a claim
    probes INTEGER NOT NULL DEFAULT 0, -- attempts among these that only tested whether the provider works
    claimed_by BIGINT, -- the process that is sending it
    in_flight BOOLEAN NOT NULL, -- an attempt has begun, and its outcome is not known
    in_doubt BOOLEAN NOT NULL, -- an earlier attempt with an unknown outcome may have reached the recipient
    due_at {time} NOT NULL, -- a claimed part: the end of the lease
    slot_at {time}, -- the moment that is reserved for it within the rate limit of its number
    expires_at {time} NOT NULL,
    reference TEXT NOT NULL, -- ours, which delivery reports repeat
    provider_message_id TEXT,
    provider TEXT NOT NULL,
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    CONSTRAINT outbox_conversation_whole CHECK ((ride_id IS NULL) = (to_role IS NULL))
);
-- The rule: a position in a conversation is taken once.
CREATE UNIQUE INDEX outbox_conversation ON outbox (ride_id, to_role, seq);
-- The rule: a reference belongs to one part. store::outbox::report.
CREATE UNIQUE INDEX outbox_reference ON outbox (reference);
-- All parts of a text: store::outbox::derive, ::settle, ::expire and ::renew.
CREATE INDEX outbox_message ON outbox (message_id);
-- store::outbox::claim: due parts of one provider, earliest first. store::outbox::release.
CREATE INDEX outbox_due ON outbox (provider, due_at) WHERE state = 'pending';
-- Pending parts of a conversation, in order: store::outbox::claim (none may be claimed before the earliest),
-- ::inherit, ::bequeath, ::reroute and ::cut_off; store::arrivals::next_release.
CREATE INDEX outbox_conversation_pending ON outbox (ride_id, to_role, seq) WHERE state = 'pending';
-- store::outbox::overdue: pending parts that have expired.
CREATE INDEX outbox_expires_at ON outbox (expires_at) WHERE state = 'pending';
-- store::processes::release, ::release_lost and ::any_left: claims of one process.
CREATE INDEX outbox_claimed_by ON outbox (claimed_by) WHERE claimed_by IS NOT NULL;

-- How far the rate limit of a number or of a provider account is used up. Kept for good: there are as many as numbers
-- and accounts.
CREATE TABLE rate_limits (
    name TEXT NOT NULL PRIMARY KEY, -- `number:ID` or `account:PROVIDER`
    spent_until {time} NOT NULL
);

-- The circuit breaker of a provider that is down, or was: one row per provider, kept for good.
CREATE TABLE breakers (
    provider TEXT NOT NULL PRIMARY KEY,
    is_open BOOLEAN NOT NULL,
    since {time} NOT NULL, -- when it opened, or closed
    reason TEXT NOT NULL, -- why it is open, or was
    probe_at {time}, -- when the next probe may be sent
    failed_probes INTEGER NOT NULL,
    claimed_by BIGINT -- the process that is sending a probe
);
