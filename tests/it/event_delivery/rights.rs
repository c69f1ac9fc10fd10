//! Who may have an endpoint post texts, and who may change another client's endpoint.

use chrono::Duration;
use serde_json::{Value, json};

use super::{PATH, Stage, subscribe};
use crate::{
    harness::{
        Answer, Api, CLIENT, Kind, TestApp, id, on_both_databases,
        subscriber::{Act, Post, Subscriber},
    },
    ride::{ANN, NUMBER, ann_and_bob},
};

const TEXT: &str = "canary: I am at the door";

/// A new client with these scopes: its row id and its own view of the API.
async fn client(app: &TestApp, scopes: &[&str]) -> (i64, Api) {
    let made = app.post("/v1/clients", &json!({ "name": "other", "scopes": scopes })).await.expect(201);
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    let api = Api::sign_in(&app.base, (&text("client_id"), &text("client_secret")), None).await;
    (id(&made), api)
}

/// The usual client with fewer scopes.
async fn narrowed(app: &TestApp, scopes: &str) -> Api {
    Api::sign_in(&app.base, CLIENT, Some(scopes)).await
}

/// An endpoint of this client that asks for texts.
async fn with_text(api: &Api, subscriber: &Subscriber) -> i64 {
    id(&api.post(PATH, &json!({ "url": subscriber.url, "include_text": true })).await.expect(201))
}

/// A ride with a text on it: the ids of both.
async fn text(app: &TestApp) -> (i64, i64) {
    let (ann, bob, _) = ann_and_bob(app).await;
    let ride = id(&app.ride(ann, bob).await.expect(201));
    app.simulate_text(ANN, NUMBER, TEXT).await;
    app.send_due().await;
    let timeline = app.timeline(ride).await;
    (ride, id(timeline.iter().find(|item| item["text"] == TEXT).expect("the text")))
}

fn has_text(posts: &[Post], event: i64) -> bool {
    let post = posts.iter().find(|post| post.event() == event).expect("a post");
    post.json()["data"].get("text").is_some()
}

async fn refused(answer: Answer, scope: &str) {
    let problem = answer.expect_problem(403, "missing_scope");
    assert!(problem["detail"].as_str().expect("a detail").contains(scope), "{problem}");
}

async fn shown(api: &Api, endpoint: i64) -> Value {
    api.get(&format!("{PATH}/{endpoint}")).await.expect(200)
}

on_both_databases! {
    async fn an_endpoint_posts_texts_only_for_a_client_that_may_read_them(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (_, manager) = client(&stage.app, &["events:manage"]).await;
        let body = json!({ "url": stage.subscriber.url, "include_text": true });
        refused(manager.post(PATH, &body).await, "messages:read").await;
        refused(narrowed(&stage.app, "events:manage").await.post(PATH, &body).await, "messages:read").await;
        let plain = id(&manager.post(PATH, &json!({ "url": stage.subscriber.url })).await.expect(201));
        let path = format!("{PATH}/{plain}");
        refused(manager.patch(&path, &json!({ "include_text": true })).await, "messages:read").await;
        refused(manager.patch(&path, &json!({ "include_text": true, "status": "disabled" })).await, "messages:read").await;
        manager.patch(&path, &json!({ "include_text": false, "description": "plain" })).await.expect(200);
        assert_eq!(shown(&manager, plain).await["include_text"], false);
        stage.finish().await;
    }

    async fn texts_are_not_led_elsewhere_by_a_token_that_may_not_read_them(kind: Kind) {
        let stage = Stage::with(kind, &json!({ "include_text": true, "types": ["ride.created"] })).await;
        let path = format!("{PATH}/{}", stage.endpoint);
        let narrow = narrowed(&stage.app, "events:manage").await;
        stage.app.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
        for change in [
            json!({ "url": "http://localhost:9/elsewhere" }),
            json!({ "types": null }),
            json!({ "types": ["message.received"] }),
            json!({ "status": "enabled" }),
            json!({ "include_text": true }),
        ] {
            refused(narrow.patch(&path, &change).await, "messages:read").await;
        }
        narrow.patch(&path, &json!({ "description": "texts" })).await.expect(200);
        narrow.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
        let moved = json!({ "url": "http://localhost:9/elsewhere", "include_text": false, "status": "enabled" });
        assert_eq!(narrow.patch(&path, &moved).await.expect(200)["include_text"], false);
        stage.finish().await;
    }

    async fn texts_end_with_the_rights_of_the_client_and_the_events_go_on(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (reader, api) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let theirs = Subscriber::start().await;
        let endpoint = with_text(&api, &theirs).await;
        let (ride, message) = text(&stage.app).await;
        stage.deliver().await;
        theirs.take();
        let about = json!({ "ride_id": ride, "message_id": message });
        let first = stage.happens("message.received", about.clone()).await;
        stage.deliver().await;
        assert!(has_text(&theirs.take(), first));
        let own = shown(&api, endpoint).await;
        assert_eq!(own["text_withheld"], false);

        // What is tried again, and what is asked for again, is judged when it is posted.
        theirs.script([Act::Answer(500)]);
        let failed = stage.happens("message.received", about.clone()).await;
        stage.deliver().await;
        assert!(has_text(&theirs.take(), failed));
        stage.app.post(&format!("/v1/clients/{reader}/revoke"), &json!({})).await.expect(200);
        stage.pass(Duration::seconds(20));
        let later = stage.happens("message.received", about.clone()).await;
        stage.app.post(&format!("/v1/events/{first}/redeliver"), &json!({ "endpoint_id": endpoint })).await.expect(202);
        stage.deliver().await;
        let posts = theirs.take();
        assert!([failed, later, first].iter().all(|event| !has_text(&posts, *event)));
        let present = shown(&stage.app, endpoint).await;
        assert_eq!((&present["text_withheld"], &present["include_text"], &present["status"]), (&json!(true), &json!(true), &json!("enabled")));
        assert_eq!(present["client_id"], own["client_id"]);
        assert!(present["client_id"].as_str().is_some_and(|name| name.starts_with("client_")));
        stage.finish().await;
    }

    async fn a_client_whose_stored_scopes_shrink_gets_no_more_texts(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (reader, api) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let theirs = Subscriber::start().await;
        let endpoint = with_text(&api, &theirs).await;
        let (ride, message) = text(&stage.app).await;
        stage.deliver().await;
        theirs.take();
        stage.run("UPDATE clients SET scopes = 'events:manage' WHERE id = $1", [reader.into()]).await;
        let event = stage.happens("message.received", json!({ "ride_id": ride, "message_id": message })).await;
        stage.deliver().await;
        assert!(!has_text(&theirs.take(), event));
        let listed = api.get(PATH).await.expect(200);
        let listed = listed["items"].as_array().unwrap().iter().find(|item| id(item) == endpoint).cloned();
        assert_eq!(listed.unwrap()["text_withheld"], true);
        stage.finish().await;
    }

    async fn only_its_own_client_or_an_admin_changes_an_endpoint(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (_, owner) = client(&stage.app, &["events:manage"]).await;
        let (_, other) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let (_, admin) = client(&stage.app, &["events:manage", "events:admin"]).await;
        let theirs = Subscriber::start().await;
        let made = owner.post(PATH, &json!({ "url": theirs.url })).await.expect(201);
        let (endpoint, path) = (id(&made), format!("{PATH}/{}", id(&made)));
        let event = stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        theirs.take();
        stage.subscriber.take();

        let seen = shown(&other, endpoint).await;
        assert_eq!((&seen["client_id"], seen.get("secret")), (&made["client_id"], None));
        other.get(&format!("{path}/attempts")).await.expect(200);
        other.get(&format!("{path}/retries")).await.expect(200);
        let redeliver = format!("/v1/events/{event}/redeliver");
        let only = json!({ "endpoint_id": endpoint });
        for answer in [
            other.patch(&path, &json!({ "status": "disabled" })).await,
            other.patch(&path, &json!({})).await,
            other.json("PATCH", &path, &[("if-match", "\"9\"")], &json!({ "url": "https://evil.example.com/" })).await,
            other.delete(&path).await,
            other.post(&format!("{path}/rotate-secret"), &json!({})).await,
            other.post(&format!("{path}/ping"), &json!({})).await,
            other.post(&format!("{path}/adopt"), &json!({})).await,
            other.post(&redeliver, &only).await,
        ] {
            refused(answer, "events:admin").await;
        }
        assert_eq!(other.post(&redeliver, &json!({})).await.expect(202)["endpoints"], 0, "it has none");
        stage.deliver().await;
        assert!(theirs.take().is_empty() && stage.subscriber.take().is_empty());
        assert_eq!(shown(&other, endpoint).await, seen, "nothing has changed");

        assert_eq!(admin.patch(&path, &json!({ "description": "looked after" })).await.expect(200)["client_id"], made["client_id"]);
        admin.post(&format!("{path}/ping"), &json!({})).await.expect(200);
        assert!(admin.post(&format!("{path}/rotate-secret"), &json!({})).await.expect(200)["secret"].is_string());
        assert_eq!(admin.post(&redeliver, &only).await.expect(202)["endpoints"], 1);
        assert_eq!(admin.post(&redeliver, &json!({})).await.expect(202)["endpoints"], 2);
        assert_eq!(owner.post(&redeliver, &json!({})).await.expect(202)["endpoints"], 1, "its own");
        assert_eq!(admin.delete(&path).await.status, 204);
        owner.delete(&path).await.expect_problem(404, "not_found");
        other.delete(&path).await.expect_problem(404, "not_found");
        stage.deliver().await;
        stage.finish().await;
    }

    async fn an_admin_adopts_an_endpoint_and_its_rights_count_from_then_on(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (reader, api) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let (_, blind) = client(&stage.app, &["events:admin"]).await;
        let theirs = Subscriber::start().await;
        let (endpoint, second) = (with_text(&api, &theirs).await, with_text(&api, &theirs).await);
        let (ride, message) = text(&stage.app).await;
        stage.deliver().await;
        stage.app.post(&format!("/v1/clients/{reader}/revoke"), &json!({})).await.expect(200);

        let adopt = format!("{PATH}/{endpoint}/adopt");
        let adopted = stage.app.post(&adopt, &json!({})).await;
        assert_eq!(adopted.header("etag"), "\"2\"");
        let adopted = adopted.expect(200);
        assert_eq!((&adopted["client_id"], &adopted["text_withheld"], adopted.get("secret")), (&json!(CLIENT.0), &json!(false), None));
        let again = stage.app.post(&adopt, &json!({})).await;
        assert_eq!(again.header("etag"), "\"2\"", "it is its own already");
        assert_eq!(again.expect(200), adopted);
        // Who may not read texts adopts an endpoint without them.
        let quiet = blind.post(&format!("{PATH}/{second}/adopt"), &json!({})).await.expect(200);
        assert_eq!((&quiet["include_text"], &quiet["text_withheld"]), (&json!(false), &json!(false)));
        theirs.take();
        let event = stage.happens("message.received", json!({ "ride_id": ride, "message_id": message })).await;
        stage.deliver().await;
        let posts = theirs.take();
        let texts = posts.iter().filter(|post| post.event() == event && post.body.contains("canary")).count();
        assert_eq!((posts.iter().filter(|post| post.event() == event).count(), texts), (2, 1));
        // The scope of a token counts, and not only those of its client.
        let narrow = narrowed(&stage.app, "events:admin").await;
        stage.app.patch(&format!("{PATH}/{second}"), &json!({ "include_text": true })).await.expect(200);
        let narrow = narrow.post(&format!("{PATH}/{second}/adopt"), &json!({})).await.expect(200);
        assert_eq!(narrow["include_text"], false);
        stage.app.post(&format!("{PATH}/999999/adopt"), &json!({})).await.expect_problem(404, "not_found");
        stage.finish().await;
    }

    async fn an_endpoint_of_nobody_posts_no_texts_and_waits_for_an_admin(kind: Kind) {
        let stage = Stage::with(kind, &json!({ "include_text": true })).await;
        let (_, other) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let (ride, message) = text(&stage.app).await;
        stage.run("UPDATE event_endpoints SET client_id = NULL WHERE id = $1", [stage.endpoint.into()]).await;
        let event = stage.happens("message.received", json!({ "ride_id": ride, "message_id": message })).await;
        stage.deliver().await;
        assert!(!has_text(&stage.subscriber.take(), event));
        let seen = shown(&other, stage.endpoint).await;
        assert_eq!((&seen["client_id"], &seen["text_withheld"]), (&json!(null), &json!(true)));
        refused(other.patch(&format!("{PATH}/{}", stage.endpoint), &json!({ "include_text": false })).await, "events:admin").await;
        let adopted = stage.app.post(&format!("{PATH}/{}/adopt", stage.endpoint), &json!({})).await.expect(200);
        assert_eq!(adopted["client_id"], CLIENT.0);
        stage.finish().await;
    }

    async fn a_text_that_is_asked_for_while_a_round_is_under_way_is_judged_when_it_is_posted(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (reader, api) = client(&stage.app, &["events:manage", "messages:read"]).await;
        let theirs = Subscriber::start().await;
        with_text(&api, &theirs).await;
        let (ride, message) = text(&stage.app).await;
        stage.deliver().await;
        theirs.take();
        theirs.script([Act::Late(std::time::Duration::from_millis(1500))]);
        let about = json!({ "ride_id": ride, "message_id": message });
        let first = stage.happens("message.received", about.clone()).await;
        let second = stage.happens("message.delivered", about).await;
        let revoke = async {
            while theirs.most_at_once().0 == 0 || theirs.is_idle() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            stage.app.post(&format!("/v1/clients/{reader}/revoke"), &json!({})).await.expect(200);
        };
        tokio::join!(stage.deliver(), revoke);
        let posts = theirs.take();
        assert_eq!((has_text(&posts, first), has_text(&posts, second)), (true, false));
        stage.finish().await;
    }

    async fn the_first_client_has_the_scope_of_an_admin(kind: Kind) {
        let stage = Stage::set(kind).await;
        let token = narrowed(&stage.app, "events:admin events:manage").await;
        let (_, _) = subscribe(&stage.app, &stage.subscriber, &json!({})).await;
        token.post(&format!("{PATH}/{}/adopt", stage.endpoint), &json!({})).await.expect(200);
        stage.finish().await;
    }
}
