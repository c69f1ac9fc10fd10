//! Everything breaks at once, again and again, and nothing that was acknowledged is lost.
//!
//! Replicas are real processes that are killed, PostgreSQL is stopped in the middle of its work, and the provider fails
//! in every way ([`provider`]); meanwhile people write and call, and rides are created ([`load`]). In the end all is
//! quiet, and [`judge`] compares what was acknowledged with what the provider took, [`hearing`] with what the platform
//! was told. `scripts/chaos-test` runs the long form; see `docs/chaos-test.md`.

mod hearing;
mod judge;
mod load;
mod provider;
mod replicas;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::{task::JoinSet, time::sleep};

use self::{hearing::Hearing, load::Load, provider::Provider, replicas::Replica};
use crate::harness::{Api, CLIENT, Kind, TestDatabase, postgres::Server};

const PAIRS: usize = 12;
const NUMBERS: usize = 40;
/// Rides are numbered on from here while things break; those before are of the pairs.
const FURTHER: usize = 1000;

/// How much is broken.
struct Plan {
    kills: usize,
    restarts: usize,
    /// Whether there is time for what takes minutes.
    patient: bool,
}

impl Plan {
    /// The short form, unless `CHAOS_KILLS` and `CHAOS_RESTARTS` ask for more.
    fn of_environment() -> Self {
        let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().expect(name));
        let (kills, restarts) = (number("CHAOS_KILLS", 3), number("CHAOS_RESTARTS", 1));
        Self { kills, restarts, patient: kills > 10 }
    }
}

/// What is to be broken next.
#[derive(Clone, Copy)]
enum Blow {
    Kill,
    Restart,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_on_postgres_lose_nothing() {
    let server = Server::start(&[]);
    let db = TestDatabase::at(server.database("maskline").await);
    let plan = Plan::of_environment();
    let blows = [vec![Blow::Kill; plan.kills], vec![Blow::Restart; plan.restarts]].concat();
    play(&db, 2, Some(server), &blows, plan.patient).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_on_sqlite_loses_nothing() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let plan = Plan::of_environment();
    play(&db, 1, None, &vec![Blow::Kill; plan.kills], plan.patient).await;
}

async fn play(db: &TestDatabase, count: usize, mut server: Option<Server>, blows: &[Blow], patient: bool) {
    let provider = Provider::new(patient);
    let mut replicas = Vec::new();
    for at in 0..count {
        replicas.push(Replica::new(db, provider.listen(at).await, &[("EVENTS_ALLOW_LOOPBACK", "on")]));
    }
    for replica in &replicas {
        replica.start();
    }
    for replica in &replicas {
        replica.until_ready().await;
    }
    let api = Api::sign_in(&replicas[0].base, CLIENT, None).await;
    for at in 0..NUMBERS {
        api.number(&format!("+3197010200{at:03}"), "messagebird").await;
    }
    let hearing = Hearing::begin(&api).await;
    let apis: Vec<_> = replicas.iter().map(|replica| api.at(&replica.base)).collect();
    provider.report_to(apis.clone());
    let load = Load::new(apis);
    let mut pairs = Vec::new();
    for serial in 0..PAIRS {
        pairs.push(load.ride(serial).await);
    }
    load.rides.lock().unwrap().extend(pairs.iter().cloned());

    let mut users = JoinSet::new();
    for pair in &pairs {
        for by_customer in [true, false] {
            users.spawn(Arc::clone(&load).write(pair.clone(), by_customer));
        }
    }
    for at in 0..2 {
        users.spawn(Arc::clone(&load).create_rides(FURTHER + at, 2));
        users.spawn(Arc::clone(&load).call(pairs.clone(), at));
    }
    users.spawn(Hearing::falter(hearing.subscriber(), Arc::clone(&load)));
    users.spawn(Hearing::follow(hearing.read(), Arc::clone(&load)));
    let began = Instant::now();
    let (outages, slowest) = strike(&replicas, server.as_mut(), blows).await;
    sleep(Duration::from_secs(1)).await;
    load.over.store(true, Ordering::Relaxed);
    // A user who saw something wrong panicked, and that counts.
    while let Some(ended) = users.join_next().await {
        ended.expect("no user saw anything wrong");
    }
    let worked = began.elapsed();
    let patience = if patient { Duration::from_secs(900) } else { Duration::from_secs(120) };
    drain(&load, patience).await;
    let kills: Vec<_> = replicas.iter().map(Replica::kills).collect();
    let mut verdict = judge::judge(&load, &provider.taken(), &kills, &outages);
    verdict.expect_marked(&possibly_duplicated(&load).await);
    verdict.add(hearing.judge(&load, patience).await);
    println!("load for {worked:.1?}, all out after {:.1?}", began.elapsed());
    println!("{:>8} kills, {} restarts of the database", kills.iter().map(HashMap::len).sum::<usize>(), outages.len());
    println!("{:>8} failures of the provider", provider.failures());
    println!(
        "{:>8} requests for {} calls, of which {} heard an announcement",
        load.tries.load(Ordering::Relaxed),
        load.calls.load(Ordering::Relaxed),
        load.calls_announced.load(Ordering::Relaxed)
    );
    println!("{:>8} recovered claims", judge::recovered_claims(db).await);
    println!("{slowest:>8.1?} longest time to recover");
    verdict.report();
    for replica in &replicas {
        replica.terminate().await;
    }
    verdict.expect_nothing_wrong();
}

/// Breaks one thing after the other; answers when the database was away, and the longest time until all was ready
/// again.
async fn strike(
    replicas: &[Replica],
    mut server: Option<&mut Server>,
    blows: &[Blow],
) -> (Vec<(Instant, Instant)>, Duration) {
    let mut rng = Rng::new();
    let mut blows = blows.to_vec();
    rng.shuffle(&mut blows);
    let (mut outages, mut slowest) = (Vec::new(), Duration::ZERO);
    for blow in blows {
        sleep(Duration::from_millis(rng.u64(800..1600))).await;
        let struck = Instant::now();
        match blow {
            Blow::Kill => {
                let replica = rng.choice(replicas).expect("a replica");
                replica.kill();
                sleep(Duration::from_millis(rng.u64(0..1000))).await;
                replica.start();
            }
            Blow::Restart => {
                let server = server.as_mut().expect("a server");
                server.stop();
                sleep(Duration::from_millis(rng.u64(0..1500))).await;
                server.start_again();
                outages.push((struck, Instant::now()));
            }
        }
        for replica in replicas {
            replica.until_ready().await;
        }
        slowest = slowest.max(struck.elapsed());
    }
    (outages, slowest)
}

/// Waits until nothing is owed any more.
async fn drain(load: &Load, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let mut open = 0;
        for status in ["queued", "sending"] {
            let page = load.get(&format!("/v1/messages?status={status}&limit=200")).await;
            open += page["items"].as_array().expect("items").len();
        }
        if open == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{open} texts are still owed");
        sleep(Duration::from_millis(250)).await;
    }
}

/// The words of the texts that the service says may have been sent twice.
async fn possibly_duplicated(load: &Load) -> HashSet<String> {
    let (mut texts, mut path) = (HashSet::new(), "/v1/messages?limit=200".to_owned());
    loop {
        let page = load.get(&path).await;
        for message in page["items"].as_array().expect("items") {
            if message["possibly_duplicated"] == true {
                texts.insert(message["text"].as_str().expect("words").to_owned());
            }
        }
        let Some(next) = page["next"].as_str() else { return texts };
        path = format!("/v1/messages?limit=200&after={next}");
    }
}
