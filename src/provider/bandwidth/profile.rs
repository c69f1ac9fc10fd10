//! Bandwidth as data.

use std::time::Duration;

use http::Method;

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
    dated: false,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    // Bandwidth waits ten seconds for texts and reports, fifteen for calls. See "Answering webhooks".
    patience: Duration::from_secs(8),
};
