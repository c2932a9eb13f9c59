//! Fixes for lines that are not valid YAML, by their usual causes. It knows lines, not their meaning.

/// Borders of a Git merge conflict.
const CONFLICT: [&str; 2] = ["<<<<<<< ", ">>>>>>> "];
/// Fix for a merge conflict.
pub(super) const RESOLVE: &str = "keep one side and remove the lines that begin with `<<<<<<<`, `=======` and `>>>>>>>`; render a generated file again instead";

/// Returns the first byte of a Git merge conflict in a text.
pub(super) fn conflict(text: &str) -> Option<usize> {
    let begin = |border: &str| {
        if text.starts_with(border) {
            Some(0)
        } else {
            text.find(&format!("\n{border}")).map(|at| at + 1)
        }
    };
    let both: Vec<usize> = CONFLICT.iter().filter_map(|border| begin(border)).collect();
    both.into_iter().min()
}

/// Returns the fix for the line at which parsing stopped, or for the line before it.
pub(super) fn remedy(text: &str, line: usize) -> Option<String> {
    text.lines().take(line + 1).skip(line.saturating_sub(2)).find_map(of_line)
}

/// Returns the fix for an alias of an unknown anchor. Most are meant as text.
pub(super) fn star(name: &str) -> String {
    if name.starts_with(|c: char| c.is_alphanumeric()) {
        format!("write `&{name}` before the intended value, or \"*{name}\" in quotes for a text")
    } else {
        format!("`*` has a special meaning in YAML: put the text in quotes, \"*{name}\"")
    }
}

fn of_line(line: &str) -> Option<String> {
    let bare = line.trim_start_matches(' ');
    if bare.starts_with('\t') {
        return Some("indent with spaces: YAML does not allow tabs in indentation".to_owned());
    }
    let value =
        bare.trim_start_matches("- ").split_once(": ").map_or(bare, |(_, value)| value).trim();
    let value = value.trim_start_matches("- ");
    let first = value.chars().next()?;
    let is_sign = matches!(first, '*' | '@' | '`' | '%' | '!' | '&');
    let is_open = |sign: char| first == sign && (value.len() == 1 || !value.ends_with(sign));
    if is_open('"') || is_open('\'') {
        return Some(format!("close the text with {first} as well"));
    }
    if is_sign {
        return Some(format!(
            "`{first}` has a special meaning in YAML: put the text in quotes, {value:?}"
        ));
    }
    // `key: some text: more`, and a key without a space after its colon.
    if value.contains(": ") && !value.starts_with(['{', '[', '"', '\'', '#']) {
        return Some(format!("quote the text, because it contains `: `: {value:?}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named() {
        let fix = |text: &str, line| remedy(text, line).unwrap_or_default();
        assert_eq!(conflict("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n"), Some(5));
        assert_eq!(conflict("<<<<<<< HEAD\n"), Some(0));
        assert_eq!(conflict("a: <<<<<<< b\n"), None);
        assert!(fix("a:\n\tb: 1\n", 2).contains("spaces"));
        assert!(fix("hosts:\n  - *\n", 2).contains("\"*\""));
        assert!(fix("a: `b`\n", 1).contains("quotes"));
        assert!(fix("a: one: two\n", 1).contains("\"one: two\""));
        assert!(fix("a: \"b\n", 1).contains("close"));
        assert_eq!(remedy("======\na: 1\n", 1), None);
    }
}
