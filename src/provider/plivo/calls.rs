//! Calls and their results. See "Calls" and "Call results".
//!
//! A call has two legs: A from the caller, B to the other party. The UUID of A is the key of the call. Plivo reports
//! the result three times: event by event to the `callbackUrl` of our `<Dial>`, to its `action` once it is over and the
//! caller is still there, and to the application's hangup URL when the caller has left.

use super::fields::{Fields, key};
use crate::{
    domain::{
        call::CallStatus,
        contact::{CallReport, CallerId, InboundCall},
    },
    provider::wire,
};

/// Whether this is an event of a call that we have already answered. An application without a hangup URL sends the end
/// of a call to the address that answers calls.
pub(super) fn is_news(fields: &Fields) -> bool {
    const NAMES: [&str; 7] = [
        "DialAction",
        "DialStatus",
        "DialBLegStatus",
        "HangupCause",
        "HangupCauseName",
        "HangupCauseCode",
        "HangupSource",
    ];
    NAMES.iter().any(|name| fields.has(name)) || fields.text("Event") == "Hangup"
}

/// Whether this is a new call, whatever address it came to.
pub(super) fn is_start(fields: &Fields) -> bool {
    fields.has("CallUUID") && fields.text("Event") == "StartApp"
}

/// Reads a call. Never fails: the waiting caller must hear something, whatever is missing.
///
/// Plivo gives every call an id. A call without one is answered but not connected: it may be a repeat in which an
/// attacker has moved the boundaries between names and values, which the signature does not cover.
pub(super) fn call(fields: &Fields) -> InboundCall {
    let to = fields.phone("To");
    match fields.get("CallUUID") {
        Some(id) => InboundCall { key: key(id), from: CallerId::from_wire(fields.text("From")), to },
        None => InboundCall { key: fields.digest(), from: CallerId::Hidden, to },
    }
}

/// Reads a call event. `None` for a pressed key and for undocumented values. Times have no zone, so none is read.
pub(super) fn report(fields: &Fields) -> Option<CallReport> {
    let call = fields.get("DialALegUUID").or(fields.get("CallUUID"))?;
    let (told, status, duration_s) = if let Some(result) = fields.get("DialStatus") {
        ("action", result_of_dial(result)?, None)
    } else if let Some(event) = fields.get("DialAction").or(fields.get("DialBLegStatus")) {
        let (status, duration_s) = match event {
            // The other party picked up, and was then joined to the caller.
            "answer" | "connected" => (CallStatus::Answered, None),
            "hangup" => end_of_other_leg(fields),
            _ => return None,
        };
        (event, status, duration_s)
    } else {
        ("end", CallStatus::Cancelled, None)
    };
    Some(CallReport {
        key: wire::digest_key(&[call, told, status.as_str(), fields.text("DialBLegUUID")]),
        call_key: key(call),
        status,
        duration_s,
        at: None,
        caller_waits: told == "action",
    })
}

/// Reads the result of `<Dial>`.
fn result_of_dial(word: &str) -> Option<CallStatus> {
    Some(match word {
        "completed" => CallStatus::Completed,
        "busy" => CallStatus::Busy,
        "no-answer" | "timeout" => CallStatus::NoAnswer,
        "failed" => CallStatus::Failed,
        "cancel" => CallStatus::Cancelled,
        _ => return None,
    })
}

/// Reads how the other party's leg ended, and how long the two talked.
///
/// Causes that explain why nobody talked come first. After them, a duration means a conversation, unless none of it is
/// billed: no source says whether the duration includes the ringing. A normal end without a conversation only shows
/// that the call is over: if the other party had picked up, an earlier event would have said so. Other causes are
/// failures.
fn end_of_other_leg(fields: &Fields) -> (CallStatus, Option<i64>) {
    let cause = (fields.text("DialBLegHangupCauseCode"), fields.text("DialBLegHangupCauseName").to_ascii_lowercase());
    let billed = fields.text("DialBLegBillDuration") != "0";
    let talked = fields.text("DialBLegDuration").parse().ok().filter(|seconds: &i64| *seconds > 0 && billed);
    let status = match (cause.0, cause.1.as_str()) {
        ("3010" | "3020", _) | (_, "busy line" | "rejected") => CallStatus::Busy,
        ("3000" | "6010", _) | (_, "no answer" | "ring timeout reached") => CallStatus::NoAnswer,
        _ if talked.is_some() => CallStatus::Completed,
        // Unknown; cancelled before the answer; a normal hangup.
        ("" | "0" | "1000" | "4000" | "4010", _) => CallStatus::Cancelled,
        _ => CallStatus::Failed,
    };
    (status, talked.filter(|_| status == CallStatus::Completed))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::{
        domain::{contact::ProviderEvent, phone::PhoneNumber},
        provider::{
            WebhookKind,
            plivo::{
                inbound::parse,
                tests::{FORM, request},
            },
        },
    };

    /// The fields of an inbound call, as "Calls" describes them.
    const CALL: &str = "CallUUID=97ceeb52-58b6-11e1-86da-77300b68f8bb&From=14155550111&To=14155550100&CallStatus=ringing\
        &Direction=inbound&Event=StartApp&ParentAuthID=MAXXXXXXXXXXXXXXXXXX&BillRate=0.0055&ForwardedFrom=\
        &SessionStart=2026-11-21+12%3A00%3A00.000000&RequestUUID=97ceeb52-58b6-11e1-86da-77300b68f8bb\
        &ALegUUID=97ceeb52-58b6-11e1-86da-77300b68f8bb&ALegRequestUUID=97ceeb52-58b6-11e1-86da-77300b68f8bb";
    const A: &str = "97ceeb52-58b6-11e1-86da-77300b68f8bb";

    fn event(webhook: WebhookKind, body: &str) -> ProviderEvent {
        let request = request(Method::POST, "https://mask.test/", &[("content-type", FORM)], body.as_bytes());
        parse(webhook, &request).expect("readable").remove(0)
    }

    fn called(webhook: WebhookKind, body: &str) -> InboundCall {
        match event(webhook, body) {
            ProviderEvent::Call(call) => call,
            other => panic!("no call: {other:?}"),
        }
    }

    #[test]
    fn reads_a_call_at_any_address_and_by_get() {
        for webhook in [WebhookKind::Voice, WebhookKind::Sms, WebhookKind::Status] {
            let call = called(webhook, CALL);
            assert_eq!(call.key, A);
            assert_eq!(call.from, CallerId::from_wire("14155550111"));
            assert_eq!(call.to, PhoneNumber::from_wire("14155550100").ok());
        }
        let got = request(Method::GET, &format!("https://mask.test/webhooks/plivo/voice?{CALL}"), &[], b"");
        assert!(matches!(parse(WebhookKind::Voice, &got).as_deref(), Ok([ProviderEvent::Call(call)]) if call.key == A));
    }

    #[test]
    fn a_caller_is_never_left_waiting() {
        for odd in ["", "x=y", "%ff=%00", "CallUUID=&From=&To=", "Event=NeverHeardOf&From=14155550111", "Status=sent"] {
            let call = called(WebhookKind::Voice, odd);
            assert_eq!((call.to, call.key.len()), (None, 64), "{odd}");
        }
        for hidden in
            ["anonymous", "Anonymous", "Restricted", "unknown", "sip%3Aalice%40phone.plivo.com", "%2B266696687"]
        {
            let call = called(WebhookKind::Voice, &format!("{CALL}x&From={hidden}").replace("From=14155550111", "x=y"));
            assert_eq!(call.from, CallerId::Hidden, "{hidden}");
        }
        let by_sip =
            called(WebhookKind::Voice, "CallUUID=31612345678&From=14155550111&To=sip%3A14155550100%40x.example");
        assert_eq!((by_sip.to, by_sip.key.len()), (None, 64), "no phone gets into a key");
    }

    #[test]
    fn a_call_without_an_id_reaches_nobody() {
        // Moved boundaries, which leave the signature valid.
        let nameless = called(WebhookKind::Voice, &CALL.replace("CallUUID=97", "CallUUI=D97"));
        assert_eq!(nameless.from, CallerId::Hidden);
        let longer = CALL.replace("&Direction=inbound", "").replace(A, &format!("{A}Directioninbound"));
        assert_eq!(called(WebhookKind::Voice, &longer).key, A);
    }

    fn told(body: &str) -> Option<CallReport> {
        match event(WebhookKind::Status, &format!("CallUUID={A}&From=14155550111&To=14155550100&{body}")) {
            ProviderEvent::CallReport(report) => Some(report),
            ProviderEvent::Ignored => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_action_says_what_the_dial_came_to() {
        for (word, status) in [
            ("completed", CallStatus::Completed),
            ("busy", CallStatus::Busy),
            ("no-answer", CallStatus::NoAnswer),
            ("timeout", CallStatus::NoAnswer),
            ("failed", CallStatus::Failed),
            ("cancel", CallStatus::Cancelled),
        ] {
            let body = format!(
                "Event=Redirect&DialStatus={word}&DialRingStatus=true&DialHangupCause=X&DialALegUUID={A}&DialBLegUUID="
            );
            let report = told(&body).expect(word);
            assert_eq!((report.status, report.duration_s, report.at), (status, None, None), "{word}");
            assert!(report.caller_waits && report.call_key == A);
        }
        assert!(told("DialStatus=teleported").is_none());
        let at_voice = event(WebhookKind::Voice, &format!("CallUUID={A}&DialStatus=busy"));
        assert!(matches!(at_voice, ProviderEvent::CallReport(_)));
    }

    fn hangup(more: &str) -> (CallStatus, Option<i64>) {
        let body =
            format!("Event=DialHangup&DialAction=hangup&DialBLegStatus=hangup&DialALegUUID={A}&DialBLegUUID=b&{more}");
        let report = told(&body).expect("a report");
        assert!(!report.caller_waits && report.call_key == A);
        (report.status, report.duration_s)
    }

    #[test]
    fn the_callback_tells_of_the_other_leg() {
        for word in ["DialAction=answer&DialBLegStatus=answer", "DialAction=connected", "DialBLegStatus=answer"] {
            let report = told(&format!("{word}&DialALegUUID={A}&DialBLegUUID=b")).expect(word);
            assert_eq!((report.status, report.caller_waits), (CallStatus::Answered, false), "{word}");
        }
        assert!(told("DialAction=digits&DialDigitsMatch=1").is_none());
        let cause = |code: &str, name: &str, duration: &str| {
            hangup(&format!(
                "DialBLegHangupCauseCode={code}&DialBLegHangupCauseName={name}&DialBLegDuration={duration}"
            ))
        };
        assert_eq!(cause("4000", "Normal+Hangup", "42"), (CallStatus::Completed, Some(42)));
        assert_eq!(cause("6000", "Scheduled+Hangup", "7200"), (CallStatus::Completed, Some(7200)));
        assert_eq!(cause("4000", "Normal+Hangup", "0"), (CallStatus::Cancelled, None));
        assert_eq!(cause("1000", "Canceled", ""), (CallStatus::Cancelled, None));
        assert_eq!(cause("", "", "-1"), (CallStatus::Cancelled, None));
        assert_eq!(
            cause("4000", "Normal+Hangup", "20&DialBLegBillDuration=0"),
            (CallStatus::Cancelled, None),
            "it rang"
        );
        assert_eq!(cause("4000", "", "20&DialBLegBillDuration=60"), (CallStatus::Completed, Some(20)));
        assert_eq!(cause("3010", "Busy+Line", "0"), (CallStatus::Busy, None));
        assert_eq!(cause("", "Rejected", "3"), (CallStatus::Busy, None));
        assert_eq!(cause("6010", "Ring+Timeout+Reached", "25"), (CallStatus::NoAnswer, None));
        assert_eq!(cause("", "no+answer", ""), (CallStatus::NoAnswer, None));
        assert_eq!(cause("2000", "Invalid+Destination+Address", "0"), (CallStatus::Failed, None));
        assert_eq!(cause("5010", "", "99999999999999999999"), (CallStatus::Failed, None));
    }

    #[test]
    fn the_end_of_the_callers_leg_says_only_that() {
        for body in [
            "Event=Hangup&HangupCause=NORMAL_CLEARING&HangupCauseName=Normal+Hangup&HangupCauseCode=4000&Duration=60&BillDuration=60",
            "HangupCauseCode=4000&CallStatus=completed",
        ] {
            let report = told(body).expect(body);
            assert_eq!((report.status, report.duration_s, report.caller_waits), (CallStatus::Cancelled, None, false));
            let at_voice = event(WebhookKind::Voice, &format!("CallUUID={A}&From=14155550111&To=14155550100&{body}"));
            assert!(matches!(at_voice, ProviderEvent::CallReport(_)), "{body}");
        }
        assert!(matches!(event(WebhookKind::Status, "Event=Hangup"), ProviderEvent::Ignored), "of no call");
    }

    #[test]
    fn repeats_are_equal_and_news_differ() {
        let key = |body: &str| told(body).expect(body).key;
        let all = [
            "DialAction=answer&DialBLegUUID=b",
            "DialAction=connected&DialBLegUUID=b",
            "DialAction=hangup&DialBLegUUID=b&DialBLegDuration=42",
            "DialAction=hangup&DialBLegUUID=b&DialBLegDuration=0",
            "DialStatus=completed&DialBLegUUID=b",
            "Event=Hangup",
        ];
        for (at, body) in all.iter().enumerate() {
            assert_eq!(key(body), key(body));
            assert!(all[..at].iter().all(|other| key(other) != key(body)), "{body}");
        }
    }
}
