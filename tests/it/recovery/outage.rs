//! A database that is away or has no connection left: what can be answered is answered in time, and all of it works
//! again when the database does.

use std::{sync::Arc, time::Instant};

use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};

use super::health::{expect_not_ready, let_answers_age, until_ready};
use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{Kind, TestDatabase, carrier::Carrier, postgres},
    ride::{ANN, BOB, NUMBER},
};

/// A call comes in, and the caller soon hears that it does not work now.
async fn expect_an_announcement(stage: &Stage, key: &str) {
    let asked = Instant::now();
    let answer = stage.call(key, ANN).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "the caller listened to silence for {:?}", asked.elapsed());
    assert!(answer.text.contains("\"say\"") && !answer.text.contains(&BOB[1..]), "{}", answer.text);
}

async fn call_connects(stage: &Stage, key: &str) {
    assert!(stage.call(key, ANN).await.text.contains(&BOB[1..]));
}

async fn stage_on(db: TestDatabase) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let stage = Stage::on(db, &carrier, &[]).await;
    stage.app.send_due().await;
    stage.deliver_all().await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_free_connection_calls_are_answered_in_time_and_texts_come_again() {
    let stage = stage_on(TestDatabase::fresh(Kind::Postgres).await).await;
    let outside = Database::connect(&stage.app.db.direct).await.unwrap();
    let holder = outside.begin().await.unwrap();
    holder.execute_unprepared("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // Each of these texts waits for that lock on a connection of its own; the pool has sixteen.
    let stage = Arc::new(stage);
    let mut waiting = JoinSet::new();
    for at in 0..24 {
        let stage = Arc::clone(&stage);
        waiting.spawn(async move {
            let text = stage.carrier.text(&format!("w{at}"), ANN, NUMBER, &format!("text {at}"), &[]);
            stage.webhook(&text).await.status
        });
    }
    sleep(Duration::from_millis(500)).await;
    expect_an_announcement(&stage, "c1").await;
    expect_not_ready(&stage.app, "database_unreachable").await;
    for status in waiting.join_all().await {
        assert_eq!(status, 503);
    }
    holder.rollback().await.unwrap();
    until_ready(&stage.app).await;
    call_connects(&stage, "c2").await;
    for at in 0..24 {
        stage.text(&format!("w{at}"), ANN, &format!("text {at}"), &[]).await;
    }
    while stage.app.pending_parts().await > 0 {
        stage.app.send_due().await;
    }
    assert_eq!(stage.api.carried().len(), 24, "each once, whatever became of the first try");
    outside.close().await.unwrap();
    Arc::into_inner(stage).expect("the last").app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_database_under_load_loses_nothing() {
    let mut server = postgres::Server::start(&[]);
    let db = TestDatabase::at(server.database("maskline").await);
    let stage = Arc::new(stage_on(db).await);
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let stage = Arc::clone(&stage);
        senders.spawn(async move {
            for at in 0..25 {
                let (key, words) = (format!("s{sender}-{at}"), format!("text {sender}-{at}"));
                let text = stage.carrier.text(&key, ANN, NUMBER, &words, &[]);
                // As a provider does.
                while stage.webhook(&text).await.status != 200 {
                    sleep(Duration::from_millis(200)).await;
                }
            }
        });
    }
    sleep(Duration::from_millis(300)).await;
    server.stop();
    let_answers_age().await;
    expect_not_ready(&stage.app, "database_unreachable").await;
    expect_an_announcement(&stage, "c1").await;
    server.start_again();
    let again = Instant::now();
    until_ready(&stage.app).await;
    println!("ready {:?} after the database", again.elapsed());
    senders.join_all().await;
    call_connects(&stage, "c2").await;
    while stage.app.pending_parts().await > 0 {
        stage.app.send_due().await;
    }
    let mut texts: Vec<_> = stage.api.carried().into_iter().map(|carried| carried.text).collect();
    texts.sort();
    let mut expected: Vec<_> = (0..8).flat_map(|sender| (0..25).map(move |at| format!("text {sender}-{at}"))).collect();
    expected.sort();
    assert_eq!(texts, expected);
    Arc::into_inner(stage).expect("the last").app.finish().await;
}
