//! Maskline: masked calls and texts between the two people of a ride.
//!
//! `ARCHITECTURE.md` gives an overview of the code. The modules, and what each may depend on:
//!
//! ```text
//! main -> cli -> app -> everything
//! http, worker, simulator -> service, domain (webhooks and the simulator also provider)
//! service -> store, provider (trait and registry), domain
//! store, provider -> domain -> no other module
//!
//! The store's filters and the simulator's screen entries are plain data, so http may name them too.
//! ```
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
