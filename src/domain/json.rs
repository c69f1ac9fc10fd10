//! Reads JSON written by others: by providers, and by the platform when it answers a question.
//!
//! RFC 8259 lets a parser accept more than the grammar. This one does, because a text must not be lost over half an
//! emoji, and a field that nobody reads must not invalidate the fields that somebody does read:
//! - a leading byte order mark is skipped, and bytes that are not UTF-8 become U+FFFD;
//! - in strings, half a surrogate pair and an escape without its digits become U+FFFD, a backslash before any other
//!   character is dropped, and control characters are kept as they are;
//! - an invalid value, such as `NaN` or a number out of range, becomes null, and so does a value that is nested deeper
//!   than anybody reads;
//! - if a name occurs twice, the last value counts.
//!
//! Unclosed and misplaced tokens are still errors.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::Value;

/// Maximum depth of arrays and objects: the same as in `serde_json`.
const MAX_DEPTH: usize = 127;

/// Replacement for anything that cannot be a character.
const REPLACEMENT: &str = "\\ufffd";

pub fn read<T: DeserializeOwned>(document: &[u8]) -> serde_json::Result<T> {
    // Read a value first, because types reject a name that occurs twice.
    serde_json::from_value(serde_json::from_str(&mended(&text_of(document)))?)
}

/// Reads all members of an object, in order, for callers to which duplicate names matter.
pub fn read_members(document: &[u8]) -> serde_json::Result<Vec<(String, Value)>> {
    let Members(members) = serde_json::from_str(&mended(&text_of(document)))?;
    Ok(members)
}

struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

fn text_of(document: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document))
}

/// Rewrites a document so that `serde_json` can read it. A document that it can read already is unchanged.
fn mended(text: &str) -> Cow<'_, str> {
    let mut mender = Mender { text, out: String::new(), copied: 0, at: 0 };
    let mut depth = 0;
    while let Some(byte) = mender.peek() {
        match byte {
            b'"' => mender.string(),
            b'{' | b'[' if depth == MAX_DEPTH => mender.nested(),
            b'{' | b'[' => {
                depth += 1;
                mender.at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                mender.at += 1;
            }
            byte if is_between(byte) => mender.at += 1,
            _ => mender.token(),
        }
    }
    mender.finish()
}

/// Checks for white space and for separators between values.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
}

struct Mender<'a> {
    text: &'a str,
    /// Mended text of everything before `copied`.
    out: String,
    copied: usize,
    at: usize,
}

impl<'a> Mender<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Replaces the next `length` bytes.
    fn replace(&mut self, length: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.push_str(with);
        self.at += length;
        self.copied = self.at;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 && self.out.is_empty() {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.copied..]);
        Cow::Owned(self.out)
    }

    /// Moves past a string and mends it.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.escape(),
                0..0x20 => self.replace(1, &format!("\\u{byte:04x}")),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (self.code_unit(self.at), self.code_unit(self.at + 6)) {
                (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => self.at += 12,
                (Some(0xd800..0xe000), _) => self.replace(6, REPLACEMENT),
                (Some(_), _) => self.at += 6,
                (None, _) => self.replace(2, REPLACEMENT),
            },
            _ => self.replace(1, ""),
        }
    }

    /// Returns the code unit that is escaped here, if there is one.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
    }

    /// Replaces a value that is nested too deeply with null.
    fn nested(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
        let is_end = |byte: &u8| {
            match (in_string, *byte) {
                (true, _) if is_escaped => is_escaped = false,
                (true, b'\\') => is_escaped = true,
                (_, b'"') => in_string = !in_string,
                (false, b'{' | b'[') => depth += 1,
                (false, b'}' | b']') => depth -= 1,
                _ => {}
            }
            depth == 0
        };
        let length = rest.iter().position(is_end).map_or(rest.len(), |end| end + 1);
        self.replace(length, "null");
    }

    /// Moves past a number or literal. Replaces anything else with null.
    fn token(&mut self) {
        let rest = &self.text[self.at..];
        let is_end = |byte: u8| is_between(byte) || matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
        let length = rest.bytes().position(is_end).unwrap_or(rest.len());
        if serde_json::from_str::<Value>(&rest[..length]).is_ok() {
            self.at += length;
        } else {
            self.replace(length, "null");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(document: &str) -> Value {
        read(document.as_bytes()).unwrap_or_else(|error| panic!("{document}: {error}"))
    }

    #[test]
    fn half_a_surrogate_pair_is_a_replacement_character() {
        for (escaped, read) in [
            (r"at the door \ud83d", "at the door \u{fffd}"),
            (r"\ud83d\ude00", "\u{1f600}"),
            (r"\uD83D\uDE00", "\u{1f600}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ude00\ude00", "\u{1f600}\u{fffd}"),
            (r"\ud83d\n\ude00", "\u{fffd}\n\u{fffd}"),
            (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\\ude00", "\u{fffd}\\ude00"),
            (r"\\ud83d", "\\ud83d"),
            (r"\\\ud83d", "\\\u{fffd}"),
            (r"\\\\ud83d\ud83d\ude00", "\\\\ud83d\u{1f600}"),
            (r"\udbff\udfff\udbff", "\u{10ffff}\u{fffd}"),
        ] {
            assert_eq!(value(&format!(r#"["{escaped}"]"#)), json!([read]), "{escaped}");
            assert_eq!(value(&format!(r#"{{"{escaped}":1}}"#)), json!({ read: 1 }), "{escaped}");
        }
    }

    #[test]
    fn other_bad_escapes_and_control_characters_cost_no_more_than_themselves() {
        assert_eq!(
            value(r#"["\u12G4", "\u", "\u00", "\ud83d\u12"]"#),
            json!(["\u{fffd}12G4", "\u{fffd}", "\u{fffd}00", "\u{fffd}\u{fffd}12"])
        );
        assert_eq!(value(r#"["it\'s", "\x41", "\é", "\U0001F600"]"#), json!(["it's", "x41", "é", "U0001F600"]));
        assert_eq!(value("[\"a\nb\tc\u{0}\u{1f}\\\n\"]"), json!(["a\nb\tc\u{0}\u{1f}\n"]));
    }

    #[test]
    fn marks_and_bytes_that_are_no_text_are_no_obstacle() {
        assert_eq!(
            read::<Value>(b"\xef\xbb\xbf{\"a\":\"caf\xe9 \xed\xa0\xbd\"}").expect("JSON"),
            json!({"a": "caf\u{fffd} \u{fffd}\u{fffd}\u{fffd}"})
        );
        assert_eq!(read::<Value>(b"\xef\xbb\xbf[]").expect("JSON"), json!([]));
        assert!(read::<Value>(b"\xff\xfe[]").is_err());
    }

    #[test]
    fn values_that_are_none_are_null() {
        let odd = r#"{"a": 1e999, "b": NaN, "c": -Infinity, "d": 007, "e": tru, "f": +1, "g": .5, "text": "x"}"#;
        assert_eq!(
            value(odd),
            json!({"a": null, "b": null, "c": null, "d": null, "e": null, "f": null, "g": null, "text": "x"})
        );
        assert_eq!(value("[-0, 1.5E3, true, false, null]"), json!([-0.0, 1500.0, true, false, null]));
    }

    #[test]
    fn deep_nesting_hides_nothing_else() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}\"]}}\\\"\"{}", open.repeat(30_000), close.repeat(30_000));
            let read = value(&format!(r#"{{"deep":{deep},"text":"x"}}"#));
            assert_eq!(read["text"], "x");
        }
        assert!(read::<Value>("[".repeat(60_000).as_bytes()).is_err());
    }

    #[test]
    fn the_last_of_two_counts() {
        #[derive(Deserialize)]
        struct Typed {
            a: i64,
        }
        assert_eq!(read::<Typed>(br#"{"a":1,"b":[],"a":2}"#).expect("a value").a, 2);
    }

    #[test]
    fn members_are_read_as_often_as_they_are_there() {
        let members =
            read_members("\u{feff}{\"a\":\"\\ud83d\",\"b\":{\"a\":1},\"a\":2}".as_bytes()).expect("an object");
        let expected = [("a", json!("\u{fffd}")), ("b", json!({"a": 1})), ("a", json!(2))];
        assert_eq!(members, expected.map(|(name, value)| (name.to_owned(), value)));
        for odd in ["", "[]", "null", "{", "{}{}", "[{}]"] {
            assert!(read_members(odd.as_bytes()).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_is_no_document_stays_an_error() {
        for odd in
            ["", "{", "[1", "{\"a\"}", "{\"a\":1}}", "[1] [2]", "\"open", "\"open\\", "\"open\\u00", "{a:1}", "[1 2]"]
        {
            assert!(read::<Value>(odd.as_bytes()).is_err(), "{odd}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Writes everything outside ASCII as `\u`, as some systems do.
    fn escaped(document: &str) -> String {
        document.chars().fold(String::new(), |mut out, c| {
            if c.is_ascii() {
                out.push(c);
            } else {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            }
            out
        })
    }

    proptest! {
        #[test]
        fn documents_in_order_are_left_alone(written in any_value()) {
            for document in [written.to_string(), serde_json::to_string_pretty(&written).expect("JSON"), escaped(&written.to_string())] {
                prop_assert!(matches!(mended(&document), Cow::Borrowed(_)), "{}", document);
                prop_assert_eq!(&value(&document), &serde_json::from_str::<Value>(&document).expect("JSON"));
            }
        }

        #[test]
        fn what_serde_reads_is_read_alike(document in "(\\{|\\[|\"|:|,|\\}|\\]|[0-9e.-]|true|\\\\u?|[dD]83[dD]|\\\\ud[89c-f][0-9]{2}|\\PC){0,12}") {
            if let Ok(plain) = serde_json::from_str::<Value>(&document) {
                prop_assert!(matches!(mended(&document), Cow::Borrowed(_)));
                prop_assert_eq!(read::<Value>(document.as_bytes()).expect("JSON"), plain);
            }
        }

        #[test]
        fn a_string_is_read_whatever_is_in_it(inside in "(\\\\.|\\\\u[0-9a-fG]{0,4}|\\\\ud[89c-f][0-9]{2}|[^\"\\\\]){0,16}", tail in any::<u16>()) {
            let document = format!(r#"{{"text":"{inside}\\u{tail:04x}","id":"kept"}}"#);
            prop_assert_eq!(&value(&document)["id"], "kept", "{}", document);
            prop_assert!(value(&document)["text"].is_string());
        }

        #[test]
        fn never_panics(document in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = read::<Value>(&document);
        }
    }
}
