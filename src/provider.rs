//! Providers: one folder each, one trait for all.
//!
//! An adapter is a pure translator. It verifies a webhook, parses it into domain events, renders our answer, builds the
//! request for a send, and reads the response. It does no I/O, keeps no state and has no clock: its caller owns the
//! network, the database and the time.
//!
//! Only a verified request can be parsed: only an adapter's `verify` creates a [`Verified`].

pub mod bandwidth;
#[cfg(test)]
mod contract_tests;
pub mod messagebird;
pub mod plivo;
pub mod registry;
pub mod simulator;
pub mod telnyx;
#[cfg(test)]
mod testing;
pub mod twilio;
pub mod vonage;
mod wire;

use bytes::Bytes;
use chrono::Duration;
use http::{HeaderMap, Method, StatusCode};

pub use crate::domain::outbound::{OutboundRequest, OutboundResponse};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, ProviderEvent},
    message::ProviderCode,
    number::{Capabilities, ProviderName},
    phone::PhoneNumber,
    string_enum::string_enum,
    text::TextLimit,
};

/// Kind of webhook that a provider calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// `/webhooks/{provider}/sms`: a phone sent a text.
    Sms,
    /// `/webhooks/{provider}/voice`: a phone calls.
    Voice,
    /// `/webhooks/{provider}/status`: progress of a text that we sent or of a call.
    Status,
}

impl WebhookKind {
    /// Returns the last path segment of the webhook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Status => "status",
        }
    }
}

/// A webhook as it arrived: raw bytes, and the address that the provider has for us.
///
/// `Debug` shows neither address nor body, because providers put phone numbers and texts into both.
#[derive(Clone)]
pub struct WebhookRequest {
    /// HTTP method.
    pub method: Method,
    /// `PUBLIC_BASE_URL` with the path and query as received, in the received order and encoding. Never built from
    /// `Host` or forwarding headers.
    pub url: String,
    pub headers: HeaderMap,
    /// Raw body.
    pub body: Bytes,
}

impl std::fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl WebhookRequest {
    /// Returns the query as received; empty if there is none.
    pub fn query(&self) -> &str {
        self.url.split_once('?').map_or("", |(_, query)| query)
    }

    /// Returns the value of a header that occurs exactly once and is text. To distinguish an absent header from an
    /// unreadable one, check `headers` as well.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }
}

/// A request with a valid, fresh signature. The field is private, so nothing outside this module can create one.
#[derive(Debug)]
pub struct Verified<'a>(&'a WebhookRequest);

impl Verified<'_> {
    pub fn request(&self) -> &WebhookRequest {
        self.0
    }
}

/// Reason for refusing a request. It is for the log: the sender only learns that the request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// There is no signature.
    #[error("no signature")]
    Missing,
    /// No credentials yet. This provider sends them only when challenged, so every event starts this way.
    #[error("no credentials yet")]
    NotChallenged,
    /// The signature is invalid.
    #[error("bad signature")]
    Forged,
    /// The signature is valid, but its time is outside the freshness window.
    #[error("not fresh")]
    Stale,
}

/// A verified request that cannot be parsed. The service logs it and answers with [`Acknowledgement::Unreadable`]; for
/// a call, the caller hears an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// Answer to a webhook. `Debug` shows neither headers nor body, because a call flow contains a phone number.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// `Content-Type`, if there is a body.
    pub content_type: &'static str,
    /// Additional headers, with lower-case names.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl std::fmt::Debug for WebhookResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Outcome of an event that is not a call, as reported to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// Stored or deliberately ignored. The provider should not send it again.
    Accepted,
    /// Verified, but nothing that this webhook accepts. Sending it again would not help.
    Unreadable,
    /// Not stored. The provider should send it again later.
    NotNow,
}

impl Acknowledgement {
    /// Status that says so to every provider.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::OK,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A text to send.
#[derive(Clone, Debug)]
pub struct OutboundText<'a> {
    /// The proxy number.
    pub from: &'a PhoneNumber,
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// Text of the message; empty if there are only pictures.
    pub body: &'a str,
    /// Addresses of pictures: at most [`Profile::media_limit`], and none unless the number can carry pictures.
    pub media: &'a [String],
    /// Our reference, which links delivery reports to the text: at most 40 letters, digits and `_`.
    pub reference: &'a str,
    /// Address for delivery reports. It has no query: an adapter whose API has no field for the reference puts it
    /// there.
    pub report_url: &'a str,
}

/// Meaning of a response to a send. It alone decides about retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider accepted the text.
    Accepted {
        /// The provider's id of the text.
        provider_id: String,
    },
    /// The provider will never accept the text.
    Rejected {
        /// The provider's error code.
        code: Option<ProviderCode>,
    },
    /// The provider refuses our credentials or our account, whatever the text. The text waits for an operator.
    RefusedUs,
    /// The provider did not accept the text this time.
    TryLater {
        /// Minimum delay before the next attempt, if the provider gives one.
        after: Option<Duration>,
    },
    /// The outcome is unknown. The text is sent again and marked as possibly sent twice.
    InDoubt,
}

string_enum! {
    /// How the service learns the result of a call.
    CallResults {
        /// The provider reports it.
        Callbacks = "callbacks",
        /// The service polls the provider.
        Polling = "polling",
    }
}

/// Properties of an adapter that are the same for every account.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name in paths and records.
    pub name: ProviderName,
    /// Upper limit of what a number can carry with this adapter.
    pub capabilities: Capabilities,
    /// Longest text of one send, in the unit that the provider counts. Longer texts are split.
    pub text_limit: TextLimit,
    /// Maximum number of pictures in one send; more go out in further sends. 0 means that pictures from one party
    /// cannot be forwarded to the other.
    pub media_limit: usize,
    /// Size in bytes of the largest webhook or of the largest call flow, whichever the provider's documents state.
    pub body_limit: usize,
    /// Texts per minute from one number before the provider holds them back. The account's configuration can override
    /// it.
    pub texts_per_minute: u32,
    /// Texts per second from all numbers of an account together, with the same override. `None` if the provider's
    /// documents name no such limit.
    pub texts_per_second: Option<u32>,
    /// Short explanation for operators of how webhooks prove their origin.
    pub signature: &'static str,
    /// Whether a signature carries its time, so that a recorded request is accepted for a limited time only. If not,
    /// the service remembers an event for as long as a repeat could have an effect.
    pub signs_time: bool,
    /// Whether the provider sends delivery reports.
    pub delivery_reports: bool,
    /// How the service learns the result of a call.
    pub call_results: CallResults,
    /// Methods with which the provider calls the SMS, voice and status webhooks.
    pub methods: [&'static [Method]; 3],
    /// Fragments that follow the addresses of these webhooks in the provider's settings: connection overrides such as
    /// `#rc=2`, empty for most providers. The provider neither sends nor signs them.
    pub fragments: [&'static str; 3],
    /// Time limit for answering a text or a report; shorter than the provider's own limit.
    pub response_timeout: std::time::Duration,
}

impl Profile {
    /// Returns the address of a webhook for the provider's settings. `base_url` has no trailing slash.
    pub fn webhook(&self, base_url: &str, webhook: WebhookKind) -> String {
        let fragment = self.fragments[webhook as usize];
        format!("{base_url}/webhooks/{}/{}{fragment}", self.name, webhook.as_str())
    }
}

/// Translator between the domain and one telephony provider's API.
///
/// No method has a default body: an adapter states explicitly that it needs nothing special.
pub trait Provider: Send + Sync {
    /// Returns the adapter's properties.
    fn profile(&self) -> &'static Profile;

    /// Checks signature and freshness. A provider's retries repeat a request byte for byte, so a repeat inside the
    /// freshness window verifies again.
    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified>;

    /// Parses a request into events. Some providers send any kind of event to any of our webhooks, so the content
    /// decides where it can, not the endpoint.
    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed>;

    /// Renders the answer to a call. Events of the call go to `report_url`, as in [`OutboundText::report_url`].
    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse;

    /// Renders the answer to any other webhook.
    fn acknowledge(&self, webhook: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse;

    /// Renders the answer to a request that fails verification.
    fn refuse(&self, why: Unverified) -> WebhookResponse;

    /// Builds the request for a send.
    fn build_send(&self, text: &OutboundText<'_>, now: Time) -> OutboundRequest;

    /// Reads the response to a send.
    fn read_outcome(&self, response: &OutboundResponse) -> SendOutcome;

    /// Returns the provider's own code in a response to a failed send, for the log and the text's reason.
    fn read_code(&self, response: &OutboundResponse) -> Option<ProviderCode>;

    /// Builds the request that asks for the result of a call; `None` if the provider reports it on its own. `call_key`
    /// is [`InboundCall::key`](crate::domain::contact::InboundCall::key).
    fn build_call_query(&self, call_key: &str, now: Time) -> Option<OutboundRequest>;

    /// Reads the response to a call query: everything that is known about the call so far, in any order.
    fn read_call_query(&self, call_key: &str, response: &OutboundResponse) -> Vec<CallReport>;
}
