//! Keys of annotations: those of pso-gen, and those of Kubernetes controllers that pso-gen reads or writes.
//!
//! Each key is declared here and nowhere else. The compiler renders objects with these keys, the provisioner reads
//! them, and the admission policies protect them.

/// The prefix of all keys of pso-gen.
pub const PREFIX: &str = "pso-gen.io/";
/// On a PersistentVolume: the name of the array that holds the volume. On a claim: the names of the arrays that the
/// provisioner has tried, separated by commas; the current one is the last.
pub const ARRAY: &str = "pso-gen.io/array";
/// On a PersistentVolume: the id of that array. On a claim: the ids of the arrays that the provisioner has tried, in
/// the same order.
pub const ARRAY_ID: &str = "pso-gen.io/array-id";
/// On a PersistentVolume: the name of the volume on the array.
pub const VOLUME: &str = "pso-gen.io/volume";
/// On a PersistentVolume: the id of the volume on the array.
pub const VOLUME_ID: &str = "pso-gen.io/volume-id";
/// On a VolumeAttachment: the node service has formatted the volume, so that no node may format it again. The attacher
/// copies it to a tag of the volume on the array before it detaches the volume.
pub const FORMATTED: &str = "pso-gen.io/formatted";
/// On a VolumeAttachment: the [`NodeId`](super::NodeId) of the node when its host was connected, so that the volume
/// can be detached when the node is gone. The attacher writes it together with the array and the volume.
pub const NODE_ID: &str = "pso-gen.io/node-id";
/// On a claim: the existing volume to import. The storage document has to list that volume too.
pub const IMPORT: &str = "pso-gen.io/import";
/// On a claim: a snapshot schedule in addition to that of its class.
pub const SNAPSHOTS: &str = "pso-gen.io/snapshots";
/// On a pod: the container that `kubectl logs` and `kubectl exec` use without `-c`.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container>
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// On a claim: a description of the data that the app stores there.
pub const ABOUT: &str = "pso-gen.io/about";
/// On a StorageClass: the cluster's name. `--since` refuses to change it.
pub const CLUSTER: &str = "pso-gen.io/cluster";
/// On a StorageClass: the arrays of the storage document as JSON, with type, id and data address by name. `--since`
/// refuses to change them.
pub const ARRAYS: &str = "pso-gen.io/arrays";
/// On a pod template: the hash of the files that its pods mount. A changed file rolls the pods.
pub const CONFIG: &str = "pso-gen.io/config";
/// On the DaemonSet of the node service: the reason for each privilege and each path of the host, for reviewers.
pub const PRIVILEGES: &str = "pso-gen.io/privileges";
/// On every object of an app that expires: the last day, `2026-12-24`.
pub const EXPIRES: &str = "pso-gen.io/expires";
/// On any object: the person or team that is responsible for the app. The developer sets it.
pub const OWNER: &str = "pso-gen.io/owner";

/// The prefix of all keys of Argo CD.
pub const ARGO_CD: &str = "argocd.argoproj.io/";
/// Prefixes of the keys that change the protection of containers by the kernel. Later versions of Kubernetes have fields.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#apparmor>
pub const PROTECTION: [&str; 5] = [
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "seccomp-profile.kubernetes.cri-o.io",
    "io.kubernetes.cri-o.",
];
/// The last day in the form that kube-janitor reads. It deletes objects that were applied by hand.
/// <https://codeberg.org/hjacobs/kube-janitor>
pub const JANITOR_EXPIRES: &str = "janitor/expires";
/// The order in which Argo CD applies objects.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/>
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Argo CD's options for applying and pruning one object.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/>
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Marks the VolumeSnapshotClass of a driver for VolumeSnapshots without a class.
/// <https://kubernetes.io/docs/concepts/storage/volume-snapshot-classes/>
pub const DEFAULT_SNAPSHOT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";
/// Marks the default StorageClass, which applies to claims without a class.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Names the provisioner that created a PersistentVolume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Set by kube-controller-manager when it has completed the binding of a claim.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Set by kube-controller-manager when it chose the PersistentVolume itself because the claim did not name one.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The node that the scheduler has selected for a claim's first pod.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The class of a claim or PersistentVolume that is older than the field `storageClassName`.
pub const LEGACY_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Set by kube-controller-manager when no existing PersistentVolume fits a claim: the named provisioner shall create
/// one.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// See [`STORAGE_PROVISIONER`].
pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Annotations of claims, PersistentVolumes and VolumeAttachments that the provisioner reads. Its cache drops all others.
pub const READ_BY_PROVISIONER: [&str; 15] = [
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
    FORMATTED,
    NODE_ID,
];
