//! Inbound calls, and events of the calls that Maskline connects (see "Calls").
//!
//! Both legs of a call send events, with their own ids and the id of the conversation that they share. The
//! conversation's id is the key.
//!
//! If nobody answers, the caller should hear an announcement. Actions after `connect` cannot do that: one of Vonage's
//! pages says that they run if the other phone is busy, another that they run when it picks up, and then both parties
//! would hear the sentence. So `connect` asks for a call flow when it fails (`eventType: synchronous`). The address for
//! that carries a mark, because the application's event address may get the same events again, and nobody waits there.

use chrono::DateTime;

use super::payload::{self, Payload};
use crate::{
    domain::{
        call::CallStatus,
        clock::Time,
        contact::{CallReport, CallerId, InboundCall},
        phone::PhoneNumber,
    },
    provider::{WebhookRequest, wire},
};

/// The mark. No signature covers it. It only decides whether our answer may be a call flow that names nobody's number.
const MARK: (&str, &str) = ("caller", "waiting");

/// Returns the address that `connect` asks what to do next.
pub(super) fn event_url(report_url: &str) -> String {
    format!("{report_url}?{}={}", MARK.0, MARK.1)
}

/// Whether a request came to that address.
pub(super) fn is_awaited(request: &WebhookRequest) -> bool {
    wire::value(&wire::form_pairs(request.query().as_bytes()), MARK.0) == Some(MARK.1)
}

/// Reads a call. Never fails: the waiting caller must hear something, whatever is missing. For a hidden caller `from`
/// is missing or contains text.
pub(super) fn call(payload: &Payload, body: &[u8]) -> InboundCall {
    InboundCall {
        key: id(payload).map_or_else(|| wire::sha256_hex(body), payload::key),
        from: CallerId::from_wire(payload.text("from").unwrap_or_default()),
        to: payload.text("to").and_then(|number| PhoneNumber::from_wire(number).ok()),
    }
}

/// Whether an object that came to another address is still a call. Errors, transfers and similar events name a
/// conversation, but not the two numbers.
pub(super) fn is_whole(payload: &Payload) -> bool {
    ["from", "to", "uuid", "conversation_uuid"].iter().all(|name| payload.text(name).is_some())
}

/// Reads a call event; `None` if it says nothing about the call. With `awaited`, Vonage accepts a call flow in answer.
///
/// The leg to the other party is `outbound` and gives the result; the caller's leg only shows that the call is over.
/// Every leg but a rejected one ends with `completed`, even after `busy` and the like, so only a duration shows that
/// the two talked. `disconnected` only means that a leg ended.
pub(super) fn report(payload: &Payload, awaited: bool) -> Option<CallReport> {
    use CallStatus::{Answered, Busy, Cancelled, Completed, Failed, NoAnswer, Ringing};
    let direction = payload.text("direction")?;
    let status = payload.text("status")?;
    let duration_s = payload.number("duration").filter(|seconds| *seconds > 0);
    let becomes = match (direction, status) {
        ("outbound", "ringing") => Ringing,
        ("outbound", "answered") => Answered,
        ("outbound", "completed") if duration_s.is_some() => Completed,
        ("outbound", "completed" | "cancelled" | "disconnected") => Cancelled,
        ("outbound", "busy") => Busy,
        ("outbound", "unanswered" | "timeout") => NoAnswer,
        // The other party declined, which is not a failure. The other reasons are an invalid or a barred number.
        ("outbound", "rejected") if payload.text("detail") == Some("declined") => NoAnswer,
        ("outbound", "rejected" | "failed") => Failed,
        (
            "inbound",
            "completed" | "disconnected" | "cancelled" | "busy" | "unanswered" | "timeout" | "rejected" | "failed",
        ) => Cancelled,
        _ => return None,
    };
    let id = id(payload)?;
    Some(CallReport {
        key: wire::digest_key(&[id, payload.text("uuid").unwrap_or_default(), direction, status]),
        call_key: payload::key(id),
        status: becomes,
        duration_s: duration_s.filter(|_| becomes == Completed),
        at: payload.text("timestamp").and_then(time),
        caller_waits: awaited && matches!(becomes, Busy | NoAnswer | Failed),
    })
}

fn id(payload: &Payload) -> Option<&str> {
    payload.text("conversation_uuid").or_else(|| payload.text("uuid"))
}

fn time(text: &str) -> Option<Time> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{domain::contact::ProviderEvent, provider::vonage::tests::told};

    const CALL: &str = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
    const LEG: &str = "aaaaaaaabbbbccccdddd0123456789ab";

    /// The answer webhook, with the fields under "Calls".
    fn ring() -> Value {
        json!({
            "from": "31612345678", "to": "3197010200001", "uuid": LEG, "conversation_uuid": CALL,
            "endpoint_type": "phone", "region_url": "https://api-eu-3.vonage.com",
        })
    }

    fn with(mut value: Value, name: &str, field: Value) -> Value {
        value[name] = field;
        value
    }

    fn read(path: &str, value: &Value) -> InboundCall {
        match told(path, value) {
            Ok(ProviderEvent::Call(call)) => call,
            other => panic!("no call: {other:?}"),
        }
    }

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::from_wire(text).expect(text)
    }

    #[test]
    fn reads_a_call() {
        for path in ["voice", "sms", "status"] {
            let call = read(path, &ring());
            assert_eq!(call.key, CALL);
            assert_eq!((call.from, call.to), (CallerId::Phone(phone("31612345678")), Some(phone("3197010200001"))));
        }
        let fallback = with(ring(), "reason", json!("Connection closed"));
        assert_eq!(read("voice", &with(fallback, "original_request", json!({"url": "u", "type": "answer"}))).key, CALL);
    }

    #[test]
    fn a_call_that_lacks_anything_is_still_a_call() {
        for hidden in ["", "anonymous", "unknown", "Restricted"] {
            assert_eq!(read("voice", &with(ring(), "from", json!(hidden))).from, CallerId::Hidden, "{hidden}");
        }
        for odd in [json!(null), json!(7), json!({"type": "phone"}), json!("sip:bob@example.com")] {
            let call = read("voice", &with(with(ring(), "from", odd.clone()), "to", odd.clone()));
            assert_eq!((call.from, call.to), (CallerId::Hidden, None), "{odd}");
        }
        assert_eq!(read("voice", &with(ring(), "conversation_uuid", json!(null))).key, LEG);
        assert_eq!(read("voice", &with(ring(), "conversation_uuid", json!("31612345678"))).key.len(), 64);
        assert_eq!(read("voice", &json!({})).key.len(), 64, "the request itself is the key");
    }

    /// An event of the leg to the other party, with the fields under "Calls".
    fn leg(status: &str) -> Value {
        json!({
            "from": "3197010200001", "to": "31687654321", "uuid": "bbbbbbbb-bbbb-cccc-dddd-0123456789ab",
            "conversation_uuid": CALL, "status": status, "direction": "outbound",
            "timestamp": "2026-11-21T12:00:10.250Z",
        })
    }

    fn ended(status: &str, duration: &str) -> Value {
        let more = json!({"duration": duration, "start_time": "2026-11-21T12:00:08.000Z", "rate": "0.01",
            "price": "0.007", "network": "20408", "end_time": "2026-11-21T12:00:50.000Z"});
        let mut leg = leg(status);
        leg.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        leg
    }

    fn news(path: &str, value: &Value) -> Option<CallReport> {
        match told(path, value) {
            Ok(ProviderEvent::CallReport(report)) => Some(report),
            Ok(ProviderEvent::Ignored) => None,
            other => panic!("neither news nor nothing: {other:?}"),
        }
    }

    #[test]
    fn the_other_partys_leg_says_how_it_went() {
        for (status, becomes) in [
            ("ringing", CallStatus::Ringing),
            ("answered", CallStatus::Answered),
            ("busy", CallStatus::Busy),
            ("timeout", CallStatus::NoAnswer),
            ("unanswered", CallStatus::NoAnswer),
            ("rejected", CallStatus::Failed),
            ("failed", CallStatus::Failed),
            ("cancelled", CallStatus::Cancelled),
            ("disconnected", CallStatus::Cancelled),
        ] {
            let report = news("status", &leg(status)).expect(status);
            assert_eq!((report.status, report.call_key.as_str(), report.duration_s), (becomes, CALL, None), "{status}");
            assert_eq!(report.at.map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-21T12:00:10.250+00:00"));
        }
        let detail = |detail| news("status", &with(leg("rejected"), "detail", json!(detail))).expect("news").status;
        assert_eq!(detail("declined"), CallStatus::NoAnswer);
        assert_eq!(detail("invalid_number"), CallStatus::Failed);
    }

    #[test]
    fn only_a_duration_makes_a_conversation() {
        let talked = news("status", &ended("completed", "42")).expect("news");
        assert_eq!((talked.status, talked.duration_s), (CallStatus::Completed, Some(42)));
        let number = news("status", &with(ended("completed", ""), "duration", json!(42))).expect("news");
        assert_eq!((number.status, number.duration_s), (CallStatus::Completed, Some(42)), "a number says the same");
        for odd in ["0", "", "-5", "4.2", "99999999999999999999"] {
            let over = news("status", &ended("completed", odd)).expect("news");
            assert_eq!((over.status, over.duration_s), (CallStatus::Cancelled, None), "{odd}");
        }
        let over = news("status", &ended("busy", "42")).expect("news");
        assert_eq!((over.status, over.duration_s), (CallStatus::Busy, None));
    }

    #[test]
    fn the_callers_own_leg_only_ends() {
        for status in ["completed", "disconnected", "failed", "timeout"] {
            let report = news("status", &with(ended(status, "50"), "direction", json!("inbound"))).expect(status);
            assert_eq!((report.status, report.duration_s), (CallStatus::Cancelled, None), "{status}");
        }
        for status in ["started", "ringing", "answered"] {
            assert!(news("status", &with(leg(status), "direction", json!("inbound"))).is_none(), "{status}");
        }
    }

    #[test]
    fn the_caller_waits_where_a_call_flow_is_asked_for_and_the_call_failed() {
        let waits = |path: &str, status: &str| news(path, &leg(status)).expect(status).caller_waits;
        for status in ["busy", "timeout", "unanswered", "rejected", "failed"] {
            assert!(waits("status?caller=waiting", status), "{status}");
            assert!(waits("voice", status), "{status}: a fallback address");
            assert!(!waits("status", status), "{status}");
        }
        for status in ["ringing", "answered", "completed", "cancelled"] {
            assert!(!waits("status?caller=waiting", status), "{status}");
        }
        assert_eq!(event_url("https://mask.test/s"), "https://mask.test/s?caller=waiting");
    }

    #[test]
    fn what_says_nothing_is_ignored() {
        for odd in ["started", "human", "machine", "teleported", "", "Busy"] {
            assert!(news("status", &leg(odd)).is_none(), "{odd}");
        }
        assert!(news("status", &with(leg("busy"), "status", json!(7))).is_none());
        assert!(news("status", &with(leg("busy"), "direction", json!(null))).is_none());
        let nameless = with(with(leg("busy"), "uuid", json!(null)), "conversation_uuid", json!(""));
        assert!(news("status", &nameless).is_none());
        let transfer = json!({"type": "transfer", "uuid": LEG, "conversation_uuid_from": CALL, "timestamp": "x"});
        let error = json!({"reason": "Syntax error in NCCO.", "conversation_uuid": CALL, "timestamp": "x"});
        let recording = json!({"recording_url": "https://x.example/", "size": 12222, "conversation_uuid": CALL});
        for odd in [transfer, error, recording] {
            assert!(news("status", &odd).is_none(), "{odd}");
        }
        assert_eq!(news("status", &with(leg("busy"), "timestamp", json!("soon"))).expect("news").at, None);
    }

    #[test]
    fn repeats_are_equal_and_news_differ() {
        let key = |path: &str, value: Value| news(path, &value).expect("news").key;
        assert_eq!(key("status", leg("busy")), key("status?caller=waiting", leg("busy")), "two addresses, one story");
        assert_ne!(key("status", leg("busy")), key("status", leg("timeout")));
        assert_ne!(key("status", leg("completed")), key("status", with(leg("completed"), "uuid", json!(LEG))));
        assert_ne!(
            key("status", leg("completed")),
            key("status", with(leg("completed"), "direction", json!("inbound")))
        );
    }
}
