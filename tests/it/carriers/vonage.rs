//! Vonage: the Messages API and Voice with call control objects, everything in signed JSON by POST.

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::harness::{
    PUBLIC,
    carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook},
};

const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
const ACCOUNT: &str = "a1b2c3d4";
const SECRET: &str = "signature secret of the tests";
const PRIVATE_KEY: &str = include_str!("../../fixtures/providers/vonage/test-key.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("../../fixtures/providers/vonage/test-key.pub.pem");

const SMS: &str = "/webhooks/vonage/sms";
const VOICE: &str = "/webhooks/vonage/voice";
const STATUS: &str = "/webhooks/vonage/status";
/// Where our call flow asks for news of the other leg: the answer may be a call flow again.
const CONNECT: &str = "/webhooks/vonage/status?caller=waiting";

pub struct Vonage;

fn digits(phone: &str) -> &str {
    phone.trim_start_matches('+')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Ids are UUIDs.
fn uuid(id: &str) -> String {
    let hex: String = hex(id.as_bytes()).chars().chain("0".repeat(32).chars()).take(32).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// HS256, by hand.
fn token(secret: &str, claims: &Value) -> String {
    let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// News of a leg, as they come at both addresses.
fn leg(ring: Ring<'_>, direction: &str, status: &str, at: &str) -> Value {
    let outbound = direction == "outbound";
    let (from, to) = if outbound { (ring.number, ring.to) } else { (ring.from, ring.number) };
    json!({
        "from": digits(from), "to": digits(to),
        "uuid": if outbound { uuid(ring.id) } else { uuid(ring.id).replace('-', "") },
        "conversation_uuid": format!("CON-{}", uuid(ring.id)),
        "status": status, "direction": direction, "timestamp": at,
    })
}

/// The last news of a leg: it comes after `busy` and the like too.
fn completed(ring: Ring<'_>, direction: &str, seconds: i64) -> Value {
    let end = "2026-11-21T12:02:00.000Z";
    let mut news = leg(ring, direction, "completed", end);
    let start = (seconds > 0).then_some("2026-11-21T12:00:08.000Z");
    for (name, value) in [
        ("duration", json!(seconds.to_string())),
        ("start_time", json!(start)),
        ("end_time", json!(end)),
        ("rate", json!("0.01270000")),
        ("price", json!("0.00889000")),
        ("network", json!("20408")),
    ] {
        news[name] = value;
    }
    news
}

impl Carrier for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("VONAGE_APPLICATION_ID", APPLICATION.to_owned()),
            ("VONAGE_PRIVATE_KEY", PRIVATE_KEY.to_owned()),
            ("VONAGE_API_KEY", ACCOUNT.to_owned()),
            ("VONAGE_SIGNATURE_SECRET", SECRET.to_owned()),
            ("VONAGE_BASE_URL", base.to_owned()),
        ]
    }

    fn sign(&self, webhook: &Webhook, signer: Signer, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let (secret, account, application) = match signer {
            Signer::Ours => (SECRET, ACCOUNT, APPLICATION),
            Signer::Stranger => ("secret of somebody else", "f0e1d2c3", "ffffffff-bbbb-cccc-dddd-0123456789ab"),
        };
        let hash = hex(digest::digest(&digest::SHA256, webhook.body.as_bytes()).as_ref());
        let claims = json!({
            "iat": now.timestamp(), "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage",
            "payload_hash": hash, "api_key": account, "application_id": application,
        });
        vec![("Authorization", format!("Bearer {}", token(secret, &claims)))]
    }

    fn covers(&self) -> Covers {
        Covers { body: true, query: false }
    }

    /// It may be one of theirs that they failed to sign: they repeat it after a 5xx.
    fn spare_proof(&self) -> &'static [&'static str] {
        &[]
    }

    fn unsigned_status(&self) -> u16 {
        503
    }

    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook {
        let mut message = json!({
            "to": digits(number), "from": digits(from), "channel": "sms", "message_uuid": uuid(id),
            "timestamp": "2026-11-21T12:00:00Z", "usage": { "price": "0.0057", "currency": "EUR" },
            "message_type": "text", "text": text, "context_status": "none", "origin": { "network_code": "20408" },
            "sms": { "num_messages": "1", "count_total": "1" },
        });
        if let Some(address) = media.first() {
            let fields = message.as_object_mut().unwrap();
            fields.remove("text");
            fields.remove("sms");
            fields.insert("channel".to_owned(), json!("mms"));
            fields.insert("message_type".to_owned(), json!("image"));
            let mut image = json!({ "url": address, "name": "a.jpg" });
            if !text.is_empty() {
                image["caption"] = json!(text);
            }
            fields.insert("image".to_owned(), image);
            // Only where more than one thing is attached.
            if media.len() > 1 {
                let more = media[1..].iter().map(|address| json!({ "type": "image", "url": address }));
                fields.insert("content".to_owned(), more.collect());
            }
        }
        Webhook::json(SMS, &message)
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        let call = json!({
            "from": digits(ring.from), "to": digits(ring.number), "uuid": uuid(ring.id).replace('-', ""),
            "conversation_uuid": format!("CON-{}", uuid(ring.id)), "endpoint_type": "phone",
            "region_url": "https://api-eu-3.vonage.com",
        });
        Webhook::json(VOICE, &call)
    }

    fn unknown_event(&self) -> Webhook {
        let event = json!({
            "from": "31612345678", "to": "3197010200001", "uuid": APPLICATION,
            "conversation_uuid": format!("CON-{APPLICATION}"), "status": "teleported", "direction": "outbound",
            "timestamp": "2026-11-21T12:00:00.000Z",
        });
        Webhook::json(STATUS, &event)
    }

    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let body = sent.json();
        let mut report = json!({
            "message_uuid": provider_id, "to": body["to"], "from": body["from"],
            "timestamp": "2026-11-21T12:00:05Z", "channel": body["channel"], "client_ref": body["client_ref"],
            "usage": { "price": "0.0333", "currency": "EUR" }, "destination": { "network_code": "20408" },
            "sms": { "count_total": "1" },
        });
        report["status"] = json!(match news {
            News::Sent => "submitted",
            News::Delivered => "delivered",
            News::Undelivered => "undeliverable",
        });
        if news == News::Undelivered {
            report["error"] = json!({
                "type": "https://developer.vonage.com/api-errors/messages#1170", "title": "1170",
                "detail": "Invalid or Missing Msisdn Param", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
            });
        }
        let path = body["webhook_url"].as_str().and_then(|url| url.strip_prefix(PUBLIC)).unwrap();
        Webhook::json(path, &report)
    }

    /// News of the other leg go to the address in our call flow and to the application's own; those of the caller's leg
    /// only to the latter.
    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        let other = |status, at| leg(ring, "outbound", status, at);
        let (others, callers) = match news {
            CallNews::Answered => (
                vec![other("ringing", "2026-11-21T12:00:02.000Z"), other("answered", "2026-11-21T12:00:08.000Z")],
                None,
            ),
            CallNews::Completed(seconds) => {
                (vec![completed(ring, "outbound", seconds)], Some(completed(ring, "inbound", seconds + 8)))
            }
            CallNews::Busy => (
                vec![other("busy", "2026-11-21T12:00:04.000Z"), completed(ring, "outbound", 0)],
                Some(completed(ring, "inbound", 20)),
            ),
            CallNews::NoAnswer => (
                vec![other("timeout", "2026-11-21T12:00:27.000Z"), completed(ring, "outbound", 0)],
                Some(completed(ring, "inbound", 45)),
            ),
            CallNews::GivenUp => (
                vec![other("cancelled", "2026-11-21T12:00:12.000Z"), completed(ring, "outbound", 0)],
                Some(completed(ring, "inbound", 12)),
            ),
        };
        let others = others.iter().flat_map(|news| [Webhook::json(CONNECT, news), Webhook::json(STATUS, news)]);
        let callers = callers.iter().map(|news| Webhook::json(STATUS, news));
        Told::Webhooks(others.chain(callers).collect())
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!(request.path, "/v1/messages");
        assert!(request.header("content-type").starts_with("application/json"));

        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_exp = false;
        let token = request.header("authorization").strip_prefix("Bearer ").expect("a bearer token");
        let key = DecodingKey::from_rsa_pem(PUBLIC_KEY).expect("a key");
        let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).expect("signed by the application").claims;
        assert_eq!(claims["application_id"], APPLICATION);
        assert!(!claims["jti"].as_str().unwrap().is_empty());
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=86_400).contains(&life), "at most a day");

        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for name in ["from", "to"] {
            let number = text(&body[name]);
            assert!(number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0'), "no + and no 00");
        }
        assert_eq!(body["webhook_version"], "v1");
        let kind = text(&body["message_type"]);
        let (words, media) = match text(&body["channel"]).as_str() {
            "sms" => {
                assert_eq!(kind, "text");
                (text(&body["text"]), Vec::new())
            }
            "mms" => {
                assert!(["image", "video", "audio", "vcard", "file"].contains(&kind.as_str()), "{kind}");
                let attached = &body[kind.as_str()];
                assert_ne!(attached["caption"], "", "a caption has a character at least");
                (text(&attached["caption"]), vec![text(&attached["url"])])
            }
            other => panic!("no such channel: {other}"),
        };
        Carried { from: format!("+{}", text(&body["from"])), to: format!("+{}", text(&body["to"])), text: words, media }
    }

    fn refusal(&self) -> (u16, &'static str) {
        (
            422,
            r#"{"type":"https://developer.vonage.com/api-errors/messages#1120","title":"1120","detail":"Illegal Sender Address","instance":"bf0ca0bf927b3b52e3cb03217e1a1ddf"}"#,
        )
    }

    fn accept(&self, _: &Recorded, serial: usize) -> (u16, Value, String) {
        let id = uuid(&format!("send {serial:06}"));
        (202, json!({ "message_uuid": id }), id)
    }
}
