//! Time and memory limits for commands that read untrusted input. A command that exceeds them exits with an error.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::CommandError;
use super::memory_share::MemoryShare;

/// Interval between two measurements of memory, short enough that memory grows little in between.
const LOOK: Duration = Duration::from_millis(10);

/// Limits of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourceLimits {
    /// Time limit.
    pub(super) time: Duration,
    /// Time limit for waiting for a share of the memory beforehand.
    pub(super) patience: Duration,
}

impl ResourceLimits {
    /// Runs the work on a separate thread and returns its result. When the work exceeds a limit, its thread is
    /// abandoned, because the process ends soon.
    pub(super) fn hold<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        self.within(&mut MemoryShare::wait(self.patience)?, work)
    }

    fn within<T: Send + 'static>(
        self,
        share: &mut MemoryShare,
        work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let (done, result) = mpsc::channel();
        // The same stack size as that of the main thread.
        let worker = thread::Builder::new().stack_size(8 << 20).spawn(move || {
            // Fails when the caller has stopped waiting; the process ends then.
            let _ = done.send(work());
        });
        worker.map_err(CommandError::Start)?;
        let started = Instant::now();
        loop {
            match result.recv_timeout(LOOK) {
                Ok(made) => return made,
                Err(RecvTimeoutError::Timeout) => self.look(started, share)?,
                // A panic has printed its message. It is a defect and must not look like a success.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CommandError::Defect);
                }
            }
        }
    }

    fn look(self, started: Instant, share: &mut MemoryShare) -> Result<(), CommandError> {
        if started.elapsed() > self.time {
            return Err(CommandError::TimeLimit { seconds: self.time.as_secs() });
        }
        let Some(bytes) = resident() else { return Ok(()) };
        while share.is_short(bytes) && share.expand()? {}
        if bytes > share.bytes() {
            let (mebibytes, is_shared) = (share.bytes() >> 20, !share.is_whole());
            return Err(CommandError::MemoryLimit { mebibytes, is_shared });
        }
        Ok(())
    }
}

/// Memory of this process alone, in bytes: `RssAnon`, as in the manual page `proc_pid_status(5)`. Available on Linux
/// only.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLE: ResourceLimits =
        ResourceLimits { time: Duration::from_secs(600), patience: Duration::from_secs(600) };

    fn message<T: std::fmt::Debug>(result: Result<T, CommandError>) -> String {
        result.expect_err("stopped").to_string()
    }

    /// Runs work with limits and a share of so many bytes.
    fn hold<T: Send + 'static>(
        bounds: ResourceLimits,
        memory: u64,
        work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut share = MemoryShare::of(folder.path(), memory, Duration::ZERO).expect("a part");
        bounds.within(&mut share, work)
    }

    #[test]
    fn what_stays_within_is_handed_on() {
        assert_eq!(hold(AMPLE, u64::MAX, || Ok(7)).expect("made"), 7);
    }

    #[test]
    fn what_takes_too_long_is_stopped() {
        let bounds = ResourceLimits { time: Duration::ZERO, ..AMPLE };
        // The work goes on until the test has ended.
        let (end, wait) = mpsc::channel::<()>();
        let work = move || Ok(wait.recv().is_err());
        assert!(message(hold(bounds, u64::MAX, work)).starts_with("stopped at 0 s"));
        drop(end);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_takes_too_much_memory_is_stopped() {
        let before = resident().expect("memory");
        // The work keeps its memory until the test has ended.
        let (end, wait) = mpsc::channel::<()>();
        let fill = move || {
            let all = vec![1_u8; 256 << 20];
            Ok(wait.recv().is_err() && !all.is_empty())
        };
        assert!(message(hold(AMPLE, before + (64 << 20), fill)).contains("MiB of memory"));
        drop(end);
    }

    #[test]
    fn a_panic_is_no_success() {
        assert!(message(hold::<()>(AMPLE, u64::MAX, || panic!("a defect"))).contains("defect"));
    }
}
