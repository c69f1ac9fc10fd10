//! While the platform is asked about a text, what arrives later waits for it, and not for long.

use std::{
    sync::Arc,
    time::{Duration as Real, Instant},
};

use maskline::clock::{Clock as _, SystemClock};
use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::{Value, json};

use super::{Platform, Question, Then};
use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{
        Api, CLIENT, Kind, TestDatabase,
        carrier::{Carrier, Signer, StandIn},
        on_both_databases,
    },
    process::{self, Service, account, eventually},
    ride::{ANN, BOB, NUMBER},
};

/// Longest wait of a text for another: the time-out of a question.
const TIMEOUT: Real = Real::from_millis(800);
/// What a loaded machine may need for the rest.
const SLACK: Real = Real::from_millis(1200);

fn allow() -> Value {
    json!({ "action": "allow" })
}

fn block() -> Value {
    json!({ "action": "block" })
}

/// The question about this text, whichever comes first.
async fn question_about(platform: &Platform, text: &str) -> Question {
    let question = platform.question().await;
    assert_eq!(question.body["data"]["text"], text);
    question
}

/// The relayed texts that a simulated phone has read.
async fn read(api: &Api, phone: &str) -> Vec<String> {
    let screen = api.screen(phone).await;
    let texts = screen.iter().map(|entry| entry["text"].as_str().expect("a text").to_owned());
    texts.filter(|text| !text.contains("Dam 1")).collect()
}

/// Several replicas where the database can have them, and one where it cannot.
async fn replicas(db: &TestDatabase, kind: Kind, variables: &[(&str, &str)]) -> Vec<Service> {
    let mut services = vec![Service::start(db, variables).await];
    if kind == Kind::Postgres {
        services.push(Service::start(db, variables).await);
    }
    services
}

/// A MessageBird account whose texts are screened by this platform.
fn screened_account<'a>(
    bird: &'a [(&'static str, String)],
    platform: &'a Platform,
    on_failure: &'a str,
) -> Vec<(&'a str, &'a str)> {
    [account(bird), platform.variables(on_failure).to_vec()].concat()
}

async fn webhook(api: &Api, key: &str, text: &str) -> u16 {
    process::webhook(api, &MessageBird, &MessageBird.text(key, ANN, NUMBER, text, &[])).await
}

/// Texts that the provider was handed, in order.
fn carried(bird: &StandIn, so_far: &mut Vec<String>) -> Vec<String> {
    so_far.extend(bird.carried().into_iter().map(|sent| sent.text));
    so_far.clone()
}

on_both_databases! {
    async fn the_driver_reads_first_what_came_first(kind: Kind) {
        let (db, platform) = (TestDatabase::fresh(kind).await, Platform::start().await);
        let services = replicas(&db, kind, &platform.variables("fail_open")).await;
        let api = Api::sign_in(&services[0].base, CLIENT, None).await;
        let other = api.at(&services.last().expect("a service").base);
        process::quiet_ride_over(&api, "simulator").await;
        let second = async {
            tokio::time::sleep(Real::from_millis(300)).await;
            other.simulate_text(ANN, NUMBER, "second").await;
        };
        let answering = async {
            let first = question_about(&platform, "first").await;
            let began = Instant::now();
            question_about(&platform, "second").await.answer(&allow()).await;
            tokio::time::sleep(Real::from_millis(500).saturating_sub(began.elapsed())).await;
            first.answer(&allow()).await;
        };
        tokio::join!(api.simulate_text(ANN, NUMBER, "first"), second, answering);
        let texts = eventually("both texts", async || {
            let texts = read(&api, BOB).await;
            (texts.len() >= 2).then_some(texts)
        }).await;
        assert_eq!(texts, ["first", "second"]);
        let timeline = api.timeline(1).await;
        let texts: Vec<_> = timeline.iter().filter_map(|item| item["text"].as_str()).collect();
        assert_eq!(texts, ["first", "second"], "the timeline goes by arrival too");
    }

    async fn whatever_is_answered_first_the_order_is_that_of_arrival(kind: Kind) {
        let platform = Platform::start().await;
        let app = platform.app(kind, "fail_open").await;
        let (replica, other) = app.replica().await;
        let long = "*".repeat(4000);
        let answering = async {
            let first = question_about(&platform, "first").await;
            let more = async {
                let second = question_about(&platform, "second").await;
                let third = question_about(&platform, "third").await;
                third.answer(&block()).await;
                second.answer(&allow()).await;
            };
            let texts = async {
                let third = async {
                    tokio::time::sleep(Real::from_millis(100)).await;
                    app.simulate_text(ANN, NUMBER, "third").await;
                };
                tokio::join!(other.simulate_text(ANN, NUMBER, "second"), third);
            };
            tokio::join!(more, texts);
            app.post("/v1/rides/1/messages", &json!({ "to": "driver", "text": "ours" })).await.expect(202);
            // The other way is another conversation.
            tokio::join!(app.simulate_text(BOB, NUMBER, "back"), async {
                question_about(&platform, "back").await.answer(&allow()).await;
            });
            replica.send_due().await;
            app.send_due().await;
            assert_eq!(read(&app, ANN).await, ["back"]);
            first.answer(&json!({ "action": "replace", "text": long })).await;
        };
        tokio::join!(app.simulate_text(ANN, NUMBER, "first"), answering);
        while app.send_due().await > 0 {}
        let texts = read(&app, BOB).await;
        assert_eq!(texts[..texts.len() - 2].concat(), long, "its parts stay together");
        assert_eq!(texts[texts.len() - 2..], ["second", "ours"]);
        app.place_events().await;
        assert_eq!(app.events("type=contact.rejected").await.len(), 1, "of the third");
        assert_eq!(app.events("type=message.received").await.len(), 3);
        replica.stop().await;
        app.finish().await;
    }

    async fn a_question_delays_others_by_its_time_out_at_most(kind: Kind) {
        let (db, platform) = (TestDatabase::fresh(kind).await, Platform::start().await);
        let service = Service::start(&db, &platform.variables("fail_closed")).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        process::quiet_ride_over(&api, "simulator").await;
        let answering = async {
            question_about(&platform, "first").await.say("", Then::Hang).await;
            let began = Instant::now();
            tokio::join!(api.simulate_text(ANN, NUMBER, "second"), async {
                question_about(&platform, "second").await.answer(&allow()).await;
            });
            let texts = eventually("the second text", async || {
                let texts = read(&api, BOB).await;
                (!texts.is_empty()).then_some(texts)
            }).await;
            (texts, began.elapsed())
        };
        let ((), (texts, waited)) = tokio::join!(api.simulate_text(ANN, NUMBER, "first"), answering);
        assert_eq!(texts, ["second"]);
        assert!(waited < TIMEOUT + SLACK, "{waited:?}");
        println!("a text waited {waited:?} for another whose question was not answered");
        let first = eventually("the first text", async || {
            api.timeline(1).await.into_iter().find(|item| item["text"] == "first")
        }).await;
        assert_eq!((&first["status"], &first["reason"]), (&json!("rejected"), &json!("blocked")));
        let events = eventually("the events", async || {
            let events = api.events("ride_id=1").await;
            let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
            ["contact.rejected", "message.received"].iter().all(|name| kinds.iter().any(|kind| kind == name)).then_some(kinds)
        }).await;
        let count = |name: &str| events.iter().filter(|kind| *kind == name).count();
        assert_eq!((count("contact.rejected"), count("message.received")), (1, 1), "{events:?}");
        service.terminate();
    }

    async fn a_repeat_keeps_the_place_of_the_text_after_kill_9(kind: Kind) {
        let (db, platform, bird) = (TestDatabase::fresh(kind).await, Platform::start().await, process::stand_in().await);
        let bird_account = MessageBird.account(&bird.base);
        let variables = screened_account(&bird_account, &platform, "fail_closed");
        let service = Service::start(&db, &variables).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        process::quiet_ride(&api).await;
        let (first, asked) = (MessageBird.text("a1", ANN, NUMBER, "first", &[]), SystemClock.now());
        let proof = MessageBird.sign(&first, Signer::Ours, asked);
        let posting = tokio::spawn({
            let api = api.clone();
            async move { api.try_webhook(&first, &proof).await.map(|answer| answer.status) }
        });
        let unanswered = question_about(&platform, "first").await;
        service.kill();
        assert_eq!(posting.await.expect("it ends"), None, "it was not acknowledged");
        drop(unanswered);

        let service = Service::start(&db, &variables).await;
        let api = api.at(&service.base);
        // A later one waits for a question that nobody waits for any more, no longer than that would have taken.
        let began = Instant::now();
        let (status, ()) = tokio::join!(webhook(&api, "a2", "meanwhile"), async {
            question_about(&platform, "meanwhile").await.answer(&allow()).await;
        });
        assert_eq!(status, 200);
        let mut sent = Vec::new();
        eventually("the text meanwhile", async || (carried(&bird, &mut sent).len() == 1).then_some(())).await;
        assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());

        // The provider repeats the first one, twice at once, and what comes after that waits again.
        let later = async {
            tokio::time::sleep(Real::from_millis(200)).await;
            webhook(&api, "a3", "second").await
        };
        let answering = async {
            let mut first = Vec::new();
            loop {
                let question = platform.question().await;
                match question.body["data"]["text"].as_str() {
                    Some("second") => {
                        question.answer(&allow()).await;
                        break;
                    }
                    _ => first.push(question),
                }
            }
            tokio::time::sleep(Real::from_millis(150)).await;
            for question in first {
                question.answer(&allow()).await;
            }
        };
        let statuses = tokio::join!(webhook(&api, "a1", "first"), webhook(&api, "a1", "first"), later, answering);
        assert_eq!((statuses.0, statuses.1, statuses.2), (200, 200, 200));
        eventually("the texts", async || (carried(&bird, &mut sent).len() >= 3).then_some(())).await;
        assert_eq!(sent, ["meanwhile", "first", "second"]);
        assert_eq!(webhook(&api, "a1", "first").await, 200);
        let timeline = api.timeline(1).await;
        let first = timeline.iter().find(|item| item["text"] == "first").expect("the first");
        let received: chrono::DateTime<chrono::Utc> =
            first["received_at"].as_str().expect("a time").parse().expect("a time");
        assert!((asked..asked + chrono::Duration::seconds(1)).contains(&received), "when it came first: {received}");
        tokio::time::sleep(Real::from_millis(300)).await;
        assert_eq!(carried(&bird, &mut sent).len(), 3, "nothing is doubled");
        service.terminate();
    }

    async fn repeats_while_the_question_is_out_change_nothing(kind: Kind) {
        let platform = Platform::start().await;
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let stage = Stage::under_way_with(&carrier, kind, &platform.variables("fail_open")).await;
        let copy = async || stage.text("a1", ANN, "first", &[]).await;
        let answering = async {
            let first = question_about(&platform, "first").await;
            let others = async {
                let others = [question_about(&platform, "first").await, question_about(&platform, "first").await];
                tokio::join!(stage.text("a2", ANN, "second", &[]), async {
                    question_about(&platform, "second").await.answer(&allow()).await;
                });
                stage.app.send_due().await;
                first.answer(&allow()).await;
                for other in others {
                    other.answer(&allow()).await;
                }
            };
            tokio::join!(copy(), copy(), others);
        };
        tokio::join!(copy(), answering);
        while stage.app.send_due().await > 0 {}
        let sent: Vec<_> = stage.deliver_all().await.into_iter().map(|sent| sent.text).collect();
        assert_eq!(sent, ["first", "second"]);
        copy().await;
        assert_eq!(stage.app.send_due().await, 0);
        stage.app.finish().await;
    }

    async fn the_order_survives_that_another_ride_takes_over(kind: Kind) {
        let platform = Platform::start().await;
        let app = platform.app(kind, "fail_open").await;
        tokio::join!(app.simulate_text(ANN, NUMBER, "owed"), async {
            question_about(&platform, "owed").await.answer(&allow()).await;
        });
        let answering = async {
            let first = question_about(&platform, "first").await;
            app.patch("/v1/rides/1", &json!({ "status": "cancelled" })).await.expect(200);
            let ride = app.ride(1, 2).await.expect(201);
            assert_eq!((ride["id"].as_i64(), ride["proxy_number"].as_str()), (Some(2), Some(NUMBER)));
            tokio::join!(app.simulate_text(ANN, NUMBER, "second"), async {
                let second = question_about(&platform, "second").await;
                assert_eq!(second.body["data"]["ride_id"], 2);
                second.answer(&allow()).await;
            });
            app.send_due().await;
            first.answer(&allow()).await;
            let again = question_about(&platform, "first").await;
            assert_eq!(again.body["data"]["ride_id"], 2, "it is asked about the ride that it goes to");
            again.answer(&allow()).await;
        };
        tokio::join!(app.simulate_text(ANN, NUMBER, "first"), answering);
        while app.send_due().await > 0 {}
        assert_eq!(read(&app, BOB).await, ["owed", "first", "second"]);
        app.finish().await;
    }

    async fn a_text_that_goes_out_late_is_not_lost_and_holds_nobody(kind: Kind) {
        let platform = Platform::start().await;
        let app = platform.app(kind, "fail_open").await;
        let db = Database::connect(&app.db.direct).await.expect("the database");
        // Two that are never repeated: one whose question was out a moment ago, and one of two days ago.
        let note = async |key: &str, at: chrono::DateTime<chrono::Utc>| {
            let sql = "INSERT INTO arrivals (provider, event_key, ride_id, to_role, seq, held_after_seq, held_until, arrived_at)
                VALUES ('simulator', $1, 1, 'driver', 1, 1, $2, $2)";
            let values = [key.into(), at.into()];
            db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.expect(sql);
        };
        note("lost", app.now() + chrono::Duration::milliseconds(1000)).await;
        note("old", app.now() - chrono::Duration::days(2)).await;
        tokio::join!(app.simulate_text(ANN, NUMBER, "second"), async {
            question_about(&platform, "second").await.answer(&allow()).await;
        });
        app.post("/v1/rides/1/messages", &json!({ "to": "driver", "text": "ours" })).await.expect(202);
        app.send_due().await;
        assert!(read(&app, BOB).await.is_empty());
        app.clock.advance(chrono::Duration::milliseconds(999));
        app.send_due().await;
        assert!(read(&app, BOB).await.is_empty());
        app.clock.advance(chrono::Duration::milliseconds(1));
        while app.send_due().await > 0 {}
        assert_eq!(read(&app, BOB).await, ["second", "ours"]);
        let keys = async || {
            let sql = "SELECT event_key FROM arrivals ORDER BY event_key";
            let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect(sql);
            rows.iter().map(|row| row.try_get_by_index::<String>(0).expect("a key")).collect::<Vec<_>>()
        };
        assert_eq!(keys().await, ["lost", "old"], "what was taken is gone");
        app.tidy().await;
        assert_eq!(keys().await, ["lost"]);
        db.close().await.expect("it closes");
        app.finish().await;
    }
}
