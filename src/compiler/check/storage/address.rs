//! Addresses of arrays: which texts are valid, and which texts mean the same address.

use std::net::{IpAddr, Ipv6Addr};

use reqwest::Url;

use crate::compiler::spec::Format;
use crate::sanitize::quoted;

/// A host in comparable form: names in lower case without the final dot, addresses as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// A host name.
    Name(String),
    /// An IP address.
    Address(IpAddr),
}

/// A management interface in comparable form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Management {
    host: Host,
    port: u16,
}

impl Management {
    /// Parses a host name or address with or without a port. Returns none if it is invalid.
    pub(super) fn read(text: &str) -> Option<Self> {
        if !crate::contract::is_address(text) {
            return None;
        }
        let url = Url::parse(&format!("https://{text}")).ok()?;
        let port = url.port_or_known_default()?;
        Some(Self { host: host(url.host_str()?), port })
    }

    /// Returns whether both have the same host.
    pub(super) fn has_host_of(&self, other: &Self) -> bool {
        self.host == other.host
    }

    /// Returns whether the address belongs to the local machine.
    pub(super) fn is_local(&self) -> bool {
        match &self.host {
            Host::Name(name) => is_localhost(name),
            Host::Address(address) => address.is_loopback(),
        }
    }

    /// Returns why no array can have this address, or none if it can.
    pub(super) fn objection(&self) -> Option<&'static str> {
        if self.port == 0 {
            return Some("has port 0");
        }
        match &self.host {
            Host::Address(address) if !address.is_loopback() => nowhere(*address),
            _ => None,
        }
    }
}

/// Parses the address from which nodes mount.
///
/// # Errors
///
/// Returns the problem and the correction.
pub(super) fn data(text: &str) -> Result<Host, (String, String)> {
    let fix = || "write one address or host name, such as `10.20.9.1`".to_owned();
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Err((
            format!("{text} has a scheme", text = quoted(text)),
            format!("write `{host}`"),
        ));
    }
    if let Some((address, _)) = text.split_once('/') {
        let message =
            format!("{text} is a network or a path instead of one address", text = quoted(text));
        return Err((message, format!("write `{}`", address.trim_end_matches(':'))));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(bare) = bare.filter(|bare| bare.parse::<Ipv6Addr>().is_ok()) {
        return Err((
            format!("{text} has brackets", text = quoted(text)),
            format!("write `{bare}`"),
        ));
    }
    let Ok(address) = text.parse::<IpAddr>() else {
        let colon = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        if let Some((host, _)) = colon {
            let message =
                format!("{text} has a port, but NFS uses a fixed one", text = quoted(text));
            return Err((message, format!("write `{}`", host.trim_matches(['[', ']']))));
        }
        return name(text).map(Host::Name);
    };
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err((
            format!("{text} is an IPv4 address", text = quoted(text)),
            format!("write `{v4}`"),
        ));
    }
    match nowhere(address) {
        Some(why) => {
            Err((format!("{text} {why}: nodes cannot mount from it", text = quoted(text)), fix()))
        }
        None => Ok(Host::Address(address)),
    }
}

/// Parses a host name from which nodes mount.
fn name(text: &str) -> Result<String, (String, String)> {
    let lower = text.trim_end_matches('.').to_ascii_lowercase();
    let message = format!("{text} is not a host name or address", text = quoted(text));
    let fix = "write one address or host name, such as `10.20.9.1` or `fb1-data.example.com`";
    // A numeric last part would be parsed as the last number of an IPv4 address.
    let last = lower.rsplit('.').next().unwrap_or_default();
    let is_number = |part: &str| {
        let hex = part.strip_prefix("0x");
        part.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if !Format::Hostname.accepts(&lower) || is_number(last) {
        return Err((message, fix.to_owned()));
    }
    if is_localhost(&lower) {
        let message =
            format!("{text} is the node itself: nodes cannot mount from it", text = quoted(text));
        return Err((message, fix.to_owned()));
    }
    if lower != text {
        return Err((message, format!("write `{lower}`")));
    }
    Ok(lower)
}

/// Returns a host in comparable form.
fn host(text: &str) -> Host {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => Host::Address(address.to_canonical()),
        Err(_) => Host::Name(bare.trim_end_matches('.').to_ascii_lowercase()),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Returns the kind of an address that cannot belong to another machine in the network.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
fn nowhere(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    let (is_link_local, is_broadcast, is_this_network) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast(), v4.octets()[0] == 0),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), false, false),
    };
    if address.is_unspecified() || is_this_network {
        Some("is an unspecified address")
    } else if address.is_loopback() {
        Some("is a loopback address")
    } else if is_link_local {
        Some("is a link-local address")
    } else if address.is_multicast() || is_broadcast {
        Some("is a multicast or broadcast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_many_spellings() {
        let read = |text| Management::read(text).expect("an address");
        for [one, other] in [
            ["fb1.example.com", "FB1.Example.com"],
            ["fb1.example.com", "fb1.example.com."],
            ["fb1.example.com", "fb1.example.com:443"],
            ["10.20.9.1", "10.20.9.1:443"],
            ["10.20.9.1", "10.20.2305"],
            ["10.20.9.1", "[::ffff:10.20.9.1]"],
            ["[fd00::1]", "[FD00:0:0:0:0:0:0:1]:443"],
        ] {
            assert_eq!(read(one), read(other), "{one} {other}");
        }
        assert_ne!(read("fb1.example.com"), read("fb1.example.com:8443"));
        assert_ne!(read("fb1.example.com"), read("fb2.example.com"));
        assert!(read("fb1.example.com").has_host_of(&read("FB1.example.com:8443")));
        for none in ["", "https://fb1", "fb1/x", "a@fb1", "a b"] {
            assert_eq!(Management::read(none), None, "{none}");
        }
    }

    #[test]
    fn an_array_is_on_another_machine() {
        let objection = |text| Management::read(text).expect("an address").objection().is_some();
        for nowhere in
            ["0.0.0.0", "[::]", "169.254.1.1", "[fe80::1]", "224.0.0.1", "255.255.255.255", "fb1:0"]
        {
            assert!(objection(nowhere), "{nowhere}");
        }
        for valid in ["fb1", "10.20.9.1:8443", "[fd00::1]", "127.0.0.1:8443", "localhost:1"] {
            assert!(!objection(valid), "{valid}");
        }
        assert!(Management::read("127.0.0.1:1").expect("an address").is_local());
        assert!(Management::read("LOCALHOST.").expect("an address").is_local());
        assert!(!Management::read("10.20.9.1").expect("an address").is_local());
    }

    #[test]
    fn nodes_mount_from_one_address_or_name() {
        for valid in ["10.20.9.1", "fd00::9:1", "fb1-data.example.com", "fb1"] {
            assert!(data(valid).is_ok(), "{valid}");
        }
        for (bad, fix) in [
            ("https://10.20.9.1/x", "write `10.20.9.1`"),
            ("nfs://fb1:2049", "write `fb1`"),
            ("10.20.9.1:2049", "write `10.20.9.1`"),
            ("[fd00::1]:2049", "write `fd00::1`"),
            ("[fd00::1]", "write `fd00::1`"),
            ("10.20.9.0/24", "write `10.20.9.0`"),
            ("10.20.9.1:/export", "write `10.20.9.1`"),
            ("::ffff:10.20.9.1", "write `10.20.9.1`"),
            ("FB1.example.com", "write `fb1.example.com`"),
            ("fb1.example.com.", "write `fb1.example.com`"),
        ] {
            assert_eq!(data(bad).err().map(|(_, fix)| fix).as_deref(), Some(fix), "{bad}");
        }
        for bad in [
            "",
            " ",
            "10.20.9",
            "10.20.9.256",
            "010.20.9.1",
            "0x0a.0x14.9.1",
            "10.20.9.0x1",
            "fe80::1",
            "fe80::1%eth0",
            "127.0.0.1",
            "::1",
            "localhost",
            "a.localhost",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.169.254",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "fb_1",
            "fb 1",
            "fb1,fb2",
            "*",
            "@all",
            "-a",
            "user@fb1",
        ] {
            assert!(data(bad).is_err(), "{bad}");
        }
    }
}
