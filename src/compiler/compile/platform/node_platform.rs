//! Names and labels that all objects of the node service have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::compiler::compile::names::Words;
use crate::compiler::compile::storage_class::Storage;
use crate::contract::storage::NodeService;
use crate::contract::{MANAGER, label};

/// Name of all its objects. A cluster has one node service, because kubelet knows the driver by its name.
pub(super) const NAME: &str = "pso-gen-node";

/// Data that every concern needs.
pub(super) struct NodePlatform<'s> {
    pub(super) storage: &'s Storage<'s>,
    pub(super) own: NodeService,
}

impl NodePlatform<'_> {
    /// Returns the metadata of an object in the namespace of the node service.
    pub(super) fn metadata(&self, wave: i32) -> ObjectMeta {
        let namespace = Some(self.own.spec.namespace.clone());
        ObjectMeta { namespace, ..self.of_cluster(NAME, wave) }
    }

    /// Returns the metadata of a cluster-scoped object.
    pub(super) fn of_cluster(&self, name: &str, wave: i32) -> ObjectMeta {
        super::metadata(name, self.labels(), wave)
    }

    /// Returns the labels of all objects.
    pub(super) fn labels(&self) -> Words {
        super::labels(self.storage, &self.own.image, selector())
    }

    /// Returns the names of the Secrets with registry credentials.
    pub(super) fn pull_secrets(&self) -> Vec<String> {
        let of_provisioner =
            || self.storage.spec.provisioner.as_ref().map(|own| own.pull_secrets.clone());
        self.own.spec.pull_secrets.clone().or_else(of_provisioner).unwrap_or_default()
    }
}

/// Returns the labels that identify its pods. They never change.
pub(super) fn selector() -> Words {
    let words = [(label::NAME, MANAGER), (label::COMPONENT, "node-service")];
    words.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
