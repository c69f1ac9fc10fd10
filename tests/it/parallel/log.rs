//! What the clients asked and were told, and when: all that the oracle knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

pub type Time = DateTime<Utc>;

/// A moment as a client sees it. `order` counts such moments over all clients: what was answered before something else
/// was asked happened before it. `at` is the service's clock, which stands still between two of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub order: u64,
    pub at: Time,
}

/// From a request to its answer. Somewhere between the two the service read its clock and made its change.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub asked: Moment,
    pub answered: Moment,
}

impl Span {
    /// Over before `other` began.
    pub fn before(&self, other: &Span) -> bool {
        self.answered.order < other.asked.order
    }

    /// May have happened before `other` was answered.
    pub fn may_precede(&self, other: &Span) -> bool {
        self.asked.order <= other.answered.order
    }
}

/// The values that something had, one after the other. One client at a time edits each thing, so their order is known;
/// when exactly one value gave way to the next is not.
#[derive(Debug)]
pub struct History<T>(Vec<(Span, T)>);

impl<T> History<T> {
    pub fn new(since: Span, value: T) -> Self {
        Self(vec![(since, value)])
    }

    pub fn push(&mut self, span: Span, value: T) {
        self.0.push((span, value));
    }

    /// The change that made it.
    pub fn made(&self) -> Span {
        self.0[0].0
    }

    pub fn first(&self) -> &T {
        &self.0[0].1
    }

    pub fn last(&self) -> &T {
        &self.0[self.0.len() - 1].1
    }

    pub fn all(&self) -> impl Iterator<Item = &(Span, T)> {
        self.0.iter()
    }

    /// Every value that it may have had at some moment of the span.
    pub fn during<'a>(&'a self, span: &Span) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let span = *span;
        self.0.iter().enumerate().filter_map(move |(at, (since, value))| {
            let given_way = self.0.get(at + 1).is_some_and(|(next, _)| next.before(&span));
            (since.may_precede(&span) && !given_way).then_some(value)
        })
    }
}

/// The end of a ride's contact: exactly where an answer named it, between two readings of the clock where it closed
/// without one.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    pub earliest: Time,
    pub latest: Time,
}

impl Until {
    pub fn exactly(at: Time) -> Self {
        Self { earliest: at, latest: at }
    }
}

#[derive(Debug)]
pub struct Ride {
    pub id: i64,
    pub customer: i64,
    pub driver: History<i64>,
    /// As answers named it. A worker may have moved the ride in between, off a suspended number.
    pub number: History<i64>,
    pub timeout_at: Time,
    pub until: History<Until>,
    /// The first change after which the same two phones may have the number for another ride.
    pub ended: Option<Span>,
    /// Further numbers that the database says it had.
    pub also_on: BTreeSet<i64>,
    /// The end of its contact that the database holds when all is done.
    pub until_at_last: Option<Time>,
}

impl Ride {
    pub fn created(&self) -> Span {
        self.until.made()
    }

    /// Every number it ever had.
    pub fn numbers(&self) -> BTreeSet<i64> {
        self.number.all().map(|(_, number)| *number).chain(self.also_on.iter().copied()).collect()
    }

    /// Everybody who ever was a party of it.
    pub fn people(&self) -> BTreeSet<i64> {
        self.driver.all().map(|(_, driver)| *driver).chain([self.customer]).collect()
    }

    /// It had more than one number.
    pub fn has_moved(&self) -> bool {
        let first = self.number.first();
        self.number.all().any(|(_, number)| number != first) || self.also_on.iter().any(|number| number != first)
    }

    /// It had the same number and the same driver all the time.
    pub fn is_steady(&self) -> bool {
        !self.has_moved() && self.driver.all().count() == 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPool {
    Active,
    Draining,
    Suspended,
    Deleted,
}

/// A request for a ride, or for another driver of one, that was not met.
#[derive(Debug)]
pub struct RefusedRide {
    pub span: Span,
    pub customer: i64,
    pub driver: i64,
    /// The ride that was to have this driver, if it is not a new one.
    pub ride: Option<i64>,
    pub why: WhyNot,
}

#[derive(Debug)]
pub enum WhyNot {
    /// `number_pool_depleted`, with the limit that was named.
    Depleted(String),
    /// Nobody has these ids: of the customer, of the driver.
    Nobody {
        customer: bool,
        driver: bool,
    },
    SamePhone,
}

/// A refusal, or an acceptance, that says something about whether contact was open.
#[derive(Debug)]
pub enum Told {
    /// `contact_window_open`: a person cannot be erased.
    PersonHasContact(i64),
    /// A person was erased.
    PersonErased(i64),
    /// `phone_barred`: a person cannot have this phone because of these rides.
    PhoneInConflict {
        person: i64,
        phone: String,
        rides: Vec<i64>,
    },
    /// `number_in_use`.
    NumberHasContact(i64),
    NumberDeleted(i64),
    /// `contact_closed`: neither its end nor its driver can change any more.
    RideClosed(i64),
    /// The end of its contact was set.
    RideOpen(i64),
    /// `invalid_transition` or `ride_ended`: nobody else ends this client's rides, so its time must have been up.
    RideOver(i64),
}

/// A call from a phone to a number of the pool, and the phone that rang, if one did.
#[derive(Debug)]
pub struct Call {
    pub span: Span,
    pub from: String,
    pub number: i64,
    pub rang: Option<String>,
}

#[derive(Default)]
pub struct Log {
    pub people: HashMap<i64, History<Option<String>>>,
    pub numbers: HashMap<i64, History<InPool>>,
    pub rides: Vec<Ride>,
    pub refused: Vec<RefusedRide>,
    pub told: Vec<(Span, Told)>,
    pub calls: Vec<Call>,
    /// Answers by operation and outcome, for the report.
    pub counts: BTreeMap<String, u64>,
}

impl Log {
    pub fn ride(&mut self, id: i64) -> &mut Ride {
        self.rides.iter_mut().rev().find(|ride| ride.id == id).expect("a ride that was made")
    }
}
