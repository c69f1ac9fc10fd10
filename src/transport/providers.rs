//! To providers: every request to one goes through a [`Transport`]. Their addresses are the operator's.

use std::time::Duration;

use crate::provider::{ProviderRequest, ProviderResponse, Unreached};
use futures_util::future::BoxFuture;

/// Longest time for a whole exchange. Leases are longer than this.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RESPONSE: usize = 64 * 1024;

/// Carries a request to a provider and brings its response back.
pub trait Transport: Send + Sync {
    /// Exchanges request for response. What failed is told without the address: it may be personal.
    fn exchange(&self, request: ProviderRequest) -> BoxFuture<'_, Result<ProviderResponse, Unreached>>;
}

/// The network: one client for all providers, with time-outs and without redirects.
pub struct HttpTransport(reqwest::Client);

impl HttpTransport {
    /// Builds the client; fails only when TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self(client))
    }

    async fn run(&self, request: ProviderRequest) -> Result<ProviderResponse, Unreached> {
        let mut outgoing = self.0.request(request.method, request.url).body(request.body);
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        let mut response = outgoing.send().await.map_err(|failed| unreached(&failed))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while body.len() < MAX_RESPONSE {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(failed) => return Err(unreached(&failed)),
            }
        }
        body.truncate(MAX_RESPONSE);
        Ok(ProviderResponse { status, headers, body: body.into() })
    }
}

fn unreached(failed: &reqwest::Error) -> Unreached {
    if failed.is_connect() || failed.is_builder() { Unreached::NotSent } else { Unreached::Unknown }
}

impl Transport for HttpTransport {
    fn exchange(&self, request: ProviderRequest) -> BoxFuture<'_, Result<ProviderResponse, Unreached>> {
        Box::pin(self.run(request))
    }
}
