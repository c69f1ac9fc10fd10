//! Errors as the caller sees them: problem documents (RFC 9457). The only place that turns an error into HTTP.
//!
//! A document names a stable `code` and every wrong field, and repeats no value that was sent: it may be personal.

use poem::{
    Error as PoemError, IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ParsePathError as UndecodablePath, ReadBodyError, ResponseError},
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    error::{AuthorizationError, ContentTypeError, ParsePathError},
    registry::{MetaResponses, Registry},
};
use serde::Serialize;

use crate::{
    domain::{
        error::{Conflict, Error, FieldError, Invalid, PoolLimit},
        ids::RideId,
    },
    service::NotReady,
};

/// Declares [`Code`] with the table of its codes, statuses and meanings.
macro_rules! codes {
    ($($code:ident = $text:literal, $status:ident, $meaning:literal;)+) => {
        /// A code that is not a [`Conflict`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code { $($code),+ }

        impl Code {
            pub(super) const ALL: &'static [Self] = &[$(Self::$code),+];

            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text),+ }
            }

            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status),+ }
            }

            /// A sentence for the document and for an answer that knows no better.
            pub(super) fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning),+ }
            }
        }
    };
}

codes! {
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not JSON.";
    MalformedBody = "malformed_body", BAD_REQUEST, "The body does not arrive whole, or is not what its type says.";
    InvalidParameter = "invalid_parameter", BAD_REQUEST,
        "A query parameter or header is unknown or does not have its form: `errors` names each, and wrong fields too.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "There is no valid access token.";
    MissingScope = "missing_scope", FORBIDDEN, "The token lacks a scope that this request needs.";
    NotFound = "not_found", NOT_FOUND, "There is no such thing, or no longer.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not take this method.";
    StaleVersion = "stale_version", PRECONDITION_FAILED, "`If-Match` names another version than the present one.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is over 64 KiB.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The body's content type is not the one that this operation takes, or it has a `Content-Encoding`.";
    InvalidRequest = "invalid_request", UNPROCESSABLE_ENTITY, "Fields are missing, unknown, repeated or wrong: `errors` names each.";
    SamePhone = "same_phone", UNPROCESSABLE_ENTITY, "Customer and driver have the same phone number.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request.";
    Busy = "busy", TOO_MANY_REQUESTS, "Too much at once. Come back after `Retry-After` seconds.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "The client has used up a limit: without `phone_numbers:reveal` it may compare 10 different phone numbers an hour \
         with each person, and make 10 dry runs a minute. Come back after `Retry-After` seconds.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Our fault. The request id finds it in the log.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        "The database does not answer or takes no writes, or this process is not ready or has too much to do.";
}

impl From<Invalid> for Code {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Fields => Self::InvalidRequest,
            Invalid::SamePhone => Self::SamePhone,
            Invalid::IdempotencyKeyReused => Self::IdempotencyKeyReused,
        }
    }
}

/// An error on its way out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}")]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    more: Option<Box<More>>,
    retry_after: Option<i64>,
    challenge: Option<&'static str>,
}

/// What some codes say beside their detail; the member that it is goes by its name.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum More {
    Limit(PoolLimit),
    OpenRides(i64),
    Rides(Vec<RideId>),
    Reason(NotReady),
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field<'a>>,
    #[serde(flatten)]
    more: Option<&'a More>,
}

#[derive(Serialize)]
struct Field<'a> {
    pointer: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn of(code: Code) -> Self {
        let status = code.status();
        Self {
            status,
            code: code.as_str(),
            detail: code.meaning().to_owned(),
            errors: Vec::new(),
            more: None,
            retry_after: None,
            challenge: (status == StatusCode::UNAUTHORIZED).then_some("Bearer"),
        }
    }

    pub(super) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    pub(super) fn missing_scope(scope: &'static str) -> Self {
        Self { detail: format!("This request needs the scope {scope}."), ..Self::of(Code::MissingScope) }
    }

    pub(super) fn invalid_token() -> Self {
        Self { challenge: Some(r#"Bearer error="invalid_token""#), ..Self::of(Code::Unauthorized) }
    }

    pub(super) fn not_ready(why: NotReady) -> Self {
        let more = Some(Box::new(More::Reason(why)));
        Self { detail: why.detail().to_owned(), more, retry_after: Some(1), ..Self::of(Code::Unavailable) }
    }

    /// As many requests as can be are being worked on.
    pub(super) fn too_many_requests() -> Self {
        let detail = "This process has too many requests to work on.".to_owned();
        Self { detail, retry_after: Some(1), ..Self::of(Code::Unavailable) }
    }

    fn conflict(conflict: Conflict, more: Option<More>) -> Self {
        let detail = conflict.detail().to_owned();
        Self {
            status: StatusCode::CONFLICT,
            code: conflict.as_str(),
            detail,
            more: more.map(Box::new),
            ..Self::of(Code::Internal)
        }
    }

    /// What an error that no handler made (routing, extraction, a panic) looks like.
    pub(super) fn of_framework(error: &PoemError) -> Self {
        if let Some(problem) = error.downcast_ref::<Self>() {
            return problem.clone();
        }
        let is_body = |wanted: fn(&ReadBodyError) -> bool| error.downcast_ref::<ReadBodyError>().is_some_and(wanted);
        let no_such_path = error.is::<NotFoundError>() || error.is::<ParsePathError>() || error.is::<UndecodablePath>();
        let code = if no_such_path {
            Code::NotFound
        } else if error.is::<MethodNotAllowedError>() {
            Code::MethodNotAllowed
        } else if error.is::<AuthorizationError>() {
            Code::Unauthorized
        } else if error.is::<ContentTypeError>() {
            Code::UnsupportedMediaType
        } else if is_body(|cause| matches!(cause, ReadBodyError::PayloadTooLarge)) {
            Code::BodyTooLarge
        } else if is_body(|_| true) {
            Code::MalformedBody
        } else if error.status().is_client_error() {
            Code::InvalidParameter
        } else {
            tracing::error!(status = error.status().as_u16(), "unexpected framework error");
            Code::Internal
        };
        Self::of(code)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::of(Code::NotFound),
            Error::Conflict(conflict) => Self::conflict(conflict, None),
            Error::Conflicts(conflict, errors) => Self::conflict(conflict, None).with_errors(errors),
            Error::NumberInUse(rides) => Self::conflict(Conflict::NumberInUse, Some(More::OpenRides(rides))),
            Error::PhoneBarred(rides) => Self::conflict(Conflict::PhoneBarred, Some(More::Rides(rides))),
            Error::PoolDepleted(limit) => Self::conflict(Conflict::NumberPoolDepleted, Some(More::Limit(limit))),
            Error::Invalid(invalid, errors) => Self::of(invalid.into()).with_errors(errors),
            Error::Stale => Self::of(Code::StaleVersion),
            Error::Unauthorized => Self::invalid_token(),
            Error::Outranked => Self {
                detail: "Your token lacks a scope that this client has.".to_owned(),
                ..Self::of(Code::MissingScope)
            },
            Error::MissingScope(scope) => Self::missing_scope(scope.as_str()),
            Error::Busy { retry_after } => {
                Self { retry_after: Some(retry_after.num_seconds().max(1)), ..Self::of(Code::Busy) }
            }
            Error::Limited { retry_after } => {
                let seconds = (retry_after.num_milliseconds().max(1) + 999) / 1000;
                Self { retry_after: Some(seconds), ..Self::of(Code::RateLimited) }
            }
            Error::Uncounted(_) => {
                tracing::error!("a use case left comparisons uncounted");
                Self::of(Code::Internal)
            }
            Error::Unavailable(cause) => {
                tracing::error!(%cause, "a request failed");
                Self { retry_after: Some(1), ..Self::of(Code::Unavailable) }
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                Self::of(Code::Internal)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: self.errors.iter().map(|field| Field { pointer: &field.pointer, detail: &field.detail }).collect(),
            more: self.more.as_deref(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::builder().status(self.status).content_type("application/problem+json").body(body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.clone().into_response()
    }
}

/// Which problems an operation can answer is put into the document by [`super::spec`], for all operations alike.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_: &mut Registry) {}
}

/// The result of a handler.
pub(super) type Answer<T> = Result<T, Problem>;
