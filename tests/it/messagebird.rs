//! A whole ride over MessageBird: signed webhooks in, the wire format out, against a stand-in for its API.

use std::time::Duration as Seconds;

use chrono::Duration;
use serde_json::Value;

use crate::{
    harness::{
        Kind, PUBLIC, TestApp, id,
        messagebird::{API_KEY, Behaviour, SIGNING_KEY, Sent, StandIn, Webhooks, sign, sign_with},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

const DIGITS: (&str, &str, &str) = ("31612345678", "31687654321", "3197010200001");

/// The service with an account at a stand-in, and a ride of Ann's and Bob's whose confirmations are out.
pub async fn with_ride(kind: Kind) -> (TestApp, StandIn, i64) {
    let bird = StandIn::start().await;
    let app = TestApp::with(kind, &bird.account()).await;
    app.number(NUMBER, "messagebird").await;
    let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
    let ride = id(&app.ride(ann, bob).await.expect(201));
    app.send_due().await;
    assert_eq!(bird.take().len(), 2);
    (app, bird, ride)
}

fn webhooks(app: &TestApp) -> Webhooks<'_> {
    Webhooks { api: &app.api, now: app.now() }
}

fn words(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(|sent| sent.body["body"].as_str().unwrap()).collect()
}

async fn message(app: &TestApp, ride: i64, text: &str) -> Value {
    let items = app.timeline(ride).await;
    items.into_iter().find(|item| item["text"] == text).unwrap_or_else(|| panic!("no message {text:?}"))
}

on_both_databases! {
    async fn a_text_reaches_the_other_party_and_the_timeline_follows_it(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        let taken = webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "Red hat & <b>🎩</b> + 100%").await;
        assert_eq!((taken.status, taken.text.as_str()), (200, "OK"));
        assert_eq!(message(&app, ride, "Red hat & <b>🎩</b> + 100%").await["status"], "queued");
        app.send_due().await;
        let sent = bird.take();
        assert_eq!(sent.len(), 1);
        let reference = sent[0].body["reference"].as_str().unwrap();
        assert_eq!(
            sent[0].raw,
            format!(
                r#"{{"originator":"3197010200001","recipients":["31687654321"],"body":"Red hat & <b>🎩</b> + 100%","datacoding":"auto","reference":"{reference}","reportUrl":"{PUBLIC}/webhooks/messagebird/status"}}"#
            )
        );
        assert_eq!(sent[0].authorization, format!("AccessKey {API_KEY}"));
        assert!(sent[0].content_type.starts_with("application/json"));
        assert_eq!(message(&app, ride, "Red hat & <b>🎩</b> + 100%").await["status"], "sent");

        // Late, twice and out of order: a final state stays.
        for status in ["delivered", "buffered", "sent", "delivered", "delivery_failed"] {
            assert_eq!(webhooks(&app).report(reference, DIGITS.1, status).await.status, 200);
        }
        let told = message(&app, ride, "Red hat & <b>🎩</b> + 100%").await;
        assert_eq!((told["status"].as_str(), told["from_role"].as_str()), (Some("delivered"), Some("customer")));
        assert!(told["delivered_at"].is_string() && told["reason"].is_null());
        assert_eq!(webhooks(&app).report("mk000000000000000000000000", DIGITS.1, "delivered").await.status, 200);
        app.finish().await;
    }

    async fn a_call_is_transferred_with_the_mask_on(kind: Kind) {
        let (app, _bird, ride) = with_ride(kind).await;
        let flow = webhooks(&app).call("5b2a1c3e-0000-4000-8000-000000000001", DIGITS.1, DIGITS.2).await;
        assert_eq!(flow.status, 200);
        assert_eq!(flow.header("content-type"), "application/xml");
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?><Transfer destination="31612345678" mask="true" />"#;
        assert_eq!(flow.text, expected);
        // The same call once more: no second record, the same kind of answer.
        assert_eq!(webhooks(&app).call("5b2a1c3e-0000-4000-8000-000000000001", DIGITS.1, DIGITS.2).await.text, expected);
        let calls = app.get(&format!("/v1/calls?ride_id={ride}")).await.expect(200);
        assert_eq!(calls["items"].as_array().unwrap().len(), 1);
        assert_eq!((calls["items"][0]["from_role"].as_str(), calls["items"][0]["status"].as_str()), (Some("driver"), Some("connecting")));
        app.finish().await;
    }

    async fn odd_callers_hear_an_announcement_and_reach_nobody(kind: Kind) {
        let (app, _bird, _) = with_ride(kind).await;
        for (at, odd) in ["Restricted", "anonymous", "", "sip:31612345678@example.com", "+266696687", "31699999999", DIGITS.2].iter().enumerate() {
            let flow = webhooks(&app).call(&format!("5b2a1c3e-0000-4000-8000-00000000001{at}"), odd, DIGITS.2).await;
            assert_eq!(flow.status, 200, "{odd}");
            assert_eq!(flow.body["steps"][0]["action"], "say", "{odd}");
            assert!(!flow.text.contains(&ANN[1..]) && !flow.text.contains(&BOB[1..]));
        }
        let rejected = app.get("/v1/calls?status=rejected").await.expect(200);
        let reasons: Vec<_> = rejected["items"].as_array().unwrap().iter().map(|call| call["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["hidden_caller", "hidden_caller", "hidden_caller", "hidden_caller", "hidden_caller", "unknown_caller", "pool_number"]);
        app.finish().await;
    }

    async fn an_exact_repeat_has_no_second_effect(kind: Kind) {
        let (app, bird, _) = with_ride(kind).await;
        let path = "/webhooks/messagebird/sms";
        let body = Webhooks::text_form("a1", DIGITS.0, DIGITS.2, "Once");
        let signature = sign(path, body.as_bytes(), app.now());
        for _ in 0..3 {
            assert_eq!(webhooks(&app).post(path, &signature, body.clone()).await.status, 200);
        }
        // Beside each other, too.
        let body = Webhooks::text_form("a2", DIGITS.0, DIGITS.2, "Twice");
        let signature = sign(path, body.as_bytes(), app.now());
        let hooks = webhooks(&app);
        let repeats = (0..8).map(|_| hooks.post(path, &signature, body.clone()));
        for answer in futures_util::future::join_all(repeats).await {
            assert_eq!(answer.status, 200);
        }
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["Once", "Twice"]);
        app.finish().await;
    }

    async fn unverified_is_unheard(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        let path = "/webhooks/messagebird/sms";
        let body = Webhooks::text_form("a1", DIGITS.0, DIGITS.2, "Forged");
        let url = format!("{PUBLIC}{path}");
        let good = sign(path, body.as_bytes(), app.now());
        let bad = [
            ("of another key", sign_with("another key", &url, body.as_bytes(), app.now())),
            ("for another address", sign_with(SIGNING_KEY, "https://evil.test/webhooks/messagebird/sms", body.as_bytes(), app.now())),
            ("for the address it came in on", sign_with(SIGNING_KEY, &format!("{}{path}", app.base), body.as_bytes(), app.now())),
            ("of another body", sign(path, b"other", app.now())),
            ("of no body", sign(path, b"", app.now())),
            ("too old", sign(path, body.as_bytes(), app.now() - Duration::minutes(5))),
            ("from the future", sign(path, body.as_bytes(), app.now() + Duration::minutes(5))),
            ("cut off", good[..good.len() - 10].to_owned()),
            ("empty", String::new()),
        ];
        for (why, signature) in bad {
            let answer = webhooks(&app).post(path, &signature, body.clone()).await;
            assert_eq!(answer.status, 401, "{why}");
        }
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(app.raw("POST", path, &form, body.clone().into_bytes()).await.status, 401, "no signature");
        // A tampered body under a good signature, and a parameter added to a signed address.
        assert_eq!(webhooks(&app).post(path, &good, format!("{body}&x=1")).await.status, 401);
        let call = format!("/webhooks/messagebird/voice?callID=x&source={}&destination={}", DIGITS.0, DIGITS.2);
        let signature = sign(&call, b"", app.now());
        let headers = [("MessageBird-Signature-JWT", signature.as_str())];
        assert_eq!(app.raw("GET", &format!("{call}&x=1"), &headers, Vec::new()).await.status, 401);
        // Forwarding headers do not make another address of it.
        let headers = [("x-forwarded-host", "evil.test"), ("x-forwarded-proto", "http"), headers[0]];
        assert_eq!(app.raw("GET", &call, &headers, Vec::new()).await.status, 200);
        assert_eq!(app.send_due().await, 0);
        assert!(bird.take().is_empty());
        assert!(app.timeline(ride).await.iter().all(|item| item["text"] != "Forged"));
        app.finish().await;
    }

    async fn a_provider_without_an_account_is_unheard_and_an_unknown_one_unknown(kind: Kind) {
        let app = TestApp::start(kind).await;
        let body = Webhooks::text_form("a1", DIGITS.0, DIGITS.2, "Hello");
        let path = "/webhooks/messagebird/sms";
        let signature = sign(path, body.as_bytes(), app.now());
        webhooks(&app).post(path, &signature, body.clone()).await.expect_problem(401, "unauthorized");
        webhooks(&app).post("/webhooks/nobody/sms", &signature, body).await.expect_problem(404, "not_found");
        assert!(app.get("/v1/messages").await.expect(200)["items"].as_array().unwrap().is_empty());
        app.finish().await;
    }

    async fn what_goes_nowhere_is_recorded_with_its_reason(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        webhooks(&app).text("a1", "31699999999", DIGITS.2, "Who am I?").await.expect_taken();
        webhooks(&app).text("a2", DIGITS.0, "3197010299999", "Which number?").await.expect_taken();
        webhooks(&app).text("a3", "Bank", DIGITS.2, "Your code is 1234").await.expect_taken();
        webhooks(&app).text("a4", DIGITS.2, DIGITS.2, "Echo").await.expect_taken();
        app.number("+3197010200009", "simulator").await;
        webhooks(&app).text("a5", DIGITS.0, "3197010200009", "Another provider's number").await.expect_taken();
        webhooks(&app).text("a6", DIGITS.0, DIGITS.2, "").await.expect_taken();
        assert_eq!(app.send_due().await, 0);
        assert!(bird.take().is_empty());
        let all = app.get("/v1/messages?order=desc&limit=6").await.expect(200);
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
        assert_eq!(app.timeline(ride).await.len(), 4, "created, two notices, the empty text");
        app.finish().await;
    }

    async fn a_busy_provider_is_asked_again_in_order_and_not_too_early(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        bird.script([Behaviour::Answer(503, vec![], "")]);
        for (key, text) in [("a1", "one"), ("a2", "two"), ("a3", "three")] {
            webhooks(&app).text(key, DIGITS.0, DIGITS.2, text).await.expect_taken();
        }
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["one"], "two and three wait for it");
        // The other direction is another conversation, and does not wait.
        webhooks(&app).text("b1", DIGITS.1, DIGITS.2, "back").await.expect_taken();
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["back"]);
        bird.script([Behaviour::Answer(429, vec![("retry-after", "30")], "")]);
        app.clock.advance(Duration::seconds(2));
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["one"]);
        app.clock.advance(Duration::seconds(29));
        assert_eq!(app.send_due().await, 0, "Retry-After is honoured");
        app.clock.advance(Duration::seconds(1));
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["one", "two", "three"]);
        assert_eq!(message(&app, ride, "one").await["possibly_duplicated"], false);
        app.finish().await;
    }

    async fn a_refused_text_fails_with_the_providers_code_and_unblocks_the_next(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        bird.script([Behaviour::Answer(
            422,
            vec![("content-type", "application/json")],
            r#"{"errors":[{"code":9,"description":"no (correct) recipients found: 31687654321","parameter":"recipients"}]}"#,
        )]);
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "one").await.expect_taken();
        webhooks(&app).text("a2", DIGITS.0, DIGITS.2, "two").await.expect_taken();
        app.send_due().await;
        let failed = message(&app, ride, "one").await;
        assert_eq!((failed["status"].as_str(), failed["reason"].as_str()), (Some("failed"), Some("provider_rejected:9")));
        assert_eq!(message(&app, ride, "two").await["status"], "sent");
        app.finish().await;
    }

    async fn a_provider_that_stays_away_ends_in_a_dead_letter(kind: Kind) {
        let (mut app, bird, ride) = with_ride(kind).await;
        bird.script(vec![Behaviour::Answer(503, vec![], ""); 16]);
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "one").await.expect_taken();
        for _ in 0..16 {
            assert_eq!(app.send_due().await, 1);
            app.advance(Duration::minutes(16)).await;
        }
        assert_eq!(app.send_due().await, 0);
        let failed = message(&app, ride, "one").await;
        assert_eq!((failed["status"].as_str(), failed["reason"].as_str()), (Some("failed"), Some("provider_unavailable")));
        app.finish().await;
    }

    async fn a_send_of_unknown_outcome_is_repeated_and_says_so_unless_a_report_settles_it(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        bird.script([Behaviour::Answer(500, vec![], "oops"), Behaviour::Accept, Behaviour::Answer(500, vec![], "oops")]);
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "doubt").await.expect_taken();
        app.send_due().await;
        app.clock.advance(Duration::seconds(30));
        assert_eq!(app.send_due().await, 0, "a report gets its chance first");
        app.clock.advance(Duration::seconds(120));
        app.send_due().await;
        assert_eq!(words(&bird.take()), ["doubt", "doubt"]);
        let doubt = message(&app, ride, "doubt").await;
        assert_eq!((doubt["status"].as_str(), doubt["possibly_duplicated"].as_bool()), (Some("sent"), Some(true)));

        webhooks(&app).text("a2", DIGITS.0, DIGITS.2, "settled").await.expect_taken();
        app.send_due().await;
        let sent = bird.take();
        webhooks(&app).report(sent[0].body["reference"].as_str().unwrap(), DIGITS.1, "delivered").await.expect_taken();
        app.clock.advance(Duration::minutes(5));
        assert_eq!(app.send_due().await, 0, "a settled text is not sent again");
        let settled = message(&app, ride, "settled").await;
        assert_eq!((settled["status"].as_str(), settled["possibly_duplicated"].as_bool()), (Some("delivered"), Some(false)));
        app.finish().await;
    }

    async fn a_long_text_goes_out_in_parts_and_is_delivered_when_all_are(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        let long = "é word ".repeat(350);
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, &long).await.expect_taken();
        app.send_due().await;
        let sent = bird.take();
        assert_eq!(words(&sent).concat(), long);
        assert_eq!(sent.len(), 2);
        let status = async || message(&app, ride, &long).await["status"].as_str().unwrap().to_owned();
        assert_eq!(message(&app, ride, &long).await["parts"], 2);
        // The reports differ in nothing but the reference here, as two parts sent in one second would.
        webhooks(&app).report(sent[1].body["reference"].as_str().unwrap(), DIGITS.1, "delivered").await.expect_taken();
        assert_eq!(status().await, "sent");
        webhooks(&app).report(sent[0].body["reference"].as_str().unwrap(), DIGITS.1, "delivered").await.expect_taken();
        assert_eq!(status().await, "delivered");
        app.finish().await;
    }

    async fn an_undelivered_text_says_why(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "one").await.expect_taken();
        app.send_due().await;
        let reference = bird.take()[0].body["reference"].as_str().unwrap().to_owned();
        webhooks(&app).report(&reference, DIGITS.1, "delivery_failed").await.expect_taken();
        let told = message(&app, ride, "one").await;
        assert_eq!((told["status"].as_str(), told["reason"].as_str()), (Some("undelivered"), Some("undeliverable")));
        app.finish().await;
    }

    async fn two_replicas_share_the_work_and_do_nothing_twice(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        let (second, api) = app.replica().await;
        let other = Webhooks { api: &api, now: app.now() };
        for at in 0..20 {
            let (here, key) = (webhooks(&app), format!("a{at}"));
            let text = format!("text {at}");
            // The same webhook reaches both replicas at once.
            let (one, two) = tokio::join!(
                here.text(&key, DIGITS.0, DIGITS.2, &text),
                other.text(&key, DIGITS.0, DIGITS.2, &text),
            );
            assert_eq!((one.status, two.status), (200, 200));
        }
        while app.owed().await > 0 {
            tokio::join!(app.send_due(), second.send_due());
        }
        let expected: Vec<_> = (0..20).map(|at| format!("text {at}")).collect();
        assert_eq!(words(&bird.take()), expected, "each once, in order");
        let flow = other.call("5b2a1c3e-0000-4000-8000-000000000001", DIGITS.0, DIGITS.2).await;
        assert!(flow.text.contains(r#"<Transfer destination="31687654321" mask="true" />"#));
        let reference = message(&app, ride, "text 19").await;
        assert_eq!(reference["status"], "sent");
        second.stop().await;
        app.finish().await;
    }

    async fn a_claim_that_its_process_lost_is_taken_over_after_the_lease(kind: Kind) {
        let (app, bird, ride) = with_ride(kind).await;
        let (second, _) = app.replica().await;
        bird.script([Behaviour::Hang(Seconds::from_millis(800))]);
        webhooks(&app).text("a1", DIGITS.0, DIGITS.2, "slow").await.expect_taken();
        // While the first replica waits for the provider, nobody else may send the text, until the lease is over.
        let (first, ()) = tokio::join!(app.send_due(), async {
            tokio::time::sleep(Seconds::from_millis(200)).await;
            assert_eq!(second.send_due().await, 0);
            app.clock.advance(Duration::seconds(31));
            assert_eq!(second.send_due().await, 1);
        });
        assert_eq!((first, words(&bird.take())), (1, vec!["slow", "slow"]));
        let slow = message(&app, ride, "slow").await;
        assert_eq!((slow["status"].as_str(), slow["possibly_duplicated"].as_bool()), (Some("sent"), Some(true)));
        second.stop().await;
        app.finish().await;
    }
}

impl crate::harness::Answer {
    /// The webhook was taken.
    #[track_caller]
    fn expect_taken(self) {
        assert_eq!(self.status, 200, "{}", self.text);
    }
}
