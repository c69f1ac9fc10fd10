//! The clients: each does one kind of work until enough rides were made, and writes down what it was told.

use std::{
    collections::BTreeSet,
    sync::{Arc, RwLock},
    time::Instant,
};

use chrono::Duration;
use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    log::{Call, History, InPool, RefusedRide, Ride, Span, Told, Until, WhyNot},
    stage::{Stage, time},
};
use crate::harness::{Answer, id};

/// A call that waited longer than this may have been answered that we are out of order, which refuses nothing.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(1500);

/// Creates rides, and takes each through a life of its own: started, completed, cancelled, extended, closed, deleted,
/// or forgotten.
pub async fn ride(stage: Arc<Stage>, mut rng: Rng) {
    /// As many rides a client follows at once.
    const FOLLOWED: usize = 3;
    let mut mine: Vec<Followed> = Vec::new();
    while !stage.is_done() {
        if mine.len() < FOLLOWED && rng.u8(0..3) > 0 {
            let made = create(&stage, &mut rng).await;
            mine.extend(made.map(|id| Followed { id, status: "scheduled" }));
        } else if !mine.is_empty() {
            let at = rng.usize(0..mine.len());
            if !go_on(&stage, &mut rng, &mut mine[at]).await {
                mine.swap_remove(at);
            }
        }
        stage.turn(&mut rng);
    }
    stage.end_waiting();
}

/// A ride as the client that made it knows it.
struct Followed {
    id: i64,
    status: &'static str,
}

/// Somebody of this role; some are asked for more than others.
fn somebody(rng: &mut Rng, slots: &[RwLock<i64>]) -> i64 {
    let busy = slots.len() / 4;
    let at = if rng.bool() { rng.usize(0..busy) } else { rng.usize(0..slots.len()) };
    *slots[at].read().unwrap()
}

async fn create(stage: &Stage, rng: &mut Rng) -> Option<i64> {
    let (customer, driver) = (somebody(rng, &stage.customers), somebody(rng, &stage.drivers));
    let mut body = json!({
        "customer_id": customer, "driver_id": driver, "start": "Dam 1", "destination": "Schiphol",
        "datetime": (stage.moment().at + Duration::seconds(rng.i64(0..60))).to_rfc3339(), "notify": rng.u8(0..4) == 0,
    });
    if rng.u8(0..4) == 0 {
        body["grace_s"] = json!(rng.i64(0..90));
    }
    let (span, answer) = stage.ask(rng, "POST", "/v1/rides", &body).await;
    if answer.status == 201 {
        let made = &answer.body;
        stage.log().rides.push(Ride {
            id: id(made),
            customer,
            driver: History::new(span, driver),
            number: History::new(span, made["number_id"].as_i64().unwrap()),
            timeout_at: time(made, "timeout_at"),
            until: History::new(span, Until::exactly(time(made, "contact_until"))),
            ended: None,
            also_on: BTreeSet::new(),
            until_at_last: None,
        });
        return Some(id(made));
    }
    match why_not(&answer) {
        Some(why) => stage.log().refused.push(RefusedRide { span, customer, driver, ride: None, why }),
        None => expect_busy(&answer),
    }
    None
}

/// Why two people get no ride.
fn why_not(answer: &Answer) -> Option<WhyNot> {
    match (answer.status, answer.body["code"].as_str()) {
        (409, Some("number_pool_depleted")) => {
            Some(WhyNot::Depleted(answer.body["limit"].as_str().unwrap().to_owned()))
        }
        (422, Some("same_phone")) => Some(WhyNot::SamePhone),
        (422, Some("invalid_request")) => {
            let named: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
            let nobody = |pointer: &str| named.iter().any(|named| *named == pointer);
            let (customer, driver) = (nobody("/customer_id"), nobody("/driver_id"));
            assert_eq!(named.len(), usize::from(customer) + usize::from(driver), "{}", answer.text);
            Some(WhyNot::Nobody { customer, driver })
        }
        _ => None,
    }
}

/// The next thing that happens to a ride; `false` when nothing more will.
async fn go_on(stage: &Stage, rng: &mut Rng, ride: &mut Followed) -> bool {
    let next = if ride.status == "scheduled" { "in_progress" } else { "completed" };
    match rng.u8(0..40) {
        0..20 => edit(stage, rng, ride, next).await,
        20..24 => edit(stage, rng, ride, "cancelled").await,
        // Rides do not go back, unless they are here already.
        24..26 => edit(stage, rng, ride, "in_progress").await,
        26..32 => set_contact(stage, rng, ride.id).await,
        32..35 => change_driver(stage, rng, ride).await,
        35..39 => {
            let (span, answer) = stage.ask(rng, "DELETE", &format!("/v1/rides/{}", ride.id), &Value::Null).await;
            if answer.status != 204 {
                expect_busy(&answer);
                return true;
            }
            // Contact closed at once, unless it had closed before.
            let mut log = stage.log();
            let ride = log.ride(ride.id);
            let earliest = ride.until.last().earliest.min(span.asked.at);
            ride.until.push(span, Until { earliest, latest: span.answered.at });
            ride.ended.get_or_insert(span);
            false
        }
        // Forgotten: its time will be up.
        _ => false,
    }
}

async fn edit(stage: &Stage, rng: &mut Rng, ride: &mut Followed, to: &'static str) -> bool {
    let body = json!({ "status": to });
    let (span, answer) = stage.ask(rng, "PATCH", &format!("/v1/rides/{}", ride.id), &body).await;
    let is_allowed = ride.status == to
        || matches!(
            (ride.status, to),
            ("scheduled", "in_progress" | "cancelled") | ("in_progress", "completed" | "cancelled")
        );
    match (answer.status, answer.body["code"].as_str()) {
        (200, _) => {
            // Its time may have been up, which completes it.
            assert!(is_allowed || to == "completed", "{} became {to}", ride.status);
            ride.status = to;
            became(stage, ride.id, span, &answer.body, to != "in_progress");
            // Some rides are extended and deleted when they are over.
            to == "in_progress" || rng.bool()
        }
        (409, Some("invalid_transition")) => {
            if is_allowed {
                stage.log().told.push((span, Told::RideOver(ride.id)));
                ride.status = "completed";
            }
            true
        }
        _ => {
            expect_busy(&answer);
            true
        }
    }
}

async fn set_contact(stage: &Stage, rng: &mut Rng, ride: i64) -> bool {
    let seconds = if rng.bool() { 0 } else { rng.i64(0..240) };
    let body = json!({ "until": (stage.moment().at + Duration::seconds(seconds)).to_rfc3339() });
    let (span, answer) = stage.ask(rng, "POST", &format!("/v1/rides/{ride}/contact"), &body).await;
    match (answer.status, answer.body["code"].as_str()) {
        (200, _) => {
            stage.log().told.push((span, Told::RideOpen(ride)));
            became(stage, ride, span, &answer.body, seconds == 0);
            true
        }
        (409, Some("contact_closed")) => {
            stage.log().told.push((span, Told::RideClosed(ride)));
            false
        }
        _ => {
            expect_busy(&answer);
            true
        }
    }
}

/// Another driver, who may be the present one, or somebody of their phone.
async fn change_driver(stage: &Stage, rng: &mut Rng, ride: &mut Followed) -> bool {
    let driver = somebody(rng, &stage.drivers);
    let body = json!({ "driver_id": driver, "notify": rng.u8(0..4) == 0 });
    let (span, answer) = stage.ask(rng, "PATCH", &format!("/v1/rides/{}", ride.id), &body).await;
    let customer = stage.log().ride(ride.id).customer;
    let known_over = matches!(ride.status, "completed" | "cancelled");
    match (answer.status, answer.body["code"].as_str()) {
        (200, _) => {
            became(stage, ride.id, span, &answer.body, false);
            assert_eq!(answer.body["driver_id"], driver);
            let mut log = stage.log();
            let ride = log.ride(ride.id);
            assert!(
                !known_over || *ride.driver.last() == driver,
                "ride {} got another driver when it was over",
                ride.id
            );
            ride.driver.push(span, driver);
        }
        (409, Some("ride_ended")) if known_over => {}
        (409, Some("ride_ended")) => {
            stage.log().told.push((span, Told::RideOver(ride.id)));
            ride.status = "completed";
        }
        (409, Some("contact_closed")) => stage.log().told.push((span, Told::RideClosed(ride.id))),
        _ => match why_not(&answer) {
            Some(why) => {
                let refused = RefusedRide { span, customer, driver, ride: Some(ride.id), why };
                stage.log().refused.push(refused);
            }
            None => expect_busy(&answer),
        },
    }
    true
}

/// A ride as an answer shows it.
fn became(stage: &Stage, ride: i64, span: Span, shown: &Value, ended: bool) {
    let mut log = stage.log();
    let ride = log.ride(ride);
    ride.until.push(span, Until::exactly(time(shown, "contact_until")));
    let number = shown["number_id"].as_i64().unwrap();
    if *ride.number.last() != number {
        ride.number.push(span, number);
    }
    if ended {
        ride.ended.get_or_insert(span);
    }
}

fn expect_busy(answer: &Answer) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (429, Some("busy")), "{}", answer.text);
}

/// Gives people other phones, which others have or had, and erases them; another takes the place of who was erased. Of
/// `slots`, every `step`th from `first` on is this client's.
pub async fn change_people(stage: Arc<Stage>, mut rng: Rng, first: usize, step: usize) {
    while !stage.is_done() {
        stage.wait(&mut rng, 100).await;
        let (resource, slots) = if rng.bool() { ("customers", &stage.customers) } else { ("drivers", &stage.drivers) };
        let Some(slot) = slots.iter().skip(first).step_by(step).nth(rng.usize(0..slots.len().div_ceil(step))) else {
            continue;
        };
        let person = *slot.read().unwrap();
        let path = format!("/v1/{resource}/{person}");
        let phone = rng.choice(&stage.phones).unwrap().clone();
        let erase = rng.bool();
        let (span, answer) = if erase {
            stage.ask(&mut rng, "DELETE", &path, &Value::Null).await
        } else {
            stage.ask(&mut rng, "PATCH", &path, &json!({ "phone_number": phone })).await
        };
        match (answer.status, answer.body["code"].as_str()) {
            (200, _) => stage.log().people.get_mut(&person).unwrap().push(span, Some(phone)),
            (204, _) => {
                stage.log().people.get_mut(&person).unwrap().push(span, None);
                stage.log().told.push((span, Told::PersonErased(person)));
                // For a while nobody is there, and rides are asked for with somebody who is no more.
                let made = add_person(&stage, &mut rng, resource, &phone).await;
                *slot.write().unwrap() = made;
            }
            (409, Some("contact_window_open")) if erase => {
                stage.log().told.push((span, Told::PersonHasContact(person)));
            }
            (409, Some("phone_barred")) => {
                let rides =
                    answer.body["rides"].as_array().unwrap().iter().map(|ride| ride.as_i64().unwrap()).collect();
                stage.log().told.push((span, Told::PhoneInConflict { person, phone, rides }));
            }
            _ => expect_busy(&answer),
        }
    }
}

pub async fn add_person(stage: &Stage, rng: &mut Rng, resource: &str, phone: &str) -> i64 {
    let body = json!({ "name": "Somebody", "phone_number": phone });
    loop {
        let (span, answer) = stage.ask(rng, "POST", &format!("/v1/{resource}"), &body).await;
        if answer.status == 201 {
            let made = id(&answer.body);
            stage.log().people.insert(made, History::new(span, Some(phone.to_owned())));
            return made;
        }
        expect_busy(&answer);
    }
}

/// Drains, suspends, activates and deletes numbers, and adds them again. Of those that are not steady, every `step`th
/// from `first` on is this client's.
pub async fn change_numbers(stage: Arc<Stage>, mut rng: Rng, first: usize, step: usize) {
    let mine: Vec<_> = stage.numbers.iter().skip(stage.steady + first).step_by(step).collect();
    while !stage.is_done() {
        stage.wait(&mut rng, 50).await;
        let (phone, number) = mine[rng.usize(0..mine.len())];
        let path = format!("/v1/numbers/{number}");
        let present = *stage.log().numbers[number].last();
        // What is drained is deleted as soon as it may be, as a rule.
        let wanted = match (present, rng.u8(0..10)) {
            (InPool::Active | InPool::Deleted, 0..8) => InPool::Active,
            (InPool::Draining | InPool::Suspended, 0..8) => InPool::Deleted,
            (InPool::Draining | InPool::Suspended, 8) => InPool::Active,
            (_, 8) => InPool::Suspended,
            (_, _) => InPool::Draining,
        };
        let word = match wanted {
            InPool::Active => "active",
            InPool::Draining => "draining",
            InPool::Suspended => "suspended",
            InPool::Deleted => "",
        };
        let (span, answer) = match (present, wanted) {
            (InPool::Deleted, _) => {
                let body = json!({ "phone_number": phone, "provider": "simulator", "status": word });
                stage.ask(&mut rng, "POST", "/v1/numbers", &body).await
            }
            (_, InPool::Deleted) => stage.ask(&mut rng, "DELETE", &path, &Value::Null).await,
            (_, _) => stage.ask(&mut rng, "PATCH", &path, &json!({ "status": word })).await,
        };
        let mut log = stage.log();
        match (answer.status, answer.body["code"].as_str()) {
            (200 | 201 | 204, _) => {
                log.numbers.get_mut(number).unwrap().push(span, wanted);
                if wanted == InPool::Deleted {
                    log.told.push((span, Told::NumberDeleted(*number)));
                }
            }
            (409, Some("number_in_use")) => log.told.push((span, Told::NumberHasContact(*number))),
            _ => expect_busy(&answer),
        }
    }
}

/// Calls from phones to numbers, most of them where a ride was made lately, and texts beside.
pub async fn call(stage: Arc<Stage>, mut rng: Rng) {
    while !stage.is_done() {
        stage.wait(&mut rng, 10).await;
        let (from, number) = {
            let log = stage.log();
            let lately = log.rides.len().saturating_sub(200);
            let ride = rng.choice(&log.rides[lately..]).filter(|_| rng.u8(0..4) > 0);
            match ride {
                Some(ride) => {
                    let party = if rng.bool() { ride.customer } else { *ride.driver.last() };
                    let phone = log.people[&party].last().clone();
                    (phone.unwrap_or_else(|| stage.phones[0].clone()), *ride.number.last())
                }
                None => (rng.choice(&stage.phones).unwrap().clone(), rng.choice(&stage.numbers).unwrap().1),
            }
        };
        if rng.u8(0..4) == 0 {
            let to = stage.numbers.iter().find(|(_, id)| *id == number).unwrap();
            let body = json!({ "from": from, "to": to.0, "text": "Two minutes" });
            let (_, answer) = stage.ask(&mut rng, "POST", "/v1/simulator/texts", &body).await;
            if answer.status != 202 {
                expect_busy(&answer);
            }
        } else {
            try_call(&stage, &mut rng, &from, number).await;
        }
        stage.progress.notify_one();
    }
}

pub async fn try_call(stage: &Stage, rng: &mut Rng, from: &str, number: i64) {
    let to = &stage.numbers.iter().find(|(_, id)| *id == number).unwrap().0;
    let began = Instant::now();
    let (span, answer) = stage.ask(rng, "POST", "/v1/simulator/calls", &json!({ "from": from, "to": to })).await;
    if answer.status == 429 {
        return expect_busy(&answer);
    }
    let rang = answer.body["rang"].as_str().map(str::to_owned);
    if rang.is_some() {
        assert_eq!(answer.body["caller_id"].as_str(), Some(to.as_str()), "the mask slipped");
    } else if began.elapsed() > PATIENCE {
        return;
    }
    let mut log = stage.log();
    let heard = if rang.is_some() { "calls that rang somebody" } else { "calls that rang nobody" };
    *log.counts.entry(heard.to_owned()).or_default() += 1;
    log.calls.push(Call { span, from: from.to_owned(), number, rang });
}
