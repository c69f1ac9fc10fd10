//! Identifiers: one type per thing, so that a ride can never be looked up by a person's id.

use std::{fmt, num::ParseIntError, str::FromStr};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A customer or a driver. Both come from one sequence, so an id names one person whatever the role.
    PersonId,
    /// A proxy number.
    NumberId,
    /// A ride.
    RideId,
    /// A text, relayed or our own.
    MessageId,
    /// A call.
    CallId,
    /// An API client.
    ClientId,
    /// One part of a text that we owe a provider.
    SendId,
    /// A platform event.
    EventId,
    /// An event endpoint.
    EndpointId,
    /// A process that serves this database.
    ProcessId,
}
