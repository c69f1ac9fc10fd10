//! Circuit breaker: whether a provider works, judged by the outcomes of sends.
//!
//! While the breaker is closed, everything is sent. Several failures in a row open it. While it is open, only an
//! occasional probe is sent, and the first probe that succeeds closes it.

use std::collections::BTreeSet;

use chrono::Duration;

use super::{clock::Time, ids::MessageId, number::ProviderName, string_enum::string_enum};

string_enum! {
    BreakerState {
        /// Everything is sent.
        Closed = "closed",
        /// Texts wait.
        Open = "open",
        /// The next text, or the one in flight, is a probe.
        HalfOpen = "half_open",
    }

    /// Reason why a breaker is open.
    BreakerReason {
        /// Several sends in a row failed.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused our credentials or our account.
        ProviderRefusedUs = "provider_refused_us",
    }
}

/// Condition of a provider as shown by one send, whatever the outcome for the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendHealth {
    /// The provider answered as it should.
    Working,
    /// The provider was unreachable, failed, or gave an unintelligible answer.
    Failing,
    /// The provider works, but wants us to slow down.
    Throttling,
    /// The provider refuses our credentials or our account, so every other text would fail too.
    RefusingUs,
}

/// A breaker that is open, or has been.
#[derive(Clone, Debug)]
pub struct Breaker {
    pub provider: ProviderName,
    /// If set, only probes are sent.
    pub is_open: bool,
    /// Reason why it is open, or was.
    pub reason: BreakerReason,
    /// When it last opened or closed.
    pub since: Time,
    /// When the next probe is due.
    pub probe_at: Option<Time>,
    /// Number of failed probes.
    pub probes: i32,
}

impl Breaker {
    pub fn state(&self, now: Time) -> BreakerState {
        match self.probe_at {
            _ if !self.is_open => BreakerState::Closed,
            Some(probe_at) if now < probe_at => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// How long a probe may be overdue before the provider no longer counts as down: without a recent test, new rides
    /// may try it.
    const UNTESTED: Duration = Duration::minutes(1);

    /// Checks whether the breaker is open because the provider refuses our credentials or our account.
    pub fn is_refusing(&self) -> bool {
        self.is_open && self.reason == BreakerReason::ProviderRefusedUs
    }

    /// Checks whether new rides should use another provider: this one has been down for at least `threshold`, and
    /// probes confirm that it still is.
    pub fn is_down(&self, threshold: Duration, now: Time) -> bool {
        let is_tested = self.probe_at.is_some_and(|probe_at| now < probe_at + Self::UNTESTED);
        self.is_open && self.since + threshold <= now && is_tested
    }
}

/// Settings for a provider that is down.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// Failures in a row that open its breaker; 0 for never. A provider that refuses our credentials opens it anyway.
    pub breaker_failures: u32,
    /// Downtime after which rides should use another provider.
    pub after: Duration,
    /// Whether live rides then move to another provider too.
    pub rebind: bool,
}

/// Pause before the first probe.
pub const FIRST_PROBE: Duration = Duration::seconds(5);
const LONGEST: Duration = Duration::minutes(1);

/// Returns the pause after this many failed probes. It doubles up to one minute.
pub fn probe_pause(probes: i32) -> Duration {
    (FIRST_PROBE * 2_i32.pow(probes.clamp(0, 10).unsigned_abs())).min(LONGEST)
}

/// Failures in a row, as seen by one process.
#[derive(Debug, Default)]
pub struct Streak {
    failures: u32,
    /// Different texts that failed, at most two. One text alone may itself be the cause of the failures; two are enough
    /// to rule that out.
    texts: BTreeSet<MessageId>,
}

impl Streak {
    /// Records a send. Returns `true` if the breaker should open: `most` failures in a row, of more than one text.
    pub fn observe(&mut self, health: SendHealth, text: MessageId, most: u32) -> bool {
        match health {
            SendHealth::Working => *self = Self::default(),
            SendHealth::Throttling | SendHealth::RefusingUs => return false,
            SendHealth::Failing => {
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
        let mut observe = |health, text: usize| streak.observe(health, texts[text], 3);
        assert!(
            ![0, 0, 0, 0].into_iter().any(|text| observe(SendHealth::Failing, text)),
            "one text that nobody can send"
        );
        assert!(observe(SendHealth::Failing, 1));
        assert!(!observe(SendHealth::Working, 0), "the count starts again");
        assert!(!observe(SendHealth::Failing, 0) && !observe(SendHealth::Failing, 1));
        assert!(!observe(SendHealth::Throttling, 1) && !observe(SendHealth::Working, 1));
        assert!(!observe(SendHealth::Failing, 1) && !observe(SendHealth::Failing, 0));
        assert!(observe(SendHealth::Failing, 1));
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
            reason: BreakerReason::ProviderUnavailable,
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
