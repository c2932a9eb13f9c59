//! What the provisioner may change of claims: not what people ask for.

use super::{Rules, finalizers_of_others, holds, literal, requests, variable};
use crate::volume::{ARRAY, BIND_COMPLETED, BOUND_BY_CONTROLLER, IMPORT, SELECTED_NODE};

pub(super) fn rules() -> Rules {
    let writes = [ARRAY, IMPORT, BIND_COMPLETED, BOUND_BY_CONTROLLER];
    let takes_off = [&writes[..], &[SELECTED_NODE]].concat();
    let annotations = |object: &str| format!("{object}.metadata.?annotations.orValue({{}})");
    let variables = vec![
        variable("before", annotations("oldObject")),
        variable("after", annotations("object")),
    ];
    let validations = vec![
        holds(
            format!(
                "variables.after.all(key, key in {} ||\n\
                 (key in variables.before && variables.before[key] == variables.after[key]))",
                literal(writes.to_vec()),
            ),
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
                "object.metadata.?labels == oldObject.metadata.?labels &&\n\
                 object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences &&\n\
                 {} ==\n{}",
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
            "object.spec.?resources == oldObject.spec.?resources &&\n\
             object.spec.?volumeAttributesClassName == oldObject.spec.?volumeAttributesClassName",
            "does not change what a claim asks for",
        ),
    ];
    Rules {
        resource: "persistentvolumeclaims",
        requests: vec![
            requests("persistentvolumeclaims", &["UPDATE"]),
            requests("persistentvolumeclaims/status", &["UPDATE"]),
        ],
        variables,
        validations,
    }
}
