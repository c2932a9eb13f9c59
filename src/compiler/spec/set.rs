//! `--set spec.volumes.files=30Ti`: one value, from the command line or from Argo CD.

use std::ops::Range;
use std::sync::OnceLock;

use super::layer::{apply_layer, is_blank, takes_back_everything};
use super::{Kind, Shape};
use crate::compiler::diagnostic::{Code, Diagnostic, Place, SourceId, Sources};
use crate::compiler::yaml::{self, Entry, Node, Scalar, Value};

/// One value for one field.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Name of the app, if the setting has one.
    pub app: Option<String>,
    /// Keys from the document's root, each with its place in the setting's own text.
    pub path: Vec<(String, Place)>,
    /// The value; its place is in the setting's own text.
    pub value: Node,
    /// The app that is most likely meant, if the name matches none.
    pub near: OnceLock<String>,
    /// Whether the value is plain words that take the type of their field, instead of YAML.
    words: bool,
}

/// A setting without types: a parameter or variable of Argo CD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Source of the setting, for messages.
    pub from: String,
    /// The path, optionally prefixed with the app's name.
    pub name: String,
    /// The value.
    pub value: Words,
}

/// A value whose type is decided by its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// One word. An empty word changes nothing.
    One(String),
    /// A list.
    List(Vec<String>),
    /// A mapping.
    Map(Vec<(String, String)>),
}

impl Setting {
    /// Source name of the namespace for apps without one.
    pub const NAMESPACE: &str = "--namespace";

    /// Parses the namespace for apps without one.
    pub fn namespace(name: &str, sources: &Sources) -> Result<Self, Diagnostic> {
        Self::parse(Self::NAMESPACE, &format!("metadata.namespace={name}"), sources)
    }

    /// Parses `path=value` or `app:path=value`. The value is YAML: `3`, `[a, b]`, `{min: 2}`; `null` resets the
    /// field to its default. A dot inside a key is written `\.`.
    pub fn parse(name: &str, text: &str, sources: &Sources) -> Result<Self, Diagnostic> {
        let source = sources.add(name, text);
        let Some(equals) = text.find('=') else {
            let whole = Place::in_text(source, text, 0, text.len());
            return Err(bad(whole, "`=` is missing"));
        };
        let (target, written) = (&text[..equals], &text[equals + 1..]);
        let (app, path) = read_target(target, source, text)?;
        // The value is parsed within the same text, padded with blanks, so that its places have the right
        // columns.
        let padded = format!("{}{written}", " ".repeat(text[..=equals].chars().count()));
        let inner = Sources::default();
        let read = yaml::read(inner.add(name, padded), &inner);
        if let Some(error) = read.diagnostics.into_iter().next() {
            let place = Place::in_text(source, text, equals + 1, text.len());
            return Err(bad(place, &format!("the value is not YAML: {}", error.message)));
        }
        let place = Place::in_text(source, text, equals + 1, text.len());
        // The parser omits a document that is `null`, like a missing one.
        let is_there = !matches!(written.trim().chars().next(), None | Some('#'));
        let nothing = || plain(if is_there { "null" } else { "" }, place);
        let mut value = read.documents.into_iter().next().unwrap_or_else(nothing);
        stand_at(&mut value, place);
        if is_blank(&value) {
            let fix = format!(
                "write `{target}=null` to reset the field to its default, or `{target}=\"\"` for an empty text"
            );
            return Err(bad(place, "the value after `=` is missing").fix(fix));
        }
        sections_stay(&path, &value)?;
        Ok(Self { app, path, value, near: OnceLock::new(), words: false })
    }

    /// Parses a setting whose value is plain words.
    pub fn given(given: &Given, sources: &Sources) -> Result<Self, Diagnostic> {
        let shown = match &given.value {
            Words::One(word) => word.clone(),
            Words::List(items) => format!("[{}]", items.join(", ")),
            Words::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{key}: {value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        };
        let text = format!("{}={shown}", given.name);
        let source = sources.add(given.from.as_str(), text.as_str());
        let (app, path) = read_target(&given.name, source, &text)?;
        let place = Place::in_text(source, &text, given.name.len() + 1, text.len());
        let value = match &given.value {
            Words::One(word) => plain(word, place),
            Words::List(items) => Node {
                value: Value::List(items.iter().map(|item| plain(item, place)).collect()),
                place,
            },
            Words::Map(entries) => {
                let entry = |(key, value): &(String, String)| Entry {
                    key: key.clone(),
                    place,
                    value: plain(value, place),
                };
                Node { value: Value::Map(entries.iter().map(entry).collect()), place }
            }
        };
        sections_stay(&path, &value)?;
        Ok(Self { app, path, value, near: OnceLock::new(), words: true })
    }

    /// Returns the setting as a layer: the value under the keys of its path.
    fn layer(&self, value: Node) -> Node {
        self.path.iter().rev().fold(value, |value, (key, place)| {
            let entry = Entry { key: key.clone(), place: *place, value };
            Node { value: Value::Map(vec![entry]), place: *place }
        })
    }
}

/// Refuses `null` for a whole section.
fn sections_stay(path: &[(String, Place)], value: &Node) -> Result<(), Diagnostic> {
    match path {
        [(section, _)] if is_default(value) => Err(takes_back_everything(section, value.place)),
        _ => Ok(()),
    }
}

/// Returns whether a value is `null`, which resets a field to its default.
fn is_default(node: &Node) -> bool {
    node.is_null() && !is_blank(node)
}

fn plain(word: &str, place: Place) -> Node {
    Node { value: Value::Scalar(Scalar::Plain(word.to_owned())), place }
}

fn bad(place: Place, message: &str) -> Diagnostic {
    Diagnostic::new(Code::BadLayer, place, message)
        .fix("write `--set spec.FIELD=VALUE`, for example `--set spec.replicas=2`")
}

/// Parses the text before the `=`: the optional app and the path. `target` is the start of `text`.
#[expect(clippy::type_complexity, reason = "two of the three fields of a setting")]
fn read_target(
    target: &str,
    source: SourceId,
    text: &str,
) -> Result<(Option<String>, Vec<(String, Place)>), Diagnostic> {
    let whole = Place::in_text(source, text, 0, target.len());
    let (app, path) = target.split_once(':').map_or((None, target), |(a, p)| (Some(a), p));
    let keys = keys(path);
    if keys.iter().any(|(key, _)| key.is_empty()) {
        return Err(bad(whole, "the field before `=` is not a path"));
    }
    if !matches!(keys[0].0.as_str(), "spec" | "metadata") {
        let fix = match keys[0].0.as_str() {
            "kind" | "apiVersion" => {
                "change the file: a setting cannot change the kind of a document".to_owned()
            }
            _ => format!("write `spec.{path}`"),
        };
        return Err(bad(whole, "the path must start with `spec` or `metadata`").fix(fix));
    }
    let before = target.len() - path.len();
    let place = |bytes: Range<usize>| {
        Place::in_text(source, text, before + bytes.start, before + bytes.end)
    };
    let path = keys.into_iter().map(|(key, bytes)| (key, place(bytes))).collect();
    Ok((app.map(str::to_owned), path))
}

/// Returns the keys of a path, each with its byte range.
fn keys(path: &str) -> Vec<(String, Range<usize>)> {
    let mut keys = Vec::new();
    let (mut key, mut start) = (String::new(), 0);
    let mut characters = path.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '.') => {
                key.extend(characters.next().map(|(_, dot)| dot));
            }
            '.' => {
                keys.push((std::mem::take(&mut key), start..at));
                start = at + 1;
            }
            other => key.push(other),
        }
    }
    keys.push((key, start..path.len()));
    keys
}

fn stand_at(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| stand_at(item, place)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.place = place;
            stand_at(&mut entry.value, place);
        }),
        Value::Scalar(_) => {}
    }
}

/// Merges the value over a document, like a layer with one field. If `shape`, the document's shape, is known,
/// words take their types from it.
pub fn apply_setting(document: &mut Node, setting: &Setting, shape: Option<&Shape>) {
    let mut value = setting.value.clone();
    // Argo CD's web page sends empty words for fields without input.
    if is_blank(&value) {
        return;
    }
    if setting.words {
        let path: Vec<&str> = setting.path.iter().map(|(key, _)| key.as_str()).collect();
        if let Some(shape) = shape.and_then(|shape| shape.at(&path)) {
            take_type(&mut value, shape);
        }
    }
    apply_layer(document, &setting.layer(value), shape);
}

/// Converts words to the type of their field: text as written, numbers, or YAML if the field takes more than a
/// word, a list or a mapping of words.
fn take_type(node: &mut Node, shape: &Shape) {
    match (&mut node.value, &shape.kind) {
        (Value::List(items), Kind::List(inner)) => {
            for item in items {
                take_type(item, inner);
            }
        }
        (Value::Map(entries), Kind::Map { values, .. }) => {
            for entry in entries {
                take_type(&mut entry.value, values);
            }
        }
        (Value::Map(entries), _) => {
            for entry in entries {
                if let Some(field) = shape.field(&entry.key) {
                    take_type(&mut entry.value, &field.shape);
                }
            }
        }
        // `~` is the only word with a special meaning: it resets the field to its default.
        (Value::Scalar(scalar), Kind::Text { .. }) if scalar.text() != "~" => {
            *scalar = Scalar::Text(scalar.text().to_owned());
        }
        (Value::Scalar(scalar), Kind::Boolean | Kind::Integer { .. }) => {
            *scalar = Scalar::Plain(scalar.text().trim().to_owned());
        }
        (Value::Scalar(_), Kind::Text { .. }) => {}
        (Value::Scalar(scalar), _) => {
            let inner = Sources::default();
            let read = yaml::read(inner.add("", scalar.text()), &inner);
            // A word that is not YAML stays a word, and the check reports the expected type.
            if let (true, Some(mut value)) =
                (read.diagnostics.is_empty(), read.documents.into_iter().next())
            {
                stand_at(&mut value, node.place);
                *node = value;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_typed_values_at_their_own_place() {
        let sources = Sources::default();
        let setting = Setting::parse("--set", "oc:spec.a.b=[1, x]", &sources).expect("parses");
        assert_eq!(setting.app.as_deref(), Some("oc"));
        assert_eq!(sources.show(setting.value.place).to_string(), "--set:1:13");
        assert_eq!(sources.show(setting.path[1].1).to_string(), "--set:1:9");
        let mut node = Node::empty_map(setting.value.place);
        apply_setting(&mut node, &setting, None);
        assert_eq!(node.to_json(), serde_json::json!({"spec": {"a": {"b": [1, "x"]}}}));
    }

    #[test]
    fn refuses_what_is_no_setting() {
        let sources = Sources::default();
        for text in [
            "spec.a",
            "spec.a=",
            "spec.a= # b",
            "spec=~",
            "metadata=null",
            "=1",
            "replicas=2",
            "spec..a=1",
            "spec.a=[1",
        ] {
            let error = Setting::parse("--set", text, &sources).expect_err(text);
            assert_eq!(error.code, Code::BadLayer, "{text}");
        }
    }
}
