//! Reading JSON bodies and query parameters: every wrong field is named at once, and none is repeated.

mod body;
mod nested;
mod parameters;

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use serde_json::{Map, Value};

use super::names;
use crate::domain::error::FieldError;

/// A value that can stand in a field of a body.
pub(super) trait Field: Type + Sized {
    /// Reads a value that is there; the error says the rule, never the value.
    fn read(value: Value) -> Result<Self, String>;

    /// The same for a value that has fields of its own: what is wrong in them stands under their own pointers.
    fn read_whole(value: Value) -> Result<Self, Vec<FieldError>> {
        Self::read(value).map_err(|detail| vec![FieldError::new("", detail)])
    }

    /// What an absent field means: an error unless the type says otherwise.
    fn absent() -> Option<Self> {
        None
    }
}

/// A body of named fields.
pub(super) trait FromFields: Type + Sized {
    /// The names of its fields.
    const NAMES: &'static [&'static str];

    /// Takes every field it knows; `None` if one of them was wrong.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// How many unknown fields of one object are named.
const MOST_UNKNOWN: usize = 100;

/// The fields of a body that nobody has taken yet, and what was wrong so far.
pub(super) struct Fields {
    left: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn take<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let outcome = match self.left.remove(name) {
            Some(value) => T::read_whole(value),
            None => T::absent().ok_or_else(|| vec![FieldError::new("", "is required")]),
        };
        outcome.map_err(|errors| self.errors.extend(under(&format!("/{name}"), errors))).ok()
    }

    /// Of these two fields exactly one must be there.
    pub(super) fn either(&mut self, one: &'static str, other: &'static str) {
        let is_given = |name| self.left.get(name).is_some_and(|value: &Value| !value.is_null());
        let wrong = match (is_given(one), is_given(other)) {
            (true, true) => FieldError::new(format!("/{other}"), format!("must not stand beside {one}")),
            (false, false) => FieldError::new(format!("/{one}"), format!("is required, or {other}")),
            _ => return,
        };
        self.errors.push(wrong);
    }

    fn finish<T: FromFields>(mut self) -> Result<T, Vec<FieldError>> {
        let parsed = T::from_fields(&mut self);
        self.errors.extend(self.left.keys().take(MOST_UNKNOWN).map(|name| {
            let detail = names::unknown(name, "a field of this request", T::NAMES.iter().copied());
            FieldError::new(names::pointer(name), detail)
        }));
        match parsed {
            Some(parsed) if self.errors.is_empty() => Ok(parsed),
            _ => Err(self.errors),
        }
    }
}

/// What is wrong inside of something, seen from outside of it.
fn under(place: &str, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors.into_iter().map(move |error| FieldError::new(format!("{place}{}", error.pointer), error.detail))
}

/// Gives a struct of fields its schema, with the docs of struct and fields as descriptions.
macro_rules! object_schema {
    ($name:ident, $title:expr, [$($doc:literal)*], { $( [$($fdoc:literal)*] $field:ident: $ty:ty ),+ }, $example:expr) => {
        impl poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Reference(Self::name().into_owned())
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                use poem_openapi::{registry::MetaSchema, types::Type};
                registry.create_schema::<Self, _>(Self::name().into_owned(), |registry| {
                    $( <$ty as Type>::register(registry); )+
                    MetaSchema {
                        description: Some(concat!($($doc),*).trim_ascii()),
                        required: [$( (stringify!($field), <$ty as Type>::IS_REQUIRED) ),+]
                            .into_iter()
                            .filter_map(|(name, required)| required.then_some(name))
                            .collect(),
                        properties: vec![$( (
                            stringify!($field),
                            <$ty as Type>::schema_ref().merge(MetaSchema {
                                description: Some(concat!($($fdoc),*).trim_ascii()),
                                ..MetaSchema::ANY
                            }),
                        ) ),+],
                        example: $example,
                        ..MetaSchema::new("object")
                    }
                });
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

/// Declares a request body: its type, its schema and its reading in one. `either a or b` demands exactly one of two
/// fields.
macro_rules! request_body {
    (
        $(#[doc = $doc:literal])*
        $name:ident { $( $(#[doc = $fdoc:literal])* $field:ident: $ty:ty ),+ $(,)? }
        $(either $one:ident or $other:ident)*
        example $example:tt
    ) => {
        $(#[doc = $doc])*
        pub(in crate::http) struct $name {
            $( $(#[doc = $fdoc])* pub(in crate::http) $field: $ty, )+
        }

        $crate::http::fields::object_schema!(
            $name, stringify!($name), [$($doc)*], { $( [$($fdoc)*] $field: $ty ),+ }, Some(serde_json::json!($example))
        );

        impl $crate::http::fields::FromFields for $name {
            const NAMES: &'static [&'static str] = &[$( stringify!($field) ),+];

            fn from_fields(fields: &mut $crate::http::fields::Fields) -> Option<Self> {
                $( fields.either(stringify!($one), stringify!($other)); )*
                $( let $field = fields.take::<$ty>(stringify!($field)); )+
                Some(Self { $( $field: $field? ),+ })
            }
        }
    };
}

/// Declares what an answer shows: its type, its schema and its writing in one. A field that is an `Option` is left out
/// when there is nothing; one that is [`Nullable`] is null then.
macro_rules! view {
    (
        $(#[doc = $doc:literal])*
        $name:ident as $title:literal { $( $(#[doc = $fdoc:literal])* $field:ident: $ty:ty ),+ $(,)? }
    ) => {
        $(#[doc = $doc])*
        pub(in crate::http) struct $name {
            $( $(#[doc = $fdoc])* pub(in crate::http) $field: $ty, )+
        }

        $crate::http::fields::object_schema!(
            $name, $title, [$($doc)*], { $( [$($fdoc)*] $field: $ty ),+ }, None
        );

        impl poem_openapi::types::ToJSON for $name {
            fn to_json(&self) -> Option<serde_json::Value> {
                let mut object = serde_json::Map::new();
                $( if let Some(value) = poem_openapi::types::ToJSON::to_json(&self.$field)
                    && !poem_openapi::types::Type::is_none(&self.$field)
                {
                    object.insert(stringify!($field).to_owned(), value);
                } )+
                Some(serde_json::Value::Object(object))
            }
        }
    };
}

pub(super) use body::{Draft, JsonBody, is_encoded, peek};
pub(super) use nested::{Inner, Many};
pub(super) use object_schema;
pub(super) use parameters::{Checked, Parameters, UnknownParameters};
pub(super) use request_body;
pub(super) use view;

/// Delegates the schema side of a wrapper to what it wraps, with null allowed or not.
macro_rules! delegate_type {
    ($wrapper:ident, required: $required:expr, nullable: $nullable:literal) => {
        impl<T: Type> Type for $wrapper<T> {
            const IS_REQUIRED: bool = $required;
            type RawValueType = T::RawValueType;
            type RawElementValueType = T::RawElementValueType;

            fn name() -> Cow<'static, str> {
                T::name()
            }

            fn schema_ref() -> MetaSchemaRef {
                match $nullable {
                    true => T::schema_ref().merge(MetaSchema { nullable: true, ..MetaSchema::ANY }),
                    false => T::schema_ref(),
                }
            }

            fn register(registry: &mut Registry) {
                T::register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                None
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
                Box::new(std::iter::empty())
            }
        }
    };
}
use delegate_type;

/// A field of a PATCH that cannot be cleared: absent leaves it as it is.
pub(super) struct PatchField<T>(pub(super) Option<T>);
delegate_type!(PatchField, required: false, nullable: false);

impl<T: Field> Field for PatchField<T> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Err("must not be null".to_owned()),
            value => T::read(value).map(|value| Self(Some(value))),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }
}

/// A field of a PATCH that `null` clears: absent leaves it as it is.
pub(super) struct NullablePatchField<T>(pub(super) Option<Option<T>>);
delegate_type!(NullablePatchField, required: false, nullable: true);

impl<T: Field> Field for NullablePatchField<T> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self(Some(None))),
            value => T::read(value).map(|value| Self(Some(Some(value)))),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }
}

/// A field of an answer that is always there, and null when there is nothing.
pub(super) struct Nullable<T>(pub(super) Option<T>);
delegate_type!(Nullable, required: true, nullable: true);

impl<T: ToJSON> ToJSON for Nullable<T> {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_ref().and_then(ToJSON::to_json).unwrap_or(Value::Null))
    }
}

/// An optional field: absent and null are the same.
impl<T: Field> Field for Option<T> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }

    fn read_whole(value: Value) -> Result<Self, Vec<FieldError>> {
        match value {
            Value::Null => Ok(None),
            value => T::read_whole(value).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Field for bool {
    fn read(value: Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "must be true or false".to_owned())
    }
}

/// A list of at most 32.
impl<T: Field> Field for Vec<T>
where
    Self: Type,
{
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(items) if items.len() <= 32 => {
                items.into_iter().map(T::read).collect::<Result<_, _>>().map_err(|detail| format!("each {detail}"))
            }
            _ => Err("must be a list of at most 32".to_owned()),
        }
    }
}
