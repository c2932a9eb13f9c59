//! Replaces secrets in shown texts with stars: values that are, or look like, a token or password, in whichever
//! line a diagnostic quotes. Pipelines publish diagnostics.
//!
//! The length in bytes stays the same, so that places remain valid.

use std::ops::Range;

/// Parts of keys whose values are secret.
const SECRET: [&str; 3] = ["token", "password", "passwd"];
/// Lengths of the groups of a UUID, the form of both products' tokens (a FlashBlade's after `T-`).
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID: usize = 36;

/// Returns a text with stars in place of secrets and of the ranges in `known`.
pub fn redacted(text: &str, known: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in known.iter().cloned().chain(tokens(text)).chain(values(text)) {
        let end = range.end.min(bytes.len());
        let start = range.start.min(end);
        bytes[start..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b'*');
    }
    // A range that begins inside a character leaves invalid UTF-8, which is replaced.
    String::from_utf8(bytes).unwrap_or_else(|error| text_of(error.as_bytes()))
}

/// Returns bytes as text of the same length.
fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '*' }).collect()
}

/// Returns a message without tokens. Messages may quote input.
pub fn without_tokens(text: &str) -> String {
    if tokens(text).next().is_none() {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut at = 0;
    for range in tokens(text) {
        out.push_str(&text[at..range.start]);
        out.push_str("***");
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Returns the ranges of words that look like a token, except values of a key `id`.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut next = 0;
    std::iter::from_fn(move || {
        while next + UUID <= bytes.len() {
            let start = next;
            next += 1;
            if bytes[start + GROUPS[0]] != b'-' || !is_uuid(&bytes[start..start + UUID]) {
                continue;
            }
            let before = &text.as_bytes()[..start];
            let has_head = before.ends_with(b"T-") || before.ends_with(b"t-");
            let start = if has_head { start - 2 } else { start };
            let end = next - 1 + UUID;
            next = end;
            // A longer word is a name: `pvc-` and the claim's UID.
            let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
            let stands_alone =
                !bytes[..start].last().is_some_and(inside) && !bytes.get(end).is_some_and(inside);
            if stands_alone && !follows_id(&bytes[..start]) {
                return Some(start..end);
            }
        }
        None
    })
}

fn is_uuid(bytes: &[u8]) -> bool {
    let mut groups = bytes.split(|byte| *byte == b'-');
    let right = GROUPS.iter().all(|length| {
        groups
            .next()
            .is_some_and(|group| group.len() == *length && group.iter().all(u8::is_ascii_hexdigit))
    });
    right && groups.next().is_none()
}

/// Returns whether a key `id` precedes a value.
fn follows_id(before: &[u8]) -> bool {
    let trimmed = before.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b"\"").or(trimmed.strip_suffix(b"'")).unwrap_or(trimmed);
    let Some(key) = trimmed.trim_ascii_end().strip_suffix(b":") else { return false };
    let key = key.strip_suffix(b"\"").unwrap_or(key);
    key.strip_suffix(b"id").is_some_and(|rest| {
        rest.last().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte))
    })
}

/// Returns the ranges of values whose keys mark them as secret: single words, on the line of the key or below it.
fn values(text: &str) -> impl Iterator<Item = Range<usize>> {
    let colons = text.match_indices(':').map(|(at, _)| at);
    colons.filter(|at| is_secret(key_before(&text[..*at]))).flat_map(|at| value_after(text, at + 1))
}

/// Returns the key that ends before a colon.
fn key_before(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'']);
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    &text[text.trim_end_matches(inside).len()..]
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // The name of a file is not a secret.
    SECRET.iter().any(|word| key.contains(word)) && !key.ends_with("file")
}

fn value_after(text: &str, start: usize) -> Vec<Range<usize>> {
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = &text[start..line_end];
    let value = line.trim_start();
    let from = start + line.len() - value.len();
    match value.chars().next() {
        // A mapping refers to the secret.
        Some('{' | '[') => Vec::new(),
        Some(quote @ ('"' | '\'')) => {
            let rest = &text[from + 1..];
            let end = rest.find(quote).map_or(text.len(), |at| from + 1 + at);
            Vec::from_iter(Some(from + 1..end))
        }
        Some('|' | '>' | '#') | None => {
            below(text, line_end, text[line_start..].len() - text[line_start..].trim_start().len())
        }
        Some(_) => {
            let end = value.find([',', '}']).unwrap_or(value.len());
            Vec::from_iter(Some(from..from + value[..end].trim_end().len()))
        }
    }
}

/// Returns the lines that belong to a key above them, by their indentation, without lines that have keys or items
/// of their own.
fn below(text: &str, from: usize, indent: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = from + 1;
    for line in text.get(at..).unwrap_or_default().split_inclusive('\n') {
        let words = line.trim();
        let inner = line.len() - line.trim_start().len();
        if !words.is_empty() && (inner <= indent || words.starts_with('-') || words.contains(": "))
        {
            break;
        }
        if words.ends_with(':') {
            break;
        }
        found.push(at + inner..at + line.trim_end().len().max(inner));
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "T-c4925090-c9bf-4033-8537-d24ee5669135";

    #[test]
    fn secrets_are_stars_and_nothing_else_is() {
        for text in [
            format!("arrays: [{{name: a, token: {TOKEN}, tpye: x}}]"),
            format!("a: 1\nb: {} # a note\n", &TOKEN[2..]),
            "x: {apiToken: sesame, b: 1}".to_owned(),
            "x: {'api-token': 'ses, ame', b: 1}".to_owned(),
            "{\"APIToken\": \"sesame\", \"b\": 1}".to_owned(),
            "  db-password: sesame\n  b: 1".to_owned(),
            "  token:\n    sesame\n  b: 1".to_owned(),
            "  token: |\n    sesame\n    sesame\n  b: 1".to_owned(),
            "- token: >-\n    sesame\n  b: 1".to_owned(),
            "token: \"sesame".to_owned(),
            "token: sesame".to_owned(),
        ] {
            let shown = redacted(&text, &[]);
            assert_eq!(shown.len(), text.len(), "{shown}");
            for word in ["ses", "ame", "c4925090", "d24ee5669135"] {
                assert!(!shown.replace("name", "").contains(word), "{shown}");
            }
            assert!(
                shown.contains('*') && (!text.contains("b: 1") || shown.contains("b: 1")),
                "{shown}"
            );
        }
        for text in [
            "token: {secret: arrays, key: fb1}",
            "token:\n  secret: arrays\n  key: fb1\n",
            "token:\n  file: /run/token\nname: x",
            "MYSQL_PASSWORD_FILE: /run/secrets/db",
            "name: prod-pvc-c4925090-c9bf-4033-8537-d24ee5669135",
            "admin-password: {length: 24}",
            "id: c4925090-c9bf-4033-8537-d24ee5669135",
            "{\"id\": \"c4925090-c9bf-4033-8537-d24ee5669135\"}",
            "image: a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "host: cloud.example.com # ä ö",
        ] {
            assert_eq!(redacted(text, &[]), text);
        }
        assert_eq!(redacted("aäb: c", &[1..3, 6..99]), "a**b: *");
        assert_eq!(redacted("aäb", std::slice::from_ref(&(2..3))).len(), 4);
    }

    #[test]
    fn messages_quote_no_token() {
        assert_eq!(
            without_tokens(&format!("found \"{TOKEN}\", no host")),
            "found \"***\", no host"
        );
        assert_eq!(without_tokens("found \"x\""), "found \"x\"");
    }
}
