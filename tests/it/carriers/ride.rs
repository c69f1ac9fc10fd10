//! A whole ride, from the confirmations to the text that comes too late.

use chrono::Duration;
use serde_json::json;

use super::{for_every_provider, stage::Stage};
use crate::{
    harness::carrier::{CallNews, Carried, News},
    ride::{ANN, BOB, NUMBER},
};

/// Exactly a thousand characters: words, accents, emoji of several code points.
fn thousand() -> String {
    "Grüße 👩‍👩‍👧 été – naïve 🎩 ok ".chars().cycle().take(1000).collect()
}

for_every_provider! {
    async fn a_whole_ride(carrier, kind) {
        let mut stage = Stage::set(&carrier, kind).await;

        // Two confirmations.
        stage.app.send_due().await;
        let mut told = stage.deliver_all().await;
        told.sort_by(|one, other| one.to.cmp(&other.to));
        assert_eq!(told.len(), 2);
        for (told, (phone, name, other)) in told.iter().zip([(ANN, "Ann", "Bob"), (BOB, "Bob", "Ann")]) {
            assert_eq!((told.from.as_str(), told.to.as_str()), (NUMBER, phone));
            assert!(told.text.starts_with(&format!("Hello {name}. {other} ")) && told.media.is_empty());
        }
        let notices = stage.app.get(&format!("/v1/messages?ride_id={}", stage.ride)).await.expect(200);
        assert!(notices["items"].as_array().unwrap().iter().all(|notice| notice["status"] == "delivered"));

        // Texts both ways: one that must not become markup, with its exact bytes, and one that is long.
        stage.text("t1", BOB, "Red hat & <b>🎩</b> + 100%", &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        assert_eq!(sent.len(), 1);
        let expected = stage.fixture("send");
        let (_, expected) = expected.split_once("\n\n").unwrap();
        let reference = reference(&sent[0].body);
        assert_eq!(sent[0].body, expected.replace("mk_fixture_1", &reference));
        for news in [News::Sent, News::Delivered, News::Sent, News::Delivered, News::Undelivered] {
            stage.report(&sent[0], news).await;
        }
        let told = stage.message("Red hat & <b>🎩</b> + 100%").await;
        assert_eq!((told["status"].as_str(), told["from_role"].as_str()), (Some("delivered"), Some("driver")));

        stage.text("t2", ANN, &thousand(), &[]).await;
        stage.app.send_due().await;
        let sent = stage.api.take();
        let parts: Vec<Carried> = sent.iter().map(|sent| carrier.read(sent)).collect();
        assert!(parts.iter().all(|part| part.from == NUMBER && part.to == BOB));
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<String>(), thousand());
        assert_eq!(stage.message(&thousand()).await["parts"], parts.len());
        for sent in sent.iter().rev() {
            assert_ne!(stage.message(&thousand()).await["status"], "delivered");
            stage.report(sent, News::Delivered).await;
        }
        assert_eq!(stage.message(&thousand()).await["status"], "delivered");

        // A call each way.
        let flow = stage.call("c1", BOB).await;
        assert_eq!(flow.text, stage.fixture("connect"));
        stage.call_news("c1", BOB, ANN, CallNews::Answered).await;
        stage.call_news("c1", BOB, ANN, CallNews::Completed(42)).await;
        let flow = stage.call("c2", ANN).await;
        assert_eq!(flow.text, stage.fixture("connect").replace(&ANN[1..], &BOB[1..]));
        stage.call_news("c2", ANN, BOB, CallNews::NoAnswer).await;
        let calls = stage.calls().await;
        let told: Vec<_> = calls.iter().map(|call| (call["from_role"].as_str().unwrap(), call["status"].as_str().unwrap())).collect();
        assert_eq!(told, [("driver", "completed"), ("customer", "no_answer")]);
        assert_eq!(calls[0]["duration_s"], 42);
        assert!(calls[0]["answered_at"].is_string() && calls[0]["ended_at"].is_string());

        // The ride ends. In its grace people still reach each other, later they do not.
        for status in ["in_progress", "completed"] {
            stage.app.patch(&format!("/v1/rides/{}", stage.ride), &json!({ "status": status })).await.expect(200);
        }
        stage.text("t3", ANN, "My umbrella!", &[]).await;
        stage.app.send_due().await;
        assert_eq!(stage.deliver_all().await[0].text, "My umbrella!");
        stage.app.advance(Duration::hours(24)).await;
        stage.text("t4", ANN, "Still there?", &[]).await;
        assert_eq!(stage.app.send_due().await, 0);
        let late = stage.message("Still there?").await;
        assert_eq!((late["status"].as_str(), late["reason"].as_str()), (Some("rejected"), Some("contact_closed")));
        let flow = stage.call("c3", BOB).await;
        assert!(flow.text.contains("nu niet doorverbinden") && !flow.text.contains(&ANN[1..]), "{}", flow.text);
        let late = stage.calls().await.pop().unwrap();
        assert_eq!((late["status"].as_str(), late["reason"].as_str()), (Some("rejected"), Some("contact_closed")));
        stage.app.finish().await;
    }

    async fn pictures(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let carries = stage.profile().await["media_limit"].as_u64().unwrap();
        let pictures = ["https://cdn.example.com/a.jpg", "https://cdn.example.com/b.jpg"];

        // Where the number can carry them, they arrive; otherwise the words do, and the timeline says so.
        stage.text("t1", ANN, "Look", &pictures).await;
        stage.app.send_due().await;
        let told = stage.message("Look").await;
        let arrived = stage.deliver_all().await;
        let media: Vec<_> = arrived.iter().flat_map(|part| part.media.clone()).collect();
        assert_eq!(arrived.iter().map(|part| part.text.as_str()).collect::<String>(), "Look");
        if carries > 0 {
            assert_eq!(media, pictures);
            assert_eq!(told["media_dropped"], false);
        } else {
            assert!(media.is_empty());
            assert_eq!(told["media_dropped"], true);
        }
        assert_eq!(told["media"], json!(pictures));
        stage.text("t2", BOB, "", &pictures[..1]).await;
        assert_eq!(stage.app.send_due().await, usize::from(carries > 0));
        let arrived = stage.deliver_all().await;
        assert_eq!(arrived.iter().map(|part| part.media.len()).sum::<usize>(), usize::from(carries > 0));

        // A number that cannot.
        let path = format!("/v1/numbers/{}", stage.number);
        stage.app.patch(&path, &json!({ "capabilities": ["sms", "voice"] })).await.expect(200);
        stage.text("t3", ANN, "And now?", &pictures[..1]).await;
        stage.app.send_due().await;
        let arrived = stage.deliver_all().await;
        assert_eq!((arrived.len(), arrived[0].text.as_str(), arrived[0].media.len()), (1, "And now?", 0));
        let told = stage.message("And now?").await;
        assert_eq!((told["status"].as_str(), told["media_dropped"].as_bool()), (Some("delivered"), Some(true)));
        stage.text("t4", ANN, "", &pictures[..1]).await;
        assert_eq!(stage.app.send_due().await, 0);
        let failed = stage.app.get("/v1/messages?status=failed&order=desc&limit=1").await.expect(200);
        assert_eq!(failed["items"][0]["reason"], "nothing_to_send");
        stage.app.finish().await;
    }
}

/// Our reference, wherever it stands in a send.
fn reference(body: &str) -> String {
    let at = body.match_indices("mk").find(|(at, _)| {
        let name = &body[at + 2..];
        name.len() >= 16 && name.bytes().take(16).all(|b| b.is_ascii_alphanumeric())
    });
    let (at, _) = at.unwrap_or_else(|| panic!("no reference in {body}"));
    body[at..].chars().take_while(char::is_ascii_alphanumeric).collect()
}
