//! The few telephone lines of a world: so few that they meet all the time.

use std::ops::Range;

/// One line, however it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(usize);

/// Every spelling of every line, with the country of its numbering plan.
const LINES: [(&[&str], &str); 19] = [
    (&["+31612345600"], "NL"),
    (&["+31612345601"], "NL"),
    (&["+31612345602"], "NL"),
    (&["+31612345603"], "NL"),
    (&["+31612345604"], "NL"),
    (&["+31612345605"], "NL"),
    (&["+31612345606"], "NL"),
    (&["+32470123450"], "BE"),
    (&["+32470123451"], "BE"),
    (&["+12025550123"], "US"),
    // A mobile line of Argentina is written with and without its 9.
    (&["+5491123456789", "+541123456789"], "AR"),
    // This one is now a person's, now the pool's.
    (&["+3197010200010"], "NL"),
    (&["+3197010200011"], "NL"),
    (&["+3197010200012"], "NL"),
    (&["+3197010200013"], "NL"),
    (&["+32470999001"], "BE"),
    (&["+32470999002"], "BE"),
    // Never anybody's of ours.
    (&["+31699999999"], "NL"),
    (&["+3197010299999"], "NL"),
];

/// Lines that people can have.
pub const PHONES: Range<usize> = 0..12;
/// Lines that the pool can have.
pub const POOL: Range<usize> = 11..17;
/// A caller whom nobody knows.
pub const STRANGER: Line = Line(17);
/// A number that was never in the pool.
pub const ELSEWHERE: Line = Line(18);

impl Line {
    /// The line at this place of the list.
    pub fn at(place: usize) -> Self {
        assert!(place < LINES.len(), "there is no such line");
        Self(place)
    }

    /// The line that is written so.
    pub fn of(text: &str) -> Self {
        let found = LINES.iter().position(|(spellings, _)| spellings.contains(&text));
        Self(found.unwrap_or_else(|| panic!("nobody has the number {text}")))
    }

    /// Every way to write it.
    pub fn spellings(self) -> &'static [&'static str] {
        LINES[self.0].0
    }

    /// ISO 3166.
    pub fn country(self) -> &'static str {
        LINES[self.0].1
    }
}

/// The digits of every line that people can have, to look for them where they must not be.
pub fn digits_of_people() -> impl Iterator<Item = &'static str> {
    LINES[..11].iter().flat_map(|(spellings, _)| spellings.iter().map(|text| &text[1..]))
}
