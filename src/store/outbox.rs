//! The outbox: parts of texts that we owe providers.
//!
//! A part is claimed in the name of a process and under a lease, sent with no transaction open, and finished under a guard on
//! the number of attempts, so that a claim that was lost to another replica changes nothing. Within a conversation only the earliest
//! owed part can be claimed: order holds across replicas, retries and restarts.

mod claiming;
mod lifespan;

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
};

pub use claiming::{Ask, Claim, Claimed, claim};
pub use lifespan::{Renewal, Renewed, adopt, expire, overdue, release, renew, reroute};
use sea_orm::{
    ActiveValue::Set, FromQueryResult, QueryOrder as _, QuerySelect as _, entity::prelude::*, sea_query::Expr,
};

use super::{
    Db, Tx, arrivals,
    entity::outbox::{ActiveModel, Column, Entity},
    error::UnknownValue,
    messages,
    processes::Holder,
    rides, row, statement,
    vault::Purpose,
};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    ids::{MessageId, NumberId, RideId},
    message::{PartState, SendFailure, status_of_parts},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    text::{MessageText, Part, parts_by_characters, pictures_of_part},
};

/// A part to be owed.
pub struct NewPart {
    /// The text.
    pub message_id: MessageId,
    /// The conversation: the ride and the party it is for. None if the text itself says where it goes.
    pub conversation: Option<(RideId, Role)>,
    /// Its place in the conversation.
    pub seq: i64,
    /// Which part of the text, from 0.
    pub part: i32,
    /// Where its words stand in the text, in bytes. They are not looked for again: rules of splitting change.
    pub words: Range<usize>,
    /// Our reference for delivery reports.
    pub reference: String,
    /// The number that it goes from, as far as is known now, and that number's provider.
    pub line: (NumberId, ProviderName),
    /// When it is pointless.
    pub expires_at: Time,
}

/// Owes a part from now on.
pub async fn owe(tx: &Tx, new: NewPart, now: Time) -> Result<()> {
    let model = ActiveModel {
        message_id: Set(new.message_id.0),
        ride_id: Set(new.conversation.map(|(ride, _)| ride.0)),
        to_role: Set(new.conversation.map(|(_, to)| to.as_str().to_owned())),
        seq: Set(new.seq),
        part: Set(new.part),
        body_start: Set(Some(i32::try_from(new.words.start).map_err(Error::internal)?)),
        body_end: Set(Some(i32::try_from(new.words.end).map_err(Error::internal)?)),
        state: Set(PartState::Owed.as_str().to_owned()),
        attempts: Set(0),
        probes: Set(0),
        in_flight: Set(false),
        in_doubt: Set(false),
        due_at: Set(now),
        reference: Set(new.reference),
        number_id: Set(Some(new.line.0.0)),
        provider: Set(Some(new.line.1.as_str().to_owned())),
        expires_at: Set(Some(new.expires_at)),
        ..Default::default()
    };
    model.insert(tx.conn()).await?;
    Ok(())
}

/// A claimed part with all that sending it needs, looked up anew: the window may have closed, the recipient's phone
/// may be another.
pub struct OwedPart {
    /// The text.
    pub message_id: MessageId,
    /// This part's words.
    pub body: String,
    /// This part's pictures.
    pub media: Vec<String>,
    /// Our reference.
    pub reference: String,
    /// Where it goes; none if contact is closed, or the recipient was swapped out or erased.
    pub way: Option<Way>,
}

/// The way to a party.
pub struct Way {
    /// The proxy number that the party sees.
    pub from: PhoneNumber,
    /// The party's phone.
    pub to: PhoneNumber,
    /// The number's provider.
    pub provider: ProviderName,
}

/// The way of a text that belongs to no ride: from its number to the phone that it names, as long as the number serves.
const WITHOUT_RIDE: &str = "SELECT o.message_id AS message_id, o.part AS part, o.body_start AS body_start,
        o.body_end AS body_end, o.reference AS reference,
        m.body_sealed AS body_sealed, m.media_sealed AS media_sealed, m.part_limit AS part_limit,
        m.media_limit AS media_limit, m.phone_sealed AS to_sealed, n.phone_number AS number, n.provider AS provider
    FROM outbox o
    JOIN messages m ON m.id = o.message_id
    LEFT JOIN numbers n ON n.id = m.number_id AND n.deleted_at IS NULL AND n.status <> 'suspended'
    WHERE o.id = $1 AND o.state = 'owed' AND o.attempts = $2 AND o.claimed_by IS NOT DISTINCT FROM $3 AND o.ride_id IS NULL";

/// Looks up a claimed part. `None` if it is owed no longer, as a delivery report has settled it, or if the claim is lost.
///
/// The way is open while the ride's window is, and while the two parties' phones are bound to each other on a number:
/// the recipient's own binding of this ride, or the one that a later ride of the same two phones took over. A text that
/// tells of the end of contact goes from its own number, whatever the windows say.
pub async fn resolve(db: &impl Db, claim: Claim, now: Time) -> Result<Option<OwedPart>> {
    #[derive(FromQueryResult)]
    struct Row {
        message_id: i64,
        part: i32,
        body_start: Option<i32>,
        body_end: Option<i32>,
        reference: String,
        body_sealed: Option<Vec<u8>>,
        media_sealed: Option<Vec<u8>>,
        part_limit: i32,
        media_limit: i32,
        to_sealed: Option<Vec<u8>>,
        number: Option<String>,
        provider: Option<String>,
    }
    let bound = "SELECT mine.number_id FROM bindings mine
        JOIN bindings theirs ON theirs.ride_id = mine.ride_id AND theirs.role <> mine.role
        WHERE r.contact_until > $2 AND r.deleted_at IS NULL
            AND mine.phone_index = me.phone_index AND theirs.phone_index = them.phone_index
            AND NOT mine.retired AND NOT theirs.retired AND mine.contact_until > $2";
    let sql = format!(
        "SELECT q.*, n.phone_number AS number, n.provider AS provider
        FROM (
            SELECT o.message_id AS message_id, o.part AS part, o.body_start AS body_start, o.body_end AS body_end,
                o.reference AS reference, m.body_sealed AS body_sealed,
                m.media_sealed AS media_sealed, m.part_limit AS part_limit, m.media_limit AS media_limit,
                me.phone_sealed AS to_sealed,
                CASE WHEN m.ignores_window AND r.deleted_at IS NULL THEN m.number_id
                    ELSE COALESCE(({bound} AND mine.ride_id = r.id), ({bound} ORDER BY mine.ride_id DESC LIMIT 1))
                END AS number_id
            FROM outbox o
            JOIN messages m ON m.id = o.message_id
            JOIN rides r ON r.id = o.ride_id
            JOIN people me ON me.id = CASE o.to_role WHEN 'customer' THEN r.customer_id ELSE r.driver_id END
            JOIN people them ON them.id = CASE o.to_role WHEN 'customer' THEN r.driver_id ELSE r.customer_id END
            WHERE o.id = $1 AND o.state = 'owed' AND o.attempts = $3 AND o.claimed_by IS NOT DISTINCT FROM $4
        ) q LEFT JOIN numbers n ON n.id = q.number_id AND n.deleted_at IS NULL"
    );
    let values = [claim.id.0.into(), now.into(), claim.attempt.into(), claim.holder.into()];
    let by_ride = Row::find_by_statement(statement(db, &sql, values)).one(db.conn()).await?;
    let found = match by_ride {
        Some(found) => Some(found),
        None => {
            let values = [claim.id.0.into(), claim.attempt.into(), claim.holder.into()];
            Row::find_by_statement(statement(db, WITHOUT_RIDE, values)).one(db.conn()).await?
        }
    };
    let Some(found) = found else { return Ok(None) };
    let text = match &found.body_sealed {
        Some(sealed) => MessageText::from_wire(&row::open_text(db, Purpose::Text, sealed)?),
        None => MessageText::from_wire(""),
    };
    let media = messages::open_media(db, found.media_sealed.as_deref())?;
    let count = |value: i32, column| usize::try_from(value).map_err(|_| UnknownValue(column));
    let (at, media_limit) = (count(found.part, "part")?, count(found.media_limit, "media_limit")?);
    let part = match (found.body_start, found.body_end) {
        (Some(from), Some(to)) => {
            let words = count(from, "body_start")?..count(to, "body_end")?;
            Part { words, pictures: pictures_of_part(at, media.len(), media_limit) }
        }
        // A version before stored it.
        _ => {
            let limit = count(found.part_limit, "part_limit")?;
            let mut parts = parts_by_characters(&text, media.len(), limit, media_limit).into_iter();
            parts.nth(at).ok_or(UnknownValue("part"))?
        }
    };
    let body = text.expose().get(part.words).ok_or(UnknownValue("body_end"))?;
    let media = media.get(part.pictures).ok_or(UnknownValue("media_sealed"))?;
    let way = match (found.number, found.provider, found.to_sealed) {
        (Some(from), Some(provider), Some(to)) => Some(Way {
            from: row::number_phone(&from)?,
            to: row::open_phone(db, &to)?,
            provider: row::provider(&provider)?,
        }),
        _ => None,
    };
    Ok(Some(OwedPart {
        message_id: MessageId(found.message_id),
        body: body.to_owned(),
        media: media.to_vec(),
        reference: found.reference,
        way,
    }))
}

/// Why a part was not sent.
#[derive(Clone, Copy)]
pub struct Cause<'a> {
    /// See [`Message::reason`](crate::domain::message::Message::reason).
    pub reason: &'a str,
    /// The HTTP status with which the provider answered, if it did.
    pub provider_status: Option<u16>,
}

impl<'a> Cause<'a> {
    /// One that no provider had a part in.
    pub fn of(reason: &'a str) -> Self {
        Self { reason, provider_status: None }
    }
}

/// How a claimed part ended.
pub struct Ending<'a> {
    /// Sent, or given up.
    pub state: PartState,
    /// The provider's id of it.
    pub provider_id: Option<&'a str>,
    /// Why it was given up.
    pub cause: Option<Cause<'a>>,
    /// It was given up, and may have been sent all the same.
    pub in_doubt: bool,
}

impl Ending<'_> {
    /// The provider has it.
    pub fn sent() -> Ending<'static> {
        Ending { state: PartState::Sent, provider_id: None, cause: None, in_doubt: false }
    }

    /// Given up, and certainly not sent.
    pub fn failed(cause: Cause<'_>) -> Ending<'_> {
        Ending { state: PartState::Failed, provider_id: None, cause: Some(cause), in_doubt: false }
    }
}

/// Settles a claimed part; when one fails, the parts behind it are pointless and fail with it. `false` if the claim was
/// lost, or a report came first: then nothing changes.
pub async fn settle(tx: &Tx, message: MessageId, claim: Claim, ending: &Ending<'_>, now: Time) -> Result<bool> {
    let before = messages::lock(tx, message).await?;
    let mut moving = Entity::update_many()
        .col_expr(Column::State, Expr::value(ending.state.as_str()))
        .col_expr(Column::InFlight, Expr::value(false))
        .col_expr(Column::ClaimedBy, Expr::value(None::<i64>))
        .col_expr(Column::ProviderMessageId, Expr::value(ending.provider_id));
    if ending.in_doubt {
        moving = moving.col_expr(Column::InDoubt, Expr::value(true));
    }
    let moved = moving
        .filter(Column::Id.eq(claim.id.0))
        .filter(Column::Attempts.eq(claim.attempt))
        .filter(Column::State.eq(PartState::Owed.as_str()))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected == 0 {
        return Ok(false);
    }
    if ending.state == PartState::Failed {
        Entity::update_many()
            .col_expr(Column::State, Expr::value(PartState::Failed.as_str()))
            .col_expr(Column::ClaimedBy, Expr::value(None::<i64>))
            .filter(Column::MessageId.eq(message.0))
            .filter(Column::State.eq(PartState::Owed.as_str()))
            .exec(tx.conn())
            .await?;
    }
    derive(tx, message, before, ending.cause, now).await?;
    Ok(true)
}

/// Puts a claimed part off, unless the claim was lost. With `in_doubt`, nobody knows whether the provider has it: that counts as an attempt, whatever
/// it was for. The text says why it waits.
pub async fn postpone(
    tx: &Tx,
    message: MessageId,
    claim: Claim,
    due_at: Time,
    in_doubt: bool,
    cause: Cause<'_>,
) -> Result<()> {
    let before = messages::lock(tx, message).await?;
    let moved = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::InFlight, Expr::value(in_doubt))
        .col_expr(Column::ClaimedBy, Expr::value(None::<i64>))
        .col_expr(Column::Probes, Expr::value(claim.probes() - i32::from(claim.is_probe && in_doubt)))
        .filter(Column::Id.eq(claim.id.0))
        .filter(match claim.holder {
            Holder::Unnamed => Column::ClaimedBy.is_null(),
            Holder::Process(id) => Column::ClaimedBy.eq(id.0),
        })
        .filter(Column::Attempts.eq(claim.attempt))
        .filter(Column::State.eq(PartState::Owed.as_str()))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected > 0 {
        derive(tx, message, before, Some(cause), due_at).await?;
    }
    Ok(())
}

/// Gives a claim back that was never sent: the part is due at once, and the attempt does not count.
pub async fn give_back(tx: &Tx, claim: Claim, now: Time) -> Result<()> {
    let Some(found) = Entity::find_by_id(claim.id.0).one(tx.conn()).await? else { return Ok(()) };
    let message = MessageId(found.message_id);
    let before = messages::lock(tx, message).await?;
    let moved = Entity::update_many()
        .col_expr(Column::Attempts, Expr::value(claim.attempt - 1))
        .col_expr(Column::Probes, Expr::value(claim.probes() - i32::from(claim.is_probe)))
        .col_expr(Column::DueAt, Expr::value(now))
        .col_expr(Column::InFlight, Expr::value(false))
        .col_expr(Column::ClaimedBy, Expr::value(None::<i64>))
        .filter(Column::Id.eq(claim.id.0))
        .filter(Column::Attempts.eq(claim.attempt))
        .filter(Column::State.eq(PartState::Owed.as_str()))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected > 0 {
        derive(tx, message, before, None, now).await?;
    }
    Ok(())
}

/// Takes in a delivery report by our reference; `false` if no part has it.
pub async fn report(tx: &Tx, reference: &str, news: PartState, reason: Option<&str>, now: Time) -> Result<bool> {
    let Some(found) = Entity::find().filter(Column::Reference.eq(reference)).one(tx.conn()).await? else {
        return Ok(false);
    };
    let message = MessageId(found.message_id);
    let before = messages::lock(tx, message).await?;
    // Read again under the lock: whoever held it may have moved this part.
    let Some(found) = Entity::find_by_id(found.id).one(tx.conn()).await? else { return Ok(false) };
    if found.reference != reference {
        // It is owed anew by now, and this is news of the former send.
        return Ok(false);
    }
    let state = row::word(PartState::parse, "state", &found.state)?;
    let next = state.after_report(news);
    if next != state {
        let moved = ActiveModel {
            id: Set(found.id),
            state: Set(next.as_str().to_owned()),
            in_flight: Set(false),
            claimed_by: Set(None),
            ..Default::default()
        };
        moved.update(tx.conn()).await?;
        derive(tx, message, before, reason.map(Cause::of), now).await?;
    }
    Ok(true)
}

/// Derives the status of a text from its parts. The text's row must be locked.
async fn derive(
    tx: &Tx,
    message: MessageId,
    before: messages::Progress,
    cause: Option<Cause<'_>>,
    now: Time,
) -> Result<()> {
    let parts = Entity::find().filter(Column::MessageId.eq(message.0)).all(tx.conn()).await?;
    let states = parts.iter().map(|part| row::word(PartState::parse, "state", &part.state));
    let states = states.collect::<Result<Vec<_>>>()?;
    let present: HashSet<_> = states.iter().copied().collect();
    let not_out = [PartState::Owed, PartState::Failed, PartState::Expired];
    let all_out = !not_out.iter().any(|state| present.contains(state));
    let all_there = present.len() == 1 && present.contains(&PartState::Delivered);
    let ended_badly = [PartState::Failed, PartState::Expired, PartState::Undelivered];
    let ended_badly = ended_badly.iter().any(|state| present.contains(state));
    let was_lost = before.status.is_lost();
    let known = before.reason.map(|reason| (reason, before.provider_status));
    let new = cause.map(|cause| (cause.reason.to_owned(), cause.provider_status.map(i32::from)));
    let cause = if ended_badly {
        // The first part that ended badly says why; news of the others do not take that back.
        known.filter(|_| was_lost).or(new)
    } else if present.contains(&PartState::Owed) {
        // Why it waits: the last send that failed says that.
        new.or(known.filter(|_| !was_lost))
    } else {
        None
    };
    let (reason, provider_status) = cause.map_or((None, None), |(reason, status)| (Some(reason), status));
    let progress = messages::Progress {
        status: status_of_parts(&states),
        reason,
        provider_status,
        sent_at: before.sent_at.or(all_out.then_some(now)),
        delivered_at: before.delivered_at.or(all_there.then_some(now)),
        paid: !present.contains(&PartState::Owed),
    };
    messages::progress(tx, message, before.status, progress, now).await
}

/// Moves what is owed to a party of a former ride to the front of the same person's conversation of a new one that
/// took its number over, with what has arrived for them: those texts were promised while contact was open, and it still is.
pub async fn inherit(tx: &Tx, from: (RideId, Role), to: (RideId, Role), now: Time) -> Result<()> {
    hand_on(tx, from, to, "state = 'owed'", now).await
}

/// Moves what a ride inherited and still owes to a party back to the same person's conversation of the ride before.
pub async fn bequeath(tx: &Tx, (from, to): (RideId, RideId), party: Role, now: Time) -> Result<()> {
    let inherited = "state = 'owed' AND NOT EXISTS (
        SELECT 1 FROM messages m WHERE m.id = outbox.message_id AND m.ride_id = outbox.ride_id)";
    hand_on(tx, (from, party), (to, party), inherited, now).await
}

async fn hand_on(tx: &Tx, from: (RideId, Role), to: (RideId, Role), which: &'static str, now: Time) -> Result<()> {
    let owed = Entity::find()
        .filter(Column::RideId.eq(from.0.0))
        .filter(Column::ToRole.eq(from.1.as_str()))
        .filter(Expr::cust(which))
        .order_by_asc(Column::Seq)
        .lock_exclusive()
        .all(tx.conn())
        .await?;
    let arrived = arrivals::positions(tx, from).await?;
    let count = owed.len() + arrived.len() * usize::try_from(arrivals::POSITIONS).map_err(Error::internal)?;
    let count = i32::try_from(count).map_err(Error::internal)?;
    let Some(mut next) = rides::take_places(tx, to.0, None, to.1, count, now).await? else { return Ok(()) };
    let mut arrived = arrived.into_iter().peekable();
    for part in owed {
        while let Some(seq) = arrived.next_if(|seq| *seq < part.seq) {
            arrivals::hand_on(tx, (from, seq), (to, next)).await?;
            next += i64::from(arrivals::POSITIONS);
        }
        let moved = ActiveModel {
            id: Set(part.id),
            ride_id: Set(Some(to.0.0)),
            to_role: Set(Some(to.1.as_str().to_owned())),
            seq: Set(next),
            ..Default::default()
        };
        moved.update(tx.conn()).await?;
        next += 1;
    }
    for seq in arrived {
        arrivals::hand_on(tx, (from, seq), (to, next)).await?;
        next += i64::from(arrivals::POSITIONS);
    }
    Ok(())
}

/// Gives up what is owed to and by a party of a ride: it is somebody else now. Relays to the other party are its own.
pub async fn cut_off(tx: &Tx, ride: RideId, party: Role, now: Time) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Row {
        message_id: i64,
    }
    let sql = "UPDATE outbox SET state = 'failed', in_flight = FALSE, claimed_by = NULL
        WHERE ride_id = $1 AND state = 'owed' AND (to_role = $2
            OR EXISTS (SELECT 1 FROM messages m WHERE m.id = outbox.message_id AND m.kind = 'relay'))
        RETURNING message_id";
    let cut = Row::find_by_statement(statement(tx, sql, [ride.0.into(), party.as_str().into()])).all(tx.conn()).await?;
    let messages: BTreeSet<_> = cut.iter().map(|row| row.message_id).collect();
    for message in messages.into_iter().map(MessageId) {
        let before = messages::lock(tx, message).await?;
        derive(tx, message, before, Some(Cause::of(SendFailure::ContactClosed.as_str())), now).await?;
    }
    Ok(())
}

/// Parts that are owed still.
pub async fn owed(db: &impl Db) -> Result<u64> {
    use sea_orm::PaginatorTrait as _;
    Ok(Entity::find().filter(Expr::cust("state = 'owed'")).count(db.conn()).await?)
}
