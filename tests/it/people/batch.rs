//! Many at once: numbers in one call, and people named inside of a ride.

use serde_json::{Value, json};

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER},
};

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

fn numbers(phones: &[&str]) -> Value {
    let numbers = phones.iter().map(|phone| json!({ "phone_number": phone, "provider": "simulator" }));
    json!({ "numbers": numbers.collect::<Vec<_>>() })
}

on_both_databases! {
    async fn numbers_are_added_all_or_none(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.customer("Ann", ANN).await;
        let many: Vec<_> = (0..500).map(|at| format!("+31970102{at:05}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let made = app.json("POST", "/v1/numbers/batch", &[("idempotency-key", "k1")], &numbers(&many)).await.expect(201);
        let items = made["items"].as_array().unwrap();
        assert_eq!((items.len(), items[7]["phone_number"].as_str()), (500, Some("+3197010200007")));
        let again = app.json("POST", "/v1/numbers/batch", &[("idempotency-key", "k1")], &numbers(&many)).await.expect(201);
        assert_eq!(again, made);

        // What cannot be read, what is wrong, and what is there already: by place, and nothing is added.
        let mut body = numbers(&["+3197010300001", "nonsense", "+3197010300002"]);
        body["numbers"][2]["provider"] = json!(7);
        body["numbers"][0]["colour"] = json!("red");
        let wrong = app.post("/v1/numbers/batch", &body).await.expect_problem(422, "invalid_request");
        assert_eq!(pointers(&wrong), ["/numbers/0/colour", "/numbers/1/phone_number", "/numbers/2/provider"]);
        let mut body = numbers(&["+3197010300001", "+3197010300002", "+3197010300001"]);
        body["numbers"][1]["provider"] = json!("nobody");
        let wrong = app.post("/v1/numbers/batch", &body).await.expect_problem(422, "invalid_request");
        assert_eq!(pointers(&wrong), ["/numbers/1/provider", "/numbers/2/phone_number"]);
        let body = numbers(&["+3197010300001", "+3197010200007", ANN]);
        let wrong = app.post("/v1/numbers/batch", &body).await.expect_problem(409, "number_exists");
        assert_eq!(pointers(&wrong), ["/numbers/1/phone_number", "/numbers/2/phone_number"]);
        for body in [json!({ "numbers": [] }), json!({ "numbers": {} }), json!({})] {
            app.post("/v1/numbers/batch", &body).await.expect_problem(422, "invalid_request");
        }
        assert_eq!(app.get("/v1/pool").await.expect(200)["total"], 500);
        app.finish().await;
    }

    async fn two_imports_of_the_same_numbers_end_in_one(kind: Kind) {
        let app = TestApp::start(kind).await;
        let phones = ["+3197010200001", "+3197010200002", "+3197010200003"];
        let reversed: Vec<_> = phones.into_iter().rev().collect();
        let (there, back) = (numbers(&phones), numbers(&reversed));
        let both = [app.post("/v1/numbers/batch", &there), app.post("/v1/numbers/batch", &back)];
        let mut statuses: Vec<_> = futures_util::future::join_all(both).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(app.get("/v1/pool").await.expect(200)["total"], 3);
        app.finish().await;
    }

    async fn a_number_in_use_says_by_how_many(kind: Kind) {
        let app = TestApp::start(kind).await;
        let number = app.number(NUMBER, "simulator").await;
        for at in 0..3 {
            let (customer, driver) = (format!("+3161234560{at}"), format!("+3168765430{at}"));
            let (customer, driver) = (app.customer("Ann", &customer).await, app.driver("Bob", &driver).await);
            app.ride(customer, driver).await.expect(201);
        }
        let refused = app.delete(&format!("/v1/numbers/{number}")).await.expect_problem(409, "number_in_use");
        assert_eq!(refused["open_rides"], 3);
        app.send_due().await;
        app.finish().await;
    }

    async fn people_are_found_or_made_inside_of_a_ride(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        app.number("+3197010200002", "simulator").await;
        let body = |customer: Value, driver: Value| json!({
            "customer": customer, "driver": driver, "start": "A", "destination": "B", "datetime": app.soon(),
        });
        let ann = json!({ "external_id": "c-1", "name": "Ann", "phone_number": ANN, "language": "nl" });
        let bob = json!({ "external_id": "d-1", "name": "Bob", "phone_number": BOB });
        let first = app.post("/v1/rides", &body(ann.clone(), bob.clone())).await.expect(201);
        let second = app.post("/v1/rides", &body(json!({ "external_id": "c-1", "name": "Anna", "phone_number": ANN }), bob.clone())).await.expect(201);
        assert_eq!((&first["customer_id"], &first["driver_id"]), (&second["customer_id"], &second["driver_id"]));
        let known = app.get(&format!("/v1/customers/{}", first["customer_id"])).await.expect(200);
        assert_eq!((known["name"].as_str(), known["language"].as_str()), (Some("Anna"), Some("nl")));
        app.send_due().await;

        // Mistakes are named inside of them, and nothing is made.
        let wrong = app.post("/v1/rides", &body(json!({ "external_id": "c-2", "name": "", "phone_number": "x" }), json!(7))).await;
        let wrong = wrong.expect_problem(422, "invalid_request");
        assert_eq!(pointers(&wrong), ["/customer/name", "/customer/phone_number", "/driver"]);
        let mut both = body(ann.clone(), bob.clone());
        both["customer_id"] = json!(1);
        both.as_object_mut().unwrap().remove("driver");
        let wrong = app.post("/v1/rides", &both).await.expect_problem(422, "invalid_request");
        assert_eq!(pointers(&wrong), ["/customer", "/driver_id"]);
        let same = app.post("/v1/rides", &body(json!({ "external_id": "c-3", "name": "Cyd", "phone_number": BOB }), bob.clone())).await;
        assert_eq!(pointers(&same.expect_problem(422, "same_phone")), ["/customer/phone_number", "/driver/phone_number"]);
        let pooled = json!({ "external_id": "c-3", "name": "Cyd", "phone_number": NUMBER });
        app.post("/v1/rides", &body(pooled, bob.clone())).await.expect_problem(409, "phone_is_pool_number");
        // A phone that the other party of their open rides has is refused, and the whole ride with it.
        let moved = json!({ "external_id": "c-1", "name": "Anna", "phone_number": BOB });
        let refused = app.post("/v1/rides", &body(moved, json!({ "external_id": "d-2", "name": "Dan", "phone_number": "+31611111111" }))).await;
        assert_eq!(refused.expect_problem(409, "phone_barred")["rides"], json!([id(&first), id(&second)]));
        let people = app.get("/v1/customers").await.expect(200);
        assert_eq!(people["items"].as_array().unwrap().len(), 1);
        assert_eq!(app.pending_parts().await, 0);

        // The right to make rides alone does not make people.
        let client = app.post("/v1/clients", &json!({ "name": "rides", "scopes": ["rides:write", "drivers:write"] })).await.expect(201);
        let (name, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
        let rides = crate::harness::Api::sign_in(&app.base, (name, secret), None).await;
        let refused = rides.post("/v1/rides", &body(ann, bob)).await.expect_problem(403, "missing_scope");
        assert!(refused["detail"].as_str().unwrap().contains("customers:write"));
        app.finish().await;
    }

    async fn one_person_named_in_many_rides_at_once_is_made_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        for at in 0..8 {
            app.number(&format!("+319701020000{at}"), "simulator").await;
        }
        let rides = (0..8).map(|at| {
            let body = json!({
                "customer": { "external_id": "c-1", "name": "Ann", "phone_number": ANN },
                "driver": { "external_id": format!("d-{at}"), "name": "Bob", "phone_number": format!("+3168765430{at}") },
                "start": "A", "destination": "B", "datetime": app.soon(), "notify": false,
            });
            let app = &app;
            async move { app.post("/v1/rides", &body).await.expect(201) }
        });
        let made = futures_util::future::join_all(rides).await;
        assert!(made.iter().all(|ride| ride["customer_id"] == made[0]["customer_id"]));
        assert_eq!(made.iter().map(id).collect::<std::collections::HashSet<_>>().len(), 8);
        app.finish().await;
    }
}
