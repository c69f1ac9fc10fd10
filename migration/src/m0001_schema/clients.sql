-- An API client. A revoked one keeps its row.
CREATE TABLE clients (
    id {id},
    client_id TEXT NOT NULL, -- the OAuth client_id
    name TEXT NOT NULL,
    secret_hash {bytes} NOT NULL,
    secret_version INTEGER NOT NULL DEFAULT 1,
    former_secret_hash {bytes}, -- the secret before the last rotation, which works until `former_secret_until`
    former_secret_until {time},
    scopes TEXT NOT NULL, -- with spaces between them
    created_at {time} NOT NULL,
    revoked_at {time}
);
-- The rule: a client_id is unique. store::clients::by_client_id.
CREATE UNIQUE INDEX clients_client_id ON clients (client_id);
-- store::clients::prune_secrets.
CREATE INDEX clients_former_secret ON clients (former_secret_until) WHERE former_secret_until IS NOT NULL;

-- The Idempotency-Key of a request that was answered, with the answer. Deleted after 24 hours.
CREATE TABLE idempotency_keys (
    id {id},
    client_id BIGINT NOT NULL REFERENCES clients (id),
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint {bytes} NOT NULL, -- keyed digest of the request's body
    response_sealed {bytes}, -- NULL only inside the transaction of the request
    created_at {time} NOT NULL
);
-- The rule: a key is used once per client and operation. store::idempotency::take and ::keep.
CREATE UNIQUE INDEX idempotency_keys_request ON idempotency_keys (client_id, operation, idempotency_key);
-- store::retention::prune.
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- A phone that a client compared with a stored one, as a keyed digest, to limit how many phones a client can guess;
-- or a dry run. Deleted after an hour.
CREATE TABLE comparisons (
    client_id BIGINT NOT NULL,
    subject TEXT NOT NULL, -- what it was compared with, such as `person:ID`
    digest {bytes} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (client_id, subject, digest)
);
-- store::retention::prune.
CREATE INDEX comparisons_at ON comparisons (at);
