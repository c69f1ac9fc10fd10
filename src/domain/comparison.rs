//! Comparing something that a caller chose with something that is stored. A client that may not see phones could guess
//! them that way, one comparison at a time, so how many it makes is limited.

use chrono::Duration;

use super::ids::{NumberId, PersonId};

/// The stored side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredSide {
    /// The phone of a person.
    Person(PersonId),
    /// The phones that hold a number.
    Number(NumberId),
    /// The phones of all people.
    Everybody,
    /// The phones of all people, by way of the simulator.
    Simulator,
    /// An earlier request under an idempotency key: this is a digest of operation and key, in hexadecimal.
    Request(String),
    /// The whole pool and everybody, in a dry run.
    DryRun,
}

impl StoredSide {
    /// How many different things one client may compare with it.
    pub fn allowance(&self) -> Allowance {
        match self {
            Self::DryRun => Allowance { most: 10, within: Duration::minutes(1) },
            _ => Allowance { most: 10, within: Duration::hours(1) },
        }
    }
}

impl std::fmt::Display for StoredSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(id) => write!(f, "person:{id}"),
            Self::Number(id) => write!(f, "number:{id}"),
            Self::Everybody => f.write_str("everybody"),
            Self::Simulator => f.write_str("simulator"),
            Self::Request(digest) => write!(f, "request:{digest}"),
            Self::DryRun => f.write_str("dry_run"),
        }
    }
}

/// A limit: this many within this time.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// How many.
    pub most: usize,
    /// In which time.
    pub within: Duration,
}

impl Allowance {
    /// The longest time that any subject's limit looks back.
    pub const LONGEST: Duration = Duration::hours(1);
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    /// The stored side.
    pub subject: StoredSide,
    /// Keyed digest of what the caller chose: equal for equal things, meaningless without the key.
    pub digest: Vec<u8>,
}
