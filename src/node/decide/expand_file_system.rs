//! The file system's size follows its device: read, expand, read back.

use std::path::Path;

use super::connect::VerifiedDevice;
use super::effect::{Effect, HostError, Outcome};
use crate::node::request::{FsType, NodeError, NodeErrorKind};

/// What a file system may leave unused at the end of its device, in bytes.
fn remainder(fs_type: FsType) -> u64 {
    match fs_type {
        // A last block group that cannot hold its own tables is left out; a group has 32,768 blocks of 4 KiB.
        // <https://docs.kernel.org/filesystems/ext4/overview.html#block-groups>
        FsType::Ext4 => 128 << 20,
        // A last allocation group of less than 64 blocks of 4 KiB is left out (XFS_MIN_AG_BLOCKS).
        FsType::Xfs => 64 << 12,
    }
}

/// The expansion of one mounted file system.
#[derive(Debug, Default)]
pub(super) struct FileSystemExpansion {
    size: Option<u64>,
    expanded: bool,
}

impl FileSystemExpansion {
    /// Returns the next effect; none if the file system fills its device.
    pub(super) fn next(
        &self,
        ready: &VerifiedDevice,
        path: &Path,
        fs_type: FsType,
    ) -> Result<Option<Effect>, NodeError> {
        let device = ready.device.clone();
        let path = path.to_owned();
        match self.size {
            None => Ok(Some(Effect::ReadFileSystemSize { device, path, fs_type })),
            Some(size) if size >= ready.size => Ok(None),
            Some(_) if !self.expanded => {
                Ok(Some(Effect::ExpandFileSystem { device, path, fs_type }))
            }
            Some(size) if size.saturating_add(remainder(fs_type)) >= ready.size => Ok(None),
            Some(size) => Err(NodeError::new(
                NodeErrorKind::Internal,
                format!(
                    "the file system at {} still has {size} bytes after its expansion to the {} bytes of {}",
                    path.display(),
                    ready.size,
                    ready.device.name
                ),
            )),
        }
    }

    pub(super) fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: &Result<Outcome, HostError>,
    ) -> Result<(), NodeError> {
        match (effect, outcome) {
            (Effect::ReadFileSystemSize { .. }, Ok(Outcome::Size(size))) => self.size = Some(*size),
            (Effect::ExpandFileSystem { .. }, Ok(_)) => *self = Self { size: None, expanded: true },
            (Effect::ReadFileSystemSize { .. } | Effect::ExpandFileSystem { .. }, Err(error)) => {
                return Err(error.clone().into());
            }
            _ => {}
        }
        Ok(())
    }
}
