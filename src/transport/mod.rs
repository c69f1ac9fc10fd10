//! The ways out: all HTTP that we begin ourselves. None follows a redirect, and all have time-outs.
//!
//! To providers goes [`Transport`], to addresses that callers of ours may name a [`TargetCourier`], which looks at where
//! they lead, to the one that the operator configured to be asked an [`InterceptCourier`].

mod intercept;
mod posting;
mod providers;
mod targets;

pub use intercept::InterceptCourier;
pub use providers::{HttpTransport, Transport};
pub use targets::{TargetCourier, system_lookup};
