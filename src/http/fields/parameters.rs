//! Query parameters, and what is wrong with a request outside of its body.

use std::borrow::Cow;

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use serde_json::Value;

use super::{Field, delegate_type};
use crate::{
    domain::error::FieldError,
    http::problem::{Code, Problem},
};

/// A query parameter that is checked by the handler together with the others.
pub(in crate::http) struct Checked<T>(Result<T, String>);
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

/// What the guard found wrong with a request's parameters and headers.
#[derive(Clone)]
pub(in crate::http) struct UnknownParameters {
    /// Each of them.
    pub(in crate::http) errors: Vec<FieldError>,
    /// The operation takes neither a body nor parameters that could be wrong too: this is all there is.
    pub(in crate::http) are_all: bool,
}

impl UnknownParameters {
    /// What is wrong with this request so far.
    pub(in crate::http) fn of(request: &Request) -> Vec<FieldError> {
        request.data::<Self>().map(|strays| strays.errors.clone()).unwrap_or_default()
    }
}

/// Collects what is wrong with the parameters of a request, beginning with what the guard found.
pub(in crate::http) struct Parameters(Vec<FieldError>);

impl<'a> FromRequest<'a> for Parameters {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(UnknownParameters::of(request)))
    }
}

impl Parameters {
    /// Takes a parameter; a wrong one counts as absent until [`finish`](Self::finish) tells.
    pub(in crate::http) fn take<T>(&mut self, name: &'static str, value: Option<Checked<T>>) -> Option<T> {
        let outcome = value?.0;
        outcome.map_err(|detail| self.0.push(FieldError::new(name, detail))).ok()
    }

    /// One of them, or of the headers, is wrong.
    pub(in crate::http) fn are_wrong(&self) -> bool {
        !self.0.is_empty()
    }

    /// All of them were right, or this is what to answer.
    pub(in crate::http) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::of(Code::InvalidParameter).with_errors(self.0)) }
    }

    /// They and the body were right, or this is what to answer: all that is wrong at once.
    pub(super) fn finish_with(self, in_body: Vec<FieldError>) -> Result<(), Problem> {
        match (self.0.is_empty(), in_body.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(Problem::of(Code::InvalidRequest).with_errors(in_body)),
            (false, _) => Err(Problem::of(Code::InvalidParameter).with_errors([self.0, in_body].concat())),
        }
    }
}
