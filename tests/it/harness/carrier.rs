//! Providers as the tests play them: their side of our webhooks, and their API.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use poem::{Endpoint, IntoResponse as _, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};
use serde_json::Value;

use super::{Answer, Api};

/// A webhook before it is signed.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub method: &'static str,
    /// Path and query, below our public address.
    pub path: String,
    /// Empty with a GET.
    pub content_type: &'static str,
    pub body: String,
}

impl Webhook {
    pub fn get(path: &str, query: &[(&str, &str)]) -> Self {
        Self { method: "GET", path: format!("{path}?{}", form(query)), content_type: "", body: String::new() }
    }

    pub fn form(path: &str, fields: &[(&str, &str)]) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            content_type: "application/x-www-form-urlencoded",
            body: form(fields),
        }
    }

    pub fn json(path: &str, body: &Value) -> Self {
        Self { method: "POST", path: path.to_owned(), content_type: "application/json", body: body.to_string() }
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl Api {
    /// A provider calls a webhook, with these headers for proof and no token of ours.
    pub async fn webhook(&self, webhook: &Webhook, proof: &[(&'static str, String)]) -> Answer {
        self.try_webhook(webhook, proof).await.expect("an answer")
    }

    /// The same to a service that may not be there: `None` without an answer.
    pub async fn try_webhook(&self, webhook: &Webhook, proof: &[(&'static str, String)]) -> Option<Answer> {
        let mut headers: Vec<_> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !webhook.content_type.is_empty() {
            headers.push(("content-type", webhook.content_type));
        }
        let anybody = self.with_token("");
        anybody.try_raw(webhook.method, &webhook.path, &headers, webhook.body.clone().into_bytes()).await
    }
}

/// Whose secret signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The account that is configured.
    Ours,
    /// Another account of the same provider.
    Stranger,
}

/// What a signature covers. What it leaves open is the provider's weakness, not ours.
#[derive(Clone, Copy, Debug)]
pub struct Covers {
    pub body: bool,
    pub query: bool,
}

/// News of a text that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Sent,
    Delivered,
    Undelivered,
}

/// News of a call that we connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallNews {
    /// The other party picked up.
    Answered,
    /// They talked for so many seconds.
    Completed(i64),
    Busy,
    NoAnswer,
    /// The caller hung up before anybody picked up.
    GivenUp,
}

/// A call as the provider knows it; numbers in E.164 with `+`.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    /// The provider's id of the call, whatever shape it gives that.
    pub id: &'a str,
    /// The caller.
    pub from: &'a str,
    /// The proxy number that was called.
    pub number: &'a str,
    /// The other party, if our flow connected to one.
    pub to: &'a str,
}

/// How the provider tells news of a call.
pub enum Told {
    /// By calling our webhooks, in this order.
    Webhooks(Vec<Webhook>),
    /// When asked with `GET` at this path: this JSON.
    WhenAsked(String, Value),
}

/// A send as it reached the provider, read by its own rules; numbers in E.164 with `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub from: String,
    pub to: String,
    pub text: String,
    pub media: Vec<String>,
}

/// A provider.
pub trait Carrier: Send + Sync {
    /// Its name in paths.
    fn name(&self) -> &'static str;

    /// The variables of an account whose API is at `base`.
    fn account(&self, base: &str) -> Vec<(&'static str, String)>;

    /// The headers that prove a webhook to `PUBLIC`, without `Content-Type`.
    fn sign(&self, webhook: &Webhook, signer: Signer, now: DateTime<Utc>) -> Vec<(&'static str, String)>;

    /// What that covers.
    fn covers(&self) -> Covers;

    /// Headers of the proof that may be wrong as long as the others hold.
    fn spare_proof(&self) -> &'static [&'static str];

    /// What an unsigned request is answered with.
    fn unsigned_status(&self) -> u16;

    /// A phone sends a text; `id` tells it from others and can be made any shape.
    fn text(&self, id: &str, from: &str, number: &str, text: &str, media: &[&str]) -> Webhook;

    /// A phone calls. `from` may be a hidden caller's word, such as `anonymous`.
    fn call(&self, ring: Ring<'_>) -> Webhook;

    /// An event of a type that nobody has heard of.
    fn unknown_event(&self) -> Webhook;

    /// News of a send that [`accept`](Self::accept) took under this id.
    fn report(&self, sent: &Recorded, provider_id: &str, news: News) -> Webhook;

    /// News of a call, of both legs where there are two.
    fn call_news(&self, ring: Ring<'_>, news: CallNews) -> Told;

    /// Checks that a request to the API is as the provider demands (path, credentials, content type), and reads it.
    fn read(&self, request: &Recorded) -> Carried;

    /// How its API refuses a send for good: status and document.
    fn refusal(&self) -> (u16, &'static str);

    /// The response to such a send, under this id of ours that the provider may reshape: status, JSON, its own id.
    fn accept(&self, request: &Recorded, serial: usize) -> (u16, Value, String);
}

/// How the stand-in answers a send.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// This status, headers and body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// As usual, after so long.
    Hang(std::time::Duration),
}

/// A request as it reached the API.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
    /// The provider's id of the send, if it was accepted.
    pub provider_id: String,
}

impl Recorded {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The fields of a form, in order.
    pub fn fields(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

#[derive(Default)]
struct State {
    sent: Vec<Recorded>,
    serial: usize,
    script: std::collections::VecDeque<Behaviour>,
    when_asked: HashMap<String, Value>,
    /// Questions so far.
    asked: usize,
    /// The status with which questions are refused, if they are.
    refuses_questions: Option<u16>,
}

/// A stand-in for a provider's API, on a port of its own.
#[derive(Clone)]
pub struct StandIn {
    pub base: String,
    carrier: Arc<dyn Carrier>,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    pub async fn of(carrier: Arc<dyn Carrier>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stand_in = Self { base, carrier, state: Arc::default() };
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a listener");
        tokio::spawn(Server::new_with_acceptor(acceptor).run(stand_in.clone()));
        stand_in
    }

    /// Answers the next sends so, in order; then accepts again.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.lock().expect("not poisoned").script.extend(behaviours);
    }

    /// Accepts again from now on.
    pub fn forget_script(&self) {
        self.state.lock().expect("not poisoned").script.clear();
    }

    /// Answers a question so from now on.
    pub fn when_asked(&self, path: String, answer: Value) {
        self.state.lock().expect("not poisoned").when_asked.insert(path, answer);
    }

    /// Answers every question with this status from now on, or as it should.
    pub fn refuse_questions(&self, status: Option<u16>) {
        self.state.lock().expect("not poisoned").refuses_questions = status;
    }

    /// How many questions there were since this was last asked.
    pub fn count_questions(&self) -> usize {
        std::mem::take(&mut self.state.lock().expect("not poisoned").asked)
    }

    /// Takes the sends so far off the record.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.state.lock().expect("not poisoned").sent)
    }

    /// The same, as the provider reads them.
    pub fn carried(&self) -> Vec<Carried> {
        self.take().iter().map(|request| self.carrier.read(request)).collect()
    }
}

impl Endpoint for StandIn {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_string().await?;
        let path = request.original_uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        let method = request.method().to_string();
        let mut recorded = Recorded { method, path, headers, body, provider_id: String::new() };
        if recorded.method == "GET" {
            let (answer, refusal) = {
                let mut state = self.state.lock().expect("not poisoned");
                state.asked += 1;
                (state.when_asked.get(&recorded.path).cloned(), state.refuses_questions)
            };
            if let Some(status) = refusal {
                return Ok(StatusCode::from_u16(status).expect("a status").into_response());
            }
            return Ok(match answer {
                Some(answer) => answer.to_string().with_content_type("application/json").into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            });
        }
        let (behaviour, serial) = {
            let mut state = self.state.lock().expect("not poisoned");
            state.serial += 1;
            (state.script.pop_front(), state.serial)
        };
        if let Some(Behaviour::Answer(status, headers, body)) = behaviour {
            self.state.lock().expect("not poisoned").sent.push(recorded);
            let builder = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
            let builder = headers.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
            return Ok(builder.body(body));
        }
        let (status, answer, provider_id) = self.carrier.accept(&recorded, serial);
        recorded.provider_id = provider_id;
        self.state.lock().expect("not poisoned").sent.push(recorded);
        if let Some(Behaviour::Hang(long)) = behaviour {
            tokio::time::sleep(long).await;
        }
        let builder = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
        Ok(builder.content_type("application/json").body(answer.to_string()))
    }
}
