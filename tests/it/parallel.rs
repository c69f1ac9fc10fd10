//! Many clients at once on two replicas and one small pool: no number is bound to a phone twice, no ride is made on a
//! drained number or for somebody erased, nothing fails, and every refusal is a true one.
//!
//! The clients write down what they ask, what they are told, and when; the oracle judges it afterwards, and knows
//! nothing else. `scripts/parallel-test` runs the full form; see `docs/parallel-test.md`, also for what was broken on
//! purpose to see this test fail.

mod clients;
mod log;
mod oracle;
mod rows;
mod stage;

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Instant,
};

use chrono::Duration;
use fastrand::Rng;
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use self::{
    log::{History, InPool},
    stage::Stage,
};
use crate::harness::{Kind, TestApp, id};

const COOL_DOWN: Duration = Duration::seconds(120);
const CONFIG: &[(&str, &str)] =
    &[("GRACE_PERIOD", "60s"), ("CANCEL_GRACE", "20s"), ("COOL_DOWN", "120s"), ("RIDE_MAX_DURATION", "20m")];
const CUSTOMERS: usize = 120;
const DRIVERS: usize = 60;
/// As many phones do they share.
const PHONES: usize = 60;
const NUMBERS: usize = 24;
/// As many of the numbers stay in service all the time.
const STEADY: usize = 14;

/// A variable of the environment that is a number.
fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_work_of_two_replicas_is_true_to_every_rule() {
    let (goal, clients) = (size("PARALLEL_RIDES", 800), size("PARALLEL_CLIENTS", 64));
    let mut rng = Rng::with_seed(size("PARALLEL_SEED", 4) as u64);
    let app = TestApp::with(Kind::Postgres, CONFIG).await;
    let (replica, other) = app.replica().await;
    let mut stage = Stage::new(Arc::clone(&app.clock), vec![app.api.clone(), other], goal);
    populate(&mut stage, &mut rng).await;
    let stage = Arc::new(stage);
    let began = Instant::now();
    let working = start(&stage, &mut rng, clients);
    let (stop, stopped) = watch::channel(());
    let clients = async {
        working.join_all().await;
        drop(stop);
    };
    tokio::join!(
        clients,
        keep_working(&stage, stopped.clone(), async |tidy| {
            app.send_due().await;
            app.leave_suspended_numbers().await;
            if tidy {
                app.tidy().await;
            }
        }),
        keep_working(&stage, stopped, async |tidy| {
            replica.send_due().await;
            replica.leave_suspended_numbers().await;
            if tidy {
                replica.tidy().await;
            }
        }),
    );
    let took = began.elapsed();
    call_everybody(&stage, &mut rng).await;

    let rows = rows::Rows::open(&app.db.url).await;
    let deadlocks = rows.deadlocks().await;
    let made = stage.log().rides.len();
    let mut wrong = rows.judge(app.now(), made).await;
    let mut log = std::mem::take(&mut *stage.log());
    let stranded = rows.complete(&mut log).await;
    wrong.extend(oracle::judge(&log, COOL_DOWN));
    println!("{took:.1?}, {deadlocks} deadlocks broken by the database, {stranded} rides left without a number");
    report(&log.counts);
    assert!(wrong.is_empty(), "{} wrong, such as:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    check_that_much_happened(&log.counts, goal);
    while app.pending_parts().await > 0 {
        app.send_due().await;
        app.clock.advance(Duration::minutes(1));
    }
    replica.stop().await;
    app.finish().await;
}

/// People, the phones they share, and the pool.
async fn populate(stage: &mut Stage, rng: &mut Rng) {
    let every_fourth = |at: usize, usual: &str, fourth: &str| {
        if at % 4 == 3 { format!("{fourth}{at:02}") } else { format!("{usual}{at:02}") }
    };
    stage.phones = (0..PHONES).map(|at| every_fourth(at, "+316200000", "+324700000")).collect();
    stage.steady = STEADY;
    for at in 0..NUMBERS {
        let phone = every_fourth(at, "+31970102000", "+324600000");
        let body = json!({ "phone_number": phone, "provider": "simulator" });
        let (span, answer) = stage.ask(rng, "POST", "/v1/numbers", &body).await;
        let number = id(&answer.expect(201));
        stage.log().numbers.insert(number, History::new(span, InPool::Active));
        stage.numbers.push((phone, number));
    }
    for (resource, count) in [("customers", CUSTOMERS), ("drivers", DRIVERS)] {
        let mut slots = Vec::new();
        for _ in 0..count {
            let phone = rng.choice(&stage.phones).unwrap().clone();
            slots.push(RwLock::new(clients::add_person(stage, rng, resource, &phone).await));
        }
        if resource == "customers" {
            stage.customers = slots;
        } else {
            stage.drivers = slots;
        }
    }
}

/// Most clients make rides; some change people, some numbers, and some call and text.
fn start(stage: &Arc<Stage>, rng: &mut Rng, clients: usize) -> JoinSet<()> {
    let (people, numbers, callers) = (clients.div_ceil(8), clients.div_ceil(16), clients.div_ceil(16));
    let mut working = JoinSet::new();
    for first in 0..people {
        working.spawn(clients::change_people(Arc::clone(stage), rng.fork(), first, people));
    }
    for first in 0..numbers {
        working.spawn(clients::change_numbers(Arc::clone(stage), rng.fork(), first, numbers));
    }
    for _ in 0..callers {
        working.spawn(clients::call(Arc::clone(stage), rng.fork()));
    }
    for _ in people + numbers + callers..clients.max(people + numbers + callers + 1) {
        working.spawn(clients::ride(Arc::clone(stage), rng.fork()));
    }
    working
}

/// The workers of one replica, a round whenever a client got on, until the clients are done.
async fn keep_working(stage: &Stage, mut stopped: watch::Receiver<()>, round: impl AsyncFn(bool)) {
    for count in 0_u64.. {
        tokio::select! {
            () = stage.progress.notified() => round(count % 16 == 0).await,
            _ = stopped.changed() => return,
        }
    }
}

/// Now that nothing moves, the oracle knows exactly who must be reached: every phone calls some numbers.
async fn call_everybody(stage: &Arc<Stage>, rng: &mut Rng) {
    let mut calling = JoinSet::new();
    for phone in stage.phones.clone() {
        let (stage, mut rng) = (Arc::clone(stage), rng.fork());
        calling.spawn(async move {
            for (_, number) in rng.choose_multiple(&stage.numbers, 8) {
                clients::try_call(&stage, &mut rng, &phone, *number).await;
            }
        });
    }
    calling.join_all().await;
}

fn report(counts: &BTreeMap<String, u64>) {
    for (what, count) in counts {
        println!("{count:>8} {what}");
    }
}

/// Nothing is proven by what did not happen.
fn check_that_much_happened(counts: &BTreeMap<String, u64>, goal: usize) {
    let count =
        |what: &str| -> u64 { counts.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum() };
    for what in [
        "POST rides 409 number_pool_depleted",
        "POST rides 422",
        "DELETE customers/{id} 204",
        "DELETE drivers/{id} 409 contact_window_open",
        "PATCH customers/{id} 200",
        "PATCH drivers/{id} 200",
        "PATCH customers/{id} 409 phone_barred",
        "PATCH numbers/{id} 200",
        "DELETE numbers/{id} 204",
        "DELETE numbers/{id} 409 number_in_use",
        "POST numbers 201",
        "POST rides/{id}/contact 200",
        "calls that rang somebody",
    ] {
        assert!(count(what) > 0, "no {what}");
    }
    let busy: u64 = counts.iter().filter(|(name, _)| name.contains(" 429 ")).map(|(_, count)| count).sum();
    assert!(busy * 200 < goal as u64, "{busy} answers were busy");
}
