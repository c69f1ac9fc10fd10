//! Detects which of the other processes on the same database are dead.
//!
//! Each process renews a counter in its own row and reads the counters of the others. Only this process's monotonic
//! clock is used, and only time between two successful reads counts as silence. So a process does not look dead because
//! clocks differ or the database is away.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::ids::ProcessId;

/// Interval at which a process renews its counter and reads those of the others.
pub const RENEW_EVERY: Duration = Duration::from_millis(250);
/// A process that has not renewed its counter for this long begins no send, and aborts those in flight.
pub const HOLDS_FOR: Duration = Duration::from_secs(3);
/// A process whose counter stood still for this long is dead: it has aborted everything by then.
const SILENCE: Duration = Duration::from_millis(3300);
/// Longest silence that counts between two reads. A process that reads later than this was paused itself, and cannot
/// know whether others were paused too.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// Counter value, as read from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Process that owns the counter.
    pub process: ProcessId,
    pub value: i64,
}

/// Knowledge of this process about the others.
#[derive(Debug, Default)]
pub struct Peers {
    seen: HashMap<ProcessId, Sighting>,
    /// When the last read ended, if it succeeded.
    last_read: Option<Instant>,
}

#[derive(Debug)]
struct Sighting {
    value: i64,
    /// Time for which the counter has certainly had this value.
    silence: Duration,
}

impl Peers {
    /// Records the counters of all other processes, which were read from `began` to `ended`. Returns the dead
    /// processes.
    pub fn observe(&mut self, counters: &[Counter], began: Instant, ended: Instant) -> Vec<Counter> {
        let last = self.last_read.replace(ended);
        let until = |end: Instant| last.map_or(Duration::ZERO, |last| end.saturating_duration_since(last));
        // A counter that has not changed had not changed when the read began. What happened during the read is unknown.
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

    /// Forgets all silence after a failed read or renewal: while the database is away, nobody can renew.
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

        /// Reads this value after `pause` milliseconds; the read takes `took` more. Returns whether the process is
        /// dead.
        fn reads(&mut self, value: i64, pause: u64, took: u64) -> bool {
            let began = self.now + Duration::from_millis(pause);
            self.now = began + Duration::from_millis(took);
            !self.peers.observe(&[Counter { process: ONE, value }], began, self.now).is_empty()
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
        observer.peers.observe(&[], observer.now, observer.now);
        assert!(!observer.reads(7, 900, 5));
    }
}
