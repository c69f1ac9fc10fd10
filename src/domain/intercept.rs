//! Interprets the platform's answer when it is asked before a contact goes through.

use std::time::Duration;

use serde_json::Value;

use super::{
    contact::{Connection, Refusal, Route},
    json,
    string_enum::string_enum,
    text::MessageText,
};

/// Time limit for the whole question and answer: a person is waiting.
pub const QUESTION_TIMEOUT: Duration = Duration::from_millis(800);

/// Maximum length of an answer, in bytes. A longer one is not read.
pub const MAX_ANSWER: usize = 32 * 1024;

string_enum! {
    /// Handling of a contact if the platform does not answer.
    OnFailure {
        /// The contact goes through.
        FailOpen = "fail_open",
        /// The contact is blocked.
        FailClosed = "fail_closed",
    }
}

/// The platform's verdict on a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The contact goes through.
    Allow,
    /// The contact goes nowhere.
    Block,
    /// This text goes through instead.
    Replace(MessageText),
    /// The answer does not clearly say which of these applies. The contact goes nowhere.
    Unclear,
}

impl From<OnFailure> for Verdict {
    fn from(setting: OnFailure) -> Self {
        match setting {
            OnFailure::FailOpen => Self::Allow,
            OnFailure::FailClosed => Self::Block,
        }
    }
}

impl Verdict {
    /// Reads an answer. Only a text can be replaced, by any text that a phone could have sent.
    ///
    /// Reading is lenient: the verdict must not be lost over half an emoji. The effect is strict: only an explicit
    /// "allow" lets the contact through, and a member with contradicting values counts as missing.
    pub fn read(answer: &[u8], is_text: bool) -> Self {
        if answer.len() > MAX_ANSWER {
            return Self::Unclear;
        }
        let Ok(members) = json::read_members(answer) else { return Self::Unclear };
        match (text_of(&members, "action"), text_of(&members, "text")) {
            (Some("allow"), _) => Self::Allow,
            (Some("block"), _) => Self::Block,
            (Some("replace"), Some(text)) if is_text => Self::Replace(MessageText::from_wire(text)),
            // Nothing can replace a call, and the platform does not want the call itself to go through.
            (Some("replace"), _) if !is_text => Self::Block,
            _ => Self::Unclear,
        }
    }
}

/// Returns the text of a member that occurs once, or several times with the same value.
fn text_of<'a>(members: &'a [(String, Value)], name: &str) -> Option<&'a str> {
    let mut values = members.iter().filter(|(member, _)| member == name).map(|(_, value)| value);
    let first = values.next()?;
    if values.any(|other| other != first) {
        return None;
    }
    first.as_str()
}

/// Contact that the platform was asked about, with its verdict.
#[derive(Clone, Debug)]
pub struct Screening {
    /// Route of the contact when the platform was asked.
    pub connection: Connection,
    pub verdict: Verdict,
}

/// Returns the platform's verdict on a contact that takes this route now. The platform was asked about the route that
/// was open a moment ago; the verdict does not apply to any other route.
pub fn verdict_of(connection: &Connection, screened: Option<&Screening>) -> Option<Verdict> {
    let Screening { connection: asked, verdict } = screened?;
    let is_the_same = (asked.ride_id, asked.driver_id, asked.from_role)
        == (connection.ride_id, connection.driver_id, connection.from_role);
    is_the_same.then(|| verdict.clone())
}

/// Returns the route of a contact that goes nowhere for this reason.
pub fn refused(connection: &Connection, refusal: Refusal) -> Route {
    let ride = Some((connection.ride_id, connection.from_role));
    Route::Refused { refusal, number_id: Some(connection.number_id), ride, language: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{NumberId, PersonId, RideId},
        person::Role,
        phone::PhoneNumber,
    };

    fn of_text(answer: impl AsRef<[u8]>) -> Verdict {
        Verdict::read(answer.as_ref(), true)
    }

    fn replaced(text: &str) -> Verdict {
        Verdict::Replace(MessageText::from_wire(text))
    }

    #[test]
    fn answers_are_read_leniently() {
        for allow in [
            r#"{"action":"allow"}"#,
            " {\r\n\t\"action\" : \"\\u0061llow\" }\n",
            "\u{feff}{\"action\":\"allow\",\"text\":null,\"trace\":{\"action\":\"block\"}}",
            r#"{"action":"allow","text":7,"action":"allow"}"#,
        ] {
            assert_eq!(of_text(allow), Verdict::Allow, "{allow}");
        }
        for block in [
            r#"{"action":"block"}"#,
            r#"{"action":"block","text":"unused","score":1e999}"#,
            r#"{"text":[1],"action":"block","action":"block"}"#,
        ] {
            assert_eq!(of_text(block), Verdict::Block, "{block}");
        }
        assert_eq!(of_text(r#"{"action":"replace","text":"On my way."}"#), replaced("On my way."));
        assert_eq!(of_text(b"{\"action\":\"replace\",\"text\":\"caf\xe9\"}"), replaced("caf\u{fffd}"));
        assert_eq!(of_text(r#"{"action":"replace","text":"at the door \ud83d"}"#), replaced("at the door \u{fffd}"));
        assert_eq!(of_text(r#"{"trace":"\ud83d","action":"block"}"#), Verdict::Block);
        let deep = format!(r#"{{"action":"block","trace":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
        assert_eq!(of_text(deep), Verdict::Block);
    }

    #[test]
    fn a_replacement_is_whatever_a_phone_could_send() {
        for text in ["", " ", "\n", "bell\u{7}", "\u{202e}", &"*".repeat(1701), &"x".repeat(32_000)] {
            let answer = serde_json::json!({ "action": "replace", "text": text });
            assert_eq!(of_text(answer.to_string()), replaced(text));
        }
        let answer = |length: usize| format!(r#"{{"action":"replace","text":"{}"}}"#, "é".repeat(length / 2));
        let frame = answer(0).len();
        assert_eq!(of_text(answer(MAX_ANSWER - frame)), replaced(&"é".repeat((MAX_ANSWER - frame) / 2)));
        assert_eq!(of_text(answer(MAX_ANSWER - frame + 2)), Verdict::Unclear);
    }

    #[test]
    fn nothing_else_is_clear() {
        for unclear in [
            "",
            " ",
            "allow",
            "\"allow\"",
            "null",
            "{}",
            "[]",
            r#"["allow"]"#,
            r#"[{"action":"allow"}]"#,
            r#"{"action":"allow""#,
            r#"{"action":"allow"}{"action":"block"}"#,
            r#"{"action":"allow"} trailing"#,
            r#"{"action":"ALLOW"}"#,
            r#"{"action":" allow"}"#,
            r#"{"action":"allowed"}"#,
            r#"{"Action":"allow"}"#,
            r#"{"action":true}"#,
            r#"{"action":null}"#,
            r#"{"action":["allow"]}"#,
            r#"{"action":"allow","action":"block"}"#,
            r#"{"action":"block","action":"allow"}"#,
            r#"{"action":"allow","action":null}"#,
            r#"{"action":"replace"}"#,
            r#"{"action":"replace","text":null}"#,
            r#"{"action":"replace","text":7}"#,
            r#"{"action":"replace","text":"a","text":"b"}"#,
            r#"{"data":{"action":"allow"}}"#,
        ] {
            assert_eq!(of_text(unclear), Verdict::Unclear, "{unclear}");
        }
        assert_eq!(of_text(b"{\"action\":\"allow\xff\"}"), Verdict::Unclear);
        assert_eq!(Verdict::read(br#"{"action":"refuse"}"#, false), Verdict::Unclear);
    }

    #[test]
    fn a_call_that_is_replaced_is_blocked() {
        for answer in [r#"{"action":"block"}"#, r#"{"action":"replace","text":"Hello"}"#, r#"{"action":"replace"}"#] {
            assert_eq!(Verdict::read(answer.as_bytes(), false), Verdict::Block);
        }
        assert_eq!(Verdict::read(br#"{"action":"allow"}"#, false), Verdict::Allow);
    }

    #[test]
    fn a_verdict_holds_for_the_way_it_was_asked_of() {
        let connection = Connection {
            ride_id: RideId(1),
            driver_id: PersonId(2),
            number_id: NumberId(3),
            from_role: Role::Customer,
            to: PhoneNumber::from_wire("+31687654321").expect("a number"),
        };
        let screened = Screening { connection: connection.clone(), verdict: Verdict::Block };
        assert_eq!(verdict_of(&connection, Some(&screened)), Some(Verdict::Block));
        assert_eq!(verdict_of(&connection, None), None);
        for other in [
            Connection { ride_id: RideId(9), ..connection.clone() },
            Connection { driver_id: PersonId(9), ..connection.clone() },
            Connection { from_role: Role::Driver, ..connection.clone() },
        ] {
            assert_eq!(verdict_of(&other, Some(&screened)), None);
        }
    }
}
