//! A proxy that compresses answers marks their ETags as weak; they must still name the version that the caller saw.

use serde_json::{Value, json};

use crate::{
    harness::{Api, Kind, TestApp, nginx::Nginx, on_both_databases},
    ride::ann_and_bob,
};

/// nginx that compresses every JSON answer of this service.
fn compressing(app: &TestApp) -> Nginx {
    Nginx::start(&format!(
        "    gzip on;\n    gzip_types application/json application/problem+json;\n    gzip_min_length 0;\n    \
         location / {{ proxy_pass {}; }}",
        app.base
    ))
}

/// What a client that takes compressed answers gets: status and ETag.
async fn compressed(proxied: &Api, method: &str, path: &str, if_match: Option<&str>, body: &Value) -> (u16, String) {
    let url = format!("{}{path}", proxied.base);
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url).header("accept-encoding", "gzip");
    request = request.header("authorization", format!("Bearer {}", proxied.token));
    if let Some(if_match) = if_match {
        request = request.header("if-match", if_match);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    if answer.status() == 200 {
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{path}");
    }
    let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), etag)
}

/// The ETag as the proxy shows it.
async fn weak_etag(proxied: &Api, path: &str) -> String {
    let (status, etag) = compressed(proxied, "GET", path, None, &Value::Null).await;
    assert_eq!(status, 200, "{path}");
    assert!(etag.starts_with("W/\""), "the proxy weakens {etag} of {path}");
    etag
}

async fn edit(proxied: &Api, path: &str, if_match: &str, body: &Value) -> (u16, String) {
    compressed(proxied, "PATCH", path, Some(if_match), body).await
}

on_both_databases! {
    async fn a_weakened_etag_names_its_version_everywhere(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (customer, driver, number) = ann_and_bob(&app).await;
        app.ride(customer, driver).await.expect(201);
        app.post("/v1/event-endpoints", &json!({ "url": "https://platform.example.com/events" })).await.expect(201);
        let nginx = compressing(&app);
        let proxied = app.at(&nginx.base);
        for (path, one, other) in [
            (format!("/v1/customers/{customer}"), json!({ "name": "Bea" }), json!({ "name": "Cas" })),
            (format!("/v1/drivers/{driver}"), json!({ "name": "Bea" }), json!({ "name": "Cas" })),
            (format!("/v1/numbers/{number}"), json!({ "status": "draining" }), json!({ "status": "active" })),
            ("/v1/rides/1".to_owned(), json!({ "start": "Dam 2" }), json!({ "start": "Dam 3" })),
            ("/v1/event-endpoints/1".to_owned(), json!({ "include_text": true }), json!({ "include_text": false })),
        ] {
            let first = weak_etag(&proxied, &path).await;
            let (status, second) = edit(&proxied, &path, &first, &one).await;
            assert_eq!(status, 200, "{path}");
            assert!(second.starts_with("W/\"") && first != second, "{second}");
            assert_eq!(edit(&proxied, &path, &first, &other).await.0, 412, "{path}");
            assert_eq!(edit(&proxied, &path, &format!("{first}, {second}"), &other).await.0, 200, "{path}");
        }
        let ride = "/v1/rides/1";
        let contact = json!({ "until": app.soon() });
        let etag = weak_etag(&proxied, ride).await;
        proxied.json("POST", "/v1/rides/1/contact", &[("if-match", &etag)], &contact).await.expect(200);
        proxied.json("POST", "/v1/rides/1/contact", &[("if-match", &etag)], &contact).await.expect(412);
        proxied.raw("DELETE", ride, &[("if-match", &etag)], Vec::new()).await.expect(412);
        let etag = weak_etag(&proxied, ride).await;
        proxied.raw("DELETE", ride, &[("if-match", &etag)], Vec::new()).await.expect(204);
        let etag = weak_etag(&proxied, "/v1/event-endpoints/1").await;
        proxied.raw("DELETE", "/v1/event-endpoints/1", &[("if-match", &etag)], Vec::new()).await.expect(204);
        app.send_due().await;
        app.finish().await;
    }

    async fn if_match_is_a_list_of_tags_in_any_spelling(kind: Kind) {
        let app = TestApp::start(kind).await;
        let id = app.customer("Ann", "+31612345678").await;
        let path = format!("/v1/customers/{id}");
        let mut version = 1;
        let spellings = [
            "\"V\"", "W/\"V\"", " \t\"V\" ", "\"7\", \"V\"", "\"V\",\"7\"", "\"7\" ,\t W/\"V\"", ",, \"V\" ,",
            "\"a,b\", \"V\"", "\"\", \"V\"", "\"V-gzip\"", "W/\"V-br\"", "\"V--gzip\"", "*", " * ",
        ];
        for spelling in spellings {
            let if_match = spelling.replace('V', &version.to_string());
            let name = json!({ "name": format!("Ann {version}") });
            let answer = app.json("PATCH", &path, &[("if-match", &if_match)], &name).await;
            assert_eq!(answer.status, 200, "{if_match}: {}", answer.text);
            version += 1;
        }
        let twice = [("if-match", "\"7\""), ("if-match", &*format!("W/\"{version}\""))];
        app.json("PATCH", &path, &twice, &json!({ "name": "Bea" })).await.expect(200);
        version += 1;
        let again = [("if-match", "\"7\""), ("if-match", "W/\"8\", \"9\"")];
        app.json("PATCH", &path, &again, &json!({ "name": "Cas" })).await.expect_problem(412, "stale_version");
        for stale in ["\"1\"", "\"7\", \"8\"", "\"\"", "\"0V\"", "\"+V\"", "\"V-\"", "\"V-x\"", "\"gzip\"", "\"99999999999999999999\""] {
            let stale = stale.replace('V', &version.to_string());
            let answer = app.json("PATCH", &path, &[("if-match", &stale)], &json!({ "name": "Cas" })).await;
            answer.expect_problem(412, "stale_version");
        }
        app.finish().await;
    }

    async fn an_if_match_that_is_no_list_of_tags_is_named(kind: Kind) {
        let app = TestApp::start(kind).await;
        let id = app.customer("Ann", "+31612345678").await;
        let path = format!("/v1/customers/{id}");
        for wrong in [
            "", " ", ",", "1", "\"1", "1\"", "W/1", "w/\"1\"", "W/ \"1\"", "W\"1\"", "\"1\" \"2\"", "\"1\"\"2\"",
            "*, \"1\"", "\"1\", *", "**", "\"1\"; q=1", "\"1\", x", "\" 1\"", "garbage", "\"1\"é",
        ] {
            let patched = app.json("PATCH", &path, &[("if-match", wrong)], &json!({ "name": "Zoe" })).await;
            let problem = patched.expect_problem(400, "invalid_parameter");
            assert_eq!(problem["errors"][0]["pointer"], "If-Match", "{wrong}");
            assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{wrong}");
            app.raw("DELETE", &path, &[("if-match", wrong)], Vec::new()).await.expect_problem(400, "invalid_parameter");
        }
        let both = [("if-match", "*"), ("if-match", "\"1\"")];
        app.json("PATCH", &path, &both, &json!({ "name": "Zoe" })).await.expect_problem(400, "invalid_parameter");
        assert_eq!(app.get(&path).await.header("etag"), "\"1\"");
        app.finish().await;
    }
}
