//! Versions of records, which prevent lost updates by concurrent edits.

use super::error::{Error, Result};

/// Versions for which an edit was made (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Whatever version is current.
    Any,
    /// One of these; none if the list is empty.
    OneOf(Vec<i64>),
}

impl ExpectedVersion {
    /// Refuses an edit of a record that has another version.
    pub fn require(&self, current: i64) -> Result<()> {
        match self {
            Self::OneOf(versions) if !versions.contains(&current) => Err(Error::Stale),
            Self::Any | Self::OneOf(_) => Ok(()),
        }
    }
}
