//! Names of volumes and snapshots that both kinds of array accept. Knows nothing about REST requests.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Name of a volume or file system on an array. Names that differ only in case are equal: arrays preserve the case and
/// ignore it in comparisons.
///
/// At most 63 letters, digits, `-` and `_`, with a letter or digit at both ends and at least one letter. This is the
/// rule of the FlashArray (its REST guide, section 4.10). It is safe on a FlashBlade, whose documentation states no
/// rule.
#[derive(Debug, Clone)]
pub struct VolumeName(String);

impl PartialEq for VolumeName {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for VolumeName {}

impl PartialOrd for VolumeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VolumeName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.to_ascii_lowercase().cmp(&other.0.to_ascii_lowercase())
    }
}

impl Hash for VolumeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

impl VolumeName {
    /// Longest name, in characters.
    pub const LONGEST: usize = 63;

    /// Returns a name, or `None` when arrays do not accept it.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        let is_valid = (1..=Self::LONGEST).contains(&name.len())
            && name.chars().all(|c| alphanumeric(c) || c == '-' || c == '_')
            && name.starts_with(alphanumeric)
            && name.ends_with(alphanumeric)
            && name.contains(|c: char| c.is_ascii_alphabetic());
        is_valid.then_some(Self(name))
    }

    /// Returns the name in its original spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the name begins with a prefix, ignoring case as arrays do.
    pub(crate) fn begins_with(&self, prefix: &str) -> bool {
        self.0.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    }

    /// Returns whether it equals a name that an array reports. Arrays preserve the case and ignore it in comparisons.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prefix of the suffixes of snapshots that CSI's Controller service takes.
pub const CSI_PREFIX: &str = "csi-";

/// The suffix of a snapshot's name after the volume's name: at most 63 letters, digits and `-`, with a letter or digit
/// at both ends and at least one letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotSuffix(VolumeName);

impl SnapshotSuffix {
    /// Returns a suffix, or `None` when arrays do not accept it.
    pub fn new(suffix: impl Into<String>) -> Option<Self> {
        VolumeName::new(suffix).filter(|name| !name.as_str().contains('_')).map(Self)
    }

    /// Returns the suffix of a snapshot that CSI's Controller service takes, from the 32 hexadecimal digits that stand for
    /// its name. Neither the schedules of classes nor an admin's snapshots have that form.
    pub fn of_csi(digest: &str) -> Option<Self> {
        let suffix = format!("{CSI_PREFIX}{digest}");
        Self::new(suffix.as_str()).filter(|_| Self::is_of_csi(&suffix))
    }

    /// Returns whether a snapshot's name, `volume.suffix`, or its suffix alone is of that form. In Kubernetes, a
    /// VolumeSnapshotContent stands for the snapshot.
    pub fn is_of_csi(name: &str) -> bool {
        let suffix = name.rsplit_once('.').map_or(name, |(_, suffix)| suffix);
        suffix.strip_prefix(CSI_PREFIX).is_some_and(|digits| {
            digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit())
        })
    }
}

impl fmt::Display for SnapshotSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_both_arrays_take() {
        let longest = "a".repeat(63);
        for good in ["k8s-pvc-1", "a", "A_b", &longest] {
            assert!(VolumeName::new(good).is_some(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "1234", "a b", "a.b", "ä", "a'b", &long] {
            assert!(VolumeName::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn case_makes_no_other_name() {
        let name = |text: &str| VolumeName::new(text).expect("a name");
        let (one, other) = (name("prod-pvc-a"), name("PROD-pvc-A"));
        assert_eq!(one, other);
        assert_eq!(one.cmp(&other), Ordering::Equal);
        assert!(other.begins_with("prod-pvc-") && !other.begins_with("prod-pvc-ab"));
        assert_eq!(other.as_str(), "PROD-pvc-A", "and each is written as it came");
        let both: std::collections::HashSet<VolumeName> = [one, other, name("b")].into();
        assert_eq!(both.len(), 2);
    }
}
