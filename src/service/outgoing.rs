//! Enqueues a text: stores it with its parts in the outbox.

use super::{Context, chance};
use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        ids::{MessageId, NumberId, PersonId, RideId},
        message::{MessageKind, MessageStatus, NewMessage},
        number::ProviderName,
        person::Role,
        text::{MessageText, TextLimit, parts},
    },
    store::{
        Tx, messages, numbers,
        outbox::{self, NewPart, SenderNumber},
        rides,
    },
};

/// Longest part if the provider is not configured, and its own limit is therefore unknown.
pub(super) const DEFAULT_PART_LIMIT: TextLimit = TextLimit::utf16(1000);

/// Prefix of references.
pub(super) const REFERENCE: &str = "mk";

/// Text to enqueue.
pub(super) struct OutgoingText {
    pub(super) ride_id: RideId,
    /// Driver at the time of the lookup. If the driver has changed since, nothing is enqueued.
    pub(super) driver_id: PersonId,
    pub(super) kind: MessageKind,
    pub(super) from: Option<Role>,
    pub(super) to: Role,
    pub(super) body: MessageText,
    pub(super) media: Vec<String>,
    pub(super) provider: ProviderName,
    pub(super) number_id: NumberId,
    /// See [`NewMessage::ignores_window`].
    pub(super) ignores_window: bool,
    pub(super) received_at: Option<Time>,
    /// Position in the conversation, if the text got one when it arrived.
    pub(super) position: Option<i64>,
}

/// Stores a text with its parts in the outbox, in the transaction of its cause. Returns `None`, and stores nothing, if
/// contact has closed or the driver was replaced meanwhile.
pub(super) async fn enqueue(ctx: &Context, tx: &Tx, text: OutgoingText, now: Time) -> Result<Option<MessageId>> {
    let profile = ctx.providers.get(&text.provider).map(|known| known.profile());
    let limit = profile.map_or(DEFAULT_PART_LIMIT, |profile| profile.text_limit);
    let media_limit = match profile {
        // Only a text with pictures needs to look up the number.
        Some(profile) if !text.media.is_empty() && numbers::carries_media(tx, text.number_id).await? => {
            profile.media_limit
        }
        _ => 0,
    };
    let parts = parts(&text.body, text.media.len(), limit, media_limit);
    let count = i32::try_from(parts.len()).map_err(Error::internal)?;
    let driver = Some(text.driver_id);
    let wanted = if text.position.is_some() { 0 } else { count };
    let Some(next) = rides::allocate_positions(tx, text.ride_id, driver, text.to, wanted, now).await? else {
        return Ok(None);
    };
    let first = text.position.unwrap_or(next);
    let message = NewMessage {
        ride_id: Some(text.ride_id),
        kind: text.kind,
        from_role: text.from,
        to_role: Some(text.to),
        recipient: None,
        body: text.body,
        media: text.media,
        status: MessageStatus::Queued,
        reason: None,
        provider: text.provider,
        number_id: Some(text.number_id),
        parts: count,
        media_limit: i32::try_from(media_limit).map_err(Error::internal)?,
        ignores_window: text.ignores_window,
        received_at: text.received_at,
    };
    let message_id = messages::insert(tx, &message, now).await?;
    for (at, part) in (0..).zip(parts) {
        let part = NewPart {
            message_id,
            conversation: Some((text.ride_id, text.to)),
            seq: first + i64::from(at),
            part: at,
            words: part.words,
            reference: chance::name(REFERENCE),
            sender: SenderNumber { id: text.number_id, provider: message.provider.clone() },
            expires_at: now + ctx.settings.message_ttl,
        };
        outbox::enqueue(tx, part, now).await?;
    }
    Ok(Some(message_id))
}
