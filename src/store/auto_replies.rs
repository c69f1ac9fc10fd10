//! Who was answered by itself, and when: no phone is more than once in a while by the same number.

use sea_orm::ConnectionTrait as _;

use super::{Db as _, Tx, statement};
use crate::domain::{clock::Time, error::Result, ids::NumberId, phone::PhoneNumber};

/// Takes the right to answer this phone from this number; `false` if somebody was given it after `since`.
pub async fn claim(tx: &Tx, number: NumberId, phone: &PhoneNumber, since: Time, now: Time) -> Result<bool> {
    let sql = "INSERT INTO auto_replies (number_id, phone_index, at) VALUES ($1, $2, $3)
               ON CONFLICT (number_id, phone_index) DO UPDATE SET at = excluded.at WHERE auto_replies.at <= $4";
    let index = tx.vault().phone_index(&phone.match_key()).0;
    let values = [number.0.into(), index.into(), now.into(), since.into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// Forgets those up to `before`, at most `limit`.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM auto_replies WHERE (number_id, phone_index) IN
               (SELECT number_id, phone_index FROM auto_replies WHERE at <= $1 ORDER BY at LIMIT $2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}
