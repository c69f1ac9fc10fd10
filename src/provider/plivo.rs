//! Plivo: the Messages API, voice XML and their webhooks.
//!
//! `docs/providers/wire/plivo.md` lists the wire facts with their sources. Comments in this folder cite its headings in
//! quotes.

mod calls;
mod inbound;
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

/// Fragment for addresses where a caller waits for our answer. The answer comes within two seconds or not at all, so
/// this shortens Plivo's default of 40 s. Plivo retries only network errors unless `rp` lists more. See "Answering
/// webhooks".
const CALLER_WAITS: &str = "#rt=5000&rc=2&rp=ct,rt,5xx";
/// Fragment for addresses where nobody waits. Asks for all possible retries: 503 is our only way to say "not stored".
const NOBODY_WAITS: &str = "#rc=5&rp=ct,rt,5xx";

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("plivo"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // The limit for UCS-2; a text of GSM-7 characters could be longer. See "Sending a text".
    text_limit: TextLimit::utf16(737),
    // The maximum of an inbound MMS. See "Inbound texts".
    media_limit: 10,
    // The largest call flow. See "Calls".
    body_limit: 100_000,
    // Rate of a long code in the US; the account as a whole may send more. See "Limits".
    texts_per_minute: 60,
    texts_per_second: Some(5),
    signature: "X-Plivo-Signature-V3 or -Ma-V3 (HMAC over address and form; no timestamp)",
    dated: false,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // The operator chooses the method when setting up the application. See "Inbound texts".
    methods: [&[Method::POST, Method::GET]; 3],
    // Documented for voice addresses only: the message URL has its own retries, and the application's hangup URL points
    // to the status address. See "Answering webhooks".
    fragments: ["", CALLER_WAITS, NOBODY_WAITS],
    // Plivo gives up after 8 s, and warns about answers that take more than 5. See "Answering webhooks".
    patience: Duration::from_secs(3),
};

/// Default address of the API. See "Sending a text".
pub const DEFAULT_BASE_URL: &str = "https://api.plivo.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// The account (`MA...`) or sub-account (`SA...`).
    pub auth_id: String,
    /// Auth tokens: the first sends texts, any of them verifies webhooks. Several in a rotation or with sub-accounts.
    pub auth_tokens: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
    /// Whether a webhook without any V3 header may verify by the older V2, which does not sign parameters.
    pub accept_v2: bool,
}

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

    fn parse(&self, endpoint: Endpoint, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(endpoint, request.request())
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        outbound::call_flow(flow, report_url)
    }

    /// Always sends an empty document. Call events come to the same addresses, and where Plivo expects XML an empty
    /// body is an error ("Calls"). As message XML the document sends nothing ("Inbound texts").
    fn acknowledge(&self, _: Endpoint, receipt: Receipt) -> WebhookResponse {
        match receipt {
            Receipt::Taken => outbound::nothing(),
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
        let webhook = |endpoint| profile.webhook("https://mask.test", endpoint);
        assert_eq!(webhook(Endpoint::Sms), "https://mask.test/webhooks/plivo/sms");
        assert_eq!(webhook(Endpoint::Voice), "https://mask.test/webhooks/plivo/voice#rt=5000&rc=2&rp=ct,rt,5xx");
        assert_eq!(webhook(Endpoint::Status), "https://mask.test/webhooks/plivo/status#rc=5&rp=ct,rt,5xx");
    }

    #[test]
    fn answers_with_a_document_and_refuses_by_status() {
        let adapter = adapter();
        for endpoint in [Endpoint::Sms, Endpoint::Voice, Endpoint::Status] {
            let taken = adapter.acknowledge(endpoint, Receipt::Taken);
            assert_eq!((taken.status, taken.content_type), (StatusCode::OK, "application/xml"));
            assert_eq!(taken.body, r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
            assert_eq!(adapter.acknowledge(endpoint, Receipt::Unreadable).status, StatusCode::BAD_REQUEST);
            assert_eq!(adapter.acknowledge(endpoint, Receipt::NotNow).status, StatusCode::SERVICE_UNAVAILABLE);
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
