//! Who may mount a file system: rules as a FlashBlade writes them. Knows no request.

use std::fmt;

/// Who may mount a file system, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRule {
    client: String,
    read_only: bool,
    squash: Squash,
}

/// Whom the array takes the root user of a client for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squash {
    /// Root.
    None,
    /// Nobody.
    Root,
    /// Nobody, as every other user.
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
    /// Returns a rule for a client: an address, a network in CIDR form, a host name with or without
    /// wildcards, a netgroup `@name`. None when it could be read as more than one client.
    pub fn new(client: impl Into<String>, read_only: bool, squash: Squash) -> Option<Self> {
        let client = client.into();
        let good = |c: char| c.is_ascii_alphanumeric() || "./:*?@-_[]".contains(c);
        let whole = !client.is_empty() && client.chars().all(good);
        whole.then_some(Self { client, read_only, squash })
    }

    /// Reads rules as they are written by [`ExportRule::text`]. None when one of them is not so.
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

    /// Returns whether it is for every machine there is: then it says nothing.
    pub fn is_for_everybody(&self) -> bool {
        let network = self.client.parse::<ipnet::IpNet>();
        self.client.chars().all(|c| "*?.".contains(c))
            || network.is_ok_and(|network| network.prefix_len() == 0)
    }

    /// Returns whether it lets clients write.
    pub fn may_write(&self) -> bool {
        !self.read_only
    }

    /// Returns whether an array's text lets all clients of this rule mount, and write if this rule does. A client of
    /// the text may be larger: a network that has this one in it, or every machine.
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

    /// Returns rules as a FlashBlade's `nfs.rules` has them.
    pub fn text(rules: &[Self]) -> String {
        let rules: Vec<String> = rules.iter().map(Self::to_string).collect();
        rules.join(" ")
    }

    /// Returns whether an array's text means these rules. It may say more of a client than was asked
    /// for (defaults such as `secure`), but not less, and nothing of other clients.
    pub(crate) fn are_in(rules: &[Self], text: &str) -> bool {
        let there: Vec<(&str, Vec<&str>)> = text
            .split_whitespace()
            .map(|rule| {
                let (client, options) = rule.split_once('(').unwrap_or((rule, ""));
                (client, options.trim_end_matches(')').split(',').collect())
            })
            .collect();
        there.len() == rules.len()
            && rules.iter().zip(&there).all(|(rule, (client, options))| {
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
            assert_eq!(rule.is_for_everybody(), is_all, "{client}");
        }
        for bad in ["", "10.0.0.1 *", "*(rw) *", "a,b"] {
            assert!(ExportRule::new(bad, false, Squash::Root).is_none(), "{bad:?}");
        }
    }
}
