//! MessageBird: the legacy REST API (`rest.messagebird.com`), Flow Builder and voice call flows.
//!
//! `docs/providers/wire/messagebird.md` lists the wire facts with their sources. Comments in this folder cite its
//! headings in quotes. The two later generations under the same brand (Bird channels, Bird platform) have other
//! signatures and formats: the adapter refuses their webhooks (see "Generations").

mod account;
mod fields;
mod inbound;
mod legs;
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

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(webhook, request.request())
    }

    /// No step of a call flow takes an address for events, and such events could not be trusted: see `call_results`.
    fn render_call(&self, flow: &CallFlow, _: &str) -> WebhookResponse {
        outbound::call_flow(flow)
    }

    /// MessageBird does not read the body (see "Inbound texts"); the status alone asks for a retry.
    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        wire::acknowledge(acknowledgement, || plain(StatusCode::OK, "OK"))
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
        assert_eq!(profile.methods.map(<[_]>::len), [2, 1, 1]);
    }

    #[test]
    fn answers_by_status() {
        let adapter = adapter();
        let accepted = adapter.acknowledge(WebhookKind::Sms, Acknowledgement::Accepted);
        assert_eq!(
            (accepted.status.as_u16(), accepted.content_type, accepted.body.as_str()),
            (200, "text/plain", "OK")
        );
        assert_eq!(
            adapter.acknowledge(WebhookKind::Status, Acknowledgement::NotNow).status,
            StatusCode::SERVICE_UNAVAILABLE
        );
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
