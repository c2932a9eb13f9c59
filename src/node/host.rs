//! The seam between decisions and the host. [`Host`] is implemented by the real host, and by a simulated kernel in the
//! tests.

mod connection_file;
mod device;
mod enter;
mod iscsid;
mod linux;
mod mountinfo;
mod program;
mod record_file;
mod state_file;
mod sysfs;

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::decide::{Connection, Effect, HostError, HostQuery, HostView, Outcome, StagedVolume};
use super::request::{Usage, VolumeHandle};
use crate::contract::NodeId;

pub use enter::{ENTER, enter};
pub use linux::{LinuxHost, LinuxSetup};

/// A host with devices and mounts.
#[async_trait]
pub trait Host: Send + Sync + Debug {
    /// Returns what concerns one volume. Sends no request to any device, so that no device can hold it up.
    async fn view(&self, query: &HostQuery) -> Result<HostView, HostError>;

    /// Returns all state files.
    async fn staged(&self) -> Result<Vec<StagedVolume>, HostError>;

    /// Returns the records of the connections that the node service has begun over NVMe/TCP. iscsid keeps those of
    /// iSCSI.
    async fn connected(&self) -> Result<Vec<Connection>, HostError>;

    /// Carries out an effect, within a time of its own; for a volume, or for none.
    async fn execute(
        &self,
        volume: Option<&VolumeHandle>,
        effect: &Effect,
    ) -> Result<Outcome, HostError>;

    /// Returns bytes and inodes of a mounted file system, or the size of a device in bytes.
    async fn usage(&self, path: &Path) -> Result<(Usage, Option<Usage>), HostError>;

    /// Returns the names of this node's initiators.
    async fn initiators(&self) -> Result<NodeId, HostError>;

    /// Returns the number of paths and programs that have not answered within their time limit, and still do not.
    fn hanging(&self) -> usize {
        0
    }

    /// Returns the time since a fixed moment.
    fn now(&self) -> Duration;

    /// Waits.
    async fn pause(&self, duration: Duration);
}
