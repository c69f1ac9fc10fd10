//! Text with variables: `Hello {name}.`
//!
//! A template is parsed once, at startup, against the variables that it may use; rendering cannot fail. Values are
//! inserted as they are: a name that looks like a variable stays a name.

use std::fmt;

use crate::domain::{
    text::{TextUnit, is_hidden},
    unicode::is_blank,
};

/// Maximum length of a template, in UTF-16 code units. Without variables, it then fits into one text at every provider.
pub const MAX_UNITS: usize = 320;

/// Parsed template with variables of type `V`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<V> {
    pieces: Vec<Piece<V>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<V> {
    Literal(String),
    Value(V),
}

/// Reason why a template was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidTemplate {
    /// Nothing visible.
    Empty,
    /// Longer than [`MAX_UNITS`].
    TooLong,
    /// Control characters other than line breaks, or marks that change the direction of the text after them.
    ControlCharacter,
    /// `{` without `}`.
    Unclosed,
    /// `}` without `{`.
    Unopened,
    /// Unknown variable, and the variables that exist.
    UnknownVariable(String, Vec<&'static str>),
}

impl fmt::Display for InvalidTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong => {
                write!(f, "must not be longer than {MAX_UNITS} characters (most emoji count as two or more)")
            }
            Self::ControlCharacter => f.write_str("must not contain control characters"),
            Self::Unclosed => f.write_str("a brace is not closed; a brace that stands for itself is written twice: {{"),
            Self::Unopened => {
                f.write_str("a brace was not opened; a brace that stands for itself is written twice: }}")
            }
            Self::UnknownVariable(name, known) if known.is_empty() => {
                write!(f, "unknown variable {{{name}}}; there are none here")
            }
            Self::UnknownVariable(name, known) => {
                let known: Vec<_> = known.iter().map(|known| format!("{{{known}}}")).collect();
                write!(f, "unknown variable {{{name}}}; there are {}", known.join(", "))
            }
        }
    }
}

impl<V: Copy> Template<V> {
    /// Parses a template that may use these variables. White space around it is dropped.
    pub fn parse(text: &str, variables: &[(&'static str, V)]) -> Result<Self, InvalidTemplate> {
        let mut rest = text.trim();
        match TextUnit::Utf16.count(rest) {
            _ if is_blank(rest) => return Err(InvalidTemplate::Empty),
            n if n > MAX_UNITS => return Err(InvalidTemplate::TooLong),
            _ if rest.chars().any(|c| is_hidden(c) && c != '\n') => return Err(InvalidTemplate::ControlCharacter),
            _ => {}
        }
        let (mut pieces, mut words) = (Vec::new(), String::new());
        while let Some(at) = rest.find(['{', '}']) {
            words.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                words.push_str(brace);
                rest = behind;
                continue;
            }
            if brace == "}" {
                return Err(InvalidTemplate::Unopened);
            }
            let (name, behind) = rest.split_once('}').ok_or(InvalidTemplate::Unclosed)?;
            if name.contains('{') {
                return Err(InvalidTemplate::Unclosed);
            }
            let (_, value) = variables.iter().find(|(known, _)| *known == name.trim()).ok_or_else(|| {
                let known = variables.iter().map(|(known, _)| *known).collect();
                InvalidTemplate::UnknownVariable(name.trim().to_owned(), known)
            })?;
            pieces.push(Piece::Literal(std::mem::take(&mut words)));
            pieces.push(Piece::Value(*value));
            rest = behind;
        }
        words.push_str(rest);
        pieces.push(Piece::Literal(words));
        Ok(Self { pieces })
    }

    /// Renders the template with these values.
    pub fn render<'a>(&'a self, value: impl Fn(V) -> &'a str) -> String {
        let words = self.pieces.iter().map(|piece| match piece {
            Piece::Literal(words) => words.as_str(),
            Piece::Value(variable) => value(*variable),
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VARIABLES: [(&str, usize); 2] = [("name", 0), ("other", 1)];

    fn parse(text: &str) -> Result<Template<usize>, InvalidTemplate> {
        Template::parse(text, &VARIABLES)
    }

    fn rendered(text: &str, values: [&str; 2]) -> String {
        parse(text).expect(text).render(|at| values[at])
    }

    #[test]
    fn values_take_their_places() {
        assert_eq!(rendered(" {name} & { other }: {name}\n", ["Ann", "Bob"]), "Ann & Bob: Ann");
        assert_eq!(rendered("{{name}} {{{name}}} }}{{", ["Ann", "Bob"]), "{name} {Ann} }{");
        assert_eq!(rendered("{name}", ["{other} {{ }", "Bob"]), "{other} {{ }", "a value is no template");
    }

    #[test]
    fn mistakes_are_told_apart() {
        use InvalidTemplate::{ControlCharacter, Empty, TooLong, Unclosed, Unopened};
        for (text, wrong) in [
            ("", Empty),
            (" \n", Empty),
            ("\u{200b}\u{2800}", Empty),
            ("a {name", Unclosed),
            ("{name and {other}", Unclosed),
            ("{", Unclosed),
            ("name}", Unopened),
            ("{name}}", Unopened),
            ("a\u{7}b", ControlCharacter),
            ("a\u{202e}b", ControlCharacter),
            (&"x".repeat(MAX_UNITS + 1), TooLong),
            (&"\u{1f697}".repeat(MAX_UNITS / 2 + 1), TooLong),
        ] {
            assert_eq!(parse(text), Err(wrong), "{text}");
        }
        assert_eq!(
            parse("{nmae}").expect_err("unknown").to_string(),
            "unknown variable {nmae}; there are {name}, {other}"
        );
        let none = Template::<()>::parse("{}", &[]).expect_err("unknown").to_string();
        assert_eq!(none, "unknown variable {}; there are none here");
    }

    proptest! {
        #[test]
        fn words_come_out_as_they_went_in(words in "[a-zé😀{} ]{1,60}", name in "[a-z{} ]{0,9}") {
            prop_assume!(!words.trim().is_empty());
            let written = words.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(rendered(&format!("{written}{{name}}."), [&name, ""]), format!("{}{name}.", words.trim_start()));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
