//! Who has no open ride: what they hear and read, where their calls go, and what is written down of it.

use std::sync::Arc;

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::{Value, json};

use crate::{
    carriers::{for_every_provider, messagebird::MessageBird, stage::Stage},
    harness::{
        Kind, TestApp,
        carrier::{Behaviour, Carrier, Ring},
        id, on_both_databases,
    },
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const STRANGER: &str = "+31611112222";
const SUPPORT: &str = "+31201234567";

async fn last(app: &TestApp, list: &str) -> Value {
    app.get(&format!("/v1/{list}?order=desc&limit=1")).await.expect(200)["items"][0].clone()
}

/// What became of the latest call: outcome as the caller lived it, status, reason.
async fn call(app: &TestApp, from: &str, to: &str) -> [String; 3] {
    let outcome = app.simulate_call(from, to).await;
    if outcome["outcome"] == "connected" {
        assert_eq!((outcome["rang"].as_str(), outcome["caller_id"].as_str()), (Some(SUPPORT), Some(to)));
    }
    let call = last(app, "calls").await;
    [&outcome["outcome"], &call["status"], &call["reason"]].map(|word| word.as_str().unwrap_or_default().to_owned())
}

async fn count(app: &TestApp, sql: &str) -> i64 {
    let open = Database::connect(&app.db.direct).await.expect("the database");
    let row = open.query_one_raw(Statement::from_string(open.get_database_backend(), sql)).await.expect(sql);
    row.expect("a row").try_get_by_index(0).expect("a count")
}

const SEALED_PHONES: &str = "SELECT COUNT(*) FROM messages WHERE phone_sealed IS NOT NULL";

on_both_databases! {
    async fn calls_of_strangers_go_to_the_support_number(kind: Kind) {
        let mut app = TestApp::with(kind, &[("SUPPORT_NUMBER", "+31 20 123 4567")]).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let second = "+3197010200002";
        app.number(second, "simulator").await;
        assert_eq!(call(&app, STRANGER, NUMBER).await, ["connected", "completed", "unknown_caller"]);
        let screen = app.get(&format!("/v1/simulator/phones/{SUPPORT}")).await;
        assert!(!screen.text.contains(&STRANGER[1..]), "the caller shows");
        assert_eq!(screen.body["items"][0]["number"], NUMBER);

        let rejected = |reason: &str| ["announced", "rejected", reason].map(str::to_owned);
        assert_eq!(call(&app, STRANGER, "+3197010299999").await, rejected("number_not_ours"));
        assert_eq!(call(&app, second, NUMBER).await, rejected("pool_number"));
        assert_eq!(call(&app, SUPPORT, NUMBER).await, rejected("unknown_caller"), "support cannot call itself");

        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        let proxy = app.get(&format!("/v1/rides/{ride}")).await.expect(200)["proxy_number"].as_str().unwrap().to_owned();
        let to_bob = app.simulate_call(ANN, &proxy).await;
        assert_eq!(to_bob["rang"], BOB, "who has a ride reaches the other party");
        app.patch(&format!("/v1/rides/{ride}"), &json!({ "status": "cancelled" })).await.expect(200);
        app.advance(Duration::hours(1)).await;
        assert_eq!(call(&app, ANN, &proxy).await, ["connected", "completed", "contact_closed"]);
        assert_eq!(last(&app, "calls").await["ride_id"].as_i64(), Some(ride));

        // A support number in the pool would call us back.
        app.number(SUPPORT, "simulator").await;
        assert_eq!(call(&app, STRANGER, NUMBER).await, rejected("unknown_caller"));
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(call(&app, STRANGER, NUMBER).await, rejected("number_suspended"));
        app.finish().await;
    }

    async fn a_suspended_number_carries_what_is_open_and_nothing_else(kind: Kind) {
        let app = TestApp::with(kind, &[("SUPPORT_NUMBER", SUPPORT), ("AUTO_REPLY", "on")]).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(app.simulate_call(BOB, NUMBER).await["rang"], ANN);
        assert_eq!(call(&app, STRANGER, NUMBER).await, ["announced", "rejected", "number_suspended"]);
        app.simulate_text(STRANGER, NUMBER, "Hello?").await;
        let text = last(&app, "messages").await;
        assert_eq!((text["status"].as_str(), text["reason"].as_str()), (Some("rejected"), Some("number_suspended")));
        assert_eq!(app.send_due().await, 0, "no reply from a number that is out of service");
        app.finish().await;
    }

    async fn a_stranger_is_answered_once_a_day(kind: Kind) {
        let mut app = TestApp::with(kind, &[("AUTO_REPLY", "on")]).await;
        ann_and_bob(&app).await;
        let second = "+442071234567";
        app.number(second, "simulator").await;
        app.simulate_text(STRANGER, NUMBER, "Where are you?").await;
        let reply = last(&app, "messages").await;
        assert_eq!((reply["kind"].as_str(), reply["status"].as_str()), (Some("notice"), Some("queued")));
        assert!(reply["ride_id"].is_null() && reply["to_role"].is_null() && reply["parts"] == 1, "{reply}");
        assert_eq!(count(&app, SEALED_PHONES).await, 1);
        assert_eq!(app.send_due().await, 1);
        let screen = app.screen(STRANGER).await;
        assert_eq!(screen[0]["number"], NUMBER);
        assert!(screen[0]["text"].as_str().unwrap().starts_with("Dit nummer werkt alleen zolang u een rit hebt."));
        assert_eq!(count(&app, SEALED_PHONES).await, 0, "the phone is not kept");
        assert_ne!(last(&app, "messages").await["status"], "queued");

        app.simulate_text(STRANGER, NUMBER, "Hello?").await;
        app.advance(Duration::hours(24) - Duration::milliseconds(1)).await;
        app.simulate_text(STRANGER, NUMBER, "Hello??").await;
        assert_eq!(app.send_due().await, 0, "once a day");
        app.simulate_text(STRANGER, second, "And here?").await;
        assert_eq!(app.send_due().await, 1, "another number");
        assert!(app.screen(STRANGER).await.last().unwrap()["text"].as_str().unwrap().starts_with("This number works only"));
        app.advance(Duration::milliseconds(1)).await;
        app.simulate_text(STRANGER, NUMBER, "A day later").await;
        assert_eq!(app.send_due().await, 1);

        assert_eq!(count(&app, "SELECT COUNT(*) FROM auto_replies").await, 2);
        app.advance(Duration::hours(25)).await;
        app.tidy().await;
        assert_eq!(count(&app, "SELECT COUNT(*) FROM auto_replies").await, 0, "the guard forgets");
        let told = app.get("/v1/messages").await.expect(200);
        let rejected = told["items"].as_array().unwrap().iter().filter(|text| text["reason"] == "unknown_caller").count();
        assert_eq!(rejected, 5, "every text is written down");
        app.finish().await;
    }

    async fn machines_and_commands_are_not_answered(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::with(&carrier, kind, &[("AUTO_REPLY", "on")]).await;
        stage.app.send_due().await;
        stage.deliver_all().await;
        stage.app.number("+3197010200009", "messagebird").await;
        for (at, (from, text)) in [
            ("Bank", "Your code is 1234"),
            ("12345", "You have won"),
            ("anonymous", "Hello?"),
            ("+266696687", "Hello?"),
            ("+3197010200009", "An echo"),
            (STRANGER, "STOP"),
            (STRANGER, "stop."),
            (STRANGER, "Help"),
        ].into_iter().enumerate() {
            stage.text(&format!("t{at}"), from, text, &[]).await;
            assert_eq!(stage.app.send_due().await, 0, "{from}: {text}");
        }
        stage.text("t90", STRANGER, "Please stop at the corner", &[]).await;
        assert_eq!(stage.app.send_due().await, 1);
        stage.deliver_all().await;
        stage.app.finish().await;

        let app = TestApp::start(kind).await;
        ann_and_bob(&app).await;
        app.simulate_text(STRANGER, NUMBER, "Hello?").await;
        assert_eq!(app.send_due().await, 0, "nobody is answered unless it is wanted");
        app.finish().await;
    }

    async fn two_replicas_answer_once(kind: Kind) {
        let app = TestApp::with(kind, &[("AUTO_REPLY", "on")]).await;
        ann_and_bob(&app).await;
        let (running, other) = app.replica().await;
        let sends = (0..12).map(|at| {
            let api = if at % 2 == 0 { &app.api } else { &other };
            api.simulate_text(STRANGER, NUMBER, "Hello?")
        });
        futures_util::future::join_all(sends).await;
        assert_eq!(app.pending_parts().await, 1);
        assert_eq!(app.send_due().await, 1);
        running.stop().await;
        app.finish().await;
    }

    async fn an_answer_is_retried_like_any_text_and_leaves_by_a_number_that_serves(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::with(&carrier, kind, &[("AUTO_REPLY", "on")]).await;
        stage.app.send_due().await;
        stage.deliver_all().await;
        stage.api.script([Behaviour::Answer(503, vec![], "")]);
        stage.text("t1", STRANGER, "Hello?", &[]).await;
        assert_eq!(stage.app.send_due().await, 1);
        assert_eq!(stage.app.pending_parts().await, 1, "the provider was busy");
        assert_eq!(count(&stage.app, SEALED_PHONES).await, 1);
        stage.app.clock.advance(Duration::minutes(5));
        assert_eq!(stage.app.send_due().await, 1);
        let sent = stage.deliver_all().await;
        assert_eq!(sent.len(), 2, "the one that was refused, and the one that was taken");
        assert!(sent.iter().all(|sent| (sent.to.as_str(), sent.from.as_str()) == (STRANGER, NUMBER)));
        assert_eq!(last(&stage.app, "messages").await["status"], "delivered");
        assert_eq!(count(&stage.app, SEALED_PHONES).await, 0);

        stage.text("t2", "+31611113333", "Hello?", &[]).await;
        let number = format!("/v1/numbers/{}", stage.number);
        stage.app.patch(&number, &json!({ "status": "suspended" })).await.expect(200);
        assert_eq!(stage.app.send_due().await, 1);
        let failed = last(&stage.app, "messages").await;
        assert_eq!((failed["status"].as_str(), failed["reason"].as_str()), (Some("failed"), Some("contact_closed")));
        assert_eq!(count(&stage.app, SEALED_PHONES).await, 0);
        stage.app.finish().await;
    }
}

for_every_provider! {
    async fn support_is_called_by_the_proxy_number(carrier, kind) {
        let stage = Stage::with(&carrier, kind, &[("SUPPORT_NUMBER", SUPPORT), ("AUTO_REPLY", "on")]).await;
        stage.app.send_due().await;
        stage.deliver_all().await;
        let flow = stage.call("c1", STRANGER).await.text;
        assert!(flow.contains(&SUPPORT[1..]) && !flow.contains(&STRANGER[1..]), "{flow}");
        assert!(flow.contains(&NUMBER[1..]) || carrier.name() == "messagebird", "{flow}");
        for hidden in ["anonymous", "Restricted", "+266696687", "+1266696687", "+17378742833", NUMBER] {
            let ring = Ring { id: &format!("h{hidden}"), from: hidden, number: NUMBER, to: "" };
            let flow = stage.webhook(&carrier.call(ring)).await.text;
            assert!(!flow.contains(&SUPPORT[1..]) && flow.contains("nu niet doorverbinden"), "{hidden}: {flow}");
        }
        let calls = stage.app.get("/v1/calls").await.expect(200);
        let reasons: Vec<_> = calls["items"].as_array().unwrap().iter().map(|call| call["reason"].clone()).collect();
        assert_eq!(reasons, ["unknown_caller", "hidden_caller", "hidden_caller", "hidden_caller", "hidden_caller", "hidden_caller", "pool_number"]);

        stage.text("t1", STRANGER, "Hello?", &[]).await;
        assert_eq!(stage.app.send_due().await, 1);
        let sent = stage.deliver_all().await;
        assert_eq!((sent[0].to.as_str(), sent[0].from.as_str()), (STRANGER, NUMBER));
        stage.app.finish().await;
    }
}
