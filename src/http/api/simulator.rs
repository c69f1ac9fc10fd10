//! `/v1/simulator`: act as a phone, and look at a phone.

use std::sync::Arc;

use poem_openapi::{OpenApi, param::Path};

use super::group::Group;
use crate::{
    domain::screen::EntryKind,
    domain::{error::Error, phone::PhoneNumber, scope::Scope, text::MessageText},
    http::{
        auth::{Allowed, SimulatorUse},
        fields::{JsonBody, Nullable, request_body, view},
        problem::{Answer, Code, Problem},
        reply::{Accepted, Found},
        scalars::{ShownPhone, Timestamp},
    },
    simulator::{CallExperience, CallOutcome, SimulatedNetwork},
    store::simulator::ScreenEntry,
};

request_body! {
    /// A text from a phone.
    SimulatedTextBody {
        /// The phone that sends it.
        from: PhoneNumber,
        /// The proxy number it is sent to.
        to: PhoneNumber,
        /// The words.
        text: MessageText,
    }
    example { "from": "+31612345678", "to": "+3197010200001", "text": "I am at the main entrance." }
}

request_body! {
    /// A call from a phone.
    SimulatedCallBody {
        /// The phone that calls.
        from: PhoneNumber,
        /// The proxy number it calls.
        to: PhoneNumber,
    }
    example { "from": "+31612345678", "to": "+3197010200001" }
}

view! {
    /// A text is on its way.
    SimulatedText as "SimulatedText" {
        /// Id of the text in the simulated network.
        id: String,
    }
}

view! {
    /// A call, as the caller lived it.
    SimulatedCall as "SimulatedCall" {
        /// Id of the call in the simulated network.
        id: String,
        /// What happened.
        outcome: CallOutcome,
        /// The phone that rang.
        rang: Nullable<ShownPhone>,
        /// The number on its screen: the proxy number.
        caller_id: Nullable<ShownPhone>,
        /// The sentence that was said.
        heard: Nullable<String>,
    }
}

view! {
    /// A phone's screen.
    Screen as "Screen" {
        /// What the phone shows, oldest first: the last 200.
        items: Vec<ScreenItem>,
    }
}

view! {
    /// One entry of a phone's screen.
    ScreenItem as "ScreenItem" {
        /// What it is.
        kind: EntryKind,
        /// The number on the screen: never the other party's.
        number: ShownPhone,
        /// The words, of a text or an announcement. Where other providers are configured too, absent without the scope
        /// `messages:read`.
        text: Option<String>,
        /// When.
        at: Timestamp,
    }
}

impl ScreenItem {
    fn of(entry: ScreenEntry, reads_texts: bool) -> Self {
        Self {
            kind: entry.kind,
            number: ShownPhone::of(&entry.number, true),
            text: Some(entry.words).filter(|words| reads_texts && !words.is_empty()),
            at: Timestamp(entry.at),
        }
    }
}

pub(in crate::http) struct SimulatorApi {
    /// None where the simulator is off: its operations are 404 then.
    pub(in crate::http) simulator: Option<Arc<SimulatedNetwork>>,
}

impl SimulatorApi {
    fn simulator(&self) -> Answer<&SimulatedNetwork> {
        self.simulator.as_deref().ok_or_else(|| Problem::from(Error::NotFound))
    }
}

#[OpenApi(tag = "Group::Simulator")]
impl SimulatorApi {
    /// Send a text as a phone
    ///
    /// Goes the way of a real one: a signed webhook to us, and from us to the other party's phone. 404 where the
    /// simulator is off. Without the scope `phone_numbers:reveal`, a client acts as and looks at 10 different phones an
    /// hour.
    #[oai(path = "/v1/simulator/texts", method = "post", operation_id = "simulate_text")]
    async fn text(
        &self,
        #[oai(scope = "Scope::SimulatorUse")] allowed: Allowed<SimulatorUse>,
        body: JsonBody<SimulatedTextBody>,
    ) -> Answer<Accepted<SimulatedText>> {
        let SimulatedTextBody { from, to, text } = body.value;
        self.simulator()?.admit(&allowed.caller, &from).await?;
        let id = self.simulator()?.send_text(&from, &to, &text).await?;
        Ok(Accepted::new(SimulatedText { id }))
    }

    /// Call as a phone
    ///
    /// Goes the way of a real call: a signed webhook to us, whose answer says what to do with it. 404 where the
    /// simulator is off.
    #[oai(path = "/v1/simulator/calls", method = "post", operation_id = "simulate_call")]
    async fn call(
        &self,
        #[oai(scope = "Scope::SimulatorUse")] allowed: Allowed<SimulatorUse>,
        body: JsonBody<SimulatedCallBody>,
    ) -> Answer<Found<SimulatedCall>> {
        let SimulatedCallBody { from, to } = body.value;
        self.simulator()?.admit(&allowed.caller, &from).await?;
        let (id, heard) = self.simulator()?.call(&from, &to).await?;
        Ok(Found::new(match heard {
            CallExperience::Connected { rang, caller_id } => SimulatedCall {
                id,
                outcome: CallOutcome::Connected,
                rang: Nullable(Some(ShownPhone::of(&rang, allowed.reveals()))),
                caller_id: Nullable(Some(ShownPhone::of(&caller_id, true))),
                heard: Nullable(None),
            },
            CallExperience::Announced(text) => SimulatedCall {
                id,
                outcome: CallOutcome::Announced,
                rang: Nullable(None),
                caller_id: Nullable(None),
                heard: Nullable(Some(text)),
            },
        }))
    }

    /// Look at a phone
    ///
    /// The texts and calls it got, and the announcements it heard. 404 where the simulator is off.
    #[oai(path = "/v1/simulator/phones/:phone_number", method = "get", operation_id = "simulated_phone")]
    async fn phone(
        &self,
        #[oai(scope = "Scope::SimulatorUse")] allowed: Allowed<SimulatorUse>,
        /// The phone, in international form.
        phone_number: Path<String>,
    ) -> Answer<Found<Screen>> {
        let simulator = self.simulator()?;
        let phone = PhoneNumber::parse(&phone_number.0).map_err(|_| Problem::of(Code::NotFound))?;
        simulator.admit(&allowed.caller, &phone).await?;
        let entries = simulator.screen(&phone).await?;
        // Rides of other providers can be moved to numbers of the simulator, and their texts then come here.
        let reads_texts = allowed.reads_texts() || simulator.is_alone();
        Ok(Found::new(Screen { items: entries.into_iter().map(|entry| ScreenItem::of(entry, reads_texts)).collect() }))
    }
}
