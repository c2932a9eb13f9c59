//! The CSIDriver object: what Kubernetes has to know about block volumes before it attaches or mounts one.

use k8s_openapi::api::storage::v1::{CSIDriver, CSIDriverSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::compiler::manifest::Object;

/// Returns the CSIDriver.
/// <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-driver-v1/>
pub(super) fn csi_driver(metadata: ObjectMeta) -> Object {
    Object::from(CSIDriver {
        metadata,
        spec: CSIDriverSpec {
            // A pod starts only after the attacher has connected the volume to its node. Disconnecting it is what keeps
            // the previous node from writing.
            attach_required: Some(true),
            // kubelet applies fsGroup to ext4 and xfs.
            fs_group_policy: Some("File".to_owned()),
            // kubelet passes the pod's SELinux label as a mount option, in place of relabelling every file.
            se_linux_mount: Some(true),
            // Nothing that the node service does depends on the pod.
            pod_info_on_mount: Some(false),
            requires_republish: Some(false),
            token_requests: None,
            // The provisioner publishes no CSIStorageCapacity. With true, the scheduler would wait for one.
            storage_capacity: Some(false),
            // Inline volumes of pods would bypass claims, quotas and the policy for PersistentVolumes.
            volume_lifecycle_modes: Some(vec!["Persistent".to_owned()]),
            ..CSIDriverSpec::default()
        },
    })
}
