//! Inbound calls, and reports on the calls that Maskline connects (see "Calls").
//!
//! A connected call has two legs: the caller's, whose `CallSid` is the key of all reports, and the other party's, which
//! names the caller's leg as `ParentCallSid`.

use chrono::DateTime;

use super::params::{Params, key};
use crate::{
    domain::{
        call::CallStatus,
        clock::Time,
        contact::{CallReport, CallerId, InboundCall, ProviderEvent},
        phone::PhoneNumber,
    },
    provider::{WebhookKind, wire},
};

/// Reads a request with a `CallSid`, or one that came to the voice address. At that address anything that is not a
/// known event is a call, because a caller may be waiting for the answer.
pub(super) fn event(webhook: WebhookKind, params: &Params) -> ProviderEvent {
    let status = params.value("CallStatus");
    let report = |report: Option<CallReport>| report.map_or(ProviderEvent::Ignored, ProviderEvent::CallReport);
    if params.has("DialCallStatus") {
        report(dial_ended(params))
    } else if params.has("ParentCallSid") && params.value("Direction") != "inbound" {
        report(other_leg(params, status))
    } else if params.has("CallSid") && wire::twiml_status(status).is_some_and(CallStatus::is_ending) {
        report(Some(caller_left(params, status)))
    } else if params.has("CallbackSource") {
        ProviderEvent::Ignored
    } else if webhook == WebhookKind::Voice || matches!(status, "queued" | "initiated" | "ringing" | "in-progress") {
        ProviderEvent::Call(call(params))
    } else {
        ProviderEvent::Ignored
    }
}

/// Reads a call. `From` may be `anonymous`, a SIP address, or digits that spell a word (see "Calls").
///
/// Twilio gives every call an id. A call without one is answered but not connected: it may be a repeat in which an
/// attacker has moved the boundaries between names and values, which the signature does not cover.
fn call(params: &Params) -> InboundCall {
    let (sid, to) = (params.value("CallSid"), PhoneNumber::from_wire(params.value("To")).ok());
    if sid.is_empty() {
        return InboundCall { key: wire::digest_key(&[&params.signed()]), from: CallerId::Hidden, to };
    }
    InboundCall { key: key(sid), from: CallerId::from_wire(params.value("From")), to }
}

/// Reads the `action` of our `Dial`: the other leg is over and the caller waits. It carries no time.
fn dial_ended(params: &Params) -> Option<CallReport> {
    let (sid, word) = (params.value("CallSid"), params.value("DialCallStatus"));
    let status = wire::twiml_status(word)?;
    Some(CallReport {
        key: wire::digest_key(&["dial", sid, params.value("DialCallSid"), word]),
        call_key: key(sid),
        status,
        duration_s: seconds(params, "DialCallDuration", status),
        at: None,
        caller_waits: true,
    })
}

/// Reads an event of the other party's leg. It begins when they pick up, so its duration is how long the two talked.
fn other_leg(params: &Params, word: &str) -> Option<CallReport> {
    let status = wire::twiml_status(word)?;
    Some(CallReport {
        key: wire::digest_key(&[params.value("CallSid"), word]),
        call_key: key(params.value("ParentCallSid")),
        status,
        duration_s: seconds(params, "CallDuration", status),
        at: time(params),
        caller_waits: false,
    })
}

/// Reads the end of the caller's own leg, which Twilio reports if the number has a `StatusCallback`. However it ended,
/// it says nothing about the other party.
fn caller_left(params: &Params, word: &str) -> CallReport {
    let sid = params.value("CallSid");
    CallReport {
        key: wire::digest_key(&[sid, word]),
        call_key: key(sid),
        status: CallStatus::Cancelled,
        duration_s: None,
        at: time(params),
        caller_waits: false,
    }
}

fn seconds(params: &Params, name: &str, status: CallStatus) -> Option<i64> {
    let seconds: u32 = params.value(name).parse().ok()?;
    (status == CallStatus::Completed).then_some(seconds.into())
}

/// Parses `Timestamp`: RFC 2822 in UTC (see "Calls").
fn time(params: &Params) -> Option<Time> {
    DateTime::parse_from_rfc2822(params.value("Timestamp")).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::provider::{
        WebhookRequest,
        twilio::{
            inbound::parse,
            tests::{form, request},
        },
    };

    const CALLER: &str = "CA1f0e8ae6ade43cb3c0ce4525424e404f";
    const OTHER: &str = "CA00000000000000000000000000000002";
    const ENDPOINTS: [WebhookKind; 3] = [WebhookKind::Sms, WebhookKind::Voice, WebhookKind::Status];

    /// The parameters under "Calls", for a call in this state.
    fn caller(status: &str) -> String {
        format!(
            "AccountSid=AC00000000000000000000000000000001&ApiVersion=2010-04-01&CallSid={CALLER}&CallStatus={status}\
             &Called=%2B3197010200001&CalledCity=&CalledCountry=NL&Caller=%2B31687654321&CallToken=%7B%22a%22%3A1%7D\
             &Direction=inbound&From=%2B31687654321&FromCity=&StirVerstat=TN-Validation-Passed-A&To=%2B3197010200001"
        )
    }

    fn other(status: &str, more: &str) -> String {
        format!(
            "AccountSid=AC00000000000000000000000000000001&ApiVersion=2010-04-01&CallSid={OTHER}&ParentCallSid={CALLER}\
             &CallStatus={status}&Direction=outbound-dial&From=%2B3197010200001&To=%2B31612345678&SequenceNumber=1\
             &CallbackSource=call-progress-events&Timestamp=Sat%2C+21+Nov+2026+12%3A00%3A50+%2B0000{more}"
        )
    }

    fn at(webhook: WebhookKind, request: &WebhookRequest) -> ProviderEvent {
        let [event] = parse(webhook, request).expect("an event").try_into().expect("one event");
        event
    }

    /// Reads the same event at every webhook.
    fn news(body: &str) -> Option<CallReport> {
        let [first, ..] = ENDPOINTS.map(|webhook| match at(webhook, &form(body)) {
            ProviderEvent::CallReport(report) => Some(report),
            ProviderEvent::Ignored => None,
            other => panic!("{other:?}"),
        });
        first
    }

    fn answered(webhook: WebhookKind, body: &str) -> InboundCall {
        match at(webhook, &form(body)) {
            ProviderEvent::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_a_call_wherever_and_however_it_comes() {
        let (from, to) = (PhoneNumber::from_wire("+31687654321"), PhoneNumber::from_wire("+3197010200001"));
        for webhook in ENDPOINTS {
            for status in ["ringing", "in-progress", "queued", "initiated"] {
                let call = answered(webhook, &caller(status));
                assert_eq!(call.key, CALLER);
                assert_eq!((call.from.phone().cloned(), call.to), (from.clone().ok(), to.clone().ok()));
            }
        }
        let got = request(Method::GET, &format!("https://x.example/?{}", caller("ringing")), &[], b"");
        assert!(matches!(at(WebhookKind::Voice, &got), ProviderEvent::Call(call) if call.key == CALLER));
    }

    #[test]
    fn whoever_may_be_on_the_line_is_answered() {
        for odd in [
            String::new(),
            "CallStatus=completed".to_owned(),
            "CallSid=1&From=anonymous".to_owned(),
            caller("ringing").replace("%2B31687654321", "unknown"),
            caller("").replace("%2B3197010200001", "sip%3Ax%40example.com"),
            caller("a+word+of+tomorrow"),
            format!("{}&ParentCallSid={OTHER}", caller("ringing")),
            format!("{}&ErrorCode=11200&ErrorUrl=https%3A%2F%2Fx.example%2F", caller("ringing")),
        ] {
            assert!(!answered(WebhookKind::Voice, &odd).key.is_empty(), "{odd}");
        }
        let json = request(Method::POST, "https://x.example/", &[("content-type", "application/json")], b"{}");
        assert!(matches!(at(WebhookKind::Voice, &json), ProviderEvent::Call(_)));
        assert!(matches!(at(WebhookKind::Status, &form(&caller("a+word+of+tomorrow"))), ProviderEvent::Ignored));
    }

    /// An attacker who repeats a signed call can move the boundaries, because nothing separates names and values.
    #[test]
    fn a_call_that_is_cut_anew_is_no_second_one() {
        let signed = |body: &str| Params::of_request(&form(body)).signed();
        let longer = caller("ringing").replace("&CallStatus=ringing", "CallStatusringing");
        let nameless = caller("ringing").replace("CallSid=CA", "CallSi=dCA");
        for anew in [&longer, &nameless] {
            assert_eq!(signed(anew), signed(&caller("ringing")), "the same signature");
        }
        assert_eq!(answered(WebhookKind::Voice, &longer).key, CALLER);
        let call = answered(WebhookKind::Voice, &nameless);
        assert_eq!(call.from, CallerId::Hidden, "a call without an id reaches nobody");
    }

    #[test]
    fn hidden_callers_are_hidden() {
        for word in [
            "anonymous",
            "unknown",
            "",
            "%2B266696687",
            "%2B7378742833",
            "%2B86282452253",
            "sip%3A31687654321%40example.com",
            "client%3A31687654321",
        ] {
            let call = answered(WebhookKind::Voice, &caller("ringing").replace("%2B31687654321", word));
            assert_eq!(call.from, CallerId::Hidden, "{word}");
        }
    }

    fn told(body: &str) -> Option<(CallStatus, Option<i64>, bool, bool)> {
        news(body).map(|news| {
            assert_eq!(news.call_key, CALLER);
            (news.status, news.duration_s, news.at.is_some(), news.caller_waits)
        })
    }

    #[test]
    fn the_other_leg_says_how_it_went() {
        use CallStatus::{Answered, Busy, Cancelled, Completed, Failed, NoAnswer, Ringing};
        for (word, status) in [
            ("ringing", Ringing),
            ("in-progress", Answered),
            ("completed", Completed),
            ("busy", Busy),
            ("no-answer", NoAnswer),
            ("failed", Failed),
            ("canceled", Cancelled),
        ] {
            let duration = (status == Completed).then_some(42);
            assert_eq!(
                told(&other(word, "&CallDuration=42&Duration=1")),
                Some((status, duration, true, false)),
                "{word}"
            );
        }
        for word in ["queued", "initiated", "", "teleported"] {
            assert_eq!(told(&other(word, "")), None, "{word}");
        }
        let at = news(&other("in-progress", "")).and_then(|news| news.at);
        assert_eq!(at.map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-21T12:00:50+00:00"));
    }

    #[test]
    fn odd_durations_and_times_are_left_out() {
        for odd in ["", "&CallDuration=", "&CallDuration=-1", "&CallDuration=1.5", "&CallDuration=99999999999999999999"]
        {
            assert_eq!(told(&other("completed", odd)), Some((CallStatus::Completed, None, true, false)), "{odd}");
        }
        for odd in ["", "Sun%2C+21+Nov+2026+12%3A00%3A50+%2B0000", "2026-11-21T12:00:50Z", "%2B31612345678"] {
            let body = other("busy", "").replace("Sat%2C+21+Nov+2026+12%3A00%3A50+%2B0000", odd);
            assert_eq!(told(&body), Some((CallStatus::Busy, None, false, false)), "{odd}");
        }
    }

    #[test]
    fn a_dial_that_ended_leaves_the_caller_waiting() {
        use CallStatus::{Answered, Busy, Cancelled, Completed, Failed, NoAnswer};
        for (word, status) in [
            ("completed", Completed),
            ("answered", Answered),
            ("busy", Busy),
            ("no-answer", NoAnswer),
            ("failed", Failed),
            ("canceled", Cancelled),
        ] {
            let body = format!(
                "{}&DialCallStatus={word}&DialCallSid={OTHER}&DialCallDuration=42&DialBridged=true",
                caller("in-progress")
            );
            assert_eq!(told(&body), Some((status, (status == Completed).then_some(42), false, true)), "{word}");
        }
        assert_eq!(told(&format!("{}&DialCallStatus=teleported", caller("in-progress"))), None);
    }

    #[test]
    fn the_end_of_the_callers_leg_is_no_more_than_that() {
        for word in ["completed", "busy", "no-answer", "failed", "canceled"] {
            let body = format!(
                "{}&CallDuration=50&Duration=1&Timestamp=Sat%2C+21+Nov+2026+12%3A01%3A00+%2B0000",
                caller(word)
            );
            assert_eq!(told(&body), Some((CallStatus::Cancelled, None, true, false)), "{word}");
            let body = format!("{body}&CallbackSource=call-progress-events&SequenceNumber=3");
            assert_eq!(told(&body), Some((CallStatus::Cancelled, None, true, false)), "{word}");
        }
        let progress = format!("{}&CallbackSource=call-progress-events&SequenceNumber=1", caller("in-progress"));
        assert_eq!(told(&progress), None);
    }

    #[test]
    fn recordings_are_ignored() {
        let recording = format!("CallSid={CALLER}&RecordingSid=RE1&RecordingStatus=completed&RecordingSource=DialVerb");
        assert!(matches!(at(WebhookKind::Status, &form(&recording)), ProviderEvent::Ignored));
    }

    #[test]
    fn repeats_are_equal_and_news_differ() {
        let key = |body: &str| news(body).expect("a report").key;
        let completed = key(&other("completed", "&CallDuration=42"));
        assert_eq!(completed, key(&other("completed", "&CallDuration=42&SequenceNumber=1")));
        let others = [
            key(&other("in-progress", "")),
            key(&caller("completed")),
            key(&format!("{}&DialCallStatus=completed&DialCallSid={OTHER}", caller("completed"))),
            key(&other("completed", "").replace(OTHER, "CA00000000000000000000000000000003")),
        ];
        assert!(!others.contains(&completed));
    }
}
