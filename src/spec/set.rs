//! `--set spec.volumes.files=30Ti`: one value, from the command line or from Argo CD.

use std::ops::Range;

use crate::diagnostic::{Code, Diagnostic, Place, Sources};
use crate::yaml::{self, Entry, Node, Value};

/// One value for one field.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The app that is meant, if it says.
    pub app: Option<String>,
    /// Keys from the document's root, each with its place in the setting's own text.
    pub path: Vec<(String, Place)>,
    /// The value; its place is in the setting's own text.
    pub value: Node,
}

impl Setting {
    /// Reads `path=value` or `app:path=value`. The value is YAML: `3`, `[a, b]`, `{min: 2}`; nothing
    /// removes the field. A dot inside a key is written `\.`.
    pub fn parse(name: &str, text: &str, sources: &Sources) -> Result<Self, Diagnostic> {
        let source = sources.add(name, text);
        let bad = |start: usize, end: usize, message: &str| {
            Diagnostic::new(Code::BadLayer, Place::in_text(source, text, start, end), message)
                .fix("write `--set spec.FIELD=VALUE`, for example `--set spec.replicas=2`")
        };
        let Some(equals) = text.find('=') else {
            return Err(bad(0, text.len(), "there is no `=`"));
        };
        let (target, written) = (&text[..equals], &text[equals + 1..]);
        let (app, path) = target.split_once(':').map_or((None, target), |(a, p)| (Some(a), p));
        let keys = keys(path);
        if keys.iter().any(|(key, _)| key.is_empty()) {
            return Err(bad(0, equals, "the field before `=` is not a path"));
        }
        if !matches!(keys[0].0.as_str(), "spec" | "metadata") {
            let fix = match keys[0].0.as_str() {
                "kind" | "apiVersion" => {
                    "change the file: what an app is cannot be set from outside".to_owned()
                }
                _ => format!("write `spec.{path}`"),
            };
            return Err(
                bad(0, equals, "the path starts with neither `spec` nor `metadata`").fix(fix)
            );
        }
        let before = target.len() - path.len();
        let place = |bytes: Range<usize>| {
            Place::in_text(source, text, before + bytes.start, before + bytes.end)
        };
        let path = keys.into_iter().map(|(key, bytes)| (key, place(bytes))).collect();
        // The value stands in the same text, so that its places do too: blanks keep the columns.
        let padded = format!("{}{written}", " ".repeat(text[..=equals].chars().count()));
        let inner = Sources::default();
        let read = yaml::read(inner.add(name, padded), &inner);
        if let Some(wrong) = read.diagnostics.into_iter().next() {
            return Err(bad(
                equals + 1,
                text.len(),
                &format!("the value is not YAML: {}", wrong.message),
            ));
        }
        let place = Place::in_text(source, text, equals + 1, text.len());
        let mut value = read
            .documents
            .into_iter()
            .next()
            .unwrap_or(Node { value: Value::Scalar(yaml::Scalar::Plain(String::new())), place });
        stand_at(&mut value, place);
        Ok(Self { app: app.map(str::to_owned), path, value })
    }
}

/// The keys of a path, each with the bytes where it stands.
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

/// Puts the value into a document, making the mappings on the way.
pub fn apply_setting(document: &mut Node, setting: &Setting) {
    put(document, &setting.path, &setting.value);
}

fn put(node: &mut Node, path: &[(String, Place)], value: &Node) {
    let Some(((key, place), rest)) = path.split_first() else {
        *node = value.clone();
        return;
    };
    if !matches!(node.value, Value::Map(_)) {
        // What is wrong with a mapping here is wrong with the setting.
        *node = Node::empty_map(*place);
    }
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    if rest.is_empty() && value.is_null() {
        entries.retain(|entry| entry.key != *key);
        return;
    }
    let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        entries.push(Entry { key: key.clone(), place: *place, value: Node::empty_map(*place) });
        entries.len() - 1
    });
    put(&mut entries[index].value, rest, value);
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
        apply_setting(&mut node, &setting);
        assert_eq!(node.to_json(), serde_json::json!({"spec": {"a": {"b": [1, "x"]}}}));
    }

    #[test]
    fn refuses_what_is_no_setting() {
        let sources = Sources::default();
        for text in ["spec.a", "=1", "replicas=2", "spec..a=1", "spec.a=[1"] {
            let error = Setting::parse("--set", text, &sources).expect_err(text);
            assert_eq!(error.code, Code::BadLayer, "{text}");
        }
    }
}
