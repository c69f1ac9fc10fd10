//! Tables as SeaORM sees them, one file each. Private to the store: what leaves it is a domain type.

pub(super) mod bindings;
pub(super) mod calls;
pub(super) mod clients;
pub(super) mod event_attempts;
pub(super) mod event_endpoints;
pub(super) mod event_retries;
pub(super) mod messages;
pub(super) mod numbers;
pub(super) mod outbox;
pub(super) mod people;
pub(super) mod ride_events;
pub(super) mod rides;
pub(super) mod simulator_screens;
