//! The work on one claim as the process remembers it: the effect in flight, answers that the watch may not show yet,
//! reads, barriers and the state of retries. Decides nothing; a crash loses all of it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use crate::contract::{Snapshot, Volume};
use crate::provisioner::decide::backoff::{Backoff, WaitBasis};
use crate::provisioner::decide::effect::{Effect, Lookup};
use crate::provisioner::decide::loop_guard::LoopGuard;
use crate::provisioner::decide::read_time::ReadTime;
use crate::provisioner::decide::restore_point::RestoreSearch;

/// The work on one claim.
#[derive(Debug, Clone, Default)]
pub struct ClaimState {
    /// The effect in flight; the claim has at most one.
    pub(super) in_flight: Option<Effect>,
    pub(super) written: WrittenObjects,
    pub(super) reads: ApiReads,
    pub(super) barriers: Barriers,
    pub(super) retry: RetryState,
    pub(super) arrays: ArrayFindings,
}

/// Objects as the API server answered writes, until the watch has caught up with them.
#[derive(Debug, Clone, Default)]
pub(super) struct WrittenObjects {
    /// The claim. It stays after the watch has caught up: when the claim disappears, its cleanup starts from here.
    pub(super) claim: Option<Box<PersistentVolumeClaim>>,
    /// The PersistentVolume.
    pub(super) volume: Option<Box<PersistentVolume>>,
    /// UID of a PersistentVolume that was deleted from outside, and that has lost the provisioner's finalizer.
    pub(super) released_uid: Option<String>,
}

/// Objects that were read from the API server instead of the watch.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiReads {
    /// The PersistentVolume of the claim's own name.
    pub(super) volume: Lookup<Box<PersistentVolume>>,
    /// The time of the request for `volume`.
    pub(super) volume_read_at: ReadTime,
    /// The claim.
    pub(super) claim: Lookup<Box<PersistentVolumeClaim>>,
}

impl ApiReads {
    /// Forgets all objects, so that the next step reads them again.
    pub(super) fn forget(&mut self) {
        self.volume = Lookup::NotYet;
        self.claim = Lookup::NotYet;
    }
}

/// Barriers that the claim waits for or has passed.
#[derive(Debug, Clone, Default)]
pub(super) struct Barriers {
    /// Of kube-controller-manager, for the PersistentVolume that was created.
    pub(super) controller: Option<ControllerBarrier>,
    /// Of the watch of PersistentVolumes.
    pub(super) watch: WatchBarrier,
}

/// A barrier that is passed when kube-controller-manager knows a PersistentVolume.
#[derive(Debug, Clone)]
pub(super) struct ControllerBarrier {
    /// UID of the PersistentVolume.
    pub(super) volume_uid: String,
    pub(super) is_passed: bool,
}

/// Whether the view has all PersistentVolumes that existed when the claim was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum WatchBarrier {
    /// Nothing was requested yet.
    #[default]
    Unknown,
    /// The barrier was requested.
    Requested,
    Passed,
}

/// The wait for the next attempt, and what limits attempts.
#[derive(Debug, Clone, Default)]
pub(super) struct RetryState {
    pub(super) is_waiting: bool,
    /// The facts whose improvement ends the wait early.
    pub(super) basis: WaitBasis,
    pub(super) backoff: Backoff,
    pub(super) loop_guard: LoopGuard,
}

/// Facts about arrays, from their answers.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayFindings {
    /// The volume that was created.
    pub(super) created: Option<OnArray<Volume>>,
    /// The snapshot from which a file system is cloned.
    pub(super) clone_snapshot: Option<OnArray<Snapshot>>,
    /// The size that the array reported after an expansion, in bytes.
    pub(super) expanded_size: Option<u64>,
    /// A volume that a search found.
    pub(super) found: Option<OnArray<Volume>>,
    /// The search for the snapshot of the claim's VolumeSnapshot.
    pub(super) restore: RestoreSearch,
    /// Arrays that a search proved to have no volume for the claim.
    pub(super) without_volume: BTreeSet<String>,
    /// The array that has no room for the volume.
    pub(super) full: Option<String>,
    /// The reason for the choice of the array, for the event.
    pub(super) choice_reason: String,
}

impl ArrayFindings {
    /// Returns the volume that was created on an array.
    pub(super) fn created_on(&self, array: &str) -> Option<&Volume> {
        self.created.as_ref().filter(|created| created.array == array).map(|created| &created.item)
    }

    /// Returns the volume that a search found on an array.
    pub(super) fn found_on(&self, array: &str) -> Option<&Volume> {
        self.found.as_ref().filter(|found| found.array == array).map(|found| &found.item)
    }

    /// Forgets the results of searches, so that the next step asks the arrays again.
    pub(super) fn forget_searches(&mut self) {
        self.found = None;
        self.restore = RestoreSearch::NotYet;
        self.without_volume.clear();
        self.full = None;
    }
}

/// A volume or snapshot, and the array that has it.
#[derive(Debug, Clone)]
pub(super) struct OnArray<T> {
    pub(super) array: String,
    pub(super) item: T,
}

impl ClaimState {
    /// Returns whether the state holds nothing that must be remembered.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.retry.is_waiting
    }
}
