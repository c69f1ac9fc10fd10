//! How the pool stands, as the platform was told last: one row, which all replicas share.

use sea_orm::ConnectionTrait as _;

use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        pool::PoolLevel,
    },
    store::{Db, Tx, row, statement},
};

/// How the pool stands.
pub async fn level(db: &impl Db) -> Result<PoolLevel> {
    let found = db.conn().query_one_raw(statement(db, "SELECT level FROM pool_level WHERE id = 1", [])).await?;
    let found = found.ok_or_else(|| Error::internal("nobody knows how the pool stands"))?;
    row::word(PoolLevel::parse, "level", &found.try_get::<String>("", "level")?)
}

/// Moves the pool from one level to another; `false` if it stands elsewhere by now: somebody else was faster.
pub async fn set_level(tx: &Tx, from: PoolLevel, to: PoolLevel, now: Time) -> Result<bool> {
    let sql = "UPDATE pool_level SET level = $1, since = $2 WHERE id = 1 AND level = $3";
    let values = [to.as_str().into(), now.into(), from.as_str().into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}
