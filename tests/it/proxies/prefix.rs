//! The service under a path of a host, behind proxies that strip the path and proxies that do not.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    carriers::{stage::Stage, twilio::Twilio},
    harness::{
        Api, CLIENT, Kind, PUBLIC, TestApp,
        carrier::{Carrier, Signer, Webhook},
        nginx::Nginx,
        on_both_databases,
    },
    ride::{ANN, NUMBER},
};

/// nginx with the service under `/maskline`.
fn in_front_of(app: &TestApp, strips: bool) -> Nginx {
    let slash = if strips { "/" } else { "" };
    Nginx::start(&format!("    location /maskline/ {{ proxy_pass {}{slash}; }}", app.base))
}

/// Follows what the service says of its own addresses, as a client and a browser would.
async fn walk(outside: &Api, prefix: &str) {
    let home = outside.get(&format!("{prefix}/")).await;
    assert_eq!((home.status, home.header("location")), (302, &*format!("{prefix}/docs")));
    let page = outside.get(home.header("location")).await;
    assert_eq!(page.status, 200);
    let mut addresses: Vec<_> =
        page.text.split("fetch('").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
    for attribute in ["src=\"", "href=\""] {
        addresses.extend(page.text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()));
    }
    addresses.retain(|address| address.starts_with(['/', '.']));
    assert!(addresses.contains(&&*format!("{prefix}/openapi.json")), "{addresses:?}");
    for address in addresses {
        assert!(address.starts_with(&format!("{prefix}/")), "{address}");
        assert_eq!(outside.get(address).await.status, 200, "{address}");
    }
    let document = outside.get(&format!("{prefix}/openapi.json")).await.expect(200);
    assert_eq!(document["servers"], json!([{ "url": prefix }]));
    let yaml: Value = serde_saphyr::from_str(&outside.get(&format!("{prefix}/openapi.yaml")).await.text).unwrap();
    assert_eq!(yaml, document);
    let scheme = &document["components"]["securitySchemes"]["client_credentials"];
    let token_url = scheme["flows"]["clientCredentials"]["tokenUrl"].as_str().unwrap();
    assert_eq!(token_url, format!("{prefix}/oauth/token"));
    let form = [("grant_type", "client_credentials"), ("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
    let token = outside.with_token("").form(token_url, &form, &[]).await.expect(200);
    let fresh = outside.with_token(token["access_token"].as_str().unwrap());
    let person = json!({ "name": "Cyd", "phone_number": "+31655566677" });
    let made = fresh.post(&format!("{prefix}/v1/customers"), &person).await;
    let location = made.header("location");
    assert_eq!(location, format!("{prefix}/v1/customers/{}", made.body["id"]));
    assert_eq!(fresh.get(location).await.expect(200)["name"], "Cyd");
    let wrong = outside.raw("PUT", location, &[], Vec::new()).await;
    assert!(wrong.header("allow").contains("PATCH"), "{}", wrong.header("allow"));
    fresh.delete(location).await.expect(204);
    assert_eq!(outside.get(&format!("{prefix}/health/live")).await.expect(200)["status"], "ok");
    assert_eq!(outside.get(&format!("{prefix}/v1/nothing")).await.status, 404);
    let providers = outside.get(&format!("{prefix}/v1/providers")).await.expect(200);
    let address = providers["items"][5]["webhooks"]["sms"].as_str().unwrap();
    assert!(address.starts_with(&format!("{PUBLIC}{prefix}/webhooks/twilio/sms")), "{address}");
}

on_both_databases! {
    async fn the_service_lives_under_a_path(kind: Kind) {
        let base = format!("{PUBLIC}/maskline/");
        let carrier: Arc<dyn Carrier> = Arc::new(Twilio);
        let stage = Stage::under_way_with(&carrier, kind, &[("PUBLIC_BASE_URL", &base)]).await;
        let app = &stage.app;
        let nginx = [in_front_of(app, true), in_front_of(app, false)];
        for (at, address) in [nginx[0].base.as_str(), nginx[1].base.as_str(), app.base.as_str()].into_iter().enumerate() {
            let outside = app.at(address);
            walk(&outside, "/maskline").await;
            let inner = carrier.text(&format!("text {at}"), ANN, NUMBER, &format!("I am here, {at}."), &[]);
            let webhook = Webhook { path: format!("/maskline{}", inner.path), ..inner.clone() };
            let proof = carrier.sign(&webhook, Signer::Ours, app.now());
            assert_eq!(outside.webhook(&webhook, &proof).await.status, 200);
            // What is signed for the root of the host is signed for somewhere else.
            let elsewhere = carrier.sign(&inner, Signer::Ours, app.now());
            assert_eq!(outside.webhook(&webhook, &elsewhere).await.status, 401);
        }
        let timeline = app.timeline(stage.ride).await;
        let relayed = timeline.iter().filter(|entry| entry["kind"] == "relay").count();
        assert_eq!(relayed, 3, "{timeline:?}");
        app.send_due().await;
        stage.deliver_all().await;
        // At the root, without a proxy, everything is there too, and tells the public path.
        let made = app.post("/v1/drivers", &json!({ "name": "Dee", "phone_number": "+31687654399" })).await;
        assert_eq!(made.header("location"), format!("/maskline/v1/drivers/{}", made.body["id"]));
        assert_eq!(app.get("/").await.header("location"), "/maskline/docs");
        assert_eq!(app.get("/maskline?x").await.header("location"), "/maskline/docs");
        for path in ["/masklinev1/customers", "/maskline//v1/customers", "/maskline/v1%2Fcustomers", "/Maskline/v1/customers", "/maskline/maskline/v1/customers"] {
            assert_eq!(app.get(path).await.status, 404, "{path}");
        }
        stage.app.finish().await;
    }

    async fn a_path_that_looks_like_one_of_ours_works_too(kind: Kind) {
        for prefix in ["/v1", "/docs", "/a/b"] {
            let base = format!("{PUBLIC}{prefix}");
            let app = TestApp::with(kind, &[("PUBLIC_BASE_URL", &base)]).await;
            walk(&app, prefix).await;
            let slash = Nginx::start(&format!("    location {prefix}/ {{ proxy_pass {}/; }}", app.base));
            walk(&app.at(&slash.base), prefix).await;
            app.finish().await;
        }
    }
}
