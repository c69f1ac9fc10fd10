//! Calls: Telnyx reports them as forms ("Calls", "Call results"), and the adapter answers with XML ("Call flows").
//!
//! A call has two legs. `CallSid` names the caller's leg when TeXML asks what to do, and `ParentCallSid` names it in
//! events of the leg to the other party. So in every form the caller's call is `ParentCallSid` if there is one, and
//! otherwise `CallSid`.

use chrono::DateTime;
use http::StatusCode;

use crate::{
    domain::{
        call::{CallFlow, CallStatus, RING_SECONDS, TALK_SECONDS},
        clock::Time,
        contact::{CallReport, CallerId, InboundCall, ProviderEvent},
        hex::is_uuid,
        phone::PhoneNumber,
    },
    provider::{
        Malformed, WebhookResponse,
        wire::{self, Element},
    },
};

/// Fallback for an unknown language.
const FALLBACK_LOCALE: &str = "en-GB";

/// The fields of a form.
struct Form(Vec<(String, String)>);

impl Form {
    /// Returns a field; empty if there is none.
    fn get(&self, name: &str) -> &str {
        wire::value(&self.0, name).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}

/// Reads a form. It is a call event if it has one of three fields that a request for a call flow never has, or if the
/// call is over: then nobody waits for an answer, and no answer may name a number.
pub(super) fn parse(body: &[u8]) -> Result<ProviderEvent, Malformed> {
    let form = Form(wire::form_pairs(body));
    let is_over = form.has("CallSid") && ending(form.get("CallStatus")).is_some();
    if is_over || ["DialCallStatus", "ParentCallSid", "CallbackSource"].iter().any(|name| form.has(name)) {
        return Ok(news(&form).map_or(ProviderEvent::Ignored, ProviderEvent::CallReport));
    }
    if form.has("CallSid") && (form.has("From") || form.has("To")) {
        return Ok(ProviderEvent::Call(call(body)));
    }
    Err(Malformed("neither an event nor a call"))
}

/// Reads a call whose caller waits for our answer. Never fails, whatever is missing.
pub(super) fn call(body: &[u8]) -> InboundCall {
    let form = Form(wire::form_pairs(body));
    let own = Some(form.get("CallSid")).filter(|id| !id.is_empty());
    InboundCall {
        key: own.map_or_else(|| wire::sha256_hex(body), key),
        from: CallerId::from_wire(&undashed(form.get("From"))),
        to: PhoneNumber::from_wire(&undashed(form.get("To"))).ok(),
    }
}

/// Removes dashes, which one example in the documents has in its numbers. See "Calls".
fn undashed(number: &str) -> String {
    number.replace('-', "")
}

/// Reads a call event. `None` for one that does not concern the progress of a call, such as its cost.
///
/// - `DialCallStatus` is present when `Dial` is over and the caller waits. The leg's own events report the same.
/// - With `ParentCallSid` it is the other party's leg.
/// - Otherwise it is the caller's own leg, of which only the end counts: it is answered as soon as our call flow
///   speaks.
fn news(form: &Form) -> Option<CallReport> {
    let caller_waits = form.has("DialCallStatus");
    if !caller_waits && !matches!(form.get("CallbackSource"), "" | "call-progress-events") {
        return None;
    }
    let (parent, own) = (form.get("ParentCallSid"), form.get("CallSid"));
    let (leg, word, seconds, status) = if caller_waits {
        // Whatever the status is, the dial has ended.
        let word = form.get("DialCallStatus");
        ("dial", word, form.get("DialCallDuration"), ending(word).unwrap_or(CallStatus::Cancelled))
    } else if parent.is_empty() {
        let word = form.get("CallStatus");
        ("caller", word, "", ending(word).map(|_| CallStatus::Cancelled)?)
    } else {
        let word = form.get("CallStatus");
        ("callee", word, form.get("CallDuration"), progress(word).or(ending(word))?)
    };
    Some(CallReport {
        key: wire::digest_key(&[leg, parent, own, word]),
        call_key: key(if parent.is_empty() { own } else { parent }),
        status,
        duration_s: seconds.parse::<u32>().ok().map(i64::from).filter(|_| status == CallStatus::Completed),
        at: time(form.get("Timestamp")),
        caller_waits,
    })
}

fn progress(word: &str) -> Option<CallStatus> {
    wire::twiml_status(word).filter(|status| !status.is_ending())
}

fn ending(word: &str) -> Option<CallStatus> {
    wire::twiml_status(word).filter(|status| status.is_ending())
}

/// Keeps the documented ids of a call: `v3:` and 40 bytes in base64url, or a UUID ("Calls"). Keys are stored
/// unencrypted, so anything else is hashed.
fn key(id: &str) -> String {
    let is_base64url = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let documented = is_uuid(id) || id.strip_prefix("v3:").is_some_and(|rest| rest.len() == 54 && is_base64url(rest));
    wire::stored_id(id, documented)
}

/// Parses a time. The documents name RFC 2822 but show RFC 3339, sometimes with a space in the middle.
fn time(text: &str) -> Option<Time> {
    let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    time.ok().map(|time| time.to_utc())
}

pub(super) fn call_flow(flow: &CallFlow, report_url: &str) -> WebhookResponse {
    let response = Element::new("Response");
    document(&match flow {
        CallFlow::Connect { to, caller_id } => {
            let number = Element::new("Number")
                .with("statusCallback", report_url)
                .with("statusCallbackMethod", "POST")
                .with("statusCallbackEvent", "ringing answered completed")
                .text(to.expose());
            // With `answerOnBridge` the caller's call keeps ringing until the other party picks up. The displayed name
            // is said to default to `callerId`. The adapter sets it, so that the caller's name never shows.
            let dial = Element::new("Dial")
                .with("callerId", caller_id.expose())
                .with("fromDisplayName", caller_id.expose())
                .with("timeout", RING_SECONDS)
                .with("timeLimit", TALK_SECONDS)
                .with("answerOnBridge", true)
                .with("action", report_url)
                .with("method", "POST");
            response.child(&dial.child(&number))
        }
        // The default voice, `man`, speaks American English whatever the language.
        CallFlow::Announce { text, language } => {
            let language = wire::spoken(&wire::ALICE, language).unwrap_or(FALLBACK_LOCALE);
            let say = Element::new("Say").with("voice", "alice").with("language", language);
            response.child(&say.text(text)).child(&Element::new("Hangup"))
        }
        CallFlow::HangUp => response.child(&Element::new("Hangup")),
    })
}

/// Renders a call flow that does nothing.
pub(super) fn nothing() -> WebhookResponse {
    document(&Element::new("Response"))
}

fn document(root: &Element) -> WebhookResponse {
    wire::answer(StatusCode::OK, "application/xml", root.document())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::{Reader, events::Event};

    use super::*;
    use crate::provider::{
        telnyx::tests::{REPORT_URL, phone},
        testing::announcement,
    };

    const CALLER: &str = "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ";
    const CALLEE: &str = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg";
    /// The fields of a request for a call flow, as "Calls" describes them.
    const FETCH: &[(&str, &str)] = &[
        ("AccountSid", "f5586561-8ff0-4291-a51b-c7dfe4139ff9"),
        ("CallSid", CALLER),
        ("CallSidLegacy", "fcc47bc6-e428-11ed-ad79-02420aef00b4"),
        ("CallerId", "+31687654321"),
        ("CallingPartyType", "pstn"),
        ("From", "+31687654321"),
        ("FromSipUri", "+31687654321@10.239.182.10"),
        ("To", "+3197010200001"),
        ("ToSipUri", "+3197010200001@sip.telnyx.com"),
        ("ConnectionId", "1568109700606592442"),
        ("CallStatus", "ringing"),
    ];

    /// Encodes `fields` as a form; the later ones win.
    fn form(fields: &[&[(&str, &str)]]) -> Vec<u8> {
        let mut merged: Vec<(&str, &str)> = Vec::new();
        for (name, value) in fields.concat() {
            merged.retain(|(known, _)| *known != name);
            merged.push((name, value));
        }
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(merged).finish().into_bytes()
    }

    fn fetched(more: &[(&str, &str)]) -> InboundCall {
        match parse(&form(&[FETCH, more])) {
            Ok(ProviderEvent::Call(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    fn told(fields: &[(&str, &str)]) -> Option<CallReport> {
        match parse(&form(&[FETCH, fields])) {
            Ok(ProviderEvent::CallReport(report)) => Some(report),
            Ok(ProviderEvent::Ignored) => None,
            other => panic!("{other:?}"),
        }
    }

    const OF_CALLEE: [(&str, &str); 4] = [
        ("CallSid", CALLEE),
        ("ParentCallSid", CALLER),
        ("CallbackSource", "call-progress-events"),
        ("Timestamp", "2026-11-21T12:00:50Z"),
    ];

    fn callee(more: &[(&str, &str)]) -> Option<CallReport> {
        told(&[&OF_CALLEE, more].concat())
    }

    #[test]
    fn reads_a_call() {
        let call = fetched(&[]);
        assert_eq!(call.key, CALLER);
        assert_eq!((call.from, call.to), (CallerId::Phone(phone("31687654321")), Some(phone("3197010200001"))));
        let dashed = fetched(&[("From", "+1-202-555-0133"), ("CallSid", "fcc47bc6-e428-11ed-ad79-02420aef00b4")]);
        assert_eq!(dashed.from, CallerId::Phone(phone("12025550133")));
        assert_eq!(dashed.key, "fcc47bc6-e428-11ed-ad79-02420aef00b4");
        for hidden in ["anonymous", "", "sip:31687654321@example.com", "+266696687"] {
            assert_eq!(fetched(&[("From", hidden)]).from, CallerId::Hidden, "{hidden}");
        }
        let bare = super::call(b"");
        assert_eq!((bare.key.len(), bare.from, bare.to), (64, CallerId::Hidden, None));
        assert_eq!(super::call(b"From=%E9&To=%2B31\xe9").to, None);
    }

    #[test]
    fn odd_ids_are_hashed_the_same_way_everywhere() {
        for odd in [
            "+31612345678",
            "v3:short",
            "see you at eight",
            "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe+aiQ",
        ] {
            let call = fetched(&[("CallSid", odd)]);
            assert_eq!(call.key.len(), 64, "{odd}");
            let news = callee(&[("ParentCallSid", odd), ("CallStatus", "busy")]).expect("news");
            assert_eq!(news.call_key, call.key, "{odd}");
        }
    }

    #[test]
    fn the_other_partys_leg_says_how_it_went() {
        for (word, status) in [
            ("ringing", CallStatus::Ringing),
            ("in-progress", CallStatus::Answered),
            ("completed", CallStatus::Completed),
            ("busy", CallStatus::Busy),
            ("no-answer", CallStatus::NoAnswer),
            ("failed", CallStatus::Failed),
            ("canceled", CallStatus::Cancelled),
        ] {
            let news = callee(&[("CallStatus", word), ("CallDuration", "42")]).expect(word);
            assert_eq!((news.call_key.as_str(), news.status, news.caller_waits), (CALLER, status, false), "{word}");
            assert_eq!(news.duration_s, (status == CallStatus::Completed).then_some(42), "{word}");
            assert_eq!(news.at.map(|at| at.timestamp()), Some(1_795_262_450));
        }
        for (name, odd) in [("CallStatus", "initiated"), ("CallStatus", "teleported"), ("CallStatus", "")] {
            assert!(callee(&[(name, odd)]).is_none(), "{odd}");
        }
        let odd = callee(&[("CallStatus", "completed"), ("CallDuration", "-1"), ("Timestamp", "soon")]).expect("news");
        assert_eq!((odd.duration_s, odd.at), (None, None));
    }

    #[test]
    fn the_callers_leg_says_only_that_it_is_over() {
        let own =
            |word| told(&[("CallbackSource", "call-progress-events"), ("CallStatus", word), ("CallDuration", "60")]);
        for word in ["completed", "canceled", "no-answer", "busy", "failed"] {
            let news = own(word).expect(word);
            assert_eq!((news.call_key.as_str(), news.status, news.duration_s), (CALLER, CallStatus::Cancelled, None));
            assert!(!news.caller_waits);
        }
        for word in ["initiated", "ringing", "in-progress"] {
            assert!(own(word).is_none(), "{word}");
        }
        assert!(told(&[("CallbackSource", "call-cost-events"), ("CallStatus", "completed")]).is_none());
        assert!(callee(&[("CallbackSource", "call-cost-events"), ("CallStatus", "completed")]).is_none());
    }

    #[test]
    fn the_caller_waits_when_the_dial_is_over() {
        for (word, status, seconds) in [
            ("completed", CallStatus::Completed, Some(42)),
            ("busy", CallStatus::Busy, None),
            ("no-answer", CallStatus::NoAnswer, None),
            ("failed", CallStatus::Failed, None),
            ("canceled", CallStatus::Cancelled, None),
            ("teleported", CallStatus::Cancelled, None),
        ] {
            let dial = [("DialCallStatus", word), ("DialCallDuration", "42"), ("DialCallSid", CALLEE)];
            let progress = [("CallbackSource", "call-progress-events"), ("CallStatus", "in-progress")];
            let news = told(&dial).expect(word);
            assert_eq!((news.call_key.as_str(), news.status, news.duration_s), (CALLER, status, seconds), "{word}");
            assert!(news.caller_waits);
            assert!(told(&[dial.as_slice(), &progress].concat()).expect(word).caller_waits);
            let swapped = callee(&dial).expect(word);
            assert_eq!((swapped.call_key.as_str(), swapped.caller_waits), (CALLER, true), "under whichever name");
            let from_leg = callee(&[("CallStatus", word)]);
            assert!(from_leg.is_none_or(|from_leg| from_leg.key != news.key), "both count");
        }
    }

    #[test]
    fn a_call_that_is_over_is_no_call() {
        for word in ["completed", "canceled", "no-answer", "busy", "failed"] {
            let news = told(&[("CallStatus", word), ("CallDuration", "60")]).expect(word);
            assert_eq!(
                (news.call_key.as_str(), news.status, news.caller_waits),
                (CALLER, CallStatus::Cancelled, false)
            );
        }
        for word in ["ringing", "in-progress", "", "teleported"] {
            assert_eq!(fetched(&[("CallStatus", word)]).key, CALLER, "{word}");
        }
        let nameless = parse(b"CallStatus=completed&From=%2B31612345678");
        assert!(nameless.is_err(), "of which call?");
    }

    #[test]
    fn repeats_of_news_are_equal_and_further_news_differ() {
        let key = |more: &[(&str, &str)]| callee(more).expect("news").key;
        assert_eq!(key(&[("CallStatus", "ringing")]), key(&[("CallStatus", "ringing")]));
        assert_ne!(key(&[("CallStatus", "ringing")]), key(&[("CallStatus", "in-progress")]));
        assert_ne!(key(&[("CallStatus", "ringing")]), key(&[("CallStatus", "ringing"), ("CallSid", "other")]));
    }

    #[test]
    fn reads_times_in_three_ways() {
        for text in ["2026-11-21T12:00:50Z", "2026-11-21 12:00:50.731479Z", "Sat, 21 Nov 2026 12:00:50 +0000"] {
            assert_eq!(time(text).map(|at| at.timestamp()), Some(1_795_262_450), "{text}");
        }
        assert_eq!(time("2026-11-21T12:00:50"), None, "of which zone?");
    }

    #[test]
    fn what_is_neither_is_malformed() {
        for body in ["", "CallSid=x", "From=%2B31612345678", "a=b", "\u{0}"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    fn announced(text: &str) -> String {
        call_flow(&announcement(text, "en-GB"), REPORT_URL).body
    }

    #[test]
    fn writes_the_flows_of_the_fixtures() {
        let connect = CallFlow::Connect { to: phone("+31612345678"), caller_id: phone("+3197010200001") };
        let answer = call_flow(&connect, REPORT_URL);
        assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/xml"));
        assert_eq!(answer.body, include_str!("../../../tests/fixtures/providers/telnyx/connect.xml"));
        let words = r#"The driver says "wait" & <b>smiles</b>"#;
        assert_eq!(announced(words), include_str!("../../../tests/fixtures/providers/telnyx/announce.xml"));
        let hang_up = call_flow(&CallFlow::HangUp, REPORT_URL).body;
        assert_eq!(hang_up, include_str!("../../../tests/fixtures/providers/telnyx/hang-up.xml"));
        assert_eq!(nothing().body, r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
    }

    proptest! {
        #[test]
        fn no_announcement_becomes_markup(text in "([<&>\"'\\]]|\\PC){0,60}") {
            let document = announced(&text);
            let mut reader = Reader::from_str(&document);
            let mut names = Vec::new();
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Start(start) | Event::Empty(start) => names.push(start.name().as_ref().to_owned()),
                    Event::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(names, ["Response", "Say", "Hangup"]);
        }
    }
}
