//! `PUBLIC_BASE_URL`: the public address of the service, at the root of a host or under a path.

use url::Url;

use super::Reader;

impl Reader<'_> {
    /// Reads the public address, without a trailing slash.
    pub(super) fn public_base_url(&mut self) -> Option<String> {
        let address = self.base_url("PUBLIC_BASE_URL")?;
        let rule = "PUBLIC_BASE_URL can have a path such as /maskline: segments of letters, digits, '-', '.', '_' and '~', none \
                    of them empty, '.' or '..'";
        self.require(rule, has_plain_path(&address).then_some(address))
    }
}

/// Checks whether proxies and providers pass on the path of this address byte for byte.
fn has_plain_path(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    let is_plain = |segment: &str| {
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(is_unreserved)
    };
    let is_read_so = Url::parse(address).is_ok_and(|url| url.path().trim_end_matches('/') == path);
    is_read_so && path.split('/').skip(1).all(is_plain)
}
