//! The official library of Standard Webhooks, as a receiver would use it, verifies what we deliver.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};

use super::{PATH, Post, Stage};
use crate::harness::{Kind, on_both_databases};

/// Where the library is, once it is installed: in the version and with the checksum that its fixture names.
fn library() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = format!("{}/standardwebhooks", env!("CARGO_TARGET_TMPDIR"));
        if !Path::new(&folder).join("standardwebhooks").exists() {
            let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/standardwebhooks/requirements.txt");
            let options = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target"];
            let installed = Command::new("python3").args(options).args([&folder, "-r", list]).status();
            assert!(installed.expect("Python 3 runs").success(), "pip installs the library");
        }
        folder
    })
}

/// What the library says of each of these.
fn verdicts(deliveries: &[Value]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/standardwebhooks/verify.py");
    let mut python = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", library())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python 3 runs");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(json!(deliveries).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn delivery(post: &Post, secret: &str) -> Value {
    let headers = json!({
        "webhook-id": post.id, "webhook-timestamp": post.timestamp, "webhook-signature": post.signature,
    });
    json!({ "secret": secret, "headers": headers, "body": post.body })
}

on_both_databases! {
    async fn the_official_library_verifies_deliveries_and_refuses_forged_ones(kind: Kind) {
        let stage = Stage::set(kind).await;
        stage.happens("ride.completed", json!({ "ride_id": 7, "status": "completed" })).await;
        stage.deliver().await;
        let rotated = stage.app.post(&format!("{PATH}/{}/rotate-secret", stage.endpoint), &json!({})).await.expect(200);
        let secret = rotated["secret"].as_str().unwrap();
        stage.happens("pool.low", json!({})).await;
        stage.deliver().await;
        let posts = stage.subscriber.take();
        let [first, second] = [&posts[0], &posts[1]];
        let good = [delivery(first, &stage.secret), delivery(second, &stage.secret), delivery(second, secret)];
        assert_eq!(verdicts(&good), ["verified ride.completed", "verified pool.low", "verified pool.low"]);

        let mut forged = vec![delivery(first, secret)];
        for (field, value) in [
            ("body", json!(first.body.replace("\"ride_id\":7", "\"ride_id\":8"))),
            ("headers", json!({ "webhook-id": "evt_9", "webhook-timestamp": first.timestamp, "webhook-signature": first.signature })),
            ("headers", json!({ "webhook-id": first.id, "webhook-timestamp": (stage.app.now().timestamp() - 9).to_string(), "webhook-signature": first.signature })),
            ("headers", json!({ "webhook-id": first.id, "webhook-timestamp": first.timestamp, "webhook-signature": second.signature })),
        ] {
            let mut delivery = delivery(first, &stage.secret);
            assert_ne!(delivery[field], value);
            delivery[field] = value;
            forged.push(delivery);
        }
        let verdicts = verdicts(&forged);
        assert_eq!(verdicts.len(), 5);
        assert!(verdicts.iter().all(|verdict| verdict == "refused: No matching signature found"), "{verdicts:?}");
        stage.finish().await;
    }
}
