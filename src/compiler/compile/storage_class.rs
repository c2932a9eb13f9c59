//! The StorageClasses of a storage document, those included that are always there.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{TopologySelectorLabelRequirement, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::wave;
use crate::compiler::blueprint::{ClassKind, Classes};
use crate::compiler::spec::Document;
use crate::contract::storage::{
    ArrayType, ClassSpec, ExportAccess, ExportRuleSpec, ExportSquash, NfsVersion, ReclaimPolicy,
};
use crate::contract::{
    ExportRule, MANAGER, PROVISIONER, SnapshotPolicy, Squash, StorageSpec, annotation, label,
    parameter,
};

/// A storage document, ready to compile.
#[derive(Debug)]
pub struct Storage<'s> {
    /// Its `spec`.
    pub spec: &'s StorageSpec,
    /// The classes derived from it.
    pub classes: &'s Classes,
    /// The whole document, as written.
    pub document: &'s Document,
}

/// Returns the document's classes, including the built-in ones.
pub(super) fn classes(storage: &Storage<'_>) -> Vec<StorageClass> {
    let standard = ClassSpec::default();
    let mut classes: BTreeMap<&str, &ClassSpec> =
        storage.classes.names().map(|name| (name, &standard)).collect();
    classes.extend(storage.spec.classes.iter().map(|(name, class)| (name.as_str(), class)));
    let kind = |name: &str| storage.classes.get(name).map_or(ClassKind::File, |class| class.kind);
    let class = |(name, class): (&&str, &&ClassSpec)| StorageClass {
        allowed_topologies: topologies(storage.spec, kind(name), class),
        ..storage_class(name, kind(name), class)
    };
    classes.iter().map(class).collect()
}

/// Returns the topologies in which claims of a class may be placed: those from which one of its arrays can be
/// reached. Returns none if all nodes can reach one of them, or if there are none. The scheduler reads them
/// before it chooses a node for a claim that waits for its pod.
/// <https://kubernetes.io/docs/concepts/storage/storage-classes/#allowed-topologies>
fn topologies(
    spec: &StorageSpec,
    kind: ClassKind,
    class: &ClassSpec,
) -> Option<Vec<TopologySelectorTerm>> {
    let wanted = match kind {
        ClassKind::File => ArrayType::FlashBlade,
        ClassKind::Block => ArrayType::FlashArray,
    };
    let arrays = spec.arrays.iter().filter(|array| {
        let has = |(key, value)| array.labels.get(key) == Some(value);
        array.r#type == wanted && class.arrays.iter().all(has)
    });
    // The API server refuses duplicates.
    let places: BTreeSet<&BTreeMap<String, String>> = arrays.map(|array| &array.topology).collect();
    let requirement = |(key, value): (&String, &String)| TopologySelectorLabelRequirement {
        key: key.clone(),
        values: vec![value.clone()],
    };
    let term = |labels: &&BTreeMap<String, String>| TopologySelectorTerm {
        match_label_expressions: Some(labels.iter().map(requirement).collect()),
    };
    let some = !places.is_empty() && places.iter().all(|labels| !labels.is_empty());
    some.then(|| places.iter().map(term).collect())
}

fn storage_class(name: &str, kind: ClassKind, class: &ClassSpec) -> StorageClass {
    let mut metadata = metadata(name, None, wave::PLATFORM);
    if class.default {
        let default = annotation::DEFAULT_CLASS.to_owned();
        metadata.annotations.get_or_insert_default().insert(default, "true".to_owned());
    }
    let mut mount_options = Vec::new();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    match kind {
        ClassKind::File => {
            parameters.insert(parameter::BACKEND.to_owned(), parameter::FILE.to_owned());
            let version = class.nfs.unwrap_or(NfsVersion::V4_1);
            mount_options.push(match version {
                NfsVersion::V3 => "nfsvers=3".to_owned(),
                NfsVersion::V4_1 => "nfsvers=4.1".to_owned(),
            });
            // A soft mount would cause I/O errors and truncated files while the array is unreachable.
            if !class.mount_options.iter().any(|option| option == "soft") {
                mount_options.push("hard".to_owned());
            }
            if !class.export_rules.is_empty() {
                let rules: Vec<ExportRule> =
                    class.export_rules.iter().filter_map(export_rule).collect();
                parameters.insert(parameter::EXPORT_RULES.to_owned(), ExportRule::text(&rules));
            }
        }
        ClassKind::Block => {
            parameters.insert(parameter::BACKEND.to_owned(), parameter::BLOCK.to_owned());
            let file_system = class.file_system.map_or("xfs", |file_system| file_system.word());
            parameters.insert(parameter::FILE_SYSTEM.to_owned(), file_system.to_owned());
            let qos = class.qos.as_ref();
            if let Some(bandwidth) = qos.and_then(|qos| qos.bandwidth.as_ref()) {
                let bytes = bandwidth.bytes().to_string();
                parameters.insert(parameter::BANDWIDTH.to_owned(), bytes);
            }
            if let Some(iops) = qos.and_then(|qos| qos.iops) {
                parameters.insert(parameter::IOPS.to_owned(), iops.to_string());
            }
        }
    }
    if !class.arrays.is_empty() {
        let labels: Vec<String> =
            class.arrays.iter().map(|(key, value)| format!("{key}={value}")).collect();
        parameters.insert(parameter::ARRAYS.to_owned(), labels.join(","));
    }
    let binding = if class.wait_for_pod { "WaitForFirstConsumer" } else { "Immediate" };
    if let Some(schedule) = class.snapshots {
        let snapshots = SnapshotPolicy::Every(schedule.schedule()).to_string();
        parameters.insert(parameter::SNAPSHOTS.to_owned(), snapshots);
        if schedule.claims_may_reduce {
            parameters.insert(parameter::CLAIMS_MAY_REDUCE_SNAPSHOTS.to_owned(), "true".to_owned());
        }
    }
    mount_options.extend(class.mount_options.iter().cloned());
    let reclaim = match class.reclaim_policy.unwrap_or(ReclaimPolicy::Delete) {
        ReclaimPolicy::Delete => "Delete",
        ReclaimPolicy::Retain => "Retain",
    };
    StorageClass {
        metadata,
        provisioner: PROVISIONER.to_owned(),
        parameters: Some(parameters),
        mount_options: (!mount_options.is_empty()).then_some(mount_options),
        reclaim_policy: Some(reclaim.to_owned()),
        allow_volume_expansion: Some(class.expansion.unwrap_or(true)),
        volume_binding_mode: Some(binding.to_owned()),
        allowed_topologies: None,
    }
}

/// Returns a rule in the array's form, or none if its clients are invalid, which the checks report.
fn export_rule(rule: &ExportRuleSpec) -> Option<ExportRule> {
    let squash = match rule.squash {
        ExportSquash::None => Squash::None,
        ExportSquash::Root => Squash::Root,
        ExportSquash::All => Squash::All,
    };
    ExportRule::new(rule.clients.as_str(), rule.access == ExportAccess::ReadOnly, squash)
}

/// Metadata of an object that no app owns.
pub(super) fn metadata(name: &str, namespace: Option<&str>, wave: i32) -> ObjectMeta {
    let label = (label::MANAGED_BY.to_owned(), MANAGER.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some([label].into()),
        annotations: Some([(annotation::SYNC_WAVE.to_owned(), wave.to_string())].into()),
        ..ObjectMeta::default()
    }
}
