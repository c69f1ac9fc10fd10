//! Reads verified webhooks: texts ("Inbound texts") and delivery reports ("Delivery reports"). `calls` reads calls.
//!
//! Message events come in lists. If only one address is set, inbound texts and reports share it. Call events come
//! singly. So the content of an event decides, not the address, and an unreadable element does not affect the others.

use serde_json::Value;

use super::calls;
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundText, ProviderEvent},
        json,
        message::{PartState, ProviderCode},
        phone::PhoneNumber,
        text::MessageText,
    },
    provider::{Malformed, WebhookKind, wire},
};

/// No receipt came in time, so the text may have been delivered. See "Delivery reports".
const NO_RECEIPT: &str = "9902";

/// Reads a body. A list is malformed only if nothing in it can be read.
pub(super) fn parse(webhook: WebhookKind, body: &[u8]) -> Result<Vec<ProviderEvent>, Malformed> {
    match json::read(body).map_err(|_| Malformed("not JSON"))? {
        Value::Array(items) => {
            let read: Vec<_> = items.iter().map(|item| event(webhook, item)).collect();
            if read.iter().any(Result::is_ok) {
                Ok(read.into_iter().map(|event| event.unwrap_or_else(|why| ProviderEvent::Unreadable(why.0))).collect())
            } else {
                read.into_iter().collect()
            }
        }
        item => event(webhook, &item).map(|event| vec![event]),
    }
}

/// Reads one event. Voice events have an `eventType`, messages a `type`. An object with neither is a call if it comes
/// to the voice webhook, because the caller must hear something.
fn event(webhook: WebhookKind, item: &Value) -> Result<ProviderEvent, Malformed> {
    match (wire::string(item, "eventType"), wire::string(item, "type")) {
        (Some(kind), _) => calls::event(kind, item),
        (None, Some("message-received")) => text(item),
        (None, Some(kind)) => Ok(report(kind, item).map_or(ProviderEvent::Ignored, ProviderEvent::Report)),
        (None, None) if webhook == WebhookKind::Voice && item.is_object() => Ok(ProviderEvent::Call(calls::call(item))),
        (None, None) => Err(Malformed("no event")),
    }
}

/// Reads a text. `owner` is our number, and so is the outer `to`; `message.to` of a group also holds strangers (see
/// "Inbound texts").
///
/// If a group has several of our numbers, Bandwidth sends an event for each of them. Each should have its own id; the
/// number is part of the key in case they share one. Without an id the event is the key, because it contains its time.
fn text(item: &Value) -> Result<ProviderEvent, Malformed> {
    let message = &item["message"];
    if message.get("direction").is_some_and(|direction| direction != "in") {
        return Ok(ProviderEvent::Ignored);
    }
    let from = wire::string(message, "from");
    let owner = [wire::string(message, "owner"), wire::string(item, "to")];
    if from.is_none() && owner == [None, None] {
        return Err(Malformed("neither a sender nor a recipient"));
    }
    let to = owner.into_iter().flatten().find_map(|number| PhoneNumber::from_wire(number).ok());
    let id = wire::string(message, "id").map_or_else(|| item.to_string(), str::to_owned);
    Ok(ProviderEvent::Text(InboundText {
        key: wire::digest_key(&[&id, to.as_ref().map_or("", PhoneNumber::expose)]),
        from: CallerId::from_wire(from.unwrap_or_default()),
        to,
        others: Vec::new(),
        body: MessageText::from_wire(wire::string(message, "text").unwrap_or_default()),
        media: message["media"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter_map(wire::web_address)
            .collect(),
        keyword: false,
    }))
}

/// Reads a delivery report. `None` for a tag that cannot be ours, and for a status that says nothing new: not yet sent,
/// unknown or undocumented.
fn report(kind: &str, item: &Value) -> Option<DeliveryReport> {
    let message = &item["message"];
    if message.get("direction").is_some_and(|direction| direction != "out") {
        return None;
    }
    let reference = wire::string(message, "tag").filter(|tag| wire::is_reference(tag))?;
    let code = match &item["errorCode"] {
        Value::Number(code) => code.to_string(),
        Value::String(code) => code.clone(),
        _ => String::new(),
    };
    let state = match kind {
        "message-sent" => PartState::Sent,
        "message-delivered" | "message-read" => PartState::Delivered,
        "message-failed" if code != NO_RECEIPT => PartState::Undelivered,
        _ => return None,
    };
    Some(DeliveryReport {
        key: wire::digest_key(&[wire::string(message, "id").unwrap_or_default(), reference, kind, &code]),
        reference: reference.to_owned(),
        state,
        code: ProviderCode::of(&code).filter(|_| state == PartState::Undelivered),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn received() -> Value {
        json!({
            "type": "message-received", "time": "2016-09-14T18:20:16Z", "description": "Incoming message received",
            "to": "+14155550100",
            "message": {
                "id": "14762070468292kw2fuqty55yp2b2", "owner": "+14155550100",
                "applicationId": "93de2206-9669-4e07-948d-329f4b722ee2", "time": "2016-09-14T18:20:16Z",
                "segmentCount": 1, "direction": "in", "to": ["+14155550100", "+14155550199"], "from": "+14155550111",
                "text": "On my way & soon \u{263a}",
                "media": ["https://messaging.bandwidth.com/api/v2/users/9900000/media/1/0/bw.png"]
            }
        })
    }

    fn news(kind: &str, code: Option<i64>) -> Value {
        let mut event = json!({
            "type": kind, "time": "2020-06-25T18:42:36.979Z", "description": "", "to": "+14155550111",
            "message": {
                "id": "1593110555875xo7watq5px6rbe5d", "owner": "+14155550100", "applicationId": "93de2206",
                "time": "2020-06-25T18:42:35.876Z", "segmentCount": 1, "direction": "out", "to": ["+14155550111"],
                "from": "+14155550100", "text": "", "tag": "mk_1"
            }
        });
        if let Some(code) = code {
            event["errorCode"] = code.into();
        }
        event
    }

    fn read(body: &Value) -> Result<Vec<ProviderEvent>, Malformed> {
        parse(WebhookKind::Sms, body.to_string().as_bytes())
    }

    fn text_of(body: &Value) -> InboundText {
        match read(body).expect("events").remove(0) {
            ProviderEvent::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    fn report_of(body: &Value) -> Option<DeliveryReport> {
        match read(body).expect("events").remove(0) {
            ProviderEvent::Report(report) => Some(report),
            ProviderEvent::Ignored => None,
            other => panic!("no report: {other:?}"),
        }
    }

    /// Returns the inbound event with a changed field of its message.
    fn with(name: &str, value: Value) -> Value {
        let mut event = received();
        event["message"][name] = value;
        event
    }

    #[test]
    fn reads_a_text_alone_or_in_a_list() {
        for body in [received(), json!([received()])] {
            let text = text_of(&body);
            assert_eq!(text.from, CallerId::Phone(phone("+14155550111")));
            assert_eq!(text.to, Some(phone("+14155550100")));
            assert_eq!(text.body.expose(), "On my way & soon \u{263a}");
            assert_eq!(text.media, ["https://messaging.bandwidth.com/api/v2/users/9900000/media/1/0/bw.png"]);
            assert!(!text.keyword);
        }
    }

    #[test]
    fn our_number_is_the_owner() {
        let other = with("owner", json!("14155550199"));
        assert_eq!(text_of(&other).to, Some(phone("+14155550199")));
        assert_ne!(text_of(&other).key, text_of(&received()).key, "one id, another of our numbers");
        assert_eq!(text_of(&with("owner", json!("14155550100"))).key, text_of(&received()).key);
        let outer = with("owner", json!(null));
        assert_eq!(text_of(&outer).to, Some(phone("+14155550100")), "the outer number is ours too");
    }

    #[test]
    fn every_event_of_a_list_counts_wherever_it_comes() {
        let list = json!([received(), 7, {"no": "type"}, {"type": "suggestion-response"}, news("message-sent", None)]);
        for webhook in [WebhookKind::Sms, WebhookKind::Status] {
            let events = parse(webhook, list.to_string().as_bytes()).expect("events");
            assert!(
                matches!(
                    &events[..],
                    [
                        ProviderEvent::Text(_),
                        ProviderEvent::Unreadable(_),
                        ProviderEvent::Unreadable(_),
                        ProviderEvent::Ignored,
                        ProviderEvent::Report(_)
                    ]
                ),
                "{events:?}"
            );
        }
        assert!(matches!(read(&json!([])).as_deref(), Ok([])));
    }

    #[test]
    fn nonsense_is_malformed() {
        for body in ["", "null", "\"text\"", "7", "{", "[{]", "{}", "[{}]", "[1,null]", "\u{feff}{}", "[{},"] {
            assert!(parse(WebhookKind::Sms, body.as_bytes()).is_err(), "{body}");
            assert!(parse(WebhookKind::Status, body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse(WebhookKind::Sms, "[".repeat(60_000).as_bytes()).is_err(), "too deep");
        let nobody = json!({"type": "message-received", "message": {"id": "1", "text": "hello", "direction": "in"}});
        assert!(read(&nobody).is_err(), "a text between nobody");
        assert!(read(&json!({"type": "message-received"})).is_err());
    }

    #[test]
    fn what_is_hard_to_read_is_read() {
        let read = |body: &[u8]| match parse(WebhookKind::Sms, body).expect("events").remove(0) {
            ProviderEvent::Text(text) => text,
            other => panic!("{other:?}"),
        };
        let list = json!([with("text", json!("here HALF"))]).to_string();
        for (half, is_read) in
            [(&b"\\ud83d"[..], "here \u{fffd}"), (b"\xe9", "here \u{fffd}"), (b"it\\'s", "here it's")]
        {
            let at = list.find("HALF").expect("a mark");
            let body = [b"\xef\xbb\xbf", &list.as_bytes()[..at], half, &list.as_bytes()[at + 4..]].concat();
            assert_eq!(read(&body).body.expose(), is_read);
        }
    }

    #[test]
    fn half_a_text_is_a_text() {
        let sender = json!({"type": "message-received", "message": {"from": "+14155550111"}});
        assert_eq!((text_of(&sender).to, text_of(&sender).body.expose().is_empty()), (None, true));
        let odd = with("from", json!(14_155_550_111_i64));
        assert_eq!(text_of(&odd).from, CallerId::Hidden);
        assert_eq!(text_of(&with("from", json!("Maskline"))).from, CallerId::Hidden);
        let media = json!(["javascript:alert(1)", 7, null, "https://x.example/a", ["https://x.example/b"]]);
        assert_eq!(text_of(&with("media", media)).media, ["https://x.example/a"]);
        assert!(text_of(&with("media", json!("https://x.example/a"))).media.is_empty(), "no list");
        assert_eq!(text_of(&with("text", json!({"a": 1}))).body.expose(), "");
    }

    #[test]
    fn what_we_sent_is_no_text() {
        for direction in [json!("out"), json!("sideways"), json!(7)] {
            let event = read(&with("direction", direction)).expect("events").remove(0);
            assert!(matches!(event, ProviderEvent::Ignored));
        }
    }

    #[test]
    fn keys_tell_texts_apart_and_hold_no_phone() {
        let key = text_of(&received()).key;
        assert_eq!((key.len(), text_of(&json!([received()])).key), (64, key.clone()));
        assert_ne!(key, text_of(&with("id", json!("14762070468292kw2fuqty55yp2b3"))).key);
        let without = |time: &str| {
            let mut event = with("id", json!(""));
            event["time"] = time.into();
            text_of(&event).key
        };
        assert_eq!(without("2016-09-14T18:20:16Z"), without("2016-09-14T18:20:16Z"));
        assert_ne!(without("2016-09-14T18:20:16Z"), without("2016-09-14T18:20:17Z"));
    }

    #[test]
    fn reads_reports() {
        for (kind, state) in [
            ("message-sent", PartState::Sent),
            ("message-delivered", PartState::Delivered),
            ("message-read", PartState::Delivered),
            ("message-failed", PartState::Undelivered),
        ] {
            let news = report_of(&json!([news(kind, Some(4720))])).expect(kind);
            assert_eq!((news.reference.as_str(), news.state), ("mk_1", state));
            let code = news.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("4720"), "{kind}");
        }
        assert!(report_of(&news("message-failed", None)).expect("a report").code.is_none());
    }

    #[test]
    fn what_is_no_news_is_ignored() {
        for kind in ["message-sending", "message-teleported", "Message-Delivered", "delivered"] {
            assert!(report_of(&news(kind, None)).is_none(), "{kind}");
        }
        assert!(report_of(&news("message-failed", Some(9902))).is_none(), "no receipt is no failure");
        let mut worded = news("message-failed", None);
        worded["errorCode"] = "9902".into();
        assert!(report_of(&worded).is_none());
        for tag in [json!(null), json!(""), json!("v2 lab"), json!(7), json!("x".repeat(41)), json!(["mk_1"])] {
            let mut foreign = news("message-delivered", None);
            foreign["message"]["tag"] = tag;
            assert!(report_of(&foreign).is_none(), "{foreign}");
        }
        let mut inward = news("message-delivered", None);
        inward["message"]["direction"] = "in".into();
        assert!(report_of(&inward).is_none());
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |kind, code| report_of(&news(kind, code)).expect("a report").key;
        assert_eq!(key("message-sent", None), key("message-sent", None));
        assert_ne!(key("message-sent", None), key("message-delivered", None));
        assert_ne!(key("message-failed", Some(4720)), key("message-failed", Some(4775)));
    }

    fn json_or_noise() -> impl Strategy<Value = Vec<u8>> {
        let value = "\\PC{0,12}";
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "(\\{|\\[|\"|:|,|\\}|\\]|type|eventType|message|[0-9]|\\\\u){0,40}".prop_map(String::into_bytes),
            (proptest::sample::select(vec!["initiate", "transferComplete", "transferDisconnect", "disconnect"]), value)
                .prop_map(|(kind, text)| json!({
                    "eventType": kind, "callId": text, "parentCallId": text, "from": text, "to": [text], "cause": text,
                    "direction": "inbound", "answerTime": text, "endTime": text
                })
                .to_string()
                .into_bytes()),
            (proptest::sample::select(vec!["message-received", "message-failed", "message-sent"]), value).prop_map(
                |(kind, text)| json!([
                    {"type": kind, "to": text, "errorCode": text, "message": {"id": text, "tag": text, "from": text, "media": [text]}},
                    {"type": kind, "message": text},
                ])
                .to_string()
                .into_bytes()
            ),
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic_and_never_get_into_a_key(body in json_or_noise()) {
            for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                for event in parse(webhook, &body).unwrap_or_default() {
                    let keys = match event {
                        ProviderEvent::Text(text) => vec![text.key],
                        ProviderEvent::Call(call) => vec![call.key],
                        ProviderEvent::Report(report) => vec![report.key],
                        ProviderEvent::CallReport(report) => vec![report.key, report.call_key],
                        ProviderEvent::Ignored | ProviderEvent::Unreadable(_) => continue,
                    };
                    for key in keys {
                        prop_assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{}", key);
                    }
                }
            }
        }

        #[test]
        fn any_words_come_through(words in "\\PC{1,60}") {
            let text = text_of(&json!([with("text", json!(words))]));
            prop_assert_eq!(text.body.expose(), &words);
        }
    }
}
