//! Names that arrays accept and generate.

use std::fmt::Write as _;

use super::rest::Refusal;

/// Longest name of a volume or file system.
const LONGEST: usize = 63;

/// Refuses a name that an array does not accept. A valid name has at most 63 letters, digits, `-` and `_`, with a
/// letter or digit at both ends and at least one letter.
pub(super) fn check(name: &str, underscores: bool) -> Result<(), Refusal> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || (underscores && c == '_');
    let at_the_ends = |c: char| c.is_ascii_alphanumeric();
    let good = (1..=LONGEST).contains(&name.len())
        && name.chars().all(inside)
        && name.starts_with(at_the_ends)
        && name.ends_with(at_the_ends)
        && name.contains(|c: char| c.is_ascii_alphabetic());
    if good { Ok(()) } else { Err(Refusal::of(name, "Invalid name.")) }
}

/// The parts of a name on a FlashArray, `pod::group/own`. Pod and group are optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'n> {
    pub(super) pod: Option<&'n str>,
    pub(super) group: Option<&'n str>,
    pub(super) own: &'n str,
}

impl<'n> Parts<'n> {
    pub(super) fn of(name: &'n str) -> Self {
        let (pod, rest) =
            name.split_once("::").map_or((None, name), |(pod, rest)| (Some(pod), rest));
        let (group, own) =
            rest.split_once('/').map_or((None, rest), |(group, own)| (Some(group), own));
        Self { pod, group, own }
    }

    /// Returns the name of the volume group, including its pod.
    pub(super) fn group(&self) -> Option<String> {
        self.group.map(|group| within(self.pod, group))
    }
}

/// Returns a name within a pod, if there is one.
pub(super) fn within(pod: Option<&str>, name: &str) -> String {
    pod.map_or_else(|| name.to_owned(), |pod| format!("{pod}::{name}"))
}

/// Formats bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Returns an id in the format of arrays for the number of an object.
pub(super) fn id(array: u32, number: u64) -> String {
    format!("{array:08x}-0000-4000-8000-{number:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts() {
        let parts = |pod, group, own| Parts { pod, group, own };
        assert_eq!(Parts::of("v"), parts(None, None, "v"));
        assert_eq!(Parts::of("p::v"), parts(Some("p"), None, "v"));
        assert_eq!(Parts::of("g/v"), parts(None, Some("g"), "v"));
        let all = Parts::of("p::g/v");
        assert_eq!(all, parts(Some("p"), Some("g"), "v"));
        assert_eq!(all.group().as_deref(), Some("p::g"));
    }
}
