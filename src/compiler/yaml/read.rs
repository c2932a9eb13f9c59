//! Parses texts to documents, reports every problem with a place, and enforces limits far above the size of app
//! files.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use super::node::{Entry, Node, Scalar, Value};
use super::syntax_fix;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, SourceId, Sources};

/// Largest text, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Largest number of values in one text, including expanded aliases and their stored anchors.
const MAX_NODES: usize = 100_000;
/// Largest number of problems reported for one text. Parsing stops after them.
const MAX_PROBLEMS: usize = 200;
/// Largest number of bytes that aliases of one text may copy.
const MAX_COPIED: usize = MAX_BYTES;

/// The documents of one text, and its diagnostics.
#[derive(Debug, Default)]
pub struct Documents {
    /// Every complete document; empty ones are left out.
    pub documents: Vec<Node>,
    /// The diagnostics. With a syntax error, the documents before it are still returned.
    pub diagnostics: Vec<Diagnostic>,
}

/// Converts bytes to text.
///
/// # Errors
///
/// Returns a diagnostic with the first byte that is not UTF-8, or for a file that is too large.
pub fn decode(name: &str, bytes: Vec<u8>, sources: &Sources) -> Result<SourceId, Diagnostic> {
    if bytes.len() > MAX_BYTES {
        let id = sources.add(name, "");
        let message =
            format!("the file has {} bytes, more than the limit of {MAX_BYTES}", bytes.len());
        return Err(Diagnostic::new(Code::TooLarge, Place::start_of(id), message)
            .fix("split it into several files"));
    }
    String::from_utf8(bytes).map(|text| sources.add(name, text)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let id = sources.add(name, text);
        let place = Place::in_text(id, &sources.get(id).text, at, at + 1);
        Diagnostic::new(Code::NotUtf8, place, format!("byte 0x{byte:02X} is not UTF-8"))
            .fix("save the file as UTF-8")
    })
}

/// Parses all documents of a text.
pub fn read(source: SourceId, sources: &Sources) -> Documents {
    let source_text = sources.get(source);
    let text = source_text.text.as_str();
    let mut reader = Reader {
        source,
        text,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
        out: Documents::default(),
    };
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => reader.take(event, &span),
            Err(error) => Err(reader.syntax_error(&error)),
        };
        if let Err(diagnostic) = step {
            reader.out.diagnostics.push(diagnostic);
            break;
        }
        if reader.out.diagnostics.len() >= MAX_PROBLEMS {
            break;
        }
    }
    reader.out
}

/// A collection under construction.
enum Open {
    List {
        place: Place,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        place: Place,
        anchor: usize,
        entries: Vec<Entry>,
        key: Option<(String, Place)>,
        merges: Vec<Node>,
    },
}

struct Reader<'t> {
    source: SourceId,
    text: &'t str,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied: usize,
    out: Documents,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Diagnostic> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = match style {
                    // The parser returns `~` for a missing value.
                    ScalarStyle::Plain if place.start == place.end => Scalar::Plain(String::new()),
                    ScalarStyle::Plain => Scalar::Plain(text.into_owned()),
                    _ => Scalar::Text(text.into_owned()),
                };
                let scalar = tagged(scalar, tag.as_deref(), place)?;
                let node = Node { value: Value::Scalar(scalar), place };
                self.finish(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.as_ref(), place, "seq")?;
                let place = self.collection_place(place)?;
                self.stack.push(Open::List { place, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.as_ref(), place, "map")?;
                let place = self.collection_place(place)?;
                let (entries, merges) = (Vec::new(), Vec::new());
                self.stack.push(Open::Map { place, anchor, entries, key: None, merges });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List { place, anchor, items }) => {
                    self.finish(Node { value: Value::List(items), place }, anchor)
                }
                Some(Open::Map { place, anchor, entries, merges, .. }) => {
                    let mut entries = self.without_duplicates(entries);
                    merge(&mut entries, &merges)?;
                    self.finish(Node { value: Value::Map(entries), place }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(id) => {
                // The size is counted before copying, since the copy itself could exhaust memory.
                let size = self.anchors.get(&id).map_or((0, 0), size);
                self.spend(size, place)?;
                let node = self.anchors.get(&id).cloned();
                self.finish(node.unwrap_or_else(|| Node::empty_map(place)), 0)
            }
            Event::UnresolvedAlias(name) => Err(Diagnostic::new(
                Code::UnsupportedYaml,
                place,
                format!("the anchor of `*{name}` is not defined before it"),
            )
            .fix(syntax_fix::star(&name))),
            _ => Ok(()),
        }
    }

    /// Adds a finished value to the open collection, or to the documents.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        self.spend((1, 0), node.place)?;
        if anchor > 0 {
            self.spend(size(&node), node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None if node.is_null() => {}
            None => self.out.documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, merges, .. }) => match key.take() {
                None => *key = Some(key_of(&node)?),
                Some((name, _)) if name == "<<" => merges.push(node),
                Some((key, place)) => entries.push(Entry { key, place, value: node }),
            },
        }
        Ok(())
    }

    /// Keeps the first of equal keys and reports the others.
    fn without_duplicates(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut first: HashMap<String, Place> = HashMap::with_capacity(entries.len());
        let mut unique = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.out.diagnostics.len() >= MAX_PROBLEMS {
                break;
            }
            if let Some(&first) = first.get(&entry.key) {
                let message = format!("`{}` appears twice", entry.key);
                self.out.diagnostics.push(
                    Diagnostic::new(Code::DuplicateKey, entry.place, message)
                        .and(Some(first), "first defined here")
                        .fix("keep one of the two"),
                );
            } else {
                first.insert(entry.key.clone(), entry.place);
                unique.push(entry);
            }
        }
        unique
    }

    /// Returns the place of a collection. Inside a mapping, it is that of the key, the word that users look for.
    fn collection_place(&self, place: Place) -> Result<Place, Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_large(place, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(match self.stack.last() {
            Some(Open::Map { key: Some((_, place)), .. }) => *place,
            _ => place,
        })
    }

    /// Subtracts values and copied bytes from the budget of the text.
    fn spend(&mut self, (nodes, bytes): (usize, usize), place: Place) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        self.copied += bytes;
        if self.copied > MAX_COPIED {
            let message = format!("aliases expand to more than {MAX_COPIED} bytes of text");
            return Err(too_large(place, message));
        }
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(too_large(place, format!("more than {MAX_NODES} values, aliases expanded")))
    }

    fn syntax_error(&self, error: &granit_parser::ScanError) -> Diagnostic {
        let marker = error.marker();
        let at = marker.byte_offset().unwrap_or_else(|| byte_of(self.text, marker.index()));
        let place = Place::in_text(self.source, self.text, at, at + 1);
        let message = error.info();
        if message.contains("nesting") || message.contains("recursion") {
            return too_large(place, format!("nested more than {MAX_DEPTH} levels deep"));
        }
        if let Some(at) = syntax_fix::conflict(self.text) {
            let place = Place::in_text(self.source, self.text, at, at + 7);
            let message = "the file contains a Git merge conflict";
            return Diagnostic::new(Code::YamlSyntax, place, message).fix(syntax_fix::RESOLVE);
        }
        let diagnostic = Diagnostic::new(Code::YamlSyntax, place, message.to_lowercase());
        match syntax_fix::remedy(self.text, place.line as usize) {
            Some(fix) => diagnostic.fix(fix),
            None => diagnostic,
        }
    }

    fn place(&self, span: &Span) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let byte = |marker: &granit_parser::Marker| {
            marker.byte_offset().unwrap_or_else(|| byte_of(self.text, marker.index()))
        };
        Place {
            source: self.source,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            start: number(byte(&span.start)),
            end: number(byte(&span.end)),
        }
    }
}

/// Returns the number of values in a node, and the number of bytes in its keys and scalars.
fn size(node: &Node) -> (usize, usize) {
    let (mut nodes, mut bytes) = (0, 0);
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        nodes += 1;
        match &node.value {
            Value::Map(entries) => {
                bytes += entries.iter().map(|entry| entry.key.len()).sum::<usize>();
                left.extend(entries.iter().map(|entry| &entry.value));
            }
            Value::List(items) => left.extend(items),
            Value::Scalar(scalar) => bytes += scalar.text().len(),
        }
    }
    (nodes, bytes)
}

/// Applies one of YAML's own tags to a scalar. Other tags are refused.
fn tagged(scalar: Scalar, tag: Option<&Tag>, place: Place) -> Result<Scalar, Diagnostic> {
    match tag.map(|tag| (tag.core_suffix(), tag)) {
        None => Ok(scalar),
        Some((Some("str"), _)) => Ok(Scalar::Text(scalar.text().to_owned())),
        Some((Some("int" | "float" | "bool" | "null"), _)) => {
            Ok(Scalar::Plain(scalar.text().to_owned()))
        }
        Some((_, tag)) => Err(unsupported_tag(tag, place)),
    }
}

fn refuse_tag(tag: Option<&Cow<'_, Tag>>, place: Place, allowed: &str) -> Result<(), Diagnostic> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(allowed) => Err(unsupported_tag(tag, place)),
        _ => Ok(()),
    }
}

fn too_large(place: Place, message: String) -> Diagnostic {
    Diagnostic::new(Code::TooLarge, place, message)
        .fix("an app file needs a few dozen values: split it, or remove the aliases")
}

/// Adds the entries that `<<` refers to. Explicit keys take precedence, then keys of earlier mappings.
fn merge(entries: &mut Vec<Entry>, merges: &[Node]) -> Result<(), Diagnostic> {
    if merges.is_empty() {
        return Ok(());
    }
    let mut keys: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for from in merges {
        for node in from.items().unwrap_or(std::slice::from_ref(from)) {
            let Some(more) = node.entries() else {
                let message = format!("`<<` merges mappings, not {}", node.found());
                return Err(Diagnostic::new(Code::UnsupportedYaml, node.place, message));
            };
            entries.extend(more.iter().filter(|entry| keys.insert(entry.key.clone())).cloned());
        }
    }
    Ok(())
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte)
}

fn key_of(node: &Node) -> Result<(String, Place), Diagnostic> {
    match &node.value {
        Value::Scalar(scalar) => Ok((scalar.text().to_owned(), node.place)),
        _ => Err(Diagnostic::new(
            Code::UnsupportedYaml,
            node.place,
            format!("{} as a key", node.found()),
        )
        .fix("write a single word as the key, and quote the value if it starts with `{` or `[`")),
    }
}

fn unsupported_tag(tag: &Tag, place: Place) -> Diagnostic {
    let message = format!("the tag `{}` is not supported", tag.original());
    Diagnostic::new(Code::UnsupportedYaml, place, message).fix("write the value without a tag")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Documents {
        let sources = Sources::default();
        let id = sources.add("t.yaml", text);
        read(id, &sources)
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let read = read_text("a:\n  b: [1, {c: d}]\n---\ne: f\n");
        assert_eq!(read.diagnostics, []);
        let [first, second] = read.documents.as_slice() else { panic!("two documents") };
        let at = |node: &Node, path: &[&str]| {
            let place = node.place_of(path.iter().copied());
            (place.line, place.column)
        };
        assert_eq!(at(first, &["a"]), (1, 1));
        assert_eq!(at(first, &["a", "b", "0"]), (2, 7));
        assert_eq!(at(first, &["a", "b", "1", "c"]), (2, 14));
        assert_eq!(at(second, &["e"]), (4, 4));
    }

    #[test]
    fn all_duplicate_keys_are_reported_with_the_first() {
        let read = read_text("env:\n  A: 1\n  A: 2\nenv: {}\n");
        let codes: Vec<_> = read.diagnostics.iter().map(|d| (d.code, d.related.len())).collect();
        assert_eq!(codes, [(Code::DuplicateKey, 1), (Code::DuplicateKey, 1)]);
    }

    #[test]
    fn aliases_merge_keys_and_core_tags_are_read() {
        let read = read_text("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: !!str 7\nf: *x\n");
        assert_eq!(read.diagnostics, []);
        let json = read.documents[0].to_json();
        assert_eq!(json["d"], serde_json::json!({"c": 3, "b": 1}));
        assert_eq!(json["e"], "7");
        assert_eq!(json["f"], json["a"]);
    }

    #[test]
    fn an_alias_bomb_is_refused_quickly() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let row = vec![before; 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert_eq!(read_text(&text).diagnostics[0].code, Code::TooLarge);
    }

    #[test]
    fn aliases_of_long_words_are_refused_before_they_are_copied() {
        let word = "x".repeat(MAX_BYTES / 4);
        let text = format!("a: &a {word}\nb: [{}]\n", vec!["*a"; 10_000].join(", "));
        assert_eq!(read_text(&text).diagnostics[0].code, Code::TooLarge);
        let key = format!("a: &a {{? {word}\n: 1}}\nb: [{}]\n", vec!["*a"; 10_000].join(", "));
        assert_eq!(read_text(&key).diagnostics[0].code, Code::TooLarge);
    }

    #[test]
    fn what_is_kept_for_anchors_counts() {
        let depth = MAX_DEPTH - 4;
        let open: Vec<String> = (0..depth).map(|level| format!("&a{level} [")).collect();
        let text =
            format!("{}{}{}", open.concat(), vec!["x"; 20_000].join(", "), "]".repeat(depth));
        assert_eq!(read_text(&text).diagnostics[0].code, Code::TooLarge);
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(read_text(&"[".repeat(100_000)).diagnostics[0].code, Code::TooLarge);
        assert_eq!(read_text(&"- ".repeat(5_000)).diagnostics[0].code, Code::TooLarge);
        assert_eq!(read_text(&"{a: ".repeat(5_000)).diagnostics[0].code, Code::TooLarge);
    }

    #[test]
    fn what_is_not_utf8_is_reported_by_its_byte() {
        let sources = Sources::default();
        let error = decode("x.yaml", b"a: 1\nb: \xff\n".to_vec(), &sources).unwrap_err();
        let place = error.place.expect("a place");
        assert_eq!((error.code, place.line, place.column), (Code::NotUtf8, 2, 4));
    }

    #[test]
    fn custom_tags_and_odd_keys_are_refused() {
        for text in ["a: !foo 1\n", "? [a]\n: 1\n", "a: *nowhere\n", "<<: 3\n"] {
            assert_eq!(read_text(text).diagnostics[0].code, Code::UnsupportedYaml, "{text}");
        }
    }
}
