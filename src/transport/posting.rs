//! What all posts to the platform have in common: how one is made, and what is said of one that fails.

use std::{error::Error, fmt, io, time::Instant};

use reqwest::{Client, Response, header::CONTENT_TYPE};

use crate::domain::courier::{Parcel, PostFailure, Receipt};

/// Who we say we are.
pub(super) const USER_AGENT: &str = concat!("Maskline/", env!("CARGO_PKG_VERSION"));

/// All addresses of a name were refused.
#[derive(Debug)]
pub(super) struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of this name may be connected to")
    }
}

impl Error for Blocked {}

/// Posts a parcel and reads so much of the answer, in bytes.
pub(super) async fn post(client: &Client, parcel: Parcel, at_most: usize) -> Receipt {
    let began = Instant::now();
    match send(client, parcel).await {
        Ok(mut response) => {
            let body = read(&mut response, at_most).await.map_err(|failed| why(&failed));
            Receipt { took: began.elapsed(), status: Some(response.status().as_u16()), body }
        }
        Err(failed) => Receipt::unanswered(began.elapsed(), why(&failed)),
    }
}

/// Posts a parcel and waits for the head of the answer.
async fn send(client: &Client, parcel: Parcel) -> Result<Response, reqwest::Error> {
    let mut request = client.post(parcel.url).header(CONTENT_TYPE, "application/json").body(parcel.body);
    for (name, value) in parcel.headers {
        request = request.header(name, value);
    }
    request.send().await
}

async fn read(response: &mut Response, at_most: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < at_most
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(at_most);
    Ok(body)
}

/// What failed, without the address: it may hold a secret of the platform's.
fn why(failed: &reqwest::Error) -> PostFailure {
    let causes = || std::iter::successors(failed.source(), |cause| (*cause).source());
    // What TLS reports comes in a wrapping that does not name it as its source.
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
        // What rustls reports while it shakes hands.
        PostFailure::Tls
    } else {
        PostFailure::Unreachable
    }
}
