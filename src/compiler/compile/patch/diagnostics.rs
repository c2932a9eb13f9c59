//! Diagnostics of patches: the line in the patch, the path in the object, and the fix. This file knows the
//! notation of patches, and applies none.

use json_patch::{Patch as Operations, PatchErrorKind, PatchOperation};
use serde_json::Value as Json;

use super::merge_key_of;
use crate::compiler::blueprint::App;
use crate::compiler::compile::manifests::diagnostic_of;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::manifest::refused::{Refusal, refused};
use crate::compiler::manifest::{Object, Unknown};
use crate::compiler::yaml::Node;

/// The patch that diagnostics refer to.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) app: &'a App,
    pub(super) index: usize,
}

impl<'a> At<'a> {
    /// Returns a diagnostic at a field of the patch: `target`, `merge` or `json`.
    pub(super) fn bad(self, word: &str, message: impl Into<String>) -> Diagnostic {
        let index = self.index.to_string();
        let place = self.app.document.place_of(["spec", "patches", &index, word]);
        Diagnostic::new(Code::BadPatch, place, message).at(format!("spec.patches[{index}].{word}"))
    }

    /// Returns a diagnostic at one operation of a JSON patch.
    fn operation(self, number: usize, message: impl Into<String>) -> Diagnostic {
        let (index, step) = (self.index.to_string(), number.to_string());
        let place = self.app.document.place_of(["spec", "patches", &index, "json", &step, "path"]);
        let path = format!("spec.patches[{index}].json[{number}]");
        Diagnostic::new(Code::BadPatch, place, message).at(path)
    }

    fn node(self, word: &str) -> Option<&'a Node> {
        let patches = self.app.document.get("spec")?.get("patches")?.items()?;
        patches.get(self.index)?.get(word)
    }

    /// Returns the place and path of a patched object's field in the patch, or of its nearest parent in the
    /// patch.
    fn field(self, word: &str, object: &Json, field: &str) -> (Option<Place>, String) {
        let mut path = format!("spec.patches[{}].{word}", self.index);
        let Some(mut node) = self.node(word).filter(|_| word == "merge") else {
            return (self.node(word).map(|node| node.place), path);
        };
        let mut value = object;
        let mut list = "";
        for step in field.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            let next = if let (Some(items), Ok(number)) = (node.items(), step.parse::<usize>()) {
                let item = &value[number];
                let is_it = |node: &Node| {
                    let json = node.to_json();
                    merge_key_of(list, &json).is_none_or(|key| json[key] == item[key])
                };
                let found = items.iter().position(is_it);
                path.push_str(&found.map(|at| format!("[{at}]")).unwrap_or_default());
                value = item;
                found.and_then(|at| items.get(at))
            } else {
                value = &value[step];
                list = step;
                let next = node.get(step);
                if next.is_some() {
                    path.push_str(&format!(".{step}"));
                }
                next
            };
            let Some(next) = next else { break };
            node = next;
        }
        (Some(node.place), path)
    }

    /// Returns the diagnostic for a patch whose result is not a Kubernetes object.
    pub(super) fn unknown(self, word: &str, unknown: &Unknown, json: &Json) -> Diagnostic {
        let fallback = self.bad(word, "");
        let place = fallback.place.unwrap_or(self.app.place("spec.patches"));
        let culprit = match unknown {
            Unknown::Fields(fields) => fields.first().cloned(),
            Unknown::Value(_) => culprit(json, self.node(word).map(Node::to_json).as_ref()),
            _ => None,
        };
        let mut diagnostic = diagnostic_of(unknown, json, Code::BadPatch, place).at(fallback.path);
        if let Some(field) = culprit {
            let (place, path) = self.field(word, json, &field);
            diagnostic.place = place.or(diagnostic.place);
            diagnostic.path = path;
            if let Unknown::Value(message) = unknown {
                diagnostic.message = format!("{}: `{field}`: {}", named(json), plainly(message));
                diagnostic.fix =
                    Some(format!("look the field up with `{}`", explained(json, &field)));
            }
        }
        diagnostic
    }

    /// Returns the reasons for which the API server would refuse an object after a patch but not before.
    pub(super) fn refused(
        self,
        word: &str,
        before: &[Refusal],
        object: &Object,
        json: &Json,
    ) -> Vec<Diagnostic> {
        let new = refused(object).into_iter().filter(|refusal| !before.contains(refusal));
        let diagnostic = |refusal: Refusal| {
            let (place, path) = self.field(word, json, &refusal.field);
            let message = format!(
                "{}: {} refuses `{}`: {}",
                named(json),
                refusal.by,
                refusal.field,
                refusal.message
            );
            Diagnostic::new(Code::BadPatch, place, message).at(path).fix(refusal.fix)
        };
        new.map(diagnostic).collect()
    }

    /// Applies a JSON patch, operation by operation.
    pub(super) fn operations(self, json: &mut Json, operations: &[Json]) -> Result<(), Diagnostic> {
        for (number, operation) in operations.iter().enumerate() {
            let pointers =
                ["path", "from"].map(|key| (key, operation[key].as_str().unwrap_or("/")));
            if let Some((key, text)) = pointers.iter().find(|(_, text)| !text.starts_with('/')) {
                let message = format!("{}: `{text}` is not a JSON pointer", named(json));
                return Err(self.operation(number, message).fix(nearest_path(json, text, key)));
            }
            let one: PatchOperation = serde_json::from_value(operation.clone()).map_err(|error| {
                let fix = "write for example `{op: replace, path: /spec/replicas, value: 3}`; `op` is one of `add`, `remove`, `replace`, `move`, `copy`, `test`";
                self.operation(number, plainly(&error.to_string())).fix(fix)
            })?;
            let word = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
            json_patch::patch(json, &Operations(vec![one])).map_err(|error| {
                let (key, wanted) = match error.kind {
                    PatchErrorKind::InvalidFromPointer => ("from", word("from")),
                    _ => ("path", word("path")),
                };
                let name = named(json);
                if matches!(error.kind, PatchErrorKind::TestFailed) {
                    let found = json.pointer(&wanted).map_or("nothing".to_owned(), Json::to_string);
                    let message = format!("{name}: `test` of `{wanted}` found {found}");
                    return self
                        .operation(number, message)
                        .fix("write the existing value, or remove the test");
                }
                let message = format!(
                    "{name}: `{}` cannot be applied, because `{wanted}` does not exist",
                    word("op")
                );
                self.operation(number, message).fix(nearest_path(json, &wanted, key))
            })?;
        }
        Ok(())
    }
}

fn named(json: &Json) -> String {
    let word = |value: &Json| value.as_str().unwrap_or("?").to_owned();
    format!("{} {}", word(&json["kind"]), word(&json["metadata"]["name"]))
}

/// Returns the command that explains a field.
fn explained(json: &Json, field: &str) -> String {
    let steps = field.split('.').filter(|step| step.parse::<usize>().is_err());
    let path: Vec<&str> = steps.collect();
    let kind = json["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("kubectl explain {kind}.{}", path.join("."))
}

/// Returns a fix that names the last existing field of a pointer and its contents.
fn nearest_path(json: &Json, wanted: &str, key: &str) -> String {
    if !wanted.starts_with('/') {
        return format!("write `{key}` as a JSON pointer: `/{}`", wanted.replace('.', "/"));
    }
    let mut node = json;
    let mut way = String::new();
    for step in wanted.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = match node {
            Json::Object(fields) => fields.get(&name),
            Json::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        if let Some(next) = next {
            node = next;
            way.push_str(&format!("/{step}"));
            continue;
        }
        let shown = if way.is_empty() { "the object".to_owned() } else { format!("`{way}`") };
        return match node {
            Json::Object(fields) => match nearest(&name, fields.keys().map(String::as_str)) {
                Some(near) => {
                    format!("did you mean `{way}/{}`?", near.replace('~', "~0").replace('/', "~1"))
                }
                None => format!(
                    "{shown} has `{}`; use `add` to create missing parents one by one",
                    fields.keys().map(String::as_str).collect::<Vec<_>>().join("`, `")
                ),
            },
            Json::Array(items) => {
                format!("{shown} is a list of {}, counted from 0; `-` appends an item", items.len())
            }
            _ => format!("{shown} is a single value"),
        };
    }
    "change the path".to_owned()
}

/// Returns the path of the value that does not fit its field: the first value of the patch without which the rest
/// fits.
fn culprit(json: &Json, patch: Option<&Json>) -> Option<String> {
    let mut paths = Vec::new();
    leaves(json, patch, "", "", &mut paths);
    paths.into_iter().find(|path| {
        let mut without = json.clone();
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
        let Some(fields) = without.pointer_mut(parent).and_then(Json::as_object_mut) else {
            return false;
        };
        fields.remove(last);
        !matches!(Object::from_json(&without), Err(Unknown::Value(_)))
    })
}

/// Collects the paths of an object's fields that a patch sets, inner ones first.
fn leaves(object: &Json, patch: Option<&Json>, path: &str, list: &str, found: &mut Vec<String>) {
    let join =
        |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match object {
        Json::Object(fields) => {
            for (key, value) in fields {
                if patch.is_none_or(|patch| patch.get(key).is_some()) && !key.contains(['.', '/']) {
                    leaves(value, patch.and_then(|patch| patch.get(key)), &join(key), key, found);
                    found.push(join(key));
                }
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let same = patch.and_then(Json::as_array).and_then(|changes| {
                    changes.iter().find(|change| {
                        merge_key_of(list, change).is_none_or(|key| change[key] == item[key])
                    })
                });
                if patch.is_none() || same.is_some() {
                    leaves(item, same, &join(&index.to_string()), "", found);
                }
            }
        }
        _ => {}
    }
}

/// Translates an error of serde into the terms of YAML.
fn plainly(message: &str) -> String {
    let words = [
        ("a sequence", "a list"),
        ("sequence", "a list"),
        ("a map", "a mapping"),
        ("map", "a mapping"),
        ("unit value", "nothing"),
        ("i32", "a whole number"),
        ("i64", "a whole number"),
        ("u16", "a whole number"),
    ];
    let plain = |text: &str| {
        let text =
            text.strip_prefix("string ").or_else(|| text.strip_prefix("integer ")).unwrap_or(text);
        let known = words.iter().find(|(from, _)| *from == text);
        known.map_or_else(|| text.to_owned(), |(_, to)| (*to).to_owned())
    };
    let rest =
        message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match rest.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => format!("expected {}, found {}", plain(expected), plain(found)),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_value_that_does_not_fit_is_found() {
        let object = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
            "spec": {"ports": [{"name": "http", "port": "many"}, {"name": "b", "port": 2}], "type": "ClusterIP"},
        });
        let patch = json!({"spec": {"type": "ClusterIP", "ports": [{"port": "many"}]}});
        assert_eq!(culprit(&object, Some(&patch)).as_deref(), Some("spec.ports.0.port"));
    }

    #[test]
    fn a_pointer_that_leads_nowhere_is_answered_with_what_there_is() {
        let json = json!({"spec": {"replicas": 1, "a/b": [1]}});
        assert_eq!(nearest_path(&json, "/spec/replica", "path"), "did you mean `/spec/replicas`?");
        assert!(nearest_path(&json, "/spec/a~1b/3", "path").contains("a list of 1"));
        assert!(nearest_path(&json, "spec.replicas", "path").contains("`/spec/replicas`"));
        assert!(nearest_path(&json, "/spec/zzzz", "path").contains("`replicas`"));
    }
}
