//! Maskline: masked calls and texts between the two people of a ride.
//!
//! `ARCHITECTURE.md` is the map of the house. The rooms, and which may know which:
//!
//! ```text
//! main -> cli -> app -> everything
//! http, worker, simulator -> service, domain (webhooks and the simulator also provider)
//! service -> store, provider (trait and registry), domain
//! store, provider -> domain -> nothing of ours
//!
//! The store's filters and the simulator's screen entries are plain data: http names them too.
//! ```
//!
//! What is public here is what the binary and the integration tests need.

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
