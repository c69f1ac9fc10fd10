//! The meaning of database errors. Their own messages never leave this module, because they can contain values.

use std::borrow::Cow;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::Error as SqlxError;

use super::vault::SealError;
use crate::domain::error::{Conflict, Error, Result};

/// Database error without any value of a row: only its kind, its SQLSTATE or result code, and the constraint.
#[derive(Debug, thiserror::Error)]
#[error("{summary}")]
pub(crate) struct StoreError {
    summary: String,
    retriable: bool,
    unwritable: bool,
}

/// Unique index that enforces a rule of the domain. PostgreSQL names the index, SQLite lists the columns.
pub(super) struct Unique {
    index: &'static str,
    columns: &'static str,
}

/// Unique indexes whose violation is a conflict of the domain.
pub(super) mod uq {
    use super::Unique;

    pub(crate) const PEOPLE_EXTERNAL_ID: Unique =
        Unique { index: "people_external_id", columns: "people.role, people.external_id" };
    pub(crate) const RIDES_EXTERNAL_ID: Unique = Unique { index: "rides_external_id", columns: "rides.external_id" };
    pub(crate) const NUMBERS_MATCH_KEY: Unique = Unique { index: "numbers_match_key", columns: "numbers.match_key" };
}

/// Converts the violation of a rule into a conflict of the domain.
pub(super) trait OnUnique<T> {
    fn on_unique(self, rule: &Unique, conflict: Conflict) -> Result<T>;
}

impl<T> OnUnique<T> for std::result::Result<T, DbErr> {
    fn on_unique(self, rule: &Unique, conflict: Conflict) -> Result<T> {
        self.map_err(|failed| match failed.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(said))
                if said.contains(rule.index) || said.contains(rule.columns) =>
            {
                conflict.into()
            }
            _ => failed.into(),
        })
    }
}

/// Describes a failure for the log.
pub(super) fn describe(failed: &DbErr) -> String {
    match sqlx_error(failed) {
        Some(SqlxError::Database(cause)) => {
            let code = cause.code().unwrap_or_default();
            let constraint = cause.constraint().map(|name| format!(" on {name}")).unwrap_or_default();
            // Classes whose messages are about statements, resources and the server, never about values.
            let safe = code == "1"
                || ["08", "25", "42", "53", "57"].iter().any(|class| code.len() == 5 && code.starts_with(class));
            let message = if safe { format!(": {}", cause.message()) } else { String::new() };
            format!("database error {code}{constraint}{message}")
        }
        Some(SqlxError::Io(cause)) => format!("database connection: {}", cause.kind()),
        Some(SqlxError::ColumnDecode { index, .. }) => format!("database column {index} does not decode"),
        Some(SqlxError::PoolTimedOut) => "no database connection became free in time".to_owned(),
        Some(SqlxError::PoolClosed) => "the database pool is closed".to_owned(),
        Some(SqlxError::Tls(_)) => "database connection: TLS failed".to_owned(),
        Some(_) => "database protocol error".to_owned(),
        None => match failed {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
                "no database connection became free in time".to_owned()
            }
            DbErr::RecordNotInserted => "a row was not inserted".to_owned(),
            DbErr::Type(_) | DbErr::Query(RuntimeErr::Internal(_)) => "a database value does not decode".to_owned(),
            _ => "database error".to_owned(),
        },
    }
}

fn sqlx_error(failed: &DbErr) -> Option<&SqlxError> {
    match failed {
        DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause))
        | DbErr::Conn(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

/// Checks for a serialization failure or deadlock on PostgreSQL, or for busy or locked on SQLite.
fn asks_to_retry(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    matches!(cause.code().as_deref(), Some("40001" | "40P01" | "5" | "6" | "261" | "517"))
}

/// Checks whether a statement waited too long, usually for a lock that will soon be free.
fn is_busy(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    matches!(cause.code().as_deref(), Some("57014" | "55P03"))
}

/// Checks whether the connection broke or none can be made, or PostgreSQL is starting, stopping or out of connections.
fn is_unreachable(failed: &DbErr) -> bool {
    match sqlx_error(failed) {
        // A pool that cannot connect reports a time-out.
        Some(SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::PoolClosed | SqlxError::PoolTimedOut) => true,
        Some(SqlxError::Database(cause)) => cause
            .code()
            .is_some_and(|code| code.len() == 5 && ["08", "57P", "53"].iter().any(|class| code.starts_with(class))),
        _ => matches!(failed, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)),
    }
}

/// Checks whether the database answers but refuses writes: PostgreSQL is a standby or read-only (25006), or out of disk
/// or memory (class 53 except 53300, which is about connections); SQLite cannot write its file (8), failed to read or
/// write (10), is out of disk (13), or cannot open its files (14).
fn refuses_writes(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    match cause.code().as_deref() {
        Some("25006") => true,
        Some(class) if class.len() == 5 => class.starts_with("53") && class != "53300",
        // The lowest byte is the kind. The others say more about where it happened.
        Some(code) => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 8 | 10 | 13 | 14)),
        None => false,
    }
}

/// Checks whether the database answers but refuses writes.
pub fn is_unwritable(cause: &Error) -> bool {
    match cause {
        Error::Unavailable(cause) => cause.downcast_ref::<StoreError>().is_some_and(|cause| cause.unwritable),
        _ => false,
    }
}

/// Checks whether a sealed value does not open with the configured keys.
pub fn is_unopenable(cause: &Error) -> bool {
    matches!(cause, Error::Internal(cause) if cause.is::<SealError>())
}

/// Checks whether running the transaction again can help.
pub(super) fn is_retriable(cause: &Error) -> bool {
    match cause {
        Error::Internal(cause) => cause.downcast_ref::<StoreError>().is_some_and(|cause| cause.retriable),
        _ => false,
    }
}

impl From<DbErr> for Error {
    fn from(failed: DbErr) -> Self {
        if let DbErr::TryIntoErr { source, .. } = &failed
            && let Some(unknown) = source.downcast_ref::<UnknownValue>()
        {
            return Self::internal(unknown.clone());
        }
        if is_busy(&failed) {
            tracing::warn!(cause = %describe(&failed), "the database is busy");
            return Self::Busy { retry_after: chrono::Duration::seconds(1) };
        }
        let unwritable = refuses_writes(&failed);
        let cause = StoreError { summary: describe(&failed), retriable: asks_to_retry(&failed), unwritable };
        if unwritable || is_unreachable(&failed) { Self::Unavailable(cause.into()) } else { Self::internal(cause) }
    }
}

impl From<SealError> for Error {
    fn from(failed: SealError) -> Self {
        Self::internal(failed)
    }
}

/// Stored value that this build does not know. Names the column, never the value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("column {0} holds a value that is not known")]
pub(super) struct UnknownValue(Cow<'static, str>);

impl UnknownValue {
    pub(super) fn of(column: impl Into<Cow<'static, str>>) -> Self {
        Self(column.into())
    }
}

impl From<UnknownValue> for Error {
    fn from(unknown: UnknownValue) -> Self {
        Self::internal(unknown)
    }
}
