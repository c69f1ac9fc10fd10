//! Who may send what now: due, the earliest of its conversation, and within the pace of its number and account.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use crate::{
    domain::{
        clock::{Time, to_next_milli},
        error::Result,
        ids::{NumberId, SendId},
        number::ProviderName,
        pace::Throughput,
    },
    store::{
        Db as _, Tx, arrivals, lock, messages,
        paces::{Allowances, Limited},
        placeholders,
        processes::Holder,
        statement,
    },
};

/// What is asked for.
pub struct Ask<'a> {
    /// Parts that go by this provider,
    pub provider: &'a ProviderName,
    /// no faster than it takes them,
    pub throughput: Throughput,
    /// about so many,
    pub limit: u32,
    /// for so long,
    pub lease: Duration,
    /// in this process's name.
    pub holder: Holder,
    /// It is to try whether the provider works: no attempt that counts.
    pub is_probe: bool,
    /// Texts may be waiting for an arrival: say until when.
    pub minds_arrivals: bool,
}

/// A claim: the right to send one part until the lease is over, or the process that holds it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The part.
    pub id: SendId,
    /// Which attempt this is, from 1; the guard of [`settle`](super::settle) and [`postpone`](super::postpone).
    pub attempt: i32,
    /// The same without attempts that only tried the provider.
    pub tries: i32,
    /// This one only tries whether the provider works.
    pub is_probe: bool,
    /// When the lease is over.
    pub until: Time,
    /// Whose it is.
    pub holder: Holder,
}

impl Claim {
    /// Attempts that only tried the provider, this one included.
    pub(super) fn probes(&self) -> i32 {
        self.attempt - self.tries
    }
}

/// What is had.
#[derive(Debug, Default)]
pub struct Claimed {
    /// These may be sent.
    pub claims: Vec<Claim>,
    /// Others must wait for their number or account, or for an arrival: the first of them until then.
    pub again_at: Option<Time>,
}

/// Claims parts that are due, each the earliest owed one of its conversation, and none that waits for an arrival.
///
/// A claimed part stays owed. It is due again when another process has taken over from its holder, and at the latest when
/// the lease is over, so a process that dies gives its claims back by doing nothing. A part that is claimed again without an
/// outcome may have been sent: its text is marked so.
///
/// A number that has sent enough for the moment gives its part a slot in the future, for which the part then waits: what
/// other numbers send is not kept waiting behind it. An account that has sent enough takes nothing more for now. Where
/// there is no slot before the part expires, it takes none: or a number that has too much to send would send nothing in time.
pub async fn claim(tx: &Tx, ask: &Ask<'_>, now: Time) -> Result<Claimed> {
    let due = due(tx, ask, now).await?;
    let mut again_at = if ask.minds_arrivals { arrivals::next_release(tx, now).await? } else { None };
    if due.is_empty() {
        return Ok(Claimed { claims: Vec::new(), again_at });
    }
    let is_full = due.len() >= usize::try_from(ask.limit).unwrap_or(usize::MAX);
    let account = ask.throughput.of_account().map(|pace| (Limited::Account(ask.provider.clone()), pace));
    let limited = due.iter().filter_map(Due::waits_for).chain(account.iter().map(|(name, _)| name.clone())).collect();
    let mut allowances = Allowances::lock(tx, &limited, now).await?;
    let (mut ready, mut is_spent) = (Vec::new(), false);
    for part in due {
        if let Some(number) = part.waits_for() {
            match allowances.reserve(&number, ask.throughput.of_number(), part.horizon(now)) {
                Some(slot) if slot > now => {
                    let slot = to_next_milli(slot);
                    give_slot(tx, part.id, Some(slot), Some(slot)).await?;
                    again_at = earlier(again_at, slot);
                    continue;
                }
                Some(_) => {}
                None => {
                    give_slot(tx, part.id, None, Some(now + ASK_AGAIN)).await?;
                    continue;
                }
            }
        }
        if let Some((name, pace)) = &account
            && let Err(later) = allowances.take_now(name, *pace)
        {
            // Its number's slot is not asked for twice.
            give_slot(tx, part.id, Some(now), None).await?;
            again_at = earlier(again_at, later);
            is_spent = true;
            break;
        }
        ready.push(part.id);
    }
    if is_full && ready.is_empty() && !is_spent {
        // Numbers that have sent enough took the whole look; behind them may be others.
        again_at = Some(now);
    }
    allowances.write_down(tx).await?;
    Ok(Claimed { claims: take(tx, &ready, now, ask).await?, again_at })
}

fn earlier(one: Option<Time>, other: Time) -> Option<Time> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// A slot that was not used at once is lost: what came together while nobody could send must not go out together.
const SLOT_KEPT: Duration = Duration::seconds(5);
/// How far ahead slots are given to texts that nobody waits for: strangers must not use up what rides need.
const STRANGERS_HORIZON: Duration = Duration::minutes(1);
/// A part for which its number has no room in time asks again after this.
const ASK_AGAIN: Duration = Duration::minutes(1);

#[derive(FromQueryResult)]
struct Due {
    id: i64,
    number_id: Option<i64>,
    has_slot: bool,
    is_strangers: bool,
    expires_at: Option<Time>,
}

impl Due {
    /// The number that must first have a slot for it.
    fn waits_for(&self) -> Option<Limited> {
        self.number_id.filter(|_| !self.has_slot).map(|id| Limited::Number(NumberId(id)))
    }

    /// A slot at or after this is none: the part would have expired by then.
    fn horizon(&self, now: Time) -> Option<Time> {
        let strangers = self.is_strangers.then(|| now + STRANGERS_HORIZON);
        self.expires_at.into_iter().chain(strangers).min()
    }
}

async fn due(tx: &Tx, ask: &Ask<'_>, now: Time) -> Result<Vec<Due>> {
    let sql = format!(
        "SELECT o.id AS id, o.number_id AS number_id, o.slot_at IS NOT NULL AND o.slot_at > $4 AS has_slot,
            o.ride_id IS NULL AS is_strangers, o.expires_at AS expires_at
        FROM outbox o
        WHERE o.provider = $1 AND o.state = 'owed' AND o.due_at <= $2 AND (o.expires_at IS NULL OR o.expires_at > $2)
            AND NOT EXISTS (
                SELECT 1 FROM outbox e
                WHERE e.ride_id = o.ride_id AND e.to_role = o.to_role AND e.state = 'owed' AND e.seq < o.seq)
            AND NOT EXISTS (
                SELECT 1 FROM arrivals a
                WHERE a.ride_id = o.ride_id AND a.to_role = o.to_role AND a.held_after_seq < o.seq
                    AND a.held_until > $2)
        ORDER BY o.due_at LIMIT $3 {}",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let values = [ask.provider.as_str().into(), now.into(), i64::from(ask.limit).into(), (now - SLOT_KEPT).into()];
    Ok(Due::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?)
}

/// Writes down that a part has its number's slot, or none; with `due_at`, it waits for that.
async fn give_slot(tx: &Tx, part: i64, slot: Option<Time>, due_at: Option<Time>) -> Result<()> {
    let sql = "UPDATE outbox SET slot_at = $2, due_at = COALESCE($3, due_at) WHERE id = $1";
    tx.conn().execute_raw(statement(tx, sql, [part.into(), slot.into(), due_at.into()])).await?;
    Ok(())
}

/// Claims these parts, which are locked.
async fn take(tx: &Tx, parts: &[i64], now: Time, ask: &Ask<'_>) -> Result<Vec<Claim>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        message_id: i64,
        attempts: i32,
        probes: i32,
        in_doubt: bool,
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let (until, is_probe, holder) = (now + ask.lease, ask.is_probe, ask.holder);
    let sql = format!(
        "UPDATE outbox SET attempts = attempts + 1, due_at = $1, in_doubt = (in_doubt OR in_flight), in_flight = TRUE,
            slot_at = NULL, probes = probes + $2, claimed_by = $3
        WHERE id IN ({}) RETURNING id, message_id, attempts, probes, in_doubt",
        placeholders(4, parts.len())
    );
    let values = [until.into(), i32::from(is_probe).into(), holder.into()];
    let values = values.into_iter().chain(parts.iter().map(|id| (*id).into()));
    let rows = Row::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?;
    let texts: Vec<_> = rows.iter().map(|row| row.message_id).collect();
    let doubtful: Vec<_> = rows.iter().filter(|row| row.in_doubt).map(|row| row.message_id).collect();
    messages::mark_sending(tx, &texts, &doubtful).await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            id: SendId(row.id),
            attempt: row.attempts,
            tries: row.attempts - row.probes,
            is_probe,
            until,
            holder,
        })
        .collect())
}
