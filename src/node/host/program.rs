//! Programs of the host: each in a process group of its own, with a deadline, ended after it. A program that the kernel
//! does not let end is left to itself, so that it holds up nothing else.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use super::enter::{ENTER, NO_PROGRAM, NOT_ENTERED};
use crate::node::decide::{HostError, HostErrorKind};

/// The longest output that is kept for a message, in bytes.
const MAX_LENGTH: usize = 400;

/// How programs of the host are started.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// This program; none starts the programs in its own namespaces.
    enter: Option<PathBuf>,
    /// Programs that were killed and have not ended.
    hanging: Arc<AtomicUsize>,
}

/// What a program has printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramOutput {
    /// The exit code.
    pub(super) code: i32,
    /// Its output.
    pub(super) out: String,
    /// Its error output.
    pub(super) error: String,
}

impl Programs {
    /// Returns how programs are started: by this program, which enters the namespaces of the host, or in its own.
    pub(super) fn new(enter: Option<PathBuf>) -> Self {
        Self { enter, hanging: Arc::default() }
    }

    /// Returns the number of programs that were killed after their deadline and have not ended: the kernel does not let
    /// them, because they wait for a device.
    pub(super) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::Relaxed)
    }

    /// Runs a program in the namespaces of a process of the host. No secret may be among the arguments: every user of
    /// the host reads them.
    pub(super) async fn run(
        &self,
        pid: u32,
        deadline: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<ProgramOutput, HostError> {
        let mut command = match &self.enter {
            Some(this) => {
                let mut command = Command::new(this);
                command.args([ENTER, &pid.to_string(), program]);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let name = format!("{program} {}", arguments.join(" "));
        let child = command.spawn().map_err(|error| {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let kind = if is_missing { HostErrorKind::Missing } else { HostErrorKind::Failed };
            HostError { kind, message: format!("{name}: {error}") }
        })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // The task waits for the process also after the deadline, so that it does not stay as a zombie.
        let mut waits = tokio::spawn(child.wait_with_output());
        let Ok(ended) = tokio::time::timeout(deadline, &mut waits).await else {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let hanging = Arc::clone(&self.hanging);
            hanging.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let _ = waits.await;
                hanging.fetch_sub(1, Ordering::Relaxed);
            });
            return Err(HostError {
                kind: HostErrorKind::TimedOut,
                message: format!(
                    "{name} did not end within {} s and was killed",
                    deadline.as_secs()
                ),
            });
        };
        let output = ended
            .map_err(|error| HostError::failed(format!("{name}: {error}")))?
            .map_err(|error| HostError::failed(format!("{name}: {error}")))?;
        let code = output.status.code().unwrap_or(-1);
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if code == i32::from(NO_PROGRAM) {
            let message = format!(
                "{program} is not on this host; `pso-gen node check` lists what is missing"
            );
            return Err(HostError { kind: HostErrorKind::Missing, message });
        }
        if code == i32::from(NOT_ENTERED) {
            return Err(HostError::failed(format!("{program} was not started: {error}")));
        }
        Ok(ProgramOutput {
            code,
            out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            error,
        })
    }
}

impl ProgramOutput {
    /// Returns the error of a program that has failed.
    pub(super) fn failed(&self, name: &str) -> HostError {
        let text = if self.error.is_empty() { &self.out } else { &self.error };
        let text: String =
            text.chars().take(MAX_LENGTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let is_busy = ["in use", "busy"].iter().any(|word| text.contains(word));
        let kind = if is_busy { HostErrorKind::Busy } else { HostErrorKind::Failed };
        HostError { kind, message: format!("{name} ended with exit code {}: {text}", self.code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        deadline: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<ProgramOutput, HostError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Programs::new(None).run(1, deadline, program, arguments))
    }

    #[test]
    fn a_program_ends_with_its_output_or_with_its_deadline() {
        let printed = run(Duration::from_secs(20), "sh", &["-c", "echo yes; echo no >&2; exit 3"]);
        assert_eq!(
            printed,
            Ok(ProgramOutput { code: 3, out: "yes".to_owned(), error: "no".to_owned() })
        );
        let error = run(Duration::from_millis(50), "sh", &["-c", "sleep 600 & sleep 600"]);
        assert_eq!(error.expect_err("it is killed").kind, HostErrorKind::TimedOut);
        let error = run(Duration::from_secs(20), "no-such-program", &[]);
        assert_eq!(error.expect_err("it is missing").kind, HostErrorKind::Missing);
    }

    #[tokio::test]
    async fn a_program_counts_as_hanging_from_its_deadline_to_its_end() {
        let programs = Programs::new(None);
        let sleep = programs.run(1, Duration::from_millis(50), "sleep", &["600"]).await;
        assert_eq!(sleep.expect_err("it is killed").kind, HostErrorKind::TimedOut);
        assert_eq!(programs.hanging(), 1);
        while programs.hanging() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
