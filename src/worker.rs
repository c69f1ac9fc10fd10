//! Background workers: each is a `tick` and a loop around it, so that tests can drive it by hand.

pub mod call_polling;
pub mod deliveries;
pub mod events;
pub mod heartbeat;
pub mod outbox;
pub mod upkeep;
