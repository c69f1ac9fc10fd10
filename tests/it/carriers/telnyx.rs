//! Telnyx: events in JSON for texts, TeXML forms for calls, both under an Ed25519 signature. The facts and their
//! sources are in `docs/providers/wire/telnyx.md`.

use aws_lc_rs::{digest, signature::Ed25519KeyPair};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::{
    PUBLIC,
    carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook},
};

pub struct Telnyx;

const API_KEY: &str = "KEY_of_the_tests";
/// The public key of `SEED`.
const PUBLIC_KEY: &str = "cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQOM=";
const SEED: [u8; 32] = [
    0x2e, 0x4a, 0xfe, 0x02, 0xb9, 0x07, 0x66, 0x5d, 0xa6, 0x5b, 0xf7, 0x7b, 0x2d, 0x52, 0xea, 0x53, 0xd4, 0x5f, 0x35,
    0x76, 0xf7, 0x57, 0x56, 0x1e, 0xf1, 0xd4, 0x38, 0x19, 0x4d, 0x86, 0xd7, 0xc6,
];
const PROFILE: &str = "740572b6-099c-44a1-89b9-6c92163bc68d";
const SMS: &str = "/webhooks/telnyx/sms";
const VOICE: &str = "/webhooks/telnyx/voice";
const STATUS: &str = "/webhooks/telnyx/status";

fn hash(kind: &str, id: &str) -> Vec<u8> {
    digest::digest(&digest::SHA512, format!("{kind} {id}").as_bytes()).as_ref().to_vec()
}

/// Texts and events have UUIDs.
fn uuid(kind: &str, id: &str) -> String {
    let hex: String = hash(kind, id).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The legs of a call have ids of 40 bytes.
fn leg(kind: &str, id: &str) -> String {
    format!("v3:{}", URL_SAFE_NO_PAD.encode(&hash(kind, id)[..40]))
}

fn event(kind: &str, id: &str, payload: &Value, delivered_to: &str) -> Value {
    json!({
        "data": { "event_type": kind, "id": uuid(kind, id), "occurred_at": "2026-11-21T12:00:05.148+00:00",
            "payload": payload, "record_type": "event" },
        "meta": { "attempt": 1, "delivered_to": delivered_to },
    })
}

/// A form about the leg of this kind, as every callback of TeXML has it.
fn about(kind: &str, ring: Ring<'_>, status: &str) -> Vec<(&'static str, String)> {
    let (from, to) = if kind == "caller" { (ring.from, ring.number) } else { (ring.number, ring.to) };
    let mut fields = vec![
        ("AccountSid", "f5586561-8ff0-4291-a51b-c7dfe4139ff9".to_owned()),
        ("CallSid", leg(kind, ring.id)),
        ("CallSidLegacy", leg(kind, ring.id)),
        ("CallStatus", status.to_owned()),
        ("ConnectionId", "1568109700606592442".to_owned()),
        ("From", from.to_owned()),
        ("To", to.to_owned()),
    ];
    if kind != "caller" {
        fields.push(("ParentCallSid", leg("caller", ring.id)));
        fields.push(("ParentCallSidLegacy", leg("caller", ring.id)));
    }
    fields
}

fn post(path: &str, fields: &[(&str, String)]) -> Webhook {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Webhook::form(path, &fields)
}

/// A status callback of a leg.
fn progress(kind: &str, ring: Ring<'_>, status: &str, at: &str, more: &[(&'static str, String)]) -> Webhook {
    let mut fields = about(kind, ring, status);
    fields.extend([
        ("CallInitiatedAt", "2026-11-21T12:00:00.028Z".to_owned()),
        ("CallbackSource", "call-progress-events".to_owned()),
        ("SequenceNumber", "1".to_owned()),
        ("Timestamp", at.to_owned()),
    ]);
    fields.extend(more.iter().cloned());
    post(STATUS, &fields)
}

/// What `Dial` asks when it is over.
fn dial_over(ring: Ring<'_>, status: &str, seconds: i64) -> Webhook {
    let mut fields = about("caller", ring, "in-progress");
    fields.extend([
        ("DialCallSid", leg("callee", ring.id)),
        ("DialCallSidLegacy", leg("callee", ring.id)),
        ("DialCallStatus", status.to_owned()),
        ("DialCallDuration", seconds.to_string()),
        ("HangupCause", "normal_clearing".to_owned()),
        ("HangupSource", "callee".to_owned()),
        ("Timestamp", ENDED.to_owned()),
    ]);
    post(STATUS, &fields)
}

const ENDED: &str = "2026-11-21T12:02:00Z";

impl Carrier for Telnyx {
    fn name(&self) -> &'static str {
        "telnyx"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("TELNYX_API_KEY", API_KEY.to_owned()),
            ("TELNYX_PUBLIC_KEY", PUBLIC_KEY.to_owned()),
            ("TELNYX_BASE_URL", base.to_owned()),
        ]
    }

    fn sign(&self, webhook: &Webhook, signer: Signer, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let seed = if signer == Signer::Ours { SEED } else { [7; 32] };
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let time = now.timestamp().to_string();
        let signature = pair.sign(format!("{time}|{}", webhook.body).as_bytes());
        vec![("telnyx-signature-ed25519", STANDARD.encode(signature.as_ref())), ("telnyx-timestamp", time)]
    }

    fn covers(&self) -> Covers {
        Covers { body: true, query: false }
    }

    fn spare_proof(&self) -> &'static [&'static str] {
        &[]
    }

    fn unsigned_status(&self) -> u16 {
        401
    }

    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook {
        let media: Vec<_> = media
            .iter()
            .map(|url| json!({ "url": url, "content_type": "image/jpeg", "size": 12345, "hash_sha256": "0a0b" }))
            .collect();
        let payload = json!({
            "autoresponse_type": null, "cc": [], "completed_at": null,
            "cost": { "amount": "0.0000", "currency": "USD" }, "direction": "inbound", "encoding": "UCS-2", "errors": [],
            "from": { "carrier": "T-Mobile USA", "line_type": "long_code", "phone_number": from },
            "id": uuid("text", id), "messaging_profile_id": PROFILE,
            "organization_id": "47a530f8-4362-4526-829b-bcee17fd9f7a", "parts": 1,
            "received_at": "2026-11-21T12:00:00.503+00:00", "record_type": "message", "sent_at": null, "tags": [],
            "text": text,
            "to": [{ "carrier": "Telnyx", "line_type": "Wireless", "phone_number": number,
                "status": "webhook_delivered" }],
            "type": if media.is_empty() { "SMS" } else { "MMS" }, "media": media, "valid_until": null,
            "webhook_failover_url": null, "webhook_url": format!("{PUBLIC}{SMS}"),
        });
        Webhook::json(SMS, &event("message.received", id, &payload, &format!("{PUBLIC}{SMS}")))
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        let mut fields = about("caller", ring, "ringing");
        fields.extend([
            ("CallerId", ring.from.to_owned()),
            ("CallingPartyType", "pstn".to_owned()),
            ("FromSipUri", format!("{}@10.239.182.10", ring.from)),
            ("ToSipUri", format!("{}@sip.telnyx.com", ring.number)),
        ]);
        post(VOICE, &fields)
    }

    fn unknown_event(&self) -> Webhook {
        let payload = json!({ "id": uuid("text", "unknown"), "record_type": "message", "to": [{ "status": "beamed" }],
            "webhook_url": format!("{PUBLIC}{STATUS}?ref=mk1") });
        Webhook::json(STATUS, &event("message.teleported", "unknown", &payload, &format!("{PUBLIC}{STATUS}?ref=mk1")))
    }

    /// Goes to the address that the send named, and repeats it in the body.
    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let body = sent.json();
        let (kind, status, errors) = match news {
            News::Sent => ("message.sent", "sent", json!([])),
            News::Delivered => ("message.finalized", "delivered", json!([])),
            News::Undelivered => (
                "message.finalized",
                "delivery_failed",
                json!([{ "code": "40008", "title": "Undeliverable",
                    "detail": "The recipient carrier did not accept the message.",
                    "meta": { "url": "https://developers.telnyx.com/docs/overview/errors/40008" } }]),
            ),
        };
        let address = body["webhook_url"].as_str().unwrap();
        let payload = json!({
            "completed_at": "2026-11-21T12:00:05.148+00:00", "cost": { "amount": "0.0051", "currency": "USD" },
            "direction": "outbound", "encoding": "UCS-2", "errors": errors,
            "from": { "carrier": "Telnyx", "line_type": "Wireless", "phone_number": body["from"] }, "id": provider_id,
            "media": [], "messaging_profile_id": PROFILE, "organization_id": "47a530f8-4362-4526-829b-bcee17fd9f7a",
            "parts": 1, "received_at": "2026-11-21T12:00:03.596+00:00", "record_type": "message",
            "sent_at": "2026-11-21T12:00:03.732+00:00", "tags": [], "text": body["text"],
            "to": [{ "carrier": "T-MOBILE USA, INC.", "line_type": "Wireless", "phone_number": body["to"],
                "status": status }],
            "type": "SMS", "valid_until": "2026-11-21T13:00:03.596+00:00", "webhook_failover_url": null,
            "webhook_url": address,
        });
        let path = address.strip_prefix(PUBLIC).unwrap();
        Webhook::json(path, &event(kind, provider_id, &payload, address))
    }

    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        let callee = |status| progress("callee", ring, status, ENDED, &[]);
        let caller = |status| progress("caller", ring, status, ENDED, &[("CallDuration", "120".to_owned())]);
        Told::Webhooks(match news {
            CallNews::Answered => vec![
                progress("caller", ring, "in-progress", "2026-11-21T12:00:08Z", &[]),
                progress("callee", ring, "ringing", "2026-11-21T12:00:02Z", &[]),
                progress("callee", ring, "in-progress", "2026-11-21T12:00:08Z", &[]),
            ],
            CallNews::Completed(seconds) => {
                let spoken = [
                    ("AnsweredTime", "2026-11-21T12:00:08Z".to_owned()),
                    ("EndTime", ENDED.to_owned()),
                    ("CallDuration", seconds.to_string()),
                    ("HangupCause", "normal_clearing".to_owned()),
                    ("HangupSource", "callee".to_owned()),
                ];
                vec![
                    progress("callee", ring, "completed", ENDED, &spoken),
                    dial_over(ring, "completed", seconds),
                    caller("completed"),
                ]
            }
            CallNews::Busy => vec![callee("busy"), dial_over(ring, "busy", 0), caller("completed")],
            CallNews::NoAnswer => vec![callee("no-answer"), dial_over(ring, "no-answer", 0), caller("completed")],
            CallNews::GivenUp => vec![caller("completed"), callee("canceled")],
        })
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v2/messages"));
        assert_eq!(request.header("authorization"), format!("Bearer {API_KEY}"));
        assert!(request.header("content-type").starts_with("application/json"));
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let media: Vec<_> = body["media_urls"].as_array().into_iter().flatten().map(text).collect();
        assert!(media.len() <= 10 && (media.is_empty() || body["type"] == "MMS"));
        assert!(text(&body["webhook_url"]).starts_with(PUBLIC));
        let carried = Carried { from: text(&body["from"]), to: text(&body["to"]), text: text(&body["text"]), media };
        assert!(carried.from.starts_with('+') && carried.to.starts_with('+'));
        assert!(!carried.text.is_empty() || !carried.media.is_empty(), "40316: no content");
        carried
    }

    fn refusal(&self) -> (u16, &'static str) {
        (
            400,
            r#"{"errors":[{"code":"40310","title":"Invalid 'to' address","detail":"The 'to' address is invalid.","source":{"pointer":"/to"}}]}"#,
        )
    }

    fn accept(&self, request: &Recorded, serial: usize) -> (u16, Value, String) {
        let body = request.json();
        let id = uuid("sent", &serial.to_string());
        let answer = json!({ "data": {
            "id": id, "record_type": "message", "direction": "outbound",
            "type": if body["media_urls"].is_array() { "MMS" } else { "SMS" }, "messaging_profile_id": PROFILE,
            "organization_id": "47a530f8-4362-4526-829b-bcee17fd9f7a",
            "from": { "phone_number": body["from"], "carrier": "Telnyx", "line_type": "Wireless" },
            "to": [{ "phone_number": body["to"], "status": "queued", "carrier": "T-MOBILE USA, INC.",
                "line_type": "Wireless" }],
            "text": body["text"], "media": [], "webhook_url": body["webhook_url"], "webhook_failover_url": null,
            "encoding": "UCS-2", "parts": 1, "tags": [], "cost": { "amount": "0.0051", "currency": "USD" },
            "received_at": "2026-11-21T12:00:00.000+00:00", "sent_at": null, "completed_at": null,
            "valid_until": "2026-11-21T13:00:00.000+00:00", "wait_seconds": 0, "errors": [],
        } });
        (200, answer, id)
    }
}
