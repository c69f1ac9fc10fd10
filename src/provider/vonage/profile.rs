//! Vonage as data.

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
    dated: true,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // By default the answer webhook is a GET with the caller's number in its address (see "Calls"). What the signature
    // of a GET covers is unverified (see "Signatures").
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    // An older article gives 3 s to connect (see "Inbound texts"); voice webhooks have 5 s in all (see "Calls").
    patience: Duration::from_secs(3),
};
