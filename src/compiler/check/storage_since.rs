//! Fields of a storage document that must not change while volumes exist: the cluster's name, and each array's
//! name, type, id and data address. Names of volumes and fields of PersistentVolumes contain them.
//!
//! The output contains them as annotations of the class for files, which every storage document has. The
//! ConfigMap of a provisioner in the cluster contains them as well, also in output of earlier versions.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Owner;
use super::storage::written;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources};
use crate::compiler::yaml;
use crate::contract::annotation;

/// Key of the document in the provisioner's ConfigMap.
const FILE: &str = "storage.pso.yaml";

/// The fields that must not change.
struct Immutable {
    cluster: String,
    /// Type, id and data address by array name.
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

/// Returns the changes of immutable fields between an object of the baseline and the current one.
pub(super) fn storage_since(before: &Json, after: &Json, owner: Option<&Owner>) -> Vec<Diagnostic> {
    let (Some(before), Some(after)) = (Immutable::read(before), Immutable::read(after)) else {
        return Vec::new();
    };
    let report = |path: &str, message: String, fix: String| {
        let place = owner.map(|owner| owner.place(path));
        let path = written(&path.split('.').collect::<Vec<_>>());
        Diagnostic::new(Code::ImmutableChange, place, message).at(path).fix(fix)
    };
    let mut found = Vec::new();
    if before.cluster != after.cluster {
        found.push(report(
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
                Some((other, _)) => report(
                    &format!("{}.name", at(owner, other)),
                    format!("the array's name cannot change from `{name}` to `{other}`: PersistentVolumes contain it"),
                    format!("write `name: {name}`"),
                ),
                None => report(
                    "spec.arrays",
                    format!("array `{name}` is no longer listed: its volumes would no longer be expanded, deleted, or protected by snapshots"),
                    format!("list `{name}` as before, under this name; remove an array from service in a change without `--since`, once `pso-gen status` shows no volume on it"),
                ),
            });
            continue;
        };
        let place = at(owner, name);
        let word = |json: &Json| json.as_str().map(str::to_owned);
        for (field, why) in [
            ("type", "its volumes are of the other type"),
            ("id", "another array does not hold its volumes"),
            ("data", "PersistentVolumes contain the address, and nodes keep mounting from it"),
        ] {
            let (Some(was), is) = (word(&was[field]), word(&is[field])) else { continue };
            // Without an id, the provisioner accepts the first array that it reads.
            if is.as_ref() == Some(&was) || (field == "id" && is.is_none()) {
                continue;
            }
            let to =
                is.map_or("the value that the array reports".to_owned(), |is| format!("`{is}`"));
            found.push(report(
                &format!("{place}.{field}"),
                format!("`{field}` of array `{name}` cannot change from `{was}` to {to}: {why}"),
                format!("write `{field}: {was}`; for another array or address, list another array under another name"),
            ));
        }
    }
    found
}

/// Returns the path of an array in the document.
fn at(owner: Option<&Owner>, name: &str) -> String {
    let Some(Owner::Storage(document)) = owner else { return "spec.arrays".to_owned() };
    let arrays = document.get("spec").and_then(|spec| spec.get("arrays")?.items());
    let is_it = |array: &yaml::Node| array.get("name").and_then(yaml::Node::text) == Some(name);
    match arrays.and_then(|arrays| arrays.iter().position(is_it)) {
        Some(index) => format!("spec.arrays.{index}"),
        None => "spec.arrays".to_owned(),
    }
}
