//! A provider that refuses our credentials or our account: nothing is sent but probes until it takes texts again.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use super::words;
use crate::{
    carriers::{messagebird::MessageBird, plivo::Plivo, stage::Stage, twilio::Twilio},
    harness::{
        Kind,
        carrier::{Behaviour, Carrier},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Twilio's answer to wrong credentials.
fn wrong_credentials() -> Behaviour {
    let body = r#"{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/","status":401}"#;
    Behaviour::Answer(401, vec![JSON], body)
}

async fn ride_over_twilio(kind: Kind, more: &[(&str, &str)]) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(Twilio);
    let fast = [("TWILIO_TEXTS_PER_MINUTE", "6000"), ("BREAKER_FAILURES", "0")];
    Stage::under_way_with(&carrier, kind, &[&fast, more].concat()).await
}

/// Owes two confirmations for each of so many rides.
async fn owe_many(stage: &Stage, rides: usize) {
    for at in 0..rides {
        let customer = stage.app.customer("Cleo", &format!("+316123400{at:02}")).await;
        let driver = stage.app.driver("Dan", &format!("+316876500{at:02}")).await;
        stage.app.ride(customer, driver).await.expect(201);
    }
}

/// The state of the breaker, and why it is open.
async fn breaker(stage: &Stage) -> (String, Value) {
    let profile = stage.profile().await;
    (profile["breaker"].as_str().unwrap().to_owned(), profile["breaker_reason"].clone())
}

/// The text's status and reason, and the status with which the provider answered.
async fn fate(stage: &Stage, text: &str) -> (String, Value, Value) {
    let message = stage.message(text).await;
    (message["status"].as_str().unwrap().to_owned(), message["reason"].clone(), message["provider_status"].clone())
}

on_both_databases! {
    async fn wrong_credentials_stop_everything_but_probes(kind: Kind) {
        let stage = ride_over_twilio(kind, &[]).await;
        let (second, _) = stage.app.replica().await;
        stage.api.script(vec![wrong_credentials(); 500]);
        stage.text("t1", ANN, "to Bob", &[]).await;
        stage.app.send_due().await;
        assert_eq!(breaker(&stage).await, ("open".to_owned(), json!("provider_refused_us")));
        assert_eq!(fate(&stage, "to Bob").await, ("queued".to_owned(), json!("provider_refused_us:20003"), json!(401)));
        owe_many(&stage, 60).await;
        assert_eq!((stage.api.take().len(), stage.app.pending_parts().await), (1, 121));

        // In half a minute, two probes, by whichever replica.
        for _ in 0..30 {
            stage.app.tick();
            tokio::join!(stage.app.send_due(), second.send_due());
        }
        assert_eq!((stage.api.take().len(), stage.app.pending_parts().await), (2, 121));
        assert_eq!(breaker(&stage).await.1, "provider_refused_us");

        // The credentials are mended.
        stage.api.forget_script();
        stage.app.clock.advance(Duration::minutes(1));
        while stage.app.pending_parts().await > 0 {
            assert!(stage.app.send_due().await + second.send_due().await > 0);
            stage.app.tick();
        }
        assert_eq!(stage.api.take().len(), 121, "each once");
        assert_eq!(breaker(&stage).await, ("closed".to_owned(), Value::Null));
        assert_eq!(fate(&stage, "to Bob").await, ("sent".to_owned(), Value::Null, Value::Null));
        stage.app.place_events().await;
        let told = stage.app.events("type=provider.down,provider.up").await;
        let told: Vec<_> = told.iter().map(|event| (event["type"].as_str().unwrap(), &event["data"])).collect();
        assert_eq!(told, [
            ("provider.down", &json!({ "provider": "twilio", "reason": "provider_refused_us" })),
            ("provider.up", &json!({ "provider": "twilio" })),
        ]);
        second.stop().await;
        stage.app.finish().await;
    }

    async fn a_provider_that_refuses_us_under_load_gets_what_was_under_way_and_no_more(kind: Kind) {
        let stage = ride_over_twilio(kind, &[]).await;
        stage.api.script(vec![wrong_credentials(); 500]);
        owe_many(&stage, 60).await;
        stage.app.send_due().await;
        let burst = stage.api.take().len();
        assert!((1..=32).contains(&burst), "{burst}");
        for _ in 0..30 {
            stage.app.tick();
            stage.app.send_due().await;
        }
        assert_eq!(stage.api.take().len(), 2, "probes");
        // What waits expires as ever.
        stage.app.clock.advance(Duration::minutes(61));
        stage.app.send_due().await;
        assert_eq!(stage.app.pending_parts().await, 0);
        stage.app.finish().await;
    }

    async fn a_probe_that_is_refused_or_throttled_keeps_the_breaker_open(kind: Kind) {
        let stage = ride_over_twilio(kind, &[]).await;
        stage.api.script([wrong_credentials()]);
        stage.text("t1", ANN, "to Bob", &[]).await;
        stage.app.send_due().await;
        for (answer, reason) in [
            (Behaviour::Answer(429, vec![JSON], r#"{"code":20429}"#), "provider_refused_us"),
            (Behaviour::Answer(500, vec![], "oops"), "provider_unavailable"),
            (wrong_credentials(), "provider_refused_us"),
            (Behaviour::Answer(401, vec![], ""), "provider_refused_us"),
        ] {
            stage.api.script([answer]);
            stage.app.clock.advance(Duration::minutes(3));
            assert_eq!(stage.app.send_due().await, 1);
            assert_eq!(breaker(&stage).await, ("open".to_owned(), json!(reason)));
        }
        assert_eq!(fate(&stage, "to Bob").await, ("queued".to_owned(), json!("provider_refused_us"), json!(401)));
        // A text that is refused for what it is has been looked at: the credentials are good again.
        stage.api.script([Behaviour::Answer(400, vec![JSON], r#"{"code":21610,"message":"+31687654321"}"#)]);
        stage.app.clock.advance(Duration::minutes(3));
        stage.app.send_due().await;
        assert_eq!(breaker(&stage).await.0, "closed");
        assert_eq!(fate(&stage, "to Bob").await, ("failed".to_owned(), json!("provider_rejected:21610"), json!(400)));
        stage.app.finish().await;
    }

    async fn one_refused_recipient_stops_nobody(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(Plivo);
        let stage = Stage::under_way_with(&carrier, kind, &[("BREAKER_FAILURES", "1")]).await;
        stage.api.script(vec![Behaviour::Answer(403, vec![JSON], r#"{"api_id":"1","error":"31687654321 is not allowed"}"#); 3]);
        for (key, text) in [("t1", "one"), ("t2", "two"), ("t3", "three")] {
            stage.text(key, ANN, text, &[]).await;
        }
        stage.app.send_due().await;
        assert_eq!(breaker(&stage).await, ("closed".to_owned(), Value::Null));
        assert_eq!(fate(&stage, "two").await, ("failed".to_owned(), json!("provider_rejected"), json!(403)));
        stage.text("t4", BOB, "fine", &[]).await;
        stage.app.send_due().await;
        assert_eq!(words(stage.api.carried()), ["one", "two", "three", "fine"]);
        stage.app.finish().await;
    }

    async fn a_text_that_failed_in_another_way_says_so_while_it_waits(kind: Kind) {
        let stage = ride_over_twilio(kind, &[]).await;
        stage.api.script([Behaviour::Answer(429, vec![JSON], r#"{"code":20429,"message":"+31687654321"}"#)]);
        stage.text("t1", ANN, "to Bob", &[]).await;
        stage.app.send_due().await;
        assert_eq!(fate(&stage, "to Bob").await, ("queued".to_owned(), json!("provider_unavailable:20429"), json!(429)));
        stage.app.clock.advance(Duration::minutes(1));
        stage.app.send_due().await;
        assert_eq!(fate(&stage, "to Bob").await, ("sent".to_owned(), Value::Null, Value::Null));
        stage.app.finish().await;
    }

    async fn rides_go_to_another_provider_while_theirs_refuses_us(kind: Kind) {
        let stage = ride_over_twilio(kind, &[("FAILOVER", "rebind")]).await;
        stage.app.number("+3197010200009", "simulator").await;
        stage.api.script(vec![wrong_credentials(); 50]);
        stage.text("t1", ANN, "to Bob", &[]).await;
        stage.app.send_due().await;
        for _ in 0..5 {
            stage.app.clock.advance(Duration::seconds(61));
            assert_eq!(stage.app.send_due().await, 1, "a probe");
        }
        assert_eq!(stage.app.leave_down_providers().await, 1);
        let ride = stage.app.get(&format!("/v1/rides/{}", stage.ride)).await.expect(200);
        assert_ne!(ride["proxy_number"], NUMBER);
        stage.app.send_due().await;
        assert!(stage.app.screen(BOB).await.iter().any(|entry| entry["text"] == "to Bob"));
        stage.app.finish().await;
    }

    async fn questions_about_calls_are_refused_like_texts(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::under_way_with(&carrier, kind, &[("BREAKER_FAILURES", "0")]).await;
        for key in ["c1", "c2", "c3"] {
            stage.call(key, ANN).await;
        }
        // What is not about us changes nothing.
        stage.app.clock.advance(Duration::seconds(30));
        stage.app.ask_due().await;
        assert_eq!((stage.api.count_questions(), breaker(&stage).await.0.as_str()), (3, "closed"));
        stage.api.refuse_questions(Some(401));
        stage.app.clock.advance(Duration::minutes(5));
        stage.app.ask_due().await;
        assert_eq!(breaker(&stage).await, ("open".to_owned(), json!("provider_refused_us")));
        assert_eq!(stage.api.count_questions(), 3, "they were under way together");
        // A text waits, and questions too but for one that tries.
        stage.app.clock.advance(Duration::seconds(2));
        stage.text("t1", ANN, "to Bob", &[]).await;
        assert_eq!(stage.app.send_due().await, 0);
        stage.app.clock.advance(Duration::minutes(6));
        stage.app.ask_due().await;
        assert_eq!(stage.api.count_questions(), 1);
        assert_eq!(breaker(&stage).await, ("open".to_owned(), json!("provider_refused_us")));
        // The credentials are mended, and the next question finds out.
        stage.api.refuse_questions(None);
        stage.app.clock.advance(Duration::minutes(6));
        stage.app.ask_due().await;
        assert_eq!(breaker(&stage).await, ("closed".to_owned(), Value::Null));
        stage.app.send_due().await;
        assert_eq!(words(stage.api.carried()), ["to Bob"]);
        stage.app.finish().await;
    }
}
