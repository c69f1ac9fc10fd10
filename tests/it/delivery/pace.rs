//! No faster than the provider takes it: each number at its pace, the account at its own.

use std::sync::Arc;

use chrono::Duration;

use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{Kind, carrier::Carrier, on_both_databases},
    ride::ANN,
};

/// A ride over a number that may send six texts in a minute: one at once, the next after ten seconds.
async fn slow(kind: Kind, account: &'static str) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let limits = [("MESSAGEBIRD_TEXTS_PER_MINUTE", "6"), ("MESSAGEBIRD_TEXTS_PER_SECOND", account)];
    Stage::with(&carrier, kind, &limits).await
}

on_both_databases! {
    async fn a_number_sends_no_more_than_it_may_and_in_order(kind: Kind) {
        let stage = slow(kind, "100").await;
        for (key, text) in [("a1", "one"), ("a2", "two"), ("a3", "three")] {
            stage.text(key, ANN, text, &[]).await;
        }
        let mut sent = Vec::new();
        for _ in 0..50 {
            stage.app.send_due().await;
            sent.extend(stage.api.carried().into_iter().map(|carried| (stage.app.now(), carried.text)));
            stage.app.tick();
        }
        let gaps: Vec<_> = sent.windows(2).map(|pair| (pair[1].0 - pair[0].0).num_seconds()).collect();
        assert_eq!(gaps, [10, 10, 10, 10], "{sent:?}");
        let relayed: Vec<_> = sent[2..].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(relayed, ["one", "two", "three"]);
        stage.app.finish().await;
    }

    async fn waiting_for_a_slot_is_no_attempt_and_what_another_number_sends_does_not_wait(kind: Kind) {
        let stage = slow(kind, "100").await;
        let number = stage.app.number("+3197010200002", "messagebird").await;
        stage.app.patch(&format!("/v1/numbers/{}", stage.number), &serde_json::json!({ "status": "draining" })).await.expect(200);
        let (cleo, dan) = (stage.app.customer("Cleo", "+31612345670").await, stage.app.driver("Dan", "+31687654320").await);
        let ride = stage.app.ride(cleo, dan).await.expect(201);
        assert_eq!(ride["number_id"], number);
        assert_eq!(stage.app.send_due().await, 2, "one confirmation from each number");
        let waiting = stage.app.get("/v1/messages?status=queued").await.expect(200);
        assert_eq!(waiting["items"].as_array().unwrap().len(), 2);
        stage.app.clock.advance(Duration::seconds(10));
        assert_eq!(stage.app.send_due().await, 2);
        assert_eq!(stage.app.pending_parts().await, 0);
        stage.app.finish().await;
    }

    async fn an_account_sends_no_more_than_it_may_and_replicas_share_the_allowance(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::with(&carrier, kind, &[("MESSAGEBIRD_TEXTS_PER_SECOND", "1")]).await;
        let (second, _) = stage.app.replica().await;
        for at in 0..4 {
            stage.text(&format!("a{at}"), ANN, &format!("text {at}"), &[]).await;
        }
        for owed in (0..6).rev() {
            let (one, two) = tokio::join!(stage.app.send_due(), second.send_due());
            assert_eq!((one + two, stage.app.pending_parts().await), (1, owed), "one a second, whoever sends it");
            stage.app.tick();
        }
        let relayed: Vec<_> = stage.api.carried().into_iter().skip(2).map(|carried| carried.text).collect();
        assert_eq!(relayed, ["text 0", "text 1", "text 2", "text 3"]);
        second.stop().await;
        stage.app.finish().await;
    }

    async fn a_number_that_has_too_much_to_send_still_sends_at_its_pace(kind: Kind) {
        // A text is worth sending for a minute, and the number sends six in that time.
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let limits = [("MESSAGEBIRD_TEXTS_PER_MINUTE", "6"), ("MESSAGE_TTL", "60s")];
        let mut stage = Stage::with(&carrier, kind, &limits).await;
        let mut sent = 0;
        for minute in 0..3 {
            for at in 0..20 {
                stage.text(&format!("a{minute}x{at}"), ANN, "more than fits", &[]).await;
            }
            for _ in 0..6 {
                stage.app.send_due().await;
                sent += stage.api.take().len();
                stage.app.clock.advance(Duration::seconds(10));
            }
        }
        assert!(sent >= 17, "only {sent} of 18 that fit were sent");
        stage.app.advance(Duration::minutes(5)).await;
        stage.app.send_due().await;
        stage.app.finish().await;
    }

    async fn slots_that_were_missed_do_not_add_up(kind: Kind) {
        let mut stage = slow(kind, "100").await;
        let mut others = Vec::new();
        for last in 0..4 {
            let cleo = stage.app.customer("Cleo", &format!("+3161234560{last}")).await;
            let dan = stage.app.driver("Dan", &format!("+3168765430{last}")).await;
            others.push(stage.app.ride(cleo, dan).await.expect(201));
        }
        stage.app.send_due().await;
        assert_eq!(stage.api.take().len(), 1, "the others have slots");
        // Nobody could send for a while.
        stage.app.advance(Duration::minutes(10)).await;
        stage.app.send_due().await;
        assert_eq!(stage.api.take().len(), 1, "not all that waited at once");
        for _ in 0..12 {
            stage.app.clock.advance(Duration::seconds(10));
            stage.app.send_due().await;
        }
        assert_eq!((stage.api.take().len(), stage.app.pending_parts().await), (8, 0));
        stage.app.finish().await;
    }
}
