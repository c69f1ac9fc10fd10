//! MessageBird: Flow Builder's forms, call flows fetched with GET, reports with GET, and calls that are asked about.

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::harness::{
    PUBLIC,
    carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook},
};

const API_KEY: &str = "live_key_of_the_tests";
const SIGNING_KEY: &str = "signing key of the tests";

pub struct MessageBird;

fn digits(phone: &str) -> &str {
    phone.trim_start_matches('+')
}

/// Texts have ids of 32 hexadecimal digits, calls UUIDs.
fn hex_id(id: &str) -> String {
    id.bytes()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        .chars()
        .chain("0".repeat(32).chars())
        .take(32)
        .collect()
}

fn call_id(id: &str) -> String {
    let hex = hex_id(id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn sha256(data: &[u8]) -> String {
    digest::digest(&digest::SHA256, data).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature over an address and a body.
pub fn sign(url: &str, body: &[u8], at: DateTime<Utc>) -> String {
    sign_with(SIGNING_KEY, url, body, at)
}

fn sign_with(key: &str, url: &str, body: &[u8], at: DateTime<Utc>) -> String {
    let mut claims = json!({
        "iss": "MessageBird", "nbf": at.timestamp(), "exp": at.timestamp() + 60,
        "jti": "0f3c2c60-3a5f-4a1e-9d0e-6b8f5f0c1a11", "url_hash": sha256(url.as_bytes()),
    });
    if !body.is_empty() {
        claims["payload_hash"] = sha256(body).into();
    }
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(key.as_bytes())).expect("a token")
}

impl Carrier for MessageBird {
    fn name(&self) -> &'static str {
        "messagebird"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("MESSAGEBIRD_API_KEY", API_KEY.to_owned()),
            ("MESSAGEBIRD_SIGNING_KEY", SIGNING_KEY.to_owned()),
            ("MESSAGEBIRD_BASE_URL", base.to_owned()),
        ]
    }

    fn sign(&self, webhook: &Webhook, signer: Signer, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let key = if signer == Signer::Ours { SIGNING_KEY } else { "the signing key of somebody else" };
        let url = format!("{PUBLIC}{}", webhook.path);
        vec![("MessageBird-Signature-JWT", sign_with(key, &url, webhook.body.as_bytes(), now))]
    }

    fn covers(&self) -> Covers {
        Covers { body: true, query: true }
    }

    fn spare_proof(&self) -> &'static [&'static str] {
        &[]
    }

    fn unsigned_status(&self) -> u16 {
        401
    }

    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook {
        let id = hex_id(id);
        let mut fields = vec![
            ("message_id", id.as_str()),
            ("originator", digits(from)),
            ("reference", "47749346971"),
            ("createdDatetime", "2026-11-21T12:00:00+00:00"),
            ("id", "ffffffffffffffffffffffffffffffff"),
            ("message", text),
            ("receiver", digits(number)),
            ("body", text),
            ("date", "1795291200"),
            ("payload", text),
            ("sender", digits(from)),
            ("date_utc", "1795262400"),
            ("recipient", digits(number)),
        ];
        fields.extend(media.iter().map(|address| ("mediaUrls", *address)));
        Webhook::form("/webhooks/messagebird/sms", &fields)
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        let id = call_id(ring.id);
        let query = [
            ("callID", id.as_str()),
            ("destination", digits(ring.number)),
            ("numberID", "2b6b4f1e-0000-4000-8000-000000000000"),
            ("source", digits(ring.from)),
            ("variables", "{}"),
        ];
        Webhook::get("/webhooks/messagebird/voice", &query)
    }

    fn unknown_event(&self) -> Webhook {
        let query = [("id", "efa6405d518d4c0c88cce11f7db775fb"), ("reference", "mk1"), ("status", "teleported")];
        Webhook::get("/webhooks/messagebird/status", &query)
    }

    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let body = sent.json();
        let status = match news {
            News::Sent => "sent",
            News::Delivered => "delivered",
            News::Undelivered => "delivery_failed",
        };
        let query = [
            ("id", provider_id),
            ("reference", body["reference"].as_str().unwrap()),
            ("recipient", body["recipients"].as_str().unwrap()),
            ("status", status),
            ("statusDatetime", "2026-11-21T12:00:05+00:00"),
            ("mccmnc", "20408"),
            ("ported", "0"),
            ("messageLength", "12"),
            ("messagePartCount", "1"),
            ("datacoding", "plain"),
            ("price[amount]", "0.07"),
            ("price[currency]", "EUR"),
        ];
        Webhook::get("/webhooks/messagebird/status", &query)
    }

    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        let (status, duration) = match news {
            CallNews::Answered => ("ongoing", 0),
            CallNews::Completed(seconds) => ("hangup", seconds),
            CallNews::Busy => ("busy", 0),
            CallNews::NoAnswer => ("no_answer", 0),
            CallNews::GivenUp => ("hangup", 0),
        };
        let answered = matches!(news, CallNews::Answered | CallNews::Completed(_)).then_some("2026-11-21T12:00:08Z");
        let over = news != CallNews::Answered;
        let ended = over.then_some("2026-11-21T12:02:00Z");
        let id = call_id(ring.id);
        let legs = json!({
            "data": [
                { "id": "1", "callID": id, "source": digits(ring.from), "destination": digits(ring.number),
                  "status": if over { "hangup" } else { "ongoing" }, "direction": "incoming", "duration": 120,
                  "createdAt": "2026-11-21T12:00:00Z", "updatedAt": "2026-11-21T12:02:00Z",
                  "answeredAt": "2026-11-21T12:00:00Z", "endedAt": ended },
                { "id": "2", "callID": id, "source": digits(ring.number), "destination": digits(ring.to),
                  "status": status, "direction": "outgoing", "duration": duration,
                  "createdAt": "2026-11-21T12:00:01Z", "updatedAt": "2026-11-21T12:02:00Z",
                  "answeredAt": answered, "endedAt": ended },
            ],
            "_links": { "self": format!("/calls/{id}/legs") }, "pagination": { "totalCount": 2 },
        });
        Told::WhenAsked(format!("/calls/{id}/legs"), legs)
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!(request.header("authorization"), format!("AccessKey {API_KEY}"));
        assert!(request.header("content-type").starts_with("application/json"));
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match request.path.as_str() {
            "/messages" => assert_eq!(body["datacoding"], "auto"),
            "/mms" => assert!(body["mediaUrls"].is_array()),
            other => panic!("no such path: {other}"),
        }
        Carried {
            from: format!("+{}", text(&body["originator"])),
            to: format!("+{}", text(&body["recipients"])),
            text: text(&body["body"]),
            media: body["mediaUrls"].as_array().into_iter().flatten().map(text).collect(),
        }
    }

    fn refusal(&self) -> (u16, &'static str) {
        (422, r#"{"errors":[{"code":9,"description":"no (correct) recipients found","parameter":"recipients"}]}"#)
    }

    fn accept(&self, request: &Recorded, serial: usize) -> (u16, Value, String) {
        let body = request.json();
        let id = format!("{serial:032x}");
        let recipient: i64 = body["recipients"].as_str().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let answer = json!({
            "id": id, "href": format!("https://rest.messagebird.com/messages/{id}"), "direction": "mt", "type": "sms",
            "originator": body["originator"], "body": body["body"], "reference": body["reference"], "validity": null,
            "gateway": 10, "typeDetails": {}, "datacoding": "plain", "mclass": 1, "scheduledDatetime": null,
            "createdDatetime": "2026-11-21T12:00:00+00:00",
            "recipients": {
                "totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0, "totalDeliveryFailedCount": 0,
                "items": [{ "recipient": recipient, "status": "sent", "statusDatetime": "2026-11-21T12:00:00+00:00",
                    "messagePartCount": 1 }]
            }
        });
        (201, answer, id)
    }
}
