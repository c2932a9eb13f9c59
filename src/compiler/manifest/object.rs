//! Kubernetes objects of any kind, each in its type.

use std::fmt;

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolume, PersistentVolumeClaim, Pod,
        PodTemplateSpec, ResourceQuota, Secret, Service, ServiceAccount,
    },
    networking::v1::{Ingress, IngressClass, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
    storage::v1::{CSIDriver, StorageClass},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use super::{HttpRoute, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, WriteError};
use crate::compiler::yaml;

/// The identity of an object in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {} in {namespace}", self.kind, self.name),
        }
    }
}

/// Reasons why JSON is not a valid Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// `apiVersion`, `kind` or `metadata.name` is missing.
    Incomplete(&'static str),
    /// The kind does not exist in its API group; with the kinds that do.
    Kind(String, Vec<&'static str>),
    /// Fields that the kind does not have, as paths.
    Fields(Vec<String>),
    /// A value does not fit its field.
    Value(String),
}

macro_rules! kinds {
    ($($kind:ident $version:literal $scope:ident)*) => {
        /// A Kubernetes object.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the Kubernetes kind of that name")]
        pub enum Object {
            $($kind(Box<$kind>),)*
            HttpRoute(Box<HttpRoute>),
            /// A kind without a type here: a custom resource.
            Other(Box<Other>),
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Box::new(object))
            }
        })*

        impl Object {
            /// Returns the API version and kind.
            pub fn type_meta(&self) -> (&str, &str) {
                match self {
                    $(Self::$kind(_) => ($version, stringify!($kind)),)*
                    Self::HttpRoute(_) => (HttpRoute::API_VERSION, HttpRoute::KIND),
                    Self::Other(other) => (&other.api_version, &other.kind),
                }
            }

            /// Returns the metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata,)*
                    Self::HttpRoute(object) => &object.metadata,
                    Self::Other(other) => &other.metadata,
                }
            }

            /// Returns the metadata, mutable.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self {
                    $(Self::$kind(object) => &mut object.metadata,)*
                    Self::HttpRoute(object) => &mut object.metadata,
                    Self::Other(other) => &mut other.metadata,
                }
            }

            /// Appends the object as one YAML document.
            pub fn write(&self, out: &mut String) -> Result<(), WriteError> {
                match self {
                    $(Self::$kind(object) => yaml::write(out, object),)*
                    Self::HttpRoute(object) => yaml::write(out, object),
                    Self::Other(other) => yaml::write(out, other),
                }
                .map_err(|source| WriteError { identity: self.identity(), source })
            }

            /// Returns the object as JSON.
            pub fn to_json(&self) -> Result<Json, serde_json::Error> {
                match self {
                    $(Self::$kind(object) => serde_json::to_value(object),)*
                    Self::HttpRoute(object) => serde_json::to_value(object),
                    Self::Other(other) => serde_json::to_value(other),
                }
            }

            /// Writes the object as JSON.
            pub fn to_writer(&self, out: &mut dyn std::io::Write) -> Result<(), serde_json::Error> {
                match self {
                    $(Self::$kind(object) => serde_json::to_writer(out, object),)*
                    Self::HttpRoute(object) => serde_json::to_writer(out, object),
                    Self::Other(other) => serde_json::to_writer(out, other),
                }
            }

            /// Returns whether the object is namespaced. Custom resources are assumed to be.
            pub fn is_namespaced(&self) -> bool {
                match self {
                    $(Self::$kind(_) => scope!($scope),)*
                    Self::HttpRoute(_) | Self::Other(_) => true,
                }
            }

            /// Parses JSON with its type. Fields that the type does not have are an error.
            pub fn from_json(json: &Json) -> Result<Self, Unknown> {
                let word = |key: &str| json[key].as_str().unwrap_or_default();
                let (version, kind) = (word("apiVersion"), word("kind"));
                if version.is_empty() {
                    return Err(Unknown::Incomplete("apiVersion"));
                }
                if kind.is_empty() {
                    return Err(Unknown::Incomplete("kind"));
                }
                if json["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
                    return Err(Unknown::Incomplete("metadata.name"));
                }
                match (version, kind) {
                    $(($version, stringify!($kind)) => typed(json).map(Self::$kind),)*
                    (HttpRoute::API_VERSION, HttpRoute::KIND) => typed(json).map(Self::HttpRoute),
                    _ => {
                        // Groups without a dot, and those under k8s.io, belong to Kubernetes itself: an unknown
                        // kind in them is a mistake.
                        let known = [$(($version, stringify!($kind)),)*];
                        let group = version.split_once('/').map_or("", |(group, _)| group);
                        let is_ours = known.iter().any(|(known, _)| *known == version);
                        if is_ours || !group.contains('.') {
                            let kinds = known.iter().map(|(_, kind)| *kind).collect();
                            return Err(Unknown::Kind(format!("{version}/{kind}"), kinds));
                        }
                        typed(json).map(Self::Other)
                    }
                }
            }
        }
    };
}

macro_rules! scope {
    (namespaced) => {
        true
    };
    (cluster) => {
        false
    };
}

kinds! {
    Namespace "v1" cluster
    ResourceQuota "v1" namespaced
    LimitRange "v1" namespaced
    ServiceAccount "v1" namespaced
    Secret "v1" namespaced
    ConfigMap "v1" namespaced
    PersistentVolume "v1" cluster
    PersistentVolumeClaim "v1" namespaced
    Service "v1" namespaced
    Pod "v1" namespaced
    Deployment "apps/v1" namespaced
    StatefulSet "apps/v1" namespaced
    DaemonSet "apps/v1" namespaced
    Job "batch/v1" namespaced
    CronJob "batch/v1" namespaced
    HorizontalPodAutoscaler "autoscaling/v2" namespaced
    PodDisruptionBudget "policy/v1" namespaced
    NetworkPolicy "networking.k8s.io/v1" namespaced
    Ingress "networking.k8s.io/v1" namespaced
    IngressClass "networking.k8s.io/v1" cluster
    Role "rbac.authorization.k8s.io/v1" namespaced
    RoleBinding "rbac.authorization.k8s.io/v1" namespaced
    ClusterRole "rbac.authorization.k8s.io/v1" cluster
    ClusterRoleBinding "rbac.authorization.k8s.io/v1" cluster
    StorageClass "storage.k8s.io/v1" cluster
    CSIDriver "storage.k8s.io/v1" cluster
    PriorityClass "scheduling.k8s.io/v1" cluster
    ValidatingAdmissionPolicy "admissionregistration.k8s.io/v1" cluster
    ValidatingAdmissionPolicyBinding "admissionregistration.k8s.io/v1" cluster
    MutatingAdmissionPolicy "admissionregistration.k8s.io/v1" cluster
    MutatingAdmissionPolicyBinding "admissionregistration.k8s.io/v1" cluster
}

impl From<HttpRoute> for Object {
    fn from(route: HttpRoute) -> Self {
        Self::HttpRoute(Box::new(route))
    }
}

impl Object {
    /// Returns the identity.
    pub fn identity(&self) -> Identity {
        let (version, kind) = self.type_meta();
        let metadata = self.metadata();
        Identity {
            group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: kind.to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Appends the identity in words.
    pub fn describe(&self, out: &mut String) {
        let (version, kind) = self.type_meta();
        let metadata = self.metadata();
        out.push_str(kind);
        // Two groups may have kinds of the same name.
        if let (Self::Other(_), Some((group, _))) = (self, version.split_once('/')) {
            out.push('.');
            out.push_str(group);
        }
        out.push(' ');
        out.push_str(metadata.name.as_deref().unwrap_or_default());
        if let Some(namespace) = &metadata.namespace {
            out.push_str(" in ");
            out.push_str(namespace);
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Returns the template of the pods that the object creates, if it creates any.
    pub fn pod_template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::DaemonSet(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::Job(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::CronJob(object) => {
                let job = object.spec.as_ref()?.job_template.spec.as_ref()?;
                Some(&job.template)
            }
            _ => None,
        }
    }
}

/// An object of a kind without a type here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    #[serde(flatten)]
    rest: serde_json::Map<String, Json>,
}

impl Other {
    /// Returns an object from its kind and `spec`.
    pub fn new(api_version: &str, kind: &str, metadata: ObjectMeta, spec: Json) -> Self {
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        let rest = [("spec".to_owned(), spec)].into_iter().collect();
        Self { api_version, kind, metadata, rest }
    }

    /// Returns an object from its kind and fields, for a kind without `spec`.
    pub fn with_fields(
        api_version: &str,
        kind: &str,
        metadata: ObjectMeta,
        fields: serde_json::Map<String, Json>,
    ) -> Self {
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        Self { api_version, kind, metadata, rest: fields }
    }
}

impl From<Other> for Object {
    fn from(other: Other) -> Self {
        Self::Other(Box::new(other))
    }
}

/// Converts JSON to a type and back, in one way for all types. A field that is lost is one that the type does not
/// have. (Detecting ignored fields during parsing would be equivalent, but compiles every type twice more.)
fn typed<T: DeserializeOwned + Serialize>(json: &Json) -> Result<Box<T>, Unknown> {
    let object = T::deserialize(json).map_err(|error| Unknown::Value(error.to_string()))?;
    let back = serde_json::to_value(&object).map_err(|error| Unknown::Value(error.to_string()))?;
    let mut lost = Vec::new();
    compare(json, &back, "", &mut lost);
    if lost.is_empty() { Ok(Box::new(object)) } else { Err(Unknown::Fields(lost)) }
}

/// Collects the paths of lost fields. Null and empty values may be lost.
fn compare(before: &Json, after: &Json, path: &str, lost: &mut Vec<String>) {
    match (before, after) {
        (Json::Object(fields), Json::Object(round_trip)) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match round_trip.get(key) {
                    Some(round_trip) => compare(value, round_trip, &path, lost),
                    None if is_empty(value) => {}
                    None => lost.push(path),
                }
            }
        }
        (Json::Array(items), Json::Array(round_trip)) if items.len() == round_trip.len() => {
            for (index, (item, round_trip)) in items.iter().zip(round_trip).enumerate() {
                compare(item, round_trip, &format!("{path}.{index}"), lost);
            }
        }
        // A value that only changed its form (`1` and `"1"` of a quantity) is not lost.
        _ => {}
    }
}

fn is_empty(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_deep_inside_is_named() {
        let json = serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}},
        });
        let error = Object::from_json(&json).unwrap_err();
        assert_eq!(error, Unknown::Fields(vec!["spec.template.spec.containers.0.imag".to_owned()]));
    }

    #[test]
    fn kinds_of_kubernetes_must_exist_and_others_pass() {
        let object = |version: &str, kind: &str| {
            Object::from_json(&serde_json::json!({
                "apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": {"x": 1},
            }))
        };
        assert!(matches!(object("apps/v1", "Deploymnt"), Err(Unknown::Kind(..))));
        assert!(matches!(object("v1", "Gateway"), Err(Unknown::Kind(..))));
        let other = object("cert-manager.io/v1", "Certificate").expect("passes");
        assert_eq!(other.to_json().expect("json")["spec"]["x"], 1);
    }

    #[test]
    fn a_wrong_type_is_reported() {
        let json = serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": 3},
        });
        assert!(matches!(Object::from_json(&json), Err(Unknown::Value(_))));
    }
}
