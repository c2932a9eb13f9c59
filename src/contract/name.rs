//! Fixed names of pso-gen on arrays and in the cluster. They are written once and never change.

use super::VolumeName;

/// API group of pso-gen's documents, and of the permissions that its admission policies require.
pub const API_GROUP: &str = "pso-gen.io";
/// API group and version of pso-gen's documents.
pub const API_VERSION: &str = "pso-gen.io/v1alpha1";
/// The program's name in labels and as a field manager.
pub const MANAGER: &str = "pso-gen";
/// The provisioner's name in StorageClasses.
pub const PROVISIONER: &str = "pso-gen.io/provisioner";
/// API group of VolumeSnapshots, of the Kubernetes storage group.
pub const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";
/// The CSI driver of block volumes.
pub const DRIVER: &str = "pso-gen.io";
/// Finalizer of a claim while its volume is being created, and of a PersistentVolume while its volume exists.
pub const FINALIZER: &str = "pso-gen.io/volume-protection";

/// Finalizer of a VolumeAttachment while its volume may be connected. kube-controller-manager waits until the object is
/// gone before it attaches the volume to another node. The name is the one that the CSI project's external-attacher
/// gives: its own name and the driver's, with a hyphen for each character that is neither letter nor digit.
/// <https://github.com/kubernetes-csi/external-attacher/blob/master/pkg/controller/util.go>
pub const ATTACHER_FINALIZER: &str = "external-attacher/pso-gen-io";

/// Prefix of the names of the PersistentVolumes by which the provisioner measures the progress of a watch. They sort
/// after all other PersistentVolumes, because Kubernetes controllers process a list in the order of names.
pub const BARRIER_PREFIX: &str = "zz-pso-gen-mark-";

/// Returns the name of a claim's volume on an array, or `None` when the cluster's name is too long or not valid on an
/// array. The UID makes the name unique to this claim.
pub fn volume(cluster: &str, uid: &str) -> Option<VolumeName> {
    VolumeName::new(format!("{cluster}-pvc-{uid}"))
}

/// Returns the prefix of the names of a cluster's volumes. A claim's UID follows it.
pub fn volume_prefix(cluster: &str) -> String {
    format!("{cluster}-pvc-")
}

/// Returns the name of a claim's PersistentVolume, in the form that other provisioners use as well.
pub fn persistent_volume(uid: &str) -> String {
    format!("pvc-{uid}")
}

/// Returns the UID of the claim that a PersistentVolume was created for, or `None` when its name does not have that
/// form.
pub fn made_for(persistent_volume: &str) -> Option<&str> {
    persistent_volume.strip_prefix("pvc-").filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_cluster_fits() {
        let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let name = volume(&"a".repeat(22), uid).expect("a name");
        assert_eq!(name.as_str().len(), VolumeName::LONGEST);
        assert_eq!(name.as_str(), volume_prefix(&"a".repeat(22)) + uid);
        assert_eq!(volume(&"a".repeat(23), uid), None);
    }
}
