//! Suggestions ("did you mean"): the valid word that is nearest to an invalid one.

/// Returns the candidate that `found` is most likely a misspelling of, if any is near enough.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = found.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (likeness(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Returns the candidate of which `found` is most likely a misspelling, where both may be valid names: one letter
/// differs, in a word of four letters or more, and it is not a digit (`team-a` is not a misspelling of `team-b`).
pub fn misspelling<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates.into_iter().find(|candidate| is_misspelling(found, candidate))
}

fn is_misspelling(a: &str, b: &str) -> bool {
    if a.split('-').count() != b.split('-').count() {
        return false;
    }
    let mut differ = a.split('-').zip(b.split('-')).filter(|(a, b)| a != b);
    let (Some((a, b)), None) = (differ.next(), differ.next()) else { return false };
    let digits = |word: &str| word.chars().filter(char::is_ascii_digit).collect::<String>();
    a.len() >= 4 && b.len() >= 4 && digits(a) == digits(b) && strsim::damerau_levenshtein(a, b) == 1
}

fn likeness(a: &str, b: &str) -> f64 {
    // The beginning of a word ("vol" for "volumes") is a likely abbreviation, although many letters differ.
    if a.len() >= 3 && b.starts_with(a) {
        return 0.9;
    }
    // One mistake in a short word, for example two swapped letters.
    let misspelling =
        if a.len() >= 3 && strsim::damerau_levenshtein(a, b) == 1 { 0.8 } else { 0.0 };
    let alike: f64 = strsim::jaro_winkler(a, b);
    alike.max(misspelling).max(strsim::normalized_damerau_levenshtein(a, b))
}

#[cfg(test)]
mod tests {
    use super::{misspelling, nearest};

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        let words = ["replicas", "volumes", "host", "pure-file", "pure-block"];
        assert_eq!(nearest("replica", words), Some("replicas"));
        assert_eq!(nearest("Volums", words), Some("volumes"));
        assert_eq!(nearest("pure_block", words), Some("pure-block"));
        assert_eq!(nearest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(nearest("colour", words), None);
    }

    #[test]
    fn names_of_their_own_are_no_slips() {
        let names = ["nextcloud", "team-b", "prod2", "team-cloud-credentials"];
        assert_eq!(misspelling("nextclod", names), Some("nextcloud"));
        assert_eq!(misspelling("team-cloud-credentails", names), Some("team-cloud-credentials"));
        for other in ["team-a", "prod1", "team-cloud", "files", "nextcloud"] {
            assert_eq!(misspelling(other, names), None, "{other}");
        }
    }
}
