//! Reads verified webhooks: texts ("Inbound texts") and delivery reports ("Delivery reports"). [`texml`] reads calls.
//!
//! The signature covers only the body, so the body alone decides: an event is a JSON object and begins with a brace,
//! and a form never does. The content type is not signed, so the adapter ignores it.

use serde_json::Value;
use url::Url;

use super::texml;
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundText, ProviderEvent},
        hex::is_uuid,
        json,
        message::{PartState, ProviderCode},
        phone::PhoneNumber,
        text::MessageText,
    },
    provider::{Malformed, WebhookKind, wire},
};

/// Maximum number of group recipients to read; more than any group has.
const GROUP: usize = 50;

/// Reads a body. At the voice endpoint a caller may be waiting, so an unreadable body counts as a call without details.
pub(super) fn parse(webhook: WebhookKind, body: &[u8]) -> Result<ProviderEvent, Malformed> {
    let is_event = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().starts_with(b"{");
    let read = if is_event { event(body) } else { texml::parse(body) };
    match webhook {
        WebhookKind::Voice => Ok(read.unwrap_or_else(|_| ProviderEvent::Call(texml::call(body)))),
        WebhookKind::Sms | WebhookKind::Status => read,
    }
}

/// Reads a message event. Events of any kind go to the address of the messaging profile. Events of a send go to its own
/// address first, and to the profile's if that fails. See "Sending a text".
fn event(body: &[u8]) -> Result<ProviderEvent, Malformed> {
    let event: Value = json::read(body).map_err(|_| Malformed("not JSON"))?;
    match event["data"]["event_type"].as_str() {
        Some("message.received") => text(&event["data"]),
        Some("message.sent" | "message.finalized" | "message.read") => {
            Ok(report(&event).map_or(ProviderEvent::Ignored, ProviderEvent::Report))
        }
        Some(_) => Ok(ProviderEvent::Ignored),
        None => Err(Malformed("no type of event")),
    }
}

/// Reads a text. Retries repeat both ids. The text's own id is the key, because it stays the same even if one text has
/// two events.
fn text(data: &Value) -> Result<ProviderEvent, Malformed> {
    let payload = &data["payload"];
    if payload["direction"].as_str().is_some_and(|direction| direction != "inbound") {
        return Ok(ProviderEvent::Ignored);
    }
    let from = number(&payload["from"]);
    let named: Vec<_> = [&payload["to"], &payload["cc"]].into_iter().flat_map(all).map(number).collect();
    if from.is_empty() && named.iter().all(|number| number.is_empty()) {
        return Err(Malformed("neither a sender nor a recipient"));
    }
    // Telnyx does not say which number of a group is ours.
    let mut to: Vec<PhoneNumber> = Vec::new();
    for number in named.into_iter().filter_map(|number| PhoneNumber::from_wire(number).ok()) {
        if to.len() < GROUP && !to.contains(&number) {
            to.push(number);
        }
    }
    let mut to = to.into_iter();
    let id = payload["id"].as_str().or(data["id"].as_str());
    let media = payload["media"].as_array().into_iter().flatten();
    Ok(ProviderEvent::Text(InboundText {
        key: id.map_or_else(|| wire::digest_key(&[&payload.to_string()]), key),
        from: CallerId::from_wire(from),
        to: to.next(),
        others: to.collect(),
        body: MessageText::from_wire(payload["text"].as_str().unwrap_or_default()),
        media: media.filter_map(|item| wire::web_address(item["url"].as_str()?)).collect(),
        keyword: payload["autoresponse_type"].as_str().is_some_and(|kind| !kind.is_empty()),
    }))
}

/// Reads a delivery report. `None` without a reference that can be ours, and for a status that says nothing new or is
/// undocumented. `delivery_unconfirmed` is final for Telnyx, but not a failure.
fn report(event: &Value) -> Option<DeliveryReport> {
    let payload = &event["data"]["payload"];
    let reference = [&payload["webhook_url"], &event["meta"]["delivered_to"]].into_iter().find_map(reference)?;
    let status = first(&payload["to"])["status"].as_str()?;
    let state = match status {
        "sent" | "delivery_unconfirmed" => PartState::Sent,
        "delivered" | "read" => PartState::Delivered,
        "delivery_failed" | "sending_failed" | "expired" => PartState::Undelivered,
        _ => return None,
    };
    let id = event["data"]["id"].as_str().or(payload["id"].as_str()).unwrap_or_default();
    let code = error_code(payload).filter(|_| state == PartState::Undelivered);
    Some(DeliveryReport {
        key: wire::digest_key(&[id, &reference, status]),
        reference,
        state,
        code: code.and_then(|code| ProviderCode::of(&code)),
    })
}

/// Returns our reference, which is part of the address that a send named for its events. Telnyx has no field for it,
/// but repeats that address in the signed body; the address that it called is not signed. See "Delivery reports".
fn reference(address: &Value) -> Option<String> {
    let url = Url::parse(address.as_str()?).ok()?;
    let (_, reference) = url.query_pairs().find(|(name, _)| name == "ref")?;
    wire::is_reference(&reference).then(|| reference.into_owned())
}

/// Returns the code of the first of `errors`: a text in the documents, a number in some examples ("Errors and
/// retries").
pub(super) fn error_code(of: &Value) -> Option<String> {
    match &of["errors"][0]["code"] {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}

/// Returns the items of a list, or the single value.
fn all(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Returns the first item of a list, or the single value.
fn first(value: &Value) -> &Value {
    if value.is_array() { &value[0] } else { value }
}

/// Returns the number in an object, or the number itself. See "Inbound texts".
fn number(value: &Value) -> &str {
    value["phone_number"].as_str().or(value.as_str()).unwrap_or_default()
}

/// Keeps a UUID. Ids are stored unencrypted, so anything else is hashed.
fn key(id: &str) -> String {
    wire::stored_id(id, is_uuid(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::provider::telnyx::tests::phone;

    const TEXT_ID: &str = "84cca175-9755-4859-b67f-4730d7f58aa3";
    const EVENT_ID: &str = "b301ed3f-1490-491f-995f-6e64e69674d4";

    /// An event as "Inbound texts" describes it, with `changes` made to its payload.
    fn received(changes: &Value) -> Value {
        let mut event = json!({
            "data": {
                "event_type": "message.received", "id": EVENT_ID, "occurred_at": "2026-11-21T12:00:00.000+00:00",
                "payload": {
                    "autoresponse_type": null, "cc": [], "completed_at": null, "cost": null, "direction": "inbound",
                    "encoding": "GSM-7", "errors": [],
                    "from": { "carrier": "T-Mobile USA", "line_type": "long_code", "phone_number": "+13125550001" },
                    "id": TEXT_ID, "media": [], "messaging_profile_id": "740572b6-099c-44a1-89b9-6c92163bc68d",
                    "organization_id": "47a530f8-4362-4526-829b-bcee17fd9f7a", "parts": 1,
                    "received_at": "2026-11-21T11:59:59.503+00:00", "record_type": "message", "sent_at": null,
                    "tags": [], "text": "On my way & soon \u{263a}",
                    "to": [{ "carrier": "Telnyx", "line_type": "Wireless", "phone_number": "+17735550002",
                        "status": "webhook_delivered" }],
                    "type": "SMS", "valid_until": null, "webhook_failover_url": null,
                    "webhook_url": "https://mask.test/webhooks/telnyx/sms",
                },
                "record_type": "event",
            },
            "meta": { "attempt": 1, "delivered_to": "https://mask.test/webhooks/telnyx/sms" },
        });
        for (name, value) in changes.as_object().expect("an object") {
            event["data"]["payload"][name] = value.clone();
        }
        event
    }

    fn read(event: &Value) -> Result<ProviderEvent, Malformed> {
        parse(WebhookKind::Sms, event.to_string().as_bytes())
    }

    fn text_with(changes: &Value) -> InboundText {
        match read(&received(changes)) {
            Ok(ProviderEvent::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_text() {
        let text = text_with(&json!({}));
        assert_eq!(text.key, TEXT_ID);
        assert_eq!(text.from, CallerId::Phone(phone("+13125550001")));
        assert_eq!(text.to, Some(phone("+17735550002")));
        assert_eq!(text.body.expose(), "On my way & soon \u{263a}");
        assert!(text.media.is_empty() && !text.keyword);
    }

    #[test]
    fn reads_pictures_and_plain_numbers() {
        let media = json!([
            { "url": "https://media.telnyx.com/a.jpg", "content_type": "image/jpeg", "size": 1, "sha256": "0" },
            { "url": "file:///etc/passwd" }, { "url": 7 }, "https://x.example/", null,
        ]);
        let text = text_with(
            &json!({ "type": "MMS", "text": null, "media": media, "to": "+17735550002", "from": "+13125550001" }),
        );
        assert_eq!(text.media, ["https://media.telnyx.com/a.jpg"]);
        assert!(text.body.expose().is_empty());
        assert_eq!((text.from, text.to), (CallerId::Phone(phone("+13125550001")), Some(phone("+17735550002"))));
        let hidden = text_with(&json!({ "from": { "phone_number": "Maskline" }, "to": [] }));
        assert_eq!((hidden.from, hidden.to), (CallerId::Hidden, None));
    }

    #[test]
    fn all_of_a_group_may_be_ours() {
        let stranger = |number: &str| json!({ "phone_number": number, "status": "delivered" });
        let ours = json!({ "phone_number": "+17735550002", "status": "webhook_delivered" });
        let group = json!({
            "to": [stranger("+17735550003"), "51515", null, ours, stranger("+17735550003")],
            "cc": [stranger("+17735550004"), "+17735550002"],
        });
        let text = text_with(&group);
        assert_eq!(text.to, Some(phone("+17735550003")));
        assert_eq!(text.others, [phone("+17735550002"), phone("+17735550004")]);
        let copied = text_with(&json!({ "to": [], "cc": [{ "phone_number": "+17735550002" }] }));
        assert_eq!((copied.to, copied.others), (Some(phone("+17735550002")), Vec::new()));
        let crowd: Vec<_> = (0..900).map(|at| format!("+1773555{at:04}")).collect();
        assert_eq!(text_with(&json!({ "to": crowd })).others.len(), GROUP - 1);
    }

    #[test]
    fn keywords_are_those_that_telnyx_answered() {
        for (kind, keyword) in
            [(json!("STOP"), true), (json!("START"), true), (json!(""), false), (json!(null), false), (json!(1), false)]
        {
            assert_eq!(text_with(&json!({ "autoresponse_type": kind })).keyword, keyword, "{kind}");
        }
        assert!(!text_with(&json!({ "text": "STOP" })).keyword, "the word alone is not enough");
    }

    #[test]
    fn a_repeat_has_the_same_key_and_keys_hold_no_words() {
        let mut repeat = received(&json!({}));
        repeat["meta"]["attempt"] = json!(2);
        let key_of = |event: &Value| match read(event) {
            Ok(ProviderEvent::Text(text)) => text.key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key_of(&repeat), TEXT_ID);
        for id in [json!("31612345678"), json!("see you at eight"), json!("84cca175-9755-4859-b67f-4730d7f58aa3 ")] {
            assert_eq!(text_with(&json!({ "id": id })).key.len(), 64, "{id}");
        }
        assert_eq!(text_with(&json!({ "id": null })).key, EVENT_ID);
        repeat["data"]["id"] = json!(null);
        repeat["data"]["payload"]["id"] = json!(7);
        assert_eq!(key_of(&repeat).len(), 64);
    }

    #[test]
    fn what_is_no_text_to_us_is_ignored() {
        assert!(matches!(read(&received(&json!({ "direction": "outbound" }))), Ok(ProviderEvent::Ignored)));
        for kind in ["message.teleported", "call.initiated", "10dlc.brand.update", ""] {
            let mut event = received(&json!({}));
            event["data"]["event_type"] = json!(kind);
            for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                let read = parse(webhook, event.to_string().as_bytes());
                assert!(matches!(read, Ok(ProviderEvent::Ignored)), "{kind}");
            }
        }
    }

    #[test]
    fn nonsense_is_malformed_unless_somebody_may_be_waiting() {
        let nobody = received(&json!({ "from": null, "to": 7 })).to_string();
        for body in
            ["{", "{}", r#"{"data":[]}"#, r#"{"data":{"event_type":7}}"#, "{\"data\":\"caf\u{e9}\"}", "", "[]", &nobody]
        {
            assert!(parse(WebhookKind::Sms, body.as_bytes()).is_err(), "{body}");
            assert!(parse(WebhookKind::Status, body.as_bytes()).is_err(), "{body}");
            match parse(WebhookKind::Voice, body.as_bytes()) {
                Ok(ProviderEvent::Call(call)) => assert_eq!((call.from, call.to), (CallerId::Hidden, None)),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_hard_to_read_is_read() {
        let event = received(&json!({ "text": "here HALF", "cost": "DEEP" })).to_string();
        let (at, deep) = (event.find("HALF").expect("a mark"), format!("{}{}", "[".repeat(900), "]".repeat(900)));
        for (half, is_read) in
            [(&b"\\ud83d"[..], "here \u{fffd}"), (b"\xe9", "here \u{fffd}"), (b"\\\\ud83d", "here \\ud83d")]
        {
            let body = [b"\xef\xbb\xbf \r\n", &event.as_bytes()[..at], half, &event.as_bytes()[at + 4..]].concat();
            let body = String::from_utf8_lossy(&body).replace("\"DEEP\"", &deep).into_bytes();
            match parse(WebhookKind::Sms, &body) {
                Ok(ProviderEvent::Text(text)) => assert_eq!(text.body.expose(), is_read),
                other => panic!("{other:?}"),
            }
        }
    }

    /// A report on a send, as "Delivery reports" describes it.
    fn news(kind: &str, status: &str, changes: &Value) -> Option<DeliveryReport> {
        let mut event = received(changes);
        event["data"]["event_type"] = json!(kind);
        event["data"]["payload"]["direction"] = json!("outbound");
        event["data"]["payload"]["to"] = json!([{ "phone_number": "+13125550001", "status": status }]);
        match parse(WebhookKind::Status, event.to_string().as_bytes()) {
            Ok(ProviderEvent::Report(report)) => Some(report),
            Ok(ProviderEvent::Ignored) => None,
            other => panic!("{other:?}"),
        }
    }

    fn of_ours() -> Value {
        json!({
            "webhook_url": "https://mask.test/webhooks/telnyx/status?ref=m26_1",
            "errors": [{ "code": "40008", "title": "Undeliverable", "detail": "+13125550001" }],
        })
    }

    #[test]
    fn reads_reports() {
        for (kind, status, state) in [
            ("message.sent", "sent", PartState::Sent),
            ("message.finalized", "delivered", PartState::Delivered),
            ("message.read", "read", PartState::Delivered),
            ("message.finalized", "delivery_unconfirmed", PartState::Sent),
            ("message.finalized", "delivery_failed", PartState::Undelivered),
            ("message.finalized", "sending_failed", PartState::Undelivered),
            ("message.finalized", "expired", PartState::Undelivered),
        ] {
            let report = news(kind, status, &of_ours()).expect(status);
            assert_eq!((report.reference.as_str(), report.state), ("m26_1", state), "{status}");
            let code = report.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("40008"), "{status}");
        }
        let without = json!({ "webhook_url": of_ours()["webhook_url"], "errors": [] });
        assert_eq!(news("message.finalized", "delivery_failed", &without).expect("a report").code, None);
        let number = json!({ "webhook_url": of_ours()["webhook_url"], "errors": [{ "code": 40008 }] });
        let report = news("message.finalized", "delivery_failed", &number).expect("a report");
        assert_eq!(report.code.as_ref().map(ProviderCode::as_str), Some("40008"));
    }

    #[test]
    fn the_reference_comes_from_the_signed_body() {
        let of = |payload_url: Value, delivered_to: &str| {
            let mut event = received(&json!({ "webhook_url": payload_url }));
            event["data"]["event_type"] = json!("message.sent");
            event["data"]["payload"]["to"][0]["status"] = json!("sent");
            event["meta"]["delivered_to"] = json!(delivered_to);
            report(&event).map(|report| report.reference)
        };
        let address = |reference: &str| format!("https://mask.test/webhooks/telnyx/status?a=1&ref={reference}");
        assert_eq!(of(json!(address("m26_1")), "https://mask.test/").as_deref(), Some("m26_1"));
        assert_eq!(of(json!(null), &address("m26_1")).as_deref(), Some("m26_1"));
        assert_eq!(of(json!(address("m26_1")), &address("m26_2")).as_deref(), Some("m26_1"));
        for odd in ["", "for%20somebody", "m26_1%00", &"x".repeat(41)] {
            assert_eq!(of(json!(address(odd)), "not an address"), None, "{odd}");
        }
    }

    #[test]
    fn reports_of_no_interest_are_ignored() {
        for status in ["queued", "sending", "webhook_delivered", "Delivered", "teleported", ""] {
            assert!(news("message.finalized", status, &of_ours()).is_none(), "{status}");
        }
        assert!(news("message.finalized", "delivered", &json!({})).is_none(), "no reference");
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |status: &str, reference: &str| {
            let url = format!("https://mask.test/webhooks/telnyx/status?ref={reference}");
            news("message.finalized", status, &json!({ "webhook_url": url })).expect(status).key
        };
        assert_eq!(key("sent", "m26_1"), key("sent", "m26_1"));
        assert_ne!(key("sent", "m26_1"), key("delivered", "m26_1"));
        assert_ne!(key("sent", "m26_1"), key("sent", "m26_2"));
    }

    fn odd_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            Just(json!("message.sent")),
            Just(json!("https://x.example/?ref=m26_1")),
        ];
        let name = "data|meta|payload|id|event_type|to|from|status|phone_number|errors|code|media|url|text|webhook_url";
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            odd_value().prop_map(|value| value.to_string().into_bytes()),
            (odd_value(), proptest::sample::select(vec!["message.received", "message.sent", "message.finalized"])).prop_map(
                |(payload, kind)| json!({ "data": { "event_type": kind, "payload": payload } }).to_string().into_bytes()
            ),
            "((CallSid|ParentCallSid|From|To|CallStatus|DialCallStatus|CallbackSource|Timestamp)=(completed|busy|%2B31612345678|\\PC{0,8})&){0,8}"
                .prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic_and_never_get_into_a_key(body in body()) {
            for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                let keys = match parse(webhook, &body) {
                    Ok(ProviderEvent::Text(text)) => vec![text.key],
                    Ok(ProviderEvent::Call(call)) => vec![call.key],
                    Ok(ProviderEvent::Report(report)) => vec![report.key],
                    Ok(ProviderEvent::CallReport(report)) => vec![report.key, report.call_key],
                    Ok(ProviderEvent::Ignored | ProviderEvent::Unreadable(_)) => Vec::new(),
                    Err(_) => {
                        prop_assert!(webhook != WebhookKind::Voice);
                        Vec::new()
                    }
                };
                for key in keys {
                    prop_assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
                }
            }
        }

        #[test]
        fn any_words_come_through(words in "\\PC{1,60}") {
            let text = text_with(&json!({ "text": words }));
            prop_assert_eq!(text.body.expose(), &words);
        }
    }
}
