//! Bandwidth: Messaging v2 and Voice v2 with BXML.
//!
//! `docs/providers/wire/bandwidth.md` lists the wire facts with their sources. Comments in this folder cite its
//! headings in quotes. The first version of the API (`api.catapult.inetwork.com`), which many tutorials show, is
//! retired: the adapter does not understand its webhooks.

mod account;
mod calls;
mod credentials;
mod inbound;
mod outbound;

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
pub struct Bandwidth(Config);

impl Bandwidth {
    /// Creates an adapter for one account. Drops empty webhook passwords, because anybody can guess them.
    pub fn new(mut config: Config) -> Self {
        config.webhook_passwords.retain(|password| !password.expose_secret().is_empty());
        Self(config)
    }
}

impl Provider for Bandwidth {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    /// The credentials cover neither body nor address nor time, but Bandwidth offers nothing else. See "Credentials".
    fn verify<'a>(&self, request: &'a WebhookRequest, _: Time) -> Result<Verified<'a>, Unverified> {
        credentials::verify(&self.0, request)?;
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(webhook, &request.request().body)
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        outbound::call_flow(&self.0, flow, report_url)
    }

    /// Message events expect any 2xx, call events 200, 201 or 204, and a request for a call flow an XML document. An
    /// empty document suits all of them. See "Answering webhooks" and "Calls".
    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        wire::acknowledge(acknowledgement, outbound::nothing_more)
    }

    /// Always sends the challenge: without it Bandwidth shows no credentials, and the event is lost ("Credentials").
    /// The challenge is repeated after wrong credentials, because the operator may have changed them meanwhile.
    fn refuse(&self, _: Unverified) -> WebhookResponse {
        let headers = vec![("www-authenticate", r#"Basic realm="maskline""#.to_owned())];
        WebhookResponse { headers, ..plain(StatusCode::UNAUTHORIZED, "Unauthorized") }
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
    use http::HeaderMap;

    use super::*;
    pub(super) use crate::provider::testing::request;

    /// The account of the fixtures.
    pub(super) fn config() -> Config {
        Config {
            account_id: "9900000".to_owned(),
            application_id: "93de2206-9669-4e07-948d-329f4b722ee2".to_owned(),
            username: "api-user".to_owned(),
            password: "api-password".into(),
            webhook_username: "maskline_hook".to_owned(),
            webhook_passwords: vec!["Fixture-Passw0rd!".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
        }
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = Bandwidth::new(config());
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit.max, profile.media_limit), ("bandwidth", 2048, 0));
        assert_eq!(profile.webhook("https://x.example", WebhookKind::Sms), "https://x.example/webhooks/bandwidth/sms");
    }

    #[test]
    fn one_answer_is_right_for_all_that_was_taken() {
        let adapter = Bandwidth::new(config());
        for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
            let accepted = adapter.acknowledge(webhook, Acknowledgement::Accepted);
            assert_eq!((accepted.status, accepted.content_type), (StatusCode::OK, "application/xml; charset=utf-8"));
            assert_eq!(accepted.body, r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
        }
        assert_eq!(
            adapter.acknowledge(WebhookKind::Sms, Acknowledgement::NotNow).status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            adapter.acknowledge(WebhookKind::Status, Acknowledgement::Unreadable).status,
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn every_refusal_asks_for_credentials() {
        for why in [Unverified::NotChallenged, Unverified::Forged, Unverified::Missing, Unverified::Stale] {
            let answer = Bandwidth::new(config()).refuse(why);
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert_eq!(answer.headers, [("www-authenticate", r#"Basic realm="maskline""#.to_owned())]);
        }
    }

    #[test]
    fn asks_about_no_call() {
        let adapter = Bandwidth::new(config());
        let response =
            OutboundResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from_static(b"{}") };
        assert!(adapter.build_call_query("c-1", Time::default()).is_none());
        assert!(adapter.read_call_query("c-1", &response).is_empty());
    }

    #[test]
    fn keeps_secrets_and_drops_empty_passwords() {
        let config = Config { webhook_passwords: vec!["".into(), "Fixture-Passw0rd!".into()], ..config() };
        let adapter = Bandwidth::new(config);
        assert_eq!(adapter.0.webhook_passwords.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("api-password") && !printed.contains("Fixture"), "{printed}");
    }
}
