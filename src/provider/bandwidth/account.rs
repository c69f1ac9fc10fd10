//! Bandwidth as data, and what an account with it is configured with.

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
    name: ProviderName::of("bandwidth"),
    capabilities: Capabilities { sms: true, voice: true, mms: false },
    // No source names the unit: UTF-16 units are safe either way. See "Sending a text".
    text_limit: TextLimit::utf16(2048),
    // The addresses of pictures require the account's credentials. See "Inbound texts".
    media_limit: 0,
    // The largest call flow. See "Calls".
    body_limit: 64 * 1024,
    // Rate of the sample account in the documents. Bandwidth counts parts of 160 or 70 characters, and queues any
    // excess. See "Limits".
    texts_per_minute: 60,
    texts_per_second: None,
    signature: "HTTP Basic credentials, which it sends when it is asked for them",
    signs_time: false,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    // Bandwidth waits ten seconds for texts and reports, fifteen for calls. See "Answering webhooks".
    response_timeout: Duration::from_secs(8),
};

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
