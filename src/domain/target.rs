//! URLs that events may be delivered to. A caller must not be able to make us connect to addresses that only we can
//! reach.

use std::net::IpAddr;

use url::{Host, Url};

use super::address;

/// Reason why a URL is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not a web URL.
    #[error("must be an absolute https address, such as https://platform.example.com/maskline-events")]
    Malformed,
    #[error("must not be longer than {max} characters", max = TargetUrl::MAX_CHARS)]
    TooLong,
    /// `user:password@`.
    #[error("must hold no user or password: deliveries are signed instead")]
    Credentials,
    /// `#...`.
    #[error("must have no fragment")]
    Fragment,
    /// Plain http.
    #[error("must be https")]
    Insecure,
    #[error("must be on the public Internet")]
    NotPublic,
}

/// Well-formed URL that events can be posted to. [`TargetPolicy::admit`] decides whether they may be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TargetUrl(String);

impl TargetUrl {
    /// Maximum length, in characters.
    pub const MAX_CHARS: usize = 2000;

    /// Checks and normalises a URL, so that the URL checked here is the one called later.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let url = Url::parse(text).map_err(|_| InvalidTarget::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err(InvalidTarget::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        if url.fragment().is_some() {
            return Err(InvalidTarget::Fragment);
        }
        if url.as_str().len() > Self::MAX_CHARS {
            return Err(InvalidTarget::TooLong);
        }
        Ok(Self(url.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps a value that was checked before it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

/// Targets that this installation allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetPolicy {
    /// Whether this machine is allowed too, even without TLS (`EVENTS_ALLOW_LOOPBACK`).
    pub allow_loopback: bool,
}

impl TargetPolicy {
    /// Checks whether events may be posted to this URL. A host name is checked again when it is resolved.
    pub fn admit(self, target: &TargetUrl) -> Result<(), InvalidTarget> {
        let url = Url::parse(&target.0).map_err(|_| InvalidTarget::Malformed)?;
        let (is_allowed, is_here) = match url.host() {
            Some(Host::Ipv4(address)) => (self.admits(address.into()), address.is_loopback()),
            Some(Host::Ipv6(address)) => (self.admits(address.into()), address.is_loopback()),
            Some(Host::Domain(name)) => {
                let is_here = is_localhost(name);
                (!is_here || self.allow_loopback, is_here)
            }
            None => return Err(InvalidTarget::Malformed),
        };
        match (is_allowed, url.scheme() == "https" || is_here) {
            (false, _) => Err(InvalidTarget::NotPublic),
            (true, false) => Err(InvalidTarget::Insecure),
            (true, true) => Ok(()),
        }
    }

    /// Checks whether we may connect to this address.
    pub fn admits(self, address: IpAddr) -> bool {
        address::is_public(address) || (self.allow_loopback && address.is_loopback())
    }
}

/// Checks for the names of this machine (RFC 6761).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: TargetPolicy = TargetPolicy { allow_loopback: false };
    const LOOPBACK: TargetPolicy = TargetPolicy { allow_loopback: true };

    fn verdict(policy: TargetPolicy, text: &str) -> Result<(), InvalidTarget> {
        policy.admit(&TargetUrl::parse(text)?)
    }

    #[test]
    fn https_to_the_public_is_taken() {
        for text in [
            "https://platform.example.com/events?key=1",
            "https://platform.example.com:8443",
            "https://1.1.1.1/",
            "https://[2606:4700:4700::1111]/",
        ] {
            assert_eq!(verdict(CLOSED, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let long = format!("https://example.com/{}", "a".repeat(2000));
        for (text, why) in [
            ("", InvalidTarget::Malformed),
            ("platform.example.com", InvalidTarget::Malformed),
            ("ftp://example.com/", InvalidTarget::Malformed),
            ("file:///etc/passwd", InvalidTarget::Malformed),
            ("https://", InvalidTarget::Malformed),
            ("https://exa mple.com/", InvalidTarget::Malformed),
            (long.as_str(), InvalidTarget::TooLong),
            ("https://user@example.com/", InvalidTarget::Credentials),
            ("https://:secret@example.com/", InvalidTarget::Credentials),
            ("https://example.com/#here", InvalidTarget::Fragment),
            ("http://example.com/", InvalidTarget::Insecure),
            ("http://1.1.1.1/", InvalidTarget::Insecure),
        ] {
            assert_eq!(verdict(CLOSED, text), Err(why), "{text}");
            assert_eq!(verdict(LOOPBACK, text), Err(why), "{text}");
        }
    }

    #[test]
    fn an_address_is_seen_through_however_it_is_spelled() {
        for text in [
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://0xa9fea9fe/",
            "https://2852039166/",
            "https://169.254.43518/",
            "https://0251.0376.0251.0376/",
            "https://169.254.169.254./",
            "https://1６9.254.169.254/",
            "https://%31%36%39.254.169.254/",
            "https://0/",
            "https://[::]/",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
        ] {
            assert_eq!(verdict(LOOPBACK, text), Err(InvalidTarget::NotPublic), "{text}");
        }
    }

    #[test]
    fn this_machine_is_a_target_only_where_it_is_allowed() {
        for text in [
            "http://127.0.0.1:9000/",
            "https://127.0.0.1/",
            "http://127.1/",
            "http://[::1]:9000/",
            "http://localhost:9000/",
            "https://localhost./",
            "http://events.localhost/",
        ] {
            assert_eq!(verdict(CLOSED, text), Err(InvalidTarget::NotPublic), "{text}");
            assert_eq!(verdict(LOOPBACK, text), Ok(()), "{text}");
        }
        assert_eq!(verdict(LOOPBACK, "http://localhost.example.com/"), Err(InvalidTarget::Insecure));
    }
}
