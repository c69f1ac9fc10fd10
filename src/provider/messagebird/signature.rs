//! Checks who sent a webhook, and when MessageBird signed it (see "Signatures").
//!
//! The current scheme is a signed JWT. The older HMAC counts only if there is no JWT, so a bad JWT never falls back to
//! the weaker scheme. Every rule is as strict as the strictest of the provider's own SDKs.
//!
//! The identifier `jti` is required but not remembered: the provider repeats requests byte for byte, and a repeat
//! within the freshness window has no second effect (invariant 4 in ARCHITECTURE.md).

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    domain::{clock::Time, jwt},
    provider::{Unverified, WebhookRequest, wire},
};

const TOKEN: &str = "messagebird-signature-jwt";
const SIGNATURE: &str = "messagebird-signature";
const TIMESTAMP: &str = "messagebird-request-timestamp";

/// Maximum difference between the two clocks for a JWT: 1 s in four of five SDKs (see "Signatures").
const LEEWAY: Duration = Duration::seconds(1);

/// Maximum age, in either direction, of a request of the older scheme. The SDKs allow 100 s, 10 s, 10 s and 2.5 s (see
/// "Signatures"). 10 s is the strictest limit that does not refuse a request with a short network delay.
const WINDOW: Duration = Duration::seconds(10);

/// Checks signature and freshness with any of the keys.
pub(super) fn verify(keys: &[SecretString], request: &WebhookRequest, now: Time) -> Result<(), Unverified> {
    if request.headers.contains_key(TOKEN) {
        verify_token(keys, request, now)
    } else if request.headers.contains_key(SIGNATURE) {
        verify_legacy(keys, request, now)
    } else {
        Err(Unverified::Missing)
    }
}

/// Claims of a token. All are required but the last, which is present exactly when there is a body (see "Signatures").
#[derive(Deserialize)]
struct Claims {
    iss: String,
    nbf: i64,
    exp: i64,
    jti: String,
    url_hash: String,
    payload_hash: Option<String>,
}

/// Checks a JWT (see "Signatures"). It is signed with HS256, HS384 or HS512 under the text of the key, and covers
/// address and body by the lower-case hexadecimal of their SHA-256.
fn verify_token(keys: &[SecretString], request: &WebhookRequest, now: Time) -> Result<(), Unverified> {
    let token = request.header(TOKEN).filter(|token| jwt::is_readable(token)).ok_or(Unverified::Forged)?;
    let rules = signature_only();
    let open = |key: &SecretString| {
        let key = DecodingKey::from_secret(key.expose_secret().as_bytes());
        jsonwebtoken::decode::<Claims>(token, &key, &rules).ok()
    };
    let claims = keys.iter().find_map(open).ok_or(Unverified::Forged)?.claims;

    let is_hash_of = |hash: &str, data: &[u8]| wire::equal(hash.as_bytes(), wire::sha256_hex(data).as_bytes());
    let payload_holds = match &claims.payload_hash {
        Some(hash) => !request.body.is_empty() && is_hash_of(hash, &request.body),
        None => request.body.is_empty(),
    };
    let holds = claims.iss == "MessageBird"
        && !claims.jti.is_empty()
        && is_hash_of(&claims.url_hash, request.url.as_bytes())
        && payload_holds;
    if !holds {
        return Err(Unverified::Forged);
    }
    let fresh = at(claims.nbf)? <= now + LEEWAY && now - LEEWAY < at(claims.exp)?;
    if fresh { Ok(()) } else { Err(Unverified::Stale) }
}

/// Makes the library check only the signature: it would use the system clock, and it accepts a list of issuers.
fn signature_only() -> Validation {
    let mut rules = Validation::new_for_family(AlgorithmFamily::Hmac);
    rules.required_spec_claims = HashSet::new();
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules
}

/// Checks the older scheme (see "Signatures"): base64 of an HMAC-SHA-256 over timestamp, sorted query and the digest of
/// the body. It covers neither host nor path.
fn verify_legacy(keys: &[SecretString], request: &WebhookRequest, now: Time) -> Result<(), Unverified> {
    let signature = request.header(SIGNATURE).and_then(|text| STANDARD.decode(text).ok()).ok_or(Unverified::Forged)?;
    let timestamp = request.header(TIMESTAMP).ok_or(Unverified::Forged)?;
    let sent = at(timestamp.parse().map_err(|_| Unverified::Forged)?)?;
    let body = wire::sha256(&request.body);
    let holds = sorted_queries(request.query()).iter().any(|query| {
        let signed = [timestamp.as_bytes(), b"\n", query.as_bytes(), b"\n", body.as_ref()].concat();
        keys.iter()
            .any(|key| wire::equal(wire::hmac_sha256(key.expose_secret().as_bytes(), &signed).as_ref(), &signature))
    });
    if !holds {
        return Err(Unverified::Forged);
    }
    if (now - sent).abs() < WINDOW { Ok(()) } else { Err(Unverified::Stale) }
}

/// Returns the query sorted by key, as received and as most SDKs encode it: they disagree on encoding (see
/// "Signatures").
fn sorted_queries(query: &str) -> [String; 2] {
    let mut received: Vec<&str> = query.split('&').collect();
    received.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(key, _)| key));

    let mut pairs = wire::form_pairs(query.as_bytes());
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // The WHATWG form encoding keeps the asterisk and percent-encodes the tilde; the SDKs do the opposite.
    [received.join("&"), written.replace('*', "%2A").replace("%7E", "~")]
}

fn at(seconds: i64) -> Result<Time, Unverified> {
    DateTime::from_timestamp(seconds, 0).ok_or(Unverified::Forged)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::messagebird::tests::request;
    use crate::provider::testing::vectors;

    const URL: &str = "https://proxy.example.com/webhooks/messagebird/voice?b=2&a=1";
    const KEY: &str = "a signing key";
    const NOW: i64 = 1_767_225_600;

    fn keys(keys: &[&str]) -> Vec<SecretString> {
        keys.iter().map(|key| (*key).into()).collect()
    }

    fn claims() -> Value {
        json!({
            "iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "jti": "0f3c2c60",
            "url_hash": wire::sha256_hex(URL.as_bytes()),
        })
    }

    fn signed(alg: Algorithm, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(alg), claims, &EncodingKey::from_secret(KEY.as_bytes())).expect("a token")
    }

    /// Verifies a GET of `URL` with these claims, `after_ms` milliseconds after `NOW`.
    fn verdict(claims: &Value, after_ms: i64) -> Result<(), Unverified> {
        let request = request(Method::GET, URL, &[(TOKEN, &signed(Algorithm::HS384, claims))], b"");
        verify(&keys(&[KEY]), &request, at(NOW).expect("a time") + Duration::milliseconds(after_ms))
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    /// No vector of this provider is optional. Vectors of other providers are refused, even those marked `optional`.
    #[test]
    fn every_vector_gets_its_verdict() {
        let vectors = vectors();
        let (mut accepted, mut ours) = (0, 0);
        for v in &vectors {
            let request = v.request();
            let verdict = verify(&keys(&[&v.secret]), &request, at(v.now.unwrap_or(NOW)).expect("a time"));
            let is_ours = matches!(v.scheme.as_str(), "messagebird-signature-jwt" | "messagebird-hmac-legacy");
            assert_eq!(verdict.is_ok(), is_ours && v.valid, "{}: {verdict:?}", v.id);
            accepted += usize::from(verdict.is_ok());
            ours += usize::from(is_ours);
        }
        assert_eq!((vectors.len(), ours, accepted), (158, 35, 14), "no vector is passed over");
    }

    #[test]
    fn a_token_is_good_for_its_minute_and_a_second_on_either_side() {
        assert_eq!(verdict(&claims(), -1001), Err(Unverified::Stale));
        assert_eq!(verdict(&claims(), -1000), Ok(()));
        assert_eq!(verdict(&claims(), 60_999), Ok(()));
        assert_eq!(verdict(&claims(), 61_000), Err(Unverified::Stale));
    }

    #[test]
    fn every_claim_counts() {
        for name in ["iss", "nbf", "exp", "jti", "url_hash"] {
            let mut without = claims();
            without.as_object_mut().expect("an object").remove(name);
            assert_eq!(verdict(&without, 0), Err(Unverified::Forged), "{name}");
        }
        for (name, value) in [
            ("iss", json!("messagebird")),
            ("iss", json!(["MessageBird"])),
            ("jti", json!("")),
            ("exp", json!("1767225660")),
            ("exp", json!(i64::MAX)),
            ("nbf", json!(i64::MIN)),
            ("url_hash", json!("")),
            // The digest of no bytes, although there is no body.
            ("payload_hash", json!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ] {
            assert_eq!(verdict(&with(name, value.clone()), 0), Err(Unverified::Forged), "{name} {value}");
        }
        assert_eq!(verdict(&with("aud", json!("anybody")), 0), Ok(()), "what we do not ask for does not count");
    }

    #[test]
    fn a_token_that_asks_for_more_than_we_understand_is_refused() {
        let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::HS256) };
        let token =
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(KEY.as_bytes())).expect("a token");
        let request = request(Method::GET, URL, &[(TOKEN, &token)], b"");
        assert_eq!(verify(&keys(&[KEY]), &request, at(NOW).expect("a time")), Err(Unverified::Forged));
    }

    #[test]
    fn any_key_of_a_rotation_verifies_and_no_key_refuses() {
        let request = request(Method::GET, URL, &[(TOKEN, &signed(Algorithm::HS256, &claims()))], b"");
        let verdict = |list: &[&str]| verify(&keys(list), &request, at(NOW).expect("a time"));
        assert_eq!(verdict(&["new", KEY]), Ok(()));
        assert_eq!(verdict(&["new"]), Err(Unverified::Forged));
        assert_eq!(verdict(&[]), Err(Unverified::Forged));
    }

    /// Verifies a GET from the Go and Java SDKs' test vectors, signed in 2018, `after_ms` milliseconds later.
    fn legacy(signature: &str, url: &str, extra: &[(&str, &str)], after_ms: i64) -> Result<(), Unverified> {
        let mut headers = vec![(TIMESTAMP, "1544544948"), (SIGNATURE, signature)];
        headers.extend(extra);
        let now = at(1_544_544_948).expect("a time") + Duration::milliseconds(after_ms);
        verify(&keys(&["other", "secret"]), &request(Method::GET, url, &headers, b""), now)
    }

    #[test]
    fn the_older_scheme_is_fresh_for_ten_seconds() {
        let verdict = |after_ms| {
            legacy("Tfn+nRUBsn6lQgf6IpxBMS1j9lm7XsGjt5xh47M3jCk=", "https://x.example/y?def=bar&abc=foo", &[], after_ms)
        };
        assert_eq!(verdict(9_999), Ok(()));
        assert_eq!(verdict(-9_999), Ok(()));
        assert_eq!(verdict(10_000), Err(Unverified::Stale));
        assert_eq!(verdict(-10_000), Err(Unverified::Stale));
        assert_eq!(
            legacy("LISw4Je7n0/MkYDgVSzTJm8dW6BkytKTXMZZk1IElMs=", "https://x.example/y", &[], 0),
            Ok(()),
            "both line ends stay around an empty query"
        );
    }

    #[test]
    fn the_older_scheme_counts_only_alone_and_once() {
        let good = "LISw4Je7n0/MkYDgVSzTJm8dW6BkytKTXMZZk1IElMs=";
        let verdict = |extra: &[(&str, &str)]| legacy(good, "https://x.example/y", extra, 0);
        assert_eq!(verdict(&[(TOKEN, "")]), Err(Unverified::Forged));
        assert_eq!(verdict(&[(TOKEN, "\u{e9}")]), Err(Unverified::Forged));
        assert_eq!(verdict(&[(SIGNATURE, good)]), Err(Unverified::Forged));
        assert_eq!(verdict(&[(TIMESTAMP, "1544544948")]), Err(Unverified::Forged));
        assert_eq!(legacy("not base64", "https://x.example/y", &[], 0), Err(Unverified::Forged));
    }

    #[test]
    fn queries_are_sorted_by_key_alone() {
        assert_eq!(sorted_queries(""), ["", ""]);
        assert_eq!(sorted_queries("b=%20x*~&ab=2&a=z&a=y!"), ["a=z&a=y!&ab=2&b=%20x*~", "a=z&a=y%21&ab=2&b=+x%2A~"]);
    }

    proptest! {
        #[test]
        fn what_nobody_signed_never_verifies(
            token in proptest::option::of("[!-~]{0,80}"), signature in "[A-Za-z0-9+/]{0,43}=?", stamp in "[!-~]{0,20}",
            query in "\\PC{0,40}", body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let mut headers = vec![(SIGNATURE, signature.as_str()), (TIMESTAMP, stamp.as_str())];
            headers.extend(token.as_deref().map(|token| (TOKEN, token)));
            let request = request(Method::POST, &format!("https://x.example/?{query}"), &headers, &body);
            let verdict = verify(&keys(&[KEY]), &request, at(NOW).expect("a time"));
            prop_assert_eq!(verdict, Err(Unverified::Forged));
        }
    }
}
