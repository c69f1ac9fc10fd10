//! How long contact lasts: the configured lengths, and those that a single ride requests.

use chrono::Duration;

use crate::domain::clock::Time;

/// Durations from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ContactPolicy {
    /// Contact after a completed ride.
    pub grace: Duration,
    /// Contact after a cancelled ride.
    pub cancel_grace: Duration,
    /// Time for which a number stays barred for both phones after contact has closed.
    pub cool_down: Duration,
    /// Time after which a ride that nobody ended is over.
    pub max_duration: Duration,
    /// How far ahead a ride may be planned.
    pub booking_horizon: Duration,
    /// Longest grace that a single ride may request, and how far its contact may be extended.
    pub grace_limit: Duration,
    /// Longest duration that a single ride may request.
    pub max_duration_limit: Duration,
}

/// Lengths that a single ride requests instead of the configured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Replaces [`ContactPolicy::grace`]. It never prolongs contact after a cancelled ride.
    pub grace: Option<Duration>,
    /// Replaces [`ContactPolicy::max_duration`].
    pub max_duration: Option<Duration>,
}

/// How long a binding routes contacts, and how long it bars its number for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// End of the contact window.
    pub contact_until: Time,
    /// End of the cool-down.
    pub barred_until: Time,
}

/// Error for a time for which no ride can be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatetime {
    /// The ride would already be over.
    #[error("must not be further back than the longest duration of a ride")]
    TooOld,
    #[error("must not be further ahead than the booking horizon")]
    TooFarAhead,
}

/// Error for contact that would last too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not be later than the longest grace after the ride's longest duration, or after its end")]
pub struct TooLong;

impl ContactPolicy {
    /// Returns the policy for a ride with its own terms.
    pub fn with(&self, terms: &Terms) -> Self {
        let grace = terms.grace.unwrap_or(self.grace);
        let cancel_grace = terms.grace.map_or(self.cancel_grace, |grace| grace.min(self.cancel_grace));
        Self { grace, cancel_grace, max_duration: terms.max_duration.unwrap_or(self.max_duration), ..*self }
    }

    /// Returns when a ride planned for `datetime` times out, if it may be planned for that time at all.
    pub fn timeout_at(&self, datetime: Time, now: Time) -> Result<Time, BadDatetime> {
        if datetime > now + self.booking_horizon {
            return Err(BadDatetime::TooFarAhead);
        }
        let timeout_at = datetime + self.max_duration;
        if timeout_at < now { Err(BadDatetime::TooOld) } else { Ok(timeout_at) }
    }

    /// Returns how long contact can be open at most from now on, unless the ride is rescheduled.
    pub fn longest_contact(&self) -> Duration {
        self.booking_horizon + self.max_duration_limit + self.grace_limit
    }

    pub fn window(&self, contact_until: Time) -> Window {
        Window { contact_until, barred_until: contact_until + self.cool_down }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::TimeZone as _;

    use super::*;

    pub(in crate::domain::ride) const POLICY: ContactPolicy = ContactPolicy {
        grace: Duration::hours(24),
        cancel_grace: Duration::minutes(15),
        cool_down: Duration::days(7),
        max_duration: Duration::hours(24),
        booking_horizon: Duration::days(90),
        grace_limit: Duration::days(7),
        max_duration_limit: Duration::days(7),
    };

    pub(in crate::domain::ride) fn noon() -> Time {
        chrono::Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).single().expect("a time")
    }

    #[test]
    fn a_ride_can_have_lengths_of_its_own() {
        let own = POLICY.with(&Terms { grace: Some(Duration::minutes(5)), max_duration: Some(Duration::hours(2)) });
        assert_eq!((own.grace, own.cancel_grace), (Duration::minutes(5), Duration::minutes(5)));
        assert_eq!(own.timeout_at(noon(), noon()), Ok(noon() + Duration::hours(2)));
        assert_eq!(POLICY.with(&Terms::default()).cancel_grace, POLICY.cancel_grace);
    }

    #[test]
    fn planned_times_have_bounds() {
        let plan = |offset| POLICY.timeout_at(noon() + offset, noon());
        assert!(plan(Duration::days(90)).is_ok() && plan(-POLICY.max_duration).is_ok());
        assert_eq!(plan(Duration::days(91)), Err(BadDatetime::TooFarAhead));
        assert_eq!(plan(Duration::hours(-25)), Err(BadDatetime::TooOld));
    }
}
