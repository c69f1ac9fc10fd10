//! Texts: listing them, retrying them, and sending those of the platform.

use super::{
    Context, Once, RequestId, chance,
    once::write_once,
    outgoing::{OutgoingText, REFERENCE, enqueue},
};
use crate::{
    domain::{
        error::{Conflict, Error, Result},
        ids::{MessageId, RideId},
        message::{Message, MessageKind},
        page::{Page, PageRequest},
        person::Role,
        text::MessageText,
    },
    store::{
        bindings,
        messages::{self, MessageFilter},
        numbers,
        outbox::{self, Renewal, RenewalOutcome, SenderNumber},
        rides,
    },
};

/// Queues the lost parts of a text again, behind anything already queued for its recipient.
pub async fn retry(ctx: &Context, request: &RequestId, id: MessageId) -> Result<Once<Message>> {
    let now = ctx.now();
    let once = write_once(ctx, request, |tx| async move {
        let lost = messages::find(&tx, id).await?.ok_or(Error::NotFound)?;
        let (Some(ride_id), Some(to)) = (lost.ride_id, lost.to_role) else {
            return Err(Conflict::NotRetriable.into());
        };
        let ride = rides::find_locked(&tx, ride_id).await?.ok_or(Conflict::NotRetriable)?;
        // A text to or from a previous driver is not for the people who are on the ride now.
        let is_of_driver = to == Role::Driver || lost.kind == MessageKind::Relay;
        if is_of_driver && !rides::has_same_driver_since(&tx, ride_id, lost.created_at).await? {
            return Err(Conflict::NotRetriable.into());
        }
        let number_id = bindings::number_of(&tx, ride_id, to).await?.unwrap_or(ride.number_id);
        let provider = numbers::provider(&tx, number_id).await?;
        let provider = provider.ok_or_else(|| Error::internal("a ride's number is gone"))?;
        let renewal = Renewal {
            conversation: (ride_id, to),
            driver: ride.driver_id,
            sender: SenderNumber { id: number_id, provider },
            expires_at: now + ctx.settings.message_ttl,
        };
        match outbox::renew(&tx, id, &renewal, || chance::name(REFERENCE), now).await? {
            RenewalOutcome::Requeued => {}
            RenewalOutcome::ContactClosed => return Err(Conflict::ContactClosed.into()),
            RenewalOutcome::NothingLost => return Err(Conflict::NotRetriable.into()),
        }
        messages::find(&tx, id).await?.ok_or_else(|| Error::internal("a text that was just queued again is not there"))
    })
    .await?;
    ctx.wakeups.outbox.send();
    Ok(once)
}

/// Sends a text from the platform to one party, from the number that the party knows.
pub async fn send(
    ctx: &Context,
    request: &RequestId,
    ride_id: RideId,
    to: Role,
    body: &MessageText,
) -> Result<Once<Message>> {
    let now = ctx.now();
    let once = write_once(ctx, request, |tx| async move {
        let ride = rides::find_locked(&tx, ride_id).await?.ok_or(Error::NotFound)?;
        let number_id = bindings::number_of(&tx, ride_id, to).await?.unwrap_or(ride.number_id);
        let provider = numbers::provider(&tx, number_id).await?;
        let provider = provider.ok_or_else(|| Error::internal("a ride's number is gone"))?;
        let text = OutgoingText {
            ride_id,
            driver_id: ride.driver_id,
            kind: MessageKind::Platform,
            from: None,
            to,
            body: body.clone(),
            media: Vec::new(),
            provider,
            number_id,
            ignores_window: false,
            received_at: None,
            position: None,
        };
        let id = enqueue(ctx, &tx, text, now).await?.ok_or(Conflict::ContactClosed)?;
        messages::find(&tx, id).await?.ok_or_else(|| Error::internal("a text just stored is not there"))
    })
    .await?;
    ctx.wakeups.outbox.send();
    Ok(once)
}

pub async fn find(ctx: &Context, id: MessageId) -> Result<Message> {
    messages::find(&ctx.store, id).await?.ok_or(Error::NotFound)
}

pub async fn list(ctx: &Context, filter: &MessageFilter, page: &PageRequest) -> Result<Page<Message>> {
    messages::list(&ctx.store, filter, page).await
}
