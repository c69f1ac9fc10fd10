//! Providers: one folder each, one trait for all.
//!
//! An adapter is a pure translator. It verifies a webhook, reads it into a domain event, renders what we answer,
//! builds the request for a send and reads its response. It does no I/O, keeps no state and knows no clock: who calls
//! it owns the network, the database and the time.
//!
//! Only a verified request can be read: [`Verified`] is made in this room alone, by an adapter's `verify`.

pub mod messagebird;
pub mod registry;
pub mod simulator;
mod wire;

use bytes::Bytes;
use chrono::Duration;
use http::{HeaderMap, Method, StatusCode};

use crate::domain::{
    call::CallFlow, clock::Time, contact::ProviderEvent, message::ProviderCode, number::ProviderName,
    phone::PhoneNumber,
};

/// Which of a provider's webhooks was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/webhooks/{provider}/sms`: a phone sent a text.
    Sms,
    /// `/webhooks/{provider}/voice`: a phone calls.
    Voice,
    /// `/webhooks/{provider}/status`: news of a text or a call of ours.
    Status,
}

impl Endpoint {
    /// The last segment of its path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Status => "status",
        }
    }
}

/// A webhook as it arrived: raw bytes, and the address under which the provider knows us.
///
/// `Debug` shows neither address nor body: providers put phones and texts into both.
#[derive(Clone)]
pub struct WebhookRequest {
    /// HTTP method.
    pub method: Method,
    /// `PUBLIC_BASE_URL` with the path and query as received, in the received order and encoding. Never made from
    /// `Host` or forwarding headers.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, untouched.
    pub body: Bytes,
}

impl std::fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl WebhookRequest {
    /// The query as received, empty if there is none.
    pub fn query(&self) -> &str {
        self.url.split_once('?').map_or("", |(_, query)| query)
    }

    /// A header's value, if it is there once and is text. Where absent and unreadable differ, ask `headers` too.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }
}

/// A request whose signature and freshness hold. No field is public and nothing outside this room can make one.
#[derive(Debug)]
pub struct Verified<'a>(&'a WebhookRequest);

impl Verified<'_> {
    /// The request.
    pub fn request(&self) -> &WebhookRequest {
        self.0
    }
}

/// Why a request is not heard. For the log: the caller learns only that it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// No signature at all.
    #[error("no signature")]
    Missing,
    /// A signature that does not hold.
    #[error("bad signature")]
    Forged,
    /// A signature that holds, from another time.
    #[error("not fresh")]
    Stale,
}

/// A verified request that makes no sense: logged, and answered as [`Receipt::Unreadable`]; a caller hears an
/// announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// What we answer to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// `Content-Type`, if there is a body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// What happened to an event that is not a call, as the provider must learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Stored, or of no interest: do not send it again.
    Taken,
    /// Signed, and yet nothing that this webhook takes: sending it again would not help.
    Unreadable,
    /// Not stored: send it again later.
    NotNow,
}

/// A text to be sent.
#[derive(Clone, Debug)]
pub struct OutboundText<'a> {
    /// The proxy number.
    pub from: &'a PhoneNumber,
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// The words.
    pub body: &'a str,
    /// Our reference, by which delivery reports find the text: at most 40 letters, digits and `_`.
    pub reference: &'a str,
    /// Where the provider should report to.
    pub report_url: &'a str,
}

/// An HTTP request that carries a send. `Debug` shows neither address nor body: both may be personal.
#[derive(Clone)]
pub struct ProviderRequest {
    /// HTTP method.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers, with the credentials.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl std::fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What came back. `Debug` leaves out the body: providers repeat numbers in it.
#[derive(Clone)]
pub struct ProviderResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// `Retry-After`, where it was a number of seconds.
    pub retry_after: Option<Duration>,
    /// The body, cut at 64 KiB.
    pub body: Bytes,
}

impl std::fmt::Debug for ProviderResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// No response at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The request cannot have arrived: no connection was made.
    #[error("not reached")]
    NotSent,
    /// The connection broke or the time was up: the provider may have it.
    #[error("no answer")]
    Unknown,
}

/// What a response means: it alone decides about retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider has it.
    Accepted {
        /// The provider's id of the text.
        provider_id: String,
    },
    /// The provider will never take it.
    Rejected {
        /// Its code for why.
        code: Option<ProviderCode>,
    },
    /// The provider did not take it now.
    TryLater {
        /// Not before this.
        after: Option<Duration>,
    },
    /// Nobody can tell: it is sent again, and marked as possibly sent twice.
    InDoubt,
}

/// What an adapter is like, as data.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in paths and records.
    pub name: ProviderName,
    /// Longest text of one send, in characters; longer ones are split.
    pub text_limit: usize,
    /// Methods by which it calls the SMS, voice and status webhooks.
    pub methods: [&'static [Method]; 3],
}

/// A telephony provider's dialect.
///
/// No method has a default body: a provider that needs nothing special says so itself.
pub trait Provider: Send + Sync {
    /// What it is like.
    fn profile(&self) -> &Profile;

    /// Checks signature and freshness. A provider's retries repeat a request byte for byte, so a repeat inside the
    /// freshness window verifies again.
    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified>;

    /// Reads what a request says.
    fn parse(&self, endpoint: Endpoint, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed>;

    /// Answers a call.
    fn render_call(&self, flow: &CallFlow) -> WebhookResponse;

    /// Answers anything else.
    fn acknowledge(&self, endpoint: Endpoint, receipt: Receipt) -> WebhookResponse;

    /// Answers a request that does not verify.
    fn refuse(&self, why: Unverified) -> WebhookResponse;

    /// Builds the request for a send.
    fn build_send(&self, text: &OutboundText<'_>) -> ProviderRequest;

    /// Reads the response to a send.
    fn read_outcome(&self, response: &ProviderResponse) -> SendOutcome;
}
