//! What should be so: plain maps, and our own reading of the rules. It knows no code of the service, and asks it
//! nothing but what it left to choice: ids, and which of the allowed numbers it took.
//!
//! Who is reached follows from the rides alone: a phone that contacts a number reaches the other party of the one open
//! ride on that number to which it belongs. Which phone a number is barred for follows from what was: a
//! [`Tenure`] for every line that a ride ever put on a number, until its cool-down is over.

mod moving;
mod placing;
mod queue;
mod rides;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Duration, Utc};

pub use placing::{Placement, Plan, Who};
pub use queue::{Kind, Owed, Words};
pub use rides::Change;

use super::lines::Line;

pub type Time = DateTime<Utc>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Customer,
    Driver,
}

impl Role {
    pub const BOTH: [Self; 2] = [Self::Customer, Self::Driver];

    pub fn other(self) -> Self {
        if self == Self::Customer { Self::Driver } else { Self::Customer }
    }

    pub fn word(self) -> &'static str {
        if self == Self::Customer { "customer" } else { "driver" }
    }

    /// Where people in this role are in the API.
    pub fn path(self) -> &'static str {
        if self == Self::Customer { "/v1/customers" } else { "/v1/drivers" }
    }
}

/// Somebody who is not erased.
#[derive(Clone, Debug)]
pub struct Person {
    pub role: Role,
    pub name: String,
    /// As it was written.
    pub phone: &'static str,
    pub external_id: Option<String>,
}

impl Person {
    pub fn line(&self) -> Line {
        Line::of(self.phone)
    }
}

#[derive(Clone, Debug)]
pub struct Number {
    pub line: Line,
    pub status: &'static str,
    /// It can carry texts and calls.
    pub capable: bool,
    pub deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Scheduled,
    InProgress,
    Completed,
    Cancelled,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a ride had left of contact when the next ride of the same two people took its number over. It goes with these
/// two: another driver has nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    pub until: Time,
    /// The former ride.
    pub from: i64,
    /// When contact of the next ride would close without it.
    pub own: Time,
}

#[derive(Clone, Debug)]
pub struct Ride {
    pub parties: [i64; 2],
    pub number: i64,
    pub start: String,
    pub datetime: Time,
    /// As somebody said; nobody needs to say that its time is up.
    pub said: Status,
    pub ended_at: Option<Time>,
    pub timeout_at: Time,
    pub contact_until: Time,
    /// Contact that the former ride of the same two people had left.
    pub floor: Option<Floor>,
    pub grace: Duration,
    pub cancel_grace: Duration,
    pub max_duration: Duration,
    pub deleted: bool,
    /// Its number was suspended, and there was no other.
    pub stranded: bool,
}

impl Ride {
    pub fn party(&self, role: Role) -> i64 {
        self.parties[role as usize]
    }

    pub fn is_open(&self, now: Time) -> bool {
        !self.deleted && now < self.contact_until
    }

    /// Where it stands; a ride whose time is up is over, whether or not anybody has said so.
    pub fn status(&self, now: Time) -> Status {
        match self.said {
            Status::Scheduled | Status::InProgress if self.timeout_at <= now => Status::Completed,
            said => said,
        }
    }

    pub fn is_over(&self, now: Time) -> bool {
        matches!(self.status(now), Status::Completed | Status::Cancelled)
    }
}

/// A line that a ride put on a number.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    pub ride: i64,
    pub role: Role,
    /// The ride has left it: it is barred until then, whatever the ride does.
    pub left: Option<Time>,
}

/// The lengths of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub grace: Duration,
    pub cancel_grace: Duration,
    pub cool_down: Duration,
    pub max_duration: Duration,
    pub horizon: Duration,
    pub grace_limit: Duration,
    pub max_duration_limit: Duration,
}

/// Why something is refused: status and code.
pub type Refusal = (u16, &'static str);

#[derive(Clone)]
pub struct Oracle {
    pub rules: Rules,
    pub people: BTreeMap<i64, Person>,
    pub numbers: BTreeMap<i64, Number>,
    pub rides: BTreeMap<i64, Ride>,
    pub tenures: BTreeMap<(i64, Line), Tenure>,
    /// What is owed to a party of a ride, in order.
    pub owed: BTreeMap<(i64, Role), VecDeque<Owed>>,
}

impl Oracle {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            people: BTreeMap::new(),
            numbers: BTreeMap::new(),
            rides: BTreeMap::new(),
            tenures: BTreeMap::new(),
            owed: BTreeMap::new(),
        }
    }

    /// The line of a party of a ride now.
    pub fn line(&self, ride: &Ride, role: Role) -> Option<Line> {
        self.people.get(&ride.party(role)).map(Person::line)
    }

    /// Whom this line reaches on this number: the ride, and the role of whom it reaches.
    pub fn reached(&self, from: Option<Line>, to: Line, now: Time) -> Option<(i64, Role)> {
        let from = from?;
        let pooled = |line| self.numbers.iter().find(|(_, number)| number.line == line && !number.deleted);
        let (number, _) = pooled(to)?;
        if pooled(from).is_some() {
            return None;
        }
        let mut ways = Vec::new();
        for (id, ride) in self.rides.iter().filter(|(_, ride)| ride.number == *number && ride.is_open(now)) {
            ways.extend(
                Role::BOTH.iter().filter(|role| self.line(ride, **role) == Some(from)).map(|role| (*id, role.other())),
            );
        }
        assert!(ways.len() <= 1, "{from:?} is in several open rides on {to:?}: {ways:?}");
        ways.pop()
    }

    /// A ride of theirs has its contact open.
    pub fn has_open_contact(&self, person: i64, now: Time) -> bool {
        self.rides.values().any(|ride| ride.parties.contains(&person) && ride.is_open(now))
    }

    /// The living number of this line.
    pub fn pooled(&self, line: Line) -> Option<i64> {
        self.numbers.iter().find(|(_, number)| number.line == line && !number.deleted).map(|(id, _)| *id)
    }

    /// Somebody living has this line.
    pub fn is_persons(&self, line: Line) -> bool {
        self.people.values().any(|person| person.line() == line)
    }

    /// How many rides with open contact are on a number.
    pub fn open_rides(&self, number: i64, now: Time) -> usize {
        self.rides.values().filter(|ride| ride.number == number && ride.is_open(now)).count()
    }

    /// Whether a line is barred from a number.
    pub fn is_barred(&self, number: i64, line: Line, now: Time) -> bool {
        self.tenures.get(&(number, line)).is_some_and(|tenure| self.barred_until(tenure) > now)
    }

    /// When a tenure's cool-down is over.
    pub fn barred_until(&self, tenure: &Tenure) -> Time {
        tenure.left.unwrap_or_else(|| self.rides[&tenure.ride].contact_until + self.rules.cool_down)
    }

    /// Moments at which something changes by the clock alone.
    pub fn deadlines(&self) -> Vec<Time> {
        let rides = self.rides.values().rev().take(40);
        let ends = rides.flat_map(|ride| [ride.timeout_at, ride.contact_until]);
        ends.chain(self.tenures.values().map(|tenure| self.barred_until(tenure))).collect()
    }

    /// Forgets what is over and cools down for nobody.
    pub fn tidy(&mut self, now: Time) {
        let over: Vec<_> =
            self.tenures.iter().filter(|(_, tenure)| self.barred_until(tenure) <= now).map(|(at, _)| *at).collect();
        for at in over {
            self.tenures.remove(&at);
        }
        let recent = self.rides.keys().rev().nth(40).copied().unwrap_or_default();
        let (tenures, owed) = (&self.tenures, &self.owed);
        let floors: Vec<_> = self.rides.values().filter_map(|ride| ride.floor.map(|floor| floor.from)).collect();
        self.rides.retain(|id, ride| {
            let bars = || tenures.values().any(|tenure| tenure.ride == *id);
            *id >= recent
                || floors.contains(id)
                || ride.is_open(now)
                || bars()
                || Role::BOTH.iter().any(|role| owed.contains_key(&(*id, *role)))
        });
    }

    /// What must hold whatever happens: no phone has two open rides on one number.
    pub fn check(&self, now: Time) {
        let mut seen = BTreeMap::new();
        for (id, ride) in self.rides.iter().filter(|(_, ride)| ride.is_open(now)) {
            for role in Role::BOTH {
                let line =
                    self.line(ride, role).unwrap_or_else(|| panic!("the {} of open ride {id} is nobody", role.word()));
                let before = seen.insert((ride.number, line), id);
                assert!(before.is_none(), "{line:?} has two open rides on number {}: {before:?} and {id}", ride.number);
                let tenure = self.tenures.get(&(ride.number, line));
                assert!(
                    tenure.is_some_and(|tenure| tenure.ride == *id && tenure.left.is_none()),
                    "ride {id} does not hold its number"
                );
            }
        }
    }
}
