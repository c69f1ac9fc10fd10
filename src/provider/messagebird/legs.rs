//! Result of a call. The adapter polls for it, because the sources contradict each other about the signature of
//! MessageBird's own call events (see "Call results").

use chrono::DateTime;
use http::Method;
use serde_json::Value;

use super::{
    account::{Config, DEFAULT_BASE_URL, VOICE_URL},
    outbound,
};
use crate::{
    domain::{call::CallStatus, clock::Time, contact::CallReport, json},
    provider::{OutboundRequest, OutboundResponse, wire},
};

/// Builds `GET /calls/{callID}/legs`. `None` for a key that is not a MessageBird id, because it becomes part of an
/// address.
pub(super) fn query(config: &Config, call_key: &str) -> Option<OutboundRequest> {
    let is_id = call_key.len() == 36 && call_key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let host = if config.base_url == DEFAULT_BASE_URL { VOICE_URL } else { &config.base_url };
    is_id.then(|| outbound::request(config, Method::GET, format!("{host}/calls/{call_key}/legs"), String::new()))
}

fn is_outgoing(leg: &Value) -> bool {
    leg["direction"] == "outgoing"
}

/// Reads the legs of a call. The other party's leg gives the result; the caller's only shows that the call is over. The
/// caller's leg is ignored while the other one is `ongoing`: the service does not poll again after an end, and the
/// length of the conversation is not yet known.
pub(super) fn read(call_key: &str, response: &OutboundResponse) -> Vec<CallReport> {
    if !response.status.is_success() {
        return Vec::new();
    }
    let answer: Value = json::read(&response.body).unwrap_or_default();
    let legs = answer["data"].as_array().map_or(&[][..], Vec::as_slice);
    let talking = legs.iter().any(|leg| is_outgoing(leg) && leg["status"] == "ongoing");
    let counted = legs.iter().filter(|leg| is_outgoing(leg) || !talking);
    counted.flat_map(|leg| reports(call_key, leg)).collect()
}

fn reports(call_key: &str, leg: &Value) -> Vec<CallReport> {
    let (answered, ended) = (time(leg["answeredAt"].as_str()), time(leg["endedAt"].as_str()));
    let report = |status: CallStatus, at, duration_s| CallReport {
        key: wire::digest_key(&[call_key, status.as_str()]),
        call_key: call_key.to_owned(),
        status,
        duration_s,
        at,
        caller_waits: false,
    };
    let outgoing = is_outgoing(leg);
    // In seconds.
    let duration = leg["duration"].as_i64().filter(|seconds| *seconds >= 0);
    match leg["status"].as_str() {
        Some("ringing") if outgoing => vec![report(CallStatus::Ringing, None, None)],
        Some("ongoing") if outgoing => vec![report(CallStatus::Answered, answered, None)],
        Some("busy") if outgoing => vec![report(CallStatus::Busy, ended, None)],
        Some("no_answer") if outgoing => vec![report(CallStatus::NoAnswer, ended, None)],
        Some("failed") if outgoing => vec![report(CallStatus::Failed, ended, None)],
        Some("hangup") if outgoing && answered.is_some() => {
            vec![report(CallStatus::Answered, answered, None), report(CallStatus::Completed, ended, duration)]
        }
        Some("busy" | "no_answer" | "failed" | "hangup") => vec![report(CallStatus::Cancelled, ended, None)],
        _ => Vec::new(),
    }
}

/// Parses a time. An unset time may be in the year 1.
fn time(text: Option<&str>) -> Option<Time> {
    let time = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (time.timestamp() > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    const CALL: &str = "5b2a1c3e-0000-4000-8000-000000000001";

    fn told(legs: &str) -> Vec<(CallStatus, Option<i64>, bool)> {
        let body = Bytes::from(format!(r#"{{"data":[{legs}],"_links":{{}},"pagination":{{}}}}"#));
        let response = OutboundResponse { status: StatusCode::OK, headers: HeaderMap::new(), body };
        read(CALL, &response).iter().map(|report| (report.status, report.duration_s, report.at.is_some())).collect()
    }

    #[test]
    fn asks_only_about_ids_of_theirs() {
        let config = |base_url: &str| Config {
            api_key: "live_key".into(),
            signing_keys: Vec::new(),
            base_url: base_url.to_owned(),
        };
        let request = query(&config(DEFAULT_BASE_URL), CALL).expect("a request");
        assert_eq!(request.method, Method::GET);
        assert_eq!(request.url, format!("https://voice.messagebird.com/calls/{CALL}/legs"));
        assert_eq!(request.headers[0], ("Authorization", "AccessKey live_key".to_owned()));
        let elsewhere = query(&config("http://127.0.0.1:1"), CALL).expect("a request");
        assert_eq!(elsewhere.url, format!("http://127.0.0.1:1/calls/{CALL}/legs"));
        for odd in ["", "../../messages", "31612345678", "5b2a1c3e-0000-4000-8000-00000000000/"] {
            assert!(query(&config(DEFAULT_BASE_URL), odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn an_odd_leg_or_field_hides_no_other() {
        let odd = r#"7,null,{"direction":7,"status":{}},"\ud83d",
            {"direction":"outgoing","status":"hangup","duration":1e999,"answeredAt":"2026-11-21T12:00:10Z","endedAt":7}"#;
        assert_eq!(told(odd), [(CallStatus::Answered, None, true), (CallStatus::Completed, None, false)]);
    }

    #[test]
    fn the_other_partys_leg_says_how_it_went() {
        let caller = r#"{"direction":"incoming","status":"ongoing","answeredAt":"2026-11-21T12:00:00Z"}"#;
        assert_eq!(told(caller), []);
        let ringing = format!(r#"{caller},{{"direction":"outgoing","status":"ringing"}}"#);
        assert_eq!(told(&ringing), [(CallStatus::Ringing, None, false)]);
        let busy = format!(r#"{caller},{{"direction":"outgoing","status":"busy","endedAt":"2026-11-21T12:00:09Z"}}"#);
        assert_eq!(told(&busy), [(CallStatus::Busy, None, true)]);
        let talked = r#"{"direction":"incoming","status":"hangup","duration":50,"endedAt":"2026-11-21T12:01:00Z"},
            {"direction":"outgoing","status":"hangup","duration":42,"answeredAt":"2026-11-21T12:00:10Z","endedAt":"2026-11-21T12:00:52Z"}"#;
        assert_eq!(
            told(talked),
            [
                (CallStatus::Cancelled, None, true),
                (CallStatus::Answered, None, true),
                (CallStatus::Completed, Some(42), true)
            ]
        );
        let gave_up = r#"{"direction":"outgoing","status":"hangup","duration":0,"endedAt":"2026-11-21T12:01:00Z"}"#;
        assert_eq!(told(gave_up), [(CallStatus::Cancelled, None, true)]);
    }

    #[test]
    fn the_callers_end_says_nothing_while_the_other_leg_talks() {
        let hung_up = r#"{"direction":"incoming","status":"hangup","endedAt":"2026-11-21T12:01:00Z"}"#;
        let with = |other: &str| told(&format!(r#"{hung_up},{{"direction":"outgoing",{other}}}"#));
        let gave_up = (CallStatus::Cancelled, None, true);
        assert_eq!(with(r#""status":"ringing""#), [gave_up, (CallStatus::Ringing, None, false)]);
        assert_eq!(
            with(r#""status":"ongoing","answeredAt":"2026-11-21T12:00:10Z""#),
            [(CallStatus::Answered, None, true)],
            "how long they talked is told when both have hung up"
        );
        assert_eq!(told(hung_up), [gave_up]);
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        for legs in ["", "7", "{}", r#"{"direction":"outgoing","status":"starting"}"#, "{"] {
            assert_eq!(told(legs), [], "{legs}");
        }
    }
}
