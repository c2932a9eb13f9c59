//! New claims say from their creation that the provisioner is asked for their volumes. kube-controller-manager writes
//! the same annotations later, when it comes to a claim, unless they are there: a claim that the provisioner has
//! changed by then is a conflict, and a Warning on a healthy claim. See decision 24.
//!
//! The policy does not affect how a claim is bound.

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, MatchResources};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::{annotations, condition, literal, requests};
use crate::compiler::compile::platform::{NAME, Platform};
use crate::compiler::compile::storage_class::classes;
use crate::compiler::compile::wave::ADMISSION;
use crate::compiler::manifest::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
    MutatingAdmissionPolicySpec, Mutation, Object,
};
use crate::contract::{PROVISIONER, annotation};

/// The policy with its binding, where the storage document asks for it.
pub(super) fn policy(platform: &Platform<'_>) -> Vec<Object> {
    if !platform.own.annotate_claims {
        return Vec::new();
    }
    let name = format!("{NAME}-asked");
    let metadata = || platform.of_cluster(&name, ADMISSION);
    let policy = MutatingAdmissionPolicy::new(
        metadata(),
        MutatingAdmissionPolicySpec {
            // Without the annotations, a claim is served all the same.
            failure_policy: Some("Ignore".to_owned()),
            match_conditions: conditions(platform),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(LabelSelector::default()),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(vec![requests("persistentvolumeclaims", &["CREATE"])]),
                exclude_resource_rules: None,
            }),
            mutations: vec![Mutation::apply(format!(
                "Object{{metadata: Object.metadata{{annotations: {}}}}}",
                literal(json!({
                    (annotation::STORAGE_PROVISIONER): PROVISIONER, (annotation::STORAGE_PROVISIONER_BETA): PROVISIONER,
                }))
            ))],
            // A webhook may give a claim its class.
            reinvocation_policy: Some("IfNeeded".to_owned()),
            ..MutatingAdmissionPolicySpec::default()
        },
    );
    let binding = MutatingAdmissionPolicyBinding::new(
        metadata(),
        MutatingAdmissionPolicyBindingSpec {
            policy_name: name.clone(),
            ..MutatingAdmissionPolicyBindingSpec::default()
        },
    );
    vec![Object::from(policy), Object::from(binding)]
}

/// The claims: those of the document's classes for which a new volume is created at once. The answer to all others is
/// Kubernetes' own: a selector or a PersistentVolume's name asks for one that is there, and a claim that waits for its
/// pod is begun after the scheduler's choice.
fn conditions(platform: &Platform<'_>) -> Vec<MatchCondition> {
    let at_once =
        |class: &StorageClass| class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer");
    let classes = classes(platform.storage).into_iter().filter(at_once);
    let names: Vec<String> = classes.filter_map(|class| class.metadata.name).collect();
    let class = format!(
        "{}[?{}].orValue(\n{}) in {}",
        annotations("object"),
        literal(annotation::LEGACY_CLASS),
        "object.spec.?storageClassName.orValue(\"\")",
        literal(names),
    );
    let new = "!has(object.spec.selector) && object.spec.?volumeName.orValue(\"\") == \"\"";
    vec![condition("class", class), condition("new-volume", new)]
}
