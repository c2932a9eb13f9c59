//! What only the provisioner may write on claims: the finalizer and annotations by which it knows its own work.

use super::{
    OTHERS, Rules, annotations, by_others, condition, finalizers, literal, refuses_unless,
    requests, variable,
};
use crate::compiler::compile::platform::Platform;
use crate::contract::FINALIZER;

/// Annotations that are reserved for the provisioner: the array, the volume, its cluster, its import. The names of
/// those that users write, such as `pso-gen.io/snapshots` and `pso-gen.io/owner`, differ.
const RECORDS: &str = r"^pso-gen[.]io/(array|cluster|import|record|volume)(-.*)?$";

/// What the policies say about them.
pub(super) const RESERVED: &str = "the annotations pso-gen.io/array, cluster, import, record and volume, and those \
     that start like them, are reserved for the pso-gen provisioner: remove them";

/// Whether a key of an annotation is that of a record.
pub(super) fn is_record(key: &str) -> String {
    format!("{key}.matches({})", literal(RECORDS))
}

/// Everyone may remove them: Kubernetes does when a namespace is deleted, and an operator may have to.
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
