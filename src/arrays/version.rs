//! REST versions: those that pso-gen supports, and the one that it uses with an array.

use std::fmt;

/// A version `2.N` of either array's REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2.{}", self.0)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("2.")?.parse().ok().map(Self)
    }

    /// Returns the newest version that an array offers within the tested range from `oldest` to `newest`, or `None`.
    pub(super) fn negotiate(offered: &[String], oldest: Self, newest: Self) -> Option<Self> {
        let known = offered.iter().filter_map(|text| Self::parse(text));
        known.filter(|version| (oldest..=newest).contains(version)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_both_know_is_taken() {
        let offered =
            |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let agree = |list: &[&str]| Version::negotiate(&offered(list), Version(2), Version(28));
        assert_eq!(agree(&["1.0", "2.0", "2.9", "2.28"]), Some(Version(28)));
        assert_eq!(agree(&["2.3", "2.30", "2.10"]), Some(Version(10)), "numbers, not texts");
        assert_eq!(agree(&["1.12", "2.1"]), None, "too old");
        assert_eq!(agree(&["2.29", "3.0", "2.X"]), None, "too new");
    }
}
