//! Origin of a request: the caller's address, as reported by the proxies that we trust.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 or IPv6 network; a single address is a network too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address. Bits after the prefix are ignored, and IPv4 inside
    /// IPv6 (`::ffff:10.0.0.0/104`) counts as IPv4.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let mut prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => longest,
        };
        if prefix > longest {
            return None;
        }
        let mut canonical = address;
        if prefix >= 96 || address.is_ipv4() {
            canonical = address.to_canonical();
        }
        if address.is_ipv6() && canonical.is_ipv4() {
            prefix -= 96;
        }
        Some(Self { first: cut(canonical, prefix), prefix })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && cut(address, self.prefix) == self.first
    }
}

/// Returns the first address of the network with this prefix around an address.
fn cut(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or_default();
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or_default();
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// Returns the network of one subscriber: an IPv4 address, or an IPv6 /64, in which a subscriber can choose addresses
/// at will.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        address @ IpAddr::V6(_) => cut(address, 64),
    }
}

/// Proxies in front of the service that we trust to report the caller's address (`TRUSTED_PROXIES`).
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Reads a comma-separated list of addresses and networks.
    pub fn parse(list: &str) -> Option<Self> {
        list.split(',').map(|entry| Network::parse(entry.trim())).collect::<Option<_>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the caller's address for a request that came from `peer` with these values of `X-Forwarded-For`, in the
    /// order of their headers.
    ///
    /// Each proxy appends the address that called it. So the list is read from its end, for as long as trusted proxies
    /// wrote it; anybody may have made up the entries further left. If a proxy wrote something that is not an address,
    /// the result is the address of that proxy.
    pub fn caller<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let mut caller = peer.to_canonical();
        let entries = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if !self.trusts(caller) {
                break;
            }
            match entry_address(entry) {
                Some(address) => caller = address,
                None => break,
            }
        }
        caller
    }
}

/// Reads an entry of `X-Forwarded-For`. Some proxies write the address with a port, in brackets, or with a zone.
fn entry_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            // Brackets are for IPv6 only.
            host.contains(':').then_some(())?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        // More than one colon is IPv6, which has no port without brackets.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    if let Some(port) = port {
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        is_port.then_some(())?;
    }
    let address = match host.split_once('%') {
        Some((address, zone)) if address.contains(':') && !zone.is_empty() => address,
        Some(_) => return None,
        None => host,
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn caller(trusted: &str, peer: &str, headers: &[&str]) -> String {
        let proxies = TrustedProxies::parse(trusted).expect("proxies");
        proxies.caller(ip(peer), headers.iter().map(|value| value.as_bytes())).to_string()
    }

    #[test]
    fn a_network_is_an_address_with_a_prefix_or_without() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ] {
            let read = Network::parse(network).expect(network);
            assert!(read.contains(ip(inside)), "{inside} in {network}");
            assert!(!read.contains(ip(outside)), "{outside} in {network}");
        }
        for wrong in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "10.0.0",
            "010.0.0.1",
            "proxy.test",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
            "10.0.0.0/ 8",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/99999999999",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
        for wrong in ["", ",", "10.0.0.1,", "10.0.0.1 10.0.0.2", "10.0.0.1;10.0.0.2"] {
            assert!(TrustedProxies::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn without_a_trusted_peer_the_header_says_nothing() {
        assert_eq!(
            TrustedProxies::default().caller(ip("192.0.2.1"), [&b"198.51.100.1"[..]].into_iter()),
            ip("192.0.2.1")
        );
        assert_eq!(caller("10.0.0.1", "192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(caller("10.0.0.1", "192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
        assert_eq!(caller("10.0.0.1", "::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn the_caller_is_the_right_most_that_is_no_trusted_proxy() {
        const TRUSTED: &str = "10.0.0.0/8, 2001:db8:1::/48";
        for (headers, expected) in [
            (&[][..], "10.0.0.1"),
            (&["198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.9, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            (&["203.0.113.9,198.51.100.1,2001:db8:1::7,10.2.2.2"], "198.51.100.1"),
            (&["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.9, 198.51.100.1", "10.2.2.2, 10.3.3.3"], "198.51.100.1"),
            // Only proxies: the first of them.
            (&["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
            (&["198.51.100.1 , , ,", "", ","], "198.51.100.1"),
            (&["\t198.51.100.1\t"], "198.51.100.1"),
            (&["2001:db8:2::1"], "2001:db8:2::1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["[2001:db8:2::1]"], "2001:db8:2::1"),
            (&["[2001:db8:2::1]:443"], "2001:db8:2::1"),
            (&["203.0.113.9, [2001:db8:1::1]:443"], "203.0.113.9"),
            (&["fe80::1%eth0"], "fe80::1"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
            (&["198.51.100.1, ::ffff:10.2.2.2"], "198.51.100.1"),
            // An entry that is not an address ends the list: the result is the proxy that wrote it.
            (&["198.51.100.1, unknown"], "10.0.0.1"),
            (&["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
            (&["unknown, 198.51.100.1"], "198.51.100.1"),
            (&["198.51.100.1:"], "10.0.0.1"),
            (&["198.51.100.1:99999"], "10.0.0.1"),
            (&["[198.51.100.1]"], "10.0.0.1"),
            (&["[2001:db8:2::1"], "10.0.0.1"),
            (&["[2001:db8:2::1]x"], "10.0.0.1"),
            (&["\"198.51.100.1\""], "10.0.0.1"),
            (&["198.51.100.01"], "10.0.0.1"),
            (&["198.51.100.1%eth0"], "10.0.0.1"),
            (&["é"], "10.0.0.1"),
        ] {
            assert_eq!(caller(TRUSTED, "10.0.0.1", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_subscriber_of_ipv6_has_a_network() {
        assert_eq!(network_of(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network_of(ip("192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(network_of(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
    }

    proptest! {
        #[test]
        fn nothing_a_caller_sends_changes_the_address_that_a_proxy_saw(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
            seen in any::<u32>().prop_filter("no proxy", |bits| bits >> 24 != 10),
            hops in prop::collection::vec(any::<u32>(), 0..3),
        ) {
            let proxies = TrustedProxies::parse("10.0.0.0/8").expect("proxies");
            let seen = Ipv4Addr::from_bits(seen);
            let hops = hops.iter().map(|bits| Ipv4Addr::from_bits(10 << 24 | bits >> 8));
            let added = std::iter::once(seen).chain(hops).map(|hop| format!(", {hop}")).collect::<String>();
            let values: Vec<_> = sent.iter().map(Vec::as_slice).chain([added.as_bytes()]).collect();
            prop_assert_eq!(proxies.caller(ip("10.0.0.1"), values.into_iter()), IpAddr::from(seen));
        }

        #[test]
        fn an_address_is_read_back_however_it_is_written(bits in any::<u128>(), port in any::<u16>()) {
            let address = Ipv6Addr::from_bits(bits);
            let canonical = IpAddr::from(address).to_canonical();
            for text in [format!("{address}"), format!("[{address}]"), format!("[{address}]:{port}")] {
                prop_assert_eq!(entry_address(text.as_bytes()), Some(canonical), "{}", text);
            }
            let network = Network::parse(&format!("{address}/{}", 96 + bits % 33)).expect("a network");
            prop_assert!(network.contains(canonical));
        }

        #[test]
        fn garbage_is_no_address_and_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = entry_address(&bytes);
            let _ = TrustedProxies::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
