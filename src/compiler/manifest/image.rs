//! Parsing of container image references.

/// Returns an image's tag, if it has one.
pub fn tag(image: &str) -> Option<&str> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map(|(_, tag)| tag)
}

/// Returns an image without tag and digest.
pub fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match tag(name) {
        Some(tag) => &name[..name.len() - tag.len() - 1],
        None => name,
    }
}

/// Returns the major version in an image's tag, if the tag starts with a number.
pub fn major(image: &str) -> Option<u64> {
    let tag = tag(image)?;
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let digits: String = tag.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Returns the series in an image's tag, its first two numbers: data of `11.8` is of no use for `11.4`.
pub fn series(image: &str) -> Option<(u64, u64)> {
    let tag = tag(image)?;
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let mut numbers = tag.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let series = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    // A year counts days, and not how data is stored.
    (series.0 < 1000).then_some(series)
}

/// Returns whether a reference may refer to a different image later. A version with at least two numbers counts
/// as fixed: publishers rebuild such tags, but do not move them to another version.
pub fn is_mutable(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let Some(tag) = tag(image) else { return true };
    let numbers = tag
        .split(['.', '-', '_'])
        .filter(|part| part.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    numbers.count() < 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_move_differ_from_those_that_do_not() {
        for moving in ["a", "a:latest", "a:8", "localhost:5000/a", "a:stable", "a:lts"] {
            assert!(is_mutable(moving), "{moving}");
        }
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for fixed in
            ["a:1.2", "localhost:5000/a:34.0.3-apache", "a:2026-07-28", "a:v1.2.3", &digest]
        {
            assert!(!is_mutable(fixed), "{fixed}");
        }
    }

    #[test]
    fn references_come_apart() {
        assert_eq!(repository("localhost:5000/a/b:1.2@sha256:00"), "localhost:5000/a/b");
        assert_eq!(repository("localhost:5000/a"), "localhost:5000/a");
        assert_eq!(major("nextcloud:34.0.3-apache"), Some(34));
        assert_eq!(major("a:latest"), None);
        assert_eq!(series("mariadb:11.8.8"), Some((11, 8)));
        assert_eq!(series("a:v1.2-alpine"), Some((1, 2)));
        assert_eq!(series("a:8"), None);
        assert_eq!(series("a:2026-07-28"), None);
    }
}
