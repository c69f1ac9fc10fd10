//! What stands around every request: an id, a limit on its body, a check of its parameters' names and of its headers, a
//! line in the log.
//!
//! The log names the operation, never the address: addresses of webhooks and of the simulator hold phone numbers.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use poem::{
    Body, Endpoint, IntoResponse as _, Middleware, Request, Response, Result,
    http::{HeaderName, HeaderValue, Method, StatusCode, Version, header, uri::Authority},
};
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, time::timeout};
use tracing::Instrument as _;

use super::{
    etag,
    fields::UnknownParameters,
    names,
    pages::PATHS,
    problem::{Code, Problem},
    reply,
    server::ActiveRequest,
};
use crate::domain::{error::FieldError, hex::is_uuid};

/// Largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How much of a larger one is read and dropped, in bytes.
const DROPPED: u64 = 1024 * 1024;
/// How long a body may take to arrive: whoever sends a byte at a time must not hold a place for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many unknown parameters are named.
const MOST_UNKNOWN: usize = 100;
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the document says of one path.
struct KnownPath {
    segments: Vec<Segment>,
    operations: Vec<Operation>,
}

enum Segment {
    Is(String),
    Any,
}

struct Operation {
    method: Method,
    id: String,
    parameters: Vec<String>,
    headers: Vec<String>,
    has_body: bool,
}

impl KnownPath {
    fn operation(&self, method: &Method) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.method == method)
    }

    /// Whether HEAD is answered as GET is, without the body. Webhooks have effects, which HEAD must not have.
    fn takes_head(&self) -> bool {
        let is_webhook = matches!(self.segments.first(), Some(Segment::Is(first)) if first == "webhooks");
        !is_webhook && self.operation(&Method::GET).is_some()
    }

    fn matches(&self, path: &str) -> bool {
        let mut asked = path.trim_start_matches('/').split('/');
        self.segments.iter().all(|segment| match (segment, asked.next()) {
            (Segment::Is(known), Some(asked)) => known == asked,
            (Segment::Any, Some(asked)) => !asked.is_empty(),
            (_, None) => false,
        }) && asked.next().is_none()
    }
}

/// The middleware, with the paths of the document.
#[derive(Clone)]
pub(super) struct Guard(Arc<Vec<KnownPath>>);

impl Guard {
    /// Whether this is a path of the service.
    pub(super) fn knows(&self, path: &str) -> bool {
        self.0.iter().any(|known| known.matches(path))
    }

    pub(super) fn new(document: &Value) -> Self {
        let paths = document["paths"].as_object().into_iter().flatten();
        let known = paths.map(|(path, item)| KnownPath {
            segments: path
                .trim_start_matches('/')
                .split('/')
                .map(|segment| if segment.starts_with('{') { Segment::Any } else { Segment::Is(segment.to_owned()) })
                .collect(),
            operations: item
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(method, operation)| {
                    let parameters = operation["parameters"].as_array().into_iter().flatten();
                    let named = |place: &str| {
                        let there = parameters.clone().filter(|parameter| parameter["in"] == place);
                        there.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
                    };
                    Some(Operation {
                        method: method.to_ascii_uppercase().parse().ok()?,
                        id: operation["operationId"].as_str()?.to_owned(),
                        parameters: named("query"),
                        headers: named("header"),
                        has_body: !operation["requestBody"].is_null(),
                    })
                })
                .collect(),
        });
        let pages = PATHS.map(|(path, id)| KnownPath {
            segments: vec![Segment::Is(path.trim_start_matches('/').to_owned())],
            operations: vec![Operation {
                method: Method::GET,
                id: id.to_owned(),
                parameters: Vec::new(),
                headers: Vec::new(),
                has_body: false,
            }],
        });
        let mut known: Vec<_> = known.chain(pages).collect();
        // `/customers/search` before `/customers/{id}`.
        known.sort_by_key(|known| known.segments.iter().filter(|segment| matches!(segment, Segment::Any)).count());
        Self(Arc::new(known))
    }
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = GuardedEndpoint<E>;

    fn transform(&self, inner: E) -> GuardedEndpoint<E> {
        GuardedEndpoint { inner, known: Arc::clone(&self.0) }
    }
}

/// An endpoint behind the guard.
pub(super) struct GuardedEndpoint<E> {
    inner: E,
    known: Arc<Vec<KnownPath>>,
}

impl<E: Endpoint> Endpoint for GuardedEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let id = request_id(&request);
        let known = self.known.iter().find(|known| known.matches(request.uri().path()));
        if request.method() == Method::HEAD && known.is_some_and(KnownPath::takes_head) {
            // The body is left out where the response is written, which knows of HEAD.
            request.set_method(Method::GET);
        }
        let operation = known.and_then(|known| known.operation(request.method()));
        let is_browser = is_browser(&request);
        let span = tracing::info_span!("request", id, operation = operation.map(|operation| operation.id.as_str()));
        async {
            let mut response = match known {
                // The framework would answer it as GET.
                Some(_) if request.method() == Method::HEAD => Problem::of(Code::MethodNotAllowed).into_response(),
                _ => self.answer(request, operation).await,
            };
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, allowed(known));
            }
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            // Answers hold secrets, phones, names and texts.
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            if is_browser {
                keep_dialog_shut(&mut response);
            }
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(status = response.status().as_u16(), elapsed_ms, "answered");
            Ok(response)
        }
        .instrument(span)
        .await
    }
}

impl<E: Endpoint> GuardedEndpoint<E> {
    async fn answer(&self, mut request: Request, operation: Option<&Operation>) -> Response {
        if !names_host(&request) {
            let error = FieldError::new("Host", "must be there once, as a host and perhaps a port");
            return Problem::of(Code::InvalidParameter).with_errors(vec![error]).into_response();
        }
        if let Some(operation) = operation.filter(|_| request.uri().path().starts_with("/v1/")) {
            let mut errors = unknown_parameters(&request, operation);
            errors.extend(wrong_headers(&request, operation));
            // Told with what is wrong in body and parameters, or by itself where there are none, to callers who may
            // know.
            let are_all = operation.parameters.is_empty() && !operation.has_body;
            request.set_data(UnknownParameters { errors, are_all });
            join_if_match(&mut request);
        }
        match timeout(PATIENCE, read(request.take_body())).await {
            Ok(Ok(Some(body))) => request.set_body(body),
            Ok(Ok(None)) => return Problem::of(Code::BodyTooLarge).into_response(),
            Ok(Err(_)) | Err(_) => return Problem::of(Code::MalformedBody).into_response(),
        }
        // Whether the process is alive has to be said however busy it is, and takes no time.
        let is_spare = operation.is_some_and(|operation| operation.id == "live");
        if request.data::<ActiveRequest>().is_some_and(|active| !active.begin_work(is_spare)) {
            return Problem::too_many_requests().into_response();
        }
        match self.inner.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

/// Reads a body; `None` if it is too large. What is too much is read and dropped, up to a point: whoever is still
/// writing when the connection closes may never see the answer.
async fn read(body: Body) -> std::io::Result<Option<Vec<u8>>> {
    let mut reader = body.into_async_read();
    let mut whole = Vec::new();
    (&mut reader).take(MAX_BODY as u64 + 1).read_to_end(&mut whole).await?;
    if whole.len() <= MAX_BODY {
        return Ok(Some(whole));
    }
    tokio::io::copy(&mut reader.take(DROPPED), &mut tokio::io::sink()).await?;
    Ok(None)
}

/// Whether the request has one valid `Host` (RFC 9112, section 3.2); HTTP/1.0 can do without. An empty one is valid.
fn names_host(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) => return request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => return false,
    };
    let is_valid = |host: Authority| {
        let port = host.as_str().strip_prefix(host.host()).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
        port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    host.is_empty() || Authority::try_from(host).is_ok_and(is_valid)
}

/// A misspelt filter must not quietly list everything.
fn unknown_parameters(request: &Request, operation: &Operation) -> Vec<FieldError> {
    let query = request.uri().query().unwrap_or_default();
    let given = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let unknown = given.filter(|name| !operation.parameters.iter().any(|known| known == name));
    let wrong = |name: Cow<'_, str>| {
        let known = operation.parameters.iter().map(String::as_str);
        FieldError::new(names::shown(&name), names::unknown(&name, "a parameter of this operation", known))
    };
    unknown.take(MOST_UNKNOWN).map(wrong).collect()
}

/// What is wrong with the headers of an operation, by name. The framework passes over values that it cannot read, and
/// takes the first of several: a key or a version that the caller did send would quietly not count.
fn wrong_headers(request: &Request, operation: &Operation) -> Vec<FieldError> {
    let wrong = |name: &String| {
        let values: Vec<_> = request.headers().get_all(name.as_str()).iter().map(HeaderValue::to_str).collect();
        let Ok(values) = values.into_iter().collect::<Result<Vec<_>, _>>() else {
            return Some(FieldError::new(name, "must be visible ASCII characters"));
        };
        let detail = match values.as_slice() {
            [] => return None,
            values if header::IF_MATCH == name.as_str() => {
                etag::if_match(&values.join(",")).is_none().then_some("must be * or a list of ETags, such as \"3\"")?
            }
            [key] if name == IDEMPOTENCY_KEY && !reply::is_idempotency_key(key) => reply::IDEMPOTENCY_KEY_RULE,
            [_] => return None,
            _ => "must not be repeated",
        };
        Some(FieldError::new(name, detail))
    };
    operation.headers.iter().filter_map(wrong).collect()
}

/// Whether a page in a browser asks. Browsers say so themselves on most connections, and Swagger UI on all.
fn is_browser(request: &Request) -> bool {
    [header::ORIGIN, HeaderName::from_static("sec-fetch-mode"), HeaderName::from_static("x-requested-with")]
        .iter()
        .any(|name| request.headers().contains_key(name))
}

/// A 401 with a challenge that a browser knows makes it open its own login dialog over the page. It must have a
/// challenge nevertheless (RFC 9110, section 15.5.2), so it gets the same one under a name that no browser knows.
fn keep_dialog_shut(response: &mut Response) {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).and_then(|challenge| challenge.to_str().ok());
    if let Some(rest) = challenge.and_then(|challenge| challenge.strip_prefix("Basic "))
        && let Ok(unknown) = HeaderValue::from_str(&format!("xBasic {rest}"))
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, unknown);
    }
}

/// `If-Match` is a list, which may be spread over several headers.
fn join_if_match(request: &mut Request) {
    let values: Vec<_> = request.headers().get_all(header::IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
    if values.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b','))
    {
        request.headers_mut().insert(header::IF_MATCH, joined);
    }
}

fn allowed(known: Option<&KnownPath>) -> HeaderValue {
    let mut methods: Vec<_> =
        known.into_iter().flat_map(|known| &known.operations).map(|operation| operation.method.as_str()).collect();
    if known.is_some_and(KnownPath::takes_head) {
        methods.push(Method::HEAD.as_str());
    }
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// The caller's own id of the request if it is a UUID, which cannot be a phone number; otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request.header(&REQUEST_ID).filter(|id| is_uuid(id));
    given.map_or_else(|| crate::service::random_name("req"), str::to_ascii_lowercase)
}
