//! The platform admin's document: arrays, classes, quotas. Written once per cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Quantity, SnapshotSchedule};

/// What a `kind: Storage` document's `spec` holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageSpec {
    /// Name of this cluster, the first part of every volume's name on an array. At most 22
    /// characters, unique among the clusters that share an array, and never changed: volumes are
    /// found again by it.
    #[schemars(extend("format" = "name"), example = "prod-a")]
    pub cluster: String,
    /// Networks of the cluster's nodes. Export rules follow from it: nobody else can mount.
    #[serde(default)]
    pub nodes: Vec<NodeNetwork>,
    /// The arrays.
    #[serde(default)]
    pub arrays: Vec<ArraySpec>,
    /// The classes; `pure-file` and `pure-block` are there even when left out.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassSpec>,
    /// Upper limits by namespace and class; each becomes part of a ResourceQuota.
    #[serde(default)]
    pub quotas: Vec<QuotaSpec>,
    /// Volumes that are there already and become those of claims, with what is on them.
    #[serde(default)]
    pub imports: Vec<ImportSpec>,
}

/// A network of nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NodeNetwork(#[schemars(extend("format" = "cidr"))] pub String);

/// One array.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArraySpec {
    /// How it is called in events, metrics and placement.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// What it is.
    pub r#type: ArrayType,
    /// Host name or address of its management interface, with `:port` when it is not 443. Always https.
    pub management: String,
    /// Host name or address from which nodes mount (FlashBlade: a data VIP). When left out, it is
    /// read from the array.
    pub data: Option<String>,
    /// Where its API token is: never the token itself.
    pub token: Kept,
    /// Where the certificates of the authorities are (PEM) by one of which its own must be signed. When
    /// left out, it must be signed by one that the machine trusts.
    pub ca: Option<Kept>,
    /// The one key that its certificate must have, in place of `ca`: SHA-256 of the public key, such as
    /// `sha256:` and 64 hexadecimal digits.
    pub pin: Option<String>,
    /// Its id, as `arrays` of its REST API tells it. When left out, the one that is seen first counts
    /// until the provisioner restarts.
    pub id: Option<String>,
    /// Labels for placement: a class may ask for them with `arrays`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Labels of the nodes that reach it, such as `topology.kubernetes.io/zone: a`. Pods with a volume on it
    /// are scheduled to those nodes alone. When left out, all nodes reach it.
    #[serde(default)]
    pub topology: BTreeMap<String, String>,
}

/// The two kinds of array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ArrayType {
    /// File systems over NFS.
    FlashBlade,
    /// Volumes over iSCSI.
    FlashArray,
}

/// Where something is that does not belong into Git: a key of a Secret, or a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Name of a Secret in the Storage document's namespace.
    #[schemars(extend("format" = "subdomain"))]
    pub secret: Option<String>,
    /// Key in that Secret.
    pub key: Option<String>,
    /// Path of a file, in place of `secret` and `key`: for a provisioner outside of a cluster. A relative
    /// one begins at the document's folder.
    pub file: Option<String>,
}

/// One storage class. A class cannot be changed in Kubernetes once it is there; declare another.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ClassSpec {
    /// For a further class: which of the two it is like, `pure-file` or `pure-block`.
    pub like: Option<BaseClass>,
    /// Whether claims that name no class get this one.
    pub default: bool,
    /// File classes: NFS version, `3` or `4.1`.
    pub nfs: Option<NfsVersion>,
    /// Mount options. `nolock` is refused where several pods share a volume.
    pub mount_options: Vec<String>,
    /// Block classes: file system of new volumes.
    pub file_system: Option<FileSystem>,
    /// Labels that an array must have to get volumes of this class.
    pub arrays: BTreeMap<String, String>,
    /// Whether a claim waits for its first pod, and its volume goes to an array that the pod's node reaches.
    pub wait_for_pod: bool,
    /// What happens to the volume when its claim is deleted: `Delete` destroys it on the array
    /// (its eradication timer still runs), `Retain` keeps it.
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Snapshots that the array takes of the class's volumes by schedule. A volume's own `snapshots`
    /// come first. When left out, none are taken.
    pub snapshots: Option<SnapshotSchedule>,
}

/// The built-in classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaseClass {
    /// FlashBlade, NFS.
    PureFile,
    /// FlashArray, iSCSI.
    PureBlock,
}

/// NFS protocol versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum NfsVersion {
    /// NFSv3.
    #[serde(rename = "3")]
    V3,
    /// NFSv4.1.
    #[serde(rename = "4.1")]
    V4_1,
}

/// File systems for block volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// XFS.
    Xfs,
    /// ext4.
    Ext4,
}

impl FileSystem {
    /// Returns the name that `mkfs` knows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
        }
    }
}

/// What happens to a volume when its claim is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ReclaimPolicy {
    /// Destroyed on the array.
    Delete,
    /// Kept.
    Retain,
}

/// A volume that is there already, and the claim that gets it. It keeps its name, and is never destroyed:
/// its PersistentVolume has the reclaim policy `Retain`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportSpec {
    /// The claim's namespace.
    #[schemars(extend("format" = "name"))]
    pub namespace: String,
    /// The claim's name.
    #[schemars(extend("format" = "subdomain"))]
    pub claim: String,
    /// The array that has the volume.
    #[schemars(extend("format" = "name"))]
    pub array: String,
    /// Name of the file system or volume on it.
    pub volume: String,
}

/// Upper limits for one class in one namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaSpec {
    /// The namespace.
    #[schemars(extend("format" = "name"))]
    pub namespace: String,
    /// The class.
    #[schemars(extend("format" = "class"))]
    pub class: String,
    /// Most claims.
    pub claims: Option<u32>,
    /// Most bytes over all claims.
    pub capacity: Option<Quantity>,
}
