//! Arrivals: texts that the platform is being asked about. Each got its position in the conversation when it came, and what
//! comes behind it waits for it, but not for longer than a question takes.
//!
//! A row says nothing personal. It outlives the process that asked, so a text that its provider repeats after a crash still
//! has its position; what waits for it does not depend on that.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db, Tx, row, statement};
use crate::domain::{clock::Time, error::Result, ids::RideId, number::ProviderName, person::Role};

/// Positions of one arrival: a text of any length that a webhook or an answer can carry has fewer parts.
pub const POSITIONS: i32 = 1 << 17;

/// A text that has arrived and is not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The conversation: the ride, and the party it is for.
    pub conversation: (RideId, Role),
    /// Its first position there.
    pub seq: i64,
    /// When it came first.
    pub at: Time,
}

/// Notes that a text has arrived, with the positions from `seq` on, and that what comes behind it waits until
/// `held_until`.
///
/// A repeat keeps its position unless its conversation is another by now. It does not prolong the wait; if that is over,
/// what arrives from now on waits again, and nothing that came before.
pub async fn note(tx: &Tx, provider: &ProviderName, key: &str, arrival: &Arrival, held_until: Time) -> Result<()> {
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
    let values = [
        provider.as_str().into(),
        key.into(),
        ride.0.into(),
        to.as_str().into(),
        arrival.seq.into(),
        last_of(arrival.seq).into(),
        held_until.into(),
        arrival.at.into(),
    ];
    tx.conn().execute_raw(statement(tx, &sql, values)).await?;
    Ok(())
}

fn last_of(seq: i64) -> i64 {
    seq + i64::from(POSITIONS) - 1
}

#[derive(FromQueryResult)]
struct Row {
    ride_id: i64,
    to_role: String,
    seq: i64,
    arrived_at: Time,
}

impl Row {
    fn read(&self) -> Result<Arrival> {
        let to = row::word(Role::parse, "to_role", &self.to_role)?;
        Ok(Arrival { conversation: (RideId(self.ride_id), to), seq: self.seq, at: self.arrived_at })
    }
}

/// The arrival of a text.
pub async fn find(db: &impl Db, provider: &ProviderName, key: &str) -> Result<Option<Arrival>> {
    let sql = "SELECT ride_id, to_role, seq, arrived_at FROM arrivals WHERE provider = $1 AND event_key = $2";
    let values = [provider.as_str().into(), key.into()];
    let found = Row::find_by_statement(statement(db, sql, values)).one(db.conn()).await?;
    found.map(|found| found.read()).transpose()
}

/// Removes the arrival of a text that is taken: what waits for it need not any more.
pub async fn remove(tx: &Tx, provider: &ProviderName, key: &str) -> Result<()> {
    let sql = "DELETE FROM arrivals WHERE provider = $1 AND event_key = $2";
    tx.conn().execute_raw(statement(tx, sql, [provider.as_str().into(), key.into()])).await?;
    Ok(())
}

/// Positions of the arrivals of a conversation, in order: not more than a crowd.
pub(super) async fn positions(tx: &Tx, (ride, to): (RideId, Role)) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Row {
        seq: i64,
    }
    let sql = "SELECT seq FROM arrivals WHERE ride_id = $1 AND to_role = $2 ORDER BY seq LIMIT 1000";
    let rows = Row::find_by_statement(statement(tx, sql, [ride.0.into(), to.as_str().into()])).all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| row.seq).collect())
}

/// Moves the arrival at this position to a position of another conversation.
pub(super) async fn hand_on(
    tx: &Tx,
    (from, seq): ((RideId, Role), i64),
    (to, new_seq): ((RideId, Role), i64),
) -> Result<()> {
    let sql = "UPDATE arrivals SET ride_id = $4, to_role = $5, seq = $6, held_after_seq = $7
        WHERE ride_id = $1 AND to_role = $2 AND seq = $3";
    let values = [
        from.0.0.into(),
        from.1.as_str().into(),
        seq.into(),
        to.0.0.into(),
        to.1.as_str().into(),
        new_seq.into(),
        last_of(new_seq).into(),
    ];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// When the first of the arrivals that something waits for is waited for no longer.
pub(super) async fn next_release(tx: &Tx, now: Time) -> Result<Option<Time>> {
    #[derive(FromQueryResult)]
    struct Row {
        at: Option<Time>,
    }
    let sql = "SELECT MIN(a.held_until) AS at FROM arrivals a
        WHERE a.held_until > $1 AND EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.ride_id = a.ride_id AND o.to_role = a.to_role AND o.state = 'owed' AND o.seq > a.held_after_seq)";
    let found = Row::find_by_statement(statement(tx, sql, [now.into()])).one(tx.conn()).await?;
    Ok(found.and_then(|found| found.at))
}

/// Forgets arrivals that nobody waits for since before this time, at most `limit`: their texts were not repeated.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "DELETE FROM arrivals WHERE (provider, event_key) IN
        (SELECT provider, event_key FROM arrivals WHERE held_until < $1 ORDER BY held_until LIMIT $2)";
    let deleted = tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?;
    Ok(deleted.rows_affected())
}
