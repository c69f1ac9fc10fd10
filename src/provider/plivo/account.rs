//! Plivo as data, and what an account with it is configured with.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;

use crate::{
    domain::{
        number::{Capabilities, ProviderName},
        text::TextLimit,
    },
    provider::{CallResults, Profile},
};

/// Fragment for addresses where a caller waits for our answer. The answer comes within two seconds or not at all, so
/// this shortens Plivo's default of 40 s. Plivo retries only network errors unless `rp` lists more. See "Answering
/// webhooks".
pub(super) const CALLER_WAITS: &str = "#rt=5000&rc=2&rp=ct,rt,5xx";
/// Fragment for addresses where nobody waits. Asks for all possible retries: 503 is our only way to say "not stored".
pub(super) const NOBODY_WAITS: &str = "#rc=5&rp=ct,rt,5xx";

pub static PROFILE: Profile = Profile {
    name: ProviderName::of("plivo"),
    capabilities: Capabilities { sms: true, voice: true, mms: true },
    // The limit for UCS-2; a text of GSM-7 characters could be longer. See "Sending a text".
    text_limit: TextLimit::utf16(737),
    // The maximum of an inbound MMS. See "Inbound texts".
    media_limit: 10,
    // The largest call flow. See "Calls".
    body_limit: 100_000,
    // Rate of a long code in the US; the account as a whole may send more. See "Limits".
    texts_per_minute: 60,
    texts_per_second: Some(5),
    signature: "X-Plivo-Signature-V3 or -Ma-V3 (HMAC over address and form; no timestamp)",
    signs_time: false,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    // The operator chooses the method when setting up the application. See "Inbound texts".
    methods: [&[Method::POST, Method::GET]; 3],
    // Documented for voice addresses only: the message URL has its own retries, and the application's hangup URL points
    // to the status address. See "Answering webhooks".
    fragments: ["", CALLER_WAITS, NOBODY_WAITS],
    // Plivo gives up after 8 s, and warns about answers that take more than 5. See "Answering webhooks".
    response_timeout: Duration::from_secs(3),
};

/// Default address of the API. See "Sending a text".
pub const DEFAULT_BASE_URL: &str = "https://api.plivo.com";

#[derive(Clone, Debug)]
pub struct Config {
    /// The account (`MA...`) or sub-account (`SA...`).
    pub auth_id: String,
    /// Auth tokens: the first sends texts, any of them verifies webhooks. Several in a rotation or with sub-accounts.
    pub auth_tokens: Vec<SecretString>,
    /// Address of the API, without a trailing slash.
    pub base_url: String,
    /// Whether a webhook without any V3 header may verify by the older V2, which does not sign parameters.
    pub accept_v2: bool,
}
