//! Checks on every signed token (JWT), ours or a provider's, that the library does not make.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::IgnoredAny;

/// Maximum length of a token, in bytes. No token that we know is half as long.
const MAX_BYTES: usize = 8 * 1024;

/// Checks the size and the header of a token. The library gets only tokens that pass.
///
/// A header with `crit` names extensions that its reader must understand or else reject the token (RFC 7515, section
/// 4.1.11). We understand none.
pub fn is_readable(token: &str) -> bool {
    if token.len() > MAX_BYTES {
        return false;
    }
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let members = header.and_then(|header| serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&header).ok());
    members.is_some_and(|members| !members.contains_key("crit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn no_extension_is_understood() {
        assert!(is_readable(&token(r#"{"alg":"HS256","typ":"JWT"}"#)));
        assert!(is_readable(&token(r#"{"alg":"HS256","kid":"1","critical":["exp"]}"#)));
        for crit in [r#"["exp"]"#, "[]", "null", r#""exp""#, "{}", "0", r#"["b64"],"b64":false"#] {
            assert!(!is_readable(&token(&format!(r#"{{"alg":"HS256","crit":{crit}}}"#))), "{crit}");
        }
        assert!(!is_readable(&token(r#"{"alg":"HS256","\u0063rit":["exp"]}"#)), "however it is written");
        assert!(!is_readable(&token(r#"{"crit":["exp"],"crit":[]}"#)));
    }

    #[test]
    fn what_has_no_header_is_not_read() {
        for wrong in ["", ".", "..", "e30=..", "!..", "W10.e30.", "bnVsbA.e30."] {
            assert!(!is_readable(wrong), "{wrong}");
        }
        assert!(!is_readable(&format!("{}.{}", token(r#"{"alg":"HS256"}"#), "x".repeat(MAX_BYTES))));
    }
}
