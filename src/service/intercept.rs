//! Asking the platform before a text is relayed or a call connected (`INTERCEPT_URL`).
//!
//! The question is asked with no transaction open, of the way that is open then; the transaction that takes the contact looks
//! for the way again. If it is another by then, that is asked about too, once. What was taken before is not asked about
//! again.
//!
//! Before a text is asked about it gets its position in the conversation, and later texts wait for it (`store::arrivals`): the
//! order of a conversation is that of arrival, whatever the platform answers first.

use std::borrow::Cow;

use chrono::Duration;
use serde_json::json;

use super::{Context, chance, deliveries::body, routing::route};
use crate::{
    config::InterceptConfig,
    domain::{
        call::Call,
        contact::{Connection, InboundCall, InboundText, Refusal, Route},
        error::Result,
        intercept::{OnFailure, QUESTION_TIMEOUT, Screened, Verdict, refused, verdict_of},
        number::ProviderName,
        outbound::{Exchange, OutboundRequest, PostFailure},
        signature,
    },
    store::{
        Tx,
        arrivals::{self, Arrival},
        calls,
        inbox::{self, EventKind},
        rides,
    },
};

/// Screenings of one contact at most: its way can change while a question is out.
const MAX_SCREENINGS: u32 = 2;

/// How long later texts wait for one that is being asked about: as long as a question takes, and the transactions around it.
const HOLD: Duration = Duration::milliseconds(QUESTION_TIMEOUT.as_millis() as i64 + 200);

/// The screening of one contact: what was asked about it so far, and what the platform said.
#[derive(Default)]
pub(super) struct Inquiry {
    screenings: u32,
    /// It was looked whether there is something to ask, and the contact was not taken since.
    is_screened: bool,
    /// A question that is out.
    pending: Option<(Connection, bool)>,
    last: Option<Screened>,
}

impl Inquiry {
    /// The contact must be asked about again: it takes another route by now.
    pub(super) fn reopen(&mut self) {
        self.is_screened = false;
    }

    /// What is said of a contact that goes this way now. `None` if nothing is, and it can be asked about still.
    fn verdict(&self, way: &Connection) -> Option<Verdict> {
        let said = verdict_of(way, self.last.as_ref());
        if said.is_none() {
            tracing::warn!(ride_id = %way.ride_id, screenings = self.screenings, "a contact goes another way than INTERCEPT_URL was asked about");
        }
        said.or((self.screenings >= MAX_SCREENINGS).then_some(Verdict::Unclear))
    }

    /// What no answer means now: as it is set, unless an answer has said already that this contact should not go through as
    /// it is.
    fn without_answer(&self, on_failure: OnFailure) -> Verdict {
        match &self.last {
            Some(Screened { verdict: Verdict::Block | Verdict::Replace(_) | Verdict::Unclear, .. }) => Verdict::Unclear,
            Some(Screened { verdict: Verdict::Allow, .. }) | None => on_failure.into(),
        }
    }
}

/// The question about a text, unless it was asked, or there is nobody to ask, or the text would not go through.
pub(super) async fn screen_text(
    ctx: &Context,
    provider: &ProviderName,
    text: &InboundText,
    inquiry: &mut Inquiry,
) -> Result<Option<OutboundRequest>> {
    let Some(intercept) = &ctx.settings.intercept else { return Ok(None) };
    if std::mem::replace(&mut inquiry.is_screened, true) {
        return Ok(None);
    }
    inquiry.screenings += 1;
    if !is_for_the_other(text) || inbox::is_taken(&ctx.store, provider, EventKind::Text, &text.key).await? {
        return Ok(None);
    }
    let arrived = ctx.store.write(|tx| async move { enter_conversation(ctx, &tx, provider, text).await });
    Ok(arrived.await?.map(|way| question(ctx, intercept, way, Some(text), inquiry)))
}

/// Gives a text its position in the conversation that it goes to now, if it goes to one.
async fn enter_conversation(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
) -> Result<Option<Connection>> {
    let Route::Connected(way) = route(ctx, tx, provider, &text.from, text.to.as_ref()).await? else {
        return Ok(None);
    };
    let conversation = (way.ride_id, way.from_role.other());
    let (ride, to) = conversation;
    let seq = rides::take_places(tx, ride, Some(way.driver_id), to, arrivals::POSITIONS, ctx.now()).await?;
    if let Some(seq) = seq {
        // The time is that of the position, however long the lock of the ride took.
        let arrival = Arrival { conversation, seq, at: ctx.now() };
        arrivals::note(tx, provider, &text.key, &arrival, arrival.at + HOLD).await?;
    }
    Ok(Some(way))
}

/// When and where in its conversation a text arrived, if it was asked about.
pub(super) async fn arrival_of(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
) -> Result<Option<Arrival>> {
    match ctx.settings.intercept {
        Some(_) => arrivals::find(tx, provider, &text.key).await,
        None => Ok(None),
    }
}

/// Lets what waits for a text go on. The last step of a transaction: a repeat has the lock of the ride when it comes to
/// the arrival, so nobody may want that lock after the arrival's.
pub(super) async fn leave_conversation(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
) -> Result<()> {
    match ctx.settings.intercept {
        Some(_) => arrivals::remove(tx, provider, &text.key).await,
        None => Ok(()),
    }
}

/// The question about a call. A repeated call gets the first answer, as long as it would reach the same person.
pub(super) async fn screen_call(
    ctx: &Context,
    provider: &ProviderName,
    call: &InboundCall,
    inquiry: &mut Inquiry,
) -> Result<Option<OutboundRequest>> {
    let Some(intercept) = &ctx.settings.intercept else { return Ok(None) };
    if std::mem::replace(&mut inquiry.is_screened, true) {
        return Ok(None);
    }
    inquiry.screenings += 1;
    let Route::Connected(way) = route(ctx, &ctx.store, provider, &call.from, call.to.as_ref()).await? else {
        return Ok(None);
    };
    if let Some(known) = calls::find(&ctx.store, provider, &call.key).await? {
        // What did not go to the other party at first never does.
        if known.reason.is_some() {
            inquiry.last = Some(Screened { way, verdict: Verdict::Block });
            return Ok(None);
        }
        if went_this_way(ctx, &known, &way).await? {
            inquiry.last = Some(Screened { way, verdict: Verdict::Allow });
            return Ok(None);
        }
    }
    Ok(Some(question(ctx, intercept, way, None, inquiry)))
}

/// Whether a call was to reach who is at the end of this way now.
async fn went_this_way(ctx: &Context, known: &Call, way: &Connection) -> Result<bool> {
    Ok((known.ride_id, known.from_role) == (Some(way.ride_id), Some(way.from_role))
        && rides::has_same_driver_since(&ctx.store, way.ride_id, known.started_at).await?)
}

/// A text after its screening: where it goes, and with which words. What it is replaced with has no pictures. `None` if
/// it must be asked about again.
pub(super) fn screened<'a>(
    ctx: &Context,
    route: Route,
    text: &'a InboundText,
    inquiry: &Inquiry,
) -> Option<(Route, Cow<'a, InboundText>)> {
    let (Some(_), Route::Connected(way), true) = (&ctx.settings.intercept, &route, is_for_the_other(text)) else {
        return Some((route, Cow::Borrowed(text)));
    };
    Some(match inquiry.verdict(way)? {
        Verdict::Allow => (route, Cow::Borrowed(text)),
        Verdict::Block => (refused(way, Refusal::Blocked), Cow::Borrowed(text)),
        Verdict::Unclear => (refused(way, Refusal::InterceptUnclear), Cow::Borrowed(text)),
        Verdict::Replace(body) => (route, Cow::Owned(InboundText { body, media: Vec::new(), ..text.clone() })),
    })
}

/// A call after its screening. `None` if it must be asked about again.
pub(super) fn screened_call(ctx: &Context, route: Route, inquiry: &Inquiry) -> Option<Route> {
    let (Some(_), Route::Connected(way)) = (&ctx.settings.intercept, &route) else { return Some(route) };
    Some(match inquiry.verdict(way)? {
        Verdict::Allow => route,
        Verdict::Block => refused(way, Refusal::Blocked),
        // `Verdict::read` makes no replacement of an answer about a call.
        Verdict::Unclear | Verdict::Replace(_) => refused(way, Refusal::InterceptUnclear),
    })
}

fn question(
    ctx: &Context,
    intercept: &InterceptConfig,
    way: Connection,
    text: Option<&InboundText>,
    inquiry: &mut Inquiry,
) -> OutboundRequest {
    let now = ctx.now();
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
    let headers = signature::headers(secrets, chance::name("ask_"), now, body.as_bytes());
    inquiry.pending = Some((way, text.is_some()));
    OutboundRequest::post_json(intercept.url.clone(), headers, body)
}

/// Takes the answer to the question that is out.
pub(super) fn take_answer(ctx: &Context, inquiry: &mut Inquiry, exchange: &Exchange) {
    let (Some(intercept), Some((way, is_text))) = (&ctx.settings.intercept, inquiry.pending.take()) else { return };
    let (status, is_whole) = match &exchange.outcome {
        Ok(response) => (Some(response.status), true),
        Err(none) => (none.status, false),
    };
    let verdict = match &exchange.outcome {
        Ok(response) if response.status.is_success() => Verdict::read(&response.body, is_text),
        // It began as an answer: half of a "block" must not count as none.
        Err(none) if none.status.is_some_and(|status| status.is_success()) => Verdict::Unclear,
        _ => {
            let failure = exchange.failure().map(PostFailure::as_str);
            let (status, setting) = (status.map(|status| status.as_u16()), intercept.on_failure.as_str());
            tracing::warn!(ride_id = %way.ride_id, failure, status, setting, "INTERCEPT_URL gave no answer");
            inquiry.without_answer(intercept.on_failure)
        }
    };
    if verdict == Verdict::Unclear {
        let status = status.map(|status| status.as_u16());
        tracing::warn!(ride_id = %way.ride_id, status, is_whole, "blocked a contact: INTERCEPT_URL gave no clear answer");
    }
    inquiry.last = Some(Screened { way, verdict });
}

/// Whether there is something to be passed on: a keyword is for the provider.
fn is_for_the_other(text: &InboundText) -> bool {
    !text.keyword && (!text.body.is_blank() || !text.media.is_empty())
}
