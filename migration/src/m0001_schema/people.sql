-- A customer or driver; both roles share one sequence of ids. Erasure empties every personal column and keeps the
-- row, as rides refer to it.
CREATE TABLE people (
    id {id},
    role TEXT NOT NULL CHECK (role IN ('customer', 'driver')),
    name TEXT,
    name_key TEXT, -- the name in lower case, for searches
    phone_index {bytes}, -- keyed digest of the phone, for look-ups
    phone_sealed {bytes},
    language TEXT,
    external_id TEXT, -- the platform's ID
    version BIGINT NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    deleted_at {time},
    CONSTRAINT people_are_whole_or_erased CHECK (
        (deleted_at IS NULL AND name IS NOT NULL AND phone_index IS NOT NULL AND phone_sealed IS NOT NULL)
        OR (deleted_at IS NOT NULL AND name IS NULL AND name_key IS NULL AND phone_index IS NULL
            AND phone_sealed IS NULL AND external_id IS NULL)
    )
);
-- The rule: one person per role and external ID. store::people::find_external_locked, and ::list by external ID.
CREATE UNIQUE INDEX people_external_id ON people (role, external_id) WHERE external_id IS NOT NULL;
-- store::people::with_phone and ::phone_is_known; store::routing::look_up, for the language of a phone.
CREATE INDEX people_phone ON people (phone_index) WHERE phone_index IS NOT NULL;
-- store::people::list: names that start with a prefix.
CREATE INDEX people_name ON people (role, name_key {prefix});
