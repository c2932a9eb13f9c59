//! The provisioner, the CSI services beside it and the node service in the cluster: their objects and their rights, with
//! one file for each concern. Of the programs, this folder knows only their arguments and the requests that they send.

mod admission;
mod config;
mod csi;
mod csi_driver;
mod csi_platform;
mod csi_pod;
mod csi_rights;
mod deployment;
mod monitoring;
mod network;
mod node_platform;
mod node_pod;
mod node_service;
mod rbac;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ScopeSelector, ScopedResourceSelectorRequirement,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{Words, version_label};
use super::{Storage, namespace};
use crate::compiler::manifest::Object;
use crate::compiler::spec::Profile;
use crate::contract::storage::{ArrayType, ProvisionerSpec};
use crate::contract::{MANAGER, annotation, label};
pub(crate) use admission::refused_volumes;
pub(super) use csi::csi_services;
pub use deployment::with_amounts;
pub use node_pod::node_service_resources;
pub(super) use node_service::node_service;

/// Name of all its objects and of its lease. A cluster has one provisioner, because classes refer to it by name.
pub(super) const NAME: &str = "pso-gen-provisioner";
/// Port of its HTTP server.
const PORT: i32 = 8080;
const METRICS: &str = "metrics";

/// Data that every concern needs.
struct Platform<'s> {
    storage: &'s Storage<'s>,
    own: &'s ProvisionerSpec,
    namespace: &'s str,
}

/// Returns the provisioner's objects.
pub(super) fn platform(storage: &Storage<'_>, own: &ProvisionerSpec) -> Vec<Object> {
    let platform = Platform::of(storage, own);
    let config = config::config_map(&platform);
    let mut objects = vec![namespace::namespace(platform.namespace, Profile::Restricted, false)];
    objects.extend(admission::policies(&platform));
    objects.extend(rbac::rights(&platform));
    objects.extend(network::policy(&platform));
    objects.extend(deployment::workload(&platform, &config.hash));
    objects.push(config.object);
    objects.extend(monitoring::objects(&platform));
    objects
}

impl<'s> Platform<'s> {
    fn of(storage: &'s Storage<'s>, own: &'s ProvisionerSpec) -> Self {
        let metadata = storage.document.node.get("metadata");
        // The checks refuse a document without a namespace.
        let namespace = metadata.and_then(|metadata| metadata.get("namespace")?.text());
        Self { storage, own, namespace: namespace.unwrap_or_default() }
    }
}

impl Platform<'_> {
    /// Returns the metadata of an object in the provisioner's namespace.
    fn metadata(&self, wave: i32) -> ObjectMeta {
        ObjectMeta { namespace: Some(self.namespace.to_owned()), ..self.of_cluster(NAME, wave) }
    }

    /// Returns the metadata of a cluster-scoped object.
    fn of_cluster(&self, name: &str, wave: i32) -> ObjectMeta {
        metadata(name, self.labels(), wave)
    }

    /// Returns the labels of all objects.
    fn labels(&self) -> Words {
        labels(self.storage, &self.own.image, selector())
    }

    /// Returns whether the provisioner attaches block volumes to nodes.
    fn attaches(&self) -> bool {
        self.storage.spec.arrays.iter().any(|array| array.r#type == ArrayType::FlashArray)
    }

    /// Returns the Secrets with CHAP passwords.
    fn passwords(&self) -> BTreeSet<&str> {
        let arrays = self.storage.spec.arrays.iter();
        arrays.filter_map(|array| Some(array.chap.as_ref()?.secret.as_str())).collect()
    }

    /// Returns the Secret keys that the arrays use, by Secret.
    fn secrets(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut secrets = BTreeMap::<_, BTreeSet<_>>::new();
        let arrays = self.storage.spec.arrays.iter();
        for kept in arrays.flat_map(|array| std::iter::once(&array.token).chain(&array.ca)) {
            if let (Some(secret), Some(key)) = (&kept.secret, &kept.key) {
                secrets.entry(secret.as_str()).or_default().insert(key.as_str());
            }
        }
        secrets
    }
}

/// Returns the metadata of a cluster-scoped object.
fn metadata(name: &str, labels: Words, wave: i32) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels),
        annotations: Some([(annotation::SYNC_WAVE.to_owned(), wave.to_string())].into()),
        ..ObjectMeta::default()
    }
}

/// Returns the labels of all objects of a program, from the labels that identify its pods.
fn labels(storage: &Storage<'_>, image: &str, mut labels: Words) -> Words {
    labels.insert(label::PART_OF.to_owned(), MANAGER.to_owned());
    labels.insert(label::MANAGED_BY.to_owned(), MANAGER.to_owned());
    // The instance does not identify pods: what does never changes.
    let instance = storage.document.name().unwrap_or(MANAGER);
    labels.insert(label::INSTANCE.to_owned(), instance.to_owned());
    labels.extend(version_label(image));
    labels
}

/// Returns a quota for pods of a PriorityClass. Some clusters allow them only in namespaces with a matching quota.
/// <https://kubernetes.io/docs/concepts/policy/resource-quotas/#limit-priority-class-consumption-by-default>
fn quota(metadata: ObjectMeta, priority_class: &str, pods: &str) -> Object {
    Object::from(ResourceQuota {
        metadata,
        spec: Some(ResourceQuotaSpec {
            hard: Some([("pods".to_owned(), Quantity(pods.to_owned()))].into()),
            scope_selector: Some(ScopeSelector {
                match_expressions: Some(vec![ScopedResourceSelectorRequirement {
                    operator: "In".to_owned(),
                    scope_name: "PriorityClass".to_owned(),
                    values: Some(vec![priority_class.to_owned()]),
                }]),
            }),
            scopes: None,
        }),
        status: None,
    })
}

/// Returns the labels that identify the provisioner's pods. They never change.
fn selector() -> Words {
    let words = [(label::NAME, MANAGER), (label::COMPONENT, "provisioner")];
    words.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
