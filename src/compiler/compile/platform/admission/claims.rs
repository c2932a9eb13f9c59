//! Rules for the provisioner's changes of claims. It must not change the users' requests.

use std::collections::BTreeMap;

use super::{
    Rules, annotations, by_the_provisioner, finalizers_of_others, holds, literal, requests,
    unchanged, variable,
};
use crate::compiler::compile::platform::{NAME, Platform};
use crate::contract::annotation;

/// Annotations of claims that the provisioner writes.
pub(super) const WRITES: [&str; 5] = [
    annotation::ARRAY,
    annotation::ARRAY_ID,
    annotation::IMPORT,
    annotation::BIND_COMPLETED,
    annotation::BOUND_BY_CONTROLLER,
];

pub(super) fn rules(platform: &Platform<'_>) -> Rules {
    let takes_off = [&WRITES[..], &[annotation::SELECTED_NODE]].concat();
    let spec = platform.storage.spec;
    let arrays: Vec<&str> = spec.arrays.iter().map(|array| array.name.as_str()).collect();
    let imports = spec.imports.iter();
    let imports: BTreeMap<String, &str> = imports
        .map(|import| (format!("{}/{}", import.namespace, import.claim), import.volume.as_str()))
        .collect();
    let imports = literal(serde_json::json!(imports));
    let variables = vec![
        variable("before", annotations("oldObject")),
        variable("after", annotations("object")),
        // New or changed keys.
        variable(
            "written",
            "variables.after.map(key, !(key in variables.before) ||\n\
             variables.before[key] != variables.after[key], key)",
        ),
    ];
    let validations = vec![
        holds(
            format!("variables.written.all(key, key in {})", literal(WRITES.to_vec())),
            "writes no annotations of others",
        ),
        holds(
            format!(
                "variables.before.all(key, key in {} || key in variables.after)",
                literal(takes_off),
            ),
            "takes off no annotations of others",
        ),
        holds(
            format!(
                "!({array} in variables.written) ||\n\
                 variables.after[{array}].split(\",\").all(name, name in {})",
                literal(arrays),
                array = literal(annotation::ARRAY),
            ),
            "records only arrays of the storage document on a claim",
        ),
        holds(
            format!(
                "!({import} in variables.written) ||\n\
                 {imports}[?object.metadata.namespace + \"/\" + object.metadata.name].orValue(\"\") ==\n\
                 variables.after[{import}]",
                import = literal(annotation::IMPORT),
            ),
            "imports for a claim only the volume that the storage document names",
        ),
        holds(
            format!(
                "{}.all(key, !(key in variables.written) || variables.after[key] == \"yes\")",
                literal([annotation::BIND_COMPLETED, annotation::BOUND_BY_CONTROLLER].to_vec()),
            ),
            "marks a claim as bound with the value yes only",
        ),
        holds(
            format!(
                "{} &&\n{} ==\n{}",
                unchanged("metadata", &["labels", "ownerReferences"]),
                finalizers_of_others("object"),
                finalizers_of_others("oldObject"),
            ),
            "changes no labels, owners or finalizers of others",
        ),
        holds(
            "object.spec.?volumeName == oldObject.spec.?volumeName ||\n\
             object.spec.?volumeName.orValue(\"\") == \"pvc-\" + object.metadata.uid",
            "binds a claim to its own PersistentVolume and to no other",
        ),
        holds(
            unchanged(
                "spec",
                &[
                    "accessModes",
                    "dataSource",
                    "dataSourceRef",
                    "resources",
                    "selector",
                    "storageClassName",
                    "volumeAttributesClassName",
                    "volumeMode",
                ],
            ),
            "does not change what a claim asks for",
        ),
        holds(
            "object.?status.?phase == oldObject.?status.?phase ||\n\
             object.?status.?phase.orValue(\"\") == \"Bound\"",
            "sets the phase of a claim to Bound only",
        ),
    ];
    Rules {
        name: format!("{NAME}-persistentvolumeclaims"),
        requests: vec![
            requests("persistentvolumeclaims", &["UPDATE"]),
            requests("persistentvolumeclaims/status", &["UPDATE"]),
        ],
        conditions: vec![by_the_provisioner(platform)],
        variables,
        validations,
    }
}
