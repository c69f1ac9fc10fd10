//! What the platform hears: every event of every cause, once, in order, and with nothing personal in it.

mod log;

use std::sync::Arc;

use chrono::Duration;
use maskline::{app::App, clock::SystemClock};
use serde_json::{Value, json};

use crate::{
    carriers::{messagebird::MessageBird, stage::Stage, twilio::Twilio},
    harness::{
        Api, CLIENT, Kind, TestApp, TestDatabase,
        carrier::{Behaviour, CallNews, Carrier, News},
        config_for, id, on_both_databases, spec,
    },
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const STRANGER: &str = "+31611112222";
const SECOND: &str = "+3197010200002";

/// Type, status and reason of events.
fn words(events: &[Value]) -> Vec<String> {
    let said = events.iter().map(|event| {
        let data = &event["data"];
        let words = [&event["type"], &data["status"], &data["reason"]];
        words.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    });
    said.collect()
}

/// What was told since this was last asked, beside what is only of texts that we sent.
async fn news(app: &TestApp, cursor: &mut String) -> Vec<String> {
    app.place_events().await;
    let events = app.events(cursor).await;
    if let Some(last) = events.last() {
        *cursor = format!("after={}", last["cursor"].as_str().unwrap());
    }
    let events: Vec<_> = events.into_iter().filter(|event| event["data"]["kind"] != "notice").collect();
    words(&events)
}

on_both_databases! {
    async fn a_whole_ride_is_told_in_order(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(Twilio);
        let mut stage = Stage::under_way(&carrier, kind).await;
        let ride = format!("/v1/rides/{}", stage.ride);

        stage.text("t1", BOB, "I am here", &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        for news in [News::Sent, News::Delivered, News::Delivered] {
            stage.report(&sent[0], news).await;
        }
        let (status, body) = carrier.refusal();
        stage.api.script([Behaviour::Answer(status, vec![], body)]);
        stage.text("t2", ANN, "Where?", &[]).await;
        stage.text("t2", ANN, "Where?", &[]).await;
        stage.app.send_due().await;
        stage.text("t3", ANN, "Hello?", &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        stage.report(sent.last().unwrap(), News::Undelivered).await;
        stage.call("c1", BOB).await;
        stage.call_news("c1", BOB, ANN, CallNews::Answered).await;
        stage.call_news("c1", BOB, ANN, CallNews::Completed(42)).await;
        stage.call("c2", ANN).await;
        stage.call_news("c2", ANN, BOB, CallNews::NoAnswer).await;
        stage.app.patch(&ride, &json!({ "start": "Dam 2", "status": "in_progress", "notify": false })).await.expect(200);
        stage.app.patch(&ride, &json!({ "status": "completed" })).await.expect(200);
        stage.app.patch(&ride, &json!({ "status": "completed" })).await.expect(200);
        stage.app.tidy().await;
        let closes = stage.app.get(&ride).await.expect(200)["contact_until"].clone();
        stage.app.advance(Duration::hours(25)).await;
        for _ in 0..2 {
            stage.app.tidy().await;
        }
        stage.text("t4", ANN, "Still there?", &[]).await;
        stage.call("c3", BOB).await;

        stage.app.place_events().await;
        let events = stage.app.events(&format!("ride_id={}", stage.ride)).await;
        assert_eq!(words(&events), [
            "ride.created scheduled",
            "message.sent sent",
            "message.sent sent",
            "message.delivered delivered",
            "message.delivered delivered",
            "message.received received",
            "message.sent sent",
            "message.delivered delivered",
            "message.received received",
            "message.failed failed provider_rejected:21211",
            "message.received received",
            "message.sent sent",
            "message.failed undelivered undeliverable:30003",
            "call.connected answered",
            "call.ended completed",
            "call.failed no_answer",
            "ride.updated in_progress",
            "ride.started in_progress",
            "ride.completed completed platform",
            "ride.contact_closed completed",
            "contact.rejected contact_closed",
            "contact.rejected contact_closed",
        ]);
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect::<Vec<_>>();
        let shown = stage.app.get(&ride).await.expect(200);
        for data in of("ride.created") {
            for field in ["customer_id", "driver_id", "number_id"] {
                assert_eq!(data[field], shown[field]);
            }
        }
        let received = of("message.received");
        assert_eq!((&received[0]["from_role"], &received[0]["to_role"], &received[0]["kind"]), (&json!("driver"), &json!("customer"), &json!("relay")));
        let text = stage.app.get(&format!("/v1/messages/{}", received[0]["message_id"])).await.expect(200);
        assert_eq!((&text["text"], &text["number_id"]), (&json!("I am here"), &received[0]["number_id"]));
        let calls = stage.calls().await;
        let ended = &of("call.ended")[0];
        assert_eq!((&ended["call_id"], &ended["duration_s"], &ended["from_role"]), (&calls[0]["id"], &json!(42), &json!("driver")));
        assert!(of("call.connected")[0]["duration_s"].is_null());
        let closed = events.iter().find(|event| event["type"] == "ride.contact_closed").unwrap();
        assert_eq!(closed["timestamp"], closes, "the time at which it closed, not at which somebody noticed");
        let refused = of("contact.rejected");
        assert!(refused[0]["message_id"].is_i64() && refused[0]["call_id"].is_null(), "{refused:?}");
        assert!(refused[1]["call_id"].is_i64() && refused[1]["message_id"].is_null(), "{refused:?}");
        stage.app.finish().await;
    }

    async fn who_reaches_nobody_is_told_each_time_and_a_repeat_is_not(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::with(&carrier, kind, &[("SUPPORT_NUMBER", "+31201234567"), ("SIMULATOR", "on")]).await;
        stage.app.send_due().await;
        stage.app.number(SECOND, "simulator").await;
        let mut cursor = String::new();
        news(&stage.app, &mut cursor).await;
        for key in ["t1", "t2", "t2"] {
            stage.text(key, STRANGER, "Who is this?", &[]).await;
        }
        assert_eq!(news(&stage.app, &mut cursor).await, ["contact.rejected unknown_caller"; 2]);
        for key in ["c1", "c1", "c2"] {
            stage.call(key, "anonymous").await;
        }
        assert_eq!(news(&stage.app, &mut cursor).await, ["contact.rejected hidden_caller"; 2]);
        // A call that goes to support was rejected, and has a course.
        stage.app.simulate_call(STRANGER, SECOND).await;
        assert_eq!(news(&stage.app, &mut cursor).await, [
            "contact.rejected unknown_caller",
            "call.connected answered unknown_caller",
            "call.ended completed unknown_caller",
        ]);
        stage.app.simulate_text(STRANGER, "+3197010299999", "Hello?").await;
        stage.app.simulate_text(NUMBER, SECOND, "Ping").await;
        let odd = ["contact.rejected number_not_ours", "contact.rejected pool_number"];
        assert_eq!(news(&stage.app, &mut cursor).await, odd);
        // Nothing of it can go out: taken, and failed.
        stage.app.patch(&format!("/v1/numbers/{}", stage.number), &json!({ "capabilities": ["sms", "voice"] })).await.expect(200);
        stage.text("t3", ANN, "", &["https://cdn.example.com/a.jpg"]).await;
        let nothing = ["message.received received", "message.failed failed nothing_to_send"];
        assert_eq!(news(&stage.app, &mut cursor).await, nothing);
        // Nobody tells of the end of a call.
        stage.call("c3", ANN).await;
        stage.app.clock.advance(Duration::hours(5));
        for _ in 0..2 {
            stage.app.tidy().await;
        }
        let stage = Stage { app: signed_in(stage.app).await, ..stage };
        assert_eq!(news(&stage.app, &mut cursor).await, ["call.ended unknown"]);
        stage.app.finish().await;
    }

    async fn rides_that_nobody_ends_delete_hand_over_or_extend_close_once(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let mut cursor = String::new();
        let ride = async |app: &TestApp| {
            let ride = app.ride(ann, bob).await.expect(201);
            app.send_due().await;
            format!("/v1/rides/{}", id(&ride))
        };

        // Nobody ends it, and nobody looks for days: it was over before contact closed, and both when they were.
        let first = ride(&app).await;
        let planned = app.get(&first).await.expect(200);
        app.advance(Duration::days(4)).await;
        app.tidy().await;
        app.tidy().await;
        app.place_events().await;
        let events = app.events("type=ride.completed,ride.contact_closed").await;
        assert_eq!(words(&events), ["ride.completed completed timeout", "ride.contact_closed completed"]);
        assert_eq!((&events[0]["timestamp"], &events[1]["timestamp"]), (&planned["timeout_at"], &planned["contact_until"]));
        news(&app, &mut cursor).await;

        // Contact that is extended before somebody looks has not closed.
        let second = ride(&app).await;
        let until = app.now() + Duration::hours(2);
        let body = json!({ "until": until.to_rfc3339() });
        app.post(&format!("{second}/contact"), &body).await.expect(200);
        app.clock.advance(Duration::minutes(59));
        let body = json!({ "until": (until + Duration::hours(2)).to_rfc3339() });
        app.post(&format!("{second}/contact"), &body).await.expect(200);
        app.advance(Duration::minutes(90)).await;
        app.tidy().await;
        assert_eq!(news(&app, &mut cursor).await, ["ride.created scheduled", "ride.updated scheduled", "ride.updated scheduled"]);

        // The next ride of the two takes the number over, and the former's window closes at that moment.
        app.patch(&second, &json!({ "status": "cancelled" })).await.expect(200);
        let third = ride(&app).await;
        app.tick();
        app.tidy().await;
        assert_eq!(news(&app, &mut cursor).await, [
            "ride.cancelled cancelled platform",
            "ride.created scheduled",
            "ride.contact_closed cancelled",
        ]);

        // A deleted ride closes too.
        app.delete(&third).await.expect(204);
        for _ in 0..2 {
            app.tick();
            app.tidy().await;
        }
        assert_eq!(news(&app, &mut cursor).await, ["ride.contact_closed scheduled"]);
        app.finish().await;
    }

    async fn a_suspended_number_and_what_comes_of_it(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        let second = app.number(SECOND, "simulator").await;
        let mut cursor = String::new();
        news(&app, &mut cursor).await;
        let suspend = async |number: i64| {
            for body in [json!({ "status": "suspended" }), json!({ "status": "suspended", "capabilities": ["sms"] })] {
                app.patch(&format!("/v1/numbers/{number}"), &body).await.expect(200);
            }
            app.leave_suspended_numbers().await;
            app.send_due().await;
            app.tick();
            app.tidy().await;
        };
        suspend(number).await;
        assert_eq!(news(&app, &mut cursor).await, ["number.suspended suspended", "ride.updated scheduled"]);
        assert_eq!(app.events("type=ride.updated").await[0]["data"]["number_id"], second, "the one that it has now");
        suspend(second).await;
        assert_eq!(news(&app, &mut cursor).await, [
            "number.suspended suspended",
            "pool.depleted depleted none_active",
            "ride.updated scheduled number_suspended",
            "ride.contact_closed scheduled number_suspended",
        ]);
        assert_eq!(app.get(&format!("/v1/rides/{ride}")).await.expect(200)["contact_open"], false);
        app.finish().await;
    }

    async fn the_pool_is_told_once_however_many_replicas_look(kind: Kind) {
        let app = TestApp::with(kind, &[("POOL_LOW_WATER", "2")]).await;
        let (other, api) = app.replica().await;
        let bob = app.driver("Bob", BOB).await;
        for number in 0..3 {
            app.number(&format!("+319701020000{number}"), "simulator").await;
        }
        let customers = async |from: i64| {
            let mut all = Vec::new();
            for person in from..from + 3 {
                all.push(app.customer("Eve", &format!("+3161112220{person}")).await);
            }
            all
        };
        let look = async || {
            app.clock.advance(Duration::minutes(6));
            tokio::join!(app.tidy(), other.tidy());
            app.place_events().await;
            words(&app.events("type=pool.low,pool.depleted,pool.recovered").await)
        };
        assert!(look().await.is_empty());
        let first = customers(0).await;
        app.ride(first[0], bob).await.expect(201);
        assert_eq!(look().await, ["pool.low low"]);
        assert_eq!(look().await, ["pool.low low"]);
        for customer in &first[1..] {
            app.ride(*customer, bob).await.expect(201);
        }
        let next = customers(3).await;
        for _ in 0..2 {
            let body = json!({ "customer_id": next[0], "driver_id": bob, "start": "A", "destination": "B", "datetime": app.soon() });
            let (one, two) = tokio::join!(app.post("/v1/rides", &body), api.post("/v1/rides", &body));
            for refused in [one, two] {
                refused.expect_problem(409, "number_pool_depleted");
            }
        }
        let depleted = ["pool.low low", "pool.depleted depleted all_held"];
        assert_eq!(look().await, depleted);
        app.number("+3197010200004", "simulator").await;
        assert_eq!(look().await, depleted, "one more is less than two");
        for number in 5..9 {
            app.number(&format!("+319701020000{number}"), "simulator").await;
        }
        let recovered = ["pool.low low", "pool.depleted depleted all_held", "pool.recovered enough"];
        assert_eq!(look().await, recovered);
        assert_eq!(look().await, recovered);
        app.send_due().await;
        other.stop().await;
        app.finish().await;
    }

    async fn without_a_mark_the_pool_is_never_low_but_depleted_and_recovered(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        let body = json!({ "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": app.soon() });
        app.tidy().await;
        app.post("/v1/rides?dry_run=true", &body).await.expect(200);
        let mut cursor = String::new();
        assert!(news(&app, &mut cursor).await.is_empty(), "a dry run tells nobody");
        app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
        app.tidy().await;
        assert_eq!(news(&app, &mut cursor).await, ["pool.depleted depleted no_numbers"]);
        app.number(NUMBER, "simulator").await;
        app.clock.advance(Duration::minutes(6));
        app.tidy().await;
        assert_eq!(news(&app, &mut cursor).await, ["pool.recovered enough"]);
        app.finish().await;
    }

    async fn workers_place_events_by_themselves(kind: Kind) {
        let db = TestDatabase::fresh(kind).await;
        let app = App::build(config_for(&db.url, &[]), Arc::new(SystemClock)).await.expect("the service starts");
        let running = app.start(true);
        let api = Api::sign_in(&format!("http://{}", running.address), CLIENT, None).await;
        let number = api.number(NUMBER, "simulator").await;
        api.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "suspended" })).await.expect(200);
        let placed = async {
            while api.events("").await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), placed).await.expect("it is placed soon");
        running.stop().await;
    }
}

/// The same, with a token of now.
async fn signed_in(mut app: TestApp) -> TestApp {
    app.advance(Duration::zero()).await;
    app
}

#[test]
fn every_type_has_a_webhook_with_an_example_that_fits_and_a_line_in_the_guide() {
    let guide = std::fs::read_to_string("docs/events.md").unwrap();
    let webhooks = spec::DOCUMENT["webhooks"].as_object().unwrap();
    let is_event = |name: &str| !name.starts_with("intercept.") && name != "endpoint.ping";
    assert_eq!((webhooks.len(), webhooks.keys().filter(|name| is_event(name)).count()), (23, 20));
    for (name, webhook) in webhooks.iter().filter(|(name, _)| is_event(name)) {
        let operation = &webhook["post"];
        let headers: Vec<_> =
            operation["parameters"].as_array().unwrap().iter().map(|header| &header["name"]).collect();
        assert_eq!(headers, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
        assert!(operation["summary"].is_string() && operation["responses"]["2XX"].is_object(), "{name}");
        let reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
        let delivered = spec::DOCUMENT.pointer(&reference[1..]).unwrap();
        let logged = reference[1..].trim_end_matches("WithText");
        assert_eq!(logged != &reference[1..], name.starts_with("message."), "{name}: who asks for texts gets those");
        let schema = spec::DOCUMENT.pointer(logged).unwrap();
        assert_eq!(schema["properties"]["type"]["const"], name.as_str());
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let example = &schema["examples"][0];
        let wrong: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        // Neither a phone nor a text fits, whatever the field.
        for (field, property) in schema["properties"]["data"]["properties"].as_object().unwrap() {
            for canary in ["+31612345678", "31612345678", "I am here"] {
                let property = jsonschema::draft202012::new(property).unwrap();
                assert!(!property.is_valid(&json!(canary)), "{field} of {name} takes {canary}");
            }
        }
        let mut with_text = example.clone();
        with_text["data"]["text"] = "I am here".into();
        assert!(!validator.is_valid(&with_text), "{name}");
        let delivered = jsonschema::draft202012::new(delivered).unwrap();
        assert_eq!(delivered.is_valid(&with_text), name.starts_with("message."), "{name}");
        let line = format!("| `{name}` | {} |", operation["description"].as_str().unwrap());
        assert!(guide.contains(&line), "docs/events.md lacks\n{line}");
    }
}
