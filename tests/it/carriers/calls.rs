//! Calls have results, whichever way and in whichever order the provider tells them.

use std::sync::Arc;

use chrono::Duration;
use maskline::app::App;

use super::{for_every_provider, messagebird, stage::Stage};
use crate::{
    harness::{
        Kind,
        carrier::{CallNews, Carrier, Ring, Told, Webhook},
        config_for, on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

const ENDINGS: [(CallNews, &str); 4] = [
    (CallNews::Completed(42), "completed"),
    (CallNews::Busy, "busy"),
    (CallNews::NoAnswer, "no_answer"),
    (CallNews::GivenUp, "cancelled"),
];

for_every_provider! {
    async fn every_ending_is_told(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        for (at, (news, _)) in ENDINGS.iter().enumerate() {
            let key = format!("c{at}");
            stage.call(&key, BOB).await;
            for answer in stage.call_news(&key, BOB, ANN, *news).await {
                assert_eq!(answer.status, 200, "{news:?}: {}", answer.text);
                assert!(!answer.text.contains(&ANN[1..]) && !answer.text.contains(&BOB[1..]), "{}", answer.text);
            }
        }
        let calls = stage.calls().await;
        let told: Vec<_> = calls.iter().map(|call| call["status"].as_str().unwrap()).collect();
        assert_eq!(told, ENDINGS.map(|(_, status)| status));
        assert_eq!(calls[0]["duration_s"], 42);
        assert!(calls.iter().all(|call| call["ended_at"].is_string()));
        assert!(calls[1..].iter().all(|call| call["answered_at"].is_null() && call["duration_s"].is_null()));
        stage.app.finish().await;
    }

    async fn callbacks_in_any_order_and_again_end_in_the_same_record(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        for (at, (ending, status)) in ENDINGS.into_iter().enumerate() {
            let key = format!("c{at}");
            let ring = Ring { id: &key, from: ANN, number: NUMBER, to: BOB };
            let mut webhooks = Vec::new();
            for news in [CallNews::Answered, ending] {
                // Only a call that was completed was answered before.
                if ending == news || ending == CallNews::Completed(42) {
                    match carrier.call_news(ring, news) {
                        Told::Webhooks(told) => webhooks.extend(told),
                        Told::WhenAsked(path, answer) => stage.api.when_asked(path, answer),
                    }
                }
            }
            // Callbacks about a call that we have not heard of yet are neither lost nor an error: they are repeated,
            // and the endings come after the call in the end.
            stage.call(&key, ANN).await;
            for webhook in webhooks.iter().rev().chain(&webhooks) {
                assert_eq!(stage.webhook(webhook).await.status, 200);
            }
            stage.app.clock.advance(Duration::minutes(5));
            stage.app.ask_due().await;
            let call = stage.calls().await.pop().unwrap();
            assert_eq!(call["status"], status, "{ending:?}");
            assert_eq!(call["duration_s"].as_i64(), (status == "completed").then_some(42));
        }
        assert_eq!(stage.calls().await.len(), ENDINGS.len());
        stage.app.finish().await;
    }

    async fn no_answer_to_news_names_a_phone_whatever_is_left_out(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        for (at, (news, _)) in ENDINGS.into_iter().enumerate() {
            let key = format!("c{at}");
            stage.call(&key, BOB).await;
            let Told::Webhooks(webhooks) = carrier.call_news(Ring { id: &key, from: BOB, number: NUMBER, to: ANN }, news)
            else {
                continue;
            };
            for webhook in webhooks.iter().flat_map(with_each_field_left_out) {
                let answer = stage.webhook(&webhook).await;
                assert!([200, 400].contains(&answer.status), "{news:?} {}: {}", webhook.body, answer.text);
                assert!(!answer.text.contains(&ANN[1..]) && !answer.text.contains(&BOB[1..]), "{news:?} {}: {}", webhook.body, answer.text);
            }
        }
        assert_eq!(stage.calls().await.len(), ENDINGS.len(), "news of a call are no call");
        stage.app.finish().await;
    }

    async fn a_call_that_nobody_tells_of_becomes_unknown(carrier, kind) {
        let mut stage = Stage::under_way(&carrier, kind).await;
        stage.call("c1", BOB).await;
        for _ in 0..60 {
            stage.app.clock.advance(Duration::minutes(5));
            stage.app.ask_due().await;
        }
        stage.app.tidy().await;
        stage.app.advance(Duration::hours(1)).await;
        assert_eq!(stage.calls().await[0]["status"], "unknown");
        assert_eq!(stage.app.ask_due().await, 0);
        stage.app.finish().await;
    }
}

on_both_databases! {
    async fn a_question_that_nobody_answers_does_not_hold_up_the_stop(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(messagebird::MessageBird);
        let stage = Stage::under_way(&carrier, kind).await;
        stage.call("c1", BOB).await;
        stage.app.clock.advance(Duration::minutes(1));

        // Connections are taken and never answered.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let account = carrier.account(&format!("http://{}", silent.local_addr().unwrap()));
        let account: Vec<_> = account.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let config = config_for(&stage.app.db.url, &account);
        let replica = App::build(config, Arc::clone(&stage.app.clock) as _).await.unwrap().start(true);
        let (asked, _) = silent.accept().await.unwrap();
        let stopped = tokio::time::timeout(std::time::Duration::from_secs(5), replica.stop()).await;
        assert!(stopped.is_ok(), "it waits for an answer that nobody needs");
        drop(asked);

        // The question is asked again by whoever is there.
        stage.call_news("c1", BOB, ANN, CallNews::Completed(42)).await;
        assert_eq!(stage.calls().await[0]["status"], "completed");
        stage.app.finish().await;
    }
}

/// A webhook without each of its fields in turn.
fn with_each_field_left_out(webhook: &Webhook) -> Vec<Webhook> {
    let bodies: Vec<String> = match serde_json::from_str(&webhook.body) {
        Ok(serde_json::Value::Object(fields)) => fields
            .keys()
            .map(|name| {
                let mut rest = fields.clone();
                rest.remove(name);
                serde_json::Value::Object(rest).to_string()
            })
            .collect(),
        _ => {
            let fields: Vec<(String, String)> =
                url::form_urlencoded::parse(webhook.body.as_bytes()).into_owned().collect();
            (0..fields.len())
                .map(|left_out| {
                    let rest = fields.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, field)| field);
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish()
                })
                .collect()
        }
    };
    bodies.into_iter().map(|body| Webhook { body, ..webhook.clone() }).collect()
}
