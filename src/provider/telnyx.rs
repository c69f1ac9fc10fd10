//! Telnyx: Messaging v2 for texts, TeXML for calls.
//!
//! `docs/providers/wire/telnyx.md` lists the wire facts with their sources. Comments in this folder cite its headings
//! in quotes. A number belongs to one voice application, which must be a TeXML application: Call Control takes its
//! commands from separate requests, not from the answer to a webhook ("Voice applications").

mod account;
mod inbound;
mod outbound;
mod signature;
mod texml;

use http::StatusCode;

pub use self::{
    account::{Config, DEFAULT_BASE_URL, PROFILE},
    signature::PublicKey,
};
use super::{
    Acknowledgement, Malformed, OutboundRequest, OutboundResponse, OutboundText, Profile, Provider, SendOutcome,
    Unverified, Verified, WebhookKind, WebhookRequest, WebhookResponse,
    wire::{self, plain},
};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, ProviderEvent},
    message::ProviderCode,
};

#[derive(Clone, Debug)]
pub struct Telnyx(Config);

impl Telnyx {
    pub fn new(config: Config) -> Self {
        Self(config)
    }
}

impl Provider for Telnyx {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.0.public_keys, request, now)?;
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(webhook, &request.request().body).map(|event| vec![event])
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        texml::call_flow(flow, report_url)
    }

    /// Telnyx reads only the status, for message events and for call events. The body is still a call flow that does
    /// nothing, in case a caller waits for one.
    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        wire::acknowledge(acknowledgement, texml::nothing)
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

    /// Telnyx reports results on its own.
    fn build_call_query(&self, _: &str, _: Time) -> Option<OutboundRequest> {
        None
    }

    fn read_call_query(&self, _: &str, _: &OutboundResponse) -> Vec<CallReport> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use http::HeaderMap;

    use super::*;
    use crate::domain::phone::PhoneNumber;
    pub(super) use crate::provider::testing::request;
    use http::Method;

    pub(super) const REPORT_URL: &str = "https://mask.test/webhooks/telnyx/status";

    pub(super) fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    pub(super) fn config() -> Config {
        Config { api_key: "KEY_fixture".into(), public_keys: Vec::new(), base_url: DEFAULT_BASE_URL.to_owned() }
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = Telnyx::new(config());
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit.max, profile.texts_per_minute), ("telnyx", 330, 6));
        assert_eq!(profile.methods, [&[Method::POST]; 3]);
        assert!(profile.response_timeout < std::time::Duration::from_secs(2));
    }

    #[test]
    fn answers_by_status() {
        let adapter = Telnyx::new(config());
        for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
            let accepted = adapter.acknowledge(webhook, Acknowledgement::Accepted);
            assert_eq!((accepted.status, accepted.content_type), (StatusCode::OK, "application/xml"));
            assert_eq!(accepted.body, r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
            assert_eq!(adapter.acknowledge(webhook, Acknowledgement::Unreadable).status, StatusCode::BAD_REQUEST);
            assert_eq!(adapter.acknowledge(webhook, Acknowledgement::NotNow).status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(adapter.refuse(Unverified::Forged).status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn never_asks_about_calls() {
        let adapter = Telnyx::new(config());
        assert!(adapter.build_call_query("v3:x", DateTime::UNIX_EPOCH).is_none());
        let response = OutboundResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() };
        assert!(adapter.read_call_query("v3:x", &response).is_empty());
    }

    #[test]
    fn keeps_secrets() {
        let printed = format!("{:?}", Telnyx::new(config()));
        assert!(!printed.contains("KEY_fixture"), "{printed}");
    }
}
