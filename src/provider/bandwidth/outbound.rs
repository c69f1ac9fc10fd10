//! Requests and answers to Bandwidth. See "Call flows", "Sending a text", and "Errors and retries".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use super::account::Config;
use crate::{
    domain::{
        call::{CallFlow, RING_SECONDS},
        json,
        message::ProviderCode,
        notice::Locale,
    },
    provider::{OutboundRequest, OutboundResponse, OutboundText, SendOutcome, WebhookResponse, wire},
};

/// Renders a call flow in BXML. BXML cannot limit how long two people talk.
pub(super) fn call_flow(config: &Config, flow: &CallFlow, report_url: &str) -> WebhookResponse {
    let response = wire::Element::new("Response");
    bxml(&match flow {
        // Without these attributes Bandwidth would pass on the caller's number and name. It reports the result of the
        // call twice: to the caller's leg, which waits for our answer, and in every case for the other leg.
        // `transferAnswerUrl` is absent, because both people would hear nothing until we answered, and would be cut off
        // if we could not. The final event contains the time of the answer.
        CallFlow::Connect { to, caller_id } => {
            let number = as_us(config, wire::Element::new("PhoneNumber").with("transferDisconnectUrl", report_url));
            let transfer = wire::Element::new("Transfer")
                .with("transferCallerId", caller_id.expose())
                .with("transferCallerDisplayName", caller_id.expose())
                .with("callTimeout", RING_SECONDS)
                .with("transferCompleteUrl", report_url);
            response.child(&as_us(config, transfer).child(&number.text(to.expose())))
        }
        CallFlow::Announce { text, language } => {
            response.child(&speak(text, language)).child(&wire::Element::new("Hangup"))
        }
        CallFlow::HangUp => response.child(&wire::Element::new("Hangup")),
    })
}

/// Answers a webhook that asks for no call flow.
pub(super) fn nothing_more() -> WebhookResponse {
    bxml(&wire::Element::new("Response"))
}

/// Adds credentials. The application's apply to its own addresses only, so a call flow has to name the credentials for
/// the addresses that it contains ("Credentials").
///
/// It names the last of several passwords, which is the first to be retired. A client that receives a flow has shown
/// one of the passwords. If that was an old one that leaked, the flow must not contain the new one.
fn as_us(config: &Config, element: wire::Element) -> wire::Element {
    let password = config.webhook_passwords.last().map_or("", |password| password.expose_secret());
    element.with("username", &config.webhook_username).with("password", password)
}

/// Locales of Bandwidth's voices, as its list writes them: with an underscore, with a non-standard country code for
/// Britain, and mostly without a country.
const VOICES: [&str; 9] = ["en_UK", "en_US", "de", "es", "es_MX", "fr", "it", "ja", "ru"];
/// Languages without a voice, whose sounds every voice can make.
const SOUNDS: [&str; 14] = [
    "nl-NL", "pt-PT", "pt-BR", "cy-GB", "da-DK", "hi-IN", "is-IS", "ko-KR", "nb-NO", "pl-PL", "ro-RO", "sv-SE",
    "tr-TR", "cmn-CN",
];

/// Renders a sentence in a voice of its language. Without such a voice, the British one reads the sentence, with the
/// sounds of the language if it can make them.
fn speak(text: &str, language: &Locale) -> wire::Element {
    let sentence = |voice: &str| wire::Element::new("SpeakSentence").with("locale", voice);
    let written = language.as_str().replace('-', "_");
    let exact = VOICES.into_iter().find(|voice| *voice == written);
    match (exact.or_else(|| wire::spoken(&VOICES, language)), wire::spoken(&SOUNDS, language)) {
        (Some(voice), _) => sentence(voice).text(text),
        (None, Some(sounds)) => {
            sentence(VOICES[0]).child(&wire::Element::new("lang").with("xml:lang", sounds).text(text))
        }
        (None, None) => sentence(VOICES[0]).text(text),
    }
}

fn bxml(response: &wire::Element) -> WebhookResponse {
    wire::answer(StatusCode::OK, "application/xml; charset=utf-8", response.document())
}

/// A text. It has no pictures: see `media_limit`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    application_id: &'a str,
    to: [&'a str; 1],
    from: &'a str,
    text: &'a str,
    /// Returned with every report. The address for reports is a setting of the application.
    tag: &'a str,
}

/// `POST /api/v2/users/{accountId}/messages`.
pub(super) fn send(config: &Config, text: &OutboundText<'_>) -> OutboundRequest {
    let message = Message {
        application_id: &config.application_id,
        to: [text.to.expose()],
        from: text.from.expose(),
        text: text.body,
        tag: text.reference,
    };
    let credentials = STANDARD.encode(format!("{}:{}", config.username, config.password.expose_secret()));
    OutboundRequest {
        method: Method::POST,
        url: format!("{}/api/v2/users/{}/messages", config.base_url, config.account_id),
        headers: vec![
            ("Authorization", format!("Basic {credentials}")),
            ("Accept", "application/json".to_owned()),
            ("Content-Type", "application/json; charset=utf-8".to_owned()),
            ("User-Agent", wire::USER_AGENT.to_owned()),
        ],
        body: wire::json(&message),
    }
}

fn field_at_fault(reply: &Value) -> Option<&str> {
    reply["fieldErrors"].as_array().into_iter().flatten().find_map(|error| wire::string(error, "fieldName"))
}

/// Returns the field at fault, or the type of the error.
pub(super) fn code(response: &OutboundResponse) -> Option<ProviderCode> {
    let reply: Value = json::read(&response.body).unwrap_or_default();
    field_at_fault(&reply).or_else(|| wire::string(&reply, "type")).and_then(ProviderCode::of)
}

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - 429 means that the queue is full, 503 that nothing was done (RFC 9110, 15.6.4). Other 5xx may follow a successful
///   send.
/// - Bad credentials (401) and missing rights (403 with the type `forbidden`) concern the account, not the text.
/// - Other problems that an operator can fix make the text wait: a wrong id of the application or the account (404), or
///   an answer that is not this API's.
/// - Any other error would recur. It has no code, but a field at fault.
///
/// A field of an unexpected type does not hide the others: a text with an id was sent, and must not be sent again.
/// Descriptions are ignored, because they may repeat a phone number.
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let reply: Value = json::read(&response.body).unwrap_or_default();
    let field = field_at_fault(&reply);
    let later = SendOutcome::TryLater { after: response.retry_after() };
    match response.status.as_u16() {
        200..=299 => match wire::string(&reply, "id").filter(|id| wire::is_readable_id(id)) {
            Some(id) => SendOutcome::Accepted { provider_id: id.to_owned() },
            None => SendOutcome::InDoubt,
        },
        503 => later,
        500.. => SendOutcome::InDoubt,
        401 => SendOutcome::RefusedUs,
        403 if wire::string(&reply, "type") == Some("forbidden") => SendOutcome::RefusedUs,
        403 | 404 | 429 => later,
        400..=499 if wire::string(&reply, "type").is_some() && field != Some("applicationId") => {
            SendOutcome::Rejected { code: field.and_then(ProviderCode::of) }
        }
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

    use super::*;
    use crate::{
        domain::phone::PhoneNumber,
        provider::{bandwidth::tests::config, testing::announcement},
    };

    const REPORT_URL: &str = "https://mask.test/webhooks/bandwidth/status";

    /// A fixture file. The tests use its inputs throughout.
    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/providers/bandwidth/", $name))
        };
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn flow(flow: CallFlow) -> String {
        let answer = call_flow(&config(), &flow, REPORT_URL);
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/xml; charset=utf-8"));
        assert!(answer.headers.is_empty());
        answer.body
    }

    fn connect() -> CallFlow {
        CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") }
    }

    #[test]
    fn connects_behind_the_mask() {
        let body = flow(connect());
        assert_eq!(body, fixture!("connect.xml"));
        assert_eq!(body.matches("+3197010200001").count(), 2, "number and name of the caller are the proxy number");
    }

    #[test]
    fn a_call_flow_tells_nobody_a_newer_password() {
        // A client with an old password, which may have leaked, must not learn the new one here.
        let passwords = vec!["newer".into(), "a\"<&>'".into()];
        let config = Config { webhook_passwords: passwords, ..config() };
        let body = call_flow(&config, &connect(), REPORT_URL).body;
        assert_eq!(body.matches(r#" password="a&quot;&lt;&amp;&gt;&apos;""#).count(), 2, "{body}");
        assert!(!body.contains("newer"));
    }

    #[test]
    fn announces_and_hangs_up() {
        let text = r#"The driver says "wait" & <b>smiles</b>"#;
        assert_eq!(flow(announcement(text, "en-GB")), fixture!("announce.xml"));
        let spoken = |language| flow(announcement("x", language));
        for (language, voice) in [
            ("es-MX", "es_MX"),
            ("es-ES", "es"),
            ("de-AT", "de"),
            ("fr-FR", "fr"),
            ("en-AU", "en_UK"),
            ("en-US", "en_US"),
        ] {
            assert!(spoken(language).contains(&format!(r#"<SpeakSentence locale="{voice}">x</"#)), "{language}");
        }
        for (language, sounds) in [("nl-NL", "nl-NL"), ("nl-BE", "nl-NL"), ("pt-PT", "pt-PT"), ("pt-BR", "pt-BR")] {
            let lang = format!(r#"<SpeakSentence locale="en_UK"><lang xml:lang="{sounds}">x</lang></SpeakSentence>"#);
            assert!(spoken(language).contains(&lang), "{language}");
        }
        assert!(spoken("fi-FI").contains(r#"<SpeakSentence locale="en_UK">x</"#), "nobody can speak that");
        assert_eq!(flow(CallFlow::HangUp), fixture!("hang-up.xml"));
    }

    fn written(body: &str) -> OutboundRequest {
        let text = OutboundText {
            from: &phone("+3197010200001"),
            to: &phone("+31612345678"),
            body,
            media: &[],
            reference: "mk_fixture_1",
            report_url: REPORT_URL,
        };
        send(&config(), &text)
    }

    #[test]
    fn writes_a_send() {
        let request = written("Red hat & <b>\u{1f3a9}</b> + 100%");
        assert_eq!(format!("{} {}\n\n{}", request.method, request.url, request.body), fixture!("send.http"));
        assert_eq!(
            request.headers,
            [
                // `api-user:api-password`
                ("Authorization", "Basic YXBpLXVzZXI6YXBpLXBhc3N3b3Jk".to_owned()),
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/json; charset=utf-8".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome = outcome_of(202, r#"{"id":"b1","text":"half \ud83d","n":NaN}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "b1".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn error(kind: &str, field: &str) -> String {
        let words = "'+31612345678' must be replaced with a valid E164 formatted telephone number";
        format!(
            r#"{{"type":"{kind}","description":"{words}","fieldErrors":[{{"fieldName":"{field}","description":"{words}"}}]}}"#
        )
    }

    #[test]
    fn an_accepted_text_is_accepted() {
        let body = concat!(
            r#"{"id":"14762070468292kw2fuqty55yp2b2","owner":"+3197010200001","applicationId":"93de2206","#,
            r#""time":"2016-09-14T18:20:16Z","segmentCount":1,"direction":"out","to":["+31612345678"],"#,
            r#""from":"+3197010200001","text":"Hi","tag":"mk_fixture_1","priority":"default"}"#
        );
        for status in [200, 201, 202] {
            let provider_id = "14762070468292kw2fuqty55yp2b2".to_owned();
            assert_eq!(outcome_of(status, body), SendOutcome::Accepted { provider_id });
        }
    }

    #[test]
    fn odd_fields_do_not_hide_the_others() {
        for body in [r#"{"id":"1","type":7}"#, r#"{"id":"1","fieldErrors":"none"}"#, r#"{"id":"1","fieldErrors":[7]}"#]
        {
            let provider_id = "1".to_owned();
            assert_eq!(outcome_of(202, body), SendOutcome::Accepted { provider_id }, "{body}");
        }
        for (errors, code) in [
            (r#""+31612345678""#, None),
            (r#"[7,{"fieldName":["from"]},{"fieldName":""},{"fieldName":"to"}]"#, ProviderCode::of("to")),
        ] {
            let body = format!(r#"{{"type":"request-validation","fieldErrors":{errors}}}"#);
            assert_eq!(outcome_of(400, &body), SendOutcome::Rejected { code }, "{body}");
        }
    }

    #[test]
    fn unclear_is_in_doubt() {
        for body in ["", "{}", "[]", "<html>", r#"{"id":""}"#, r#"{"id":"a b"}"#, r#"{"id":7}"#] {
            assert_eq!(outcome_of(202, body), SendOutcome::InDoubt, "{body}");
        }
        for status in [500, 502, 504, 599] {
            assert_eq!(outcome_of(status, &error("internal-server-error", "from")), SendOutcome::InDoubt, "{status}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        let later = SendOutcome::TryLater { after: Some(Duration::seconds(7)) };
        for (status, kind) in [(403, "limit"), (429, "max-message-queue-size-exceeded"), (503, "unavailable")] {
            assert_eq!(outcome_of(status, &error(kind, "from")), later, "{status}");
        }
        for (status, kind) in [(401, "unauthorized"), (401, "forbidden"), (403, "forbidden")] {
            assert_eq!(outcome_of(status, &error(kind, "from")), SendOutcome::RefusedUs, "{status} {kind}");
        }
        assert_eq!(outcome_of(401, ""), SendOutcome::RefusedUs);
        assert_eq!(outcome_of(403, ""), later);
        assert_eq!(outcome_of(400, &error("request-validation", "applicationId")), later, "an operator can mend it");
        let not_found = r#"{"timestamp":"2019-09-09T19:02:19.253+0000","status":404,"error":"Not Found","path":"/x"}"#;
        assert_eq!(outcome_of(404, not_found), later);
        for (status, body) in [(302, ""), (400, "<html>"), (405, ""), (408, "")] {
            assert_eq!(outcome_of(status, body), later, "{status}: not this API");
        }
    }

    #[test]
    fn lasting_errors_name_the_field_alone() {
        for (status, field, code) in
            [(400, "from", "from"), (400, "to", "to"), (415, "text", "text"), (422, "to[0]", "to0")]
        {
            let code = ProviderCode::of(code);
            assert_eq!(outcome_of(status, &error("request-validation", field)), SendOutcome::Rejected { code });
        }
        for body in [
            r#"{"type":"request-validation","description":"+31612345678"}"#,
            r#"{"type":"request-validation","fieldErrors":[]}"#,
            r#"{"type":"request-validation","fieldErrors":[{"description":"+31612345678"}]}"#,
        ] {
            assert_eq!(outcome_of(400, body), SendOutcome::Rejected { code: None }, "{body}");
        }
    }

    /// Returns the text of a document and the names of its elements.
    fn heard(document: &str) -> (String, Vec<String>) {
        let mut reader = Reader::from_str(document);
        let (mut words, mut names) = (String::new(), Vec::new());
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Start(tag) | Event::Empty(tag) => {
                    names.push(tag.name().as_ref().to_owned());
                }
                Event::Text(text) => words.push_str(&text),
                Event::GeneralRef(name) => words.push_str(match &*name {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("&{other};"),
                }),
                Event::Eof => return (words, names),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn any_announcement_is_heard_as_written(text in "([<&>\"']|\\PC){1,60}") {
            let (words, names) = heard(&flow(announcement(&text, "en-GB")));
            prop_assert_eq!(words, text.replace(['\u{fffe}', '\u{ffff}'], ""));
            prop_assert_eq!(names, ["Response", "SpeakSentence", "Hangup"]);
        }

        #[test]
        fn any_text_is_sent_as_written(text in "([<&\"'\\\\\u{0}-\u{1f}\u{7f}\u{2028}]|\\PC){0,60}") {
            let body: serde_json::Value = serde_json::from_str(&written(&text).body).expect("JSON");
            prop_assert_eq!(body["text"].as_str(), Some(text.as_str()));
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
