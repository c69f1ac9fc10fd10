//! HTTP requests that Maskline sends: use cases prepare them and record what came back; [`crate::outbound`] sends them.

use std::{fmt, time::Duration as Span};

use bytes::Bytes;
use chrono::Duration;
use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use super::string_enum::string_enum;

string_enum! {
    /// Reason why a request failed.
    PostFailure {
        /// No complete response arrived in time.
        Timeout = "timeout",
        /// Nothing listens at the address.
        ConnectionRefused = "connection_refused",
        /// The connection could not be made, or broke.
        Unreachable = "unreachable",
        /// No secure connection, usually because of the certificate.
        Tls = "tls",
        /// The host name has no address.
        Dns = "dns",
        /// The URL leads to an address that is not on the public Internet.
        BlockedAddress = "blocked_address",
        /// The response status is not 2xx.
        HttpStatus = "http_status",
    }
}

/// Receiver of a request. It decides how long an exchange may take, and which addresses are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A telephony provider, at the operator's address.
    Provider,
    /// An event endpoint, at an address that an API client chose.
    EventEndpoint,
    /// `INTERCEPT_URL`.
    Interceptor,
}

/// A request to be sent. `Debug` shows neither address nor body: both may be personal.
#[derive(Clone)]
pub struct OutboundRequest {
    /// HTTP method.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers, with the credentials.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl OutboundRequest {
    /// A POST of a JSON document, with these headers besides its type.
    pub fn post_json(url: String, headers: impl IntoIterator<Item = (&'static str, String)>, body: String) -> Self {
        let content_type = (CONTENT_TYPE.as_str(), "application/json".to_owned());
        Self { method: Method::POST, url, headers: headers.into_iter().chain([content_type]).collect(), body }
    }
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A complete response. `Debug` leaves out the body: providers repeat numbers in it.
#[derive(Clone)]
pub struct OutboundResponse {
    /// HTTP status.
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, cut at the limit for its [`Receiver`].
    pub body: Bytes,
}

impl OutboundResponse {
    /// `Retry-After`, where it is a number of seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.seconds(RETRY_AFTER.as_str())
    }

    /// A header that counts seconds.
    pub fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds: u32 = self.headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::seconds(seconds.into()))
    }
}

impl fmt::Debug for OutboundResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// No complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoResponse {
    pub why: PostFailure,
    /// The status, if a response began.
    pub status: Option<StatusCode>,
    /// The receiver may have the request: a connection was made.
    pub may_have_arrived: bool,
}

/// Result of a request, and how long it took.
#[derive(Debug)]
pub struct Exchange {
    /// From the first attempt to connect to the end.
    pub took: Span,
    /// The response, or why there is none.
    pub outcome: Result<OutboundResponse, NoResponse>,
}

impl Exchange {
    /// The status of a complete response.
    pub fn status(&self) -> Option<u16> {
        self.outcome.as_ref().ok().map(|response| response.status.as_u16())
    }

    /// How long it took, in milliseconds.
    pub fn duration_ms(&self) -> i64 {
        i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX)
    }

    /// Why the receiver did not accept the request; `None` if it did.
    pub fn failure(&self) -> Option<PostFailure> {
        match &self.outcome {
            Err(none) => Some(none.why),
            Ok(response) => (!response.status.is_success()).then_some(PostFailure::HttpStatus),
        }
    }
}
