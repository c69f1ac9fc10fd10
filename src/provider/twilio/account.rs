//! Twilio as data, and what an account with it is configured with.

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

/// Fragment at the end of every address that the adapter gives to Twilio: it sets retries (see "Webhooks"). By default
/// Twilio retries nothing after a 5xx or a time-out. All attempts together have 15 s, so each gets 5 s.
pub(super) const RETRIES: &str = "#rc=5&rp=5xx,ct,rt&rt=5000";

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("twilio"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // No source says in which unit the limit is (see "Sending a text"). UTF-16 units are safe either way.
    text_limit: TextLimit::utf16(1600),
    media_limit: 10,
    body_limit: 64 * 1024,
    // Rate of a long code in the US: one segment per second (see "Limits").
    texts_per_minute: 60,
    texts_per_second: None,
    signature: "X-Twilio-Signature (HMAC-SHA1 over address and form; it carries no time, so a repeat is known by its id alone)",
    signs_time: false,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // The operator chooses the method for each number (see "Webhooks").
    methods: [&[Method::POST, Method::GET]; 3],
    fragments: [RETRIES; 3],
    // Less than Twilio waits for one attempt, so that Twilio receives our 503 and has time left for another.
    response_timeout: Duration::from_secs(4),
};

/// Default address of the API (see "Sending a text").
pub const DEFAULT_BASE_URL: &str = "https://api.twilio.com";

#[derive(Clone, Debug)]
pub struct Config {
    pub account_sid: String,
    /// Auth tokens: the first sends texts, any of them verifies webhooks. Several during a rotation.
    pub auth_tokens: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}
