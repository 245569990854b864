//! Which addresses belong to the public internet. Everything with another purpose is refused, and so is every way to
//! write an IPv4 address as IPv6, by what it translates to. Sources: the IANA special-purpose registries.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};

/// IPv4 ranges that aren't public.
const REFUSED_V4: &[&str] = &[
    "0.0.0.0/8",       // this network, unspecified
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carrier-grade NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local, cloud metadata
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.31.196.0/24", // AS112
    "192.52.193.0/24", // AMT
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "192.175.48.0/24", // AS112
    "198.18.0.0/15",   // benchmarking
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
];

/// IPv6 ranges inside global unicast that aren't public; outside `2000::/3` nothing is.
const REFUSED_V6: &[&str] = &[
    "2001::/23",         // protocol assignments: Teredo, benchmarking, ORCHID
    "2001:db8::/32",     // documentation
    "3fff::/20",         // documentation
    "2620:4f:8000::/48", // AS112
];

static NETS_V4: LazyLock<Vec<Ipv4Net>> =
    LazyLock::new(|| REFUSED_V4.iter().map(|net| net.parse().expect("invariant: the list holds networks")).collect());
static NETS_V6: LazyLock<Vec<Ipv6Net>> =
    LazyLock::new(|| REFUSED_V6.iter().map(|net| net.parse().expect("invariant: the list holds networks")).collect());

/// Whether an address is one of the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NETS_V4.iter().any(|net| net.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = translated(address) {
        return is_public_v4(inner);
    }
    let global_unicast = address.segments()[0] & 0xe000 == 0x2000;
    global_unicast && !NETS_V6.iter().any(|net| net.contains(&address))
}

/// The IPv4 address that an IPv6 address ends up at: mapped, compatible, NAT64, 6to4, Teredo. Local NAT64
/// (`64:ff9b:1::/48`) leads wherever its operator wants, so it counts as nowhere.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(p, q, r, s))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        [0x64, 0xff9b, ..] => Some(Ipv4Addr::UNSPECIFIED),
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo hides the client behind a complement; the server stands in the open. Both must be public.
        [0x2001, 0, high, low, ..] => v4(high, low).filter(|server| !is_public_v4(*server)).or_else(|| v4(!g, !h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_public() {
        for text in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["64:ff9b::808:808", "2002:808:808::1", "2a00:1450:4001::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn every_other_range_is_refused() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "2001:2::1",
            "2001:10::1",
        ];
        for text in refused {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_in_disguise_is_judged_by_what_it_leads_to() {
        let disguised = [
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::808:808",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "2002:c0a8:101::1",
            // Teredo: the client 192.168.1.1 as a complement, then a private server.
            "2001:0:808:808::3f57:fefe",
            "2001:0:a00:1::f7f7:f7f7",
        ];
        for text in disguised {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
