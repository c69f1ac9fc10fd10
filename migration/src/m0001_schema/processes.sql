-- A process that serves this database. Deleted by the process when it stops, or by another one that finds it dead.
CREATE TABLE processes (
    id BIGINT NOT NULL PRIMARY KEY,
    counter BIGINT NOT NULL, -- the heartbeat: a process whose counter stands still is dead
    started_at {time} NOT NULL
);

-- A periodic job, which one process runs in each period. Kept for good: there are as many as jobs. The row `probe` is
-- no job: store::jobs::probe writes it to see whether the database takes writes.
CREATE TABLE jobs (
    name TEXT NOT NULL PRIMARY KEY,
    due_at {time} NOT NULL,
    claimed_by BIGINT -- the process that ran it last, or runs it
);

-- Proof of a key that this database was sealed with. That of a data key is deleted when `maskline rekey` replaces the
-- key.
CREATE TABLE key_checks (
    name TEXT NOT NULL PRIMARY KEY, -- `index` or `data:KEY_ID`
    value {bytes} NOT NULL
);
