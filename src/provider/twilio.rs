//! Twilio: Programmable Messaging and Voice with TwiML, API version 2010-04-01.
//!
//! `docs/providers/wire/twilio.md` lists the wire facts with their sources. Comments in this folder cite its headings
//! in quotes.

mod account;
mod calls;
mod inbound;
mod outbound;
mod params;
mod signature;

use http::StatusCode;
use secrecy::ExposeSecret as _;

pub use self::account::{Config, DEFAULT_BASE_URL, PROFILE};
use super::{
    Acknowledgement, Malformed, OutboundRequest, OutboundResponse, OutboundText, Profile, Provider, SendOutcome,
    Unverified, Verified, WebhookKind, WebhookRequest, WebhookResponse,
};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, ProviderEvent},
    message::ProviderCode,
};

#[derive(Clone, Debug)]
pub struct Twilio(Config);

impl Twilio {
    /// Creates an adapter for one account. Drops empty tokens, because anybody can sign with them.
    pub fn new(mut config: Config) -> Self {
        config.auth_tokens.retain(|token| !token.expose_secret().is_empty());
        Self(config)
    }
}

impl Provider for Twilio {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    /// The signature carries no time, so no request is ever stale (see "Signatures").
    fn verify<'a>(&self, request: &'a WebhookRequest, _: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.0.auth_tokens, request)?;
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(webhook, request.request())
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        outbound::call_flow(flow, report_url)
    }

    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        outbound::nothing(acknowledgement.status())
    }

    fn refuse(&self, _: Unverified) -> WebhookResponse {
        outbound::nothing(StatusCode::UNAUTHORIZED)
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
    use chrono::DateTime;
    use http::HeaderMap;

    use super::*;
    use crate::provider::testing::announcement;
    pub(super) use crate::provider::testing::request;
    use http::Method;

    pub(super) const FORM: &str = "application/x-www-form-urlencoded";

    pub(super) fn form(body: &str) -> WebhookRequest {
        request(Method::POST, "https://x.example/", &[("content-type", FORM)], body.as_bytes())
    }

    fn adapter() -> Twilio {
        Twilio::new(Config {
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_tokens: vec!["".into(), "the_token".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
        })
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = adapter();
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit.max), ("twilio", 1600));
        assert_eq!(profile.methods.map(<[_]>::len), [2, 2, 2]);
        assert_eq!(
            profile.webhook("https://x.example", WebhookKind::Sms),
            "https://x.example/webhooks/twilio/sms#rc=5&rp=5xx,ct,rt&rt=5000"
        );
        assert!(
            profile.response_timeout < std::time::Duration::from_millis(5000),
            "it answers before Twilio stops waiting"
        );
    }

    /// Twilio sends `text/plain` to the sender as a text, or reads it to the caller (see "Webhooks").
    #[test]
    fn no_answer_is_plain_text() {
        let adapter = adapter();
        let mut answers = vec![
            adapter.render_call(&CallFlow::HangUp, "https://x.example/"),
            adapter.render_call(&announcement("No", "en-GB"), "https://x.example/"),
        ];
        for why in [Unverified::Missing, Unverified::Forged, Unverified::Stale, Unverified::NotChallenged] {
            answers.push(adapter.refuse(why));
            assert_eq!(answers.last().map(|answer| answer.status), Some(StatusCode::UNAUTHORIZED));
        }
        for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
            for (acknowledgement, status) in
                [(Acknowledgement::Accepted, 200), (Acknowledgement::Unreadable, 400), (Acknowledgement::NotNow, 503)]
            {
                answers.push(adapter.acknowledge(webhook, acknowledgement));
                assert_eq!(answers.last().map(|answer| answer.status.as_u16()), Some(status));
            }
        }
        for answer in answers {
            assert_eq!(answer.content_type, "text/xml");
            assert!(answer.body.starts_with(r#"<?xml version="1.0" encoding="UTF-8"?><Response"#), "{}", answer.body);
        }
    }

    #[test]
    fn asks_nobody() {
        let adapter = adapter();
        let response = OutboundResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() };
        assert!(adapter.build_call_query("CA1", DateTime::UNIX_EPOCH).is_none());
        assert!(adapter.read_call_query("CA1", &response).is_empty());
    }

    #[test]
    fn keeps_secrets_and_drops_empty_tokens() {
        let adapter = adapter();
        assert_eq!(adapter.0.auth_tokens.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("the_token"), "{printed}");
    }
}
