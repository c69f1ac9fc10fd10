//! Texts that cannot be sent in time are given up with a record, and what was lost can be sent again.

use chrono::Duration;
use serde_json::json;

use super::{ride_over_messagebird, words};
use crate::{
    carriers::stage::Stage,
    harness::{
        Kind,
        carrier::{Behaviour, News},
        id, on_both_databases,
    },
    ride::{ANN, BOB},
};

const BUSY: Behaviour = Behaviour::Answer(503, vec![], "");

async fn retry(stage: &Stage, text: &str) -> crate::harness::Answer {
    let message = stage.message(text).await;
    stage.app.raw("POST", &format!("/v1/messages/{}/retry", id(&message)), &[], Vec::new()).await
}

fn state(message: &serde_json::Value) -> (&str, Option<&str>) {
    (message["status"].as_str().unwrap(), message["reason"].as_str())
}

on_both_databases! {
    async fn a_text_that_is_too_late_expires_and_unblocks_the_next(kind: Kind) {
        let mut stage = ride_over_messagebird(kind).await;
        stage.api.script([BUSY]);
        stage.text("a1", ANN, "I am here", &[]).await;
        stage.app.send_due().await;
        stage.app.advance(Duration::minutes(59)).await;
        stage.text("a2", ANN, "Where are you?", &[]).await;
        stage.app.advance(Duration::minutes(1)).await;
        assert_eq!(stage.app.send_due().await, 1, "only the second is worth sending");
        assert_eq!(words(stage.api.carried()), ["I am here", "Where are you?"]);
        assert_eq!(state(&stage.message("I am here").await), ("expired", Some("too_late")));
        let expired = stage.app.get("/v1/messages?status=expired").await.expect(200);
        assert_eq!(expired["items"].as_array().unwrap().len(), 1);
        stage.app.finish().await;
    }

    async fn a_text_in_doubt_gets_its_report_though_it_expired(kind: Kind) {
        let mut stage = ride_over_messagebird(kind).await;
        stage.api.script([Behaviour::Answer(500, vec![], "oops")]);
        stage.text("a1", ANN, "in doubt", &[]).await;
        stage.app.send_due().await;
        stage.app.advance(Duration::hours(2)).await;
        assert_eq!(stage.app.send_due().await, 0);
        assert_eq!(state(&stage.message("in doubt").await), ("expired", Some("too_late")));
        stage.report(&stage.api.take()[0], News::Delivered).await;
        assert_eq!(state(&stage.message("in doubt").await), ("delivered", None));
        stage.app.finish().await;
    }

    async fn what_was_lost_can_be_sent_again_once(kind: Kind) {
        let mut stage = ride_over_messagebird(kind).await;
        stage.api.script([BUSY]);
        stage.text("a1", ANN, "again", &[]).await;
        retry(&stage, "again").await.expect_problem(409, "not_retriable");
        stage.app.send_due().await;
        stage.app.advance(Duration::hours(1)).await;
        stage.app.send_due().await;
        stage.api.take();
        let owed = retry(&stage, "again").await.expect(202);
        assert_eq!(state(&owed), ("queued", None));
        retry(&stage, "again").await.expect_problem(409, "not_retriable");
        stage.app.send_due().await;
        let sent = stage.deliver_all().await;
        assert_eq!(words(sent), ["again"]);
        let message = stage.message("again").await;
        assert_eq!((state(&message), message["possibly_duplicated"].as_bool()), (("delivered", None), Some(false)));
        retry(&stage, "again").await.expect_problem(409, "not_retriable");
        stage.app.raw("POST", "/v1/messages/999999/retry", &[], Vec::new()).await.expect_problem(404, "not_found");
        stage.app.finish().await;
    }

    async fn a_text_that_may_have_arrived_says_so_when_it_is_sent_again(kind: Kind) {
        let mut stage = ride_over_messagebird(kind).await;
        stage.api.script([Behaviour::Answer(500, vec![], "oops")]);
        stage.text("a1", ANN, "doubt", &[]).await;
        stage.app.send_due().await;
        stage.app.advance(Duration::hours(2)).await;
        stage.app.send_due().await;
        let former = stage.api.take();
        retry(&stage, "doubt").await.expect(202);
        stage.app.send_due().await;
        assert_eq!(stage.message("doubt").await["possibly_duplicated"], true);
        // Late news of the former send say nothing of this one.
        stage.report(&former[0], News::Undelivered).await;
        assert_eq!(state(&stage.message("doubt").await), ("sent", None));
        stage.deliver_all().await;
        assert_eq!(state(&stage.message("doubt").await), ("delivered", None));
        stage.app.finish().await;
    }

    async fn only_the_parts_that_were_lost_are_sent_again(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let long = "é word ".repeat(150);
        stage.text("a1", ANN, &long, &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        stage.report(&sent[0], News::Delivered).await;
        stage.report(&sent[1], News::Undelivered).await;
        assert_eq!(stage.message(&long).await["status"], "undelivered");
        retry(&stage, &long).await.expect(202);
        stage.app.send_due().await;
        let second = stage.carrier.read(&sent[1]).text;
        assert_eq!(words(stage.deliver_all().await), [second]);
        assert_eq!(stage.message(&long).await["status"], "delivered");
        stage.app.finish().await;
    }

    async fn a_lost_text_is_not_sent_to_another_driver_nor_after_contact_closed(kind: Kind) {
        let mut stage = ride_over_messagebird(kind).await;
        stage.api.script([BUSY, BUSY]);
        stage.text("a1", ANN, "to Bob", &[]).await;
        stage.text("a2", BOB, "from Bob", &[]).await;
        stage.app.post(&format!("/v1/rides/{}/messages", stage.ride), &json!({ "to": "customer", "text": "to Ann" })).await.expect(202);
        stage.app.send_due().await;
        stage.app.advance(Duration::hours(1)).await;
        stage.app.send_due().await;
        let carl = stage.app.driver("Carl", "+31687654300").await;
        stage.app.patch(&format!("/v1/rides/{}", stage.ride), &json!({ "driver_id": carl })).await.expect(200);
        retry(&stage, "to Bob").await.expect_problem(409, "not_retriable");
        retry(&stage, "from Bob").await.expect_problem(409, "not_retriable");
        retry(&stage, "to Ann").await.expect(202);
        stage.app.send_due().await;
        assert!(words(stage.api.carried()).contains(&"to Ann".to_owned()));

        stage.api.script([Behaviour::Answer(422, vec![("content-type", "application/json")], r#"{"errors":[{"code":9}]}"#)]);
        stage.text("a3", ANN, "to Carl", &[]).await;
        stage.app.send_due().await;
        stage.app.patch(&format!("/v1/rides/{}", stage.ride), &json!({ "status": "cancelled" })).await.expect(200);
        stage.app.advance(Duration::minutes(16)).await;
        retry(&stage, "to Carl").await.expect_problem(409, "contact_closed");
        stage.app.send_due().await;
        stage.app.finish().await;
    }

    async fn parts_that_are_lost_while_others_are_retried_break_no_order(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        let long = "é word ".repeat(150);
        stage.text("a1", ANN, &long, &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        stage.report(&sent[0], News::Undelivered).await;
        // The second part is lost at the moment of the retry.
        let (retried, ()) = tokio::join!(retry(&stage, &long), stage.report(&sent[1], News::Undelivered));
        retried.expect(202);
        for text in ["next", "and the next"] {
            stage.text(text, ANN, text, &[]).await;
        }
        stage.app.send_due().await;
        let carried = words(stage.deliver_all().await);
        assert_eq!(carried[carried.len() - 2..], ["next", "and the next"]);
        stage.app.finish().await;
    }

    async fn late_news_of_the_former_send_do_not_settle_the_next(kind: Kind) {
        let stage = ride_over_messagebird(kind).await;
        stage.text("a1", ANN, "again", &[]).await;
        stage.app.send_due().await;
        let former = stage.api.take();
        stage.report(&former[0], News::Undelivered).await;
        retry(&stage, "again").await.expect(202);
        stage.report(&former[0], News::Delivered).await;
        assert_eq!(state(&stage.message("again").await).0, "queued");
        assert_eq!(stage.app.send_due().await, 1);
        assert_eq!(words(stage.deliver_all().await), ["again"]);
        stage.app.finish().await;
    }
}
