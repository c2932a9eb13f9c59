//! `spec.patches`: changes to finished objects, checked like everything else.
//!
//! Strategic merge follows Kubernetes: mappings merge, `null` removes, lists of named things merge by
//! their merge key, all other lists are replaced.
//! <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>

use serde_json::{Map, Value as Json};

use super::manifests::told;
use super::names::COMPONENT;
use crate::blueprint::App;
use crate::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::manifest::Object;
use crate::spec::{Patch, PatchTarget};

/// Lists that merge, with the field by which their items are told apart (the API's
/// `x-kubernetes-patch-merge-key`). `ports` is `containerPort` in a container, `port` in a Service.
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
/// The word that removes or replaces a whole mapping or list item.
const DIRECTIVE: &str = "$patch";

/// Applies an app's patches in order.
pub(super) fn apply(app: &App, objects: &mut [Object], diagnostics: &mut Vec<Diagnostic>) {
    for (index, patch) in app.common.patches.iter().enumerate() {
        let place =
            |word: &str| app.document.place_of(["spec", "patches", &index.to_string(), word]);
        if let Err(diagnostic) = apply_one(patch, objects, place) {
            diagnostics.push(diagnostic.at(format!("spec.patches[{index}]")));
        }
    }
}

fn apply_one(
    patch: &Patch,
    objects: &mut [Object],
    place: impl Fn(&str) -> Place,
) -> Result<(), Diagnostic> {
    if patch.merge.is_some() == patch.json.is_some() {
        let message = "a patch has either `merge` or `json`";
        return Err(Diagnostic::new(Code::BadPatch, place("target"), message));
    }
    if !objects.iter().any(|object| is_target(&patch.target, object)) {
        return Err(no_target(&patch.target, objects, place("target")));
    }
    let place = place(if patch.merge.is_some() { "merge" } else { "json" });
    let bad = |message: String| Diagnostic::new(Code::BadPatch, place, message);
    for object in objects.iter_mut().filter(|object| is_target(&patch.target, object)) {
        let mut json = object.to_json().map_err(|error| bad(error.to_string()))?;
        let before = object.identity();
        if let Some(merge) = &patch.merge {
            merge_into(&mut json, merge, "");
        }
        if let Some(operations) = &patch.json {
            json_patch(&mut json, operations).map_err(|error| bad(format!("{before}: {error}")))?;
        }
        let patched = Object::from_json(&json)
            .map_err(|unknown| told(&unknown, &json, Code::BadPatch, place))?;
        if patched.identity() != before {
            return Err(bad(format!("{before} would become {}", patched.identity()))
                .fix("a patch changes an object, not which object it is"));
        }
        *object = patched;
    }
    Ok(())
}

/// Says that nothing is patched, and what could be.
fn no_target(target: &PatchTarget, objects: &[Object], place: Place) -> Diagnostic {
    let words = [("kind", &target.kind), ("name", &target.name), ("component", &target.component)];
    let wanted: Vec<String> = words
        .iter()
        .filter_map(|(key, word)| Some(format!("{key} `{}`", (*word).as_ref()?)))
        .collect();
    let message = format!("no object of this app has {}", wanted.join(" and "));
    let diagnostic = Diagnostic::new(Code::BadPatch, place, message);
    let component = |object: &Object| object.metadata().labels.as_ref()?.get(COMPONENT).cloned();
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
        None => format!("it has objects of the kinds `{}`", kinds.join("`, `")),
    })
}

fn is_target(target: &PatchTarget, object: &Object) -> bool {
    let component = object.metadata().labels.as_ref().and_then(|labels| labels.get(COMPONENT));
    target.kind.as_deref().is_none_or(|kind| kind == object.type_meta().1)
        && target.name.as_deref().is_none_or(|name| name == object.name())
        && target.component.as_ref().is_none_or(|wanted| component == Some(wanted))
}

fn json_patch(json: &mut Json, operations: &[Json]) -> Result<(), String> {
    let operations = Json::Array(operations.to_vec());
    let patch: json_patch::Patch =
        serde_json::from_value(operations).map_err(|error| error.to_string())?;
    json_patch::patch(json, &patch).map_err(|error| error.to_string())
}

/// Merges `patch` into `json`; `field` is the field that both are the value of.
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
        // A mapping where there was nothing: what it would remove is not there.
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

fn merge_items(items: &mut Vec<Json>, changes: &[Json], key: &str) {
    for change in changes {
        let there = items.iter().position(|item| item.get(key) == change.get(key));
        let deletes = change.get(DIRECTIVE).and_then(Json::as_str) == Some("delete");
        match there {
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
