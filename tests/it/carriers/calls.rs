//! Calls have results, whichever way and in whichever order the provider tells them.

use chrono::Duration;

use super::{for_every_provider, stage::Stage};
use crate::{
    harness::carrier::{CallNews, Ring, Told},
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
            // Callbacks about a call that we have not heard of yet are neither lost nor an error: they are repeated, and
            // the endings come after the call in the end.
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
