//! Hosts as people write them: an address or a name, with or without a port.

use std::net::IpAddr;

use reqwest::Url;

/// Returns a host as it is written, without its port, and that port. An IPv6 address with a port stands in
/// brackets.
pub fn host_and_port(text: &str) -> (&str, Option<u16>) {
    // Two colons and no bracket: an IPv6 address alone.
    let is_bare_v6 = !text.starts_with('[') && text.matches(':').count() > 1;
    match text.rsplit_once(':') {
        Some((host, port)) if !is_bare_v6 => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

/// Returns the address that a host is; none when it is a name. Clients read `0x0a000001` as an address, too.
pub fn address(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Some(address);
    }
    let url = Url::parse(&format!("https://{bare}")).ok()?;
    url.host_str()?.parse().ok()
}

/// Returns whether a text is a host name or address, with or without a port.
pub fn is_address(management: &str) -> bool {
    management_url(management).is_ok()
}

/// Returns the URL of an array's management interface, a host name or address with or without a port. Always https.
///
/// # Errors
/// Why the text is no such address, and what to write.
pub fn management_url(management: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("{management:?} is no address of an array: {why}");
    if management.contains(['/', '@', '?', '#', '\\']) || management.contains(char::is_whitespace) {
        return Err(wrong("write a host name or an address, and `:port` when it is not 443"));
    }
    Url::parse(&format!("https://{management}")).map_err(|error| wrong(&error.to_string()))
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
            let (name, found) = host_and_port(written);
            assert_eq!((address(name), found), (host, port), "{written}");
        }
    }
}
