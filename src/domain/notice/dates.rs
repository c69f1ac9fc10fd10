//! How a language writes the time of a ride.

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};

use super::template::Template;
use crate::domain::words::words;

words! {
    /// What can be put into a time in words.
    DatePart {
        /// The day of the week.
        Weekday = "weekday",
        /// The day of the month.
        Day = "day",
        /// The month.
        Month = "month",
        /// The hour, of 24, in two digits.
        Hour = "hour",
        /// The minute, in two digits.
        Minute = "minute",
    }
}

impl DatePart {
    /// All of them, by name.
    pub(super) fn variables() -> Vec<(&'static str, Self)> {
        Self::ALL.iter().map(|part| (part.as_str(), *part)).collect()
    }
}

/// Days of a week.
pub(super) const WEEKDAYS: usize = 7;
/// Months of a year.
pub(super) const MONTHS: usize = 12;

/// A language's names of days and months, and how a time is made of them.
#[derive(Clone, Debug)]
pub(super) struct Dates {
    /// Monday first.
    pub(super) weekdays: [String; WEEKDAYS],
    pub(super) months: [String; MONTHS],
    pub(super) when: Template<DatePart>,
}

impl Dates {
    /// A time in words, on the clock of its place.
    pub(super) fn write(&self, time: DateTime<FixedOffset>) -> String {
        let day = time.day().to_string();
        let (hour, minute) = (format!("{:02}", time.hour()), format!("{:02}", time.minute()));
        self.when.render(|part| match part {
            DatePart::Weekday => &self.weekdays[time.weekday().num_days_from_monday() as usize],
            DatePart::Day => &day,
            DatePart::Month => &self.months[time.month0() as usize],
            DatePart::Hour => &hour,
            DatePart::Minute => &minute,
        })
    }
}
