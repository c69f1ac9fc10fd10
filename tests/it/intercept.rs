//! The platform is asked before a text is relayed or a call connected, and its answer counts; so does what is set for when it
//! gives none.

use std::{
    sync::Arc,
    time::{Duration as Real, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    carriers::{self, messagebird::MessageBird},
    harness::{
        Api, CLIENT, Kind, TestApp, TestDatabase,
        carrier::Carrier,
        id, on_both_databases,
        subscriber::{Act, Subscriber},
    },
    process::{self, Service},
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
        assert_eq!(body["data"], json!({ "ride_id": stage.ride, "from_role": "customer", "to_role": "driver", "text": "Hello", "media": 0 }));
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
        let (asked, stage) = over_messagebird(kind).await;
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

    async fn a_repeated_call_that_would_reach_another_driver_is_asked_about_again(kind: Kind) {
        const CYD: &str = "+31655566677";
        let (asked, stage) = over_messagebird(kind).await;
        asked.always(Some(Act::Say(200, json!({ "action": "allow" }).to_string())));
        assert!(stage.call("c1", ANN).await.text.contains(&BOB[1..]));
        assert!(stage.call("c2", ANN).await.text.contains(&BOB[1..]));
        stage.app.tick();
        let cyd = stage.app.driver("Cyd", CYD).await;
        let change = json!({ "driver_id": cyd, "notify": false });
        stage.app.patch(&format!("/v1/rides/{}", stage.ride), &change).await.expect(200);
        assert_eq!(asked.take().len(), 2);
        assert!(stage.call("c1", ANN).await.text.contains(&CYD[1..]), "the platform allows this too");
        asked.always(Some(Act::Say(200, json!({ "action": "block" }).to_string())));
        let blocked = stage.call("c2", ANN).await.text;
        assert!(!blocked.contains(&CYD[1..]) && !blocked.contains(&BOB[1..]), "{blocked}");
        assert_eq!(asked.take().len(), 2);
        stage.app.send_due().await;
        stage.app.finish().await;
    }

    async fn the_platform_hears_of_pictures_and_replaces_them_too(kind: Kind) {
        let (asked, stage) = over_messagebird(kind).await;
        let pictures = ["https://media.example/1.jpg", "https://media.example/2.jpg"];
        for (answer, words, sent) in [
            (json!({ "action": "allow" }), "Look", 2),
            (json!({ "action": "replace", "text": "[removed]" }), "My number", 0),
            (json!({ "action": "replace", "text": "[a picture]" }), "", 0),
        ] {
            asked.script([Act::Say(200, answer.to_string())]);
            stage.text(&format!("m-{}", words.len()), ANN, words, &pictures).await;
            let question = asked.take().remove(0).json();
            assert_eq!((&question["data"]["text"], &question["data"]["media"]), (&json!(words), &json!(2)));
            stage.app.send_due().await;
            let arrived = stage.deliver_all().await;
            let told = stage.message(answer["text"].as_str().unwrap_or(words)).await;
            assert_eq!(arrived.iter().map(|part| part.media.len()).sum::<usize>(), sent, "{told}");
            assert_eq!((told["media"].as_array().map(Vec::len), &told["media_dropped"]), (Some(sent), &json!(false)));
        }
        stage.app.finish().await;
    }

    async fn an_answer_about_another_driver_does_not_count_and_no_proxy_is_asked(kind: Kind) {
        let db = TestDatabase::fresh(kind).await;
        let asked = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", asked.local_addr().expect("an address"));
        // Nobody listens at the proxy.
        let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9"));
        let settings =
            [("INTERCEPT_URL", url.as_str()), ("INTERCEPT_SECRET", SECRET), ("INTERCEPT_ON_FAILURE", "fail_closed")];
        let service = Service::start(&db, &[&settings[..], &proxies].concat()).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        process::quiet_ride_over(&api, "simulator").await;
        let cyd = api.driver("Cyd", "+31655566677").await;
        // While the platform thinks about Bob, the ride gets another driver.
        let think = async {
            let question = tokio::time::timeout(Real::from_secs(10), asked.accept()).await;
            let (mut question, _) = question.expect("a question in time").expect("a question");
            assert!(question.read(&mut [0; 4096]).await.expect("a question") > 0);
            api.patch("/v1/rides/1", &json!({ "driver_id": cyd, "notify": false })).await.expect(200);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 18\r\nconnection: close\r\n\r\n{\"action\":\"allow\"}";
            question.write_all(answer.as_bytes()).await.expect("an answer");
        };
        tokio::join!(think, api.simulate_text(ANN, NUMBER, "for Bob"));
        let text = process::eventually("the text", async || {
            api.timeline(1).await.into_iter().find(|item| item["text"] == "for Bob")
        }).await;
        assert_eq!((&text["status"], &text["reason"]), (&json!("rejected"), &json!("blocked")));
        service.terminate();
        let log = process::log_of(&db);
        assert!(log.contains("a contact goes another way than INTERCEPT_URL was asked about"), "{log}");
        assert!([ANN, BOB, "for Bob"].iter().all(|secret| !log.contains(secret.trim_start_matches('+'))));
    }
}

/// A ride of Ann's with Bob over a provider that repeats and carries pictures, and somebody who is asked.
async fn over_messagebird(kind: Kind) -> (Subscriber, carriers::stage::Stage) {
    let asked = Subscriber::start().await;
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let variables = [("INTERCEPT_URL", asked.url.as_str()), ("INTERCEPT_SECRET", SECRET)];
    let stage = carriers::stage::Stage::under_way_with(&carrier, kind, &variables).await;
    (asked, stage)
}
