//! Where a request comes from.

use std::net::IpAddr;

use poem::Request;

/// The address of the caller: the peer's, or what trusted proxies say of it. `None` for a connection without addresses.
pub(super) fn address(request: &Request) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip();
    let forwarded = request.headers().get_all("x-forwarded-for").iter().map(|value| value.as_bytes());
    Some(super::context::of(request).settings.trusted_proxies.caller(peer, forwarded))
}
