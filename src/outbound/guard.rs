//! Guards requests to addresses that an API client chose: nothing is sent before the destination is checked.
//!
//! Maskline resolves the name for every connection, drops the addresses that the policy refuses, and connects to one of
//! the others. The address that was checked is the one connected to, whatever the name resolves to a moment later. An
//! IP address in the URL is never resolved; it is checked before each request.

use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::target::TargetPolicy;

/// The policy refuses all addresses of a name.
#[derive(Debug)]
pub(super) struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of this name may be connected to")
    }
}

impl Error for Blocked {}

/// Function that finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

pub fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// Resolves names to addresses that the policy admits.
pub(super) struct GuardedResolver {
    pub(super) policy: TargetPolicy,
    pub(super) lookup: Lookup,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, found) = (self.policy, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await?;
            let was_found = !found.is_empty();
            let admitted: Vec<_> = found.into_iter().filter(|address| policy.admits(address.ip())).collect();
            if admitted.is_empty() && was_found {
                return Err(Blocked.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}
