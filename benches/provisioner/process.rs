//! A process that ends with the benchmark, and what the kernel counts of it. Knows nothing of Kubernetes.

use std::fs;
use std::process::Child;
use std::time::Duration;

use super::Anything;

/// Parts of a second in which Linux tells the CPU time of a process.
const TICK: Duration = Duration::from_millis(10);

/// A process.
#[derive(Debug)]
pub(super) struct Process(pub(super) Child);

impl Process {
    /// CPU time, user and system.
    pub(super) fn cpu(&self) -> Result<Duration, Anything> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // Its name is in brackets and may have blanks.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
        Ok(ticks.sum::<Result<u32, _>>()? * TICK)
    }

    /// Memory, in bytes: `VmRSS` what is resident now, `VmHWM` what was most.
    pub(super) fn memory(&self, field: &str) -> Result<u64, Anything> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib: u64 = line.ok_or("no such field")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever stops when its input ends has the time to do so.
        if self.0.stdin.take().is_none() {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
