//! Divides the memory of one sidecar between its commands: each command gets a part and takes further parts as it
//! grows, and all parts together are the memory that the sidecar can spare. The kernel therefore has no reason to kill
//! a command, or Argo CD's own server, however many commands run at once.
//!
//! A part is a lock on a file in the folder for temporary files. The kernel releases it when the command ends, in
//! whatever way.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::CommandError;
use super::confined_folder::ConfinedFolder;

/// Number of parts of the memory, and of concurrent commands.
const PARTS: u8 = 4;
/// Largest memory of all commands together, in bytes: half of the memory of the example's sidecar.
const MOST: u64 = 256 << 20;
/// Interval between two attempts to get a part.
const ASK: Duration = Duration::from_millis(10);
/// Files in which the kernel shows the container's memory limit, for both versions of control groups.
const LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The parts of one command.
#[derive(Debug)]
pub(super) struct MemoryShare {
    folder: ConfinedFolder,
    locks: Vec<File>,
    /// Size of a part in bytes.
    part: u64,
}

impl MemoryShare {
    /// Takes a part of this container's memory. Waits until one is free, for the given time at most.
    pub(super) fn wait(patience: Duration) -> Result<Self, CommandError> {
        let limit = LIMITS.iter().find_map(|path| fs::read_to_string(path).ok());
        Self::of(&env::temp_dir(), spare(limit.as_deref()), patience)
    }

    pub(super) fn of(folder: &Path, memory: u64, patience: Duration) -> Result<Self, CommandError> {
        let name = format!("pso-gen-{}", rustix::process::geteuid().as_raw());
        let folder = ConfinedFolder::open(folder)?.private_folder(&name)?;
        let mut share = Self { folder, locks: Vec::new(), part: memory / u64::from(PARTS) };
        let started = Instant::now();
        while !share.expand()? {
            if started.elapsed() >= patience {
                return Err(CommandError::Busy { commands: PARTS });
            }
            thread::sleep(ASK);
        }
        Ok(share)
    }

    /// Takes another part, if one is free.
    pub(super) fn expand(&mut self) -> Result<bool, CommandError> {
        for number in 0..PARTS {
            let file = self.folder.lock_file(&format!("memory-{number}"))?;
            match file.try_lock() {
                Ok(()) => {
                    self.locks.push(file);
                    return Ok(true);
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => {
                    return Err(CommandError::Write { path: format!("memory-{number}"), source });
                }
            }
        }
        Ok(false)
    }

    /// Returns the number of bytes that the command may use.
    pub(super) fn bytes(&self) -> u64 {
        self.part * self.locks.len() as u64
    }

    /// Returns whether the command should request more: memory may grow between two measurements.
    pub(super) fn is_short(&self, bytes: u64) -> bool {
        bytes + self.part / 4 > self.bytes()
    }

    /// Returns whether it has all parts.
    pub(super) fn is_whole(&self) -> bool {
        self.locks.len() == usize::from(PARTS)
    }
}

/// Returns the memory for commands, derived from a container's limit in the kernel's format. Without a limit, it is
/// the memory that the example's sidecar can spare.
fn spare(limit: Option<&str>) -> u64 {
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(MOST, |bytes| MOST.min(bytes / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: Duration = Duration::from_secs(600);

    #[test]
    fn all_commands_together_have_what_there_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |patience| MemoryShare::of(folder.path(), MOST, patience);
        let mut alone = of(Duration::ZERO).expect("a part");
        assert_eq!(alone.bytes(), 64 << 20);
        while alone.expand().expect("asked") {}
        assert!(alone.is_whole());
        assert_eq!(alone.bytes(), MOST);
        let busy = of(Duration::ZERO).expect_err("nothing is left");
        assert!(busy.to_string().contains("4 commands"), "{busy}");
        drop(alone);
        let mut all: Vec<MemoryShare> =
            (0..4).map(|_| of(Duration::ZERO).expect("a part")).collect();
        assert!(all.iter_mut().all(|share| !share.expand().expect("asked")));
        assert_eq!(all.iter().map(MemoryShare::bytes).sum::<u64>(), MOST);
    }

    #[test]
    fn who_waits_gets_what_another_gives_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut alone = MemoryShare::of(folder.path(), MOST, Duration::ZERO).expect("a part");
        while alone.expand().expect("asked") {}
        let path = folder.path().to_owned();
        let waits =
            thread::spawn(move || MemoryShare::of(&path, MOST, PATIENT).map(|share| share.bytes()));
        alone.locks.pop();
        assert_eq!(waits.join().expect("ends").expect("a part"), 64 << 20);
    }

    #[test]
    fn half_of_a_small_container_is_spared() {
        assert_eq!(spare(Some("268435456\n")), 128 << 20);
        for limit in [None, Some("max\n"), Some("9223372036854771712\n"), Some("2147483648")] {
            assert_eq!(spare(limit), MOST, "{limit:?}");
        }
    }

    #[test]
    fn a_folder_of_others_is_not_used() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let top = tempfile::tempdir().expect("a folder");
        let name = format!("pso-gen-{}", rustix::process::geteuid().as_raw());
        let own = top.path().join(&name);
        symlink(top.path(), &own).expect("linked");
        MemoryShare::of(top.path(), MOST, Duration::ZERO).expect_err("a link");
        fs::remove_file(&own).expect("removed");
        fs::create_dir(&own).expect("made");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).expect("set");
        MemoryShare::of(top.path(), MOST, Duration::ZERO)
            .expect_err("the folder is writable for all users");
    }
}
