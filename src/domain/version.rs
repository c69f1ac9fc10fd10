//! Versions of records, with which callers keep concurrent edits apart.

use super::error::{Error, Result};

/// The versions that an edit was made for (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Whichever is current.
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
