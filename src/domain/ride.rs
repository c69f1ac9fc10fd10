//! Rides: what they are, how they move, and how long contact lasts.

mod policy;

use chrono::{DateTime, Duration, FixedOffset};

use super::{
    clock::Time,
    ids::{NumberId, PersonId, RideId},
    person::{PersonRef, Role},
    phone::PhoneNumber,
    text::{ExternalId, Place},
    words::words,
};
pub use policy::{ContactPolicy, Terms, TooLong, Window};

words! {
    /// Where a ride stands.
    RideStatus {
        /// Agreed, not begun.
        Scheduled = "scheduled",
        /// Under way.
        InProgress = "in_progress",
        /// Done.
        Completed = "completed",
        /// Called off.
        Cancelled = "cancelled",
    }

    /// Who ended a ride.
    EndedBy {
        /// The platform said so.
        Platform = "platform",
        /// Nobody did: the longest duration ran out.
        Timeout = "timeout",
    }

    /// Why contact closed before its time though nobody asked for it.
    CloseReason {
        /// The number was suspended, and no other was free for the two.
        NumberSuspended = "number_suspended",
    }

    /// What happened to a ride.
    RideEventKind {
        /// It was created.
        Created = "created",
        /// Its plan was changed.
        Updated = "updated",
        /// It began.
        Started = "started",
        /// It is over.
        Completed = "completed",
        /// It was called off.
        Cancelled = "cancelled",
        /// Its contact window closed.
        ContactClosed = "contact_closed",
    }
}

impl RideStatus {
    /// The ride is over; what is left is its grace.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// What the timeline says when a ride gets here.
    pub fn event(self) -> RideEventKind {
        match self {
            Self::Scheduled => RideEventKind::Created,
            Self::InProgress => RideEventKind::Started,
            Self::Completed => RideEventKind::Completed,
            Self::Cancelled => RideEventKind::Cancelled,
        }
    }
}

/// Something that happened to a ride, for its timeline.
#[derive(Clone, Copy, Debug)]
pub struct RideEvent {
    /// What.
    pub event: RideEventKind,
    /// When.
    pub at: Time,
}

/// Contact that a ride had left when the next ride of the same two people took its number over. However that one ends,
/// these two keep it; another driver has nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContactFloor {
    /// The end of that contact.
    pub until: Time,
    /// The ride that left it.
    pub from: RideId,
    /// The end of contact of the next ride without it.
    pub own: Time,
}

/// A ride.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ride {
    /// Its id.
    pub id: RideId,
    /// Who rides.
    pub customer_id: PersonId,
    /// Who drives.
    pub driver_id: PersonId,
    /// The proxy number both see.
    pub number_id: NumberId,
    /// That number in clear; the platform's own.
    #[serde(with = "super::phone::exposed")]
    pub proxy_number: PhoneNumber,
    /// Where it starts.
    pub start: Place,
    /// Where it ends.
    pub destination: Place,
    /// When it starts, with the offset the platform gave: notices show local time.
    pub datetime: DateTime<FixedOffset>,
    /// Where it stands.
    pub status: RideStatus,
    /// Who ended it.
    pub ended_by: Option<EndedBy>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// When it is over though nobody says so.
    pub timeout_at: Time,
    /// When contact closes, as things stand.
    pub contact_until: Time,
    /// Contact that a former ride of the same two people had left.
    #[serde(default)]
    pub floor: Option<ContactFloor>,
    /// Why contact closed before its time, if it did.
    pub closed_reason: Option<CloseReason>,
    /// Contact after the ride, in seconds, where it asked for its own.
    pub grace_s: Option<i64>,
    /// Its longest duration, in seconds, likewise.
    pub max_duration_s: Option<i64>,
    /// The platform's id, unique among rides.
    pub external_id: Option<ExternalId>,
    /// Counts edits; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

/// A status that cannot follow the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ride that is {from} cannot become {to}")]
pub struct TransitionRefused {
    /// The present status.
    pub from: RideStatus,
    /// The one asked for.
    pub to: RideStatus,
}

impl Ride {
    /// Contact is open: the routing lookup compares in the same way, so no late worker can lengthen it.
    pub fn contact_open(&self, now: Time) -> bool {
        now < self.contact_until
    }

    /// Who plays this part.
    pub fn party(&self, role: Role) -> PersonId {
        match role {
            Role::Customer => self.customer_id,
            Role::Driver => self.driver_id,
        }
    }

    /// The policy for this ride, with its own lengths.
    pub fn policy(&self, policy: &ContactPolicy) -> ContactPolicy {
        policy.with(&Terms {
            grace: self.grace_s.map(Duration::seconds),
            max_duration: self.max_duration_s.map(Duration::seconds),
        })
    }

    /// Sets the end of contact, which must be open; at or before `now`, it closes at once.
    pub fn set_contact(&mut self, until: Time, now: Time, policy: &ContactPolicy) -> Result<(), TooLong> {
        let last = self.ended_at.unwrap_or(self.timeout_at).max(self.contact_until - policy.grace_limit);
        if until > last + policy.grace_limit {
            return Err(TooLong);
        }
        self.contact_until = until.max(now);
        self.floor = None;
        Ok(())
    }

    /// Gives the ride another driver. What the two before had left from a former ride is theirs and no longer the ride's,
    /// nor is contact beyond what it could have been given without that. Answers what they had left.
    pub fn pass_on(&mut self, driver: PersonId, policy: &ContactPolicy) -> Option<ContactFloor> {
        self.driver_id = driver;
        let floor = self.floor.take();
        let own = floor.map_or(self.contact_until, |floor| floor.own);
        self.contact_until = own.min(self.timeout_at + policy.grace_limit.max(policy.grace));
        floor
    }

    /// Moves to another status. The same status again changes nothing and is no error.
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

    /// Ends a ride that nobody closed, as of the moment its longest duration ran out. Contact closes when it would have
    /// anyway, so it does not matter how late somebody notices.
    pub fn time_out(&mut self) {
        if !self.status.is_ended() {
            self.status = RideStatus::Completed;
            self.ended_by = Some(EndedBy::Timeout);
            self.ended_at = Some(self.timeout_at);
        }
    }

    /// Plans the ride for another time.
    pub fn reschedule(&mut self, datetime: DateTime<FixedOffset>, timeout_at: Time, policy: &ContactPolicy) {
        self.datetime = datetime;
        self.timeout_at = timeout_at;
        let first = timeout_at + policy.grace;
        self.contact_until = self.floor.map_or(first, |floor| floor.until.max(first));
        if let Some(floor) = &mut self.floor {
            floor.own = first;
        }
    }

    fn end(&mut self, status: RideStatus, at: Time, grace: Duration) {
        self.status = status;
        self.ended_by = Some(EndedBy::Platform);
        self.ended_at = Some(at);
        let kept = self.floor.map_or(at + grace, |floor| floor.until.max(at + grace));
        self.contact_until = self.contact_until.min(kept);
    }
}

/// A ride to be made.
#[derive(Clone, Debug)]
pub struct NewRide {
    /// Who rides.
    pub customer: PersonRef,
    /// Who drives.
    pub driver: PersonRef,
    /// See [`Ride::start`].
    pub start: Place,
    /// See [`Ride::destination`].
    pub destination: Place,
    /// See [`Ride::datetime`].
    pub datetime: DateTime<FixedOffset>,
    /// What it asks for in place of the usual lengths.
    pub terms: Terms,
    /// See [`Ride::external_id`].
    pub external_id: Option<ExternalId>,
    /// Whether both people get the confirmation.
    pub notify: bool,
}

/// Edits of a ride: `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct RidePatch {
    /// Another customer; refused unless it is the present one.
    pub customer_id: Option<PersonId>,
    /// Another driver, while the ride is not over.
    pub driver_id: Option<PersonId>,
    /// Another start.
    pub start: Option<Place>,
    /// Another destination.
    pub destination: Option<Place>,
    /// Another time.
    pub datetime: Option<DateTime<FixedOffset>>,
    /// The next status.
    pub status: Option<RideStatus>,
    /// Another id of the platform's, or none.
    pub external_id: Option<Option<ExternalId>>,
    /// Keep it from both people that driver, time or place are others now.
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
            floor: None,
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
        let mut ride = with_floor(noon() + Duration::hours(20));
        ride.move_to(RideStatus::Cancelled, noon(), &POLICY).expect("cancels");
        assert_eq!(ride.contact_until, noon() + Duration::hours(20));
    }

    fn with_floor(until: Time) -> Ride {
        let ride = ride();
        let own = ride.contact_until;
        let floor = Some(ContactFloor { until, from: RideId(7), own });
        Ride { contact_until: own.max(until), floor, ..ride }
    }

    #[test]
    fn another_driver_has_nothing_of_what_was_left() {
        for until in [Duration::hours(20), Duration::days(5), Duration::days(30)].map(|left| noon() + left) {
            let mut ride = with_floor(until);
            assert_eq!(
                ride.pass_on(PersonId(3), &POLICY).map(|floor| (floor.until, floor.from)),
                Some((until, RideId(7)))
            );
            assert_eq!((ride.driver_id, ride.floor), (PersonId(3), None));
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
        // Planned for another time, the ride would close then without what was left.
        let mut ride = with_floor(noon() + Duration::days(30));
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
