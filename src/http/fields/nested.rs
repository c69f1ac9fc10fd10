//! Objects and lists of objects inside of a body: what is wrong in them is named by its place.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde_json::Value;

use super::{Field, Fields, FromFields, delegate_type, under};
use crate::domain::error::FieldError;

/// An object inside of a body.
pub(in crate::http) struct Inner<T>(pub(in crate::http) T);
delegate_type!(Inner, required: true, nullable: false);

impl<T: FromFields> Field for Inner<T> {
    fn read(value: Value) -> Result<Self, String> {
        Self::read_whole(value).map_err(|errors| errors.into_iter().map(|error| error.detail).collect())
    }

    fn read_whole(value: Value) -> Result<Self, Vec<FieldError>> {
        match value {
            Value::Object(left) => Fields { left, errors: Vec::new() }.finish().map(Self),
            _ => Err(vec![FieldError::new("", "must be an object")]),
        }
    }
}

/// A list of one to `MAX` objects inside of a body.
pub(in crate::http) struct Many<T, const MAX: usize>(pub(in crate::http) Vec<T>);

impl<T: Type, const MAX: usize> Type for Many<T, MAX> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("[{}]", T::name()).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(T::schema_ref())),
            min_items: Some(1),
            max_items: Some(MAX),
            ..MetaSchema::new("array")
        }))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: FromFields, const MAX: usize> Field for Many<T, MAX> {
    fn read(value: Value) -> Result<Self, String> {
        Self::read_whole(value).map_err(|errors| errors.into_iter().map(|error| error.detail).collect())
    }

    fn read_whole(value: Value) -> Result<Self, Vec<FieldError>> {
        let items = match value {
            Value::Array(items) if (1..=MAX).contains(&items.len()) => items,
            _ => return Err(vec![FieldError::new("", format!("must be a list of 1 to {MAX}"))]),
        };
        let (mut read, mut errors) = (Vec::new(), Vec::new());
        for (at, item) in items.into_iter().enumerate() {
            match Inner::read_whole(item) {
                Ok(Inner(item)) => read.push(item),
                Err(wrong) => errors.extend(under(&format!("/{at}"), wrong)),
            }
        }
        if errors.is_empty() { Ok(Self(read)) } else { Err(errors) }
    }
}
