//! Maskline: masked calls and texts between the two people of a ride.
//!
//! `ARCHITECTURE.md` gives an overview of the code, and shows which module may import which.
//!
//! Public items are those that the binary and the integration tests need.

pub mod app;
pub mod cli;
pub mod config;
pub mod lifecycle;
pub mod telemetry;

mod domain;
mod http;
mod outbound;
mod provider;
mod service;
mod simulator;
mod store;
mod wakeup;
mod worker;

pub use domain::clock;
pub use service::Chance;
