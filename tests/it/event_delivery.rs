//! Events are delivered to the platform's endpoints: signed, in order, again after a failure, and only where they may
//! go.
//!
//! What happens is put into the log as a row, without its cause: who emits which event is tested elsewhere.

mod endpoints;
mod failures;
mod library;
mod rights;
mod targets;

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::harness::{
    Kind, TestApp, id, on_both_databases, spec,
    subscriber::{Act, Post, Subscriber},
};

const PATH: &str = "/v1/event-endpoints";
const LOOPBACK: (&str, &str) = ("EVENTS_ALLOW_LOOPBACK", "on");

/// A service, an endpoint of its, and a way to make things happen.
struct Stage {
    app: TestApp,
    subscriber: Subscriber,
    endpoint: i64,
    secret: String,
    db: DatabaseConnection,
}

impl Stage {
    async fn set(kind: Kind) -> Self {
        Self::with(kind, &json!({})).await
    }

    /// The endpoint with these fields over the usual ones.
    async fn with(kind: Kind, more: &Value) -> Self {
        let app = TestApp::with(kind, &[LOOPBACK]).await;
        let subscriber = Subscriber::start().await;
        let (endpoint, secret) = subscribe(&app, &subscriber, more).await;
        let db = Database::connect(&app.db.direct).await.expect("the database");
        Self { app, subscriber, endpoint, secret, db }
    }

    /// Something happens; the event's id.
    async fn happens(&self, kind: &str, data: Value) -> i64 {
        let sql = "INSERT INTO events (type, ride_id, data, at) VALUES ($1, $2, $3, $4) RETURNING id";
        let data = data_of(kind, data);
        let values = [kind.into(), data["ride_id"].as_i64().into(), data.to_string().into(), self.app.now().into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        self.db.query_one_raw(statement).await.expect("a row").expect("a row").try_get("", "id").expect("an id")
    }

    async fn on_ride(&self, ride: i64, kind: &str) -> i64 {
        self.happens(kind, json!({ "ride_id": ride })).await
    }

    /// Changes the database behind the back of the service.
    async fn run<const N: usize>(&self, sql: &str, values: [sea_orm::Value; N]) {
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        self.db.execute_raw(statement).await.expect(sql);
    }

    /// The endpoint's address leads somewhere else, and nobody said so.
    async fn move_to(&self, url: &str) {
        self.run("UPDATE event_endpoints SET url = $1 WHERE id = $2", [url.into(), self.endpoint.into()]).await;
    }

    async fn deliver(&self) -> usize {
        self.app.deliver_events().await
    }

    fn pass(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// The endpoint as the API shows it. Time may have passed: the token is fresh.
    async fn endpoint(&mut self) -> Value {
        self.app.advance(Duration::zero()).await;
        self.app.get(&format!("{PATH}/{}", self.endpoint)).await.expect(200)
    }

    /// A list of the endpoint's, such as its attempts.
    async fn list(&mut self, what: &str) -> Vec<Value> {
        self.app.advance(Duration::zero()).await;
        let list = self.app.get(&format!("{PATH}/{}/{what}", self.endpoint)).await.expect(200);
        list["items"].as_array().expect("items").clone()
    }

    async fn finish(self) {
        self.db.close().await.expect("it closes");
        self.app.finish().await;
    }
}

/// What an event of this type says at least, with this in it.
fn data_of(kind: &str, more: Value) -> Value {
    let name = kind.split(['.', '_']).map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect::<String>();
    let schema = &spec::DOCUMENT["components"]["schemas"][format!("{name}Event")];
    let required = schema["properties"]["data"]["required"].as_array().expect("required fields");
    let field = |name: &Value| {
        let name = name.as_str().expect("a name");
        (name.to_owned(), schema["examples"][0]["data"][name].clone())
    };
    let mut data: serde_json::Map<_, _> = required.iter().map(field).collect();
    data.extend(more.as_object().expect("an object").clone());
    Value::Object(data)
}

/// A new endpoint: its id and its secret.
async fn subscribe(app: &TestApp, subscriber: &Subscriber, more: &Value) -> (i64, String) {
    let mut body = json!({ "url": subscriber.url });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = app.post(PATH, &body).await.expect(201);
    (id(&made), made["secret"].as_str().expect("a secret").to_owned())
}

/// Of each ride, the events in the order in which they came.
fn by_ride(posts: &[Post], ride: i64) -> Vec<i64> {
    posts.iter().filter(|post| post.ride() == ride).map(Post::event).collect()
}

on_both_databases! {
    async fn an_event_is_posted_once_signed_and_in_the_standard_form(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let event = stage.happens("ride.completed", json!({ "ride_id": 7, "customer_id": 1, "status": "completed" })).await;
        let at = stage.app.now();
        stage.pass(Duration::seconds(90));
        stage.deliver().await;
        let posts = stage.subscriber.take();
        assert_eq!(posts.len(), 1);
        assert_eq!(posts[0].id, format!("evt_{event}"));
        assert_eq!(posts[0].timestamp, stage.app.now().timestamp().to_string(), "of the attempt, not of the event");
        assert_eq!(posts[0].json(), json!({
            "type": "ride.completed",
            "timestamp": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "data": data_of("ride.completed", json!({ "ride_id": 7, "customer_id": 1, "status": "completed" })),
        }));
        assert!(posts[0].is_signed_with(&stage.secret));
        assert_eq!(stage.deliver().await, 0);
        let attempts = stage.list("attempts").await;
        assert_eq!(attempts.len(), 1);
        assert_eq!((&attempts[0]["event_id"], &attempts[0]["delivered"], &attempts[0]["status"]), (&json!(event), &json!(true), &json!(204)));
        assert!(attempts[0]["duration_ms"].is_u64() && attempts[0].get("failure").is_none());
        let of_event = stage.app.get(&format!("/v1/events/{event}/attempts")).await.expect(200);
        assert_eq!(of_event["items"], json!(attempts));
        stage.app.get("/v1/events/999999/attempts").await.expect_problem(404, "not_found");
        stage.finish().await;
    }

    async fn an_endpoint_hears_of_its_types_from_its_creation_on(kind: Kind) {
        let mut stage = Stage::with(kind, &json!({ "types": ["ride.completed", "pool.low"] })).await;
        let late = Subscriber::start().await;
        let before = stage.on_ride(1, "ride.completed").await;
        stage.deliver().await;
        let (_, _) = subscribe(&stage.app, &late, &json!({})).await;
        stage.on_ride(2, "ride.created").await;
        let low = stage.happens("pool.low", json!({})).await;
        let ended = stage.on_ride(2, "ride.completed").await;
        for _ in 0..40 {
            stage.on_ride(3, "ride.updated").await;
        }
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [before, low, ended]);
        assert_eq!(late.taken().len(), 43, "all types, and not what was before");
        assert_eq!(stage.endpoint().await["behind"], 0);
        stage.finish().await;
    }

    async fn those_of_one_ride_come_in_order_and_rides_beside_each_other(kind: Kind) {
        let stage = Stage::set(kind).await;
        stage.subscriber.always(Some(Act::Late(std::time::Duration::from_millis(20))));
        let mut expected = vec![Vec::new(); 5];
        for at in 0..60 {
            let ride = [0, 1, 2, 3, 4, 2, 0][at % 7];
            expected[ride].push(stage.on_ride(i64::try_from(ride).unwrap(), "ride.updated").await);
        }
        stage.deliver().await;
        let posts = stage.subscriber.take();
        for (ride, expected) in (0..).zip(&expected) {
            assert_eq!(by_ride(&posts, ride), *expected);
        }
        let (in_all, of_one) = stage.subscriber.most_at_once();
        assert!((2..=8).contains(&in_all), "{in_all} at once");
        assert_eq!(of_one, 1);
        stage.finish().await;
    }

    async fn replicas_share_the_work(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (second, _) = stage.app.replica().await;
        let mut expected = Vec::new();
        for at in 0..100 {
            expected.push(stage.on_ride(at % 3, "ride.updated").await);
        }
        for _ in 0..4 {
            tokio::join!(stage.app.deliver_events(), second.deliver_events());
        }
        let posts = stage.subscriber.take();
        for ride in 0..3 {
            let of_ride = (0..).zip(&expected).filter(|(at, _)| at % 3 == ride).map(|(_, event)| *event);
            assert_eq!(by_ride(&posts, ride), of_ride.collect::<Vec<_>>());
        }
        second.stop().await;
        stage.finish().await;
    }

    async fn what_a_worker_took_along_when_it_died_is_delivered_after_its_lease(kind: Kind) {
        let stage = Stage::set(kind).await;
        let (dying, _) = stage.app.replica().await;
        stage.subscriber.always(Some(Act::Late(std::time::Duration::from_millis(200))));
        let event = stage.on_ride(1, "ride.created").await;
        tokio::select! {
            _ = dying.deliver_events() => panic!("it is too fast to die"),
            () = async {
                while stage.subscriber.most_at_once().0 == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            } => {}
        }
        assert_eq!(stage.deliver().await, 0, "it could be alive");
        stage.pass(Duration::seconds(61));
        stage.deliver().await;
        assert_eq!(stage.subscriber.taken(), [event, event], "twice, under one id");
        dying.stop().await;
        stage.finish().await;
    }

    async fn a_text_comes_along_only_where_that_was_asked_for_and_phones_never(kind: Kind) {
        use crate::ride::{ANN, BOB, NUMBER, ann_and_bob};

        const TEXT: &str = "canary: I am at the door";
        let mut stage = Stage::with(kind, &json!({ "include_text": true })).await;
        let discreet = Subscriber::start().await;
        subscribe(&stage.app, &discreet, &json!({})).await;
        let (ann, bob, _) = ann_and_bob(&stage.app).await;
        let ride = id(&stage.app.ride(ann, bob).await.expect(201));
        stage.app.simulate_text(ANN, NUMBER, TEXT).await;
        stage.app.send_due().await;
        let timeline = stage.app.timeline(ride).await;
        let message = id(timeline.iter().find(|item| item["text"] == TEXT).expect("the text"));
        let data = json!({ "ride_id": ride, "message_id": message });
        let about = stage.happens("message.received", data.clone()).await;
        let rejected = stage.happens("contact.rejected", data).await;
        let gone = stage.happens("message.sent", json!({ "ride_id": ride, "message_id": 999_999 })).await;
        stage.deliver().await;
        let (told, silent) = (stage.subscriber.take(), discreet.take());
        let text = |event: i64| {
            let post = told.iter().find(|post| post.event() == event).expect("a post");
            post.json()["data"].get("text").cloned()
        };
        assert_eq!((text(about), text(rejected), text(gone)), (Some(json!(TEXT)), None, None));
        assert!(silent.len() >= 3 && silent.iter().all(|post| !post.body.contains("canary")));
        for post in told.iter().chain(&silent) {
            assert!([ANN, BOB].iter().all(|phone| !post.body.contains(&phone[1..])), "{}", post.body);
        }
        let stored = stage.list("attempts").await;
        assert!(!json!(stored).to_string().contains("canary"));

        stage.run("UPDATE messages SET body_sealed = $1 WHERE id = $2", [vec![1_u8, 2, 3].into(), message.into()]).await;
        let unreadable = stage.happens("message.sent", json!({ "ride_id": ride, "message_id": message })).await;
        stage.deliver().await;
        let posts = stage.subscriber.take();
        assert_eq!((posts[0].event(), posts[0].json()["data"].get("text")), (unreadable, None));
        stage.finish().await;
    }

    async fn an_event_is_delivered_again_when_asked(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let (other, picky) = (Subscriber::start().await, Subscriber::start().await);
        let (second, _) = subscribe(&stage.app, &other, &json!({})).await;
        subscribe(&stage.app, &picky, &json!({ "types": ["pool.low"] })).await;
        let event = stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        let path = format!("/v1/events/{event}/redeliver");
        assert_eq!(stage.app.post(&path, &json!({})).await.expect(202)["endpoints"], 2);
        stage.deliver().await;
        assert_eq!(stage.app.post(&path, &json!({ "endpoint_id": second })).await.expect(202)["endpoints"], 1);
        let key = [("idempotency-key", "again")];
        for _ in 0..2 {
            stage.app.json("POST", &path, &key, &json!({ "endpoint_id": second })).await.expect(202);
            stage.deliver().await;
        }
        assert_eq!((stage.subscriber.taken(), other.taken()), (vec![event; 2], vec![event; 3]));
        assert_eq!(picky.taken(), [0; 0], "it does not hear of such events");
        let refused = stage.app.post(&path, &json!({ "endpoint_id": 999_999 })).await;
        assert_eq!(refused.expect_problem(422, "invalid_request")["errors"][0]["pointer"], "/endpoint_id");
        stage.app.post("/v1/events/999999/redeliver", &json!({})).await.expect_problem(404, "not_found");
        assert!(stage.list("retries").await.is_empty());
        stage.finish().await;
    }

    async fn attempts_are_shown_for_a_month(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        stage.pass(Duration::days(29));
        stage.on_ride(1, "ride.updated").await;
        stage.deliver().await;
        stage.app.tidy().await;
        assert_eq!(stage.list("attempts").await.len(), 2);
        stage.pass(Duration::days(2));
        stage.app.tidy().await;
        assert_eq!(stage.list("attempts").await.len(), 1);
        stage.finish().await;
    }

    async fn however_many_attempts_are_too_old_one_run_forgets_them(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
            INSERT INTO event_attempts (endpoint_id, event_id, at, duration_ms) SELECT $1, i, $2, 1 FROM n";
        stage.run(sql, [stage.endpoint.into(), (stage.app.now() - Duration::days(31)).into()]).await;
        assert!(!stage.list("attempts").await.is_empty());
        stage.app.tidy().await;
        assert!(stage.list("attempts").await.is_empty());
        stage.finish().await;
    }

    async fn an_endpoint_that_is_deleted_leaves_its_attempts_and_nothing_to_be_tried(kind: Kind) {
        let stage = Stage::set(kind).await;
        stage.subscriber.always(Some(Act::Answer(500)));
        let event = stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        assert_eq!(stage.app.delete(&format!("{PATH}/{}", stage.endpoint)).await.status, 204);
        stage.pass(Duration::minutes(1));
        assert_eq!(stage.deliver().await, 0);
        let attempts = stage.app.get(&format!("/v1/events/{event}/attempts")).await.expect(200);
        assert_eq!(attempts["items"][0]["endpoint_id"], stage.endpoint);
        stage.finish().await;
    }
}
