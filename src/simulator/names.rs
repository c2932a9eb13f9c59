//! Names that arrays give and take.

use super::rest::Refusal;

/// Longest name of a volume or file system.
const LONGEST: usize = 63;

/// Refuses a name that an array would not take: at most 63 letters, digits, `-` and `_`, the first and
/// last a letter or digit, at least one letter.
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

/// An id that looks like those of arrays, for the number of an object.
pub(super) fn id(array: u32, number: u64) -> String {
    format!("{array:08x}-0000-4000-8000-{number:012x}")
}
