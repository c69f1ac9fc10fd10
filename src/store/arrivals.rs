//! Arrivals: texts about which the platform is being asked. Each gets its position in the conversation when it arrives,
//! and later texts wait for it, though no longer than the platform has to answer.
//!
//! A row holds nothing personal. It outlives the process that asked, so a text that its provider repeats after a crash
//! keeps its position. Texts that wait for it do not depend on that.

use sea_orm::FromQueryResult;

use super::{Db, Tx, execute, query_one, query_value, query_values};
use crate::domain::{clock::Time, error::Result, ids::RideId, number::ProviderName, person::Role};

/// Number of positions that an arrival reserves. Any text that fits into a webhook or an answer has fewer parts.
pub const POSITIONS: i32 = 1 << 17;

/// Text that has arrived and is not stored yet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The ride, and the party that the text is for.
    pub conversation: (RideId, Role),
    /// First of its positions in the conversation.
    pub seq: i64,
    /// When it first arrived.
    pub at: Time,
}

/// Records that a text has arrived and reserves its positions. Later texts wait for it until `held_until`.
///
/// A repeat keeps its positions unless its conversation has changed. It does not prolong the wait. If the wait is over,
/// texts that arrive from now on wait again, and earlier ones do not.
pub async fn record(tx: &Tx, provider: &ProviderName, key: &str, arrival: &Arrival, held_until: Time) -> Result<()> {
    let is_same = "arrivals.ride_id = excluded.ride_id AND arrivals.to_role = excluded.to_role";
    let is_held = "arrivals.held_until > excluded.arrived_at";
    let sql = format!(
        "INSERT INTO arrivals (provider, event_key, ride_id, to_role, seq, held_after_seq, held_until, arrived_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (provider, event_key) DO UPDATE SET
            ride_id = excluded.ride_id,
            to_role = excluded.to_role,
            seq = CASE WHEN {is_same} THEN arrivals.seq ELSE excluded.seq END,
            held_after_seq = CASE WHEN {is_same} AND {is_held} THEN arrivals.held_after_seq ELSE excluded.held_after_seq END,
            held_until = CASE WHEN {is_held} THEN arrivals.held_until ELSE excluded.held_until END"
    );
    let (ride, to) = arrival.conversation;
    let (seq, last) = (arrival.seq.into(), last_of(arrival.seq).into());
    let values = [provider.into(), key.into(), ride.into(), to.into(), seq, last, held_until.into(), arrival.at.into()];
    execute(tx, &sql, values).await?;
    Ok(())
}

fn last_of(seq: i64) -> i64 {
    seq + i64::from(POSITIONS) - 1
}

pub async fn find(db: &impl Db, provider: &ProviderName, key: &str) -> Result<Option<Arrival>> {
    #[derive(FromQueryResult)]
    struct Row {
        ride_id: RideId,
        to_role: Role,
        seq: i64,
        arrived_at: Time,
    }
    let sql = "SELECT ride_id, to_role, seq, arrived_at FROM arrivals WHERE provider = $1 AND event_key = $2";
    let found: Option<Row> = query_one(db, sql, [provider.into(), key.into()]).await?;
    Ok(found.map(|row| Arrival { conversation: (row.ride_id, row.to_role), seq: row.seq, at: row.arrived_at }))
}

/// Removes the arrival of a text that is stored now, so that later texts need not wait for it.
pub async fn remove(tx: &Tx, provider: &ProviderName, key: &str) -> Result<()> {
    let sql = "DELETE FROM arrivals WHERE provider = $1 AND event_key = $2";
    execute(tx, sql, [provider.into(), key.into()]).await?;
    Ok(())
}

/// Reads the first positions of the arrivals of a conversation, in order, at most 1000.
pub(super) async fn positions(tx: &Tx, (ride, to): (RideId, Role)) -> Result<Vec<i64>> {
    let sql = "SELECT seq FROM arrivals WHERE ride_id = $1 AND to_role = $2 ORDER BY seq LIMIT 1000";
    query_values(tx, sql, [ride.into(), to.into()]).await
}

/// Moves the arrival at this position to a position of another conversation.
pub(super) async fn hand_on(
    tx: &Tx,
    (from, seq): ((RideId, Role), i64),
    (to, new_seq): ((RideId, Role), i64),
) -> Result<()> {
    let sql = "UPDATE arrivals SET ride_id = $4, to_role = $5, seq = $6, held_after_seq = $7
        WHERE ride_id = $1 AND to_role = $2 AND seq = $3";
    let new = [to.0.into(), to.1.into(), new_seq.into(), last_of(new_seq).into()];
    execute(tx, sql, [from.0.into(), from.1.into(), seq.into()].into_iter().chain(new)).await?;
    Ok(())
}

/// Finds the earliest time at which parts need no longer wait for an arrival.
pub(super) async fn next_release(tx: &Tx, now: Time) -> Result<Option<Time>> {
    let sql = "SELECT MIN(a.held_until) AS at FROM arrivals a
        WHERE a.held_until > $1 AND EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.ride_id = a.ride_id AND o.to_role = a.to_role AND o.state = 'pending' AND o.seq > a.held_after_seq)";
    Ok(query_value::<Option<Time>>(tx, sql, [now.into()]).await?.flatten())
}
