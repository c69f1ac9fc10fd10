//! Versions of records, with which callers keep concurrent edits apart.

/// The versions that an edit was made for (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Whichever is current.
    Any,
    /// One of these; none if the list is empty.
    OneOf(Vec<i64>),
}

impl ExpectedVersion {
    /// Whether a record of this version may be edited.
    pub fn admits(&self, current: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&current),
        }
    }
}
