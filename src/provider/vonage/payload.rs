//! The JSON object of a webhook: the kind of event and its fields.

use serde_json::{Map, Value};

use crate::{
    domain::{json, message::ProviderCode},
    provider::{Malformed, wire},
};

/// A JSON object. Every field may be missing or of another type.
pub(super) struct Payload(Map<String, Value>);

/// Kind of an object, judged by its names alone (see "Inbound texts", "Delivery reports" and "Calls").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A phone sent a text.
    Message,
    /// Status of a text.
    MessageStatus,
    /// Status of a call, or of a leg of it.
    CallNews,
    /// None of these: a call if it comes to the voice webhook or has all fields of a call.
    Call,
}

impl Payload {
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        json::read(body).map(Self).map_err(|_| Malformed("not a JSON object"))
    }

    pub(super) fn kind(&self) -> Kind {
        let has = |name| self.0.get(name).is_some_and(|value| !value.is_null());
        match (has("message_uuid"), has("status")) {
            (true, true) => Kind::MessageStatus,
            (true, false) => Kind::Message,
            (false, true) => Kind::CallNews,
            (false, false) => Kind::Call,
        }
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        text(&self.0, name)
    }

    /// Returns a nested object.
    pub(super) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// Returns the objects in a nested list.
    pub(super) fn objects(&self, name: &str) -> impl Iterator<Item = &Map<String, Value>> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_object)
    }

    /// Returns a whole number, or a text that is one.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Returns a text that is not empty, in a nested object.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Returns the code of an error: its `title`, or the end of its `type` (see "Errors and retries"). The adapter ignores
/// an error's text, which may repeat a phone number.
pub(super) fn error_code(error: &Map<String, Value>) -> Option<ProviderCode> {
    let title = match error.get("title") {
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let end_of_type = text(error, "type").and_then(|address| address.rsplit(['#', '/']).next()).map(str::to_owned);
    let is_number = |code: &String| (1..=5).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    let code = title.filter(is_number).or_else(|| end_of_type.filter(is_number))?;
    ProviderCode::of(&code)
}

/// Returns an id as it may be stored. Keeps UUIDs, also without dashes or with `CON-` before them: they are too long
/// for a phone number and hold no text. Hashes anything else.
pub(super) fn key(id: &str) -> String {
    let uuid = id.strip_prefix("CON-").unwrap_or(id);
    let documented = matches!(uuid.len(), 32 | 36) && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    wire::stored_id(id, documented)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_alone_say_what_it_is() {
        let kind = |value: Value| Payload::read(value.to_string().as_bytes()).expect("an object").kind();
        assert_eq!(kind(json!({"message_uuid": "1", "text": "Hi"})), Kind::Message);
        assert_eq!(kind(json!({"message_uuid": "1", "status": null})), Kind::Message);
        assert_eq!(kind(json!({"message_uuid": 1, "status": 1})), Kind::MessageStatus);
        assert_eq!(kind(json!({"uuid": "1", "status": "busy"})), Kind::CallNews);
        assert_eq!(kind(json!({"uuid": "1", "from": "31612345678"})), Kind::Call);
        assert_eq!(kind(json!({})), Kind::Call);
    }

    #[test]
    fn codes_are_numbers() {
        let code =
            |value: Value| error_code(value.as_object().expect("an object")).map(|code| code.as_str().to_owned());
        assert_eq!(code(json!({"title": 1240, "type": "x#1000"})).as_deref(), Some("1240"));
        assert_eq!(code(json!({"title": "1240"})).as_deref(), Some("1240"));
        let typed = |address| code(json!({"title": "Illegal number 31612345678", "type": address}));
        assert_eq!(typed("https://developer.vonage.com/api-errors/messages#1170").as_deref(), Some("1170"));
        assert_eq!(typed("https://developer.vonage.com/en/api-errors/1170").as_deref(), Some("1170"));
        for odd in ["", "https://developer.vonage.com/api-errors#unauthorized", "https://x.example/31612345678", "#"] {
            assert_eq!(typed(odd), None, "{odd}");
        }
        for odd in
            [json!({}), json!({"title": 31_612_345_678_u64}), json!({"title": "12.5", "type": 7}), json!({"title": -5})]
        {
            assert_eq!(code(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn ids_in_documented_shapes_stay() {
        for id in [
            "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
            "aaaaaaaabbbbccccdddd0123456789ab",
            "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        ] {
            assert_eq!(key(id), id);
        }
        for odd in
            ["31612345678", "CON-31612345678", "see you at eight", "", "CON-CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"]
        {
            assert_eq!(key(odd).len(), 64, "{odd}");
        }
    }
}
