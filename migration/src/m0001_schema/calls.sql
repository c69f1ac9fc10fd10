-- A call to a proxy number. Kept for good.
CREATE TABLE calls (
    id {id},
    ride_id BIGINT REFERENCES rides (id),
    from_role TEXT CHECK (from_role IN ('customer', 'driver')),
    status TEXT NOT NULL,
    reason TEXT, -- why it was not connected to the other party
    provider TEXT NOT NULL,
    provider_call_id TEXT NOT NULL,
    number_id BIGINT REFERENCES numbers (id),
    started_at {time} NOT NULL,
    answered_at {time},
    ended_at {time},
    duration_s BIGINT,
    poll_at {time}, -- when to ask the provider for the status of a call that it has not reported as ended
    claimed_by BIGINT -- the process that is asking
);
-- The rule: a provider's call is stored once. store::calls::find and ::find_locked; store::routing::call_party.
CREATE UNIQUE INDEX calls_provider ON calls (provider, provider_call_id);
-- store::calls::of_ride, and ::list by ride.
CREATE INDEX calls_ride ON calls (ride_id, id);
-- store::calls::list by status.
CREATE INDEX calls_status ON calls (status, id);
-- store::calls::close_unreported: open calls that began too long ago, oldest first.
CREATE INDEX calls_open ON calls (started_at) WHERE status IN ('connecting', 'ringing', 'answered');
-- store::calls::take_due_polls: calls to ask about, earliest first.
CREATE INDEX calls_poll_at ON calls (poll_at) WHERE poll_at IS NOT NULL;
-- store::processes::release and ::any_left: claims of one process.
CREATE INDEX calls_claimed_by ON calls (claimed_by) WHERE claimed_by IS NOT NULL;
