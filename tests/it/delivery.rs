//! What we owe is paid: in order, again after a failure, once by however many replicas. MessageBird stands for all.

use std::{sync::Arc, time::Duration as Seconds};

use chrono::Duration;

use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{
        Kind,
        carrier::{Behaviour, Carried, Carrier, News, Ring, Signer},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

mod failover;
mod health;
mod lifespan;
mod pace;
mod refusal;

async fn ride_over_messagebird(kind: Kind) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    Stage::under_way(&carrier, kind).await
}

fn words(carried: Vec<Carried>) -> Vec<String> {
    carried.into_iter().map(|carried| carried.text).collect()
}

on_both_databases! {
    async fn what_goes_nowhere_is_recorded_with_its_reason(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        stage.app.number("+3197010200009", "simulator").await;
        for (key, from, number, text) in [
            ("a1", "+31699999999", NUMBER, "Who am I?"),
            ("a2", ANN, "+3197010299999", "Which number?"),
            ("a3", "Bank", NUMBER, "Your code is 1234"),
            ("a4", NUMBER, NUMBER, "Echo"),
            ("a5", ANN, "+3197010200009", "Another provider's number"),
            ("a6", ANN, NUMBER, ""),
        ] {
            assert_eq!(stage.webhook(&stage.carrier.text(key, from, number, text, &[])).await.status, 200);
        }
        assert_eq!(stage.app.send_due().await, 0);
        let all = stage.app.get("/v1/messages?order=desc&limit=6").await.expect(200);
        let told: Vec<_> = all["items"].as_array().unwrap().iter().rev()
            .map(|message| (message["status"].as_str().unwrap(), message["reason"].as_str().unwrap(), message["text"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [
            ("rejected", "unknown_caller", ""),
            ("rejected", "number_not_ours", ""),
            ("rejected", "hidden_caller", ""),
            ("rejected", "pool_number", ""),
            ("rejected", "number_not_ours", ""),
            ("failed", "nothing_to_send", ""),
        ]);
        assert_eq!(stage.app.timeline(stage.ride).await.len(), 4, "created, two notices, the empty text");
        stage.app.finish().await;
    }

    async fn a_busy_provider_is_asked_again_in_order_and_not_too_early(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let (app, api) = (&stage.app, &stage.api);
        api.script([Behaviour::Answer(503, vec![], "")]);
        for (key, text) in [("a1", "one"), ("a2", "two"), ("a3", "three")] {
            stage.text(key, ANN, text, &[]).await;
        }
        app.send_due().await;
        assert_eq!(words(api.carried()), ["one"], "two and three wait for it");
        // The other direction is another conversation, and does not wait.
        stage.text("b1", BOB, "back", &[]).await;
        app.send_due().await;
        assert_eq!(words(api.carried()), ["back"]);
        api.script([Behaviour::Answer(429, vec![("retry-after", "30")], "")]);
        app.clock.advance(Duration::seconds(2));
        app.send_due().await;
        assert_eq!(words(api.carried()), ["one"]);
        app.clock.advance(Duration::seconds(29));
        assert_eq!(app.send_due().await, 0, "Retry-After is honoured");
        app.clock.advance(Duration::seconds(1));
        app.send_due().await;
        assert_eq!(words(api.carried()), ["one", "two", "three"]);
        assert_eq!(stage.message("one").await["possibly_duplicated"], false);
        stage.app.finish().await;
    }

    async fn a_refused_text_fails_with_the_providers_code_and_unblocks_the_next(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        stage.api.script([Behaviour::Answer(
            422,
            vec![("content-type", "application/json")],
            r#"{"errors":[{"code":9,"description":"no (correct) recipients found: 31687654321","parameter":"recipients"}]}"#,
        )]);
        stage.text("a1", ANN, "one", &[]).await;
        stage.text("a2", ANN, "two", &[]).await;
        stage.app.send_due().await;
        let failed = stage.message("one").await;
        assert_eq!((failed["status"].as_str(), failed["reason"].as_str()), (Some("failed"), Some("provider_rejected:9")));
        assert_eq!(stage.message("two").await["status"], "sent");
        stage.app.finish().await;
    }

    async fn a_provider_that_stays_away_ends_in_a_dead_letter(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let mut stage = Stage::under_way_with(&carrier, kind, &[("MESSAGE_TTL", "7d")]).await;
        stage.api.script(vec![Behaviour::Answer(503, vec![], ""); 16]);
        stage.text("a1", ANN, "one", &[]).await;
        for _ in 0..16 {
            assert_eq!(stage.app.send_due().await, 1);
            stage.app.advance(Duration::minutes(16)).await;
        }
        assert_eq!(stage.app.send_due().await, 0);
        let failed = stage.message("one").await;
        assert_eq!((failed["status"].as_str(), failed["reason"].as_str()), (Some("failed"), Some("provider_unavailable")));
        stage.app.finish().await;
    }

    async fn a_send_of_unknown_outcome_is_repeated_and_says_so_unless_a_report_settles_it(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let (app, api) = (&stage.app, &stage.api);
        api.script([Behaviour::Answer(500, vec![], "oops")]);
        stage.text("a1", ANN, "doubt", &[]).await;
        app.send_due().await;
        app.clock.advance(Duration::seconds(30));
        assert_eq!(app.send_due().await, 0, "a report gets its chance first");
        app.clock.advance(Duration::seconds(120));
        app.send_due().await;
        assert_eq!(words(api.carried()), ["doubt", "doubt"]);
        let doubt = stage.message("doubt").await;
        assert_eq!((doubt["status"].as_str(), doubt["possibly_duplicated"].as_bool()), (Some("sent"), Some(true)));

        api.script([Behaviour::Answer(500, vec![], "oops")]);
        stage.text("a2", ANN, "settled", &[]).await;
        app.send_due().await;
        stage.report(&api.take()[0], News::Delivered).await;
        app.clock.advance(Duration::minutes(5));
        assert_eq!(app.send_due().await, 0, "a settled text is not sent again");
        let settled = stage.message("settled").await;
        assert_eq!((settled["status"].as_str(), settled["possibly_duplicated"].as_bool()), (Some("delivered"), Some(false)));
        stage.app.finish().await;
    }

    async fn a_long_text_goes_out_in_parts_and_is_delivered_when_all_are(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let long = "é word ".repeat(150);
        stage.text("a1", ANN, &long, &[]).await;
        stage.app.send_due().await;
        let mut sent = stage.api.take();
        assert_eq!(sent.iter().map(|sent| stage.carrier.read(sent).text).collect::<String>(), long);
        assert_eq!((sent.len(), stage.message(&long).await["parts"].as_i64()), (2, Some(2)));
        // The reports differ in nothing but the reference, as two parts sent in one second would.
        sent[1].provider_id = sent[0].provider_id.clone();
        stage.report(&sent[1], News::Delivered).await;
        assert_eq!(stage.message(&long).await["status"], "sent");
        stage.report(&sent[0], News::Delivered).await;
        assert_eq!(stage.message(&long).await["status"], "delivered");
        stage.app.finish().await;
    }

    async fn two_replicas_share_the_work_and_do_nothing_twice(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let (second, other) = stage.app.replica().await;
        for at in 0..20 {
            let webhook = stage.carrier.text(&format!("a{at}"), ANN, NUMBER, &format!("text {at}"), &[]);
            let proof = stage.carrier.sign(&webhook, Signer::Ours, stage.app.now());
            // The same webhook reaches both replicas at once.
            let (one, two) = tokio::join!(stage.app.webhook(&webhook, &proof), other.webhook(&webhook, &proof));
            assert_eq!((one.status, two.status), (200, 200));
        }
        while stage.app.pending_parts().await > 0 {
            tokio::join!(stage.app.send_due(), second.send_due());
        }
        let expected: Vec<_> = (0..20).map(|at| format!("text {at}")).collect();
        assert_eq!(words(stage.api.carried()), expected, "each once, in order");
        let call = stage.carrier.call(Ring { id: "c1", from: ANN, number: NUMBER, to: "" });
        let proof = stage.carrier.sign(&call, Signer::Ours, stage.app.now());
        assert!(other.webhook(&call, &proof).await.text.contains(&BOB[1..]));
        // Only one of them asks about the call.
        stage.app.clock.advance(Duration::seconds(10));
        let (one, two) = tokio::join!(stage.app.ask_due(), second.ask_due());
        assert_eq!(one + two, 1);
        assert_eq!(stage.message("text 19").await["status"], "sent");
        second.stop().await;
        stage.app.finish().await;
    }

    async fn a_claim_that_its_process_lost_is_taken_over_after_the_lease(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let (second, _) = stage.app.replica().await;
        stage.api.script([Behaviour::Hang(Seconds::from_millis(800))]);
        stage.text("a1", ANN, "slow", &[]).await;
        // While the first replica waits for the provider, nobody else may send the text, until the lease is over.
        let (first, ()) = tokio::join!(stage.app.send_due(), async {
            tokio::time::sleep(Seconds::from_millis(200)).await;
            assert_eq!(second.send_due().await, 0);
            stage.app.clock.advance(Duration::seconds(31));
            assert_eq!(second.send_due().await, 1);
        });
        assert_eq!((first, words(stage.api.carried())), (1, vec!["slow".to_owned(), "slow".to_owned()]));
        let slow = stage.message("slow").await;
        assert_eq!((slow["status"].as_str(), slow["possibly_duplicated"].as_bool()), (Some("sent"), Some(true)));
        second.stop().await;
        stage.app.finish().await;
    }
}
