//! Installation of the CSI services beside the provisioner: the part of the storage document that becomes their
//! Deployment.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ReclaimPolicy, StorageSpec};

/// Snapshots of block volumes by VolumeSnapshots. `pso-gen csi` and sidecars of the Kubernetes storage group run beside the
/// provisioner, which restores claims from VolumeSnapshots. The cluster needs the storage group's snapshot-controller and
/// its CustomResourceDefinitions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsiSpec {
    /// Image of the storage group's external-snapshotter, pinned to a full version or a digest.
    #[schemars(
        extend("format" = "image"),
        example = "registry.k8s.io/sig-storage/csi-snapshotter:v8.7.0"
    )]
    pub snapshotter: String,
    /// Image of the storage group's external-resizer. It limits a bound volume when its claim names a
    /// VolumeAttributesClass. It does not expand volumes, which the provisioner does.
    #[schemars(
        extend("format" = "image"),
        example = "registry.k8s.io/sig-storage/csi-resizer:v2.3.0"
    )]
    pub resizer: Option<String>,
    /// Number of pods. In one of them, the sidecars act; the others wait to take over.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: u8,
    /// What happens to a snapshot on the array when its VolumeSnapshot is deleted: `Delete` destroys it (its eradication
    /// timer still runs), `Retain` keeps it.
    #[serde(default = "delete")]
    #[schemars(extend("default" = "Delete"))]
    pub deletion_policy: ReclaimPolicy,
}

fn two() -> u8 {
    2
}

fn delete() -> ReclaimPolicy {
    ReclaimPolicy::Delete
}

impl StorageSpec {
    /// Returns the CSI services, if the document installs them: they serve block volumes of a provisioner in the cluster.
    pub fn installed_csi(&self) -> Option<&CsiSpec> {
        self.csi.as_ref().filter(|_| self.provisioner.is_some() && self.has_block_array())
    }
}
