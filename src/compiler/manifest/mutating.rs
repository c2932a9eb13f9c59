//! Admission policies that change objects, as Kubernetes has them since 1.36.
//!
//! The Kubernetes types of this crate are those of the oldest version that takes our output, which has these kinds as
//! a trial only; the fields follow
//! <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/mutating-admission-policy-v1/>.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, ParamKind, ParamRef, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// API version of both kinds.
const API_VERSION: &str = "admissionregistration.k8s.io/v1";

/// Changes objects on their way into the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicy {
    api_version: String,
    kind: String,
    /// Name, labels, annotations.
    pub metadata: ObjectMeta,
    /// Which objects, and how.
    pub spec: MutatingAdmissionPolicySpec,
}

impl MutatingAdmissionPolicy {
    /// Returns a policy.
    pub fn new(metadata: ObjectMeta, spec: MutatingAdmissionPolicySpec) -> Self {
        let (api_version, kind) = (API_VERSION.to_owned(), "MutatingAdmissionPolicy".to_owned());
        Self { api_version, kind, metadata, spec }
    }
}

/// Which objects are changed, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicySpec {
    /// What becomes of a request for which the policy fails: `Fail` or `Ignore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<String>,
    /// Conditions of a request; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_conditions: Vec<MatchCondition>,
    /// Requests that are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_constraints: Option<MatchResources>,
    /// The changes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mutations: Vec<Mutation>,
    /// Kind of the objects with parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param_kind: Option<ParamKind>,
    /// Whether it runs again when a later policy changes the object: `Never` or `IfNeeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinvocation_policy: Option<String>,
    /// Named expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mutation {
    /// The fields that are set, as server-side apply would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_configuration: Option<Expression>,
    /// A JSON patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_patch: Option<Expression>,
    /// Which of the two it is: `ApplyConfiguration` or `JSONPatch`.
    pub patch_type: String,
}

impl Mutation {
    /// Returns one that sets fields, by an expression in CEL.
    pub fn apply(expression: String) -> Self {
        let apply_configuration = Some(Expression { expression });
        Self { apply_configuration, json_patch: None, patch_type: "ApplyConfiguration".to_owned() }
    }
}

/// An expression in CEL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// Its text.
    pub expression: String,
}

/// Puts a policy in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicyBinding {
    api_version: String,
    kind: String,
    /// Name, labels, annotations.
    pub metadata: ObjectMeta,
    /// Which policy, and where.
    pub spec: MutatingAdmissionPolicyBindingSpec,
}

impl MutatingAdmissionPolicyBinding {
    /// Returns a binding.
    pub fn new(metadata: ObjectMeta, spec: MutatingAdmissionPolicyBindingSpec) -> Self {
        let kind = "MutatingAdmissionPolicyBinding".to_owned();
        Self { api_version: API_VERSION.to_owned(), kind, metadata, spec }
    }
}

/// Which policy is in force where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicyBindingSpec {
    /// Requests for which it is in force, among those that the policy is for; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_resources: Option<MatchResources>,
    /// Objects with parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param_ref: Option<ParamRef>,
    /// Name of the policy.
    pub policy_name: String,
}
