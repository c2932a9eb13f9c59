//! Compares the current output with a baseline: changes that Kubernetes would refuse, upgrades that skip a
//! version, and objects that would be left behind.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::folders;
use super::storage_since::storage_since;
use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::manifest::image::{major, repository, series, tag};
use crate::compiler::manifest::{Earlier, Identity};
use crate::compiler::yaml::Node;
use crate::contract::Quantity;
use crate::contract::annotation;

/// An object before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The object.
    pub identity: Identity,
    /// Its earlier content; none if it is new.
    pub before: Option<Json>,
    /// Its current content; none if it is gone.
    pub after: Option<Json>,
}

/// Returns the objects that differ, in order.
pub fn changes(before: Vec<Earlier>, after: Vec<Earlier>) -> Vec<Change> {
    let mut all: BTreeMap<Identity, (Option<Json>, Option<Json>)> = BTreeMap::new();
    for object in before {
        all.entry(object.identity).or_default().0 = Some(object.json);
    }
    for object in after {
        all.entry(object.identity).or_default().1 = Some(object.json);
    }
    all.into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|(identity, (before, after))| Change { identity, before, after })
        .collect()
}

/// The document that renders an object.
#[derive(Debug)]
pub enum Owner {
    /// An app.
    App(Box<App>),
    /// A storage document.
    Storage(Node),
}

impl Owner {
    /// Returns the app, if the owner is one.
    pub fn app(&self) -> Option<&App> {
        match self {
            Self::App(app) => Some(app),
            Self::Storage(_) => None,
        }
    }

    /// Returns the place of a field of the document, or of its nearest written parent.
    pub fn place(&self, path: &str) -> Place {
        match self {
            Self::App(app) => app.place(path),
            Self::Storage(document) => document.place_of(path.split('.')),
        }
    }
}

/// Returns the errors and warnings of changes. `owner` finds the document that renders an object, or did so, for places.
pub fn since<'a>(
    changes: &[Change],
    owner: impl Fn(&Change) -> Option<&'a Owner>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for change in changes {
        let owner = owner(change);
        let app = owner.and_then(Owner::app);
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                changed(change, before, after, app, &mut found);
                found.extend(folders::moved(before, after, app, &found));
                found.extend(storage_since(before, after, owner));
            }
            (Some(_), None) if change.identity.kind == "PersistentVolumeClaim" => {
                found.push(dropped(change, app));
            }
            _ => {}
        }
    }
    found
}

/// Reports a claim that is no longer rendered. Its data is missing in a server outside the app if the parameter with that
/// server's host is what leaves its volume out.
fn dropped(change: &Change, app: Option<&App>) -> Diagnostic {
    let message = format!("{} is no longer rendered", change.identity);
    let place = app.map(|app| app.place("metadata.name"));
    let plain = Diagnostic::new(Code::ClaimDropped, place, message.clone())
        .fix("its data stays; delete the claim yourself when the data is no longer needed");
    let Some(app) = app else { return plain };
    let part = change.identity.name.strip_prefix(&format!("{}-", app.name));
    let left_out_by = part.and_then(|part| app.left_out.get(part));
    let mut fields = app.servers.iter().filter_map(|server| server.field.as_ref());
    let field = fields.find(|field| left_out_by.is_some_and(|by| by.contains(*field)));
    let Some(field) = field else { return plain };
    let (path, message) = (
        format!("spec.{field}"),
        format!("{message}: the app now uses a server that does not have its data"),
    );
    Diagnostic::new(Code::ClaimDropped, app.place(&path), message).at(path).fix(
        "its data stays in the claim; move it to the server first, and delete the claim yourself when the data is no longer needed",
    )
}

fn changed(
    change: &Change,
    before: &Json,
    after: &Json,
    app: Option<&App>,
    found: &mut Vec<Diagnostic>,
) {
    let identity = &change.identity;
    let path = path_of(identity, app);
    let report = |code: Code, message: String, fix: String| {
        let place = app.map(|app| app.place(&path));
        Diagnostic::new(code, place, message).at(path.clone()).fix(fix)
    };
    if identity.kind == "PersistentVolumeClaim" {
        let size = |json: &Json| {
            let text = json["spec"]["resources"]["requests"]["storage"].as_str()?;
            Some((text.to_owned(), Quantity::bytes_of(text)?))
        };
        if let (Some((was, had)), Some((is, has))) = (size(before), size(after))
            && has < had
        {
            found.push(report(
                Code::VolumeShrinks,
                format!("{identity} would shrink from {was} to {is}"),
                format!("keep `{was}`; for a smaller volume, create a new app and move the data"),
            ));
        }
    }
    for field in immutable(&identity.kind) {
        let at = |json: &Json| json.pointer(field.0).cloned().unwrap_or_default();
        let (was, is) = (at(before), at(after));
        if was != is {
            found.push(report(
                Code::ImmutableChange,
                format!(
                    "{identity}: `{}` cannot change from {} to {}",
                    field.1,
                    show(&was),
                    show(&is)
                ),
                field.2.to_owned(),
            ));
        }
    }
    for (was, is) in images(before, after) {
        let (Some(old), Some(new)) = (major(&was), major(&is)) else {
            continue;
        };
        if new > old + 1 {
            found.push(report(
                Code::VersionJump,
                format!(
                    "{identity} would be upgraded from `{was}` to `{is}`, across {} major versions",
                    new - old
                ),
                format!("upgrade to version {} first, and wait until it runs", old + 1),
            ));
        } else if new < old || (has_data(before) && series_back(&was, &is)) {
            let message = format!("{identity} would be downgraded from `{was}` to `{is}`");
            let fix = "an upgrade of the data cannot be undone: restore a backup into a new app";
            let mut back = report(Code::VersionJump, message, fix.to_owned());
            if let Some((path, place)) = app.and_then(|app| version_in(app, &is)) {
                (back.path, back.place) = (path, Some(place));
            }
            found.push(back);
        }
    }
}

/// Returns whether a series of one major version goes back, such as from 11.8 to 11.4.
fn series_back(was: &str, is: &str) -> bool {
    matches!((series(was), series(is)), (Some(old), Some(new)) if new < old)
}

/// Returns the field of an app in which the version of an image is written.
fn version_in(app: &App, image: &str) -> Option<(String, Place)> {
    let tag = tag(image)?;
    find(app.document.get("spec")?, "spec", &|text| {
        tag.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    })
}

fn find(node: &Node, path: &str, is_it: &dyn Fn(&str) -> bool) -> Option<(String, Place)> {
    let mut entries = node.entries().unwrap_or_default().iter();
    entries.find_map(|entry| {
        let path = format!("{path}.{}", entry.key);
        match entry.value.text().filter(|text| is_it(text)) {
            Some(_) => Some((path, entry.value.place)),
            None => find(&entry.value, &path, is_it),
        }
    })
}

/// Returns whether an object's pods mount a claim, whose data a newer version may have converted.
fn has_data(json: &Json) -> bool {
    let volumes = json["spec"]["template"]["spec"]["volumes"].as_array();
    volumes.into_iter().flatten().any(|volume| !volume["persistentVolumeClaim"].is_null())
}

/// Fields that Kubernetes refuses to change: JSON pointer, name, fix.
fn immutable(kind: &str) -> &'static [(&'static str, &'static str, &'static str)] {
    const COPY: &str = "a claim keeps its class and mode: create a new app with the new class, copy the data, then switch";
    const AGAIN: &str = "delete the object first (its data is in claims, which stay), then sync";
    const CLASS: &str = "declare a class with another name";
    match kind {
        "PersistentVolumeClaim" => &[
            ("/spec/storageClassName", "storageClassName", COPY),
            (
                "/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
                annotation::LEGACY_CLASS,
                COPY,
            ),
            ("/spec/accessModes", "accessModes", COPY),
            ("/spec/volumeMode", "volumeMode", COPY),
        ],
        "Deployment" => &[("/spec/selector", "selector", AGAIN)],
        "StatefulSet" => &[
            ("/spec/selector", "selector", AGAIN),
            ("/spec/serviceName", "serviceName", AGAIN),
            ("/spec/volumeClaimTemplates", "volumeClaimTemplates", AGAIN),
        ],
        "Job" => &[("/spec/template", "template", AGAIN), ("/spec/selector", "selector", AGAIN)],
        "Service" => &[("/spec/clusterIP", "clusterIP", AGAIN)],
        "RoleBinding" | "ClusterRoleBinding" => &[("/roleRef", "roleRef", AGAIN)],
        // `mountOptions`, `allowVolumeExpansion` and `allowedTopologies` may change, for new volumes: see
        // `ValidateStorageClassUpdate` in <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/storage/validation/validation.go>.
        "StorageClass" => &[
            ("/provisioner", "provisioner", CLASS),
            ("/parameters", "parameters", CLASS),
            ("/reclaimPolicy", "reclaimPolicy", CLASS),
            ("/volumeBindingMode", "volumeBindingMode", CLASS),
        ],
        _ => &[],
    }
}

/// Returns the field of the app that most likely caused a change.
fn path_of(identity: &Identity, app: Option<&App>) -> String {
    let Some(app) = app else { return String::new() };
    let part = identity.name.strip_prefix(&format!("{}-", app.name)).unwrap_or_default();
    match identity.kind.as_str() {
        "PersistentVolumeClaim" if app.volumes.contains_key(part) => format!("spec.volumes.{part}"),
        "Deployment" | "StatefulSet" | "CronJob" => "spec.version".to_owned(),
        _ => "metadata.name".to_owned(),
    }
}

/// Returns pairs of images in containers that exist before and after, where the repository is the same.
fn images(before: &Json, after: &Json) -> Vec<(String, String)> {
    let containers = |json: &Json| -> BTreeMap<String, String> {
        let spec = &json["spec"]["template"]["spec"];
        let list = spec["containers"].as_array().cloned().unwrap_or_default();
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        list.iter().map(|container| (word(&container["name"]), word(&container["image"]))).collect()
    };
    let after = containers(after);
    containers(before)
        .into_iter()
        .filter_map(|(name, was)| {
            let is = after.get(&name)?;
            let same = repository(&was) == repository(is);
            (same && was != *is).then(|| (was, is.clone()))
        })
        .collect()
}

fn show(json: &Json) -> String {
    match json {
        Json::Null => "nothing".to_owned(),
        Json::String(word) => format!("`{word}`"),
        other => format!("`{other}`"),
    }
}
