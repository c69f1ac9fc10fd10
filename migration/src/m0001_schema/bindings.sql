-- A number held by the phone of one party of a ride: when this phone contacts this number, it reaches the other
-- party. Deleted when its cool-down is over, at `barred_until`, or when a later ride of the same two phones takes the
-- number over.
CREATE TABLE bindings (
    id {id},
    number_id BIGINT NOT NULL REFERENCES numbers (id),
    phone_index {bytes} NOT NULL,
    ride_id BIGINT NOT NULL REFERENCES rides (id),
    role TEXT NOT NULL CHECK (role IN ('customer', 'driver')),
    contact_until {time} NOT NULL,
    barred_until {time} NOT NULL, -- until then, the phone and the number get no other binding
    retired BOOLEAN NOT NULL DEFAULT FALSE, -- the party has another phone or number by now, or is another person
    CONSTRAINT bindings_bar_after_contact CHECK (barred_until >= contact_until)
);
-- The rule that keeps two rides apart: a phone holds a number once, be it open or cooling down.
-- store::routing::look_up, store::pool::choose, store::bindings::open_rides.
CREATE UNIQUE INDEX bindings_number_phone ON bindings (number_id, phone_index);
-- The rule: a party of a ride has one binding that is not retired. store::bindings::retire, ::set_window,
-- ::number_of.
CREATE UNIQUE INDEX bindings_ride ON bindings (ride_id, role) WHERE NOT retired;
-- What a phone holds: store::bindings::release_expired and ::former_of_pair, store::pool::limit,
-- store::outbox::resolve.
CREATE INDEX bindings_phone ON bindings (phone_index, barred_until);
-- store::retention::prune.
CREATE INDEX bindings_barred ON bindings (barred_until);
