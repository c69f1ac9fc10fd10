//! Verifies the sender of a webhook by HTTP Basic, the only proof that Bandwidth offers. See "Credentials".
//!
//! Every event begins with a request without credentials. It may have an empty body, so nothing here reads the body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret as _;

use super::account::Config;
use crate::provider::{Unverified, WebhookRequest, wire};

/// Checks the user, and the password against all configured ones.
pub(super) fn verify(config: &Config, request: &WebhookRequest) -> Result<(), Unverified> {
    if !request.headers.contains_key(AUTHORIZATION) {
        return Err(Unverified::NotChallenged);
    }
    let shown = request.header(AUTHORIZATION.as_str()).and_then(shown).ok_or(Unverified::Forged)?;
    // RFC 7617, section 2: the password may have colons, the user may not.
    let colon = shown.iter().position(|byte| *byte == b':').ok_or(Unverified::Forged)?;
    let (user, password) = (&shown[..colon], &shown[colon + 1..]);
    let known = |known: &str, shown: &[u8]| {
        // Hashes both, so that the time taken does not even reveal a length.
        wire::equal(wire::sha256(known.as_bytes()).as_ref(), wire::sha256(shown).as_ref())
    };
    let is_user = known(&config.webhook_username, user);
    let is_password =
        config.webhook_passwords.iter().fold(false, |any, one| any | known(one.expose_secret(), password));
    if is_user & is_password { Ok(()) } else { Err(Unverified::Forged) }
}

/// Returns user, colon and password of a header. The scheme can be in any case (RFC 7235, section 2.1).
fn shown(header: &str) -> Option<Vec<u8>> {
    let (scheme, credentials) = header.split_once(' ')?;
    let basic = scheme.eq_ignore_ascii_case("Basic");
    basic.then(|| STANDARD.decode(credentials.trim_start_matches(' ')).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use http::{HeaderMap, Method};
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;
    use crate::provider::{
        Provider as _,
        bandwidth::{
            Bandwidth,
            tests::{config, request},
        },
        testing::vectors,
    };

    const URL: &str = "https://proxy.example.com/webhooks/bandwidth/sms";

    fn account(user: &str, passwords: &[&str]) -> Config {
        let webhook_passwords = passwords.iter().map(|password| SecretString::from(*password)).collect();
        Config { webhook_username: user.to_owned(), webhook_passwords, ..config() }
    }

    /// No vector of this provider is optional. Vectors of other providers are refused, even those marked `optional`.
    /// The vectors name another realm, which means nothing to Bandwidth.
    #[test]
    fn every_vector_gets_its_verdict() {
        let vectors = vectors();
        let (mut accepted, mut ours, mut unasked) = (0, 0, 0);
        for v in &vectors {
            let request = v.request();
            let (user, password) = (v.username.as_deref(), v.password.as_deref().unwrap_or(&v.secret));
            let adapter = Bandwidth::new(account(user.unwrap_or("user"), &[password]));
            let now = DateTime::from_timestamp(v.now.unwrap_or(1_767_225_600), 0).expect("a time");
            let verdict = adapter.verify(&request, now).map(|_| ());
            let is_ours = v.scheme == "bandwidth-basic";
            assert_eq!(verdict.is_ok(), is_ours && v.valid, "{}: {verdict:?}", v.id);
            if let (true, Err(why)) = (is_ours, verdict) {
                let (answer, expected) = (adapter.refuse(why), v.expected_response.as_ref().expect("an answer"));
                assert_eq!(answer.status.as_u16(), expected.status, "{}", v.id);
                let (name, challenge) = &answer.headers[0];
                assert!(expected.headers.keys().any(|wanted| wanted.eq_ignore_ascii_case(name)));
                assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
                unasked += usize::from(why == Unverified::NotChallenged);
            }
            accepted += usize::from(verdict.is_ok());
            ours += usize::from(is_ours);
        }
        assert_eq!((vectors.len(), ours, accepted, unasked), (158, 11, 4, 1), "no vector is passed over");
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }

    /// Verifies a webhook with these `Authorization` headers and without a body.
    fn verdict(config: &Config, headers: &[&str]) -> Result<(), Unverified> {
        let headers: Vec<_> = headers.iter().map(|value| ("authorization", *value)).collect();
        verify(config, &request(Method::POST, URL, &headers, b""))
    }

    #[test]
    fn the_first_request_is_no_forgery() {
        assert_eq!(verdict(&config(), &[]), Err(Unverified::NotChallenged));
        assert_eq!(verdict(&config(), &[""]), Err(Unverified::Forged), "an empty header is not an absent one");
    }

    #[test]
    fn any_password_of_a_rotation_verifies_and_no_password_refuses() {
        let old = basic("bw", "old");
        assert_eq!(verdict(&account("bw", &["new", "old"]), &[&old]), Ok(()));
        assert_eq!(verdict(&account("bw", &["old", "new"]), &[&old]), Ok(()));
        assert_eq!(verdict(&account("bw", &["new"]), &[&old]), Err(Unverified::Forged));
        assert_eq!(verdict(&account("bw", &[]), &[&basic("bw", "")]), Err(Unverified::Forged));
        let empty = Bandwidth::new(account("bw", &[""]));
        assert_eq!(verdict(&empty.0, &[&basic("bw", "")]), Err(Unverified::Forged), "empty ones are dropped");
    }

    #[test]
    fn the_scheme_comes_in_any_case_and_the_password_may_have_colons() {
        let config = account("bw", &["a:b:c"]);
        let good = basic("bw", "a:b:c");
        let credentials = good.strip_prefix("Basic ").expect("a scheme");
        for scheme in ["Basic", "basic", "BASIC", "bAsIc", "Basic  "] {
            assert_eq!(verdict(&config, &[&format!("{scheme} {credentials}")]), Ok(()), "{scheme}");
        }
        for bad in [
            credentials.to_owned(),
            format!("Basic{credentials}"),
            format!("Basic\t{credentials}"),
            format!("Bearer {credentials}"),
            format!("Basic {}", credentials.trim_end_matches('=')),
            format!("Basic {credentials} {credentials}"),
            format!("Basic {credentials},"),
            format!("Basic {}", STANDARD.encode("bw")),
            format!("Basic {}", STANDARD.encode("bwa:b:c")),
            basic("BW", "a:b:c"),
            basic("bw", "A:b:c"),
            basic("bw", "a:b:c "),
        ] {
            assert_eq!(verdict(&config, &[&bad]), Err(Unverified::Forged), "{bad}");
        }
        assert_eq!(verdict(&config, &[&good, &good]), Err(Unverified::Forged), "twice is once too often");
        assert_eq!(verdict(&account("a:b", &["c"]), &[&basic("a:b", "c")]), Err(Unverified::Forged));
    }

    #[test]
    fn a_header_that_is_no_text_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, http::HeaderValue::from_bytes(b"Basic \xff\xfe").expect("a value"));
        let request = WebhookRequest { headers, ..request(Method::POST, URL, &[], b"") };
        assert_eq!(verify(&config(), &request), Err(Unverified::Forged));
    }

    proptest! {
        #[test]
        fn what_was_agreed_verifies(user in "[^:\\pC]{1,20}", password in "\\PC{1,20}") {
            prop_assert_eq!(verdict(&account(&user, &["other", &password]), &[&basic(&user, &password)]), Ok(()));
        }

        #[test]
        fn what_nobody_agreed_never_verifies(header in "(Basic |basic )?[ -~]{0,40}", user in "\\PC{0,9}", password in "\\PC{0,9}") {
            let config = config();
            prop_assert_eq!(verdict(&config, &[&header]), Err(Unverified::Forged));
            prop_assert_eq!(verdict(&config, &[&basic(&user, &password)]), Err(Unverified::Forged));
        }
    }
}
