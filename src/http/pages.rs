//! Pages that are the same for every caller: Swagger UI and the document. All responses share one copy, which is
//! compressed once, and a browser that has it is only told so.

use std::{io::Write as _, sync::OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use poem::{
    Request, Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

/// Kept by browsers and proxies, which ask each time whether it is still the same.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache");

/// Path and name, for the log, of every page.
pub(super) const PATHS: [(&str, &str); 4] =
    [("/", "home"), ("/docs", "docs"), ("/openapi.json", "openapi_json"), ("/openapi.yaml", "openapi_yaml")];

/// A page, rendered when it is requested for the first time.
pub(super) struct Page {
    content_type: HeaderValue,
    render: Box<dyn Fn() -> String + Send + Sync>,
    plain: OnceLock<Variant>,
    gzip: OnceLock<Variant>,
}

/// Its bytes in one encoding, and their name.
struct Variant {
    body: Bytes,
    etag: HeaderValue,
}

impl Variant {
    fn new(body: Vec<u8>) -> Self {
        let name = format!("\"{}\"", &URL_SAFE_NO_PAD.encode(digest(&SHA256, &body))[..22]);
        let etag = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: body.into(), etag }
    }
}

impl Page {
    pub(super) fn new(content_type: &'static str, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            content_type: HeaderValue::from_static(content_type),
            render: Box::new(render),
            plain: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    fn plain(&self) -> &Variant {
        self.plain.get_or_init(|| Variant::new((self.render)().into_bytes()))
    }

    fn gzip(&self) -> &Variant {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            // Writing to memory does not fail.
            let _ = encoder.write_all(&self.plain().body);
            Variant::new(encoder.finish().unwrap_or_default())
        })
    }

    /// The page, or that the caller has it.
    pub(super) fn answer(&self, request: &Request) -> Response {
        let gzip = accepts_gzip(request.headers());
        let variant = if gzip { self.gzip() } else { self.plain() };
        let known = names_any(request.headers(), &[&self.plain().etag, &variant.etag]);
        let mut response = Response::builder().finish();
        let headers = response.headers_mut();
        headers.insert(header::ETAG, variant.etag.clone());
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if known {
            response.set_status(StatusCode::NOT_MODIFIED);
            return response;
        }
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response.set_body(variant.body.clone());
        response
    }
}

fn texts(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether `Accept-Encoding` has gzip with a weight other than zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in texts(headers, header::ACCEPT_ENCODING) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

/// Whether `If-None-Match` has one of these, weak or strong: proxies that compress make them weak.
fn names_any(headers: &HeaderMap, etags: &[&HeaderValue]) -> bool {
    texts(headers, header::IF_NONE_MATCH).any(|given| {
        let given = given.strip_prefix("W/").unwrap_or(given);
        given == "*" || etags.iter().any(|etag| etag.as_bytes() == given.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepted, values) in [
            (true, vec!["gzip"]),
            (true, vec!["br;q=1.0, GZIP;q=0.5"]),
            (true, vec!["br", "x-gzip"]),
            (true, vec!["*"]),
            (false, vec![]),
            (false, vec![""]),
            (false, vec!["gzip;q=0", "*"]),
            (false, vec!["*, gzip; q=0.000"]),
            (false, vec!["br, identity"]),
            (false, vec!["gzipped"]),
            (false, vec!["gzip;q=a lot"]),
        ] {
            assert_eq!(accepts_gzip(&headers(header::ACCEPT_ENCODING, &values)), accepted, "{values:?}");
        }
    }

    #[test]
    fn a_page_is_known_by_any_of_its_names() {
        let etag = HeaderValue::from_static("\"a\"");
        for (known, values) in [
            (true, vec!["\"a\""]),
            (true, vec!["W/\"a\""]),
            (true, vec!["\"b\", \"a\""]),
            (true, vec!["\"b\"", "\"a\""]),
            (true, vec!["*"]),
            (false, vec![]),
            (false, vec!["a"]),
            (false, vec!["\"b\""]),
        ] {
            assert_eq!(names_any(&headers(header::IF_NONE_MATCH, &values), &[&etag]), known, "{values:?}");
        }
    }
}
