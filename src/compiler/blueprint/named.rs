//! Shapes of the common fields whose names a blueprint declares: its volumes and its secrets. What an app sets in them is
//! unknown here.

use super::language::SecretKeys;
use crate::compiler::spec::{Field, Format, Kind, Shape};
use crate::compiler::yaml::Node;

/// The field that names an existing Secret, which needs the keys of the blueprint's secret.
pub(super) fn existing_secret((name, keys): (&String, &SecretKeys)) -> Field {
    let names: Vec<String> = keys.keys().map(|key| format!("`{key}`")).collect();
    let word = if names.len() == 1 { "key" } else { "keys" };
    let about = format!(
        "Name of an existing Secret in the app's namespace, with the {word} {}.",
        names.join(", ")
    );
    Field { name: name.clone(), shape: Shape::text(about, Format::Subdomain), required: false }
}

/// The shape of one volume: that of all, with the blueprint's purpose, class and size.
pub(super) fn volume_shape(declared: &Node, any: &Shape) -> Shape {
    let Kind::Map { values, .. } = &any.kind else {
        return any.clone();
    };
    let word = |key: &str| {
        let text = declared.get(key)?.text()?;
        (!text.contains("{{")).then(|| serde_json::Value::from(text))
    };
    let mut shape = (**values).clone();
    shape.about =
        word("about").and_then(|about| Some(about.as_str()?.to_owned())).unwrap_or_default();
    let defaults = ["class", "size"].map(|key| word(key).map(|word| (key.to_owned(), word)));
    shape.default = Some(serde_json::Value::Object(defaults.iter().flatten().cloned().collect()));
    if let Kind::Either(forms) = &mut shape.kind {
        for form in forms {
            let Kind::Object(fields) = &mut form.kind else {
                continue;
            };
            for field in fields {
                field.shape.default = word(&field.name);
            }
        }
    }
    shape
}
