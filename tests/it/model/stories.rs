//! What the model test has found, each told by hand.

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    moves::{CYD, SECOND, reaches},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

/// A ride that is completed at once: its path, and when its contact closes.
async fn completed(app: &TestApp, customer: i64, driver: i64) -> (String, Value) {
    let path = format!("/v1/rides/{}", id(&app.ride(customer, driver).await.expect(201)));
    app.send_due().await;
    app.patch(&path, &json!({ "status": "in_progress" })).await.expect(200);
    let ride = app.patch(&path, &json!({ "status": "completed" })).await.expect(200);
    (path, ride["contact_until"].clone())
}

/// Calls a ride off: its number, and how long contact stays open.
async fn cancel(app: &TestApp, path: &str) -> (String, Duration) {
    let ride = app.patch(path, &json!({ "status": "cancelled" })).await.expect(200);
    let until = chrono::DateTime::parse_from_rfc3339(ride["contact_until"].as_str().unwrap()).unwrap();
    (ride["proxy_number"].as_str().unwrap().to_owned(), until.to_utc() - app.now())
}

const CANCEL_GRACE: Duration = Duration::minutes(15);

on_both_databases! {
    async fn what_contact_closed_on_is_not_sent_when_the_pair_rides_again(kind: Kind) {
        let mut app = TestApp::with(kind, &[("MESSAGE_TTL", "7d")]).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        // The worker is late: the confirmations of the first ride are owed when it is deleted, and the pair rides
        // again.
        let first = id(&app.ride(ann, bob).await.expect(201));
        app.delete(&format!("/v1/rides/{first}")).await.expect(204);
        let second = app.ride(ann, bob).await.expect(201);
        assert_eq!(second["number_id"], number, "they keep their number");
        app.send_due().await;
        assert_eq!((app.screen(ANN).await.len(), app.screen(BOB).await.len()), (1, 1), "of the second ride alone");
        // The same where the window closed by itself, days ago.
        app.simulate_text(ANN, NUMBER, "I am at the door").await;
        app.advance(Duration::days(4)).await;
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        let failed = app.get("/v1/messages?status=failed").await.expect(200);
        let reasons: Vec<_> = failed["items"].as_array().unwrap().iter().map(|text| text["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["contact_closed"; 3]);
        assert!(!app.screen(BOB).await.iter().any(|entry| entry["text"] == "I am at the door"));
        app.finish().await;
    }

    async fn a_pair_rides_again_when_its_time_is_up_however_late_the_worker(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let first = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        app.advance(Duration::hours(25)).await;
        // Nobody has said yet that the first ride is over; it has a day of contact left.
        let second = app.ride(ann, bob).await.expect(201);
        assert_eq!(second["number_id"], number);
        app.send_due().await;
        app.tidy().await;
        let first = app.get(&format!("/v1/rides/{}", id(&first))).await.expect(200);
        assert_eq!((first["status"].as_str(), first["ended_by"].as_str(), first["contact_open"].as_bool()),
            (Some("completed"), Some("timeout"), Some(false)));
        app.tick();
        app.simulate_text(ANN, NUMBER, "Again!").await;
        assert_eq!(app.send_due().await, 1);
        app.finish().await;
    }

    async fn contact_that_was_extended_outlives_the_time_of_the_ride(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        let path = format!("/v1/rides/{}", id(&ride));
        let until = json!({ "until": (app.now() + Duration::days(5)).to_rfc3339() });
        let extended = app.post(&format!("{path}/contact"), &until).await.expect(200);
        app.advance(Duration::days(3)).await;
        app.tidy().await;
        let ended = app.get(&path).await.expect(200);
        assert_eq!((ended["status"].as_str(), &ended["contact_until"]), (Some("completed"), &extended["contact_until"]));
        app.simulate_text(ANN, NUMBER, "As promised").await;
        assert_eq!(app.send_due().await, 1);
        app.finish().await;
    }

    async fn what_is_held_on_other_numbers_is_not_why_the_pool_is_depleted(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let cyd = app.customer("Cyd", "+31611111111").await;
        app.ride(ann, bob).await.expect(201);
        // That number takes no more rides, and the only other one cools down for both.
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "draining" })).await.expect(200);
        app.number("+3197010200002", "simulator").await;
        let cooling = app.ride(cyd, bob).await.expect(201);
        app.delete(&format!("/v1/rides/{}", id(&cooling))).await.expect(204);
        let refused = app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_cooling");
        app.send_due().await;
        app.finish().await;
    }

    async fn what_two_people_had_left_stays_theirs_when_their_next_ride_gets_another_driver(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let (first, promised) = completed(&app, ann, bob).await;
        // Owed when the second ride takes the number over.
        app.simulate_text(ANN, NUMBER, "My umbrella!").await;
        let second = app.ride(ann, bob).await.expect(201);
        assert_eq!((second["proxy_number"].as_str(), &second["number_id"]), (Some(NUMBER), &json!(1)));
        let second = format!("/v1/rides/{}", id(&second));
        app.number(SECOND, "simulator").await;
        app.tidy().await;
        let cyd = app.driver("Cyd", CYD).await;
        let changed = app.patch(&second, &json!({ "driver_id": cyd })).await.expect(200);
        assert_eq!(changed["proxy_number"], SECOND, "Ann must not mistake the two drivers for each other");
        let kept = app.get(&first).await.expect(200);
        assert_eq!((&kept["contact_until"], kept["proxy_number"].as_str()), (&promised, Some(NUMBER)));
        app.send_due().await;
        let on_bob = app.screen(BOB).await;
        let texts: Vec<_> = on_bob.iter().map(|entry| (entry["number"].as_str(), entry["text"].as_str().unwrap())).collect();
        assert_eq!((texts.len(), texts[1]), (2, (Some(NUMBER), "My umbrella!")), "and nothing of the second ride");
        for (from, number, to, arrives) in [
            (ANN, NUMBER, BOB, true), (BOB, NUMBER, ANN, true), (ANN, SECOND, CYD, true), (CYD, SECOND, ANN, true),
            (CYD, NUMBER, ANN, false), (BOB, SECOND, ANN, false), (ANN, NUMBER, CYD, false), (ANN, SECOND, BOB, false),
        ] {
            assert_eq!(reaches(&app, from, number, to).await.is_some(), arrives, "{from} to {to} over {number}");
        }
        assert_eq!(cancel(&app, &second).await, (SECOND.to_owned(), CANCEL_GRACE), "of another pair, it is not kept");
        app.advance(CANCEL_GRACE).await;
        assert_eq!(reaches(&app, ANN, SECOND, CYD).await, None);
        assert_eq!(reaches(&app, BOB, NUMBER, ANN).await.as_deref(), Some(NUMBER));
        // It closes when it would have, and is told again.
        app.advance(Duration::hours(24)).await;
        app.tidy().await;
        assert_eq!(reaches(&app, BOB, NUMBER, ANN).await, None);
        app.place_events().await;
        let told = app.events("ride_id=1").await;
        let of_ride: Vec<_> = told.iter().filter_map(|event| event["type"].as_str()?.strip_prefix("ride.")).collect();
        assert_eq!(of_ride, ["created", "started", "completed", "contact_closed", "updated", "contact_closed"]);
        app.finish().await;
    }

    async fn what_two_people_had_left_goes_when_their_only_number_goes_to_another_driver(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        completed(&app, ann, bob).await;
        let second = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        let cyd = app.driver("Cyd", CYD).await;
        app.patch(&second, &json!({ "driver_id": cyd })).await.expect(200);
        assert_eq!(reaches(&app, ANN, NUMBER, CYD).await.as_deref(), Some(NUMBER));
        // From there Bob would look like Cyd to Ann, and her answers would go to Cyd.
        assert_eq!(reaches(&app, BOB, NUMBER, ANN).await, None);
        assert_eq!(cancel(&app, &second).await, (NUMBER.to_owned(), CANCEL_GRACE));
        app.finish().await;
    }

    async fn what_two_people_had_left_is_nothing_for_others_with_their_phones(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        completed(&app, ann, bob).await;
        let anns_son = app.customer("Abe", ANN).await;
        let second = app.ride(anns_son, bob).await.expect(201);
        assert_eq!(second["proxy_number"], NUMBER);
        assert_eq!(cancel(&app, &format!("/v1/rides/{}", id(&second))).await, (NUMBER.to_owned(), CANCEL_GRACE));
        app.send_due().await;
        app.finish().await;
    }

    async fn what_two_people_had_left_follows_their_phones_and_number(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let (_, promised) = completed(&app, ann, bob).await;
        let second = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.patch(&format!("/v1/customers/{ann}"), &json!({ "phone_number": "+31622222222" })).await.expect(200);
        app.number(SECOND, "simulator").await;
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(app.leave_suspended_numbers().await, 1);
        let cancelled = app.patch(&second, &json!({ "status": "cancelled" })).await.expect(200);
        assert_eq!((cancelled["proxy_number"].as_str(), &cancelled["contact_until"]), (Some(SECOND), &promised));
        app.send_due().await;
        app.finish().await;
    }

    async fn contact_that_is_open_for_two_people_alone_is_closed_for_another_driver(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let (cyd, dan) = (app.driver("Cyd", CYD).await, app.customer("Dan", "+31622222222").await);
        // Cyd holds the first number with Dan, and has contact left with Ann on the second.
        let other = app.ride(dan, cyd).await.expect(201);
        assert_eq!(other["proxy_number"], NUMBER);
        app.number(SECOND, "simulator").await;
        completed(&app, ann, cyd).await;
        app.delete(&format!("/v1/rides/{}", id(&other))).await.expect(204);
        let ride = app.ride(ann, bob).await.expect(201);
        assert_eq!(ride["proxy_number"], NUMBER);
        let ride = format!("/v1/rides/{}", id(&ride));
        let soon = json!({ "until": (app.now() + Duration::minutes(10)).to_rfc3339() });
        app.post(&format!("{ride}/contact"), &soon).await.expect(200);
        let changed = app.patch(&ride, &json!({ "driver_id": cyd })).await.expect(200);
        assert_eq!(changed["proxy_number"], SECOND, "the pair's own");
        app.advance(Duration::minutes(11)).await;
        assert_eq!(reaches(&app, ANN, SECOND, CYD).await.as_deref(), Some(SECOND));
        app.patch(&ride, &json!({ "driver_id": bob })).await.expect_problem(409, "contact_closed");
        assert_eq!(reaches(&app, ANN, SECOND, CYD).await.as_deref(), Some(SECOND), "nothing was changed");
        app.finish().await;
    }
}
