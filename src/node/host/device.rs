//! Reads a block device past the page cache, and closes folders.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;

use crate::node::decide::{Content, DeviceNumber, PathNode, content};

/// What is read at each end, in bytes.
const END: usize = 1 << 20;
/// The largest block size of devices; buffers for `O_DIRECT` start at a multiple of it.
const ALIGNMENT: usize = 4096;

/// Returns the numbers of a block device.
fn number(file: &File) -> io::Result<DeviceNumber> {
    let metadata = file.metadata()?;
    if !metadata.file_type().is_block_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no block device"));
    }
    Ok(numbers_of(metadata.rdev()))
}

fn numbers_of(device: u64) -> DeviceNumber {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    DeviceNumber { major, minor }
}

/// Reads the first and the last MiB of a device that nothing else uses. The numbers are compared after the device is
/// open: a name is assigned again.
pub(super) fn probe(path: &Path, wanted: DeviceNumber, size: u64) -> io::Result<Content> {
    let flags = OFlags::DIRECT | OFlags::EXCL | OFlags::CLOEXEC;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    let found = number(&file)?;
    if found != wanted {
        let text = format!("{} is device {found} now, and {wanted} was meant", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let end = END as u64;
    if size < 2 * end {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the device is smaller than 2 MiB",
        ));
    }
    Ok(content(&read(&file, 0)?, &read(&file, size - end)?))
}

fn read(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; END + ALIGNMENT];
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = &mut buffer[start..start + END];
    let mut done = 0;
    while done < END {
        let read = rustix::io::pread(file, &mut aligned[done..], at + done as u64)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device ends early"));
        }
        done += read;
    }
    Ok(aligned.to_vec())
}

/// Creates a file without a name in a folder, and drops it. Only what an unusable file system answers is an error: one
/// that is full, or has no such files, is not.
pub(super) fn try_to_write(path: &Path) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Err(error @ (Errno::ROFS | Errno::IO | Errno::UCLEAN | Errno::SHUTDOWN)) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Returns what is at a path.
pub(super) fn node_at(path: &Path) -> PathNode {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => PathNode::Missing,
        Ok(metadata) if metadata.is_dir() => PathNode::Folder,
        Ok(metadata) if metadata.is_file() => PathNode::File,
        Ok(metadata) if metadata.file_type().is_block_device() => {
            PathNode::Device(numbers_of(metadata.rdev()))
        }
        _ => PathNode::Other,
    }
}

/// Sets or clears the flag that keeps also root from creating files. File systems without it have to do with the mode.
fn set_immutable(path: &Path, wanted: bool) -> io::Result<()> {
    let folder = File::open(path)?;
    let Ok(flags) = ioctl_getflags(&folder) else { return Ok(()) };
    if flags.contains(IFlags::IMMUTABLE) != wanted {
        let flags = if wanted { flags | IFlags::IMMUTABLE } else { flags - IFlags::IMMUTABLE };
        match ioctl_setflags(&folder, flags) {
            Err(error) if !wanted => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Creates a folder if it is missing, and closes it.
pub(super) fn seal(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if fs::metadata(path)?.permissions().mode() & 0o777 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000))?;
    }
    set_immutable(path, true)
}

/// Opens a folder again, if it is there.
pub(super) fn unseal(path: &Path) -> io::Result<()> {
    if !matches!(node_at(path), PathNode::Folder) {
        return Ok(());
    }
    set_immutable(path, false)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o750))
}

/// Removes an empty folder or a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match node_at(path) {
        PathNode::Missing => Ok(()),
        PathNode::Folder => {
            set_immutable(path, false)?;
            fs::remove_dir(path)
        }
        PathNode::File => fs::remove_file(path),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a folder nor a file")),
    }
}

/// Creates an empty file that only root may read.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match opened {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_folder_is_closed_and_can_be_removed_when_it_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mount");
        for _ in 0..2 {
            seal(&path).expect("sealed");
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0);
        unseal(&path).expect("open");
        fs::write(path.join("file"), "data").expect("written");
        remove(&path).expect_err("it is not empty");
        assert!(path.join("file").exists());
        fs::remove_file(path.join("file")).expect("removed");
        seal(&path).expect("sealed");
        for _ in 0..2 {
            remove(&path).expect("removed");
        }
        assert_eq!(node_at(&path), PathNode::Missing);
    }

    #[test]
    fn what_is_no_block_device_is_not_probed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        create_file(&path).expect("created");
        create_file(&path).expect("there");
        probe(&path, DeviceNumber::default(), 1 << 30).expect_err("no device");
        assert_eq!(node_at(&path), PathNode::File);
    }
}
