//! Reads a verified webhook: texts, calls and delivery reports (see "Inbound texts", "Calls" and "Delivery reports").
//!
//! Event keys are stored unencrypted, and operators can compose a body by hand in Flow Builder. So the adapter keeps an
//! id only if it has a documented form, and hashes anything else.

use http::Method;

use super::fields::Fields;
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundCall, InboundText, ProviderEvent},
        message::{PartState, ProviderCode},
        phone::PhoneNumber,
        text::MessageText,
    },
    provider::{Malformed, WebhookKind, WebhookRequest, wire},
};

/// Reads a request according to its endpoint.
pub(super) fn parse(webhook: WebhookKind, request: &WebhookRequest) -> Result<Vec<ProviderEvent>, Malformed> {
    let event = match webhook {
        WebhookKind::Sms => ProviderEvent::Text(text(request)?),
        WebhookKind::Voice => ProviderEvent::Call(call(request)),
        WebhookKind::Status => report(request).map_or(ProviderEvent::Ignored, ProviderEvent::Report),
    };
    Ok(vec![event])
}

/// Reads a text. Every field has two or three names.
///
/// `message_id` (`mid` in the short-code form) identifies the text. An `id` next to it has another value, which several
/// texts may share, so `id` counts only on its own. Without any id the request, which contains a date, is the key.
fn text(request: &WebhookRequest) -> Result<InboundText, Malformed> {
    let fields = Fields::of_request(request)?;
    let from = fields.value(&["originator", "sender"]);
    let to = fields.value(&["recipient", "receiver", "shortcode"]);
    if from.is_none() && to.is_none() {
        return Err(Malformed("neither a sender nor a recipient"));
    }
    let content = if request.method == Method::GET { request.query().as_bytes() } else { &request.body };
    Ok(InboundText {
        key: fields.value(&["message_id", "mid", "id"]).map_or_else(|| wire::sha256_hex(content), key),
        from: CallerId::from_wire(from.unwrap_or_default()),
        to: to.and_then(|number| PhoneNumber::from_wire(number).ok()),
        others: Vec::new(),
        body: MessageText::from_wire(fields.value(&["payload", "body", "message"]).unwrap_or_default()),
        media: fields.list("mediaUrls").filter_map(wire::web_address).collect(),
        keyword: false,
    })
}

/// Reads a call. Never fails: the waiting caller must hear something, whatever the query lacks. `source` may be
/// missing, or `Restricted`.
fn call(request: &WebhookRequest) -> InboundCall {
    let fields = Fields::of_query(request);
    InboundCall {
        key: fields.value(&["callID"]).map_or_else(|| wire::sha256_hex(request.query().as_bytes()), key),
        from: CallerId::from_wire(fields.value(&["source"]).unwrap_or_default()),
        to: fields.value(&["destination"]).and_then(|number| PhoneNumber::from_wire(number).ok()),
    }
}

/// Reads a delivery report. `None` for a reference that cannot be ours, and for an undocumented status.
fn report(request: &WebhookRequest) -> Option<DeliveryReport> {
    let fields = Fields::of_query(request);
    let field = |name| fields.value(&[name]).unwrap_or_default();
    let reference = Some(field("reference")).filter(|reference| wire::is_reference(reference))?;
    let status = field("status");
    let state = match status {
        "scheduled" | "sent" | "buffered" => PartState::Sent,
        "delivered" => PartState::Delivered,
        "expired" | "delivery_failed" => PartState::Undelivered,
        _ => return None,
    };
    Some(DeliveryReport {
        key: wire::digest_key(&[field("id"), reference, status, field("statusDatetime")]),
        reference: reference.to_owned(),
        state,
        code: ProviderCode::of(field("statusErrorCode")).filter(|_| state == PartState::Undelivered),
    })
}

/// Keeps an id of 32 hexadecimal digits (texts) or a UUID (calls), which is too long for a phone number and holds no
/// text. Hashes any other id.
fn key(id: &str) -> String {
    let documented = matches!(id.len(), 32 | 36) && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    wire::stored_id(id, documented)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::provider::messagebird::tests::request;

    const FORM: &str = "application/x-www-form-urlencoded";

    /// Names and values of the captured webhook, in its order (see "Inbound texts"). The ids, the text and our number
    /// are made up.
    const CAPTURED: &str = "message_id=7a76afeaef3743d28d0e2d93621235ca&originator=16132093477&reference=47749346971\
        &createdDatetime=2018-09-24T08%3A30%3A59%2B00%3A00&id=f91908b75f9e4b1fba3b96dc44995f03\
        &message=On+my+way+%26+soon+%E2%98%BA&receiver=31970000001&body=On+my+way+%26+soon+%E2%98%BA&date=1537806659\
        &payload=On+my+way+%26+soon+%E2%98%BA&sender=16132093477&date_utc=1537777859&recipient=31970000001";

    fn get(query: &str) -> WebhookRequest {
        request(Method::GET, &format!("https://proxy.example.com/webhooks/messagebird/x?{query}"), &[], b"")
    }

    fn post(content_type: &str, body: &str) -> Result<InboundText, Malformed> {
        text(&request(Method::POST, "https://x.example/", &[("content-type", content_type)], body.as_bytes()))
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    #[test]
    fn reads_the_captured_form() {
        let text = post(FORM, CAPTURED).expect("a text");
        assert_eq!(text.key, "7a76afeaef3743d28d0e2d93621235ca");
        assert_eq!(text.from, CallerId::Phone(phone("16132093477")));
        assert_eq!(text.to, Some(phone("31970000001")));
        assert_eq!(text.body.expose(), "On my way & soon \u{263a}");
        assert_eq!(text.media, Vec::<String>::new());
    }

    #[test]
    fn a_query_says_the_same_as_a_form() {
        let posted = post(FORM, CAPTURED).expect("a text");
        let got = text(&get(CAPTURED)).expect("a text");
        assert_eq!((got.key, got.from, got.to, got.body), (posted.key, posted.from, posted.to, posted.body));
    }

    #[test]
    fn reads_the_form_of_2023() {
        let text = post(
            FORM,
            "receiver=18005551515&body=Hi&date=1690386569&date_utc=1690418969&reference=1\
             &id=b6aae1b5dfb2427a8f7ea6a717ba31a9&id=3b53c137369242138120d6b0b2122607&recipient=18005551515\
             &originator=18885551515&CreatedDatetime=2023-07-27T00%3A49%3A29%2B00%3A00",
        )
        .expect("a text");
        assert_eq!(text.key, "3b53c137369242138120d6b0b2122607");
        assert_eq!((text.from, text.to), (CallerId::Phone(phone("18885551515")), Some(phone("18005551515"))));
        assert_eq!(text.body.expose(), "Hi");
    }

    #[test]
    fn reads_the_short_code_form() {
        let text = post(
            FORM,
            "shortcode=51515&mid=3b53c137369242138120d6b0b2122607&message=Hi&receive_datetime=20230727004929",
        )
        .expect("a text");
        assert_eq!(text.key, "3b53c137369242138120d6b0b2122607");
        assert_eq!((text.from, text.to), (CallerId::Hidden, None), "a short code is no phone number");
        assert_eq!(text.body.expose(), "Hi");
    }

    #[test]
    fn reads_json() {
        let body = json!({
            "Originator": 31612345678_u64, "RECIPIENT": "+31970000001", "payload": "", "body": "Hoi & \u{0}ok", "id": null,
            "mediaUrls": ["https://cdn.example/a.jpg", 7, {"no": "address"}],
        });
        let text = post("Application/JSON; charset=utf-8", &body.to_string()).expect("a text");
        assert_eq!(text.from, CallerId::Phone(phone("31612345678")));
        assert_eq!(text.to, Some(phone("31970000001")));
        assert_eq!(text.body.expose(), "Hoi & ok");
        assert_eq!(text.media, ["https://cdn.example/a.jpg"]);
        assert_eq!(text.key, wire::sha256_hex(body.to_string().as_bytes()), "without an id the request is the key");
    }

    #[test]
    fn media_are_web_addresses() {
        let text = post(
            FORM,
            "originator=31612345678&mediaURLs=https%3A%2F%2Ffoo.bar%2Fimage.jpg&mediaUrls=javascript%3Aalert(1)\
             &mediaUrls%5B%5D=http%3A%2F%2Ffoo.bar%2F2&mediaUrls%5B1%5D=file%3A%2F%2F%2Fetc%2Fpasswd&mediaUrls=nonsense",
        )
        .expect("a text");
        assert_eq!(text.media, ["https://foo.bar/image.jpg", "http://foo.bar/2"]);
        assert!(text.body.expose().is_empty());
    }

    #[test]
    fn a_text_between_nobody_is_malformed() {
        for body in ["", "payload=hello&id=1", "originator=&recipient=&payload=hello"] {
            assert!(post(FORM, body).is_err(), "{body}");
        }
    }

    #[test]
    fn keys_hold_no_phone_and_no_words() {
        for id in ["31612345678", "see you at eight", "", "+31612345678-31612345678-31612345678"] {
            let text = post(FORM, &format!("originator=31612345678&message_id={id}")).expect("a text");
            assert_eq!(text.key.len(), 64, "{id}");
        }
        let repeat = || post(FORM, "originator=31612345678&body=ok").expect("a text").key;
        assert_eq!(repeat(), repeat());
        assert_ne!(repeat(), post(FORM, "originator=31612345678&body=ok&date=2").expect("a text").key);
    }

    #[test]
    fn reads_a_call() {
        let query = "callID=2894efe1-63b7-4d37-b006-3aab7fcd4d49&destination=31970000001\
                     &numberID=272cca7c-c2d6-4781-9e92-168ba0520639&source=31612345678&variables=%7B%7D";
        let known = call(&get(query));
        assert_eq!(known.key, "2894efe1-63b7-4d37-b006-3aab7fcd4d49");
        assert_eq!((known.from, known.to), (CallerId::Phone(phone("31612345678")), Some(phone("31970000001"))));
        for hidden in ["callID=1&destination=31970000001&source=Restricted", "callID=1&destination=31970000001"] {
            let hidden = call(&get(hidden));
            assert_eq!((hidden.from, hidden.to), (CallerId::Hidden, Some(phone("31970000001"))));
        }
        assert_eq!(call(&get("")).to, None);
    }

    const REPORT: &str = "datacoding=plain&id=b6aae1b5dfb2427a8f7ea6a717ba31a9&mccmnc=310010&messageLength=4\
        &messagePartCount=1&ported=0&price%5Bamount%5D=0.000&price%5Bcurrency%5D=USD&recipient=18885551515\
        &statusDatetime=2023-07-28T17%3A57%3A12%2B00%3A00";

    fn news(more: &str) -> Option<DeliveryReport> {
        report(&get(&format!("{REPORT}&{more}")))
    }

    #[test]
    fn reads_reports() {
        for (status, state) in [
            ("scheduled", PartState::Sent),
            ("sent", PartState::Sent),
            ("buffered", PartState::Sent),
            ("delivered", PartState::Delivered),
            ("expired", PartState::Undelivered),
            ("delivery_failed", PartState::Undelivered),
        ] {
            let news = news(&format!("reference=m26_1&status={status}&statusErrorCode=103")).expect(status);
            assert_eq!((news.reference.as_str(), news.state), ("m26_1", state));
            let code = news.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("103"), "{status}");
        }
    }

    #[test]
    fn reports_of_no_interest_are_ignored() {
        let too_long = format!("reference={}&status=sent", "x".repeat(41));
        for odd in [
            "status=sent",
            "reference=&status=sent",
            "reference=for+somebody+else&status=sent",
            "reference=m26_1%00&status=sent",
            "reference=m26_1&status=expiryttd",
            "reference=m26_1&status=Delivered",
            "reference=m26_1",
            &too_long,
        ] {
            assert!(news(odd).is_none(), "{odd}");
            let request = get(&format!("{REPORT}&{odd}"));
            assert!(matches!(parse(WebhookKind::Status, &request).as_deref(), Ok([ProviderEvent::Ignored])), "{odd}");
        }
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |more| news(more).expect("a report").key;
        assert_eq!(key("reference=m26_1&status=sent"), key("reference=m26_1&status=sent"));
        assert_ne!(key("reference=m26_1&status=sent"), key("reference=m26_1&status=delivered"));
        assert_ne!(key("reference=m26_1&status=sent"), key("reference=m26_2&status=sent"));
        assert_ne!(
            key("reference=m26_1&status=sent"),
            key("reference=m26_1&status=sent&statusDatetime=2023-07-28T17%3A57%3A13%2B00%3A00")
        );
    }

    fn json_or_noise() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "(\\{|\\[|\"|:|,|\\}|\\]|id|originator|mediaUrls|[0-9]|\\\\u|&|=|%){0,40}".prop_map(String::into_bytes),
            "\\PC{0,30}"
                .prop_map(|text| json!({"sender": text, "id": [text], "mediaUrls": text}).to_string().into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_requests_never_panic_and_never_get_into_a_key(
            body in json_or_noise(), query in "\\PC{0,80}", get in any::<bool>(),
            content_type in proptest::sample::select(vec![None, Some(FORM), Some("application/json"), Some("text/plain")])
        ) {
            let method = if get { Method::GET } else { Method::POST };
            let headers: Vec<_> = content_type.map(|text| ("content-type", text)).into_iter().collect();
            let request = request(method, &format!("https://x.example/?{query}"), &headers, &body);
            for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                for event in parse(webhook, &request).unwrap_or_default() {
                    let key = match event {
                        ProviderEvent::Text(text) => text.key,
                        ProviderEvent::Call(call) => call.key,
                        ProviderEvent::Report(report) => report.key,
                        ProviderEvent::CallReport(_) => unreachable!("this provider has none"),
                        ProviderEvent::Ignored | ProviderEvent::Unreadable(_) => continue,
                    };
                    prop_assert!((32..=64).contains(&key.len()));
                    prop_assert!(key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
                }
            }
        }

        #[test]
        fn any_words_come_through_in_both_encodings(words in "\\PC{1,60}") {
            let pairs = [("originator", "31612345678"), ("payload", words.as_str())];
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let json = json!({"originator": "31612345678", "payload": words}).to_string();
            for text in [post(FORM, &form), post("application/json", &json)] {
                let text = text.expect("a text");
                prop_assert_eq!(text.body.expose(), &words);
            }
        }
    }
}
