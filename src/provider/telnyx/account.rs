//! What an account with Telnyx is configured with.

use secrecy::SecretString;

use super::signature::PublicKey;

/// Default address of the API. See "Sending a text".
pub const DEFAULT_BASE_URL: &str = "https://api.telnyx.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// API key for sending texts.
    pub api_key: SecretString,
    /// Public keys of the account. Several during a rotation; any of them verifies.
    pub public_keys: Vec<PublicKey>,
    /// Address of the API, without a trailing slash and without the version.
    pub base_url: String,
}
