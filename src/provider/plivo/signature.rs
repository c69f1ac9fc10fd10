//! Verifies the sender of a webhook. See "Signatures".
//!
//! V3 covers address, query and form. V2 covers the address alone, so it counts only if the operator allows it and the
//! request has no V3 header: a bad V3 signature never falls back to V2. V1 never counts.
//!
//! Neither has a timestamp, and a retry may reuse its nonce, so nonces are not remembered: a repeat has no second
//! effect (invariant 4 in `ARCHITECTURE.md`, section "Invariants").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret as _, SecretString};

use crate::provider::{Unverified, WebhookRequest, wire};

/// A signature scheme. The first header is signed with the token of the account or sub-account that owns the call or
/// text, the second with the token of the main account. It is enough to know one of them.
struct Scheme {
    signatures: [&'static str; 2],
    nonce: &'static str,
    signed: fn(&WebhookRequest, &str) -> String,
}

const V3: Scheme = Scheme {
    signatures: ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"],
    nonce: "x-plivo-signature-v3-nonce",
    signed: signed_v3,
};

const V2: Scheme = Scheme {
    signatures: ["x-plivo-signature-v2", "x-plivo-signature-ma-v2"],
    nonce: "x-plivo-signature-v2-nonce",
    signed: |request, nonce| format!("{}{nonce}", address(request)),
};

impl Scheme {
    /// Whether a request has any header of the scheme, including the nonce.
    fn is_used(&self, headers: &HeaderMap) -> bool {
        self.signatures.iter().chain([&self.nonce]).any(|name| headers.contains_key(*name))
    }
}

/// Checks the signature with any of the tokens.
pub(super) fn verify(tokens: &[SecretString], accept_v2: bool, request: &WebhookRequest) -> Result<(), Unverified> {
    let scheme = if V3.is_used(&request.headers) {
        V3
    } else if accept_v2 && V2.is_used(&request.headers) {
        V2
    } else {
        return Err(Unverified::Missing);
    };
    if !is_covered(request) {
        return Err(Unverified::Forged);
    }
    // A dot separates the nonce from the signed text before it. If the nonce could contain a dot, a form could pass for
    // part of the nonce, and a signed POST for a GET of its query. A form can still pass for the end of the query,
    // which nobody can detect, but the result is not a valid reference.
    let nonce = request.header(scheme.nonce).filter(|nonce| !nonce.is_empty() && !nonce.contains('.'));
    let signed = (scheme.signed)(request, nonce.ok_or(Unverified::Forged)?);
    let expected: Vec<_> = tokens
        .iter()
        .map(|token| STANDARD.encode(wire::hmac_sha256(token.expose_secret().as_bytes(), signed.as_bytes())))
        .collect();
    let mut holds = false;
    for name in scheme.signatures.into_iter().filter(|name| request.headers.contains_key(*name)) {
        let list = request.header(name).ok_or(Unverified::Forged)?;
        for signature in list.split(',').map(str::trim) {
            holds |= expected.iter().any(|expected| wire::equal(expected.as_bytes(), signature.as_bytes()));
        }
    }
    if holds { Ok(()) } else { Err(Unverified::Forged) }
}

/// Whether Plivo's rules cover a request. They do not say how it signs another method, or a body that is not a form.
fn is_covered(request: &WebhookRequest) -> bool {
    match request.method {
        Method::GET => request.body.is_empty(),
        Method::POST => request.body.is_empty() || wire::media_type(request) == "application/x-www-form-urlencoded",
        _ => false,
    }
}

/// Builds the signed text: address, `?` and query, form, `.` and nonce, with everything decoded and sorted. A form
/// keeps the `?` of an absent query, and has a dot before it only if there is a query.
fn signed_v3(request: &WebhookRequest, nonce: &str) -> String {
    let query: Vec<_> =
        sorted(request.query().as_bytes()).iter().map(|(key, value)| format!("{key}={value}")).collect();
    let query = query.join("&");
    let form: String = sorted(&request.body).into_iter().flat_map(|(key, value)| [key, value]).collect();
    let (mark, dot) = match (query.is_empty(), form.is_empty()) {
        (true, true) => ("", ""),
        (false, true) | (true, false) => ("?", ""),
        (false, false) => ("?", "."),
    };
    format!("{}{mark}{query}{dot}{form}.{nonce}", address(request))
}

/// Sorts pairs by key and then by value, byte by byte: capitals come first.
pub(super) fn sorted(text: &[u8]) -> Vec<(String, String)> {
    let mut pairs = wire::form_pairs(text);
    pairs.sort();
    pairs
}

/// Returns scheme, host, port if present, and path, as received.
fn address(request: &WebhookRequest) -> &str {
    request.url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::provider::plivo::tests::{FORM, request};
    use crate::provider::testing::{Vector, vectors};

    const URL: &str = "https://proxy.example.com/hooks/plivo/voice";
    const TOKEN: &str = "test_auth_token_0123456789";
    const NONCE: &str = "12345678901234567890";

    /// A vector as Plivo sends it: parameters of a GET are in its query, those of a POST in its body, and no fragment
    /// is sent.
    fn as_it_travels(v: &Vector) -> WebhookRequest {
        let mut request = v.request();
        let mut url = v.url.split('#').next().unwrap_or_default().to_owned();
        let nothing = Map::new();
        let is_get = request.method == Method::GET;
        for (name, value) in v.params.as_object().unwrap_or(&nothing).iter().filter(|_| is_get) {
            let pair = [(name, value.as_str().unwrap_or_default())];
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pair).finish());
        }
        request.url = url;
        request
    }

    fn tokens(tokens: &[&str]) -> Vec<SecretString> {
        tokens.iter().map(|token| (*token).into()).collect()
    }

    fn sign(token: &str, signed: &str) -> String {
        STANDARD.encode(wire::hmac_sha256(token.as_bytes(), signed.as_bytes()))
    }

    /// No vector of this provider is optional. All vectors of other schemes, including V1, are refused.
    #[test]
    fn every_vector_gets_its_verdict() {
        let vectors = vectors();
        let (mut v3, mut v2, mut accepted) = (0, 0, [0, 0]);
        for v in &vectors {
            let (is_v3, is_v2) = (v.scheme == "plivo-v3", v.scheme == "plivo-v2");
            for accept_v2 in [false, true] {
                let verdict = verify(&tokens(&[&v.secret]), accept_v2, &as_it_travels(v));
                let counts = is_v3 || is_v2 && accept_v2;
                assert_eq!(verdict.is_ok(), counts && v.valid, "{} with V2 {accept_v2}: {verdict:?}", v.id);
                accepted[usize::from(accept_v2)] += usize::from(verdict.is_ok());
            }
            v3 += usize::from(is_v3);
            v2 += usize::from(is_v2);
        }
        assert_eq!((vectors.len(), v3, v2), (158, 22, 7), "no vector is passed over");
        assert_eq!(accepted, [10, 13], "V3, and three of V2 where it counts");
    }

    /// Verifies a POST of the form with these headers.
    fn posted(headers: &[(&str, &str)], accept_v2: bool) -> Result<(), Unverified> {
        let headers = [headers, &[("content-type", FORM)]].concat();
        verify(&tokens(&["other", TOKEN]), accept_v2, &request(Method::POST, URL, &headers, b"b=1&B=2&a=3&A=4"))
    }

    /// The signature of that form, as in the vector `plivo-v3/post-key-case`.
    const GOOD: &str = "SGLsvJk0bjTFM++uZ9mmlU6aH3FUff+WaYNTFyqG3WM=";

    #[test]
    fn either_header_and_any_token_is_enough() {
        for (own, main) in [(Some(GOOD), None), (None, Some(GOOD)), (Some("AAAA"), Some(GOOD)), (Some(GOOD), Some(""))]
        {
            let mut headers = vec![(V3.nonce, NONCE)];
            headers.extend(own.map(|signature| (V3.signatures[0], signature)));
            headers.extend(main.map(|signature| (V3.signatures[1], signature)));
            assert_eq!(posted(&headers, false), Ok(()), "{own:?} {main:?}");
        }
        let many = format!("AAAA,,{GOOD} , x");
        assert_eq!(posted(&[(V3.nonce, NONCE), (V3.signatures[0], &many)], false), Ok(()));
        let headers = [(V3.nonce, NONCE), (V3.signatures[0], GOOD)];
        let lone = request(Method::POST, URL, &headers, b"");
        assert_eq!(verify(&[], false, &lone), Err(Unverified::Forged), "no token verifies nothing");
    }

    #[test]
    fn every_header_stands_once() {
        let forged = Err(Unverified::Forged);
        assert_eq!(posted(&[(V3.signatures[0], GOOD)], false), forged, "no nonce");
        assert_eq!(posted(&[(V3.nonce, NONCE)], false), forged, "a nonce alone");
        let [own, main] = V3.signatures;
        for twice in [(V3.nonce, NONCE), (own, GOOD), (own, "")] {
            assert_eq!(posted(&[(V3.nonce, NONCE), (own, GOOD), twice], false), forged, "{twice:?}");
        }
        let headers = [(V3.nonce, NONCE), (own, GOOD), (main, GOOD), (main, GOOD)];
        assert_eq!(posted(&headers, false), forged);
        assert_eq!(posted(&[], false), Err(Unverified::Missing));
        assert_eq!(posted(&[("x-plivo-signature", GOOD)], true), Err(Unverified::Missing), "V1");
    }

    #[test]
    fn the_older_scheme_counts_only_where_allowed_and_alone() {
        let signature = sign(TOKEN, &format!("{URL}{NONCE}"));
        for name in V2.signatures {
            let headers = [(V2.nonce, NONCE), (name, signature.as_str())];
            assert_eq!(posted(&headers, true), Ok(()), "{name}");
            assert_eq!(posted(&headers, false), Err(Unverified::Missing), "{name}");
            for newer in [V3.nonce, V3.signatures[0], V3.signatures[1]] {
                let both = [&headers[..], &[(newer, "")]].concat();
                assert_eq!(posted(&both, true), Err(Unverified::Forged), "{newer}");
            }
        }
    }

    #[test]
    fn a_body_must_be_a_form() {
        let body = br#"{"a":1}"#;
        let signed = format!("{URL}?{{\"a\":1}}.{NONCE}");
        let (v3, v2) = (sign(TOKEN, &signed), sign(TOKEN, &format!("{URL}{NONCE}")));
        let verdict = |method: Method, content_type: &[(&str, &str)]| {
            let one = [(V3.nonce, NONCE), (V3.signatures[0], v3.as_str())];
            let other = [(V2.nonce, NONCE), (V2.signatures[0], v2.as_str())];
            [one, other].map(|headers| {
                let headers = [&headers[..], content_type].concat();
                verify(&tokens(&[TOKEN]), true, &request(method.clone(), URL, &headers, body))
            })
        };
        assert_eq!(verdict(Method::POST, &[("content-type", FORM)]), [Ok(()), Ok(())], "the form of one odd name");
        for content_type in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
            let forged = [Err(Unverified::Forged); 2];
            assert_eq!(verdict(Method::POST, &[("content-type", content_type)]), forged, "{content_type}");
        }
        assert_eq!(verdict(Method::POST, &[]), [Err(Unverified::Forged); 2]);
        for method in [Method::GET, Method::PUT] {
            assert_eq!(verdict(method, &[("content-type", FORM)]), [Err(Unverified::Forged); 2]);
        }
    }

    #[test]
    fn the_signed_text_has_its_dots() {
        let text = |method: Method, query: &str, body: &[u8]| {
            signed_v3(&request(method, &format!("https://x.example:443/a%20b{query}"), &[], body), "7")
        };
        assert_eq!(text(Method::GET, "", b""), "https://x.example:443/a%20b.7");
        assert_eq!(text(Method::POST, "?", b"&"), "https://x.example:443/a%20b.7");
        assert_eq!(text(Method::POST, "?ref=mk_1", b""), "https://x.example:443/a%20b?ref=mk_1.7");
        assert_eq!(text(Method::POST, "?ref=mk_1", b"b=&a=%2B+x"), "https://x.example:443/a%20b?ref=mk_1.a+ xb.7");
        assert_eq!(text(Method::GET, "?b=2&b=1&a&B=%26", b""), "https://x.example:443/a%20b?B=&&a=&b=1&b=2.7");
        assert_eq!(text(Method::POST, "", b"b=2&b=1&b=1"), "https://x.example:443/a%20b?b1b1b2.7");
    }

    #[test]
    fn a_signed_form_does_not_pass_for_a_query() {
        let signed = format!("{URL}?ref=mk_1.A1.{NONCE}");
        let signature = sign(TOKEN, &signed);
        let url = format!("{URL}?ref=mk_1");
        let headers = [(V3.nonce, NONCE), (V3.signatures[0], signature.as_str()), ("content-type", FORM)];
        assert_eq!(verify(&tokens(&[TOKEN]), false, &request(Method::POST, &url, &headers, b"A=1")), Ok(()));
        let nonce = format!("A1.{NONCE}");
        let headers = [(V3.nonce, nonce.as_str()), (V3.signatures[0], signature.as_str())];
        let replayed = request(Method::GET, &url, &headers, b"");
        assert_eq!(signed_v3(&replayed, &nonce), signed, "the same text");
        assert_eq!(verify(&tokens(&[TOKEN]), false, &replayed), Err(Unverified::Forged));
    }

    proptest! {
        #[test]
        fn what_nobody_signed_never_verifies(
            signature in "[A-Za-z0-9+/]{0,43}=?", nonce in "[!-~]{0,24}", newer in any::<bool>(), query in "\\PC{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let scheme = if newer { V3 } else { V2 };
            let headers = [(scheme.signatures[0], signature.as_str()), (scheme.nonce, nonce.as_str()), ("content-type", FORM)];
            let request = request(Method::POST, &format!("{URL}?{query}"), &headers, &body);
            prop_assert_eq!(verify(&tokens(&[TOKEN]), true, &request), Err(Unverified::Forged));
        }

        #[test]
        fn what_is_signed_verifies_and_a_change_does_not(
            pairs in proptest::collection::vec(("[a-zA-Z]{1,6}", "\\PC{0,12}"), 1..6), at in any::<prop::sample::Index>()
        ) {
            let form = |pairs: &[(String, String)]| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let mut sorted = pairs.clone();
            sorted.sort();
            let signed: String = sorted.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
            let signature = sign(TOKEN, &format!("{URL}?{signed}.{NONCE}"));
            let headers = [(V3.signatures[0], signature.as_str()), (V3.nonce, NONCE), ("content-type", FORM)];
            let verdict = |pairs: &[(String, String)]| {
                verify(&tokens(&[TOKEN]), false, &request(Method::POST, URL, &headers, form(pairs).as_bytes()))
            };
            prop_assert_eq!(verdict(&pairs), Ok(()));
            let mut changed = pairs;
            let index = at.index(changed.len());
            changed[index].1.push('x');
            prop_assert_eq!(verdict(&changed), Err(Unverified::Forged));
        }
    }
}
