//! Storage classes in the storage document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::{ClassSnapshots, Quantity};

/// One storage class. Kubernetes does not allow changes to an existing class; declare a new one instead.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ClassSpec {
    /// For an additional class: the built-in class that it is based on, `pure-file` or `pure-block`.
    pub like: Option<BaseClass>,
    /// Whether claims without a class get this one.
    pub default: bool,
    /// File classes: NFS version, `3` or `4.1`.
    pub nfs: Option<NfsVersion>,
    /// File classes: clients that may mount, in place of the networks in `nodes`.
    pub export_rules: Vec<ExportRuleSpec>,
    /// Additional mount options, such as `nconnect=8`. `nolock` is refused if several pods share a volume.
    pub mount_options: Vec<String>,
    /// Block classes: file system of new volumes.
    pub file_system: Option<FileSystem>,
    /// Block classes: limits for each volume, which the array enforces.
    pub qos: Option<Qos>,
    /// Labels that an array must have to receive volumes of this class.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub arrays: BTreeMap<String, String>,
    /// Whether a claim waits for its first pod, so that its volume is created on an array that the pod's node can
    /// reach.
    pub wait_for_pod: bool,
    /// Whether claims may be expanded. The default is true.
    pub expansion: Option<bool>,
    /// What happens to the volume when its claim is deleted: `Delete` destroys it on the array (its eradication
    /// timer still runs), `Retain` keeps it.
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Snapshots that the array takes of the class's volumes by schedule. A volume's own `snapshots` are added to
    /// them. If omitted, only the snapshots of the volumes' own policies are taken.
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
    /// Returns the name that `mkfs` uses.
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
    /// The volume is destroyed on the array.
    Delete,
    /// The volume is kept.
    Retain,
}

/// An export rule: clients that may mount a file system, and their rights.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRuleSpec {
    /// A network (CIDR), an address, or a host name. Also a host name with wildcards below one of your domains,
    /// or a netgroup `@name`; DNS or a directory then decides which machines match.
    #[schemars(example = "10.20.0.0/16")]
    pub clients: String,
    /// Access of the clients. The default is `read-write`.
    #[serde(default)]
    pub access: ExportAccess,
    /// Users that the array maps to the anonymous user. The default is `none`: kubelet and init containers set
    /// owners as root.
    #[serde(default)]
    pub squash: ExportSquash,
}

/// Access of clients to a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportAccess {
    /// Read and write.
    #[default]
    ReadWrite,
    /// Read.
    ReadOnly,
}

/// Users that an array maps to the anonymous user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportSquash {
    /// None: root keeps its rights.
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
    /// Largest number of bytes per second, `1Mi` to `512Gi`.
    #[schemars(example = "500Mi")]
    pub bandwidth: Option<Quantity>,
    /// Largest number of operations per second.
    #[schemars(range(min = 100, max = 100_000_000), example = 10_000)]
    pub iops: Option<u32>,
}
