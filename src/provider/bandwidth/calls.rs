//! Reads verified webhooks about calls: inbound calls ("Calls") and their results ("Call results").
//!
//! Bandwidth reports a result up to three times: for the other party's leg (`transferDisconnect`), to a caller who is
//! still on the line (`transferComplete`), and for the caller's own leg (`disconnect`).

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        call::CallStatus,
        clock::Time,
        contact::{CallReport, CallerId, InboundCall, ProviderEvent},
        phone::PhoneNumber,
    },
    provider::{Malformed, wire},
};

/// Reads an event of this type. Ignores legs that we did not ask Bandwidth to ring.
pub(super) fn event(kind: &str, item: &Value) -> Result<ProviderEvent, Malformed> {
    Ok(match kind {
        "initiate" => ProviderEvent::Call(call(item)),
        "transferComplete" => ProviderEvent::CallReport(transfer_over(item)),
        "transferDisconnect" => ProviderEvent::CallReport(leg_over(item)?),
        "disconnect" if wire::string(item, "direction") == Some("inbound") => {
            ProviderEvent::CallReport(caller_gone(item)?)
        }
        _ => ProviderEvent::Ignored,
    })
}

/// Reads a call. Never fails: the waiting caller must hear something, whatever is missing. `from` may be text such as
/// `Restricted`, or a SIP user.
pub(super) fn call(item: &Value) -> InboundCall {
    InboundCall {
        key: wire::string(item, "callId").map_or_else(|| wire::digest_key(&[&item.to_string()]), key),
        from: CallerId::from_wire(wire::string(item, "from").unwrap_or_default()),
        to: wire::string(item, "to").and_then(|number| PhoneNumber::from_wire(number).ok()),
    }
}

/// Reads the end of a transfer whose caller is still on the line and hears our answer next. So this never fails either.
///
/// The event belongs to the caller's leg, and so do its id and its `answerTime`; `transferDisconnect` gives the length
/// of the conversation. If the other leg did not begin to ring in time, `cause` is `cancel`.
fn transfer_over(item: &Value) -> CallReport {
    let status = match wire::string(item, "cause") {
        Some("hangup") => CallStatus::Completed,
        Some("busy" | "rejected") => CallStatus::Busy,
        Some("timeout" | "cancel") => CallStatus::NoAnswer,
        _ => CallStatus::Failed,
    };
    let id = wire::string(item, "parentCallId").or(wire::string(item, "callId")).unwrap_or_default();
    CallReport { caller_waits: true, ..report("transferComplete", item, id, status, time(item, "eventTime")) }
}

/// Reads the end of the other party's leg, which Bandwidth reports in every case. If the other party picked up, the
/// call is completed, whatever ended it. If the leg was hung up or cancelled before that, the caller gave up.
fn leg_over(item: &Value) -> Result<CallReport, Malformed> {
    let id = wire::string(item, "parentCallId").ok_or(Malformed("a leg of no call"))?;
    let ended = time(item, "endTime").or(time(item, "eventTime"));
    let status = match (wire::string(item, "answerTime"), wire::string(item, "cause")) {
        (Some(_), _) => CallStatus::Completed,
        (None, Some("busy" | "rejected")) => CallStatus::Busy,
        (None, Some("timeout")) => CallStatus::NoAnswer,
        (None, Some("cancel" | "hangup")) => CallStatus::Cancelled,
        (None, _) => CallStatus::Failed,
    };
    let talked = time(item, "answerTime").zip(time(item, "endTime"));
    let duration_s = talked.map(|(answered, ended)| (ended - answered).num_seconds()).filter(|seconds| *seconds >= 0);
    Ok(CallReport { duration_s, ..report("transferDisconnect", item, id, status, ended) })
}

/// Reads the end of the caller's leg, for any reason.
fn caller_gone(item: &Value) -> Result<CallReport, Malformed> {
    let id = wire::string(item, "callId").ok_or(Malformed("the end of no call"))?;
    let ended = time(item, "endTime").or(time(item, "eventTime"));
    Ok(report("disconnect", item, id, CallStatus::Cancelled, ended))
}

/// Builds a report. A leg ends once, and a caller has one transfer, so the kind of event and its ids identify a repeat.
fn report(kind: &str, item: &Value, id: &str, status: CallStatus, at: Option<Time>) -> CallReport {
    CallReport {
        key: wire::digest_key(&[kind, id, wire::string(item, "callId").unwrap_or_default()]),
        call_key: key(id),
        status,
        duration_s: None,
        at,
        caller_waits: false,
    }
}

/// Keeps ids of the form `c-` and hexadecimal digits in groups of 8, 8, 4, 4, 4 and 12, which hold no phone number and
/// no text. Hashes any other id.
fn key(id: &str) -> String {
    const GROUPS: [usize; 6] = [8, 8, 4, 4, 4, 12];
    let documented = id.strip_prefix("c-").is_some_and(|groups| {
        groups.split('-').map(str::len).eq(GROUPS) && groups.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    });
    wire::stored_id(id, documented)
}

/// Parses ISO 8601 with an offset, with or without fractions of a second.
fn time(item: &Value, name: &str) -> Option<Time> {
    let time = DateTime::parse_from_rfc3339(wire::string(item, name)?).ok()?;
    Some(time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::{WebhookKind, bandwidth::inbound::parse};

    const CALLER: &str = "c-95ac8d6e-2c7ae496-7558-47a4-b291-4f02a3ca6942";
    const OTHER: &str = "c-95ac8d6e-1a31c52e-b38f-4198-93c1-51633ec68f8d";

    fn initiate() -> Value {
        json!({
            "eventType": "initiate", "eventTime": "2019-06-20T15:56:11.554Z", "accountId": "9900000",
            "applicationId": "04e88489-df02-4e34-a0ee-27a91849555f", "from": "+14155550111", "to": "+14155550100",
            "direction": "inbound", "callId": CALLER, "startTime": "2019-06-20T15:54:22.234Z",
            "callUrl": "https://voice.bandwidth.com/api/v2/accounts/9900000/calls/c-1",
            "diversion": { "origTo": "+15558884444", "reason": "unavailable" },
            "stirShaken": { "verstat": "TN-Verification-Passed" }
        })
    }

    fn disconnected(cause: &str, answered: Option<&str>) -> Value {
        let mut event = json!({
            "eventType": "transferDisconnect", "eventTime": "2019-12-27T19:19:28.003Z", "from": "+14155550111",
            "to": "+14155550100", "direction": "outbound", "callId": OTHER, "parentCallId": CALLER,
            "transferCallerId": "+14155550100", "transferTo": "+14155550122", "startTime": "2019-12-27T19:18:20.721Z",
            "endTime": "2019-12-27T19:19:27.987Z", "cause": cause
        });
        if let Some(answered) = answered {
            event["answerTime"] = answered.into();
        }
        event
    }

    fn complete(cause: &str) -> Value {
        json!({
            "eventType": "transferComplete", "eventTime": "2019-07-31T13:20:39.810Z", "accountId": "9900000",
            "applicationId": "04e88489-df02-4e34-a0ee-27a91849555f", "from": "+14155550111", "to": "+14155550100",
            "direction": "inbound", "callId": CALLER, "transferCallerId": "+14155550100", "transferTo": "+14155550122",
            "startTime": "2019-07-31T13:13:34.859Z", "answerTime": "2019-07-31T13:13:40.644Z", "cause": cause
        })
    }

    fn disconnect() -> Value {
        json!({
            "eventType": "disconnect", "eventTime": "2019-06-20T15:55:55.533Z", "accountId": "9900000",
            "from": "+14155550111", "to": "+14155550100", "direction": "inbound", "callId": CALLER,
            "startTime": "2019-06-20T15:54:22.234Z", "endTime": "2019-06-20T15:55:54.123Z", "cause": "hangup"
        })
    }

    fn read(webhook: WebhookKind, event: &Value) -> ProviderEvent {
        parse(webhook, event.to_string().as_bytes()).expect("events").remove(0)
    }

    fn call_of(event: &Value) -> InboundCall {
        match read(WebhookKind::Voice, event) {
            ProviderEvent::Call(call) => call,
            other => panic!("no call: {other:?}"),
        }
    }

    fn report_of(event: &Value) -> CallReport {
        match read(WebhookKind::Status, event) {
            ProviderEvent::CallReport(report) => report,
            other => panic!("no report: {other:?}"),
        }
    }

    fn with(mut event: Value, name: &str, value: Value) -> Value {
        event[name] = value;
        event
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    #[test]
    fn reads_a_call() {
        let call = call_of(&initiate());
        assert_eq!(call.key, CALLER);
        assert_eq!((call.from, call.to), (CallerId::Phone(phone("+14155550111")), Some(phone("+14155550100"))));
        assert!(matches!(read(WebhookKind::Status, &initiate()), ProviderEvent::Call(_)), "wherever it comes");
    }

    #[test]
    fn a_hidden_caller_is_a_caller() {
        for word in ["Restricted", "Anonymous", "Private", "Unavailable", "sip:bob@example.com", "bob", "+266696687"] {
            let call = call_of(&with(initiate(), "from", json!(word)));
            assert_eq!((call.from, call.to), (CallerId::Hidden, Some(phone("+14155550100"))), "{word}");
        }
    }

    #[test]
    fn nothing_keeps_a_caller_waiting() {
        for odd in [json!({}), json!({"eventType": 7, "callId": []}), json!({"eventType": "initiate", "from": {}})] {
            let call = call_of(&odd);
            assert_eq!((call.from, call.to, call.key.len()), (CallerId::Hidden, None, 64), "{odd}");
        }
        assert!(matches!(read(WebhookKind::Voice, &json!({"eventType": "redirect"})), ProviderEvent::Ignored));
    }

    #[test]
    fn ids_stay_as_they_are_only_in_their_documented_shape() {
        for odd in ["+14155550111", "c-14155550111", "see you at eight", &format!("{CALLER}0"), &CALLER[2..]] {
            let call = call_of(&with(initiate(), "callId", json!(odd)));
            assert_eq!((call.key.len(), call.key.contains('-')), (64, false), "{odd}");
        }
        let wordy = "c-95ac8d6e-2c7ae496-7558-47a4-b291-4f02a3ca694z";
        assert_ne!(call_of(&with(initiate(), "callId", json!(wordy))).key, wordy);
    }

    #[test]
    fn the_leg_to_the_other_party_says_how_it_went() {
        use CallStatus::{Busy, Cancelled, Completed, Failed, NoAnswer};
        for (cause, status) in [
            ("hangup", Cancelled),
            ("cancel", Cancelled),
            ("busy", Busy),
            ("rejected", Busy),
            ("timeout", NoAnswer),
            ("account-limit", Failed),
            ("error", Failed),
            ("a-cause-of-the-future", Failed),
        ] {
            let report = report_of(&disconnected(cause, None));
            assert_eq!((report.status, report.duration_s, report.caller_waits), (status, None, false), "{cause}");
            let report = report_of(&disconnected(cause, Some("2019-12-27T19:18:23.320Z")));
            assert_eq!((report.status, report.duration_s), (Completed, Some(64)), "{cause}");
            assert_eq!(report.call_key, CALLER);
            assert_eq!(report.at.expect("a time").to_rfc3339(), "2019-12-27T19:19:27.987+00:00");
        }
    }

    #[test]
    fn odd_times_cost_only_themselves() {
        let zone = report_of(&disconnected("hangup", Some("2019-12-27T20:18:23+01:00")));
        assert_eq!((zone.status, zone.duration_s), (CallStatus::Completed, Some(64)));
        for odd in ["yesterday", "2019-12-27T19:19:30Z", "2019-12-27T19:18:23"] {
            let report = report_of(&disconnected("hangup", Some(odd)));
            assert_eq!((report.status, report.duration_s), (CallStatus::Completed, None), "{odd}");
        }
        let without = with(disconnected("busy", None), "endTime", json!(null));
        assert_eq!(report_of(&without).at, report_of(&disconnect_time()).at, "the event's own time is next best");
        let none = with(without, "eventTime", json!(17));
        assert_eq!(report_of(&none).at, None);
    }

    fn disconnect_time() -> Value {
        with(disconnect(), "endTime", json!("2019-12-27T19:19:28.003Z"))
    }

    #[test]
    fn a_caller_who_stayed_waits_for_our_answer() {
        use CallStatus::{Busy, Completed, Failed, NoAnswer};
        for (cause, status) in [
            ("hangup", Completed),
            ("busy", Busy),
            ("rejected", Busy),
            ("timeout", NoAnswer),
            ("cancel", NoAnswer),
            ("account-limit", Failed),
        ] {
            let report = report_of(&complete(cause));
            assert_eq!((report.status, report.duration_s, report.caller_waits), (status, None, true), "{cause}");
            assert_eq!(report.call_key, CALLER);
        }
        let parent = with(with(complete("busy"), "callId", json!(OTHER)), "parentCallId", json!(CALLER));
        assert_eq!(report_of(&parent).call_key, CALLER);
        let bare = report_of(&json!({"eventType": "transferComplete"}));
        assert_eq!((bare.status, bare.caller_waits), (CallStatus::Failed, true), "answered whatever it lacks");
    }

    #[test]
    fn the_end_of_the_callers_leg_alone_is_no_verdict() {
        let report = report_of(&disconnect());
        assert_eq!((report.status, report.duration_s, report.caller_waits), (CallStatus::Cancelled, None, false));
        assert_eq!(report.call_key, CALLER);
        assert_eq!(report.at.expect("a time").to_rfc3339(), "2019-06-20T15:55:54.123+00:00");
        let outward = with(disconnect(), "direction", json!("outbound"));
        assert!(
            matches!(read(WebhookKind::Status, &outward), ProviderEvent::Ignored),
            "a leg that is not the caller's"
        );
    }

    #[test]
    fn news_of_no_call_are_malformed() {
        for (event, id) in [(disconnected("busy", None), "parentCallId"), (disconnect(), "callId")] {
            let event = with(event, id, json!(""));
            assert!(parse(WebhookKind::Status, event.to_string().as_bytes()).is_err(), "{event}");
        }
    }

    #[test]
    fn repeats_are_equal_and_news_differ() {
        let keys = [complete("busy"), disconnected("busy", None), disconnect()].map(|event| report_of(&event).key);
        assert_eq!(keys, [complete("busy"), disconnected("busy", None), disconnect()].map(|e| report_of(&e).key));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        let another = with(disconnected("busy", None), "callId", json!("c-2"));
        assert_ne!(report_of(&another).key, keys[1], "another leg of the same call");
    }
}
