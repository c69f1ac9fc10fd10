//! Output to Vonage: call flows (see "Calls"), sends and the meaning of their responses (see "Sending a text" and
//! "Errors and retries").

use chrono::Duration;
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, Header};
use quick_xml::escape::partial_escape;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::{account::Config, calls, payload};
use crate::{
    domain::{
        call::{CallFlow, RING_SECONDS, TALK_SECONDS},
        clock::Time,
        json,
        message::ProviderCode,
    },
    provider::{OutboundRequest, OutboundResponse, OutboundText, SendOutcome, WebhookResponse, wire},
};

/// Languages that Vonage speaks (the list of its SDK `@vonage/voice` 1.20.3), the usual country of a language first.
const LANGUAGES: [&str; 63] = [
    "af-ZA", "bg-BG", "bn-IN", "ca-ES", "cmn-CN", "cmn-TW", "cs-CZ", "cy-GB", "da-DK", "de-DE", "de-AT", "de-ET",
    "el-GR", "en-GB", "en-AU", "en-IE", "en-IN", "en-NZ", "en-US", "en-ZA", "es-ES", "es-CO", "es-MX", "es-US",
    "eu-ES", "fi-FI", "fil-PH", "fr-FR", "fr-CA", "gl-ES", "gu-IN", "he-IL", "hi-IN", "hu-HU", "id-ID", "is-IS",
    "it-IT", "ja-JP", "kn-IN", "ko-KR", "lv-LV", "ml-IN", "ms-MY", "nb-NO", "nl-NL", "nl-BE", "no-NO", "pa-IN",
    "pl-PL", "pt-PT", "pt-BR", "ro-RO", "ru-RU", "sk-SK", "sr-RS", "sv-SE", "ta-IN", "te-IN", "th-TH", "tr-TR",
    "uk-UA", "vi-VN", "yue-CN",
];
/// Fallback for an unknown language.
const FALLBACK_LOCALE: &str = "en-GB";

/// Lifetime of a token: the SDKs' default (see "Sending a text").
const TOKEN_LIFE: Duration = Duration::minutes(15);

/// A step of a call control object. The call ends after the last step; no step hangs up (see "Calls").
#[derive(Serialize)]
#[serde(tag = "action", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Action<'a> {
    Connect {
        /// The proxy number, always present: the documents do not say what the other party would see without it.
        from: &'a str,
        timeout: u32,
        limit: u32,
        event_type: &'static str,
        event_url: [String; 1],
        event_method: &'static str,
        endpoint: [Phone<'a>; 1],
    },
    Talk {
        text: String,
        language: &'static str,
    },
}

#[derive(Serialize)]
struct Phone<'a> {
    r#type: &'static str,
    number: &'a str,
}

/// Renders the answer to a call. Numbers have no `+`, as everywhere in this API.
pub(super) fn call_flow(flow: &CallFlow, report_url: &str) -> WebhookResponse {
    let actions = match flow {
        CallFlow::Connect { to, caller_id } => vec![Action::Connect {
            from: caller_id.expose_digits(),
            timeout: RING_SECONDS,
            limit: TALK_SECONDS,
            event_type: "synchronous",
            event_url: [calls::event_url(report_url)],
            event_method: "POST",
            endpoint: [Phone { r#type: "phone", number: to.expose_digits() }],
        }],
        CallFlow::Announce { text, language } => {
            let language = wire::spoken(&LANGUAGES, language).unwrap_or(FALLBACK_LOCALE);
            vec![Action::Talk { text: speech(text), language }]
        }
        CallFlow::HangUp => Vec::new(),
    };
    wire::answer(StatusCode::OK, "application/json", wire::json(&actions))
}

/// Encodes text for `talk`. Whether Vonage reads plain text as markup depends on its content. Between `speak` tags it
/// always does, so callers hear an escaped text as written. XML cannot hold control characters, so they become pauses.
fn speech(text: &str) -> String {
    let unwritable = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    format!("<speak>{}</speak>", partial_escape(text.replace(unwritable, " ")))
}

/// A text, or an attachment with a caption. Vonage chooses the encoding of the text.
#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    channel: &'static str,
    to: &'a str,
    from: &'a str,
    #[serde(flatten)]
    content: Content<'a>,
    client_ref: &'a str,
    webhook_url: &'a str,
    webhook_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Content<'a> {
    Text(&'a str),
    Image(Media<'a>),
    Video(Media<'a>),
    Audio(Media<'a>),
    Vcard(Media<'a>),
}

#[derive(Serialize)]
struct Media<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    caption: &'a str,
}

/// Builds `POST /v1/messages`.
pub(super) fn send(config: &Config, text: &OutboundText<'_>, now: Time) -> OutboundRequest {
    let (channel, (message_type, content)) = match text.media.first() {
        None => ("sms", ("text", Content::Text(text.body))),
        Some(url) => ("mms", attached(Media { url, caption: text.body })),
    };
    let message = Message {
        message_type,
        channel,
        to: text.to.expose_digits(),
        from: text.from.expose_digits(),
        content,
        client_ref: text.reference,
        webhook_url: text.report_url,
        webhook_version: "v1",
    };
    let headers = vec![
        ("Authorization", format!("Bearer {}", token(config, text.reference, now))),
        ("Accept", "application/json".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("User-Agent", wire::USER_AGENT.to_owned()),
    ];
    let url = format!("{}/v1/messages", config.base_url);
    OutboundRequest { method: Method::POST, url, headers, body: wire::json(&message) }
}

/// Returns an attachment under the name of its kind. Only the end of its address shows the kind.
fn attached(media: Media<'_>) -> (&'static str, Content<'_>) {
    let path = Url::parse(media.url).map(|url| url.path().to_ascii_lowercase()).unwrap_or_default();
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "mp4" | "m4v" | "mov" | "mpeg" | "mpg" | "3gp" | "3gpp" | "webm" => ("video", Content::Video(media)),
        "mp3" | "m4a" | "aac" | "amr" | "wav" | "ogg" => ("audio", Content::Audio(media)),
        "vcf" | "vcard" => ("vcard", Content::Vcard(media)),
        _ => ("image", Content::Image(media)),
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    application_id: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Creates a token for one attempt. Its id must be unique, so it is derived from the reference and the time.
fn token(config: &Config, reference: &str, now: Time) -> String {
    let claims = Claims {
        application_id: &config.application_id,
        iat: now.timestamp(),
        exp: (now + TOKEN_LIFE).timestamp(),
        jti: wire::digest_key(&[reference, &now.to_rfc3339()]),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &config.private_key.0)
        .expect("the key has signed when it was read")
}

fn read(response: &OutboundResponse) -> Map<String, Value> {
    json::read(&response.body).unwrap_or_default()
}

pub(super) fn code(response: &OutboundResponse) -> Option<ProviderCode> {
    payload::error_code(&read(response))
}

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - 503 and 429 mean that nothing was done (RFC 9110, 15.6.4; RFC 6585, 4), and so do the throttling codes. Other 5xx
///   may follow a successful send.
/// - Bad credentials (401) and no balance (402) concern the account, not the text.
/// - Other problems that an operator can fix make the text wait: 403, or a wrong address (an answer that is not this
///   API's).
/// - Any other error would recur.
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let reply = read(response);
    let code = payload::error_code(&reply);
    let later = SendOutcome::TryLater { after: response.retry_after() };
    match (response.status.as_u16(), code.as_ref().map(ProviderCode::as_str)) {
        (200..=299, _) => match payload::text(&reply, "message_uuid").filter(|id| wire::is_readable_id(id)) {
            Some(id) => SendOutcome::Accepted { provider_id: id.to_owned() },
            None => SendOutcome::InDoubt,
        },
        (429 | 503, _) => later,
        (500.., _) => SendOutcome::InDoubt,
        (401 | 402, _) => SendOutcome::RefusedUs,
        (403, _) | (_, Some("1000" | "1010")) => later,
        (400 | 422, _) | (_, Some(_)) => SendOutcome::Rejected { code },
        (_, None) => later,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
    use jsonwebtoken::{DecodingKey, Validation};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        domain::phone::PhoneNumber,
        provider::{testing::announcement, vonage::tests::config},
    };

    const REPORT_URL: &str = "https://mask.test/webhooks/vonage/status";

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn now() -> Time {
        chrono::DateTime::from_timestamp(1_795_262_400, 0).expect("a time")
    }

    fn fixture(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/providers/vonage");
        std::fs::read_to_string(format!("{folder}/{name}")).expect(name)
    }

    /// Returns the SDK's output for the same input, without the line that names the SDK.
    fn of_the_sdk(name: &str) -> String {
        fixture(name).split_once('\n').expect("two lines").1.to_owned()
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    fn announce(text: &str) -> WebhookResponse {
        call_flow(&announcement(text, "en-GB"), REPORT_URL)
    }

    #[test]
    fn call_flows_are_those_of_the_sdk() {
        let connect = CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") };
        for (name, answer) in [
            ("connect", call_flow(&connect, REPORT_URL)),
            ("announce", announce("The driver says \"wait\" & <b>smiles</b>")),
            ("hang-up", call_flow(&CallFlow::HangUp, REPORT_URL)),
        ] {
            assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/json"));
            assert_eq!(answer.body, fixture(&format!("{name}.json")), "{name}");
            assert_eq!(value(&answer.body), value(&of_the_sdk(&format!("{name}.sdk.json"))), "{name}");
        }
    }

    fn written(body: &str, media: &[&str], now: Time) -> OutboundRequest {
        let media: Vec<_> = media.iter().map(|address| (*address).to_owned()).collect();
        let text = OutboundText {
            from: &phone("+3197010200001"),
            to: &phone("+31612345678"),
            body,
            media: &media,
            reference: "mk_fixture_1",
            report_url: REPORT_URL,
        };
        send(&config(&[]), &text, now)
    }

    #[test]
    fn sends_are_those_of_the_sdk() {
        for (name, media) in [("send", &[][..]), ("send-media", &["https://cdn.example.com/a.jpg"])] {
            let request = written("Red hat & <b>\u{1f3a9}</b> + 100%", media, now());
            let ours = format!("{} {}\n\n{}", request.method, request.url, request.body);
            assert_eq!(ours, fixture(&format!("{name}.http")), "{name}");
            let theirs = of_the_sdk(&format!("{name}.sdk.http"));
            let (head, body) = theirs.split_once("\n\n").expect("a head and a body");
            assert_eq!(format!("{} {}", request.method, request.url.replace("https://api.nexmo.com", "")), head);
            assert_eq!(value(&request.body), value(body), "{name}");
        }
    }

    #[test]
    fn every_kind_of_thing_has_its_name() {
        for (address, kind) in [
            ("https://cdn.example/a.JPG?x=.mp4", "image"),
            ("https://cdn.example/v3/media/1b456509", "image"),
            ("https://cdn.example/a.mp4#t", "video"),
            ("https://cdn.example/a.b.M4A", "audio"),
            ("https://cdn.example/me.vcf?x=1", "vcard"),
        ] {
            let message = value(&written("", &[address], now()).body);
            assert_eq!(message["message_type"], kind, "{address}");
            assert_eq!(message[kind], json!({"url": address}), "an empty caption is refused");
            assert_eq!(message["channel"], "mms");
            assert_eq!(message.get("text"), None);
        }
    }

    #[test]
    fn a_send_carries_a_token_of_the_application() {
        let claims = |request: &OutboundRequest| -> Value {
            let (name, value) = &request.headers[0];
            assert_eq!(*name, "Authorization");
            let public = include_bytes!("../../../tests/fixtures/providers/vonage/test-key.pub.pem");
            let mut rules = Validation::new(Algorithm::RS256);
            rules.validate_exp = false;
            let key = DecodingKey::from_rsa_pem(public).expect("a key");
            jsonwebtoken::decode(value.trim_start_matches("Bearer "), &key, &rules).expect("a token").claims
        };
        let request = written("Hi", &[], now());
        assert_eq!(
            request.headers[1..],
            [
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/json".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
        let first = claims(&request);
        assert_eq!(first["application_id"], "aaaaaaaa-bbbb-cccc-dddd-0123456789ab");
        assert_eq!((first["iat"].as_i64(), first["exp"].as_i64()), (Some(1_795_262_400), Some(1_795_263_300)));
        assert_eq!(first, claims(&written("Hi", &[], now())), "pure");
        let again = claims(&written("Hi", &[], now() + Duration::milliseconds(1)));
        assert_ne!(first["jti"], again["jti"]);
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome = outcome_of(202, r#"{"message_uuid":"v1","text":"half \ud83d","n":1e999}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "v1".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn error(code: &str) -> String {
        json!({
            "type": format!("https://developer.vonage.com/api-errors/messages#{code}"), "title": "Not sent",
            "detail": "31612345678", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        })
        .to_string()
    }

    #[test]
    fn an_accepted_text_is_accepted_and_an_unclear_one_in_doubt() {
        let body = r#"{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","workflow_id":"3TcNjguHxr2vcCZ9Ddsnq6tw8yQUpZ9rMHv9QXSxLan5ibMxqSzLdx9"}"#;
        let provider_id = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab".to_owned();
        assert_eq!(outcome_of(202, body), SendOutcome::Accepted { provider_id });
        for body in ["", "{}", "<html>", r#"{"message_uuid":""}"#, r#"{"message_uuid":7}"#, r#"{"message_uuid":"a b"}"#]
        {
            assert_eq!(outcome_of(202, body), SendOutcome::InDoubt, "{body}");
        }
        for status in [500, 502, 504, 599] {
            assert_eq!(outcome_of(status, &error("1170")), SendOutcome::InDoubt, "{status}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        let later = SendOutcome::TryLater { after: Some(Duration::seconds(7)) };
        for status in [403, 429, 503] {
            assert_eq!(outcome_of(status, &error("1170")), later, "{status}");
        }
        for body in [&error("1170"), &error("1000"), "", "<html>"] {
            for status in [401, 402] {
                assert_eq!(outcome_of(status, body), SendOutcome::RefusedUs, "{status} {body}");
            }
        }
        for code in ["1000", "1010"] {
            assert_eq!(outcome_of(422, &error(code)), later, "{code}");
        }
        for (status, body) in [(404, "<html>"), (405, ""), (408, ""), (302, "")] {
            assert_eq!(outcome_of(status, body), later, "{status}: not this API");
        }
    }

    #[test]
    fn lasting_errors_keep_their_code_alone() {
        for (status, code) in [(422, "1170"), (400, "1120"), (404, "1020"), (409, "1320")] {
            let kept = ProviderCode::of(code);
            assert_eq!(outcome_of(status, &error(code)), SendOutcome::Rejected { code: kept }, "{status} {code}");
        }
        for body in ["", &error("invalid-params"), r#"{"title":"31612345678"}"#] {
            assert_eq!(outcome_of(422, body), SendOutcome::Rejected { code: None }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_announcement_is_heard_as_written(text in "([<&>\"'\\\\\u{0}-\u{1f}\u{7f}\u{2028}]|\\PC){0,60}") {
            let flow = value(&announce(&text).body);
            let ssml = flow[0]["text"].as_str().expect("a text");
            let words = ssml.strip_prefix("<speak>").and_then(|rest| rest.strip_suffix("</speak>")).expect("tags");
            prop_assert!(!words.contains(['<', '>']));
            let heard = quick_xml::escape::unescape(words).expect("escaped");
            prop_assert_eq!(heard, text.replace(char::is_control, " "));
        }

        #[test]
        fn any_words_are_sent_as_written(text in "\\PC{0,60}", mms in any::<bool>()) {
            let media = ["https://cdn.example/a.jpg"];
            let message = value(&written(&text, if mms { &media } else { &[] }, now()).body);
            let sent = if mms { &message["image"]["caption"] } else { &message["text"] };
            prop_assert_eq!(sent.as_str().unwrap_or_default(), text);
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
