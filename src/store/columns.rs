//! How each domain type is stored in a column. Domain types know nothing of SeaORM, so its value traits are implemented
//! here, once per type, and entities and rows hold domain types.
//!
//! A time is a [`Time`](crate::domain::clock::Time), which SeaORM stores itself. Sealed values are not columns of a
//! domain type: they pass through the vault explicitly.

use std::sync::Arc;

use sea_orm::{
    ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};

use super::{PhoneIndex, error::UnknownValue, inbox::EventKind};
use crate::domain::{
    breaker::BreakerReason,
    call::CallStatus,
    endpoint::{DisabledReason, EndpointStatus, RetryState},
    event::EventType,
    ids::{CallId, ClientId, EndpointId, EventId, MessageId, NumberId, PersonId, ProcessId, RideId, SendId},
    message::{MessageKind, MessageStatus, PartState},
    number::{NumberStatus, ProviderName},
    outbound::PostFailure,
    person::Role,
    phone::PhoneNumber,
    pool::{PoolLevel, Rejection},
    ride::{CloseReason, EndedBy, RideEventKind, RideStatus},
    scope::{Scope, Scopes},
    screen::EntryKind,
    target::TargetUrl,
    text::{ClientName, Description, ExternalId, Language, Name, Place},
};

/// Phone number of the pool. It belongs to the platform, so it is stored in clear, unlike a person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyNumber(pub(super) PhoneNumber);

/// Event types of an endpoint. Empty if this build knows none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventTypes(pub(super) Vec<EventType>);

/// Implements the value traits for types that are stored as `$raw`. Reading fails on `None`.
macro_rules! columns {
    ($raw:ty, |$value:ident| $write:expr, |$stored:ident| $read:expr, [$($name:ty),+ $(,)?]) => {$(
        impl From<&$name> for Value {
            fn from($value: &$name) -> Self {
                let raw: $raw = $write;
                raw.into()
            }
        }

        impl From<$name> for Value {
            fn from(value: $name) -> Self {
                (&value).into()
            }
        }

        impl Nullable for $name {
            fn null() -> Value {
                <$raw>::null()
            }
        }

        impl ValueType for $name {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                let $stored = <$raw as ValueType>::try_from(value)?;
                $read.ok_or(ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($name).to_owned()
            }

            fn array_type() -> ArrayType {
                <$raw>::array_type()
            }

            fn column_type() -> ColumnType {
                <$raw>::column_type()
            }
        }

        impl TryGetable for $name {
            fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                let $stored = <$raw>::try_get_by(row, index)?;
                $read.ok_or_else(|| unknown(&index))
            }
        }
    )+};
}

/// Implements the value traits for IDs, which can be primary keys.
macro_rules! ids {
    ($($name:ty),+ $(,)?) => {
        columns!(i64, |id| id.0, |raw| Some(Self(raw)), [$($name),+]);

        $(impl TryFromU64 for $name {
            fn try_from_u64(id: u64) -> Result<Self, DbErr> {
                i64::try_from_u64(id).map(Self)
            }
        })+
    };
}

ids![CallId, ClientId, EndpointId, EventId, MessageId, NumberId, PersonId, ProcessId, RideId, SendId];

columns!(
    String,
    |word| word.as_str().to_owned(),
    |raw| Self::parse(&raw),
    [
        BreakerReason,
        CallStatus,
        CloseReason,
        DisabledReason,
        EndedBy,
        EndpointStatus,
        EntryKind,
        EventKind,
        EventType,
        MessageKind,
        MessageStatus,
        NumberStatus,
        PartState,
        PoolLevel,
        PostFailure,
        ProviderName,
        Rejection,
        RetryState,
        RideEventKind,
        RideStatus,
        Role,
    ]
);

columns!(
    String,
    |text| text.as_str().to_owned(),
    |raw| Some(Self::from_stored(raw)),
    [ClientName, Description, ExternalId, Language, Name, Place, TargetUrl]
);

columns!(
    String,
    |number| number.0.expose().to_owned(),
    |raw| PhoneNumber::from_wire(&raw).ok().map(Self),
    [ProxyNumber]
);

// Names that this build does not know (after going back a version) are left out rather than refused.
columns!(
    String,
    |types| types.0.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" "),
    |raw| Some(Self(raw.split(' ').filter_map(EventType::parse).collect())),
    [EventTypes]
);
columns!(String, |scopes| scopes.to_string(), |raw| Some(raw.split(' ').filter_map(Scope::parse).collect()), [Scopes]);

columns!(Vec<u8>, |index| index.0.clone(), |raw| Some(Self(raw)), [PhoneIndex]);

fn unknown(column: &impl ColIdx) -> TryGetError {
    let unknown = UnknownValue::of(column.as_str().unwrap_or("?").to_owned());
    TryGetError::DbErr(DbErr::TryIntoErr { from: "column", into: "domain type", source: Arc::new(unknown) })
}

#[cfg(test)]
mod tests {
    use sea_orm::{Database, DatabaseConnection, FromQueryResult, Statement};

    use super::*;
    use crate::domain::error::{Error, Result};

    #[derive(Debug, FromQueryResult)]
    struct Row {
        ride_id: RideId,
        role: Role,
        status: Option<MessageStatus>,
    }

    async fn read(db: &DatabaseConnection, sql: &str) -> Result<Row> {
        let statement = Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
        Row::find_by_statement(statement).one(db).await?.ok_or(Error::NotFound)
    }

    #[tokio::test]
    async fn an_unknown_word_is_an_error_that_names_the_column() {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        let row = read(&db, "SELECT 7 AS ride_id, 'driver' AS role, NULL AS status").await.expect("a row");
        assert_eq!((row.ride_id, row.role, row.status), (RideId(7), Role::Driver, None));
        for (column, sql) in [
            ("role", "SELECT 7 AS ride_id, 'canary' AS role, 'sent' AS status"),
            ("status", "SELECT 7 AS ride_id, 'driver' AS role, 'canary' AS status"),
        ] {
            let failed = read(&db, sql).await.expect_err("an unknown word");
            let Error::Internal(cause) = failed else { panic!("{failed}") };
            assert_eq!(cause.to_string(), format!("column {column} holds a value that is not known"));
        }
    }

    #[test]
    fn values_are_what_was_written() {
        assert_eq!(Value::from(RideId(7)), Value::BigInt(Some(7)));
        assert_eq!(Value::from(None::<RideId>), Value::BigInt(None));
        assert_eq!(Value::from(&ProviderName::of("simulator")), Value::String(Some("simulator".to_owned())));
        assert!(<Role as ValueType>::try_from(Role::Driver.into()).is_ok_and(|role| role == Role::Driver));
        assert!(<Role as ValueType>::try_from("canary".into()).is_err());
    }
}
