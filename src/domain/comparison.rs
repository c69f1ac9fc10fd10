//! Comparisons between a value that a caller chose and a stored one. A client that may not see phones could use them to
//! guess phones one at a time, so comparisons are limited.

use chrono::Duration;

use super::ids::{NumberId, PersonId};

/// Stored side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredSide {
    /// Phone of a person.
    Person(PersonId),
    /// Phones that hold a number.
    Number(NumberId),
    /// Phones of all people.
    Everybody,
    /// Phones of all people, compared through the simulator.
    Simulator,
    /// Earlier request with an idempotency key. The string is a digest of operation and key, in hexadecimal.
    Request(String),
    /// The whole pool and everybody, in a dry run.
    DryRun,
}

impl StoredSide {
    /// Returns how many different values one client may compare with it.
    pub fn limit(&self) -> ComparisonLimit {
        match self {
            Self::DryRun => ComparisonLimit { most: 10, within: Duration::minutes(1) },
            _ => ComparisonLimit { most: 10, within: Duration::hours(1) },
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

/// Rate limit: `most` comparisons `within` this time.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonLimit {
    pub most: usize,
    pub within: Duration,
}

impl ComparisonLimit {
    /// Longest period of any limit.
    pub const LONGEST: Duration = Duration::hours(1);
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    pub subject: StoredSide,
    /// Keyed digest of the caller's value: equal for equal values, meaningless without the key.
    pub digest: Vec<u8>,
}
