//! Rules for the provisioner's changes of VolumeAttachments. It must not touch those of other drivers, whose volumes
//! their own attachers connect.

use k8s_openapi::api::admissionregistration::v1::NamedRuleWithOperations;

use super::{
    Rules, annotations, by_the_provisioner, finalizers, holds, literal, requests, unchanged,
    variable,
};
use crate::compiler::compile::platform::{NAME, Platform};
use crate::contract::{ATTACHER_FINALIZER, DRIVER, annotation};

/// Annotations of VolumeAttachments that the provisioner writes.
const WRITES: [&str; 5] = [
    annotation::ARRAY,
    annotation::ARRAY_ID,
    annotation::VOLUME,
    annotation::VOLUME_ID,
    annotation::NODE_ID,
];

pub(super) fn rules(platform: &Platform<'_>) -> Rules {
    let of_others = |object: &str| {
        let ours = literal(ATTACHER_FINALIZER);
        format!("{}.filter(each, each != {ours})", finalizers(object))
    };
    let of_storage = |resource: &str| NamedRuleWithOperations {
        api_groups: Some(vec!["storage.k8s.io".to_owned()]),
        ..requests(resource, &["UPDATE"])
    };
    Rules {
        name: format!("{NAME}-volumeattachments"),
        requests: vec![of_storage("volumeattachments"), of_storage("volumeattachments/status")],
        conditions: vec![by_the_provisioner(platform)],
        variables: vec![
            variable("before", annotations("oldObject")),
            variable("after", annotations("object")),
        ],
        validations: vec![
            holds(
                format!("object.spec.attacher == {}", literal(DRIVER)),
                "touches no VolumeAttachments of other drivers",
            ),
            holds(
                format!(
                    "variables.after.all(key, key in {} ||\n\
                     (key in variables.before && variables.before[key] == variables.after[key])) &&\n\
                     variables.before.all(key, key in variables.after)",
                    literal(WRITES.to_vec()),
                ),
                "writes no annotations of others on a VolumeAttachment",
            ),
            holds(
                format!(
                    "{} &&\n{} == {}",
                    unchanged("metadata", &["labels", "ownerReferences"]),
                    of_others("object"),
                    of_others("oldObject"),
                ),
                "changes no labels, owners or finalizers of others on a VolumeAttachment",
            ),
        ],
    }
}
