//! Reads verified webhooks: texts ("Inbound texts") and delivery reports ("Delivery reports"). `calls` reads the rest.
//!
//! The names of the fields decide, not the address, because an application can send its events anywhere.

use super::{
    calls,
    fields::{Fields, key},
};
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundText, ProviderEvent},
        message::{PartState, ProviderCode},
        text::MessageText,
    },
    provider::{Malformed, WebhookKind, WebhookRequest, wire},
};

/// Reads a request. Anything else that comes to the voice address is a call, because a caller may be waiting.
pub(super) fn parse(webhook: WebhookKind, request: &WebhookRequest) -> Result<Vec<ProviderEvent>, Malformed> {
    let fields = Fields::of(request);
    let is_message = fields.has("MessageUUID") && !fields.has("CallUUID");
    let event = if calls::is_news(&fields) {
        calls::report(&fields).map_or(ProviderEvent::Ignored, ProviderEvent::CallReport)
    } else if is_message && fields.has("Status") {
        report(request, &fields).map_or(ProviderEvent::Ignored, ProviderEvent::Report)
    } else if is_message {
        ProviderEvent::Text(text(&fields)?)
    } else if webhook == WebhookKind::Voice || calls::is_start(&fields) {
        ProviderEvent::Call(calls::call(&fields))
    } else if webhook == WebhookKind::Sms {
        return Err(Malformed("no id of a message"));
    } else {
        ProviderEvent::Ignored
    };
    Ok(vec![event])
}

/// Reads a text. `MessageIntent` is set for keywords that Plivo has acted on and answered: STOP, START, HELP and
/// similar.
fn text(fields: &Fields) -> Result<InboundText, Malformed> {
    if !fields.has("From") && !fields.has("To") {
        return Err(Malformed("neither a sender nor a recipient"));
    }
    Ok(InboundText {
        key: key(fields.text("MessageUUID")),
        from: CallerId::from_wire(fields.text("From")),
        to: fields.phone("To"),
        others: Vec::new(),
        body: MessageText::from_wire(fields.get("Text").unwrap_or_else(|| fields.text("Body"))),
        media: fields.media(),
        keyword: fields.has("MessageIntent"),
    })
}

/// Reads a delivery report. `None` for a reference that cannot be ours, and for a status that says nothing new:
/// `queued` comes before the network has the text.
///
/// The reference is in the query that we add to the report address of a send: V3 signs it, V2 does not. Reports come in
/// any order. `Sequence` distinguishes a repeat from a new report; the state of the part takes care of the order.
fn report(request: &WebhookRequest, fields: &Fields) -> Option<DeliveryReport> {
    let query = wire::form_pairs(request.query().as_bytes());
    let reference = wire::value(&query, "ref").filter(|reference| wire::is_reference(reference))?;
    let status = fields.text("Status");
    let state = match status {
        "sent" => PartState::Sent,
        "delivered" | "read" => PartState::Delivered,
        "undelivered" | "failed" | "rejected" => PartState::Undelivered,
        _ => return None,
    };
    Some(DeliveryReport {
        key: wire::digest_key(&[fields.text("MessageUUID"), reference, status, fields.text("Sequence")]),
        reference: reference.to_owned(),
        state,
        code: ProviderCode::of(fields.text("ErrorCode")).filter(|_| state == PartState::Undelivered),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::phone::PhoneNumber;
    use crate::provider::plivo::tests::{FORM, request};
    use http::Method;

    /// The fields of an inbound text, as in the vector `sms-post-unicode`.
    const TEXT: &str = "From=14155550111&To=14155550100&Text=%C3%87a+va%3F+%F0%9F%9A%97+50%25+%26+more+%3D+ok+%2B+go&Type=sms\
        &MessageUUID=db3ce55a-7f1d-11e1-8ea7-1231380bc196&Units=1&TotalRate=0&TotalAmount=0&MessageIntent=&PowerpackUUID=";

    fn post(url: &str, body: &str) -> WebhookRequest {
        request(Method::POST, url, &[("content-type", FORM)], body.as_bytes())
    }

    fn only(webhook: WebhookKind, request: &WebhookRequest) -> Result<ProviderEvent, Malformed> {
        let mut events = parse(webhook, request)?;
        assert_eq!(events.len(), 1);
        Ok(events.remove(0))
    }

    fn read(body: &str) -> InboundText {
        match only(WebhookKind::Sms, &post("https://mask.test/webhooks/plivo/sms", body)) {
            Ok(ProviderEvent::Text(text)) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    #[test]
    fn reads_a_text() {
        let text = read(TEXT);
        assert_eq!(text.key, "db3ce55a-7f1d-11e1-8ea7-1231380bc196");
        assert_eq!((text.from, text.to), (CallerId::Phone(phone("14155550111")), Some(phone("14155550100"))));
        assert_eq!(text.body.expose(), "\u{c7}a va? \u{1f697} 50% & more = ok + go");
        assert_eq!((text.media.len(), text.keyword), (0, false));
    }

    #[test]
    fn a_query_says_the_same_and_any_address_takes_it() {
        let url = format!("https://mask.test/webhooks/plivo/sms?{TEXT}");
        for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
            match only(webhook, &request(Method::GET, &url, &[], b"")) {
                Ok(ProviderEvent::Text(text)) => assert_eq!(text.body, read(TEXT).body),
                other => panic!("{webhook:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn reads_pictures_in_both_numberings() {
        let mms = "From=%2B14155550111&To=%2B14155550100&Body=Red+hat&Type=mms&Text=&MessageUUID=1\
            &MediaCount=2&Media10=https://m.example/10&Media2=javascript:alert(1)";
        let text = read(&format!("{mms}&Media1=https://m.example/1&Media0=https://m.example/0"));
        assert_eq!(text.body.expose(), "Red hat");
        assert_eq!(text.media, ["https://m.example/0", "https://m.example/1"]);
        assert_eq!(read(mms).media, ["https://m.example/10"]);
        for count in ["", "0", "-1", "many", "99999999999999999999999"] {
            let mms = format!(
                "From=14155550111&MessageUUID=1&MediaCount={count}&Media1=https://m.example/1&Media=https://m.example/x&Media+3=https://m.example/3&Media999=https://m.example/999"
            );
            assert_eq!(read(&mms).media, ["https://m.example/1"], "{count}");
        }
    }

    #[test]
    fn words_that_plivo_answers_are_marked() {
        for intent in ["optout", "optin", "help", "another"] {
            assert!(read(&TEXT.replace("MessageIntent=", &format!("MessageIntent={intent}"))).keyword, "{intent}");
        }
    }

    #[test]
    fn keys_hold_no_phone_and_no_words() {
        for id in ["14155550111", "see you at eight", "14155550111-14155550100-14155550111-"] {
            let text = read(&format!("From=14155550111&MessageUUID={id}"));
            assert_eq!(text.key.len(), 64, "{id}");
        }
    }

    /// One signature is valid for both, because a form is signed with nothing between names and values: see [`key`].
    #[test]
    fn a_text_that_is_cut_anew_is_no_second_one() {
        let id = read(TEXT).key;
        for more in ["PowerpackUUID", "0", "-"] {
            assert_eq!(read(&TEXT.replace(&id, &format!("{id}{more}"))).key, id, "{more}");
        }
    }

    #[test]
    fn a_name_with_two_values_says_nothing() {
        let twice = "MessageUUID=1&To=14155550100&From=14155550111&From=14155550112&Text=x";
        assert_eq!(read(twice).from, CallerId::Hidden);
        assert_eq!(read("MessageUUID=1&From=&From=14155550111&From=14155550111").from, read(TEXT).from);
    }

    #[test]
    fn a_text_between_nobody_is_malformed() {
        for body in
            ["", "Text=hello", "From=14155550111&To=14155550100&Text=hello", "MessageUUID=1&From=&To=&Text=hello"]
        {
            assert!(only(WebhookKind::Sms, &post("https://mask.test/", body)).is_err(), "{body}");
        }
    }

    const REPORT: &str = "MessageUUID=db3ce55a-7f1d-11e1-8ea7-1231380bc196&From=14155550100&To=14155550111&Type=sms\
        &Units=1&TotalRate=0.00350&TotalAmount=0.00350&MCC=310&MNC=150&ParentMessageUUID=db3ce55a-7f1d-11e1-8ea7-1231380bc196\
        &PartInfo=1+of+1&MessageTime=2026-11-21+12:00:00.000000&ref=mk_9";

    fn news(query: &str, more: &str) -> Option<DeliveryReport> {
        let request = post(&format!("https://mask.test/webhooks/plivo/status?{query}"), &format!("{REPORT}&{more}"));
        match only(WebhookKind::Status, &request) {
            Ok(ProviderEvent::Report(report)) => Some(report),
            Ok(ProviderEvent::Ignored) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_reports() {
        for (status, state) in [
            ("sent", PartState::Sent),
            ("delivered", PartState::Delivered),
            ("read", PartState::Delivered),
            ("undelivered", PartState::Undelivered),
            ("failed", PartState::Undelivered),
            ("rejected", PartState::Undelivered),
        ] {
            let news = news("ref=mk_1", &format!("Status={status}&ErrorCode=200")).expect(status);
            assert_eq!((news.reference.as_str(), news.state), ("mk_1", state));
            let code = news.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("200"), "{status}");
        }
    }

    #[test]
    fn reads_a_report_by_get() {
        let url = format!("https://mask.test/webhooks/plivo/status?ref=mk_1&{REPORT}&Status=delivered&Sequence=2");
        match only(WebhookKind::Status, &request(Method::GET, &url, &[], b"")) {
            Ok(ProviderEvent::Report(report)) => assert_eq!(report.reference, "mk_1", "the first is ours"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reports_of_no_interest_are_ignored() {
        for status in ["queued", "Delivered", "teleported"] {
            assert!(news("ref=mk_1", &format!("Status={status}")).is_none(), "{status}");
        }
        let too_long = format!("ref={}", "x".repeat(41));
        for query in ["", "ref=", "ref=for+somebody+else", "reference=mk_1", &too_long] {
            assert!(news(query, "Status=delivered").is_none(), "{query}: the form's own `ref` does not count");
        }
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |query, more| news(query, more).expect("a report").key;
        let sent = key("ref=mk_1", "Status=sent&Sequence=1");
        assert_eq!(sent, key("ref=mk_1", "Status=sent&Sequence=1"));
        for (query, more) in [
            ("ref=mk_1", "Status=delivered&Sequence=1"),
            ("ref=mk_1", "Status=sent&Sequence=2"),
            ("ref=mk_2", "Status=sent&Sequence=1"),
        ] {
            assert_ne!(sent, key(query, more), "{query} {more}");
        }
    }

    #[test]
    fn the_unknown_is_ignored() {
        for body in ["", "Event=Teleported&CallUUID=1", "x=y", "%00=%ff"] {
            let event = only(WebhookKind::Status, &post("https://mask.test/?ref=mk_1", body));
            assert!(matches!(event, Ok(ProviderEvent::Ignored)), "{body}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_requests_never_panic_and_never_get_into_a_key(
            pairs in proptest::collection::vec((
                "MessageUUID|CallUUID|From|To|Text|Status|Event|DialAction|DialStatus|DialBLegDuration|Media[0-9]{0,4}|MediaCount|\\PC{0,4}",
                "answer|hangup|completed|busy|sent|StartApp|Hangup|[0-9+-]{0,20}|\\PC{0,20}"
            ), 0..8),
            noise in proptest::collection::vec(any::<u8>(), 0..20), query in "(ref=mk_1|\\PC{0,40})", get in any::<bool>()
        ) {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let body = [form.as_bytes(), &noise].concat();
            let (method, body) = if get { (Method::GET, &[][..]) } else { (Method::POST, &body[..]) };
            let request = request(method, &format!("https://x.example/?{query}&{form}"), &[("content-type", FORM)], body);
            for webhook in [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status] {
                for event in parse(webhook, &request).unwrap_or_default() {
                    let keys = match event {
                        ProviderEvent::Text(text) => vec![text.key],
                        ProviderEvent::Call(call) => vec![call.key],
                        ProviderEvent::Report(report) => vec![report.key],
                        ProviderEvent::CallReport(report) => vec![report.key, report.call_key],
                        ProviderEvent::Ignored | ProviderEvent::Unreadable(_) => vec![],
                    };
                    for key in keys {
                        prop_assert!(matches!(key.len(), 36 | 64));
                        prop_assert!(key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
                    }
                }
            }
        }

        #[test]
        fn any_words_come_through(words in "\\PC{1,60}") {
            let pairs = [("From", "14155550111"), ("MessageUUID", "1"), ("Text", words.as_str())];
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let text = read(&form);
            prop_assert_eq!(text.body.expose(), &words);
        }
    }
}
