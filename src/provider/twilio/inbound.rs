//! Reads verified webhooks: texts and delivery reports (see "Inbound texts" and "Delivery reports"). `calls` reads
//! calls.
//!
//! The content decides, because an operator may enter any of our addresses for anything. The address is only a
//! fallback.

use super::{
    account::PROFILE,
    calls,
    params::{Params, key},
};
use crate::{
    domain::{
        contact::{CallerId, DeliveryReport, InboundText, ProviderEvent},
        message::{PartState, ProviderCode},
        phone::PhoneNumber,
        text::MessageText,
    },
    provider::{Malformed, WebhookKind, WebhookRequest, wire},
};

/// Query parameter with our reference in the address for reports: messages have no field for it (see "Sending a text").
pub(super) const REFERENCE: &str = "ref";

/// Reads a request. Every call has a `CallSid`. A request without one at the voice address is still a call, unless it
/// is a text, because a caller may be on the line.
pub(super) fn parse(webhook: WebhookKind, request: &WebhookRequest) -> Result<Vec<ProviderEvent>, Malformed> {
    let params = Params::of_request(request);
    let is_call = params.has("CallSid") || (webhook == WebhookKind::Voice && message_sid(&params).is_empty());
    let event = if is_call {
        calls::event(webhook, &params)
    } else {
        match (status(&params), webhook) {
            ("", WebhookKind::Status) => ProviderEvent::Ignored,
            ("" | "receiving" | "received", _) => ProviderEvent::Text(text(&params)?),
            (status, _) => report(request, &params, status).map_or(ProviderEvent::Ignored, ProviderEvent::Report),
        }
    };
    Ok(vec![event])
}

/// Returns the id of a text. The two deprecated names are copies of the first (see "Inbound texts").
fn message_sid(params: &Params) -> &str {
    first(params, &["MessageSid", "SmsSid", "SmsMessageSid"])
}

/// Returns the status of a text. Inbound texts have only `SmsStatus`, reports have both.
fn status(params: &Params) -> &str {
    first(params, &["MessageStatus", "SmsStatus"])
}

fn first<'a>(params: &'a Params, names: &[&str]) -> &'a str {
    names.iter().map(|name| params.value(name)).find(|value| !value.is_empty()).unwrap_or_default()
}

/// Reads a text. Other channels prefix their addresses (`whatsapp:+1...`), which are not phones and match no ride.
///
/// Twilio gives every text an id. A text without one is a repeat in which an attacker has moved the boundaries between
/// names and values, which the signature does not cover.
fn text(params: &Params) -> Result<InboundText, Malformed> {
    if !params.has("From") && !params.has("To") {
        return Err(Malformed("neither a sender nor a recipient"));
    }
    let sid = message_sid(params);
    if sid.is_empty() {
        return Err(Malformed("no id of a message"));
    }
    let media = (0..PROFILE.media_limit).filter_map(|nth| wire::web_address(params.value(&format!("MediaUrl{nth}"))));
    Ok(InboundText {
        key: key(sid),
        from: CallerId::from_wire(params.value("From")),
        to: PhoneNumber::from_wire(params.value("To")).ok(),
        others: Vec::new(),
        body: MessageText::from_wire(params.value("Body")),
        media: media.collect(),
        // Only Advanced Opt-Out sets it. The default handling replies as well, but leaves the text unmarked (see
        // "Opt-outs").
        keyword: matches!(params.value("OptOutType"), "STOP" | "START" | "HELP"),
    })
}

/// Reads a delivery report. `None` without a reference that can be ours, and for an intermediate or undocumented
/// status.
fn report(request: &WebhookRequest, params: &Params, status: &str) -> Option<DeliveryReport> {
    let query = wire::form_pairs(request.query().as_bytes());
    let reference = wire::value(&query, REFERENCE).filter(|reference| wire::is_reference(reference))?;
    let state = match status {
        "sent" => PartState::Sent,
        "delivered" | "read" => PartState::Delivered,
        "undelivered" | "failed" | "canceled" => PartState::Undelivered,
        _ => return None,
    };
    Some(DeliveryReport {
        key: wire::digest_key(&[message_sid(params), reference, status]),
        reference: reference.to_owned(),
        state,
        code: ProviderCode::of(params.value("ErrorCode")).filter(|_| state == PartState::Undelivered),
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::twilio::tests::{FORM, form, request};

    const ENDPOINTS: [WebhookKind; 3] = [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status];

    /// The parameters of a sample in the SDK's tests, with our own text (see "Inbound texts").
    const TEXT: &str = "ToCountry=NL&ToState=&SmsMessageSid=SM1f0e8ae6ade43cb3c0ce4525424e404f&NumMedia=0&ToCity=\
        &FromZip=94103&SmsSid=SM1f0e8ae6ade43cb3c0ce4525424e404f&FromState=CA&SmsStatus=received\
        &FromCity=SAN+FRANCISCO&Body=On+my+way+%26+soon+%E2%98%BA&FromCountry=US&To=%2B3197010200001&ToZip=\
        &NumSegments=1&MessageSid=SM1f0e8ae6ade43cb3c0ce4525424e404f&AccountSid=AC00000000000000000000000000000001\
        &From=%2B14017122661&ApiVersion=2010-04-01";

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    fn at(webhook: WebhookKind, request: &WebhookRequest) -> ProviderEvent {
        let [event] = parse(webhook, request).expect("an event").try_into().expect("one event");
        event
    }

    fn text_of(body: &str) -> InboundText {
        match at(WebhookKind::Sms, &form(body)) {
            ProviderEvent::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_text_wherever_and_however_it_comes() {
        let got = request(Method::GET, &format!("https://x.example/?{TEXT}"), &[], b"");
        for request in [form(TEXT), got] {
            for webhook in ENDPOINTS {
                let ProviderEvent::Text(text) = at(webhook, &request) else { panic!("{webhook:?}") };
                assert_eq!(text.key, "SM1f0e8ae6ade43cb3c0ce4525424e404f");
                assert_eq!(text.from, CallerId::Phone(phone("14017122661")));
                assert_eq!(text.to, Some(phone("3197010200001")));
                assert_eq!(text.body.expose(), "On my way & soon \u{263a}");
                assert_eq!((text.media.len(), text.keyword), (0, false));
            }
        }
    }

    #[test]
    fn other_channels_are_no_phones() {
        let text = text_of("MessageSid=SM1&From=whatsapp%3A%2B14017122661&To=whatsapp%3A%2B3197010200001&Body=Hi");
        assert_eq!((text.from, text.to), (CallerId::Hidden, None));
        let text = text_of("MessageSid=SM1&From=Maskline&To=12345&Body=Hi");
        assert_eq!((text.from, text.to), (CallerId::Hidden, None), "a name and a short code");
    }

    #[test]
    fn media_are_web_addresses() {
        let text = text_of(
            "MessageSid=MM1&From=%2B14017122661&NumMedia=99999999999&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2FME0\
             &MediaContentType0=image%2Fjpeg&MediaUrl1=javascript%3Aalert(1)&MediaUrl2=nonsense&MediaUrl3=\
             &MediaUrl9=http%3A%2F%2Fapi.twilio.com%2FME9&MediaUrl10=https%3A%2F%2Fapi.twilio.com%2FME10",
        );
        assert_eq!(text.media, ["https://api.twilio.com/ME0", "http://api.twilio.com/ME9"]);
        assert!(text.body.expose().is_empty());
    }

    #[test]
    fn only_what_twilio_has_acted_on_is_a_keyword() {
        for (opt_out, keyword) in [("STOP", true), ("START", true), ("HELP", true), ("", false), ("stop", false)] {
            assert_eq!(text_of(&format!("{TEXT}&OptOutType={opt_out}")).keyword, keyword, "{opt_out}");
        }
        assert!(!text_of(&TEXT.replace("On+my+way", "STOP")).keyword, "the word alone says nothing");
    }

    #[test]
    fn what_says_nothing_is_malformed_or_ignored() {
        for body in [
            "",
            "MessageSid=SM1&Body=hello",
            "From=%2B31612345678&To=%2B3197010200001&Body=hello",
            "From=&To=&Body=hello",
            "a=1&a=2",
            "&&=&",
        ] {
            assert!(parse(WebhookKind::Sms, &form(body)).is_err(), "{body}");
            assert!(matches!(at(WebhookKind::Status, &form(body)), ProviderEvent::Ignored), "{body}");
        }
        let json = request(Method::POST, "https://x.example/", &[("content-type", "application/json")], b"{}");
        assert!(parse(WebhookKind::Sms, &json).is_err());
    }

    #[test]
    fn keys_hold_no_phone_and_no_words() {
        for sid in ["31612345678", "see you at eight", "%2B31612345678-31612345678-31612345"] {
            assert_eq!(text_of(&format!("From=%2B31612345678&MessageSid={sid}")).key.len(), 64, "{sid}");
        }
        assert_eq!(text_of("From=%2B31612345678&SmsSid=SM1f0e8ae6ade43cb3c0ce4525424e404f").key.len(), 34);
    }

    /// One signature is valid for all of these: see [`key`].
    #[test]
    fn a_text_that_is_cut_anew_is_no_second_one() {
        const SID: &str = "MessageSid=SM1f0e8ae6ade43cb3c0ce4525424e404f";
        let signed = |body: &str| Params::of_form(&form(body)).signed();
        let longer = TEXT.replace("&NumMedia=0", "").replace(&format!("&{SID}"), &format!("&{SID}NumMedia0"));
        assert_eq!((signed(&longer), text_of(&longer).key), (signed(TEXT), text_of(TEXT).key));
        let nameless = TEXT.replace("Sid=SM", "Si=dSM");
        assert_eq!(signed(&nameless), signed(TEXT));
        assert!(parse(WebhookKind::Sms, &form(&nameless)).is_err(), "a text without an id is none");
    }

    fn news(query: &str, body: &str) -> Option<DeliveryReport> {
        const REPORT: &str = "SmsSid=SM00000000000000000000000000000001&RawDlrDoneDate=2611211200&To=%2B31612345678\
            &MessageSid=SM00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000001\
            &From=%2B3197010200001&ApiVersion=2010-04-01";
        let url = format!("https://x.example/webhooks/twilio/status{query}");
        let posted = request(Method::POST, &url, &[("content-type", FORM)], format!("{REPORT}&{body}").as_bytes());
        let separator = if query.is_empty() { '?' } else { '&' };
        let got = request(Method::GET, &format!("{url}{separator}{REPORT}&{body}"), &[], b"");
        let [posted, got] = [posted, got].map(|request| {
            let events = ENDPOINTS.map(|webhook| match at(webhook, &request) {
                ProviderEvent::Report(report) => Some(report),
                ProviderEvent::Ignored => None,
                other => panic!("{other:?}"),
            });
            let [first, ..] = events;
            first
        });
        assert_eq!(posted.as_ref().map(|report| &report.key), got.as_ref().map(|report| &report.key), "{query} {body}");
        posted
    }

    #[test]
    fn reads_reports() {
        for (status, state) in [
            ("sent", PartState::Sent),
            ("delivered", PartState::Delivered),
            ("read", PartState::Delivered),
            ("undelivered", PartState::Undelivered),
            ("failed", PartState::Undelivered),
            ("canceled", PartState::Undelivered),
        ] {
            let body = format!("MessageStatus={status}&SmsStatus={status}&ErrorCode=30003");
            let news = news("?ref=m26_1", &body).expect(status);
            assert_eq!((news.reference.as_str(), news.state), ("m26_1", state));
            let code = news.code.as_ref().map(ProviderCode::as_str);
            assert_eq!(code, (state == PartState::Undelivered).then_some("30003"), "{status}");
        }
        assert!(news("?ref=m26_1", "SmsStatus=delivered").is_some(), "the older name alone");
        assert_eq!(news("?ref=m26_1", "MessageStatus=failed").expect("a report").code, None);
    }

    #[test]
    fn reports_of_no_interest_are_ignored() {
        for step in ["accepted", "scheduled", "queued", "sending", "partially_delivered", "teleported", "Delivered"] {
            assert!(news("?ref=m26_1", &format!("MessageStatus={step}")).is_none(), "{step}");
        }
        let too_long = format!("?ref={}", "x".repeat(41));
        for odd in ["", "?", "?ref", "?ref=", "?ref=for+somebody+else", "?ref=m26_1%00", "?reference=m26_1", &too_long]
        {
            assert!(news(odd, "MessageStatus=delivered").is_none(), "{odd}");
        }
        // Twilio writes the form of a report; only the query is ours.
        let posted = form("MessageSid=SM1&MessageStatus=delivered&ref=m26_1");
        assert!(matches!(at(WebhookKind::Status, &posted), ProviderEvent::Ignored));
    }

    #[test]
    fn repeats_of_a_report_are_equal_and_news_differ() {
        let key = |query, body| news(query, body).expect("a report").key;
        let sent = key("?ref=m26_1", "MessageStatus=sent");
        assert_eq!(sent, key("?ref=m26_1", "MessageStatus=sent&ErrorUrl=x"));
        assert_ne!(sent, key("?ref=m26_1", "MessageStatus=delivered"));
        assert_ne!(sent, key("?ref=m26_2", "MessageStatus=sent"));
    }

    fn params_or_noise() -> impl Strategy<Value = Vec<u8>> {
        const NAMES: [&str; 16] = [
            "From",
            "To",
            "Body",
            "MessageSid",
            "SmsSid",
            "MessageStatus",
            "SmsStatus",
            "ErrorCode",
            "MediaUrl0",
            "CallSid",
            "ParentCallSid",
            "CallStatus",
            "DialCallStatus",
            "CallDuration",
            "Timestamp",
            "Direction",
        ];
        let values = prop_oneof![
            "\\PC{0,20}",
            "\\+?[0-9]{5,16}",
            proptest::sample::select(vec!["completed", "ringing", "sent", "received"]).prop_map(str::to_owned),
        ];
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), values), 0..8).prop_map(|pairs| {
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
            }),
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_requests_never_panic_and_never_get_into_a_key(
            body in params_or_noise(), query in "(ref=)?\\PC{0,60}", get in any::<bool>()
        ) {
            let request = if get {
                request(Method::GET, &format!("https://x.example/?{}&{query}", String::from_utf8_lossy(&body)), &[], b"")
            } else {
                request(Method::POST, &format!("https://x.example/?{query}"), &[("content-type", FORM)], &body)
            };
            for webhook in ENDPOINTS {
                for event in parse(webhook, &request).unwrap_or_default() {
                    let keys = match event {
                        ProviderEvent::Text(text) => vec![text.key],
                        ProviderEvent::Call(call) => vec![call.key],
                        ProviderEvent::Report(report) => vec![report.key],
                        ProviderEvent::CallReport(report) => vec![report.key, report.call_key],
                        ProviderEvent::Ignored | ProviderEvent::Unreadable(_) => Vec::new(),
                    };
                    for key in keys {
                        prop_assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{}", key);
                    }
                }
            }
        }

        #[test]
        fn any_words_come_through(words in "\\PC{1,60}") {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            let body = body.extend_pairs([("MessageSid", "SM1"), ("From", "+31612345678"), ("Body", &words)]).finish();
            let text = text_of(&body);
            prop_assert_eq!(text.body.expose(), &words);
        }
    }
}
