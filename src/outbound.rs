//! The only module that sends: every HTTP request of Maskline goes through the [`Outbound`] port. It never follows a
//! redirect, and every exchange has a time limit.

mod exchange;
mod guard;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
pub use guard::{Lookup, system_lookup};
use reqwest::{Client, redirect};

use self::guard::GuardedResolver;
use crate::domain::{
    intercept::{MAX_ANSWER, QUESTION_TIMEOUT},
    outbound::{Exchange, NoResponse, OutboundRequest, PostFailure, Receiver},
    target::{TargetPolicy, TargetUrl},
};

/// Time limit for a whole exchange with a provider or an event endpoint. Leases are longer than this.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("Maskline/", env!("CARGO_PKG_VERSION"));

/// Port for outgoing requests.
pub trait Outbound: Send + Sync {
    /// Sends one request, within the time limit of its receiver.
    fn send(&self, to: Receiver, request: OutboundRequest) -> BoxFuture<'_, Exchange>;
}

/// The network: a client for each kind of receiver.
pub struct Network {
    providers: Client,
    event_endpoints: Client,
    interceptor: Client,
    targets: TargetPolicy,
}

impl Network {
    /// Builds the clients. Fails only if TLS cannot be set up.
    pub fn new(targets: TargetPolicy, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let client = || Client::builder().redirect(redirect::Policy::none()).pool_idle_timeout(IDLE_TIMEOUT);
        let guard = Arc::new(GuardedResolver { policy: targets, lookup });
        Ok(Self {
            providers: client().connect_timeout(CONNECT_TIMEOUT).timeout(TOTAL_TIMEOUT).build()?,
            event_endpoints: client()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TOTAL_TIMEOUT)
                // A proxy would resolve names on its own.
                .no_proxy()
                .dns_resolver(guard)
                .user_agent(USER_AGENT)
                .build()?,
            // No proxy here either: the address may be inside the operator's network.
            interceptor: client().timeout(QUESTION_TIMEOUT).no_proxy().user_agent(USER_AGENT).build()?,
            targets,
        })
    }

    /// Returns how many bytes of a response are read.
    fn limit(to: Receiver) -> usize {
        match to {
            Receiver::Provider => 64 * 1024,
            // Enough to read a polite response to its end, so that the connection can be used again.
            Receiver::EventEndpoint => 4096,
            // One more than allowed, to detect an answer that is too long.
            Receiver::Interceptor => MAX_ANSWER + 1,
        }
    }
}

impl Outbound for Network {
    fn send(&self, to: Receiver, request: OutboundRequest) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let client = match to {
                Receiver::Provider => &self.providers,
                Receiver::Interceptor => &self.interceptor,
                // An IP address is never resolved, so the resolver would not see it.
                Receiver::EventEndpoint => match self.targets.admit(&TargetUrl::from_stored(request.url.clone())) {
                    Ok(()) => &self.event_endpoints,
                    Err(_) => {
                        let why = PostFailure::BlockedAddress;
                        let outcome = Err(NoResponse { why, status: None, may_have_arrived: false });
                        return Exchange { took: Duration::ZERO, outcome };
                    }
                },
            };
            exchange::run(client, request, Self::limit(to)).await
        })
    }
}

#[cfg(test)]
mod tests;
