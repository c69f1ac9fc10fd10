-- The key of a provider's webhook event that took effect, so that a repeat has none. Deleted after `keep_until`.
CREATE TABLE inbox (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_key TEXT NOT NULL,
    keep_until {time} NOT NULL,
    PRIMARY KEY (provider, kind, event_key)
);
-- store::retention::prune.
CREATE INDEX inbox_keep_until ON inbox (keep_until);
