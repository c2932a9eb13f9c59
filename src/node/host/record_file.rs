//! The file of open-iscsi's record of a port, for the one setting that iscsiadm takes only as an argument: the password.
//! Settings and their names: <https://github.com/open-iscsi/open-iscsi/blob/master/etc/iscsid.conf.in>.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::contract::ChapPassword;

/// Where distributions keep the records, below the root folder of iscsid.
const FOLDERS: [&str; 3] = ["etc/iscsi/nodes", "var/lib/iscsi/nodes", "usr/local/etc/iscsi/nodes"];
const METHOD: &str = "node.session.auth.authmethod";
const USER: &str = "node.session.auth.username";
const PASSWORD: &str = "node.session.auth.password";
/// The last line of a record.
const END: &str = "# END RECORD";

/// Writes name and password of this node to the record of a port. The file can then be read by root only.
pub(super) fn write(
    root: &Path,
    target: &str,
    (address, port): (&str, &str),
    user: &str,
    password: &ChapPassword,
) -> io::Result<()> {
    let mut found = false;
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        for file in files(&folder, target, address, port) {
            let text = fs::read_to_string(&file)?;
            replace(&folder, &file, &with_chap(&text, user, password))?;
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    let folders = FOLDERS.join(", ");
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "no record of port {port} at {address} is below any of {folders}, so its password cannot be set"
        ),
    ))
}

/// Writes a record whole or not at all: iscsid and iscsiadm fail at one that is cut off.
fn replace(folder: &Path, file: &Path, text: &str) -> io::Result<()> {
    let hash = Sha256::digest(file.as_os_str().as_encoded_bytes());
    let (high, _) = hash.split_at(8);
    let name = high.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // Beside the folder of records: iscsiadm takes every file below it for a record.
    let new = folder.with_file_name(format!(".pso-gen-record-{name:016x}"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What an earlier process left is gone.
        _ => {}
    }
    let replaced = fill(fs::OpenOptions::new().create_new(true), &new, text)
        .and_then(|()| fs::rename(&new, file));
    match replaced {
        // The folder of records is a mount of its own, below one that takes no files.
        Err(error) if is_of_another_mount(error.kind()) => {
            let _ = fs::remove_file(&new);
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
            fill(fs::OpenOptions::new().truncate(true), file, text)
        }
        replaced => {
            replaced?;
            fs::File::open(file.parent().unwrap_or(folder))?.sync_all()
        }
    }
}

fn is_of_another_mount(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::CrossesDevices | io::ErrorKind::ReadOnlyFilesystem)
}

fn fill(options: &mut fs::OpenOptions, path: &Path, text: &str) -> io::Result<()> {
    let mut file = options.write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Returns the files of a port's record in a folder of records: `TARGET/ADDRESS,PORT`, or `TARGET/ADDRESS,PORT,TAG/INTERFACE`.
fn files(folder: &Path, target: &str, address: &str, port: &str) -> Vec<PathBuf> {
    // A name with a path in it would lead anywhere.
    if target.contains('/') || address.contains('/') {
        return Vec::new();
    }
    let (own, tagged) = (format!("{address},{port}"), format!("{address},{port},"));
    let inside = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for path in inside(&folder.join(target)) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kind = path.symlink_metadata().map(|file| file.file_type());
        match kind {
            Ok(kind) if kind.is_file() && name == own => found.push(path),
            Ok(kind) if kind.is_dir() && (name.starts_with(&tagged) || name == own) => {
                let is_file = |path: &PathBuf| {
                    path.symlink_metadata().is_ok_and(|file| file.file_type().is_file())
                };
                found.extend(inside(&path).into_iter().filter(is_file));
            }
            _ => {}
        }
    }
    found
}

/// Returns a record with name and password in place of those that it has.
fn with_chap(text: &str, user: &str, password: &ChapPassword) -> String {
    let is_of_chap = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        [METHOD, USER, PASSWORD].contains(&key)
    };
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_of_chap(line)).collect();
    let end = lines.iter().position(|line| line.trim() == END).unwrap_or(lines.len());
    let own = [
        format!("{METHOD} = CHAP"),
        format!("{USER} = {user}"),
        format!("{PASSWORD} = {}", password.expose()),
    ];
    lines.splice(end..end, own.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "iqn.2010-06.com.purestorage:flasharray.1";

    fn password(text: &str) -> ChapPassword {
        ChapPassword::new(text).expect("valid")
    }

    #[test]
    fn a_password_is_written_to_the_record_of_its_port_and_readable_by_root_alone() {
        let root = tempfile::tempdir().expect("a folder");
        let target = root.path().join("var/lib/iscsi/nodes").join(TARGET);
        let record = "# BEGIN RECORD 2.1\nnode.startup = manual\nnode.session.auth.authmethod = None\n# END RECORD\n";
        let tagged = target.join("10.0.0.1,3260,1");
        fs::create_dir_all(&tagged).expect("created");
        let files = [
            tagged.join("default"),
            target.join("10.0.0.2,3260"),
            target.join("10.0.0.1,32601"),
            target.join("fd00::1,3260"),
        ];
        for file in &files {
            fs::write(file, record).expect("written");
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("set");
        }
        let write = |address: &str, text: &str| {
            let portal = (address, "3260");
            write(root.path(), TARGET, portal, "iqn.2026-11.example:n1", &password(text))
        };
        for _ in 0..2 {
            write("10.0.0.1", "correct-horse-9").expect("written");
        }
        let expected = "# BEGIN RECORD 2.1\nnode.startup = manual\nnode.session.auth.authmethod = CHAP\n\
            node.session.auth.username = iqn.2026-11.example:n1\nnode.session.auth.password = correct-horse-9\n\
            # END RECORD\n";
        assert_eq!(fs::read_to_string(&files[0]).expect("there"), expected);
        let mode = fs::metadata(&files[0]).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for other in &files[1..] {
            assert_eq!(fs::read_to_string(other).expect("there"), record, "{}", other.display());
        }
        write("10.0.0.2", "other-password").expect("an old record without a tag");
        write("fd00::1", "other-password").expect("an IPv6 address");
        write("10.0.0.1", "rotated-horse-9").expect("another password");
        let text = fs::read_to_string(&files[0]).expect("there");
        assert!(text.contains("rotated-horse-9") && !text.contains("correct"), "{text}");
        let error = write("10.0.0.3", "correct-horse-9").expect_err("no record");
        assert!(!error.to_string().contains("horse") && error.to_string().contains("10.0.0.3"));
        let beside = fs::read_dir(root.path().join("var/lib/iscsi")).expect("a folder").count();
        assert_eq!(beside, 1, "a file with a password is left");
    }

    #[test]
    fn a_record_is_replaced_whole_and_not_written_over() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("etc/iscsi/nodes");
        let file = folder.join(TARGET).join("10.0.0.1,3260");
        fs::create_dir_all(folder.join(TARGET)).expect("created");
        fs::write(&file, "# BEGIN RECORD 2.1\n# END RECORD\n").expect("written");
        // A reader that has the old file open reads it to its end.
        let mut old = fs::File::open(&file).expect("there");
        let portal = ("10.0.0.1", "3260");
        write(root.path(), TARGET, portal, "iqn", &password("correct-horse-9")).expect("written");
        let text = io::read_to_string(&mut old).expect("read");
        assert_eq!(text, "# BEGIN RECORD 2.1\n# END RECORD\n");
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn a_folder_of_records_that_is_a_mount_of_its_own_gets_the_password_too() {
        let root = tempfile::tempdir().expect("a folder");
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
            println!("skipped: this host has no /dev/shm");
            return;
        };
        let parent = root.path().join("etc/iscsi");
        fs::create_dir_all(&parent).expect("created");
        std::os::unix::fs::symlink(other.path(), parent.join("nodes")).expect("linked");
        fs::create_dir_all(other.path().join(TARGET)).expect("created");
        let file = other.path().join(TARGET).join("10.0.0.1,3260");
        fs::write(&file, "# BEGIN RECORD 2.1\n").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
        let portal = ("10.0.0.1", "3260");
        write(root.path(), TARGET, portal, "iqn", &password("correct-horse-9")).expect("written");
        assert!(fs::read_to_string(&file).expect("there").contains("correct-horse-9"));
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&parent).expect("a folder").count(), 1, "a password is left");
    }
}
