//! Bandwidth: lists of message events, single voice events, BXML, and the same HTTP Basic credentials for all. The
//! facts and their sources are in `docs/providers/wire/bandwidth.md`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::harness::carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook};

const ACCOUNT: &str = "9900000";
const MESSAGING: &str = "93de2206-9669-4e07-948d-329f4b722ee2";
const VOICE: &str = "04e88489-df02-4e34-a0ee-27a91849555f";
const API: (&str, &str) = ("api_of_the_tests", "API password of the tests");
const WEBHOOKS: (&str, &str) = ("maskline_hook", "Fixture-Passw0rd!");

const SMS: &str = "/webhooks/bandwidth/sms";
const CALLS: &str = "/webhooks/bandwidth/voice";
const STATUS: &str = "/webhooks/bandwidth/status";

pub struct Bandwidth;

fn basic((user, password): (&str, &str)) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn webhook(path: &str, body: &Value) -> Webhook {
    Webhook { content_type: "application/json; charset=utf-8", ..Webhook::json(path, body) }
}

fn hex(id: &str) -> String {
    id.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Ids of messages are milliseconds of the clock, with letters and digits behind them.
fn message_id(id: &str) -> String {
    format!("1795262400000{}", hex(id))
}

fn call_id(id: &str) -> String {
    let hex: String = hex(id).chars().chain("0".repeat(40).chars()).take(40).collect();
    let groups = [&hex[..8], &hex[8..16], &hex[16..20], &hex[20..24], &hex[24..28], &hex[28..]];
    format!("c-{}", groups.join("-"))
}

/// A moment of the call, so many seconds after it came in.
fn moment(seconds: i64) -> String {
    let came_in: DateTime<Utc> = "2026-11-21T12:00:00.187Z".parse().expect("a time");
    (came_in + Duration::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An event of the caller's leg.
fn callers(kind: &str, at: i64, ring: Ring<'_>, more: Value) -> Value {
    let id = call_id(ring.id);
    let mut event = json!({
        "eventType": kind, "eventTime": moment(at), "accountId": ACCOUNT, "applicationId": VOICE,
        "from": ring.from, "to": ring.number, "direction": "inbound", "callId": id,
        "callUrl": format!("https://voice.bandwidth.com/api/v2/accounts/{ACCOUNT}/calls/{id}"),
        "startTime": moment(0),
    });
    let fields = event.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    event
}

/// The end of the leg to the other party, which began to ring after a second.
fn leg_over(ring: Ring<'_>, cause: &str, answered: Option<i64>, ended: i64) -> Webhook {
    let id = call_id(&format!("to{}", ring.id));
    let mut event = json!({
        "eventType": "transferDisconnect", "eventTime": moment(ended), "accountId": ACCOUNT, "applicationId": VOICE,
        "from": ring.from, "to": ring.number, "direction": "outbound", "callId": id,
        "parentCallId": call_id(ring.id),
        "callUrl": format!("https://voice.bandwidth.com/api/v2/accounts/{ACCOUNT}/calls/{id}"),
        "transferCallerId": ring.number, "transferTo": ring.to,
        "startTime": moment(1), "endTime": moment(ended), "cause": cause,
    });
    if let Some(answered) = answered {
        event["answerTime"] = moment(answered).into();
    } else {
        event["errorMessage"] = "Callee could not be reached".into();
        event["errorId"] = "4642074b-7b58-478b-96e4-3a60955c6765".into();
    }
    webhook(STATUS, &event)
}

/// The caller is still there; their leg was answered when it came in.
fn transfer_over(ring: Ring<'_>, cause: &str, at: i64) -> Webhook {
    let more = json!({
        "answerTime": moment(0), "transferCallerId": ring.number, "transferTo": ring.to, "cause": cause,
    });
    webhook(STATUS, &callers("transferComplete", at, ring, more))
}

fn caller_gone(ring: Ring<'_>, at: i64) -> Webhook {
    let more = json!({ "answerTime": moment(0), "endTime": moment(at), "cause": "hangup" });
    webhook(STATUS, &callers("disconnect", at, ring, more))
}

impl Carrier for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("BANDWIDTH_ACCOUNT_ID", ACCOUNT.to_owned()),
            ("BANDWIDTH_APPLICATION_ID", MESSAGING.to_owned()),
            ("BANDWIDTH_USERNAME", API.0.to_owned()),
            ("BANDWIDTH_PASSWORD", API.1.to_owned()),
            ("BANDWIDTH_WEBHOOK_USERNAME", WEBHOOKS.0.to_owned()),
            ("BANDWIDTH_WEBHOOK_PASSWORD", WEBHOOKS.1.to_owned()),
            ("BANDWIDTH_BASE_URL", base.to_owned()),
        ]
    }

    /// The second request of each event: the first has no credentials and is told to bring them.
    fn sign(&self, _: &Webhook, signer: Signer, _: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let password = if signer == Signer::Ours { WEBHOOKS.1 } else { "the password of somebody else" };
        vec![("Authorization", basic((WEBHOOKS.0, password)))]
    }

    fn covers(&self) -> Covers {
        Covers { body: false, query: false }
    }

    fn spare_proof(&self) -> &'static [&'static str] {
        &[]
    }

    fn unsigned_status(&self) -> u16 {
        401
    }

    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook {
        let mut event = json!({
            "type": "message-received", "time": "2026-11-21T12:00:00.187Z",
            "description": "Incoming message received", "to": number,
            "message": {
                "id": message_id(id), "owner": number, "applicationId": MESSAGING, "time": "2026-11-21T12:00:00.012Z",
                "segmentCount": 1, "direction": "in", "to": [number], "from": from, "text": text,
            },
        });
        if !media.is_empty() {
            event["message"]["media"] = json!(media);
        }
        webhook(SMS, &json!([event]))
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        let more = json!({ "stirShaken": { "verstat": "TN-Verification-Passed", "attestationIndicator": "A" } });
        webhook(CALLS, &callers("initiate", 0, ring, more))
    }

    fn unknown_event(&self) -> Webhook {
        let event = json!({
            "type": "message-teleported", "time": "2026-11-21T12:00:00.187Z", "description": "", "to": "+31612345678",
            "message": { "id": message_id("unknown"), "direction": "out", "tag": "mk1", "text": "" },
        });
        webhook(STATUS, &json!([event]))
    }

    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let body = sent.json();
        let (kind, description) = match news {
            News::Sent => ("message-sent", "Message sent"),
            News::Delivered => ("message-delivered", "ok"),
            News::Undelivered => ("message-failed", "invalid-destination-address"),
        };
        let mut event = json!({
            "type": kind, "time": "2026-11-21T12:00:05.979Z", "description": description, "to": body["to"][0],
            "message": {
                "id": provider_id, "owner": body["from"], "applicationId": body["applicationId"],
                "time": "2026-11-21T12:00:00.876Z", "segmentCount": 1, "direction": "out", "to": body["to"],
                "from": body["from"], "text": "", "tag": body["tag"],
            },
        });
        if news == News::Undelivered {
            event["errorCode"] = 4720.into();
        }
        webhook(STATUS, &json!([event]))
    }

    /// Nothing is told when the other party picks up: our call flow asks for no such event, because the two would hear
    /// nothing until it was answered.
    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        Told::Webhooks(match news {
            CallNews::Answered => vec![],
            CallNews::Completed(seconds) => {
                let ended = 8 + seconds;
                vec![
                    leg_over(ring, "hangup", Some(8), ended),
                    transfer_over(ring, "hangup", ended),
                    caller_gone(ring, ended + 1),
                ]
            }
            CallNews::Busy => {
                vec![leg_over(ring, "busy", None, 3), transfer_over(ring, "busy", 3), caller_gone(ring, 9)]
            }
            CallNews::NoAnswer => {
                vec![leg_over(ring, "timeout", None, 26), transfer_over(ring, "timeout", 26), caller_gone(ring, 32)]
            }
            CallNews::GivenUp => vec![caller_gone(ring, 7), leg_over(ring, "cancel", None, 7)],
        })
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, format!("/api/v2/users/{ACCOUNT}/messages"));
        assert_eq!(request.header("authorization"), basic(API));
        assert!(request.header("content-type").starts_with("application/json"));
        let body = request.json();
        assert_eq!(body["applicationId"], MESSAGING);
        assert_eq!(body["to"].as_array().map(Vec::len), Some(1));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(text(&body["text"]).encode_utf16().count() <= 2048, "too long");
        assert!(text(&body["tag"]).len() <= 1024, "too long");
        Carried {
            from: text(&body["from"]),
            to: text(&body["to"][0]),
            text: text(&body["text"]),
            media: body["media"].as_array().into_iter().flatten().map(text).collect(),
        }
    }

    fn refusal(&self) -> (u16, &'static str) {
        (
            400,
            r#"{"type":"request-validation","description":"Your request could not be accepted","fieldErrors":[{"fieldName":"to","description":"'to' is not valid"}]}"#,
        )
    }

    fn accept(&self, request: &Recorded, serial: usize) -> (u16, Value, String) {
        let body = request.json();
        let id = message_id(&serial.to_string());
        let answer = json!({
            "id": id, "owner": body["from"], "applicationId": body["applicationId"],
            "time": "2026-11-21T12:00:00.187Z", "segmentCount": 1, "direction": "out", "to": body["to"],
            "from": body["from"], "text": body["text"], "tag": body["tag"], "priority": "default",
        });
        (202, answer, id)
    }
}
