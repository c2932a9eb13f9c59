//! What CSI's Node service asks for, in the product's own words: requests, answers and errors. Knows neither gRPC nor
//! devices.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::contract::{Attachment, ChapSecret};

/// Identifies a volume: CSI's volume handle, `ARRAY_ID/VOLUME_ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeHandle {
    /// The id that the array has given itself.
    pub array_id: String,
    /// The id of the volume on that array.
    pub volume_id: String,
}

impl fmt::Display for VolumeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.array_id, self.volume_id)
    }
}

impl FromStr for VolumeHandle {
    type Err = InvalidHandle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_id = |id: &str| {
            !id.is_empty()
                && !id.starts_with('.')
                && !id.contains('/')
                && !id.contains(char::is_control)
        };
        match text.split_once('/') {
            Some((array, volume)) if is_id(array) && is_id(volume) => {
                Ok(Self { array_id: array.to_owned(), volume_id: volume.to_owned() })
            }
            _ => Err(InvalidHandle),
        }
    }
}

/// The text is no volume handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a volume handle has the form ARRAY_ID/VOLUME_ID")]
pub struct InvalidHandle;

/// A file system that the node service creates, checks and expands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FsType {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl FsType {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// Returns its name, as `mount` and StorageClasses write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Returns the file system of a name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.word() == word)
    }
}

/// How a pod uses a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeMode {
    /// A file system on the volume is mounted.
    FileSystem {
        /// Its type.
        fs_type: FsType,
        /// Further options of the mount, from the class and from kubelet (`context=` of SELinux).
        mount_options: Vec<String>,
        /// The group that owns the root folder, when the caller delegates `fsGroup` to the driver.
        group: Option<u32>,
    },
    /// The pod gets the block device.
    Block,
}

/// Who may use a volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// One node writes.
    SingleNodeWriter,
    /// One node reads.
    SingleNodeReader,
    /// Several nodes read.
    MultiNodeReader,
    /// Several nodes write: raw block volumes only.
    MultiNodeWriter,
}

/// Stages a volume: connects this node to it and mounts its file system at the staging path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRequest {
    /// The volume.
    pub handle: VolumeHandle,
    /// Where its file system is mounted. A block volume only has its record there.
    pub staging: PathBuf,
    /// File system or raw block.
    pub mode: VolumeMode,
    /// What the attacher says of it.
    pub attachment: Attachment,
    /// Who may use it.
    pub access: Access,
    /// The passwords of the nodes at the array.
    pub passwords: ChapSecret,
}

/// Publishes a staged volume to one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The volume.
    pub handle: VolumeHandle,
    /// Where it is staged.
    pub staging: PathBuf,
    /// The pod's path: a folder for a file system, a file for a block device.
    pub target: PathBuf,
    /// File system or raw block.
    pub mode: VolumeMode,
    /// Whether the pod may only read.
    pub read_only: bool,
}

/// Expands a volume on the node after the array has expanded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandRequest {
    /// The volume.
    pub handle: VolumeHandle,
    /// A path at which it is staged or published.
    pub path: PathBuf,
    /// Where it is staged.
    pub staging: Option<PathBuf>,
    /// The size that the device must have at least, in bytes.
    pub wanted: Option<u64>,
    /// File system or raw block; none if the caller does not say it. The state file and the mount say it too.
    pub mode: Option<VolumeMode>,
}

/// Figures of bytes or inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// What a program without privileges can still use.
    pub available: u64,
}

/// Usage and condition of a published volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeStats {
    /// Bytes. Of a block device, and of a volume that is not asked because it may hang, only the total is known; it is 0
    /// if the device is gone. kubelet reads the condition only if there is at least one entry:
    /// <https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/csi/csi_client.go>.
    pub bytes: Usage,
    /// Inodes of a file system that has a limit.
    pub inodes: Option<Usage>,
    /// What is abnormal about the volume, for people; none if it is healthy.
    pub abnormal: Option<String>,
}

/// The paths of a staged volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePaths {
    /// The array, by the id that it has given itself.
    pub array_id: String,
    /// The number of paths that the volume has.
    pub paths: usize,
    /// The number of paths that it should have.
    pub expected: usize,
}

/// The state of a node's volumes at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// The volumes that are staged, or why they are unknown.
    pub volumes: Result<Vec<VolumePaths>, NodeError>,
    /// The number of devices, mounts and programs of the host that have not answered within their time limit.
    pub hanging: usize,
}

/// What this node reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeIdentity {
    /// Its name and the names of its initiators.
    pub id: crate::contract::NodeId,
    /// The most volumes of pso-gen that it can have at once; none if there is no limit.
    pub max_volumes: Option<u32>,
    /// Its topology: label and value.
    pub topology: Vec<(String, String)>,
}

/// The kind of an error, with the meaning of the gRPC code of the same name.
/// <https://github.com/container-storage-interface/spec/blob/master/spec.md#error-scheme>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeErrorKind {
    /// The request itself is invalid.
    InvalidArgument,
    /// The volume is not known on this node.
    NotFound,
    /// The host, the volume or the array is in a state that forbids it; people have to act.
    FailedPrecondition,
    /// Another operation on the same volume is running.
    Aborted,
    /// The node has as many volumes as it can have.
    ResourceExhausted,
    /// The size cannot be provided.
    OutOfRange,
    /// A command of the host did not end in time.
    DeadlineExceeded,
    /// The array cannot be reached at the moment.
    Unavailable,
    /// A command of the host failed.
    Internal,
}

/// An error of the node service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NodeError {
    /// Its kind.
    pub kind: NodeErrorKind,
    /// Text for events and logs: what failed, why, and what the admin can do.
    pub message: String,
}

impl NodeError {
    /// Returns an error.
    pub fn new(kind: NodeErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_as_it_was_written() {
        let handle = VolumeHandle { array_id: "a-1".to_owned(), volume_id: "v-1".to_owned() };
        assert_eq!(handle.to_string().parse(), Ok(handle));
        for text in ["", "a", "a/", "/v", "a/b/c", "../v", "a/..", "a/\n"] {
            assert_eq!(text.parse::<VolumeHandle>(), Err(InvalidHandle), "{text}");
        }
    }
}
