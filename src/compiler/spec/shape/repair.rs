//! Corrections of values: common habits, and the equivalent notation in app files.

use crate::compiler::spec::go_duration::go_nanoseconds;
use crate::compiler::spec::server::is_own;
use crate::compiler::spec::{Format, cron, image};
use crate::contract::{Quantity, Seconds, address};

/// Returns the correction for a text that does not have a format, if one is known.
pub fn repair(format: Format, text: &str) -> Option<String> {
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let tries: Vec<String> = match format {
        Format::Quantity | Format::Amount | Format::Cpu
            if number_and_unit(format, &squeezed).is_some() =>
        {
            return number_and_unit(format, &squeezed);
        }
        Format::Quantity => return size(&squeezed),
        Format::Hostname => return host(&squeezed),
        Format::Amount | Format::Cpu => {
            let number = leading_number(&squeezed);
            let unit = squeezed[number.len()..].to_lowercase();
            let is_count =
                format == Format::Cpu || unit.starts_with("core") || unit.starts_with("cpu");
            if is_count { vec![number.replace(',', ".")] } else { sizes(&squeezed) }
        }
        Format::Server if is_own(&squeezed.to_lowercase()) => {
            let remedy = "it is the pod itself: write the name of the server, such as `NAME.NAMESPACE.svc` of a Service";
            return Some(remedy.to_owned());
        }
        Format::Name | Format::Subdomain | Format::Server | Format::Label | Format::LabelKey => {
            names(format, text)
        }
        Format::Cidr => return network(&squeezed),
        Format::Mode => vec![
            format!("0{squeezed}"),
            squeezed.trim_start_matches("0o").to_owned(),
            format!("0{}", squeezed.trim_start_matches("0o")),
        ],
        Format::Owner => vec![format!("{squeezed}:{squeezed}")],
        Format::Duration => durations(&squeezed),
        Format::Date => dates(&squeezed),
        // Other tools write paths as `spec.ports[0].name`.
        Format::Pointer => {
            let steps = squeezed.replace(['.', '['], "/").replace(']', "");
            vec![format!("/{}", steps.trim_start_matches('/'))]
        }
        Format::Path => vec![format!("/{}", text.trim().trim_start_matches("./"))],
        Format::Folder => vec![text.trim().trim_start_matches("./").trim_matches('/').to_owned()],
        Format::Gateway if !text.contains('/') => {
            return Some(format!(
                "write the Gateway's namespace before it: `NAMESPACE/{}`",
                text.trim()
            ));
        }
        Format::Gateway => vec![squeezed.to_lowercase()],
        // Other tools write a key of an object as `NAME:KEY` or `NAME.KEY`.
        Format::ObjectKey => vec![squeezed.replacen([':', '.'], "/", 1)],
        Format::Identity => {
            vec![squeezed.to_lowercase().replace('-', "").chars().take(16).collect()]
        }
        Format::Variable => vec![squeezed.replace(['-', '.', ' '], "_")],
        Format::Image => return image::repaired(text),
        Format::Cron => return cron::repaired(text),
        Format::Text | Format::Class | Format::PodField => Vec::new(),
    };
    tries.into_iter().find(|t| t != text && format.accepts(t)).map(|t| format!("write `{t}`"))
}

/// Returns what to write where a number has an exponent and a unit, `1e3m`, or a unit no number, `Gi`.
fn number_and_unit(format: Format, text: &str) -> Option<String> {
    const UNITS: [&str; 15] =
        ["n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let example = format!("2{text}");
    if UNITS.contains(&text) && format.accepts(&example) {
        return Some(format!("write a number before it, such as `{example}`"));
    }
    let number = leading_number(text);
    let unit = text[number.len()..].trim_start_matches(['e', 'E']);
    let exponent = unit.trim_start_matches(['+', '-']);
    let exponent = exponent.trim_start_matches(|c: char| c.is_ascii_digit());
    let has_both = !number.is_empty() && exponent.len() < unit.len() && UNITS.contains(&exponent);
    let power = &text[..text.len() - exponent.len()];
    let tries = [power.to_owned(), format!("{number}{exponent}")];
    let fits: Vec<String> = tries
        .into_iter()
        .filter(|_| has_both)
        .filter(|amount| format.accepts(amount))
        .map(|amount| format!("`{amount}`"))
        .collect();
    let fits = fits.join(" or ");
    (!fits.is_empty()).then(|| format!("an exponent and a unit exclude each other: write {fits}"))
}

/// Returns the correction for a text that was meant as a size.
fn size(text: &str) -> Option<String> {
    if let Some(positive) = text.strip_prefix('-').filter(|rest| Quantity::parse(rest).is_some()) {
        return Some(format!("a size is positive: write `{positive}`"));
    }
    let tries = sizes(text);
    if let Some(fits) = tries.iter().find(|t| *t != text && Quantity::parse(t).is_some()) {
        return Some(format!("write `{fits}`"));
    }
    let number = leading_number(text);
    let is_zero = !number.is_empty() && number.chars().all(|c| matches!(c, '0' | '.' | ','));
    let unit = text[number.len()..].to_uppercase();
    let is_unit = ["", "K", "M", "G", "T", "P", "E"]
        .contains(&unit.trim_end_matches('B').trim_end_matches('I'));
    if is_zero && is_unit {
        return Some("write a size above 0, such as `20Gi`".to_owned());
    }
    (!number.is_empty() && is_unit)
        .then(|| "the largest size is `4Ei`; did you mean `Ti`?".to_owned())
}

/// Returns what to write in place of a word that a field had in earlier versions.
pub(super) fn former(path: &str, word: &str) -> Option<&'static str> {
    match (path, word) {
        ("spec.security.ownership", "array") => Some(
            "write `check`: an init container then checks the owner, which no array sets on NFS",
        ),
        _ => None,
    }
}

/// Returns whether a text was meant as a size instead of the name of a class.
pub fn looks_like_a_size(text: &str) -> bool {
    let unsigned = text.trim().trim_start_matches(['-', '+', '.', ',']);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
}

fn leading_number(text: &str) -> &str {
    let end =
        text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')).unwrap_or(text.len());
    &text[..end]
}

/// Returns the likely spellings of a size: another unit, another decimal point.
fn sizes(text: &str) -> Vec<String> {
    let number = leading_number(text);
    let unit = text[number.len()..].to_uppercase();
    let is_thousands = number.matches([',', '.']).count() > 1
        || number.split_once(',').is_some_and(|(_, after)| after.len() == 3 && unit.is_empty());
    let number =
        if is_thousands { number.replace([',', '.'], "") } else { number.replace(',', ".") };
    let word = unit
        .trim_end_matches("BYTES")
        .trim_end_matches("BYTE")
        .trim_end_matches('B')
        .trim_end_matches('I');
    let long = ["KILO", "MEGA", "GIGA", "TERA", "PETA", "EXA", "KIB", "MEB", "GIB", "TEB", "PEB"];
    let letter = if long.contains(&word) { &word[..1] } else { word };
    match letter {
        "" => vec![number],
        letter => vec![format!("{number}{letter}i")],
    }
}

/// Returns the correction for a text that was meant as a host name.
fn host(text: &str) -> Option<String> {
    let bare = text.split("://").last().unwrap_or_default();
    let bare = bare.split(['/', '?', '#']).next().unwrap_or_default();
    // An IPv6 address contains colons.
    let is_address = |host: &str| host.parse::<std::net::IpAddr>().is_ok();
    let without_port = match bare.rsplit_once(':') {
        Some((host, port)) if !is_address(bare) && port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => bare,
    };
    let host = without_port.trim_end_matches('.').to_lowercase();
    if let Some(domain) = host.strip_prefix("*.") {
        return Some(format!(
            "write each host, such as `files.{domain}`; name a wildcard certificate in `expose.tls`"
        ));
    }
    if host == "*" {
        return Some("write the host names, such as `files.example.com`".to_owned());
    }
    if address(&host).is_some() {
        return Some(
            "requests are routed by name: create a DNS name for the address, and write it"
                .to_owned(),
        );
    }
    let ascii = reqwest::Url::parse(&format!("https://{host}")).ok();
    let ascii = ascii.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default().to_owned();
    let tries = [host.clone(), host.replace('_', "-"), ascii];
    let found = tries.into_iter().find(|t| t != text && Format::Hostname.accepts(t));
    found.map(|host| format!("write `{host}`"))
}

/// Returns what to write in place of a text that was meant as a network.
fn network(text: &str) -> Option<String> {
    let bare = text.split("://").last().unwrap_or_default();
    let tries = [format!("{bare}/32"), format!("{bare}/128")];
    if let Some(single) = tries.into_iter().find(|t| Format::Cidr.accepts(t)) {
        return Some(format!("write `{single}`"));
    }
    let (address, length) = bare.split_once('/')?;
    let length = match length.trim_start_matches('0') {
        "" => "0",
        length => length,
    };
    let octets = |octet: &str| match octet.trim_start_matches('0') {
        "" if octet.is_empty() => String::new(),
        "" => "0".to_owned(),
        octet => octet.to_owned(),
    };
    let address = if address.contains(':') {
        address.to_owned()
    } else {
        address.split('.').map(octets).collect::<Vec<_>>().join(".")
    };
    let read: ipnet::IpNet = format!("{address}/{length}").parse().ok()?;
    let read = in_its_family(read).unwrap_or(read);
    let (whole, single) = (read.trunc(), ipnet::IpNet::from(read.addr()));
    let fits = Format::Cidr.accepts(&whole.to_string());
    let fix = if whole.addr() == read.addr() {
        format!("write `{whole}`")
    } else {
        format!("write `{whole}` or `{single}`")
    };
    (fits && whole.to_string() != text).then_some(fix)
}

/// The IPv4 network that is written as one of IPv6.
fn in_its_family(network: ipnet::IpNet) -> Option<ipnet::IpNet> {
    let ipnet::IpNet::V6(v6) = network else { return None };
    let address = v6.addr().to_ipv4_mapped()?;
    ipnet::Ipv4Net::new(address, v6.prefix_len().checked_sub(96)?).ok().map(ipnet::IpNet::V4)
}

/// Returns the likely spellings of a name.
fn names(format: Format, text: &str) -> Vec<String> {
    let trimmed = text.trim();
    let dashed: String = trimmed
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_./".contains(c) { c } else { '-' })
        .collect();
    let lower = dashed.to_lowercase().replace('_', "-");
    let edges = |text: &str| text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let mut tries = match format {
        Format::LabelKey => vec![edges(&dashed), edges(&dashed).replacen('/', "-", 1)],
        Format::Label => vec![edges(&dashed.replace('/', "-"))],
        _ => vec![lower.clone()],
    };
    if format == Format::Server
        && let Some(server) = server(&trimmed.to_lowercase())
    {
        return vec![server];
    }
    let has_dots = matches!(format, Format::Subdomain | Format::Server);
    if has_dots {
        tries.insert(
            0,
            lower.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("."),
        );
    }
    if matches!(format, Format::Name | Format::Subdomain) {
        let host = lower.split("://").last().unwrap_or_default();
        tries.push(edges(&host.replace('/', "-")));
        tries.push(edges(&host.replace(['/', '.'], "-")));
    }
    let most = if has_dots { 253 } else { 63 };
    tries.extend(
        tries.clone().iter().map(|name| edges(&name.chars().take(most).collect::<String>())),
    );
    tries
}

/// Returns the host of a text that was meant as a server: a URL, a host with its port, or an address; none for other texts.
fn server(text: &str) -> Option<String> {
    let bare = text.split_once("://").map(|(_, rest)| rest);
    let host = bare.unwrap_or(text).split('/').next().unwrap_or_default();
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let without_port = host.rsplit_once(':').filter(|(_, port)| {
        !is_address && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
    });
    let is_server = bare.is_some() || without_port.is_some() || is_address;
    is_server.then(|| without_port.map_or(host, |(host, _)| host).to_owned())
}

/// Returns the likely spellings of a duration.
fn durations(text: &str) -> Vec<String> {
    let number = leading_number(text);
    let word = text[number.len()..].to_lowercase();
    let unit = ["ms", "s", "m", "h", "d", "w"]
        .into_iter()
        .find(|unit| word.starts_with(unit) && (*unit != "ms" || word == "ms"));
    match (unit, number.parse::<u32>()) {
        (Some("w"), Ok(weeks)) => vec![format!("{}d", weeks.saturating_mul(7))],
        (Some("ms"), Ok(millis)) => vec![format!("{}s", millis.div_ceil(1000))],
        (Some(unit), _) => vec![format!("{number}{unit}"), in_one_unit(text)],
        _ => Vec::new(),
    }
}

/// A duration of several units or with a fraction, `1h30m` or `1.5h`, in one; nothing where seconds are too coarse.
fn in_one_unit(text: &str) -> String {
    let nanoseconds = go_nanoseconds(text).filter(|n| n % 1_000_000_000 == 0).unwrap_or_default();
    u32::try_from(nanoseconds / 1_000_000_000)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Seconds(seconds).to_string())
        .unwrap_or_default()
}

/// Returns the likely spellings of a day: days first with dots, years first with other signs.
fn dates(text: &str) -> Vec<String> {
    let day = text.split(['T', 't']).next().unwrap_or_default();
    let steps: Vec<&str> = day.split(['.', '/', '-']).collect();
    let padded = |year: &str, month: &str, day: &str| format!("{year}-{month:0>2}-{day:0>2}");
    match steps.as_slice() {
        [a, b, c] if a.len() == 4 => vec![padded(a, b, c)],
        [a, b, c] if c.len() == 4 && day.contains('.') => vec![padded(c, b, a)],
        [a, b, c] if c.len() == 4 => vec![padded(c, a, b), padded(c, b, a)],
        [digits] if digits.len() == 8 && digits.is_ascii() => {
            vec![padded(&digits[..4], &digits[4..6], &digits[6..])]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_answered_with_what_is_meant() {
        for (format, text, remedy) in [
            (Format::Quantity, "-5Ti", "a size is positive: write `5Ti`"),
            (Format::Quantity, "5Ei", "the largest size is `4Ei`; did you mean `Ti`?"),
            (Format::Quantity, "1,5Ti", "write `1.5Ti`"),
            (Format::Quantity, "1.5 tb", "write `1.5Ti`"),
            (Format::Quantity, "10GB", "write `10Gi`"),
            (Format::Quantity, "10 GiB", "write `10Gi`"),
            (Format::Quantity, "20gi", "write `20Gi`"),
            (Format::Quantity, "20 gigabytes", "write `20Gi`"),
            (Format::Quantity, "0Gi", "write a size above 0, such as `20Gi`"),
            (Format::Quantity, "1,000,000", "write `1000000`"),
            (Format::Hostname, "müller.example.com", "write `xn--mller-kva.example.com`"),
            (Format::Hostname, "files.example.com.", "write `files.example.com`"),
            (Format::Hostname, "https://Files.example.com:8443/x", "write `files.example.com`"),
            (Format::Hostname, "my_files.example.com", "write `my-files.example.com`"),
            (
                Format::Hostname,
                "10.0.0.1",
                "requests are routed by name: create a DNS name for the address, and write it",
            ),
            (
                Format::Hostname,
                "fd00::1",
                "requests are routed by name: create a DNS name for the address, and write it",
            ),
            (
                Format::Hostname,
                "*.example.com",
                "write each host, such as `files.example.com`; name a wildcard certificate in `expose.tls`",
            ),
            (Format::Server, "db.example.com:3306", "write `db.example.com`"),
            (Format::Server, "mysql://DB.example.com/app", "write `db.example.com`"),
            (Format::Server, "10.0.0.5:3306", "write `10.0.0.5`"),
            (
                Format::Server,
                "LocalHost",
                "it is the pod itself: write the name of the server, such as `NAME.NAMESPACE.svc` of a Service",
            ),
            (Format::Server, "redis..x", "write `redis.x`"),
            (Format::Name, "a/b", "write `a-b`"),
            (Format::Name, "My App", "write `my-app`"),
            (Format::Name, "a.b", "write `a-b`"),
            (Format::Label, "blue team", "write `blue-team`"),
            (Format::LabelKey, "bad key", "write `bad-key`"),
            (Format::Amount, "8GB", "write `8Gi`"),
            (Format::Amount, "2 cores", "write `2`"),
            (Format::Cpu, "1,5", "write `1.5`"),
            (Format::Duration, "15 minutes", "write `15m`"),
            (Format::Duration, "2w", "write `14d`"),
            (Format::Date, "24.12.2026", "write `2026-12-24`"),
            (Format::Date, "20261224", "write `2026-12-24`"),
            (Format::Date, "2026/1/2", "write `2026-01-02`"),
            (Format::Cron, "0 0 2 * * *", "remove the seconds: write `0 2 * * *`"),
            (
                Format::Gateway,
                "public",
                "write the Gateway's namespace before it: `NAMESPACE/public`",
            ),
            (Format::Path, "var/lib", "write `/var/lib`"),
            (Format::Folder, "/html/", "write `html`"),
            (Format::Mode, "750", "write `0750`"),
            (Format::Cidr, "10.0.0.1", "write `10.0.0.1/32`"),
            (Format::Variable, "MY-VAR", "write `MY_VAR`"),
        ] {
            assert_eq!(repair(format, text).as_deref(), Some(remedy), "{text:?}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_a_server_have_no_remedy() {
        assert_eq!(repair(Format::Server, "fd00::5"), None);
        assert_eq!(repair(Format::Server, "10.1.2.300"), None);
    }

    #[test]
    fn odd_texts_have_no_remedy_and_no_panic() {
        for text in ["", "é", "-", ",", "..", "*", "\u{301}", "1é5", "-é", "€20Gi", "20€"] {
            for format in [
                "quantity",
                "hostname",
                "name",
                "label",
                "amount",
                "duration",
                "date",
                "cron",
                "cidr",
                "mode",
                "owner",
                "path",
                "folder",
                "gateway",
                "object-key",
                "pod-field",
                "identity",
                "variable",
                "image",
                "label-key",
                "subdomain",
                "cpu",
            ] {
                let format = Format::named(format).expect("a format");
                let _ = repair(format, text);
            }
        }
    }
}
