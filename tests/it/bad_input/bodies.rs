//! Bodies that are wrong as a whole.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{CANARY, World, refused, writes};
use crate::harness::{Kind, on_both_databases};

const JSON: (&str, &str) = ("content-type", "application/json");
const LIMIT: usize = 64 * 1024;

/// A customer in a body of exactly this size.
fn padded(size: usize) -> Vec<u8> {
    let mut body = json!({ "name": CANARY, "phone_number": "+31612345678" }).to_string().into_bytes();
    body.resize(size, b' ');
    body
}

on_both_databases! {
    async fn what_is_not_json_is_malformed(kind: Kind) {
        let world = World::start(kind).await;
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000)).into_bytes();
        let mut bodies: Vec<Vec<u8>> = [
            "",
            " ",
            "{",
            "}",
            "canary-7f3a",
            "nul",
            r#"{"name":"canary-7f3a""#,
            r#"{"name":"canary-7f3a",}"#,
            "{'name':1}",
            "{name:1}",
            r#"{"name":"canary-7f3a"} x"#,
            "{}{}",
            r#"{"name":"canary-7f3a\ud800"}"#,
            r#"{"name":"\x"}"#,
            "{\"name\":\"canary\u{0}7f3a\"}",
            r#"{"customer_id":1e999}"#,
            r#"{"customer_id":01}"#,
            r#"{"customer_id":NaN}"#,
            "\u{feff}{}",
        ]
        .map(|body| body.as_bytes().to_vec())
        .into();
        bodies.extend([deep("[", "]"), deep("{\"name\":", "}"), vec![b'['; LIMIT]]);
        bodies.extend([
            b"{\"name\":\"canary-7f3a\xff\"}".to_vec(),
            b"{\"name\":\"\xc0\x80\"}".to_vec(),
            vec![0xff, 0xfe, b'{', 0],
        ]);
        for operation in writes() {
            for body in &bodies {
                let answer = world.raw(&operation.method, &world.path(&operation), &[JSON], body.clone()).await;
                assert!(refused(&answer, 400, "malformed_json").is_empty());
            }
        }
        world.unchanged().await;
    }

    async fn a_body_is_an_object(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            for body in [json!([]), json!([{ "name": CANARY }]), json!(null), json!(CANARY), json!(1), json!(true)] {
                let answer = world.json(&operation.method, &world.path(&operation), &[], &body).await;
                assert_eq!(refused(&answer, 422, "invalid_request"), [""]);
            }
        }
        world.unchanged().await;
    }

    async fn a_body_says_that_it_is_json(kind: Kind) {
        let world = World::start(kind).await;
        let types = [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/xml",
            "application/problem+json",
            "json",
            "application/json; charset=utf-16",
            "canary-7f3a",
            "é",
        ];
        for operation in writes() {
            let (path, good) = (world.path(&operation), world.good(&operation).to_string().into_bytes());
            let without = world.raw(&operation.method, &path, &[], good.clone()).await;
            refused(&without, 415, "unsupported_media_type");
            for kind in types {
                let answer = world.raw(&operation.method, &path, &[("content-type", kind)], good.clone()).await;
                refused(&answer, 415, "unsupported_media_type");
            }
        }
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json;charset=UTF-8",
            "application/json; charset=\"utf-8\"",
        ] {
            let search = json!({ "phone_number": "+31612345678" }).to_string().into_bytes();
            world.raw("POST", "/v1/customers/search", &[("content-type", kind)], search).await.expect(200);
        }
        world.unchanged().await;
    }

    async fn a_body_has_64_kib_at_most(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            let answer = world.raw(&operation.method, &world.path(&operation), &[JSON], padded(LIMIT + 1)).await;
            refused(&answer, 413, "body_too_large");
        }
        let token = world.raw("POST", "/oauth/token", &[], padded(LIMIT + 1)).await;
        refused(&token, 413, "body_too_large");
        assert_eq!(world.everything().await, world.before);
        world.raw("POST", "/v1/customers", &[JSON], padded(LIMIT)).await.expect(201);
        world.app.finish().await;
    }

    async fn a_body_that_nobody_asked_for_has_64_kib_at_most_too(kind: Kind) {
        let world = World::start(kind).await;
        for path in ["/v1/clients/1/rotate", "/v1/clients/1/revoke", "/webhooks/simulator/sms"] {
            let answer = world.raw("POST", path, &[], padded(LIMIT + 1)).await;
            refused(&answer, 413, "body_too_large");
        }
        world.unchanged().await;
    }

    async fn a_body_in_chunks_has_64_kib_at_most_too(kind: Kind) {
        let world = World::start(kind).await;
        for (size, status) in [(LIMIT + 1, "413"), (10 * LIMIT, "413"), (LIMIT, "201")] {
            let answer = in_chunks(&world, &padded(size)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            if status == "413" {
                assert!(answer.contains("application/problem+json") && answer.contains("body_too_large"), "{answer}");
                assert!(!answer.contains(CANARY), "{answer}");
                assert_eq!(world.everything().await, world.before);
            }
        }
        world.app.finish().await;
    }
}

/// Posts a customer without saying how long it is; the head and the start of the body of the answer.
async fn in_chunks(world: &World, body: &[u8]) -> String {
    let host = world.base.strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(host).await.expect("a connection");
    let (mut read, mut write) = stream.into_split();
    let head = format!(
        "POST /v1/customers HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        world.token
    );
    let mut request = head.into_bytes();
    for chunk in body.chunks(10_000) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    // The service may answer, and close, before it has read everything.
    let sent = tokio::spawn(async move {
        let _ = write.write_all(&request).await;
        write
    });
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..length]);
    }
    drop(sent.await);
    String::from_utf8(answer).expect("text")
}
