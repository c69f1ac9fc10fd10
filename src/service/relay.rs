//! Inbound contacts: a text is relayed, a call is connected.
//!
//! Every event is recorded in the inbox, in the transaction of its effect, so a repeat has no effect.

use std::borrow::Cow;

use chrono::Duration;

use super::{
    Context,
    call_polling::first_poll,
    intercept::{
        Inquiry, apply_call_screening, apply_screening, arrival_of, call_question, leave_conversation, text_question,
    },
    outgoing::{OutgoingText, enqueue},
    reports::INBOX_RETENTION,
    routing::route,
    strangers::{reply_to, support_for},
};
use crate::{
    domain::{
        call::{CallFlow, CallStatus},
        clock::Time,
        contact::{Connection, InboundCall, InboundText, Refusal, Route},
        error::Result,
        ids::{NumberId, RideId},
        message::{MessageKind, MessageStatus, NewMessage, SendFailure},
        notice::Announcement,
        number::ProviderName,
        outbound::OutboundRequest,
        person::Role,
        phone::PhoneNumber,
        text::MessageText,
    },
    store::{
        Tx,
        arrivals::Arrival,
        calls::{self, NewCall},
        inbox::{self, EventKind},
        messages, numbers,
    },
};

/// Maximum number of picture addresses in one text; further ones are dropped.
const MAX_MEDIA: usize = 10;
/// Time for which a repeated call can still be connected. Providers fetch a call flow again within seconds.
const CALL_REPEAT_WINDOW: Duration = Duration::minutes(2);
/// The `reason` of a text that was meant for the provider.
const KEYWORD: &str = "keyword";

/// Progress in handling a contact.
pub(super) enum Step<T> {
    /// The platform must be asked first; then the contact must be handled again.
    Ask(OutboundRequest),
    /// The contact is handled.
    Done(T),
}

/// Handles a text from a phone: stores it and enqueues it for the other party.
pub(super) async fn handle_text(
    ctx: &Context,
    provider: &ProviderName,
    text: &InboundText,
    inquiry: &mut Inquiry,
) -> Result<Step<()>> {
    let text = &*addressed(ctx, provider, text).await?;
    loop {
        if let Some(question) = text_question(ctx, provider, text, inquiry).await? {
            return Ok(Step::Ask(question));
        }
        let screening = &*inquiry;
        if ctx.store.write(|tx| async move { relay_screened(ctx, &tx, provider, text, screening).await }).await? {
            break;
        }
        inquiry.reopen();
    }
    ctx.wakeups.outbox.send();
    Ok(Step::Done(()))
}

/// Handles a text after its screening. Returns `false`, with nothing changed, if the platform must be asked again.
async fn relay_screened(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
    inquiry: &Inquiry,
) -> Result<bool> {
    let now = ctx.now();
    if !inbox::record(tx, provider, EventKind::Text, &text.key, text_kept(ctx, provider)).await? {
        leave_conversation(ctx, tx, provider, text).await?;
        return Ok(true);
    }
    let route = route(ctx, tx, provider, &text.from, text.to.as_ref()).await?;
    let Some((route, text)) = apply_screening(ctx, route, text, inquiry) else {
        inbox::forget(tx, provider, EventKind::Text, &text.key).await?;
        return Ok(false);
    };
    let text = text.as_ref();
    let arrival = arrival_of(ctx, tx, provider, text).await?;
    let arrived_at = arrival.map_or(now, |arrival| arrival.at);
    match route {
        Route::Connected(connection) if text.keyword => {
            let outcome = TextOutcome { status: MessageStatus::Rejected, ..TextOutcome::failed(&connection, KEYWORD) };
            keep(ctx, tx, provider, text, outcome, arrived_at).await?;
        }
        Route::Connected(connection) if is_sendable(ctx, tx, provider, text, &connection).await? => {
            relay_text(ctx, tx, provider, text, &connection, arrival).await?;
        }
        Route::Connected(connection) => {
            let failed = TextOutcome::failed(&connection, SendFailure::NothingToSend.as_str());
            keep(ctx, tx, provider, text, failed, arrived_at).await?;
        }
        Route::Refused { refusal, number_id, ride, language } => {
            keep(ctx, tx, provider, text, TextOutcome::rejected(refusal, number_id, ride), arrived_at).await?;
            reply_to(ctx, tx, provider, text, refusal, number_id, language.as_ref()).await?;
        }
    }
    leave_conversation(ctx, tx, provider, text).await?;
    Ok(true)
}

/// Returns a text to a group as one to the number of ours in that group. If there are several, prefers one on which the
/// sender has contact.
async fn addressed<'a>(ctx: &Context, provider: &ProviderName, text: &'a InboundText) -> Result<Cow<'a, InboundText>> {
    if text.others.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let group: Vec<_> = text.to.iter().chain(&text.others).cloned().collect();
    let ours = numbers::ours_among(&ctx.store, provider, &group).await?;
    let mut to = ours.first();
    for number in &ours {
        if let Route::Connected(_) = route(ctx, &ctx.store, provider, &text.from, Some(number)).await? {
            to = Some(number);
            break;
        }
    }
    Ok(match to {
        Some(to) => Cow::Owned(InboundText { to: Some(to.clone()), others: Vec::new(), ..text.clone() }),
        None => Cow::Borrowed(text),
    })
}

/// Returns until when a text is remembered. If a recorded webhook would verify forever, that is at least as long as the
/// text's ride could have contact.
fn text_kept(ctx: &Context, provider: &ProviderName) -> Time {
    let dated = ctx.providers.get(provider).is_some_and(|known| known.profile().signs_time);
    ctx.now() + if dated { INBOX_RETENTION } else { ctx.settings.policy.longest_contact().max(INBOX_RETENTION) }
}

/// Checks whether anything of a text can be sent: its body, or its pictures if the number can carry them.
async fn is_sendable(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
    connection: &Connection,
) -> Result<bool> {
    let can = ctx.providers.get(provider).is_some_and(|known| known.profile().media_limit > 0);
    Ok(!text.body.is_blank()
        || (can && !text.media.is_empty() && numbers::carries_media(tx, connection.number_id).await?))
}

async fn relay_text(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
    connection: &Connection,
    arrival: Option<Arrival>,
) -> Result<()> {
    let now = ctx.now();
    let arrived_at = arrival.map_or(now, |arrival| arrival.at);
    let conversation = (connection.ride_id, connection.from_role.other());
    let outgoing = OutgoingText {
        ride_id: connection.ride_id,
        driver_id: connection.driver_id,
        kind: MessageKind::Relay,
        from: Some(connection.from_role),
        to: conversation.1,
        body: text.body.clone(),
        media: text.media.iter().take(MAX_MEDIA).cloned().collect(),
        provider: provider.clone(),
        number_id: connection.number_id,
        ignores_window: false,
        received_at: Some(arrived_at),
        position: arrival.filter(|arrival| arrival.conversation == conversation).map(|arrival| arrival.seq),
    };
    if enqueue(ctx, tx, outgoing, now).await?.is_none() {
        // Since the lookup, the ride was deleted or its driver was replaced.
        let ride = Some((connection.ride_id, connection.from_role));
        let closed = TextOutcome::rejected(Refusal::ContactClosed, Some(connection.number_id), ride);
        keep(ctx, tx, provider, text, closed, arrived_at).await?;
    }
    Ok(())
}

/// Records a text that goes nowhere. Its content is kept only if a ride's timeline will show it.
async fn keep(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
    outcome: TextOutcome,
    arrived_at: Time,
) -> Result<()> {
    let known = outcome.ride.is_some();
    let message = NewMessage {
        ride_id: outcome.ride.map(|(id, _)| id),
        kind: MessageKind::Relay,
        from_role: outcome.ride.map(|(_, role)| role),
        to_role: outcome.ride.map(|(_, role)| role.other()),
        recipient: None,
        body: if known { text.body.clone() } else { MessageText::from_wire("") },
        media: if known { text.media.iter().take(MAX_MEDIA).cloned().collect() } else { Vec::new() },
        status: outcome.status,
        reason: Some(outcome.reason.to_owned()),
        provider: provider.clone(),
        number_id: outcome.number_id,
        parts: 0,
        media_limit: 0,
        ignores_window: false,
        received_at: Some(arrived_at),
    };
    messages::insert(tx, &message, ctx.now()).await?;
    Ok(())
}

/// Handles a call from a phone and decides what to do with it. A repeat is not recorded again, but it is decided again,
/// because the caller is still waiting. If no caller can still be waiting, the repeat is a replayed webhook, and is not
/// connected.
pub(super) async fn handle_call(
    ctx: &Context,
    provider: &ProviderName,
    call: &InboundCall,
    inquiry: &mut Inquiry,
) -> Result<Step<CallFlow>> {
    let (route, to, is_waiting) = loop {
        if let Some(question) = call_question(ctx, provider, call, inquiry).await? {
            return Ok(Step::Ask(question));
        }
        let screening = &*inquiry;
        let recorded =
            ctx.store.write(|tx| async move { record_screened_call(ctx, &tx, provider, call, screening).await });
        if let Some(recorded) = recorded.await? {
            break recorded;
        }
        inquiry.reopen();
    };
    Ok(Step::Done(match (to, &call.to) {
        (Some(to), Some(number)) if is_waiting => CallFlow::Connect { to, caller_id: number.clone() },
        _ => {
            let language = match &route {
                Route::Connected(_) => None,
                Route::Refused { language, .. } => language.as_ref(),
            };
            ctx.settings.catalogue.of_contact(language, call.to.as_ref()).announce(Announcement::NoContact)
        }
    }))
}

/// Records a call after its screening. Returns its route, the phone that it may reach, and whether its caller can still
/// be waiting. Returns `None`, with nothing changed, if the platform must be asked again.
async fn record_screened_call(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    call: &InboundCall,
    inquiry: &Inquiry,
) -> Result<Option<(Route, Option<PhoneNumber>, bool)>> {
    let now = ctx.now();
    let route = route(ctx, tx, provider, &call.from, call.to.as_ref()).await?;
    let Some(route) = apply_call_screening(ctx, route, inquiry) else { return Ok(None) };
    let to = match &route {
        Route::Connected(connection) => Some(connection.to.clone()),
        Route::Refused { refusal, .. } => support_for(ctx, tx, *refusal, call).await?,
    };
    let poll_at = first_poll(ctx, provider, now);
    // The stored calls are themselves the inbox of calls: they are never deleted.
    let record = record_of(provider, call, &route, to.is_some(), poll_at);
    if calls::insert(tx, &record, now).await? {
        return Ok(Some((route, to, true)));
    }
    let known = calls::find_locked(tx, provider, &call.key).await?;
    // A call meant for the other party never goes to support, or the reverse. The record says which it was.
    let is_waiting = known.is_some_and(|known| {
        !known.status.is_ending()
            && now < known.started_at + CALL_REPEAT_WINDOW
            && known.reason.is_none() == record.reason.is_none()
    });
    Ok(Some((route, to, is_waiting)))
}

fn record_of<'a>(
    provider: &'a ProviderName,
    call: &'a InboundCall,
    route: &Route,
    is_connected: bool,
    poll_at: Option<Time>,
) -> NewCall<'a> {
    let (reason, number_id, ride) = match route {
        Route::Connected(connection) => {
            (None, Some(connection.number_id), Some((connection.ride_id, connection.from_role)))
        }
        Route::Refused { refusal, number_id, ride, .. } => (Some(refusal.as_str()), *number_id, *ride),
    };
    NewCall {
        ride_id: ride.map(|(id, _)| id),
        from_role: ride.map(|(_, role)| role),
        status: if is_connected { CallStatus::Connecting } else { CallStatus::Rejected },
        reason,
        provider,
        provider_call_id: &call.key,
        number_id,
        poll_at: poll_at.filter(|_| is_connected),
    }
}

/// Final state of a text that goes nowhere.
struct TextOutcome {
    status: MessageStatus,
    reason: &'static str,
    number_id: Option<NumberId>,
    ride: Option<(RideId, Role)>,
}

impl TextOutcome {
    fn rejected(refusal: Refusal, number_id: Option<NumberId>, ride: Option<(RideId, Role)>) -> Self {
        Self { status: MessageStatus::Rejected, reason: refusal.as_str(), number_id, ride }
    }

    fn failed(connection: &Connection, reason: &'static str) -> Self {
        let ride = Some((connection.ride_id, connection.from_role));
        Self { status: MessageStatus::Failed, reason, number_id: Some(connection.number_id), ride }
    }
}
