//! A provider that fails is left alone but for a probe every so often, for all replicas alike, and says so.

use chrono::Duration;
use serde_json::Value;

use super::{ride_over_messagebird, words};
use crate::{
    carriers::stage::Stage,
    harness::{Kind, carrier::Behaviour, on_both_databases},
    ride::{ANN, BOB},
};

/// Two texts in two conversations that both fail, until their provider counts as down.
pub async fn bring_down(stage: &Stage) {
    stage.api.script(vec![Behaviour::Answer(503, vec![], ""); 20]);
    stage.text("down1", ANN, "to Bob", &[]).await;
    stage.text("down2", BOB, "to Ann", &[]).await;
    for _ in 0..20 {
        stage.app.send_due().await;
        if stage.profile().await["breaker"] != "closed" {
            stage.api.forget_script();
            return;
        }
        stage.app.tick();
    }
    panic!("the provider never counts as down");
}

fn breaker(profile: &Value) -> &str {
    profile["breaker"].as_str().unwrap()
}

on_both_databases! {
    async fn a_provider_that_fails_is_probed_until_it_works_again(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let (second, _) = stage.app.replica().await;
        bring_down(&stage).await;
        let down = stage.profile().await;
        assert_eq!((breaker(&down), down["down_since"].is_string()), ("open", true));
        stage.api.take();
        stage.app.clock.advance(Duration::seconds(4));
        assert_eq!(stage.app.send_due().await + second.send_due().await, 0, "nobody sends");

        // The first probe fails, and the next comes later.
        stage.app.tick();
        assert_eq!(breaker(&stage.profile().await), "half_open");
        stage.api.script([Behaviour::Answer(500, vec![], "oops")]);
        let (one, two) = tokio::join!(stage.app.send_due(), second.send_due());
        assert_eq!((one + two, stage.api.take().len()), (1, 1), "one probe, whoever sends it");
        stage.app.clock.advance(Duration::seconds(9));
        assert_eq!(stage.app.send_due().await, 0);

        // The second succeeds, and everything goes out; what is in doubt waits for its report first.
        for _ in 0..20 {
            stage.app.clock.advance(Duration::minutes(1));
            second.send_due().await;
        }
        assert_eq!(stage.app.pending_parts().await, 0);
        assert_eq!(breaker(&stage.profile().await), "closed");
        let mut sent = words(stage.api.carried());
        sent.sort();
        assert_eq!(sent, ["to Ann", "to Bob"]);
        second.stop().await;
        stage.app.finish().await;
    }

    async fn a_provider_that_wants_us_to_slow_down_is_not_down(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        stage.api.script(vec![Behaviour::Answer(429, vec![], ""); 8]);
        stage.text("a1", ANN, "one", &[]).await;
        stage.text("a2", BOB, "two", &[]).await;
        for _ in 0..12 {
            stage.app.send_due().await;
            stage.app.clock.advance(Duration::seconds(20));
        }
        assert_eq!(breaker(&stage.profile().await), "closed");
        stage.app.finish().await;
    }

    async fn one_text_that_nobody_can_send_does_not_stop_the_others(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        stage.api.script(vec![Behaviour::Answer(503, vec![], ""); 7]);
        stage.text("a1", ANN, "poison", &[]).await;
        for _ in 0..7 {
            assert_eq!(stage.app.send_due().await, 1);
            stage.app.clock.advance(Duration::seconds(70));
        }
        assert_eq!(breaker(&stage.profile().await), "closed");
        stage.text("a2", BOB, "fine", &[]).await;
        stage.app.send_due().await;
        assert_eq!(stage.message("fine").await["status"], "sent");
        stage.app.finish().await;
    }

    async fn a_provider_that_is_down_keeps_no_other_waiting(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        bring_down(&stage).await;
        stage.app.number("+3197010200009", "simulator").await;
        stage.app.patch(&format!("/v1/numbers/{}", stage.number), &serde_json::json!({ "status": "draining" })).await.expect(200);
        let (cleo, dan) = (stage.app.customer("Cleo", "+31612345670").await, stage.app.driver("Dan", "+31687654320").await);
        stage.app.ride(cleo, dan).await.expect(201);
        assert_eq!(stage.app.send_due().await, 2);
        assert_eq!(stage.app.screen("+31612345670").await.len(), 1);
        stage.app.clock.advance(Duration::hours(1));
        stage.app.send_due().await;
        stage.app.finish().await;
    }

    async fn a_text_that_tries_a_provider_is_not_repeated_without_end(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        bring_down(&stage).await;
        stage.api.take();
        // It takes every text and answers too late or not at all: nobody knows.
        stage.api.script(vec![Behaviour::Answer(500, vec![], "oops"); 200]);
        for _ in 0..50 {
            stage.app.send_due().await;
            stage.app.clock.advance(Duration::minutes(1));
        }
        let tries = words(stage.api.carried());
        for text in ["to Ann", "to Bob"] {
            let copies = tries.iter().filter(|tried| *tried == text).count();
            assert!((1..=8).contains(&copies), "{copies} copies of {text}");
        }
        stage.api.forget_script();
        stage.app.clock.advance(Duration::hours(2));
        stage.app.send_due().await;
        stage.app.finish().await;
    }
}
