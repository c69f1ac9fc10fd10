//! Inbound texts and delivery reports (see the headings with these names).

use super::payload::{self, Payload};
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundText},
        message::{PartState, ProviderCode},
        phone::PhoneNumber,
        text::MessageText,
    },
    provider::{Malformed, wire},
};

/// Fields of a message for anything other than text; a message has one of them. If it has more attachments, the list
/// `content` has all of them, or the rest: the sources do not agree.
const MEDIA: [&str; 5] = ["image", "audio", "video", "vcard", "file"];

/// Reads a text; `None` if it came over a channel other than SMS or MMS, where our numbers cannot be reached.
///
/// `sms.keyword` is only the first word of a text, not a sign that Vonage acted on it: Vonage leaves STOP to us (see
/// "Opt-outs").
pub(super) fn text(payload: &Payload) -> Result<Option<InboundText>, Malformed> {
    if !matches!(payload.text("channel"), None | Some("sms" | "mms")) {
        return Ok(None);
    }
    let (from, to) = (payload.text("from"), payload.text("to"));
    if from.is_none() && to.is_none() {
        // Version 0.1 of the API has objects there (see "Numbers and APIs").
        return Err(Malformed("neither a sender nor a recipient"));
    }
    let mut media = Vec::new();
    let mut captions = Vec::new();
    for attached in MEDIA.iter().filter_map(|name| payload.object(name)).chain(payload.objects("content")) {
        let address = payload::text(attached, "url").and_then(wire::web_address);
        media.extend(address.filter(|address| !media.contains(address)));
        captions.extend(payload::text(attached, "caption").filter(|caption| !captions.contains(caption)));
    }
    let words = payload.text("text").map_or_else(|| captions.join("\n"), str::to_owned);
    Ok(Some(InboundText {
        key: payload::key(payload.text("message_uuid").ok_or(Malformed("no id"))?),
        from: CallerId::from_wire(from.unwrap_or_default()),
        to: to.and_then(|number| PhoneNumber::from_wire(number).ok()),
        others: Vec::new(),
        body: MessageText::from_wire(&words),
        media,
        keyword: false,
    }))
}

/// Reads a delivery report; `None` for a reference that cannot be ours, and for an undocumented status.
pub(super) fn report(payload: &Payload) -> Option<DeliveryReport> {
    let reference = payload.text("client_ref").filter(|reference| wire::is_reference(reference))?;
    let status = payload.text("status")?;
    let state = match status {
        "submitted" => PartState::Sent,
        "delivered" | "read" => PartState::Delivered,
        "rejected" | "undeliverable" => PartState::Undelivered,
        _ => return None,
    };
    let code = || -> Option<ProviderCode> { payload::error_code(payload.object("error")?) };
    Some(DeliveryReport {
        key: wire::digest_key(&[payload.text("message_uuid").unwrap_or_default(), reference, status]),
        reference: reference.to_owned(),
        state,
        code: if state == PartState::Undelivered { code() } else { None },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{domain::contact::ProviderEvent, provider::vonage::tests::told};

    const ID: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

    /// The live sample that "Inbound texts" cites, with made-up numbers.
    fn sms() -> Value {
        json!({
            "to": "3197010200001", "from": "31612345678", "channel": "sms", "message_uuid": ID,
            "timestamp": "2026-11-21T12:00:00Z", "usage": {"price": "0.0057", "currency": "EUR"},
            "message_type": "text", "text": "Wo bist du? \u{1f697}", "context_status": "none",
            "origin": {"network_code": "20408"}, "sms": {"num_messages": "1", "count_total": "1", "keyword": "WO"},
        })
    }

    fn with(mut value: Value, name: &str, field: Value) -> Value {
        value[name] = field;
        value
    }

    fn read(value: &Value) -> InboundText {
        match told("sms", value) {
            Ok(ProviderEvent::Text(text)) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    #[test]
    fn reads_an_sms() {
        let text = read(&sms());
        assert_eq!(text.key, ID);
        assert_eq!((text.from, text.to), (CallerId::Phone(phone("31612345678")), Some(phone("3197010200001"))));
        assert_eq!(text.body.expose(), "Wo bist du? \u{1f697}");
        assert_eq!((text.media, text.keyword), (Vec::new(), false));
        assert!(!read(&with(sms(), "text", json!("STOP"))).keyword, "nobody has acted on it");
    }

    #[test]
    fn reads_an_mms() {
        for name in MEDIA {
            let mut mms = with(sms(), "channel", json!("mms"));
            mms.as_object_mut().expect("an object").remove("text");
            let media =
                json!({"url": "https://api-us.nexmo.com/v3/media/1b456509", "name": "a.jpg", "caption": "Red hat"});
            let text = read(&with(with(mms, "message_type", json!(name)), name, media));
            assert_eq!(text.body.expose(), "Red hat", "{name}");
            assert_eq!(text.media, ["https://api-us.nexmo.com/v3/media/1b456509"], "{name}");
        }
        for odd in [json!({"url": "javascript:alert(1)"}), json!({"url": 7}), json!("https://x.example/"), json!([1])] {
            let text = read(&with(sms(), "image", odd));
            assert_eq!(text.media, Vec::<String>::new());
            assert_eq!(text.body.expose(), "Wo bist du? \u{1f697}");
        }
    }

    #[test]
    fn reads_everything_that_is_attached_to_an_mms() {
        let mut mms = with(with(sms(), "channel", json!("mms")), "message_type", json!("image"));
        mms.as_object_mut().expect("an object").remove("text");
        let mms = with(mms, "image", json!({"url": "https://cdn.example/1", "name": "1.jpg", "caption": "Red hat"}));
        let more = json!([
            {"type": "video", "url": "https://cdn.example/2", "caption": "Red hat"},
            {"type": "image", "url": "https://cdn.example/1"},
            {"type": "file", "url": "javascript:alert(1)"},
            7,
            {"type": "vcard", "url": "https://cdn.example/3", "caption": "My card"},
        ]);
        let text = read(&with(mms.clone(), "content", more));
        assert_eq!(text.media, ["https://cdn.example/1", "https://cdn.example/2", "https://cdn.example/3"]);
        assert_eq!(text.body.expose(), "Red hat\nMy card");
        for odd in [json!({"url": "https://cdn.example/2"}), json!("https://cdn.example/2"), json!([[1]]), json!(null)]
        {
            assert_eq!(read(&with(mms.clone(), "content", odd.clone())).media, ["https://cdn.example/1"], "{odd}");
        }
    }

    #[test]
    fn what_is_no_text_of_ours_is_ignored_or_malformed() {
        for channel in ["whatsapp", "rcs", "messenger", "SMS", "viber_service"] {
            let told = told("sms", &with(sms(), "channel", json!(channel)));
            assert!(matches!(told, Ok(ProviderEvent::Ignored)), "{channel}");
        }
        let between_nobody = with(with(sms(), "from", json!("")), "to", json!(null));
        assert!(told("sms", &between_nobody).is_err());
        let old_version = json!({
            "message_uuid": ID, "to": {"number": "3197010200001", "type": "sms"},
            "from": {"number": "31612345678", "type": "sms"}, "message": {"content": {"type": "text", "text": "Hi"}},
        });
        assert!(told("sms", &old_version).is_err());
        assert!(told("sms", &with(sms(), "message_uuid", json!(7))).is_err());
    }

    #[test]
    fn odd_senders_are_hidden_and_odd_ids_hashed() {
        let text = read(&with(with(sms(), "from", json!("Maskline")), "message_uuid", json!("31612345678")));
        assert_eq!((text.from, text.key.len()), (CallerId::Hidden, 64));
        let text = read(&with(with(sms(), "to", json!("51515")), "text", json!(["a"])));
        assert_eq!(text.to, None, "a short code is no phone number");
        assert!(text.body.expose().is_empty());
    }

    /// A status with the fields under "Delivery reports".
    fn status(status: &str) -> Value {
        json!({
            "message_uuid": ID, "to": "31612345678", "from": "3197010200001", "timestamp": "2026-11-21T12:00:05Z",
            "status": status, "channel": "sms", "client_ref": "mk_fixture_1",
            "error": {"type": "https://developer.vonage.com/api-errors/messages#1240", "title": "1240",
                "detail": "Illegal number 31612345678", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"},
            "usage": {"price": "0.0333", "currency": "EUR"}, "destination": {"network_code": "20408"},
            "sms": {"count_total": "1"},
        })
    }

    fn news(value: &Value) -> Option<DeliveryReport> {
        match told("status", value) {
            Ok(ProviderEvent::Report(report)) => Some(report),
            Ok(ProviderEvent::Ignored) => None,
            other => panic!("neither a report nor nothing: {other:?}"),
        }
    }

    #[test]
    fn reads_reports() {
        for (word, state) in [
            ("submitted", PartState::Sent),
            ("delivered", PartState::Delivered),
            ("read", PartState::Delivered),
            ("rejected", PartState::Undelivered),
            ("undeliverable", PartState::Undelivered),
        ] {
            let report = news(&status(word)).expect(word);
            assert_eq!((report.reference.as_str(), report.state), ("mk_fixture_1", state));
            let code = report.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("1240"), "{word}");
        }
        assert_eq!(news(&with(status("rejected"), "error", json!("1240"))).expect("a report").code, None);
    }

    #[test]
    fn reports_of_no_interest_are_ignored() {
        for odd in ["accepted", "Delivered", "", "teleported"] {
            assert!(news(&status(odd)).is_none(), "{odd}");
        }
        for odd in
            [json!(null), json!(""), json!("for somebody else"), json!("x".repeat(41)), json!(7), json!("a\u{0}")]
        {
            assert!(news(&with(status("delivered"), "client_ref", odd.clone())).is_none(), "{odd}");
        }
        assert!(news(&with(status("delivered"), "status", json!({"a": 1}))).is_none());
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |value: Value| news(&value).expect("a report").key;
        assert_eq!(key(status("submitted")), key(with(status("submitted"), "timestamp", json!("later"))));
        assert_ne!(key(status("submitted")), key(status("delivered")));
        assert_ne!(key(status("submitted")), key(with(status("submitted"), "client_ref", json!("mk_2"))));
        assert_ne!(key(status("submitted")), key(with(status("submitted"), "message_uuid", json!("another"))));
    }

    proptest! {
        #[test]
        fn any_words_come_through(words in "\\PC{1,60}") {
            let caption = json!({"url": "https://cdn.example/a", "caption": words});
            let with_caption = with(with(sms(), "text", json!(null)), "image", caption);
            for text in [read(&with(sms(), "text", json!(words))), read(&with_caption)] {
                prop_assert_eq!(text.body.expose(), &words);
            }
        }
    }
}
