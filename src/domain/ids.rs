//! Identifiers: one type per entity, so that a ride can never be looked up by a person's ID.

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
    /// Customer or driver. Both share one sequence, so an ID names one person in either role.
    PersonId,
    /// Proxy number.
    NumberId,
    RideId,
    /// Text, relayed or our own.
    MessageId,
    CallId,
    ClientId,
    /// One part of a text in the send queue.
    SendId,
    /// Event for the platform.
    EventId,
    EndpointId,
    /// Process that serves this database.
    ProcessId,
}
