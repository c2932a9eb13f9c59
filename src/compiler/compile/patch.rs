//! `spec.patches`: changes to finished objects, which pass the same checks as everything else.
//!
//! Strategic merge follows Kubernetes: mappings merge, `null` removes, lists of named items merge by their merge
//! key, and all other lists are replaced.
//! <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>

mod diagnostics;

use serde_json::{Map, Value as Json};

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::manifest::Object;
use crate::compiler::manifest::refused::refused;
use crate::compiler::spec::{Patch, PatchTarget};
use crate::contract::label;
use diagnostics::At;

/// Lists that merge, with the field that identifies their items (the API's `x-kubernetes-patch-merge-key`). For
/// `ports`, it is `containerPort` in a container and `port` in a Service.
const MERGE_KEYS: [(&str, &[&str]); 13] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("ports", &["containerPort", "port"]),
    ("ownerReferences", &["uid"]),
];
/// The key that removes or replaces a whole mapping or list item.
const DIRECTIVE: &str = "$patch";

/// Applies an app's patches in order.
pub(super) fn apply(app: &App, objects: &mut [Object], diagnostics: &mut Vec<Diagnostic>) {
    for (index, patch) in app.common.patches.iter().enumerate() {
        diagnostics.extend(apply_one(patch, objects, At { app, index }));
    }
}

/// Applies one patch to its objects. Reports the first object that cannot be patched.
fn apply_one(patch: &Patch, objects: &mut [Object], at: At<'_>) -> Vec<Diagnostic> {
    if patch.merge.is_some() == patch.json.is_some() {
        let found = if patch.merge.is_some() { "both" } else { "neither" };
        let message = format!("a patch has either `merge` or `json`, found {found}");
        let fix = "write `merge: {spec: {...}}` with the part that changes, or `json: [{op: ..., path: ...}]`";
        return vec![at.bad("target", message).fix(fix)];
    }
    if !objects.iter().any(|object| is_target(&patch.target, object)) {
        return vec![no_target(&patch.target, objects, at)];
    }
    let mut changed = false;
    for object in objects.iter_mut().filter(|object| is_target(&patch.target, object)) {
        match patched(patch, object, at) {
            Ok(new) => {
                changed |= new != *object;
                *object = new;
            }
            Err(diagnostics) => return diagnostics,
        }
    }
    if changed {
        return Vec::new();
    }
    let word = word(patch);
    let mut idle = at.bad(word, "the patch has no effect: the objects have these values already");
    idle.code = Code::NoEffect;
    idle.severity = Code::NoEffect.severity();
    vec![idle.fix("remove it, or correct the field name")]
}

fn word(patch: &Patch) -> &'static str {
    if patch.merge.is_some() { "merge" } else { "json" }
}

fn patched(patch: &Patch, object: &Object, at: At<'_>) -> Result<Object, Vec<Diagnostic>> {
    let word = word(patch);
    let mut json = object.to_json().map_err(|error| vec![at.bad(word, error.to_string())])?;
    if let Some(merge) = &patch.merge {
        merge_into(&mut json, merge, "");
    }
    if let Some(operations) = &patch.json {
        at.operations(&mut json, operations).map_err(|error| vec![error])?;
    }
    let patched =
        Object::from_json(&json).map_err(|unknown| vec![at.unknown(word, &unknown, &json)])?;
    let before = object.identity();
    if patched.identity() != before {
        let message = format!("{before} would become {}", patched.identity());
        return Err(vec![
            at.bad(word, message)
                .fix("a patch cannot change the kind, name or namespace of an object"),
        ]);
    }
    let refused = at.refused(word, &refused(object), &patched, &json);
    if refused.is_empty() { Ok(patched) } else { Err(refused) }
}

/// Returns the diagnostic for a patch without a matching object, with possible targets.
fn no_target(target: &PatchTarget, objects: &[Object], at: At<'_>) -> Diagnostic {
    let words = [("kind", &target.kind), ("name", &target.name), ("component", &target.component)];
    let wanted: Vec<String> = words
        .iter()
        .filter_map(|(key, word)| Some(format!("{key} `{}`", (*word).as_ref()?)))
        .collect();
    let message = format!("no object of this app has {}", wanted.join(" and "));
    let diagnostic = at.bad("target", message);
    let component =
        |object: &Object| object.metadata().labels.as_ref()?.get(label::COMPONENT).cloned();
    let mut kinds: Vec<&str> = objects.iter().map(|object| object.type_meta().1).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let components: Vec<String> = objects.iter().filter_map(component).collect();
    let names = objects.iter().map(Object::name);
    let likely = [
        target.kind.as_deref().and_then(|kind| nearest(kind, kinds.iter().copied())),
        target.name.as_deref().and_then(|name| nearest(name, names)),
        target.component.as_deref().and_then(|c| nearest(c, components.iter().map(String::as_str))),
    ];
    let given = words.iter().map(|(_, word)| word.as_deref());
    let differs = likely
        .into_iter()
        .zip(given)
        .find_map(|(likely, given)| likely.filter(|likely| Some(*likely) != given));
    diagnostic.fix(match differs {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the kinds of its objects are `{}`", kinds.join("`, `")),
    })
}

fn is_target(target: &PatchTarget, object: &Object) -> bool {
    let component =
        object.metadata().labels.as_ref().and_then(|labels| labels.get(label::COMPONENT));
    target.kind.as_deref().is_none_or(|kind| kind == object.type_meta().1)
        && target.name.as_deref().is_none_or(|name| name == object.name())
        && target.component.as_ref().is_none_or(|wanted| component == Some(wanted))
}

/// Merges `patch` into `json`. Both are values of `field`.
fn merge_into(json: &mut Json, patch: &Json, field: &str) {
    match (json, patch) {
        (Json::Object(fields), Json::Object(changes)) => {
            if changes.get(DIRECTIVE).and_then(Json::as_str) == Some("replace") {
                *fields = without_directive(changes);
                return;
            }
            for (key, change) in changes {
                match fields.get_mut(key) {
                    _ if change.is_null() => {
                        fields.shift_remove(key);
                    }
                    Some(value) => merge_into(value, change, key),
                    None => {
                        let mut value = Json::Null;
                        merge_into(&mut value, change, key);
                        fields.insert(key.clone(), value);
                    }
                }
            }
        }
        (Json::Array(items), Json::Array(changes)) => match merge_key(field, changes) {
            Some(key) => merge_items(items, changes, key),
            None => items.clone_from(changes),
        },
        // The mapping is new: removals inside it have no effect.
        (json, Json::Object(changes)) => {
            *json = Json::Object(Map::new());
            merge_into(json, &Json::Object(changes.clone()), field);
        }
        (json, change) => *json = change.clone(),
    }
}

fn merge_key(field: &str, changes: &[Json]) -> Option<&'static str> {
    let (_, keys) = MERGE_KEYS.iter().find(|(name, _)| *name == field)?;
    keys.iter().copied().find(|key| changes.iter().all(|change| change.get(key).is_some()))
}

/// Returns the field that identifies an item of a list, if that list merges.
fn merge_key_of(field: &str, item: &Json) -> Option<&'static str> {
    merge_key(field, std::slice::from_ref(item))
}

fn merge_items(items: &mut Vec<Json>, changes: &[Json], key: &str) {
    for change in changes {
        let position = items.iter().position(|item| item.get(key) == change.get(key));
        let deletes = change.get(DIRECTIVE).and_then(Json::as_str) == Some("delete");
        match position {
            Some(index) if deletes => {
                items.remove(index);
            }
            Some(index) => merge_into(&mut items[index], change, ""),
            None if deletes => {}
            None => {
                let mut item = Json::Null;
                merge_into(&mut item, change, "");
                items.push(item);
            }
        }
    }
}

fn without_directive(changes: &Map<String, Json>) -> Map<String, Json> {
    changes
        .iter()
        .filter(|(key, _)| *key != DIRECTIVE)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut json: Json, patch: &Json) -> Json {
        merge_into(&mut json, patch, "");
        json
    }

    #[test]
    fn named_lists_merge_and_others_are_replaced() {
        let pod = json!({"containers": [
            {"name": "web", "image": "a", "env": [{"name": "A", "value": "1"}], "args": ["x", "y"]},
            {"name": "side", "image": "b"},
        ]});
        let patch = json!({"containers": [
            {"name": "web", "env": [{"name": "B", "value": "2"}], "args": ["z"], "livenessProbe": null},
            {"name": "side", "$patch": "delete"},
            {"name": "new", "image": "c"},
        ]});
        assert_eq!(
            merged(pod, &patch),
            json!({"containers": [
                {"name": "web", "image": "a",
                 "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["z"]},
                {"name": "new", "image": "c"},
            ]})
        );
    }

    #[test]
    fn null_removes_and_replace_replaces() {
        let spec = json!({"spec": {"strategy": {"type": "Recreate"}, "selector": {"a": "b"}}});
        let patch =
            json!({"spec": {"strategy": null, "selector": {"$patch": "replace", "c": "d"}}});
        assert_eq!(merged(spec, &patch), json!({"spec": {"selector": {"c": "d"}}}));
    }

    #[test]
    fn service_ports_merge_by_port() {
        let spec = json!({"ports": [{"port": 80, "name": "http"}]});
        let patch = json!({"ports": [{"port": 80, "nodePort": 30080}]});
        assert_eq!(
            merged(spec, &patch),
            json!({"ports": [{"port": 80, "name": "http", "nodePort": 30080}]})
        );
    }
}
