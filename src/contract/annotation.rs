//! Annotations: those of pso-gen, and those of Kubernetes' controllers that pso-gen reads or writes.
//!
//! Each key is declared here and nowhere else. Rendered objects carry them, the provisioner reads them, and
//! admission policies protect them.

/// What all keys of pso-gen begin with.
pub const PREFIX: &str = "pso-gen.io/";
/// Of a PersistentVolume: the array that has the volume. Of a claim: the arrays that have been asked for one,
/// separated by commas, the current one last.
pub const ARRAY: &str = "pso-gen.io/array";
/// Of a PersistentVolume: the id of that array. Of a claim: the ids of the arrays that have been asked, in the
/// same order.
pub const ARRAY_ID: &str = "pso-gen.io/array-id";
/// Of a PersistentVolume: the name of the volume on the array.
pub const VOLUME: &str = "pso-gen.io/volume";
/// Of a PersistentVolume: the id of the volume on the array.
pub const VOLUME_ID: &str = "pso-gen.io/volume-id";
/// Of a claim: the volume that is imported for it. The storage document has to name it too.
pub const IMPORT: &str = "pso-gen.io/import";
/// Of a claim: its own snapshot schedule, on top of that of its class.
pub const SNAPSHOTS: &str = "pso-gen.io/snapshots";
/// Of a claim: what the app stores there, for people.
pub const ABOUT: &str = "pso-gen.io/about";
/// Of a StorageClass: the cluster's name. `--since` refuses to change it.
pub const CLUSTER: &str = "pso-gen.io/cluster";
/// Of a StorageClass: the arrays of the storage document as JSON, with type, id and data address by name.
/// `--since` refuses to change them.
pub const ARRAYS: &str = "pso-gen.io/arrays";
/// Of a pod template: the hash of the files that its pods mount. A changed file rolls the pods.
pub const CONFIG: &str = "pso-gen.io/config";
/// Of every object of an app that expires: the last day, `2026-12-24`.
pub const EXPIRES: &str = "pso-gen.io/expires";
/// Of any object: the person or team that is responsible for the app. The developer sets it.
pub const OWNER: &str = "pso-gen.io/owner";

/// The same day for kube-janitor, which deletes objects that were applied by hand.
/// <https://codeberg.org/hjacobs/kube-janitor>
pub const JANITOR_EXPIRES: &str = "janitor/expires";
/// The order in which Argo CD applies objects.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/>
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// How Argo CD applies and prunes one object.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/>
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Marks the StorageClass of claims that name none.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The provisioner that created a PersistentVolume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// kube-controller-manager has completed the binding of a claim.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// kube-controller-manager chose this PersistentVolume; the claim did not name it.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The node that the scheduler has chosen for a claim's first pod.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The class of claims and PersistentVolumes from before there was `storageClassName`.
pub const LEGACY_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// kube-controller-manager has found no PersistentVolume for a claim, and asks this provisioner for one.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// See [`STORAGE_PROVISIONER`].
pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Annotations of claims and PersistentVolumes that the provisioner reads. Its cache drops all others.
pub const READ_BY_PROVISIONER: [&str; 13] = [
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
