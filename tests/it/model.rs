//! The model test: worlds of a few phones, people and numbers, in which anything happens at any time, and an oracle
//! that says of every contact whom it may reach. `docs/model-test.md` says how to run it for long and to replay it.

mod events;
mod lines;
mod network;
mod oracle;
mod stories;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use world::{Story, Tally, World};

use crate::harness::Kind;

/// Events of one world: its history stays short, and a replay too.
const WORLD: u64 = 4000;
/// Lines of the story that a failure shows, unless `MODEL_SHOWN` says how many.
const SHOWN: u64 = 30;

/// What happens often in any two worlds; a run without it has proved nothing.
const PLAYED: &[&str] = &[
    "calls to nobody",
    "calls to somebody",
    "contact set",
    "depleted: all_cooling",
    "depleted: all_held",
    "contact given back to a former ride",
    "drivers swapped",
    "drivers swapped after a take-over",
    "numbers added",
    "numbers deleted",
    "numbers suspended",
    "people erased",
    "phones changed with open rides",
    "refused: phone_barred",
    "reports",
    "rides cancelled",
    "rides completed",
    "rides deleted",
    "rides made on the pair's former number",
    "rides stranded",
    "sends: Busy",
    "sends: Doubt",
    "sends: Taken",
    "texts for nobody",
    "texts for somebody",
];

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number")))
}

/// Plays worlds of so many events in all, as many beside each other as there are processors.
fn play(kind: Kind, usual: u64) {
    let events = variable("MODEL_EVENTS").unwrap_or(usual);
    let seed = variable("MODEL_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    eprintln!("model test on {kind:?}: {events} events, MODEL_SEED={seed}");
    let (next, total, begun) = (AtomicU64::new(0), Mutex::new(Tally::new()), Instant::now());
    let worlds = events.div_ceil(WORLD);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(worlds);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= worlds {
                        return;
                    }
                    let played = || play_world(kind, seed + at, WORLD.min(events - at * WORLD));
                    let tally = catch_unwind(AssertUnwindSafe(played)).unwrap_or_else(|failure| {
                        // One breach is enough: the worlds beside it end, and no other begins.
                        next.store(worlds, Ordering::Relaxed);
                        resume_unwind(failure)
                    });
                    let mut total = total.lock().expect("no world failed");
                    tally.into_iter().for_each(|(what, count)| *total.entry(what).or_default() += count);
                }
            });
        }
    });
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    eprintln!("model test on {kind:?}: {events} events, {rate:.0} a second");
    let total = total.into_inner().expect("no world failed");
    total.iter().for_each(|(what, count)| eprintln!("{count:>9} {what}"));
    if events >= 2 * WORLD {
        for what in PLAYED {
            assert!(total.contains_key(*what), "nothing was tried of: {what}");
        }
    }
}

fn play_world(kind: Kind, seed: u64, events: u64) -> Tally {
    let story = Story::default();
    let on_failure = OnFailure { kind, seed, story: Arc::clone(&story) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tally = runtime.block_on(async {
        let mut world = World::start(kind, seed, story).await;
        for place in 1..=events {
            world.step(place).await;
        }
        world.settle(events + 1).await;
        world.stop().await
    });
    std::mem::forget(on_failure);
    tally
}

/// Says how to come here again, if a world ends in a panic.
struct OnFailure {
    kind: Kind,
    seed: u64,
    story: Story,
}

impl Drop for OnFailure {
    fn drop(&mut self) {
        let story = self.story.lock().map(|story| story.clone()).unwrap_or_default();
        let from = story.len().saturating_sub(variable("MODEL_SHOWN").unwrap_or(SHOWN) as usize);
        eprintln!("\nThe last events of {:?}, MODEL_SEED={}:\n{}\n", self.kind, self.seed, story[from..].join("\n"));
    }
}

#[test]
fn on_sqlite() {
    play(Kind::Sqlite, 12_000);
}

#[test]
fn on_postgres() {
    play(Kind::Postgres, 8_000);
}
