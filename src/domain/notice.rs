//! Notices that people read and announcements that they hear, in their language.
//!
//! Code names a [`RideNotice`] or an [`Announcement`]. The texts come from the template files in `templates/`, which
//! are compiled in, and from override files of the operator. A [`Catalogue`] holds all of them, parsed and complete.

mod catalogue;
mod country;
mod dates;
mod file;
mod locale;
mod phrase;
mod template;

use chrono::{DateTime, FixedOffset};

#[cfg(test)]
pub use self::template::MAX_UNITS;
pub use self::{
    catalogue::{Catalogue, CatalogueEntry, LanguageFile, Languages},
    locale::Locale,
};
use super::{
    person::Role,
    text::{Name, Place},
};

/// Subject of a ride notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The ride is agreed.
    Confirmation,
    /// The time or a place changed.
    Change,
    /// The driver changed.
    NewDriver,
    /// The number changed.
    NewNumber,
    /// Contact is closed, because the number is out of service and no other was free.
    Stranded,
}

/// Sentence that a caller hears instead of the other party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// There is nobody to connect them to.
    NoContact,
    /// We cannot look up their ride at the moment.
    OutOfOrder,
    /// The other party did not answer.
    NotReached,
}

/// Notice about a ride, for one party.
#[derive(Clone, Copy, Debug)]
pub struct RideNotice<'a> {
    pub about: About,
    /// Role of the reader.
    pub to: Role,
    /// Name of the reader.
    pub name: &'a Name,
    /// Name of the other party.
    pub other: &'a Name,
    pub start: &'a Place,
    pub destination: &'a Place,
    /// Time of the ride, with the local UTC offset.
    pub datetime: DateTime<FixedOffset>,
}

#[cfg(test)]
mod tests;
