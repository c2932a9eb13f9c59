//! Hosts that other machines serve on. Knows no resolver and no network.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns whether a name with dots can be resolved to, or is the IPv4 address of, a server outside the pod.
pub(super) fn is_server(text: &str) -> bool {
    !is_own(text) && (text.parse::<Ipv4Addr>().is_ok() || !is_numeric(text))
}

/// Returns whether a text is an IPv6 address of a server outside the pod. Programs differ in how they take such an
/// address beside a port, so only a blueprint, which knows its programs, can name one.
pub fn is_ipv6_server(text: &str) -> bool {
    !is_own(text)
        && text.parse::<Ipv6Addr>().is_ok_and(|address| address.to_ipv4_mapped().is_none())
}

/// Returns whether resolvers take a name for an address, as `10.1.2.300`: no domain ends in digits only
/// (<https://url.spec.whatwg.org/#ends-in-a-number-checker>).
fn is_numeric(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a name is the pod itself: <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>
fn is_localhost(text: &str) -> bool {
    text.rsplit('.').next() == Some("localhost")
}

/// Returns whether a text is an address or name of the pod itself, or of no host.
pub(super) fn is_own(text: &str) -> bool {
    let v4 = |address: Ipv4Addr| address.is_loopback() || address.is_unspecified();
    let v6 = |address: Ipv6Addr| address.is_loopback() || address.is_unspecified();
    is_localhost(text)
        || text.parse::<Ipv4Addr>().is_ok_and(v4)
        || text.parse::<Ipv6Addr>().is_ok_and(v6)
}
