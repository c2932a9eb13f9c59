//! Sanitizes untrusted text for display: one line, limited length, and without control characters, invisible
//! characters, or marks that change the direction of text. This is the only place that decides which characters those
//! are.
//!
//! Texts from an array, the cluster, a repository or a file pass through here on input, or at the latest when they are
//! printed, logged, or written into an event.

use std::fmt::Write as _;

/// Longest text of one item, such as an error, in characters.
pub const LONGEST: usize = 300;

/// Returns a text on one line of at most `longest` characters. White space becomes one space, and control characters
/// become `U+FFFD`. Only the beginning of a long text is processed.
pub fn line(text: &str, longest: usize) -> String {
    let window = longest.saturating_mul(2).saturating_add(64);
    let mut short = String::new();
    let (mut length, mut space) = (0, false);
    for (seen, c) in text.chars().enumerate() {
        if c.is_whitespace() {
            space = length > 0;
            continue;
        }
        let needs = 1 + usize::from(space);
        if seen >= window || length + needs > longest {
            short.push('…');
            return short;
        }
        if std::mem::take(&mut space) {
            short.push(' ');
        }
        short.push(shown(c));
        length += needs;
    }
    short
}

/// Longest value that a message quotes, in characters.
const LONGEST_QUOTE: usize = 100;

/// Returns a value in quotes on one line, for a message.
pub fn quoted(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    // White space at the ends may be the error in the value.
    let spaces = |text: &str| text.chars().take_while(|c| *c == ' ').take(3).collect::<String>();
    let (before, after) = match text.trim_matches(' ') {
        "" => (spaces(text), String::new()),
        _ => (spaces(text), spaces(&text.chars().rev().collect::<String>())),
    };
    format!("\"{before}{}{after}\"", line(text, LONGEST_QUOTE).replace('"', "\\\""))
}

/// Returns a text without links: libraries put links to their manuals into their errors, which do not help users.
pub fn without_links(text: &str) -> String {
    let is_link = |word: &&str| {
        let word = word.trim_start_matches(['(', '<', '"', '`']);
        word.starts_with("https://") || word.starts_with("http://")
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.iter().any(is_link) {
        return text.to_owned();
    }
    let kept: Vec<&str> = words.into_iter().filter(|word| !is_link(word)).collect();
    kept.join(" ").trim_end_matches([':', ',', '(', ' ']).to_owned()
}

/// Returns a text of several lines in which control characters become `U+FFFD`, except line ends and tabs. For
/// pso-gen's own texts with untrusted values.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { shown(c) }).collect()
}

/// Returns a name in which control characters, including line ends, become `U+FFFD`.
pub fn name(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// Returns a text of several lines that may contain colours (`ESC [ … m`), but no other sequences.
pub fn coloured(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(at);
        safe.push_str(&lines(before));
        let inside = sequence.strip_prefix("\u{1b}[").unwrap_or_default();
        let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';');
        if let Some(end) = end.filter(|end| inside[*end..].starts_with('m')) {
            let (colour, after) = sequence.split_at(end + 3);
            safe.push_str(colour);
            rest = after;
        } else {
            safe.push(char::REPLACEMENT_CHARACTER);
            rest = &sequence[1..];
        }
    }
    safe + &lines(rest)
}

/// Returns JSON in which control characters are `\u` escapes, which mean the same to a JSON parser.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !steers(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// Returns whether a character affects the display: control characters (C0 and C1), marks of direction (Unicode TR 9),
/// line separators, and invisible characters.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn shown(c: char) -> char {
    if steers(c) { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character of each kind: ESC, BEL, DEL, CSI (C1), next line, marks and overrides of direction, line
    /// separator, zero-width space, byte order mark, tag.
    const HOSTILE: &str =
        "\u{1b}\u{7}\u{7f}\u{9b}\u{85}\u{200f}\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{e0041}";

    #[test]
    fn nothing_that_steers_gets_through() {
        for c in HOSTILE.chars() {
            let text = format!("a{c}[2Jb\nwrong: c");
            for safe in [line(&text, 100), lines(&text), json(&text), quoted(&text)] {
                assert!(!safe.chars().any(|c| c != '\n' && steers(c)), "{c:?}: {safe:?}");
            }
            assert!(!line(&text, 100).contains('\n'));
            let back: String = serde_json::from_str(&json(&format!("\"{c}\""))).unwrap_or_default();
            assert!(
                c.is_ascii_control() || back == c.to_string(),
                "as JSON it means the same: {c:?}"
            );
        }
        assert_eq!(name("a b\n\u{1b}c"), "a b\u{fffd}\u{fffd}c");
        let colours = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: a";
        assert_eq!(
            coloured(&format!("{colours}\u{1b}[2J\u{1b}")),
            format!("{colours}\u{fffd}[2J\u{fffd}")
        );
        assert_eq!(line(" grüße,\r\n\twelt \u{1f600} ", 100), "grüße, welt \u{1f600}");
        assert_eq!(lines("a\n\tb"), "a\n\tb");
    }

    #[test]
    fn a_value_is_quoted_on_one_line() {
        for (text, shown) in [
            ("a", "\"a\""),
            ("", "\"\""),
            (" ", "\" \""),
            (" a ", "\" a \""),
            ("a\nerror: b", "\"a error: b\""),
            ("a\"b", "\"a\\\"b\""),
            ("ä\u{1b}[2J", "\"ä\u{fffd}[2J\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be() {
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("abcd", 3), "abc…");
        assert_eq!(line("ab cd", 3), "ab…");
        assert_eq!(line("ab  ", 2), "ab");
        assert_eq!(line(&"ä".repeat(1000), 300).chars().count(), 301);
        // Only the beginning is processed.
        assert_eq!(line(&format!("a{}b", " ".repeat(1 << 20)), 3), "a…");
    }

    #[test]
    fn a_librarys_link_is_no_part_of_what_went_wrong() {
        let rustls = "no answer: peer closed connection without sending TLS close_notify: \
                      https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
        let told = "no answer: peer closed connection without sending TLS close_notify";
        assert_eq!(without_links(rustls), told);
        assert_eq!(
            without_links("error (see <http://example.com/a>) of  old"),
            "error (see of old"
        );
        for plain in ["no  connection", "httpsd: stopped", ""] {
            assert_eq!(without_links(plain), plain);
        }
    }
}
