//! Writes values as YAML text that all YAML readers of Kubernetes interpret in the same way.
//!
//! The YAML library decides how strings are quoted: every string that is not plainly harmless is passed to it, so
//! that YAML 1.1 readers (kubectl, Argo CD) and 1.2 readers agree. This file writes only the skeleton (mappings,
//! lists, block text, harmless words), because the library spent nine tenths of a run's time there;
//! `docs/decisions` has the figures. A property test compares every byte with the library's output.

mod serializer;

use serde::ser::{self, Serialize};

/// A value that has no YAML form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WriteError(String);

impl ser::Error for WriteError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Appends one document, without a separator.
pub fn write<T: Serialize + ?Sized>(out: &mut String, value: &T) -> Result<(), WriteError> {
    value.serialize(Emitter { out, indent: 0, at: At::Start })
}

/// Returns the library's text for a scalar, on one line and without folding, so that users can grep.
fn by_library<T: Serialize + ?Sized>(value: &T) -> Result<String, WriteError> {
    let options = serde_yaml::ser_options! {
        folded_wrap_chars: 1_000_000,
        prefer_block_scalars: false,
    };
    let mut text = String::new();
    serde_yaml::to_fmt_writer_with_options(&mut text, &value, options)
        .map_err(|error| WriteError(error.to_string()))?;
    text.truncate(text.trim_end_matches('\n').len());
    Ok(text)
}

/// Position of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing: the document starts.
    Start,
    /// `key:`
    Key,
    /// `- `
    Dash,
}

struct Emitter<'o> {
    out: &'o mut String,
    /// Indentation of the surrounding mapping or list, in columns.
    indent: usize,
    at: At,
}

impl Emitter<'_> {
    fn scalar(self, text: &str) {
        if self.at == At::Key {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn string(self, text: &str) -> Result<(), WriteError> {
        if is_harmless(text) {
            self.scalar(text);
        } else if is_block(text) {
            self.block(text);
        } else {
            self.scalar(&by_library(text)?);
        }
        Ok(())
    }

    /// Writes text of several lines literally.
    fn block(self, text: &str) {
        let end = text.trim_end_matches('\n').len();
        if self.at == At::Key {
            self.out.push(' ');
        }
        self.out.push_str(match text.len() - end {
            0 => "|-\n",
            1 => "|\n",
            _ => "|+\n",
        });
        let indent = if self.at == At::Start { 2 } else { self.indent + 2 };
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                pad(self.out, indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn mapping<'o>(self) -> Mapping<'o>
    where
        Self: 'o,
    {
        // Column of the keys: two more than that of the key or dash before.
        let indent = if self.at == At::Start { 0 } else { self.indent + 2 };
        Mapping { out: self.out, indent, at: self.at, empty: true }
    }

    fn list<'o>(self) -> List<'o>
    where
        Self: 'o,
    {
        // Dashes have the column of their key, as kubectl writes them.
        let indent = if self.at == At::Dash { self.indent + 2 } else { self.indent };
        List { out: self.out, indent, at: self.at, empty: true }
    }
}

fn pad(out: &mut String, columns: usize) {
    const BLANKS: &str = "                                                                ";
    let mut left = columns;
    while left > 0 {
        let now = left.min(BLANKS.len());
        out.push_str(&BLANKS[..now]);
        left -= now;
    }
}

/// Words that some YAML reader interprets as a boolean, a number or null.
const RESERVED: [&str; 12] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];

/// Bytes without a special meaning in YAML at any position in a word.
const IN_WORDS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'_' | b'/' | b'-' | b'@' | b'+' | b'(' | b')');
        byte += 1;
    }
    table
};

/// Returns whether every reader interprets a text as itself without quotes: it starts like a word or path and
/// contains no character with a special meaning. Sizes such as `16Mi` count as well.
fn is_harmless(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else {
        return false;
    };
    if first.is_ascii_digit() {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let harmless = matches!(&text[digits..], "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "m");
        return harmless && digits < 12;
    }
    if !first.is_ascii_alphabetic() && *first != b'/' {
        return false;
    }
    if !bytes.iter().all(|byte| IN_WORDS[usize::from(*byte)]) && !are_words(bytes) {
        return false;
    }
    let could_be =
        matches!(first | 0x20, b'y' | b'n' | b'o' | b't' | b'f' | b'i') && text.len() < 9;
    !could_be || !RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Returns whether words form a text in which no reader sees a mapping, a comment or lost blanks.
fn are_words(bytes: &[u8]) -> bool {
    let mut before = b' ';
    for &byte in bytes {
        let fits = IN_WORDS[usize::from(byte)]
            || (matches!(byte, b':' | b'=') && before != b' ')
            || (byte == b' ' && before != b':' && before != b' ');
        if !fits {
            return false;
        }
        before = byte;
    }
    !matches!(before, b':' | b' ')
}

/// Returns whether text of several lines can be written literally: it starts in the first column and contains
/// nothing that a reader would drop or change.
fn is_block(text: &str) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && !text.contains(" \n")
        && text.as_bytes().iter().all(plain)
}

struct Mapping<'o> {
    out: &'o mut String,
    indent: usize,
    at: At,
    empty: bool,
}

impl Mapping<'_> {
    /// Writes a key with any content.
    fn key(&mut self, key: &str) -> Result<(), WriteError> {
        if is_harmless(key) && !key.contains([':', ' ']) && key.len() <= LONGEST_KEY {
            self.known_key(key);
        } else {
            self.known_key(&key_by_library(key)?);
        }
        Ok(())
    }

    /// Writes a key literally, such as the name of a field.
    fn known_key(&mut self, key: &str) {
        if std::mem::take(&mut self.empty) {
            if self.at == At::Key {
                self.out.push('\n');
                pad(self.out, self.indent);
            }
        } else {
            pad(self.out, self.indent);
        }
        self.out.push_str(key);
        self.out.push(':');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        value.serialize(Emitter { out: self.out, indent: self.indent, at: At::Key })
    }

    fn close(self) {
        if self.empty {
            self.out.push_str(if self.at == At::Key { " {}\n" } else { "{}\n" });
        }
    }
}

/// Longest key on the line of its value, in characters as written (YAML 1.2.2, 7.4.2).
const LONGEST_KEY: usize = 1024;

/// Returns the library's text for a key: that of a mapping with one entry.
fn key_by_library(key: &str) -> Result<String, WriteError> {
    let mut text = by_library(&std::collections::BTreeMap::from([(key, 0)]))?;
    let written = text.strip_suffix(": 0").filter(|written| written.len() <= LONGEST_KEY);
    // For a longer key, the library writes the form `? KEY`, which readers interpret in different ways.
    let Some(length) = written.map(str::len) else {
        let begin: String = key.chars().take(20).collect();
        return Err(WriteError(format!(
            "the key {begin:?}… has more than the {LONGEST_KEY} characters that YAML allows"
        )));
    };
    text.truncate(length);
    Ok(text)
}

struct List<'o> {
    out: &'o mut String,
    indent: usize,
    at: At,
    empty: bool,
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), WriteError> {
        if std::mem::take(&mut self.empty) {
            if self.at == At::Key {
                self.out.push('\n');
                pad(self.out, self.indent);
            }
        } else {
            pad(self.out, self.indent);
        }
        self.out.push_str("- ");
        item.serialize(Emitter { out: self.out, indent: self.indent, at: At::Dash })
    }

    fn close(self) {
        if self.empty {
            self.out.push_str(if self.at == At::Key { " []\n" } else { "[]\n" });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn a_key_that_yaml_does_not_allow_is_refused() {
        for (key, fits) in [
            ("k".repeat(1024), true),
            ("k".repeat(1025), false),
            (" ".repeat(1022), true),
            ("\n".repeat(510), true),
            // Two characters each, as written.
            ("\n".repeat(600), false),
        ] {
            let value = Json::Object([(key.clone(), json!(1))].into_iter().collect());
            let mut text = String::new();
            assert_eq!(write(&mut text, &value).is_ok(), fits, "{} {:?}", key.len(), &key[..1]);
            if fits {
                let read: Json = serde_yaml::from_str(&text).expect("YAML");
                assert_eq!(read, value);
            }
        }
    }

    /// Returns the output of the library alone, with the options that pso-gen would use.
    fn library(value: &Json) -> String {
        let options = serde_yaml::ser_options! { folded_wrap_chars: 1_000_000 };
        let mut text = String::new();
        serde_yaml::to_fmt_writer_with_options(&mut text, value, options).expect("writes");
        text
    }

    fn ours(value: &Json) -> String {
        let mut text = String::new();
        write(&mut text, value).expect("writes");
        text
    }

    #[test]
    fn structures_are_those_of_the_library() {
        let value = json!({
            "a": {"b": [], "c": {}, "d": [[], {}, [1, [2, 3]], {"x": 1, "y": [{"z": null}]}]},
            "e": [{"f": "text\nof lines\n", "g": "no end\nhere", "on": "off", "": "", "k: v": " "}],
            "h": "a\n\n\nb\n", "i": true, "j": 1.5, "m": ["a\nb\n"], "n": "x\n",
        });
        assert_eq!(ours(&value), library(&value));
        for value in [json!([]), json!({}), json!("a"), json!([{}]), json!(null), json!("a\nb\n")] {
            assert_eq!(ours(&value), library(&value));
        }
    }

    #[test]
    fn words_that_readers_misread_are_quoted() {
        for word in
            ["on", "NO", "y", "~", "null", "0123", "1e3", "1_000", "12:30", "0o7", ".5", "<<"]
        {
            let text = ours(&json!([word]));
            assert!(text.starts_with("- \"") || text.starts_with("- '"), "{word} became {text}");
        }
    }

    fn words() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9:=._/@+ ()#,-]{0,12}",
            "[a-z]{1,5}",
            "[0-9a-zA-Z]{1,6}",
            "(yes|no|on|off|true|false|null|y|n|nan|inf|infinity|Yes|NO|tRue)[ :]?",
            "[ -~\n]{0,30}",
            ".{0,10}",
            "(([a-z# -]{0,8})\n){1,4}",
        ]
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            words().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            Just(Json::Null),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec((words(), inner), 0..4)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn every_byte_is_what_the_library_would_write(value in values()) {
            if !has_odd_block(&value) {
                prop_assert_eq!(ours(&value), library(&value));
            }
        }

        #[test]
        fn everything_reads_back_as_it_was(value in values()) {
            let read: Json = serde_yaml::from_str(&ours(&value)).expect("reads");
            prop_assert_eq!(read, value);
        }
    }

    /// Returns whether a value contains text of several lines that cannot be literal: pso-gen quotes it, while
    /// the library has more forms.
    fn has_odd_block(value: &Json) -> bool {
        let odd = |text: &str| text.contains('\n') && !is_block(text);
        match value {
            Json::String(text) => odd(text),
            Json::Array(items) => items.iter().any(has_odd_block),
            Json::Object(fields) => {
                fields.iter().any(|(key, value)| odd(key) || has_odd_block(value))
            }
            _ => false,
        }
    }
}
