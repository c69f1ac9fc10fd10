//! Rides that live on: with another driver, another phone, another number.

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

pub const CYD: &str = "+31611111111";
const DAN: &str = "+31622222222";
pub const SECOND: &str = "+3197010200002";

/// Ann rides with Bob; Cyd drives too.
struct Three {
    app: TestApp,
    ann: i64,
    bob: i64,
    cyd: i64,
    number: i64,
    ride: String,
}

async fn three(kind: Kind) -> Three {
    let app = TestApp::start(kind).await;
    let (ann, bob, number) = ann_and_bob(&app).await;
    let cyd = app.driver("Cyd", CYD).await;
    let ride = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
    app.send_due().await;
    Three { app, ann, bob, cyd, number, ride }
}

/// The texts that a phone got since it was last looked at, with the number they came from.
async fn news(app: &TestApp, phone: &str, seen: &mut usize) -> Vec<(String, String)> {
    let screen = app.screen(phone).await;
    let texts: Vec<_> = screen.iter().filter(|entry| entry["kind"] == "text").collect();
    let new = texts[*seen..].iter().map(|entry| {
        let word = |name: &str| entry[name].as_str().unwrap().to_owned();
        (word("number"), word("text"))
    });
    let new = new.collect();
    *seen = texts.len();
    new
}

/// Whom a text reaches: sent from a phone to a number, does it show on that other phone, and from which number?
pub async fn reaches(app: &TestApp, from: &str, number: &str, to: &str) -> Option<String> {
    let text = format!("{from} to {to} at {}", app.now());
    app.tick();
    app.simulate_text(from, number, &text).await;
    app.send_due().await;
    let found = app.screen(to).await.into_iter().find(|entry| entry["text"] == text.as_str());
    found.map(|entry| entry["number"].as_str().unwrap().to_owned())
}

async fn reasons(app: &TestApp) -> Vec<(String, String)> {
    let failed = app.get("/v1/messages?status=failed").await.expect(200);
    let word = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    failed["items"].as_array().unwrap().iter().map(|m| (word(m, "text"), word(m, "reason"))).collect()
}

on_both_databases! {
    async fn another_driver_comes_on_the_same_number_and_the_one_before_is_cut_off(kind: Kind) {
        let Three { app, ann, bob, cyd, ride, .. } = three(kind).await;
        let (mut on_ann, mut on_bob, mut on_cyd) = (1, 1, 0);
        app.simulate_text(ANN, NUMBER, "to Bob").await;
        app.simulate_text(BOB, NUMBER, "by Bob").await;
        app.post(&format!("{ride}/messages"), &json!({ "to": "customer", "text": "by the platform" })).await.expect(202);
        app.tick();
        let stale = [("if-match", "\"9\"")];
        let to_cyd = json!({ "driver_id": cyd });
        app.json("PATCH", &ride, &stale, &to_cyd).await.expect_problem(412, "stale_version");
        let changed = app.json("PATCH", &ride, &[("if-match", "\"1\"")], &to_cyd).await.expect(200);
        assert_eq!((changed["driver_id"].as_i64(), changed["proxy_number"].as_str()), (Some(cyd), Some(NUMBER)));
        app.send_due().await;
        let told = news(&app, ANN, &mut on_ann).await;
        assert_eq!(told[0].1, "by the platform");
        assert!(told[1].1.starts_with("Hello Ann. You have a new driver: Cyd picks you up at Dam 1 on "), "{told:?}");
        assert_eq!((told.len(), news(&app, BOB, &mut on_bob).await), (2, vec![]));
        assert!(news(&app, CYD, &mut on_cyd).await[0].1.starts_with("Hello Cyd. Ann waits for you at Dam 1"));
        let cut = |text: &str| (text.to_owned(), "contact_closed".to_owned());
        assert_eq!(reasons(&app).await, [cut("to Bob"), cut("by Bob")]);

        assert_eq!(reaches(&app, ANN, NUMBER, CYD).await.as_deref(), Some(NUMBER));
        assert_eq!(reaches(&app, CYD, NUMBER, ANN).await.as_deref(), Some(NUMBER));
        assert_eq!(reaches(&app, BOB, NUMBER, ANN).await, None);
        assert_eq!(app.simulate_call(BOB, NUMBER).await["outcome"], "announced");
        assert_eq!(app.simulate_call(ANN, NUMBER).await["rang"], CYD);
        // The number cools down for Bob: another customer cannot have it with him.
        let dan = app.customer("Dan", DAN).await;
        let refused = app.ride(dan, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_cooling");

        // Back to Bob: he may have his own again.
        let back = app.patch(&ride, &json!({ "driver_id": bob, "notify": false })).await.expect(200);
        assert_eq!(back["proxy_number"], NUMBER);
        assert_eq!(reaches(&app, BOB, NUMBER, ANN).await.as_deref(), Some(NUMBER));
        assert_eq!(reaches(&app, CYD, NUMBER, ANN).await, None);
        app.patch(&ride, &json!({ "driver_id": ann })).await.expect_problem(422, "invalid_request");
        let twin = app.driver("Ann too", ANN).await;
        app.patch(&ride, &json!({ "driver_id": twin })).await.expect_problem(422, "same_phone");
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        app.patch(&ride, &json!({ "driver_id": cyd })).await.expect_problem(409, "ride_ended");
        app.finish().await;
    }

    async fn texts_of_a_driver_who_is_replaced_at_this_moment_reach_nobody(kind: Kind) {
        let Three { app, bob, cyd, ride, .. } = three(kind).await;
        for (driver, phone) in [(cyd, BOB), (bob, CYD), (cyd, BOB), (bob, CYD), (cyd, BOB), (bob, CYD)] {
            let texts = (0..12).map(|at| app.simulate_text(phone, NUMBER, ["Are you there?", "Hello?"][at % 2]));
            let replaced = json!({ "driver_id": driver, "notify": false });
            let (_, replaced) = tokio::join!(futures_util::future::join_all(texts), app.patch(&ride, &replaced));
            replaced.expect(200);
            assert_eq!(app.send_due().await, 0, "taken before, they are given up; after, they are refused");
        }
        app.finish().await;
    }

    async fn a_driver_who_cannot_have_the_number_brings_another_for_both(kind: Kind) {
        let Three { app, cyd, ride, .. } = three(kind).await;
        // Cyd holds the only number with somebody else.
        let dan = app.customer("Dan", DAN).await;
        let other = id(&app.ride(dan, cyd).await.expect(201));
        let refused = app.patch(&ride, &json!({ "driver_id": cyd })).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_held");
        assert_eq!(reaches(&app, ANN, NUMBER, BOB).await.as_deref(), Some(NUMBER), "nothing was changed");

        app.number(SECOND, "simulator").await;
        let changed = app.patch(&ride, &json!({ "driver_id": cyd })).await.expect(200);
        assert_eq!(changed["proxy_number"], SECOND);
        app.send_due().await;
        assert_eq!(app.screen(ANN).await.last().unwrap()["number"], SECOND);
        assert_eq!(reaches(&app, ANN, SECOND, CYD).await.as_deref(), Some(SECOND));
        assert_eq!(reaches(&app, CYD, SECOND, ANN).await.as_deref(), Some(SECOND));
        for (from, number, to) in [(ANN, NUMBER, CYD), (ANN, NUMBER, BOB), (BOB, NUMBER, ANN), (BOB, SECOND, ANN)] {
            assert_eq!(reaches(&app, from, number, to).await, None, "{from} to {to} over {number}");
        }
        // Cyd's other ride is what it was.
        assert_eq!(reaches(&app, DAN, NUMBER, CYD).await.as_deref(), Some(NUMBER));
        app.delete(&format!("/v1/rides/{other}")).await.expect(204);
        app.finish().await;
    }

    async fn a_new_phone_takes_all_open_rides_along(kind: Kind) {
        let Three { mut app, ann, bob, cyd, number, ride } = three(kind).await;
        app.number(SECOND, "simulator").await;
        let second = app.ride(ann, cyd).await.expect(201);
        assert_eq!(second["proxy_number"], SECOND);
        app.send_due().await;
        let before = app.screen(ANN).await.len();
        app.simulate_text(BOB, NUMBER, "Where are you?").await;
        let person = format!("/v1/customers/{ann}");
        app.patch(&person, &json!({ "phone_number": DAN })).await.expect(200);
        app.send_due().await;
        assert_eq!((app.screen(ANN).await.len(), app.screen(DAN).await[0]["text"].as_str()), (before, Some("Where are you?")));
        for (number, driver) in [(NUMBER, BOB), (SECOND, CYD)] {
            assert_eq!(reaches(&app, DAN, number, driver).await.as_deref(), Some(number));
            assert_eq!(reaches(&app, driver, number, DAN).await.as_deref(), Some(number));
            assert_eq!(reaches(&app, ANN, number, driver).await, None, "the old phone reaches nobody");
        }
        // Whoever has the old phone next gets nobody's number before the cool-down is over.
        let eve = app.customer("Eve", ANN).await;
        let refused = app.ride(eve, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_held");
        // Back again, since the old phone is barred for nobody but her.
        app.patch(&person, &json!({ "phone_number": ANN })).await.expect(200);
        assert_eq!(reaches(&app, ANN, NUMBER, BOB).await.as_deref(), Some(NUMBER));

        // The other party's phone, and one that holds a number with somebody else.
        let taken = app.patch(&person, &json!({ "phone_number": BOB })).await.expect_problem(409, "phone_barred");
        assert_eq!(taken["rides"], json!([1]));
        let fay = app.customer("Fay", "+31633333333").await;
        let gus = app.driver("Gus", "+31644444444").await;
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "draining" })).await.expect(200);
        assert_eq!(app.ride(fay, gus).await.expect(201)["proxy_number"], SECOND);
        let taken = app.patch(&person, &json!({ "phone_number": "+31633333333" })).await.expect_problem(409, "phone_barred");
        assert_eq!(taken["rides"], json!([2]));
        for (number, driver) in [(NUMBER, BOB), (SECOND, CYD)] {
            assert_eq!(reaches(&app, ANN, number, driver).await.as_deref(), Some(number), "nothing was changed");
        }
        // Closed rides stay with the phone they had.
        for path in [ride.as_str(), "/v1/rides/2"] {
            app.patch(path, &json!({ "status": "cancelled" })).await.expect(200);
        }
        app.advance(Duration::hours(1)).await;
        app.patch(&person, &json!({ "phone_number": "+31633333333" })).await.expect(200);
        assert_eq!(reaches(&app, ANN, NUMBER, BOB).await, None);
        app.send_due().await;
        app.finish().await;
    }

    async fn rides_leave_a_suspended_number_and_both_people_are_told(kind: Kind) {
        let Three { app, number, ride, ann, bob, .. } = three(kind).await;
        app.number(SECOND, "simulator").await;
        let path = format!("/v1/numbers/{number}");
        app.simulate_text(ANN, NUMBER, "on its way").await;
        app.patch(&path, &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(app.delete(&path).await.expect_problem(409, "number_in_use")["open_rides"], 1);
        assert_eq!((app.leave_suspended_numbers().await, app.leave_suspended_numbers().await), (1, 0));
        let moved = app.get(&ride).await;
        assert_eq!(moved.header("etag"), "\"2\"");
        assert_eq!(moved.expect(200)["proxy_number"], SECOND);
        app.send_due().await;
        let on_bob = app.screen(BOB).await;
        let told: Vec<_> = on_bob.iter().skip(1).map(|entry| (entry["number"].as_str(), entry["text"].as_str().unwrap())).collect();
        assert_eq!(told[0], (Some(SECOND), "on its way"));
        assert!(told[1].0 == Some(SECOND) && told[1].1.starts_with("Hello Bob. The number for your ride with Ann on "), "{told:?}");
        assert_eq!(told.len(), 2);
        assert_eq!(reaches(&app, ANN, SECOND, BOB).await.as_deref(), Some(SECOND));
        assert_eq!(reaches(&app, ANN, NUMBER, BOB).await, None);
        app.delete(&path).await.expect(204);
        let rides = app.get("/v1/rides?stranded=true").await.expect(200);
        assert_eq!(rides["items"], json!([]));
        // The pair's next ride goes on with the number they have now.
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        assert_eq!(app.ride(ann, bob).await.expect(201)["proxy_number"], SECOND);
        app.send_due().await;
        app.finish().await;
    }

    async fn rides_that_no_other_number_can_carry_are_closed_and_listed(kind: Kind) {
        let Three { app, number, ride, cyd, .. } = three(kind).await;
        // The only other number is in Ann's hands with Cyd.
        let ann = 1;
        app.number(SECOND, "simulator").await;
        let second = app.ride(ann, cyd).await.expect(201);
        assert_eq!(second["proxy_number"], SECOND);
        app.simulate_text(ANN, NUMBER, "too late").await;
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(app.leave_suspended_numbers().await, 1);
        let closed = app.get(&ride).await.expect(200);
        assert_eq!((closed["contact_open"].as_bool(), closed["closed_reason"].as_str()), (Some(false), Some("number_suspended")));
        app.send_due().await;
        assert_eq!(reasons(&app).await, [("too late".to_owned(), "contact_closed".to_owned())]);
        for (phone, name, other) in [(ANN, "Ann", "Bob"), (BOB, "Bob", "Ann")] {
            let screen = app.screen(phone).await;
            let told = screen.iter().find(|entry| entry["text"].as_str().unwrap().contains("out of service")).expect("told");
            let words = format!("Hello {name}. You can no longer reach {other} through us about your ride on ");
            assert_eq!((told["number"].as_str(), told["text"].as_str().unwrap().starts_with(&words)), (Some(SECOND), true));
        }
        let stranded = app.get("/v1/rides?stranded=true").await.expect(200);
        assert_eq!((stranded["items"].as_array().unwrap().len(), id(&stranded["items"][0])), (1, 1));
        let others = app.get("/v1/rides?stranded=false").await.expect(200);
        assert_eq!(id(&others["items"][0]), id(&second));
        // It is over but for its status, and nothing opens it again.
        let later = (app.now() + Duration::hours(5)).to_rfc3339();
        app.patch(&ride, &json!({ "datetime": later })).await.expect_problem(409, "contact_closed");
        app.patch(&ride, &json!({ "driver_id": cyd })).await.expect_problem(409, "contact_closed");
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "active" })).await.expect(200);
        assert_eq!(reaches(&app, ANN, NUMBER, BOB).await, None);
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        app.finish().await;
    }

    async fn texts_stay_with_the_driver_whom_they_were_written_to(kind: Kind) {
        // Ann's ride with Bob goes to Cyd, with whom she had another before.
        let Three { app, ann, bob, cyd, ride: with_bob, .. } = three(kind).await;
        app.number(SECOND, "simulator").await;
        let with_cyd = app.ride(ann, cyd).await.expect(201);
        assert_eq!(with_cyd["proxy_number"], SECOND);
        app.send_due().await;
        let (mut on_ann, mut on_bob, mut on_cyd) =
            (app.screen(ANN).await.len(), app.screen(BOB).await.len(), app.screen(CYD).await.len());
        for (from, number, text) in [
            (ANN, NUMBER, "to Bob"),
            (BOB, NUMBER, "by Bob"),
            (ANN, SECOND, "to Cyd"),
            (CYD, SECOND, "by Cyd"),
        ] {
            app.simulate_text(from, number, text).await;
        }
        for ride in [&with_bob, &format!("/v1/rides/{}", id(&with_cyd))] {
            app.patch(ride, &json!({ "status": "cancelled" })).await.expect(200);
        }
        app.tick();
        let soon = json!({
            "customer_id": ann, "driver_id": bob, "start": "Dam 1", "destination": "Schiphol", "datetime": app.soon(),
            "notify": false,
        });
        let next = app.post("/v1/rides", &soon).await.expect(201);
        assert_eq!(next["proxy_number"], NUMBER);
        let to_cyd = json!({ "driver_id": cyd, "notify": false });
        let changed = app.patch(&format!("/v1/rides/{}", id(&next)), &to_cyd).await.expect(200);
        assert_eq!(changed["proxy_number"], SECOND);
        app.send_due().await;
        let text = |number: &str, text: &str| (number.to_owned(), text.to_owned());
        assert_eq!(news(&app, BOB, &mut on_bob).await, [text(NUMBER, "to Bob")]);
        assert_eq!(news(&app, CYD, &mut on_cyd).await, [text(SECOND, "to Cyd")]);
        let mut told = news(&app, ANN, &mut on_ann).await;
        told.sort();
        assert_eq!(told, [text(NUMBER, "by Bob"), text(SECOND, "by Cyd")]);
        assert_eq!(reasons(&app).await, []);
        app.finish().await;
    }
}
