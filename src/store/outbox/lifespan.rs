//! Changes to parts that wait: they expire, get another route, or are queued again.

use sea_orm::{ActiveValue::Set, QueryOrder as _, entity::prelude::*};

use super::{Cause, SenderNumber, derive};
use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        ids::{MessageId, NumberId, PersonId, RideId},
        message::{PartState, SendFailure},
        number::ProviderName,
        person::Role,
    },
    store::{
        Db, Tx,
        entity::outbox::{ActiveModel, Column, Entity, Model},
        execute, messages, query_values, rides, row_limit,
    },
};

/// Expired parts that no process is sending. A part in doubt waits for its report until it is due again.
const IDLE: &str = "state = 'pending' AND expires_at <= $1 AND NOT (in_flight AND due_at > $1)";

/// Parts that wait for their next attempt: neither claimed nor in doubt, and not waiting for a slot of their number.
const WAITING: &str = "NOT in_flight AND slot_at IS NULL AND due_at > $1";

/// Finds up to `limit` texts with pending parts that have expired.
pub async fn overdue(db: &impl Db, now: Time, limit: u32) -> Result<Vec<MessageId>> {
    let sql = format!("SELECT DISTINCT message_id FROM outbox WHERE {IDLE} LIMIT $2");
    query_values(db, &sql, [now.into(), row_limit(limit)]).await
}

/// Gives up the expired parts of a text.
pub async fn expire(tx: &Tx, message: MessageId, now: Time) -> Result<()> {
    let before = messages::lock(tx, message).await?;
    let sql = format!(
        "UPDATE outbox SET state = 'expired', in_doubt = (in_doubt OR in_flight), in_flight = FALSE, claimed_by = NULL
        WHERE {IDLE} AND message_id = $2"
    );
    if execute(tx, &sql, [now.into(), message.into()]).await? > 0 {
        derive(tx, message, before, Some(Cause::of(SendFailure::TooLate.as_str())), now).await?;
    }
    Ok(())
}

/// Moves the pending parts of a ride to this number. Parts that waited for a slot of the old number, or for their next
/// attempt at another provider, are due.
pub async fn reroute(tx: &Tx, ride: RideId, number: NumberId, now: Time) -> Result<()> {
    let sql = "UPDATE outbox SET number_id = n.id, provider = n.provider, slot_at = NULL,
            due_at = CASE
                WHEN NOT in_flight AND due_at > $1 AND (slot_at IS NOT NULL OR outbox.provider <> n.provider) THEN $1
                ELSE due_at
            END
        FROM numbers n
        WHERE outbox.ride_id = $2 AND outbox.state = 'pending' AND n.id = $3";
    execute(tx, sql, [now.into(), ride.into(), number.into()]).await?;
    Ok(())
}

/// Makes the parts due that wait for their next attempt at a provider.
pub async fn release(tx: &Tx, provider: &ProviderName, now: Time) -> Result<()> {
    let sql = format!("UPDATE outbox SET due_at = $1 WHERE provider = $2 AND state = 'pending' AND {WAITING}");
    execute(tx, &sql, [now.into(), provider.into()]).await?;
    Ok(())
}

/// How to queue a text again.
pub struct Renewal {
    pub conversation: (RideId, Role),
    /// Expected driver. If another one drives, nothing is queued.
    pub driver: PersonId,
    pub sender: SenderNumber,
    pub expires_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalOutcome {
    /// The lost parts are pending again.
    Requeued,
    ContactClosed,
    /// No part of the text was lost.
    NothingLost,
}

/// Queues the lost parts of a text again, at the end of their conversation. Each gets a new reference, so that a late
/// report of the earlier send does not settle the new one. The ride's row must be locked.
pub async fn renew(
    tx: &Tx,
    message: MessageId,
    renewal: &Renewal,
    reference: impl Fn() -> String,
    now: Time,
) -> Result<RenewalOutcome> {
    let (ride, to) = renewal.conversation;
    // A transaction that changes a part holds this lock, so a part that is lost now stays lost.
    let before = messages::lock(tx, message).await?;
    let parts = lost(tx, message).await?;
    if parts.is_empty() {
        return Ok(RenewalOutcome::NothingLost);
    }
    let count = i32::try_from(parts.len()).map_err(Error::internal)?;
    let Some(first) = rides::allocate_positions(tx, ride, Some(renewal.driver), to, count, now).await? else {
        return Ok(RenewalOutcome::ContactClosed);
    };
    for (seq, part) in (first..).zip(parts) {
        let requeued = ActiveModel {
            id: Set(part.id),
            seq: Set(seq),
            state: Set(PartState::Pending),
            attempts: Set(0),
            probes: Set(0),
            in_flight: Set(false),
            claimed_by: Set(None),
            due_at: Set(now),
            reference: Set(reference()),
            provider_message_id: Set(None),
            number_id: Set(renewal.sender.id),
            provider: Set(renewal.sender.provider.clone()),
            expires_at: Set(renewal.expires_at),
            slot_at: Set(None),
            ..Default::default()
        };
        requeued.update(tx.conn()).await?;
    }
    derive(tx, message, before, None, now).await?;
    Ok(RenewalOutcome::Requeued)
}

/// Finds the parts of a text that did not get through, in order.
async fn lost(tx: &Tx, message: MessageId) -> Result<Vec<Model>> {
    let lost = [PartState::Failed, PartState::Expired, PartState::Undelivered];
    let parts = Entity::find().filter(Column::MessageId.eq(message)).filter(Column::State.is_in(lost));
    Ok(parts.order_by_asc(Column::Part).all(tx.conn()).await?)
}
