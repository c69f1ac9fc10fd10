//! Who uses the service: people who text and call over the provider, and a platform that creates rides. All of them try
//! again until they are answered, as providers and platforms do, and write down what they were told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use maskline::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Answer, Api,
        carrier::{Carrier, Ring, Signer, Webhook},
    },
};

/// A request without an answer by then is tried again.
const PATIENCE: Duration = Duration::from_secs(8);

/// Two people who have a ride, and its number.
#[derive(Clone, Debug)]
pub struct Pair {
    pub ride: i64,
    pub customer: String,
    pub driver: String,
    pub number: String,
}

/// A text that was acknowledged, in the order of its conversation.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub pair: Pair,
    pub to: String,
    pub text: String,
    pub at: Instant,
}

/// A request that can be made again.
enum Asked {
    /// A webhook of the provider's, to be signed anew each time.
    Webhook(Webhook),
    Ride {
        /// The idempotency key.
        key: String,
        body: String,
    },
    /// The document at a path.
    Document(String),
}

impl Asked {
    async fn of(&self, api: &Api) -> Option<Answer> {
        match self {
            Self::Webhook(webhook) => {
                let proof = MessageBird.sign(webhook, Signer::Ours, SystemClock.now());
                api.try_webhook(webhook, &proof).await
            }
            Self::Ride { key, body } => {
                let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
                api.try_raw("POST", "/v1/rides", &headers, body.clone().into_bytes()).await
            }
            Self::Document(path) => api.try_raw("GET", path, &[], Vec::new()).await,
        }
    }
}

/// What all users share.
pub struct Load {
    pub replicas: Vec<Api>,
    pub over: AtomicBool,
    /// Texts in the order in which they were acknowledged, which is that of each conversation.
    pub texts: Mutex<Vec<Acknowledged>>,
    pub rides: Mutex<Vec<Pair>>,
    pub calls: AtomicU64,
    /// Calls that were answered with words, because the service could not look further.
    pub calls_announced: AtomicU64,
    pub tries: AtomicU64,
}

impl Load {
    pub fn new(replicas: Vec<Api>) -> Arc<Self> {
        Arc::new(Self {
            replicas,
            over: AtomicBool::new(false),
            texts: Mutex::default(),
            rides: Mutex::default(),
            calls: AtomicU64::new(0),
            calls_announced: AtomicU64::new(0),
            tries: AtomicU64::new(0),
        })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Asks any replica, again and again, until one answers with this status.
    async fn insist(&self, status: u16, asked: Asked) -> Answer {
        let mut rng = Rng::new();
        loop {
            let api = rng.choice(&self.replicas).expect("a replica").clone();
            self.tries.fetch_add(1, Ordering::Relaxed);
            match timeout(PATIENCE, asked.of(&api)).await {
                Ok(Some(answer)) if answer.status == status => return answer,
                // Whoever asks is asked to come again; anything else is a mistake of one of the two.
                Ok(Some(answer)) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text),
                Ok(None) | Err(_) => {}
            }
            sleep(Duration::from_millis(rng.u64(50..300))).await;
        }
    }

    async fn webhook(&self, webhook: Webhook) -> Answer {
        self.insist(200, Asked::Webhook(webhook)).await
    }

    /// Creates a ride of two people whom nobody knows yet.
    pub async fn ride(&self, serial: usize) -> Pair {
        let (customer, driver) = (format!("+3161{serial:07}"), format!("+3162{serial:07}"));
        let soon = SystemClock.now() + chrono::Duration::hours(1);
        let body = json!({
            "customer": { "external_id": format!("c{serial}"), "name": "Ann", "phone_number": customer },
            "driver": { "external_id": format!("d{serial}"), "name": "Bob", "phone_number": driver },
            "start": format!("Start {serial}"), "destination": "There", "datetime": soon.to_rfc3339(),
        });
        let ride = Asked::Ride { key: format!("ride-{serial}"), body: body.to_string() };
        let made = self.insist(201, ride).await.body;
        let text = |field: &str| made[field].as_str().expect(field).to_owned();
        Pair { ride: made["id"].as_i64().expect("an id"), customer, driver, number: text("proxy_number") }
    }

    /// A platform that creates rides, from this serial number on, `step` apart.
    pub async fn create_rides(self: Arc<Self>, first: usize, step: usize) {
        for serial in (first..).step_by(step) {
            if self.is_over() {
                return;
            }
            let pair = self.ride(serial).await;
            self.rides.lock().unwrap().push(pair);
            sleep(Duration::from_millis(Rng::new().u64(50..250))).await;
        }
    }

    /// One party of a pair writes to the other, a text after the other.
    pub async fn write(self: Arc<Self>, pair: Pair, by_customer: bool) {
        let (from, to) = if by_customer { (&pair.customer, &pair.driver) } else { (&pair.driver, &pair.customer) };
        for count in 0.. {
            if self.is_over() {
                return;
            }
            let text = format!("{} of {from}", count);
            let key = format!("{}{}{count}", pair.ride, if by_customer { "c" } else { "d" });
            self.webhook(MessageBird.text(&key, from, &pair.number, &text, &[])).await;
            let at = Instant::now();
            self.texts.lock().unwrap().push(Acknowledged { pair: pair.clone(), to: to.clone(), text, at });
            sleep(Duration::from_millis(Rng::new().u64(150..500))).await;
        }
    }

    /// Parties of these pairs call each other.
    pub async fn call(self: Arc<Self>, pairs: Vec<Pair>, caller: usize) {
        let mut rng = Rng::new();
        for count in 0_u64.. {
            if self.is_over() {
                return;
            }
            let pair = rng.choice(&pairs).expect("a pair");
            let (from, to) = (&pair.customer, &pair.driver);
            let id = format!("k{caller}-{count}");
            let answer = self.webhook(MessageBird.call(Ring { id: &id, from, number: &pair.number, to: "" })).await;
            self.calls.fetch_add(1, Ordering::Relaxed);
            if answer.text.contains("<Transfer") {
                assert!(
                    answer.text.contains(&format!("destination=\"{}\"", &to[1..])),
                    "a wrong party: {}",
                    answer.text
                );
            } else {
                assert!(answer.text.contains("\"say\""), "{}", answer.text);
                self.calls_announced.fetch_add(1, Ordering::Relaxed);
            }
            sleep(Duration::from_millis(rng.u64(50..250))).await;
        }
    }

    /// Asks any replica for a document.
    pub async fn get(&self, path: &str) -> Value {
        self.insist(200, Asked::Document(path.to_owned())).await.body
    }
}
