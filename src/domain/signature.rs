//! Signatures of our posts to the platform, following Standard Webhooks (<https://www.standardwebhooks.com>).

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::clock::Time;

/// Prefix of a secret in text form.
const PREFIX: &str = "whsec_";

/// Secret that signs our posts.
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretSlice<u8>);

impl WebhookSecret {
    /// Length of a new secret, in bytes.
    pub const BYTES: usize = 32;

    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Parses the text form. Rejects a secret that is too short, or longer than any secret needs to be.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self::from_bytes(bytes))
    }

    /// Returns the bytes of the secret.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Returns the text form: `whsec_` and the bytes in base64.
    pub fn spell(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.expose())).into()
    }

    fn sign(&self, content: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose());
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, content)))
    }
}

/// Returns the headers of a post: its ID, its time, and a signature over both and the body by each of the valid
/// secrets.
pub fn headers(secrets: &[WebhookSecret], id: String, at: Time, body: &[u8]) -> [(&'static str, String); 3] {
    let timestamp = at.timestamp().to_string();
    let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&content)).collect();
    [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signatures.join(" "))]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// Test vector of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let secret = WebhookSecret::from_bytes(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"));
        let at = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned();
        let [id, timestamp, signature] = headers(std::slice::from_ref(&secret), id, at, br#"{"test": 2432232314}"#);
        assert_eq!(id, ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()));
        assert_eq!(timestamp, ("webhook-timestamp", "1614265330".to_owned()));
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature, ("webhook-signature", expected.to_owned()));
        assert_eq!(secret.spell().expose_secret(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert!(!format!("{secret:?}").contains("MfKQ"));
    }
}
