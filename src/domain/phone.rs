//! Phone numbers: parsed once, masked wherever they are printed.

use std::fmt;

use super::unicode::{digit, is_invisible};

/// Version of [`PhoneNumber::match_key`]. Stored indexes are made from the key, so a new rule needs a new version and a
/// migration that indexes every phone again.
pub const MATCH_KEY_VERSION: u8 = 1;

/// Phone number in E.164 form (`+31612345678`).
///
/// `Debug` and `Display` show the mask; [`expose`](Self::expose) is the only way to the digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a valid phone number in international form, such as +31612345678")]
pub struct InvalidPhoneNumber;

/// Form in which two phones are compared: national variants of one line share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MatchKey(String);

impl PhoneNumber {
    /// Parses what a person or a platform wrote: international form with `+`, in which separators and the digits of any
    /// script are allowed. The number must exist in its country's numbering plan.
    ///
    /// Numbering plans list one of the national variants that [`match_key`](Self::match_key) joins. The others are
    /// accepted too. A Mexican number is kept without the 1, which nobody dials any more. An Argentine number is kept
    /// as written, because without the 9 it may be a landline.
    pub fn parse(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let plain = plain(text).ok_or(InvalidPhoneNumber)?;
        let written = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')' | '.');
        if !plain.strip_prefix('+').is_some_and(|rest| rest.chars().all(written)) {
            return Err(InvalidPhoneNumber);
        }
        if let Some(phone) = in_plan(&plain) {
            return Ok(phone);
        }
        let phone = Self::from_wire(&plain)?;
        let digits = phone.expose_digits();
        match (digits.get(..3), digits.len()) {
            (Some("521"), 13) => in_plan(&format!("+52{}", &digits[3..])).ok_or(InvalidPhoneNumber),
            (Some("549"), 13) if in_plan(&format!("+54{}", &digits[3..])).is_some() => Ok(phone),
            (Some(country), 12) if country.starts_with("54") => {
                in_plan(&format!("+549{}", &digits[2..])).map(|_| phone).ok_or(InvalidPhoneNumber)
            }
            _ => Err(InvalidPhoneNumber),
        }
    }

    /// Reads what a provider sent: digits, with or without `+`. Separators are allowed only after a `+`: without one,
    /// the text may be a sender name. Providers know which lines exist, so only the shape is checked: 7 to 15 digits,
    /// no leading zero (E.164).
    pub fn from_wire(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let plain = plain(text).ok_or(InvalidPhoneNumber)?;
        let digits = match plain.strip_prefix('+') {
            Some(written) => written.replace([' ', '-', '(', ')', '.'], ""),
            None => plain,
        };
        let shape =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if shape { Ok(Self(format!("+{digits}"))) } else { Err(InvalidPhoneNumber) }
    }

    /// Returns the number in clear, for the three places that may have it (invariant 5 in `ARCHITECTURE.md`, section
    /// "Invariants").
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the number in clear without `+`, as several providers write it.
    pub fn expose_digits(&self) -> &str {
        &self.0[1..]
    }

    /// Returns the mask for callers without the right to see the number: first four characters, six dots, last two.
    pub fn masked(&self) -> String {
        format!("{}••••••{}", &self.0[..4], &self.0[self.0.len() - 2..])
    }

    /// Returns the key under which this line is compared with others.
    ///
    /// Argentina and Mexico write one mobile line with and without a mobile digit (`+54 9 ..`, `+52 1 ..`), and
    /// providers differ in which form they use.
    pub fn match_key(&self) -> MatchKey {
        let digits = self.expose_digits();
        let joined = match digits {
            d if d.len() == 13 && d.starts_with("549") => format!("54{}", &d[3..]),
            d if d.len() == 13 && d.starts_with("521") => format!("52{}", &d[3..]),
            d => d.to_owned(),
        };
        MatchKey(joined)
    }

    /// Loads the numbering plans into memory, so that the first parse does not wait for them.
    pub fn warm_up() {
        let _ = Self::parse("+31612345678");
    }

    /// Returns the ISO 3166 country of the numbering plan, if the number belongs to one (`NL`).
    pub fn country(&self) -> Option<String> {
        let number = phonenumber::parse(None, &self.0).ok()?;
        number.country().id().map(|id| id.as_ref().to_owned())
    }
}

/// Writes a number in ASCII: drops invisible characters, and converts digits, separators and the plus of other scripts,
/// as libphonenumber does. Returns `None` if the text is longer than any number.
fn plain(text: &str) -> Option<String> {
    const MAX_CHARS: usize = 32;
    let seen = text.trim().chars().filter(|c| !is_invisible(*c)).map(|c| match c {
        '\u{ff0b}' => '+',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '/' | '~' | '\u{2053}' | '\u{223c}' | '\u{ff0f}' | '\u{ff5e}' => '-',
        '[' | '\u{ff08}' | '\u{ff3b}' => '(',
        ']' | '\u{ff09}' | '\u{ff3d}' => ')',
        '\u{ff0e}' => '.',
        c if c.is_whitespace() && !c.is_control() => ' ',
        c => digit(c).unwrap_or(c),
    });
    let plain: String = seen.take(MAX_CHARS + 1).collect();
    let plain = plain.trim();
    (plain.chars().count() <= MAX_CHARS).then(|| plain.to_owned())
}

/// Parses an ASCII number that exists in its country's numbering plan.
fn in_plan(plain: &str) -> Option<PhoneNumber> {
    let number = phonenumber::parse(None, plain).ok().filter(phonenumber::PhoneNumber::is_valid)?;
    PhoneNumber::from_wire(&number.format().mode(phonenumber::Mode::E164).to_string()).ok()
}

impl MatchKey {
    /// Returns the key that is stored with proxy numbers and fed to the index of people's phones.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Serialises a phone in clear, for records that are sealed as a whole: `#[serde(with = "phone::exposed")]`. There is
/// no other way to serialise one, so a derive cannot leak a phone.
pub mod exposed {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::PhoneNumber;

    pub fn serialize<S: Serializer>(phone: &PhoneNumber, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(phone.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PhoneNumber, D::Error> {
        PhoneNumber::from_wire(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.masked())
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MatchKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::parse(text).expect(text)
    }

    #[test]
    fn reads_international_forms() {
        for text in ["+31612345678", " +31 6 1234 5678 ", "+31-6-12345678", "+31 (0)6 12345678"] {
            assert_eq!(phone(text).expose(), "+31612345678", "{text}");
        }
        assert_eq!(phone("+31612345678").country().as_deref(), Some("NL"));
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [
            "",
            "+",
            "0612345678",
            "31612345678",
            "+310",
            "+3161234567890123",
            "+31612345678 ext. 3",
            "tel:+31612345678",
            "+3161234567\u{0}8",
            "+31612345678\n1",
            "++31612345678",
            "+31\t612345678",
            "+31²612345678",
            "+316①2345678",
            "\u{200b}",
            "+\u{202a}",
            "+521551234567",
            "+52155123456789",
            "+5210000000000",
            "+5490000000000",
            "+540000000000",
        ] {
            assert!(PhoneNumber::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_what_was_pasted() {
        for text in [
            "\u{202a}+31612345678\u{202c}",
            "\u{feff}+31\u{a0}6\u{2009}1234\u{3000}5678\u{200b}",
            "\u{2066}+31\u{2011}6\u{2013}1234\u{2212}5678\u{2069}",
            "+31\u{ad}612345678 \u{200e}",
            "\u{200f}\u{ff0b}\u{ff13}\u{ff11}\u{ff0d}\u{ff16}\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}\u{ff17}\u{ff18}",
            "+٣١٦١٢٣٤٥٦٧٨",
            "+۳۱۶۱۲۳۴۵۶۷۸",
            "+31/612345678",
            "+31 [0]6 12345678",
            "+31\u{ff08}0\u{ff09}6 12345678",
        ] {
            assert_eq!(phone(text).expose(), "+31612345678", "{}", text.escape_unicode());
            if !text.contains('0') && !text.contains('\u{ff10}') {
                assert_eq!(PhoneNumber::from_wire(text).expect("a number"), phone(text));
            }
        }
        assert!(PhoneNumber::parse(&format!("+31612345678{}", "\u{200b}".repeat(400))).is_ok());
        assert!(PhoneNumber::parse(&format!("+31612345678{}", "0".repeat(400))).is_err());
    }

    #[test]
    fn national_variants_are_read() {
        for (given, kept) in [
            ("+5215512345679", "+525512345679"),
            ("+52 1 55 1234 5679", "+525512345679"),
            ("+525512345679", "+525512345679"),
            ("+5491123456789", "+5491123456789"),
            ("+541123456789", "+541123456789"),
            ("+54 9 11 2345-6789", "+5491123456789"),
        ] {
            assert_eq!(phone(given).expose(), kept, "{given}");
        }
    }

    #[test]
    fn providers_write_separators_behind_a_plus_alone() {
        let read = |text| PhoneNumber::from_wire(text).ok().map(|phone| phone.expose().to_owned());
        assert_eq!(read("+1-202-555-0133").as_deref(), Some("+12025550133"));
        assert_eq!(read(" 12025550133 ").as_deref(), Some("+12025550133"));
        for odd in ["1-202-555-0133", "+1-202-555-CARS", "0012025550133", "+1 (202", "1.202.555.0133", "+-"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    proptest! {
        /// A line that the API accepts in one variant is accepted in every variant, and all variants are one line.
        #[test]
        fn variants_are_accepted_together(area in 1_000_000_000_u64..10_000_000_000) {
            for (one, other) in [("+52", "+521"), ("+54", "+549")] {
                let (one, other) = (format!("{one}{area}"), format!("{other}{area}"));
                match (PhoneNumber::parse(&one), PhoneNumber::parse(&other)) {
                    (Ok(one), Ok(other)) => prop_assert_eq!(one.match_key(), other.match_key()),
                    (Err(_), Err(_)) => {}
                    (one, other) => prop_assert!(false, "{} {:?} {} {:?}", area, one, area, other),
                }
            }
        }
    }

    #[test]
    fn joins_national_variants_of_one_line() {
        let key = |text| PhoneNumber::from_wire(text).expect(text).match_key();
        assert_eq!(key("+5491123456789"), key("+541123456789"));
        assert_eq!(key("5215512345678"), key("+525512345678"));
        assert_ne!(key("+31612345678"), key("+31612345679"));
    }

    #[test]
    fn prints_only_the_mask() {
        let phone = phone("+31612345678");
        assert_eq!(format!("{phone}"), "+316••••••78");
        assert!(!format!("{phone:?} {:?}", phone.match_key()).contains("12345"));
    }

    proptest! {
        #[test]
        fn never_panics_and_always_yields_e164(text in "\\PC{0,40}") {
            for parsed in [PhoneNumber::parse(&text), PhoneNumber::from_wire(&text)].into_iter().flatten() {
                prop_assert!(parsed.expose().starts_with('+'));
                prop_assert!((8..=16).contains(&parsed.expose().len()));
                prop_assert!(PhoneNumber::from_wire(parsed.expose_digits()).is_ok());
                prop_assert_eq!(parsed.masked().chars().count(), 12);
            }
        }
    }
}
