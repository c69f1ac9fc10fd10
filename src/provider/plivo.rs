//! Plivo: the Messages API, voice XML and their webhooks.
//!
//! `docs/providers/wire/plivo.md` lists the wire facts with their sources. Comments in this folder cite its headings in
//! quotes.

mod account;
mod calls;
mod fields;
mod inbound;
mod outbound;
mod signature;

use http::StatusCode;
use secrecy::ExposeSecret as _;

pub use self::account::{Config, DEFAULT_BASE_URL, PROFILE};
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
pub struct Plivo(Config);

impl Plivo {
    /// Creates an adapter for one account. Drops empty tokens, because anybody can sign with them.
    pub fn new(mut config: Config) -> Self {
        config.auth_tokens.retain(|token| !token.expose_secret().is_empty());
        Self(config)
    }
}

impl Provider for Plivo {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    /// Plivo's signatures carry no time, so no request is ever stale. The inbox makes sure that a repeat has no effect.
    /// See "Signatures".
    fn verify<'a>(&self, request: &'a WebhookRequest, _: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.0.auth_tokens, self.0.accept_v2, request)?;
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(webhook, request.request())
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        outbound::call_flow(flow, report_url)
    }

    /// Always sends an empty document. Call events come to the same addresses, and where Plivo expects XML an empty
    /// body is an error ("Calls"). As message XML the document sends nothing ("Inbound texts").
    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        wire::acknowledge(acknowledgement, outbound::nothing)
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

    fn read_code(&self, _: &OutboundResponse) -> Option<ProviderCode> {
        None
    }

    fn build_call_query(&self, _: &str, _: Time) -> Option<OutboundRequest> {
        None
    }

    fn read_call_query(&self, _: &str, _: &OutboundResponse) -> Vec<CallReport> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    pub(super) use crate::provider::testing::request;

    pub(super) const FORM: &str = "application/x-www-form-urlencoded";

    fn adapter() -> Plivo {
        Plivo::new(Config {
            auth_id: "MAXXXXXXXXXXXXXXXXXX".to_owned(),
            auth_tokens: vec!["".into(), "a token".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
            accept_v2: false,
        })
    }

    #[test]
    fn says_what_it_is_like() {
        let profile = adapter().profile();
        assert_eq!(profile.name.as_str(), "plivo");
        let webhook = |webhook| profile.webhook("https://mask.test", webhook);
        assert_eq!(webhook(WebhookKind::Sms), "https://mask.test/webhooks/plivo/sms");
        assert_eq!(webhook(WebhookKind::Voice), "https://mask.test/webhooks/plivo/voice#rt=5000&rc=2&rp=ct,rt,5xx");
        assert_eq!(webhook(WebhookKind::Status), "https://mask.test/webhooks/plivo/status#rc=5&rp=ct,rt,5xx");
    }

    #[test]
    fn answers_with_a_document_and_refuses_by_status() {
        let adapter = adapter();
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
    fn asks_nothing_about_calls() {
        let adapter = adapter();
        let now = chrono::DateTime::from_timestamp(1_795_262_400, 0).expect("a time");
        assert!(adapter.build_call_query("97ceeb52-58b6-11e1-86da-77300b68f8bb", now).is_none());
    }

    #[test]
    fn keeps_secrets_and_drops_empty_tokens() {
        let adapter = adapter();
        assert_eq!(adapter.0.auth_tokens.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("a token"), "{printed}");
    }
}
