//! Rides are made, moved, planned anew, closed and deleted.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::model::{
    oracle::{Change, Kind, Placement, Plan, Role, Status, Time, Who},
    world::{Reply, World},
};

fn time(value: &Value) -> Time {
    DateTime::parse_from_rfc3339(value.as_str().expect("a time")).expect("a time").with_timezone(&Utc)
}

fn written(at: Time) -> Value {
    at.to_rfc3339().into()
}

impl World {
    pub(super) async fn create_ride(&mut self) {
        let mut parties = [0, 0];
        for role in Role::BOTH {
            let person = match self.dice.u32(..40) {
                // Nobody, somebody erased, or somebody of the other role.
                0 => Some(self.dice.i64(1..60)),
                _ => self.a_person(role),
            };
            let Some(person) = person else { return self.create_person().await };
            parties[role as usize] = person;
        }
        // Two people ride again before contact of their last ride is over.
        let (now, rides) = (self.now(), self.oracle.rides.values());
        let left: Vec<_> =
            rides.filter(|ride| ride.is_open(now) && ride.is_over(now)).map(|ride| ride.parties).collect();
        if !left.is_empty() && self.dice.u32(..3) == 0 {
            parties = self.dice.choice(left).expect("a ride");
        }
        self.ask_for_ride(parties.map(Who::Known)).await;
    }

    pub(super) async fn create_ride_inline(&mut self) {
        let mut parties = Vec::new();
        for role in Role::BOTH {
            let known = if self.dice.u32(..3) == 0 { self.a_person(role) } else { None };
            parties.push(match known {
                Some(id) => Who::Known(id),
                None => self.an_inline_person(role),
            });
        }
        let parties = parties.try_into().expect("two");
        self.ask_for_ride(parties).await;
    }

    /// Somebody by the platform's id: unchanged, or with another phone.
    fn an_inline_person(&mut self, role: Role) -> Who {
        let external_id = self.an_external_id();
        let known = self.oracle.by_external(role, &external_id).map(|id| self.oracle.people[&id].clone());
        match known.filter(|_| self.dice.u32(..3) > 0) {
            Some(person) => Who::Inline { external_id, name: person.name, phone: person.phone },
            None => Who::Inline { external_id, name: self.a_name(role), phone: self.a_phone() },
        }
    }

    async fn ask_for_ride(&mut self, parties: [Who; 2]) {
        let now = self.now();
        let length = |world: &mut Self, longest: i64| match world.dice.u32(..20) {
            0..15 => None,
            15..19 => Some(Duration::seconds(world.dice.i64(0..longest))),
            _ => Some(Duration::seconds(world.dice.i64(longest..longest + 600))),
        };
        let plan = Plan {
            start: format!("Quay {}.", self.another()),
            datetime: self.a_datetime(),
            grace: length(self, 3600),
            max_duration: length(self, 7200),
            notify: self.dice.u32(..4) > 0,
            parties,
        };
        let mut body = json!({
            "start": plan.start, "destination": "Schiphol", "datetime": written(plan.datetime), "notify": plan.notify,
        });
        let seconds = |length: Option<Duration>| length.map(|length| length.num_seconds());
        for (field, value) in [("grace_s", seconds(plan.grace)), ("max_duration_s", seconds(plan.max_duration))] {
            if let Some(value) = value {
                body[field] = value.into();
            }
        }
        for (role, who) in Role::BOTH.into_iter().zip(&plan.parties) {
            match who {
                Who::Known(id) => body[format!("{}_id", role.word())] = (*id).into(),
                Who::Inline { external_id, name, phone } => {
                    body[role.word()] = json!({ "external_id": external_id, "name": name, "phone_number": phone });
                }
            }
        }
        let expected = self.oracle.placement(&plan, now);
        let reply = self.api("POST", "/v1/rides", Some(&body)).await;
        match expected {
            Placement::Refused(refusals) => {
                self.agree(&reply, &refusals, 201);
            }
            Placement::Depleted(limit) => self.agree_depleted(&reply, limit),
            Placement::On(numbers) => {
                assert_eq!(reply.status, 201, "the oracle has numbers {numbers:?}: {}", reply.text);
                let get = |field: &str| reply.body[field].as_i64().expect("an id");
                let (id, number) = (get("id"), get("number_id"));
                assert!(numbers.contains(&number), "on number {number}, and the oracle allows {numbers:?} only");
                self.tell(&format!("ride {id} on number {number}"));
                let parties = [get("customer_id"), get("driver_id")];
                let again = self.oracle.place(&plan, (id, parties, number), now);
                self.count(if again { "rides made on the pair's former number" } else { "rides made" });
                self.compare(id, &reply);
            }
        }
    }

    fn agree_depleted(&mut self, reply: &Reply, limit: &str) {
        let answer = (reply.status, reply.code(), reply.body["limit"].as_str());
        assert_eq!(answer, (409, "number_pool_depleted", Some(limit)), "{}", reply.text);
        self.count(&format!("depleted: {limit}"));
    }

    /// A ride as the API shows it is as the oracle has it.
    fn compare(&self, id: i64, reply: &Reply) {
        let (ride, body, now) = (&self.oracle.rides[&id], &reply.body, self.now());
        let shown = (time(&body["contact_until"]), body["contact_open"].as_bool(), body["number_id"].as_i64());
        assert_eq!(
            shown,
            (ride.contact_until, Some(ride.is_open(now)), Some(ride.number)),
            "ride {id}: {}",
            reply.text
        );
        let number = self.oracle.numbers[&ride.number].line.spellings()[0];
        assert_eq!(body["proxy_number"], number);
        assert_eq!(body["closed_reason"].as_str(), ride.stranded.then_some("number_suspended"), "{}", reply.text);
        assert_eq!(Role::BOTH.map(|role| body[format!("{}_id", role.word())].as_i64()), ride.parties.map(Some));
        // That its time is up may not have been noticed yet.
        if ride.said == ride.status(now) {
            assert_eq!(body["status"], ride.said.word(), "{}", reply.text);
        }
    }

    pub(super) async fn look_at_ride(&mut self) {
        let Some(id) = self.a_ride() else { return };
        let reply = self.api("GET", &format!("/v1/rides/{id}"), None).await;
        let refusals = if self.oracle.rides[&id].deleted { vec![(404, "not_found")] } else { Vec::new() };
        if self.agree(&reply, &refusals, 200) {
            self.compare(id, &reply);
        }
    }

    pub(super) async fn change_driver(&mut self) {
        let (Some(id), Some(driver)) = (self.a_ride(), self.a_person(Role::Driver)) else { return };
        let driver = if self.dice.u32(..40) == 0 { self.dice.i64(1..60) } else { driver };
        let (now, quiet) = (self.now(), self.dice.u32(..4) == 0);
        let rides = self.oracle.rides.iter();
        let with_floor = rides.filter(|(_, ride)| ride.floor.is_some() && ride.is_open(now) && !ride.is_over(now));
        let with_floor: Vec<_> = with_floor.map(|(id, _)| *id).collect();
        let id = if !with_floor.is_empty() && self.dice.u32(..4) > 0 { self.dice.choice(with_floor) } else { Some(id) };
        let id = id.expect("a ride");
        if self.oracle.rides[&id].party(Role::Driver) == driver {
            return self.look_at_ride().await;
        }
        let body = json!({ "driver_id": driver, "notify": !quiet });
        let expected = self.oracle.with_driver(id, driver, now);
        let reply = self.api("PATCH", &format!("/v1/rides/{id}"), Some(&body)).await;
        let number = reply.body["number_id"].as_i64();
        match expected {
            Some(Placement::Refused(refusals)) => {
                self.agree(&reply, &refusals, 200);
                return;
            }
            Some(Placement::Depleted(limit)) => return self.agree_depleted(&reply, limit),
            Some(Placement::On(numbers)) => {
                assert_eq!(reply.status, 200, "the oracle has numbers {numbers:?}: {}", reply.text);
                assert!(number.is_some_and(|number| numbers.contains(&number)), "on {number:?}, and not {numbers:?}");
                self.count("drivers swapped with the number");
            }
            None => {
                assert_eq!(
                    (reply.status, number),
                    (200, Some(self.oracle.rides[&id].number)),
                    "it stays: {}",
                    reply.text
                );
                self.count("drivers swapped");
            }
        }
        if self.oracle.rides[&id].floor.is_some() {
            self.count("drivers swapped after a take-over");
        }
        let former = self.oracle.change_driver(id, driver, number.expect("a number"), now);
        if !quiet {
            self.oracle.owe_notice((id, Role::Customer), "new driver", Kind::Other, now);
            let start = self.oracle.rides[&id].start.clone();
            self.oracle.owe_notice((id, Role::Driver), &start, Kind::Other, now);
        }
        self.compare(id, &reply);
        if let Some(former) = former {
            let reply = self.api("GET", &format!("/v1/rides/{former}"), None).await;
            self.compare(former, &reply);
            self.count("contact given back to a former ride");
        }
    }

    /// The worker moves rides off suspended numbers.
    pub(super) async fn leave_suspended(&mut self) {
        let now = self.now();
        let stuck = self.oracle.on_suspended(now);
        let moved = self.running.leave_suspended_numbers().await;
        self.tell(&format!("rides {stuck:?} leave suspended numbers"));
        assert_eq!(moved, stuck.len(), "rides on suspended numbers: {stuck:?}");
        let mut shown = Vec::new();
        for id in stuck {
            let reply = self.api("GET", &format!("/v1/rides/{id}"), None).await;
            match self.oracle.leave_suspended(id, now) {
                Placement::On(numbers) => {
                    let number = reply.body["number_id"].as_i64().expect("a number");
                    assert!(
                        numbers.contains(&number),
                        "ride {id} moved to {number}, and the oracle allows {numbers:?}"
                    );
                    self.oracle.put_on(id, number, now);
                    for to in Role::BOTH {
                        self.oracle.owe_notice((id, to), "number for your ride", Kind::Other, now);
                    }
                    self.count("rides moved off suspended numbers");
                }
                _ => {
                    self.oracle.strand(id, now);
                    self.count("rides stranded");
                }
            }
            shown.push((id, reply));
        }
        // A later one of the same two people may have taken over the number of an earlier one.
        for (id, reply) in &shown {
            self.compare(*id, reply);
        }
    }

    async fn change(&mut self, id: i64, change: &Change, what: &str) {
        let now = self.now();
        let mut body = json!({});
        if let Some(start) = &change.start {
            body["start"] = start.as_str().into();
        }
        if let Some(datetime) = change.datetime {
            body["datetime"] = written(datetime);
        }
        if let Some(status) = change.status {
            body["status"] = status.word().into();
        }
        if change.quiet {
            body["notify"] = false.into();
        }
        let refusals = self.oracle.change(id, change, now);
        let reply = self.api("PATCH", &format!("/v1/rides/{id}"), Some(&body)).await;
        if self.agree(&reply, &refusals, 200) {
            self.compare(id, &reply);
            self.count(what);
        }
    }

    pub(super) async fn move_ride(&mut self) {
        let Some(id) = self.a_ride() else { return };
        let status = match (self.oracle.rides[&id].said, self.dice.u32(..10)) {
            (Status::Scheduled, 0..6) => Status::InProgress,
            (Status::InProgress, 0..7) => Status::Completed,
            (_, 0..9) => Status::Cancelled,
            _ => self.dice.choice([Status::Scheduled, Status::InProgress, Status::Completed]).expect("a status"),
        };
        let change = Change { status: Some(status), ..Change::default() };
        self.change(id, &change, &format!("rides {}", status.word())).await;
    }

    pub(super) async fn replan(&mut self) {
        let Some(id) = self.a_ride() else { return };
        let mut change = Change { quiet: self.dice.u32(..4) == 0, ..Change::default() };
        if self.dice.bool() {
            change.datetime = Some(self.a_datetime());
        }
        if change.datetime.is_none() || self.dice.bool() {
            change.start = Some(format!("Quay {}.", self.another()));
        }
        self.change(id, &change, "rides planned anew").await;
    }

    pub(super) async fn set_contact(&mut self) {
        let Some(id) = self.a_ride() else { return };
        let now = self.now();
        let until = match self.dice.u32(..8) {
            0 => now,
            1 => now - Duration::seconds(self.dice.i64(1..600)),
            2..5 => now + Duration::seconds(self.dice.i64(1..1800)),
            _ => self.oracle.rides[&id].contact_until + Duration::seconds(self.dice.i64(-600..5400)),
        };
        let refusals = self.oracle.set_contact(id, until, now);
        let body = json!({ "until": written(until) });
        let reply = self.api("POST", &format!("/v1/rides/{id}/contact"), Some(&body)).await;
        if self.agree(&reply, &refusals, 200) {
            self.compare(id, &reply);
            self.count("contact set");
        }
    }

    pub(super) async fn delete_ride(&mut self) {
        let Some(id) = self.a_ride() else { return };
        let now = self.now();
        let refusals = self.oracle.delete_ride(id, now);
        let reply = self.api("DELETE", &format!("/v1/rides/{id}"), None).await;
        if self.agree(&reply, &refusals, 204) {
            self.count("rides deleted");
        }
    }
}
