//! The schema of 0.1.0, a file per subject. A table stands behind those that it refers to.

pub(crate) const UP: &[&str] = &[
    include_str!("m0001_schema/people.sql"),
    include_str!("m0001_schema/numbers.sql"),
    include_str!("m0001_schema/rides.sql"),
    include_str!("m0001_schema/bindings.sql"),
    include_str!("m0001_schema/messages.sql"),
    include_str!("m0001_schema/outbox.sql"),
    include_str!("m0001_schema/calls.sql"),
    include_str!("m0001_schema/inbox.sql"),
    include_str!("m0001_schema/events.sql"),
    include_str!("m0001_schema/endpoints.sql"),
    include_str!("m0001_schema/clients.sql"),
    include_str!("m0001_schema/processes.sql"),
    include_str!("m0001_schema/simulator.sql"),
];

pub(crate) const DOWN: &[&str] = &[include_str!("m0001_schema/drop.sql")];
