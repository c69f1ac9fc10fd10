//! What an account with MessageBird is configured with.

use secrecy::SecretString;

/// Default address for texts (see "Sending a text").
pub const DEFAULT_BASE_URL: &str = "https://rest.messagebird.com";
/// Address for call queries if texts go to the default address (see "Call results").
pub(super) const VOICE_URL: &str = "https://voice.messagebird.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// Access key of the API.
    pub api_key: SecretString,
    /// Signing keys from the dashboard, not access keys. Several during a rotation; any of them verifies.
    pub signing_keys: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}
