//! Which numbers a new ride can have.

use std::collections::BTreeSet;

use chrono::Duration;

use super::{Floor, Line, Oracle, Person, Refusal, Ride, Role, Status, Tenure, Time};

/// A party of a new ride.
#[derive(Clone, Debug)]
pub enum Who {
    Known(i64),
    Inline { external_id: String, name: String, phone: &'static str },
}

/// A ride that the platform asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub parties: [Who; 2],
    pub start: String,
    pub datetime: Time,
    pub grace: Option<Duration>,
    pub max_duration: Option<Duration>,
    pub notify: bool,
}

/// What may become of it.
#[derive(Debug)]
pub enum Placement {
    /// Refused, for any of these reasons.
    Refused(Vec<Refusal>),
    /// No number is left, and this is why.
    Depleted(&'static str),
    /// On any of these numbers.
    On(BTreeSet<i64>),
}

impl Oracle {
    /// A living person with this id of the platform's.
    pub fn by_external(&self, role: Role, external_id: &str) -> Option<i64> {
        let same = |person: &Person| person.role == role && person.external_id.as_deref() == Some(external_id);
        self.people.iter().find(|(_, person)| same(person)).map(|(id, _)| *id)
    }

    /// What a request for a ride must be answered with.
    pub fn placement(&self, plan: &Plan, now: Time) -> Placement {
        let mut refusals = Vec::new();
        let mut lines = Vec::new();
        // People of the ride may get other phones by it, and their open rides move first.
        let mut then = self.clone();
        for (role, who) in Role::BOTH.into_iter().zip(&plan.parties) {
            match who {
                Who::Known(id) => match self.people.get(id).filter(|person| person.role == role) {
                    Some(person) => lines.push(person.line()),
                    None => refusals.push((422, "invalid_request")),
                },
                Who::Inline { external_id, phone, .. } => {
                    match self.by_external(role, external_id) {
                        Some(id) => {
                            refusals.extend(then.phone_refusals(id, phone, now));
                            if refusals.is_empty() {
                                then.change_phone(id, phone, now);
                            }
                        }
                        None if self.pooled(Line::of(phone)).is_some() => refusals.push((409, "phone_is_pool_number")),
                        None => {}
                    }
                    lines.push(Line::of(phone));
                }
            }
        }
        let timeout_at = plan.datetime + plan.max_duration.unwrap_or(self.rules.max_duration);
        let too_long = |asked: Option<Duration>, limit| asked.is_some_and(|asked| asked > limit);
        if plan.datetime > now + self.rules.horizon
            || timeout_at < now
            || too_long(plan.grace, self.rules.grace_limit)
            || too_long(plan.max_duration, self.rules.max_duration_limit)
        {
            refusals.push((422, "invalid_request"));
        }
        if !refusals.is_empty() {
            return Placement::Refused(refusals);
        }
        let pair = [lines[0], lines[1]];
        if pair[0] == pair[1] {
            return Placement::Refused(vec![(422, "same_phone")]);
        }
        then.on_any_of(pair, now)
    }

    /// The numbers that these two lines may get, or why there is none.
    pub fn on_any_of(&self, pair: [Line; 2], now: Time) -> Placement {
        let allowed = self.allowed(pair, now);
        if allowed.is_empty() { Placement::Depleted(self.limit(pair, now)) } else { Placement::On(allowed) }
    }

    /// Numbers that may be given to rides, as far as the pool goes.
    pub fn usable(&self) -> impl Iterator<Item = i64> + '_ {
        let usable = |number: &super::Number| !number.deleted && number.capable && number.status == "active";
        self.numbers.iter().filter(move |(_, number)| usable(number)).map(|(id, _)| *id)
    }

    /// The numbers that these two lines may get: those that they have with each other, and else the free ones, of the
    /// customer's country rather than of the driver's, and of that rather than of any.
    fn allowed(&self, pair: [Line; 2], now: Time) -> BTreeSet<i64> {
        let own: BTreeSet<_> = self.usable().filter(|number| self.former(*number, pair, now).is_some()).collect();
        if !own.is_empty() {
            return own;
        }
        let free: Vec<_> =
            self.usable().filter(|number| pair.iter().all(|line| !self.is_barred(*number, *line, now))).collect();
        for line in pair {
            let near: BTreeSet<_> =
                free.iter().copied().filter(|id| self.numbers[id].line.country() == line.country()).collect();
            if !near.is_empty() {
                return near;
            }
        }
        free.into_iter().collect()
    }

    /// The former ride that left a number to just these two lines.
    pub fn former(&self, number: i64, pair: [Line; 2], now: Time) -> Option<i64> {
        let [mine, theirs] = pair.map(|line| self.tenures.get(&(number, line)));
        let (mine, theirs) = (mine?, theirs?);
        let is_left = mine.left.is_some() || theirs.left.is_some();
        if mine.ride != theirs.ride || is_left || self.barred_until(mine) <= now {
            return None;
        }
        let ride = &self.rides[&mine.ride];
        (ride.deleted || ride.is_over(now) || !ride.is_open(now)).then_some(mine.ride)
    }

    /// The first limit that a pool without a number for this pair hit.
    fn limit(&self, pair: [Line; 2], now: Time) -> &'static str {
        let living = || self.numbers.values().filter(|number| !number.deleted);
        if living().count() == 0 {
            return "no_numbers";
        }
        if living().filter(|number| number.status == "active").count() == 0 {
            return "none_active";
        }
        if self.usable().count() == 0 {
            return "none_capable";
        }
        let holds = |number: i64, line: &Line| {
            let tenure = self.tenures.get(&(number, *line));
            tenure.is_some_and(|tenure| tenure.left.is_none() && self.rides[&tenure.ride].is_open(now))
        };
        let held = self.usable().any(|number| pair.iter().any(|line| holds(number, line)));
        if held { "all_held" } else { "all_cooling" }
    }

    /// Puts a ride where the service put it; answers whether the pair had that number before.
    pub fn place(&mut self, plan: &Plan, (id, parties, number): (i64, [i64; 2], i64), now: Time) -> bool {
        for ((role, who), person) in Role::BOTH.into_iter().zip(&plan.parties).zip(parties) {
            match who {
                Who::Known(known) => assert_eq!(*known, person, "another {}", role.word()),
                Who::Inline { external_id, name, phone } => {
                    let known = self.by_external(role, external_id);
                    assert!(known.is_none_or(|known| known == person), "another {}", role.word());
                    if known.is_some() {
                        self.change_phone(person, phone, now);
                    }
                    let (name, external_id) = (name.clone(), Some(external_id.clone()));
                    self.people.insert(person, Person { role, name, phone, external_id });
                }
            }
        }
        let grace = plan.grace.unwrap_or(self.rules.grace);
        let max_duration = plan.max_duration.unwrap_or(self.rules.max_duration);
        let timeout_at = plan.datetime + max_duration;
        let ride = Ride {
            parties,
            number,
            start: plan.start.clone(),
            datetime: plan.datetime,
            said: Status::Scheduled,
            ended_at: None,
            timeout_at,
            contact_until: timeout_at + grace,
            floor: None,
            grace,
            cancel_grace: plan.grace.map_or(self.rules.cancel_grace, |own| own.min(self.rules.cancel_grace)),
            max_duration,
            deleted: false,
            stranded: false,
        };
        self.rides.insert(id, ride);
        let again = self.put_on(id, number, now);
        if plan.notify {
            self.owe_notices(id, now);
        }
        again
    }

    /// Puts a ride on a number, in place of the former ride of the same two lines there, if there is one: what that had
    /// left of contact the same two people keep. Answers whether there was.
    pub fn put_on(&mut self, id: i64, number: i64, now: Time) -> bool {
        let pair = Role::BOTH.map(|role| self.line(&self.rides[&id], role).expect("a person"));
        let former = self.former(number, pair, now);
        let kept = former.map(|former| &self.rides[&former]).filter(|ride| ride.is_open(now));
        let kept = kept.map(|ride| (ride.contact_until, ride.parties));
        let ride = self.rides.get_mut(&id).expect("a ride");
        ride.number = number;
        if let (Some(from), Some((until, parties))) = (former, kept)
            && parties == ride.parties
            && ride.floor.is_none_or(|floor| floor.until < until)
        {
            let own = ride.floor.map_or(ride.contact_until, |floor| floor.own);
            ride.floor = Some(Floor { until, from, own });
            ride.contact_until = ride.contact_until.max(until);
        }
        if let Some(former) = former {
            if kept.is_some() {
                self.inherit(former, id);
            }
            let left = self.rides.get_mut(&former).expect("a ride");
            left.contact_until = left.contact_until.min(now);
        }
        for (role, line) in Role::BOTH.into_iter().zip(pair) {
            self.tenures.insert((number, line), Tenure { ride: id, role, left: None });
        }
        former.is_some()
    }
}
