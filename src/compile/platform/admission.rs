//! What the provisioner's rights are limited to beyond what a role can say: who may create
//! PersistentVolumes may mount any folder of any node. Decision 17 says what is held, and what is not.
//!
//! The expressions are CEL; `tests/controlplane` has a real API server hold them, against the
//! provisioner at work and against somebody who has stolen its token.

mod claims;
mod volumes;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value as Json;

use super::{NAME, Platform};
use crate::compile::wave::ADMISSION;
use crate::manifest::Object;

/// What is held of one kind of object.
struct Rules {
    /// Its resource, such as `persistentvolumes`; also the end of the policy's name.
    resource: &'static str,
    /// What is looked at of it, the status among it.
    requests: Vec<NamedRuleWithOperations>,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
}

/// The policies with their bindings.
pub(super) fn policies(platform: &Platform<'_>) -> Vec<Object> {
    let rules = [volumes::rules(platform), claims::rules()];
    rules.into_iter().flat_map(|rules| policy(platform, rules)).collect()
}

fn policy(platform: &Platform<'_>, rules: Rules) -> [Object; 2] {
    let name = format!("{NAME}-{}", rules.resource);
    let metadata = || platform.of_cluster(&name, ADMISSION);
    let account = format!("system:serviceaccount:{}:{NAME}", platform.namespace);
    let policy = Object::from(ValidatingAdmissionPolicy {
        metadata: metadata(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(vec![MatchCondition {
                name: "the-provisioner".to_owned(),
                expression: format!("request.userInfo.username == {}", literal(account)),
            }]),
            // It belongs as a whole to whoever applies it: what the API server would fill in is a
            // difference for good.
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(LabelSelector::default()),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(rules.requests),
                exclude_resource_rules: None,
            }),
            variables: Some(rules.variables),
            validations: Some(rules.validations),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    });
    let binding = Object::from(ValidatingAdmissionPolicyBinding {
        metadata: metadata(),
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(name.clone()),
            validation_actions: Some(["Deny", "Audit"].map(str::to_owned).to_vec()),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    });
    [policy, binding]
}

/// Requests for a resource of the core group.
fn requests(resource: &str, operations: &[&str]) -> NamedRuleWithOperations {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    NamedRuleWithOperations {
        api_groups: words(&[""]),
        api_versions: words(&["v1"]),
        operations: words(operations),
        resources: words(&[resource]),
        scope: Some("*".to_owned()),
        ..NamedRuleWithOperations::default()
    }
}

fn variable(name: &str, expression: impl Into<String>) -> Variable {
    Variable { name: name.to_owned(), expression: expression.into() }
}

/// Something that must hold, and what is said when it does not.
fn holds(expression: impl Into<String>, message: &str) -> Validation {
    Validation {
        expression: expression.into(),
        message: Some(format!("the pso-gen provisioner {message}")),
        reason: Some("Forbidden".to_owned()),
        message_expression: None,
    }
}

/// A value in CEL, whose texts and lists are written as those of JSON.
fn literal(value: impl Into<Json>) -> String {
    value.into().to_string()
}

/// The finalizers of an object, without ours.
fn finalizers_of_others(object: &str) -> String {
    let ours = literal(crate::volume::FINALIZER);
    format!("{object}.metadata.?finalizers.orValue([]).filter(each, each != {ours})")
}
