//! The platform admin's document: arrays, classes, quotas. Written once per cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod class;
mod provisioner;

use super::{CidrText, Quantity};
pub use class::{
    BaseClass, ClassSpec, ExportAccess, ExportRuleSpec, ExportSquash, FileSystem, NfsVersion, Qos,
    ReclaimPolicy,
};
pub use provisioner::{
    BindingSpec, Foreign, KubernetesApi, Monitoring, ProvisionerNetwork, ProvisionerSpec,
};

/// What a `kind: Storage` document's `spec` holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageSpec {
    /// Name of this cluster, the first part of every volume's name on an array. At most 22
    /// characters, unique among the clusters that share an array, and never changed: volumes are
    /// found again by it.
    #[schemars(extend("format" = "name"), example = "prod-a")]
    pub cluster: String,
    /// Identities of clusters that are gone for good and had this name, for a cluster that was built anew: the
    /// provisioner takes over their registrations and their volumes. Each is 16 hexadecimal digits, which
    /// the refusal names.
    #[serde(default)]
    #[schemars(example = ["3f2a9c1e7b4d4e1a"])]
    pub take_over: Vec<ClusterIdentity>,
    /// Networks of the cluster's nodes. Export rules follow from it: no other machine can mount. Networks wider
    /// than /8 (IPv6: /32) are warned of, and those of all addresses refused.
    #[serde(default)]
    pub nodes: Vec<NodeNetwork>,
    /// The arrays.
    #[serde(default)]
    pub arrays: Vec<ArraySpec>,
    /// The classes; `pure-file` and `pure-block` are there even when left out.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "subdomain"}))]
    pub classes: BTreeMap<String, ClassSpec>,
    /// Upper limits by namespace and class; each becomes part of a ResourceQuota.
    #[serde(default)]
    pub quotas: Vec<QuotaSpec>,
    /// Volumes that are there already and become those of claims, with what is on them.
    #[serde(default)]
    pub imports: Vec<ImportSpec>,
    /// How the provisioner is installed in the cluster. When left out it is not: there are only the classes
    /// and quotas, for a provisioner that runs beside the cluster.
    pub provisioner: Option<ProvisionerSpec>,
}

/// The identity of a cluster: the beginning of the UID of its namespace `kube-system`.
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
    /// How it is called in events, metrics and placement.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// What it is.
    pub r#type: ArrayType,
    /// Host name or address of its management interface, with `:port` when it is not 443. Always https.
    pub management: String,
    /// One host name or address from which nodes mount (FlashBlade: a data VIP), without a port. When left
    /// out, it is read from the array.
    pub data: Option<String>,
    /// Networks of its interfaces: management, data VIPs, iSCSI portals. The apps' NetworkPolicies block these
    /// networks, and `management` and `data` when those are IP addresses. Mounts are not affected: the nodes
    /// mount volumes, not the pods.
    #[serde(default)]
    #[schemars(example = ["10.20.9.0/24"])]
    pub networks: Vec<CidrText>,
    /// Where its API token is: never the token itself.
    pub token: SecretSource,
    /// Where the certificates of the authorities are (PEM) by one of which its own must be signed. When
    /// left out, it must be signed by one that the machine trusts.
    pub ca: Option<SecretSource>,
    /// The one key that its certificate must have, in place of `ca`: SHA-256 of the public key, such as
    /// `sha256:` and 64 hexadecimal digits.
    pub pin: Option<String>,
    /// Its id, as `arrays` of its REST API returns it. When left out, the one that is seen first counts
    /// until the provisioner restarts.
    pub id: Option<String>,
    /// Labels for placement: a class may ask for them with `arrays`.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// Labels of the nodes that reach it, such as `topology.kubernetes.io/zone: a`. Pods with a volume on it
    /// are scheduled to those nodes alone. When left out, all nodes reach it.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
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

impl ArrayType {
    /// Returns the word for it in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::FlashBlade => "FlashBlade",
            Self::FlashArray => "FlashArray",
        }
    }
}

/// Where something is that does not belong into Git: a key of a Secret, or a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// Name of a Secret in the Storage document's namespace.
    #[schemars(extend("format" = "subdomain"))]
    pub secret: Option<String>,
    /// Key in that Secret.
    pub key: Option<String>,
    /// Path of a file, in place of `secret` and `key`: for a provisioner outside of a cluster. A relative
    /// one begins at the document's folder.
    pub file: Option<String>,
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
