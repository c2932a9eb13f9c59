//! Parses the address of a host: an IP address or a name, with or without a port.

use std::net::IpAddr;

use reqwest::Url;

/// Splits a host and port. Returns the host as it is written, and the port, if there is one. An IPv6 address with a
/// port must be in brackets.
pub fn host_and_port(text: &str) -> (&str, Option<u16>) {
    // Two colons without a bracket: a bare IPv6 address.
    let is_bare_v6 = !text.starts_with('[') && text.matches(':').count() > 1;
    match text.rsplit_once(':') {
        Some((host, port)) if !is_bare_v6 => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

/// Returns the IP address that a host stands for, or `None` for a name. Accepts `0x0a000001` and the like, because HTTP
/// clients read such forms as addresses too.
pub fn address(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Some(address);
    }
    let url = Url::parse(&format!("https://{bare}")).ok()?;
    url.host_str()?.parse().ok()
}

/// Returns whether a text is a host name or an address, with or without a port.
pub fn is_address(management: &str) -> bool {
    management_url(management).is_ok()
}

/// Returns the URL of an array's management interface for a host name or address, with or without a port. The scheme is
/// always https.
///
/// # Errors
/// Returns the reason why the text is not such an address, and what to write instead.
pub fn management_url(management: &str) -> Result<Url, String> {
    let invalid = |why: &str| format!("{management:?} is not an address of an array: {why}");
    if management.contains(['/', '@', '?', '#', '\\']) || management.contains(char::is_whitespace) {
        return Err(invalid("write a host name or an address, and `:port` when it is not 443"));
    }
    Url::parse(&format!("https://{management}")).map_err(|error| invalid(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_from_names() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        for (written, host, port) in [
            ("10.0.0.1", ip("10.0.0.1"), None),
            ("10.0.0.1:8443", ip("10.0.0.1"), Some(8443)),
            ("167772161", ip("10.0.0.1"), None),
            ("0x0a.1", ip("10.0.0.1"), None),
            ("fd00::1", ip("fd00::1"), None),
            ("[fd00::1]", ip("fd00::1"), None),
            ("[fd00::1]:8443", ip("fd00::1"), Some(8443)),
            ("fb1.example.com", None, None),
            ("fb1.example.com:8443", None, Some(8443)),
        ] {
            let (name, parsed) = host_and_port(written);
            assert_eq!((address(name), parsed), (host, port), "{written}");
        }
    }
}
