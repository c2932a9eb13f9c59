//! The file of open-iscsi's record of a port, for the one setting that iscsiadm takes only as an argument: the password.
//! Settings and their names: <https://github.com/open-iscsi/open-iscsi/blob/master/etc/iscsid.conf.in>.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

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
    for file in files(root, target, address, port) {
        let text = fs::read_to_string(&file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        // In its place: iscsiadm takes every other file of the folder for a record. One that is cut off is created again
        // before the next log-in.
        let mut open = fs::OpenOptions::new().write(true).truncate(true).mode(0o600).open(&file)?;
        open.write_all(with_chap(&text, user, password).as_bytes())?;
        open.sync_all()?;
        found = true;
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

/// Returns the files of a port's record: `TARGET/ADDRESS,PORT`, or `TARGET/ADDRESS,PORT,TAG/INTERFACE`.
fn files(root: &Path, target: &str, address: &str, port: &str) -> Vec<PathBuf> {
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
    for folder in FOLDERS {
        for path in inside(&root.join(folder).join(target)) {
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
    }
}
