//! Signatures of what we post to the platform, after Standard Webhooks (<https://www.standardwebhooks.com>).

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::clock::Time;

/// What a secret begins with when it is spelled.
const PREFIX: &str = "whsec_";

/// A secret that signs.
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretSlice<u8>);

impl WebhookSecret {
    /// How long a new one is, in bytes.
    pub const BYTES: usize = 32;

    /// From its bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// From how it is spelled, if it is long enough to be one and not longer than any needs to be.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self::from_bytes(bytes))
    }

    /// Its bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// `whsec_` and the bytes in base64.
    pub fn spell(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.expose())).into()
    }

    fn sign(&self, content: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose());
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, content)))
    }
}

/// The headers of a post: its id, when it is made, and a signature over both and the body by each secret that lives.
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

    /// The vector of the specification's own libraries.
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
