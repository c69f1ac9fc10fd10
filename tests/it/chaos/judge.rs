//! Compares what was acknowledged with what the provider took.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, Database, Statement};

use super::{
    hearing::Heard,
    load::{Load, Pair},
    provider::Taken,
};
use crate::harness::TestDatabase;

/// What a replica was told is written down this soon, as long as the database is there.
const WRITTEN_DOWN: Duration = Duration::from_secs(3);
/// With the database away, the replica tries to write it down for so long, and then for as long as a claim is its own.
const WRITTEN_DOWN_LATE: Duration = Duration::from_secs(35);

/// What came out.
#[derive(Default)]
pub struct Verdict {
    counts: BTreeMap<&'static str, usize>,
    /// From the acknowledgement of a text until the provider took it.
    longest_wait: Duration,
    /// What the provider took more than once.
    doubled: HashSet<String>,
    wrong: Vec<String>,
}

impl Verdict {
    /// With what the platform heard.
    pub fn add(&mut self, heard: Heard) {
        self.counts.extend(heard.counts);
        self.wrong.extend(heard.wrong);
    }

    /// Whatever was sent twice must be among the texts of which the service says that they may have been.
    pub fn expect_marked(&mut self, marked: &HashSet<String>) {
        let silent = self.doubled.difference(marked);
        self.wrong.extend(silent.map(|text| format!("doubled, and not said to be possible: {text:?}")));
    }

    pub fn report(&self) {
        for (what, count) in &self.counts {
            println!("{count:>8} {what}");
        }
        println!("{:>8.1?} longest wait of a text", self.longest_wait);
    }

    pub fn expect_nothing_wrong(&self) {
        let some = &self.wrong[..self.wrong.len().min(20)];
        assert!(self.wrong.is_empty(), "{} wrong, such as:\n{}", self.wrong.len(), some.join("\n"));
        for what in ["texts acknowledged", "rides acknowledged", "texts taken by the provider", "events in the log"] {
            assert!(self.counts[what] > 20, "too little happened: {:?}", self.counts);
        }
    }
}

/// Judges a run in which nothing is owed any more.
pub fn judge(
    load: &Load,
    taken: &[Taken],
    kills: &[HashMap<usize, Instant>],
    outages: &[(Instant, Instant)],
) -> Verdict {
    let mut verdict = Verdict::default();
    let rides = load.rides.lock().unwrap();
    everything_arrived_in_order(&mut verdict, load, taken);
    every_ride_was_confirmed(&mut verdict, &rides, taken);
    nothing_went_astray(&mut verdict, &rides, taken);
    nothing_was_doubled_without_need(&mut verdict, taken, kills, outages);
    verdict.counts.insert("texts taken by the provider", taken.len());
    verdict
}

/// Every text that was acknowledged reached its recipient from its number, the first time in the order of its
/// conversation.
fn everything_arrived_in_order(verdict: &mut Verdict, load: &Load, taken: &[Taken]) {
    let texts = load.texts.lock().unwrap();
    let mut first = HashMap::new();
    for (at, taken) in taken.iter().enumerate() {
        first.entry((taken.to.as_str(), taken.from.as_str(), taken.text.as_str())).or_insert(at);
    }
    let mut last_of = HashMap::new();
    let mut lost = 0;
    for text in texts.iter() {
        let Some(at) = first.get(&(text.to.as_str(), text.pair.number.as_str(), text.text.as_str())) else {
            lost += 1;
            verdict.wrong.push(format!("lost: {:?} to {}", text.text, text.to));
            continue;
        };
        // The provider may take it before it hears that we have.
        let waited = taken[*at].at.saturating_duration_since(text.at);
        verdict.longest_wait = verdict.longest_wait.max(waited);
        if let Some(before) = last_of.insert(text.to.clone(), *at)
            && before > *at
        {
            verdict.wrong.push(format!("out of order: {:?} to {}", text.text, text.to));
        }
    }
    verdict.counts.insert("texts acknowledged", texts.len());
    verdict.counts.insert("texts lost", lost);
}

/// Both people of every ride were told of it, by its number.
fn every_ride_was_confirmed(verdict: &mut Verdict, rides: &[Pair], taken: &[Taken]) {
    for ride in rides {
        for to in [&ride.customer, &ride.driver] {
            let told = |taken: &&Taken| &taken.to == to && taken.from == ride.number && !is_relay(taken);
            if taken.iter().find(told).is_none() {
                verdict.wrong.push(format!("ride {} was not confirmed to {to}", ride.ride));
            }
        }
    }
    verdict.counts.insert("rides acknowledged", rides.len());
}

/// No phone got what was not for it: a text names who wrote it, and that is the other party of the ride of both.
fn nothing_went_astray(verdict: &mut Verdict, rides: &[Pair], taken: &[Taken]) {
    let mut others = HashMap::new();
    for ride in rides {
        others.insert(ride.customer.as_str(), (ride.driver.as_str(), ride.number.as_str()));
        others.insert(ride.driver.as_str(), (ride.customer.as_str(), ride.number.as_str()));
    }
    for taken in taken.iter().filter(|taken| is_relay(taken)) {
        let (_, by) = taken.text.split_once(" of ").expect("words of a user");
        if others.get(taken.to.as_str()) != Some(&(by, taken.from.as_str())) {
            verdict.wrong.push(format!("{:?} went to {} from {}", taken.text, taken.to, taken.from));
        }
    }
}

/// Whatever the provider took twice was sent again for a reason: the sender was not told that it was taken, or died
/// before it had written that down. What a process sent just before it was killed may be taken after that, and even
/// after the copy of the process that took over.
fn nothing_was_doubled_without_need(
    verdict: &mut Verdict,
    taken: &[Taken],
    kills: &[HashMap<usize, Instant>],
    outages: &[(Instant, Instant)],
) {
    let mut last: HashMap<_, &Taken> = HashMap::new();
    let mut doubled = 0;
    for taken in taken {
        let Some(before) = last.insert((&taken.to, &taken.from, &taken.text), taken) else { continue };
        doubled += 1;
        verdict.doubled.insert(taken.text.clone());
        let away =
            outages.iter().any(|(from, until)| before.at < *until + WRITTEN_DOWN && *from < before.at + WRITTEN_DOWN);
        let soon = if away { WRITTEN_DOWN_LATE } else { WRITTEN_DOWN };
        let killed = |taken: &Taken| kills[taken.replica].get(&taken.life);
        let died = killed(before).is_some_and(|kill| *kill < before.at + soon);
        let was_dead = killed(taken).is_some_and(|kill| *kill < taken.at);
        if !before.doubtful && !died && !was_dead && !away {
            verdict.wrong.push(format!("doubled without need: {:?} to {}", taken.text, taken.to));
        }
    }
    verdict.counts.insert("texts doubled, each for a reason", doubled);
}

/// Users' words name who wrote them; what we write ourselves does not.
fn is_relay(taken: &Taken) -> bool {
    taken.text.split_once(" of +316").is_some_and(|(count, _)| count.parse::<u32>().is_ok())
}

/// Parts that were taken over from a replica that did not finish with them.
pub async fn recovered_claims(db: &TestDatabase) -> i64 {
    let open = Database::connect(&db.direct).await.expect("the database");
    let sql = "SELECT COUNT(*) AS count FROM outbox WHERE in_doubt";
    let row = open.query_one_raw(Statement::from_string(open.get_database_backend(), sql)).await.expect(sql);
    row.expect("a row").try_get("", "count").expect("a number")
}
