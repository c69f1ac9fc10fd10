//! The other processes on the same database, and which of them are dead.
//!
//! Each process renews a counter in a row of its own, and reads those of the others. Only this process's monotonic clock
//! takes part, and only time between two reads that succeeded counts as silence: clocks that differ, and a database that
//! is away, kill nobody.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::ids::ProcessId;

/// How often a process renews its counter and reads those of the others.
pub const RENEW_EVERY: Duration = Duration::from_millis(250);
/// A process that has not renewed its counter for this long begins no send, and breaks off those under way.
pub const HOLDS_FOR: Duration = Duration::from_secs(3);
/// A process whose counter stood still for this long is dead: it has broken off everything by then.
const SILENCE: Duration = Duration::from_millis(3300);
/// The most that counts as silence between two reads: whoever reads so late was paused, and cannot know what else was.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// A counter as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Whose it is.
    pub process: ProcessId,
    /// Its value.
    pub value: i64,
}

/// What this process knows of the others.
#[derive(Debug, Default)]
pub struct Peers {
    seen: HashMap<ProcessId, Sighting>,
    /// When the last read ended, if it succeeded.
    last_read: Option<Instant>,
}

#[derive(Debug)]
struct Sighting {
    value: i64,
    /// How long the counter has had this value, for certain.
    silence: Duration,
}

impl Peers {
    /// Takes in the counters of all others, which were read from `began` to `ended`; answers which processes are dead.
    pub fn saw(&mut self, counters: &[Counter], began: Instant, ended: Instant) -> Vec<Counter> {
        let last = self.last_read.replace(ended);
        let until = |end: Instant| last.map_or(Duration::ZERO, |last| end.saturating_duration_since(last));
        // A counter that has not changed had not changed when the read began; what it did while it ran is unknown.
        let (certain, elapsed) = (until(began).min(LONGEST_GAP), until(ended).min(LONGEST_GAP));
        self.seen.retain(|process, _| counters.iter().any(|counter| counter.process == *process));
        let mut dead = Vec::new();
        for counter in counters {
            match self.seen.get_mut(&counter.process) {
                Some(known) if known.value == counter.value => {
                    if known.silence + certain >= SILENCE {
                        dead.push(*counter);
                    }
                    known.silence += elapsed;
                }
                _ => {
                    let moved = Sighting { value: counter.value, silence: Duration::ZERO };
                    self.seen.insert(counter.process, moved);
                }
            }
        }
        dead
    }

    /// A read or a renewal failed. What was silence before is forgotten: with the database away, nobody can renew.
    pub fn missed(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ProcessId = ProcessId(1);

    struct Observer {
        peers: Peers,
        now: Instant,
    }

    impl Observer {
        fn new() -> Self {
            Self { peers: Peers::default(), now: Instant::now() }
        }

        /// Reads this value after `pause` milliseconds, which takes `took` more; answers whether the process is dead.
        fn reads(&mut self, value: i64, pause: u64, took: u64) -> bool {
            let began = self.now + Duration::from_millis(pause);
            self.now = began + Duration::from_millis(took);
            !self.peers.saw(&[Counter { process: ONE, value }], began, self.now).is_empty()
        }
    }

    #[test]
    fn a_counter_that_stands_still_is_dead_after_its_owner_has_stopped() {
        let mut observer = Observer::new();
        observer.reads(7, 0, 5);
        let first = observer.now;
        while !observer.reads(7, 300, 5) {}
        let waited = observer.now - first;
        assert!(waited > HOLDS_FOR && waited < Duration::from_secs(4), "{waited:?}");
    }

    #[test]
    fn a_counter_that_moves_lives_whatever_its_value() {
        let mut observer = Observer::new();
        // After a crash, a database may have lost the last renewals.
        for value in [1, 2, 3, 2, 1, 2, 3, 2, 1] {
            for _ in 0..10 {
                assert!(!observer.reads(value, 300, 5));
            }
        }
    }

    #[test]
    fn slow_reads_count_but_not_the_one_that_decides() {
        let mut observer = Observer::new();
        assert!(!observer.reads(7, 0, 0));
        for _ in 0..3 {
            assert!(!observer.reads(7, 300, 700));
        }
        assert!(!observer.reads(7, 100, 900), "3.1 s when this read began");
    }

    #[test]
    fn time_in_which_reads_fail_is_not_silence() {
        let mut observer = Observer::new();
        for _ in 0..20 {
            for _ in 0..10 {
                assert!(!observer.reads(7, 300, 5));
            }
            observer.peers.missed();
            observer.now += Duration::from_secs(10);
        }
    }

    #[test]
    fn an_observer_that_was_paused_does_not_judge_by_its_pause() {
        let mut observer = Observer::new();
        for _ in 0..3 {
            assert!(!observer.reads(7, 60_000, 5));
        }
    }

    #[test]
    fn one_that_comes_back_under_the_same_id_is_new() {
        let mut observer = Observer::new();
        for _ in 0..10 {
            observer.reads(7, 300, 5);
        }
        observer.peers.saw(&[], observer.now, observer.now);
        assert!(!observer.reads(7, 900, 5));
    }
}
