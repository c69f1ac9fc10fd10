//! MessageBird: the legacy REST API (`rest.messagebird.com`), Flow Builder and voice call flows.
//!
//! `docs/providers/wire/messagebird.md` lists the wire facts with their sources. Comments in this folder cite its
//! headings in quotes. The two later generations under the same brand (Bird channels, Bird platform) have other
//! signatures and formats: the adapter refuses their webhooks (see "Generations").

mod fields;
mod inbound;
mod legs;
mod outbound;
mod signature;

use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    CallResults, Endpoint, Malformed, OutboundRequest, OutboundResponse, OutboundText, Profile, Provider, Receipt,
    SendOutcome, Unverified, Verified, WebhookRequest, WebhookResponse, wire::plain,
};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, ProviderEvent},
    message::ProviderCode,
    number::{Capabilities, ProviderName},
    text::TextLimit,
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
    dated: true,
    delivery_reports: true,
    // The sources contradict each other about the signature of call events (see "Call results").
    call_results: CallResults::Polling,
    // The operator chooses how texts arrive (see "Inbound texts"); calls and reports are always GET (see "Calls" and
    // "Delivery reports").
    methods: [&[Method::GET, Method::POST], &[Method::GET], &[Method::GET]],
    fragments: [""; 3],
    patience: Duration::from_secs(8),
};

/// Default address for texts (see "Sending a text").
pub const DEFAULT_BASE_URL: &str = "https://rest.messagebird.com";
/// Address for call queries if texts go to the default address (see "Call results").
const VOICE_URL: &str = "https://voice.messagebird.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// Access key of the API.
    pub api_key: SecretString,
    /// Signing keys from the dashboard, not access keys. Several during a rotation; any of them verifies.
    pub signing_keys: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
}

#[derive(Clone, Debug)]
pub struct MessageBird(Config);

impl MessageBird {
    /// Creates an adapter for one account. Drops empty signing keys, because anybody can sign with them.
    pub fn new(mut config: Config) -> Self {
        config.signing_keys.retain(|key| !key.expose_secret().is_empty());
        Self(config)
    }
}

impl Provider for MessageBird {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.0.signing_keys, request, now)?;
        Ok(Verified(request))
    }

    fn parse(&self, endpoint: Endpoint, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(endpoint, request.request())
    }

    /// No step of a call flow takes an address for events, and such events could not be trusted: see `call_results`.
    fn render_call(&self, flow: &CallFlow, _: &str) -> WebhookResponse {
        outbound::call_flow(flow)
    }

    /// MessageBird does not read the body (see "Inbound texts"); the status alone asks for a retry.
    fn acknowledge(&self, _: Endpoint, receipt: Receipt) -> WebhookResponse {
        match receipt {
            Receipt::Taken => plain(StatusCode::OK, "OK"),
            Receipt::Unreadable => plain(StatusCode::BAD_REQUEST, "Unreadable"),
            Receipt::NotNow => plain(StatusCode::SERVICE_UNAVAILABLE, "Try again later"),
        }
    }

    fn refuse(&self, _: Unverified) -> WebhookResponse {
        plain(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    fn build_send(&self, text: &OutboundText<'_>, _: Time) -> OutboundRequest {
        outbound::send(&self.0, text)
    }

    fn read_outcome(&self, response: &OutboundResponse) -> SendOutcome {
        outbound::outcome(response)
    }

    fn read_code(&self, response: &OutboundResponse) -> Option<ProviderCode> {
        outbound::code(response)
    }

    fn build_call_query(&self, call_key: &str, _: Time) -> Option<OutboundRequest> {
        legs::query(&self.0, call_key)
    }

    fn read_call_query(&self, call_key: &str, response: &OutboundResponse) -> Vec<CallReport> {
        legs::read(call_key, response)
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    pub(super) use crate::provider::testing::request;

    fn adapter() -> MessageBird {
        MessageBird::new(Config {
            api_key: "live_key".into(),
            signing_keys: vec!["".into(), "signing".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
        })
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = adapter();
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit.max), ("messagebird", 550));
        assert_eq!(profile.methods.map(<[Method]>::len), [2, 1, 1]);
    }

    #[test]
    fn answers_by_status() {
        let adapter = adapter();
        let taken = adapter.acknowledge(Endpoint::Sms, Receipt::Taken);
        assert_eq!((taken.status.as_u16(), taken.content_type, taken.body.as_str()), (200, "text/plain", "OK"));
        assert_eq!(adapter.acknowledge(Endpoint::Status, Receipt::NotNow).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(adapter.refuse(Unverified::Forged).status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn keeps_secrets_and_drops_empty_keys() {
        let adapter = adapter();
        assert_eq!(adapter.0.signing_keys.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("live_key") && !printed.contains("\"signing\""), "{printed}");
    }
}
