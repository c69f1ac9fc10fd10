//! Event endpoints: where the platform receives events, and how long we keep trying each endpoint.

use chrono::Duration;

use super::{
    clock::Time,
    event::EventType,
    ids::{ClientId, EndpointId, EventId},
    outbound::PostFailure,
    string_enum::string_enum,
    target::TargetUrl,
    text::Description,
};

string_enum! {
    /// Whether an endpoint gets events.
    EndpointStatus {
        Enabled = "enabled",
        /// Nothing is delivered. Events wait for the endpoint as long as the log keeps them.
        Disabled = "disabled",
    }

    /// Reason why we disabled an endpoint.
    DisabledReason {
        /// Every delivery failed for days.
        Failing = "failing",
    }

    /// State of an event that an endpoint did not accept on the first attempt.
    RetryState {
        /// The event is tried again.
        Pending = "pending",
        /// Dead letter: the event was given up.
        Dead = "dead",
    }
}

/// Client that owns an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EndpointOwner {
    /// Row ID.
    pub id: ClientId,
    /// OAuth client ID with which it signs in.
    pub client_id: String,
    /// Whether the client is not revoked and may read texts.
    pub reads_texts: bool,
}

/// Event endpoint without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventEndpoint {
    pub id: EndpointId,
    /// Client that created or adopted it. None for an endpoint from before endpoints had owners.
    #[serde(default)]
    pub owner: Option<EndpointOwner>,
    pub url: TargetUrl,
    pub description: Option<Description>,
    /// Event types that it gets; all if `None`.
    pub types: Option<Vec<EventType>>,
    /// Whether events about texts include the text.
    pub include_text: bool,
    pub status: EndpointStatus,
    /// Reason why we disabled it, if we did.
    pub disabled_reason: Option<DisabledReason>,
    /// First failure since the last success.
    pub failing_since: Option<Time>,
    /// Log positions that it has not been offered yet.
    pub behind: i64,
    /// Until then, the previous secret signs too.
    pub former_secret_until: Option<Time>,
    /// Version of the editable fields.
    pub version: i64,
    pub created_at: Time,
    /// Time of the last edit.
    pub updated_at: Time,
}

impl EventEndpoint {
    pub fn is_of(&self, client: ClientId) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.id == client)
    }

    /// Checks whether texts are withheld: the endpoint asks for them, but its client may not read them (any more).
    pub fn is_text_withheld(&self) -> bool {
        self.include_text && !self.owner.as_ref().is_some_and(|owner| owner.reads_texts)
    }

    /// Checks whether a change to `after` may post more texts, or the same texts to another URL.
    pub fn leads_texts_elsewhere(&self, after: &Self) -> bool {
        let is_enabled_again = after.status == EndpointStatus::Enabled && self.status != EndpointStatus::Enabled;
        let is_changed = (&self.url, &self.types, self.include_text) != (&after.url, &after.types, after.include_text);
        after.include_text && (is_changed || is_enabled_again)
    }
}

pub struct NewEndpoint {
    pub url: TargetUrl,
    pub description: Option<Description>,
    /// Event types that it gets; all if `None`.
    pub types: Option<Vec<EventType>>,
    /// Whether events about texts include the text.
    pub include_text: bool,
}

/// Changes to an endpoint: `None` leaves a field unchanged. `Some(None)` removes the description or selects all types.
pub struct EndpointPatch {
    pub url: Option<TargetUrl>,
    pub description: Option<Option<Description>>,
    pub types: Option<Option<Vec<EventType>>>,
    pub include_text: Option<bool>,
    pub status: Option<EndpointStatus>,
}

/// Attempt to deliver an event.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: i64,
    pub endpoint_id: EndpointId,
    pub event_id: EventId,
    pub at: Time,
    /// Status of the response, if there was one.
    pub status: Option<u16>,
    /// Reason why the event was not accepted; `None` if it was.
    pub failure: Option<PostFailure>,
    pub duration_ms: i64,
}

/// Event that an endpoint did not accept on the first attempt, or that is to be delivered again.
#[derive(Clone, Debug)]
pub struct Retry {
    pub event_id: EventId,
    pub state: RetryState,
    pub attempts: i32,
    /// Time of the first attempt, or of the request to deliver the event again.
    pub first_at: Time,
    /// Time at which the next attempt is, or was, due.
    pub due_at: Time,
}

/// Pauses after the first attempts to deliver an event, in seconds; 27 hours and 42 minutes in total.
const PAUSES: [i64; 10] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200];
/// Shortest time after the first attempt before an event is given up, however often it was tried.
const AT_LEAST: Duration = Duration::hours(24);

/// Returns the pause after the `attempts`th failed attempt (from 1) to deliver an event that was first tried `age` ago.
/// Pauses grow from seconds to half a day, each a tenth shorter or longer (`jitter` is from 0 to 1). `None` means that
/// the event is given up.
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

/// Failures in a row that close the gate of an endpoint.
const GATE: i32 = 5;
/// First pause of a closed gate. It doubles with each failure, up to the longest pause.
const FIRST_PAUSE: Duration = Duration::seconds(30);
const LONGEST_PAUSE: Duration = Duration::hours(1);
/// Longest pause of an endpoint that answers. It is alive, and may be refusing only certain events.
const LONGEST_IF_ANSWERED: Duration = Duration::minutes(1);
/// An endpoint is disabled after failing for this long and this many times. Without the minimum count, a rare failure
/// could disable an endpoint that seldom gets an event.
const DISABLE_AFTER: Duration = Duration::days(5);
const DISABLE_FAILURES: i32 = 20;

/// Delivery health of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Failures since the last success.
    pub failures: i32,
    /// Time of the first of these failures.
    pub failing_since: Option<Time>,
}

impl EndpointHealth {
    /// Returns the health after these attempts, in order. Each item says whether the endpoint accepted the event.
    pub fn after(self, taken: impl IntoIterator<Item = bool>, now: Time) -> Self {
        taken.into_iter().fold(self, |health, taken| match taken {
            true => Self::default(),
            false => {
                Self { failures: health.failures.saturating_add(1), failing_since: health.failing_since.or(Some(now)) }
            }
        })
    }

    /// Checks whether the last attempt failed. A failing endpoint is tried with one event at a time.
    pub fn is_failing(self) -> bool {
        self.failures > 0
    }

    /// Checks whether the gate is closed, so that the endpoint gets only a single event now and then.
    pub fn is_gated(self) -> bool {
        self.failures >= GATE
    }

    /// Returns how long the gate stays closed now; `None` if it is open. The pause is shorter if the last failed
    /// attempt got an answer (`was_answer`). `jitter`, from 0 to 1, makes it a tenth shorter or longer.
    pub fn gate(self, was_answer: bool, jitter: f64) -> Option<Duration> {
        let doublings = (self.failures - GATE).clamp(0, 10).unsigned_abs();
        let longest = if was_answer { LONGEST_IF_ANSWERED } else { LONGEST_PAUSE };
        let pause = (FIRST_PAUSE * 2_i32.pow(doublings)).min(longest);
        self.is_gated().then(|| jittered(pause, jitter))
    }

    /// Checks whether the endpoint has failed for so long and so often that it must be disabled.
    pub fn must_disable(self, now: Time) -> bool {
        let for_long = self.failing_since.is_some_and(|since| now - since >= DISABLE_AFTER);
        for_long && self.failures >= DISABLE_FAILURES
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
            let health = EndpointHealth { failures, failing_since: None };
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
        let healthy = EndpointHealth::default();
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
        let failing = EndpointHealth::default().after([false; 20], now);
        assert!(!failing.must_disable(now + Duration::days(4)));
        assert!(failing.must_disable(now + Duration::days(5)));
        assert!(!EndpointHealth { failures: 19, ..failing }.must_disable(now + Duration::days(9)));
    }
}
