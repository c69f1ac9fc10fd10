//! Endpoints that fail: an event, for a while, for good.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::{PATH, Post, Stage, by_ride, subscribe};
use crate::harness::{
    Kind, on_both_databases,
    subscriber::{Act, Subscriber},
};

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}

on_both_databases! {
    async fn an_event_that_is_refused_is_tried_with_growing_gaps_for_a_day_and_then_given_up(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.subscriber.on_type("call.failed", Some(Act::Answer(500)));
        let refused = stage.on_ride(1, "call.failed").await;
        let behind = stage.on_ride(1, "call.ended").await;
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [behind], "the log goes on");
        let mut gaps = Vec::new();
        loop {
            let retries = stage.list("retries?state=pending").await;
            let Some(retry) = retries.first() else { break };
            assert_eq!((&retry["event_id"], retry["attempts"].as_u64()), (&json!(refused), Some(gaps.len() as u64 + 1)));
            let pause = time(&retry["due_at"]) - stage.app.now();
            stage.pass(pause - Duration::milliseconds(1));
            // What is taken meanwhile keeps the endpoint in good standing.
            stage.on_ride(2, "ride.updated").await;
            stage.deliver().await;
            stage.pass(Duration::milliseconds(1));
            stage.deliver().await;
            assert_eq!(stage.subscriber.take().len(), 2, "the one, and not the other before its time");
            gaps.push(pause);
        }
        assert!(gaps.is_sorted() && gaps.len() == 10, "{gaps:?}");
        assert!(gaps.iter().sum::<Duration>() > Duration::hours(24));
        let dead = stage.list("retries?state=dead").await;
        assert_eq!((&dead[0]["event_id"], dead[0]["attempts"].as_i64(), dead[0].get("due_at")), (&json!(refused), Some(11), None));
        let attempts = stage.app.get(&format!("/v1/events/{refused}/attempts?order=desc")).await.expect(200);
        let attempts = attempts["items"].as_array().unwrap();
        assert_eq!(attempts.len(), 11);
        assert!(attempts.iter().all(|attempt| attempt["failure"] == "http_status" && attempt["status"] == 500));
        stage.pass(Duration::days(1));
        assert_eq!(stage.deliver().await, 0);

        stage.subscriber.on_type("call.failed", None);
        stage.list("attempts").await;
        stage.app.post(&format!("/v1/events/{refused}/redeliver"), &json!({})).await.expect(202);
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [refused]);
        assert!(stage.list("retries").await.is_empty());
        stage.finish().await;
    }

    async fn an_endpoint_that_is_down_is_left_alone_and_misses_nothing(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let healthy = Subscriber::start().await;
        subscribe(&stage.app, &healthy, &json!({})).await;
        stage.move_to("http://127.0.0.1:9/").await;
        let mut expected = Vec::new();
        for at in 0..40 {
            expected.push(stage.on_ride(at % 4, "ride.updated").await);
        }
        let since = stage.app.now();
        stage.deliver().await;
        assert_eq!(stage.list("attempts").await.len(), 5, "then its gate is closed");
        assert_eq!(healthy.taken().len(), 40);
        assert_eq!(stage.deliver().await, 0);
        stage.pass(Duration::seconds(34));
        stage.deliver().await;
        assert_eq!(stage.list("attempts").await.len(), 6, "one tries the gate");
        for _ in 0..20 * 12 {
            stage.pass(Duration::minutes(5));
            stage.deliver().await;
        }
        let tries = stage.list("attempts?limit=200").await.len() - 6;
        assert!((15..40).contains(&tries), "{tries} tries in 20 hours");
        for at in 40..100 {
            expected.push(stage.on_ride(at % 4, "ride.updated").await);
        }
        stage.deliver().await;
        let failing = stage.endpoint().await;
        assert_eq!((failing["status"].as_str(), time(&failing["failing_since"])), (Some("enabled"), since));
        assert!(failing["behind"].as_i64().unwrap() >= 59);

        let url = stage.subscriber.url.clone();
        stage.move_to(&url).await;
        stage.pass(Duration::minutes(67));
        stage.deliver().await;
        let posts = stage.subscriber.take();
        let mut taken: Vec<_> = posts.iter().map(|post| post.event()).collect();
        taken.sort_unstable();
        assert_eq!(taken, expected, "everything, and nothing twice");
        let late = &expected[40..];
        for ride in 0..4 {
            let of_ride: Vec<_> = by_ride(&posts, ride).into_iter().filter(|event| late.contains(event)).collect();
            assert!(of_ride.is_sorted() && of_ride.len() == 15);
        }
        let back = stage.endpoint().await;
        assert_eq!((back.get("failing_since"), back["behind"].as_i64()), (None, Some(0)));
        assert!(stage.list("retries").await.is_empty());
        stage.finish().await;
    }

    async fn what_is_refused_for_good_holds_up_nothing_else(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.subscriber.on_type("call.failed", Some(Act::Answer(422)));
        let (mut others, mut refused) = (Vec::new(), Vec::new());
        for at in 0..60 {
            match at {
                20..40 => refused.push(stage.on_ride(at % 4, "call.failed").await),
                _ => others.push(stage.on_ride(at % 4, "ride.updated").await),
            }
        }
        let mut posts = Vec::new();
        let begin = stage.app.now();
        let is_through = |posts: &[Post]| posts.iter().filter(|post| post.is_taken).count() == others.len();
        while !is_through(&posts) {
            stage.deliver().await;
            posts.extend(stage.subscriber.take());
            stage.pass(Duration::seconds(10));
        }
        let took = stage.app.now() - begin;
        assert!(took < Duration::minutes(20), "{took}: it is asked once a minute at least, as it answers");
        posts.retain(|post| post.is_taken);
        for ride in 0..4 {
            assert!(by_ride(&posts, ride).is_sorted());
        }
        // From now on, the refused ones are tried again beside what happens, until they are given up.
        for at in 0..12 * 31 {
            stage.pass(Duration::minutes(5));
            let news = stage.on_ride(at % 4, "ride.updated").await;
            stage.deliver().await;
            let first = stage.subscriber.taken();
            assert_eq!(first, [news], "it is not left alone for what it refused before");
        }
        let dead = stage.list("retries?state=dead&limit=100").await;
        let given_up: Vec<_> = dead.iter().map(|retry| retry["event_id"].as_i64().unwrap()).collect();
        assert_eq!(given_up, refused);
        assert!(dead.iter().all(|retry| retry["attempts"] == 11), "{dead:?}");
        assert!(stage.list("retries?state=pending").await.is_empty());
        let endpoint = stage.endpoint().await;
        assert_eq!((&endpoint["status"], endpoint.get("failing_since")), (&json!("enabled"), None));
        stage.finish().await;
    }

    async fn what_is_asked_for_again_while_it_is_tried_is_not_lost(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.subscriber.script([Act::Answer(500), Act::Late(std::time::Duration::from_millis(500))]);
        let event = stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        stage.pass(Duration::seconds(6));
        let again = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            stage.app.tick();
            stage.app.post(&format!("/v1/events/{event}/redeliver"), &json!({})).await.expect(202);
        };
        tokio::join!(stage.deliver(), again);
        assert_eq!(stage.subscriber.taken(), [event, event]);
        assert!(stage.list("retries").await.is_empty());
        stage.finish().await;
    }

    async fn an_endpoint_that_cannot_be_read_stops_no_other(kind: Kind) {
        let stage = Stage::set(kind).await;
        let others = [Subscriber::start().await, Subscriber::start().await];
        for (column, other) in ["types", "secret_sealed"].into_iter().zip(&others) {
            let (broken, _) = subscribe(&stage.app, other, &json!({})).await;
            let value = if column == "types" { "nonsense".into() } else { vec![1_u8, 2, 3].into() };
            let sql = format!("UPDATE event_endpoints SET {column} = $1 WHERE id = $2");
            stage.run(&sql, [value, broken.into()]).await;
        }
        let event = stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        stage.app.post(&format!("/v1/events/{event}/redeliver"), &json!({})).await.expect(202);
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [event, event]);
        assert!(others.iter().all(|other| other.take().is_empty()));
        stage.finish().await;
    }

    async fn after_five_days_of_failure_an_endpoint_is_disabled_and_goes_on_from_there_when_enabled(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.subscriber.always(Some(Act::Answer(410)));
        let mut expected = vec![stage.on_ride(1, "ride.created").await];
        for hour in 0..24 * 6 {
            expected.push(stage.on_ride(1, "ride.updated").await);
            stage.deliver().await;
            stage.pass(Duration::minutes(67));
            if hour == 24 * 4 {
                assert_eq!(stage.endpoint().await["status"], "enabled");
            }
        }
        let disabled = stage.endpoint().await;
        assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("failing")));
        stage.subscriber.take();
        stage.subscriber.always(None);
        stage.pass(Duration::days(1));
        assert_eq!(stage.deliver().await, 0, "it is left alone for good");

        stage.endpoint().await;
        let dead = stage.list("retries?state=dead&limit=200").await;
        let dead: Vec<_> = dead.iter().map(|retry| retry["event_id"].as_i64().unwrap()).collect();
        let path = format!("{PATH}/{}", stage.endpoint);
        let enabled = stage.app.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
        assert_eq!((enabled.get("disabled_reason"), enabled.get("failing_since")), (None, None));
        // What was tried lately is due when it is due.
        stage.deliver().await;
        stage.pass(Duration::hours(14));
        stage.deliver().await;
        let mut taken = stage.subscriber.taken();
        taken.sort_unstable();
        expected.retain(|event| !dead.contains(event));
        assert_eq!(taken, expected);
        assert!(dead.len() < 12, "{} were given up in five days", dead.len());
        stage.finish().await;
    }

    async fn an_endpoint_that_is_disabled_by_hand_hears_later_of_what_happened(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let path = format!("{PATH}/{}", stage.endpoint);
        let disabled = stage.app.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
        assert_eq!((&disabled["status"], disabled.get("disabled_reason")), (&json!("disabled"), None));
        let event = stage.on_ride(1, "ride.created").await;
        assert_eq!(stage.deliver().await, 0);
        assert_eq!(stage.endpoint().await["behind"], 1);
        stage.app.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [event]);
        stage.finish().await;
    }

    async fn another_address_is_tried_at_once(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.subscriber.always(Some(Act::Answer(404)));
        let mut expected = Vec::new();
        for ride in 0..8 {
            expected.push(stage.on_ride(ride, "ride.created").await);
        }
        stage.deliver().await;
        let moved = Subscriber::start().await;
        stage.app.patch(&format!("{PATH}/{}", stage.endpoint), &json!({ "url": moved.url })).await.expect(200);
        stage.deliver().await;
        let taken = || {
            let mut taken = moved.taken();
            taken.sort_unstable();
            taken
        };
        assert_eq!(taken(), expected[5..], "the rest at once");
        stage.pass(Duration::seconds(6));
        stage.deliver().await;
        assert_eq!(taken(), expected[..5], "and what had failed when it is due");
        assert!(stage.endpoint().await.get("failing_since").is_none());
        stage.finish().await;
    }
}
