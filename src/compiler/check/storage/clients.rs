//! Clients that may mount: the networks in `nodes`, and the clients of export rules. An admitted machine can read
//! and write every file system of a class as root, since NFS authenticates machines by their addresses alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::Format;
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::sanitize::quoted;

/// The shortest prefixes without a warning. Wider networks belong to whole providers.
const WIDEST: (u8, u8) = (8, 32);

/// Networks that cannot contain a node, and their names.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const NOT_NODES: [(&str, &str); 6] = [
    ("127.0.0.0/8", "a loopback network"),
    ("169.254.0.0/16", "a link-local network"),
    ("224.0.0.0/4", "a multicast network"),
    ("::1/128", "a loopback network"),
    ("fe80::/10", "a link-local network"),
    ("ff00::/8", "a multicast network"),
];

/// Result of checking one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Valid,
    /// Valid, but wider than usual: the reason.
    Wide(String),
    /// Invalid: the reason, and the correction.
    Invalid(String, String),
}

/// Returns the errors of the clients that may mount.
pub(super) fn errors(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (path, _, verdict) in all(spec) {
        if let Verdict::Invalid(message, fix) = verdict {
            found.push(diagnostic(Code::BadValue, node, &path, message).fix(fix));
        }
    }
    // Two halves of the address space are the whole address space.
    for (path, networks) in lists(spec) {
        let whole = IpNet::aggregate(&networks).into_iter().find(|all| all.prefix_len() == 0);
        let is_reported = networks.iter().any(|each| each.prefix_len() == 0);
        if let Some(whole) = whole.filter(|_| !is_reported) {
            let message =
                format!("together these networks are {whole}, so every machine could mount");
            found.push(diagnostic(Code::BadValue, node, &path, message).fix(NETWORKS));
        }
    }
    found
}

/// Returns warnings about clients that are wider than usual.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let wide = all(spec).into_iter().filter_map(|(path, _, verdict)| match verdict {
        Verdict::Wide(message) => Some((path, message)),
        _ => None,
    });
    wide.map(|(path, message)| diagnostic(Code::StorageAdvice, node, &path, message).fix(NETWORKS))
        .collect()
}

const NETWORKS: &str = "write the networks of the cluster's nodes, such as `10.20.0.0/16`";

/// Returns each entry that admits clients, with its path and result.
fn all(spec: &StorageSpec) -> Vec<(Vec<String>, &str, Verdict)> {
    let nodes = spec.nodes.iter().enumerate().map(|(index, network)| {
        let path = ["spec", "nodes"].map(str::to_owned).into_iter().chain([index.to_string()]);
        let text = network.0.as_str();
        let verdict = text.parse().map_or(Verdict::Valid, |read: IpNet| of_network(read));
        (path.collect(), text, verdict)
    });
    let rules = spec.classes.iter().flat_map(|(name, class)| {
        class.export_rules.iter().enumerate().map(move |(index, rule)| {
            let path = ["spec", "classes", name, "exportRules", &index.to_string(), "clients"];
            let text = rule.clients.as_str();
            (path.map(str::to_owned).to_vec(), text, of_clients(text))
        })
    });
    nodes.chain(rules).collect()
}

/// Returns each list of networks that must be checked together.
fn lists(spec: &StorageSpec) -> Vec<(Vec<String>, Vec<IpNet>)> {
    let nodes = spec.nodes.iter().filter_map(|network| network.0.parse().ok());
    let nodes = (["spec", "nodes"].map(str::to_owned).to_vec(), nodes.collect());
    let classes = spec.classes.iter().map(|(name, class)| {
        let networks = class.export_rules.iter().filter_map(|rule| rule.clients.parse().ok());
        let path = ["spec", "classes", name, "exportRules"].map(str::to_owned);
        (path.to_vec(), networks.collect())
    });
    [nodes].into_iter().chain(classes).collect()
}

fn diagnostic(code: Code, node: &Node, path: &[String], message: String) -> Diagnostic {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let place = node.place_of(path.iter().copied());
    let at = super::written(&path);
    Diagnostic::new(code, place, message).at(at)
}

fn of_network(network: IpNet) -> Verdict {
    if network.prefix_len() == 0 {
        let message = format!("{network} contains all addresses, so every machine could mount");
        return Verdict::Invalid(message, NETWORKS.to_owned());
    }
    if network.addr() != network.network() {
        let (whole, single) = (network.trunc(), network.addr());
        let message = format!("{network} is ambiguous: it may mean the network or the one address");
        return Verdict::Invalid(message, format!("write `{whole}` or `{}`", IpNet::from(single)));
    }
    let within = |(outer, what): &(&str, &'static str)| {
        let outer: IpNet = outer.parse().ok()?;
        outer.contains(&network).then_some(*what)
    };
    if let Some(what) = NOT_NODES.iter().find_map(within) {
        let message = format!("{network} is {what}, which cannot contain a node");
        return Verdict::Invalid(message, NETWORKS.to_owned());
    }
    let widest = if matches!(network, IpNet::V4(_)) { WIDEST.0 } else { WIDEST.1 };
    if network.prefix_len() < widest {
        let message =
            format!("{network} is wider than /{widest}, and each of its machines may mount");
        return Verdict::Wide(message);
    }
    Verdict::Valid
}

/// Checks a network, an address, a host name with or without wildcards, or a netgroup.
fn of_clients(text: &str) -> Verdict {
    if let Ok(network) = text.parse::<IpNet>() {
        return of_network(network);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                Verdict::Invalid(
                    format!("{text} is not the address of a machine"),
                    NETWORKS.to_owned(),
                )
            }
            _ => of_network(address.into()),
        };
    }
    if let Some(group) = text.strip_prefix('@') {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if group.is_empty() || !group.chars().all(good) {
            let message = format!("{text} is not a netgroup", text = quoted(text));
            return Verdict::Invalid(message, "write `@NAME`, or a network".to_owned());
        }
        let message = format!(
            "{text}: the directory decides which machines are in the netgroup; pso-gen cannot check it"
        );
        return Verdict::Wide(message);
    }
    let is_wild = |c: char| "*?[]".contains(c);
    if text.contains(is_wild) {
        // The text with each wildcard replaced by one letter.
        let plain: String = text.chars().map(|c| if is_wild(c) { 'a' } else { c }).collect();
        let names: Vec<&str> = text.split('.').collect();
        // The last two parts are a registered domain: a wildcard there matches domains of any owner.
        let is_open = names.iter().rev().take(2).any(|part| part.contains(is_wild));
        if is_open || names.len() < 3 {
            let message = format!("{text} admits machines of any owner", text = quoted(text));
            return Verdict::Invalid(message, NETWORKS.to_owned());
        }
        if !Format::Hostname.accepts(&plain.to_ascii_lowercase()) {
            return not_one(text);
        }
        let message = format!("{text}: reverse DNS decides which machines match");
        return Verdict::Wide(message);
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit());
    if is_number || !Format::Hostname.accepts(&text.to_ascii_lowercase()) {
        return not_one(text);
    }
    Verdict::Valid
}

fn not_one(text: &str) -> Verdict {
    let fix = "write a network such as `10.20.0.0/16`, an address, a host name or `@netgroup`, and a rule for each";
    Verdict::Invalid(format!("{text} is not one client", text = quoted(text)), fix.to_owned())
}

/// Returns clients in comparable form: networks as numbers, names in lower case.
pub(super) fn compared(text: &str) -> String {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(IpNet::V4(v4)) => Ipv4Net::to_string(&v4.trunc()),
        Ok(IpNet::V6(v6)) => Ipv6Net::to_string(&v6.trunc()),
        Err(_) => text.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_nodes_are_not_everything() {
        let of = |text: &str| of_network(text.parse().expect("a network"));
        for good in ["10.0.0.0/8", "10.20.0.0/16", "10.20.9.1/32", "fd00::/32", "2001:db8::/48"] {
            assert_eq!(of(good), Verdict::Valid, "{good}");
        }
        for wide in ["0.0.0.0/1", "8.0.0.0/7", "fc00::/7", "2000::/3"] {
            assert!(matches!(of(wide), Verdict::Wide(_)), "{wide}");
        }
        for wrong in [
            "0.0.0.0/0",
            "::/0",
            "10.20.0.0/0",
            "10.20.1.0/16",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "169.254.1.0/24",
            "224.0.0.0/4",
            "fe80::/64",
            "ff02::/16",
            "::1/128",
        ] {
            assert!(matches!(of(wrong), Verdict::Invalid(..)), "{wrong}");
        }
    }

    #[test]
    fn clients_are_machines_that_the_admin_knows() {
        for good in ["10.30.0.0/16", "10.30.0.1", "fd00::1", "backup.example.com", "backup"] {
            assert_eq!(of_clients(good), Verdict::Valid, "{good}");
        }
        for wide in [
            "@ops",
            "*.nodes.example.com",
            "node?.example.com",
            "node[12].rack.example.com",
            "0.0.0.0/1",
        ] {
            assert!(matches!(of_clients(wide), Verdict::Wide(_)), "{wide}");
        }
        for wrong in [
            "*",
            "*.*",
            "?*",
            "**",
            "*.*.*",
            "*.com",
            "*.example",
            "*example.com",
            "a.*.com",
            "[a-z]*",
            "0.0.0.0/0",
            "::/0",
            "0.0.0.0",
            "::",
            "@",
            "@a b",
            "10.30.0.0/33",
            "10.30",
            "10.30.0.*",
            "10.30.0.0 10.0.0.0/8",
            "127.0.0.1",
            "a_b",
            "",
            "a,b",
            "*(rw)",
        ] {
            assert!(matches!(of_clients(wrong), Verdict::Invalid(..)), "{wrong}");
        }
    }

    #[test]
    fn one_client_has_many_spellings() {
        for [one, other] in [
            ["10.0.0.1", "10.0.0.1/32"],
            ["FD00:0::1", "fd00::1/128"],
            ["A.example.com", "a.example.com"],
        ] {
            assert_eq!(compared(one), compared(other));
        }
        assert_ne!(compared("10.0.0.0/8"), compared("10.0.0.0/16"));
    }
}
