//! The platform admin's document: arrays, classes, quotas. There is one per cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod class;
mod csi;
mod node_service;
mod provisioner;

use super::{BlockTransport, CidrText, Quantity};
pub use class::{
    BaseClass, ClassSpec, ExportAccess, ExportRuleSpec, ExportSquash, FileSystem, NfsVersion, Qos,
    ReclaimPolicy,
};
pub use csi::CsiSpec;
pub use node_service::{
    LONGEST_KUBELET_DIRECTORY, NoNodeService, NodeService, NodeServicePlacement, NodeServiceSpec,
};
pub use provisioner::{
    BindingSpec, Foreign, KubernetesApi, Monitoring, ProvisionerNetwork, ProvisionerSpec,
};

/// The `spec` of a `kind: Storage` document.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageSpec {
    /// Name of this cluster, the first part of every volume's name on an array. At most 22 characters, unique
    /// among the clusters that share an array. Never change it: the provisioner finds its volumes by this name.
    #[schemars(extend("format" = "name"), example = "prod-a")]
    pub cluster: String,
    /// Identities of former clusters of this name, if the cluster was rebuilt. The provisioner takes over their
    /// registrations and their volumes. Each identity is 16 hexadecimal digits; the error message of the refusal
    /// names it.
    #[serde(default)]
    #[schemars(example = ["3f2a9c1e7b4d4e1a"])]
    pub take_over: Vec<ClusterIdentity>,
    /// Networks of the cluster's nodes. Export rules are derived from them, so that no other machine can mount. A
    /// network wider than /8 (IPv6: /32) is reported as a warning, and a network of all addresses as an error.
    #[serde(default)]
    pub nodes: Vec<NodeNetwork>,
    /// The arrays.
    #[serde(default)]
    pub arrays: Vec<ArraySpec>,
    /// The classes. `pure-file` and `pure-block` always exist.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "subdomain"}))]
    pub classes: BTreeMap<String, ClassSpec>,
    /// Upper limits by namespace and class. Each becomes part of a ResourceQuota.
    #[serde(default)]
    pub quotas: Vec<QuotaSpec>,
    /// Existing volumes that become the volumes of claims, with their data.
    #[serde(default)]
    pub imports: Vec<ImportSpec>,
    /// Installation of the provisioner in the cluster. If omitted, only the StorageClasses and quotas are
    /// rendered, for a provisioner that runs outside the cluster.
    pub provisioner: Option<ProvisionerSpec>,
    /// Installation of the node service, which mounts block volumes. With a FlashArray and an installed provisioner, it
    /// is installed with the defaults, unless `install` is false.
    pub node_service: Option<NodeServiceSpec>,
    /// Installation of the CSI services, which take snapshots of block volumes for VolumeSnapshots. If omitted, claims
    /// have no VolumeSnapshots.
    pub csi: Option<CsiSpec>,
}

/// The identity of a cluster: the first 16 hexadecimal digits of the UID of its namespace `kube-system`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ClusterIdentity(#[schemars(extend("format" = "identity"))] pub String);

/// A network of nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NodeNetwork(#[schemars(extend("format" = "cidr"))] pub String);

/// One array.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArraySpec {
    /// Name of the array in events, metrics and placement.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Product.
    pub r#type: ArrayType,
    /// Host name or address of the management interface, with `:port` if it is not 443. The provisioner always
    /// uses HTTPS.
    pub management: String,
    /// Host name or address from which nodes mount (FlashBlade: a data VIP), without a port. If omitted, the
    /// provisioner reads it from the array.
    pub data: Option<String>,
    /// Networks of its interfaces: management, data VIPs, iSCSI portals. The apps' NetworkPolicies block these
    /// networks, and `management` and `data` if they are IP addresses. Mounts are not affected, because the nodes
    /// mount volumes, not the pods.
    #[serde(default)]
    #[schemars(example = ["10.20.9.0/24"])]
    pub networks: Vec<CidrText>,
    /// FlashArray: the transport over which nodes reach its volumes. If omitted, each node uses the first of
    /// `nvme-tcp`, `fc` and `iscsi` that array and node have in common. A change takes effect when a volume is
    /// attached the next time.
    pub transport: Option<TransportSpec>,
    /// FlashArray with `transport: iscsi`: the CHAP passwords of the nodes. The provisioner sets them on the array, and kubelet
    /// passes them to the node service. Add it before the first volume of the array is created: the PersistentVolumes of
    /// earlier ones do not name the Secret, so their nodes cannot log in.
    pub chap: Option<ChapSpec>,
    /// Where its API token is stored. Never the token itself.
    pub token: SecretSource,
    /// Where the CA certificates (PEM) for the array's certificate are stored. If omitted, the provisioner uses
    /// the CA certificates of the machine.
    pub ca: Option<SecretSource>,
    /// The public key that the array's certificate must have, in place of `ca`: `sha256:` and the SHA-256 of the
    /// key in 64 hexadecimal digits.
    pub pin: Option<String>,
    /// ID of the array, as its REST API returns it under `arrays`. If omitted, the provisioner accepts the first
    /// ID that it reads, until it restarts.
    pub id: Option<String>,
    /// Labels for placement. A class selects arrays by them with `arrays`.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// Labels of the nodes that can reach the array, such as `topology.kubernetes.io/zone: a`. Pods with a volume
    /// on it are scheduled to those nodes alone. If omitted, all nodes can reach it.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub topology: BTreeMap<String, String>,
}

/// The transport of an array's block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TransportSpec {
    /// NVMe over TCP.
    #[serde(rename = "nvme-tcp")]
    NvmeTcp,
    /// SCSI over Fibre Channel.
    #[serde(rename = "fc")]
    FibreChannel,
    /// iSCSI.
    #[serde(rename = "iscsi")]
    Iscsi,
}

impl From<TransportSpec> for BlockTransport {
    fn from(from: TransportSpec) -> Self {
        match from {
            TransportSpec::NvmeTcp => Self::NvmeTcp,
            TransportSpec::FibreChannel => Self::FibreChannel,
            TransportSpec::Iscsi => Self::Iscsi,
        }
    }
}

/// The two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ArrayType {
    /// File systems over NFS.
    FlashBlade,
    /// Volumes over iSCSI.
    FlashArray,
}

impl ArrayType {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::FlashBlade => "FlashBlade",
            Self::FlashArray => "FlashArray",
        }
    }
}

/// Where a secret value is stored outside Git: a key of a Secret, or a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// Name of a Secret in the Storage document's namespace.
    #[schemars(extend("format" = "subdomain"))]
    pub secret: Option<String>,
    /// Key in that Secret.
    pub key: Option<String>,
    /// Path of a file, in place of `secret` and `key`, for a provisioner outside the cluster. A relative path
    /// starts at the document's folder.
    pub file: Option<String>,
}

/// The Secret with the CHAP passwords of the nodes at an array.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChapSpec {
    /// Name of the Secret. Each of its keys is the name of a node, with a password of 12 to 255 characters. It must contain
    /// nothing else: every node with a volume of the array reads it.
    #[schemars(extend("format" = "subdomain"))]
    pub secret: String,
    /// Namespace of the Secret: that of the provisioner, if the document installs it.
    #[schemars(extend("format" = "name"))]
    pub namespace: String,
}

/// An existing volume and the claim that receives it. The volume keeps its name and is never destroyed: its
/// PersistentVolume has the reclaim policy `Retain`.
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
    /// Name of the file system or volume on the array.
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
    /// Largest number of claims.
    pub claims: Option<u32>,
    /// Largest sum of the claims' sizes.
    pub capacity: Option<Quantity>,
}
