//! The demo's story, step by step.

use chrono::{Duration, Local, SecondsFormat};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::Client,
    phone::{Phone, until},
    terminal::{Ink, Terminal},
    timeline::Timeline,
};
use crate::{
    app::FirstClient,
    cli::outcome::Outcome,
    config::DEFAULT_LISTEN_ADDR,
    domain::{
        clock::{Clock as _, SystemClock, Time},
        ride::RideStatus,
    },
};

/// `GRACE_PERIOD` of the demo's server: long enough for a text on a slow machine, short enough to wait for.
pub(super) const GRACE: &str = "5s";

const PROXY: &str = "+3197010200001";

pub(super) struct Story {
    terminal: Terminal,
    client: Client,
    base_url: String,
    customer: Phone,
    driver: Phone,
}

#[derive(Deserialize)]
struct Made {
    id: i64,
}

#[derive(Deserialize)]
struct Ride {
    id: i64,
    proxy_number: String,
    status: RideStatus,
    contact_until: Time,
    contact_open: bool,
}

#[derive(Deserialize)]
struct Call {
    rang: Option<String>,
    caller_id: Option<String>,
    heard: Option<String>,
}

impl Story {
    pub(super) fn new(terminal: Terminal, base_url: &str) -> Outcome<Self> {
        Ok(Self {
            terminal,
            client: Client::new(terminal, base_url)?,
            base_url: base_url.to_owned(),
            customer: Phone::new("Anna", "+31612345678"),
            driver: Phone::new("Omar", "+31687654321"),
        })
    }

    pub(super) async fn tell(mut self, first: &FirstClient) -> Outcome<()> {
        self.open()?;
        self.sign_in(first).await?;
        let people = self.meet().await?;
        let ride = self.book(people).await?;
        self.write().await?;
        self.call().await?;
        self.ride(&ride).await?;
        self.come_late(&ride).await?;
        self.look_back(&ride).await?;
        self.check_masks().await?;
        self.close()
    }

    fn say(&self, text: &str) -> Outcome<()> {
        Ok(self.terminal.say(Ink::Plain, text)?)
    }

    fn step(&self, number: usize, text: &str) -> Outcome<()> {
        Ok(self.terminal.step(number, text)?)
    }

    fn open(&self) -> Outcome<()> {
        self.terminal.title("Maskline: one ride, two phones, and one number between them")?;
        self.say(&format!(
            "A real server now runs at {}, with a throwaway database, and simulated phones in place of a telephony \
             provider. Each line with an arrow is a request to its API, as your backend would make it. The boxes are \
             what each phone newly shows: GET /v1/simulator/phones/{{phone_number}}.",
            self.base_url
        ))
    }

    async fn sign_in(&mut self, first: &FirstClient) -> Outcome<()> {
        self.step(1, "Your backend signs in")?;
        self.client.sign_in(first).await
    }

    async fn meet(&self) -> Outcome<(Made, Made)> {
        self.step(2, "It registers two people and a number of yours")?;
        let person = |phone: &Phone| json!({ "name": phone.owner, "phone_number": phone.number });
        let customer = self.client.post("/v1/customers", &person(&self.customer)).await?;
        let driver = self.client.post("/v1/drivers", &person(&self.driver)).await?;
        let number = json!({ "phone_number": PROXY, "provider": "simulator" });
        let _: Made = self.client.post("/v1/numbers", &number).await?;
        let Self { customer: anna, driver: omar, .. } = self;
        self.say(&format!(
            "{} rides and has {}; {} drives and has {}.",
            anna.owner, anna.number, omar.owner, omar.number
        ))?;
        self.say(&format!("The proxy number {PROXY} is the only one that either will see."))?;
        Ok((customer, driver))
    }

    /// Books the ride and returns its path.
    async fn book(&mut self, (customer, driver): (Made, Made)) -> Outcome<String> {
        self.step(3, "It books a ride, and Maskline tells both people")?;
        // In the reader's own time zone, so that it reads as an hour from now.
        let datetime = (SystemClock.now() + Duration::hours(1)).with_timezone(&Local);
        let ride: Ride = self
            .client
            .post(
                "/v1/rides",
                &json!({
                    "customer_id": customer.id,
                    "driver_id": driver.id,
                    "start": "Dam 1, Amsterdam",
                    "destination": "Schiphol Airport",
                    "datetime": datetime.to_rfc3339_opts(SecondsFormat::Secs, false),
                }),
            )
            .await?;
        self.say(&format!("Ride {} is {}, on proxy number {}.", ride.id, ride.status, ride.proxy_number))?;
        self.show_phones([1, 1]).await?;
        Ok(format!("/v1/rides/{}", ride.id))
    }

    async fn write(&mut self) -> Outcome<()> {
        self.step(4, "They text each other, through the number")?;
        self.text(&self.customer, "I am at the main entrance, in a red coat 🧥").await?;
        self.text(&self.driver, "On my way, white Toyota 🚗 See you in 5!").await?;
        self.show_phones([1, 1]).await
    }

    async fn text(&self, from: &Phone, text: &str) -> Outcome<()> {
        self.say(&format!("{} texts {PROXY}: “{text}”", from.owner))?;
        let body = json!({ "from": from.number, "to": PROXY, "text": text });
        let _: Value = self.client.post("/v1/simulator/texts", &body).await?;
        Ok(())
    }

    async fn call(&mut self) -> Outcome<()> {
        self.step(5, "They talk, through the number")?;
        let Call { rang, caller_id: Some(caller_id), .. } = self.dial(&self.driver).await? else {
            return Err("The call was not connected".into());
        };
        if rang.as_deref() != Some(self.customer.number) {
            return Err("The call rang the wrong phone".into());
        }
        self.say(&format!("{}'s phone rings and shows {caller_id}; they talk for 30 s.", self.customer.owner))?;
        self.show_phones([1, 0]).await
    }

    async fn dial(&self, from: &Phone) -> Outcome<Call> {
        self.say(&format!("{} calls {PROXY}.", from.owner))?;
        self.client.post("/v1/simulator/calls", &json!({ "from": from.number, "to": PROXY })).await
    }

    async fn ride(&mut self, path: &str) -> Outcome<()> {
        self.step(6, "The ride starts and ends; for a while they can still reach each other")?;
        let started: Ride = self.client.patch(path, &json!({ "status": "in_progress" })).await?;
        self.say(&format!("Ride {} is {}.", started.id, started.status))?;
        let over: Ride = self.client.patch(path, &json!({ "status": "completed" })).await?;
        self.say(&format!(
            "Ride {} is {}; contact_until is {}. That is {GRACE} away: the demo's GRACE_PERIOD. Yours is 24h unless \
             you say otherwise.",
            over.id,
            over.status,
            over.contact_until.with_timezone(&Local).format("%H:%M:%S")
        ))?;
        self.text(&self.customer, "I left my umbrella on the back seat 🌂").await?;
        self.show_phones([0, 1]).await
    }

    async fn come_late(&mut self, path: &str) -> Outcome<()> {
        self.step(7, "After that, contact is closed")?;
        self.say("Waiting for contact_until ...")?;
        until("The end of contact", async || {
            let ride: Ride = serde_json::from_str(&self.client.look(path).await?)?;
            Ok((!ride.contact_open).then_some(()))
        })
        .await?;
        let ride: Ride = self.client.get(path).await?;
        self.say(&format!("contact_open is {}.", ride.contact_open))?;
        self.text(&self.customer, "Did you find my umbrella?").await?;
        let path = format!("{path}/timeline");
        until("The refusal of the late text", async || {
            let timeline: Timeline = serde_json::from_str(&self.client.look(&path).await?)?;
            Ok(timeline.has_refused_text().then_some(()))
        })
        .await?;
        self.say(&format!("It goes nowhere; {} never gets it.", self.driver.owner))?;
        let Call { rang: None, heard: Some(_), .. } = self.dial(&self.driver).await? else {
            return Err("The late call was not answered with a sentence".into());
        };
        self.show_phones([0, 1]).await
    }

    async fn look_back(&self, path: &str) -> Outcome<()> {
        self.step(8, "Your backend sees all of it")?;
        let timeline: Timeline = self.client.get(&format!("{path}/timeline")).await?;
        timeline.print(self.terminal, self.customer.owner, self.driver.owner)
    }

    async fn check_masks(&self) -> Outcome<()> {
        self.customer.check_mask(&self.client, &self.driver, PROXY).await?;
        self.driver.check_mask(&self.client, &self.customer, PROXY).await?;
        let verdict = format!("✔ Neither phone ever saw the other's number: both show only {PROXY}.");
        self.terminal.gap()?;
        Ok(self.terminal.say(Ink::Good, &verdict)?)
    }

    fn close(&self) -> Outcome<()> {
        self.terminal.gap()?;
        self.say("The demo takes its server and database away with it. Where to go next:")?;
        let swagger_ui = format!("http://{DEFAULT_LISTEN_ADDR}/docs");
        let next = [("cargo run", "a server of your own"), (swagger_ui.as_str(), "its API in Swagger UI")];
        for (what, why) in next {
            self.terminal.row(&[(Ink::Plain, 1, ""), (Ink::Bold, 28, what), (Ink::Plain, why.len(), why)])?;
        }
        Ok(())
    }

    /// Shows both phones once each has the awaited number of new entries.
    async fn show_phones(&mut self, awaited: [usize; 2]) -> Outcome<()> {
        let customer = self.customer.news(&self.client, awaited[0]).await?;
        let driver = self.driver.news(&self.client, awaited[1]).await?;
        Ok(self.terminal.panels([&customer, &driver])?)
    }
}
