//! What the model test has found, each told by hand.

use chrono::Duration;
use serde_json::json;

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

on_both_databases! {
    async fn what_contact_closed_on_is_not_sent_when_the_pair_rides_again(kind: Kind) {
        let mut app = TestApp::with(kind, &[("MESSAGE_TTL", "7d")]).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        // The worker is late: the confirmations of the first ride are owed when it is deleted, and the pair rides again.
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
}
