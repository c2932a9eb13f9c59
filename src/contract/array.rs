//! Facts about an array: its kind, its capacity, the transport to its volumes, and whether a
//! failed operation is worth a retry. Knows nothing about REST requests.

use super::BlockTarget;

/// The sizes of a FlashArray's volumes are rounded up to multiples of this, in bytes. The array accepts multiples of
/// 512 from 1 MiB on. With whole mebibytes, the claim, the PersistentVolume and the array show the same size.
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
    /// Returns the size in bytes of the volume that the array creates for a request of `bytes`.
    pub(crate) fn rounded(self, bytes: u64) -> u64 {
        match self {
            Self::FlashBlade => bytes,
            Self::FlashArray => bytes.checked_next_multiple_of(BLOCK_STEP).unwrap_or(bytes),
        }
    }
}

/// Capacity of an array, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Total capacity.
    pub total: u64,
    /// Used capacity, after data reduction.
    pub used: u64,
    /// Provisioned capacity: the sum of the sizes of all volumes. `None` when the array does not report it.
    pub provisioned: Option<u64>,
}

/// Data addresses of an array, where clients reach its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Data addresses of a FlashBlade; a file system is at `address:/name`.
    Nfs {
        /// Addresses, at least one.
        addresses: Vec<String>,
    },
    /// Ports of a FlashArray, by transport, in the order of [`BlockTransport::ALL`](super::BlockTransport::ALL); at least one.
    Block(Vec<BlockTarget>),
}

/// Whether and when to retry a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The problem passes by itself: retry soon.
    Soon,
    /// An administrator has to fix the problem first: retry at longer intervals.
    Later,
    /// This array is full: try another one.
    Elsewhere,
    /// The request itself cannot be fulfilled: do not retry.
    Never,
}
