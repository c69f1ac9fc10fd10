//! Phone numbers: parsed once, masked wherever they are printed.

use std::fmt;

/// Version of [`PhoneNumber::match_key`]. Stored indexes are made from the key, so another rule needs
/// another version and a migration that indexes every phone anew.
pub const MATCH_KEY_VERSION: u8 = 1;

/// A phone number in E.164 form (`+31612345678`).
///
/// `Debug` and `Display` show the mask; [`expose`](Self::expose) is the only way to the digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// Why a text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a valid phone number in international form, such as +31612345678")]
pub struct InvalidPhoneNumber;

/// The form in which two phones are compared: national variants of one line share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MatchKey(String);

impl PhoneNumber {
    /// Parses what a person or a platform wrote: international form with `+`, spaces and dashes allowed, and the
    /// number must exist in its country's numbering plan.
    pub fn parse(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let text = text.trim();
        let written = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')' | '.');
        if text.len() > 32 || !text.strip_prefix('+').is_some_and(|rest| rest.chars().all(written)) {
            return Err(InvalidPhoneNumber);
        }
        let number = phonenumber::parse(None, text).map_err(|_| InvalidPhoneNumber)?;
        if !number.is_valid() {
            return Err(InvalidPhoneNumber);
        }
        Self::from_wire(&number.format().mode(phonenumber::Mode::E164).to_string())
    }

    /// Takes what a provider sent: digits, with or without `+`. Providers know which lines exist, so only the shape
    /// is checked: 7 to 15 digits, no leading zero (E.164).
    pub fn from_wire(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let text = text.trim();
        let digits = text.strip_prefix('+').unwrap_or(text);
        let shape =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if shape { Ok(Self(format!("+{digits}"))) } else { Err(InvalidPhoneNumber) }
    }

    /// The number in clear, for the three places that may have it (design, invariant 5).
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number in clear without `+`, as several providers write it.
    pub fn expose_digits(&self) -> &str {
        &self.0[1..]
    }

    /// What a caller without the right to see the number gets: first four characters, six dots, last two.
    pub fn masked(&self) -> String {
        format!("{}••••••{}", &self.0[..4], &self.0[self.0.len() - 2..])
    }

    /// The key under which this line is compared with others.
    ///
    /// Argentina and Mexico write one mobile line with and without a mobile digit (`+54 9 ..`, `+52 1 ..`), and
    /// providers differ in which they use.
    pub fn match_key(&self) -> MatchKey {
        let digits = self.expose_digits();
        let joined = match digits {
            d if d.len() == 13 && d.starts_with("549") => format!("54{}", &d[3..]),
            d if d.len() == 13 && d.starts_with("521") => format!("52{}", &d[3..]),
            d => d.to_owned(),
        };
        MatchKey(joined)
    }

    /// Reads the numbering plans into memory, which the first parse would otherwise wait for.
    pub fn warm_up() {
        let _ = Self::parse("+31612345678");
    }

    /// ISO 3166 country of the numbering plan, if the number belongs to one (`NL`).
    pub fn country(&self) -> Option<String> {
        let number = phonenumber::parse(None, &self.0).ok()?;
        number.country().id().map(|id| id.as_ref().to_owned())
    }
}

impl MatchKey {
    /// The key as stored beside proxy numbers and fed to the index of people's phones.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Writes a phone in clear, for records that are sealed as a whole: `#[serde(with = "phone::exposed")]`. There is no
/// other way to serialise one, so none slips out by a derive.
pub mod exposed {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::PhoneNumber;

    /// The digits.
    pub fn serialize<S: Serializer>(phone: &PhoneNumber, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(phone.expose())
    }

    /// From the digits.
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
            "+٣١٦١٢٣٤٥٦٧٨",
        ] {
            assert!(PhoneNumber::parse(text).is_err(), "{text}");
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
