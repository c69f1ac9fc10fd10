//! Answers with the headers that belong to them, and lists.

use std::borrow::Cow;

use poem::{
    IntoResponse, Response,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload as _},
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};

use serde_json::Value;

use super::{
    etag,
    fields::{Checked, Nullable, Parameters},
    problem::{Answer, Code, Problem},
    scalars::{Cursor, Limit, SortOrder},
};
use crate::{
    domain::{
        client::ApiCaller,
        error::FieldError,
        page::{Page, PageRequest},
        version::ExpectedVersion,
    },
    service::{Context, RequestId, once},
};

/// A JSON answer with this status.
pub(super) struct Reply<const STATUS: u16, T> {
    body: T,
    etag: Option<i64>,
    location: Option<String>,
}

/// `200 OK`.
pub(super) type Found<T> = Reply<200, T>;
/// `201 Created`.
pub(super) type Created<T> = Reply<201, T>;
/// `202 Accepted`.
pub(super) type Accepted<T> = Reply<202, T>;

impl<const STATUS: u16, T> Reply<STATUS, T> {
    pub(super) fn new(body: T) -> Self {
        Self { body, etag: None, location: None }
    }

    /// With the version of what is answered.
    pub(super) fn version(self, version: i64) -> Self {
        Self { etag: Some(version), ..self }
    }

    /// With the path of what was made.
    pub(super) fn at(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }
}

impl<const STATUS: u16, T: ToJSON> IntoResponse for Reply<STATUS, T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        response.set_status(StatusCode::from_u16(STATUS).unwrap_or(StatusCode::OK));
        let headers = response.headers_mut();
        if let Some(tag) = self.etag.and_then(|version| HeaderValue::from_str(&etag::spell(version)).ok()) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|path| HeaderValue::from_str(&path).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

impl<const STATUS: u16, T: ToJSON> ApiResponse for Reply<STATUS, T> {
    fn meta() -> MetaResponses {
        let description = match STATUS {
            201 => "Created. `Location` is its path, `ETag` its version.",
            202 => "Accepted: stored, and sent from now on.",
            _ => "OK",
        };
        let content = vec![MetaMediaType { content_type: "application/json", schema: Json::<T>::schema_ref() }];
        let status = Some(STATUS);
        MetaResponses {
            responses: vec![MetaResponse { description, status, status_range: None, content, headers: Vec::new() }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// One of two answers, as the request asks.
pub(super) enum OneOf<A, B> {
    First(A),
    Second(B),
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for OneOf<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::First(answer) => answer.into_response(),
            Self::Second(answer) => answer.into_response(),
        }
    }
}

impl<A: ApiResponse, B: ApiResponse> ApiResponse for OneOf<A, B> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: A::meta().responses.into_iter().chain(B::meta().responses).collect() }
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
        B::register(registry);
    }
}

/// `204 No Content`.
pub(super) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        let (description, status) = ("Done.", Some(204));
        let response = MetaResponse { description, status, status_range: None, content: vec![], headers: vec![] };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}

/// A page of a list.
pub(super) struct List<T> {
    items: Vec<T>,
    next: Nullable<Cursor>,
}

impl<T: ToJSON> List<T> {
    pub(super) fn of<U>(page: Page<U>, each: impl FnMut(U) -> T) -> Found<Self> {
        let page = page.map(each);
        Found::new(Self { items: page.items, next: Nullable(page.next.map(Cursor)) })
    }
}

impl<T: ToJSON> ToJSON for List<T> {
    fn to_json(&self) -> Option<Value> {
        Some(serde_json::json!({ "items": self.items.to_json(), "next": self.next.to_json() }))
    }
}

impl<T: ToJSON> Type for List<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| {
            let describe = |schema: MetaSchemaRef, description| {
                schema.merge(MetaSchema { description: Some(description), ..MetaSchema::ANY })
            };
            MetaSchema {
                description: Some("A page of a list."),
                required: vec!["items", "next"],
                properties: vec![
                    ("items", describe(Vec::<T>::schema_ref(), "The items, by id.")),
                    (
                        "next",
                        describe(
                            Nullable::<Cursor>::schema_ref(),
                            "Pass it as `after` to go on; null on the last page.",
                        ),
                    ),
                ],
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

/// The paging parameters that every list takes.
pub(super) fn page(
    parameters: &mut Parameters,
    limit: Option<Checked<Limit>>,
    after: Option<Checked<Cursor>>,
    order: Option<Checked<SortOrder>>,
) -> PageRequest {
    PageRequest {
        limit: parameters.take("limit", limit).map_or(50, |limit| limit.0),
        after: parameters.take("after", after).map(|cursor| cursor.0),
        order: parameters.take("order", order).map(|order| order.0).unwrap_or_default(),
    }
}

/// The versions that `If-Match` names. The guard has refused what cannot be read.
pub(super) fn expected(if_match: Option<&str>) -> ExpectedVersion {
    let Some(if_match) = if_match else { return ExpectedVersion::Any };
    etag::if_match(if_match).unwrap_or_else(|| ExpectedVersion::OneOf(Vec::new()))
}

/// What an `Idempotency-Key` must be.
pub(super) const IDEMPOTENCY_KEY_RULE: &str = "must be 1 to 255 visible ASCII characters";

pub(super) fn is_idempotency_key(key: &str) -> bool {
    (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
}

/// What names this request across repeats. `scope` is what the body is about beside its words, such as the path.
pub(super) fn request_id(
    ctx: &Context,
    caller: &ApiCaller,
    operation: &'static str,
    key: Option<String>,
    (scope, canonical): (&str, &[u8]),
) -> Answer<RequestId> {
    if key.as_ref().is_some_and(|key| !is_idempotency_key(key)) {
        let wrong = FieldError::new("Idempotency-Key", IDEMPOTENCY_KEY_RULE);
        return Err(Problem::of(Code::InvalidParameter).with_errors(vec![wrong]));
    }
    let fingerprint = once::fingerprint(ctx, &[scope.as_bytes(), b"\n", canonical].concat());
    Ok(RequestId { caller: caller.clone(), operation, key, fingerprint })
}
