//! Parameters of a StorageClass: the compiler writes them from the storage document, the provisioner reads them.

/// The kind of volumes: [`FILE`] or [`BLOCK`].
pub const BACKEND: &str = "backend";
/// Value of [`BACKEND`]: file systems of a FlashBlade.
pub const FILE: &str = "file";
/// Value of [`BACKEND`]: volumes of a FlashArray.
pub const BLOCK: &str = "block";
/// Labels that an array must have, `key=value` separated by commas.
pub const ARRAYS: &str = "arrays";
/// The snapshot schedule of the class's volumes.
pub const SNAPSHOTS: &str = "snapshots";
/// `true` when a claim's own schedule takes the place of the class's.
pub const CLAIMS_MAY_REDUCE_SNAPSHOTS: &str = "claimsMayReduceSnapshots";
/// Who may mount the class's file systems, as an array's export rules say it.
pub const EXPORT_RULES: &str = "exportRules";
/// Most bytes per second of each of the class's block volumes.
pub const BANDWIDTH: &str = "bandwidth";
/// Most operations per second of each of the class's block volumes.
pub const IOPS: &str = "iops";
/// The file system of a block volume, by the name that CSI gives this parameter.
pub const FILE_SYSTEM: &str = "csi.storage.k8s.io/fstype";
