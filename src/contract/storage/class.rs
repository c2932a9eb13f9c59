//! Storage classes as the platform admin writes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::{ClassSnapshots, Quantity};

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
    /// File classes: who may mount, in place of the networks in `nodes`.
    pub export_rules: Vec<ExportRuleSpec>,
    /// Further mount options, such as `nconnect=8`. `nolock` is refused where several pods share a volume.
    pub mount_options: Vec<String>,
    /// Block classes: file system of new volumes.
    pub file_system: Option<FileSystem>,
    /// Block classes: limits for each volume, which the array keeps.
    pub qos: Option<Qos>,
    /// Labels that an array must have to get volumes of this class.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub arrays: BTreeMap<String, String>,
    /// Whether a claim waits for its first pod, and its volume goes to an array that the pod's node reaches.
    pub wait_for_pod: bool,
    /// Whether claims may be made larger. When left out, they may.
    pub expansion: Option<bool>,
    /// What happens to the volume when its claim is deleted: `Delete` destroys it on the array
    /// (its eradication timer still runs), `Retain` keeps it.
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Snapshots that are taken of the class's volumes by schedule. A volume's own `snapshots` come on top.
    /// When left out, none are taken but those that a volume asks for.
    pub snapshots: Option<ClassSnapshots>,
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

/// Who may mount a file system, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRuleSpec {
    /// A network (CIDR), an address, or a host name. Also a host name with wildcards below a domain of yours, or a
    /// netgroup `@name`: then DNS or a directory decides who that is.
    #[schemars(example = "10.20.0.0/16")]
    pub clients: String,
    /// What they may do. When left out, `read-write`.
    #[serde(default)]
    pub access: ExportAccess,
    /// Whose rights the array takes away. When left out, `none`: kubelet and init containers set owners as root.
    #[serde(default)]
    pub squash: ExportSquash,
}

/// What clients may do on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportAccess {
    /// Read and write.
    #[default]
    ReadWrite,
    /// Read.
    ReadOnly,
}

/// Whom an array takes for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportSquash {
    /// No one: root stays root.
    #[default]
    None,
    /// The root user.
    Root,
    /// Every user.
    All,
}

/// Limits for a volume.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Qos {
    /// Most bytes per second, `1Mi` to `512Gi`.
    #[schemars(example = "500Mi")]
    pub bandwidth: Option<Quantity>,
    /// Most operations per second.
    #[schemars(range(min = 100, max = 100_000_000), example = 10_000)]
    pub iops: Option<u32>,
}
