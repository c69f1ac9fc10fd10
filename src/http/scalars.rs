//! The domain's values as they stand in JSON, each with its schema.

use std::borrow::Cow;

use chrono::{DateTime, Duration, FixedOffset, SecondsFormat};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use super::fields::Field;
use crate::{
    domain::{
        breaker::{BreakerReason, BreakerState},
        call::CallStatus,
        clock::Time,
        endpoint::{DisabledReason, EndpointStatus, RetryState},
        error::PoolLimit,
        event::EventType,
        ids::{ClientId, EndpointId, EventId, MessageId, NumberId, PersonId, RideId},
        message::{MessageKind, MessageStatus},
        number::{Capability, NumberStatus, ProviderName},
        outbound::PostFailure,
        person::Role,
        phone::PhoneNumber,
        pool::{Preference, Rejection},
        ride::{CloseReason, EndedBy, RideEventKind, RideStatus},
        scope::Scope,
        screen::EntryKind,
        target::TargetUrl,
        text::{ClientName, Description, ExternalId, Language, MessageText, Name, Place, TextUnit},
    },
    provider::CallResults,
    simulator::CallOutcome,
};

/// The planned time in the examples. A date in a committed document grows old, so Swagger UI shows tomorrow instead.
pub(super) const EXAMPLE_DATETIME: &str = "2026-12-01T18:30:00+01:00";

/// Gives a domain type its schema and its JSON form.
macro_rules! scalar {
    ($ty:ty, $name:literal, $schema:expr) => {
        impl Type for $ty {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }
    };
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a text".to_owned())
}

fn string(example: &str, max_length: usize) -> MetaSchema {
    MetaSchema {
        example: Some(example.into()),
        min_length: Some(1),
        max_length: Some(max_length),
        ..MetaSchema::new("string")
    }
}

macro_rules! texts {
    ($($ty:ident, $max:expr, $example:literal;)+) => {$(
        scalar!($ty, "text", string($example, $max));

        impl Field for $ty {
            fn read(value: Value) -> Result<Self, String> {
                Self::parse(text(&value)?).map_err(|wrong| wrong.to_string())
            }
        }

        impl ToJSON for $ty {
            fn to_json(&self) -> Option<Value> {
                Some(self.as_str().into())
            }
        }
    )+};
}

macro_rules! ids {
    ($($ty:ident),+) => {$(
        scalar!($ty, "id", MetaSchema {
            example: Some(42.into()),
            minimum: Some(1.0),
            ..MetaSchema::new_with_format("integer", "int64")
        });

        impl Field for $ty {
            fn read(value: Value) -> Result<Self, String> {
                match value.as_i64() {
                    Some(id) if id > 0 => Ok(Self(id)),
                    _ => Err("must be a positive whole number".to_owned()),
                }
            }
        }

        impl ToJSON for $ty {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.into())
            }
        }

        impl ParseFromParameter for $ty {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                match value.parse() {
                    Ok(id) if id > 0 => Ok(Self(id)),
                    _ => Err(ParseError::custom("not an id")),
                }
            }
        }
    )+};
}

macro_rules! enums {
    ($($ty:ident),+) => {$(
        scalar!($ty, "word", MetaSchema {
            enum_items: $ty::ALL.iter().map(|word| word.as_str().into()).collect(),
            ..MetaSchema::new("string")
        });

        impl Field for $ty {
            fn read(value: Value) -> Result<Self, String> {
                value.as_str().and_then(Self::parse).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    format!("must be one of {}", words.join(", "))
                })
            }
        }

        impl ToJSON for $ty {
            fn to_json(&self) -> Option<Value> {
                Some(self.as_str().into())
            }
        }
    )+};
}

texts! {
    Name, Self::MAX_CHARS, "Anna Jansen";
    Place, Self::MAX_CHARS, "Dam 1, Amsterdam";
    ExternalId, Self::MAX_CHARS, "user-8137";
    ClientName, Self::MAX_CHARS, "dispatch backend";
    Description, Self::MAX_CHARS, "order service";
    TargetUrl, Self::MAX_CHARS, "https://platform.example.com/maskline-events";
}
ids!(PersonId, NumberId, RideId, MessageId, ClientId, EndpointId, EventId);
enums!(
    CloseReason,
    RideStatus,
    RideEventKind,
    EndedBy,
    NumberStatus,
    Capability,
    MessageKind,
    MessageStatus,
    CallResults,
    TextUnit,
    BreakerReason,
    BreakerState,
    CallStatus,
    Role,
    Scope,
    EntryKind,
    CallOutcome,
    PoolLimit,
    Preference,
    Rejection,
    EventType,
    EndpointStatus,
    DisabledReason,
    RetryState,
    PostFailure
);

scalar!(
    Language,
    "language",
    MetaSchema { pattern: Some("^[A-Za-z]{2}(-[A-Za-z]{2})?$".to_owned()), ..string("nl", 5) }
);

impl Field for Language {
    fn read(value: Value) -> Result<Self, String> {
        Self::parse(text(&value)?).map_err(|wrong| wrong.to_string())
    }
}

impl ToJSON for Language {
    fn to_json(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

scalar!(
    PhoneNumber,
    "phone_number",
    MetaSchema { example: Some("+31612345678".into()), max_length: Some(32), ..MetaSchema::new("string") }
);

impl Field for PhoneNumber {
    fn read(value: Value) -> Result<Self, String> {
        Self::parse(text(&value)?).map_err(|wrong| wrong.to_string())
    }
}

scalar!(MessageText, "text", string("I am at the main entrance.", Self::MAX_CHARS));

impl Field for MessageText {
    fn read(value: Value) -> Result<Self, String> {
        Self::parse(text(&value)?).map_err(|wrong| wrong.to_string())
    }
}

scalar!(ProviderName, "provider", MetaSchema { pattern: Some("^[a-z]+$".to_owned()), ..string("messagebird", 32) });

impl Field for ProviderName {
    fn read(value: Value) -> Result<Self, String> {
        Self::parse(text(&value)?).ok_or_else(|| "must be the name of a provider".to_owned())
    }
}

impl ToJSON for ProviderName {
    fn to_json(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

/// A point in time with the offset that the platform gave (RFC 3339).
#[derive(Clone, Copy)]
pub(super) struct LocalTime(pub(super) DateTime<FixedOffset>);

scalar!(
    LocalTime,
    "datetime",
    MetaSchema { example: Some(EXAMPLE_DATETIME.into()), ..MetaSchema::new_with_format("string", "date-time") }
);

impl Field for LocalTime {
    fn read(value: Value) -> Result<Self, String> {
        let wrong =
            || "must be a date and time with an offset (RFC 3339), such as 2026-12-01T18:30:00+01:00".to_owned();
        let parsed = DateTime::parse_from_rfc3339(text(&value)?).map_err(|_| wrong())?;
        // To the millisecond, as everything is stored; and a year that both databases can hold.
        let parsed = DateTime::from_timestamp_millis(parsed.timestamp_millis())
            .filter(|time| (1970..=9999).contains(&chrono::Datelike::year(time)))
            .map(|time| time.with_timezone(parsed.offset()));
        parsed.map(Self).ok_or_else(wrong)
    }
}

impl ToJSON for LocalTime {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}

/// A length of time in whole seconds.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) Duration);

scalar!(
    Seconds,
    "seconds",
    MetaSchema { example: Some(3600.into()), minimum: Some(0.0), ..MetaSchema::new_with_format("integer", "int64") }
);

impl Field for Seconds {
    fn read(value: Value) -> Result<Self, String> {
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.ok_or_else(|| "must be a whole number of seconds, not negative".to_owned())?;
        Ok(Self(Duration::seconds(seconds.into())))
    }
}

/// A point in time in UTC.
#[derive(Clone, Copy)]
pub(super) struct Timestamp(pub(super) Time);

scalar!(
    Timestamp,
    "timestamp",
    MetaSchema {
        example: Some("2026-11-21T12:00:00.000Z".into()),
        ..MetaSchema::new_with_format("string", "date-time")
    }
);

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::Millis, true).into())
    }
}

/// A person's phone in an answer: in clear or masked, as the caller may see it.
pub(super) struct ShownPhone(pub(super) String);

impl ShownPhone {
    /// A phone: in clear for callers who may see it, masked for others.
    pub(super) fn of(phone: &PhoneNumber, reveal: bool) -> Self {
        Self(if reveal { phone.expose().to_owned() } else { phone.masked() })
    }
}

scalar!(ShownPhone, "shown_phone", MetaSchema { example: Some("+316••••••78".into()), ..MetaSchema::new("string") });

impl ToJSON for ShownPhone {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

/// How many items of a list: 1 to 200.
pub(super) struct Limit(pub(super) u64);

scalar!(
    Limit,
    "limit",
    MetaSchema { minimum: Some(1.0), maximum: Some(200.0), default: Some(50.into()), ..MetaSchema::new("integer") }
);

impl Field for Limit {
    fn read(value: Value) -> Result<Self, String> {
        let limit = value.as_u64().filter(|limit| (1..=200).contains(limit));
        limit.map(Self).ok_or_else(|| "must be a whole number from 1 to 200".to_owned())
    }
}

/// `asc` or `desc`.
pub(super) struct SortOrder(pub(super) crate::domain::page::Order);

scalar!(
    SortOrder,
    "order",
    MetaSchema {
        enum_items: vec!["asc".into(), "desc".into()],
        default: Some("asc".into()),
        ..MetaSchema::new("string")
    }
);

impl Field for SortOrder {
    fn read(value: Value) -> Result<Self, String> {
        use crate::domain::page::Order;
        match value.as_str() {
            Some("asc") => Ok(Self(Order::Ascending)),
            Some("desc") => Ok(Self(Order::Descending)),
            _ => Err("must be asc or desc".to_owned()),
        }
    }
}

/// A text filter of a list: not empty, at most 200 characters.
pub(super) struct NameFilter(pub(super) String);

scalar!(NameFilter, "words", string("An", 200));

impl Field for NameFilter {
    fn read(value: Value) -> Result<Self, String> {
        let words = text(&value)?;
        match words.chars().count() {
            1..=200 if !words.contains('\0') => Ok(Self(words.to_owned())),
            _ => Err("must be 1 to 200 characters".to_owned()),
        }
    }
}

/// Types of events, with commas between them.
pub(super) struct EventTypes(pub(super) Vec<EventType>);

scalar!(EventTypes, "event_types", string("ride.created,ride.cancelled", 400));

impl Field for EventTypes {
    fn read(value: Value) -> Result<Self, String> {
        let types: Option<Vec<_>> = text(&value)?.split(',').map(EventType::parse).collect();
        types.map(Self).ok_or_else(|| {
            let words: Vec<_> = EventType::ALL.iter().map(|word| word.as_str()).collect();
            format!("must be one or more, with commas between them, of {}", words.join(", "))
        })
    }
}

/// A two-letter country code.
pub(super) struct Country(pub(super) String);

scalar!(Country, "country", MetaSchema { pattern: Some("^[A-Za-z]{2}$".to_owned()), ..string("NL", 2) });

impl Field for Country {
    fn read(value: Value) -> Result<Self, String> {
        let code = text(&value)?;
        let shape = code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        shape.then(|| Self(code.to_ascii_uppercase())).ok_or_else(|| "must be a two-letter country code".to_owned())
    }
}

/// Where a list goes on: opaque to the caller.
pub(super) struct Cursor(pub(super) i64);

scalar!(Cursor, "cursor", MetaSchema { max_length: Some(64), ..MetaSchema::new("string") });

const CURSOR: &str = "after/";

impl Cursor {
    fn spell(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(format!("{CURSOR}{}", self.0))
    }
}

impl Field for Cursor {
    fn read(value: Value) -> Result<Self, String> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let spelled = URL_SAFE_NO_PAD.decode(text(&value)?).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let id = spelled.and_then(|text| text.strip_prefix(CURSOR)?.parse().ok());
        id.map(Self).ok_or_else(|| "must be the `next` of an earlier page".to_owned())
    }
}

impl ToJSON for Cursor {
    fn to_json(&self) -> Option<Value> {
        Some(self.spell().into())
    }
}
