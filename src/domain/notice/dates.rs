//! How a language writes the time of a ride.

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};

use super::template::Template;
use crate::domain::string_enum::string_enum;

string_enum! {
    /// Variable in the template of a time.
    DatePart {
        /// Day of the week.
        Weekday = "weekday",
        /// Day of the month.
        Day = "day",
        Month = "month",
        /// Hour in the 24-hour clock, in two digits.
        Hour = "hour",
        /// Minute, in two digits.
        Minute = "minute",
    }
}

impl DatePart {
    /// Lists all parts by name.
    pub(super) fn variables() -> Vec<(&'static str, Self)> {
        Self::ALL.iter().map(|part| (part.as_str(), *part)).collect()
    }
}

pub(super) const WEEKDAYS: usize = 7;
pub(super) const MONTHS: usize = 12;

/// Names of days and months in a language, and the template of a time.
#[derive(Clone, Debug)]
pub(super) struct Dates {
    /// Monday first.
    pub(super) weekdays: [String; WEEKDAYS],
    pub(super) months: [String; MONTHS],
    pub(super) when: Template<DatePart>,
}

impl Dates {
    /// Writes a time out, in local time.
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
