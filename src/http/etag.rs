//! Entity tags (RFC 9110, section 8.8.3): a record's version, as `ETag` shows it and `If-Match` names it.

use crate::domain::version::ExpectedVersion;

/// What proxies append to the tag of an answer that they compress: Apache and Caddy `-gzip` and its kin, Jetty
/// `--gzip`. nginx and most others mark the tag as weak instead.
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// The tag of a version.
pub(super) fn spell(version: i64) -> String {
    format!("\"{version}\"")
}

/// Reads `If-Match`: `*`, or a list of tags, weak ones included. A proxy that compresses answers changes their tags,
/// and the version is the same nevertheless, so tags are compared weakly. `None` for anything else.
pub(super) fn if_match(text: &str) -> Option<ExpectedVersion> {
    let text = trim(text);
    if text == "*" {
        return Some(ExpectedVersion::Any);
    }
    let (mut versions, mut tags, mut rest) = (Vec::new(), 0, text);
    loop {
        // A list may have empty elements.
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return (tags > 0).then_some(ExpectedVersion::OneOf(versions));
        }
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = quoted.split_once('"')?;
        if !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        tags += 1;
        versions.extend(version(tag));
        rest = trim(after);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The version of one of our tags; other tags name none.
fn version(tag: &str) -> Option<i64> {
    let plain = tag.rsplit_once('-').and_then(|(plain, coding)| CODINGS.contains(&coding).then_some(plain));
    let plain = plain.map_or(tag, |plain| plain.strip_suffix('-').unwrap_or(plain));
    // `+3` and `03` are other tags than `3`.
    plain.parse().ok().filter(|version: &i64| version.to_string() == plain)
}
