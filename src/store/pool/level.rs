//! The fill level of the pool that was last announced to the platform: one row, which all replicas share.

use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        pool::PoolLevel,
    },
    store::{Db, Tx, execute, query_value},
};

pub async fn level(db: &impl Db) -> Result<PoolLevel> {
    let level = query_value(db, "SELECT level FROM pool_level WHERE id = 1", []).await?;
    level.ok_or_else(|| Error::internal("the row of the pool level is missing"))
}

/// Changes the level; `false` if it is no longer `from`, because another transaction was faster.
pub async fn set_level(tx: &Tx, from: PoolLevel, to: PoolLevel, now: Time) -> Result<bool> {
    let sql = "UPDATE pool_level SET level = $1, since = $2 WHERE id = 1 AND level = $3";
    Ok(execute(tx, sql, [to.into(), now.into(), from.into()]).await? > 0)
}
