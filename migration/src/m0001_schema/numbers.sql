-- A proxy number of the pool. A deleted one keeps its row, and is revived when it is added again.
CREATE TABLE numbers (
    id {id},
    phone_number TEXT NOT NULL,
    match_key TEXT NOT NULL, -- the form in which variants of one number are equal
    provider TEXT NOT NULL,
    sms BOOLEAN NOT NULL,
    voice BOOLEAN NOT NULL,
    mms BOOLEAN NOT NULL,
    country TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'draining', 'suspended')),
    ring_position BIGINT NOT NULL, -- the ID with its bits reversed: spreads the numbers evenly over a ring
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time}
);
-- The rule: a number is in the pool once. store::numbers::is_pooled and ::ours_among; store::routing::look_up.
CREATE UNIQUE INDEX numbers_match_key ON numbers (match_key);
-- store::pool::limit: whether any number has this status and provider; store::rides::on_suspended_numbers.
CREATE INDEX numbers_status ON numbers (status, provider) WHERE deleted_at IS NULL;
-- store::pool::choose: the next number of a provider on the ring. Also store::pool::sender.
CREATE INDEX numbers_assignable ON numbers (provider, ring_position)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;
-- store::pool::choose: the same within a country. Also store::pool::limit.
CREATE INDEX numbers_assignable_country ON numbers (provider, country, ring_position)
    WHERE status = 'active' AND sms AND voice AND deleted_at IS NULL;

-- One row for good: the fill level of the pool that was last announced to the platform.
CREATE TABLE pool_level (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    level TEXT NOT NULL CHECK (level IN ('enough', 'low', 'depleted')),
    since {time}
);
INSERT INTO pool_level (id, level) VALUES (1, 'enough');
