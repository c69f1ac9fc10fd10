//! What an account with Twilio is configured with.

use secrecy::SecretString;

/// Default address of the API (see "Sending a text").
pub const DEFAULT_BASE_URL: &str = "https://api.twilio.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// The account's SID (`AC...`).
    pub account_sid: String,
    /// Auth tokens: the first sends texts, any of them verifies webhooks. Several during a rotation.
    pub auth_tokens: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}
