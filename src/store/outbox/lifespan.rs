//! What time and events do to parts that wait: they become pointless, get another way, or are owed anew.

use sea_orm::{ActiveValue::Set, ConnectionTrait as _, FromQueryResult, QueryOrder as _, entity::prelude::*};

use super::{Cause, derive};
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
        messages, rides, statement,
    },
};

/// A part that nobody is sending at this moment. One in doubt waits for its report until it is due again.
const IDLE: &str = "state = 'owed' AND expires_at <= $1 AND NOT (in_flight AND due_at > $1)";

/// A part that was not taken and waits for its next try: neither claimed nor in doubt, and not for a slot of its number.
const WAITING: &str = "NOT in_flight AND slot_at IS NULL AND due_at > $1";

/// Texts of which something is owed that has become pointless, at most `limit`.
pub async fn overdue(db: &impl Db, now: Time, limit: u32) -> Result<Vec<MessageId>> {
    #[derive(FromQueryResult)]
    struct Row {
        message_id: i64,
    }
    let sql = format!("SELECT DISTINCT message_id FROM outbox WHERE {IDLE} LIMIT $2");
    let values = [now.into(), i64::from(limit).into()];
    let rows = Row::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| MessageId(row.message_id)).collect())
}

/// Gives up what is pointless of a text.
pub async fn expire(tx: &Tx, message: MessageId, now: Time) -> Result<()> {
    let before = messages::lock(tx, message).await?;
    let sql = format!(
        "UPDATE outbox SET state = 'expired', in_doubt = (in_doubt OR in_flight), in_flight = FALSE, claimed_by = NULL
        WHERE {IDLE} AND message_id = $2"
    );
    let expired = tx.conn().execute_raw(statement(tx, &sql, [now.into(), message.0.into()])).await?;
    if expired.rows_affected() > 0 {
        derive(tx, message, before, Some(Cause::of(SendFailure::TooLate.as_str())), now).await?;
    }
    Ok(())
}

/// Says that what is owed on a ride goes from this number, from now on. What waited for a slot of the former one, or to be
/// asked for again by another provider, is due.
pub async fn reroute(tx: &Tx, ride: RideId, number: NumberId, now: Time) -> Result<()> {
    let sql = "UPDATE outbox SET number_id = n.id, provider = n.provider, slot_at = NULL,
            due_at = CASE
                WHEN NOT in_flight AND due_at > $1 AND (slot_at IS NOT NULL OR outbox.provider <> n.provider) THEN $1
                ELSE due_at
            END
        FROM numbers n
        WHERE outbox.ride_id = $2 AND outbox.state = 'owed' AND n.id = $3";
    tx.conn().execute_raw(statement(tx, sql, [now.into(), ride.0.into(), number.0.into()])).await?;
    Ok(())
}

/// Says that what waits to be sent again by a provider need not wait any longer.
pub async fn release(tx: &Tx, provider: &ProviderName, now: Time) -> Result<()> {
    let sql = format!("UPDATE outbox SET due_at = $1 WHERE provider = $2 AND state = 'owed' AND {WAITING}");
    tx.conn().execute_raw(statement(tx, &sql, [now.into(), provider.as_str().into()])).await?;
    Ok(())
}

/// Gives parts that a version before stored what they lack.
pub async fn adopt(tx: &Tx, expires_at: Time) -> Result<()> {
    let sql = "UPDATE outbox SET provider = m.provider, number_id = m.number_id FROM messages m
        WHERE m.id = outbox.message_id AND outbox.provider IS NULL AND outbox.state = 'owed'";
    tx.conn().execute_raw(statement(tx, sql, [])).await?;
    let sql = "UPDATE outbox SET expires_at = $1 WHERE expires_at IS NULL AND state = 'owed'";
    tx.conn().execute_raw(statement(tx, sql, [expires_at.into()])).await?;
    Ok(())
}

/// How a text is owed again.
pub struct Renewal {
    /// Its conversation.
    pub conversation: (RideId, Role),
    /// Who drives: with somebody else, nothing is owed.
    pub driver: PersonId,
    /// The number that it goes from, and that number's provider.
    pub line: (NumberId, ProviderName),
    /// When it is pointless.
    pub expires_at: Time,
}

/// What became of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It is owed.
    Owed,
    /// Contact is closed.
    ContactClosed,
    /// No part of it was lost.
    NothingLost,
}

/// Owes the parts of a text again that did not get through, as the last ones of their conversation. Each has a new
/// reference, so that late news of the former send do not settle this one. The ride's row must be locked.
pub async fn renew(
    tx: &Tx,
    message: MessageId,
    renewal: &Renewal,
    reference: impl Fn() -> String,
    now: Time,
) -> Result<Renewed> {
    let (ride, to) = renewal.conversation;
    // Whoever moves parts of the text holds this lock: what is lost now stays so.
    let before = messages::lock(tx, message).await?;
    let parts = lost(tx, message).await?;
    if parts.is_empty() {
        return Ok(Renewed::NothingLost);
    }
    let count = i32::try_from(parts.len()).map_err(Error::internal)?;
    let Some(first) = rides::take_places(tx, ride, Some(renewal.driver), to, count, now).await? else {
        return Ok(Renewed::ContactClosed);
    };
    for (seq, part) in (first..).zip(parts) {
        let owed = ActiveModel {
            id: Set(part.id),
            seq: Set(seq),
            state: Set(PartState::Owed.as_str().to_owned()),
            attempts: Set(0),
            probes: Set(0),
            in_flight: Set(false),
            claimed_by: Set(None),
            due_at: Set(now),
            reference: Set(reference()),
            provider_message_id: Set(None),
            number_id: Set(Some(renewal.line.0.0)),
            provider: Set(Some(renewal.line.1.as_str().to_owned())),
            expires_at: Set(Some(renewal.expires_at)),
            slot_at: Set(None),
            ..Default::default()
        };
        owed.update(tx.conn()).await?;
    }
    derive(tx, message, before, None, now).await?;
    Ok(Renewed::Owed)
}

/// Parts of a text that did not get through, in order.
async fn lost(tx: &Tx, message: MessageId) -> Result<Vec<Model>> {
    let lost = [PartState::Failed, PartState::Expired, PartState::Undelivered].map(PartState::as_str);
    let parts = Entity::find().filter(Column::MessageId.eq(message.0)).filter(Column::State.is_in(lost));
    Ok(parts.order_by_asc(Column::Part).all(tx.conn()).await?)
}
