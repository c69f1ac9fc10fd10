//! What database errors mean. Their own words never leave this room: they can hold values.

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::Error as SqlxError;

use super::vault::SealError;
use crate::domain::{
    clock::Time,
    error::{Conflict, Error, Result},
};

/// A database error without anything a row might hold: kind, SQLSTATE or result code, constraint.
#[derive(Debug, thiserror::Error)]
#[error("{summary}")]
pub(crate) struct StoreError {
    summary: String,
    retriable: bool,
    unwritable: bool,
}

/// A unique index that stands for a rule of the domain: PostgreSQL names the index, SQLite lists the columns.
pub(super) struct Unique {
    index: &'static str,
    columns: &'static str,
}

/// The unique indexes whose violation is an answer.
pub(super) mod uq {
    use super::Unique;

    pub(crate) const PEOPLE_EXTERNAL_ID: Unique =
        Unique { index: "people_external_id", columns: "people.role, people.external_id" };
    pub(crate) const RIDES_EXTERNAL_ID: Unique = Unique { index: "rides_external_id", columns: "rides.external_id" };
    pub(crate) const NUMBERS_MATCH_KEY: Unique = Unique { index: "numbers_match_key", columns: "numbers.match_key" };
}

/// Turns a violated rule into the domain's word for it.
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

/// Says what failed, for the log.
pub(super) fn describe(failed: &DbErr) -> String {
    match sqlx_error(failed) {
        Some(SqlxError::Database(cause)) => {
            let code = cause.code().unwrap_or_default();
            let constraint = cause.constraint().map(|name| format!(" on {name}")).unwrap_or_default();
            // Classes whose messages speak of statements, resources and the server, never of values.
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

/// Serialization failure and deadlock on PostgreSQL, busy and locked on SQLite.
fn asks_to_retry(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    matches!(cause.code().as_deref(), Some("40001" | "40P01" | "5" | "6" | "261" | "517"))
}

/// A statement waited too long, for a lock as a rule: whoever holds it will be done soon.
fn is_busy(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    matches!(cause.code().as_deref(), Some("57014" | "55P03"))
}

/// The connection broke or none can be made; or PostgreSQL is starting, stopping, or has no slot left.
fn is_unreachable(failed: &DbErr) -> bool {
    match sqlx_error(failed) {
        // A pool that has nobody to connect to says that it timed out.
        Some(SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::PoolClosed | SqlxError::PoolTimedOut) => true,
        Some(SqlxError::Database(cause)) => cause
            .code()
            .is_some_and(|code| code.len() == 5 && ["08", "57P", "53"].iter().any(|class| code.starts_with(class))),
        _ => matches!(failed, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)),
    }
}

/// The database answers and cannot be written: PostgreSQL is a standby or was made read-only (25006), or has no room or
/// memory left (class 53, but for 53300, its connections); SQLite cannot write its file (8), read or write its disk (10),
/// has no room (13), or cannot open its files (14).
fn refuses_writes(failed: &DbErr) -> bool {
    let Some(SqlxError::Database(cause)) = sqlx_error(failed) else { return false };
    match cause.code().as_deref() {
        Some("25006") => true,
        Some(class) if class.len() == 5 => class.starts_with("53") && class != "53300",
        // The lowest byte is the kind; those above say more of where it happened.
        Some(code) => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 8 | 10 | 13 | 14)),
        None => false,
    }
}

/// Whether the database answers and does not let itself be written.
pub fn is_unwritable(cause: &Error) -> bool {
    match cause {
        Error::Unavailable(cause) => cause.downcast_ref::<StoreError>().is_some_and(|cause| cause.unwritable),
        _ => false,
    }
}

/// Whether a sealed value does not open, and never will under these keys.
pub fn is_unopenable(cause: &Error) -> bool {
    matches!(cause, Error::Internal(cause) if cause.is::<SealError>())
}

/// Whether running the transaction again can help.
pub(super) fn is_retriable(cause: &Error) -> bool {
    match cause {
        Error::Internal(cause) => cause.downcast_ref::<StoreError>().is_some_and(|cause| cause.retriable),
        _ => false,
    }
}

impl From<DbErr> for Error {
    fn from(failed: DbErr) -> Self {
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

/// A stored value that the code does not know.
#[derive(Debug, thiserror::Error)]
#[error("column {0} holds a value that is not known")]
pub(super) struct UnknownValue(pub(super) &'static str);

impl From<UnknownValue> for Error {
    fn from(unknown: UnknownValue) -> Self {
        Self::internal(unknown)
    }
}

/// Times are stored to the millisecond by the clock; this is what a comparison binds.
pub(super) fn time(time: Time) -> sea_orm::Value {
    time.into()
}
