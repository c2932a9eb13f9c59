//! The volumes that are worked on. Calls of kubelet exclude each other: a second one is refused, as CSI asks. What the
//! node service does by itself gives way: a call waits until the effect that is under way has ended. Knows no host.
//! <https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md#concurrency>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::node::request::{NodeError, NodeErrorKind, VolumeHandle};

/// The volumes that are worked on.
#[derive(Debug, Default)]
pub(super) struct VolumeLocks(Mutex<BTreeMap<VolumeHandle, LockHolder>>);

#[derive(Debug)]
enum LockHolder {
    /// A call of kubelet.
    Call,
    /// The node service's own work.
    Maintenance {
        /// Whether a call waits for its end.
        has_waiter: bool,
        ended: Arc<Notify>,
    },
}

/// Work on a volume; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct VolumeLock<'b> {
    volumes: &'b VolumeLocks,
    volume: VolumeHandle,
}

impl VolumeLocks {
    /// Begins a call. Waits for the node service's own work on the volume; fails while another call works on it.
    pub(super) async fn call(&self, volume: &VolumeHandle) -> Result<VolumeLock<'_>, NodeError> {
        loop {
            // It is woken also if the work ends before it begins to wait.
            let ended = match self.all().get_mut(volume) {
                Some(LockHolder::Call) => return Err(is_running(volume)),
                Some(LockHolder::Maintenance { has_waiter, ended }) => {
                    *has_waiter = true;
                    Some(Arc::clone(ended).notified_owned())
                }
                None => None,
            };
            match ended {
                Some(ended) => ended.await,
                None => {
                    if let Some(lock) = self.begin(volume, LockHolder::Call) {
                        return Ok(lock);
                    }
                }
            }
        }
    }

    /// Begins the node service's own work on a volume; none while anything else works on it.
    pub(super) fn maintain(&self, volume: &VolumeHandle) -> Option<VolumeLock<'_>> {
        self.begin(volume, LockHolder::Maintenance { has_waiter: false, ended: Arc::default() })
    }

    fn begin(&self, volume: &VolumeHandle, work: LockHolder) -> Option<VolumeLock<'_>> {
        let mut all = self.all();
        if all.contains_key(volume) {
            return None;
        }
        all.insert(volume.clone(), work);
        Some(VolumeLock { volumes: self, volume: volume.clone() })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<VolumeHandle, LockHolder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VolumeLock<'_> {
    /// Whether a call waits for the end of this work.
    pub(super) fn has_waiter(&self) -> bool {
        matches!(
            self.volumes.all().get(&self.volume),
            Some(LockHolder::Maintenance { has_waiter: true, .. })
        )
    }
}

impl Drop for VolumeLock<'_> {
    fn drop(&mut self) {
        let work = self.volumes.all().remove(&self.volume);
        if let Some(LockHolder::Maintenance { ended, .. }) = work {
            ended.notify_waiters();
        }
    }
}

fn is_running(volume: &VolumeHandle) -> NodeError {
    let message = format!("another operation on volume {volume} is running");
    NodeError::new(NodeErrorKind::Aborted, message)
}
