//! The built-in simulator's adapter: a provider like any other, whose phones live in our database.
//!
//! This folder is our side of the wire. The other side is the module [`crate::simulator`], the network that signs
//! webhooks and shows texts on screens. The two share only the [`wire`] format and a secret.

pub mod wire;

use chrono::Duration;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Acknowledgement, CallResults, Malformed, OutboundRequest, OutboundResponse, OutboundText, Profile, Provider,
    SendOutcome, Unverified, Verified, WebhookKind, WebhookRequest, WebhookResponse, wire as common,
};
use crate::domain::{
    call::CallFlow,
    clock::Time,
    contact::{CallReport, CallerId, DeliveryReport, InboundCall, InboundText, ProviderEvent},
    hex,
    message::{PartState, ProviderCode},
    number::{Capabilities, ProviderName},
    phone::PhoneNumber,
    text::{MessageText, TextLimit},
};

/// Name in paths and records.
pub const NAME: ProviderName = ProviderName::of("simulator");

/// Scheme of the addresses of sends, which never leave the process.
pub const SCHEME: &str = "simulator:";

/// Maximum difference between the time of a signature and now, in either direction.
const TOLERANCE: Duration = Duration::minutes(5);

/// Header that carries `t=<unix seconds>,v1=<hex of the HMAC>`.
pub const SIGNATURE_HEADER: &str = "Maskline-Simulator-Signature";

pub static PROFILE: Profile = Profile {
    name: NAME,
    capabilities: Capabilities { sms: true, voice: true, mms: false },
    text_limit: TextLimit::characters(1600),
    media_limit: 0,
    body_limit: 64 * 1024,
    texts_per_minute: 60_000,
    texts_per_second: None,
    signature: "Maskline-Simulator-Signature (HMAC over time, address and body), made by the service itself",
    signs_time: true,
    delivery_reports: true,
    call_results: CallResults::Callbacks,
    methods: [&[Method::POST]; 3],
    fragments: [""; 3],
    response_timeout: std::time::Duration::from_secs(8),
};

pub struct SimulatorAdapter(Vec<SecretString>);

impl SimulatorAdapter {
    /// Creates an adapter that accepts signatures with any of these secrets.
    pub fn new(secrets: Vec<SecretString>) -> Self {
        Self(secrets)
    }
}

/// Signs a webhook of the simulated network: HMAC-SHA-256 over time, address and body.
pub fn sign(secret: &SecretString, url: &str, body: &str, now: Time) -> String {
    let at = now.timestamp();
    format!("t={at},v1={}", hex::encode(tag(secret, at, url, body.as_bytes()).as_ref()))
}

fn tag(secret: &SecretString, at: i64, url: &str, body: &[u8]) -> impl AsRef<[u8]> + use<> {
    let signed = [format!("{at}\n{url}\n").as_bytes(), body].concat();
    common::hmac_sha256(secret.expose_secret().as_bytes(), &signed)
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> WebhookResponse {
    common::answer(status, "application/json", common::json(body))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    crate::domain::json::read(body).map_err(|_| Malformed("not the JSON of this webhook"))
}

impl Provider for SimulatorAdapter {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn verify<'a>(&self, request: &'a WebhookRequest, now: Time) -> Result<Verified<'a>, Unverified> {
        if !request.headers.contains_key(SIGNATURE_HEADER) {
            return Err(Unverified::Missing);
        }
        let header = request.header(SIGNATURE_HEADER).ok_or(Unverified::Forged)?;
        let (at, signature) = header
            .strip_prefix("t=")
            .and_then(|rest| rest.split_once(",v1="))
            .and_then(|(at, signature)| Some((at.parse::<i64>().ok()?, signature)))
            .ok_or(Unverified::Forged)?;
        let is_by = |secret: &SecretString| {
            let expected = hex::encode(tag(secret, at, &request.url, &request.body).as_ref());
            common::equal(expected.as_bytes(), signature.as_bytes())
        };
        if !self.0.iter().any(is_by) {
            return Err(Unverified::Forged);
        }
        if now.timestamp().abs_diff(at) > TOLERANCE.num_seconds().unsigned_abs() {
            return Err(Unverified::Stale);
        }
        Ok(Verified(request))
    }

    fn parse(&self, webhook: WebhookKind, request: &Verified<'_>) -> Result<Vec<ProviderEvent>, Malformed> {
        let body = &request.request().body;
        let event = match webhook {
            WebhookKind::Sms => {
                let text: wire::Text = read(body)?;
                ProviderEvent::Text(InboundText {
                    key: text.id,
                    from: CallerId::from_wire(&text.from),
                    to: PhoneNumber::from_wire(&text.to).ok(),
                    others: Vec::new(),
                    body: MessageText::from_wire(&text.text),
                    media: Vec::new(),
                    keyword: false,
                })
            }
            WebhookKind::Voice => {
                let call: wire::Call = read(body)?;
                ProviderEvent::Call(InboundCall {
                    key: call.id,
                    from: CallerId::from_wire(&call.from),
                    to: PhoneNumber::from_wire(&call.to).ok(),
                })
            }
            WebhookKind::Status => match read(body)? {
                wire::Status::Text { reference } => ProviderEvent::Report(DeliveryReport {
                    key: reference.clone(),
                    reference,
                    state: PartState::Delivered,
                    code: None,
                }),
                wire::Status::Call { call_id, status, duration_s } => ProviderEvent::CallReport(CallReport {
                    key: format!("{call_id}/{status}"),
                    call_key: call_id,
                    status,
                    duration_s,
                    at: None,
                    caller_waits: false,
                }),
            },
        };
        Ok(vec![event])
    }

    fn render_call(&self, flow: &CallFlow, _: &str) -> WebhookResponse {
        let flow = match flow {
            CallFlow::Connect { to, caller_id } => {
                wire::Flow::Connect { to: to.expose().to_owned(), caller_id: caller_id.expose().to_owned() }
            }
            CallFlow::Announce { text, .. } => wire::Flow::Say { text: text.clone() },
            CallFlow::HangUp => wire::Flow::HangUp,
        };
        json(StatusCode::OK, &flow)
    }

    fn acknowledge(&self, _: WebhookKind, acknowledgement: Acknowledgement) -> WebhookResponse {
        json(acknowledgement.status(), &serde_json::json!({}))
    }

    fn refuse(&self, _: Unverified) -> WebhookResponse {
        json(StatusCode::UNAUTHORIZED, &serde_json::json!({}))
    }

    fn build_send(&self, text: &OutboundText<'_>, _: Time) -> OutboundRequest {
        let message = wire::Send {
            from: text.from.expose().to_owned(),
            to: text.to.expose().to_owned(),
            text: text.body.to_owned(),
            reference: text.reference.to_owned(),
        };
        OutboundRequest {
            method: Method::POST,
            url: format!("{SCHEME}messages"),
            headers: Vec::new(),
            body: serde_json::to_string(&message).unwrap_or_default(),
        }
    }

    fn read_outcome(&self, response: &OutboundResponse) -> SendOutcome {
        match (response.status, serde_json::from_slice::<wire::Sent>(&response.body)) {
            (StatusCode::CREATED, Ok(sent)) => SendOutcome::Accepted { provider_id: sent.id },
            (status, _) if status.is_client_error() => SendOutcome::Rejected { code: None },
            _ => SendOutcome::TryLater { after: None },
        }
    }

    fn read_code(&self, _: &OutboundResponse) -> Option<ProviderCode> {
        None
    }

    fn build_call_query(&self, _: &str, _: Time) -> Option<OutboundRequest> {
        None
    }

    fn read_call_query(&self, _: &str, _: &OutboundResponse) -> Vec<CallReport> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use http::HeaderMap;

    use super::*;

    const URL: &str = "http://127.0.0.1:8080/webhooks/simulator/sms";

    fn now() -> Time {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn request(signature: Option<String>, body: &str) -> WebhookRequest {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert(SIGNATURE_HEADER, signature.parse().expect("a header"));
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        WebhookRequest { method: Method::POST, url: URL.to_owned(), headers, body }
    }

    #[test]
    fn hears_only_what_the_network_signed() {
        let secret = SecretString::from("secret");
        let adapter = SimulatorAdapter::new(vec!["new".into(), secret.clone()]);
        let verdict = |request: WebhookRequest| adapter.verify(&request, now()).map(|_| ());
        let signed = |at| Some(sign(&secret, URL, "{}", at));
        assert_eq!(verdict(request(signed(now()), "{}")), Ok(()));
        assert_eq!(verdict(request(Some(sign(&"new".into(), URL, "{}", now())), "{}")), Ok(()));
        assert_eq!(verdict(request(None, "{}")), Err(Unverified::Missing));
        assert_eq!(verdict(request(signed(now()), "{ }")), Err(Unverified::Forged));
        assert_eq!(verdict(request(Some("t=1".to_owned()), "{}")), Err(Unverified::Forged));
        assert_eq!(verdict(request(signed(now() - Duration::minutes(6)), "{}")), Err(Unverified::Stale));
        assert_eq!(verdict(request(Some(sign(&"other".into(), URL, "{}", now())), "{}")), Err(Unverified::Forged));
    }
}
