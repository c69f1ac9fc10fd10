//! The words that people read and hear from us.

use chrono::{DateTime, FixedOffset};

use super::{
    person::Role,
    text::{Body, Name, Place},
};

/// Language of our announcements.
pub const ANNOUNCEMENT_LANGUAGE: &str = "en-GB";

/// What a caller hears whom we can connect to nobody.
pub const NO_CONTACT: &str =
    "This number cannot connect you at the moment. If your ride has ended, please contact us through the app.";

/// What a caller hears while we cannot look up their ride.
pub const OUT_OF_ORDER: &str = "We cannot connect your call right now. Please try again in a few minutes.";

/// What a caller hears whose other party did not pick up.
pub const NOT_REACHED: &str =
    "The other person cannot be reached at the moment. Please try again later, or send a text.";

/// What a notice of a ride is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The ride is agreed.
    Confirmation,
    /// Its time or a place is another.
    Change,
    /// Another driver comes.
    NewDriver,
    /// It goes over another number.
    NewNumber,
    /// Its number is out of service and no other is free: contact is closed.
    Stranded,
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

impl RideNotice<'_> {
    /// The text: who comes or waits, when in local time, and, the first time, how to reach them.
    pub fn text(&self) -> Body {
        let Self { about, name, other, start, destination, .. } = self;
        let when = self.datetime.format("%a %-d %b, %H:%M");
        let ride = match self.to {
            Role::Customer => format!("{other} picks you up at {start} on {when}, to {destination}."),
            Role::Driver => format!("{other} waits for you at {start} on {when}, to {destination}."),
        };
        Body::from_wire(&match about {
            About::Confirmation => {
                format!("Hello {name}. {ride} Reply to this text or call this number to reach {other}.")
            }
            About::Change => format!("Hello {name}. Your ride has changed: {ride}"),
            About::NewDriver => {
                format!(
                    "Hello {name}. {other} is your new driver. {ride} Reply to this text or call this number to reach {other}."
                )
            }
            About::NewNumber => {
                format!(
                    "Hello {name}. Your ride has a new number: reply to this text or call this number to reach {other}."
                )
            }
            About::Stranded => {
                format!(
                    "Hello {name}. The number of your ride is out of service, so you cannot reach {other} by it any more."
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_when_in_local_time_and_how() {
        let name = |text| Name::parse(text).expect("a name");
        let place = |text| Place::parse(text).expect("a place");
        let (ann, bob) = (name("Ann"), name("Bob"));
        let (start, destination) = (place("Dam 1"), place("Schiphol"));
        let datetime = DateTime::parse_from_rfc3339("2026-11-21T18:30:00+01:00").expect("a time");
        let confirmation = RideNotice {
            about: About::Confirmation,
            to: Role::Customer,
            name: &ann,
            other: &bob,
            start: &start,
            destination: &destination,
            datetime,
        };
        assert_eq!(
            confirmation.text().expose(),
            "Hello Ann. Bob picks you up at Dam 1 on Sat 21 Nov, 18:30, to Schiphol. \
             Reply to this text or call this number to reach Bob."
        );
        let change = RideNotice { about: About::Change, to: Role::Driver, name: &bob, other: &ann, ..confirmation };
        assert_eq!(
            change.text().expose(),
            "Hello Bob. Your ride has changed: Ann waits for you at Dam 1 on Sat 21 Nov, 18:30, to Schiphol."
        );
    }
}
