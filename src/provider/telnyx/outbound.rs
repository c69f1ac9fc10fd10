//! Sends and the meaning of their responses. See "Sending a text" and "Errors and retries".

use http::Method;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use super::{account::Config, inbound::error_code};
use crate::{
    domain::{json, message::ProviderCode},
    provider::{OutboundRequest, OutboundResponse, OutboundText, SendOutcome, wire},
};

/// A text. Reports go to `webhook_url`, with our reference in its query, because the API has no field for it. If that
/// address fails they go to the messaging profile's (`use_profile_webhooks`, on by default), with the same body.
#[derive(Serialize)]
struct Message<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    webhook_url: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

/// Builds `POST /v2/messages`.
pub(super) fn send(config: &Config, text: &OutboundText<'_>) -> OutboundRequest {
    let message = Message {
        from: text.from.expose(),
        to: text.to.expose(),
        text: text.body,
        webhook_url: format!("{}?ref={}", text.report_url, text.reference),
        media_urls: text.media,
        kind: (!text.media.is_empty()).then_some("MMS"),
    };
    OutboundRequest {
        method: Method::POST,
        url: format!("{}/v2/messages", config.base_url),
        headers: vec![
            ("Authorization", format!("Bearer {}", config.api_key.expose_secret())),
            ("Accept", "application/json".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", wire::USER_AGENT.to_owned()),
        ],
        body: wire::json(&message),
    }
}

/// Codes of an account that is inactive or has no funds.
const OURS: [&str; 2] = ["20012", "20100"];
/// Codes of errors that an operator or time can fix: a number that is not yet set up for texts or not on the profile
/// (40100, 40305, 40320); a profile that is off, has no countries, or has reached its limit (40312, 40314, 40331,
/// 40333), although other numbers may still work; a full queue (40318).
const MENDABLE: [&str; 8] = ["40100", "40305", "40312", "40314", "40318", "40320", "40331", "40333"];

pub(super) fn code(response: &OutboundResponse) -> Option<ProviderCode> {
    let reply: Value = json::read(&response.body).unwrap_or_default();
    error_code(&reply).and_then(|code| ProviderCode::of(&code))
}

/// Reads the meaning of a response.
///
/// There is no idempotency key, so a text that may already have been sent counts as [`SendOutcome::InDoubt`]:
/// - 429 and 503 mean that nothing was done. Other 5xx, and a time-out (408, code 10008), may follow a successful send.
/// - A code about texts (403xx) says more than the status: if the error can be fixed the text waits, otherwise the
///   error would recur. One of these codes is 40300, a recipient who sent STOP.
/// - A bad key (401) and no funds (402) concern the account, not the text.
/// - Missing rights (403), and an address that is not this API's (404, which a missing key may also give), make the
///   text wait for an operator.
pub(super) fn outcome(response: &OutboundResponse) -> SendOutcome {
    let reply: Value = json::read(&response.body).unwrap_or_default();
    let code = error_code(&reply);
    let after = response.retry_after().or_else(|| response.seconds("x-ratelimit-reset"));
    let later = SendOutcome::TryLater { after };
    match (response.status.as_u16(), code.as_deref()) {
        (200..=299, _) => match reply["data"]["id"].as_str().filter(|id| wire::is_readable_id(id)) {
            Some(id) => SendOutcome::Accepted { provider_id: id.to_owned() },
            None => SendOutcome::InDoubt,
        },
        (429 | 503, _) => later,
        (408 | 500.., _) => SendOutcome::InDoubt,
        (401 | 402, _) => SendOutcome::RefusedUs,
        (_, Some(code)) if OURS.contains(&code) => SendOutcome::RefusedUs,
        (_, Some(code)) if MENDABLE.contains(&code) => later,
        (_, Some(code)) if code.starts_with("403") => SendOutcome::Rejected { code: ProviderCode::of(code) },
        (403 | 404, _) => later,
        (_, Some(code)) => SendOutcome::Rejected { code: ProviderCode::of(code) },
        (400 | 422, None) => SendOutcome::Rejected { code: None },
        (_, None) => later,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::Duration;
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use proptest::prelude::*;

    use super::*;
    use crate::provider::telnyx::tests::{REPORT_URL, config, phone};

    fn written(body: &str, media: &[String]) -> OutboundRequest {
        let text = OutboundText {
            from: &phone("+3197010200001"),
            to: &phone("+31612345678"),
            body,
            media,
            reference: "mk_fixture_1",
            report_url: REPORT_URL,
        };
        send(&config(), &text)
    }

    fn as_fixture(request: &OutboundRequest) -> String {
        format!("{} {}\n\n{}", request.method, request.url, request.body)
    }

    #[test]
    fn writes_the_sends_of_the_fixtures() {
        let words = "Red hat & <b>\u{1f3a9}</b> + 100%";
        let request = written(words, &[]);
        assert_eq!(as_fixture(&request), include_str!("../../../tests/fixtures/providers/telnyx/send.http"));
        assert_eq!(
            request.headers,
            [
                ("Authorization", "Bearer KEY_fixture".to_owned()),
                ("Accept", "application/json".to_owned()),
                ("Content-Type", "application/json".to_owned()),
                ("User-Agent", format!("Maskline/{}", env!("CARGO_PKG_VERSION"))),
            ]
        );
        let media = ["https://cdn.example.com/a.jpg".to_owned()];
        let request = written(words, &media);
        assert_eq!(as_fixture(&request), include_str!("../../../tests/fixtures/providers/telnyx/send-media.http"));
        assert!(!written("", &media).body.contains("\"text\""));
    }

    fn outcome_with(status: u16, headers: &[(&str, &str)], body: &str) -> SendOutcome {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
        });
        outcome(&OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter(headers),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test]
    fn a_response_with_odd_fields_is_an_acceptance_all_the_same() {
        let outcome = outcome_of(200, r#"{"data":{"id":"t1","text":"half \ud83d","cost":1e999}}"#);
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "t1".to_owned() });
    }

    fn outcome_of(status: u16, body: &str) -> SendOutcome {
        outcome_with(status, &[("x-ratelimit-reset", "7")], body)
    }

    fn error(code: &str) -> String {
        let detail = "Messages cannot be sent from '+3197010200001' to '+31612345678'.";
        format!(
            r#"{{"errors":[{{"code":"{code}","title":"Blocked","detail":"{detail}","meta":{{"url":"https://x"}}}}]}}"#
        )
    }

    fn later() -> SendOutcome {
        SendOutcome::TryLater { after: Some(Duration::seconds(7)) }
    }

    #[test]
    fn an_accepted_text_is_accepted() {
        let body = r#"{"data":{"id":"40385f64-5717-4562-b3fc-2c963f66afa6","record_type":"message",
            "direction":"outbound","to":[{"phone_number":"+31612345678","status":"queued"}],"errors":[]}}"#;
        for status in [200, 201, 202] {
            let provider_id = "40385f64-5717-4562-b3fc-2c963f66afa6".to_owned();
            assert_eq!(outcome_of(status, body), SendOutcome::Accepted { provider_id });
        }
    }

    #[test]
    fn unclear_is_in_doubt() {
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"data":{"id":""}}"#,
            r#"{"data":{"id":"a b"}}"#,
            r#"{"data":[7]}"#,
            &error("40318"),
        ] {
            assert_eq!(outcome_of(200, body), SendOutcome::InDoubt, "{body}");
        }
        for (status, body) in [
            (500, error("10007")),
            (502, String::new()),
            (504, "<html>".to_owned()),
            (408, error("10008")),
            (599, error("40300")),
        ] {
            assert_eq!(outcome_of(status, &body), SendOutcome::InDoubt, "{status} {body}");
        }
    }

    #[test]
    fn errors_say_whether_to_wait() {
        for (status, code) in [(403, "10010"), (404, "10005"), (429, "10011"), (503, "10037"), (429, "40300")] {
            assert_eq!(outcome_of(status, &error(code)), later(), "{status} {code}");
        }
        for code in MENDABLE {
            assert_eq!(outcome_of(400, &error(code)), later(), "{code}");
            assert_eq!(outcome_of(403, &error(code)), later(), "{code}");
        }
        for (status, body) in [(404, "<html>"), (405, ""), (302, "")] {
            assert_eq!(outcome_of(status, body), later(), "{status}: not this API");
        }
    }

    #[test]
    fn errors_say_whether_we_are_refused() {
        for (status, code) in [(401, "10009"), (402, "20100"), (400, "20012"), (403, "20100"), (401, "40300")] {
            assert_eq!(outcome_of(status, &error(code)), SendOutcome::RefusedUs, "{status} {code}");
        }
        assert_eq!(outcome_of(401, ""), SendOutcome::RefusedUs);
    }

    #[test]
    fn waits_as_long_as_either_header_says() {
        let after = |headers: &[(&str, &str)]| match outcome_with(429, headers, &error("10011")) {
            SendOutcome::TryLater { after } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after(&[("x-ratelimit-reset", "12")]), Some(Duration::seconds(12)));
        assert_eq!(after(&[("x-ratelimit-reset", "12"), ("retry-after", "3")]), Some(Duration::seconds(3)));
        assert_eq!(after(&[("x-ratelimit-reset", "soon")]), None);
        assert_eq!(after(&[]), None);
    }

    #[test]
    fn lasting_errors_keep_their_code_alone() {
        for (status, code) in [
            (400, "40300"),
            (403, "40300"),
            (400, "40309"),
            (400, "40310"),
            (422, "10016"),
            (400, "40302"),
            (409, "10012"),
            (400, "40007"),
        ] {
            assert_eq!(
                outcome_of(status, &error(code)),
                SendOutcome::Rejected { code: ProviderCode::of(code) },
                "{code}"
            );
        }
        let number = r#"{"errors":[{"code":40310}]}"#;
        assert_eq!(outcome_of(400, number), SendOutcome::Rejected { code: ProviderCode::of("40310") });
        for body in ["", r#"{"errors":[{"detail":"+31612345678"}]}"#, r#"{"errors":"+31612345678"}"#] {
            assert_eq!(outcome_of(422, body), SendOutcome::Rejected { code: None }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_sent_as_written(words in "([\"\\\\\u{0}-\u{1f}\u{7f}\u{2028}]|\\PC){1,60}") {
            let body: Value = serde_json::from_str(&written(&words, &[]).body).expect("JSON");
            prop_assert_eq!(body["text"].as_str(), Some(words.as_str()));
            prop_assert!(body.get("type").is_none() && body.get("media_urls").is_none());
        }

        #[test]
        fn no_response_panics_or_passes_for_taken(status in 100u16..1000, body in "\\PC{0,60}") {
            let accepted = matches!(outcome_of(status, &body), SendOutcome::Accepted { .. });
            prop_assert!(!accepted, "nothing here is an object with an id");
        }
    }
}
