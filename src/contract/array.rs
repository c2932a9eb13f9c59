//! What the provisioner knows of an array: its kind, its capacity, how nodes reach its volumes, and whether a
//! failed operation is worth another try. Knows no request.

/// What sizes of a FlashArray's volumes are rounded up to, in bytes. The array accepts multiples of 512 from 1 MiB on; in
/// whole mebibytes one size is written in the same way on the claim, on the PersistentVolume and on the array.
pub const BLOCK_STEP: u64 = 1 << 20;

/// The two kinds of array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayKind {
    /// File systems over NFS.
    FlashBlade,
    /// Volumes over iSCSI.
    FlashArray,
}

impl ArrayKind {
    /// Returns the size in bytes that a volume gets for so many.
    pub(crate) fn rounded(self, bytes: u64) -> u64 {
        match self {
            Self::FlashBlade => bytes,
            Self::FlashArray => bytes.checked_next_multiple_of(BLOCK_STEP).unwrap_or(bytes),
        }
    }
}

/// How full an array is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// What it can hold.
    pub total: u64,
    /// What is used of that, after data reduction.
    pub used: u64,
    /// What has been given out in sizes of volumes; none when the array does not say.
    pub provisioned: Option<u64>,
}

/// Where clients reach the volumes of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Data addresses of a FlashBlade; a file system is at `address:/name`.
    Nfs {
        /// Addresses, at least one.
        addresses: Vec<String>,
    },
    /// Portals of a FlashArray.
    Iscsi {
        /// Its one target name (IQN).
        target: String,
        /// Addresses with port, of both controllers.
        portals: Vec<String>,
    },
}

/// Whether to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It passes by itself.
    Soon,
    /// Somebody has to do something first, but need not tell us.
    Later,
    /// This array has no room; another one may have.
    Elsewhere,
    /// It stays so for what was asked.
    Never,
}
