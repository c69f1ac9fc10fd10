//! MessageBird's side of texts: takes sends, and fails as often as a bad day's network.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use fastrand::Rng;
use poem::{Endpoint, Request, Response, Server, http::StatusCode, listener::TcpAcceptor};

use crate::{
    carriers::messagebird::MessageBird,
    harness::carrier::{Carrier as _, Recorded},
};

/// What the network answered a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Taken,
    /// Not taken, come again.
    Busy,
    /// Not taken, come again in so many seconds.
    BusyFor(i64),
    /// Nobody knows.
    Doubt,
    /// Refused for good.
    Refused,
}

/// A send as the network saw it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub from: String,
    pub to: String,
    pub text: String,
    pub fate: Fate,
    pub request: Recorded,
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:?} {} > {}: {}]", self.fate, self.from, self.to, self.text)
    }
}

#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    /// How often each text was tried: fates follow from it, so they do not depend on what is sent beside.
    tries: HashMap<String, u64>,
    serial: usize,
    down: bool,
}

#[derive(Clone)]
pub struct Network {
    pub base: String,
    seed: u64,
    state: Arc<Mutex<State>>,
}

impl Network {
    pub async fn start(seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let network = Self { base, seed, state: Arc::default() };
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a listener");
        tokio::spawn(Server::new_with_acceptor(acceptor).run(network.clone()));
        network
    }

    /// Whether every send is turned away.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Takes the sends so far off the record, in the order in which they came.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state().sent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// What becomes of this try of a text: the same in every run of a seed.
    fn fate(&self, text: &str, tries: u64) -> Fate {
        let mixed =
            text.bytes().fold(self.seed ^ tries, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        match Rng::with_seed(mixed).u32(..100) {
            0..80 => Fate::Taken,
            80..88 => Fate::Busy,
            88..91 => Fate::BusyFor(40),
            91..97 => Fate::Doubt,
            _ => Fate::Refused,
        }
    }
}

impl Endpoint for Network {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_string().await?;
        let path = request.original_uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        let method = request.method().to_string();
        let mut request = Recorded { method, path, headers, body, provider_id: String::new() };
        let carried = MessageBird.read(&request);
        let mut state = self.state();
        state.serial += 1;
        let tries = state.tries.entry(carried.text.clone()).or_default();
        *tries += 1;
        let tries = *tries;
        let fate = if state.down { Fate::Busy } else { self.fate(&carried.text, tries) };
        let (status, accepted, provider_id) = MessageBird.accept(&request, state.serial);
        request.provider_id = provider_id;
        state.sent.push(Sent { from: carried.from, to: carried.to, text: carried.text, fate, request });
        drop(state);
        let builder = Response::builder();
        let code = |status| StatusCode::from_u16(status).expect("a status");
        Ok(match fate {
            Fate::Taken => builder.status(code(status)).content_type("application/json").body(accepted.to_string()),
            Fate::Busy => builder.status(code(503)).finish(),
            Fate::BusyFor(seconds) => builder.status(code(429)).header("retry-after", seconds).finish(),
            Fate::Doubt => builder.status(code(500)).body("oops"),
            Fate::Refused => {
                let (status, body) = MessageBird.refusal();
                builder.status(code(status)).content_type("application/json").body(body)
            }
        })
    }
}
