//! Keys of a StorageClass's parameters. The compiler writes them from the storage document, and the provisioner reads
//! them.

/// The kind of volumes: [`FILE`] or [`BLOCK`].
pub const BACKEND: &str = "backend";
/// Value of [`BACKEND`]: file systems of a FlashBlade.
pub const FILE: &str = "file";
/// Value of [`BACKEND`]: volumes of a FlashArray.
pub const BLOCK: &str = "block";
/// Labels that an array must have, as `key=value` separated by commas.
pub const ARRAYS: &str = "arrays";
/// The snapshot schedule of the class's volumes.
pub const SNAPSHOTS: &str = "snapshots";
/// `true` when a claim's own schedule replaces that of the class.
pub const CLAIMS_MAY_REDUCE_SNAPSHOTS: &str = "claimsMayReduceSnapshots";
/// The clients that may mount the class's file systems, in the syntax of an array's export rules.
pub const EXPORT_RULES: &str = "exportRules";
/// Limit of each of the class's block volumes, in bytes per second.
pub const BANDWIDTH: &str = "bandwidth";
/// Limit of each of the class's block volumes, in operations per second.
pub const IOPS: &str = "iops";
/// The file system on a block volume. CSI defines the name of this parameter.
pub const FILE_SYSTEM: &str = "csi.storage.k8s.io/fstype";
