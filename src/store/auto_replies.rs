//! Automatic replies: a number replies to a phone at most once in a given time.

use super::{Db as _, Tx, execute};
use crate::domain::{clock::Time, error::Result, ids::NumberId, phone::PhoneNumber};

/// Takes the right to reply to this phone from this number; `false` if it was taken after `since`.
pub async fn claim(tx: &Tx, number: NumberId, phone: &PhoneNumber, since: Time, now: Time) -> Result<bool> {
    let sql = "INSERT INTO auto_replies (number_id, phone_index, at) VALUES ($1, $2, $3)
               ON CONFLICT (number_id, phone_index) DO UPDATE SET at = excluded.at WHERE auto_replies.at <= $4";
    let index = tx.vault().phone_index(&phone.match_key());
    Ok(execute(tx, sql, [number.into(), index.into(), now.into(), since.into()]).await? > 0)
}
