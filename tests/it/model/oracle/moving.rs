//! How open rides move: to another driver, with a person's new phone, off a suspended number.

use std::collections::VecDeque;

use super::{Floor, Kind, Line, Oracle, Placement, Refusal, Role, Tenure, Time};

impl Oracle {
    /// A line that a ride put on a number is free for the same party of the same ride again, though it left it.
    fn may_bind(&self, (number, line): (i64, Line), (ride, role): (i64, Role), now: Time) -> bool {
        let own = |tenure: &Tenure| tenure.left.is_some() && (tenure.ride, tenure.role) == (ride, role);
        !self.is_barred(number, line, now) || self.tenures.get(&(number, line)).is_some_and(own)
    }

    /// A party of a ride has its line on the ride's number no longer: it cools down from now on.
    fn leave(&mut self, id: i64, role: Role, now: Time) {
        let ride = &self.rides[&id];
        let line = self.line(ride, role).expect("a person");
        let left = Some(now + self.rules.cool_down);
        self.tenures.insert((ride.number, line), Tenure { ride: id, role, left });
    }

    /// A person's rides with open contact, with the role in them.
    fn open_of(&self, person: i64, now: Time) -> Vec<(i64, Role)> {
        let open = self.rides.iter().filter(|(_, ride)| ride.is_open(now));
        let played = open.flat_map(|(id, ride)| Role::BOTH.map(|role| (*id, role, ride.party(role))));
        played.filter(|(.., party)| *party == person).map(|(id, role, _)| (id, role)).collect()
    }

    /// The open rides of a person in whose way another phone of theirs would be.
    pub fn phone_conflicts(&self, person: i64, phone: &str, now: Time) -> Vec<i64> {
        let line = Line::of(phone);
        if self.people[&person].line() == line {
            return Vec::new();
        }
        let free = |(id, role): &(i64, Role)| self.may_bind((self.rides[id].number, line), (*id, *role), now);
        self.open_of(person, now).into_iter().filter(|open| !free(open)).map(|(id, _)| id).collect()
    }

    /// Why a person cannot get this phone.
    pub fn phone_refusals(&self, person: i64, phone: &str, now: Time) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self.people[&person].phone == phone {
            return refusals;
        }
        if !self.phone_conflicts(person, phone, now).is_empty() {
            refusals.push((409, "phone_barred"));
        }
        if self.pooled(Line::of(phone)).is_some() {
            refusals.push((409, "phone_is_pool_number"));
        }
        refusals
    }

    /// Gives a person another phone, and their open rides with it.
    pub fn change_phone(&mut self, person: i64, phone: &'static str, now: Time) {
        let line = Line::of(phone);
        if self.people[&person].line() != line {
            for (id, role) in self.open_of(person, now) {
                self.leave(id, role, now);
                self.tenures.insert((self.rides[&id].number, line), Tenure { ride: id, role, left: None });
            }
        }
        self.people.get_mut(&person).expect("a person").phone = phone;
    }

    /// Where a ride goes with another driver; `None`: it stays on its number.
    pub fn with_driver(&self, id: i64, driver: i64, now: Time) -> Option<Placement> {
        let Some(ride) = self.rides.get(&id).filter(|ride| !ride.deleted) else {
            return Some(Placement::Refused(vec![(404, "not_found")]));
        };
        let mut refusals = Vec::new();
        if ride.is_over(now) {
            refusals.push((409, "ride_ended"));
        }
        if !ride.is_open(now) {
            refusals.push((409, "contact_closed"));
        }
        let person = self.people.get(&driver).filter(|person| person.role == Role::Driver);
        let Some(line) = person.map(super::Person::line).filter(|_| refusals.is_empty()) else {
            refusals.push((422, "invalid_request"));
            return Some(Placement::Refused(refusals));
        };
        let customer = self.line(ride, Role::Customer).expect("a person");
        if line == customer {
            return Some(Placement::Refused(vec![(422, "same_phone")]));
        }
        let mut then = self.clone();
        then.drop_floor(id);
        if !then.rides[&id].is_open(now) {
            // Only what the two before had left kept it open.
            return Some(Placement::Refused(vec![(409, "contact_closed")]));
        }
        if let Some(former) = self.keepers(id, line, now) {
            let mut kept = then.clone();
            kept.give_back(id, former, now);
            let elsewhere = kept.on_any_of([customer, line], now);
            if matches!(elsewhere, Placement::On(_)) {
                return Some(elsewhere);
            }
        }
        then.leave(id, Role::Driver, now);
        let in_service = self.numbers[&ride.number].status != "suspended";
        if in_service && then.may_bind((ride.number, line), (id, Role::Driver), now) {
            return None;
        }
        then.leave(id, Role::Customer, now);
        Some(then.on_any_of([customer, line], now))
    }

    /// Another driver has nothing of what the customer and the driver before had left from a ride before, and no more
    /// than the ride may have by itself.
    fn drop_floor(&mut self, id: i64) {
        let limit = self.rules.grace_limit;
        let ride = self.rides.get_mut(&id).expect("a ride");
        let own = ride.floor.take().map_or(ride.contact_until, |floor| floor.own);
        ride.contact_until = own.min(ride.timeout_at + limit.max(ride.grace));
    }

    /// The former ride whose people keep the number and what was left of contact, when this ride gets a driver with
    /// this line and finds another number.
    fn keepers(&self, id: i64, line: Line, now: Time) -> Option<Floor> {
        let floor = self.rides[&id].floor.filter(|floor| floor.until > now)?;
        let former = self.rides.get(&floor.from).filter(|former| !former.deleted)?;
        assert_eq!(former.parties, self.rides[&id].parties, "what was left is other people's");
        (self.line(former, Role::Driver) != Some(line)).then_some(floor)
    }

    /// Gives a former ride its contact back, on the number that this ride has now, and what is owed from it.
    fn give_back(&mut self, id: i64, floor: Floor, now: Time) {
        let number = self.rides[&id].number;
        let former = self.rides.get_mut(&floor.from).expect("a ride");
        assert!(!former.is_open(now), "a number that was taken over has two rides");
        (former.number, former.contact_until) = (number, floor.until);
        for role in Role::BOTH {
            let line = self.line(&self.rides[&floor.from], role).expect("a person");
            self.tenures.insert((number, line), Tenure { ride: floor.from, role, left: None });
            let owed = self.owed.remove(&(id, role)).unwrap_or_default();
            let (own, theirs): (VecDeque<_>, VecDeque<_>) = owed.into_iter().partition(|text| text.ride == id);
            self.owed.insert((id, role), own);
            self.owed.entry((floor.from, role)).or_default().extend(theirs);
        }
    }

    /// Gives a ride another driver, on the number that the service answered. Answers the former ride that got its
    /// contact back, if there was one.
    pub fn change_driver(&mut self, id: i64, driver: i64, number: i64, now: Time) -> Option<i64> {
        let stays = self.rides[&id].number == number;
        let keepers = self.keepers(id, self.people[&driver].line(), now).filter(|_| !stays);
        if let Some(floor) = keepers {
            self.give_back(id, floor, now);
        }
        self.drop_floor(id);
        self.cut_off_driver(id);
        if keepers.is_none() {
            self.leave(id, Role::Driver, now);
            if !stays {
                self.leave(id, Role::Customer, now);
            }
        }
        self.rides.get_mut(&id).expect("a ride").parties[Role::Driver as usize] = driver;
        if stays {
            let line = self.people[&driver].line();
            self.tenures.insert((number, line), Tenure { ride: id, role: Role::Driver, left: None });
        } else {
            self.put_on(id, number, now);
        }
        keepers.map(|floor| floor.from)
    }

    /// Open rides on suspended numbers, oldest first.
    pub fn on_suspended(&self, now: Time) -> Vec<i64> {
        let stuck = |number: i64| self.numbers[&number].status == "suspended";
        self.rides.iter().filter(|(_, ride)| ride.is_open(now) && stuck(ride.number)).map(|(id, _)| *id).collect()
    }

    /// A ride leaves its suspended number; the numbers that it may get, or none.
    pub fn leave_suspended(&mut self, id: i64, now: Time) -> Placement {
        for role in Role::BOTH {
            self.leave(id, role, now);
        }
        let ride = &self.rides[&id];
        self.on_any_of(Role::BOTH.map(|role| self.line(ride, role).expect("a person")), now)
    }

    /// It found no other: contact is closed, and both are told, if there is any number to tell them from.
    pub fn strand(&mut self, id: i64, now: Time) {
        if self.usable().next().is_some() {
            for to in Role::BOTH {
                self.owe_notice((id, to), "out of service", Kind::LastWord, now);
            }
        }
        let ride = self.rides.get_mut(&id).expect("a ride");
        (ride.contact_until, ride.floor, ride.stranded) = (now, None, true);
        let (number, pair) = (ride.number, Role::BOTH.map(|role| self.line(&self.rides[&id], role).expect("a person")));
        for (role, line) in Role::BOTH.into_iter().zip(pair) {
            // It is still its number, and the pair may have it again when it is in service.
            self.tenures.insert((number, line), Tenure { ride: id, role, left: None });
        }
    }
}
