//! Rides: a number for every pair, contact while the window is open, and a number that comes back.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::{Kind, TestApp, id, on_both_databases};

pub const ANN: &str = "+31612345678";
pub const BOB: &str = "+31687654321";
pub const NUMBER: &str = "+3197010200001";

/// Ann rides with Bob over one simulated number: customer, driver, number.
pub async fn ann_and_bob(app: &TestApp) -> (i64, i64, i64) {
    let number = app.number(NUMBER, "simulator").await;
    (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await, number)
}

fn texts(screen: &[Value]) -> Vec<&str> {
    screen.iter().filter_map(|entry| entry["text"].as_str()).collect()
}

on_both_databases! {
    async fn a_ride_masks_two_phones_end_to_end(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let answer = app.ride(ann, bob).await;
        assert_eq!(answer.header("location"), "/v1/rides/1");
        let ride = answer.expect(201);
        assert_eq!((ride["number_id"].as_i64(), ride["proxy_number"].as_str()), (Some(number), Some(NUMBER)));
        assert_eq!(app.send_due().await, 2);
        assert!(texts(&app.screen(ANN).await)[0].starts_with("Hello Ann. Bob picks you up at Dam 1 on "));
        assert!(texts(&app.screen(BOB).await)[0].starts_with("Hello Bob. Ann waits for you at Dam 1 on "));

        app.tick();
        app.simulate_text(ANN, NUMBER, "I wear a red hat 🎩").await;
        app.simulate_text(BOB, NUMBER, "Two minutes").await;
        app.send_due().await;
        assert_eq!(texts(&app.screen(BOB).await)[1..], ["I wear a red hat 🎩"]);
        assert_eq!(texts(&app.screen(ANN).await)[1..], ["Two minutes"]);
        app.tick();
        let call = app.simulate_call(BOB, NUMBER).await;
        assert_eq!((call["rang"].as_str(), call["caller_id"].as_str()), (Some(ANN), Some(NUMBER)));
        for (phone, other) in [(ANN, BOB), (BOB, ANN)] {
            let screen = app.get(&format!("/v1/simulator/phones/{phone}")).await;
            assert!(!screen.text.contains(&other[1..]), "the mask slipped");
        }

        let ride = format!("/v1/rides/{}", id(&ride));
        app.tick();
        app.patch(&ride, &json!({ "status": "in_progress" })).await.expect(200);
        let done = app.patch(&ride, &json!({ "status": "completed" })).await.expect(200);
        assert_eq!((done["ended_by"].as_str(), done["contact_open"].as_bool()), (Some("platform"), Some(true)));
        app.tick();
        app.simulate_text(ANN, NUMBER, "I forgot my hat").await;
        app.send_due().await;
        assert_eq!(texts(&app.screen(BOB).await).last(), Some(&"I forgot my hat"));

        app.advance(Duration::hours(24)).await;
        app.simulate_text(ANN, NUMBER, "Too late").await;
        assert_eq!(app.send_due().await, 0);
        app.tick();
        let late = app.simulate_call(ANN, NUMBER).await;
        assert_eq!(late["outcome"], "announced");
        assert!(!texts(&app.screen(BOB).await).contains(&"Too late"));

        let timeline = app.timeline(1).await;
        let told: Vec<_> = timeline.iter().map(|item| {
            let what = item["event"].as_str().or(item["kind"].as_str()).unwrap_or("call");
            (item["type"].as_str().unwrap(), what, item["status"].as_str().unwrap_or(""), item["reason"].as_str().unwrap_or(""))
        }).collect();
        assert_eq!(told, [
            ("ride_event", "created", "", ""),
            ("message", "notice", "delivered", ""),
            ("message", "notice", "delivered", ""),
            ("message", "relay", "delivered", ""),
            ("message", "relay", "delivered", ""),
            ("call", "call", "completed", ""),
            ("ride_event", "started", "", ""),
            ("ride_event", "completed", "", ""),
            ("message", "relay", "delivered", ""),
            ("ride_event", "contact_closed", "", ""),
            ("message", "relay", "rejected", "contact_closed"),
            ("call", "call", "rejected", "contact_closed"),
        ]);
        app.finish().await;
    }
}
