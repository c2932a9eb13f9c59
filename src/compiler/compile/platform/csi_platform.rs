//! Names and labels that all objects of the CSI services have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Platform, labels};
use crate::compiler::compile::names::Words;
use crate::contract::storage::CsiSpec;
use crate::contract::{MANAGER, label};

/// Name of all objects. A cluster has one driver of the name.
pub(super) const NAME: &str = "pso-gen-csi";

/// Data that every concern needs.
pub(super) struct CsiPlatform<'s> {
    /// The provisioner beside it.
    pub(super) provisioner: Platform<'s>,
    pub(super) own: &'s CsiSpec,
}

impl CsiPlatform<'_> {
    /// Returns the metadata of an object in the provisioner's namespace.
    pub(super) fn metadata(&self, wave: i32) -> ObjectMeta {
        let namespace = Some(self.provisioner.namespace.to_owned());
        ObjectMeta { namespace, ..self.of_cluster(NAME, wave) }
    }

    /// Returns the metadata of a cluster-scoped object.
    pub(super) fn of_cluster(&self, name: &str, wave: i32) -> ObjectMeta {
        super::metadata(name, self.labels(), wave)
    }

    /// Returns the labels of all objects.
    pub(super) fn labels(&self) -> Words {
        labels(self.provisioner.storage, &self.provisioner.own.image, selector())
    }
}

/// Returns the labels that identify its pods. They never change.
pub(super) fn selector() -> Words {
    let words = [(label::NAME, MANAGER), (label::COMPONENT, "csi")];
    words.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
