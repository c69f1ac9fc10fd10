//! Claiming parts: those that are due, the earliest of their conversation, and within the rate limits of their number
//! and account.

use chrono::Duration;
use sea_orm::FromQueryResult;

use crate::{
    domain::{
        clock::{Time, to_next_milli},
        error::Result,
        ids::{MessageId, NumberId, SendId},
        number::ProviderName,
        pace::Throughput,
    },
    store::{
        Tx, arrivals, execute, lock, messages,
        params::Params,
        processes::Holder,
        query_all,
        rate_limits::{LockedLimits, RateLimit},
        row_limit,
    },
};

/// Request for parts to send.
pub struct ClaimRequest<'a> {
    pub provider: &'a ProviderName,
    /// Rate limits of the provider's numbers and of its account.
    pub throughput: Throughput,
    /// Maximum number of parts, about.
    pub limit: u32,
    /// How long a claim lasts.
    pub lease: Duration,
    /// Process that sends the parts.
    pub holder: Holder,
    /// Whether the part only tests whether the provider works. Such an attempt does not count.
    pub is_probe: bool,
    /// Whether texts may be waiting for an arrival, so that `again_at` must consider arrivals.
    pub minds_arrivals: bool,
}

/// Right to send one part until the lease is over, or until the process that holds it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The part.
    pub id: SendId,
    /// Number of this attempt, from 1. It is the guard of [`settle`](super::settle) and [`postpone`](super::postpone).
    pub attempt: i32,
    /// Number of attempts without probes.
    pub tries: i32,
    /// Whether this attempt only tests whether the provider works.
    pub is_probe: bool,
    /// End of the lease.
    pub until: Time,
    pub holder: Holder,
}

impl Claim {
    /// Returns the number of attempts that were probes, including this one.
    pub(super) fn probes(&self) -> i32 {
        self.attempt - self.tries
    }
}

#[derive(Debug, Default)]
pub struct ClaimResult {
    pub claims: Vec<Claim>,
    /// When the first of the parts that must wait for their number, their account or an arrival can be claimed.
    pub again_at: Option<Time>,
}

/// Claims parts that are due. Each is the earliest pending part of its conversation, and none waits for an arrival.
///
/// A claimed part stays pending. It is due again when another process has taken over from its holder, and at the latest
/// when the lease is over, so a process that dies gives its claims back by doing nothing. A part that is claimed again
/// without an outcome may have been sent, and its text is marked as possibly duplicated.
///
/// If the rate limit of a number is used up, its part gets a slot in the future and waits for that, so that it does not
/// hold up parts of other numbers. If the rate limit of the account is used up, nothing more is claimed for now. A part
/// that would expire before its slot takes none. Otherwise a number with too much to send would send nothing in time.
pub async fn claim(tx: &Tx, request: &ClaimRequest<'_>, now: Time) -> Result<ClaimResult> {
    let due = due(tx, request, now).await?;
    let mut again_at = if request.minds_arrivals { arrivals::next_release(tx, now).await? } else { None };
    if due.is_empty() {
        return Ok(ClaimResult { claims: Vec::new(), again_at });
    }
    let is_full = due.len() >= usize::try_from(request.limit).unwrap_or(usize::MAX);
    let account = request.throughput.of_account().map(|pace| (RateLimit::Account(request.provider.clone()), pace));
    let limited = due.iter().filter_map(Due::waits_for).chain(account.iter().map(|(name, _)| name.clone())).collect();
    let mut limits = LockedLimits::lock(tx, &limited, now).await?;
    let (mut ready, mut is_spent) = (Vec::new(), false);
    for part in due {
        if let Some(number) = part.waits_for() {
            match limits.reserve(&number, request.throughput.of_number(), part.horizon(now)) {
                Some(slot) if slot > now => {
                    let slot = to_next_milli(slot);
                    give_slot(tx, part.id, Some(slot), Some(slot)).await?;
                    again_at = earlier(again_at, slot);
                    continue;
                }
                Some(_) => {}
                None => {
                    give_slot(tx, part.id, None, Some(now + RETRY_SLOT_AFTER)).await?;
                    continue;
                }
            }
        }
        if let Some((name, pace)) = &account
            && let Err(later) = limits.take_now(name, *pace)
        {
            // It keeps the slot of its number, so as not to take another one.
            give_slot(tx, part.id, Some(now), None).await?;
            again_at = earlier(again_at, later);
            is_spent = true;
            break;
        }
        ready.push(part.id);
    }
    if is_full && ready.is_empty() && !is_spent {
        // All parts that were read wait for their numbers. Parts behind them may not.
        again_at = Some(now);
    }
    limits.store(tx).await?;
    Ok(ClaimResult { claims: mark_claimed(tx, &ready, now, request).await?, again_at })
}

fn earlier(one: Option<Time>, other: Time) -> Option<Time> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// How long a slot can be used. Parts that got their slots while nobody could send must not all be sent at once.
const SLOT_KEPT: Duration = Duration::seconds(5);
/// How far ahead texts without a ride get slots, so that strangers do not use up the rate limit that rides need.
const STRANGERS_HORIZON: Duration = Duration::minutes(1);
/// When a part that got no slot before it expires is looked at again.
const RETRY_SLOT_AFTER: Duration = Duration::minutes(1);

#[derive(FromQueryResult)]
struct Due {
    id: SendId,
    number_id: NumberId,
    has_slot: bool,
    is_strangers: bool,
    expires_at: Time,
}

impl Due {
    /// Rate limit that must first give it a slot.
    fn waits_for(&self) -> Option<RateLimit> {
        (!self.has_slot).then_some(RateLimit::Number(self.number_id))
    }

    /// Returns the time before which its slot must be.
    fn horizon(&self, now: Time) -> Time {
        if self.is_strangers { self.expires_at.min(now + STRANGERS_HORIZON) } else { self.expires_at }
    }
}

async fn due(tx: &Tx, request: &ClaimRequest<'_>, now: Time) -> Result<Vec<Due>> {
    let sql = format!(
        "SELECT o.id AS id, o.number_id AS number_id, o.slot_at IS NOT NULL AND o.slot_at > $4 AS has_slot,
            o.ride_id IS NULL AS is_strangers, o.expires_at AS expires_at
        FROM outbox o
        WHERE o.provider = $1 AND o.state = 'pending' AND o.due_at <= $2 AND o.expires_at > $2
            AND NOT EXISTS (
                SELECT 1 FROM outbox e
                WHERE e.ride_id = o.ride_id AND e.to_role = o.to_role AND e.state = 'pending' AND e.seq < o.seq)
            AND NOT EXISTS (
                SELECT 1 FROM arrivals a
                WHERE a.ride_id = o.ride_id AND a.to_role = o.to_role AND a.held_after_seq < o.seq
                    AND a.held_until > $2)
        ORDER BY o.due_at LIMIT $3 {}",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    query_all(tx, &sql, [request.provider.into(), now.into(), row_limit(request.limit), (now - SLOT_KEPT).into()]).await
}

/// Stores the slot of a part, and with `due_at` postpones it until then.
async fn give_slot(tx: &Tx, part: SendId, slot: Option<Time>, due_at: Option<Time>) -> Result<()> {
    let sql = "UPDATE outbox SET slot_at = $2, due_at = COALESCE($3, due_at) WHERE id = $1";
    execute(tx, sql, [part.into(), slot.into(), due_at.into()]).await?;
    Ok(())
}

/// Claims these parts. Their rows must be locked.
async fn mark_claimed(tx: &Tx, parts: &[SendId], now: Time, request: &ClaimRequest<'_>) -> Result<Vec<Claim>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: SendId,
        message_id: MessageId,
        attempts: i32,
        probes: i32,
        in_doubt: bool,
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let (until, is_probe, holder) = (now + request.lease, request.is_probe, request.holder);
    let mut params = Params::new([until.into(), i32::from(is_probe).into(), holder.into()]);
    let sql = format!(
        "UPDATE outbox SET attempts = attempts + 1, due_at = $1, in_doubt = (in_doubt OR in_flight), in_flight = TRUE,
            slot_at = NULL, probes = probes + $2, claimed_by = $3
        WHERE id IN ({}) RETURNING id, message_id, attempts, probes, in_doubt",
        params.add_list(parts)
    );
    let rows: Vec<Row> = query_all(tx, &sql, params).await?;
    let texts: Vec<_> = rows.iter().map(|row| row.message_id).collect();
    let doubtful: Vec<_> = rows.iter().filter(|row| row.in_doubt).map(|row| row.message_id).collect();
    messages::mark_sending(tx, &texts, &doubtful).await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            id: row.id,
            attempt: row.attempts,
            tries: row.attempts - row.probes,
            is_probe,
            until,
            holder,
        })
        .collect())
}
