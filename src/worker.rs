//! Background work: each piece is a `tick` and a loop around it, so that tests drive it by hand.

pub mod call_polling;
pub mod deliveries;
pub mod events;
pub mod outbox;
pub mod presence;
pub mod upkeep;
