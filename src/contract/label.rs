//! Keys of labels: the recommended ones of Kubernetes and those of nodes. Each is declared here and nowhere else.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>

/// The kind of app.
pub const NAME: &str = "app.kubernetes.io/name";
/// The app's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The component of the app.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The app that an object belongs to.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The program that manages an object: [`MANAGER`](super::MANAGER).
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The version of a component's image.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Marks the VolumeSnapshotClass that Velero uses for volumes of its driver.
/// <https://velero.io/docs/main/csi/>
pub const VELERO_CLASS: &str = "velero.io/csi-volumesnapshot-class";
/// The ticket that an app was made for. The developer sets it.
pub const TICKET: &str = "pso-gen.io/ticket";
/// The name of a node. <https://kubernetes.io/docs/reference/labels-annotations-taints/>
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// The zone of a node.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The name of a namespace, which the API server sets on it.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
