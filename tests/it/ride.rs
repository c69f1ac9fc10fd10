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

/// A ride between these two, in the past tense.
async fn finish_ride(app: &TestApp, ride: i64) {
    let path = format!("/v1/rides/{ride}");
    app.patch(&path, &json!({ "status": "in_progress" })).await.expect(200);
    app.patch(&path, &json!({ "status": "completed" })).await.expect(200);
}

on_both_databases! {
    async fn a_depleted_pool_is_409_and_stores_nothing(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        let refused = app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "no_numbers");
        let number = app.number(NUMBER, "simulator").await;
        for (change, limit) in [
            (json!({ "status": "draining" }), "none_active"),
            (json!({ "status": "active", "capabilities": ["sms"] }), "none_capable"),
        ] {
            app.patch(&format!("/v1/numbers/{number}"), &change).await.expect(200);
            let refused = app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
            assert_eq!(refused["limit"], limit);
        }
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "capabilities": ["sms", "voice"] })).await.expect(200);
        app.ride(ann, bob).await.expect(201);
        let cyd = app.customer("Cyd", "+31611111111").await;
        let refused = app.ride(cyd, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_held");
        assert_eq!(app.get("/v1/rides").await.expect(200)["items"].as_array().unwrap().len(), 1);
        assert_eq!(app.send_due().await, 2, "only the one ride tells its people");
        app.finish().await;
    }

    async fn a_pool_of_one_number_serves_a_pair_for_ever(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        for round in 1..=4 {
            let ride = app.ride(ann, bob).await.expect(201);
            assert_eq!((id(&ride), ride["number_id"].as_i64()), (round, Some(number)));
            app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
            app.send_due().await;
            finish_ride(&app, round).await;
            // In grace, in cool-down, and after it.
            app.advance(Duration::days([0, 2, 9, 0][usize::try_from(round - 1).unwrap()])).await;
        }
        app.finish().await;
    }

    async fn the_next_ride_of_a_pair_carries_on_what_is_left_of_the_one_before(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let first = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        finish_ride(&app, id(&first)).await;
        let promised = app.get("/v1/rides/1").await.expect(200)["contact_until"].clone();
        // Owed when the next ride takes the number over: still sent, and before the new confirmations.
        app.simulate_text(ANN, NUMBER, "My umbrella!").await;
        app.simulate_text(BOB, NUMBER, "Which one?").await;
        app.tick();
        let second = app.ride(ann, bob).await.expect(201);
        assert_eq!(second["number_id"], number);
        app.send_due().await;
        let screen = app.screen(BOB).await;
        assert_eq!(texts(&screen)[1], "My umbrella!");
        assert!(texts(&screen)[2].starts_with("Hello Bob."));
        assert_eq!(texts(&app.screen(ANN).await)[1], "Which one?");
        let first = app.get("/v1/rides/1").await.expect(200);
        assert_eq!(first["contact_open"], false, "contact goes by the new ride now");
        app.post("/v1/rides/1/messages", &json!({ "to": "customer", "text": "x" })).await
            .expect_problem(409, "contact_closed");
        // However the new one ends, the two keep what they were promised.
        let cancelled = app.patch("/v1/rides/2", &json!({ "status": "cancelled" })).await.expect(200);
        assert_eq!(cancelled["contact_until"], promised);
        app.advance(Duration::hours(24) - Duration::seconds(2)).await;
        assert_eq!(app.simulate_call(ANN, NUMBER).await["outcome"], "connected");
        app.advance(Duration::seconds(1)).await;
        assert_eq!(app.simulate_call(ANN, NUMBER).await["outcome"], "announced");
        app.finish().await;
    }

    async fn nobody_else_gets_the_number_before_the_cool_down_is_over(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let cyd = app.customer("Cyd", "+31611111111").await;
        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        finish_ride(&app, ride).await;
        app.advance(Duration::hours(24) + Duration::days(7) - Duration::seconds(1)).await;
        app.ride(cyd, bob).await.expect_problem(409, "number_pool_depleted");
        // Somebody who has nothing to do with either phone may have it at any time.
        let (dan, eve) = (app.customer("Dan", "+31622222222").await, app.driver("Eve", "+31633333333").await);
        assert_eq!(app.ride(dan, eve).await.expect(201)["number_id"], number);
        app.advance(Duration::seconds(1)).await;
        assert_eq!(app.ride(cyd, bob).await.expect(201)["number_id"], number);
        app.send_due().await;
        // A late text of Ann's finds no ride any more, and certainly not Cyd's.
        app.simulate_text(ANN, NUMBER, "Bob?").await;
        assert_eq!(app.send_due().await, 0);
        app.finish().await;
    }

    async fn contact_closes_by_the_clock_though_no_worker_runs(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        // Planned in an hour, at most a day long, a day of grace: nobody ends it.
        app.advance(Duration::hours(49) - Duration::seconds(1)).await;
        app.simulate_text(ANN, NUMBER, "Still there?").await;
        assert_eq!(app.send_due().await, 1);
        app.advance(Duration::seconds(1)).await;
        app.simulate_text(ANN, NUMBER, "And now?").await;
        assert_eq!(app.send_due().await, 0);
        let path = format!("/v1/rides/{}", id(&ride));
        let open = app.get(&path).await.expect(200);
        assert_eq!((open["status"].as_str(), open["contact_open"].as_bool()), (Some("scheduled"), Some(false)));
        app.tidy().await;
        let ended = app.get(&path).await.expect(200);
        assert_eq!((ended["status"].as_str(), ended["ended_by"].as_str()), (Some("completed"), Some("timeout")));
        assert_eq!(ended["contact_until"], ride["contact_until"]);
        app.finish().await;
    }

    async fn a_status_moves_along_its_path_only(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let path = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let to = async |status: &str| app.patch(&path, &json!({ "status": status })).await;
        to("completed").await.expect_problem(409, "invalid_transition");
        to("scheduled").await.expect(200);
        to("in_progress").await.expect(200);
        assert_eq!(to("in_progress").await.expect(200)["status"], "in_progress");
        to("scheduled").await.expect_problem(409, "invalid_transition");
        let cancelled = to("cancelled").await.expect(200);
        let until = (app.now() + Duration::minutes(15)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        assert_eq!(cancelled["contact_until"], until.as_str());
        for status in ["scheduled", "in_progress", "completed"] {
            to(status).await.expect_problem(409, "invalid_transition");
        }
        app.finish().await;
    }

    async fn the_plan_changes_until_the_ride_has_ended_and_the_customer_never(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let cyd = app.customer("Cyd", "+31611111111").await;
        let path = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let later = (app.now() + Duration::days(3)).to_rfc3339();
        let changed = app.patch(&path, &json!({ "start": "Dam 2", "datetime": later })).await;
        assert_eq!(changed.header("etag"), "\"2\"");
        let changed = changed.expect(200);
        let until = (app.now() + Duration::days(5)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        assert_eq!((changed["start"].as_str(), changed["contact_until"].as_str()), (Some("Dam 2"), Some(&*until)));
        assert_eq!(app.patch(&path, &json!({})).await.header("etag"), "\"2\"");
        assert_eq!(app.send_due().await, 2, "both are told");
        app.patch(&path, &json!({ "driver_id": bob, "customer_id": ann })).await.expect(200);
        app.patch(&path, &json!({ "customer_id": cyd })).await.expect_problem(409, "party_change_unsupported");
        app.json("PATCH", &path, &[("if-match", "\"1\"")], &json!({ "start": "X" })).await
            .expect_problem(412, "stale_version");
        app.patch(&path, &json!({ "status": "cancelled" })).await.expect(200);
        app.patch(&path, &json!({ "start": "Dam 3" })).await.expect_problem(409, "ride_ended");
        app.patch(&path, &json!({ "external_id": "t-1" })).await.expect(200);
        app.patch(&path, &json!({ "external_id": null })).await.expect(200);
        app.finish().await;
    }

    async fn deleting_a_ride_closes_contact_at_once_and_cools_down(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        app.simulate_text(ANN, NUMBER, "Owed when the ride goes").await;
        app.delete(&format!("/v1/rides/{ride}")).await.expect(204);
        app.get(&format!("/v1/rides/{ride}")).await.expect_problem(404, "not_found");
        app.send_due().await;
        let owed = app.get(&format!("/v1/messages?ride_id={ride}&status=failed")).await.expect(200);
        assert_eq!(owed["items"][0]["reason"], "contact_closed");
        assert_eq!(app.screen(BOB).await.len(), 1, "the confirmation and nothing after it");
        assert_eq!(app.simulate_call(BOB, NUMBER).await["outcome"], "announced");
        let cyd = app.customer("Cyd", "+31611111111").await;
        app.ride(cyd, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(app.get(&format!("/v1/numbers/{number}")).await.expect(200)["open_rides"], 0);
        app.advance(Duration::days(7)).await;
        app.ride(cyd, bob).await.expect(201);
        app.send_due().await;
        app.finish().await;
    }

    async fn one_driver_and_two_hundred_customers_share_twenty_numbers_once_each(kind: Kind) {
        let app = TestApp::start(kind).await;
        let bob = app.driver("Bob", BOB).await;
        for at in 0..20 {
            app.number(&format!("+31970102{at:05}"), "simulator").await;
        }
        let mut customers = Vec::new();
        for at in 0..200 {
            customers.push(app.customer("Ann", &format!("+316100{at:05}")).await);
        }
        let soon = app.soon();
        let mut running = tokio::task::JoinSet::new();
        for ann in customers {
            let (api, soon) = (app.api.clone(), soon.clone());
            running.spawn(async move {
                let body = json!({
                    "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": soon,
                    "notify": false,
                });
                let key = format!("ride-of-{ann}");
                loop {
                    let answer = api.json("POST", "/v1/rides", &[("idempotency-key", &key)], &body).await;
                    // All at once may be too much for a small machine: whoever is asked to come again does.
                    if !matches!(answer.status, 429 | 503) {
                        return answer;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            });
        }
        let answers = running.join_all().await;
        let numbers: std::collections::HashSet<_> =
            answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.body["number_id"].as_i64()).collect();
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.body["code"] == "number_pool_depleted").count();
        assert_eq!((made, numbers.len(), refused), (20, 20, 180));
        assert_eq!(app.get("/v1/rides?limit=200").await.expect(200)["items"].as_array().unwrap().len(), 20);
        app.finish().await;
    }

    async fn people_who_share_a_phone_never_share_a_number(kind: Kind) {
        let app = TestApp::start(kind).await;
        for at in 0..4 {
            app.number(&format!("+31970102{at:05}"), "simulator").await;
        }
        // Ten drivers on one phone, ten customers on another: a hundred persons to lock, two phones to keep apart.
        let soon = app.soon();
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
            let (api, soon) = (app.api.clone(), soon.clone());
            running.spawn(async move {
                let body = json!({
                    "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": soon,
                    "notify": false,
                });
                api.post("/v1/rides", &body).await
            });
        }
        let answers = running.join_all().await;
        let mut numbers: Vec<_> = answers.iter().filter_map(|answer| answer.body["number_id"].as_i64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
        app.finish().await;
    }

    async fn a_ride_whose_time_is_up_cannot_be_put_off_though_no_worker_has_ended_it(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let path = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        app.advance(Duration::hours(49)).await;
        // Contact is closed, so Ann may change her phone, and somebody else may get her old one.
        app.patch(&format!("/v1/customers/{ann}"), &json!({ "phone_number": "+31611111111" })).await.expect(200);
        app.customer("Eve", ANN).await;
        let later = (app.now() + Duration::days(3)).to_rfc3339();
        app.patch(&path, &json!({ "datetime": later })).await.expect_problem(409, "ride_ended");
        app.patch(&path, &json!({ "status": "in_progress" })).await.expect_problem(409, "invalid_transition");
        app.simulate_text(ANN, NUMBER, "Eve here").await;
        assert_eq!(app.send_due().await, 0);
        app.tick();
        let ended = app.patch(&path, &json!({ "external_id": "t-1" })).await.expect(200);
        assert_eq!((ended["status"].as_str(), ended["ended_by"].as_str()), (Some("completed"), Some("timeout")));
        let events: Vec<_> = app.timeline(1).await.iter().filter_map(|item| item["event"].as_str().map(str::to_owned)).collect();
        assert_eq!(events, ["created", "completed", "contact_closed", "updated"]);
        app.finish().await;
    }

    async fn rides_are_listed_by_what_they_are(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        app.number("+3197010200002", "simulator").await;
        let body = json!({
            "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": app.soon(),
            "external_id": "t-1", "notify": false,
        });
        let first = app.post("/v1/rides", &body).await.expect(201);
        app.post("/v1/rides", &body).await.expect_problem(409, "external_id_taken");
        let second = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        finish_ride(&app, id(&second)).await;
        let count = async |query: &str| {
            app.get(&format!("/v1/rides?{query}")).await.expect(200)["items"].as_array().unwrap().len()
        };
        assert_eq!(count("external_id=t-1").await, 1);
        assert_eq!(count("status=completed").await, 1);
        assert_eq!(count(&format!("customer_id={ann}&driver_id={bob}")).await, 2);
        assert_eq!(count(&format!("driver_id={ann}")).await, 0);
        assert_eq!(count("contact_open=true").await, 2);
        assert_eq!(count("contact_open=false").await, 0);
        let on_first = if first["number_id"] == number { 1 } else { 0 };
        assert_eq!(count(&format!("number_id={number}&status=scheduled")).await, on_first);
        app.finish().await;
    }

    async fn the_platform_texts_a_party_while_contact_is_open(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = id(&app.ride(ann, bob).await.expect(201));
        let path = format!("/v1/rides/{ride}/messages");
        let sent = app.post(&path, &json!({ "to": "customer", "text": "Two minutes" })).await.expect(202);
        assert_eq!((sent["kind"].as_str(), sent["status"].as_str()), (Some("platform"), Some("queued")));
        app.send_due().await;
        assert_eq!(texts(&app.screen(ANN).await)[1], "Two minutes");
        let sent = app.get(&format!("/v1/messages/{}", id(&sent))).await.expect(200);
        assert_eq!((sent["status"].as_str(), sent["to_role"].as_str()), (Some("delivered"), Some("customer")));
        app.delete(&format!("/v1/rides/{ride}")).await.expect(204);
        app.post(&path, &json!({ "to": "customer", "text": "Too late" })).await.expect_problem(404, "not_found");
        app.finish().await;
    }
}
