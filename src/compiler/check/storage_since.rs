//! What a storage document must keep once there are volumes: the cluster's name, and each array's name, kind, id
//! and data address. Volumes on the arrays and PersistentVolumes have them in their names and fields.
//!
//! They stand in the output as annotations of the class for files, which every storage document has, and in the
//! ConfigMap of a provisioner that runs in the cluster, which earlier versions had, too.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Owner;
use super::storage::written;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources};
use crate::compiler::yaml;
use crate::contract::annotation;

/// Key of the document in the provisioner's ConfigMap.
const FILE: &str = "storage.pso.yaml";

/// What must stay.
struct Immutable {
    cluster: String,
    /// Kind, id and data address by name.
    arrays: BTreeMap<String, Json>,
}

impl Immutable {
    fn read(object: &Json) -> Option<Self> {
        let annotations = &object["metadata"]["annotations"];
        if let Some(cluster) = annotations[annotation::CLUSTER].as_str() {
            let arrays = serde_json::from_str(annotations[annotation::ARRAYS].as_str()?).ok()?;
            return Some(Self { cluster: cluster.to_owned(), arrays });
        }
        let sources = Sources::default();
        let read = yaml::read(sources.add(FILE, object["data"][FILE].as_str()?), &sources);
        let spec = read.documents.first()?.get("spec")?.to_json();
        let arrays = spec["arrays"].as_array().into_iter().flatten();
        let arrays =
            arrays.filter_map(|array| Some((array["name"].as_str()?.to_owned(), array.clone())));
        Some(Self { cluster: spec["cluster"].as_str()?.to_owned(), arrays: arrays.collect() })
    }
}

/// Returns the changes of what must stay between an object of an earlier output and today's.
pub(super) fn storage_since(before: &Json, after: &Json, owner: Option<&Owner>) -> Vec<Diagnostic> {
    let (Some(before), Some(after)) = (Immutable::read(before), Immutable::read(after)) else {
        return Vec::new();
    };
    let tell = |path: &str, message: String, fix: String| {
        let place = owner.map(|owner| owner.place(path));
        let path = written(&path.split('.').collect::<Vec<_>>());
        Diagnostic::new(Code::ImmutableChange, place, message).at(path).fix(fix)
    };
    let mut found = Vec::new();
    if before.cluster != after.cluster {
        found.push(tell(
            "spec.cluster",
            format!(
                "the cluster's name cannot change from `{}` to `{}`: volumes on the arrays have it in their names",
                before.cluster, after.cluster
            ),
            format!("write `cluster: {}`", before.cluster),
        ));
    }
    for (name, was) in &before.arrays {
        let Some(is) = after.arrays.get(name) else {
            let renamed = after.arrays.iter().find(|(other, is)| {
                let same = |field: &str| was[field].is_string() && was[field] == is[field];
                !before.arrays.contains_key(*other) && (same("id") || same("data"))
            });
            found.push(match renamed {
                Some((other, _)) => tell(
                    &format!("{}.name", at(owner, other)),
                    format!("the array's name cannot change from `{name}` to `{other}`: PersistentVolumes have it"),
                    format!("write `name: {name}`"),
                ),
                None => tell(
                    "spec.arrays",
                    format!("array `{name}` is no longer listed: its volumes would neither be expanded, nor get snapshots, nor be deleted"),
                    format!("list `{name}` as before, by this name; an array that is taken out of service goes when `pso-gen status` shows no volume on it, in a change without `--since`"),
                ),
            });
            continue;
        };
        let place = at(owner, name);
        let word = |json: &Json| json.as_str().map(str::to_owned);
        for (field, why) in [
            ("type", "its volumes are of the other kind"),
            ("id", "another array does not have its volumes"),
            ("data", "PersistentVolumes have the address, and nodes go on mounting from it"),
        ] {
            let (Some(was), is) = (word(&was[field]), word(&is[field])) else { continue };
            // Without an id, the array that is seen first counts.
            if is.as_ref() == Some(&was) || (field == "id" && is.is_none()) {
                continue;
            }
            let to = is.map_or("what the array reports".to_owned(), |is| format!("`{is}`"));
            found.push(tell(
                &format!("{place}.{field}"),
                format!("`{field}` of array `{name}` cannot change from `{was}` to {to}: {why}"),
                format!("write `{field}: {was}`; for another array or address, list a further array by another name"),
            ));
        }
    }
    found
}

/// The path of an array in the document.
fn at(owner: Option<&Owner>, name: &str) -> String {
    let Some(Owner::Storage(document)) = owner else { return "spec.arrays".to_owned() };
    let arrays = document.get("spec").and_then(|spec| spec.get("arrays")?.items());
    let is_it = |array: &yaml::Node| array.get("name").and_then(yaml::Node::text) == Some(name);
    match arrays.and_then(|arrays| arrays.iter().position(is_it)) {
        Some(index) => format!("spec.arrays.{index}"),
        None => "spec.arrays".to_owned(),
    }
}
