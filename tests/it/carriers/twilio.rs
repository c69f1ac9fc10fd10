//! Twilio: forms signed over address and parameters, TwiML, and reports that find their text by the address they go to.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::harness::{
    PUBLIC,
    carrier::{CallNews, Carried, Carrier, Covers, News, Recorded, Ring, Signer, Told, Webhook},
};

pub struct Twilio;

const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
const AUTH_TOKEN: &str = "auth token of the tests";
const STATUS: &str = "/webhooks/twilio/status";

/// Two letters for the kind, then 32 hexadecimal digits.
fn sid(kind: &str, id: &str) -> String {
    let hex = id.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("{kind}{:0<32.32}", hex)
}

/// The moment `seconds` after the call came in, in RFC 2822.
fn moment(seconds: i64) -> String {
    let noon: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
    (noon + Duration::seconds(seconds)).format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// What every request about the caller's leg says.
fn callers_leg<'a>(call_sid: &'a str, ring: Ring<'a>, status: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("AccountSid", ACCOUNT_SID),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call_sid),
        ("CallStatus", status),
        ("Called", ring.number),
        ("CalledCity", ""),
        ("CalledCountry", "NL"),
        ("CalledState", ""),
        ("CalledZip", ""),
        ("Caller", ring.from),
        ("CallerCity", ""),
        ("CallerCountry", "NL"),
        ("CallerState", ""),
        ("CallerZip", ""),
        ("Direction", "inbound"),
        ("From", ring.from),
        ("FromCity", ""),
        ("FromCountry", "NL"),
        ("FromState", ""),
        ("FromZip", ""),
        ("To", ring.number),
        ("ToCity", ""),
        ("ToCountry", "NL"),
        ("ToState", ""),
        ("ToZip", ""),
    ]
}

/// A callback of the `Number` that our flow dials.
fn other_leg(ring: Ring<'_>, status: &str, sequence: usize, at: i64, duration: Option<i64>) -> Webhook {
    let (parent, child) = (sid("CA", ring.id), sid("CA", &format!("{}/2", ring.id)));
    let (sequence, at, duration) = (sequence.to_string(), moment(at), duration.map(|seconds| seconds.to_string()));
    let mut fields = vec![
        ("AccountSid", ACCOUNT_SID),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", child.as_str()),
        ("CallStatus", status),
        ("CallbackSource", "call-progress-events"),
        ("Called", ring.to),
        ("Caller", ring.number),
        ("Direction", "outbound-dial"),
        ("From", ring.number),
        ("ParentCallSid", parent.as_str()),
        ("SequenceNumber", sequence.as_str()),
        ("Timestamp", at.as_str()),
        ("To", ring.to),
    ];
    if let Some(seconds) = &duration {
        fields.extend([("CallDuration", seconds.as_str()), ("Duration", "1")]);
    }
    Webhook::form(STATUS, &fields)
}

/// The `action` of our `Dial`.
fn dial_ended(ring: Ring<'_>, status: &str, duration: Option<i64>) -> Webhook {
    let (call_sid, child) = (sid("CA", ring.id), sid("CA", &format!("{}/2", ring.id)));
    let mut fields = callers_leg(&call_sid, ring, "in-progress");
    fields.extend([("DialCallSid", child.as_str()), ("DialCallStatus", status)]);
    fields.push(("DialBridged", if duration.is_some() { "true" } else { "false" }));
    let duration = duration.map(|seconds| seconds.to_string());
    if let Some(seconds) = &duration {
        fields.push(("DialCallDuration", seconds));
    }
    Webhook::form(STATUS, &fields)
}

/// The `StatusCallback` of the number that was called.
fn caller_left(ring: Ring<'_>, status: &str, at: i64) -> Webhook {
    let (call_sid, at, duration) = (sid("CA", ring.id), moment(at), at.to_string());
    let mut fields = callers_leg(&call_sid, ring, status);
    fields.extend([
        ("CallDuration", duration.as_str()),
        ("CallbackSource", "call-progress-events"),
        ("Duration", "1"),
        ("SequenceNumber", "0"),
        ("Timestamp", at.as_str()),
    ]);
    Webhook::form(STATUS, &fields)
}

impl Carrier for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("TWILIO_ACCOUNT_SID", ACCOUNT_SID.to_owned()),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN.to_owned()),
            ("TWILIO_BASE_URL", base.to_owned()),
        ]
    }

    /// The address, then every parameter of the form in order of the names, with nothing between.
    fn sign(&self, webhook: &Webhook, signer: Signer, _: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let token = if signer == Signer::Ours { AUTH_TOKEN } else { "the auth token of somebody else" };
        let mut signed = format!("{PUBLIC}{}", webhook.path);
        if webhook.content_type == "application/x-www-form-urlencoded" {
            let mut pairs: Vec<_> = url::form_urlencoded::parse(webhook.body.as_bytes()).into_owned().collect();
            pairs.sort();
            pairs.dedup();
            pairs.iter().for_each(|(name, value)| signed.extend([name.as_str(), value]));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
        vec![("X-Twilio-Signature", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))]
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
        let sid = sid(if media.is_empty() { "SM" } else { "MM" }, id);
        let count = media.len().to_string();
        let names: Vec<_> =
            (0..media.len()).map(|nth| (format!("MediaUrl{nth}"), format!("MediaContentType{nth}"))).collect();
        let mut fields = vec![
            ("ToCountry", "NL"),
            ("ToState", ""),
            ("SmsMessageSid", sid.as_str()),
            ("NumMedia", count.as_str()),
            ("ToCity", ""),
            ("FromZip", ""),
            ("SmsSid", sid.as_str()),
            ("FromState", ""),
            ("SmsStatus", "received"),
            ("FromCity", ""),
            ("Body", text),
            ("FromCountry", "NL"),
            ("To", number),
            ("ToZip", ""),
            ("NumSegments", "1"),
            ("MessageSid", sid.as_str()),
            ("AccountSid", ACCOUNT_SID),
            ("From", from),
            ("ApiVersion", "2010-04-01"),
        ];
        for ((url, content_type), address) in names.iter().zip(media) {
            fields.extend([(url.as_str(), *address), (content_type.as_str(), "image/jpeg")]);
        }
        Webhook::form("/webhooks/twilio/sms", &fields)
    }

    fn call(&self, ring: Ring<'_>) -> Webhook {
        let call_sid = sid("CA", ring.id);
        let mut fields = callers_leg(&call_sid, ring, "ringing");
        fields.push(("CallToken", r#"{"parentCallInfoToken":"eyJhbGciOiJFUzI1NiJ9","identityHeaderTokens":[]}"#));
        Webhook::form("/webhooks/twilio/voice", &fields)
    }

    fn unknown_event(&self) -> Webhook {
        let fields = [
            ("MessageSid", "SM00000000000000000000000000000001"),
            ("MessageStatus", "teleported"),
            ("AccountSid", ACCOUNT_SID),
            ("ApiVersion", "2010-04-01"),
        ];
        Webhook::form(&format!("{STATUS}?ref=mk1"), &fields)
    }

    /// Goes to the address that the send named. What stands behind it from `#` on tells Twilio how to call.
    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook {
        let (status, code) = match news {
            News::Sent => ("sent", None),
            News::Delivered => ("delivered", None),
            News::Undelivered => ("undelivered", Some("30003")),
        };
        let fields = sent.fields();
        let field = |name| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
        let address = field("StatusCallback").split('#').next().unwrap_or_default();
        let path = address.strip_prefix(PUBLIC).expect("an address of ours");
        let mut report = vec![
            ("SmsSid", provider_id),
            ("SmsStatus", status),
            ("MessageStatus", status),
            ("To", field("To")),
            ("MessageSid", provider_id),
            ("AccountSid", ACCOUNT_SID),
            ("From", field("From")),
            ("ApiVersion", "2010-04-01"),
        ];
        if news != News::Sent {
            report.push(("RawDlrDoneDate", "2611211200"));
        }
        report.extend(code.map(|code| ("ErrorCode", code)));
        Webhook::form(path, &report)
    }

    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told {
        let ringing = other_leg(ring, "ringing", 0, 2, None);
        let answered = other_leg(ring, "in-progress", 1, 8, None);
        let missed = |status| {
            vec![
                ringing.clone(),
                other_leg(ring, status, 1, 20, Some(0)),
                dial_ended(ring, status, None),
                caller_left(ring, "completed", 26),
            ]
        };
        Told::Webhooks(match news {
            CallNews::Answered => vec![ringing, answered],
            CallNews::Completed(seconds) => vec![
                ringing.clone(),
                answered,
                other_leg(ring, "completed", 2, 8 + seconds, Some(seconds)),
                dial_ended(ring, "completed", Some(seconds)),
                caller_left(ring, "completed", 9 + seconds),
            ],
            CallNews::Busy => missed("busy"),
            CallNews::NoAnswer => missed("no-answer"),
            CallNews::GivenUp => {
                vec![ringing.clone(), other_leg(ring, "canceled", 1, 10, Some(0)), caller_left(ring, "canceled", 10)]
            }
        })
    }

    fn read(&self, request: &Recorded) -> Carried {
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"));
        let credentials = STANDARD.encode(format!("{ACCOUNT_SID}:{AUTH_TOKEN}"));
        assert_eq!(request.header("authorization"), format!("Basic {credentials}"));
        assert!(request.header("content-type").starts_with("application/x-www-form-urlencoded"));
        let mut carried = Carried { from: String::new(), to: String::new(), text: String::new(), media: Vec::new() };
        for (name, value) in request.fields() {
            match name.as_str() {
                "From" => carried.from = value,
                "To" => carried.to = value,
                "Body" => carried.text = value,
                "MediaUrl" => carried.media.push(value),
                "StatusCallback" => {
                    let host = value.split('/').nth(2).unwrap_or_default();
                    assert!(!host.contains('_'), "no underscore in {host}");
                }
                other => panic!("no such parameter: {other}"),
            }
        }
        assert!(carried.text.encode_utf16().count() <= 1600, "21617");
        assert!(carried.media.len() <= 10, "too many pictures");
        assert!(!carried.text.is_empty() || !carried.media.is_empty(), "nothing to send");
        carried
    }

    fn refusal(&self) -> (u16, &'static str) {
        (
            400,
            r#"{"code":21211,"message":"Invalid 'To' Phone Number","more_info":"https://www.twilio.com/docs/errors/21211","status":400}"#,
        )
    }

    fn accept(&self, request: &Recorded, serial: usize) -> (u16, Value, String) {
        let fields = request.fields();
        let field = |name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let media = fields.iter().filter(|(name, _)| name == "MediaUrl").count();
        let sid = format!("{}{serial:032x}", if media > 0 { "MM" } else { "SM" });
        let uri = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}");
        let answer = json!({
            "account_sid": ACCOUNT_SID, "api_version": "2010-04-01", "body": field("Body").unwrap_or_default(),
            "date_created": "Sat, 21 Nov 2026 12:00:00 +0000", "date_sent": null,
            "date_updated": "Sat, 21 Nov 2026 12:00:00 +0000", "direction": "outbound-api", "error_code": null,
            "error_message": null, "from": field("From"), "messaging_service_sid": null,
            "num_media": media.to_string(), "num_segments": "1", "price": null, "price_unit": "USD", "sid": sid,
            "status": "queued", "subresource_uris": { "media": format!("{uri}/Media.json") }, "to": field("To"),
            "uri": format!("{uri}.json"),
        });
        (201, answer, sid)
    }
}
