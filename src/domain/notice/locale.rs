//! Voice of an announcement.

/// Language and country of a voice, as a BCP 47 tag (`en-GB`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// Accepts two or three lower-case letters for the language and two upper-case letters for the country.
    pub fn parse(text: &str) -> Option<Self> {
        let (language, country) = text.split_once('-')?;
        let shape = (2..=3).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_lowercase())
            && country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase());
        shape.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the language without its country.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_has_a_language_and_a_country() {
        assert_eq!(Locale::parse("cmn-CN").expect("a locale").language(), "cmn");
        for wrong in ["", "nl", "nl-", "nl-nl", "NL-NL", "nl_NL", "nl-NL-x", "dutch-NL"] {
            assert_eq!(Locale::parse(wrong), None, "{wrong}");
        }
    }
}
