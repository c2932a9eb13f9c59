//! What is on a device, from its first and last MiB. Tools that guess are not asked: they take a device that cannot be
//! read for an empty one.

use crate::node::request::FsType;

/// What is on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Both ends are zeros.
    Zeros,
    /// A complete file system.
    FileSystem(FsType),
    /// Anything else.
    Other,
}

/// Returns what is on a device.
pub fn content(first: &[u8], last: &[u8]) -> Content {
    if first.iter().chain(last).all(|byte| *byte == 0) {
        return Content::Zeros;
    }
    // <https://docs.kernel.org/filesystems/ext4/globals.html#super-block>: offset 1024; magic, 16 bits, at 0x38;
    // compatible features at 0x5c, of which 0x4 is the journal; incompatible ones at 0x60, of which 0x40 are extents.
    let ext = |at: usize| first.get(1024 + at).copied().unwrap_or_default();
    let is_ext = (ext(0x38), ext(0x39)) == (0x53, 0xef);
    // mkfs.xfs sets `sb_inprogress`, the byte at 126, until all is written.
    // <https://git.kernel.org/pub/scm/fs/xfs/xfsprogs-dev.git/tree/libxfs/xfs_format.h>
    let is_xfs = first.starts_with(b"XFSB");
    match (is_ext, is_xfs) {
        (true, false) if ext(0x5c) & 0x4 != 0 && ext(0x60) & 0x40 != 0 => {
            Content::FileSystem(FsType::Ext4)
        }
        (false, true) if first.get(126) == Some(&0) => Content::FileSystem(FsType::Xfs),
        _ => Content::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(bytes: &[(usize, u8)]) -> Vec<u8> {
        let mut all = vec![0; 1 << 20];
        for (at, byte) in bytes {
            all[*at] = *byte;
        }
        all
    }

    #[test]
    fn only_zeros_at_both_ends_are_an_empty_volume() {
        let zeros = with(&[]);
        assert_eq!(content(&zeros, &zeros), Content::Zeros);
        for at in [0, 511, (1 << 20) - 1] {
            assert_eq!(content(&with(&[(at, 1)]), &zeros), Content::Other);
            assert_eq!(content(&zeros, &with(&[(at, 1)])), Content::Other);
        }
    }

    #[test]
    fn a_complete_file_system_is_recognised_and_one_that_is_being_created_is_not() {
        let zeros = with(&[]);
        let ext4 = with(&[(1080, 0x53), (1081, 0xef), (1024 + 0x5c, 4), (1024 + 0x60, 0x40)]);
        assert_eq!(content(&ext4, &zeros), Content::FileSystem(FsType::Ext4));
        let ext2 = with(&[(1080, 0x53), (1081, 0xef)]);
        assert_eq!(content(&ext2, &zeros), Content::Other);
        let mut xfs = zeros.clone();
        xfs[..4].copy_from_slice(b"XFSB");
        assert_eq!(content(&xfs, &zeros), Content::FileSystem(FsType::Xfs));
        xfs[126] = 1;
        assert_eq!(content(&xfs, &zeros), Content::Other);
    }
}
