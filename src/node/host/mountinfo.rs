//! The mounts of the host: `/proc/1/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::node::decide::{DeviceNumber, Mount};
use crate::node::request::FsType;

/// Parses a mountinfo file. Lines that are none are left out.
/// <https://www.kernel.org/doc/html/latest/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts>
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (own, file_system) = line.split_once(" - ")?;
    let mut fields = own.split(' ').skip(2);
    let (number, root, path, options) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        path: unescaped(path),
        number: device_number(number)?,
        root: unescaped(root),
        read_only: is_read_only(options),
        aborted: is_read_only(file_system.split(' ').nth(2).unwrap_or_default()),
        errors: false,
        fs_type: file_system.split(' ').next().and_then(FsType::parse),
    })
}

/// Parses `8:16`.
pub(super) fn device_number(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// Spaces and other characters are written as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let octal = others
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &others[3..] } else { others };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_devices_and_both_kinds_of_read_only() {
        let text = "36 35 254:0 / /var/lib/kubelet/a\\040b rw,noatime shared:1 - ext4 /dev/dm-0 ro,errors=remount-ro\n\
                    37 35 0:6 /dm-1 /target ro shared:2 master:3 - devtmpfs udev rw,size=1k\nnonsense\n";
        let mounts = mounts(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].path, PathBuf::from("/var/lib/kubelet/a b"));
        assert_eq!(mounts[0].number, DeviceNumber { major: 254, minor: 0 });
        assert!(mounts[0].aborted && !mounts[0].read_only);
        assert_eq!(mounts[1].root, PathBuf::from("/dm-1"));
        assert!(mounts[1].read_only && !mounts[1].aborted);
    }
}
