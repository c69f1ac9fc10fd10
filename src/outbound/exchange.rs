//! One exchange: sends a request, reads the response, and classifies failures.

use std::{error::Error, io, time::Instant};

use bytes::BytesMut;
use reqwest::Client;

use super::guard::Blocked;
use crate::domain::outbound::{Exchange, NoResponse, OutboundRequest, OutboundResponse, PostFailure};

/// Sends a request and reads at most `limit` bytes of the response.
pub(super) async fn run(client: &Client, request: OutboundRequest, limit: usize) -> Exchange {
    let began = Instant::now();
    let outcome = send(client, request, limit).await;
    Exchange { took: began.elapsed(), outcome }
}

async fn send(client: &Client, request: OutboundRequest, limit: usize) -> Result<OutboundResponse, NoResponse> {
    let mut outgoing = client.request(request.method, request.url).body(request.body);
    for (name, value) in request.headers {
        outgoing = outgoing.header(name, value);
    }
    let mut response = outgoing.send().await.map_err(|failed| NoResponse {
        why: why(&failed),
        status: None,
        may_have_arrived: !(failed.is_connect() || failed.is_builder()),
    })?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    while body.len() < limit {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(failed) => {
                return Err(NoResponse { why: why(&failed), status: Some(status), may_have_arrived: true });
            }
        }
    }
    body.truncate(limit);
    Ok(OutboundResponse { status, headers, body: body.freeze() })
}

/// Classifies a failure. Leaves out the address, which may contain a secret of the platform.
fn why(failed: &reqwest::Error) -> PostFailure {
    let causes = || std::iter::successors(failed.source(), |cause| (*cause).source());
    // TLS errors come in a wrapper that does not name them as its source.
    let inner = |error: &'_ io::Error| error.get_ref()?.downcast_ref::<io::Error>().map(io::Error::kind);
    let io = || {
        let errors = causes().filter_map(|cause| cause.downcast_ref::<io::Error>());
        errors.map(|error| inner(error).unwrap_or_else(|| error.kind()))
    };
    if causes().any(|cause| cause.is::<Blocked>()) {
        PostFailure::BlockedAddress
    } else if failed.is_timeout() {
        PostFailure::Timeout
    } else if failed.is_dns() {
        PostFailure::Dns
    } else if io().any(|kind| kind == io::ErrorKind::ConnectionRefused) {
        PostFailure::ConnectionRefused
    } else if failed.is_connect()
        && io().any(|kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof))
    {
        // Errors that rustls reports during the handshake.
        PostFailure::Tls
    } else {
        PostFailure::Unreachable
    }
}
