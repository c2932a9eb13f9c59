//! The arguments of the host's programs, and what their output means.

use crate::node::decide::Checked;
use crate::node::request::FsType;

use super::ProgramOutput;

/// Settings of each portal's record. Nothing but the node service logs in, also after a boot, and a log-in scans
/// nothing: what is scanned is one LUN.
pub(super) const RECORD: [(&str, &str); 4] = [
    ("node.startup", "manual"),
    ("node.conn[0].startup", "manual"),
    ("node.session.scan", "manual"),
    ("node.session.initial_login_retry_max", "1"),
];

/// Exit codes of iscsiadm: the session exists, and no record or session was found.
/// <https://github.com/open-iscsi/open-iscsi/blob/master/include/iscsi_err.h>
pub(super) const SESSION_EXISTS: i32 = 15;
pub(super) const NO_OBJECTS: i32 = 21;

/// Returns program and arguments that create a file system. New volumes are thin and empty: nothing is discarded.
pub(super) fn mkfs_arguments(
    fs_type: FsType,
    device: &str,
    again: bool,
) -> (&'static str, Vec<&str>) {
    match fs_type {
        FsType::Ext4 => ("mkfs.ext4", vec!["-q", "-E", "nodiscard", device]),
        FsType::Xfs if again => ("mkfs.xfs", vec!["-q", "-K", "-f", device]),
        FsType::Xfs => ("mkfs.xfs", vec!["-q", "-K", device]),
    }
}

/// Returns what an exit code of e2fsck means.
/// <https://man7.org/linux/man-pages/man8/e2fsck.8.html#EXIT_CODE>
pub(super) fn checked(printed: &ProgramOutput) -> Option<Checked> {
    match printed.code {
        // Clean, repaired, or repaired with the advice to boot, which is for root file systems.
        0..=3 => Some(Checked::Clean),
        code @ 4..32 if code & 4 != 0 => {
            Some(Checked::Damaged(printed.failed("fsck.ext4").message))
        }
        _ => None,
    }
}

/// Returns the size in bytes from the output of `dumpe2fs -h`.
pub(super) fn ext4_size(out: &str) -> Option<u64> {
    let figure =
        |key: &str| out.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    figure("Block count:")?.checked_mul(figure("Block size:")?)
}

/// Returns the size in bytes from the output of `xfs_growfs -n`.
pub(super) fn xfs_size(out: &str) -> Option<u64> {
    let line = out.lines().find(|line| line.starts_with("data "))?;
    let figure = |key: &str| {
        let rest = line.split(key).nth(1)?;
        rest.split([' ', ',']).next()?.parse::<u64>().ok()
    };
    figure("blocks=")?.checked_mul(figure("bsize=")?)
}

/// Returns identity, in the form of sysfs, and size in bytes from the output of `nvme id-ns --output-format=json`.
/// Fields and units are those of the NVM command set, "Identify Namespace":
/// <https://nvmexpress.org/specification/nvm-command-set-specification/>
pub(super) fn namespace(out: &str) -> Option<(String, u64)> {
    let read: serde_json::Value = serde_json::from_str(out).ok()?;
    let nguid = read["nguid"].as_str()?.to_ascii_lowercase();
    if nguid.len() != 32 || !nguid.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    // The index of the format in use is in bits 0 to 3, its upper part in bits 5 and 6.
    let format = read["flbas"].as_u64()?;
    let index = usize::try_from((format & 0xf) | (((format >> 5) & 3) << 4)).ok()?;
    let block = 1_u64.checked_shl(u32::try_from(read["lbafs"][index]["ds"].as_u64()?).ok()?)?;
    Some((format!("eui.{nguid}"), read["nsze"].as_u64()?.checked_mul(block)?))
}

/// Splits `address:port`; an IPv6 address has brackets.
pub(super) fn split(portal: &str) -> Option<(&str, &str)> {
    let (address, port) = portal.rsplit_once(':')?;
    Some((address.trim_start_matches('[').trim_end_matches(']'), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_programs_output() {
        let dump = "dumpe2fs 1.47\nInode count:              65536\nBlock count:              262144\nBlock size:               4096\n";
        assert_eq!(ext4_size(dump), Some(1 << 30));
        let grow = "meta-data=/dev/dm-0 isize=512 agcount=4, agsize=65536 blks\n\
                    data     =                       bsize=4096   blocks=262144, imaxpct=25\n\
                    log      =internal log           bsize=4096   blocks=16384, version=2\n";
        assert_eq!(xfs_size(grow), Some(1 << 30));
        assert_eq!((ext4_size(""), xfs_size("")), (None, None));
    }

    #[test]
    fn a_namespace_reports_its_identity_and_its_size() {
        let out = r#"{"nsze":2097152, "flbas":1, "nguid":"000123456789ABCD24a937ef01234567", "eui64":"0",
            "lbafs":[{"ms":0,"ds":12,"rp":0}, {"ms":0,"ds":9,"rp":0}]}"#;
        let identity = "eui.000123456789abcd24a937ef01234567".to_owned();
        assert_eq!(namespace(out), Some((identity, 1 << 30)));
        for wrong in [
            "",
            "{}",
            &out.replace("\"flbas\":1", "\"flbas\":5"),
            &out.replace("\"ds\":9", "\"ds\":64"),
            &out.replace("000123456789ABCD24a937ef01234567", "0"),
        ] {
            assert_eq!(namespace(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_exit_code_of_fsck_is_clean_damaged_or_an_error() {
        let printed = |code| ProgramOutput { code, out: String::new(), error: String::new() };
        for code in [0, 1, 2, 3] {
            assert_eq!(checked(&printed(code)), Some(Checked::Clean));
        }
        for code in [4, 5, 12] {
            assert!(matches!(checked(&printed(code)), Some(Checked::Damaged(_))), "{code}");
        }
        // Errors of the program itself, of the shell, and its end by a signal.
        for code in [8, 16, 32, 126, 127, 128, -1] {
            assert_eq!(checked(&printed(code)), None, "{code}");
        }
    }

    #[test]
    fn no_program_is_forced_to_overwrite_a_volume_that_was_not_being_formatted() {
        for fs_type in FsType::ALL {
            let (_, arguments) = mkfs_arguments(fs_type, "/dev/dm-0", false);
            assert!(!arguments.iter().any(|it| it.eq_ignore_ascii_case("-f")), "{arguments:?}");
        }
        assert_eq!(split("[fd00::1]:3260"), Some(("fd00::1", "3260")));
        assert_eq!(split("10.0.0.1:4420"), Some(("10.0.0.1", "4420")));
    }
}
