//! Rides: their data, their transitions, and how long contact lasts.

mod policy;

use chrono::{DateTime, Duration, FixedOffset};

use super::{
    clock::Time,
    ids::{NumberId, PersonId, RideId},
    person::{PersonRef, Role},
    phone::PhoneNumber,
    string_enum::string_enum,
    text::{ExternalId, Place},
};
pub use policy::{ContactPolicy, Terms, TooLong, Window};

string_enum! {
    RideStatus {
        /// Agreed, not started.
        Scheduled = "scheduled",
        /// Under way.
        InProgress = "in_progress",
        Completed = "completed",
        Cancelled = "cancelled",
    }

    /// Actor that ended a ride.
    EndedBy {
        /// The platform ended it.
        Platform = "platform",
        /// Nobody ended it: its longest duration ran out.
        Timeout = "timeout",
    }

    /// Reason why contact closed early without anybody asking for it.
    CloseReason {
        /// The number was suspended, and no other was free for the two people.
        NumberSuspended = "number_suspended",
    }

    /// Event in the timeline of a ride.
    RideEventKind {
        Created = "created",
        /// Its plan was changed.
        Updated = "updated",
        Started = "started",
        Completed = "completed",
        Cancelled = "cancelled",
        /// Its contact window closed.
        ContactClosed = "contact_closed",
    }
}

impl RideStatus {
    /// Checks whether the ride is over. Only its grace may be left.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Returns the timeline event of a ride that gets this status.
    pub fn event(self) -> RideEventKind {
        match self {
            Self::Scheduled => RideEventKind::Created,
            Self::InProgress => RideEventKind::Started,
            Self::Completed => RideEventKind::Completed,
            Self::Cancelled => RideEventKind::Cancelled,
        }
    }
}

/// Entry in the timeline of a ride.
#[derive(Clone, Copy, Debug)]
pub struct RideEvent {
    pub event: RideEventKind,
    pub at: Time,
}

/// Contact that a ride had left when the next ride of the same two people took over its number. These two keep it,
/// however the next ride ends; another driver gets none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InheritedContact {
    /// End of that contact.
    pub until: Time,
    /// Ride that left it.
    pub from: RideId,
    /// End of contact that the next ride would have without it.
    pub own: Time,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ride {
    pub id: RideId,
    pub customer_id: PersonId,
    pub driver_id: PersonId,
    /// Proxy number that both people see.
    pub number_id: NumberId,
    /// That number in clear. It belongs to the platform.
    #[serde(with = "super::phone::exposed")]
    pub proxy_number: PhoneNumber,
    pub start: Place,
    pub destination: Place,
    /// Start time, with the UTC offset that the platform gave: notices show local time.
    pub datetime: DateTime<FixedOffset>,
    pub status: RideStatus,
    pub ended_by: Option<EndedBy>,
    pub ended_at: Option<Time>,
    /// When it ends automatically if nobody ends it.
    pub timeout_at: Time,
    /// When contact closes, as currently planned.
    pub contact_until: Time,
    /// Contact that an earlier ride of the same two people had left.
    #[serde(default)]
    pub inherited: Option<InheritedContact>,
    /// Reason why contact closed early, if it did.
    pub closed_reason: Option<CloseReason>,
    /// Contact after the ride, in seconds, if it requested its own.
    pub grace_s: Option<i64>,
    /// Longest duration, in seconds, if it requested its own.
    pub max_duration_s: Option<i64>,
    /// The platform's ID, unique among rides.
    pub external_id: Option<ExternalId>,
    /// Edit counter, used as the ETag.
    pub version: i64,
    pub created_at: Time,
    /// Time of the last edit.
    pub updated_at: Time,
}

/// Error for a status that cannot follow the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ride that is {from} cannot become {to}")]
pub struct TransitionRefused {
    /// Current status.
    pub from: RideStatus,
    /// Requested status.
    pub to: RideStatus,
}

impl Ride {
    /// Checks whether contact is open. The routing lookup compares in the same way, so a late worker cannot prolong
    /// contact.
    pub fn contact_open(&self, now: Time) -> bool {
        now < self.contact_until
    }

    pub fn party(&self, role: Role) -> PersonId {
        match role {
            Role::Customer => self.customer_id,
            Role::Driver => self.driver_id,
        }
    }

    /// Returns the policy for this ride, with the lengths that it requested.
    pub fn policy(&self, policy: &ContactPolicy) -> ContactPolicy {
        policy.with(&Terms {
            grace: self.grace_s.map(Duration::seconds),
            max_duration: self.max_duration_s.map(Duration::seconds),
        })
    }

    /// Sets the end of contact, which must be open. If `until` is not after `now`, contact closes immediately.
    pub fn set_contact(&mut self, until: Time, now: Time, policy: &ContactPolicy) -> Result<(), TooLong> {
        let last = self.ended_at.unwrap_or(self.timeout_at).max(self.contact_until - policy.grace_limit);
        if until > last + policy.grace_limit {
            return Err(TooLong);
        }
        self.contact_until = until.max(now);
        self.inherited = None;
        Ok(())
    }

    /// Assigns another driver and returns the inherited contact. That belongs to the previous pair: the ride loses it,
    /// and any contact that would have been too long without it.
    pub fn pass_on(&mut self, driver: PersonId, policy: &ContactPolicy) -> Option<InheritedContact> {
        self.driver_id = driver;
        let inherited = self.inherited.take();
        let own = inherited.map_or(self.contact_until, |inherited| inherited.own);
        self.contact_until = own.min(self.timeout_at + policy.grace_limit.max(policy.grace));
        inherited
    }

    /// Moves to another status. The same status again changes nothing and is not an error.
    pub fn move_to(&mut self, to: RideStatus, now: Time, policy: &ContactPolicy) -> Result<(), TransitionRefused> {
        use RideStatus::{Cancelled, Completed, InProgress, Scheduled};
        match (self.status, to) {
            (from, to) if from == to => Ok(()),
            (Scheduled, InProgress) => {
                self.status = to;
                Ok(())
            }
            (InProgress, Completed) => {
                self.end(Completed, now, policy.grace);
                Ok(())
            }
            (Scheduled | InProgress, Cancelled) => {
                self.end(Cancelled, now, policy.cancel_grace);
                Ok(())
            }
            (from, to) => Err(TransitionRefused { from, to }),
        }
    }

    /// Ends a ride that nobody ended, as of the moment when its longest duration ran out. Contact closes when it would
    /// have closed anyway, so it does not matter how late this runs.
    pub fn time_out(&mut self) {
        if !self.status.is_ended() {
            self.status = RideStatus::Completed;
            self.ended_by = Some(EndedBy::Timeout);
            self.ended_at = Some(self.timeout_at);
        }
    }

    pub fn reschedule(&mut self, datetime: DateTime<FixedOffset>, timeout_at: Time, policy: &ContactPolicy) {
        self.datetime = datetime;
        self.timeout_at = timeout_at;
        let first = timeout_at + policy.grace;
        self.contact_until = self.inherited.map_or(first, |inherited| inherited.until.max(first));
        if let Some(inherited) = &mut self.inherited {
            inherited.own = first;
        }
    }

    fn end(&mut self, status: RideStatus, at: Time, grace: Duration) {
        self.status = status;
        self.ended_by = Some(EndedBy::Platform);
        self.ended_at = Some(at);
        let kept = self.inherited.map_or(at + grace, |inherited| inherited.until.max(at + grace));
        self.contact_until = self.contact_until.min(kept);
    }
}

/// Ride to create. Fields without a comment are those of [`Ride`].
#[derive(Clone, Debug)]
pub struct NewRide {
    pub customer: PersonRef,
    pub driver: PersonRef,
    pub start: Place,
    pub destination: Place,
    pub datetime: DateTime<FixedOffset>,
    /// Lengths that it requests instead of the configured ones.
    pub terms: Terms,
    pub external_id: Option<ExternalId>,
    /// Whether both people get the confirmation.
    pub notify: bool,
}

/// Changes to a ride: `None` leaves a field unchanged, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct RidePatch {
    /// Rejected unless it is the current customer.
    pub customer_id: Option<PersonId>,
    /// Allowed while the ride is not over.
    pub driver_id: Option<PersonId>,
    pub start: Option<Place>,
    pub destination: Option<Place>,
    pub datetime: Option<DateTime<FixedOffset>>,
    pub status: Option<RideStatus>,
    pub external_id: Option<Option<ExternalId>>,
    /// Suppresses the notices to both people about a new driver, time or place.
    pub quiet: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        policy::tests::{POLICY, noon},
        *,
    };

    fn ride() -> Ride {
        let timeout_at = noon() + POLICY.max_duration;
        Ride {
            id: RideId(1),
            customer_id: PersonId(1),
            driver_id: PersonId(2),
            number_id: NumberId(1),
            proxy_number: PhoneNumber::from_wire("+3197010200001").expect("a number"),
            start: Place::parse("A").expect("a place"),
            destination: Place::parse("B").expect("a place"),
            datetime: noon().fixed_offset(),
            status: RideStatus::Scheduled,
            ended_by: None,
            ended_at: None,
            timeout_at,
            contact_until: timeout_at + POLICY.grace,
            inherited: None,
            closed_reason: None,
            grace_s: None,
            max_duration_s: None,
            external_id: None,
            version: 1,
            created_at: noon(),
            updated_at: noon(),
        }
    }

    #[test]
    fn completing_leaves_the_grace() {
        let mut ride = ride();
        ride.move_to(RideStatus::InProgress, noon(), &POLICY).expect("starts");
        ride.move_to(RideStatus::Completed, noon(), &POLICY).expect("completes");
        assert_eq!(ride.contact_until, noon() + POLICY.grace);
        assert_eq!((ride.ended_by, ride.ended_at), (Some(EndedBy::Platform), Some(noon())));
        assert!(ride.contact_open(noon()) && !ride.contact_open(noon() + POLICY.grace));
    }

    #[test]
    fn a_late_end_never_lengthens_the_window() {
        let mut ride = ride();
        let first = ride.contact_until;
        ride.move_to(RideStatus::Cancelled, first + Duration::hours(5), &POLICY).expect("cancels");
        assert_eq!(ride.contact_until, first);
    }

    #[test]
    fn what_was_left_of_a_former_window_is_kept() {
        let mut ride = with_inherited(noon() + Duration::hours(20));
        ride.move_to(RideStatus::Cancelled, noon(), &POLICY).expect("cancels");
        assert_eq!(ride.contact_until, noon() + Duration::hours(20));
    }

    fn with_inherited(until: Time) -> Ride {
        let ride = ride();
        let own = ride.contact_until;
        let inherited = Some(InheritedContact { until, from: RideId(7), own });
        Ride { contact_until: own.max(until), inherited, ..ride }
    }

    #[test]
    fn another_driver_has_nothing_of_what_was_left() {
        for until in [Duration::hours(20), Duration::days(5), Duration::days(30)].map(|left| noon() + left) {
            let mut ride = with_inherited(until);
            assert_eq!(
                ride.pass_on(PersonId(3), &POLICY).map(|inherited| (inherited.until, inherited.from)),
                Some((until, RideId(7)))
            );
            assert_eq!((ride.driver_id, ride.inherited), (PersonId(3), None));
            assert_eq!(ride.contact_until, ride.timeout_at + POLICY.grace);
            ride.move_to(RideStatus::Cancelled, noon(), &POLICY).expect("cancels");
            assert_eq!(ride.contact_until, noon() + POLICY.cancel_grace);
        }
    }

    #[test]
    fn another_driver_has_what_the_platform_set_as_far_as_a_ride_can_have_it() {
        let mut ride = ride();
        ride.set_contact(noon() + Duration::days(6), noon(), &POLICY).expect("later");
        ride.pass_on(PersonId(3), &POLICY);
        assert_eq!(ride.contact_until, noon() + Duration::days(6));
        // After rescheduling, contact would close at this time if none were inherited.
        let mut ride = with_inherited(noon() + Duration::days(30));
        let timeout_at = noon() + Duration::days(2);
        ride.reschedule((noon() + Duration::days(1)).fixed_offset(), timeout_at, &POLICY);
        assert_eq!(ride.contact_until, noon() + Duration::days(30));
        let mut shortened = ride.clone();
        shortened.set_contact(noon() + Duration::days(29), noon(), &POLICY).expect("shorter");
        for (mut ride, own) in [(ride, POLICY.grace), (shortened, POLICY.grace_limit)] {
            ride.pass_on(PersonId(3), &POLICY);
            assert_eq!(ride.contact_until, timeout_at + own);
        }
    }

    #[test]
    fn contact_can_be_extended_shortened_and_closed_within_bounds() {
        let mut ride = ride();
        let last = ride.timeout_at + POLICY.grace_limit;
        assert_eq!(ride.set_contact(last + Duration::milliseconds(1), noon(), &POLICY), Err(TooLong));
        ride.set_contact(last, noon(), &POLICY).expect("the longest");
        assert_eq!(ride.contact_until, last);
        ride.set_contact(noon() + Duration::hours(1), noon(), &POLICY).expect("shorter");
        ride.move_to(RideStatus::Cancelled, noon(), &POLICY).expect("cancels");
        assert_eq!(ride.contact_until, noon() + POLICY.cancel_grace, "an end never lengthens it");
        ride.set_contact(noon() - Duration::hours(1), noon(), &POLICY).expect("at once");
        assert!(ride.contact_until == noon() && !ride.contact_open(noon()));
    }

    #[test]
    fn a_forgotten_ride_ends_when_its_time_is_up_however_late_the_worker() {
        let mut ride = ride();
        let first = ride.contact_until;
        ride.time_out();
        assert_eq!((ride.status, ride.ended_by), (RideStatus::Completed, Some(EndedBy::Timeout)));
        assert_eq!((ride.ended_at, ride.contact_until), (Some(ride.timeout_at), first));
    }

    proptest! {
        #[test]
        fn no_path_leaves_an_end_or_outlives_the_first_window(
            steps in proptest::collection::vec((0usize..4, 0i64..100), 0..12)
        ) {
            let mut ride = ride();
            let first = ride.contact_until;
            let mut now = noon();
            for (to, hours) in steps {
                now += Duration::hours(hours);
                let before = ride.status;
                let outcome = ride.move_to(RideStatus::ALL[to], now, &POLICY);
                prop_assert!(!before.is_ended() || ride.status == before);
                prop_assert_eq!(outcome.is_err(), ride.status != RideStatus::ALL[to]);
                prop_assert!(ride.contact_until <= first);
                prop_assert_eq!(ride.status.is_ended(), ride.ended_at.is_some());
            }
        }
    }
}
