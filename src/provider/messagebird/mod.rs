//! MessageBird: the legacy REST API (`rest.messagebird.com`), Flow Builder and voice call flows.
//!
//! "Section n" in this folder means a section of the fact sheet `providers/messagebird.md`. The two later generations
//! under the same brand (Bird channels, Bird platform) sign and speak differently: their webhooks are refused.

mod fields;
mod inbound;
mod outbound;
mod signature;

use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Endpoint, Malformed, OutboundText, Profile, Provider, ProviderRequest, ProviderResponse, Receipt, SendOutcome,
    Unverified, Verified, WebhookRequest, WebhookResponse,
};
use crate::domain::{call::CallFlow, clock::Time, contact::ProviderEvent, number::ProviderName};

/// Where the API lives unless configured otherwise (section 4).
pub const DEFAULT_BASE_URL: &str = "https://rest.messagebird.com";

/// An account.
#[derive(Clone, Debug)]
pub struct Config {
    /// The access key, with which texts are sent.
    pub api_key: SecretString,
    /// The dashboard's signing keys, not access keys. Several during a rotation: any of them may verify.
    pub signing_keys: Vec<SecretString>,
    /// The API, without a slash at the end.
    pub base_url: String,
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct MessageBird {
    config: Config,
    profile: Profile,
}

impl MessageBird {
    /// An adapter for one account. Empty signing keys are dropped: anybody can sign with those.
    pub fn new(mut config: Config) -> Self {
        config.signing_keys.retain(|key| !key.expose_secret().is_empty());
        let profile = Profile {
            name: ProviderName::of("messagebird"),
            // Only a third party's schema says so (section 4).
            text_limit: 1377,
            // Whoever sets up the flow chooses how texts arrive; the other two are always GET (sections 1, 2, 5).
            methods: [&[Method::GET, Method::POST], &[Method::GET], &[Method::GET]],
        };
        Self { config, profile }
    }
}

impl Provider for MessageBird {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.config.signing_keys, request, now)?;
        Ok(Verified(request))
    }

    fn parse(&self, endpoint: Endpoint, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        inbound::parse(endpoint, request.request())
    }

    fn render_call(&self, flow: &CallFlow) -> WebhookResponse {
        outbound::call_flow(flow)
    }

    /// The body is not read (section 1); the status alone asks for a repeat.
    fn acknowledge(&self, _: Endpoint, receipt: Receipt) -> WebhookResponse {
        match receipt {
            Receipt::Taken => plain(StatusCode::OK, "OK"),
            Receipt::Unreadable => plain(StatusCode::BAD_REQUEST, "Unreadable"),
            Receipt::NotNow => plain(StatusCode::SERVICE_UNAVAILABLE, "Try again later"),
        }
    }

    fn refuse(&self, _: Unverified) -> WebhookResponse {
        plain(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    fn build_send(&self, text: &OutboundText<'_>) -> ProviderRequest {
        outbound::send(&self.config, text)
    }

    fn read_outcome(&self, response: &ProviderResponse) -> SendOutcome {
        outbound::outcome(response)
    }
}

fn plain(status: StatusCode, body: &str) -> WebhookResponse {
    WebhookResponse { status, content_type: "text/plain", headers: Vec::new(), body: body.to_owned() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    pub(super) fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &[u8]) -> WebhookRequest {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a header name");
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        WebhookRequest { method, url: url.to_owned(), headers: map, body: Bytes::copy_from_slice(body) }
    }

    fn adapter() -> MessageBird {
        MessageBird::new(Config {
            api_key: "live_key".into(),
            signing_keys: vec!["".into(), "signing".into()],
            base_url: DEFAULT_BASE_URL.to_owned(),
        })
    }

    #[test]
    fn says_what_it_is_like() {
        let adapter = adapter();
        let profile = adapter.profile();
        assert_eq!((profile.name.as_str(), profile.text_limit), ("messagebird", 1377));
        assert_eq!(profile.methods.map(<[Method]>::len), [2, 1, 1]);
    }

    #[test]
    fn answers_by_status() {
        let adapter = adapter();
        let taken = adapter.acknowledge(Endpoint::Sms, Receipt::Taken);
        assert_eq!((taken.status.as_u16(), taken.content_type, taken.body.as_str()), (200, "text/plain", "OK"));
        assert_eq!(adapter.acknowledge(Endpoint::Status, Receipt::NotNow).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(adapter.refuse(Unverified::Forged).status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn keeps_secrets_and_drops_empty_keys() {
        let adapter = adapter();
        assert_eq!(adapter.config.signing_keys.len(), 1);
        let printed = format!("{adapter:?}");
        assert!(!printed.contains("live_key") && !printed.contains("\"signing\""), "{printed}");
    }
}
