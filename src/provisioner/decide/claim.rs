//! Decides the next step of a claim: from a claim without a volume to a bound one, its expansion, and the cleanup of a
//! claim that is deleted. Pure: it sees the cluster and the arrays only through [`ClaimView`] and answers to its
//! effects.
//!
//! The steps, each safe to repeat:
//!
//! 1. Kubernetes finds no PersistentVolume for the claim (decision 24).
//! 2. The provisioner writes the array and a finalizer on the claim.
//! 3. The array creates the volume.
//! 4. The provisioner creates the PersistentVolume, which has the claim's UID from the start.
//! 5. The provisioner or kube-controller-manager binds the two (decision 15), and the finalizer is removed.
//!
//! A claim that is deleted before step 5 keeps its finalizer until its volume is destroyed.

mod asked_arrays;
mod bind;
mod cleanup;
mod events;
mod provision;
mod state;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_spec;
use super::claim_view::ClaimView;
use super::effect::{Effect, EffectError, Input, Lookup, Outcome, Regarding};
use super::expansion;
use super::object::{
    claim_uid, has_finalizer, is_newer, is_outdated, object_version, volume_version,
};
use super::persistent_volume::backing_volume;
use super::reason::Reason;
use super::restore_point::RestoreSearch;
use crate::contract::{Retry, name};
use asked_arrays::wait_basis;
use bind::is_half_bound;
pub use state::ClaimState;
use state::{ControllerBarrier, OnArray, WatchBarrier};

/// Reasons of the events on claims.
const PROVISIONING: Reason = Reason::Provisioning;
const SUCCEEDED: Reason = Reason::ProvisioningSucceeded;
const FAILED: Reason = Reason::ProvisioningFailed;
const CLEANUP_FAILED: Reason = Reason::ProvisioningCleanupFailed;
const RESIZING: Reason = Reason::Resizing;
const RESIZED: Reason = Reason::VolumeResizeSuccessful;
const RESIZE_FAILED: Reason = Reason::VolumeResizeFailed;

/// The next step of a claim.
enum Next {
    /// Do nothing until something changes.
    Nothing,
    Do(Effect),
    /// Write the chosen array on the claim, and report the reason of the choice.
    RecordIntent {
        effect: Effect,
        why: String,
    },
    /// Wait until kube-controller-manager knows the PersistentVolume with this UID.
    AwaitController {
        volume_uid: String,
    },
    /// Wait until the view has all PersistentVolumes that exist now.
    AwaitWatch,
    /// Report a problem that the developer or the platform admin has to solve, and retry later.
    Stuck {
        reason: Reason,
        message: String,
    },
}

impl ClaimState {
    /// Processes an input, and returns the effects to execute.
    pub fn step(&mut self, view: ClaimView<'_>, event: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let basis = wait_basis(view);
        self.retry.backoff.of(view.claim.map(|claim| &claim.metadata));
        match event {
            Input::Changed if self.retry.is_waiting && !self.retry.basis.improves(basis) => {
                return effects;
            }
            Input::Changed | Input::Due => self.retry.is_waiting = false,
            Input::ControllerCaughtUp => {
                if let Some(barrier) = &mut self.barriers.controller {
                    barrier.is_passed = true;
                }
            }
            Input::WatchCaughtUp => self.barriers.watch = WatchBarrier::Passed,
            Input::Done(done) => {
                let Some(effect) = self.in_flight.take() else { return effects };
                match done {
                    Ok(outcome) => {
                        self.retry.loop_guard.done(&effect);
                        effects.extend(self.announce_success(view, &effect, &outcome));
                        self.apply_outcome(effect, outcome);
                    }
                    // The view has the conflicting change already: retry at once.
                    Err(EffectError::Conflict) if is_outdated(&effect, view.claim) => {}
                    Err(error) => {
                        self.retry.loop_guard.waits();
                        self.retry.basis = basis;
                        effects.extend(self.fail(&effect, &error));
                        return effects;
                    }
                }
            }
        }
        if self.in_flight.is_some() || self.retry.is_waiting {
            return effects;
        }
        self.retry.basis = basis;
        // The answer to a write counts until the view has caught up with it.
        let is_shown = |written: &PersistentVolume| {
            let mut cached = [view.volume, view.bound].into_iter().flatten();
            cached.any(|cached| {
                cached.metadata.name == written.metadata.name && !is_newer(written, cached)
            })
        };
        if self.written.volume.as_deref().is_some_and(is_shown) {
            self.written.volume = None;
        }
        // If the claim disappears while its volume is being created, the cleanup starts from this copy.
        if let Some(claim) = view.claim.filter(|claim| has_finalizer(claim))
            && self.written.claim.is_none()
        {
            self.written.claim = Some(Box::new(claim.clone()));
        }
        match self.next(view) {
            // Reads are valid for this step only; the next step reads again.
            Next::Nothing => {
                self.retry.loop_guard.ended();
                self.reads.forget();
                self.arrays.forget_searches();
                self.arrays.expanded_size = None;
            }
            Next::RecordIntent { effect, why } => {
                self.arrays.choice_reason = why;
                effects.extend(self.warn(view, &effect));
                effects.extend(self.announce(&effect));
                self.in_flight = Some(effect.clone());
                effects.push(effect);
                // The barrier passes while the array creates the volume.
                effects.extend(self.await_watch_once());
            }
            Next::AwaitWatch => effects.extend(self.await_watch_once()),
            Next::AwaitController { volume_uid } => {
                self.barriers.controller = Some(ControllerBarrier { volume_uid, is_passed: false });
                effects.push(Effect::AwaitController);
            }
            Next::Do(effect) => {
                if let Some(error) = self.retry.loop_guard.repeats(&effect) {
                    effects.extend(self.fail(&effect, &error));
                    self.retry.is_waiting = true;
                    return effects;
                }
                effects.extend(self.warn(view, &effect));
                effects.extend(self.announce(&effect));
                self.in_flight = Some(effect.clone());
                effects.push(effect);
            }
            Next::Stuck { reason, message } => {
                self.arrays.forget_searches();
                // The next attempt reads again, after a pause.
                self.retry.loop_guard.waits();
                let error = EffectError::Cluster(message);
                let failed = self.retry.backoff.failed(Regarding::Claim, reason, &error);
                self.retry.is_waiting =
                    failed.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
                effects.extend(failed);
            }
        }
        effects
    }

    /// Returns the effect that waits for the watch, at the first call only.
    fn await_watch_once(&mut self) -> Option<Effect> {
        if self.barriers.watch != WatchBarrier::Unknown {
            return None;
        }
        self.barriers.watch = WatchBarrier::Requested;
        Some(Effect::AwaitWatch)
    }

    fn apply_outcome(&mut self, effect: Effect, outcome: Outcome) {
        match (effect, outcome) {
            (Effect::RecordIntent { .. }, Outcome::Claim(claim)) => {
                self.written.claim = claim;
                self.arrays.created = None;
                self.arrays.forget_searches();
            }
            (
                Effect::Reschedule { .. }
                | Effect::BindClaim { .. }
                | Effect::SetClaimBound { .. }
                | Effect::RemoveClaimFinalizer { .. }
                | Effect::SetResizing { .. }
                | Effect::SetResized { .. },
                Outcome::Claim(claim),
            ) => self.written.claim = claim,
            (Effect::ExpandVolume { .. }, Outcome::Volume(expanded)) => {
                self.retry.backoff.reset();
                self.arrays.expanded_size = expanded.map(|volume| volume.size);
            }
            (
                Effect::CreatePersistentVolume(_)
                | Effect::SetPersistentVolumeBound { .. }
                | Effect::SetCapacity { .. },
                Outcome::PersistentVolume(volume),
            ) => self.written.volume = volume,
            (Effect::EnsureVolume { array, .. }, Outcome::Volume(created)) => {
                self.retry.backoff.reset();
                self.arrays.created = created.map(|item| OnArray { array, item });
            }
            (Effect::TakeSnapshot { array, .. }, Outcome::Snapshot(snapshot)) => {
                self.arrays.clone_snapshot = Some(OnArray { array, item: snapshot });
            }
            (Effect::DestroySnapshot { .. }, _) => self.arrays.clone_snapshot = None,
            (Effect::RemovePersistentVolumeFinalizer { volume }, _) => {
                self.written.released_uid = Some(volume.uid);
            }
            (Effect::FindVolume { array, .. }, Outcome::Volume(found)) => match found {
                Some(volume) if !volume.destroyed => {
                    self.arrays.found = Some(OnArray { array, item: volume });
                    // The next step may destroy the volume, which needs a read that is newer than this search.
                    self.reads.volume = Lookup::NotYet;
                    self.retry.loop_guard.found();
                }
                _ => {
                    self.arrays.without_volume.insert(array);
                }
            },
            (Effect::ReadVolumeSnapshot { .. }, Outcome::VolumeSnapshot(read)) => {
                self.arrays.restore = RestoreSearch::Read(read);
            }
            (Effect::FindSnapshot { array, .. }, Outcome::FoundSnapshot(found)) => {
                let before = std::mem::take(&mut self.arrays.restore);
                self.arrays.restore = before.answered(array, found);
            }
            (Effect::DestroyVolume { array, .. }, _) => {
                self.arrays.without_volume.insert(array);
            }
            (Effect::ReadPersistentVolume { .. }, Outcome::Read(at, volume)) => {
                (self.reads.volume_read_at, self.reads.volume) = (at, volume.into());
            }
            (Effect::ReadClaim { .. }, Outcome::Claim(claim)) => self.reads.claim = claim.into(),
            _ => {}
        }
    }

    fn fail(&mut self, effect: &Effect, error: &EffectError) -> Vec<Effect> {
        // Remembered objects may be the cause of the error. The claim is an exception: the remembered one is never
        // newer than the real one, and the view may be older still.
        self.written.volume = None;
        self.reads.forget();
        if let EffectError::Array { retry, .. } = error {
            self.arrays.created = None;
            self.arrays.forget_searches();
            if let (Effect::EnsureVolume { array, .. }, Retry::Elsewhere) = (effect, retry) {
                self.arrays.full = Some(array.clone());
            }
        }
        let reason = match effect {
            Effect::FindVolume { .. } | Effect::DestroyVolume { .. } => CLEANUP_FAILED,
            Effect::SetResizing { .. }
            | Effect::ExpandVolume { .. }
            | Effect::SetCapacity { .. }
            | Effect::SetResized { .. } => RESIZE_FAILED,
            _ => FAILED,
        };
        let effects = self.retry.backoff.failed(Regarding::Claim, reason, error);
        // The watch delivers the conflicting change: the retry waits no longer than for that.
        self.retry.is_waiting = !matches!(error, EffectError::Conflict | EffectError::Exists)
            && effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        effects
    }

    fn next(&self, view: ClaimView<'_>) -> Next {
        let Some(cached) = view.claim else { return self.disappeared(view) };
        // The answer to a write is newer than the view until the view has caught up.
        let claim = match &self.written.claim {
            Some(newest) if is_newer(&**newest, cached) => newest,
            _ => cached,
        };
        if claim.metadata.uid != cached.metadata.uid {
            return Next::Nothing;
        }
        let has_finalizer = has_finalizer(claim);
        if claim.metadata.deletion_timestamp.is_some() {
            return if has_finalizer { self.undo(view, claim) } else { Next::Nothing };
        }
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        if let Some(bound) = bound.filter(|bound| !bound.is_empty()) {
            // Bound to its own PersistentVolume, the claim is done. Bound to another one by hand, its own is not
            // needed.
            return match (has_finalizer, bound == name::persistent_volume(uid)) {
                (true, true) => {
                    Next::Do(Effect::RemoveClaimFinalizer { claim: object_version(claim) })
                }
                (true, false) => self.undo(view, claim),
                (false, true) if is_half_bound(claim) => self.finish_binding(view, claim),
                (false, true) => self.expand(view, claim, self.newest_volume(view)),
                // A PersistentVolume of the provisioner that an admin bound to another claim than its own.
                (false, false) => self.expand(view, claim, self.newest_bound(view)),
            };
        }
        self.provision(view, claim, uid, has_finalizer)
    }

    fn expand(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        volume: Option<&PersistentVolume>,
    ) -> Next {
        let Some(volume) = volume else { return Next::Nothing };
        let next = expansion::next(
            claim,
            object_version(claim),
            volume,
            volume_version(volume),
            self.arrays.expanded_size,
        );
        // With external-resizer, the class of a bound claim is its work, and so are the events about it.
        let attributes = claim_spec::check_attributes(claim);
        let attributes = if view.setup.attributes { Ok(()) } else { attributes };
        match (next, attributes) {
            (Some(effect), _) => Next::Do(effect),
            (None, Err(message))
                if claim_uid(volume) == claim.metadata.uid.as_deref()
                    && backing_volume(volume).is_some() =>
            {
                let message = format!("{message}; the volume is as before");
                Next::Stuck { reason: Reason::VolumeModifyFailed, message }
            }
            (None, _) => Next::Nothing,
        }
    }

    /// Returns the newest known version of the PersistentVolume of the claim's own name.
    fn newest_volume<'a>(&'a self, view: ClaimView<'a>) -> Option<&'a PersistentVolume> {
        let name = view.claim.and_then(|claim| claim.metadata.uid.as_deref());
        let name = name.map(name::persistent_volume);
        let written = self.written.volume.as_deref();
        written.filter(|written| written.metadata.name == name).or(view.volume)
    }

    /// Returns the newest known version of the PersistentVolume that the claim is bound to, if that has another name.
    fn newest_bound<'a>(&'a self, view: ClaimView<'a>) -> Option<&'a PersistentVolume> {
        let bound = view.bound?;
        let written = self.written.volume.as_deref();
        Some(
            written.filter(|written| written.metadata.name == bound.metadata.name).unwrap_or(bound),
        )
    }
}
