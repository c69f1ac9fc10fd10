//! The ways out: all HTTP that we begin ourselves. None follows a redirect, and all have time-outs.
//!
//! To providers goes [`Transport`], to addresses that callers of ours may name a [`TargetCourier`], which looks at where
//! they lead.

mod providers;
mod targets;

pub use providers::{HttpTransport, Transport};
pub use targets::{TargetCourier, system_lookup};
