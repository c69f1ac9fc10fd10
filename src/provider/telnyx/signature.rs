//! Verifies the sender of a webhook and the time of its signature. See "Signatures".
//!
//! The signature covers time and body, but neither method nor address. So the adapter reads nothing from an address: a
//! request that is replayed to another of our webhooks has the same meaning there.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::clock::Time,
    provider::{Unverified, WebhookRequest},
};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";

/// Maximum difference between a request's time and now, in seconds and in either direction, as in Telnyx's SDKs.
const TOLERANCE: u64 = 300;

#[derive(Clone, Debug)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a key as the portal shows it: standard base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Checks a signature. The library requires 64 bytes with a reduced S (RFC 8032, section 5.1.7).
    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// Checks signature and freshness with any of the keys. The signed bytes are the time, a bar (`|`) and the body, as
/// sent.
pub(super) fn verify(keys: &[PublicKey], request: &WebhookRequest, now: Time) -> Result<(), Unverified> {
    if !request.headers.contains_key(SIGNATURE) {
        return Err(Unverified::Missing);
    }
    let signature = request.header(SIGNATURE).and_then(|text| STANDARD.decode(text).ok()).ok_or(Unverified::Forged)?;
    let timestamp = request.header(TIMESTAMP).ok_or(Unverified::Forged)?;
    let sent = seconds(timestamp).ok_or(Unverified::Forged)?;
    let message = [timestamp.as_bytes(), b"|", &request.body].concat();
    if !keys.iter().any(|key| key.signed(&message, &signature)) {
        return Err(Unverified::Forged);
    }
    if now.timestamp().abs_diff(sent) <= TOLERANCE { Ok(()) } else { Err(Unverified::Stale) }
}

/// Parses digits; Rust alone would also accept a sign.
fn seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use chrono::{DateTime, Duration};
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::telnyx::tests::request;
    use crate::provider::testing::vectors;

    const URL: &str = "https://proxy.example.com/webhooks/telnyx/sms";
    const NOW: i64 = 1_795_262_400;

    fn at(seconds: i64) -> Time {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key pair")
    }

    fn key_of(pair: &Ed25519KeyPair) -> PublicKey {
        PublicKey::parse(&STANDARD.encode(pair.public_key().as_ref())).expect("a key")
    }

    fn signature(timestamp: &str, body: &str) -> String {
        STANDARD.encode(pair(1).sign(format!("{timestamp}|{body}").as_bytes()).as_ref())
    }

    /// Verifies a POST with these headers and the body `{}`, `after_ms` milliseconds after `NOW`.
    fn verdict(headers: &[(&str, &str)], after_ms: i64) -> Result<(), Unverified> {
        let request = request(Method::POST, URL, headers, b"{}");
        verify(&[key_of(&pair(1))], &request, at(NOW) + Duration::milliseconds(after_ms))
    }

    /// The optional vector of this scheme is a GET without a body. Its signature is valid, so it verifies. It would
    /// never get here, because the webhooks accept only POST. A secret that is not a key of this scheme yields no key.
    #[test]
    fn every_vector_gets_its_verdict() {
        let vectors = vectors();
        let (mut accepted, mut ours) = (0, 0);
        for v in &vectors {
            let request = v.request();
            let keys: Vec<_> = PublicKey::parse(&v.secret).into_iter().collect();
            let verdict = verify(&keys, &request, at(v.now.unwrap_or(NOW)));
            let is_ours = v.scheme == "ed25519/timestamp-pipe-body";
            assert!(!is_ours || keys.len() == 1, "{}", v.id);
            assert_eq!(verdict.is_ok(), is_ours && v.valid, "{}: {verdict:?}", v.id);
            accepted += usize::from(verdict.is_ok());
            ours += usize::from(is_ours);
        }
        assert_eq!((vectors.len(), ours, accepted), (158, 15, 4), "no vector is passed over");
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_on_either_side() {
        let (time, signature) = (NOW.to_string(), signature(&NOW.to_string(), "{}"));
        let after = |ms| verdict(&[(SIGNATURE, &signature), (TIMESTAMP, &time)], ms);
        assert_eq!([after(-300_000), after(0), after(300_999)], [Ok(()); 3]);
        assert_eq!([after(-300_001), after(301_000)], [Err(Unverified::Stale); 2]);
    }

    #[test]
    fn both_headers_count_and_count_once() {
        let (time, good) = (NOW.to_string(), signature(&NOW.to_string(), "{}"));
        let (time, good) = ((TIMESTAMP, time.as_str()), (SIGNATURE, good.as_str()));
        assert_eq!(verdict(&[time, good], 0), Ok(()));
        assert_eq!(verdict(&[time], 0), Err(Unverified::Missing));
        assert_eq!(verdict(&[], 0), Err(Unverified::Missing));
        assert_eq!(verdict(&[good], 0), Err(Unverified::Forged));
        assert_eq!(verdict(&[time, good, good], 0), Err(Unverified::Forged));
        assert_eq!(verdict(&[time, time, good], 0), Err(Unverified::Forged));
        assert_eq!(verdict(&[time, (SIGNATURE, "\u{e9}")], 0), Err(Unverified::Forged));
    }

    #[test]
    fn base64_is_the_standard_one() {
        // A signature with a character that differs between the two alphabets of base64.
        let mut signed = (NOW..).map(|time| (time.to_string(), signature(&time.to_string(), "{}")));
        let (time, good) = signed.find(|(_, text)| text.contains(['+', '/'])).expect("one of many");
        let with = |signature: &str| verdict(&[(SIGNATURE, signature), (TIMESTAMP, &time)], 0);
        assert_eq!(with(&good), Ok(()));
        assert!(with(&good.replace('+', "-").replace('/', "_")).is_err());
        assert!(with(good.trim_end_matches('=')).is_err());
        assert!(with(&format!("{good}\t")).is_err());
        let loose = format!("{}{}==", &good[..85], char::from(good.as_bytes()[85] + 1));
        assert!(with(&loose).is_err(), "the four bits behind the last byte are not zero");
        for short in ["", "AAAA"] {
            assert!(with(short).is_err(), "{short}");
        }
    }

    #[test]
    fn times_are_plain_digits() {
        for odd in ["+1795262400", "-1", "1795262400.0", "1795262400 ", "0x6b", "", "99999999999999999999"] {
            let signature = signature(odd, "{}");
            assert_eq!(verdict(&[(SIGNATURE, &signature), (TIMESTAMP, odd)], 0), Err(Unverified::Forged), "{odd}");
        }
        let (odd, far) = ("01795262400", i64::MAX.to_string());
        assert_eq!(verdict(&[(SIGNATURE, &signature(odd, "{}")), (TIMESTAMP, odd)], 0), Ok(()), "signed as written");
        assert_eq!(verdict(&[(SIGNATURE, &signature(&far, "{}")), (TIMESTAMP, &far)], 0), Err(Unverified::Stale));
    }

    #[test]
    fn any_key_of_a_rotation_verifies_and_no_key_refuses() {
        let (time, signature) = (NOW.to_string(), signature(&NOW.to_string(), "{}"));
        let request = request(Method::POST, URL, &[(SIGNATURE, &signature), (TIMESTAMP, &time)], b"{}");
        let verdict = |seeds: &[u8]| {
            let keys: Vec<_> = seeds.iter().map(|seed| key_of(&pair(*seed))).collect();
            verify(&keys, &request, at(NOW))
        };
        assert_eq!(verdict(&[2, 1]), Ok(()));
        assert_eq!(verdict(&[2]), Err(Unverified::Forged));
        assert_eq!(verdict(&[]), Err(Unverified::Forged));
    }

    #[test]
    fn keys_are_32_bytes_in_base64() {
        assert!(PublicKey::parse("cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQOM=").is_some());
        for odd in [
            "",
            "secret",
            "cMTKnGEM0cQI-6GlwXVy3fL8U2T2Kxjr2-NYGLyCQOM=",
            "cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQOM",
            "cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQA==",
            "70c4ca9c610cd1c408fba1a5c17572ddf2fc5364f62b18ebdbe35818bc8240e3",
        ] {
            assert!(PublicKey::parse(odd).is_none(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_nobody_signed_never_verifies(
            signature in "[A-Za-z0-9+/]{85}[AQgw]==|[!-~]{0,100}", time in "[0-9]{0,12}|[!-~]{0,20}",
            body in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, time.as_str())];
            let verdict = verify(&[key_of(&pair(1))], &request(Method::POST, URL, &headers, &body), at(NOW));
            prop_assert_eq!(verdict, Err(Unverified::Forged));
        }

        #[test]
        fn one_changed_bit_of_the_body_is_noticed(body in proptest::collection::vec(any::<u8>(), 1..60), at_bit in any::<proptest::sample::Index>()) {
            let time = NOW.to_string();
            let message = [time.as_bytes(), b"|", &body].concat();
            let signature = STANDARD.encode(pair(1).sign(&message).as_ref());
            let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, time.as_str())];
            let verdict = |body: &[u8]| verify(&[key_of(&pair(1))], &request(Method::POST, URL, &headers, body), at(NOW));
            prop_assert_eq!(verdict(&body), Ok(()));
            let mut changed = body.clone();
            let bit = at_bit.index(body.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(verdict(&changed), Err(Unverified::Forged));
        }
    }
}
