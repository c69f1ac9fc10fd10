//! Checks who sent a webhook, and when Vonage signed it (see "Signatures").
//!
//! The provider's own SDKs check only the signature of the token; every further check here is ours. The token covers
//! the body, but neither address nor method, so the meaning of a request must follow from its body.
//!
//! The identifier `jti` is required but not remembered: a repeat has no second effect (invariant 4 in ARCHITECTURE.md).
//! But the answer to a call names the other party's phone, so a call is fresh for a shorter time than anything else.

use std::collections::HashSet;

use chrono::{DateTime, Duration};
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    account::Config,
    payload::{Kind, Payload},
};
use crate::{
    domain::{clock::Time, jwt},
    provider::{Unverified, WebhookRequest, wire},
};

/// Maximum age of a call: Vonage makes two attempts of 5 s each (see "Calls").
const CALL_WINDOW: Duration = Duration::minutes(5);

/// Maximum age of anything else. Vonage retries messages and their reports for 24 hours (see "Inbound texts"). Whether
/// it signs each retry again is unverified (see "Signatures").
const WINDOW: Duration = Duration::hours(25);

/// Maximum lag of our clock behind Vonage's.
const AHEAD: Duration = Duration::minutes(1);

/// Claims of a token. All are required but the last two, which are optional (see "Signatures"). There is no expiry.
#[derive(Deserialize)]
struct Claims {
    iat: i64,
    jti: String,
    iss: String,
    payload_hash: String,
    api_key: String,
    application_id: Option<String>,
    nbf: Option<i64>,
}

/// Checks signature and freshness with any of the secrets.
///
/// Refuses a request without a body, whatever digest its token names: the token would cover nothing of it.
pub(super) fn verify(config: &Config, request: &WebhookRequest, now: Time) -> Result<(), Unverified> {
    if !request.headers.contains_key(AUTHORIZATION) {
        return Err(Unverified::Missing);
    }
    let token = bearer(request).filter(|token| jwt::is_readable(token)).ok_or(Unverified::Forged)?;
    let claims = open(&config.signature_secrets, token).ok_or(Unverified::Forged)?;
    let hash = wire::sha256_hex(&request.body);
    let holds = claims.iss == "Vonage"
        && !claims.jti.is_empty()
        && claims.api_key == config.api_key
        && claims.application_id.is_none_or(|id| id == config.application_id)
        && !request.body.is_empty()
        && wire::equal(claims.payload_hash.as_bytes(), hash.as_bytes());
    if !holds {
        return Err(Unverified::Forged);
    }
    let signed = DateTime::from_timestamp(claims.iat, 0).ok_or(Unverified::Forged)?;
    let window = match Payload::read(&request.body).map(|payload| payload.kind()) {
        Ok(Kind::Message | Kind::MessageStatus | Kind::CallNews) => WINDOW,
        Ok(Kind::Call) | Err(_) => CALL_WINDOW,
    };
    let is_early = claims.nbf.is_some_and(|nbf| nbf > (now + AHEAD).timestamp());
    if now - window <= signed && signed <= now + AHEAD && !is_early { Ok(()) } else { Err(Unverified::Stale) }
}

fn bearer(request: &WebhookRequest) -> Option<&str> {
    let (scheme, token) = request.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Verifies a token. The key is the text of the secret.
fn open(secrets: &[SecretString], token: &str) -> Option<Claims> {
    let rules = signature_only();
    let open = |secret: &SecretString| {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        jsonwebtoken::decode::<Claims>(token, &key, &rules).ok()
    };
    secrets.iter().find_map(open).map(|token| token.claims)
}

/// Allows HS256 alone, because Vonage sends nothing else, whatever method the dashboard shows. Makes the library check
/// only the signature: it would take the time from the system clock.
fn signature_only() -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims = HashSet::new();
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules
}

#[cfg(test)]
mod tests {
    use http::Method;
    use jsonwebtoken::{EncodingKey, Header};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::testing::vectors;
    use crate::provider::vonage::tests::{config, request};

    const URL: &str = "https://mask.test/webhooks/vonage/sms";
    const SECRET: &str = "a signature secret";
    const NOW: i64 = 1_795_262_400;
    const MESSAGE: &str = r#"{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","text":"Hi"}"#;
    const CALL: &str = r#"{"from":"31612345678","uuid":"aaaaaaaabbbbccccdddd0123456789ab"}"#;

    fn at(seconds: i64) -> Time {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn hash(body: &str) -> String {
        wire::sha256_hex(body.as_bytes())
    }

    fn claims(body: &str) -> Value {
        json!({
            "iat": NOW, "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage", "payload_hash": hash(body),
            "api_key": "a1b2c3d4", "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        })
    }

    fn bearer_of(alg: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        format!("Bearer {}", jsonwebtoken::encode(&Header::new(alg), claims, &key).expect("a token"))
    }

    /// Verifies a body with these claims, `after_ms` milliseconds after `NOW`.
    fn verdict_on(body: &str, claims: &Value, after_ms: i64) -> Result<(), Unverified> {
        let authorization = bearer_of(Algorithm::HS256, claims);
        let request = request(Method::POST, URL, &[("authorization", &authorization)], body.as_bytes());
        verify(&config(&[SECRET]), &request, at(NOW) + Duration::milliseconds(after_ms))
    }

    /// The vectors with nothing but a MAC (`signature_only`) come from the SDKs' own tests, with claims that Vonage
    /// never sends. Their verdict is that of the MAC alone, and [`verify`] refuses them.
    ///
    /// One vector is optional: a GET whose token has the digest of no bytes. It is refused, because the token would
    /// cover nothing of the request; we ask for POST. The legacy SMS API's `sig` is not supported: refused as unsigned.
    #[test]
    fn every_vector_gets_its_verdict() {
        let vectors = vectors();
        let (mut accepted, mut macs, mut ours, mut legacy) = (0, 0, 0, 0);
        for v in &vectors {
            let request = v.request();
            let verdict = verify(&config(&[&v.secret]), &request, at(v.now.unwrap_or(NOW)));
            let is_ours = v.scheme == "jwt-hs256/authorization-bearer";
            assert_eq!(verdict.is_ok(), is_ours && v.valid && !v.signature_only, "{}: {verdict:?}", v.id);
            if v.signature_only {
                let key = DecodingKey::from_secret(v.secret.as_bytes());
                let token = bearer(&request).expect("a token");
                let mac = jsonwebtoken::decode::<Value>(token, &key, &signature_only());
                assert_eq!(mac.is_ok(), v.valid, "{}", v.id);
                macs += 1;
            }
            if v.scheme.starts_with("sms-sig/") {
                assert_eq!(verdict, Err(Unverified::Missing), "{}", v.id);
                legacy += 1;
            }
            accepted += usize::from(verdict.is_ok());
            ours += usize::from(is_ours);
        }
        assert_eq!((vectors.len(), ours, accepted, macs, legacy), (158, 14, 1, 4, 20), "no vector is passed over");
    }

    #[test]
    fn a_call_is_fresh_for_minutes_and_the_rest_for_a_day() {
        let (minute, hour) = (60_000, 3_600_000);
        for (body, window) in
            [(CALL, 5 * minute), ("[]", 5 * minute), (MESSAGE, 25 * hour), (r#"{"status":"busy"}"#, 25 * hour)]
        {
            let verdict = |after_ms| verdict_on(body, &claims(body), after_ms);
            assert_eq!(verdict(window), Ok(()), "{body}");
            assert_eq!(verdict(window + 1), Err(Unverified::Stale), "{body}");
            assert_eq!(verdict(-minute), Ok(()), "{body}");
            assert_eq!(verdict(-minute - 1), Err(Unverified::Stale), "{body}");
        }
    }

    #[test]
    fn every_claim_counts() {
        let with = |name: &str, value: Value| {
            let mut claims = claims(MESSAGE);
            claims[name] = value;
            verdict_on(MESSAGE, &claims, 0)
        };
        for name in ["iat", "jti", "iss", "payload_hash", "api_key"] {
            let mut without = claims(MESSAGE);
            without.as_object_mut().expect("an object").remove(name);
            assert_eq!(verdict_on(MESSAGE, &without, 0), Err(Unverified::Forged), "{name}");
        }
        for (name, value) in [
            ("iss", json!("vonage")),
            ("iss", json!(["Vonage"])),
            ("jti", json!("")),
            ("iat", json!("1795262400")),
            ("iat", json!(i64::MAX)),
            ("payload_hash", json!("")),
            ("payload_hash", json!(hash(MESSAGE).to_uppercase())),
            ("payload_hash", json!(hash(CALL))),
            ("api_key", json!("a1b2c3d5")),
            ("application_id", json!("bbbbbbbb-bbbb-cccc-dddd-0123456789ab")),
            ("application_id", json!("")),
        ] {
            assert_eq!(with(name, value.clone()), Err(Unverified::Forged), "{name} {value}");
        }
        assert_eq!(with("application_id", json!(null)), Ok(()), "an account's webhook names none");
        assert_eq!(with("nbf", json!(NOW + 60)), Ok(()));
        assert_eq!(with("nbf", json!(NOW + 61)), Err(Unverified::Stale));
        assert_eq!(with("nbf", json!("soon")), Err(Unverified::Forged));
        assert_eq!(with("exp", json!(1)), Ok(()), "what we do not ask for does not count");
    }

    #[test]
    fn nothing_is_verified_without_a_body() {
        assert_eq!(verdict_on("", &claims(""), 0), Err(Unverified::Forged));
    }

    #[test]
    fn the_header_counts_once_as_bearer_and_with_one_method() {
        let good = bearer_of(Algorithm::HS256, &claims(MESSAGE));
        let verdict = |headers: &[(&str, &str)]| {
            verify(&config(&[SECRET]), &request(Method::POST, URL, headers, MESSAGE.as_bytes()), at(NOW))
        };
        assert_eq!(verdict(&[("authorization", &good)]), Ok(()));
        assert_eq!(verdict(&[("authorization", &good.replace("Bearer", "bearer"))]), Ok(()));
        assert_eq!(verdict(&[("authorization", &good), ("authorization", &good)]), Err(Unverified::Forged));
        assert_eq!(verdict(&[]), Err(Unverified::Missing));
        let token = good.trim_start_matches("Bearer ");
        let hs384 = bearer_of(Algorithm::HS384, &claims(MESSAGE));
        let basic = format!("Basic {token}");
        let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let critical = jsonwebtoken::encode(&header, &claims(MESSAGE), &key).expect("a token");
        let critical = format!("Bearer {critical}");
        for odd in ["", "Bearer", "Bearer ", "\u{e9}", token, &basic, &hs384, &critical] {
            assert_eq!(verdict(&[("authorization", odd)]), Err(Unverified::Forged), "{odd}");
        }
    }

    #[test]
    fn any_secret_of_a_rotation_verifies_and_none_refuses() {
        let good = bearer_of(Algorithm::HS256, &claims(MESSAGE));
        let request = request(Method::POST, URL, &[("authorization", &good)], MESSAGE.as_bytes());
        let verdict = |secrets: &[&str]| verify(&config(secrets), &request, at(NOW));
        assert_eq!(verdict(&["new", SECRET]), Ok(()));
        assert_eq!(verdict(&["new"]), Err(Unverified::Forged));
        assert_eq!(verdict(&[]), Err(Unverified::Forged));
    }

    proptest! {
        #[test]
        fn what_nobody_signed_never_verifies(
            token in "[!-~ ]{0,80}", bearer in any::<bool>(), body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let authorization = if bearer { format!("Bearer {token}") } else { token };
            let request = request(Method::POST, URL, &[("authorization", &authorization)], &body);
            prop_assert_eq!(verify(&config(&[SECRET]), &request, at(NOW)), Err(Unverified::Forged));
        }

        #[test]
        fn a_changed_body_never_verifies(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assume!(body != MESSAGE.as_bytes());
            let good = bearer_of(Algorithm::HS256, &claims(MESSAGE));
            let request = request(Method::POST, URL, &[("authorization", &good)], &body);
            prop_assert_eq!(verify(&config(&[SECRET]), &request, at(NOW)), Err(Unverified::Forged));
        }
    }
}
