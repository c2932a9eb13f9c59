//! NFS export rules of a file system, in the syntax of a FlashBlade. Knows nothing about REST requests.

use std::fmt;

/// A rule that allows a client to mount a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRule {
    client: String,
    read_only: bool,
    squash: Squash,
}

/// The identity that the array assigns to users of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squash {
    /// Root stays root.
    None,
    /// Root becomes the anonymous user.
    Root,
    /// Every user becomes the anonymous user.
    All,
}

impl Squash {
    fn word(self) -> &'static str {
        match self {
            Self::None => "no_root_squash",
            Self::Root => "root_squash",
            Self::All => "all_squash",
        }
    }
}

impl ExportRule {
    /// Returns a rule for a client: an address, a network in CIDR form, a host name with or without wildcards, or a
    /// netgroup `@name`. Returns `None` when the text could be read as more than one client.
    pub fn new(client: impl Into<String>, read_only: bool, squash: Squash) -> Option<Self> {
        let client = client.into();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "./:*?@-_[]".contains(c);
        let is_one_client = !client.is_empty() && client.chars().all(is_allowed);
        is_one_client.then_some(Self { client, read_only, squash })
    }

    /// Parses rules in the format that [`ExportRule::text`] writes. Returns `None` when one of them has another format.
    pub fn parse(text: &str) -> Option<Vec<Self>> {
        let rule = |rule: &str| {
            let (client, options) = rule.strip_suffix(')')?.split_once('(')?;
            let (access, squash) = options.split_once(',')?;
            let read_only = match access {
                "rw" => false,
                "ro" => true,
                _ => return None,
            };
            let squash = [Squash::None, Squash::Root, Squash::All]
                .into_iter()
                .find(|each| each.word() == squash)?;
            Self::new(client, read_only, squash)
        };
        text.split_whitespace().map(rule).collect()
    }

    /// Returns whether the rule matches every client, so that it restricts nothing.
    pub fn is_for_all_clients(&self) -> bool {
        let network = self.client.parse::<ipnet::IpNet>();
        self.client.chars().all(|c| "*?.".contains(c))
            || network.is_ok_and(|network| network.prefix_len() == 0)
    }

    /// Returns whether the rule allows clients to write.
    pub fn may_write(&self) -> bool {
        !self.read_only
    }

    /// Returns whether an array's export rules let all clients of this rule mount, and write if this rule allows
    /// writing. The array's rule may be wider: a network that contains this client, or every machine.
    pub fn is_granted_by(&self, text: &str) -> bool {
        let network = |client: &str| {
            let address =
                |client: &str| client.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
            client.parse::<ipnet::IpNet>().ok().or_else(|| address(client))
        };
        text.split_whitespace().any(|rule| {
            let (client, options) = rule.split_once('(').unwrap_or((rule, ""));
            let mut options = options.trim_end_matches(')').split(',');
            let contains = || network(client)?.contains(&network(&self.client)?).then_some(());
            (client == "*" || client == self.client || contains().is_some())
                && (self.read_only || options.any(|option| option == "rw"))
        })
    }

    fn options(&self) -> [&'static str; 2] {
        let access = if self.read_only { "ro" } else { "rw" };
        [access, self.squash.word()]
    }

    /// Returns the rules as text for `nfs.rules` of a FlashBlade.
    pub fn text(rules: &[Self]) -> String {
        let rules: Vec<String> = rules.iter().map(Self::to_string).collect();
        rules.join(" ")
    }

    /// Returns whether an array's text means these rules. The text may contain more options for a client than requested
    /// (defaults such as `secure`), but not fewer options, and no other clients.
    pub(crate) fn are_in(rules: &[Self], text: &str) -> bool {
        let current: Vec<(&str, Vec<&str>)> = text
            .split_whitespace()
            .map(|rule| {
                let (client, options) = rule.split_once('(').unwrap_or((rule, ""));
                (client, options.trim_end_matches(')').split(',').collect())
            })
            .collect();
        current.len() == rules.len()
            && rules.iter().zip(&current).all(|(rule, (client, options))| {
                rule.client == *client && rule.options().iter().all(|word| options.contains(word))
            })
    }
}

impl fmt::Display for ExportRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.client, self.options().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_the_same_however_the_array_writes_them() {
        let rule = |client: &str| ExportRule::new(client, false, Squash::None).expect("a client");
        let rules = [rule("10.20.0.0/16"), rule("10.30.0.0/16")];
        let text = ExportRule::text(&rules);
        assert_eq!(text, "10.20.0.0/16(rw,no_root_squash) 10.30.0.0/16(rw,no_root_squash)");
        assert!(ExportRule::are_in(&rules, &text));
        assert_eq!(ExportRule::parse(&text), Some(rules.to_vec()));
        for odd in ["10.0.0.0/8", "a(rw)", "a(rw,no_root_squash", "a(rw,b)", "a(rx,all_squash)"] {
            assert_eq!(ExportRule::parse(odd), None, "{odd}");
        }
        let more = "10.20.0.0/16(no_root_squash,rw,secure)  10.30.0.0/16(rw,atime,no_root_squash)";
        assert!(ExportRule::are_in(&rules, more));
        for other in [
            "",
            "*(rw,no_root_squash)",
            "10.20.0.0/16(rw,no_root_squash)",
            "10.20.0.0/16(rw,no_root_squash) 10.30.0.0/16(ro,no_root_squash)",
            "10.20.0.0/16(rw,no_root_squash) 10.30.0.0/16(rw,no_root_squash) *(ro)",
        ] {
            assert!(!ExportRule::are_in(&rules, other), "{other}");
        }
    }

    #[test]
    fn a_client_cannot_smuggle_in_another() {
        for (client, is_all) in [
            ("*", true),
            ("*.*", true),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("a.*", false),
            ("10.0.0.0/8", false),
        ] {
            let rule = ExportRule::new(client, false, Squash::Root).expect("a client");
            assert_eq!(rule.is_for_all_clients(), is_all, "{client}");
        }
        for bad in ["", "10.0.0.1 *", "*(rw) *", "a,b"] {
            assert!(ExportRule::new(bad, false, Squash::Root).is_none(), "{bad:?}");
        }
    }
}
