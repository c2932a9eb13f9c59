//! Admission policies that limit rights further than a role can, for the provisioner and for other accounts.
//!
//! An account that can create PersistentVolumes can mount any folder of any node: decision 17 lists the
//! restrictions on the provisioner and their limits. An account that can create pods can mount any file system
//! that their node can mount, and an account that can write claims could write the provisioner's own records:
//! decision 22.
//!
//! The account of the node service can patch every VolumeAttachment, and may write one annotation on those of its own
//! node: decision 31. The account of the CSI services can write on objects of every driver, and may do so on those of its
//! own: decision 34.
//!
//! The expressions are CEL of Kubernetes 1.30. `tests/controlplane` runs them in a real API server against the
//! working provisioner, an attacker with its token, and a tenant.

mod attachments;
mod claims;
mod csi;
mod foreign;
mod new_claims;
mod node;
mod records;
mod volumes;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value as Json;

pub(super) use csi::policies as csi_policies;
pub(crate) use foreign::refused_volumes;
pub(super) use node::policies as node_policies;

use super::{NAME, Platform};
use crate::compiler::compile::wave::ADMISSION;
use crate::compiler::manifest::Object;

/// Name prefix of the policies for accounts other than the provisioner.
const OTHERS: &str = "pso-gen-others";

/// The rules for one kind of object.
struct Rules {
    /// Name of the policy.
    name: String,
    /// The requests that are checked, including those for the status.
    requests: Vec<NamedRuleWithOperations>,
    /// Conditions on the requests and their accounts. The policy does not apply if one of them is false.
    conditions: Vec<MatchCondition>,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
}

/// Returns the policies with their bindings.
pub(super) fn policies(platform: &Platform<'_>) -> Vec<Object> {
    let rules = [
        volumes::rules(platform),
        claims::rules(platform),
        foreign::pods(platform),
        foreign::volumes(platform),
        records::claims(platform),
    ];
    let attachments = platform.attaches().then(|| attachments::rules(platform));
    let limits = rules.into_iter().chain(attachments).flat_map(|rules| {
        let metadata = platform.of_cluster(&rules.name, ADMISSION);
        policy(metadata, rules)
    });
    limits.chain(new_claims::policy(platform)).collect()
}

/// Returns a policy and its binding. A policy whose evaluation fails refuses the request; otherwise an object
/// that is too expensive to evaluate would bypass it. So no expression may fail on any object: each one tests
/// whether a field exists.
fn policy(metadata: ObjectMeta, rules: Rules) -> [Object; 2] {
    let policy = Object::from(ValidatingAdmissionPolicy {
        metadata: metadata.clone(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(rules.conditions),
            // The field is owned as a whole by the client that applies it, so defaults of the API server would be
            // a permanent difference.
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
        metadata,
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(rules.name),
            validation_actions: Some(["Deny", "Audit"].map(str::to_owned).to_vec()),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    });
    [policy, binding]
}

/// Matches requests of the provisioner.
fn by_the_provisioner(platform: &Platform<'_>) -> MatchCondition {
    condition("the-provisioner", format!("request.userInfo.username == {}", account(platform)))
}

/// Matches requests of all other accounts.
fn by_others(platform: &Platform<'_>) -> MatchCondition {
    condition("not-the-provisioner", format!("request.userInfo.username != {}", account(platform)))
}

fn account(platform: &Platform<'_>) -> String {
    literal(format!("system:serviceaccount:{}:{NAME}", platform.namespace))
}

fn condition(name: &str, expression: impl Into<String>) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.into() }
}

/// Matches requests for a resource of the core group.
fn requests(resource: &str, operations: &[&str]) -> NamedRuleWithOperations {
    requests_in("", resource, operations)
}

/// Matches requests for a resource of an API group.
fn requests_in(group: &str, resource: &str, operations: &[&str]) -> NamedRuleWithOperations {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    NamedRuleWithOperations {
        api_groups: words(&[group]),
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

/// Returns a rule for the provisioner, with the message of a refusal.
fn holds(expression: impl Into<String>, message: &str) -> Validation {
    refuses_unless(expression, format!("the pso-gen provisioner {message}"))
}

/// Returns a rule, with the message of a refusal.
fn refuses_unless(expression: impl Into<String>, message: impl Into<String>) -> Validation {
    Validation {
        expression: expression.into(),
        message: Some(message.into()),
        reason: Some("Forbidden".to_owned()),
        message_expression: None,
    }
}

/// Returns a value in CEL. Texts, lists and maps have the syntax of JSON.
fn literal(value: impl Into<Json>) -> String {
    value.into().to_string()
}

/// Returns the CEL expression for the annotations of an object.
fn annotations(object: &str) -> String {
    format!("{object}.metadata.?annotations.orValue({{}})")
}

/// Returns the CEL expression for the finalizers of an object.
fn finalizers(object: &str) -> String {
    format!("{object}.metadata.?finalizers.orValue([])")
}

/// Returns the CEL expression for the finalizers of an object, without pso-gen's own.
fn finalizers_of_others(object: &str) -> String {
    let ours = literal(crate::contract::FINALIZER);
    format!("{}.filter(each, each != {ours})", finalizers(object))
}

/// Returns the CEL expression that fields are unchanged.
fn unchanged(of: &str, fields: &[&str]) -> String {
    let same =
        fields.iter().map(|field| format!("object.{of}.?{field} == oldObject.{of}.?{field}"));
    same.collect::<Vec<_>>().join(" &&\n")
}
