//! `GET /v1/pool`: how far the numbers reach.

use chrono::{Duration, NaiveTime};
use serde_json::{Value, json};

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::ANN,
};

const BELGIAN: &str = "+32460000001";

fn reach(of: &Value) -> [i64; 4] {
    ["busiest_held", "needed_today", "free_at_median", "free_for_busiest"].map(|what| of[what].as_i64().unwrap())
}

async fn pool(app: &TestApp) -> Value {
    app.get("/v1/pool").await.expect(200)
}

/// An hour of the day at which neither yesterday nor tomorrow is near.
async fn at_noon(app: &mut TestApp) {
    let noon = app.now().date_naive().and_time(NaiveTime::MIN).and_utc() + Duration::hours(36);
    app.advance(noon - app.now()).await;
}

on_both_databases! {
    async fn the_pool_tells_how_far_it_reaches(kind: Kind) {
        let mut app = TestApp::with(kind, &[("POOL_LOW_WATER", "4")]).await;
        at_noon(&mut app).await;
        let empty = pool(&app).await;
        assert_eq!((reach(&empty), empty["low_water"].as_i64()), ([0, 0, 0, 0], Some(4)));
        assert_eq!(empty["low"], true);
        for number in 0..8 {
            app.number(&format!("+319701020000{number}"), "simulator").await;
        }
        let unused = pool(&app).await;
        assert_eq!((reach(&unused), unused["low"].as_bool()), ([0, 0, 8, 8], Some(false)));

        // Bob drives three people; with Ann twice at the same time, which takes two numbers for one pair.
        let bob = app.driver("Bob", "+31687654321").await;
        let ann = app.customer("Ann", ANN).await;
        let mut rides = vec![id(&app.ride(ann, bob).await.expect(201)), id(&app.ride(ann, bob).await.expect(201))];
        for person in 0..2 {
            let person = app.customer("Eve", &format!("+3161112220{person}")).await;
            rides.push(id(&app.ride(person, bob).await.expect(201)));
        }
        app.send_due().await;
        // Bob holds 4, Ann 2, the other two 1 each: so the median is 1.
        let held = pool(&app).await;
        assert_eq!((reach(&held), held["low"].as_bool()), ([4, 3, 6, 3], Some(true)));
        assert_eq!(reach(&held["groups"][0]), [4, 3, 6, 3]);

        // A number in cool-down is as held as one in contact; another pair's number takes nothing from Bob.
        for ride in &rides {
            app.delete(&format!("/v1/rides/{ride}")).await.expect(204);
        }
        let cooling = pool(&app).await;
        assert_eq!((reach(&cooling), cooling["open"].as_i64(), cooling["cooling"].as_i64()), ([4, 3, 6, 3], Some(0), Some(4)));
        // Tomorrow nobody needs them, and after the cool-down nobody holds them.
        app.advance(Duration::hours(24)).await;
        assert_eq!(reach(&pool(&app).await), [4, 0, 6, 3]);
        app.advance(Duration::days(6)).await;
        let over = pool(&app).await;
        assert_eq!((reach(&over), over["low"].as_bool()), ([0, 0, 8, 8], Some(false)));
        app.finish().await;
    }

    async fn each_group_reaches_as_far_as_its_own_numbers(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        at_noon(&mut app).await;
        let dutch = app.number("+3197010200001", "simulator").await;
        let bob = app.driver("Bob", "+31687654321").await;
        let belgian = app.customer("Ann", "+32470123456").await;
        app.number(BELGIAN, "simulator").await;
        app.ride(belgian, bob).await.expect(201);
        let eve = app.customer("Eve", "+31611122233").await;
        assert_eq!(app.ride(eve, bob).await.expect(201)["number_id"], dutch);
        app.send_due().await;
        app.patch(&format!("/v1/numbers/{dutch}"), &json!({ "status": "draining" })).await.expect(200);
        let pool = pool(&app).await;
        let groups = pool["groups"].as_array().unwrap().iter();
        let groups: Vec<_> = groups.map(|group| (group["country"].as_str().unwrap(), reach(group))).collect();
        assert_eq!(groups, [("BE", [1, 1, 0, 0]), ("NL", [1, 1, 0, 0])]);
        // Without a mark the pool is never low. The draining number is held, and not counted on.
        assert_eq!((reach(&pool), pool["low"].as_bool()), ([2, 2, 0, 0], Some(false)));
        app.finish().await;
    }
}
