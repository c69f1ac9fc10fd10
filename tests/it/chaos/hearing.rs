//! The platform hears of it all: a reader who follows the log of events while things break, and an endpoint that is
//! down half of the time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::load::Load;
use crate::harness::{
    Api,
    subscriber::{Act, Subscriber},
};

/// The endpoint takes everything for so long, and then nothing for as long.
const HALF: Duration = Duration::from_secs(3);

/// What the platform listens with.
pub struct Hearing {
    subscriber: Subscriber,
    /// Events in the order in which the reader came upon them.
    read: Arc<Mutex<Vec<Value>>>,
}

/// What came of it.
pub struct Heard {
    pub counts: BTreeMap<&'static str, usize>,
    pub wrong: Vec<String>,
}

impl Hearing {
    /// Makes the endpoint, before anything happens.
    pub async fn begin(api: &Api) -> Self {
        let subscriber = Subscriber::start().await;
        api.post("/v1/event-endpoints", &json!({ "url": subscriber.url })).await.expect(201);
        Self { subscriber, read: Arc::default() }
    }

    /// Takes posts and turns them away by turns, for as long as things break; takes them from then on.
    pub async fn falter(subscriber: Subscriber, load: Arc<Load>) {
        while !load.over.load(Ordering::Relaxed) {
            for act in [Some(Act::Answer(503)), None] {
                subscriber.always(act);
                sleep(HALF).await;
            }
        }
    }

    /// Follows the log for as long as things break.
    pub async fn follow(read: Arc<Mutex<Vec<Value>>>, load: Arc<Load>) {
        let mut after = String::new();
        while !load.over.load(Ordering::Relaxed) {
            let page = page(&load, &after).await;
            if let Some(last) = page.last() {
                after = format!("&after={}", last["cursor"].as_str().expect("a cursor"));
            }
            read.lock().unwrap().extend(page);
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn subscriber(&self) -> Subscriber {
        self.subscriber.clone()
    }

    pub fn read(&self) -> Arc<Mutex<Vec<Value>>> {
        Arc::clone(&self.read)
    }

    /// Waits until everything was told, and the endpoint has all of it; says what is missing if that never happens.
    pub async fn judge(&self, load: &Load, patience: Duration) -> Heard {
        let deadline = Instant::now() + patience;
        loop {
            let log = whole_log(load).await;
            let posts = self.subscriber.posts();
            let taken: Vec<_> = posts.iter().filter(|post| post.is_taken).map(|post| post.event()).collect();
            let had: HashSet<_> = taken.iter().copied().collect();
            let mut wrong = missing(load, &log);
            let not_had = log.iter().filter(|event| !had.contains(&event["id"].as_i64().expect("an id")));
            wrong.extend(not_had.map(|event| format!("never delivered: {event}")));
            if !wrong.is_empty() && Instant::now() < deadline {
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            let read = self.read.lock().unwrap();
            let passed_over = log.iter().zip(read.iter()).find(|(event, read)| event != read);
            wrong.extend(passed_over.map(|(event, read)| format!("the reader saw {read} where the log has {event}")));
            wrong.extend(disorder(&log));
            let counts = [
                ("events in the log", log.len()),
                ("of them read while things broke", read.len()),
                ("posts of events that were turned away", posts.len() - taken.len()),
                ("events delivered more than once", taken.len() - had.len()),
            ];
            return Heard { counts: counts.into(), wrong };
        }
    }
}

async fn page(load: &Load, after: &str) -> Vec<Value> {
    let page = load.get(&format!("/v1/events?limit=200{after}")).await;
    page["items"].as_array().expect("items").clone()
}

async fn whole_log(load: &Load) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let after = log.last().map_or(String::new(), |last| format!("&after={}", last["cursor"].as_str().unwrap()));
        let page = page(load, &after).await;
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

/// What was acknowledged and is not told, or told twice.
fn missing(load: &Load, log: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut told: HashMap<(&str, i64, &str), usize> = HashMap::new();
    let mut delivered: HashMap<i64, usize> = HashMap::new();
    for event in log {
        let (kind, data) = (event["type"].as_str().expect("a type"), &event["data"]);
        let ride = data["ride_id"].as_i64().unwrap_or_default();
        let from = if kind == "message.received" { data["from_role"].as_str().expect("a role") } else { "" };
        *told.entry((kind, ride, from)).or_default() += 1;
        let message = data["message_id"].as_i64().unwrap_or_default();
        match kind {
            "message.received" => drop(delivered.entry(message).or_default()),
            "message.delivered" => *delivered.entry(message).or_default() += 1,
            _ => {}
        }
    }
    let mut expect = |what: (&str, i64, &str), count: usize| {
        let times = told.get(&what).copied().unwrap_or_default();
        if times != count {
            wrong.push(format!("{what:?} was told {times} times and happened {count} times"));
        }
    };
    for ride in load.rides.lock().unwrap().iter() {
        expect(("ride.created", ride.ride, ""), 1);
    }
    let mut written: HashMap<(i64, &str), usize> = HashMap::new();
    for text in load.texts.lock().unwrap().iter() {
        let from = if text.to == text.pair.driver { "customer" } else { "driver" };
        *written.entry((text.pair.ride, from)).or_default() += 1;
    }
    for ((ride, from), count) in written {
        expect(("message.received", ride, from), count);
    }
    let undelivered = delivered.into_iter().filter(|(_, times)| *times != 1);
    wrong.extend(
        undelivered.map(|(message, times)| format!("message {message} was told to be delivered {times} times")),
    );
    wrong
}

/// What stands in the log before what it follows from.
fn disorder(log: &[Value]) -> Vec<String> {
    let mut created = HashSet::new();
    let mut received = HashSet::new();
    let mut wrong = Vec::new();
    for event in log {
        let (kind, data) = (event["type"].as_str().expect("a type"), &event["data"]);
        let (ride, message) = (data["ride_id"].as_i64(), data["message_id"].as_i64());
        let is_told = match kind {
            "ride.created" => created.insert(ride),
            "message.received" => received.insert(message) && created.contains(&ride),
            "message.sent" | "message.delivered" if data["kind"] == "relay" => received.contains(&message),
            _ => ride.is_none() || created.contains(&ride),
        };
        if !is_told {
            wrong.push(format!("out of order: {event}"));
        }
    }
    wrong
}
