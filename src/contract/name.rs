//! Names that are written once and never change: on arrays, and on objects in the cluster.

use super::VolumeName;

/// API group of pso-gen's documents, and of the permissions that its admission policies ask for.
pub const API_GROUP: &str = "pso-gen.io";
/// API group and version of pso-gen's documents.
pub const API_VERSION: &str = "pso-gen.io/v1alpha1";
/// The program, as labels and field managers name it.
pub const MANAGER: &str = "pso-gen";
/// The provisioner, as StorageClasses name it.
pub const PROVISIONER: &str = "pso-gen.io/provisioner";
/// The CSI driver of block volumes.
pub const DRIVER: &str = "pso-gen.io";
/// Finalizer of a claim while its volume is being created, and of a PersistentVolume while there is a volume
/// behind it.
pub const FINALIZER: &str = "pso-gen.io/volume-protection";

/// First part of the names of the PersistentVolumes by which the provisioner measures how far a watch is. It is the
/// last of all names of PersistentVolumes, because Kubernetes' controllers go through a list in the order of names.
pub const BARRIER_PREFIX: &str = "zz-pso-gen-mark-";

/// Returns the name of a claim's volume on an array; none when the cluster's name is too long or not one
/// that arrays take. The UID makes it this claim's and no other's.
pub fn volume(cluster: &str, uid: &str) -> Option<VolumeName> {
    VolumeName::new(format!("{cluster}-pvc-{uid}"))
}

/// Returns how the names of a cluster's volumes begin; a claim's UID follows.
pub fn volume_prefix(cluster: &str) -> String {
    format!("{cluster}-pvc-")
}

/// Returns the name of a claim's PersistentVolume, which is that of the usual provisioners.
pub fn persistent_volume(uid: &str) -> String {
    format!("pvc-{uid}")
}

/// Returns the UID of the claim that a PersistentVolume was made for; none when its name is not one of ours.
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
