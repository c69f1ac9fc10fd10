//! The words that people read and hear from us, in their language.
//!
//! Code names a [`RideNotice`] or an [`Announcement`]; the words come from the template files of `templates/`, which
//! are compiled in, and from those that an operator lays over them. A [`Catalogue`] holds them parsed and whole.

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
    catalogue::{Catalogue, LanguageFile, Languages, Words},
    locale::Locale,
};
use super::{
    person::Role,
    text::{Name, Place},
};

/// What a notice of a ride is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The ride is agreed.
    Confirmation,
    /// Its time or a place is another.
    Change,
    /// Another driver comes.
    NewDriver,
    /// Its number is another.
    NewNumber,
    /// Contact is closed, because its number is out of service and there was no other.
    Stranded,
}

/// What a caller hears instead of the other party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// We can connect them to nobody.
    NoContact,
    /// We cannot look up their ride now.
    OutOfOrder,
    /// The other party did not pick up.
    NotReached,
}

/// What a party is told of a ride.
#[derive(Clone, Copy, Debug)]
pub struct RideNotice<'a> {
    /// What it is about.
    pub about: About,
    /// Who reads it.
    pub to: Role,
    /// The reader's name.
    pub name: &'a Name,
    /// The other party's name.
    pub other: &'a Name,
    /// Where the ride starts.
    pub start: &'a Place,
    /// Where it ends.
    pub destination: &'a Place,
    /// When, with the offset of the place.
    pub datetime: DateTime<FixedOffset>,
}

#[cfg(test)]
mod tests;
