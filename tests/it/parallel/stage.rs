//! The service under test as its many clients share it.

use std::sync::{
    Arc, Mutex, MutexGuard, RwLock,
    atomic::{AtomicU64, Ordering},
};

use chrono::Duration;
use fastrand::Rng;
use maskline::clock::{Clock as _, ManualClock};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::log::{Log, Moment, Span, Time};
use crate::harness::{Answer, Api, CLIENT};

pub struct Stage {
    pub clock: Arc<ManualClock>,
    /// One client for every replica; their token is renewed in `token`.
    pub replicas: Vec<Api>,
    token: tokio::sync::Mutex<String>,
    order: AtomicU64,
    pub log: Mutex<Log>,
    /// Phones that people share, and the ids of the people who are there now, customers and drivers.
    pub phones: Vec<String>,
    pub customers: Vec<RwLock<i64>>,
    pub drivers: Vec<RwLock<i64>>,
    /// Numbers of the pool with their ids. Those before `steady` are never edited.
    pub numbers: Vec<(String, i64)>,
    pub steady: usize,
    pub goal: usize,
    /// Rings whenever there may be something to send or to tidy.
    pub progress: Notify,
    /// Counts what was done to rides: the pace of the other clients, however fast the machine is.
    turns: watch::Sender<u64>,
}

impl Stage {
    pub fn new(clock: Arc<ManualClock>, replicas: Vec<Api>, goal: usize) -> Self {
        let token = tokio::sync::Mutex::new(replicas[0].token.clone());
        Self {
            clock,
            replicas,
            token,
            order: AtomicU64::new(0),
            log: Mutex::default(),
            phones: Vec::new(),
            customers: Vec::new(),
            drivers: Vec::new(),
            numbers: Vec::new(),
            steady: 0,
            goal,
            progress: Notify::new(),
            turns: watch::Sender::new(0),
        }
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// As many rides were made as were wanted.
    pub fn is_done(&self) -> bool {
        self.log().rides.len() >= self.goal
    }

    pub fn moment(&self) -> Moment {
        Moment { at: self.clock.now(), order: self.order.fetch_add(1, Ordering::SeqCst) }
    }

    /// Something was done to a ride: a little time passes.
    pub fn turn(&self, rng: &mut Rng) {
        self.clock.advance(Duration::milliseconds(rng.i64(0..=500)));
        self.turns.send_modify(|turns| *turns = turns.saturating_add(1));
        self.progress.notify_one();
    }

    /// Waits for up to so many turns.
    pub async fn wait(&self, rng: &mut Rng, turns: u64) {
        let mut passing = self.turns.subscribe();
        let until = passing.borrow().saturating_add(rng.u64(0..=turns));
        let _ = passing.wait_for(|now| *now >= until).await;
    }

    /// Nobody has to wait any more.
    pub fn end_waiting(&self) {
        self.turns.send_replace(u64::MAX);
    }

    /// Asks one of the replicas. Anything but an answer that the service means to give fails the test.
    pub async fn ask(&self, rng: &mut Rng, method: &str, path: &str, body: &Value) -> (Span, Answer) {
        let api = &self.replicas[rng.usize(0..self.replicas.len())];
        loop {
            let token = self.token.lock().await.clone();
            let mine = api.with_token(&token);
            let asked = self.moment();
            let answer = match body {
                Value::Null => mine.raw(method, path, &[], Vec::new()).await,
                body => mine.json(method, path, &[], body).await,
            };
            let answered = self.moment();
            if answer.status == 401 {
                self.renew(api, &token).await;
                continue;
            }
            assert!(answer.status < 500, "{method} {path} was answered {}: {}", answer.status, answer.text);
            self.count(method, path, &answer);
            return (Span { asked, answered }, answer);
        }
    }

    /// Signs in again, unless somebody else just did: tokens live an hour.
    async fn renew(&self, api: &Api, old: &str) {
        let mut token = self.token.lock().await;
        if *token == old {
            *token = Api::sign_in(&api.base, CLIENT, None).await.token;
        }
    }

    fn count(&self, method: &str, path: &str, answer: &Answer) {
        let words = path.split('/').skip(2).map(|word| if word.parse::<i64>().is_ok() { "{id}" } else { word });
        let code = answer.body["code"].as_str().unwrap_or_default();
        let limit = answer.body["limit"].as_str().unwrap_or_default();
        let name = format!("{method} {} {} {code} {limit}", words.collect::<Vec<_>>().join("/"), answer.status);
        *self.log().counts.entry(name.trim_end().to_owned()).or_default() += 1;
    }
}

/// A field of an answer that is a time.
pub fn time(body: &Value, field: &str) -> Time {
    let text = body[field].as_str().unwrap_or_else(|| panic!("no {field} in {body}"));
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}
