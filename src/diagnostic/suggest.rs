//! "Did you mean": the nearest of the words that would have been right.

/// Returns the candidate that `found` is most likely a slip of, if any is near enough.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = found.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (likeness(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn likeness(a: &str, b: &str) -> f64 {
    // The beginning of a word ("vol" for "volumes") is near for a person, though not by letters
    // changed.
    if a.len() >= 3 && b.starts_with(a) {
        return 0.9;
    }
    // One slip in a short word, two letters swapped for example.
    let slip = if a.len() >= 3 && strsim::damerau_levenshtein(a, b) == 1 { 0.8 } else { 0.0 };
    let alike: f64 = strsim::jaro_winkler(a, b);
    alike.max(slip).max(strsim::normalized_damerau_levenshtein(a, b))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        let words = ["replicas", "volumes", "host", "pure-file", "pure-block"];
        assert_eq!(nearest("replica", words), Some("replicas"));
        assert_eq!(nearest("Volums", words), Some("volumes"));
        assert_eq!(nearest("pure_block", words), Some("pure-block"));
        assert_eq!(nearest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(nearest("colour", words), None);
    }
}
