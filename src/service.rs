//! Use cases: every action that the platform, a provider or the clock can start.
//!
//! A use case is a function over the [`Context`]. It owns its transaction and enqueues its sends inside it. Nothing
//! here knows HTTP or SQL, and of providers only the trait. A use case imports functions of its siblings by name, so
//! the imports of a file list the use cases that it needs. Functions of the store keep their module's name.

pub mod assignment;
pub mod auth;
pub mod breakers;
pub mod call_polling;
pub mod calls;
mod chance;
pub mod comparisons;
mod context;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod health;
pub mod heartbeat;
mod in_hand;
pub mod intake;
pub mod intercept;
mod membership;
pub mod messages;
pub mod moves;
mod notices;
pub mod numbers;
pub mod once;
pub mod outbox;
mod outgoing;
pub mod people;
pub mod pool;
mod readiness;
mod relay;
mod reports;
pub mod rides;
mod routing;
mod strangers;
pub mod timeline;
mod tokens;
pub mod upkeep;
mod wrong_secrets;

pub use chance::{Chance, SystemChance, name as random_name};
pub use context::Context;
pub use endpoints::EndpointWithSecret;
pub use heartbeat::{Heartbeat, RENEW_EVERY};
pub use intake::Intake;
pub use once::{Once, RequestId};
pub use pool::{PoolGroup, PoolReport};
pub use readiness::NotReady;
pub use rides::DryRun;
pub use timeline::TimelineItem;
pub use upkeep::Job;
