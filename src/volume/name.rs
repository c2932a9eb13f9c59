//! Names that are written once and never change: on arrays, and on objects in the cluster.

use crate::array::Name;

/// The provisioner, as StorageClasses name it.
pub const PROVISIONER: &str = "pso-gen.io/provisioner";
/// The CSI driver of block volumes.
pub const DRIVER: &str = "pso-gen.io";
/// Finalizer on a claim while its volume is being made, and on a PersistentVolume while there is a
/// volume behind it.
pub const FINALIZER: &str = "pso-gen.io/volume";
/// Annotation: of a PersistentVolume, the array that has the volume; of a claim, the arrays that have been
/// asked for one, with commas between them, the last one now.
pub const ARRAY: &str = "pso-gen.io/array";
/// Annotation of a claim: the volume that is imported for it. The storage document has to say so too.
pub const IMPORT: &str = "pso-gen.io/import";
/// Annotation of a claim: its own schedule of snapshots, on top of that of its class.
pub const SNAPSHOTS: &str = "pso-gen.io/snapshots";
/// Parameter of a StorageClass: the schedule of snapshots of its volumes.
pub const SNAPSHOTS_PARAMETER: &str = "snapshots";
/// Parameter of a StorageClass: `true` when a claim's own schedule takes the place of the class's.
pub const MAY_REDUCE_PARAMETER: &str = "claimsMayReduceSnapshots";
/// Parameter of a StorageClass: who may mount its file systems, as an array's export rules say it.
pub const EXPORTS_PARAMETER: &str = "exportRules";
/// Parameter of a StorageClass: most bytes per second of each of its block volumes.
pub const BANDWIDTH_PARAMETER: &str = "bandwidth";
/// Parameter of a StorageClass: most operations per second of each of its block volumes.
pub const IOPS_PARAMETER: &str = "iops";
/// Annotation: of a PersistentVolume, the id of that array; of a claim, the ids of the arrays that have been
/// asked, in their order.
pub const ARRAY_ID: &str = "pso-gen.io/array-id";
/// Annotation of a PersistentVolume: name of the volume on the array.
pub const VOLUME: &str = "pso-gen.io/volume";
/// Annotation of a PersistentVolume: id of the volume on the array.
pub const VOLUME_ID: &str = "pso-gen.io/volume-id";

/// First part of the names of marks. The last of all names of PersistentVolumes, because Kubernetes'
/// controllers go through a list in the order of names.
pub const MARK: &str = "zz-pso-gen-mark-";

/// Annotation by which Kubernetes tells who made a PersistentVolume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Annotations by which Kubernetes' own controller tells that a claim is bound, and that nobody asked for
/// this PersistentVolume.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// See [`BIND_COMPLETED`].
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Annotation by which the scheduler tells the node that a claim's first pod goes to.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Annotation by which claims and PersistentVolumes named their class before there was `storageClassName`.
pub const LEGACY_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Annotations by which Kubernetes' own controller asks a provisioner for a claim's volume, because it has found none.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// See [`STORAGE_PROVISIONER`].
pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Annotations of claims and PersistentVolumes that are looked at. All others may be dropped.
pub const KEPT_ANNOTATIONS: [&str; 13] = [
    LEGACY_CLASS,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
    ARRAY,
    IMPORT,
    SNAPSHOTS,
    ARRAY_ID,
    VOLUME,
    VOLUME_ID,
    PROVISIONED_BY,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
];

/// Returns the name of a claim's volume on an array; none when the cluster's name is too long or not one
/// that arrays take. The UID makes it this claim's and no other's.
pub fn volume(cluster: &str, uid: &str) -> Option<Name> {
    Name::new(format!("{cluster}-pvc-{uid}"))
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
        assert_eq!(name.as_str().len(), Name::LONGEST);
        assert_eq!(name.as_str(), volume_prefix(&"a".repeat(22)) + uid);
        assert_eq!(volume(&"a".repeat(23), uid), None);
    }
}
