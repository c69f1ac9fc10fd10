//! What an account with Plivo is configured with.

use secrecy::SecretString;

/// Default address of the API. See "Sending a text".
pub const DEFAULT_BASE_URL: &str = "https://api.plivo.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// The account (`MA...`) or sub-account (`SA...`).
    pub auth_id: String,
    /// Auth tokens: the first sends texts, any of them verifies webhooks. Several in a rotation or with sub-accounts.
    pub auth_tokens: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
    /// Whether a webhook without any V3 header may verify by the older V2, which does not sign parameters.
    pub accept_v2: bool,
}
