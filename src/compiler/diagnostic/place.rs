//! Places in the texts of a run.
//!
//! A [`Place`] is small and `Copy`, so every value can carry its own from the file to the last check. [`Sources`]
//! holds the texts once.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Number of a text in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A range of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The text that contains it.
    pub source: SourceId,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// First byte after the range.
    pub end: u32,
}

/// One text: a file, standard input, a `--set` argument.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Name for users: the path as given, `<stdin>`, `--set`.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// All texts of a run. Threads share it, and texts are never removed.
#[derive(Debug, Default)]
pub struct Sources {
    texts: RwLock<Vec<Arc<Source>>>,
}

impl Sources {
    /// Adds a text and returns its number.
    pub fn add(&self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let source = Arc::new(Source { name: name.into(), text: text.into() });
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.push(source);
        SourceId(u32::try_from(texts.len() - 1).unwrap_or(u32::MAX))
    }

    /// Returns the text with a number from [`Sources::add`].
    pub fn get(&self, id: SourceId) -> Arc<Source> {
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        texts.get(id.0 as usize).cloned().unwrap_or_else(|| {
            Arc::new(Source { name: "<unknown>".to_owned(), text: String::new() })
        })
    }

    /// Returns `name:line:column`, the form that editors understand.
    pub fn show(&self, place: Place) -> impl fmt::Display {
        format!("{}:{}:{}", self.get(place.source).name, place.line, place.column)
    }

    /// Returns the folder of the text's file, if the text is a file in a folder.
    pub fn folder(&self, id: SourceId) -> Option<std::path::PathBuf> {
        Path::new(&self.get(id).name).parent().map(Path::to_path_buf)
    }
}

impl Place {
    /// Returns the place of a text's first character.
    pub fn start_of(source: SourceId) -> Self {
        Self { source, line: 1, column: 1, start: 0, end: 0 }
    }

    /// Returns the place of the byte range `start..end`, with line and column computed from the text.
    pub fn in_text(source: SourceId, text: &str, start: usize, end: usize) -> Self {
        let mut start = start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = end.clamp(start, text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            source,
            line: number(before.matches('\n').count() + 1),
            column: number(before[line_start..].chars().count() + 1),
            start: number(start),
            end: number(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_columns_in_characters_and_lines_from_one() {
        let sources = Sources::default();
        let id = sources.add("a.yaml", "ä: 1\nüb: 2\n");
        let text = &sources.get(id).text;
        let place = Place::in_text(id, text, text.find('2').expect("there"), text.len());
        assert_eq!(sources.show(place).to_string(), "a.yaml:2:5");
    }
}
