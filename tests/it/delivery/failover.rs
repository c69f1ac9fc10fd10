//! A provider that stays down: new rides have another, and live ones wait or move.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use super::{health::bring_down, words};
use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{Kind, carrier::Carrier, on_both_databases},
    ride::{ANN, BOB, NUMBER},
};

const OTHER: &str = "+3197010200009";

/// A ride over MessageBird, which is down, beside a number of the simulator.
async fn down(kind: Kind, more: &[(&str, &str)]) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let stage = Stage::under_way_with(&carrier, kind, more).await;
    bring_down(&stage).await;
    stage.api.take();
    stage.app.number(OTHER, "simulator").await;
    stage
}

async fn ride_of_others(stage: &Stage, last: u8) -> Value {
    let cleo = stage.app.customer("Cleo", &format!("+3161234560{last}")).await;
    let dan = stage.app.driver("Dan", &format!("+3168765430{last}")).await;
    stage.app.ride(cleo, dan).await.expect(201)
}

/// The provider fails for so long that it should not be waited for, and keeps failing its probes.
async fn stay_down(stage: &Stage) {
    for _ in 0..5 {
        stage.api.script([crate::harness::carrier::Behaviour::Answer(503, vec![], "")]);
        stage.app.clock.advance(Duration::seconds(61));
        assert!(stage.app.send_due().await > 0, "a probe");
    }
    assert_ne!(stage.profile().await["breaker"], "closed");
}

on_both_databases! {
    async fn new_rides_have_a_number_of_another_provider_once_theirs_has_been_down_for_long(kind: Kind) {
        let stage = down(kind, &[]).await;
        stage.app.patch(&format!("/v1/numbers/{}", stage.number), &json!({ "status": "active" })).await.expect(200);
        stay_down(&stage).await;
        for last in 1..=3 {
            assert_eq!(ride_of_others(&stage, last).await["proxy_number"], OTHER);
        }
        // A pair whose only number is at a provider that is down has it all the same.
        let other = stage.app.get("/v1/numbers?provider=simulator").await.expect(200)["items"][0]["id"].clone();
        stage.app.patch(&format!("/v1/numbers/{other}"), &json!({ "status": "draining" })).await.expect(200);
        assert_eq!(ride_of_others(&stage, 4).await["proxy_number"], NUMBER);
        // The live ride waits, and goes on when the provider is back.
        assert_eq!(stage.app.leave_down_providers().await, 0);
        stage.app.clock.advance(Duration::seconds(61));
        while stage.app.pending_parts().await > 0 {
            assert!(stage.app.send_due().await > 0);
        }
        let sent = words(stage.api.carried());
        assert!(["to Ann", "to Bob"].iter().all(|text| sent.iter().any(|sent| sent == text)), "{sent:?}");
        assert_eq!(stage.profile().await["breaker"], "closed");
        stage.app.finish().await;
    }

    async fn live_rides_move_to_another_provider_if_they_may(kind: Kind) {
        let stage = down(kind, &[("FAILOVER", "rebind")]).await;
        assert_eq!(stage.app.leave_down_providers().await, 0, "not down for long");
        stay_down(&stage).await;
        assert_eq!(stage.app.leave_down_providers().await, 1);
        let ride = stage.app.get(&format!("/v1/rides/{}", stage.ride)).await.expect(200);
        assert_eq!(ride["proxy_number"], OTHER);
        // What was owed goes from the new number at once, and both are told of it.
        stage.app.send_due().await;
        for (phone, text) in [(ANN, "to Ann"), (BOB, "to Bob")] {
            let screen = stage.app.screen(phone).await;
            let texts: Vec<_> = screen.iter().map(|entry| (entry["number"].as_str().unwrap(), entry["text"].as_str().unwrap())).collect();
            assert!(texts.iter().all(|(from, _)| *from == OTHER), "{texts:?}");
            assert!(texts.iter().any(|(_, sent)| *sent == text) && texts.len() == 2, "{texts:?}");
        }
        assert_eq!(stage.app.leave_down_providers().await, 0);
        stage.app.simulate_text(ANN, OTHER, "over the other").await;
        stage.app.send_due().await;
        assert_eq!(stage.app.screen(BOB).await.len(), 3);
        stage.app.finish().await;
    }

    async fn a_live_ride_waits_where_no_other_number_is_free(kind: Kind) {
        let stage = down(kind, &[("FAILOVER", "rebind")]).await;
        let other = stage.app.get("/v1/numbers?provider=simulator").await.expect(200)["items"][0]["id"].clone();
        stage.app.patch(&format!("/v1/numbers/{other}"), &json!({ "status": "draining" })).await.expect(200);
        stay_down(&stage).await;
        assert_eq!(stage.app.leave_down_providers().await, 0);
        let ride = stage.app.get(&format!("/v1/rides/{}", stage.ride)).await.expect(200);
        assert_eq!((ride["proxy_number"].as_str(), ride["contact_open"].as_bool()), (Some(NUMBER), Some(true)));
        stage.app.clock.advance(Duration::seconds(61));
        while stage.app.pending_parts().await > 0 {
            assert!(stage.app.send_due().await > 0);
        }
        stage.app.finish().await;
    }

    async fn nobody_who_tries_for_a_while_means_that_somebody_may(kind: Kind) {
        let mut stage = down(kind, &[]).await;
        stage.app.patch(&format!("/v1/rides/{}", stage.ride), &json!({ "status": "cancelled" })).await.expect(200);
        stage.app.advance(Duration::hours(2)).await;
        stage.app.send_due().await;
        assert_eq!((stage.app.pending_parts().await, stage.profile().await["breaker"].as_str()), (0, Some("half_open")));
        let other = stage.app.get("/v1/numbers?provider=simulator").await.expect(200)["items"][0]["id"].clone();
        stage.app.patch(&format!("/v1/numbers/{other}"), &json!({ "status": "draining" })).await.expect(200);
        assert_eq!(ride_of_others(&stage, 1).await["proxy_number"], NUMBER);
        stage.app.send_due().await;
        assert_eq!(stage.profile().await["breaker"], "closed", "its confirmation was the probe");
        stage.app.send_due().await;
        stage.app.finish().await;
    }
}
