//! Event endpoints: where the platform hears of its events, and how patient we are with each.

use chrono::Duration;

use super::{
    clock::Time,
    event::EventType,
    ids::{ClientId, EndpointId, EventId},
    outbound::PostFailure,
    target::TargetUrl,
    text::Description,
    words::words,
};

words! {
    /// Whether an endpoint gets events.
    EndpointStatus {
        /// It does.
        Enabled = "enabled",
        /// It does not; what happens meanwhile waits for it as long as the log keeps it.
        Disabled = "disabled",
    }

    /// Why we disabled an endpoint.
    DisabledReason {
        /// Nothing but failure for days.
        Failing = "failing",
    }

    /// Where an event stands that an endpoint did not take at once.
    RetryState {
        /// It is tried again.
        Owed = "owed",
        /// It was given up.
        Dead = "dead",
    }
}

/// Client that an endpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EndpointOwner {
    /// Row id.
    pub id: ClientId,
    /// What it signs in with.
    pub client_id: String,
    /// It is not revoked, and may read texts.
    pub reads_texts: bool,
}

/// An endpoint, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventEndpoint {
    /// Row id.
    pub id: EndpointId,
    /// Client that made or adopted it. None for an endpoint from before endpoints had owners.
    #[serde(default)]
    pub owner: Option<EndpointOwner>,
    /// Where it is.
    pub url: TargetUrl,
    /// What it is for.
    pub description: Option<Description>,
    /// What it hears of; all if not said.
    pub types: Option<Vec<EventType>>,
    /// Events about texts bring the text along.
    pub include_text: bool,
    /// Whether it gets events.
    pub status: EndpointStatus,
    /// Why we disabled it, if we did.
    pub disabled_reason: Option<DisabledReason>,
    /// The first failure since it last took something.
    pub failing_since: Option<Time>,
    /// Places of the log that it has not been offered yet.
    pub behind: i64,
    /// Until then, the secret before the present one signs too.
    pub former_secret_until: Option<Time>,
    /// Version of the editable part.
    pub version: i64,
    /// When it was made.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

impl EventEndpoint {
    /// Belongs to this client.
    pub fn is_of(&self, client: ClientId) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.id == client)
    }

    /// Events go out without the texts that it asks for, because its client may not read them (any more).
    pub fn is_text_withheld(&self) -> bool {
        self.include_text && !self.owner.as_ref().is_some_and(|owner| owner.reads_texts)
    }

    /// Becomes `after`, and more texts, or the same ones elsewhere, may be posted than before.
    pub fn leads_texts_elsewhere(&self, after: &Self) -> bool {
        let is_enabled_again = after.status == EndpointStatus::Enabled && self.status != EndpointStatus::Enabled;
        let is_changed = (&self.url, &self.types, self.include_text) != (&after.url, &after.types, after.include_text);
        after.include_text && (is_changed || is_enabled_again)
    }
}

/// An endpoint to be made.
pub struct NewEndpoint {
    /// Where it is.
    pub url: TargetUrl,
    /// What it is for.
    pub description: Option<Description>,
    /// What it hears of; all if not said.
    pub types: Option<Vec<EventType>>,
    /// Events about texts bring the text along.
    pub include_text: bool,
}

/// Changes of an endpoint.
pub struct EndpointPatch {
    /// Somewhere else.
    pub url: Option<TargetUrl>,
    /// Another description, or none.
    pub description: Option<Option<Description>>,
    /// Other types, or all.
    pub types: Option<Option<Vec<EventType>>>,
    /// Whether events about texts bring the text along.
    pub include_text: Option<bool>,
    /// Whether it gets events.
    pub status: Option<EndpointStatus>,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Row id.
    pub id: i64,
    /// Where to.
    pub endpoint_id: EndpointId,
    /// What.
    pub event_id: EventId,
    /// When.
    pub at: Time,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why the event was not taken, unless it was.
    pub failure: Option<PostFailure>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// An event that an endpoint did not take at once, or is to get again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// What.
    pub event_id: EventId,
    /// Whether it is tried again.
    pub state: RetryState,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was first tried, or asked for again.
    pub first_at: Time,
    /// When it is tried next, or was to be.
    pub due_at: Time,
}

/// Pauses behind the first attempts to deliver an event, in seconds; together 27 hours and 42 minutes.
const PAUSES: [i64; 10] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200];
/// An event is not given up sooner after its first attempt, however often it was tried.
const AT_LEAST: Duration = Duration::hours(24);

/// How long to wait after the `attempts`th failed attempt (from 1) to deliver an event that was first tried so long ago:
/// from seconds to half a day, each a tenth shorter or longer (`jitter` is from 0 to 1). `None`: it is given up.
pub fn retry_pause(attempts: i32, age: Duration, jitter: f64) -> Option<Duration> {
    let at = usize::try_from(attempts.max(1) - 1).unwrap_or_default();
    let pause = match PAUSES.get(at) {
        Some(pause) => *pause,
        None if age < AT_LEAST => PAUSES[PAUSES.len() - 1],
        None => return None,
    };
    Some(jittered(Duration::seconds(pause), jitter))
}

fn jittered(pause: Duration, jitter: f64) -> Duration {
    let stretched = pause.num_milliseconds() as f64 * (0.9 + 0.2 * jitter.clamp(0.0, 1.0));
    #[expect(clippy::cast_possible_truncation, reason = "at most half a day in milliseconds, and a tenth")]
    let millis = stretched as i64;
    Duration::milliseconds(millis)
}

/// So many failures in a row close the gate of an endpoint.
const GATE: i32 = 5;
/// The first pause of a closed gate; it doubles with each failure, up to the longest.
const FIRST_PAUSE: Duration = Duration::seconds(30);
const LONGEST_PAUSE: Duration = Duration::hours(1);
/// Of one that answers: it is alive, so that what it refuses may be the events and not all events.
const LONGEST_IF_ANSWERED: Duration = Duration::minutes(1);
/// After so long of nothing but failure, an endpoint is disabled; and after so many, or a rare failure would do it to an
/// endpoint that seldom hears anything.
const HOPELESS_AFTER: Duration = Duration::days(5);
const HOPELESS_FAILURES: i32 = 20;

/// How an endpoint does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Failures since it last took something.
    pub failures: i32,
    /// The first of them.
    pub failing_since: Option<Time>,
}

impl Health {
    /// After these attempts, in order: was each taken?
    pub fn after(self, taken: impl IntoIterator<Item = bool>, now: Time) -> Self {
        taken.into_iter().fold(self, |health, taken| match taken {
            true => Self::default(),
            false => {
                Self { failures: health.failures.saturating_add(1), failing_since: health.failing_since.or(Some(now)) }
            }
        })
    }

    /// The last attempt failed: it is tried with one event at a time.
    pub fn is_failing(self) -> bool {
        self.failures > 0
    }

    /// It is left alone, but for one event now and then.
    pub fn is_gated(self) -> bool {
        self.failures >= GATE
    }

    /// How long it is left alone now; `None` if its gate is open. Shorter if there `was_answer` to what failed last. A tenth
    /// shorter or longer, by `jitter` from 0 to 1.
    pub fn gate(self, was_answer: bool, jitter: f64) -> Option<Duration> {
        let doublings = (self.failures - GATE).clamp(0, 10).unsigned_abs();
        let longest = if was_answer { LONGEST_IF_ANSWERED } else { LONGEST_PAUSE };
        let pause = (FIRST_PAUSE * 2_i32.pow(doublings)).min(longest);
        self.is_gated().then(|| jittered(pause, jitter))
    }

    /// It is time to give it up.
    pub fn is_hopeless(self, now: Time) -> bool {
        let for_long = self.failing_since.is_some_and(|since| now - since >= HOPELESS_AFTER);
        for_long && self.failures >= HOPELESS_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_event_is_tried_with_growing_gaps_for_a_day_at_least(jitters in prop::collection::vec(0.0..=1.0, 10..60)) {
            let (mut age, mut last) = (Duration::zero(), Duration::zero());
            for (attempts, jitter) in (1..).zip(&jitters) {
                let Some(pause) = retry_pause(attempts, age, *jitter) else { break };
                prop_assert!(pause > last || attempts > 10, "{pause} after {last}");
                (age, last) = (age + pause, pause);
            }
            prop_assert!(age >= AT_LEAST && age <= Duration::hours(31), "{}", age);
        }

        #[test]
        fn tries_that_come_too_soon_give_up_no_sooner(attempts in any::<i32>(), age in 0..86_400_i64, jitter in any::<f64>()) {
            let pause = retry_pause(attempts, Duration::seconds(age), jitter);
            prop_assert!(pause.is_some_and(|pause| pause > Duration::seconds(4) && pause < Duration::hours(14)));
        }

        #[test]
        fn a_gate_stays_in_bounds(failures in any::<i32>(), was_answer in any::<bool>(), jitter in any::<f64>()) {
            let health = Health { failures, failing_since: None };
            let pause = health.gate(was_answer, jitter);
            prop_assert_eq!(pause.is_some(), failures >= GATE);
            let longest = if was_answer { Duration::seconds(66) } else { Duration::minutes(66) };
            let bounds = Duration::seconds(27)..=longest;
            prop_assert!(pause.is_none_or(|pause| bounds.contains(&pause)));
        }
    }

    #[test]
    fn five_failures_in_a_row_close_the_gate_and_one_success_opens_it() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let healthy = Health::default();
        let failing = healthy.after([false, true, false, false, false, false], now);
        assert!(failing.is_failing() && failing.gate(false, 0.5).is_none());
        let closed = failing.after([false], now + Duration::seconds(1));
        assert_eq!((closed.gate(false, 0.5), closed.failing_since), (Some(FIRST_PAUSE), Some(now)));
        let worse = closed.after([false; 9], now);
        assert_eq!((worse.gate(false, 0.5), worse.gate(true, 0.5)), (Some(LONGEST_PAUSE), Some(LONGEST_IF_ANSWERED)));
        assert_eq!(closed.after([true], now), healthy);
    }

    #[test]
    fn only_long_and_frequent_failure_is_hopeless() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let failing = Health::default().after([false; 20], now);
        assert!(!failing.is_hopeless(now + Duration::days(4)));
        assert!(failing.is_hopeless(now + Duration::days(5)));
        assert!(!Health { failures: 19, ..failing }.is_hopeless(now + Duration::days(9)));
    }
}
