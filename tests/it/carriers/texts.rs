//! What is in a text: nothing that is seen, more than fits, more than one recipient.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{for_every_provider, stage::Stage, telnyx};
use crate::{
    harness::{
        Kind,
        carrier::{Carrier, News, Webhook},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

const PICTURE: &str = "https://cdn.example.com/a.jpg";
const FAMILY: &str = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";

async fn last(stage: &Stage) -> Value {
    stage.app.get("/v1/messages?order=desc&limit=1").await.expect(200)["items"][0].clone()
}

for_every_provider! {
    async fn what_nobody_sees_is_not_sent(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let carries = stage.profile().await["media_limit"].as_u64().unwrap() > 0;
        let blank = [" ", "\n", "\r\n\t", "\u{200b}", "\u{a0}\u{3000}", "\u{2800}", "\u{3164}", "\u{feff}\u{200d}\u{fe0f}"];
        for (at, caption) in blank.iter().enumerate() {
            stage.text(&format!("p{at}"), ANN, caption, &[PICTURE]).await;
            let told = last(&stage).await;
            if carries {
                assert_eq!(told["status"], "queued", "{}", caption.escape_unicode());
                stage.app.send_due().await;
                let sent = stage.deliver_all().await;
                assert_eq!((sent.len(), sent[0].text.as_str(), sent[0].media.len()), (1, "", 1), "the picture alone");
            } else {
                assert_eq!((&told["status"], &told["reason"]), (&json!("failed"), &json!("nothing_to_send")));
            }
            stage.text(&format!("t{at}"), ANN, caption, &[]).await;
            let told = last(&stage).await;
            assert_eq!((&told["status"], &told["reason"]), (&json!("failed"), &json!("nothing_to_send")));
        }
        let path = format!("/v1/numbers/{}", stage.number);
        stage.app.patch(&path, &json!({ "capabilities": ["sms", "voice"] })).await.expect(200);
        stage.text("n1", ANN, " ", &[PICTURE]).await;
        let told = last(&stage).await;
        assert_eq!((&told["status"], &told["reason"]), (&json!("failed"), &json!("nothing_to_send")));
        assert_eq!(stage.app.send_due().await, 0);
        let messages = format!("/v1/rides/{}/messages", stage.ride);
        for text in blank {
            stage.app.post(&messages, &json!({ "to": "driver", "text": text })).await.expect_problem(422, "invalid_request");
        }
        stage.app.finish().await;
    }

    async fn long_texts_are_split_in_the_providers_units_and_between_characters(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let profile = stage.profile().await;
        assert_eq!(profile["text_unit"], "utf16_code_units");
        let limit = usize::try_from(profile["text_limit"].as_u64().unwrap()).unwrap();
        let units = |text: &str| text.encode_utf16().count();
        let x = "x".repeat(limit - 1);
        let cases = [
            "\u{1f697}".repeat(1100),
            format!("{x}{FAMILY}"),
            format!("{} {}", "x".repeat(limit - 5), "y".repeat(20)),
            format!("x{}", "\u{301}".repeat(2 * limit)),
            format!("{x}{}y", " ".repeat(3 * limit)),
        ];
        for (at, text) in cases.iter().enumerate() {
            stage.text(&format!("t{at}"), ANN, text, &[]).await;
            let count = last(&stage).await["parts"].as_u64().unwrap();
            for _ in 0..count {
                stage.app.send_due().await;
                stage.app.clock.advance(chrono::Duration::seconds(30));
            }
            let parts: Vec<_> = stage.deliver_all().await.into_iter().map(|part| part.text).collect();
            assert_eq!(parts.len() as u64, count);
            assert!(parts.iter().all(|part| units(part) <= limit), "case {at}");
            match at {
                0 => assert_eq!((parts.concat(), parts.len()), (text.clone(), 2200_usize.div_ceil(limit / 2 * 2))),
                1 => assert_eq!(parts, [&x, FAMILY]),
                2 => assert_eq!(parts, [format!("{} ", "x".repeat(limit - 5)), "y".repeat(20)]),
                3 => assert_eq!(parts.concat(), *text),
                _ => assert_eq!((parts[0].trim_end(), parts[1].trim_start(), parts.len()), (x.as_str(), "y", 2)),
            }
            assert_eq!(last(&stage).await["status"], "delivered");
        }
        stage.app.finish().await;
    }

    async fn a_phone_that_has_a_text_after_all_has_it(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        stage.text("t1", ANN, "Late", &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take().remove(0);
        stage.report(&sent, News::Undelivered).await;
        assert_eq!(stage.message("Late").await["status"], "undelivered");
        stage.report(&sent, News::Delivered).await;
        // Providers tell some news again in other words.
        stage.report(&sent, News::Undelivered).await;
        stage.report(&sent, News::Sent).await;
        let told = stage.message("Late").await;
        assert_eq!((&told["status"], &told["reason"]), (&json!("delivered"), &Value::Null));
        assert!(told["delivered_at"].is_string());
        stage.app.place_events().await;
        let events = stage.app.events(&format!("ride_id={}", stage.ride)).await;
        let of_text: Vec<_> = events.iter().filter(|event| event["data"]["message_id"] == told["id"]).map(|event| event["type"].clone()).collect();
        assert_eq!(of_text, ["message.received", "message.sent", "message.failed", "message.delivered"]);
        stage.app.finish().await;
    }
}

on_both_databases! {
    async fn our_number_is_found_in_a_group(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(telnyx::Telnyx);
        let stage = Stage::under_way(&carrier, kind).await;
        stage.app.number("+3197010200008", "telnyx").await;
        stage.app.number("+3197010200009", "simulator").await;
        let to = |number: &str| json!({ "phone_number": number, "status": "delivered", "carrier": "", "line_type": "" });
        let crowd: Vec<_> = (0..500).map(|at| to(&format!("+1773555{at:04}"))).collect();
        let groups = [
            (json!([to("+17735550003"), to(NUMBER)]), json!([])),
            (json!([to("+17735550003")]), json!([to("+17735550004"), to(NUMBER)])),
            (json!(["51515", null, 7, "+17735550003", NUMBER]), json!(null)),
            // Ours at another provider, and one of ours over which Ann has no ride.
            (json!([to("+3197010200009"), to("+3197010200008"), to(NUMBER)]), json!("")),
        ];
        for (at, (to, cc)) in groups.iter().enumerate() {
            let webhook = carrier.text(&format!("t{at}"), ANN, NUMBER, &format!("To all {at}"), &[]);
            let mut event: Value = serde_json::from_str(&webhook.body).unwrap();
            event["data"]["payload"]["to"] = to.clone();
            event["data"]["payload"]["cc"] = cc.clone();
            let webhook = Webhook { body: event.to_string(), ..webhook };
            assert_eq!(stage.webhook(&webhook).await.status, 200);
            assert_eq!(stage.webhook(&webhook).await.status, 200);
            stage.app.clock.advance(chrono::Duration::seconds(30));
            stage.app.send_due().await;
            let arrived = stage.deliver_all().await;
            assert_eq!(arrived.len(), 1, "{at}");
            assert_eq!((arrived[0].to.as_str(), arrived[0].from.as_str()), (BOB, NUMBER));
        }
        for (at, to) in [json!([to("+17735550003"), to("+17735550004")]), json!(crowd)].iter().enumerate() {
            let webhook = carrier.text(&format!("s{at}"), ANN, NUMBER, "To strangers", &[]);
            let mut event: Value = serde_json::from_str(&webhook.body).unwrap();
            event["data"]["payload"]["to"] = to.clone();
            let webhook = Webhook { body: event.to_string(), ..webhook };
            assert_eq!(stage.webhook(&webhook).await.status, 200);
            assert_eq!(last(&stage).await["reason"], "number_not_ours");
        }
        stage.app.finish().await;
    }
}
