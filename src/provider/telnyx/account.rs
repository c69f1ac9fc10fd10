//! Telnyx as data, and what an account with it is configured with.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;

use super::signature::PublicKey;
use crate::{
    domain::{
        number::{Capabilities, ProviderName},
        text::TextLimit,
    },
    provider::{CallResults, Profile},
};

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("telnyx"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // Five segments of 67 UTF-16 units, with one unit spare in each, because a surrogate pair is never cut. Telnyx
    // accepts ten segments. See "Sending a text".
    text_limit: TextLimit::utf16(330),
    media_limit: 10,
    body_limit: 64 * 1024,
    // Rate of a long code outside the US: 0.1 texts per second. See "Limits".
    texts_per_minute: 6,
    texts_per_second: Some(50),
    signature: "telnyx-signature-ed25519 (Ed25519 over time and body, good for five minutes)",
    signs_time: true,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // Only the body is signed, and a GET has none. See "Signatures".
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    // Telnyx waits two seconds for the answer to a text. See "Answering webhooks".
    response_timeout: Duration::from_millis(1500),
};

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
