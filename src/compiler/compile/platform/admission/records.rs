//! Rules for the finalizer and the annotations by which the provisioner recognises its own claims. Only the
//! provisioner may write them.

use super::{
    OTHERS, Rules, annotations, by_others, condition, finalizers, literal, refuses_unless,
    requests, variable,
};
use crate::compiler::compile::platform::Platform;
use crate::contract::FINALIZER;

/// Annotations reserved for the provisioner: the array, the volume, its cluster, its import. Annotations for
/// users, such as `pso-gen.io/snapshots` and `pso-gen.io/owner`, do not match.
const RECORDS: &str = r"^pso-gen[.]io/(array|cluster|import|record|volume)(-.*)?$";

/// Description of the reserved annotations in the policies' messages.
pub(super) const RESERVED: &str = "the annotations pso-gen.io/array, cluster, import, record and volume, and those \
     that start like them, are reserved for the pso-gen provisioner: remove them";

/// Returns the CEL expression that a key of an annotation is reserved.
pub(super) fn is_record(key: &str) -> String {
    format!("{key}.matches({})", literal(RECORDS))
}

/// Every account may remove them: Kubernetes does so when a namespace is deleted, and an operator may have to.
pub(super) fn claims(platform: &Platform<'_>) -> Rules {
    let finalizer = literal(FINALIZER);
    let before = |of: &str, none: &str| format!("oldObject == null ? {none} : {of}");
    Rules {
        name: format!("{OTHERS}-persistentvolumeclaims"),
        requests: vec![
            requests("persistentvolumeclaims", &["CREATE", "UPDATE"]),
            requests("persistentvolumeclaims/status", &["UPDATE"]),
        ],
        conditions: vec![
            by_others(platform),
            condition(
                "with-a-record",
                format!(
                    "{finalizer} in {} ||\n{}.exists(key, {})",
                    finalizers("object"),
                    annotations("object"),
                    is_record("key"),
                ),
            ),
        ],
        variables: vec![
            variable("annotationsBefore", before(&annotations("oldObject"), "{}")),
            variable("finalizersBefore", before(&finalizers("oldObject"), "[]")),
        ],
        validations: vec![
            refuses_unless(
                format!(
                    "!({finalizer} in {}) || {finalizer} in variables.finalizersBefore",
                    finalizers("object"),
                ),
                format!(
                    "the finalizer {FINALIZER} is reserved for the pso-gen provisioner: remove it from the claim"
                ),
            ),
            refuses_unless(
                format!(
                    "{after}.all(key, !{} || (key in variables.annotationsBefore &&\n\
                     variables.annotationsBefore[key] == {after}[key]))",
                    is_record("key"),
                    after = annotations("object"),
                ),
                RESERVED,
            ),
        ],
    }
}
