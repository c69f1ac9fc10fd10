//! The platform does not answer, and then the database is busy: the provider still gets its answer in time, and the text
//! gets through when the provider repeats it.

use std::{
    sync::Arc,
    time::{Duration as Real, Instant},
};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::json;
use tokio::time::sleep;

use super::SECRET;
use crate::{
    carriers::{plivo::Plivo, stage::Stage},
    harness::{
        Kind,
        carrier::Carrier,
        on_both_databases,
        subscriber::{Act, Subscriber},
    },
    process::eventually,
    ride::{ANN, BOB, NUMBER},
};

/// Time after which Plivo warns about an answer to a webhook. The service answers within [`SERVICE_TAKES`].
const PLIVO_WAITS: Real = Real::from_secs(5);
const SERVICE_TAKES: Real = Real::from_secs(3);

/// Keeps everybody else from recording a webhook, until its `ROLLBACK`.
async fn block_the_inbox(kind: Kind, url: &str) -> DatabaseConnection {
    let db = Database::connect(ConnectOptions::new(url).max_connections(1).to_owned()).await.expect("the database");
    let statements: &[&str] = match kind {
        Kind::Sqlite => &["BEGIN IMMEDIATE"],
        Kind::Postgres => &["BEGIN", "LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE"],
    };
    for sql in statements {
        db.execute_unprepared(sql).await.expect(sql);
    }
    db
}

on_both_databases! {
    async fn a_silent_platform_and_a_busy_database_do_not_make_the_provider_wait(kind: Kind) {
        let asked = Subscriber::start().await;
        let carrier: Arc<dyn Carrier> = Arc::new(Plivo);
        let variables = [("INTERCEPT_URL", asked.url.as_str()), ("INTERCEPT_SECRET", SECRET)];
        let stage = Stage::under_way_with(&carrier, kind, &variables).await;
        asked.script([Act::Late(Real::from_secs(5))]);
        let text = carrier.text("t1", ANN, NUMBER, "hello", &[]);
        let began = Instant::now();
        let (answer, blocker) = tokio::join!(stage.webhook(&text), async {
            eventually("the question", async || (asked.most_at_once().0 > 0).then_some(())).await;
            block_the_inbox(kind, &stage.app.db.direct).await
        });
        let took = began.elapsed();
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!((SERVICE_TAKES..PLIVO_WAITS).contains(&took), "answered after {took:?}");
        blocker.execute_unprepared("ROLLBACK").await.expect("the end of the block");

        asked.always(Some(Act::Say(200, json!({ "action": "allow" }).to_string())));
        // What was cut off may hold the database for a moment.
        sleep(Real::from_millis(100)).await;
        assert_eq!(stage.webhook(&text).await.status, 200);
        stage.app.send_due().await;
        let arrived: Vec<_> = stage.deliver_all().await.into_iter().map(|sent| (sent.to, sent.text)).collect();
        assert_eq!(arrived, [(BOB.to_owned(), "hello".to_owned())]);
        stage.app.finish().await;
    }
}
