//! Output to MessageBird: call flows (see "Calls"), sends and the meaning of their responses (see "Sending a text" and
//! "Errors and retries").

use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Config;
use crate::{
    domain::{call::CallFlow, json, message::ProviderCode},
    provider::{OutboundRequest, OutboundResponse, OutboundText, SendOutcome, WebhookResponse, wire},
};

/// Languages on MessageBird's Voice Messaging page that have both a language and a country.
const LANGUAGES: [&str; 32] = [
    "cy-GB", "da-DK", "de-DE", "el-GR", "en-GB", "en-AU", "en-IN", "en-US", "es-ES", "es-MX", "es-US", "fr-FR",
    "fr-CA", "id-ID", "is-IS", "it-IT", "ja-JP", "ko-KR", "ms-MY", "nb-NO", "nl-NL", "pl-PL", "pt-PT", "pt-BR",
    "ro-RO", "ru-RU", "sv-SE", "ta-IN", "th-TH", "tr-TR", "vi-VN", "zh-CN",
];
/// Fallback for an unknown language.
const FALLBACK_LOCALE: &str = "en-GB";

/// Renders a call flow. One that connects is XML, as in MessageBird's tutorials. Any other is JSON: no source defines
/// the meaning of several root elements, while `steps` is a list (see "Calls").
pub(super) fn call_flow(flow: &CallFlow) -> WebhookResponse {
    match flow {
        // `mask` shows the dialled number, which is the proxy number; without it the caller's own number would show. No
        // option names another number, so `caller_id` is not written.
        CallFlow::Connect { to, caller_id: _ } => {
            let transfer = wire::Element::new("Transfer").with("destination", to.expose_digits()).with("mask", true);
            wire::answer(StatusCode::OK, "application/xml", transfer.document())
        }
        CallFlow::Announce { text, language } => {
            let language = wire::spoken(&LANGUAGES, language).unwrap_or(FALLBACK_LOCALE);
            steps(&[Step::Say { payload: text, language, voice: "female" }, Step::Hangup])
        }
        CallFlow::HangUp => steps(&[Step::Hangup]),
    }
}

fn steps(steps: &[Step<'_>]) -> WebhookResponse {
    wire::answer(StatusCode::OK, "application/json", wire::json(&Steps { title: "Maskline", steps }))
}

#[derive(Serialize)]
struct Steps<'a> {
    title: &'static str,
    steps: &'a [Step<'a>],
}

#[derive(Serialize)]
#[serde(tag = "action", content = "options", rename_all = "lowercase")]
enum Step<'a> {
    Say { payload: &'a str, language: &'a str, voice: &'static str },
    Hangup,
}

/// A text. Numbers have no `+`, as everywhere in this API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    originator: &'a str,
    /// One number, or several separated by commas.
    recipients: &'a str,
    body: &'a str,
    /// The default, `plain`, replaces characters that GSM 03.38 lacks: emoji and most scripts.
    datacoding: &'static str,
    /// Without it MessageBird sends no delivery reports.
    reference: &'a str,
    report_url: &'a str,
}

/// A text with pictures. It has no field for a report address: reports go to the account's address.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PictureMessage<'a> {
    originator: &'a str,
    recipients: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    media_urls: &'a [String],
    reference: &'a str,
}

/// Builds `POST /messages`, or `POST /mms` with pictures.
pub(super) fn send(config: &Config, text: &OutboundText<'_>) -> OutboundRequest {
    let (originator, recipients) = (text.from.expose_digits(), text.to.expose_digits());
    let OutboundText { body, media, reference, report_url, .. } = *text;
    let (path, body) = if media.is_empty() {
        let message = Message { originator, recipients, body, datacoding: "auto", reference, report_url };
        ("messages", wire::json(&message))
    } else {
        ("mms", wire::json(&PictureMessage { originator, recipients, body, media_urls: media, reference }))
    };
    request(config, Method::POST, format!("{}/{path}", config.base_url), body)
}

/// Builds a request with the account's key.
pub(super) fn request(config: &Config, method: Method, url: String, body: String) -> OutboundRequest {
    let headers = vec![
        ("Authorization", format!("AccessKey {}", config.api_key.expose_secret())),
        ("Accept", "application/json".to_owned()),
        ("Content-Type", "application/json; charset=UTF-8".to_owned()),
        ("User-Agent", wire::USER_AGENT.to_owned()),
    ];
    OutboundRequest { method, url, headers, body }
}

/// The fields of a response that the adapter reads. It ignores an error's description, which may repeat a phone number.
///
/// A field of an unexpected type does not hide the others: a text with an id was sent, and must not be sent again.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    id: Value,
    errors: Value,
}

impl Reply {
    fn of(response: &OutboundResponse) -> Self {
        json::read(&response.body).unwrap_or_default()
    }

    /// Returns the first error, with its code if there is a valid one.
    fn error(&self) -> Option<Option<u64>> {
        self.errors.get(0).map(|error| error["code"].as_u64())
    }
}

pub(super) fn code(response: &OutboundResponse) -> Option<ProviderCode> {
    Reply::of(response).error().flatten().and_then(|code| ProviderCode::of(&code.to_string()))
}

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - 503 and 429 mean that nothing was done (RFC 9110, 15.6.4; RFC 6585, 4). Other 5xx may follow a successful send.
/// - A bad key (2, 401) and no balance (25) concern the account, not the text.
/// - Other problems that an operator can fix make the text wait: 403, or a wrong address (98, or an answer that is not
///   this API's). So does a fault of MessageBird's own (99).
/// - Any other error would recur. A bad recipient has code 9, "missing".
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let reply = Reply::of(response);
    let error = reply.error();
    let later = SendOutcome::TryLater { after: response.retry_after() };
    match (response.status.as_u16(), error) {
        (429 | 503, _) => later,
        (500.., _) => SendOutcome::InDoubt,
        (401, _) | (_, Some(Some(2 | 25))) => SendOutcome::RefusedUs,
        (403, _) | (_, Some(Some(98 | 99))) => later,
        (_, Some(_)) => SendOutcome::Rejected { code: code(response) },
        (200..=299, None) => match reply.id.as_str().filter(|id| wire::is_readable_id(id)) {
            Some(id) => SendOutcome::Accepted { provider_id: id.to_owned() },
            None => SendOutcome::InDoubt,
        },
        (400 | 422, None) => SendOutcome::Rejected { code: None },
        (_, None) => later,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::Duration;
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{
        domain::phone::PhoneNumber,
        provider::{messagebird::DEFAULT_BASE_URL, testing::announcement},
    };

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn announce(text: &str) -> WebhookResponse {
        call_flow(&announcement(text, "en-GB"))
    }

    #[test]
    fn connects_behind_the_mask() {
        let answer = call_flow(&CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+31970000001") });
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/xml"));
        assert_eq!(
            answer.body,
            r#"<?xml version="1.0" encoding="UTF-8"?><Transfer destination="31612345678" mask="true"/>"#
        );
        assert_eq!(call_flow(&CallFlow::HangUp).body, r#"{"title":"Maskline","steps":[{"action":"hangup"}]}"#);
    }

    #[test]
    fn announces_and_hangs_up() {
        let answer = announce("Say \"hi\" & <bye>");
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/json"));
        assert_eq!(
            answer.body,
            concat!(
                r#"{"title":"Maskline","steps":[{"action":"say","options":{"payload":"Say \"hi\" & <bye>","#,
                r#""language":"en-GB","voice":"female"}},{"action":"hangup"}]}"#
            )
        );
    }

    fn written(body: &str, media: &[String]) -> OutboundRequest {
        let config =
            Config { api_key: "live_key".into(), signing_keys: Vec::new(), base_url: DEFAULT_BASE_URL.to_owned() };
        send(
            &config,
            &OutboundText {
                from: &phone("+31970000001"),
                to: &phone("+31612345678"),
                body,
                media,
                reference: "m26_1",
                report_url: "https://proxy.example.com/webhooks/messagebird/status",
            },
        )
    }

    #[test]
    fn writes_a_send_with_pictures() {
        let request = written("Look", &["https://cdn.example/a.jpg".to_owned()]);
        assert_eq!(request.url, "https://rest.messagebird.com/mms");
        assert_eq!(
            request.body,
            concat!(
                r#"{"originator":"31970000001","recipients":"31612345678","body":"Look","#,
                r#""mediaUrls":["https://cdn.example/a.jpg"],"reference":"m26_1"}"#
            )
        );
        assert!(!written("", &["https://cdn.example/a.jpg".to_owned()]).body.contains("body"));
    }

    #[test]
    fn writes_a_send() {
        let request = written("On my \"way\"\n\u{263a}", &[]);
        assert_eq!((request.method, request.url.as_str()), (Method::POST, "https://rest.messagebird.com/messages"));
        assert_eq!(
            request.headers,
            [
                ("Authorization", "AccessKey live_key".to_owned()),
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/json; charset=UTF-8".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
        assert_eq!(
            request.body,
            concat!(
                r#"{"originator":"31970000001","recipients":"31612345678","body":"On my \"way\"\n"#,
                "\u{263a}",
                r#"","datacoding":"auto","reference":"m26_1","#,
                r#""reportUrl":"https://proxy.example.com/webhooks/messagebird/status"}"#
            )
        );
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome =
            outcome_of(201, r#"{"id":"m1","errors":{},"body":"half \ud83d","n":1e999,"recipients":{"items":7}}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "m1".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn error(code: u32) -> String {
        format!(r#"{{"errors":[{{"code":{code},"description":"+31612345678","parameter":null}}]}}"#)
    }

    #[test]
    fn an_accepted_text_is_accepted() {
        let body = r#"{"id":"efa6405d518d4c0c88cce11f7db775fb","errors":null,"recipients":{"items":[{"recipient":31612345678}]}}"#;
        for status in [200, 201, 202] {
            let provider_id = "efa6405d518d4c0c88cce11f7db775fb".to_owned();
            assert_eq!(outcome_of(status, body), SendOutcome::Accepted { provider_id });
        }
    }

    #[test]
    fn unclear_is_in_doubt() {
        let spaced = r#"{"id":"a b"}"#;
        for (status, body) in [(200, ""), (201, "{}"), (201, "<html>"), (201, r#"{"id":""}"#), (201, spaced)] {
            assert_eq!(outcome_of(status, body), SendOutcome::InDoubt, "{status} {body}");
        }
        for (status, body) in [(500, error(99)), (502, String::new()), (504, "<html>".to_owned()), (599, error(9))] {
            assert_eq!(outcome_of(status, &body), SendOutcome::InDoubt, "{status} {body}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        let later = SendOutcome::TryLater { after: Some(Duration::seconds(7)) };
        for status in [403, 429, 503] {
            assert_eq!(outcome_of(status, &error(9)), later, "{status}");
        }
        for status in [200, 422] {
            for code in [98, 99] {
                assert_eq!(outcome_of(status, &error(code)), later, "{status} {code}");
            }
            for code in [2, 25] {
                assert_eq!(outcome_of(status, &error(code)), SendOutcome::RefusedUs, "{status} {code}");
            }
        }
        for body in [error(9), error(2), "<html>".to_owned(), String::new()] {
            assert_eq!(outcome_of(401, &body), SendOutcome::RefusedUs, "{body}");
        }
        for (status, body) in [(404, "<html>"), (405, ""), (408, ""), (302, "")] {
            assert_eq!(outcome_of(status, body), later, "{status}: not this API");
        }
    }

    #[test]
    fn lasting_errors_keep_their_code_alone() {
        for (status, code) in [(422, 9), (400, 10), (404, 20), (405, 9), (200, 10), (422, 101)] {
            let code_text = ProviderCode::of(&code.to_string());
            assert_eq!(outcome_of(status, &error(code)), SendOutcome::Rejected { code: code_text }, "{status} {code}");
        }
        for body in ["", r#"{"errors":[{"description":"31612345678"}]}"#] {
            assert_eq!(outcome_of(422, body), SendOutcome::Rejected { code: None }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_announcement_is_heard_as_written(text in "([<&\"'\\\\\u{0}-\u{1f}\u{7f}\u{2028}]|\\PC){0,60}") {
            let flow: Value = serde_json::from_str(&announce(&text).body).expect("JSON");
            prop_assert_eq!(flow["steps"][0]["options"]["payload"].as_str(), Some(text.as_str()));
            prop_assert_eq!(flow["steps"][1]["action"].as_str(), Some("hangup"));
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
