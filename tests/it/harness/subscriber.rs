//! The platform's side of event delivery: an endpoint that takes posts, or does not.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem::{Endpoint, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};
use serde_json::Value;

/// How it answers a post.
#[derive(Clone, Debug)]
pub enum Act {
    /// With this status.
    Answer(u16),
    /// With this status and body.
    Say(u16, String),
    /// With a redirect to this address.
    Redirect(String),
    /// With 204, after so long.
    Late(Duration),
}

/// A post as it arrived.
#[derive(Clone, Debug)]
pub struct Post {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
    /// Whether it was answered with 2xx.
    pub is_taken: bool,
}

impl Post {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    pub fn ride(&self) -> i64 {
        self.json()["data"]["ride_id"].as_i64().expect("a ride")
    }

    /// The number in `evt_...`.
    pub fn event(&self) -> i64 {
        self.id.strip_prefix("evt_").and_then(|id| id.parse().ok()).expect("an event's id")
    }

    /// Whether one of the signatures is this secret's.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let tag = hmac::sign(&key, format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(tag));
        self.signature.split(' ').any(|signature| signature == expected)
    }
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    script: VecDeque<Act>,
    always: Option<Act>,
    by_type: HashMap<String, Act>,
    /// Posts under way, by ride, and the most there were at once: in all, and of one ride.
    under_way: HashMap<i64, usize>,
    most: (usize, usize),
}

/// An endpoint on a port of its own.
#[derive(Clone)]
pub struct Subscriber {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Subscriber {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/events", listener.local_addr().expect("an address"));
        let subscriber = Self { url, state: Arc::default() };
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a listener");
        tokio::spawn(Server::new_with_acceptor(acceptor).run(subscriber.clone()));
        subscriber
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Answers the next posts so, in order.
    pub fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().script.extend(acts);
    }

    /// Answers all posts so from now on; takes them without.
    pub fn always(&self, act: Option<Act>) {
        self.state().always = act;
    }

    /// Answers all posts of a type so from now on; takes them without.
    pub fn on_type(&self, kind: &str, act: Option<Act>) {
        let by_type = &mut self.state().by_type;
        match act {
            Some(act) => drop(by_type.insert(kind.to_owned(), act)),
            None => drop(by_type.remove(kind)),
        }
    }

    /// Takes the posts so far off the record.
    pub fn take(&self) -> Vec<Post> {
        std::mem::take(&mut self.state().posts)
    }

    /// The posts so far; they stay on the record.
    pub fn posts(&self) -> Vec<Post> {
        self.state().posts.clone()
    }

    /// Takes the posts so far off the record: the events of those that were answered with 2xx.
    pub fn taken(&self) -> Vec<i64> {
        self.take().iter().filter(|post| post.is_taken).map(Post::event).collect()
    }

    /// The most posts that were under way at once: in all, and of one ride.
    pub fn most_at_once(&self) -> (usize, usize) {
        self.state().most
    }

    /// No post is under way.
    pub fn is_idle(&self) -> bool {
        self.state().under_way.values().all(|count| *count == 0)
    }
}

impl Endpoint for Subscriber {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let (id, timestamp, signature) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let body = request.take_body().into_string().await?;
        let mut post = Post { id, timestamp, signature, body, is_taken: false };
        let ride = post.json()["data"]["ride_id"].as_i64().unwrap_or_default();
        let act = {
            let mut state = self.state();
            *state.under_way.entry(ride).or_default() += 1;
            let all = state.under_way.values().sum();
            let most = state.under_way.values().max().copied().unwrap_or_default();
            state.most = (state.most.0.max(all), state.most.1.max(most));
            let by_type = state.by_type.get(&post.kind()).cloned();
            state.script.pop_front().or(by_type).or_else(|| state.always.clone())
        };
        let answer = match act {
            None => StatusCode::NO_CONTENT.into(),
            Some(Act::Answer(status)) => StatusCode::from_u16(status).expect("a status").into(),
            Some(Act::Say(status, body)) => {
                let status = StatusCode::from_u16(status).expect("a status");
                Response::builder().status(status).content_type("application/json").body(body)
            }
            Some(Act::Redirect(to)) => Response::builder().status(StatusCode::FOUND).header("location", to).finish(),
            Some(Act::Late(long)) => {
                tokio::time::sleep(long).await;
                StatusCode::NO_CONTENT.into()
            }
        };
        post.is_taken = answer.is_success();
        let mut state = self.state();
        *state.under_way.entry(ride).or_default() -= 1;
        state.posts.push(post);
        Ok(answer)
    }
}
