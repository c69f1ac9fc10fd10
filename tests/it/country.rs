//! Numbers of a party's country first.

use serde_json::json;

use crate::harness::{Kind, TestApp, id, on_both_databases};

const DUTCH: &str = "+3197010200001";
const BRITISH: &str = "+447400123456";
const AMERICAN: &str = "+12025550123";

/// A Dutch customer and a British driver.
async fn abroad(app: &TestApp) -> (i64, i64) {
    (app.customer("Ann", "+31612345678").await, app.driver("Bob", "+447400123111").await)
}

on_both_databases! {
    async fn the_customers_country_goes_before_the_drivers_and_that_before_any(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob) = abroad(&app).await;
        let mut numbers = Vec::new();
        for number in [AMERICAN, BRITISH, DUTCH] {
            numbers.push(app.number(number, "simulator").await);
        }
        // Every ride of theirs takes a number that they do not hold yet.
        let mut taken = Vec::new();
        for _ in 0..3 {
            let ride = app.ride(ann, bob).await.expect(201);
            taken.push(ride["proxy_number"].as_str().unwrap().to_owned());
        }
        assert_eq!(taken, [DUTCH, BRITISH, AMERICAN]);
        let refused = app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_held");
        app.send_due().await;
        app.finish().await;
    }

    async fn strictly_no_other_country_is_used(kind: Kind) {
        let mut app = TestApp::with(kind, &[("NUMBER_MATCH", "strict")]).await;
        let (ann, bob) = abroad(&app).await;
        app.number(AMERICAN, "simulator").await;
        let refused = app.ride(ann, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "none_in_country");
        app.number(BRITISH, "simulator").await;
        let ride = app.ride(ann, bob).await.expect(201);
        assert_eq!(ride["proxy_number"], BRITISH);
        app.send_due().await;
        // Another driver of the same country: the customer's number cools down for her.
        app.patch(&format!("/v1/rides/{}", id(&ride)), &json!({ "status": "cancelled" })).await.expect(200);
        app.advance(chrono::Duration::hours(1)).await;
        let cyd = app.driver("Cyd", "+447400123222").await;
        let refused = app.ride(ann, cyd).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "all_cooling");
        app.finish().await;
    }
}
