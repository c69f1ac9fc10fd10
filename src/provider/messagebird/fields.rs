//! Names and values of a webhook, in any of its encodings (see "Inbound texts").

use http::{Method, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::{
    domain::json,
    provider::{Malformed, WebhookRequest, wire},
};

/// Names with values, in the received order, including repeats.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of_query(request: &WebhookRequest) -> Self {
        Self(wire::form_pairs(request.query().as_bytes()))
    }

    /// Reads the query of a GET and the body of any other request. The body is a form unless the flow's author set
    /// another content type, and JSON is the only other one.
    pub(super) fn of_request(request: &WebhookRequest) -> Result<Self, Malformed> {
        if request.method == Method::GET {
            return Ok(Self::of_query(request));
        }
        if !request.headers.contains_key(CONTENT_TYPE) {
            return Ok(Self(wire::form_pairs(&request.body)));
        }
        match wire::media_type(request).as_str() {
            "application/x-www-form-urlencoded" => Ok(Self(wire::form_pairs(&request.body))),
            "application/json" => Self::of_json(&request.body),
            _ => Err(Malformed("neither a form nor JSON")),
        }
    }

    fn of_json(body: &[u8]) -> Result<Self, Malformed> {
        let object: Map<String, Value> = json::read(body).map_err(|_| Malformed("not a JSON object"))?;
        let pairs = |(name, value)| texts(value).into_iter().map(move |text| (String::clone(&name), text));
        Ok(Self(object.into_iter().flat_map(pairs).collect()))
    }

    /// Returns the value of the first of these names that has one, ignoring case. For a repeated name it is the last
    /// value: the form with two `id` fields has the `message_id` of the other forms in the second one.
    pub(super) fn value(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|wanted| {
            let is_it = |(name, value): &&(String, String)| name.eq_ignore_ascii_case(wanted) && !value.is_empty();
            self.0.iter().rev().find(is_it).map(|(_, value)| value.as_str())
        })
    }

    /// Returns every value of this name, with or without trailing brackets, which MessageBird uses elsewhere
    /// (`price[amount]`, see "Delivery reports").
    pub(super) fn list(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let is_it = move |name: &str| name.split('[').next().is_some_and(|stem| stem.eq_ignore_ascii_case(wanted));
        self.0.iter().filter(move |(name, _)| is_it(name)).map(|(_, value)| value.as_str())
    }
}

/// Returns the texts and numbers in a JSON value. A list yields all of its items, like a repeated name in a form.
fn texts(value: Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.into_iter().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::messagebird::tests::request;

    fn post(content_type: &str, body: &[u8]) -> Result<Fields, Malformed> {
        Fields::of_request(&request(Method::POST, "https://x.example/", &[("content-type", content_type)], body))
    }

    #[test]
    fn a_form_is_the_default() {
        let untyped = request(Method::POST, "https://x.example/?a=2", &[], b"a=1");
        assert_eq!(Fields::of_request(&untyped).expect("fields").value(&["a"]), Some("1"));
        let query = request(Method::GET, "https://x.example/?a=2", &[("content-type", "text/plain")], b"a=1");
        assert_eq!(Fields::of_request(&query).expect("fields").value(&["a"]), Some("2"));
    }

    #[test]
    fn other_content_is_malformed() {
        for (content_type, body) in [
            ("text/plain", "a=1"),
            ("", "a=1"),
            ("application/\u{e9}", "a=1"),
            ("multipart/form-data; boundary=x", "a=1"),
            ("application/json", "a=1"),
            ("application/json", "[\"a\"]"),
            ("application/json", "{\"a\":\"1\""),
        ] {
            assert!(post(content_type, body.as_bytes()).is_err(), "{content_type} {body}");
        }
        let two = [("content-type", "application/json"), ("content-type", "application/json")];
        assert!(Fields::of_request(&request(Method::POST, "https://x.example/", &two, b"{}")).is_err());
    }

    #[test]
    fn bad_encoding_in_json_costs_a_character() {
        let body = b"\xef\xbb\xbf{\"a\":\"caf\xe9\",\"b\":\"\\ud83d!\",\"n\":1e999}";
        let fields = post("application/json", body).expect("fields");
        assert_eq!((fields.value(&["a"]), fields.value(&["b"])), (Some("caf\u{fffd}"), Some("\u{fffd}!")));
    }

    #[test]
    fn bad_encoding_in_a_form_costs_a_character() {
        let fields = post("application/x-www-form-urlencoded", b"a=caf%E9%2&b=\xe9").expect("fields");
        assert_eq!((fields.value(&["a"]), fields.value(&["b"])), (Some("caf\u{fffd}%2"), Some("\u{fffd}")));
    }

    #[test]
    fn finds_values_under_any_of_their_names() {
        let fields =
            post("APPLICATION/JSON ; charset=utf-8", br#"{"A":"","a":null,"b":{"c":1},"C":[7,"x"],"c[]":true}"#)
                .expect("fields");
        assert_eq!(fields.value(&["a", "b", "c"]), Some("x"), "the last of the first that has any");
        assert_eq!(fields.value(&["a", "b"]), None);
        assert_eq!(fields.list("c").collect::<Vec<_>>(), ["7", "x"]);
        let fields = post("application/x-www-form-urlencoded", b"c=1&C%5B%5D=2&c[1]=3&cc=4").expect("fields");
        assert_eq!(fields.list("c").collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}
