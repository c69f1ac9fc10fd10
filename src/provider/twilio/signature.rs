//! Checks who sent a webhook (see "Signatures").
//!
//! The signature is an HMAC-SHA1 over the address and the form, under the account's auth token. It carries no time, so
//! a request is valid as long as the token. The inbox makes sure that a repeat has no second effect (invariant 4 in
//! ARCHITECTURE.md).
//!
//! In a newer mode the request names a key and an algorithm (`X-Twilio-Webhooks-Signature-Settings`). It is opt-in, and
//! needs a shared key that we do not know. A request with that header is refused even if the header is empty, which one
//! SDK reads as the older mode: no request chooses how it is checked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

use super::params::{self, Params};
use crate::provider::{Unverified, WebhookRequest, wire};

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// Checks the signature with any of the tokens.
pub(super) fn verify(tokens: &[SecretString], request: &WebhookRequest) -> Result<(), Unverified> {
    if !request.headers.contains_key(SIGNATURE) {
        return Err(Unverified::Missing);
    }
    let signature = request.header(SIGNATURE).ok_or(Unverified::Forged)?;
    let form = Params::of_form(request).signed();
    let is_signed = |address: &str| {
        let signed = [address, &form].concat();
        tokens.iter().any(|token| {
            let tag = wire::hmac_sha1(token.expose_secret().as_bytes(), signed.as_bytes());
            // Compares text, as the SDKs do: base64 without its padding does not match.
            wire::equal(STANDARD.encode(tag.as_ref()).as_bytes(), signature.as_bytes())
        })
    };
    let holds = !request.headers.contains_key(SETTINGS)
        && body_holds(request)
        && (is_signed(&request.url) || other_port(&request.url).is_some_and(|address| is_signed(&address)));
    if holds { Ok(()) } else { Err(Unverified::Forged) }
}

/// Whether the signature covers the body. A form is signed by its parameters. The digest of any other body is in the
/// query, which the signature covers. Without a digest the body must be empty.
fn body_holds(request: &WebhookRequest) -> bool {
    if params::is_form(request) {
        return true;
    }
    match wire::value(&wire::form_pairs(request.query().as_bytes()), "bodySHA256") {
        Some(hash) => wire::equal(wire::sha256_hex(&request.body).as_bytes(), hash.as_bytes()),
        None => request.body.is_empty(),
    }
}

/// Returns the address with the default port if it names none, and without its port if it names one. Twilio drops a
/// port, or adds the default one, by rules that differ between voice and texts; its SDKs also try both forms.
fn other_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A colon before this belongs to credentials or to an IPv6 address.
    let host = authority.rfind(['@', ']']).map_or(0, |at| at + 1);
    Some(match authority[host..].find(':') {
        Some(colon) => format!("{scheme}://{}{path}", &authority[..host + colon]),
        None => {
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            format!("{scheme}://{authority}:{port}{path}")
        }
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::testing::vectors;
    use crate::provider::twilio::tests::{FORM, request};

    fn tokens(tokens: &[&str]) -> Vec<SecretString> {
        tokens.iter().map(|token| (*token).into()).collect()
    }

    /// No vector of this provider is optional. Vectors of other providers are refused, even those marked `optional`.
    /// All vectors of the scheme `x-twilio-signature/hmac-sha256/shared-key` are refused, although one has an empty
    /// settings header with a good SHA-1 signature: see the head of this file. The test ignores the time of a vector,
    /// because these signatures have none.
    #[test]
    fn every_vector_gets_its_verdict() {
        const OURS: [&str; 2] = ["x-twilio-signature/hmac-sha1/form", "x-twilio-signature/hmac-sha1/bodySHA256"];
        let vectors = vectors();
        let (mut accepted, mut ours) = (0, 0);
        for v in &vectors {
            let request = v.request();
            let verdict = verify(&tokens(&[&v.secret]), &request);
            let is_ours = OURS.contains(&v.scheme.as_str());
            assert_eq!(verdict.is_ok(), is_ours && v.valid, "{}: {verdict:?}", v.id);
            accepted += usize::from(verdict.is_ok());
            ours += usize::from(is_ours);
        }
        assert_eq!((vectors.len(), ours, accepted), (158, 24, 13), "no vector is passed over");
    }

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const BODY: &str =
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    /// The example in the Node SDK's tests (`spec/validation.spec.js`).
    const GOOD: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

    fn verdict(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Result<(), Unverified> {
        verify(&tokens(&["other", "12345"]), &request(method, url, headers, body.as_bytes()))
    }

    fn posted(headers: &[(&str, &str)]) -> Result<(), Unverified> {
        verdict(Method::POST, URL, &[&[("content-type", FORM)], headers].concat(), BODY)
    }

    fn sign(url: &str, form: &str) -> String {
        STANDARD.encode(wire::hmac_sha1(b"12345", format!("{url}{form}").as_bytes()).as_ref())
    }

    #[test]
    fn a_header_counts_only_once_and_alone() {
        assert_eq!(posted(&[(SIGNATURE, GOOD)]), Ok(()));
        assert_eq!(posted(&[]), Err(Unverified::Missing));
        for headers in [
            vec![(SIGNATURE, "")],
            vec![(SIGNATURE, "é")],
            vec![(SIGNATURE, GOOD), (SIGNATURE, GOOD)],
            vec![(SIGNATURE, GOOD), (SETTINGS, "")],
            vec![(SIGNATURE, GOOD), (SETTINGS, "key=k,algorithm=HMAC_SHA256")],
            vec![(SIGNATURE, GOOD), ("content-type", FORM)],
        ] {
            assert_eq!(posted(&headers), Err(Unverified::Forged), "{headers:?}");
        }
    }

    #[test]
    fn any_token_of_a_rotation_verifies_and_none_refuses() {
        let request = request(Method::POST, URL, &[("content-type", FORM), (SIGNATURE, GOOD)], BODY.as_bytes());
        assert_eq!(verify(&tokens(&["12345", "next"]), &request), Ok(()));
        assert_eq!(verify(&tokens(&["next"]), &request), Err(Unverified::Forged));
        assert_eq!(verify(&[], &request), Err(Unverified::Forged));
    }

    #[test]
    fn a_port_may_be_left_out_or_the_default_put_in() {
        let signed_for = |signed: &str, received: &str| {
            verdict(Method::GET, received, &[(SIGNATURE, &sign(signed, ""))], "").is_ok()
        };
        for (signed, received, holds) in [
            ("https://a.example/x?y", "https://a.example/x?y", true),
            ("https://a.example:443/x?y", "https://a.example/x?y", true),
            ("https://a.example/x?y", "https://a.example:443/x?y", true),
            // Over HTTPS, a call's webhook drops a custom port, and a text's keeps it.
            ("https://a.example/x?y", "https://a.example:8443/x?y", true),
            ("https://a.example:8443/x?y", "https://a.example:8443/x?y", true),
            ("http://a.example:80", "http://a.example", true),
            ("https://[::1]:443/x", "https://[::1]/x", true),
            ("https://[::1]/x", "https://[::1]:8443/x", true),
            ("https://u:p@a.example:443/x:1", "https://u:p@a.example/x:1", true),
            ("https://a.example:8443/x?y", "https://a.example/x?y", false),
            ("https://a.example:80/x?y", "https://a.example/x?y", false),
            ("https://a.example:443/x", "https://a.example:8443/x", false),
            ("http://a.example/x", "https://a.example/x", false),
            ("https://b.example/x", "https://a.example/x", false),
        ] {
            assert_eq!(signed_for(signed, received), holds, "{signed} as {received}");
        }
        assert_eq!(other_port("nonsense"), None);
    }

    #[test]
    fn no_body_is_left_open() {
        let url = |body: &[u8]| format!("{URL}&bodySHA256={}", wire::sha256_hex(body));
        let get = [(SIGNATURE, &*sign(URL, ""))];
        assert_eq!(verdict(Method::GET, URL, &get, ""), Ok(()));
        for content_type in [None, Some("application/json"), Some("text/plain")] {
            let headers: Vec<_> = get.into_iter().chain(content_type.map(|text| ("content-type", text))).collect();
            assert_eq!(verdict(Method::POST, URL, &headers, "{}"), Err(Unverified::Forged), "{content_type:?}");
            assert_eq!(verdict(Method::GET, URL, &headers, "{}"), Err(Unverified::Forged), "{content_type:?}");
        }
        // A digest is valid for its own body only, and the body cannot be removed.
        let signed = url(b"{}");
        let json = [(SIGNATURE, &*sign(&signed, "")), ("content-type", "application/json")];
        assert_eq!(verdict(Method::POST, &signed, &json, "{}"), Ok(()));
        assert_eq!(verdict(Method::POST, &signed, &json, ""), Err(Unverified::Forged));
        let form = [(SIGNATURE, &*sign(&signed, "")), ("content-type", FORM)];
        assert_eq!(verdict(Method::POST, &signed, &form, "a=1"), Err(Unverified::Forged));
        assert_eq!(verdict(Method::POST, &signed, &form, ""), Err(Unverified::Forged));
        // A form is signed by its parameters, whatever else the query says.
        let form = [(SIGNATURE, &*sign(&signed, "a1")), ("content-type", FORM)];
        assert_eq!(verdict(Method::POST, &signed, &form, "a=1"), Ok(()));
        assert_eq!(verdict(Method::POST, &signed, &form, "a=2"), Err(Unverified::Forged));
    }

    proptest! {
        #[test]
        fn what_nobody_signed_never_verifies(
            signature in "[A-Za-z0-9+/]{0,27}=?", url in "(https?://)?\\PC{0,40}", get in any::<bool>(),
            content_type in proptest::sample::select(vec![FORM, "application/json", ""]),
            body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let method = if get { Method::GET } else { Method::POST };
            let request = request(method, &url, &[(SIGNATURE, &signature), ("content-type", content_type)], &body);
            prop_assert_eq!(verify(&tokens(&["12345"]), &request), Err(Unverified::Forged));
        }

        #[test]
        fn any_form_that_was_signed_verifies(pairs in proptest::collection::btree_map("\\PC{1,6}", "\\PC{0,20}", 0..6)) {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            let body = body.extend_pairs(pairs.iter().rev()).finish();
            let signed: String = pairs.iter().map(|(name, value)| format!("{name}{value}")).collect();
            let headers = [(SIGNATURE, &*sign(URL, &signed)), ("content-type", FORM)];
            prop_assert_eq!(verdict(Method::POST, URL, &headers, &body), Ok(()));
        }
    }
}
