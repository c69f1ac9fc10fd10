//! MessageBird as data, and what an account with it is configured with.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;

use crate::{
    domain::{
        number::{Capabilities, ProviderName},
        text::TextLimit,
    },
    provider::{CallResults, Profile},
};

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("messagebird"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // Only a third party's schema names a limit (see "Sending a text"): 1377 characters are nine GSM 03.38 parts of
    // 153. In other encodings a part has 67 UTF-16 units, so nine have 603. 550 leaves a margin, because surrogate
    // pairs are not cut.
    text_limit: TextLimit::utf16(550),
    media_limit: 10,
    body_limit: 64 * 1024,
    // The legacy API documents no rate (see "Limits"). On most networks a long code carries one text per second.
    texts_per_minute: 60,
    texts_per_second: Some(500),
    signature: "MessageBird-Signature-JWT (HMAC over address and body, good for a minute), or the older MessageBird-Signature",
    signs_time: true,
    delivery_reports: true,
    // The sources contradict each other about the signature of call events (see "Call results").
    call_results: CallResults::Polling,
    // The operator chooses how texts arrive (see "Inbound texts"); calls and reports are always GET (see "Calls" and
    // "Delivery reports").
    methods: [&[Method::GET, Method::POST], &[Method::GET], &[Method::GET]],
    fragments: [""; 3],
    response_timeout: Duration::from_secs(8),
};

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
