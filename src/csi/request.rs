//! What requests of several services have in common, from CSI's fields to plain words. What CSI requires and a request
//! lacks is an `INVALID_ARGUMENT`. <https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md>

use std::path::{Component, PathBuf};

use tonic::{Code, Status};

use super::error::{invalid, status};
use super::message::{AccessType, CapacityRange, Mode, VolumeCapability};
use crate::node::{Access, FsType, VolumeHandle, VolumeMode};
use crate::sanitize::quoted;

/// Returns a field that a request must have.
pub(super) fn required<'r>(field: &str, text: &'r str) -> Result<&'r str, Status> {
    if text.is_empty() {
        return Err(invalid(&format!("the request has no {field}")));
    }
    Ok(text)
}

/// Parses the id of a volume. Kubernetes keeps it for ever, so one of another form belongs to no volume.
pub(super) fn handle(volume_id: &str) -> Result<VolumeHandle, Status> {
    required("volume_id", volume_id)?;
    volume_id.parse().map_err(|error| {
        status(Code::NotFound, &format!("no volume has the id {}: {error}", quoted(volume_id)))
    })
}

/// Parses a path. A relative one, or one with `..`, could lead anywhere.
pub(super) fn path(field: &str, text: &str) -> Result<PathBuf, Status> {
    let path = PathBuf::from(required(field, text)?);
    if !path.is_absolute() || path.components().any(|step| step == Component::ParentDir) {
        let path = quoted(text);
        return Err(invalid(&format!("{field} is {path}; it must be absolute, without `..`")));
    }
    Ok(path)
}

/// Parses a capability: what pods see, and which of them.
pub(super) fn capability(
    capability: Option<&VolumeCapability>,
) -> Result<(VolumeMode, Access), Status> {
    let Some(capability) = capability else {
        return Err(invalid("the request has no volume_capability"));
    };
    let mode = match &capability.access_type {
        None => return Err(invalid("volume_capability has neither `block` nor `mount`")),
        Some(AccessType::Block(_)) => VolumeMode::Block,
        Some(AccessType::Mount(mount)) => {
            let fs_type = match mount.fs_type.as_str() {
                // As Kubernetes' sidecars have it.
                "" => FsType::Ext4,
                word => FsType::parse(word).ok_or_else(|| {
                    let word = quoted(word);
                    invalid(&format!(
                        "the file system is {word}; set `csi.storage.k8s.io/fstype` of the StorageClass to ext4 or xfs"
                    ))
                })?,
            };
            let group = match mount.volume_mount_group.as_str() {
                "" => None,
                group => Some(group.parse().map_err(|_| {
                    invalid(&format!("volume_mount_group is {}, not a group id", quoted(group)))
                })?),
            };
            VolumeMode::FileSystem { fs_type, mount_options: mount.mount_flags.clone(), group }
        }
    };
    let Some(access_mode) = &capability.access_mode else {
        return Err(invalid("volume_capability has no access_mode"));
    };
    let access = match Mode::try_from(access_mode.mode) {
        Err(_) | Ok(Mode::Unknown) => {
            return Err(invalid("volume_capability has no known access_mode"));
        }
        Ok(Mode::SingleNodeWriter | Mode::SingleNodeSingleWriter | Mode::SingleNodeMultiWriter) => {
            Access::SingleNodeWriter
        }
        Ok(Mode::SingleNodeReaderOnly) => Access::SingleNodeReader,
        Ok(Mode::MultiNodeReaderOnly) => Access::MultiNodeReader,
        Ok(Mode::MultiNodeSingleWriter | Mode::MultiNodeMultiWriter) => Access::MultiNodeWriter,
    };
    Ok((mode, access))
}

/// Fails when a block volume cannot be used in this way: a file system on it corrupts when several nodes mount it.
pub(super) fn check_shared(mode: &VolumeMode, access: Access) -> Result<(), Status> {
    let shared = matches!(access, Access::MultiNodeReader | Access::MultiNodeWriter);
    if shared && *mode != VolumeMode::Block {
        return Err(invalid(
            "a file system on a block volume is for one node; use ReadWriteOnce or ReadWriteOncePod, volumeMode Block, or a class of files",
        ));
    }
    Ok(())
}

/// The sizes that a request allows, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The smallest; 0 if any will do.
    pub(super) smallest: u64,
    /// The largest. `None` without a limit.
    pub(super) largest: Option<u64>,
}

impl Sizes {
    /// Parses a range. Zero stands for a field that is left out.
    pub(super) fn of(range: Option<&CapacityRange>) -> Result<Self, Status> {
        let range = range.cloned().unwrap_or_default();
        let bytes = |field: &str, value: i64| {
            u64::try_from(value).map_err(|_| {
                status(Code::InvalidArgument, &format!("{field} is {value}, less than nothing"))
            })
        };
        let smallest = bytes("required_bytes", range.required_bytes)?;
        let largest = Some(bytes("limit_bytes", range.limit_bytes)?).filter(|limit| *limit > 0);
        if largest.is_some_and(|largest| largest < smallest) {
            return Err(invalid("limit_bytes is less than required_bytes"));
        }
        Ok(Self { smallest, largest })
    }

    /// Returns whether a size is one of them.
    pub(super) fn contain(self, size: u64) -> bool {
        size >= self.smallest && self.largest.is_none_or(|largest| size <= largest)
    }
}

/// Returns a number of bytes in CSI's type.
pub(super) fn bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csi::message::{AccessMode, BlockVolume, MountVolume};

    fn requested_capability(fs_type: &str, group: &str, mode: i32) -> VolumeCapability {
        let mount = MountVolume {
            fs_type: fs_type.to_owned(),
            mount_flags: vec!["noatime".to_owned()],
            volume_mount_group: group.to_owned(),
        };
        VolumeCapability {
            access_type: Some(AccessType::Mount(mount)),
            access_mode: Some(AccessMode { mode }),
        }
    }

    #[test]
    fn a_capability_says_what_pods_see_and_which_of_them() {
        let block = VolumeCapability {
            access_type: Some(AccessType::Block(BlockVolume {})),
            access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        };
        let read = capability(Some(&block)).expect("right");
        assert_eq!(read, (VolumeMode::Block, Access::MultiNodeWriter));
        for (word, fs_type) in [("", FsType::Ext4), ("ext4", FsType::Ext4), ("xfs", FsType::Xfs)] {
            let (mode, access) =
                capability(Some(&requested_capability(word, "70", 1))).expect("right");
            let mount_options = vec!["noatime".to_owned()];
            assert_eq!(mode, VolumeMode::FileSystem { fs_type, mount_options, group: Some(70) });
            assert_eq!(access, Access::SingleNodeWriter);
        }
        let wrong = [
            requested_capability("ntfs", "", 1),
            requested_capability("", "wheel", 1),
            requested_capability("", "", 0),
            requested_capability("", "", 99),
            VolumeCapability { access_mode: None, ..requested_capability("", "", 1) },
            VolumeCapability { access_type: None, ..requested_capability("", "", 1) },
        ];
        for wrong in wrong.iter().map(Some).chain([None]) {
            let error = capability(wrong).expect_err("wrong");
            assert_eq!(error.code(), Code::InvalidArgument, "{wrong:?}");
        }
    }

    #[test]
    fn a_file_system_is_for_one_node() {
        for number in 1..=7 {
            let (mode, access) =
                capability(Some(&requested_capability("", "", number))).expect("right");
            let is_for_one = matches!(number, 1 | 2 | 6 | 7);
            assert_eq!(check_shared(&mode, access).is_ok(), is_for_one, "{number}");
            assert!(check_shared(&VolumeMode::Block, access).is_ok());
        }
    }

    #[test]
    fn paths_and_ids_are_checked() {
        assert_eq!(handle("").expect_err("none").code(), Code::InvalidArgument);
        assert_eq!(handle("fake").expect_err("foreign").code(), Code::NotFound);
        assert_eq!(handle("a/b").expect("ours").to_string(), "a/b");
        assert!(path("target_path", "/var/lib/kubelet/pods/1").is_ok());
        for wrong in ["", "a", "./a", "/a/../b", "/.."] {
            let error = path("target_path", wrong).expect_err("wrong");
            assert_eq!(error.code(), Code::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_a_range() {
        let range = |required_bytes, limit_bytes| {
            Sizes::of(Some(&CapacityRange { required_bytes, limit_bytes }))
        };
        assert_eq!(Sizes::of(None).expect("any"), Sizes { smallest: 0, largest: None });
        let both = range(5, 7).expect("right");
        assert!([5, 6, 7].iter().all(|size| both.contain(*size)));
        assert!(!both.contain(4) && !both.contain(8));
        assert!(range(5, 0).expect("no limit").contain(u64::MAX));
        for (required, limit) in [(-1, 0), (0, -1), (2, 1)] {
            assert_eq!(range(required, limit).expect_err("wrong").code(), Code::InvalidArgument);
        }
        assert_eq!((bytes(7), bytes(u64::MAX)), (7, i64::MAX));
    }
}
