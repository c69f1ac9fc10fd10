//! Classifies IP addresses: which of them are on the public Internet.
//!
//! Every address in IANA's registries of special-purpose addresses counts as not public, even if the registry calls it
//! globally reachable. No public service uses one, and most of them lead to internal targets: this machine, its
//! network, its cloud's metadata service. The same applies to one address that no registry lists.
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Non-public IPv4 networks: first address and prefix length.
const SPECIAL_V4: [(Ipv4Addr, u32); 20] = [
    // This network.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local. The metadata service of clouds is at 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private.
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // In no registry, and looks public. Inside Azure it leads to the virtual machine's host, which holds secrets.
    // (https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16)
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // IETF protocol assignments.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // AS112.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    // AMT.
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    // 6to4 relays.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private.
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // AS112.
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    // Benchmarking.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation.
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    // Broadcast.
    (Ipv4Addr::new(255, 255, 255, 255), 32),
];

/// Networks in global unicast (2000::/3) that are not public.
const SPECIAL_V6: [(Ipv6Addr, u32); 5] = [
    // IETF protocol assignments, including Teredo and ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which embeds any IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112.
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    // Documentation.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Global unicast: all IPv6 addresses that are allocated.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// IPv4 addresses as networks without IPv4 see them (RFC 6052). Sockets show IPv4 addresses as `::ffff:0:0/96` instead.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match wrapped(address) {
            Some(inner) => is_public_v4(inner),
            None => in_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|network| in_v6(address, *network)),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|(network, prefix)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *prefix)
}

fn in_v6(address: Ipv6Addr, (network, prefix): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= prefix
}

/// Returns the embedded IPv4 address, if packets really go there.
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    address.to_ipv4_mapped().or_else(|| in_v6(address, NAT64).then(|| Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(text: &str) -> bool {
        is_public(text.parse().expect(text))
    }

    #[test]
    fn nothing_special_is_public() {
        // First and last address of each entry in both registries, and internal addresses of clouds.
        let special = [
            ["0.0.0.0", "0.255.255.255"],
            ["10.0.0.0", "10.255.255.255"],
            ["100.64.0.0", "100.127.255.255"],
            ["127.0.0.0", "127.255.255.255"],
            ["169.254.0.0", "169.254.255.255"],
            ["169.254.169.254", "169.254.170.2"],
            ["168.63.129.16", "::ffff:168.63.129.16"],
            ["172.16.0.0", "172.31.255.255"],
            ["192.0.0.0", "192.0.0.255"],
            ["192.0.0.7", "192.0.0.171"],
            ["192.0.2.0", "192.0.2.255"],
            ["192.31.196.0", "192.31.196.255"],
            ["192.52.193.0", "192.52.193.255"],
            ["192.88.99.0", "192.88.99.255"],
            ["192.168.0.0", "192.168.255.255"],
            ["192.175.48.0", "192.175.48.255"],
            ["198.18.0.0", "198.19.255.255"],
            ["198.51.100.0", "198.51.100.255"],
            ["203.0.113.0", "203.0.113.255"],
            ["224.0.0.0", "239.255.255.255"],
            ["240.0.0.0", "255.255.255.254"],
            ["255.255.255.255", "255.255.255.255"],
            ["::", "::1"],
            ["::ffff:0.0.0.0", "::ffff:127.0.0.1"],
            ["::ffff:10.0.0.1", "::ffff:169.254.169.254"],
            ["::7f00:1", "::10.0.0.1"],
            ["64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"],
            ["64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"],
            ["100::", "100::ffff:ffff:ffff:ffff"],
            ["100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"],
            ["2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:1::1", "2001:1::3"],
            ["2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"],
            ["2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"],
            ["2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2002::", "2002:7f00:1::"],
            ["2002:a9fe:a9fe::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"],
            ["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["fd00:ec2::254", "fd20:ce::254"],
            ["fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
        ];
        for address in special.as_flattened() {
            assert!(!verdict(address), "{address}");
        }
    }

    #[test]
    fn everything_beside_it_is() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "3ffe::1",
        ] {
            assert!(verdict(address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_wrapped_address_is_what_it_wraps(bits in any::<u32>()) {
            let inner = Ipv4Addr::from_bits(bits);
            let nat64 = Ipv6Addr::from_bits(NAT64.0.to_bits() | u128::from(bits));
            prop_assert_eq!(is_public(nat64.into()), is_public(inner.into()));
            prop_assert_eq!(is_public(inner.to_ipv6_mapped().into()), is_public(inner.into()));
        }
    }
}
