//! Asks the platform before a text is relayed or a call is connected (`INTERCEPT_URL`).
//!
//! The question is asked with no transaction open, about the route at that moment. The transaction that handles the
//! contact looks up the route again. If it has changed, the platform is asked about the new one too, once. A contact
//! that was handled before is not asked about again.
//!
//! Before the question, a text gets its position in the conversation, and later texts wait for it (`store::arrivals`):
//! a conversation keeps the order of arrival, whichever answer comes first.

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
        intercept::{OnFailure, QUESTION_TIMEOUT, Screening, Verdict, refused, verdict_of},
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

/// Maximum number of screenings of one contact: its route can change while a question is pending.
const MAX_SCREENINGS: u32 = 2;

/// Time that later texts wait for one that is being screened: the time limit of a question, and the transactions around
/// it.
const HOLD: Duration = Duration::milliseconds(QUESTION_TIMEOUT.as_millis() as i64 + 200);

/// Screening of one contact: what the platform was asked so far, and what it answered.
#[derive(Default)]
pub(super) struct Inquiry {
    screenings: u32,
    /// Whether the contact was checked for a question since the last `reopen`.
    is_screened: bool,
    /// Pending question: its route, and whether it is about a text.
    pending: Option<(Connection, bool)>,
    last: Option<Screening>,
}

impl Inquiry {
    /// Allows another question, because the contact now takes a different route.
    pub(super) fn reopen(&mut self) {
        self.is_screened = false;
    }

    /// Returns the verdict on a contact that takes this route now. `None` if there is none, and the platform can still
    /// be asked.
    fn verdict(&self, connection: &Connection) -> Option<Verdict> {
        let said = verdict_of(connection, self.last.as_ref());
        if said.is_none() {
            tracing::warn!(ride_id = %connection.ride_id, screenings = self.screenings, "route changed since INTERCEPT_URL was asked");
        }
        said.or((self.screenings >= MAX_SCREENINGS).then_some(Verdict::Unclear))
    }

    /// Returns the verdict if the platform does not answer: the configured one, unless an earlier answer already said
    /// that this contact should not go through as it is.
    fn without_answer(&self, on_failure: OnFailure) -> Verdict {
        match &self.last {
            Some(Screening { verdict: Verdict::Block | Verdict::Replace(_) | Verdict::Unclear, .. }) => {
                Verdict::Unclear
            }
            Some(Screening { verdict: Verdict::Allow, .. }) | None => on_failure.into(),
        }
    }
}

/// Returns the question about a text. `None` if it was asked, there is nobody to ask, or the text would not go through.
pub(super) async fn text_question(
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
    if !is_for_other_party(text) || inbox::is_recorded(&ctx.store, provider, EventKind::Text, &text.key).await? {
        return Ok(None);
    }
    let arrived = ctx.store.write(|tx| async move { enter_conversation(ctx, &tx, provider, text).await });
    Ok(arrived.await?.map(|connection| question(ctx, intercept, connection, Some(text), inquiry)))
}

/// Gives a text its position in the conversation of its current route, if it has one.
async fn enter_conversation(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
) -> Result<Option<Connection>> {
    let Route::Connected(connection) = route(ctx, tx, provider, &text.from, text.to.as_ref()).await? else {
        return Ok(None);
    };
    let conversation = (connection.ride_id, connection.from_role.other());
    let (ride, to) = conversation;
    let seq =
        rides::allocate_positions(tx, ride, Some(connection.driver_id), to, arrivals::POSITIONS, ctx.now()).await?;
    if let Some(seq) = seq {
        // The time belongs to the position, however long the lock on the ride took.
        let arrival = Arrival { conversation, seq, at: ctx.now() };
        arrivals::record(tx, provider, &text.key, &arrival, arrival.at + HOLD).await?;
    }
    Ok(Some(connection))
}

/// Returns when and at which position in its conversation a text arrived, if the platform was asked about it.
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

/// Lets the texts that wait for this one go on. Must be the last step of a transaction: a repeated webhook locks the
/// ride before the arrival, so no transaction may lock the ride after the arrival.
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

/// Returns the question about a call. A repeated call gets the first answer, as long as it would reach the same person.
pub(super) async fn call_question(
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
    let Route::Connected(connection) = route(ctx, &ctx.store, provider, &call.from, call.to.as_ref()).await? else {
        return Ok(None);
    };
    if let Some(known) = calls::find(&ctx.store, provider, &call.key).await? {
        // A call that did not go to the other party at first never does.
        if known.reason.is_some() {
            inquiry.last = Some(Screening { connection, verdict: Verdict::Block });
            return Ok(None);
        }
        if reaches_same_person(ctx, &known, &connection).await? {
            inquiry.last = Some(Screening { connection, verdict: Verdict::Allow });
            return Ok(None);
        }
    }
    Ok(Some(question(ctx, intercept, connection, None, inquiry)))
}

/// Checks whether a call was meant for the person whom this route leads to now.
async fn reaches_same_person(ctx: &Context, known: &Call, connection: &Connection) -> Result<bool> {
    Ok((known.ride_id, known.from_role) == (Some(connection.ride_id), Some(connection.from_role))
        && rides::has_same_driver_since(&ctx.store, connection.ride_id, known.started_at).await?)
}

/// Returns the route and the content of a text after its screening. A replacement has no pictures. `None` if the
/// platform must be asked again.
pub(super) fn apply_screening<'a>(
    ctx: &Context,
    route: Route,
    text: &'a InboundText,
    inquiry: &Inquiry,
) -> Option<(Route, Cow<'a, InboundText>)> {
    let (Some(_), Route::Connected(connection), true) = (&ctx.settings.intercept, &route, is_for_other_party(text))
    else {
        return Some((route, Cow::Borrowed(text)));
    };
    Some(match inquiry.verdict(connection)? {
        Verdict::Allow => (route, Cow::Borrowed(text)),
        Verdict::Block => (refused(connection, Refusal::Blocked), Cow::Borrowed(text)),
        Verdict::Unclear => (refused(connection, Refusal::InterceptUnclear), Cow::Borrowed(text)),
        Verdict::Replace(body) => (route, Cow::Owned(InboundText { body, media: Vec::new(), ..text.clone() })),
    })
}

/// Returns the route of a call after its screening. `None` if the platform must be asked again.
pub(super) fn apply_call_screening(ctx: &Context, route: Route, inquiry: &Inquiry) -> Option<Route> {
    let (Some(_), Route::Connected(connection)) = (&ctx.settings.intercept, &route) else { return Some(route) };
    Some(match inquiry.verdict(connection)? {
        Verdict::Allow => route,
        Verdict::Block => refused(connection, Refusal::Blocked),
        // `Verdict::read` never returns a replacement for a call.
        Verdict::Unclear | Verdict::Replace(_) => refused(connection, Refusal::InterceptUnclear),
    })
}

fn question(
    ctx: &Context,
    intercept: &InterceptConfig,
    connection: Connection,
    text: Option<&InboundText>,
    inquiry: &mut Inquiry,
) -> OutboundRequest {
    let now = ctx.now();
    let mut data = json!({
        "ride_id": connection.ride_id,
        "from_role": connection.from_role.as_str(),
        "to_role": connection.from_role.other().as_str(),
    });
    if let Some(text) = text {
        data["text"] = text.body.expose().into();
        data["media"] = text.media.len().into();
    }
    let kind = if text.is_some() { "intercept.text" } else { "intercept.call" };
    let body = body(kind, now, &data);
    let secrets = std::slice::from_ref(&intercept.secret);
    let headers = signature::headers(secrets, chance::name("ask_"), now, body.as_bytes());
    inquiry.pending = Some((connection, text.is_some()));
    OutboundRequest::post_json(intercept.url.clone(), headers, body)
}

/// Takes the answer to the pending question.
pub(super) fn apply_answer(ctx: &Context, inquiry: &mut Inquiry, exchange: &Exchange) {
    let (Some(intercept), Some((connection, is_text))) = (&ctx.settings.intercept, inquiry.pending.take()) else {
        return;
    };
    let (status, is_whole) = match &exchange.outcome {
        Ok(response) => (Some(response.status), true),
        Err(none) => (none.status, false),
    };
    let verdict = match &exchange.outcome {
        Ok(response) if response.status.is_success() => Verdict::read(&response.body, is_text),
        // An answer had begun: half of a "block" must not count as no answer.
        Err(none) if none.status.is_some_and(|status| status.is_success()) => Verdict::Unclear,
        _ => {
            let failure = exchange.failure().map(PostFailure::as_str);
            let (status, setting) = (status.map(|status| status.as_u16()), intercept.on_failure.as_str());
            tracing::warn!(ride_id = %connection.ride_id, failure, status, setting, "got no answer from INTERCEPT_URL");
            inquiry.without_answer(intercept.on_failure)
        }
    };
    if verdict == Verdict::Unclear {
        let status = status.map(|status| status.as_u16());
        tracing::warn!(ride_id = %connection.ride_id, status, is_whole, "blocked a contact: INTERCEPT_URL gave no clear answer");
    }
    inquiry.last = Some(Screening { connection, verdict });
}

/// Checks whether a text has something to pass on. A keyword is meant for the provider.
fn is_for_other_party(text: &InboundText) -> bool {
    !text.keyword && (!text.body.is_blank() || !text.media.is_empty())
}
