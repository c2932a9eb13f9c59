//! The volumes that are worked on. Calls of kubelet exclude each other: a second one is refused, as CSI asks. What the
//! node service does by itself gives way: a call waits until the effect that is under way has ended. Knows no host.
//! <https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md#concurrency>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::node::request::{NodeError, NodeErrorKind, VolumeHandle};

/// The volumes that are worked on.
#[derive(Debug, Default)]
pub(super) struct BusyVolumes(Mutex<BTreeMap<VolumeHandle, Work>>);

#[derive(Debug)]
enum Work {
    /// A call of kubelet.
    Call,
    /// The node service's own work.
    Upkeep {
        /// Whether a call waits for its end.
        is_wanted: bool,
        ended: Arc<Notify>,
    },
}

/// Work on a volume; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Busy<'b> {
    volumes: &'b BusyVolumes,
    volume: VolumeHandle,
}

impl BusyVolumes {
    /// Begins a call. Waits for the node service's own work on the volume; fails while another call works on it.
    pub(super) async fn call(&self, volume: &VolumeHandle) -> Result<Busy<'_>, NodeError> {
        loop {
            // It is woken also if the work ends before it begins to wait.
            let ended = match self.all().get_mut(volume) {
                Some(Work::Call) => return Err(is_running(volume)),
                Some(Work::Upkeep { is_wanted, ended }) => {
                    *is_wanted = true;
                    Some(Arc::clone(ended).notified_owned())
                }
                None => None,
            };
            match ended {
                Some(ended) => ended.await,
                None => {
                    if let Some(busy) = self.begin(volume, Work::Call) {
                        return Ok(busy);
                    }
                }
            }
        }
    }

    /// Begins the node service's own work on a volume; none while anything else works on it.
    pub(super) fn upkeep(&self, volume: &VolumeHandle) -> Option<Busy<'_>> {
        self.begin(volume, Work::Upkeep { is_wanted: false, ended: Arc::default() })
    }

    fn begin(&self, volume: &VolumeHandle, work: Work) -> Option<Busy<'_>> {
        let mut all = self.all();
        if all.contains_key(volume) {
            return None;
        }
        all.insert(volume.clone(), work);
        Some(Busy { volumes: self, volume: volume.clone() })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<VolumeHandle, Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy<'_> {
    /// Whether a call waits for the end of this work.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.volumes.all().get(&self.volume), Some(Work::Upkeep { is_wanted: true, .. }))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let work = self.volumes.all().remove(&self.volume);
        if let Some(Work::Upkeep { ended, .. }) = work {
            ended.notify_waiters();
        }
    }
}

fn is_running(volume: &VolumeHandle) -> NodeError {
    let message = format!("another operation on volume {volume} is running");
    NodeError::new(NodeErrorKind::Aborted, message)
}
