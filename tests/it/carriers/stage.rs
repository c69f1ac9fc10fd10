//! A ride of Ann's and Bob's over one provider.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Kind, TestApp, TestDatabase,
        carrier::{CallNews, Carried, Carrier, News, Recorded, Ring, Signer, StandIn, Told, Webhook},
        id,
    },
    ride::{ANN, BOB, NUMBER},
};

pub struct Stage {
    pub app: TestApp,
    pub carrier: Arc<dyn Carrier>,
    pub api: StandIn,
    pub ride: i64,
    pub number: i64,
}

impl Stage {
    /// With a number that can do everything, and the confirmations out and off the record.
    pub async fn set(carrier: &Arc<dyn Carrier>, kind: Kind) -> Self {
        Self::with(carrier, kind, &[]).await
    }

    /// The same, with further variables.
    pub async fn with(carrier: &Arc<dyn Carrier>, kind: Kind, more: &[(&str, &str)]) -> Self {
        Self::on(TestDatabase::fresh(kind).await, carrier, more).await
    }

    /// The same on this database.
    pub async fn on(db: TestDatabase, carrier: &Arc<dyn Carrier>, more: &[(&str, &str)]) -> Self {
        let api = StandIn::of(Arc::clone(carrier)).await;
        let account = carrier.account(&api.base);
        let account: Vec<(&str, &str)> = account.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::on(db, &[&account, more].concat()).await;
        let number = json!({
            "phone_number": NUMBER, "provider": carrier.name(), "capabilities": ["sms", "voice", "mms"],
        });
        let number = id(&app.post("/v1/numbers", &number).await.expect(201));
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        let ride = id(&app.ride(ann, bob).await.expect(201));
        Self { app, carrier: Arc::clone(carrier), api, ride, number }
    }

    /// The same, with the confirmations delivered and off the record.
    pub async fn under_way(carrier: &Arc<dyn Carrier>, kind: Kind) -> Self {
        Self::under_way_with(carrier, kind, &[]).await
    }

    /// The same, with further variables.
    pub async fn under_way_with(carrier: &Arc<dyn Carrier>, kind: Kind, more: &[(&str, &str)]) -> Self {
        let stage = Self::with(carrier, kind, more).await;
        stage.app.send_due().await;
        stage.deliver_all().await;
        stage
    }

    /// A webhook of the provider's, signed.
    pub async fn webhook(&self, webhook: &Webhook) -> Answer {
        let proof = self.carrier.sign(webhook, Signer::Ours, self.app.now());
        self.bare(webhook, &proof).await
    }

    /// A webhook with these headers for proof.
    pub async fn bare(&self, webhook: &Webhook, proof: &[(&'static str, String)]) -> Answer {
        self.app.webhook(webhook, proof).await
    }

    /// A phone texts the number, and the provider is told that this was taken.
    pub async fn text(&self, key: &str, from: &str, text: &str, media: &[&str]) {
        let answer = self.webhook(&self.carrier.text(key, from, NUMBER, text, media)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// A phone calls the number; the answer.
    pub async fn call(&self, key: &str, from: &str) -> Answer {
        let answer = self.webhook(&self.carrier.call(Ring { id: key, from, number: NUMBER, to: "" })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!from.starts_with('+') || !answer.text.contains(&from[1..]), "the caller shows in {}", answer.text);
        answer
    }

    /// The provider tells what became of a call, by whichever way it has; the answers to its webhooks.
    pub async fn call_news(&self, key: &str, from: &str, to: &str, news: CallNews) -> Vec<Answer> {
        match self.carrier.call_news(Ring { id: key, from, number: NUMBER, to }, news) {
            Told::Webhooks(webhooks) => {
                let mut answers = Vec::new();
                for webhook in &webhooks {
                    answers.push(self.webhook(webhook).await);
                }
                answers
            }
            Told::WhenAsked(path, answer) => {
                self.api.when_asked(path, answer);
                self.app.clock.advance(Duration::minutes(5));
                assert!(self.app.ask_due().await > 0);
                Vec::new()
            }
        }
    }

    /// News of a send.
    pub async fn report(&self, sent: &Recorded, news: News) {
        let answer = self.webhook(&self.carrier.report(sent, &sent.provider_id, news)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Reports everything that was sent as delivered, and takes it off the record.
    pub async fn deliver_all(&self) -> Vec<Carried> {
        let sent = self.api.take();
        for sent in &sent {
            self.report(sent, News::Delivered).await;
        }
        sent.iter().map(|sent| self.carrier.read(sent)).collect()
    }

    /// The message with these words on the ride's timeline.
    pub async fn message(&self, text: &str) -> Value {
        let items = self.app.timeline(self.ride).await;
        items.into_iter().find(|item| item["text"] == text).unwrap_or_else(|| panic!("no message {text:?}"))
    }

    /// The ride's calls, oldest first.
    pub async fn calls(&self) -> Vec<Value> {
        self.app.timeline(self.ride).await.into_iter().filter(|item| item["type"] == "call").collect()
    }

    /// What this provider's adapter says of itself.
    pub async fn profile(&self) -> Value {
        let providers = self.app.get("/v1/providers").await.expect(200);
        let items = providers["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == self.carrier.name()).unwrap().clone()
    }

    /// A file of the provider's fixtures, whichever of these endings it has.
    pub fn fixture(&self, stem: &str) -> String {
        let folder = format!("{}/tests/fixtures/providers/{}", env!("CARGO_MANIFEST_DIR"), self.carrier.name());
        let read = |ending| std::fs::read_to_string(format!("{folder}/{stem}.{ending}")).ok();
        ["xml", "json", "http"].into_iter().find_map(read).unwrap_or_else(|| panic!("no fixture {folder}/{stem}"))
    }
}
