//! What an account with Vonage is configured with.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::SecretString;

/// Default address of the API.
pub const DEFAULT_BASE_URL: &str = "https://api.nexmo.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// Application that the numbers are linked to.
    pub application_id: String,
    /// Private key of the application.
    pub private_key: PrivateKey,
    /// API key of the account, which webhooks name.
    pub api_key: String,
    /// Signature secrets of the account. Several during a rotation; any of them verifies.
    pub signature_secrets: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}

/// An RSA private key.
#[derive(Clone)]
pub struct PrivateKey(pub(super) EncodingKey);

impl PrivateKey {
    /// Reads PEM with line breaks, or with `\n` in their place, as in environment variables. `None` if the key cannot
    /// sign.
    pub fn parse(pem: &str) -> Option<Self> {
        let key = EncodingKey::from_rsa_pem(pem.replace("\\n", "\n").as_bytes()).ok()?;
        jsonwebtoken::crypto::sign(b"", &key, Algorithm::RS256).ok()?;
        Some(Self(key))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
