//! The words in which volumes are spoken of. Knows no request.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Name of a volume or file system on an array. Two that differ in nothing but case are equal, as they are to
/// an array, which keeps the case and compares without it.
///
/// At most 63 letters, digits, `-` and `_`; a letter or digit at both ends; at least one letter. That
/// is the rule of the FlashArray (its guide 4.10), and safe on a FlashBlade, whose documents have none.
#[derive(Debug, Clone)]
pub struct Name(String);

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.to_ascii_lowercase().cmp(&other.0.to_ascii_lowercase())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

impl Name {
    /// Longest name, in characters.
    pub const LONGEST: usize = 63;

    /// Returns a name, or none when no array takes it.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        let good = (1..=Self::LONGEST).contains(&name.len())
            && name.chars().all(|c| alphanumeric(c) || c == '-' || c == '_')
            && name.starts_with(alphanumeric)
            && name.ends_with(alphanumeric)
            && name.contains(|c: char| c.is_ascii_alphabetic());
        good.then_some(Self(name))
    }

    /// Returns the name as arrays write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it begins with a text, as arrays compare.
    pub(super) fn begins_with(&self, prefix: &str) -> bool {
        self.0.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    }

    /// Returns whether an array's name is this one: arrays keep the case, and compare without it.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a snapshot's name after the volume's: at most 63 letters, digits and `-`, a letter or
/// digit at both ends, at least one letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suffix(Name);

impl Suffix {
    /// Returns a suffix, or none when no array takes it.
    pub fn new(suffix: impl Into<String>) -> Option<Self> {
        Name::new(suffix).filter(|name| !name.as_str().contains('_')).map(Self)
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which volume is meant, beyond doubt: names are used again after eradication, ids never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeId {
    /// Its name.
    pub name: Name,
    /// Its `id` on the array.
    pub id: String,
}

/// For whom a volume is made. A FlashArray keeps this in tags of the volume; a FlashBlade has no tags:
/// there the name, the id and the time of creation are all there is to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's identity, and after it those of the clusters that it has taken over; empty when it is
    /// not known. The first is written, any of them is recognised.
    pub identities: Vec<String>,
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim: what makes it this one and no other.
    pub uid: String,
    /// When the claim was created, in milliseconds since 1970; none when that is not known any more. The
    /// UID is in the volume's name, so that a volume from before was not made for the claim.
    pub since: Option<u64>,
}

impl Owner {
    /// How far an array's clock may differ from that of the cluster, in milliseconds.
    const CLOCKS: u64 = 60 * 60 * 1000;

    /// Returns whether a volume is older than the claim that it is said to be made for.
    pub(super) fn is_younger_than(&self, created: Option<u64>) -> bool {
        let times = self.since.zip(created);
        times.is_some_and(|(since, created)| created.saturating_add(Self::CLOCKS) < since)
    }
}

/// What a volume shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, of which the claim's UID should be part.
    pub name: Name,
    /// For whom.
    pub owner: Owner,
    /// Size in bytes. Arrays may round it up.
    pub size: u64,
    /// What it is a copy of; an empty volume when there is none.
    pub source: Option<Source>,
    /// What only one kind of array has.
    pub details: Details,
}

/// What a new volume is a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A snapshot, `name.suffix`.
    Snapshot(String),
    /// Another volume of the same array, as it is now.
    Volume(VolumeId),
}

/// What only one kind of array has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Details {
    /// A file system of a FlashBlade. Its size is a hard limit. Owner and mode of its top folder are not
    /// in the array's API: that folder belongs to root, and a pod that mounts it changes it.
    File {
        /// Who may mount it; nobody when empty.
        exports: Vec<ExportRule>,
        /// NFS versions that it is served with.
        nfs: NfsVersions,
    },
    /// A volume of a FlashArray.
    Block {
        /// Whether it joins the protection groups that the array's administrator has set for new
        /// volumes (REST 2.16 and later).
        default_protection: bool,
        /// What the array limits it to.
        qos: Qos,
    },
}

/// Limits of one volume of a FlashArray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Qos {
    /// Most bytes per second, 1 MiB to 512 GiB; none to leave it as it is.
    pub bandwidth: Option<u64>,
    /// Most operations per second, 100 to 100 million; none to leave it as it is.
    pub iops: Option<u64>,
}

/// NFS versions that a file system is served with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfsVersions {
    /// NFSv3.
    pub v3: bool,
    /// NFSv4.1.
    pub v4_1: bool,
}

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
    pub(super) fn are_in(rules: &[Self], text: &str) -> bool {
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

/// A volume or file system as it is on an array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name, as the array writes it.
    pub name: String,
    /// Its id, which no other object of the array ever has.
    pub id: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether it has been destroyed: it comes back by [`Array::ensure`](super::Array::ensure) until the
    /// array eradicates it.
    pub destroyed: bool,
    /// When it was made, in milliseconds since 1970.
    pub created: Option<u64>,
    /// FlashArray: serial number, 24 hexadecimal digits.
    pub serial: Option<String>,
    /// FlashArray: how many hosts see it.
    pub connections: u64,
    /// When it is destroyed, milliseconds until the array eradicates it; none when the array does not say.
    pub time_left: Option<u64>,
    /// FlashBlade: how clients reach it; none in lists.
    pub served: Option<Served>,
}

/// How a FlashBlade serves a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// NFS versions that it is served with.
    pub nfs: NfsVersions,
    /// Who may mount it, as the array says it; none when that is in an export policy, or the array does not say.
    pub rules: Option<String>,
    /// Whether clients may write.
    pub writable: bool,
}

impl Volume {
    /// Returns which volume it is; none when its name is one that we would not give.
    pub fn volume_id(&self) -> Option<VolumeId> {
        Some(VolumeId { name: Name::new(self.name.as_str())?, id: self.id.clone() })
    }

    /// FlashArray: returns the World Wide Identifier by which a node knows the device, which is the
    /// vendor's prefix and the serial number in lower case.
    pub fn wwid(&self) -> Option<String> {
        self.serial.as_ref().map(|serial| format!("3624a9370{}", serial.to_ascii_lowercase()))
    }
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, `volume.suffix`.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Name of the volume.
    pub volume: String,
    /// When it was taken, in milliseconds since 1970.
    pub created: Option<u64>,
    /// Whether it has been destroyed.
    pub destroyed: bool,
    /// Size of a volume made from it, in bytes, where the array says so.
    pub size: Option<u64>,
}

/// How full an array is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// What it can hold.
    pub total: u64,
    /// What is used of that, after data reduction.
    pub used: u64,
    /// What has been given out in sizes of volumes; none when the array does not say.
    pub provisioned: Option<u64>,
}

/// Where clients reach the volumes of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Data addresses of a FlashBlade; a file system is at `address:/name`.
    Nfs {
        /// Addresses, at least one.
        addresses: Vec<String>,
    },
    /// Portals of a FlashArray.
    Iscsi {
        /// Its one target name (IQN).
        target: String,
        /// Addresses with port, of both controllers.
        portals: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_both_arrays_take() {
        let longest = "a".repeat(63);
        for good in ["k8s-pvc-1", "a", "A_b", &longest] {
            assert!(Name::new(good).is_some(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "1234", "a b", "a.b", "ä", "a'b", &long] {
            assert!(Name::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn case_makes_no_other_name() {
        let name = |text: &str| Name::new(text).expect("a name");
        let (one, other) = (name("prod-pvc-a"), name("PROD-pvc-A"));
        assert_eq!(one, other);
        assert_eq!(one.cmp(&other), Ordering::Equal);
        assert!(other.begins_with("prod-pvc-") && !other.begins_with("prod-pvc-ab"));
        assert_eq!(other.as_str(), "PROD-pvc-A", "and each is written as it came");
        let both: std::collections::HashSet<Name> = [one, other, name("b")].into();
        assert_eq!(both.len(), 2);
    }

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
