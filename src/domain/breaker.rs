//! Whether a provider works, judged by what came of sends: a circuit breaker.
//!
//! Closed, everything is sent. After some failures in a row it opens: nothing is sent but a probe every so often, and the
//! first probe that succeeds closes it.

use std::collections::BTreeSet;

use chrono::Duration;

use super::{clock::Time, ids::MessageId, number::ProviderName, words::words};

words! {
    /// The state of a breaker.
    BreakerState {
        /// The provider works: everything is sent.
        Closed = "closed",
        /// It does not: everything waits.
        Open = "open",
        /// The next text, or the one under way, tries whether it works again.
        HalfOpen = "half_open",
    }

    /// Why a breaker is open.
    BreakerReason {
        /// Several sends in a row failed.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused our credentials or our account.
        ProviderRefusedUs = "provider_refused_us",
    }
}

/// What a send says of its provider, whatever it says of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered as it should.
    Well,
    /// It could not be reached, failed, or talked nonsense.
    Ill,
    /// It wants us to slow down, and otherwise works.
    Throttling,
    /// It refuses our credentials or our account: every other text would meet the same.
    RefusingUs,
}

/// A breaker that is open, or was.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Of which provider.
    pub provider: ProviderName,
    /// Nothing is sent but probes.
    pub is_open: bool,
    /// Why it is open. None where a version before opened it.
    pub reason: Option<BreakerReason>,
    /// Since when it has been as it is.
    pub since: Time,
    /// When the next probe is due.
    pub probe_at: Option<Time>,
    /// Probes that failed.
    pub probes: i32,
}

impl Breaker {
    /// The state now.
    pub fn state(&self, now: Time) -> BreakerState {
        match self.probe_at {
            _ if !self.is_open => BreakerState::Closed,
            Some(probe_at) if now < probe_at => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// Nothing has told for so long whether the provider works again: whoever needs it may try.
    const UNTESTED: Duration = Duration::minutes(1);

    /// The provider refuses us, and nobody has said otherwise.
    pub fn is_refusing(&self) -> bool {
        self.is_open && self.reason == Some(BreakerReason::ProviderRefusedUs)
    }

    /// New rides should have another provider: this one has been down for longer than `threshold`, and probes say that
    /// it still is.
    pub fn is_down(&self, threshold: Duration, now: Time) -> bool {
        let is_tested = self.probe_at.is_some_and(|probe_at| now < probe_at + Self::UNTESTED);
        self.is_open && self.since + threshold <= now && is_tested
    }
}

/// What is done about a provider that is down.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// Failures in a row that open its breaker; 0 for never. A provider that refuses our credentials opens it anyway.
    pub breaker_failures: u32,
    /// How long it is waited for before rides should have another.
    pub after: Duration,
    /// Whether live rides move then, too.
    pub rebind: bool,
}

/// Until the first probe.
pub const FIRST_PROBE: Duration = Duration::seconds(5);
const LONGEST: Duration = Duration::minutes(1);

/// How long to wait after so many failed probes: doubling to a minute.
pub fn probe_pause(probes: i32) -> Duration {
    (FIRST_PROBE * 2_i32.pow(probes.clamp(0, 10).unsigned_abs())).min(LONGEST)
}

/// Failures in a row, as one process saw them.
#[derive(Debug, Default)]
pub struct Streak {
    failures: u32,
    /// Of different texts: one alone may be what the provider fails at. Two are all that must be told apart.
    texts: BTreeSet<MessageId>,
}

impl Streak {
    /// Takes note of a send; `true` if the breaker should open: so many failures in a row, of more than one text.
    pub fn saw(&mut self, health: Health, text: MessageId, most: u32) -> bool {
        match health {
            Health::Well => *self = Self::default(),
            Health::Throttling | Health::RefusingUs => return false,
            Health::Ill => {
                self.failures = self.failures.saturating_add(1);
                if self.texts.len() < 2 {
                    self.texts.insert(text);
                }
            }
        }
        self.failures >= most && self.texts.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::{Clock as _, SystemClock};

    #[test]
    fn opens_after_failures_in_a_row_of_more_than_one_text() {
        let texts = [1, 2].map(MessageId);
        let mut streak = Streak::default();
        let mut saw = |health, text: usize| streak.saw(health, texts[text], 3);
        assert!(![0, 0, 0, 0].into_iter().any(|text| saw(Health::Ill, text)), "one text that nobody can send");
        assert!(saw(Health::Ill, 1));
        assert!(!saw(Health::Well, 0), "counted anew");
        assert!(!saw(Health::Ill, 0) && !saw(Health::Ill, 1));
        assert!(!saw(Health::Throttling, 1) && !saw(Health::Well, 1));
        assert!(!saw(Health::Ill, 1) && !saw(Health::Ill, 0));
        assert!(saw(Health::Ill, 1));
    }

    #[test]
    fn probes_come_more_seldom_up_to_a_limit() {
        assert_eq!([0, 1, 2, 3, 4, 99].map(|probes| probe_pause(probes).num_seconds()), [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn a_provider_is_down_while_probes_say_so() {
        let since = SystemClock.now();
        let at = |seconds| since + Duration::seconds(seconds);
        let breaker = Breaker {
            provider: ProviderName::of("twilio"),
            is_open: true,
            reason: None,
            since,
            probe_at: Some(at(150)),
            probes: 3,
        };
        let is_down = |seconds| breaker.is_down(Duration::minutes(2), at(seconds));
        assert!(!is_down(119), "not for long enough");
        assert!(is_down(120) && is_down(209));
        assert!(!is_down(210), "nobody has tried for a minute");
        let states = [149, 150].map(|seconds| breaker.state(at(seconds)));
        assert_eq!(states, [BreakerState::Open, BreakerState::HalfOpen]);
        assert_eq!(Breaker { is_open: false, ..breaker }.state(at(1)), BreakerState::Closed);
    }
}
