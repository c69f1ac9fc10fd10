//! Callers and senders without an open ride on the number that they contact: calls can go to a support number, and
//! texts can get a reply, in addition to the refusal.

use chrono::Duration;

use super::{Context, chance, outgoing::REFERENCE};
use crate::{
    domain::{
        contact::{InboundCall, InboundText, Refusal},
        error::Result,
        ids::NumberId,
        message::{MessageKind, MessageStatus, NewMessage},
        number::ProviderName,
        phone::PhoneNumber,
        text::{Language, is_keyword},
    },
    store::{
        Tx, auto_replies, messages, numbers,
        outbox::{self, NewPart, SenderNumber},
    },
};

/// A number replies to a phone once in this time: two machines that reply to each other would never stop.
pub(super) const REPLY_INTERVAL: Duration = Duration::hours(24);

/// Returns the support number, if this caller may be connected to it. Hidden callers and numbers of the pool may not.
/// Nor may the support number itself. The support number must not be in the pool: a call to it would come back to us.
pub(super) async fn support_for(
    ctx: &Context,
    tx: &Tx,
    refusal: Refusal,
    call: &InboundCall,
) -> Result<Option<PhoneNumber>> {
    let (Some(support), Some(from)) = (&ctx.settings.support_number, call.from.phone()) else { return Ok(None) };
    if !refusal.is_answerable() || from.match_key() == support.match_key() {
        return Ok(None);
    }
    if numbers::is_pooled(tx, &support.match_key()).await? {
        tracing::error!("refused to connect a caller to SUPPORT_NUMBER: it is a number of the pool");
        return Ok(None);
    }
    Ok(Some(support.clone()))
}

/// Replies to a text that goes nowhere, in the transaction that records it, unless the phone got a reply recently.
pub(super) async fn reply_to(
    ctx: &Context,
    tx: &Tx,
    provider: &ProviderName,
    text: &InboundText,
    refusal: Refusal,
    number_id: Option<NumberId>,
    language: Option<&Language>,
) -> Result<()> {
    let now = ctx.now();
    let (Some(phone), Some(number_id)) = (text.from.phone(), number_id) else { return Ok(()) };
    let is_command = text.keyword || is_keyword(text.body.expose());
    if !ctx.settings.auto_reply || !refusal.is_answerable() || is_command {
        return Ok(());
    }
    if !auto_replies::claim(tx, number_id, phone, now - REPLY_INTERVAL, now).await? {
        return Ok(());
    }
    let body = ctx.settings.catalogue.of_contact(language, text.to.as_ref()).auto_reply();
    let words = 0..body.expose().len();
    let message = NewMessage {
        ride_id: None,
        kind: MessageKind::Notice,
        from_role: None,
        to_role: None,
        recipient: Some(phone.clone()),
        body,
        media: Vec::new(),
        status: MessageStatus::Queued,
        reason: None,
        provider: provider.clone(),
        number_id: Some(number_id),
        // A template without variables is never longer than the shortest limit of a provider.
        parts: 1,
        media_limit: 0,
        ignores_window: false,
        received_at: None,
    };
    let message_id = messages::insert(tx, &message, now).await?;
    let part = NewPart {
        message_id,
        conversation: None,
        seq: 0,
        part: 0,
        words,
        reference: chance::name(REFERENCE),
        sender: SenderNumber { id: number_id, provider: provider.clone() },
        expires_at: now + ctx.settings.message_ttl,
    };
    outbox::enqueue(tx, part, now).await
}
