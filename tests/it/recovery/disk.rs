//! The disk under the embedded database has no room left: nothing that was acknowledged is lost, what cannot be taken
//! is refused, and all of it works again when there is room.
//!
//! No disk is filled: the process may write no file beyond its first bytes (`RLIMIT_FSIZE`), which works everywhere and
//! without rights. SQLite is told "I/O error" then instead of "full"; a unit test of `store/connect.rs` has the latter.

use std::process::Command;

use serde_json::json;

use super::health::{expect_not_ready, let_answers_age, until_ready};
use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Api, CLIENT, Kind, TestDatabase,
        carrier::{Carrier, Ring, Signer},
    },
    process::{Service, account, eventually, quiet_ride, stand_in, webhook},
    ride::{ANN, BOB, NUMBER},
};

fn limit_files(service: &Service, limit: &str) {
    let done =
        Command::new("prlimit").args(["--pid", &service.id().to_string(), &format!("--fsize={limit}:")]).status();
    assert!(done.expect("prlimit runs").success());
}

async fn call(api: &Api, key: &str) -> String {
    let ring = MessageBird.call(Ring { id: key, from: ANN, number: NUMBER, to: "" });
    let now = maskline::clock::Clock::now(&maskline::clock::SystemClock);
    let answer = api.webhook(&ring, &MessageBird.sign(&ring, Signer::Ours, now)).await;
    assert_eq!(answer.status, 200);
    answer.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_got_over() {
    let (db, bird) = (TestDatabase::fresh(Kind::Sqlite).await, stand_in().await);
    // A write beyond the limit is to fail, not to kill.
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$0\""];
    let service = Service::start_by(&wrapper, &db, &account(&MessageBird.account(&bird.base))).await;
    let api = Api::sign_in(&service.base, CLIENT, None).await;
    quiet_ride(&api).await;
    let text = |key: &str| MessageBird.text(key, ANN, NUMBER, key, &[]);
    assert_eq!(webhook(&api, &MessageBird, &text("before")).await, 200);
    eventually("the first send", async || bird.carried().pop()).await;

    limit_files(&service, "4096");
    let_answers_age().await;
    for round in 0..3 {
        assert_eq!(webhook(&api, &MessageBird, &text("meanwhile")).await, 503);
        let heard = call(&api, &format!("m{round}")).await;
        assert!(heard.contains("\"say\"") && !heard.contains(&BOB[1..]), "{heard}");
        let cyd = json!({ "name": "Cyd", "phone_number": "+31611111111" });
        api.post("/v1/customers", &cyd).await.expect_problem(503, "unavailable");
        api.get("/v1/rides/1").await.expect(200);
        expect_not_ready(&api, "database_not_writable").await;
    }

    limit_files(&service, "unlimited");
    until_ready(&api).await;
    assert_eq!(webhook(&api, &MessageBird, &text("meanwhile")).await, 200);
    let sent = eventually("the second send", async || bird.carried().pop()).await;
    assert_eq!((sent.to.as_str(), sent.text.as_str()), (BOB, "meanwhile"));
    assert!(call(&api, "after").await.contains(&BOB[1..]));
    service.terminate();
}
