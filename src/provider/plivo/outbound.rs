//! Requests and answers to Plivo. See "Call flows", "Sending a text", and "Errors and retries".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::{CALLER_WAITS, Config, NOBODY_WAITS};
use crate::{
    domain::{
        call::{CallFlow, RING_SECONDS, TALK_SECONDS},
        json,
    },
    provider::{OutboundRequest, OutboundResponse, OutboundText, SendOutcome, WebhookResponse, wire},
};

/// Languages of the default voice, `WOMAN`. Any other makes the whole document invalid, and the caller hears nothing.
const LANGUAGES: [&str; 15] = [
    "da-DK", "de-DE", "en-GB", "en-AU", "en-US", "es-ES", "es-US", "fr-FR", "fr-CA", "it-IT", "nl-NL", "pl-PL",
    "pt-BR", "ru-RU", "sv-SE",
];

pub(super) fn call_flow(flow: &CallFlow, report_url: &str) -> WebhookResponse {
    let hangup = wire::Element::new("Hangup");
    let children = match flow {
        // Without `callerId` the caller's own number is shown, and without `callerName` the caller's name. Plivo asks
        // `action` what the caller hears next, because `redirect` is on by default.
        CallFlow::Connect { to, caller_id } => vec![
            wire::Element::new("Dial")
                .with("callerId", caller_id.expose_digits())
                .with("callerName", caller_id.expose_digits())
                .with("timeout", RING_SECONDS)
                .with("timeLimit", TALK_SECONDS)
                .with("action", format!("{report_url}{CALLER_WAITS}"))
                .with("method", "POST")
                .with("callbackUrl", format!("{report_url}{NOBODY_WAITS}"))
                .with("callbackMethod", "POST")
                .child(&wire::Element::new("Number").text(to.expose_digits())),
        ],
        CallFlow::Announce { text, language } => {
            let speak = wire::Element::new("Speak");
            let speak = match wire::spoken(&LANGUAGES, language) {
                Some(known) => speak.with("language", known),
                None => speak,
            };
            vec![speak.text(text), hangup]
        }
        CallFlow::HangUp => vec![hangup],
    };
    response(&children)
}

/// Renders a document that does nothing.
pub(super) fn nothing() -> WebhookResponse {
    response(&[])
}

fn response(children: &[wire::Element]) -> WebhookResponse {
    let root = children.iter().fold(wire::Element::new("Response"), wire::Element::child);
    wire::answer(StatusCode::OK, "application/xml", root.document())
}

/// A text. Numbers have no `+`, because Plivo accepts at most 14 characters.
#[derive(Serialize)]
struct Message<'a> {
    src: &'a str,
    dst: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    url: String,
    method: &'static str,
}

/// Builds a send. The API has no field for our reference, so it goes into the query of the report address.
pub(super) fn send(config: &Config, text: &OutboundText<'_>) -> OutboundRequest {
    let message = Message {
        src: text.from.expose_digits(),
        dst: text.to.expose_digits(),
        text: text.body,
        kind: if text.media.is_empty() { "sms" } else { "mms" },
        media_urls: text.media,
        url: format!("{}?ref={}", text.report_url, text.reference),
        method: "POST",
    };
    let token = config.auth_tokens.first().map(|token| token.expose_secret()).unwrap_or_default();
    let credentials = STANDARD.encode(format!("{}:{token}", config.auth_id));
    OutboundRequest {
        method: Method::POST,
        // The trailing slash is required.
        url: format!("{}/v1/Account/{}/Message/", config.base_url, config.auth_id),
        headers: vec![
            ("Authorization", format!("Basic {credentials}")),
            ("Accept", "application/json".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", wire::USER_AGENT.to_owned()),
        ],
        body: wire::json(&message),
    }
}

/// The fields of a response that the adapter reads. An error has no code, only text, which may repeat a phone number.
///
/// A field of an unexpected type does not hide the others: a text with an id was sent, and must not be sent again.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    message_uuid: Value,
}

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - 503 and 429 mean that nothing was done (RFC 9110, 15.6.4; RFC 6585, 4). Other 5xx may follow a successful send.
/// - 400 means that Plivo will never accept the text, and so does 403: the account has no permission for the
///   recipient's country.
/// - Bad credentials (401) concern the account, not the text.
/// - Other problems that an operator can fix make the text wait: a wrong address (404, 405).
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let later = SendOutcome::TryLater { after: response.retry_after() };
    match response.status.as_u16() {
        200..=299 => {
            let reply: Reply = json::read(&response.body).unwrap_or_default();
            let id = reply.message_uuid.get(0).and_then(Value::as_str);
            match id.filter(|id| wire::is_readable_id(id)) {
                Some(id) => SendOutcome::Accepted { provider_id: id.to_owned() },
                None => SendOutcome::InDoubt,
            }
        }
        401 => SendOutcome::RefusedUs,
        400 | 403 | 422 => SendOutcome::Rejected { code: None },
        429 | 503 => later,
        500.. => SendOutcome::InDoubt,
        _ => later,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::Duration;
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
    use proptest::prelude::*;
    use quick_xml::{Reader, events::Event};
    use serde_json::Value;

    use super::*;
    use crate::{
        domain::phone::PhoneNumber,
        provider::{plivo::DEFAULT_BASE_URL, testing::announcement},
    };

    const STATUS: &str = "https://mask.test/webhooks/plivo/status";

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn rendered(flow: &CallFlow) -> String {
        let answer = call_flow(flow, STATUS);
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/xml"));
        answer.body
    }

    fn announce(text: &str, language: &str) -> String {
        rendered(&announcement(text, language))
    }

    #[test]
    fn writes_call_flows() {
        let connect = CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") };
        assert_eq!(rendered(&connect), include_str!("../../../tests/fixtures/providers/plivo/connect.xml"));
        assert_eq!(
            announce("The driver says \"wait\" & <b>smiles</b>", "en-GB"),
            include_str!("../../../tests/fixtures/providers/plivo/announce.xml")
        );
        assert_eq!(rendered(&CallFlow::HangUp), include_str!("../../../tests/fixtures/providers/plivo/hang-up.xml"));
    }

    #[test]
    fn shows_the_proxy_number_and_nothing_else() {
        let connect = CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") };
        let document = rendered(&connect);
        assert!(document.contains(r#"callerId="3197010200001" callerName="3197010200001""#), "{document}");
        assert_eq!(document.matches("31612345678").count(), 1, "the phone to ring");
    }

    #[test]
    fn an_unknown_language_is_read_by_the_default_voice() {
        assert!(announce("Hoi", "nl-NL").contains(r#"<Speak language="nl-NL">Hoi</Speak>"#));
        assert!(announce("Salut", "ro-RO").contains("<Speak>Salut</Speak><Hangup/>"));
    }

    fn written(body: &str, media: &[String]) -> OutboundRequest {
        let config = Config {
            auth_id: "MAXXXXXXXXXXXXXXXXXX".to_owned(),
            auth_tokens: vec!["a_token".into(), "old".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
            accept_v2: false,
        };
        let (from, to) = (phone("+3197010200001"), phone("+31612345678"));
        send(
            &config,
            &OutboundText { from: &from, to: &to, body, media, reference: "mk_fixture_1", report_url: STATUS },
        )
    }

    fn fixture(request: &OutboundRequest) -> String {
        format!("{} {}\n\n{}", request.method, request.url, request.body)
    }

    #[test]
    fn writes_sends() {
        let words = "Red hat & <b>\u{1f3a9}</b> + 100%";
        let request = written(words, &[]);
        assert_eq!(fixture(&request), include_str!("../../../tests/fixtures/providers/plivo/send.http"));
        assert_eq!(
            request.headers,
            [
                ("Authorization", "Basic TUFYWFhYWFhYWFhYWFhYWFhYWFg6YV90b2tlbg==".to_owned()),
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/json".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
        let media = ["https://cdn.example.com/a.jpg".to_owned()];
        let request = written(words, &media);
        assert_eq!(fixture(&request), include_str!("../../../tests/fixtures/providers/plivo/send-media.http"));
        let wordless: Value = serde_json::from_str(&written("", &media).body).expect("JSON");
        assert_eq!(wordless.get("text"), None);
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome = outcome_of(202, r#"{"message_uuid":["u1",7],"message":"half \ud83d","n":1e999}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "u1".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test]
    fn an_accepted_text_is_accepted() {
        let body = r#"{"message":"message(s) queued","message_uuid":["db3ce55a-7f1d-11e1-8ea7-1231380bc196"],"api_id":"db342550"}"#;
        for status in [200, 202] {
            let provider_id = "db3ce55a-7f1d-11e1-8ea7-1231380bc196".to_owned();
            assert_eq!(outcome_of(status, body), SendOutcome::Accepted { provider_id });
        }
    }

    #[test]
    fn unclear_is_in_doubt() {
        for body in [
            "",
            "{}",
            "<html>",
            "[]",
            r#"{"message_uuid":[]}"#,
            r#"{"message_uuid":[7]}"#,
            r#"{"message_uuid":"db3ce55a"}"#,
            r#"{"message_uuid":["a b"]}"#,
            r#"{"message_uuid":[""]}"#,
        ] {
            assert_eq!(outcome_of(202, body), SendOutcome::InDoubt, "{body}");
        }
        for status in [500, 502, 504, 599] {
            assert_eq!(outcome_of(status, r#"{"error":"x"}"#), SendOutcome::InDoubt, "{status}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        let later = SendOutcome::TryLater { after: Some(Duration::seconds(7)) };
        for body in [r#"{"api_id":"1","error":"31612345678"}"#, "Could not verify your access level", ""] {
            for status in [302, 402, 404, 405, 408, 429, 503] {
                assert_eq!(outcome_of(status, body), later, "{status} {body}");
            }
            assert_eq!(outcome_of(401, body), SendOutcome::RefusedUs, "{body}");
        }
        for body in [r#"{"error":"31612345678"}"#, r#"{"error":{"dst":["invalid"]}}"#, "", "<html>"] {
            for status in [400, 403] {
                assert_eq!(outcome_of(status, body), SendOutcome::Rejected { code: None }, "{status} {body}");
            }
        }
    }

    /// Returns the names of the elements and the text between them.
    fn heard(document: &str) -> (Vec<String>, String) {
        let mut reader = Reader::from_str(document);
        let (mut names, mut words) = (Vec::new(), String::new());
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Start(tag) | Event::Empty(tag) => names.push(tag.name().as_ref().to_owned()),
                Event::Text(text) => words.push_str(&text),
                Event::GeneralRef(entity) => {
                    let entity = format!("&{};", &*entity);
                    words.push_str(&quick_xml::escape::unescape(&entity).expect("a known entity"));
                }
                Event::Eof => return (names, words),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn any_announcement_is_heard_as_written(text in "([<&>\"'\\]]|\\PC){1,60}") {
            let (names, words) = heard(&announce(&text, "en-GB"));
            prop_assert_eq!(names, ["Response", "Speak", "Hangup"]);
            let kept: String = text.chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
            prop_assert_eq!(words, kept);
        }

        #[test]
        fn any_text_is_sent_as_written(text in "\\PC{1,60}") {
            let body: Value = serde_json::from_str(&written(&text, &[]).body).expect("JSON");
            prop_assert_eq!(body["text"].as_str(), Some(text.as_str()));
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
