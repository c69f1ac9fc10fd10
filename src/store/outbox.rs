//! The outbox: parts of texts on their way to providers.
//!
//! A part is claimed in the name of a process and under a lease, sent with no transaction open, and settled under a
//! guard on the number of attempts, so that a claim that another replica has taken over changes nothing. Within a
//! conversation only the earliest pending part can be claimed, which keeps the order across replicas, retries and
//! restarts.

mod claiming;
mod lifespan;

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
};

pub use claiming::{Claim, ClaimRequest, ClaimResult, claim};
pub use lifespan::{Renewal, RenewalOutcome, expire, overdue, release, renew, reroute};
use sea_orm::{
    ActiveValue::Set, FromQueryResult, PaginatorTrait as _, QueryOrder as _, QuerySelect as _, UpdateMany,
    entity::prelude::*, sea_query::Expr,
};

use super::{
    Db, Tx, arrivals,
    columns::ProxyNumber,
    entity::outbox::{ActiveModel, Column, Entity},
    error::UnknownValue,
    messages,
    processes::Holder,
    query_one, query_values, rides, sealed,
};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    ids::{MessageId, NumberId, ProcessId, RideId},
    message::{PartState, SendFailure, status_of_parts},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    text::pictures_of_part,
};

/// Number that a part is sent from, with its provider.
pub struct SenderNumber {
    pub id: NumberId,
    pub provider: ProviderName,
}

/// Part to enqueue.
pub struct NewPart {
    pub message_id: MessageId,
    /// The ride, and the party that the part is for. `None` if the text itself names the recipient.
    pub conversation: Option<(RideId, Role)>,
    /// Position in the conversation.
    pub seq: i64,
    /// Which part of the text it is, from 0.
    pub part: i32,
    /// Byte range in the text. It is stored because the rules of splitting may change.
    pub words: Range<usize>,
    /// Our reference, which delivery reports repeat.
    pub reference: String,
    /// Number that it is expected to be sent from.
    pub sender: SenderNumber,
    pub expires_at: Time,
}

pub async fn enqueue(tx: &Tx, new: NewPart, now: Time) -> Result<()> {
    let model = ActiveModel {
        message_id: Set(new.message_id),
        ride_id: Set(new.conversation.map(|(ride, _)| ride)),
        to_role: Set(new.conversation.map(|(_, to)| to)),
        seq: Set(new.seq),
        part: Set(new.part),
        body_start: Set(i32::try_from(new.words.start).map_err(Error::internal)?),
        body_end: Set(i32::try_from(new.words.end).map_err(Error::internal)?),
        state: Set(PartState::Pending),
        attempts: Set(0),
        probes: Set(0),
        in_flight: Set(false),
        in_doubt: Set(false),
        due_at: Set(now),
        reference: Set(new.reference),
        number_id: Set(new.sender.id),
        provider: Set(new.sender.provider),
        expires_at: Set(new.expires_at),
        ..Default::default()
    };
    model.insert(tx.conn()).await?;
    Ok(())
}

/// Claimed part with everything that sending it needs. The route is looked up for each attempt, because contact may
/// have closed and the recipient's phone may have changed.
pub struct ClaimedPart {
    pub message_id: MessageId,
    /// Text of this part.
    pub body: String,
    /// Pictures of this part.
    pub media: Vec<String>,
    pub reference: String,
    /// `None` if contact is closed, or if the recipient was replaced or erased.
    pub route: Option<SendRoute>,
}

/// Route of one send.
pub struct SendRoute {
    /// Proxy number that the recipient sees.
    pub from: PhoneNumber,
    pub to: PhoneNumber,
    /// Provider of the proxy number.
    pub provider: ProviderName,
}

/// Finds a part of a text without a ride. It goes from the text's number to the phone that the text names, as long as
/// the number is in service.
const WITHOUT_RIDE: &str = "SELECT o.message_id AS message_id, o.part AS part, o.body_start AS body_start,
        o.body_end AS body_end, o.reference AS reference,
        m.body_sealed AS body_sealed, m.media_sealed AS media_sealed,
        m.media_limit AS media_limit, m.phone_sealed AS to_sealed, n.phone_number AS number, n.provider AS provider
    FROM outbox o
    JOIN messages m ON m.id = o.message_id
    LEFT JOIN numbers n ON n.id = m.number_id AND n.deleted_at IS NULL AND n.status <> 'suspended'
    WHERE o.id = $1 AND o.state = 'pending' AND o.attempts = $2 AND o.claimed_by IS NOT DISTINCT FROM $3 AND o.ride_id IS NULL";

/// Looks up a claimed part. `None` if it is no longer pending, because a delivery report has settled it, or if the
/// claim is lost.
///
/// There is a route while the ride's window is open and the two parties' phones are bound to each other on a number: by
/// the recipient's own binding of this ride, or by one that a later ride of the same two phones took over. A text that
/// ignores the window, because it announces the end of contact, goes from its own number.
pub async fn resolve(db: &impl Db, claim: Claim, now: Time) -> Result<Option<ClaimedPart>> {
    #[derive(FromQueryResult)]
    struct Row {
        message_id: MessageId,
        part: i32,
        body_start: i32,
        body_end: i32,
        reference: String,
        body_sealed: Option<Vec<u8>>,
        media_sealed: Option<Vec<u8>>,
        media_limit: i32,
        to_sealed: Option<Vec<u8>>,
        number: Option<ProxyNumber>,
        provider: Option<ProviderName>,
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
                m.media_sealed AS media_sealed, m.media_limit AS media_limit,
                me.phone_sealed AS to_sealed,
                CASE WHEN m.ignores_window AND r.deleted_at IS NULL THEN m.number_id
                    ELSE COALESCE(({bound} AND mine.ride_id = r.id), ({bound} ORDER BY mine.ride_id DESC LIMIT 1))
                END AS number_id
            FROM outbox o
            JOIN messages m ON m.id = o.message_id
            JOIN rides r ON r.id = o.ride_id
            JOIN people me ON me.id = CASE o.to_role WHEN 'customer' THEN r.customer_id ELSE r.driver_id END
            JOIN people them ON them.id = CASE o.to_role WHEN 'customer' THEN r.driver_id ELSE r.customer_id END
            WHERE o.id = $1 AND o.state = 'pending' AND o.attempts = $3 AND o.claimed_by IS NOT DISTINCT FROM $4
        ) q LEFT JOIN numbers n ON n.id = q.number_id AND n.deleted_at IS NULL"
    );
    let values = [claim.id.into(), now.into(), claim.attempt.into(), claim.holder.into()];
    let by_ride: Option<Row> = query_one(db, &sql, values).await?;
    let found = match by_ride {
        Some(found) => Some(found),
        None => query_one(db, WITHOUT_RIDE, [claim.id.into(), claim.attempt.into(), claim.holder.into()]).await?,
    };
    let Some(found) = found else { return Ok(None) };
    let text = sealed::open_body(db, found.body_sealed.as_deref())?;
    let media = sealed::open_media(db, found.media_sealed.as_deref())?;
    let count = |value: i32, column| usize::try_from(value).map_err(|_| UnknownValue::of(column));
    let words = count(found.body_start, "body_start")?..count(found.body_end, "body_end")?;
    let body = text.expose().get(words).ok_or_else(|| UnknownValue::of("body_end"))?;
    let (part, media_limit) = (count(found.part, "part")?, count(found.media_limit, "media_limit")?);
    let pictures = pictures_of_part(part, media.len(), media_limit);
    let media = media.get(pictures).ok_or_else(|| UnknownValue::of("media_sealed"))?;
    let route = match (found.number, found.provider, found.to_sealed) {
        (Some(from), Some(provider), Some(to)) => {
            Some(SendRoute { from: from.0, to: sealed::open_phone(db, &to)?, provider })
        }
        _ => None,
    };
    Ok(Some(ClaimedPart {
        message_id: found.message_id,
        body: body.to_owned(),
        media: media.to_vec(),
        reference: found.reference,
        route,
    }))
}

/// Reason why a part was not sent.
#[derive(Clone, Copy)]
pub struct Cause<'a> {
    /// See [`Message::reason`](crate::domain::message::Message::reason).
    pub reason: &'a str,
    /// HTTP status of the provider's response, if there was one.
    pub provider_status: Option<u16>,
}

impl<'a> Cause<'a> {
    /// Creates a cause in which no provider had a part.
    pub fn of(reason: &'a str) -> Self {
        Self { reason, provider_status: None }
    }
}

/// Final outcome of a claimed part.
pub struct Settlement<'a> {
    pub state: PartState,
    /// The provider's ID of the part.
    pub provider_id: Option<&'a str>,
    /// Reason why it failed.
    pub cause: Option<Cause<'a>>,
    /// Whether it failed but may have been sent.
    pub in_doubt: bool,
}

impl Settlement<'_> {
    pub fn sent() -> Settlement<'static> {
        Settlement { state: PartState::Sent, provider_id: None, cause: None, in_doubt: false }
    }

    /// Creates the outcome of a part that was certainly not sent.
    pub fn failed(cause: Cause<'_>) -> Settlement<'_> {
        Settlement { state: PartState::Failed, provider_id: None, cause: Some(cause), in_doubt: false }
    }
}

/// Changes a claimed part, provided that it is still pending and the claim is not lost.
fn update_claimed(claim: Claim, changes: ActiveModel) -> UpdateMany<Entity> {
    Entity::update_many()
        .set(ActiveModel { claimed_by: Set(None), ..changes })
        .filter(Column::Id.eq(claim.id))
        .filter(Column::Attempts.eq(claim.attempt))
        .filter(Column::State.eq(PartState::Pending))
}

/// Settles a claimed part. If it fails, the later parts of its text fail with it. Returns `false` and changes nothing
/// if the claim was lost or a report came first.
pub async fn settle(tx: &Tx, message: MessageId, claim: Claim, settlement: &Settlement<'_>, now: Time) -> Result<bool> {
    let before = messages::lock(tx, message).await?;
    let mut changes = ActiveModel {
        state: Set(settlement.state),
        in_flight: Set(false),
        provider_message_id: Set(settlement.provider_id.map(str::to_owned)),
        ..Default::default()
    };
    if settlement.in_doubt {
        changes.in_doubt = Set(true);
    }
    if update_claimed(claim, changes).exec(tx.conn()).await?.rows_affected == 0 {
        return Ok(false);
    }
    if settlement.state == PartState::Failed {
        Entity::update_many()
            .col_expr(Column::State, Expr::value(PartState::Failed))
            .col_expr(Column::ClaimedBy, Expr::value(None::<ProcessId>))
            .filter(Column::MessageId.eq(message))
            .filter(Column::State.eq(PartState::Pending))
            .exec(tx.conn())
            .await?;
    }
    derive(tx, message, before, settlement.cause, now).await?;
    Ok(true)
}

/// Postpones a claimed part, unless the claim was lost. With `in_doubt`, the provider may have accepted the part: then
/// even a probe counts as an attempt. The text shows the cause while it waits.
pub async fn postpone(
    tx: &Tx,
    message: MessageId,
    claim: Claim,
    due_at: Time,
    in_doubt: bool,
    cause: Cause<'_>,
) -> Result<()> {
    let before = messages::lock(tx, message).await?;
    let changes = ActiveModel {
        due_at: Set(due_at),
        in_flight: Set(in_doubt),
        probes: Set(claim.probes() - i32::from(claim.is_probe && in_doubt)),
        ..Default::default()
    };
    let holder = match claim.holder {
        Holder::Unnamed => Column::ClaimedBy.is_null(),
        Holder::Process(id) => Column::ClaimedBy.eq(id),
    };
    if update_claimed(claim, changes).filter(holder).exec(tx.conn()).await?.rows_affected > 0 {
        derive(tx, message, before, Some(cause), due_at).await?;
    }
    Ok(())
}

/// Gives back a claim that was never sent: the part is due at once, and the attempt does not count.
pub async fn give_back(tx: &Tx, claim: Claim, now: Time) -> Result<()> {
    let Some(found) = Entity::find_by_id(claim.id).one(tx.conn()).await? else { return Ok(()) };
    let before = messages::lock(tx, found.message_id).await?;
    let changes = ActiveModel {
        attempts: Set(claim.attempt - 1),
        probes: Set(claim.probes() - i32::from(claim.is_probe)),
        due_at: Set(now),
        in_flight: Set(false),
        ..Default::default()
    };
    if update_claimed(claim, changes).exec(tx.conn()).await?.rows_affected > 0 {
        derive(tx, found.message_id, before, None, now).await?;
    }
    Ok(())
}

/// Applies a delivery report to the part with this reference; `false` if there is none.
pub async fn report(tx: &Tx, reference: &str, reported: PartState, reason: Option<&str>, now: Time) -> Result<bool> {
    let Some(found) = Entity::find().filter(Column::Reference.eq(reference)).one(tx.conn()).await? else {
        return Ok(false);
    };
    let message = found.message_id;
    let before = messages::lock(tx, message).await?;
    // Read again under the lock: the part may have changed while this transaction waited for it.
    let Some(found) = Entity::find_by_id(found.id).one(tx.conn()).await? else { return Ok(false) };
    if found.reference != reference {
        // The part has been queued again, and the report is about the earlier send.
        return Ok(false);
    }
    let next = found.state.after_report(reported);
    if next != found.state {
        let changed = ActiveModel {
            id: Set(found.id),
            state: Set(next),
            in_flight: Set(false),
            claimed_by: Set(None),
            ..Default::default()
        };
        changed.update(tx.conn()).await?;
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
    let parts = Entity::find().filter(Column::MessageId.eq(message)).all(tx.conn()).await?;
    let states: Vec<_> = parts.iter().map(|part| part.state).collect();
    let present: HashSet<_> = states.iter().copied().collect();
    let not_out = [PartState::Pending, PartState::Failed, PartState::Expired];
    let all_out = !not_out.iter().any(|state| present.contains(state));
    let all_there = present.len() == 1 && present.contains(&PartState::Delivered);
    let ended_badly = [PartState::Failed, PartState::Expired, PartState::Undelivered];
    let ended_badly = ended_badly.iter().any(|state| present.contains(state));
    let was_lost = before.status.is_lost();
    let known = before.reason.map(|reason| (reason, before.provider_status));
    let new = cause.map(|cause| (cause.reason.to_owned(), cause.provider_status.map(i32::from)));
    let cause = if ended_badly {
        // The first part that ended badly gives the reason, and news of other parts do not change it.
        known.filter(|_| was_lost).or(new)
    } else if present.contains(&PartState::Pending) {
        // While the text waits, the reason is that of the last send that failed.
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
        is_settled: !present.contains(&PartState::Pending),
    };
    messages::progress(tx, message, before.status, progress, now).await
}

/// Moves what is pending for a party of a former ride, including texts that have arrived, to the front of the same
/// person's conversation of a new ride that took over the number: these texts were accepted while contact was open, and
/// it still is.
pub async fn inherit(tx: &Tx, from: (RideId, Role), to: (RideId, Role), now: Time) -> Result<()> {
    hand_on(tx, from, to, "state = 'pending'", now).await
}

/// Moves what a ride inherited, and is still pending for a party, back to the same person's conversation of the former
/// ride.
pub async fn bequeath(tx: &Tx, (from, to): (RideId, RideId), party: Role, now: Time) -> Result<()> {
    let inherited = "state = 'pending' AND NOT EXISTS (
        SELECT 1 FROM messages m WHERE m.id = outbox.message_id AND m.ride_id = outbox.ride_id)";
    hand_on(tx, (from, party), (to, party), inherited, now).await
}

async fn hand_on(tx: &Tx, from: (RideId, Role), to: (RideId, Role), which: &'static str, now: Time) -> Result<()> {
    let pending = Entity::find()
        .filter(Column::RideId.eq(from.0))
        .filter(Column::ToRole.eq(from.1))
        .filter(Expr::cust(which))
        .order_by_asc(Column::Seq)
        .lock_exclusive()
        .all(tx.conn())
        .await?;
    let arrived = arrivals::positions(tx, from).await?;
    let count = pending.len() + arrived.len() * usize::try_from(arrivals::POSITIONS).map_err(Error::internal)?;
    let count = i32::try_from(count).map_err(Error::internal)?;
    let Some(mut next) = rides::allocate_positions(tx, to.0, None, to.1, count, now).await? else { return Ok(()) };
    let mut arrived = arrived.into_iter().peekable();
    for part in pending {
        while let Some(seq) = arrived.next_if(|seq| *seq < part.seq) {
            arrivals::hand_on(tx, (from, seq), (to, next)).await?;
            next += i64::from(arrivals::POSITIONS);
        }
        let moved = ActiveModel {
            id: Set(part.id),
            ride_id: Set(Some(to.0)),
            to_role: Set(Some(to.1)),
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

/// Gives up what is pending for a party of a ride, and what that party wrote, because another person takes its place.
/// Notices and platform texts for the other party stay.
pub async fn cut_off(tx: &Tx, ride: RideId, party: Role, now: Time) -> Result<()> {
    let sql = "UPDATE outbox SET state = 'failed', in_flight = FALSE, claimed_by = NULL
        WHERE ride_id = $1 AND state = 'pending' AND (to_role = $2
            OR EXISTS (SELECT 1 FROM messages m WHERE m.id = outbox.message_id AND m.kind = 'relay'))
        RETURNING message_id";
    let cut: Vec<MessageId> = query_values(tx, sql, [ride.into(), party.into()]).await?;
    for message in cut.into_iter().collect::<BTreeSet<_>>() {
        let before = messages::lock(tx, message).await?;
        derive(tx, message, before, Some(Cause::of(SendFailure::ContactClosed.as_str())), now).await?;
    }
    Ok(())
}

/// Counts the pending parts.
pub async fn pending_count(db: &impl Db) -> Result<u64> {
    Ok(Entity::find().filter(Expr::cust("state = 'pending'")).count(db.conn()).await?)
}
