//! Reading JSON bodies and query parameters: every wrong field is named at once, and none is repeated.

mod nested;

use std::borrow::Cow;

use poem::{FromRequest, Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::{Map, Value};

use super::problem::Problem;
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
    /// Takes every field it knows; `None` if one of them was wrong.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The fields of a body that nobody has taken yet, and what was wrong so far.
pub(super) struct Fields {
    left: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Takes a field.
    pub(super) fn take<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let outcome = match self.left.remove(name) {
            Some(value) => T::read_whole(value),
            None => T::absent().ok_or_else(|| vec![FieldError::new("", "is required")]),
        };
        outcome.map_err(|errors| self.errors.extend(under(&format!("/{name}"), errors))).ok()
    }

    fn finish<T: FromFields>(mut self) -> Result<T, Vec<FieldError>> {
        let parsed = T::from_fields(&mut self);
        // The names of unknown fields are the caller's own words: shown only where they look like names.
        self.errors
            .extend(self.left.keys().map(|name| FieldError::new(pointer(name), "is not a field of this request")));
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

fn pointer(name: &str) -> String {
    let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { format!("/{name}") } else { "/".to_owned() }
}

/// A JSON body, read whole.
pub(super) struct Body<T> {
    /// What it says.
    pub(super) value: T,
    /// The same in canonical form, to tell a repeated request from another one.
    pub(super) canonical: Vec<u8>,
}

impl<'a, T: FromFields> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !is_json(request.header(header::CONTENT_TYPE)) {
            return Err(Problem::of("unsupported_media_type").into());
        }
        let bytes = <Vec<u8> as FromRequest>::from_request(request, body).await?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| Problem::of("malformed_json"))?;
        // Keys are sorted by the map: one request, one form.
        let canonical = value.to_string().into_bytes();
        let Inner(value) =
            Inner::read_whole(value).map_err(|errors| Problem::of("invalid_request").with_errors(errors))?;
        Ok(Self { value, canonical })
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return false };
    let mut pieces = content_type.split(';').map(str::trim);
    let is_json = pieces.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let charset = pieces.find_map(|piece| piece.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    is_json && charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"))
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

/// Declares a request body: its type, its schema and its reading in one.
macro_rules! request_body {
    (
        $(#[doc = $doc:literal])*
        $name:ident { $( $(#[doc = $fdoc:literal])* $field:ident: $ty:ty ),+ $(,)? }
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
            fn from_fields(fields: &mut $crate::http::fields::Fields) -> Option<Self> {
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

pub(super) use nested::{Inner, Many};
pub(super) use object_schema;
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
pub(super) struct Keep<T>(pub(super) Option<T>);
delegate_type!(Keep, required: false, nullable: false);

impl<T: Field> Field for Keep<T> {
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
pub(super) struct Clear<T>(pub(super) Option<Option<T>>);
delegate_type!(Clear, required: false, nullable: true);

impl<T: Field> Field for Clear<T> {
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

/// A query parameter that is checked by the handler together with the others.
pub(super) struct Checked<T>(Result<T, String>);
delegate_type!(Checked, required: T::IS_REQUIRED, nullable: false);

impl<T: Field> ParseFromParameter for Checked<T> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        // A parameter is text; a field that is a number or a truth value is spelled in it.
        let spelled = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text if !text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
            }
            text => Value::String(text.to_owned()),
        };
        let as_text = || T::read(Value::String(value.to_owned()));
        Ok(Self(T::read(spelled).or_else(|detail| as_text().map_err(|_| detail))))
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse_from_parameter(value.as_ref()),
            (Some(_), Some(_)) => Ok(Self(Err("must not be repeated".to_owned()))),
            (None, _) => Err(ParseError::expected_input()),
        }
    }
}

/// Query parameters that the operation does not have, as the guard found them.
#[derive(Clone)]
pub(super) struct Strays(pub(super) Vec<FieldError>);

/// Collects what is wrong with the parameters of a request, beginning with those that it does not have.
pub(super) struct Parameters(Vec<FieldError>);

impl<'a> FromRequest<'a> for Parameters {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(request.data::<Strays>().map(|strays| strays.0.clone()).unwrap_or_default()))
    }
}

impl Parameters {
    /// Takes a parameter; a wrong one counts as absent until [`finish`](Self::finish) tells.
    pub(super) fn take<T>(&mut self, name: &'static str, value: Option<Checked<T>>) -> Option<T> {
        let outcome = value?.0;
        outcome.map_err(|detail| self.0.push(FieldError::new(name, detail))).ok()
    }

    /// All of them were right, or this is what to answer.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::of("invalid_parameter").with_errors(self.0)) }
    }
}
