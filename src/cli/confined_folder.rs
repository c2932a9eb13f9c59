//! Accesses a folder and its contents step by step without following links: a link inside the folder can redirect
//! neither reads nor writes to a place outside.
//!
//! The user names the folder itself, which may be a link. All paths below come from files, from an index, or from Git.
//! Each step is opened relative to the folder before it, so that a step that becomes a link in the meantime is refused
//! as well.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::CommandError;
use super::error::Expected;
use super::path_text::shown;

/// Name of a file while it is being written; the complete file is renamed.
pub(super) const PART: &str = ".pso-gen.part";

/// An open folder.
#[derive(Debug)]
pub(super) struct ConfinedFolder {
    folder: OwnedFd,
    /// Its name for display.
    name: PathBuf,
}

impl ConfinedFolder {
    /// Opens a folder that the user has named.
    pub(super) fn open(folder: &Path) -> Result<Self, CommandError> {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let opened = rustix::fs::openat(CWD, here, FOLDER, Mode::empty());
        let opened = opened.map_err(|error| read(folder, error))?;
        Ok(Self { folder: opened, name: folder.to_owned() })
    }

    /// Opens a folder that the user has named, and creates it if necessary.
    pub(super) fn made(folder: &Path) -> Result<Self, CommandError> {
        fs::create_dir_all(folder)
            .map_err(|source| CommandError::Write { path: shown(folder), source })?;
        Self::open(folder)
    }

    /// Returns the folder at a path below, and creates it if necessary.
    pub(super) fn made_folder(&self, path: &Path) -> Result<Self, CommandError> {
        self.descend(path, true)?.ok_or_else(|| write(&self.name.join(path), Errno::NOENT))
    }

    fn descend(&self, path: &Path, make: bool) -> Result<Option<Self>, CommandError> {
        let mut here = self.again()?;
        for step in steps(path)? {
            let name = here.name.join(step);
            if make {
                match rustix::fs::mkdirat(&here.folder, step, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(write(&name, error)),
                }
            }
            let opened =
                rustix::fs::openat(&here.folder, step, FOLDER | OFlags::NOFOLLOW, Mode::empty());
            match opened {
                Ok(folder) => here = Self { folder, name },
                Err(Errno::NOENT) => return Ok(None),
                Err(_) if here.kind(step) == Some(FileType::Symlink) => return Err(link(&name)),
                Err(Errno::NOTDIR) => return Err(in_the_way(&name, FILE)),
                Err(error) => return Err(read(&name, error)),
            }
        }
        Ok(Some(here))
    }

    /// Returns a second handle of the same folder.
    fn again(&self) -> Result<Self, CommandError> {
        let folder = self.folder.try_clone();
        let folder =
            folder.map_err(|source| CommandError::Read { path: shown(&self.name), source })?;
        Ok(Self { folder, name: self.name.clone() })
    }

    /// Opens the regular file at a path below. Returns `None` when the path is missing or not a regular file, such as a
    /// link.
    pub(super) fn file(&self, path: &Path) -> Result<Option<File>, CommandError> {
        let Some((folder, name)) = self.around(path)? else { return Ok(None) };
        // Opening a pipe without a writer would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(_) if folder.kind(name) != Some(FileType::RegularFile) => return Ok(None),
            Err(error) => return Err(read(&self.name.join(path), error)),
        };
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok(is_file.then_some(file))
    }

    /// Reads up to `most` bytes of the regular file at a path below. Returns `None` when there is no such file.
    pub(super) fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, CommandError> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(most).read_to_end(&mut bytes);
        read.map_err(|source| CommandError::Read { path: shown(&self.name.join(path)), source })?;
        Ok(Some(bytes))
    }

    /// Deletes the file or link at a path below.
    pub(super) fn delete(&self, path: &Path) -> Result<(), CommandError> {
        let Some((folder, name)) = self.around(path)? else { return Ok(()) };
        rustix::fs::unlinkat(&folder.folder, name, AtFlags::empty())
            .map_err(|error| write(&self.name.join(path), error))
    }

    /// Deletes the file or link at a path below, and the folders that become empty by that.
    pub(super) fn remove(&self, path: &Path) -> Result<(), CommandError> {
        self.delete(path)?;
        self.remove_empty_around(path)
    }

    /// Removes the empty folders on the way to a path below, the innermost first.
    pub(super) fn remove_empty_around(&self, path: &Path) -> Result<(), CommandError> {
        for folder in path.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            let Some((around, name)) = self.around(folder)? else { break };
            if rustix::fs::unlinkat(&around.folder, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Writes a file in this folder and replaces an existing one of this name. An existing link is replaced, and not
    /// written through. `mode` as in chmod(2).
    pub(super) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), CommandError> {
        // An aborted run may have left one.
        self.unlink(PART)?;
        self.write_new(PART, bytes, mode)?;
        let placed = self.place(PART, self, name);
        if placed.is_err() {
            let _ = self.unlink(PART);
        }
        placed
    }

    /// Moves a file of this folder to a name in another folder, and replaces an existing file or link.
    pub(super) fn place(&self, file: &str, folder: &Self, name: &str) -> Result<(), CommandError> {
        rustix::fs::renameat(&self.folder, one_step(file)?, &folder.folder, one_step(name)?)
            .map_err(|error| write(&folder.name.join(name), error))
    }

    /// Removes the file or link with this name in this folder, if it exists.
    pub(super) fn unlink(&self, name: &str) -> Result<(), CommandError> {
        match rustix::fs::unlinkat(&self.folder, one_step(name)?, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(write(&self.name.join(name), error)),
        }
    }

    /// Removes the folder with this name in this folder, if it is empty.
    pub(super) fn remove_empty(&self, name: &str) -> Result<(), CommandError> {
        rustix::fs::unlinkat(&self.folder, one_step(name)?, AtFlags::REMOVEDIR)
            .map_err(|error| write(&self.name.join(name), error))
    }

    /// Returns the names in this folder, each with whether it is a folder. Links are not followed.
    pub(super) fn names(&self) -> Result<Vec<(String, bool)>, CommandError> {
        let failed = |error| read(&self.name, error);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                let is_folder = self.kind(&name) == Some(FileType::Directory);
                names.push((name, is_folder));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reserves this folder for this process until the value is dropped or the process ends. Returns false when another
    /// process has reserved it. On a file system without locks it returns true.
    pub(super) fn reserve(&self) -> bool {
        let locked = rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockExclusive);
        locked != Err(Errno::WOULDBLOCK)
    }

    /// Checks that a file can be moved to a path below: no step on the way is a file, and the last one is not a folder.
    /// Creates nothing.
    pub(super) fn fits(&self, path: &Path) -> Result<(), CommandError> {
        let steps = steps(path)?;
        let Some((last, before)) = steps.split_last() else { return Err(outside(path)) };
        let mut here = self.again()?;
        for step in before {
            let name = here.name.join(step);
            match here.kind(*step) {
                None => return Ok(()),
                Some(FileType::Directory) => {}
                Some(FileType::Symlink) => return Err(link(&name)),
                Some(_) => return Err(in_the_way(&name, FILE)),
            }
            let Some(next) = here.descend(step, false)? else { return Ok(()) };
            here = next;
        }
        if here.kind(*last) == Some(FileType::Directory) {
            return Err(in_the_way(&here.name.join(last), "a directory where a file belongs"));
        }
        Ok(())
    }

    /// Writes a new file in this folder.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> Result<(), CommandError> {
        self.write_new(name, bytes, 0o666)
    }

    /// Creates a folder in this one that only its owner can write to, or opens the existing one.
    pub(super) fn private_folder(&self, name: &str) -> Result<Self, CommandError> {
        match rustix::fs::mkdirat(&self.folder, one_step(name)?, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(write(&self.name.join(name), error)),
        }
        let made = self.made_folder(Path::new(name))?;
        let stat = rustix::fs::fstat(&made.folder).map_err(|error| read(&made.name, error))?;
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || stat.st_mode & 0o022 != 0 {
            return Err(CommandError::ForeignFolder { path: shown(&made.name) });
        }
        Ok(made)
    }

    /// Opens a file in this folder for locking, and creates it if necessary.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, CommandError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&self.folder, one_step(name)?, flags, mode);
        file.map(File::from).map_err(|error| write(&self.name.join(name), error))
    }

    /// Writes a new file in this folder. `mode` as in chmod(2).
    pub(super) fn write_new(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), CommandError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let path = || self.name.join(name);
        #[cfg_attr(
            target_os = "linux",
            expect(clippy::useless_conversion, reason = "u16 on macOS")
        )]
        let mode = Mode::from_raw_mode(mode.try_into().unwrap_or(0o600));
        let file = rustix::fs::openat(&self.folder, one_step(name)?, flags, mode);
        let mut file = file.map(File::from).map_err(|error| write(&path(), error))?;
        let written = file.write_all(bytes);
        if written.is_err() {
            let _ = self.unlink(name);
        }
        written.map_err(|source| CommandError::Write { path: shown(&path()), source })
    }

    /// Returns the type of an entry of this folder, without following links.
    fn kind(&self, name: impl rustix::path::Arg) -> Option<FileType> {
        let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// Returns the parent folder of a path below, and the path's last step.
    fn around<'p>(&self, path: &'p Path) -> Result<Option<(Self, &'p Path)>, CommandError> {
        let steps = steps(path)?;
        let Some((last, before)) = steps.split_last() else { return Err(outside(path)) };
        let folder = self.descend(&before.iter().collect::<PathBuf>(), false)?;
        Ok(folder.map(|folder| (folder, *last)))
    }
}

const FILE: &str = "a file where a directory belongs";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Splits a path into its steps, each of which leads one level down.
fn steps(path: &Path) -> Result<Vec<&Path>, CommandError> {
    let step = |component: Component<'_>| matches!(component, Component::Normal(_));
    if path.components().all(step) {
        return Ok(path.iter().map(Path::new).collect());
    }
    Err(outside(path))
}

/// Checks that a name is a single step.
fn one_step(name: &str) -> Result<&Path, CommandError> {
    match steps(Path::new(name))?.as_slice() {
        [only] => Ok(*only),
        _ => Err(outside(Path::new(name))),
    }
}

fn outside(path: &Path) -> CommandError {
    CommandError::NotBelow { path: shown(path) }
}

fn link(path: &Path) -> CommandError {
    CommandError::Link { path: shown(path), expected: Expected::Folder }
}

fn in_the_way(path: &Path, found: &'static str) -> CommandError {
    CommandError::InTheWay { path: shown(path), found }
}

fn read(path: &Path, error: Errno) -> CommandError {
    CommandError::Read { path: shown(path), source: io::Error::from(error) }
}

fn write(path: &Path, error: Errno) -> CommandError {
    CommandError::Write { path: shown(path), source: io::Error::from(error) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Creates a folder to work in, and one outside.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let top = tempfile::tempdir().expect("a folder");
        let (root, outside) = (top.path().join("root"), top.path().join("outside"));
        for folder in [&root, &outside, &root.join("a/b")] {
            fs::create_dir_all(folder).expect("made");
        }
        (top, root, outside)
    }

    #[test]
    fn a_folder_that_becomes_a_link_in_the_meantime_leads_nowhere() {
        let (_top, root, outside) = place();
        let below = ConfinedFolder::open(&root).expect("opens");
        let open = below.made_folder(Path::new("a")).expect("opens");
        fs::rename(root.join("a"), root.join("old")).expect("moved");
        symlink(&outside, root.join("a")).expect("linked");
        // A folder that is open already stays the same folder.
        open.replace("file", b"text", 0o666).expect("written");
        assert!(root.join("old/file").exists());
        let error = below.made_folder(Path::new("a/b")).expect_err("a link");
        assert!(error.to_string().contains("is a link"), "{error}");
        assert!(below.read(Path::new("a/file"), 9).is_err());
        assert!(below.remove(Path::new("a/file")).is_err());
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    }

    #[test]
    fn a_link_is_replaced_or_removed_itself() {
        let (_top, root, outside) = place();
        fs::write(outside.join("file"), "keep").expect("written");
        let below = ConfinedFolder::open(&root).expect("opens");
        for name in ["a/one", "two"] {
            symlink(outside.join("file"), root.join(name)).expect("linked");
            assert_eq!(below.read(Path::new(name), 9).expect("no error"), None);
        }
        below.replace("two", b"text", 0o600).expect("written");
        below.remove(Path::new("a/one")).expect("removed");
        assert_eq!(fs::read(outside.join("file")).expect("there"), b"keep");
        assert_eq!(below.read(Path::new("two"), 9).expect("read"), Some(b"text".to_vec()));
        // `a` is not empty; its file `b` is deleted.
        assert!(root.join("a/b").exists());
        below.replace("a", b"", 0o600).expect_err("a folder");
        assert_eq!(fs::read_dir(&root).expect("a folder").count(), 2, "no part is left");
    }

    #[test]
    fn only_what_is_below_has_a_path() {
        let (_top, root, _) = place();
        let below = ConfinedFolder::open(&root).expect("opens");
        for path in ["../x", "/x", "a/../../x", "..", "", "."] {
            assert!(below.read(Path::new(path), 9).is_err(), "{path}");
            assert!(below.remove(Path::new(path)).is_err(), "{path}");
        }
        assert!(below.create("a/x", b"").is_err());
    }
}
