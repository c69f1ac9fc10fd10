//! The platform is asked before a text is relayed or a call connected, and its answer counts; so does what is set for
//! when it gives none.

mod deadline;
mod order;

use std::{
    sync::Arc,
    time::{Duration as Real, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
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
                (Act::Say(403, json!({ "action": "allow" }).to_string()), "a refusal"),
                (Act::Say(503, json!({ "action": "block" }).to_string()), "an outage"),
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

    async fn an_answer_that_is_not_clear_blocks_whatever_is_set(kind: Kind) {
        for setting in ["fail_open", "fail_closed"] {
            let stage = Stage::set(kind, setting).await;
            let long = |action: &str| json!({ "action": action, "text": "x", "trace": "x".repeat(32 * 1024) }).to_string();
            for (at, (status, answer)) in [
                (200, String::new()),
                (204, String::new()),
                (200, "<html>".to_owned()),
                (200, json!({ "action": "maybe" }).to_string()),
                (200, json!({ "action": "replace" }).to_string()),
                (200, json!({ "action": "replace", "text": null }).to_string()),
                (200, r#"{"action":"allow","action":"block"}"#.to_owned()),
                (200, r#"{"action":"allow""#.to_owned()),
                (201, long("allow")),
                (200, long("replace")),
            ]
            .into_iter()
            .enumerate()
            {
                stage.asked.script([Act::Say(status, answer.clone())]);
                let text = format!("text {at}");
                assert_eq!(stage.text(&text).await, None, "{setting}: {answer}");
                let message = stage.last("message").await;
                let expected = (json!("rejected"), json!("intercept_unclear"), json!(text));
                assert_eq!((&message["status"], &message["reason"], &message["text"]), (&expected.0, &expected.1, &expected.2));
            }
            stage.asked.script([Act::Say(200, "{}".to_owned())]);
            let call = stage.app.simulate_call(ANN, NUMBER).await;
            assert_eq!(call["outcome"], "announced", "{call}");
            assert_eq!(stage.last("call").await["reason"], "intercept_unclear");
            stage.app.place_events().await;
            let rejected = stage.app.events("type=contact.rejected").await;
            assert_eq!(rejected.len(), 11);
            assert!(rejected.iter().all(|event| event["data"]["reason"] == "intercept_unclear"));
            assert!(stage.app.events("type=message.received").await.is_empty());
            stage.app.finish().await;
        }
    }

    async fn half_an_answer_blocks_and_none_does_as_it_is_set(kind: Kind) {
        let platform = Platform::start().await;
        let app = platform.app(kind, "fail_open").await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n";
        let half = format!("{head}{{\"action\":\"bl");
        let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n12\r\n{\"action\":\"allow\"}\r\n";
        for (at, (answer, then, expected)) in [
            (half.as_str(), Then::Close, "intercept_unclear"),
            (half.as_str(), Then::Hang, "intercept_unclear"),
            (head, Then::Hang, "intercept_unclear"),
            (chunk, Then::Close, "intercept_unclear"),
            ("", Then::Close, ""),
            ("", Then::Hang, ""),
            ("HTTP/1.1 200", Then::Close, ""),
            ("HTTP/1.1 500 No\r\ncontent-length: 60\r\n\r\n{", Then::Close, ""),
        ]
        .into_iter()
        .enumerate()
        {
            let text = format!("text {at}");
            let answering = async {
                let question = platform.question().await;
                question.say(answer, then).await;
            };
            tokio::join!(app.simulate_text(ANN, NUMBER, &text), answering);
            app.send_due().await;
            let message = app.timeline(1).await.into_iter().find(|item| item["text"] == text).expect("a message");
            assert_eq!(message["reason"].as_str().unwrap_or_default(), expected, "{answer:?}, {then:?}: {message}");
            assert_eq!(message["status"] == "rejected", !expected.is_empty(), "{message}");
        }
        app.finish().await;
    }

    async fn a_replacement_goes_out_whole_or_not_at_all(kind: Kind) {
        let stage = Stage::set(kind, "fail_open").await;
        const SECRET_TEXT: &str = "My number is 0612345678";
        for replacement in [
            "*".repeat(1701),
            "é".repeat(16_000),
            "bell\u{7} and \u{202e}marks".to_owned(),
            format!("{SECRET_TEXT}{}", "*".repeat(1701)),
        ] {
            let before = stage.app.screen(BOB).await.len();
            stage.answers(&json!({ "action": "replace", "text": replacement }));
            stage.app.tick();
            stage.app.simulate_text(ANN, NUMBER, SECRET_TEXT).await;
            stage.app.send_due().await;
            let screen = stage.app.screen(BOB).await;
            let read: Vec<_> = screen[before..].iter().map(|entry| entry["text"].as_str().expect("a text")).collect();
            assert_eq!(read.concat(), replacement);
            assert_eq!(stage.last("message").await["text"], replacement);
        }
        for blank in ["", "\0"] {
            stage.answers(&json!({ "action": "replace", "text": blank }));
            assert_eq!(stage.text(SECRET_TEXT).await, None);
            let message = stage.last("message").await;
            assert_eq!((&message["status"], &message["reason"]), (&json!("failed"), &json!("nothing_to_send")));
            assert_eq!(message["text"], "", "what was written is not kept");
        }
        // Half an emoji, bytes that are no UTF-8 and a mark in front do not make it another answer.
        let broken = Platform::start().await;
        let app = broken.app(kind, "fail_open").await;
        for (answer, read) in [
            (b"\xef\xbb\xbf{\"action\":\"replace\",\"text\":\"caf\xe9\",\"text2\":null}".as_slice(), "caf\u{fffd}"),
            (br#"{"action":"replace","text":"at the door \ud83d"}"#.as_slice(), "at the door \u{fffd}"),
        ] {
            let answering = async {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
                broken.question().await.say_bytes(&[head.as_bytes(), answer].concat(), Then::Close).await;
            };
            tokio::join!(app.simulate_text(ANN, NUMBER, SECRET_TEXT), answering);
            app.send_due().await;
            assert_eq!(app.screen(BOB).await.last().expect("a text")["text"], read);
        }
        app.finish().await;
        stage.app.finish().await;
    }

    async fn a_text_whose_route_changes_is_asked_about_again(kind: Kind) {
        const CYD: &str = "+31655566677";
        let platform = Platform::start().await;
        let app = platform.app(kind, "fail_open").await;
        let (bob, cyd) = (2, app.driver("Cyd", CYD).await);
        let gives = async |driver: i64| {
            app.patch("/v1/rides/1", &json!({ "driver_id": driver, "notify": false })).await.expect(200);
            app.tick();
        };
        let (allow, block) = (json!({ "action": "allow" }), json!({ "action": "block" }));
        let replace = json!({ "action": "replace", "text": "[removed]" });
        // The answer about Bob, then the one about Cyd or none, and what becomes of the text.
        for (at, (first, second, reason, read)) in [
            (&block, Some(&allow), "", "a text"),
            (&allow, Some(&block), "blocked", ""),
            (&allow, Some(&replace), "", "[removed]"),
            // Nothing is known of the way to Cyd, and of the text there is an answer.
            (&block, None, "intercept_unclear", ""),
            (&replace, None, "intercept_unclear", ""),
            (&allow, None, "", "a text"),
        ]
        .into_iter()
        .enumerate()
        {
            let before = app.screen(CYD).await.len();
            let answering = async {
                let question = platform.question().await;
                gives(cyd).await;
                question.answer(first).await;
                let again = platform.question().await;
                assert_eq!(again.body["data"]["text"], "a text");
                match second {
                    Some(answer) => again.answer(answer).await,
                    None => again.say("", Then::Close).await,
                }
            };
            tokio::join!(app.simulate_text(ANN, NUMBER, "a text"), answering);
            app.send_due().await;
            let message = app.timeline(1).await.into_iter().rfind(|item| item["type"] == "message").expect("a message");
            assert_eq!(message["reason"].as_str().unwrap_or_default(), reason, "{at}: {message}");
            let screen = app.screen(CYD).await;
            let got: Vec<_> = screen[before..].iter().map(|entry| entry["text"].as_str().expect("a text")).collect();
            assert_eq!(got.concat(), read, "{at}");
            gives(bob).await;
        }
        // What changes all the time is not asked about for ever.
        let answering = async {
            for driver in [cyd, bob] {
                let question = platform.question().await;
                gives(driver).await;
                question.answer(&allow).await;
            }
        };
        tokio::join!(app.simulate_text(ANN, NUMBER, "in between"), answering);
        let message = app.timeline(1).await.into_iter().find(|item| item["text"] == "in between").expect("a message");
        assert_eq!((&message["status"], &message["reason"]), (&json!("rejected"), &json!("intercept_unclear")));
        // A call likewise.
        let answering = async {
            let question = platform.question().await;
            gives(cyd).await;
            question.answer(&allow).await;
            platform.question().await.answer(&block).await;
        };
        let (call, ()) = tokio::join!(app.simulate_call(ANN, NUMBER), answering);
        assert_eq!(call["outcome"], "announced", "{call}");
        app.finish().await;
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
        assert!(log.contains("route changed since INTERCEPT_URL was asked"), "{log}");
        assert!([ANN, BOB, "for Bob"].iter().all(|secret| !log.contains(secret.trim_start_matches('+'))));
    }
}

/// What follows what the platform said.
#[derive(Clone, Copy, Debug)]
enum Then {
    Close,
    Hang,
}

/// Somebody who is asked, each of whose answers is in the test's hands, down to the bytes.
struct Platform {
    listener: TcpListener,
    url: String,
}

/// A question that waits for its answer.
struct Question {
    socket: TcpStream,
    body: Value,
}

impl Platform {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        Self { listener, url }
    }

    fn variables<'a>(&'a self, on_failure: &'a str) -> [(&'a str, &'a str); 3] {
        [("INTERCEPT_URL", &self.url), ("INTERCEPT_SECRET", SECRET), ("INTERCEPT_ON_FAILURE", on_failure)]
    }

    /// A service that asks here, with a ride of Ann's with Bob.
    async fn app(&self, kind: Kind, on_failure: &str) -> TestApp {
        let app = TestApp::with(kind, &self.variables(on_failure)).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        app
    }

    async fn question(&self) -> Question {
        let accepted = tokio::time::timeout(Real::from_secs(10), self.listener.accept()).await;
        let (mut socket, _) = accepted.expect("a question in time").expect("a question");
        let mut read = Vec::new();
        loop {
            assert!(socket.read_buf(&mut read).await.expect("a question") > 0, "it ends");
            let text = String::from_utf8_lossy(&read);
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && let Ok(body) = serde_json::from_str(body)
            {
                return Question { socket, body };
            }
        }
    }
}

impl Question {
    async fn answer(self, answer: &Value) {
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        self.say(&format!("{head}{answer}"), Then::Close).await;
    }

    async fn say(self, answer: &str, then: Then) {
        self.say_bytes(answer.as_bytes(), then).await;
    }

    async fn say_bytes(mut self, answer: &[u8], then: Then) {
        self.socket.write_all(answer).await.expect("an answer");
        match then {
            Then::Close => self.socket.shutdown().await.expect("an end"),
            Then::Hang => drop(tokio::spawn(async move {
                tokio::time::sleep(Real::from_secs(5)).await;
                drop(self.socket);
            })),
        }
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
