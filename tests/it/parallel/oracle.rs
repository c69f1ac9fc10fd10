//! Judges every answer by all the others, when all is done.
//!
//! The oracle knows only what the clients saw. What a request did, it did at some moment between its being asked and
//! answered, so the oracle reckons with everything that *may* have been: it accuses the service only of an answer that
//! was wrong at *every* moment it could have been given.

use std::collections::{HashMap, HashSet};

use chrono::Duration;

use super::log::{Call, InPool, Log, Moment, RefusedRide, Ride, Span, Time, Told, WhyNot};

pub struct Oracle<'a> {
    log: &'a Log,
    /// How long a number stays barred for a phone after contact closed.
    cool_down: Duration,
    /// Rides by every number they ever had.
    on_number: HashMap<i64, Vec<&'a Ride>>,
    /// Rides by number and every phone that a party of theirs ever had.
    by_phone: HashMap<(i64, &'a str), Vec<&'a Ride>>,
    of_person: HashMap<i64, Vec<&'a Ride>>,
    by_id: HashMap<i64, &'a Ride>,
}

/// Everything that was wrong, in words; empty if nothing was.
pub fn judge(log: &Log, cool_down: Duration) -> Vec<String> {
    let oracle = Oracle::new(log, cool_down);
    let rides = log.rides.iter().flat_map(|ride| oracle.judge_ride(ride));
    let doubles = oracle.by_phone.iter().flat_map(|((_, phone), rides)| oracle.judge_shared(phone, rides));
    let refused = log.refused.iter().filter_map(|refused| oracle.judge_refusal(refused));
    let told = log.told.iter().filter_map(|(span, told)| oracle.judge_told(span, told));
    let calls = log.calls.iter().filter_map(|call| oracle.judge_call(call));
    rides.chain(doubles).chain(refused).chain(told).chain(calls).collect()
}

impl<'a> Oracle<'a> {
    fn new(log: &'a Log, cool_down: Duration) -> Self {
        let mut oracle = Self {
            log,
            cool_down,
            on_number: HashMap::new(),
            by_phone: HashMap::new(),
            of_person: HashMap::new(),
            by_id: HashMap::new(),
        };
        for ride in &log.rides {
            oracle.by_id.insert(ride.id, ride);
            let mut phones = HashSet::new();
            for person in ride.people() {
                oracle.of_person.entry(person).or_default().push(ride);
                phones.extend(log.people[&person].all().filter_map(|(_, phone)| phone.as_deref()));
            }
            for number in ride.numbers() {
                oracle.on_number.entry(number).or_default().push(ride);
                for phone in &phones {
                    oracle.by_phone.entry((number, *phone)).or_default().push(ride);
                }
            }
        }
        oracle
    }

    /// Every phone that a person may have had between two moments.
    fn phones(&self, person: i64, from: Moment, to: Moment) -> HashSet<&'a str> {
        let span = Span { asked: from, answered: to };
        self.log.people[&person].during(&span).filter_map(Option::as_deref).collect()
    }

    /// The phone that a person certainly had from one moment to another.
    fn certain_phone(&self, person: i64, from: Moment, to: Moment) -> Option<&'a str> {
        let span = Span { asked: from, answered: to };
        let mut had = self.log.people[&person].during(&span);
        let only = had.next()?.as_deref();
        if had.next().is_some() { None } else { only }
    }

    /// Everybody who may have been the driver of a ride from its creation to this moment.
    fn drivers(ride: &Ride, to: Moment) -> impl Iterator<Item = i64> + use<'_> {
        let span = Span { asked: ride.created().asked, answered: to };
        ride.driver.during(&span).copied()
    }

    /// Both rides may be of the same two phones.
    fn may_be_same_pair(&self, one: &Ride, other: &Ride, to: Moment) -> bool {
        let phones = |ride: &Ride, people: Vec<i64>| -> HashSet<&'a str> {
            people.iter().flat_map(|person| self.phones(*person, ride.created().asked, to)).collect()
        };
        let pair = |ride| [phones(ride, vec![ride.customer]), phones(ride, Self::drivers(ride, to).collect())];
        let ([customer, driver], [other_customer, other_driver]) = (pair(one), pair(other));
        let meet = |one: &HashSet<_>, other: &HashSet<_>| !one.is_disjoint(other);
        (meet(&customer, &other_customer) && meet(&driver, &other_driver))
            || (meet(&customer, &other_driver) && meet(&driver, &other_customer))
    }

    /// Another ride of the same pair may have taken this one's number over before the end of the span: a later one, or
    /// one that came to the number or the pair later.
    fn may_be_taken_over(&self, ride: &Ride, span: &Span, except: Option<&Ride>) -> bool {
        ride.numbers().iter().flat_map(|number| &self.on_number[number]).any(|other| {
            other.id != ride.id
                && except.is_none_or(|except| except.id != other.id)
                && other.created().may_precede(span)
                && (ride.created().may_precede(&other.created()) || !other.is_steady())
                && self.may_be_same_pair(ride, other, span.answered)
        })
    }

    /// The latest end that contact of this ride may have had in the span.
    fn latest(ride: &Ride, span: &Span) -> Option<Time> {
        let known = ride.until.during(span).map(|until| until.latest).max()?;
        if !ride.has_moved() {
            return Some(known);
        }
        // When it moved it may have come to a number where the same pair had contact for longer, until the next answer
        // told otherwise.
        let is_last = ride.until.during(span).count() == 1
            && ride.until.during(span).all(|until| std::ptr::eq(until, ride.until.last()));
        Some(if is_last { known.max(ride.until_at_last?) } else { Time::MAX_UTC })
    }

    /// The latest moment at which a phone that was once bound for this ride may have been barred still. What the ride
    /// held before it got another number, driver or phone was closed at some moment before the next answer.
    fn barred(&self, ride: &Ride, span: &Span) -> Option<Time> {
        let latest = Self::latest(ride, span)?;
        let answered =
            ride.until.all().filter(|(since, _)| since.may_precede(span)).map(|(since, _)| since.answered.at);
        latest.max(answered.max()?).checked_add_signed(self.cool_down).or(Some(Time::MAX_UTC))
    }

    /// The earliest one.
    fn earliest(ride: &Ride, span: &Span) -> Option<Time> {
        ride.until.during(span).map(|until| until.earliest).min()
    }

    /// The number of a ride that certainly was on this one from its creation to the end of the span, with the same
    /// driver: no worker had a reason to move it.
    fn steady_number(&self, ride: &Ride, span: &Span) -> Option<i64> {
        let life = Span { asked: ride.created().asked, answered: span.answered };
        Some(*ride.number.first())
            .filter(|number| ride.is_steady() && !self.may_be(*number, &life, |state| state == InPool::Suspended))
    }

    fn may_be_open(ride: &Ride, span: &Span) -> bool {
        Self::latest(ride, span).is_some_and(|until| until > span.asked.at)
    }

    /// Contact of this ride, by this ride, was open all the time.
    fn is_open(&self, ride: &Ride, span: &Span) -> bool {
        ride.created().before(span)
            && self.steady_number(ride, span).is_some()
            && Self::earliest(ride, span).is_some_and(|until| until > span.answered.at)
            && !self.may_be_taken_over(ride, span, None)
    }

    fn may_be_held(&self, number: i64, phone: &str, span: &Span, by: impl Fn(&Ride) -> bool) -> bool {
        let held = |ride: &&Ride| {
            by(ride)
                && self.barred(ride, span).is_some_and(|until| until > span.asked.at)
                && Self::drivers(ride, span.answered)
                    .chain([ride.customer])
                    .any(|person| self.phones(person, ride.created().asked, span.answered).contains(phone))
        };
        self.by_phone.get(&(number, phone)).is_some_and(|rides| rides.iter().any(held))
    }

    fn may_be(&self, number: i64, span: &Span, wanted: impl Fn(InPool) -> bool) -> bool {
        self.log.numbers[&number].during(span).any(|state| wanted(*state))
    }

    /// A ride that was made, or got another number or driver: on a number that could be given, for people who were
    /// there and have two phones.
    fn judge_ride(&self, ride: &Ride) -> Vec<String> {
        let mut wrong = Vec::new();
        // The first number was given between question and answer; each further one since the number before was seen.
        let mut seen = ride.created().asked;
        for (span, number) in ride.number.all() {
            let given = Span { asked: seen, answered: span.answered };
            if !self.may_be(*number, &given, |state| state == InPool::Active) {
                wrong.push(format!("ride {} was given number {number}, which was out of service", ride.id));
            }
            seen = span.asked;
        }
        for (span, driver) in ride.driver.all() {
            let people = [ride.customer, *driver];
            for person in people {
                if self.phones(person, span.asked, span.answered).is_empty() {
                    wrong.push(format!("ride {} was made for person {person}, who was erased", ride.id));
                }
            }
            let [customer, driver] = people.map(|person| self.certain_phone(person, span.asked, span.answered));
            if customer.is_some() && customer == driver {
                wrong.push(format!("ride {} was made for two people with one phone", ride.id));
            }
        }
        wrong
    }

    /// Rides on one number that may share a phone: each must have waited for the cool-down of the one before, or be of
    /// the same two phones.
    fn judge_shared(&self, phone: &str, rides: &[&Ride]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, one) in rides.iter().enumerate() {
            for other in &rides[at + 1..] {
                let (first, second) =
                    if one.created().asked.order < other.created().asked.order { (one, other) } else { (other, one) };
                let both_made = [first, second].map(|ride| ride.created().answered);
                let both_made = both_made.into_iter().max_by_key(|answered| answered.order);
                let has = |ride: &Ride| {
                    let certain = |person| self.certain_phone(person, ride.created().asked, both_made?);
                    ride.is_steady() && ride.people().into_iter().any(|person| certain(person) == Some(phone))
                };
                let ordered = first.created().before(&second.created());
                let follows = || self.may_follow(first, second) || (!ordered && self.may_follow(second, first));
                if has(first) && has(second) && !follows() {
                    wrong.push(format!("rides {} and {} had one number for one phone", first.id, second.id));
                }
            }
        }
        wrong
    }

    /// The second of two rides that share a number and a phone may have been given the number rightly.
    fn may_follow(&self, first: &Ride, second: &Ride) -> bool {
        let span = second.created();
        // Off a number that was suspended, the first may have gone.
        let (Some(_), Some(earliest)) = (self.steady_number(first, &span), Self::earliest(first, &span)) else {
            return true;
        };
        if earliest + self.cool_down <= span.answered.at {
            return true;
        }
        let may_have_ended = first.ended.is_some_and(|ended| ended.may_precede(&span))
            || earliest <= span.answered.at
            || span.answered.at >= first.timeout_at;
        let took_over = may_have_ended && self.may_be_same_pair(first, second, span.answered);
        took_over || self.may_be_taken_over(first, &span, Some(second))
    }

    fn judge_refusal(&self, refused: &RefusedRide) -> Option<String> {
        let RefusedRide { span, customer, driver, why, .. } = refused;
        let phones = |person| self.phones(person, span.asked, span.answered);
        let gone = |person: i64| self.log.people[&person].during(span).any(Option::is_none);
        let told = format!("a ride of {customer} and {driver} was refused at {}", span.asked.at);
        match why {
            WhyNot::Nobody { customer: no_customer, driver: no_driver } => {
                let wrong = (*no_customer && !gone(*customer)) || (*no_driver && !gone(*driver));
                wrong.then(|| format!("{told}: nobody is there, but both are"))
            }
            WhyNot::SamePhone => {
                let apart = phones(*customer).is_disjoint(&phones(*driver));
                apart.then(|| format!("{told}: one phone, but they have two"))
            }
            WhyNot::Depleted(limit) => {
                self.judge_depleted(refused, limit).map(|why| format!("{told}: {limit}, but {why}"))
            }
        }
    }

    /// Every number was, at some moment, out of service or held by a phone of the two; and the limit that was named is
    /// the one that was met.
    fn judge_depleted(&self, refused: &RefusedRide, limit: &str) -> Option<String> {
        let span = &refused.span;
        let phones = |person| self.phones(person, span.asked, span.answered);
        let either: HashSet<_> = phones(refused.customer).union(&phones(refused.driver)).copied().collect();
        for number in self.log.numbers.keys() {
            let may_be_out = self.may_be(*number, span, |state| state != InPool::Active);
            if !may_be_out && !either.iter().any(|phone| self.may_be_held(*number, phone, span, |_| true)) {
                return Some(format!("number {number} was free"));
            }
        }
        if let Some(number) = refused.ride.and_then(|id| self.kept_number(id, refused)) {
            return Some(format!("the ride could have kept number {number}"));
        }
        let certain = |person| self.certain_phone(person, span.asked, span.answered);
        let (customer, driver) = (certain(refused.customer), certain(refused.driver));
        let both = customer.zip(driver);
        if let Some(ride) = both.and_then(|pair| self.number_of_pair(pair, span)) {
            return Some(format!("they could have had the number of ride {} again", ride.id));
        }
        let has = |ride: &Ride, phone: &str| {
            let certain = |person| self.certain_phone(person, ride.created().asked, span.answered);
            ride.people().into_iter().any(|person| certain(person) == Some(phone))
        };
        // On numbers that the two could have got, that is, that were in service. A ride that was to have another driver
        // had let go of its own number when it was refused.
        let rides_of = |phone: &'a str, may_be_out: bool| {
            let in_service = move |number: &&i64| match may_be_out {
                true => self.may_be(**number, span, |state| state == InPool::Active),
                false => !self.may_be(**number, span, |state| state != InPool::Active),
            };
            let numbers = self.log.numbers.keys().filter(in_service);
            let rides = numbers.filter_map(move |number| self.by_phone.get(&(*number, phone))).flatten();
            rides.filter(|ride| Some(ride.id) != refused.ride)
        };
        match limit {
            "all_held" => {
                let open = either.iter().any(|phone| rides_of(phone, true).any(|ride| Self::may_be_open(ride, span)));
                (!open).then(|| "no contact of theirs was open".to_owned())
            }
            "all_cooling" => {
                let open = |phone| rides_of(phone, false).find(|ride| has(ride, phone) && self.is_open(ride, span));
                let open = customer.and_then(open).or_else(|| driver.and_then(open));
                open.map(|ride| format!("contact of ride {} was open", ride.id))
            }
            _ => Some("some numbers were active all the time".to_owned()),
        }
    }

    /// The number on which a ride could have stayed with another driver: none of that driver's phones held it, and the
    /// ride had no reason to leave it.
    fn kept_number(&self, id: i64, refused: &RefusedRide) -> Option<i64> {
        let span = &refused.span;
        let number = self.steady_number(self.by_id[&id], span)?;
        let phones = self.phones(refused.driver, span.asked, span.answered);
        let held = phones.iter().any(|phone| self.may_be_held(number, phone, span, |ride| ride.id != id));
        (!held).then_some(number)
    }

    /// A ride of these two phones that was over, and whose number was theirs still and in service.
    fn number_of_pair(&self, (customer, driver): (&'a str, &'a str), span: &Span) -> Option<&'a Ride> {
        let fits = |ride: &&&Ride| {
            let certain = |person| self.certain_phone(person, ride.created().asked, span.answered);
            let pair = (certain(ride.customer), certain(*ride.driver.last()));
            let steady = self.steady_number(ride, span);
            (pair == (Some(customer), Some(driver)) || pair == (Some(driver), Some(customer)))
                && (ride.ended.is_some_and(|ended| ended.before(span)) || ride.timeout_at <= span.asked.at)
                && Self::earliest(ride, span).is_some_and(|until| until + self.cool_down > span.answered.at)
                && steady.is_some_and(|number| !self.may_be(number, span, |state| state != InPool::Active))
                && !self.may_be_taken_over(ride, span, None)
        };
        let numbers = self.log.numbers.keys();
        numbers.filter_map(|number| self.by_phone.get(&(*number, customer))).flatten().find(fits).copied()
    }

    fn judge_told(&self, span: &Span, told: &Told) -> Option<String> {
        let none = Vec::new();
        let on = |number| self.on_number.get(number).unwrap_or(&none);
        let of = |person| self.of_person.get(person).unwrap_or(&none);
        let may_be_open = |rides: &[&Ride]| rides.iter().any(|ride| Self::may_be_open(ride, span));
        let open = |rides: &[&Ride]| rides.iter().find(|ride| self.is_open(ride, span)).map(|ride| ride.id);
        match told {
            Told::PersonHasContact(person) => {
                (!may_be_open(of(person))).then(|| format!("person {person} was kept though no contact was open"))
            }
            Told::PhoneInConflict { person, phone, rides } => {
                let free = rides.iter().find(|id| !self.may_conflict(self.by_id[id], *person, phone, span));
                free.map(|ride| {
                    format!("person {person} could not take another phone into ride {ride}, where it was free")
                })
            }
            Told::NumberHasContact(number) => {
                (!may_be_open(on(number))).then(|| format!("number {number} was kept though no contact was open"))
            }
            Told::PersonErased(person) => {
                open(of(person)).map(|ride| format!("person {person} was erased while contact of ride {ride} was open"))
            }
            Told::NumberDeleted(number) => open(on(number))
                .map(|ride| format!("number {number} was deleted while contact of ride {ride} was open")),
            Told::RideClosed(id) => {
                let is_open = self.is_open(self.by_id[id], span);
                is_open.then(|| format!("contact of ride {id} was called closed while it was open"))
            }
            Told::RideOpen(id) => {
                let before = self.by_id[id].until.all().filter(|(since, _)| since.before(span)).last();
                let closed = before.is_some_and(|(_, until)| until.latest <= span.asked.at);
                closed.then(|| format!("contact of ride {id} was set though it was closed"))
            }
            Told::RideOver(id) => {
                let up = self.by_id[id].timeout_at <= span.answered.at;
                (!up).then(|| format!("ride {id} was called over before its time was up"))
            }
        }
    }

    /// A number that the ride may have had may have been bound, for this phone, to another ride or to the other party.
    fn may_conflict(&self, ride: &Ride, person: i64, phone: &str, span: &Span) -> bool {
        let others = |held: &Ride| {
            held.id != ride.id
                || held.people().iter().any(|other| {
                    *other != person && self.phones(*other, ride.created().asked, span.answered).contains(phone)
                })
        };
        ride.numbers().iter().any(|number| self.may_be_held(*number, phone, span, others))
    }

    /// Whoever rang is the other party of a ride that may have been open; nobody rang only if none was.
    fn judge_call(&self, call: &Call) -> Option<String> {
        let Call { span, from, number, rang } = call;
        let rides = self.on_number.get(number)?;
        let parties = |ride: &Ride, driver| [(ride.customer, driver), (driver, ride.customer)];
        match rang {
            Some(rang) => {
                let has = |person, phone: &str| self.phones(person, span.asked, span.answered).contains(phone);
                let reached = |ride: &&Ride| {
                    let mut pairs = ride.driver.during(span).flat_map(|driver| parties(ride, *driver));
                    Self::may_be_open(ride, span) && pairs.any(|(caller, other)| has(caller, from) && has(other, rang))
                };
                let right = rides.iter().any(reached);
                (!right).then(|| format!("a call to number {number} at {} rang a stranger", span.asked.at))
            }
            None => {
                let missed = |ride: &&&Ride| {
                    let certain = |person| self.certain_phone(person, ride.created().asked, span.answered);
                    let calls = |(caller, other): &(i64, i64)| {
                        certain(*caller) == Some(from.as_str()) && certain(*other).is_some()
                    };
                    parties(ride, *ride.driver.last()).iter().any(calls) && self.is_open(ride, span)
                };
                let missed =
                    rides.iter().find(missed).filter(|_| !self.may_be(*number, span, |state| state == InPool::Deleted));
                missed
                    .map(|ride| format!("a call to number {number} did not reach the other party of ride {}", ride.id))
            }
        }
    }
}
