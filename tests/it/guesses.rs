//! A client that may not see phones cannot guess them either: what it compares with stored phones is counted.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Api, CLIENT, Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const RIDES: &str = "/v1/rides";
const DRY: &str = "/v1/rides?dry_run=true";
const NARROW: &str = "customers:read customers:write drivers:read drivers:write numbers:write rides:read rides:write \
                      simulator:use";

/// The usual client with a token that does not let it see phones.
async fn narrow(app: &TestApp) -> Api {
    Api::sign_in(&app.base, CLIENT, Some(NARROW)).await
}

/// A phone that could be somebody's.
fn guess(at: usize) -> String {
    format!("+316123{at:05}")
}

fn inline(external_id: &str, phone: &str) -> Value {
    json!({ "external_id": external_id, "name": "Guess", "phone_number": phone })
}

fn ride(app: &TestApp, people: Value) -> Value {
    let mut body = json!({ "start": "A", "destination": "B", "datetime": app.soon(), "notify": false });
    body.as_object_mut().unwrap().extend(people.as_object().unwrap().clone());
    body
}

async fn pool(app: &TestApp, size: usize) {
    let numbers = (0..size).map(|at| json!({ "phone_number": format!("+31970104{at:05}"), "provider": "simulator" }));
    app.post("/v1/numbers/batch", &json!({ "numbers": numbers.collect::<Vec<_>>() })).await.expect(201);
}

#[track_caller]
fn limited(answer: Answer, within: i64) {
    let wait: i64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=within).contains(&wait), "{wait} s");
    answer.expect_problem(429, "rate_limited");
}

async fn rows(app: &TestApp) -> Vec<(i64, String, Vec<u8>)> {
    let db = Database::connect(&app.db.direct).await.unwrap();
    let sql = "SELECT client_id, subject, digest FROM comparisons ORDER BY subject";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let rows = rows.iter().map(|row| {
        let get = |name: &str| row.try_get("", name).unwrap();
        (row.try_get("", "client_id").unwrap(), get("subject"), row.try_get("", "digest").unwrap())
    });
    let rows = rows.collect();
    db.close().await.unwrap();
    rows
}

on_both_databases! {
    async fn dry_runs_do_not_tell_a_phone(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, ..) = ann_and_bob(&app).await;
        let api = narrow(&app).await;
        let (second, replica) = app.replica().await;
        let replica = replica.with_token(&api.token);
        let body = |phone: &str| ride(&app, json!({ "customer_id": ann, "driver": inline("guesser", phone) }));
        for at in 0..10 {
            let at_one = if at % 2 == 0 { &api } else { &replica };
            at_one.post(DRY, &body(&guess(at))).await.expect(200);
        }
        limited(api.post(DRY, &body(&guess(0))).await, 60);
        limited(replica.post(DRY, &body(ANN)).await, 60);
        app.clock.advance(Duration::seconds(61));
        // A minute later, the hour's limit on different phones counts, and a hit looks like a miss.
        limited(api.post(DRY, &body(&guess(10))).await, 3600);
        limited(replica.post(DRY, &body(ANN)).await, 3600);
        limited(api.post(RIDES, &body(ANN)).await, 3600);
        api.post(DRY, &body(&guess(3))).await.expect(200);
        // Who may see phones has no limit.
        for at in 0..30 {
            app.post(DRY, &body(&guess(at))).await.expect(200);
        }
        app.post(DRY, &body(ANN)).await.expect_problem(422, "same_phone");
        for (client, subject, digest) in rows(&app).await {
            assert_eq!(client, 1);
            assert!(subject == "dry_run" || subject == format!("person:{ann}"), "{subject}");
            let digits = String::from_utf8_lossy(&digest).into_owned();
            assert!([&ANN[1..], &ANN[3..], &guess(0)[1..]].iter().all(|phone| !digits.contains(phone)), "{digits:?}");
        }
        second.stop().await;
        app.finish().await;
    }

    async fn an_hour_later_there_are_ten_more(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, ..) = ann_and_bob(&app).await;
        pool(&app, 30).await;
        let mut api = narrow(&app).await;
        for hour in 0..3 {
            for at in 0..10 {
                let people = json!({ "customer_id": ann, "driver": inline(&format!("d{hour}-{at}"), &guess(hour * 10 + at)) });
                api.post(RIDES, &ride(&app, people)).await.expect(201);
            }
            let people = json!({ "customer_id": ann, "driver": inline("last", &guess(99)) });
            limited(api.post(RIDES, &ride(&app, people)).await, 3600);
            app.advance(Duration::minutes(61)).await;
            api = narrow(&app).await;
        }
        assert!(!rows(&app).await.is_empty());
        app.tidy().await;
        assert!(rows(&app).await.is_empty(), "they are forgotten");
        app.finish().await;
    }

    async fn real_rides_count_and_each_person_and_client_by_itself(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        pool(&app, 30).await;
        let api = narrow(&app).await;
        let with = |phone: &str, external: &str| ride(&app, json!({ "customer_id": ann, "driver": inline(external, phone) }));
        for at in 0..10 {
            api.post(RIDES, &with(&guess(at), &format!("d{at}"))).await.expect(201);
        }
        limited(api.post(RIDES, &with(ANN, "hit")).await, 3600);
        limited(api.post(RIDES, &with(&guess(77), "miss")).await, 3600);
        let (_, drivers) = (app.get("/v1/drivers?external_id=miss").await, app.get("/v1/drivers?external_id=hit").await);
        assert_eq!(drivers.expect(200)["items"], json!([]), "nothing is stored");
        let by_id = ride(&app, json!({ "customer_id": ann, "driver_id": bob }));
        limited(api.post(RIDES, &by_id).await, 3600);
        // Another customer, another client.
        let cyd = app.customer("Cyd", "+31611111111").await;
        let other = ride(&app, json!({ "customer_id": cyd, "driver": inline("hit", ANN) }));
        api.post(RIDES, &other).await.expect(201);
        let scopes: Vec<_> = NARROW.split(' ').collect();
        let made = app.post("/v1/clients", &json!({ "name": "other", "scopes": scopes })).await.expect(201);
        let credentials = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
        let second = Api::sign_in(&app.base, credentials, None).await;
        second.post(RIDES, &with(ANN, "hit")).await.expect_problem(422, "same_phone");
        app.post(RIDES, &with(ANN, "hit")).await.expect_problem(422, "same_phone");
        app.finish().await;
    }

    async fn guesses_that_come_at_once_are_ten_at_most(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, ..) = ann_and_bob(&app).await;
        pool(&app, 40).await;
        let api = narrow(&app).await;
        let (second, replica) = app.replica().await;
        let replica = replica.with_token(&api.token);
        let bodies: Vec<_> = (0..40)
            .map(|at| ride(&app, json!({ "customer_id": ann, "driver": inline(&format!("d{at}"), &guess(at)) })))
            .collect();
        let posts = bodies.iter().enumerate().map(|(at, body)| [&api, &replica][at % 2].post(RIDES, body));
        let answers = futures_util::future::join_all(posts).await;
        let told = answers.iter().filter(|answer| answer.status != 429 || answer.body["code"] != "rate_limited").count();
        assert!(told <= 10, "{told} of 40");
        let about_ann = rows(&app).await.into_iter().filter(|(_, subject, _)| *subject == format!("person:{ann}")).count();
        assert_eq!(about_ann, 10);
        second.stop().await;
        app.finish().await;
    }

    async fn people_by_id_are_compared_too(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        pool(&app, 30).await;
        let api = narrow(&app).await;
        let mut drivers = Vec::new();
        for at in 0..12 {
            drivers.push(api.driver("Guess", &guess(at)).await);
        }
        let same = api.driver("Hit", ANN).await;
        for driver in &drivers[..9] {
            api.post(RIDES, &ride(&app, json!({ "customer_id": ann, "driver_id": driver }))).await.expect(201);
        }
        // The tenth comes by way of another driver for a ride.
        let rides = id(&api.post(RIDES, &ride(&app, json!({ "customer_id": ann, "driver_id": drivers[0] }))).await.expect(201));
        let path = format!("{RIDES}/{rides}");
        api.patch(&path, &json!({ "driver_id": drivers[9] })).await.expect(200);
        for driver in [drivers[10], same, bob] {
            limited(api.patch(&path, &json!({ "driver_id": driver })).await, 3600);
            limited(api.post(RIDES, &ride(&app, json!({ "customer_id": ann, "driver_id": driver }))).await, 3600);
        }
        // One driver whose phone changes is no way around it.
        let other = app.customer("Cyd", "+31611111111").await;
        let mut tried = 0;
        for at in 100..120 {
            let answer = api.patch(&format!("/v1/drivers/{bob}"), &json!({ "phone_number": guess(at) })).await;
            if answer.status == 429 {
                limited(answer, 3600);
                break;
            }
            answer.expect(200);
            tried += 1;
            api.post(DRY, &ride(&app, json!({ "customer_id": other, "driver_id": bob }))).await;
        }
        assert_eq!(tried, 8, "and the phones of Ann and Cyd, with which rides compared Bob's");
        app.send_due().await;
        app.finish().await;
    }

    async fn a_new_phone_of_one_person_does_not_tell_anothers(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (_, bob, _) = ann_and_bob(&app).await;
        pool(&app, 5).await;
        let api = narrow(&app).await;
        let mut own = Vec::new();
        for at in 0..3 {
            own.push(api.customer("Own", &guess(900 + at)).await);
            app.ride(own[at], bob).await.expect(201);
        }
        app.send_due().await;
        let new = |at: usize| json!({ "phone_number": guess(at) });
        for at in 0..10 {
            api.patch(&format!("/v1/customers/{}", own[at % 3]), &new(at)).await.expect(200);
        }
        for person in own {
            let path = format!("/v1/customers/{person}");
            limited(api.patch(&path, &json!({ "phone_number": BOB })).await, 3600);
            limited(api.patch(&path, &new(50)).await, 3600);
            api.patch(&path, &json!({ "name": "Owner" })).await.expect(200);
            app.patch(&path, &json!({ "phone_number": BOB })).await.expect_problem(409, "phone_barred");
        }
        // Nor by way of a ride that names the person with a new phone.
        app.patch("/v1/customers/1", &json!({ "external_id": "ann" })).await.expect(200);
        for at in 0..10 {
            let people = json!({ "customer": inline("ann", &guess(60 + at)), "driver": inline("dry", "+31622222222") });
            api.post(DRY, &ride(&app, people)).await.expect(200);
        }
        app.clock.advance(Duration::minutes(2));
        for phone in [ANN, &guess(80)] {
            let people = json!({ "customer": inline("ann", phone), "driver": inline("dry", "+31622222222") });
            limited(api.post(DRY, &ride(&app, people)).await, 3600);
        }
        limited(api.patch("/v1/customers/1", &json!({ "phone_number": ANN })).await, 3600);
        app.finish().await;
    }

    async fn rides_of_an_honest_backend_are_not_limited(kind: Kind) {
        let app = TestApp::start(kind).await;
        pool(&app, 40).await;
        let api = narrow(&app).await;
        for at in 0..60 {
            let driver = at % 2;
            let customer = inline(&format!("c{at}"), &guess(at));
            let people = json!({ "customer": customer, "driver": inline(&format!("d{driver}"), &format!("+3168765000{driver}")) });
            api.post(RIDES, &ride(&app, people.clone())).await.expect(201);
            if at % 20 == 0 {
                api.post(RIDES, &ride(&app, people)).await.expect(201);
            }
        }
        for at in 0..30 {
            let ann = api.customer("Ann", &guess(200 + at)).await;
            let people = json!({ "customer_id": ann, "driver": inline("d0", "+31687650000") });
            let made = api.post(RIDES, &ride(&app, people)).await;
            assert!(made.status == 201 || made.body["code"] == "number_pool_depleted", "{}", made.text);
        }
        app.finish().await;
    }

    async fn an_import_of_numbers_does_not_tell_whose_phones_they_are(kind: Kind) {
        let app = TestApp::start(kind).await;
        ann_and_bob(&app).await;
        let api = narrow(&app).await;
        let numbers = |phones: &[String]| {
            let each = phones.iter().map(|phone| json!({ "phone_number": phone, "provider": "simulator" }));
            json!({ "numbers": each.collect::<Vec<_>>() })
        };
        let mut many: Vec<_> = (0..40).map(guess).collect();
        many.push(ANN.to_owned());
        // With a number of the pool among them, nobody's phone is looked at.
        let listed = [&many[..], &[NUMBER.to_owned()]].concat();
        let refused = api.post("/v1/numbers/batch", &numbers(&listed)).await.expect_problem(409, "number_exists");
        assert_eq!(refused["errors"].as_array().unwrap().len(), 1);
        let refused = api.post("/v1/numbers/batch", &numbers(&many)).await.expect_problem(403, "missing_scope");
        assert!(refused["detail"].as_str().unwrap().contains("phone_numbers:reveal"));
        app.post("/v1/numbers/batch", &numbers(&many)).await.expect_problem(409, "number_is_persons_phone");
        for at in 0..5 {
            let few = [guess(2 * at), ANN.to_owned()];
            api.post("/v1/numbers/batch", &numbers(&few)).await.expect_problem(409, "number_is_persons_phone");
        }
        let one = |phone: &str| json!({ "phone_number": phone, "provider": "simulator" });
        api.post("/v1/numbers", &one(BOB)).await.expect_problem(409, "number_is_persons_phone");
        for at in 5..8 {
            let few = [guess(2 * at), ANN.to_owned()];
            api.post("/v1/numbers/batch", &numbers(&few)).await.expect_problem(409, "number_is_persons_phone");
        }
        limited(api.post("/v1/numbers/batch", &numbers(&[guess(30), ANN.to_owned()])).await, 3600);
        let fresh: Vec<_> = (0..200).map(|at| format!("+31970106{at:05}")).collect();
        api.post("/v1/numbers/batch", &numbers(&fresh)).await.expect(201);
        app.finish().await;
    }

    async fn a_repeat_under_a_known_key_does_not_tell_a_phone(kind: Kind) {
        let app = TestApp::start(kind).await;
        let key = [("idempotency-key", "trip-1")];
        let body = |phone: &str| json!({ "name": "Ann", "phone_number": phone });
        let made = app.json("POST", "/v1/customers", &key, &body(ANN)).await.expect(201);
        let api = narrow(&app).await;
        let again = api.json("POST", "/v1/customers", &key, &body(ANN)).await.expect(201);
        assert_eq!(id(&again), id(&made), "an honest repeat");
        for at in 0..9 {
            api.json("POST", "/v1/customers", &key, &body(&guess(at))).await.expect_problem(422, "idempotency_key_reused");
        }
        limited(api.json("POST", "/v1/customers", &key, &body(&guess(10))).await, 3600);
        api.json("POST", "/v1/customers", &key, &body(ANN)).await.expect(201);
        // Where the right one is not among the first ten, it is refused like the others.
        let key = [("idempotency-key", "trip-2")];
        app.json("POST", "/v1/customers", &key, &body(BOB)).await.expect(201);
        for at in 0..10 {
            api.json("POST", "/v1/customers", &key, &body(&guess(at))).await.expect_problem(422, "idempotency_key_reused");
        }
        limited(api.json("POST", "/v1/customers", &key, &body(BOB)).await, 3600);
        app.json("POST", "/v1/customers", &key, &body(BOB)).await.expect(201);
        app.finish().await;
    }

    async fn the_simulator_acts_as_ten_phones_an_hour(kind: Kind) {
        let app = TestApp::start(kind).await;
        ann_and_bob(&app).await;
        let api = narrow(&app).await;
        for at in 0..4 {
            api.get(&format!("/v1/simulator/phones/{}", guess(at))).await.expect(200);
            api.simulate_call(&guess(10 + at), NUMBER).await;
        }
        api.simulate_text(ANN, NUMBER, "Hello").await;
        api.simulate_text(BOB, NUMBER, "Hello").await;
        api.screen(ANN).await;
        limited(api.get(&format!("/v1/simulator/phones/{}", guess(50))).await, 3600);
        let call = json!({ "from": guess(51), "to": NUMBER });
        limited(api.post("/v1/simulator/calls", &call).await, 3600);
        let text = json!({ "from": guess(51), "to": NUMBER, "text": "Hello" });
        limited(api.post("/v1/simulator/texts", &text).await, 3600);
        app.screen(&guess(50)).await;
        app.finish().await;
    }
}
