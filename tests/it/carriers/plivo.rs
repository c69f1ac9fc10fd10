//! Plivo: forms signed with V3 for everything, and a JSON API whose sends carry our reference in the report address.
//! The facts and their sources are in `docs/providers/wire/plivo.md`.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::{
    PUBLIC,
    carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook},
};

const AUTH_ID: &str = "MATESTSTESTSTESTSTES";
const AUTH_TOKEN: &str = "an auth token of the tests";
const SMS: &str = "/webhooks/plivo/sms";
const VOICE: &str = "/webhooks/plivo/voice";
const STATUS: &str = "/webhooks/plivo/status";

pub struct Plivo;

/// Numbers travel without `+`.
fn digits(phone: &str) -> &str {
    phone.trim_start_matches('+')
}

/// Everything has a UUID.
fn uuid(id: &str) -> String {
    let hex = id.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")) + &"0".repeat(32);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    pairs.sort();
    pairs
}

/// The text that V3 signs. See "Signatures".
fn signed_text(webhook: &Webhook, nonce: &str) -> String {
    let (path, query) = webhook.path.split_once('?').unwrap_or((&webhook.path, ""));
    let mut text = format!("{PUBLIC}{path}");
    let query: Vec<_> = pairs(query).iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !query.is_empty() || !webhook.body.is_empty() {
        text += "?";
        text += &query.join("&");
    }
    if !webhook.body.is_empty() {
        if !query.is_empty() {
            text += ".";
        }
        for (name, value) in pairs(&webhook.body) {
            text += &name;
            text += &value;
        }
    }
    text + "." + nonce
}

/// What every request about a call has, and `more`.
fn about_call(path: &str, ring: Ring<'_>, status: &str, more: &[(&str, &str)]) -> Webhook {
    let id = uuid(ring.id);
    let mut fields = vec![
        ("CallUUID", id.as_str()),
        ("ALegUUID", &id),
        ("RequestUUID", &id),
        ("ALegRequestUUID", &id),
        ("From", digits(ring.from)),
        ("To", digits(ring.number)),
        ("CallStatus", status),
        ("Direction", "inbound"),
        ("ParentAuthID", AUTH_ID),
        ("BillRate", "0.0055"),
        ("SessionStart", "2026-11-21 12:00:00.238707"),
        ("STIRVerification", "Not Applicable"),
        ("ForwardedFrom", ""),
    ];
    fields.extend(more);
    Webhook::form(path, &fields)
}

impl Carrier for Plivo {
    fn name(&self) -> &'static str {
        "plivo"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("PLIVO_AUTH_ID", AUTH_ID.to_owned()),
            ("PLIVO_AUTH_TOKEN", AUTH_TOKEN.to_owned()),
            ("PLIVO_BASE_URL", base.to_owned()),
        ]
    }

    /// The number belongs to a sub-account whose token we do not have: only the main account's signature can hold.
    fn sign(&self, webhook: &Webhook, signer: Signer, _: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let nonce = "31627761595286130198";
        let sign = |token: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
            STANDARD.encode(hmac::sign(&key, signed_text(webhook, nonce).as_bytes()))
        };
        let token = if signer == Signer::Ours { AUTH_TOKEN } else { "the auth token of somebody else" };
        vec![
            ("X-Plivo-Signature-V3", sign("the auth token of a sub-account")),
            ("X-Plivo-Signature-Ma-V3", sign(token)),
            ("X-Plivo-Signature-V3-Nonce", nonce.to_owned()),
        ]
    }

    fn covers(&self) -> Covers {
        Covers { body: true, query: true }
    }

    fn spare_proof(&self) -> &'static [&'static str] {
        &["X-Plivo-Signature-V3"]
    }

    fn unsigned_status(&self) -> u16 {
        401
    }

    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook {
        let (id, count) = (uuid(id), media.len().to_string());
        let names: Vec<_> = (0..media.len()).map(|at| format!("Media{at}")).collect();
        let mut fields = vec![
            ("MessageUUID", id.as_str()),
            ("From", digits(from)),
            ("To", digits(number)),
            ("Units", "1"),
            ("TotalRate", "0"),
            ("TotalAmount", "0"),
            ("MessageIntent", ""),
            ("PowerpackUUID", ""),
        ];
        if media.is_empty() {
            fields.extend([("Type", "sms"), ("Text", text)]);
        } else {
            fields.extend([("Type", "mms"), ("Body", text), ("MediaCount", &count)]);
            fields.extend(names.iter().map(String::as_str).zip(media.iter().copied()));
        }
        Webhook::form(SMS, &fields)
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        about_call(VOICE, ring, "ringing", &[("Event", "StartApp")])
    }

    fn unknown_event(&self) -> Webhook {
        let fields =
            [("Event", "Teleported"), ("CallUUID", "97ceeb52-58b6-11e1-86da-77300b68f8bb"), ("To", "14155550100")];
        Webhook::form(STATUS, &fields)
    }

    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let body = sent.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let (status, sequence) = match news {
            News::Sent => ("sent", "1"),
            News::Delivered => ("delivered", "2"),
            News::Undelivered => ("undelivered", "2"),
        };
        let (from, to, kind, url) = (text("src"), text("dst"), text("type"), text("url"));
        let mut fields = vec![
            ("MessageUUID", provider_id),
            ("ParentMessageUUID", provider_id),
            ("PartInfo", "1 of 1"),
            ("From", digits(&from)),
            ("To", digits(&to)),
            ("Type", &kind),
            ("Status", status),
            ("Sequence", sequence),
            ("Units", "1"),
            ("TotalRate", "0.00350"),
            ("TotalAmount", "0.00350"),
            ("MCC", "204"),
            ("MNC", "08"),
            ("QueuedTime", "2026-11-21 12:00:00.104522"),
            ("SentTime", "2026-11-21 12:00:01.004711"),
            ("MessageTime", "2026-11-21 12:00:00.098765"),
            ("PowerpackUUID", ""),
            ("requester_ip", "192.0.2.7"),
        ];
        if news != News::Sent {
            fields.push(("DeliveryReportTime", "2026-11-21 12:00:05.000000"));
        }
        if news == News::Undelivered {
            fields.push(("ErrorCode", "30"));
        }
        Webhook::form(url.strip_prefix(PUBLIC).expect("an address of ours"), &fields)
    }

    /// The callback tells of the other leg, the action what the dial came to, the application's hangup URL of the end.
    /// A caller who is gone has no next document, so no action either.
    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        let (a, b) = (uuid(ring.id), uuid(&format!("b{}", ring.id)));
        let other_leg = |action: &str, event: &str, more: &[(&str, &str)]| {
            let fields = [
                ("Event", event),
                ("DialAction", action),
                ("DialBLegStatus", action),
                ("DialALegUUID", a.as_str()),
                ("DialBLegUUID", &b),
                ("DialBLegFrom", digits(ring.number)),
                ("DialBLegTo", digits(ring.to)),
            ];
            about_call(STATUS, ring, "in-progress", &[&fields, more].concat())
        };
        let hangup = |seconds: i64, code: &str, name: &str, source: &str| {
            let (duration, billed) = (seconds.to_string(), ((seconds + 59) / 60 * 60).to_string());
            let fields = [
                ("DialBLegDuration", duration.as_str()),
                ("DialBLegBillDuration", &billed),
                ("DialBLegHangupCauseCode", code),
                ("DialBLegHangupCauseName", name),
                ("DialBLegHangupSource", source),
            ];
            other_leg("hangup", "DialHangup", &fields)
        };
        let action = |status: &str, cause: &str| {
            let answered = if status == "completed" { b.as_str() } else { "" };
            let fields = [
                ("Event", "Redirect"),
                ("DialStatus", status),
                ("DialRingStatus", "true"),
                ("DialHangupCause", cause),
                ("DialALegUUID", &a),
                ("DialBLegUUID", answered),
            ];
            about_call(STATUS, ring, "in-progress", &fields)
        };
        let end = |source: &str| {
            let fields = [
                ("Event", "Hangup"),
                ("HangupCause", "NORMAL_CLEARING"),
                ("HangupCauseName", "Normal Hangup"),
                ("HangupCauseCode", "4000"),
                ("HangupSource", source),
                ("Duration", "63"),
                ("BillDuration", "120"),
                ("TotalCost", "0.01100"),
                ("StartTime", "2026-11-21 12:00:00"),
                ("AnswerTime", "2026-11-21 12:00:08"),
                ("EndTime", "2026-11-21 12:01:11"),
            ];
            about_call(STATUS, ring, "completed", &fields)
        };
        Told::Webhooks(match news {
            CallNews::Answered => {
                vec![other_leg("answer", "DialAnswer", &[]), other_leg("connected", "DialConnected", &[])]
            }
            CallNews::Completed(seconds) => vec![
                hangup(seconds, "4000", "Normal Hangup", "Call recipient"),
                action("completed", "NORMAL_CLEARING"),
                end("Answer XML"),
            ],
            CallNews::Busy => {
                vec![hangup(0, "3010", "Busy Line", "Carrier"), action("busy", "USER_BUSY"), end("Answer XML")]
            }
            CallNews::NoAnswer => vec![
                hangup(0, "6010", "Ring Timeout Reached", "Plivo"),
                action("no-answer", "NO_ANSWER"),
                end("Answer XML"),
            ],
            CallNews::GivenUp => vec![hangup(0, "4000", "Normal Hangup", "Caller"), end("Caller")],
        })
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, format!("/v1/Account/{AUTH_ID}/Message/"), "with the slash at the end");
        let credentials = STANDARD.encode(format!("{AUTH_ID}:{AUTH_TOKEN}"));
        assert_eq!(request.header("authorization"), format!("Basic {credentials}"));
        assert_eq!(request.header("content-type"), "application/json");
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let media: Vec<_> = body["media_urls"].as_array().into_iter().flatten().map(text).collect();
        assert_eq!(body["type"], if media.is_empty() { "sms" } else { "mms" });
        assert_eq!(body["method"], "POST");
        let words = text(&body["text"]);
        assert!(words.encode_utf16().count() <= 737, "more than any text may have");
        let (from, to) = (text(&body["src"]), text(&body["dst"]));
        assert!(from != to && !to.contains('<'), "one recipient, and not the sender");
        Carried { from: format!("+{from}"), to: format!("+{to}"), text: words, media }
    }

    fn refusal(&self) -> (u16, &'static str) {
        (400, r#"{"api_id":"d2d5b0d4-0000-11ee-8000-0242ac110003","error":"dst is not valid"}"#)
    }

    fn accept(&self, _: &Recorded, serial: usize) -> (u16, Value, String) {
        let id = format!("db3ce55a-7f1d-11e1-8ea7-{serial:012x}");
        let answer = json!({
            "message": "message(s) queued", "message_uuid": [id], "api_id": "db342550-7f1d-11e1-8ea7-1231380bc196",
        });
        (202, answer, id)
    }
}
