//! Texts from people and platforms, each with its own limits, and the splitting of long ones.

mod split;

use std::fmt;

pub use self::split::{TextLimit, TextUnit, parts, pictures_of_part};
use super::unicode::is_blank;

/// Reason why a value was rejected. It names the rule, never the value, which may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing visible.
    #[error("must not be empty")]
    Empty,
    /// Longer than this limit, in characters.
    #[error("must not be longer than {0} characters")]
    TooLong(usize),
    /// NUL, escape and other control characters.
    #[error("must not contain control characters")]
    ControlCharacter,
    #[error("must be a two-letter language code of ISO 639-1, such as nl, with or without a region, such as pt-BR")]
    NotALanguage,
}

fn one_line(text: &str, max: usize) -> Result<String, InvalidText> {
    let text = text.trim();
    match text.chars().count() {
        _ if is_blank(text) => Err(InvalidText::Empty),
        n if n > max => Err(InvalidText::TooLong(max)),
        _ if text.chars().any(is_hidden) => Err(InvalidText::ControlCharacter),
        _ => Ok(text.to_owned()),
    }
}

/// Checks for control characters, and for marks that reverse or isolate the direction of the text after them. Both can
/// make a name look like something else in the middle of our sentence.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

macro_rules! one_line_texts {
    ($($(#[$doc:meta])* $name:ident($max:literal)),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Maximum length, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Trims and checks a value.
            pub fn parse(text: &str) -> Result<Self, InvalidText> {
                one_line(text, Self::MAX_CHARS).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Wraps a value that was checked before it was stored.
            pub fn from_stored(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

one_line_texts! {
    /// A person's name, as the other party reads it.
    Name(100),
    /// Start or destination of a ride, as free text.
    Place(200),
    /// The platform's own ID of a person or a ride.
    ExternalId(200),
    /// Name that an operator gives to an API client.
    ClientName(100),
    /// Purpose of an event endpoint, as described by the platform.
    Description(200),
}

/// Language of a person: ISO 639-1 in lower case, with a region (ISO 3166) in upper case if one was given (`nl`,
/// `pt-BR`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Language(String);

impl Language {
    /// Accepts two ASCII letters, and two more for a region if there is one. Case does not matter.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let letters = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
        match text.trim().split_once('-') {
            None if letters(text.trim()) => Ok(Self(text.trim().to_ascii_lowercase())),
            Some((language, region)) if letters(language) && letters(region) => {
                Ok(Self(format!("{}-{}", language.to_ascii_lowercase(), region.to_ascii_uppercase())))
            }
            _ => Err(InvalidText::NotALanguage),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the language without its region.
    pub fn base(&self) -> Self {
        Self(self.0.chars().take(2).collect())
    }

    /// Wraps a value that was checked before it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

/// Keywords that address the provider or the network rather than a person, in the languages of our notices. A sender of
/// one wants no answer from us, and networks act on some of them.
const KEYWORDS: [&str; 24] = [
    "ALTO",
    "ARRET",
    "ARRÊT",
    "BAJA",
    "CANCEL",
    "END",
    "HELP",
    "HILFE",
    "AIDE",
    "AYUDA",
    "AJUDA",
    "INFO",
    "OPTIN",
    "OPTOUT",
    "PARAR",
    "QUIT",
    "REVOKE",
    "START",
    "STOP",
    "STOPALL",
    "STOPP",
    "UNSTOP",
    "UNSUBSCRIBE",
    "YES",
];

/// Checks whether a text is only a keyword such as STOP.
pub fn is_keyword(text: &str) -> bool {
    let word = text.trim_matches(|c: char| !c.is_alphanumeric()).replace([' ', '-'], "").to_uppercase();
    KEYWORDS.contains(&word.as_str())
}

/// Content of a text. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Maximum length of a text from a platform or the simulator, in characters.
    pub const MAX_CHARS: usize = 1600;

    /// Checks a text that a platform wants to send. It must not be empty, and may contain no control characters except
    /// line breaks and tabs.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        match text.chars().count() {
            _ if is_blank(text) => Err(InvalidText::Empty),
            n if n > Self::MAX_CHARS => Err(InvalidText::TooLong(Self::MAX_CHARS)),
            _ if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
                Err(InvalidText::ControlCharacter)
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// Wraps what a phone really sent. It is relayed unchanged, except for NUL, which PostgreSQL cannot store.
    pub fn from_wire(text: &str) -> Self {
        Self(text.replace('\0', ""))
    }

    /// Returns the text in clear: for the provider that carries it and for callers who may read texts.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks whether nothing in the text is visible: it is empty, or has only white space and invisible characters.
    pub fn is_blank(&self) -> bool {
        is_blank(&self.0)
    }
}

/// Serialises a text in clear, for records that are sealed as a whole: `#[serde(with = "text::exposed")]`.
pub mod exposed {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::MessageText;

    pub fn serialize<S: Serializer>(body: &MessageText, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(body.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MessageText, D::Error> {
        Ok(MessageText(String::deserialize(from)?))
    }
}

impl fmt::Debug for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageText({} characters)", self.0.chars().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_clean_line() {
        assert_eq!(Name::parse("  Ann O'Neil ").expect("a name").as_str(), "Ann O'Neil");
        assert_eq!(Name::parse(" "), Err(InvalidText::Empty));
        assert_eq!(Name::parse("a\u{0}b"), Err(InvalidText::ControlCharacter));
        assert_eq!(Name::parse("a\nb"), Err(InvalidText::ControlCharacter));
        assert_eq!(Name::parse("abc\u{202e}def"), Err(InvalidText::ControlCharacter));
        assert_eq!(Name::parse(&"x".repeat(101)), Err(InvalidText::TooLong(100)));
        assert!(Name::parse(&"é".repeat(100)).is_ok());
    }

    #[test]
    fn languages_have_a_region_or_none() {
        for (given, language, base) in [("NL", "nl", "nl"), (" pt-br ", "pt-BR", "pt"), ("EN-gb", "en-GB", "en")] {
            let parsed = Language::parse(given).expect(given);
            assert_eq!((parsed.as_str(), parsed.base().as_str()), (language, base));
        }
        for wrong in ["", "n", "nld", "nl-", "-NL", "nl-NLD", "nl_NL", "nl-NL-x", "n1", "é"] {
            assert_eq!(Language::parse(wrong), Err(InvalidText::NotALanguage), "{wrong}");
        }
    }

    #[test]
    fn keywords_stand_alone() {
        for keyword in ["STOP", " stop. ", "Stop!", "arrêt", "opt-out", "STOP ALL", "\"help\""] {
            assert!(is_keyword(keyword), "{keyword}");
        }
        for text in ["", "stop at the corner", "I cannot stop", "!"] {
            assert!(!is_keyword(text), "{text}");
        }
    }

    #[test]
    fn bodies_are_quiet_in_debug() {
        assert_eq!(format!("{:?}", MessageText::from_wire("secret")), "MessageText(6 characters)");
        assert_eq!(MessageText::from_wire("a\0b").expose(), "ab");
        assert!(MessageText::parse("line\nbreak").is_ok());
        for blank in ["", " \n", "\u{200b}", "\u{3164}", "\u{2800}"] {
            assert_eq!(MessageText::parse(blank), Err(InvalidText::Empty), "{}", blank.escape_unicode());
            assert_eq!(Name::parse(blank), Err(InvalidText::Empty), "{}", blank.escape_unicode());
            assert!(MessageText::from_wire(blank).is_blank());
        }
        assert!(MessageText::parse("bell\u{7}").is_err());
    }
}
