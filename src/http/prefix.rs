//! Life under a path. With `PUBLIC_BASE_URL=https://example.com/maskline` a proxy passes paths on with `/maskline` or
//! strips it; the service answers both, and what it says of its own addresses has it always.

use std::sync::Arc;

use poem::{
    Endpoint, IntoResponse as _, Middleware, Request, Response, Result,
    http::{HeaderValue, Uri, header, uri::PathAndQuery},
};
use url::Url;

use super::{guard::Guard, pages::PATHS};

/// The path of the public address, without a slash at its end; empty if it has none.
pub(super) fn of(public_base_url: &str) -> String {
    let url = Url::parse(public_base_url).ok();
    url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// The middleware: outermost, so that nobody behind it sees the prefix.
pub(super) struct Prefix {
    path: Arc<str>,
    guard: Guard,
}

impl Prefix {
    pub(super) fn new(path: &str, guard: &Guard) -> Self {
        Self { path: path.into(), guard: guard.clone() }
    }
}

impl<E: Endpoint> Middleware<E> for Prefix {
    type Output = PrefixedEndpoint<E>;

    fn transform(&self, inner: E) -> PrefixedEndpoint<E> {
        PrefixedEndpoint { inner, path: Arc::clone(&self.path), guard: self.guard.clone() }
    }
}

/// An endpoint under the prefix.
pub(super) struct PrefixedEndpoint<E> {
    inner: E,
    path: Arc<str>,
    guard: Guard,
}

/// Path and query below the public address, in the encoding in which they arrived: signatures are made over them.
#[derive(Clone)]
pub(super) struct RequestTarget(PathAndQuery);

impl RequestTarget {
    pub(super) fn of(request: &Request) -> &str {
        request.data::<Self>().map_or("/", |arrived| arrived.0.as_str())
    }
}

impl<E: Endpoint> Endpoint for PrefixedEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        if let Some(below) = strip(&self.path, &self.guard, request.uri()) {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(below);
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        }
        if let Some(arrived) = request.uri().path_and_query().cloned() {
            request.set_data(RequestTarget(arrived));
        }
        let mut response = self.inner.call(request).await?.into_response();
        if let Some(location) = response.headers().get(header::LOCATION).and_then(|path| path.to_str().ok())
            && location.starts_with('/')
            && let Ok(location) = HeaderValue::from_str(&format!("{}{location}", self.path))
        {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }
}

/// Path and query below the prefix, if they begin with it. A path of our own is not stripped: where the prefix is
/// `/v1`, a proxy that strips it passes `/v1/rides` on for `/v1/v1/rides`.
fn strip(prefix: &str, guard: &Guard, uri: &Uri) -> Option<PathAndQuery> {
    if prefix.is_empty() {
        return None;
    }
    let below = match uri.path().strip_prefix(prefix)? {
        "" => "/",
        below if below.starts_with('/') => below,
        _ => return None,
    };
    // Where the prefix is `/v1/rides`, `/v1/rides/docs` is no ride.
    let is_page = below != "/" && PATHS.iter().any(|(path, _)| *path == below);
    if guard.knows(uri.path()) && !is_page {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{below}{query}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::spec;

    #[test]
    fn the_prefix_is_stripped_where_it_is_one() {
        let guard = Guard::new(&spec::document());
        for (prefix, arrived, below) in [
            ("", "/maskline/docs", None),
            ("/maskline", "/maskline/v1/rides?a=%2F+b", Some("/v1/rides?a=%2F+b")),
            ("/maskline", "/maskline/v1/rides/%20", Some("/v1/rides/%20")),
            ("/maskline", "/maskline", Some("/")),
            ("/maskline", "/maskline/", Some("/")),
            ("/maskline", "/maskline?x", Some("/?x")),
            ("/maskline", "/maskline//docs", Some("//docs")),
            ("/maskline", "/masklined/docs", None),
            ("/maskline", "/v1/rides", None),
            ("/a/b", "/a/docs", None),
            ("/a/b", "/a/b/docs", Some("/docs")),
            ("/v1", "/v1/rides", None),
            ("/v1", "/v1/v1/rides", Some("/v1/rides")),
            ("/v1", "/v1/docs", Some("/docs")),
            ("/docs", "/docs", None),
            ("/docs", "/docs/", Some("/")),
            ("/docs", "/docs/docs", Some("/docs")),
            ("/v1/rides", "/v1/rides", None),
            ("/v1/rides", "/v1/rides/1", None),
            ("/v1/rides", "/v1/rides/docs", Some("/docs")),
            ("/v1/rides", "/v1/rides/v1/rides/1", Some("/v1/rides/1")),
            ("/webhooks", "/webhooks/twilio/sms", None),
            ("/webhooks", "/webhooks/webhooks/twilio/sms", Some("/webhooks/twilio/sms")),
        ] {
            let stripped = strip(prefix, &guard, &arrived.parse().expect("an address"));
            assert_eq!(stripped.as_ref().map(PathAndQuery::as_str), below, "{prefix} {arrived}");
        }
    }
}
