//! What an account with Bandwidth is configured with.

use secrecy::SecretString;

/// Default address of the messaging API. See "Sending a text".
pub const DEFAULT_BASE_URL: &str = "https://messaging.bandwidth.com";

#[derive(Clone, Debug)]
pub struct Config {
    pub account_id: String,
    /// Messaging application that the numbers belong to.
    pub application_id: String,
    pub username: String,
    /// Password of the API user.
    pub password: SecretString,
    /// User that Bandwidth names to our webhooks. If it contains a colon, nothing verifies (RFC 7617, section 2).
    pub webhook_username: String,
    /// Passwords of that user: several during a rotation, the newest first. Any of them verifies. Call flows name the
    /// last.
    pub webhook_passwords: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}
