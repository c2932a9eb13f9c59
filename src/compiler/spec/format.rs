//! Formats of texts, such as host names, sizes and schedules.
//!
//! Each format has one name (used in blueprints, schemas and `explain`), one phrase for messages, and one test.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil::Date;

use super::cron::is_cron;
use super::image::is_image;
use super::server::is_server;
use crate::contract::{Quantity, Seconds, TOO_MANY, thousandths};

/// A format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Any text.
    Text,
    /// A size in bytes, see [`Quantity`].
    Quantity,
    /// A length of time, see [`Seconds`].
    Duration,
    /// A DNS host name, RFC 1123.
    Hostname,
    /// A DNS label, RFC 1123: the name of most Kubernetes objects.
    Name,
    /// A name with dots, RFC 1123 subdomain.
    Subdomain,
    /// The name or IPv4 address of a server outside the pod.
    Server,
    /// An IP network.
    Cidr,
    /// A cron schedule with five fields.
    Cron,
    /// A day, `2026-12-24`.
    Date,
    /// A container image reference.
    Image,
    /// An environment variable's name.
    Variable,
    /// An absolute path.
    Path,
    /// A folder inside a volume: a relative path, or `.` for the top.
    Folder,
    /// A position in a JSON document, RFC 6901: `/spec/replicas`.
    Pointer,
    /// A file mode in octal, `0750`.
    Mode,
    /// A user and group ID, `33:33`.
    Owner,
    /// A CPU count, `250m` or `2`.
    Cpu,
    /// An amount of any resource, a Kubernetes quantity: `250m`, `8Gi`, `2`.
    Amount,
    /// The key of a label or annotation, `example.com/team`.
    LabelKey,
    /// The value of a label.
    Label,
    /// A Gateway, `namespace/name` or `namespace/name/listener`.
    Gateway,
    /// A key of a Secret or ConfigMap, `name/key`.
    ObjectKey,
    /// A field of a pod that a variable can contain.
    PodField,
    /// The identity of a cluster, 16 hexadecimal digits.
    Identity,
    /// A storage class. Other code checks that it exists.
    Class,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 26] = [
        Self::Text,
        Self::Quantity,
        Self::Duration,
        Self::Hostname,
        Self::Name,
        Self::Subdomain,
        Self::Server,
        Self::Cidr,
        Self::Cron,
        Self::Date,
        Self::Image,
        Self::Variable,
        Self::Path,
        Self::Folder,
        Self::Pointer,
        Self::Mode,
        Self::Owner,
        Self::Cpu,
        Self::Amount,
        Self::LabelKey,
        Self::Label,
        Self::Gateway,
        Self::ObjectKey,
        Self::PodField,
        Self::Identity,
        Self::Class,
    ];

    /// Returns the name used in blueprints and schemas.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Quantity => "quantity",
            Self::Duration => "duration",
            Self::Hostname => "hostname",
            Self::Name => "name",
            Self::Subdomain => "subdomain",
            Self::Server => "server",
            Self::Cidr => "cidr",
            Self::Cron => "cron",
            Self::Date => "date",
            Self::Image => "image",
            Self::Variable => "variable",
            Self::Path => "path",
            Self::Folder => "folder",
            Self::Pointer => "pointer",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Cpu => "cpu",
            Self::Amount => "amount",
            Self::LabelKey => "label-key",
            Self::Label => "label",
            Self::Gateway => "gateway",
            Self::ObjectKey => "object-key",
            Self::PodField => "pod-field",
            Self::Identity => "identity",
            Self::Class => "class",
        }
    }

    /// Returns the format with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns a noun phrase for messages: "expected …".
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Quantity => "a size such as `20Gi`",
            Self::Duration => "a duration such as `90s` or `15m`",
            Self::Hostname => "a host name such as `files.example.com`",
            Self::Name => "a name of at most 63 lower-case letters, digits and `-`",
            Self::Subdomain => "a name of lower-case letters, digits, `-` and `.`",
            Self::Server => "a host name such as `db.example.com`, or an IPv4 address",
            Self::Cidr => "a network such as `10.20.0.0/16`",
            Self::Cron => "a schedule of five fields such as `0 2 * * *`",
            Self::Date => "a day such as `2026-12-24`",
            Self::Image => "an image such as `registry.example.com/app:1.2.3`",
            Self::Variable => "a variable name of letters, digits and `_`",
            Self::Path => "an absolute path such as `/var/lib/app`",
            Self::Folder => {
                "a folder inside the claim such as `html` or `old/data`, or `.` for its top"
            }
            Self::Pointer => "a JSON pointer such as `/spec/replicas`",
            Self::Mode => "a mode in octal such as `0750`",
            Self::Owner => "a user and group number such as `33:33`",
            Self::Cpu => "a number of CPUs such as `250m` or `2`",
            Self::Amount => "an amount such as `250m`, `8Gi` or `2`",
            Self::LabelKey => "a key such as `team` or `example.com/team`",
            Self::Label => {
                "at most 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit"
            }
            Self::Gateway => "a Gateway such as `infra/public` or `infra/public/https`",
            Self::ObjectKey => "the name and a key of an object such as `license/key`",
            Self::PodField => "a field of the pod such as `metadata.name` or `status.podIP`",
            Self::Identity => "16 hexadecimal digits such as `3f2a9c1e7b4d4e1a`",
            Self::Class => "a class such as `pure-file`",
        }
    }

    /// Returns whether a word is meant to have this format, if another format would accept it as well.
    pub(super) fn could_be(self, word: &str) -> bool {
        match self {
            Self::Class => word.starts_with(|c: char| c.is_ascii_alphabetic()),
            _ => self.accepts(word),
        }
    }

    /// Returns whether a text has the format.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Text | Self::Class => true,
            Self::Quantity => Quantity::parse(text).is_some(),
            Self::Duration => Seconds::parse(text).is_some(),
            // A name of digits only would be parsed as an IP address.
            Self::Hostname => {
                is_subdomain(text)
                    && text.split('.').all(is_label)
                    && text.contains(|c: char| c.is_ascii_lowercase())
            }
            Self::Name => is_label(text),
            Self::Subdomain => is_subdomain(text),
            Self::Server => is_subdomain(text) && is_server(text),
            Self::Cidr => is_network(text),
            Self::Cron => is_cron(text),
            // Only the canonical form is accepted, so that days can be compared and sorted as text.
            Self::Date => text.parse::<Date>().is_ok_and(|day| day.to_string() == text),
            Self::Image => is_image(text),
            Self::Variable => is_variable(text),
            Self::Path => text.starts_with('/') && !text.split('/').any(|part| part == ".."),
            Self::Folder => text == "." || is_folder(text),
            Self::Pointer => text.starts_with('/'),
            Self::Mode => text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'7')),
            Self::Owner => is_owner(text),
            Self::Cpu => is_cpu(text),
            Self::Amount => thousandths(text).is_some_and(|amount| amount < TOO_MANY),
            Self::LabelKey => is_label_key(text),
            Self::Label => text.is_empty() || is_label_value(text),
            Self::ObjectKey => text
                .split_once('/')
                .is_some_and(|(name, key)| is_subdomain(name) && is_config_key(key)),
            Self::PodField => is_pod_field(text),
            Self::Identity => {
                text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            Self::Gateway => {
                let steps = text.split('/').collect::<Vec<_>>();
                matches!(steps.len(), 2 | 3)
                    && is_label(steps[0])
                    && steps[1..].iter().all(|step| is_subdomain(step))
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_subdomain(text)
}

/// The name of an object. Kubernetes bounds the whole, and not each label as DNS does.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(is_in_label)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_in_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_label_value(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let at_the_ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().all(inside)
        && text.starts_with(at_the_ends)
        && text.ends_with(at_the_ends)
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_value(name),
        None => is_label_value(text),
    }
}

/// Fields of a pod that a variable can contain:
/// <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>
pub const POD_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Returns whether a variable can contain a field of a pod.
pub fn is_pod_field(field: &str) -> bool {
    let key = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .find_map(|start| field.strip_prefix(start)?.strip_suffix("']"));
    key.is_some_and(is_label_key) || POD_FIELDS.contains(&field)
}

/// Returns whether a text is a relative path of plain names that stays below where it starts.
fn is_folder(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        !matches!(name, "" | "." | "..") && !name.starts_with('-') && name.bytes().all(plain)
    };
    text.len() <= 1024 && text.split('/').all(is_name)
}

fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_owner(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(user, group)| unsigned(user).is_some() && unsigned(group).is_some())
}

/// A number without a sign, which a number in Rust may have.
fn unsigned(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_cpu(text: &str) -> bool {
    match text.strip_suffix('m') {
        Some(thousandths) => unsigned(thousandths).is_some_and(|n| n > 0),
        None => {
            text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && text.parse::<f64>().is_ok_and(|n| n > 0.0 && n < 10_000.0)
        }
    }
}

/// Returns whether a text is the name of a port: a service name of RFC 6335, section 5.1.
pub fn is_port_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=15).contains(&text.len())
        && text.bytes().all(inside)
        && text.contains(|c: char| c.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Returns whether a text is a key of a ConfigMap or Secret, which becomes the name of a file.
pub fn is_config_key(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=253).contains(&text.len())
        && text.bytes().all(inside)
        && text != "."
        && !text.starts_with("..")
}

/// Returns whether a text is an address that Kubernetes accepts: not an IPv4 address written as IPv6.
pub fn is_ip_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(is_of_its_family)
}

/// Returns whether a text is the prefix of a network, without bits of a host: `10.0.0.1/8` may be meant as a network or as an address.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let is_number = length == "0" || length.starts_with(|c: char| ('1'..='9').contains(&c));
    is_ip_address(address)
        && is_number
        && text.parse::<IpNet>().is_ok_and(|network| network.addr() == network.network())
}

fn is_of_its_family(address: IpAddr) -> bool {
    !matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests;
