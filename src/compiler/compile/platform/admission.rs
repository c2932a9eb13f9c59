//! What limits rights beyond what a role can say, of the provisioner and of others.
//!
//! Who may create PersistentVolumes may mount any folder of any node: decision 17 says what is held of the
//! provisioner, and what is not. Who may create pods may mount any file system that their node may mount, and
//! who may write claims could write what the provisioner takes for its own: decision 22.
//!
//! The expressions are CEL, of Kubernetes 1.30; `tests/controlplane` has a real API server hold them, against
//! the provisioner at work, an attacker with its token, and a tenant.

mod asking;
mod claims;
mod foreign;
mod records;
mod volumes;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value as Json;

pub(crate) use foreign::refused_volumes;

use super::{NAME, Platform};
use crate::compiler::compile::wave::ADMISSION;
use crate::compiler::manifest::Object;

/// First part of the names of the policies that hold of others than the provisioner.
const OTHERS: &str = "pso-gen-others";

/// What is held of one kind of object.
struct Rules {
    /// Name of the policy.
    name: String,
    /// What is looked at, the status among it.
    requests: Vec<NamedRuleWithOperations>,
    /// Whose requests, and which of them; the first condition that does not hold ends the matter.
    conditions: Vec<MatchCondition>,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
}

/// The policies with their bindings.
pub(super) fn policies(platform: &Platform<'_>) -> Vec<Object> {
    let rules = [
        volumes::rules(platform),
        claims::rules(platform),
        foreign::pods(platform),
        foreign::volumes(platform),
        records::claims(platform),
    ];
    let limits = rules.into_iter().flat_map(|rules| policy(platform, rules));
    limits.chain(asking::policy(platform)).collect()
}

/// A policy that cannot be evaluated refuses: an object so large that its evaluation costs too much would get
/// past it otherwise. So an expression may fail for no object, and asks whether a field is there.
fn policy(platform: &Platform<'_>, rules: Rules) -> [Object; 2] {
    let metadata = || platform.of_cluster(&rules.name, ADMISSION);
    let policy = Object::from(ValidatingAdmissionPolicy {
        metadata: metadata(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(rules.conditions),
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
            policy_name: Some(rules.name.clone()),
            validation_actions: Some(["Deny", "Audit"].map(str::to_owned).to_vec()),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    });
    [policy, binding]
}

/// Requests of the provisioner.
fn by_the_provisioner(platform: &Platform<'_>) -> MatchCondition {
    condition("the-provisioner", format!("request.userInfo.username == {}", account(platform)))
}

/// Requests of everybody else.
fn by_others(platform: &Platform<'_>) -> MatchCondition {
    condition("not-the-provisioner", format!("request.userInfo.username != {}", account(platform)))
}

fn account(platform: &Platform<'_>) -> String {
    literal(format!("system:serviceaccount:{}:{NAME}", platform.namespace))
}

fn condition(name: &str, expression: impl Into<String>) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.into() }
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

/// Something that must hold of the provisioner, and what is said when it does not.
fn holds(expression: impl Into<String>, message: &str) -> Validation {
    refuses_unless(expression, format!("the pso-gen provisioner {message}"))
}

/// Something that must hold, and what is said when it does not.
fn refuses_unless(expression: impl Into<String>, message: impl Into<String>) -> Validation {
    Validation {
        expression: expression.into(),
        message: Some(message.into()),
        reason: Some("Forbidden".to_owned()),
        message_expression: None,
    }
}

/// A value in CEL, whose texts, lists and maps are written as those of JSON.
fn literal(value: impl Into<Json>) -> String {
    value.into().to_string()
}

/// The annotations of an object.
fn annotations(object: &str) -> String {
    format!("{object}.metadata.?annotations.orValue({{}})")
}

/// The finalizers of an object.
fn finalizers(object: &str) -> String {
    format!("{object}.metadata.?finalizers.orValue([])")
}

/// The finalizers of an object, without ours.
fn finalizers_of_others(object: &str) -> String {
    let ours = literal(crate::contract::FINALIZER);
    format!("{}.filter(each, each != {ours})", finalizers(object))
}

/// Whether fields are the same as they were.
fn unchanged(of: &str, fields: &[&str]) -> String {
    let same =
        fields.iter().map(|field| format!("object.{of}.?{field} == oldObject.{of}.?{field}"));
    same.collect::<Vec<_>>().join(" &&\n")
}
