//! Vonage: the Messages API (version 1) and the Voice API with call control objects (NCCO).
//!
//! `docs/providers/wire/vonage.md` lists the wire facts with their sources. Comments in this folder cite its headings
//! in quotes. The legacy SMS API signs in another way (`sig`): the adapter refuses its webhooks.

mod account;
mod calls;
mod messages;
mod outbound;
mod payload;
mod signature;

use http::StatusCode;
use secrecy::ExposeSecret as _;

pub use self::account::{Config, DEFAULT_BASE_URL, PROFILE, PrivateKey};
use self::payload::{Kind, Payload};
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
pub struct Vonage(Config);

impl Vonage {
    /// Creates an adapter for one account. Drops empty signature secrets, because anybody can sign with them.
    pub fn new(mut config: Config) -> Self {
        config.signature_secrets.retain(|secret| !secret.expose_secret().is_empty());
        Self(config)
    }
}

impl Provider for Vonage {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.0, request, now)?;
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        parse(webhook, request.request()).map(|event| vec![event])
    }

    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse {
        outbound::call_flow(flow, report_url)
    }

    /// Vonage ignores the body, with one exception: if it accepts a call flow in answer to a call event, a body would
    /// replace the running flow, and an empty body keeps it (see "Calls").
    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        wire::acknowledge(acknowledgement, || plain(StatusCode::OK, ""))
    }

    /// After an internal error Vonage may send a webhook unsigned. A 5xx makes it retry with a signature (see
    /// "Signatures"). It retries voice webhooks after 503 and 504, but no other 5xx (see "Calls").
    fn refuse(&self, why: Unverified) -> WebhookResponse {
        match why {
            Unverified::Missing => plain(StatusCode::SERVICE_UNAVAILABLE, "Not signed"),
            Unverified::NotChallenged | Unverified::Forged | Unverified::Stale => {
                plain(StatusCode::UNAUTHORIZED, "Unauthorized")
            }
        }
    }

    fn build_send(&self, text: &OutboundText<'_>, now: Time) -> OutboundRequest {
        outbound::send(&self.0, text, now)
    }

    fn read_outcome(&self, response: &OutboundResponse) -> SendOutcome {
        outbound::outcome(response)
    }

    fn read_code(&self, response: &OutboundResponse) -> Option<ProviderCode> {
        outbound::code(response)
    }

    /// Vonage reports results on its own.
    fn build_call_query(&self, _: &str, _: Time) -> Option<OutboundRequest> {
        None
    }

    fn read_call_query(&self, _: &str, _: &OutboundResponse) -> Vec<CallReport> {
        Vec::new()
    }
}

/// Reads a request. Its content decides what it is; the address counts only for a possible call.
fn parse(webhook: WebhookKind, request: &WebhookRequest) -> Result<ProviderEvent, Malformed> {
    let payload = Payload::read(&request.body)?;
    let at_voice = webhook == WebhookKind::Voice;
    let event = match payload.kind() {
        Kind::Message => messages::text(&payload)?.map(ProviderEvent::Text),
        Kind::MessageStatus => messages::report(&payload).map(ProviderEvent::Report),
        // A fallback address that leads to the voice webhook replaces any address that accepts a call flow (see
        // "Calls"), so a caller waits there too.
        Kind::CallNews => {
            calls::report(&payload, at_voice || calls::is_awaited(request)).map(ProviderEvent::CallReport)
        }
        Kind::Call if at_voice || calls::is_whole(&payload) => {
            Some(ProviderEvent::Call(calls::call(&payload, &request.body)))
        }
        Kind::Call => None,
    };
    Ok(event.unwrap_or(ProviderEvent::Ignored))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    pub(super) use crate::provider::testing::request;
    use http::Method;

    pub(super) const TEST_KEY: &str = include_str!("../../tests/fixtures/providers/vonage/test-key.pem");

    pub(super) fn config(secrets: &[&str]) -> Config {
        Config {
            application_id: "aaaaaaaa-bbbb-cccc-dddd-0123456789ab".to_owned(),
            private_key: PrivateKey::parse(TEST_KEY).expect("a key"),
            api_key: "a1b2c3d4".to_owned(),
            signature_secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
            base_url: DEFAULT_BASE_URL.to_owned(),
        }
    }

    /// Reads a body that was sent to this path.
    pub(super) fn told(path: &str, body: &Value) -> Result<ProviderEvent, Malformed> {
        let webhook = match path.split('?').next() {
            Some("voice") => WebhookKind::Voice,
            Some("status") => WebhookKind::Status,
            _ => WebhookKind::Sms,
        };
        let url = format!("https://mask.test/webhooks/vonage/{path}");
        parse(webhook, &request(Method::POST, &url, &[], body.to_string().as_bytes()))
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = Vonage::new(config(&["signing"]));
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit.max, profile.media_limit), ("vonage", 1000, 1));
        assert_eq!(profile.methods, [&[Method::POST]; 3]);
        let now = chrono::DateTime::from_timestamp(1_795_262_400, 0).expect("a time");
        assert!(adapter.build_call_query("CON-1", now).is_none(), "it tells by itself");
    }

    #[test]
    fn answers_by_status() {
        let adapter = Vonage::new(config(&["signing"]));
        let accepted = adapter.acknowledge(WebhookKind::Status, Acknowledgement::Accepted);
        assert_eq!(
            (accepted.status, accepted.body.as_str()),
            (StatusCode::OK, ""),
            "a body would be taken for a call flow"
        );
        assert_eq!(adapter.acknowledge(WebhookKind::Sms, Acknowledgement::Unreadable).status, StatusCode::BAD_REQUEST);
        assert_eq!(
            adapter.acknowledge(WebhookKind::Status, Acknowledgement::NotNow).status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(adapter.refuse(Unverified::Missing).status, StatusCode::SERVICE_UNAVAILABLE);
        for why in [Unverified::Forged, Unverified::Stale] {
            assert_eq!(adapter.refuse(why).status, StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn keeps_secrets_and_drops_empty_ones() {
        let adapter = Vonage::new(config(&["", "signing"]));
        assert_eq!(adapter.0.signature_secrets.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("\"signing\"") && printed.contains("PrivateKey(..)"), "{printed}");
    }

    #[test]
    fn keys_are_read_with_either_line_break_and_must_sign() {
        assert!(PrivateKey::parse(TEST_KEY).is_some());
        let one_line = TEST_KEY.trim().replace('\n', "\\n");
        assert!(PrivateKey::parse(&one_line).is_some());
        let public = include_str!("../../tests/fixtures/providers/vonage/test-key.pub.pem");
        let cut = TEST_KEY.replacen("MII", "MIJ", 1);
        for odd in ["", "key", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", public, &cut] {
            assert!(PrivateKey::parse(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn content_decides_and_nonsense_is_malformed() {
        let text = json!({"message_uuid": "1", "from": "31612345678", "to": "3197010200001", "text": "Hi"});
        let report = json!({"message_uuid": "1", "status": "delivered", "client_ref": "mk_1"});
        let news = json!({"uuid": "1", "conversation_uuid": "CON-1", "status": "busy", "direction": "outbound"});
        for path in ["sms", "voice", "status"] {
            assert!(matches!(told(path, &text), Ok(ProviderEvent::Text(_))), "{path}");
            assert!(matches!(told(path, &report), Ok(ProviderEvent::Report(_))), "{path}");
            assert!(matches!(told(path, &news), Ok(ProviderEvent::CallReport(_))), "{path}");
            for odd in [json!(["a"]), json!("a"), json!(null)] {
                assert!(told(path, &odd).is_err(), "{path} {odd}");
            }
        }
        for body in [&b""[..], b"{", b"a=1"] {
            assert!(parse(WebhookKind::Sms, &request(Method::POST, "https://x.example/", &[], body)).is_err());
        }
    }

    #[test]
    fn what_is_hard_to_read_is_read() {
        let read = |text: &[u8]| {
            let head = br#"{"message_uuid":"1","from":"31612345678","usage":{"price":1e999},"text":""#;
            let body = [b"\xef\xbb\xbf", &head[..], text, b"\"}"].concat();
            match parse(WebhookKind::Sms, &request(Method::POST, "https://x.example/", &[], &body)) {
                Ok(ProviderEvent::Text(text)) => text.body.expose().to_owned(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read(br"I am at the door \ud83d"), "I am at the door \u{fffd}");
        assert_eq!(read(b"caf\xe9 \xf0\x9f"), "caf\u{fffd} \u{fffd}");
    }

    #[test]
    fn what_lacks_a_call_is_one_only_at_the_voice_webhook() {
        for odd in
            [json!({}), json!({"reason": "Syntax error in NCCO", "conversation_uuid": "CON-1"}), json!({"to": 7})]
        {
            assert!(matches!(told("voice", &odd), Ok(ProviderEvent::Call(_))), "{odd}");
            assert!(matches!(told("status", &odd), Ok(ProviderEvent::Ignored)), "{odd}");
        }
    }

    /// A value of the names that count, some of them with odd values.
    fn odd_payload() -> impl Strategy<Value = Value> {
        let value = prop_oneof![
            Just(json!(null)),
            Just(json!(7)),
            Just(json!({"url": "https://cdn.example/a", "title": 1, "caption": "see you"})),
            Just(json!([1, {"url": 2}])),
            Just(json!("31612345678")),
            Just(json!("outbound")),
            proptest::sample::select(vec!["delivered", "busy", "completed", "sms", "mms", "mk_1"])
                .prop_map(|w| json!(w)),
            "\\PC{0,20}".prop_map(Value::String),
        ];
        let name = proptest::sample::select(vec![
            "message_uuid",
            "from",
            "to",
            "channel",
            "text",
            "image",
            "file",
            "status",
            "client_ref",
            "error",
            "uuid",
            "conversation_uuid",
            "direction",
            "duration",
            "timestamp",
            "detail",
        ]);
        proptest::collection::hash_map(name, value, 0..10).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn arbitrary_requests_never_panic_and_never_get_into_a_key(
            payload in odd_payload(), raw in proptest::collection::vec(any::<u8>(), 0..60), query in "\\PC{0,20}"
        ) {
            let url = format!("https://x.example/?{query}");
            for body in [payload.to_string().as_bytes(), &raw] {
                for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                    let key = match parse(webhook, &request(Method::POST, &url, &[], body)) {
                        Ok(ProviderEvent::Text(text)) => text.key,
                        Ok(ProviderEvent::Call(call)) => call.key,
                        Ok(ProviderEvent::Report(report)) => report.key,
                        Ok(ProviderEvent::CallReport(report)) => report.key + &report.call_key,
                        Ok(ProviderEvent::Ignored | ProviderEvent::Unreadable(_)) | Err(_) => continue,
                    };
                    let key = key.replace("CON-", "");
                    prop_assert!(key.len() >= 32 && key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
                }
            }
        }
    }
}
