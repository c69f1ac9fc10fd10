//! PgBouncer in transaction mode: connections of the server are shared by clients, a transaction at a time.

use std::sync::Arc;

use maskline::clock::{Clock as _, SystemClock};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{
        TestDatabase,
        carrier::{Carrier, News},
        id,
        pgbouncer::PgBouncer,
        postgres::Server,
    },
    ride::{ANN, BOB},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_of_two_replicas_share_three_connections() {
    let server = Server::start(&[]);
    let pooler = PgBouncer::start(server.port);
    let db = TestDatabase::at(pooler.way_to(&server.database("maskline").await));
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let stage = Stage::on(db, &carrier, &[("DATABASE_POOLER", "transaction")]).await;
    stage.app.send_due().await;
    stage.deliver_all().await;
    let (second, other) = stage.app.replica().await;
    let stage = Arc::new(stage);
    let mut clients = JoinSet::new();
    for client in 0..16 {
        let (stage, other) = (Arc::clone(&stage), other.clone());
        clients.spawn(async move {
            for at in 0..8 {
                let name = format!("person {client}-{at}");
                let body = json!({ "name": name, "phone_number": format!("+31612{client:03}{at:03}") });
                let made = id(&other.post("/v1/customers", &body).await.expect(201));
                assert_eq!(stage.app.get(&format!("/v1/customers/{made}")).await.expect(200)["name"], name.as_str());
                let from = if at % 2 == 0 { ANN } else { BOB };
                stage.text(&format!("t{client}-{at}"), from, &name, &[]).await;
                assert!(stage.call(&format!("c{client}-{at}"), from).await.text.contains("Transfer"));
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client was answered");
    }
    while stage.app.pending_parts().await > 0 {
        tokio::join!(stage.app.send_due(), second.send_due());
    }
    let sent = stage.api.take();
    assert_eq!(sent.len(), 16 * 8);
    for sent in &sent {
        stage.report(sent, News::Delivered).await;
    }
    stage.app.tidy().await;
    // The clock of the tests stands still, the database's does not.
    stage.app.clock.advance(SystemClock.now() - stage.app.now());
    stage.app.measure_skew().await;
    stage.app.get("/health/ready").await.expect(200);
    second.stop().await;
    Arc::into_inner(stage).expect("the last").app.finish().await;
}
