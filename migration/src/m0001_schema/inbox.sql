-- The key of a provider's webhook event that took effect, so that a repeat has none. Deleted after `keep_until`.
CREATE TABLE inbox (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_key TEXT NOT NULL,
    received_at {time} NOT NULL,
    keep_until {time}, -- NULL: a week after `received_at`
    PRIMARY KEY (provider, kind, event_key)
);
-- store::inbox::prune.
CREATE INDEX inbox_keep_until ON inbox (keep_until) WHERE keep_until IS NOT NULL;
-- store::inbox::prune: rows without `keep_until`.
CREATE INDEX inbox_received_at ON inbox (received_at) WHERE keep_until IS NULL;
