//! Asking the platform before a contact goes through: what its answer means.

use serde::Deserialize;

use super::{
    contact::{Connection, Refusal, Route},
    text::Body,
    words::words,
};

words! {
    /// What becomes of a contact when the platform gives no answer that makes sense.
    OnFailure {
        /// It goes through.
        FailOpen = "fail_open",
        /// It does not.
        FailClosed = "fail_closed",
    }
}

/// What the platform says of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through.
    Allow,
    /// It goes nowhere.
    Block,
    /// This goes through in place of the text.
    Replace(Body),
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
    /// Reads an answer; `None` if it makes no sense. Only a text can be replaced.
    pub fn read(answer: &[u8], is_text: bool) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            action: String,
            text: Option<String>,
        }
        let answer: Answer = serde_json::from_slice(answer).ok()?;
        match (answer.action.as_str(), answer.text) {
            ("allow", _) => Some(Self::Allow),
            ("block", _) => Some(Self::Block),
            ("replace", Some(text)) if is_text => Body::parse(&text).ok().map(Self::Replace),
            _ => None,
        }
    }
}

/// A contact that the platform was asked about, and what it said.
#[derive(Clone, Debug)]
pub struct Screened {
    /// From whom to whom.
    pub way: Connection,
    /// The answer.
    pub verdict: Verdict,
}

/// What the platform said of a contact that goes this way now. It was asked of the way that was open a moment ago; of
/// another one it said nothing.
pub fn verdict_of(way: &Connection, screened: Option<&Screened>) -> Option<Verdict> {
    let Screened { way: asked, verdict } = screened?;
    let is_the_same = (asked.ride_id, asked.driver_id, asked.from_role) == (way.ride_id, way.driver_id, way.from_role);
    is_the_same.then(|| verdict.clone())
}

/// Where a blocked contact goes: nowhere.
pub fn blocked(way: &Connection) -> Route {
    let ride = Some((way.ride_id, way.from_role));
    Route::Refused { refusal: Refusal::Blocked, number_id: Some(way.number_id), ride, language: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{NumberId, PersonId, RideId},
        person::Role,
        phone::PhoneNumber,
    };

    #[test]
    fn only_the_three_actions_make_sense() {
        let text = |answer: &str| Verdict::read(answer.as_bytes(), true);
        assert_eq!(text(r#"{"action":"allow"}"#), Some(Verdict::Allow));
        assert_eq!(text(r#"{"action":"block","text":"unused","score":0.9}"#), Some(Verdict::Block));
        let replaced = Body::parse("On my way.").expect("a text");
        assert_eq!(text(r#"{"action":"replace","text":"On my way."}"#), Some(Verdict::Replace(replaced)));
        for nonsense in [
            "",
            "allow",
            "{}",
            "[]",
            r#"{"action":"ALLOW"}"#,
            r#"{"action":null}"#,
            r#"{"action":"replace"}"#,
            r#"{"action":"replace","text":""}"#,
            r#"{"action":"replace","text":7}"#,
        ] {
            assert_eq!(text(nonsense), None, "{nonsense}");
        }
        let long = format!(r#"{{"action":"replace","text":"{}"}}"#, "a".repeat(Body::MAX_CHARS + 1));
        assert_eq!(text(&long), None);
        assert_eq!(Verdict::read(br#"{"action":"replace","text":"Hello"}"#, false), None, "a call has no text");
    }

    #[test]
    fn a_verdict_holds_for_the_way_it_was_asked_of() {
        let way = Connection {
            ride_id: RideId(1),
            driver_id: PersonId(2),
            number_id: NumberId(3),
            from_role: Role::Customer,
            to: PhoneNumber::from_wire("+31687654321").expect("a number"),
        };
        let screened = Screened { way: way.clone(), verdict: Verdict::Block };
        assert_eq!(verdict_of(&way, Some(&screened)), Some(Verdict::Block));
        assert_eq!(verdict_of(&way, None), None);
        for other in [
            Connection { ride_id: RideId(9), ..way.clone() },
            Connection { driver_id: PersonId(9), ..way.clone() },
            Connection { from_role: Role::Driver, ..way.clone() },
        ] {
            assert_eq!(verdict_of(&other, Some(&screened)), None);
        }
    }
}
