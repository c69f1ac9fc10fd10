//! Output to Twilio: TwiML (see "Webhooks" and "Calls"), sends and the meaning of their responses (see "Sending a text"
//! and "Errors and retries").
//!
//! Every answer is XML, even a refusal: Twilio would send plain text to the sender as a text, or read it to the caller.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;

use super::{account::Config, account::RETRIES, inbound::REFERENCE};
use crate::{
    domain::{
        call::{CallFlow, RING_SECONDS, TALK_SECONDS},
        json,
        message::ProviderCode,
    },
    provider::{
        OutboundRequest, OutboundResponse, OutboundText, SendOutcome, WebhookResponse,
        wire::{self, Element},
    },
};

/// Fallback for an unknown language: a combination of voice and language that Twilio does not offer fails.
const FALLBACK_LOCALE: &str = "en-GB";

pub(super) fn call_flow(flow: &CallFlow, report_url: &str) -> WebhookResponse {
    let response = Element::new("Response");
    let response = match flow {
        CallFlow::Connect { to, caller_id } => response.child(&dial(to.expose(), caller_id.expose(), report_url)),
        // Without `voice` Twilio uses the voice in the account's settings, which have one for each of these languages
        // by default.
        CallFlow::Announce { text, language } => {
            let language = wire::spoken(&wire::ALICE, language).unwrap_or(FALLBACK_LOCALE);
            response.child(&Element::new("Say").with("language", language).text(text)).child(&Element::new("Hangup"))
        }
        CallFlow::HangUp => response.child(&Element::new("Hangup")),
    };
    twiml(StatusCode::OK, &response)
}

/// Renders a dial. Without `callerId` the caller's own number would show. With `answerOnBridge` the caller hears
/// ringing until the other party picks up, and is not charged before. Twilio asks `action` what comes next; without an
/// answer the call would end in silence. The callbacks of the other leg report the same, with times.
fn dial(to: &str, caller_id: &str, report_url: &str) -> Element {
    let news = format!("{report_url}{RETRIES}");
    let number = Element::new("Number")
        .with("statusCallback", &news)
        .with("statusCallbackEvent", "ringing answered completed")
        .with("statusCallbackMethod", "POST")
        .text(to);
    Element::new("Dial")
        .with("callerId", caller_id)
        .with("answerOnBridge", true)
        .with("timeout", RING_SECONDS)
        .with("timeLimit", TALK_SECONDS)
        .with("action", &news)
        .with("method", "POST")
        .child(&number)
}

/// Renders a document that does nothing.
pub(super) fn nothing(status: StatusCode) -> WebhookResponse {
    twiml(status, &Element::new("Response"))
}

fn twiml(status: StatusCode, response: &Element) -> WebhookResponse {
    wire::answer(status, "text/xml", response.document())
}

/// Builds `POST .../Messages.json`. The API has no field for our reference, so it goes into the address for reports,
/// which the signature covers. The fragment after it sets the retries and is not sent.
pub(super) fn send(config: &Config, text: &OutboundText<'_>) -> OutboundRequest {
    let token = config.auth_tokens.first().map_or("", |token| token.expose_secret());
    let credentials = STANDARD.encode(format!("{}:{token}", config.account_sid));
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("To", text.to.expose()).append_pair("From", text.from.expose());
    if !text.body.is_empty() {
        body.append_pair("Body", text.body);
    }
    for address in text.media {
        body.append_pair("MediaUrl", address);
    }
    body.append_pair("StatusCallback", &format!("{}?{REFERENCE}={}{RETRIES}", text.report_url, text.reference));
    OutboundRequest {
        method: Method::POST,
        url: format!("{}/2010-04-01/Accounts/{}/Messages.json", config.base_url, config.account_sid),
        headers: vec![
            ("Authorization", format!("Basic {credentials}")),
            ("Accept", "application/json".to_owned()),
            ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
            ("User-Agent", wire::USER_AGENT.to_owned()),
        ],
        body: body.finish(),
    }
}

/// The fields of a response that the adapter reads. It ignores an error's message, which may repeat a phone number.
///
/// A field of an unexpected type does not hide the other: a text with an id was sent, and must not be sent again.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    sid: Value,
    code: Value,
}

impl Reply {
    fn of(response: &OutboundResponse) -> Self {
        json::read(&response.body).unwrap_or_default()
    }
}

pub(super) fn code(response: &OutboundResponse) -> Option<ProviderCode> {
    Reply::of(response).code.as_u64().and_then(|code| ProviderCode::of(&code.to_string()))
}

/// Codes by which Twilio refuses the account: bad credentials, no such account, suspended (see "Errors and retries").
const OURS: [u64; 3] = [20003, 20404, 30002];
/// Codes of temporary errors: too many requests, and a full queue of the number (two codes).
const LATER: [u64; 3] = [20429, 21611, 30001];

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - Twilio has not processed a request that gets 429 (see "Errors and retries"), and 503 means the same (RFC 9110,
///   15.6.4). Other 5xx may follow a successful send.
/// - Bad credentials (401) and [`OURS`] concern the account, not the text.
/// - Other problems that an operator can fix make the text wait: 403, or an answer that is not this API's.
/// - Codes from 21000 concern this text or its numbers. Such an error would recur, whatever the status.
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let reply = Reply::of(response);
    let later = SendOutcome::TryLater { after: response.retry_after() };
    match (response.status.as_u16(), reply.code.as_u64()) {
        (429 | 503, _) => later,
        (500.., _) => SendOutcome::InDoubt,
        (200..=299, _) => match reply.sid.as_str().filter(|sid| wire::is_readable_id(sid)) {
            Some(sid) => SendOutcome::Accepted { provider_id: sid.to_owned() },
            None => SendOutcome::InDoubt,
        },
        (401, _) => SendOutcome::RefusedUs,
        (_, Some(code)) if OURS.contains(&code) => SendOutcome::RefusedUs,
        (_, Some(code)) if LATER.contains(&code) => later,
        (403, Some(code)) if code < 21000 => later,
        (_, Some(_)) => SendOutcome::Rejected { code: code(response) },
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
    use quick_xml::{Reader, events::Event};

    use super::*;
    use crate::{
        domain::phone::PhoneNumber,
        provider::{testing::announcement, twilio::DEFAULT_BASE_URL},
    };

    /// A file next to the script that asked Twilio's own SDK for the same.
    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/providers/twilio/", $name))
        };
    }

    const REPORT_URL: &str = "https://mask.test/webhooks/twilio/status";

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn answered(flow: &CallFlow) -> String {
        let answer = call_flow(flow, REPORT_URL);
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "text/xml"));
        answer.body
    }

    fn announce(text: &str) -> String {
        answered(&announcement(text, "en-GB"))
    }

    fn connect() -> String {
        answered(&CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") })
    }

    const ANNOUNCEMENT: &str = "The driver says \"wait\" & <b>smiles</b>";

    /// Reads a document: elements with their attributes sorted by name, and text.
    fn read(document: &str) -> Vec<String> {
        let plain = |text: &str| quick_xml::escape::unescape(text).expect("escaped").into_owned();
        let mut reader = Reader::from_str(document);
        let (mut read, mut words) = (Vec::new(), String::new());
        loop {
            let event = reader.read_event().expect("well-formed");
            match &event {
                Event::Text(text) => words.push_str(text),
                Event::GeneralRef(entity) => words.push_str(&format!("&{};", &**entity)),
                Event::Start(start) | Event::Empty(start) => {
                    let attributes = start.attributes().map(|attribute| attribute.expect("an attribute"));
                    let mut attributes: Vec<_> = attributes
                        .map(|attribute| format!("{}={}", attribute.key.0, plain(&attribute.value)))
                        .collect();
                    attributes.sort();
                    read.push(format!("<{}", start.name().0));
                    read.extend(attributes);
                }
                Event::End(_) => read.extend([plain(&std::mem::take(&mut words)), "/".to_owned()]),
                Event::Eof => return read,
                _ => {}
            }
            if matches!(event, Event::Empty(_)) {
                read.push("/".to_owned());
            }
        }
    }

    fn without_head(sdk: &str) -> &str {
        sdk.split_once('\n').expect("a line that names the SDK").1.trim_end()
    }

    #[test]
    fn call_flows_are_what_the_sdk_writes() {
        for (ours, bytes, sdk) in [
            (connect(), fixture!("connect.xml"), fixture!("connect.sdk.xml")),
            (announce(ANNOUNCEMENT), fixture!("announce.xml"), fixture!("announce.sdk.xml")),
            (answered(&CallFlow::HangUp), fixture!("hang-up.xml"), fixture!("hang-up.sdk.xml")),
        ] {
            assert_eq!(ours, bytes);
            assert_eq!(read(&ours), read(without_head(sdk)));
        }
    }

    #[test]
    fn connects_behind_the_number() {
        assert_eq!(
            connect(),
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?><Response><Dial callerId="+3197010200001" answerOnBridge="true" "#,
                r#"timeout="25" timeLimit="7200" "#,
                r#"action="https://mask.test/webhooks/twilio/status#rc=5&amp;rp=5xx,ct,rt&amp;rt=5000" method="POST">"#,
                r#"<Number statusCallback="https://mask.test/webhooks/twilio/status#rc=5&amp;rp=5xx,ct,rt&amp;rt=5000" "#,
                r#"statusCallbackEvent="ringing answered completed" statusCallbackMethod="POST">+31612345678</Number>"#,
                r#"</Dial></Response>"#
            )
        );
    }

    fn written(body: &str, media: &[String]) -> OutboundRequest {
        let config = Config {
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_tokens: vec!["0123456789abcdef0123456789abcdef".into(), "next".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
        };
        send(
            &config,
            &OutboundText {
                from: &phone("+3197010200001"),
                to: &phone("+31612345678"),
                body,
                media,
                reference: "mk_fixture_1",
                report_url: REPORT_URL,
            },
        )
    }

    /// Path and pairs of a recorded request, sorted by name.
    fn recorded(text: &str) -> (&str, Vec<(String, String)>) {
        let (head, body) = text.split_once("\n\n").expect("an empty line");
        let mut pairs = wire::form_pairs(body.as_bytes());
        pairs.sort();
        (head.trim_start_matches("POST ").trim_start_matches(DEFAULT_BASE_URL), pairs)
    }

    #[test]
    fn sends_are_what_the_sdk_sends() {
        let words = "Red hat & <b>🎩</b> + 100%";
        let picture = "https://cdn.example.com/a.jpg".to_owned();
        for (ours, bytes, sdk) in [
            (written(words, &[]), fixture!("send.http"), fixture!("send.sdk.http")),
            (written(words, &[picture]), fixture!("send-media.http"), fixture!("send-media.sdk.http")),
        ] {
            let ours = format!("{} {}\n\n{}", ours.method, ours.url, ours.body);
            assert_eq!(ours, bytes);
            assert_eq!(recorded(&ours), recorded(without_head(sdk)));
        }
    }

    #[test]
    fn writes_a_send() {
        let request = written("On my \"way\"\n\u{263a}", &[]);
        assert_eq!(
            request.headers,
            [
                (
                    "Authorization",
                    "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="
                        .to_owned()
                ),
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
        assert_eq!(
            request.body,
            "To=%2B31612345678&From=%2B3197010200001&Body=On+my+%22way%22%0A%E2%98%BA\
             &StatusCallback=https%3A%2F%2Fmask.test%2Fwebhooks%2Ftwilio%2Fstatus%3Fref%3Dmk_fixture_1\
             %23rc%3D5%26rp%3D5xx%2Cct%2Crt%26rt%3D5000"
        );
        let pictures = ["https://cdn.example/a.jpg".to_owned(), "https://cdn.example/b.jpg".to_owned()];
        let pairs = wire::form_pairs(written("", &pictures).body.as_bytes());
        let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["To", "From", "MediaUrl", "MediaUrl", "StatusCallback"]);
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome = outcome_of(201, r#"{"sid":"SM1","code":"x","body":"half \ud83d","price":1e999,"sid":"SM2"}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "SM2".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn error(code: u32) -> String {
        format!(r#"{{"code":{code},"message":"+31612345678","more_info":"https://www.twilio.com/","status":400}}"#)
    }

    #[test]
    fn an_accepted_text_is_accepted() {
        let body =
            r#"{"sid":"SM00000000000000000000000000000001","status":"queued","error_code":null,"num_segments":"1"}"#;
        for status in [200, 201, 202] {
            let provider_id = "SM00000000000000000000000000000001".to_owned();
            assert_eq!(outcome_of(status, body), SendOutcome::Accepted { provider_id });
        }
    }

    #[test]
    fn unclear_is_in_doubt() {
        let odd = [r#"{"sid":""}"#, r#"{"sid":"a b"}"#, r#"{"sid":7}"#, "{}", "", "<html>", &error(21211)];
        for body in odd {
            assert_eq!(outcome_of(201, body), SendOutcome::InDoubt, "{body}");
        }
        for (status, body) in
            [(500, error(20500)), (502, String::new()), (504, "<html>".to_owned()), (599, error(21211))]
        {
            assert_eq!(outcome_of(status, &body), SendOutcome::InDoubt, "{status} {body}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        let later = SendOutcome::TryLater { after: Some(Duration::seconds(7)) };
        for (status, code) in [(403, 20005), (429, 20429), (429, 21611), (400, 21611), (400, 30001), (503, 20503)] {
            assert_eq!(outcome_of(status, &error(code)), later, "{status} {code}");
        }
        for (status, body) in [(403, "<html>"), (404, "<html>"), (405, ""), (408, ""), (302, ""), (429, "")] {
            assert_eq!(outcome_of(status, body), later, "{status}");
        }
    }

    #[test]
    fn errors_say_whether_we_are_refused() {
        for (status, code) in [(401, 20003), (403, 20003), (400, 20003), (404, 20404), (400, 30002), (401, 21211)] {
            assert_eq!(outcome_of(status, &error(code)), SendOutcome::RefusedUs, "{status} {code}");
        }
        for body in ["", "<html>"] {
            assert_eq!(outcome_of(401, body), SendOutcome::RefusedUs);
        }
    }

    #[test]
    fn lasting_errors_keep_their_code_alone() {
        for code in [21211, 21212, 21408, 21606, 21610, 21614, 21617, 21658, 63001] {
            for status in [400, 403, 404] {
                let code_text = ProviderCode::of(&code.to_string());
                assert_eq!(
                    outcome_of(status, &error(code)),
                    SendOutcome::Rejected { code: code_text },
                    "{status} {code}"
                );
            }
        }
        assert_eq!(outcome_of(400, &error(20001)), SendOutcome::Rejected { code: ProviderCode::of("20001") });
        for body in ["", r#"{"message":"31612345678"}"#, r#"{"code":"21211"}"#] {
            assert_eq!(outcome_of(400, body), SendOutcome::Rejected { code: None }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_announcement_is_heard_as_written(text in "[<&\"'\\]a-z🎩é]{1,60}") {
            let said = read(&announce(&text));
            prop_assert!(said.contains(&text), "{:?}", said);
            prop_assert_eq!(said.iter().filter(|part| *part == "/").count(), 3, "three elements");
        }

        #[test]
        fn any_text_is_sent_as_written(text in "\\PC{1,60}") {
            let pairs = wire::form_pairs(written(&text, &[]).body.as_bytes());
            prop_assert_eq!(wire::value(&pairs, "Body"), Some(text.as_str()));
            prop_assert_eq!(pairs.len(), 4);
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
