-- An entry on the screen of a simulated phone. Deleted after a week.
CREATE TABLE simulator_screens (
    id {id},
    phone_index {bytes} NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'call', 'announcement')),
    number_sealed {bytes} NOT NULL,
    body_sealed {bytes},
    at {time} NOT NULL
);
-- store::simulator::screen.
CREATE INDEX simulator_screens_phone ON simulator_screens (phone_index, id);
-- store::retention::prune.
CREATE INDEX simulator_screens_at ON simulator_screens (at);
