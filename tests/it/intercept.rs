//! The platform is asked before a text is relayed or a call connected, and its answer counts; so does what is set for when it
//! gives none.

use std::time::{Duration as Real, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{
        Kind, TestApp, id, on_both_databases,
        subscriber::{Act, Subscriber},
    },
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A ride of Ann's with Bob, and somebody who is asked.
struct Stage {
    app: TestApp,
    asked: Subscriber,
    ride: i64,
}

impl Stage {
    async fn set(kind: Kind, on_failure: &str) -> Self {
        let asked = Subscriber::start().await;
        let variables =
            [("INTERCEPT_URL", asked.url.as_str()), ("INTERCEPT_SECRET", SECRET), ("INTERCEPT_ON_FAILURE", on_failure)];
        let app = TestApp::with(kind, &variables).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        Self { app, asked, ride }
    }

    fn answers(&self, answer: &Value) {
        self.asked.script([Act::Say(200, answer.to_string())]);
    }

    /// Ann texts; what Bob reads then, if anything.
    async fn text(&self, text: &str) -> Option<String> {
        let before = self.app.screen(BOB).await.len();
        self.app.tick();
        self.app.simulate_text(ANN, NUMBER, text).await;
        self.app.send_due().await;
        let screen = self.app.screen(BOB).await;
        assert!(screen.len() <= before + 1);
        (screen.len() > before).then(|| screen.last().expect("an entry")["text"].as_str().expect("a text").to_owned())
    }

    /// The last thing of this type on the timeline.
    async fn last(&self, kind: &str) -> Value {
        let items = self.app.timeline(self.ride).await;
        items.into_iter().rfind(|item| item["type"] == kind).expect("an item")
    }
}

on_both_databases! {
    async fn a_text_goes_through_is_replaced_or_goes_nowhere_as_the_platform_says(kind: Kind) {
        let stage = Stage::set(kind, "fail_closed").await;
        stage.answers(&json!({ "action": "allow" }));
        assert_eq!(stage.text("Hello").await.as_deref(), Some("Hello"));
        let question = stage.asked.take().remove(0);
        assert!(question.is_signed_with(SECRET) && question.id.starts_with("ask_"));
        let body = question.json();
        assert_eq!(body["type"], "intercept.text");
        assert_eq!(body["data"], json!({ "ride_id": stage.ride, "from_role": "customer", "to_role": "driver", "text": "Hello" }));
        assert!([ANN, BOB].iter().all(|phone| !question.body.contains(&phone[1..])));

        stage.answers(&json!({ "action": "replace", "text": "My number is [removed]" }));
        assert_eq!(stage.text("My number is 0612345678").await.as_deref(), Some("My number is [removed]"));
        stage.answers(&json!({ "action": "block" }));
        assert_eq!(stage.text("Pay me in cash").await, None);
        let blocked = stage.last("message").await;
        assert_eq!((&blocked["status"], &blocked["reason"], &blocked["text"]), (&json!("rejected"), &json!("blocked"), &json!("Pay me in cash")));
        assert_eq!(stage.asked.take().len(), 2);

        // Who may reach nobody anyway is nobody to ask about.
        stage.app.simulate_text("+31611122233", NUMBER, "Who am I?").await;
        assert!(stage.asked.take().is_empty());
        stage.app.finish().await;
    }

    async fn a_call_is_connected_or_not_as_the_platform_says(kind: Kind) {
        let stage = Stage::set(kind, "fail_closed").await;
        stage.answers(&json!({ "action": "allow" }));
        let call = stage.app.simulate_call(BOB, NUMBER).await;
        assert_eq!(call["outcome"], "connected", "{call}");
        let question = stage.asked.take().remove(0).json();
        assert_eq!((&question["type"], &question["data"]), (&json!("intercept.call"), &json!({ "ride_id": stage.ride, "from_role": "driver", "to_role": "customer" })));
        for answer in [json!({ "action": "block" }), json!({ "action": "replace", "text": "Hello" })] {
            stage.answers(&answer);
            let call = stage.app.simulate_call(BOB, NUMBER).await;
            assert_eq!(call["outcome"], "announced", "{call}");
            let blocked = stage.last("call").await;
            assert_eq!((&blocked["status"], &blocked["reason"]), (&json!("rejected"), &json!("blocked")));
        }
        stage.app.finish().await;
    }

    async fn without_an_answer_a_contact_goes_through_or_not_as_it_is_set(kind: Kind) {
        for setting in ["fail_open", "fail_closed"] {
            let stage = Stage::set(kind, setting).await;
            let is_open = setting == "fail_open";
            for (failure, text) in [
                (Act::Late(Real::from_secs(5)), "too late"),
                (Act::Answer(500), "an error"),
                (Act::Redirect(stage.asked.url.clone()), "a redirect"),
                (Act::Answer(200), "no answer"),
                (Act::Say(200, "<html>".to_owned()), "garbage"),
                (Act::Say(200, json!({ "action": "maybe" }).to_string()), "an action that is none"),
                (Act::Say(200, json!({ "action": "replace" }).to_string()), "nothing to replace it with"),
                (Act::Say(403, json!({ "action": "allow" }).to_string()), "a refusal"),
            ] {
                stage.asked.script([failure]);
                let began = Instant::now();
                assert_eq!(stage.text(text).await.is_some(), is_open, "{setting}: {text}");
                assert!(began.elapsed() < Real::from_secs(3), "{text}");
                let message = stage.last("message").await;
                assert_eq!(message["reason"] == "blocked", !is_open, "{message}");
            }
            stage.asked.script([Act::Late(Real::from_secs(5))]);
            let call = stage.app.simulate_call(ANN, NUMBER).await;
            assert_eq!(call["outcome"] == "connected", is_open, "{call}");
            stage.app.finish().await;
        }
    }

    async fn a_repeated_webhook_is_not_asked_about_again(kind: Kind) {
        use std::sync::Arc;

        use crate::{carriers::messagebird::MessageBird, harness::carrier::Carrier};

        let asked = Subscriber::start().await;
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let variables = [("INTERCEPT_URL", asked.url.as_str()), ("INTERCEPT_SECRET", SECRET)];
        let stage = crate::carriers::stage::Stage::with(&carrier, kind, &variables).await;
        stage.app.send_due().await;
        stage.deliver_all().await;
        asked.always(Some(Act::Say(200, json!({ "action": "block" }).to_string())));
        for _ in 0..3 {
            stage.text("a1", ANN, "once", &[]).await;
        }
        assert_eq!((asked.take().len(), stage.app.send_due().await), (1, 0));
        let first = stage.call("c1", ANN).await.text;
        asked.always(Some(Act::Say(200, json!({ "action": "allow" }).to_string())));
        assert_eq!(stage.call("c1", ANN).await.text, first, "a blocked call stays blocked");
        assert!(!first.contains(&BOB[1..]));
        assert!(stage.call("c2", ANN).await.text.contains(&BOB[1..]));
        asked.always(Some(Act::Say(200, json!({ "action": "block" }).to_string())));
        assert!(stage.call("c2", ANN).await.text.contains(&BOB[1..]), "and a connected one connected");
        assert_eq!(asked.take().len(), 2);
        stage.app.finish().await;
    }
}
