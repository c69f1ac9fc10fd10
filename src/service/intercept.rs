//! Asking the platform before a text is relayed or a call connected (`INTERCEPT_URL`).
//!
//! The question is asked with no transaction open, of the way that is open then; the transaction that takes the contact looks
//! for the way again. What was taken before is not asked about again.

use std::{borrow::Cow, sync::Arc};

use serde_json::json;

use super::{Service, deliveries::body, random};
use crate::{
    domain::{
        call::Call,
        contact::{Connection, InboundCall, InboundText, Route},
        courier::{Courier, Parcel},
        error::Result,
        intercept::{OnFailure, Screened, Verdict, blocked, verdict_of},
        number::ProviderName,
        signature::{self, WebhookSecret},
    },
    store::{
        calls,
        inbox::{self, EventKind},
        rides,
    },
};

/// Whom to ask, and what if they do not answer.
pub struct Intercept {
    /// Carries the question, within its time.
    pub courier: Arc<dyn Courier>,
    /// Where to.
    pub url: String,
    /// Signs it.
    pub secret: WebhookSecret,
    /// What becomes of a contact without an answer that makes sense.
    pub on_failure: OnFailure,
}

impl Intercept {
    /// What is said of a contact that goes this way now.
    fn verdict(&self, way: &Connection, screened: Option<&Screened>) -> Verdict {
        verdict_of(way, screened).unwrap_or_else(|| {
            let setting = self.on_failure.as_str();
            tracing::warn!(ride_id = %way.ride_id, setting, "a contact goes another way than INTERCEPT_URL was asked about");
            self.on_failure.into()
        })
    }
}

impl Service {
    /// Asks about a text, if somebody is to be asked and it would go through.
    pub(super) async fn screen_text(&self, provider: &ProviderName, text: &InboundText) -> Result<Option<Screened>> {
        let Some(intercept) = &self.intercept else { return Ok(None) };
        if !is_for_the_other(text) || inbox::is_taken(&self.store, provider, EventKind::Text, &text.key).await? {
            return Ok(None);
        }
        match self.route(&self.store, provider, &text.from, text.to.as_ref()).await? {
            Route::Connected(way) => Ok(Some(self.ask(intercept, way, Some(text)).await)),
            Route::Refused { .. } => Ok(None),
        }
    }

    /// The same for a call. A repeat is told what the first was, as long as it would reach the same person.
    pub(super) async fn screen_call(&self, provider: &ProviderName, call: &InboundCall) -> Result<Option<Screened>> {
        let Some(intercept) = &self.intercept else { return Ok(None) };
        let Route::Connected(way) = self.route(&self.store, provider, &call.from, call.to.as_ref()).await? else {
            return Ok(None);
        };
        if let Some(known) = calls::find(&self.store, provider, &call.key).await? {
            // What did not go to the other party at first never does.
            if known.reason.is_some() {
                return Ok(Some(Screened { way, verdict: Verdict::Block }));
            }
            if self.went_this_way(&known, &way).await? {
                return Ok(Some(Screened { way, verdict: Verdict::Allow }));
            }
        }
        Ok(Some(self.ask(intercept, way, None).await))
    }

    /// Whether a call was to reach who is at the end of this way now.
    async fn went_this_way(&self, known: &Call, way: &Connection) -> Result<bool> {
        Ok((known.ride_id, known.from_role) == (Some(way.ride_id), Some(way.from_role))
            && rides::has_same_driver_since(&self.store, way.ride_id, known.started_at).await?)
    }

    /// A text after its screening: where it goes, and with which words. What it is replaced with has no pictures.
    pub(super) fn screened<'a>(
        &self,
        route: Route,
        text: &'a InboundText,
        screened: Option<&Screened>,
    ) -> (Route, Cow<'a, InboundText>) {
        let (Some(intercept), Route::Connected(way), true) = (&self.intercept, &route, is_for_the_other(text)) else {
            return (route, Cow::Borrowed(text));
        };
        match intercept.verdict(way, screened) {
            Verdict::Allow => (route, Cow::Borrowed(text)),
            Verdict::Block => (blocked(way), Cow::Borrowed(text)),
            Verdict::Replace(body) => (route, Cow::Owned(InboundText { body, media: Vec::new(), ..text.clone() })),
        }
    }

    /// A call after its screening.
    pub(super) fn screened_call(&self, route: Route, screened: Option<&Screened>) -> Route {
        match (&self.intercept, &route) {
            (Some(intercept), Route::Connected(way)) if intercept.verdict(way, screened) == Verdict::Block => {
                blocked(way)
            }
            _ => route,
        }
    }

    async fn ask(&self, intercept: &Intercept, way: Connection, text: Option<&InboundText>) -> Screened {
        let now = self.now();
        let mut data = json!({
            "ride_id": way.ride_id,
            "from_role": way.from_role.as_str(),
            "to_role": way.from_role.other().as_str(),
        });
        if let Some(text) = text {
            data["text"] = text.body.expose().into();
            data["media"] = text.media.len().into();
        }
        let kind = if text.is_some() { "intercept.text" } else { "intercept.call" };
        let body = body(kind, now, &data);
        let secrets = std::slice::from_ref(&intercept.secret);
        let headers = signature::headers(secrets, random::name("ask_"), now, &body);
        let receipt = intercept.courier.post(Parcel { url: intercept.url.clone(), headers, body }).await;
        let verdict = match &receipt.answer {
            Ok((200..=299, answer)) => Verdict::read(answer, text.is_some()),
            _ => None,
        };
        let verdict = verdict.unwrap_or_else(|| {
            let failure = receipt.failure().map_or("nonsense", |failure| failure.as_str());
            let (status, setting) = (receipt.status(), intercept.on_failure.as_str());
            tracing::warn!(ride_id = %way.ride_id, failure, status, setting, "INTERCEPT_URL did not say what to do with a contact");
            intercept.on_failure.into()
        });
        Screened { way, verdict }
    }
}

/// Whether there is something to be passed on: a keyword is for the provider.
fn is_for_the_other(text: &InboundText) -> bool {
    !text.keyword && (!text.body.is_empty() || !text.media.is_empty())
}
