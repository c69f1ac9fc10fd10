//! The parameters of a webhook as Twilio signs them: the adapter reads what the signature covers, and ignores their
//! order.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use crate::provider::{WebhookRequest, wire};

/// Names with their values, both in byte order, each value once (see "Signatures").
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, BTreeSet<String>>);

impl Params {
    /// Reads the parameters of a form. Twilio sends our webhooks nothing else (see "Webhooks"), so other bodies have
    /// none.
    pub(super) fn of_form(request: &WebhookRequest) -> Self {
        if is_form(request) { Self::of(&request.body) } else { Self(BTreeMap::new()) }
    }

    /// Reads the query of a GET and the form of any other request.
    pub(super) fn of_request(request: &WebhookRequest) -> Self {
        if request.method == Method::GET { Self::of(request.query().as_bytes()) } else { Self::of_form(request) }
    }

    fn of(text: &[u8]) -> Self {
        let mut params = BTreeMap::<_, BTreeSet<_>>::new();
        for (name, value) in wire::form_pairs(text) {
            params.entry(name).or_default().insert(value);
        }
        Self(params)
    }

    /// Returns the parameters as signed: each value directly follows its name, even an empty one (see "Signatures").
    pub(super) fn signed(&self) -> String {
        let pairs = self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| [name.as_str(), value]));
        pairs.flatten().collect()
    }

    /// Returns a value, or an empty text. Several values that are not empty also give an empty text: Twilio repeats no
    /// name that the adapter reads.
    pub(super) fn value(&self, name: &str) -> &str {
        let mut values = self.0.get(name).into_iter().flatten().filter(|value| !value.is_empty());
        values.next().filter(|_| values.next().is_none()).map_or("", String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.value(name).is_empty()
    }
}

/// Whether the body is a form that is not empty.
pub(super) fn is_form(request: &WebhookRequest) -> bool {
    !request.body.is_empty() && wire::media_type(request) == "application/x-www-form-urlencoded"
}

/// Keeps an id of two letters and 32 hexadecimal digits, the form of all of Twilio's ids. Ids are stored unencrypted,
/// so anything else is hashed.
///
/// Drops everything after an id of that form. Names and values are signed with nothing between them, so an attacker who
/// repeats a request could append the next parameter to its id, and the request would look like a new one.
pub(super) fn key(id: &str) -> String {
    let (sid, _) = id.split_at_checked(34).unwrap_or_default();
    let (kind, digits) = sid.split_at_checked(2).unwrap_or_default();
    let documented = !digits.is_empty()
        && kind.bytes().all(|b| b.is_ascii_alphabetic())
        && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if documented { sid.to_owned() } else { wire::digest_key(&[id]) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::twilio::tests::{FORM, form, request};

    #[test]
    fn a_query_counts_only_with_a_get() {
        let url = "https://x.example/?From=query";
        let read = |method: Method, body: &str| {
            let request = request(method, url, &[("content-type", FORM)], body.as_bytes());
            (Params::of_request(&request).value("From").to_owned(), Params::of_form(&request).signed())
        };
        assert_eq!(read(Method::GET, ""), ("query".to_owned(), String::new()));
        assert_eq!(read(Method::POST, "From=form"), ("form".to_owned(), "Fromform".to_owned()));
        assert_eq!(read(Method::POST, ""), (String::new(), String::new()));
    }

    #[test]
    fn only_a_form_is_read() {
        for (content_type, is_one) in [
            (FORM, true),
            ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", true),
            ("application/json", false),
            ("multipart/form-data; boundary=x", false),
            ("", false),
        ] {
            let request =
                request(Method::POST, "https://x.example/", &[("content-type", content_type)], b"From=%2B31612345678");
            assert_eq!(is_form(&request), is_one, "{content_type}");
            assert_eq!(Params::of_request(&request).has("From"), is_one, "{content_type}");
        }
        let twice = request(Method::POST, "https://x.example/", &[("content-type", FORM); 2], b"From=1");
        assert!(!is_form(&twice));
    }

    #[test]
    fn bad_encoding_costs_a_character() {
        let params = Params::of_request(&form("a=caf%E9%2&b=%F0%9F%98%80&=c&d"));
        assert_eq!((params.value("a"), params.value("b"), params.value("")), ("caf\u{fffd}%2", "😀", "c"));
        assert!(!params.has("d") && !params.has("e"));
    }

    #[test]
    fn ids_stay_in_clear_only_in_their_shape() {
        let sid = "SM1f0e8ae6ade43cb3c0ce4525424e404f";
        assert_eq!(key(sid), sid);
        for odd in ["", "S", "31612345678", "see you at eight", "+31612345678+31612345678+3161234"] {
            assert_eq!(key(odd).len(), 64, "{odd}");
        }
        assert_eq!(key(&format!("é{}", "0".repeat(32))).len(), 64);
    }

    #[test]
    fn an_id_that_took_in_what_stands_behind_it_is_the_same_id() {
        let sid = "SM1f0e8ae6ade43cb3c0ce4525424e404f";
        for more in ["0", "NumMedia0", "NumMedia0NumSegments1"] {
            assert_eq!(key(&format!("{sid}{more}")), sid, "{more}");
        }
    }

    #[test]
    fn a_name_with_two_values_says_nothing() {
        let params = Params::of_request(&form("From=%2B31612345678&From=%2B31687654321&To=1&To=1&To=&Body=&Body=x"));
        assert_eq!((params.value("From"), params.value("To"), params.value("Body")), ("", "1", "x"));
        assert!(!params.has("From"));
    }

    proptest! {
        #[test]
        fn order_and_repeats_say_nothing(
            (pairs, shuffled) in proptest::collection::vec(("[a-c]{0,2}", "\\PC{0,3}"), 0..8)
                .prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
        ) {
            let write = |pairs: Vec<(String, String)>| {
                let mut body = url::form_urlencoded::Serializer::new(String::new());
                Params::of(body.extend_pairs(pairs).finish().as_bytes())
            };
            let twice = write([pairs.clone(), shuffled].concat());
            prop_assert_eq!(write(pairs).signed(), twice.signed());
        }
    }
}
