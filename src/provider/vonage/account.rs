//! Vonage as data, and what an account with it is configured with.

use std::{fmt, time::Duration};

use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::SecretString;

use crate::{
    domain::{
        number::{Capabilities, ProviderName},
        text::TextLimit,
    },
    provider::{CallResults, Profile},
};

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("vonage"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // One SDK says 1000, another 3200 (see "Sending a text").
    text_limit: TextLimit::utf16(1000),
    media_limit: 1,
    body_limit: 64 * 1024,
    // A US long number carries one text per second; elsewhere only the account's rate counts (see "Limits").
    texts_per_minute: 60,
    texts_per_second: Some(30),
    signature: "a JWT in Authorization (HMAC over the body's digest; good for five minutes for calls, for a day for the rest)",
    signs_time: true,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // By default the answer webhook is a GET with the caller's number in its address (see "Calls"). What the signature
    // of a GET covers is unverified (see "Signatures").
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    // An older article gives 3 s to connect (see "Inbound texts"); voice webhooks have 5 s in all (see "Calls").
    response_timeout: Duration::from_secs(3),
};

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
