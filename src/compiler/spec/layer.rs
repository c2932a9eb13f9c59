//! Layers: documents that are merged over an app, so that an environment states only its differences. A setting
//! (`--set`, a parameter of Argo CD) is a layer with one path. This file does not know which apps a layer
//! changes.

use super::{Kind, Shape};
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::yaml::{Entry, Node, Scalar, Typed, Value};

/// Merges `layer` over `base`: mappings merge, other values replace, `null` removes. A short form (`db:
/// pure-block`) changes only the field that its word stands for, if the shape is known. Every value keeps the
/// place where it was written.
pub fn apply_layer(base: &mut Node, layer: &Node, shape: Option<&Shape>) {
    let written_out = shape.and_then(|shape| over_the_other_form(base, layer, shape));
    let layer = written_out.as_ref().unwrap_or(layer);
    let (Value::Map(entries), Value::Map(over)) = (&mut base.value, &layer.value) else {
        *base = layer.clone();
        return;
    };
    for entry in over {
        let position = entries.iter().position(|known| known.key == entry.key);
        if entry.value.is_null() {
            entries.retain(|known| known.key != entry.key);
            // The later check reports a misspelled name.
            if shape
                .is_some_and(|shape| shape.fields().is_some() && shape.inside(&entry.key).is_none())
            {
                entries.push(entry.clone());
            }
            continue;
        }
        let index = position.unwrap_or_else(|| {
            let value = Node::empty_map(entry.value.place);
            entries.push(Entry { key: entry.key.clone(), place: entry.place, value });
            entries.len() - 1
        });
        let shape = shape.and_then(|shape| shape.inside(&entry.key));
        apply_layer(&mut entries[index].value, &entry.value, shape);
    }
}

/// Merges a short form with a long one: expands the base, and returns the expanded layer.
fn over_the_other_form(base: &mut Node, layer: &Node, shape: &Shape) -> Option<Node> {
    let is_map = |node: &Node| matches!(node.value, Value::Map(_));
    let written_out = match shape.long_form(layer) {
        Some(Long::Part(node)) => Some(node),
        // `3` for a number of pods sets all fields.
        Some(Long::Whole(_)) | None => None,
    };
    if is_map(layer) || written_out.is_some() {
        let base_written_out = match shape.long_form(base) {
            Some(Long::Whole(node) | Long::Part(node)) => Some(node),
            None => None,
        };
        if let Some(node) = base_written_out {
            *base = node;
        } else if !is_map(base) && written_out.is_some() {
            // The current value is empty, or a mistake that the layer replaces.
            *base = Node::empty_map(base.place);
        }
    }
    written_out
}

/// An expanded short form.
enum Long {
    /// The word sets one field of several: the size of a volume.
    Part(Node),
    /// The word sets all fields: a number of pods is both bounds.
    Whole(Node),
}

impl Shape {
    /// Returns the long form of a word: the field with the word's format.
    fn long_form(&self, node: &Node) -> Option<Long> {
        let Kind::Either(shapes) = &self.kind else { return None };
        let word = node.scalar()?;
        let fields = self.fields()?;
        let named = |name: &str| fields.iter().any(|field| field.name == name);
        if matches!(word.typed(), Typed::Integer(_)) && named("min") && named("max") {
            return Some(Long::Whole(with(node, &["min", "max"])));
        }
        let field = shapes.iter().find_map(|short| {
            let Kind::Text { format, choices, .. } = &short.kind else { return None };
            let fits = choices.is_empty() && format.could_be(word.text());
            let same =
                |kind: &Kind| matches!(kind, Kind::Text { format: other, .. } if other == format);
            fields.iter().find(|field| fits && same(&field.shape.kind))
        })?;
        Some(Long::Part(with(node, &[field.name.as_str()])))
    }
}

/// Returns a mapping with a word under the given keys.
fn with(word: &Node, keys: &[&str]) -> Node {
    let place = word.place;
    let entry = |key: &&str| Entry { key: (*key).to_owned(), place, value: word.clone() };
    Node { value: Value::Map(keys.iter().map(entry).collect()), place }
}

/// Expands the short forms that set one field of several, so that each field has its own value.
pub fn write_out(node: &mut Node, shape: &Shape) {
    if let Some(Long::Part(long)) = shape.long_form(node) {
        *node = long;
    }
    if let Value::Map(entries) = &mut node.value {
        for entry in entries {
            if let Some(shape) = shape.inside(&entry.key) {
                write_out(&mut entry.value, shape);
            }
        }
    }
}

/// Removes and reports the parts of a layer that must not be merged: keys without a value, which change nothing,
/// and `null` for a whole section, which would reset all its fields at once.
pub fn clean_layer(layer: &mut Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let place = layer.place;
    let Value::Map(entries) = &mut layer.value else {
        let message = format!("expected a layer with `spec`, found {}", layer.found());
        *layer = Node::empty_map(place);
        return vec![
            Diagnostic::new(Code::BadLayer, place, message)
                .fix("write the fields that differ as in the app's file, under `spec`"),
        ];
    };
    entries.retain(|entry| {
        let takes_all_back = entry.value.is_null() && !is_blank(&entry.value);
        if takes_all_back {
            found.push(takes_back_everything(&entry.key, entry.value.place));
        }
        !takes_all_back
    });
    drop_blank_keys(entries, "", &mut found);
    found
}

/// Returns the diagnostic for `null` at a whole section.
pub(super) fn takes_back_everything(section: &str, place: Place) -> Diagnostic {
    let message = format!("`null` would reset all of `{section}` to its defaults");
    Diagnostic::new(Code::BadLayer, place, message)
        .at(section)
        .fix("write `null` for each field to reset to its default")
}

fn drop_blank_keys(entries: &mut Vec<Entry>, path: &str, found: &mut Vec<Diagnostic>) {
    entries.retain_mut(|entry| {
        let at = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        if is_blank(&entry.value) {
            let message = format!("`{}` has no value, so the layer does not change it", entry.key);
            found.push(
                Diagnostic::new(Code::BlankKey, entry.place, message)
                    .at(at)
                    .fix("remove the key, or write `null` to reset it to the default"),
            );
            return false;
        }
        if let Value::Map(inner) = &mut entry.value.value {
            drop_blank_keys(inner, &at, found);
        }
        true
    });
}

/// Returns whether a key has no value, not even `null`.
pub(super) fn is_blank(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(Scalar::Plain(text)) if text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::compiler::diagnostic::Sources;
    use crate::compiler::spec::{Common, Field, Given, Setting, Words, apply_setting};

    fn node(text: &str) -> Node {
        let sources = Sources::default();
        crate::compiler::yaml::read(sources.add("t", text), &sources).documents.remove(0)
    }

    /// A document with volumes and a number of pods.
    fn shape() -> Shape {
        let common = Shape::of::<Common>();
        let number = Shape::new("", Kind::Integer { min: Some(0), max: Some(1000) });
        let bound =
            |name: &str| Field { name: name.to_owned(), shape: number.clone(), required: true };
        let long = Shape::new("", Kind::Object(vec![bound("min"), bound("max")]));
        let replicas = Shape::new("", Kind::Either(vec![number.clone(), long]));
        let field = |name: &str, shape| Field { name: name.to_owned(), shape, required: false };
        let volumes = common.field("volumes").expect("there").shape.clone();
        let spec = vec![field("volumes", volumes), field("replicas", replicas)];
        Shape::new("", Kind::Object(vec![field("spec", Shape::new("", Kind::Object(spec)))]))
    }

    /// Merges by a layer, by a setting, and by a parameter of Argo CD: one mechanism with one meaning.
    #[track_caller]
    fn merged(field: &str, base: &str, over: &str) -> Json {
        let shape = shape();
        let section = |word: &str| match field.split_once('.') {
            Some((outer, inner)) => format!("spec: {{{outer}: {{{inner}: {word}}}}}"),
            None => format!("spec: {{{field}: {word}}}"),
        };
        let sources = Sources::default();
        let mut by_layer = node(&section(base));
        apply_layer(&mut by_layer, &node(&section(over)), Some(&shape));
        let mut by_setting = node(&section(base));
        let setting = Setting::parse("--set", &format!("spec.{field}={over}"), &sources);
        apply_setting(&mut by_setting, &setting.expect("parses"), Some(&shape));
        let mut by_parameter = node(&section(base));
        let given = Given {
            from: "parameter".to_owned(),
            name: format!("spec.{field}"),
            value: Words::One(over.to_owned()),
        };
        let setting = Setting::given(&given, &sources).expect("reads");
        apply_setting(&mut by_parameter, &setting, Some(&shape));
        assert_eq!(by_setting.to_json(), by_layer.to_json(), "--set {over} over {base}");
        assert_eq!(by_parameter.to_json(), by_layer.to_json(), "parameter {over} over {base}");
        let pointer = format!("/spec/{}", field.replace('.', "/"));
        by_layer.to_json().pointer(&pointer).cloned().unwrap_or_default()
    }

    #[test]
    fn a_word_changes_what_it_means_and_keeps_the_rest() {
        for (base, over, right) in [
            ("7Ti", "pure-block", json!({"size": "7Ti", "class": "pure-block"})),
            ("pure-block", "9Ti", json!({"size": "9Ti", "class": "pure-block"})),
            ("7Ti", "9Ti", json!({"size": "9Ti"})),
            (
                "{size: 7Ti, class: gold}",
                "pure-block",
                json!({"size": "7Ti", "class": "pure-block"}),
            ),
            ("{size: 7Ti, class: gold}", "9Ti", json!({"size": "9Ti", "class": "gold"})),
            ("{claim: old}", "9Ti", json!({"claim": "old", "size": "9Ti"})),
            ("7Ti", "{class: gold}", json!({"size": "7Ti", "class": "gold"})),
            ("pure-block", "{size: 9Ti}", json!({"size": "9Ti", "class": "pure-block"})),
            ("{size: 7Ti, class: gold}", "{size: 9Ti}", json!({"size": "9Ti", "class": "gold"})),
            ("{size: 7Ti, class: gold}", "{size: ~}", json!({"class": "gold"})),
            ("{size: 7Ti}", "~", Json::Null),
            ("", "9Ti", json!({"size": "9Ti"})),
            ("[1]", "9Ti", json!({"size": "9Ti"})),
            ("7Ti", "[1]", json!([1])),
        ] {
            assert_eq!(merged("volumes.data", base, over), right, "{over} over {base}");
        }
        for (base, over, right) in [
            ("3", "{max: 8}", json!({"min": 3, "max": 8})),
            ("{min: 2, max: 6}", "3", json!(3)),
            ("{min: 2, max: 6}", "{max: 8}", json!({"min": 2, "max": 8})),
            ("2", "3", json!(3)),
        ] {
            assert_eq!(merged("replicas", base, over), right, "{over} over {base}");
        }
    }

    #[test]
    fn null_removes() {
        let mut base = node("spec: {a: 1, b: 2}");
        apply_layer(&mut base, &node("spec: {a: ~, c: ~, d: {e: ~}}"), None);
        assert_eq!(base.to_json(), json!({"spec": {"b": 2, "d": {}}}));
    }

    #[test]
    fn blank_keys_change_nothing_and_are_reported() {
        let mut layer =
            node("metadata:\nspec:\n  a:\n  b: ~\n  c: {d: , e: 1}\n  f: ''\n  g: [{h: }]\n");
        let found = clean_layer(&mut layer);
        let paths: Vec<_> = found.iter().map(|d| (d.code, d.path.as_str())).collect();
        let blank = |path| (Code::BlankKey, path);
        assert_eq!(paths, [blank("metadata"), blank("spec.a"), blank("spec.c.d")]);
        let left = json!({"spec": {"b": null, "c": {"e": 1}, "f": "", "g": [{"h": null}]}});
        assert_eq!(layer.to_json(), left);
        let mut layer = node("kind: A\nspec: ~\n");
        let found = clean_layer(&mut layer);
        assert_eq!((found[0].code, found[0].path.as_str()), (Code::BadLayer, "spec"));
        assert_eq!(layer.to_json(), json!({"kind": "A"}));
        let mut layer = node("[a]");
        assert_eq!(clean_layer(&mut layer)[0].code, Code::BadLayer);
        assert_eq!(layer.to_json(), json!({}));
    }
}
