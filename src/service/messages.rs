//! Texts: owing them, listing them, and the timeline of a ride.

use super::{Context, Once, RequestId, random};
use crate::{
    domain::{
        call::Call,
        clock::Time,
        error::{Conflict, Error, Result},
        ids::{MessageId, NumberId, PersonId, RideId},
        message::{Message, MessageKind, MessageStatus, NewMessage},
        number::ProviderName,
        page::{Page, PageRequest},
        person::Role,
        ride::{RideEvent, RideEventKind},
        text::{Body, TextLimit, parts},
    },
    store::{
        Tx, bindings,
        calls::{self, CallFilter},
        messages::{self, MessageFilter},
        numbers,
        outbox::{self, NewPart, Renewal, Renewed},
        rides,
    },
};

/// Longest part where the provider is not configured, and so nobody knows its limit.
pub(super) const DEFAULT_PART_LIMIT: TextLimit = TextLimit::utf16(1000);

/// What references begin with.
pub(super) const REFERENCE: &str = "mk";

/// A text that we are about to owe.
pub(super) struct Owing {
    pub(super) ride_id: RideId,
    /// Who drives, as far as we saw: with somebody else, nothing is owed.
    pub(super) driver_id: PersonId,
    pub(super) kind: MessageKind,
    pub(super) from: Option<Role>,
    pub(super) to: Role,
    pub(super) body: Body,
    pub(super) media: Vec<String>,
    pub(super) provider: ProviderName,
    pub(super) number_id: NumberId,
    /// See [`NewMessage::unbound`].
    pub(super) unbound: bool,
    pub(super) received_at: Option<Time>,
    /// Where it stands in the conversation, if it got its positions when it arrived.
    pub(super) position: Option<i64>,
}

/// One entry of a ride's timeline.
pub enum TimelineItem {
    /// A text.
    Message(Message),
    /// A call.
    Call(Call),
    /// Something that happened to the ride.
    Event(RideEvent),
}

impl TimelineItem {
    /// When it happened.
    pub fn at(&self) -> Time {
        match self {
            Self::Message(message) => message.received_at.unwrap_or(message.created_at),
            Self::Call(call) => call.started_at,
            Self::Event(event) => event.at,
        }
    }
}

/// Stores a text with its parts in the outbox, in the transaction of what caused it. `None` if contact closed or the
/// driver was replaced meanwhile: then nothing is stored.
pub(super) async fn owe(ctx: &Context, tx: &Tx, owing: Owing, now: Time) -> Result<Option<MessageId>> {
    let profile = ctx.providers.get(&owing.provider).map(|known| known.profile());
    let limit = profile.map_or(DEFAULT_PART_LIMIT, |profile| profile.text_limit);
    let media_limit = match profile {
        // Only a text with pictures asks: the others cost no look at the number.
        Some(profile) if !owing.media.is_empty() && numbers::carries_media(tx, owing.number_id).await? => {
            profile.media_limit
        }
        _ => 0,
    };
    let parts = parts(&owing.body, owing.media.len(), limit, media_limit);
    let count = i32::try_from(parts.len()).map_err(Error::internal)?;
    let driver = Some(owing.driver_id);
    let wanted = if owing.position.is_some() { 0 } else { count };
    let Some(next) = rides::take_places(tx, owing.ride_id, driver, owing.to, wanted, now).await? else {
        return Ok(None);
    };
    let first = owing.position.unwrap_or(next);
    let message = NewMessage {
        ride_id: Some(owing.ride_id),
        kind: owing.kind,
        from_role: owing.from,
        to_role: Some(owing.to),
        recipient: None,
        body: owing.body,
        media: owing.media,
        status: MessageStatus::Queued,
        reason: None,
        provider: owing.provider,
        number_id: Some(owing.number_id),
        parts: count,
        part_limit: i32::try_from(limit.max).map_err(Error::internal)?,
        media_limit: i32::try_from(media_limit).map_err(Error::internal)?,
        unbound: owing.unbound,
        received_at: owing.received_at,
    };
    let message_id = messages::insert(tx, &message, now).await?;
    for (at, part) in (0..).zip(parts) {
        let part = NewPart {
            message_id,
            conversation: Some((owing.ride_id, owing.to)),
            seq: first + i64::from(at),
            part: at,
            words: part.words,
            reference: random::name(REFERENCE),
            line: (owing.number_id, message.provider.clone()),
            expires_at: now + ctx.message_ttl,
        };
        outbox::owe(tx, part, now).await?;
    }
    Ok(Some(message_id))
}

/// Owes what was lost of a text again, behind what else is owed to its recipient.
pub async fn retry(ctx: &Context, request: &RequestId, id: MessageId) -> Result<Once<Message>> {
    let now = ctx.now();
    let once = super::once::write_once(ctx, request, |tx| async move {
        let lost = messages::find(&tx, id).await?.ok_or(Error::NotFound)?;
        let (Some(ride_id), Some(to)) = (lost.ride_id, lost.to_role) else {
            return Err(Conflict::NotRetriable.into());
        };
        let ride = rides::find_locked(&tx, ride_id).await?.ok_or(Conflict::NotRetriable)?;
        // To or from whoever drove before, it is not for those who are on the ride now.
        let is_of_driver = to == Role::Driver || lost.kind == MessageKind::Relay;
        if is_of_driver && !rides::has_same_driver_since(&tx, ride_id, lost.created_at).await? {
            return Err(Conflict::NotRetriable.into());
        }
        let number_id = bindings::number_of(&tx, ride_id, to).await?.unwrap_or(ride.number_id);
        let line = numbers::line(&tx, number_id).await?;
        let (_, provider) = line.ok_or_else(|| Error::internal("a ride's number is gone"))?;
        let renewal = Renewal {
            conversation: (ride_id, to),
            driver: ride.driver_id,
            line: (number_id, provider),
            expires_at: now + ctx.message_ttl,
        };
        match outbox::renew(&tx, id, &renewal, || random::name(REFERENCE), now).await? {
            Renewed::Owed => {}
            Renewed::ContactClosed => return Err(Conflict::ContactClosed.into()),
            Renewed::NothingLost => return Err(Conflict::NotRetriable.into()),
        }
        messages::find(&tx, id).await?.ok_or_else(|| Error::internal("a text just owed is not there"))
    })
    .await?;
    ctx.owed.ring();
    Ok(once)
}

/// Sends a text of the platform's to one party, from the number that the party knows.
pub async fn send(ctx: &Context, request: &RequestId, ride_id: RideId, to: Role, body: &Body) -> Result<Once<Message>> {
    let now = ctx.now();
    let once = super::once::write_once(ctx, request, |tx| async move {
        let ride = rides::find_locked(&tx, ride_id).await?.ok_or(Error::NotFound)?;
        let number_id = bindings::number_of(&tx, ride_id, to).await?.unwrap_or(ride.number_id);
        let line = numbers::line(&tx, number_id).await?;
        let (_, provider) = line.ok_or_else(|| Error::internal("a ride's number is gone"))?;
        let owing = Owing {
            ride_id,
            driver_id: ride.driver_id,
            kind: MessageKind::Platform,
            from: None,
            to,
            body: body.clone(),
            media: Vec::new(),
            provider,
            number_id,
            unbound: false,
            received_at: None,
            position: None,
        };
        let id = owe(ctx, &tx, owing, now).await?.ok_or(Conflict::ContactClosed)?;
        messages::find(&tx, id).await?.ok_or_else(|| Error::internal("a text just stored is not there"))
    })
    .await?;
    ctx.owed.ring();
    Ok(once)
}

/// The text with this id.
pub async fn find(ctx: &Context, id: MessageId) -> Result<Message> {
    messages::find(&ctx.store, id).await?.ok_or(Error::NotFound)
}

/// Texts, a page at a time.
pub async fn list(ctx: &Context, filter: &MessageFilter, page: &PageRequest) -> Result<Page<Message>> {
    messages::list(&ctx.store, filter, page).await
}

/// Calls, a page at a time.
pub async fn list_calls(ctx: &Context, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
    calls::list(&ctx.store, filter, page).await
}

/// Everything that happened on a ride, in order.
pub async fn timeline(ctx: &Context, id: RideId) -> Result<Vec<TimelineItem>> {
    let ride = super::rides::find(ctx, id).await?;
    let mut items: Vec<_> = rides::events(&ctx.store, id).await?.into_iter().map(TimelineItem::Event).collect();
    if !ride.contact_open(ctx.now()) {
        // Nobody writes this down: contact closes by the clock.
        let closed = RideEvent { event: RideEventKind::ContactClosed, at: ride.contact_until };
        items.push(TimelineItem::Event(closed));
    }
    items.extend(messages::of_ride(&ctx.store, id).await?.into_iter().map(TimelineItem::Message));
    items.extend(calls::of_ride(&ctx.store, id).await?.into_iter().map(TimelineItem::Call));
    items.sort_by_key(TimelineItem::at);
    Ok(items)
}
