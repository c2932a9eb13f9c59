//! Runs a program of the host: this process enters the namespaces of a process of the host and becomes the program.
//!
//! The image has one static binary and no tools. A process may enter a mount namespace only while it has one thread,
//! so it is started anew for each program: `pso-gen enter-host PID PROGRAM ARGUMENT...`. Knows no devices.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::iscsid;

/// The first argument of such a process. No person writes it.
pub const ENTER: &str = "enter-host";

/// The exit code for a program that the host does not have.
pub(super) const NO_PROGRAM: u8 = 127;

/// The exit code for a process that could not enter the namespaces, or could not become the program.
pub(super) const NOT_ENTERED: u8 = 126;

/// Where programs are looked for: also where NixOS, Talos and hosts with local builds have them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/udev:/lib/udev:\
                    /run/current-system/sw/bin:/opt/sbin:/opt/bin";

/// Becomes a program of the host. Returns only if that fails.
pub fn enter(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(pid), Some(program)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    let pid = pid.to_string_lossy();
    let namespaces = [("mnt", LinkNameSpaceType::Mount), ("net", LinkNameSpaceType::Network)];
    let paths = namespaces.map(|(name, kind)| (format!("/proc/{pid}/ns/{name}"), kind));
    // Both are opened before the first is entered: the other mount namespace may have another /proc.
    let opened = paths.map(|(path, kind)| (File::open(&path), path, kind));
    // What was opened is of the process that was meant: its id was not given to another one in between.
    let is_meant = |pid: u32| pid == 1 || iscsid::is_of_host(Path::new("/proc"), pid);
    if !pid.parse().is_ok_and(is_meant) {
        let _ = writeln!(std::io::stderr(), "process {pid} is neither 1 nor the host's iscsid");
        return ExitCode::from(NOT_ENTERED);
    }
    for (file, path, kind) in opened {
        let entered = file.and_then(|file| {
            Ok(move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind))?)
        });
        if let Err(error) = entered {
            let _ = writeln!(std::io::stderr(), "cannot enter {path}: {error}");
            return ExitCode::from(NOT_ENTERED);
        }
    }
    let mut command = Command::new(&program);
    let error = command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .exec();
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.to_string_lossy());
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    ExitCode::from(if is_missing { NO_PROGRAM } else { NOT_ENTERED })
}
