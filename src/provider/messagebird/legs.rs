//! What became of a call: asked for, because MessageBird's own call events are signed in a way that no source
//! describes the same as another (section 3).

use chrono::DateTime;
use http::Method;
use serde::Deserialize;

use super::{Config, DEFAULT_BASE_URL, VOICE_URL, outbound};
use crate::{
    domain::{call::CallStatus, clock::Time, contact::CallReport},
    provider::{ProviderRequest, ProviderResponse, wire},
};

/// `GET /calls/{callID}/legs`. `None` for a key that is no id of theirs: it stands in an address.
pub(super) fn query(config: &Config, call_key: &str) -> Option<ProviderRequest> {
    let is_id = call_key.len() == 36 && call_key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let host = if config.base_url == DEFAULT_BASE_URL { VOICE_URL } else { &config.base_url };
    is_id.then(|| outbound::request(config, Method::GET, format!("{host}/calls/{call_key}/legs"), String::new()))
}

#[derive(Deserialize)]
struct Legs {
    data: Option<Vec<Leg>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Leg {
    direction: Option<String>,
    status: Option<String>,
    /// Seconds.
    duration: Option<i64>,
    answered_at: Option<String>,
    ended_at: Option<String>,
}

impl Leg {
    fn is_outgoing(&self) -> bool {
        self.direction.as_deref() == Some("outgoing")
    }
}

/// The leg to the other party says how it went; the caller's own only that it is over. It says nothing while the two
/// still count as talking: an end is not asked about again, and how long they talked is not yet known.
pub(super) fn read(call_key: &str, response: &ProviderResponse) -> Vec<CallReport> {
    let legs: Option<Legs> = serde_json::from_slice(&response.body).ok();
    let legs = legs.filter(|_| response.status.is_success()).and_then(|legs| legs.data).unwrap_or_default();
    let talking = legs.iter().any(|leg| leg.is_outgoing() && leg.status.as_deref() == Some("ongoing"));
    let counted = legs.iter().filter(|leg| leg.is_outgoing() || !talking);
    counted.flat_map(|leg| reports(call_key, leg)).collect()
}

fn reports(call_key: &str, leg: &Leg) -> Vec<CallReport> {
    let (answered, ended) = (time(leg.answered_at.as_deref()), time(leg.ended_at.as_deref()));
    let report = |status: CallStatus, at, duration_s| CallReport {
        key: wire::digest_key(&[call_key, status.as_str()]),
        call_key: call_key.to_owned(),
        status,
        duration_s,
        at,
        caller_waits: false,
    };
    let outgoing = leg.is_outgoing();
    let duration = leg.duration.filter(|seconds| *seconds >= 0);
    match leg.status.as_deref() {
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

/// A time that never was may be written as the year 1.
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
        let response = ProviderResponse { status: StatusCode::OK, headers: HeaderMap::new(), body };
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
