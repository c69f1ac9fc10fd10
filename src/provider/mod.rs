//! Providers: one folder each, one trait for all.
//!
//! An adapter is a pure translator. It verifies a webhook, reads it into a domain event, renders what we answer,
//! builds the request for a send and reads its response. It does no I/O, keeps no state and knows no clock: who calls
//! it owns the network, the database and the time.
//!
//! Only a verified request can be read: [`Verified`] is made in this room alone, by an adapter's `verify`.

pub mod bandwidth;
#[cfg(test)]
mod contract;
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

pub use crate::domain::outbound::{OutboundRequest as ProviderRequest, OutboundResponse as ProviderResponse};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, ProviderEvent},
    message::ProviderCode,
    number::{Capabilities, ProviderName},
    phone::PhoneNumber,
    text::TextLimit,
    words::words,
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
    /// No credentials yet: this provider sends them only when it is asked to, so this is how every event begins.
    #[error("no credentials yet")]
    Unasked,
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

/// What we answer to a webhook. `Debug` shows neither headers nor body: a call flow names a phone.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// `Content-Type`, if there is a body.
    pub content_type: &'static str,
    /// Further headers, with names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl std::fmt::Debug for WebhookResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookResponse").field("status", &self.status).finish_non_exhaustive()
    }
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
    /// The words; empty if there are only pictures.
    pub body: &'a str,
    /// Addresses of pictures, at most as many as [`Profile::media_limit`]; none unless the number can carry them.
    pub media: &'a [String],
    /// Our reference, by which delivery reports find the text: at most 40 letters, digits and `_`.
    pub reference: &'a str,
    /// Where the provider should report to. It has no query: an adapter without a field for the reference puts it there.
    pub report_url: &'a str,
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
    /// The provider refuses our credentials or our account, whatever the text: it waits for an operator.
    RefusedUs,
    /// The provider did not take it now.
    TryLater {
        /// Not before this.
        after: Option<Duration>,
    },
    /// Nobody can tell: it is sent again, and marked as possibly sent twice.
    InDoubt,
}

words! {
    /// How we learn what became of a call.
    CallResults {
        /// The provider tells.
        Callbacks = "callbacks",
        /// We ask until we know.
        Polling = "polling",
    }
}

/// What an adapter is like, as data: the same for every account.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in paths and records.
    pub name: ProviderName,
    /// What its numbers can carry at most, and this adapter with them.
    pub capabilities: Capabilities,
    /// Longest text of one send, in the units in which the provider counts; longer ones are split.
    pub text_limit: TextLimit,
    /// Pictures in one send; more go out in further sends. 0: pictures of one party cannot be carried on to the other.
    pub media_limit: usize,
    /// Largest webhook that it sends, or call flow that it reads, in bytes, whichever its documents name.
    pub body_limit: usize,
    /// Texts that one number may send in a minute before the provider holds them back, unless the account says more.
    pub texts_per_minute: u32,
    /// Texts that all numbers of an account together may send in a second, likewise; none where its documents name no such
    /// limit.
    pub texts_per_second: Option<u32>,
    /// How its webhooks prove where they come from, in a few words for an operator.
    pub signature: &'static str,
    /// A signature says when it was made, so that a recorded request is heard for a while only. Where it does not, what was
    /// taken is remembered for as long as it could have an effect.
    pub dated: bool,
    /// It tells what became of a text.
    pub delivery_reports: bool,
    /// How we learn what became of a call.
    pub call_results: CallResults,
    /// Methods by which it calls the SMS, voice and status webhooks.
    pub methods: [&'static [Method]; 3],
    /// What stands behind the addresses of these webhooks where they are entered at the provider: connection overrides
    /// such as `#rc=2`, empty for most. The provider keeps it to itself: it is neither sent nor signed.
    pub fragments: [&'static str; 3],
    /// How long we may take for a text or a report: shorter than the provider waits.
    pub patience: std::time::Duration,
}

impl Profile {
    /// The address of a webhook as it is entered at the provider; `base_url` has no slash at the end.
    pub fn webhook(&self, base_url: &str, endpoint: Endpoint) -> String {
        let fragment = self.fragments[endpoint as usize];
        format!("{base_url}/webhooks/{}/{}{fragment}", self.name, endpoint.as_str())
    }
}

/// A telephony provider's dialect.
///
/// No method has a default body: a provider that needs nothing special says so itself.
pub trait Provider: Send + Sync {
    /// What it is like.
    fn profile(&self) -> &'static Profile;

    /// Checks signature and freshness. A provider's retries repeat a request byte for byte, so a repeat inside the
    /// freshness window verifies again.
    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified>;

    /// Reads what a request says. Some providers send news of any kind to any of our webhooks, so the content decides
    /// where it can, not the endpoint.
    fn parse(&self, endpoint: Endpoint, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed>;

    /// Answers a call. `report_url` takes news of it, like [`OutboundText::report_url`].
    fn render_call(&self, flow: &CallFlow, report_url: &str) -> WebhookResponse;

    /// Answers anything else.
    fn acknowledge(&self, endpoint: Endpoint, receipt: Receipt) -> WebhookResponse;

    /// Answers a request that does not verify.
    fn refuse(&self, why: Unverified) -> WebhookResponse;

    /// Builds the request for a send.
    fn build_send(&self, text: &OutboundText<'_>, now: Time) -> ProviderRequest;

    /// Reads the response to a send.
    fn read_outcome(&self, response: &ProviderResponse) -> SendOutcome;

    /// The provider's own code in a response to a send that failed, for the log and the text's reason.
    fn read_code(&self, response: &ProviderResponse) -> Option<ProviderCode>;

    /// Builds the request that asks what became of a call; `None` if the provider tells by itself. `call_key` is
    /// [`InboundCall::key`](crate::domain::contact::InboundCall::key).
    fn build_call_query(&self, call_key: &str, now: Time) -> Option<ProviderRequest>;

    /// Reads the response to that: all that is known of the call by now, in any order.
    fn read_call_query(&self, call_key: &str, response: &ProviderResponse) -> Vec<CallReport>;
}
