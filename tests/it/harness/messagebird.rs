//! A stand-in for `rest.messagebird.com`, and MessageBird's side of our webhooks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use jsonwebtoken::{EncodingKey, Header};
use poem::{EndpointExt as _, Response, Route, Server, endpoint::make, http::StatusCode, listener::TcpAcceptor, post};
use serde_json::{Value, json};

use super::{Answer, Api, PUBLIC};

pub const API_KEY: &str = "live_key_of_the_tests";
pub const SIGNING_KEY: &str = "signing key of the tests";

/// How the stand-in answers a send.
#[derive(Clone)]
pub enum Behaviour {
    /// 201, as the fact sheet says.
    Accept,
    /// This status, headers and body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// No answer for so long.
    Hang(std::time::Duration),
}

/// A send as it arrived.
#[derive(Clone, Debug)]
pub struct Sent {
    pub authorization: String,
    pub content_type: String,
    pub raw: String,
    pub body: Value,
}

#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    script: VecDeque<Behaviour>,
}

/// The stand-in.
#[derive(Clone)]
pub struct StandIn {
    pub base: String,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let messages = make(move |mut request: poem::Request| {
            let shared = Arc::clone(&shared);
            async move {
                let raw = request.take_body().into_string().await?;
                let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
                let body: Value = serde_json::from_str(&raw).unwrap_or(Value::Null);
                let sent = Sent {
                    authorization: header("authorization"),
                    content_type: header("content-type"),
                    body: body.clone(),
                    raw,
                };
                let behaviour = {
                    let mut state = shared.lock().expect("not poisoned");
                    state.sent.push(sent);
                    state.script.pop_front().unwrap_or(Behaviour::Accept)
                };
                Ok::<_, poem::Error>(answer(behaviour, &body).await)
            }
        });
        let routes = Route::new().at("/messages", post(messages.map_to_response()));
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a listener");
        tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
        Self { base, state }
    }

    /// Answers the next sends so, in order; then accepts again.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.lock().expect("not poisoned").script.extend(behaviours);
    }

    /// Every send so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.state.lock().expect("not poisoned").sent.clone()
    }

    /// Takes the sends so far off the record.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state.lock().expect("not poisoned").sent)
    }

    /// The variables of an account at this stand-in.
    pub fn account(&self) -> [(&'static str, &str); 3] {
        [
            ("MESSAGEBIRD_API_KEY", API_KEY),
            ("MESSAGEBIRD_SIGNING_KEY", SIGNING_KEY),
            ("MESSAGEBIRD_BASE_URL", &self.base),
        ]
    }
}

async fn answer(behaviour: Behaviour, body: &Value) -> Response {
    let (status, headers, text) = match behaviour {
        Behaviour::Answer(status, headers, text) => (status, headers, text.to_owned()),
        behaviour => {
            if let Behaviour::Hang(long) = behaviour {
                tokio::time::sleep(long).await;
            }
            let recipient: i64 = body["recipients"][0].as_str().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let text = json!({
                "id": "efa6405d518d4c0c88cce11f7db775fb",
                "href": "https://rest.messagebird.com/messages/efa6405d518d4c0c88cce11f7db775fb",
                "direction": "mt", "type": "sms", "originator": body["originator"], "body": body["body"],
                "reference": body["reference"], "validity": null, "gateway": 10, "typeDetails": {},
                "datacoding": "plain", "mclass": 1, "scheduledDatetime": null,
                "createdDatetime": "2026-11-21T12:00:00+00:00",
                "recipients": {
                    "totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0, "totalDeliveryFailedCount": 0,
                    "items": [{ "recipient": recipient, "status": "sent", "statusDatetime": "2026-11-21T12:00:00+00:00",
                        "messagePartCount": 1 }]
                }
            });
            (201, vec![("content-type", "application/json")], text.to_string())
        }
    };
    let builder = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    headers.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value)).body(text)
}

fn sha256(data: &[u8]) -> String {
    digest::digest(&digest::SHA256, data).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature that MessageBird puts on a request to this path and query of ours.
pub fn sign(path: &str, body: &[u8], at: DateTime<Utc>) -> String {
    sign_with(SIGNING_KEY, &format!("{PUBLIC}{path}"), body, at)
}

pub fn sign_with(key: &str, url: &str, body: &[u8], at: DateTime<Utc>) -> String {
    let mut claims = json!({
        "iss": "MessageBird", "nbf": at.timestamp(), "exp": at.timestamp() + 60,
        "jti": "0f3c2c60-3a5f-4a1e-9d0e-6b8f5f0c1a11", "url_hash": sha256(url.as_bytes()),
    });
    if !body.is_empty() {
        claims["payload_hash"] = sha256(body).into();
    }
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(key.as_bytes())).expect("a token")
}

/// MessageBird's side of our webhooks.
pub struct Webhooks<'a> {
    pub api: &'a Api,
    pub now: DateTime<Utc>,
}

impl Webhooks<'_> {
    /// A phone sends a text: the form that Flow Builder posts.
    pub async fn text(&self, id: &str, from: &str, to: &str, text: &str) -> Answer {
        let body = Self::text_form(id, from, to, text);
        let path = "/webhooks/messagebird/sms";
        let signature = sign(path, body.as_bytes(), self.now);
        self.post(path, &signature, body).await
    }

    pub fn text_form(id: &str, from: &str, to: &str, text: &str) -> String {
        let fields = [
            ("message_id", id),
            ("originator", from),
            ("reference", "47749346971"),
            ("createdDatetime", "2026-11-21T12:00:00+00:00"),
            ("id", "ffffffffffffffffffffffffffffffff"),
            ("message", text),
            ("receiver", to),
            ("body", text),
            ("date", "1795291200"),
            ("payload", text),
            ("sender", from),
            ("date_utc", "1795262400"),
            ("recipient", to),
        ];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }

    pub async fn post(&self, path: &str, signature: &str, body: String) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("MessageBird-Signature-JWT", signature)];
        self.api.with_token("").raw("POST", path, &headers, body.into_bytes()).await
    }

    /// A phone calls.
    pub async fn call(&self, id: &str, from: &str, to: &str) -> Answer {
        let query =
            [("callID", id), ("destination", to), ("numberID", "2b6b4f1e"), ("source", from), ("variables", "{}")];
        self.get("/webhooks/messagebird/voice", &query).await
    }

    /// News of a text that was sent.
    pub async fn report(&self, reference: &str, recipient: &str, status: &str) -> Answer {
        let query = [
            ("id", "efa6405d518d4c0c88cce11f7db775fb"),
            ("reference", reference),
            ("recipient", recipient),
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
        self.get("/webhooks/messagebird/status", &query).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let path = format!("{path}?{query}");
        let signature = sign(&path, b"", self.now);
        self.api.with_token("").raw("GET", &path, &[("MessageBird-Signature-JWT", &signature)], Vec::new()).await
    }
}
