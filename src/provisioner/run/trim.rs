//! Drops the parts of objects that the provisioner never reads, such as foreign annotations of 250 KiB, as soon as an
//! object was read. Decides nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus,
};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::{Deserialize, Deserializer};

use crate::contract::annotation;
use crate::contract::{ATTACHER_FINALIZER, DRIVER, FINALIZER, PROVISIONER};
use crate::provisioner::decide::Outcome;

/// The maximum length of a value that is kept, in bytes. The provisioner's values are shorter; names have at most 253.
const LONGEST: usize = 4096;
/// The maximum length of a name that is kept, in bytes; no real object has a longer one.
const NAME: usize = 254;
/// The maximum number of entries that are kept of a list that normally has a handful.
const FEW: usize = 16;
/// The prefix of unknown keys of which some are kept: those of a newer version.
const OURS: &str = annotation::PREFIX;

/// An object that can drop its unused parts.
pub(super) trait Trim {
    /// Drops the unused parts.
    fn trim(&mut self);
}

/// An object that is trimmed when it is deserialized.
#[derive(Debug, Clone)]
pub(super) struct Trimmed<K>(pub(super) K);

/// Returns an outcome with its claim trimmed.
pub(super) fn trimmed(mut outcome: Outcome) -> Outcome {
    if let Outcome::Claim(Some(claim)) = &mut outcome {
        claim.trim();
    }
    outcome
}

impl<'de, K: Deserialize<'de> + Trim> Deserialize<'de> for Trimmed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = K::deserialize(deserializer)?;
        object.trim();
        Ok(Self(object))
    }
}

impl<K: Resource> Resource for Trimmed<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

impl Trim for PersistentVolumeClaim {
    fn trim(&mut self) {
        meta(&mut self.metadata);
        if let Some(spec) = &mut self.spec {
            cut_all(spec.access_modes.iter_mut().flatten());
            if let Some(modes) = &mut spec.access_modes {
                modes.truncate(FEW);
            }
            if let Some(source) = &mut spec.data_source {
                cut_all(
                    [&mut source.kind, &mut source.name].into_iter().chain(&mut source.api_group),
                );
            }
            if let Some(source) = &mut spec.data_source_ref {
                let names = [&mut source.kind, &mut source.name].into_iter();
                cut_all(names.chain(&mut source.api_group).chain(&mut source.namespace));
            }
            if let Some(selector) = &mut spec.selector {
                some_of(selector);
            }
            if let Some(resources) = &mut spec.resources {
                sizes(&mut resources.requests);
                sizes(&mut resources.limits);
            }
            let names = spec.storage_class_name.iter_mut().chain(&mut spec.volume_name);
            let names = names.chain(&mut spec.volume_attributes_class_name);
            cut_all(names.chain(&mut spec.volume_mode));
        }
        if let Some(PersistentVolumeClaimStatus {
            access_modes,
            allocated_resources,
            capacity,
            conditions,
            ..
        }) = &mut self.status
        {
            if let Some(modes) = access_modes {
                modes.truncate(FEW);
            }
            sizes(allocated_resources);
            sizes(capacity);
            if let Some(conditions) = conditions {
                conditions.truncate(FEW);
                for condition in conditions {
                    (condition.message, condition.reason) = (None, None);
                }
            }
        }
    }
}

impl Trim for PersistentVolume {
    fn trim(&mut self) {
        meta(&mut self.metadata);
        let annotations = self.metadata.annotations.as_ref();
        let by =
            annotations.and_then(|all| all.get(annotation::PROVISIONED_BY)).map(String::as_str);
        let Some(spec) = &mut self.spec else { return };
        let csi = spec.csi.as_ref().is_some_and(|csi| csi.driver == DRIVER);
        if by != Some(PROVISIONER) && !csi {
            // Of other drivers' PersistentVolumes, only their existence and their claim matter.
            if let Some(csi) = &mut spec.csi {
                csi.volume_attributes = None;
            }
            (spec.node_affinity, spec.mount_options, spec.flex_volume) = (None, None, None);
        }
    }
}

impl Trim for Event {
    fn trim(&mut self) {
        meta(&mut self.metadata);
        for text in self.note.iter_mut().chain(&mut self.reason) {
            cut(text, LONGEST);
        }
    }
}

impl Trim for StorageClass {
    fn trim(&mut self) {
        self.metadata.managed_fields = None;
    }
}

impl Trim for VolumeAttachment {
    fn trim(&mut self) {
        meta(&mut self.metadata);
        self.spec.source.inline_volume_spec = None;
    }
}

impl Trim for CSINode {
    fn trim(&mut self) {
        meta(&mut self.metadata);
        self.spec.drivers.retain(|driver| driver.name == DRIVER);
        for driver in &mut self.spec.drivers {
            driver.topology_keys = None;
        }
    }
}

impl Trim for PartialObjectMeta<Node> {
    fn trim(&mut self) {
        // Labels decide whether the scheduler's choice fits.
        let labels = self.metadata.labels.take();
        meta(&mut self.metadata);
        self.metadata.labels = labels;
    }
}

fn meta(meta: &mut ObjectMeta) {
    (meta.managed_fields, meta.owner_references, meta.labels) = (None, None, None);
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.retain(|each| each == FINALIZER || each == ATTACHER_FINALIZER);
    }
    let Some(annotations) = &mut meta.annotations else { return };
    let mut others = 0;
    annotations.retain(|key, value| {
        cut(value, LONGEST);
        if annotation::READ_BY_PROVISIONER.contains(&key.as_str()) {
            return true;
        }
        others += usize::from(key.starts_with(OURS));
        key.starts_with(OURS) && others <= FEW
    });
}

/// Keeps only the storage size.
fn sizes<V>(all: &mut Option<BTreeMap<String, V>>) {
    if let Some(all) = all {
        all.retain(|key, _| key == "storage");
    }
}

/// Keeps only the fact that a selector exists.
fn some_of(selector: &mut LabelSelector) {
    if let Some(labels) = &mut selector.match_labels {
        let first = labels.pop_first();
        *labels = first.into_iter().collect();
    }
    if let Some(expressions) = &mut selector.match_expressions {
        expressions.truncate(1);
        for expression in expressions {
            expression.values = None;
        }
    }
}

fn cut_all<'t>(texts: impl IntoIterator<Item = &'t mut String>) {
    for text in texts {
        cut(text, NAME);
    }
}

fn cut(text: &mut String, longest: usize) {
    if text.len() > longest {
        let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn bytes<K: serde::Serialize>(object: &K) -> usize {
        serde_json::to_vec(object).expect("written").len()
    }

    /// A claim in which every field that its author controls is large.
    fn hostile() -> Json {
        let long = "x".repeat(250 << 10);
        let many: BTreeMap<String, String> =
            (0..5000).map(|n| (format!("pso-gen.io/a{n}"), "b".repeat(40))).collect();
        let mut claim = json!({
            "metadata": {
                "namespace": "files", "name": "data", "uid": "1", "resourceVersion": "7",
                "annotations": many, "labels": many, "finalizers": vec!["example.com/x"; 1000],
                "ownerReferences": vec![json!({
                    "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b",
                }); 1000],
                "managedFields": vec![json!({"manager": "kubectl"}); 1000],
            },
            "spec": {
                "storageClassName": "other", "accessModes": vec!["ReadWriteOnce"; 1000],
                "dataSource": {"kind": "PersistentVolumeClaim", "name": long},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": long, "namespace": long},
                "selector": {
                    "matchLabels": many,
                    "matchExpressions": vec![json!({"key": "a", "operator": "In", "values": vec!["b"; 1000]}); 1000],
                },
                "resources": {"requests": {"storage": "1Gi"}}, "volumeName": long, "volumeMode": long,
            },
        });
        claim["metadata"]["annotations"]["example.com/large"] = long.clone().into();
        claim["metadata"]["annotations"]["pso-gen.io/array"] = long.into();
        claim
    }

    #[test]
    fn of_a_large_claim_little_is_kept() {
        let claim: Trimmed<PersistentVolumeClaim> =
            serde_json::from_value(hostile()).expect("typed");
        let claim = claim.0;
        assert!(bytes(&hostile()) > 1 << 20, "it was large");
        assert!(bytes(&claim) < 8 << 10, "{} bytes", bytes(&claim));
        let plain: PersistentVolumeClaim = serde_json::from_value(hostile()).expect("typed");
        let answered = trimmed(Outcome::Claim(Some(Box::new(plain))));
        assert!(matches!(answered, Outcome::Claim(Some(answered)) if *answered == claim));
        let spec = claim.spec.expect("a spec");
        assert_eq!(spec.storage_class_name.as_deref(), Some("other"));
        assert!(
            spec.selector
                .is_some_and(|selector| selector.match_labels.is_some_and(|l| l.len() == 1))
        );
        assert!(spec.data_source.is_some_and(|source| source.name.len() == NAME));
        assert_eq!(spec.resources.and_then(|all| all.requests).map(|all| all.len()), Some(1));
        assert!(claim.metadata.annotations.is_some_and(|all| all.contains_key("pso-gen.io/array")));
    }

    #[test]
    fn what_is_looked_at_stays_as_it_is() {
        let annotations: BTreeMap<&str, &str> =
            annotation::READ_BY_PROVISIONER.map(|key| (key, "a")).into();
        let claim = json!({
            "metadata": {
                "namespace": "files", "name": "data", "uid": "1", "resourceVersion": "7",
                "creationTimestamp": "2026-11-23T06:00:00Z", "deletionTimestamp": "2026-11-23T06:00:00Z",
                "annotations": annotations, "finalizers": [FINALIZER],
            },
            "spec": {
                "storageClassName": "pure-file", "accessModes": ["ReadWriteMany"], "volumeName": "pvc-1",
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "old"}, "volumeMode": "Filesystem",
                "resources": {"requests": {"storage": "1Gi"}},
            },
            "status": {
                "phase": "Bound", "capacity": {"storage": "1Gi"},
                "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            },
        });
        let plain: PersistentVolumeClaim = serde_json::from_value(claim.clone()).expect("typed");
        let trimmed: Trimmed<PersistentVolumeClaim> = serde_json::from_value(claim).expect("typed");
        assert_eq!(trimmed.0, plain);
    }

    #[test]
    fn of_another_driver_s_volume_its_claim_and_phase_are_kept() {
        let volume = json!({
            "metadata": {"name": "pvc-1", "annotations": {
                "pv.kubernetes.io/provisioned-by": "example.com", "example.com/large": "x".repeat(1000),
            }},
            "spec": {
                "claimRef": {"uid": "1", "name": "data", "namespace": "files"},
                "csi": {"driver": "example.com", "volumeHandle": "1", "volumeAttributes": {"a": "b"}},
            },
            "status": {"phase": "Bound"},
        });
        let trimmed: Trimmed<PersistentVolume> = serde_json::from_value(volume).expect("typed");
        let spec = trimmed.0.spec.expect("a spec");
        assert!(spec.claim_ref.is_some() && trimmed.0.status.is_some());
        assert_eq!(spec.csi.and_then(|csi| csi.volume_attributes), None);
        assert_eq!(trimmed.0.metadata.annotations.map(|all| all.len()), Some(1));
    }

    #[test]
    fn every_annotation_that_the_provisioner_reads_is_kept() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let declared =
            std::fs::read_to_string(source.join("contract/annotation.rs")).expect("text");
        let value = |name: &str| {
            let start = format!("pub const {name}: &str = \"");
            let line = declared.lines().find_map(|line| line.strip_prefix(start.as_str()));
            line.and_then(|line| line.strip_suffix("\";")).unwrap_or_else(|| panic!("{name}"))
        };
        let mut folders = vec![source.join("provisioner")];
        let mut names = std::collections::BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(path).expect("text");
                let uses = text.split("annotation::").skip(1).map(|rest| {
                    let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_');
                    rest[..end.unwrap_or(rest.len())].to_owned()
                });
                names.extend(uses.filter(|name| !name.is_empty()));
            }
        }
        let lists = ["READ_BY_PROVISIONER", "PREFIX"].map(str::to_owned);
        assert!(names.len() > 12, "{names:?}");
        for name in names.iter().filter(|name| !lists.contains(name)) {
            let kept = annotation::READ_BY_PROVISIONER.contains(&value(name));
            assert!(kept, "annotation::{name} is dropped from objects");
        }
    }
}
