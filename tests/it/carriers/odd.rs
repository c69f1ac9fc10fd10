//! Signed, and yet odd: markup, unknown events, strangers' numbers, reports of nothing and reports that come early.

use std::{sync::Arc, time::Duration as Seconds};

use super::{bandwidth, for_every_provider, stage::Stage, twilio};
use crate::{
    harness::{
        Kind,
        carrier::{Behaviour, Carrier, News, Recorded, Ring, Webhook},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

for_every_provider! {
    async fn markup_arrives_as_text(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let odd = [
            "</Response><Dial>+31600000000</Dial>",
            "\"'<&>]]> &amp; <!-- %3C %00 ${x} {{y}} \\\" \\u0041",
            "+ = & ; ?ref=mk000000000000000000000000 #",
            "line one\nline two\ttab",
            " spaces around ",
        ];
        for (at, text) in odd.iter().enumerate() {
            stage.text(&format!("t{at}"), ANN, text, &[]).await;
        }
        stage.app.send_due().await;
        let arrived: Vec<_> = stage.deliver_all().await.into_iter().map(|part| part.text).collect();
        assert_eq!(arrived, odd);
        stage.app.finish().await;
    }

    async fn half_an_emoji_costs_no_more_than_itself(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let halved = |webhook: Webhook| {
            let half = if webhook.content_type.contains("json") { "\\ud83d" } else { "%ED%A0%BD" };
            Webhook { body: webhook.body.replace("HALF", half), path: webhook.path.replace("HALF", half), ..webhook }
        };
        let marked = carrier.text("t1", ANN, NUMBER, "I am at the door HALF", &[]);
        let answer = stage.webhook(&halved(marked)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        stage.app.send_due().await;
        let arrived = stage.deliver_all().await.remove(0).text;
        assert_eq!(arrived.trim_end_matches('\u{fffd}'), "I am at the door ");
        assert!(arrived.ends_with('\u{fffd}'), "{arrived}");
        stage.app.finish().await;
    }

    async fn markup_in_a_name_is_read_as_it_is_written(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let name = "<Ann> & \"Co\" 'x' ]]> </Response>";
        let customer = stage.app.customer(name, "+31622222222").await;
        let driver = stage.app.driver("Bob & <b>", "+31633333333").await;
        stage.app.ride(customer, driver).await.expect(201);
        stage.app.send_due().await;
        let mut told = stage.deliver_all().await;
        told.sort_by(|one, other| one.to.cmp(&other.to));
        assert!(told[0].text.starts_with(&format!("Hello {name}. Bob & <b> picks you up at ")), "{}", told[0].text);
        assert!(told[1].text.ends_with(&format!("to reach {name}.")), "{}", told[1].text);
        stage.app.finish().await;
    }

    async fn a_huge_webhook_is_refused_whole(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let huge = carrier.text("t1", ANN, NUMBER, &"x".repeat(80_000), &[]);
        if huge.method == "POST" {
            stage.webhook(&huge).await.expect_problem(413, "body_too_large");
        }
        assert_eq!(stage.app.send_due().await, 0);
        stage.app.finish().await;
    }

    async fn repeats_have_one_effect_and_the_same_answer(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let webhook = carrier.text("t1", ANN, NUMBER, "Once", &[]);
        let first = stage.webhook(&webhook).await;
        let together = futures_util::future::join_all((0..6).map(|_| stage.webhook(&webhook))).await;
        assert!(together.iter().all(|repeat| repeat.status == first.status && repeat.text == first.text));
        let call = carrier.call(Ring { id: "c1", from: ANN, number: NUMBER, to: "" });
        let first = stage.webhook(&call).await;
        assert_eq!(stage.webhook(&call).await.text, first.text);
        // By then nobody waits on that line any more: whoever repeats it has recorded it.
        stage.app.clock.advance(chrono::Duration::minutes(3));
        assert!(stage.webhook(&call).await.text.contains("nu niet doorverbinden"));
        assert_eq!(stage.calls().await.len(), 1);
        stage.app.send_due().await;
        assert_eq!(stage.deliver_all().await.len(), 1);
        stage.app.finish().await;
    }

    async fn what_nobody_knows_is_acknowledged_and_ignored(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let before = stage.app.timeline(stage.ride).await;
        let answer = stage.webhook(&carrier.unknown_event()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        // News of a send and of a call that are not ours.
        stage.text("t1", ANN, "Hello", &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take().remove(0);
        let foreign = Recorded { body: foreign(&sent.body), ..sent.clone() };
        for news in [News::Sent, News::Delivered, News::Undelivered] {
            stage.report(&foreign, news).await;
        }
        for answer in stage.call_news_of_nobody().await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        assert_eq!(stage.message("Hello").await["status"], "sent");
        assert_eq!(stage.app.timeline(stage.ride).await.len(), before.len() + 1);
        stage.report(&sent, News::Delivered).await;
        stage.app.finish().await;
    }

    async fn a_report_that_comes_before_our_own_record_settles_the_send(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        stage.text("t1", ANN, "Fast", &[]).await;
        stage.api.script([Behaviour::Hang(Seconds::from_millis(600))]);
        tokio::join!(stage.app.send_due(), async {
            let sent = loop {
                if let Some(sent) = stage.api.take().pop() {
                    break sent;
                }
                tokio::time::sleep(Seconds::from_millis(20)).await;
            };
            stage.report(&sent, News::Delivered).await;
        });
        let told = stage.message("Fast").await;
        assert_eq!((told["status"].as_str(), told["possibly_duplicated"].as_bool()), (Some("delivered"), Some(false)));
        stage.app.finish().await;
    }

    async fn an_undelivered_text_says_why(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        stage.text("t1", ANN, "Hello", &[]).await;
        stage.app.send_due().await;
        stage.report(&stage.api.take()[0], News::Undelivered).await;
        let told = stage.message("Hello").await;
        assert_eq!(told["status"], "undelivered");
        assert!(told["reason"].as_str().unwrap().starts_with("undeliverable"), "{}", told["reason"]);
        stage.app.finish().await;
    }

    async fn odd_callers_and_senders_reach_nobody(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let odd = ["anonymous", "Restricted", "", "sip:31612345678@example.com", "+266696687", "+1266696687", "1266696687", "+17378742833", "+8656696", "PRIVATE", "+31699999999", NUMBER];
        for (at, from) in odd.iter().enumerate() {
            let flow = stage.webhook(&carrier.call(Ring { id: &format!("c{at}"), from, number: NUMBER, to: "" })).await;
            assert_eq!(flow.status, 200, "{from}");
            assert!(flow.text.contains("nu niet doorverbinden"), "{from}: {}", flow.text);
            assert!(!flow.text.contains(&ANN[1..]) && !flow.text.contains(&BOB[1..]));
        }
        let rejected = stage.app.get("/v1/calls?status=rejected").await.expect(200);
        let reasons: Vec<_> = rejected["items"].as_array().unwrap().iter().map(|call| call["reason"].as_str().unwrap().to_owned()).collect();
        assert_eq!(reasons[10..], ["unknown_caller", "pool_number"]);
        assert!(reasons[..10].iter().all(|reason| reason == "hidden_caller"), "{reasons:?}");

        // Numbers that are nobody's, or another provider's.
        stage.app.number("+3197010200009", "simulator").await;
        for (at, number) in ["+3197010299999", "+3197010200009"].iter().enumerate() {
            let answer = stage.webhook(&carrier.text(&format!("t{at}"), ANN, number, "Hello?", &[])).await;
            assert_eq!(answer.status, 200);
            let flow = stage.webhook(&carrier.call(Ring { id: &format!("d{at}"), from: ANN, number, to: "" })).await;
            assert!(flow.status == 200 && flow.text.contains("nu niet doorverbinden"));
        }
        for list in ["messages", "calls"] {
            let told = stage.app.get(&format!("/v1/{list}?status=rejected&order=desc&limit=2")).await.expect(200);
            assert!(told["items"].as_array().unwrap().iter().all(|item| item["reason"] == "number_not_ours"), "{told}");
        }
        assert_eq!(stage.app.send_due().await, 0);
        stage.app.finish().await;
    }

    async fn a_refused_text_fails_and_a_busy_provider_is_asked_again(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let refusal = carrier.refusal();
        stage.api.script([
            Behaviour::Answer(429, vec![("retry-after", "30")], "{}"),
            Behaviour::Answer(503, vec![], "<html>"),
            Behaviour::Answer(refusal.0, vec![("content-type", "application/json")], refusal.1),
        ]);
        stage.text("t1", ANN, "Refused", &[]).await;
        stage.text("t2", ANN, "Next", &[]).await;
        assert_eq!(stage.app.send_due().await, 1);
        stage.app.clock.advance(chrono::Duration::seconds(29));
        assert_eq!(stage.app.send_due().await, 0, "Retry-After is honoured");
        for _ in 0..2 {
            stage.app.clock.advance(chrono::Duration::seconds(40));
            stage.app.send_due().await;
        }
        let refused = stage.message("Refused").await;
        assert_eq!(refused["status"], "failed");
        assert!(refused["reason"].as_str().unwrap().starts_with("provider_rejected"), "{}", refused["reason"]);
        assert_eq!(refused["possibly_duplicated"], false);
        assert_eq!(stage.message("Next").await["status"], "sent");
        // A 500 may come from the way back.
        stage.api.script([Behaviour::Answer(500, vec![], "oops")]);
        stage.text("t3", BOB, "Doubt", &[]).await;
        stage.app.send_due().await;
        stage.app.clock.advance(chrono::Duration::minutes(10));
        stage.app.send_due().await;
        let doubt = stage.message("Doubt").await;
        assert_eq!((doubt["status"].as_str(), doubt["possibly_duplicated"].as_bool()), (Some("sent"), Some(true)));
        stage.app.finish().await;
    }
}

on_both_databases! {
    // Bandwidth posts lists.
    async fn one_bad_event_of_a_list_takes_no_other_with_it(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(bandwidth::Bandwidth);
        let stage = Stage::under_way(&carrier, kind).await;
        let one = |key, text| carrier.text(key, ANN, NUMBER, text, &[]).body;
        let event = |key, text| one(key, text).trim_matches(['[', ']']).to_owned();
        let deep = format!("{{\"type\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
        let bad = [r#"{"type":"\ud83d"}"#, r#"{"type":7,"n":1e999}"#, "null", "NaN", r#""it\'s""#, &deep];
        let list = format!("[{},{},{}]", event("t1", "First"), bad.join(","), event("t2", "Second"));
        let webhook = Webhook { body: list, ..carrier.text("", ANN, NUMBER, "", &[]) };
        assert_eq!(stage.webhook(&webhook).await.status, 200);
        stage.app.send_due().await;
        stage.app.send_due().await;
        let arrived: Vec<_> = stage.deliver_all().await.into_iter().map(|part| part.text).collect();
        assert_eq!(arrived, ["First", "Second"]);
        stage.app.finish().await;
    }

    // Twilio's signature carries no time: what was taken is remembered for as long as it could be relayed again.
    async fn a_recorded_text_is_not_relayed_weeks_later(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(twilio::Twilio);
        let mut stage = Stage::under_way(&carrier, kind).await;
        let later = (stage.app.now() + chrono::Duration::days(60)).to_rfc3339();
        let later = serde_json::json!({ "datetime": later, "notify": false });
        stage.app.patch(&format!("/v1/rides/{}", stage.ride), &later).await.expect(200);
        stage.text("t1", ANN, "Once", &[]).await;
        stage.app.send_due().await;
        assert_eq!(stage.deliver_all().await.len(), 1);
        stage.app.advance(chrono::Duration::days(30)).await;
        stage.app.tidy().await;
        stage.text("t1", ANN, "Once", &[]).await;
        assert_eq!(stage.app.send_due().await, 0);
        stage.text("t2", ANN, "Twice", &[]).await;
        assert_eq!(stage.app.send_due().await, 1);
        stage.app.finish().await;
    }
}

/// The same send with a reference that nobody gave.
fn foreign(body: &str) -> String {
    let at = body.find("mk").expect("a reference");
    let length = body[at..].chars().take_while(char::is_ascii_alphanumeric).count();
    format!("{}mk{}{}", &body[..at], "0".repeat(length - 2), &body[at + length..])
}

impl Stage {
    async fn call_news_of_nobody(&self) -> Vec<crate::harness::Answer> {
        use crate::harness::carrier::{CallNews, Told};
        let ring = Ring { id: "nobody", from: ANN, number: NUMBER, to: BOB };
        match self.carrier.call_news(ring, CallNews::Completed(42)) {
            Told::WhenAsked(..) => Vec::new(),
            Told::Webhooks(webhooks) => {
                let mut answers = Vec::new();
                for webhook in &webhooks {
                    answers.push(self.webhook(webhook).await);
                }
                answers
            }
        }
    }
}
