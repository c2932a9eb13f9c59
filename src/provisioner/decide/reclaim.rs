//! Decides the deletion of PersistentVolumes: the volume is destroyed when the claim is gone and the policy is
//! `Delete`, and only after a fresh read. A PersistentVolume that was restored without the provisioner's finalizer, or
//! has lost it, gets it again. Claims are decided elsewhere.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::backoff::{Backoff, WaitBasis};
use super::effect::{Effect, EffectError, Input, Lookup, Outcome, Regarding};
use super::loop_guard::LoopGuard;
use super::object::volume_version;
use super::persistent_volume::{BackingVolume, backing_volume, is_left_over};
use super::read_time::ReadTime;
use super::reason::Reason;
use super::setup::{ArrayState, Health, Setup};
use crate::contract::FINALIZER;
use crate::contract::name;
use crate::contract::{Owner, VolumeName};

/// The reason of the events on PersistentVolumes.
const FAILED: Reason = Reason::VolumeFailedDelete;

/// Everything known about a PersistentVolume when it is reconciled.
#[derive(Debug, Clone, Copy)]
pub struct ReclaimView<'v> {
    /// The configuration from the storage document.
    pub setup: &'v Setup,
    /// The PersistentVolume; none if it is gone.
    pub volume: Option<&'v PersistentVolume>,
    /// Whether another PersistentVolume names the same volume on the same array.
    pub is_shared: bool,
    /// The arrays.
    pub arrays: &'v [ArrayState],
}

/// The work on one PersistentVolume; a crash loses it.
#[derive(Debug, Clone, Default)]
pub struct ReclaimState {
    in_flight: Option<Effect>,
    /// The PersistentVolume, as read from the API server; read again for each attempt.
    fresh: Option<Box<PersistentVolume>>,
    /// The time of that read.
    read: ReadTime,
    claim: Lookup<Box<PersistentVolumeClaim>>,
    destroyed: bool,
    waiting: bool,
    /// The facts whose change ends the wait early.
    wait_basis: WaitBasis,
    tries: Backoff,
    loop_guard: LoopGuard,
}

enum Next {
    Nothing,
    Do(Effect),
    Stuck(String),
}

impl ReclaimState {
    /// Returns whether the state holds nothing that must be remembered.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.waiting
    }

    /// Processes an input, and returns the effects to execute.
    pub fn step(&mut self, view: ReclaimView<'_>, event: Input) -> Vec<Effect> {
        let wait_basis = wait_basis(view);
        self.tries.of(view.volume.map(|volume| &volume.metadata));
        match event {
            Input::Changed if self.waiting && !self.wait_basis.improves(wait_basis) => {
                return Vec::new();
            }
            Input::Changed | Input::Due => self.waiting = false,
            Input::ControllerCaughtUp | Input::WatchCaughtUp => {}
            Input::Done(done) => {
                let Some(effect) = self.in_flight.take() else { return Vec::new() };
                match done {
                    Ok(outcome) => {
                        self.loop_guard.done(&effect);
                        self.apply_outcome(&effect, outcome);
                    }
                    Err(error) => {
                        self.loop_guard.waits();
                        self.wait_basis = wait_basis;
                        return self.fail(&error);
                    }
                }
            }
        }
        if self.in_flight.is_some() || self.waiting {
            return Vec::new();
        }
        self.wait_basis = wait_basis;
        match self.next(view) {
            Next::Nothing => {
                self.loop_guard.ended();
                self.forget();
                Vec::new()
            }
            Next::Do(effect) => {
                if let Some(error) = self.loop_guard.repeats(&effect) {
                    return self.fail(&error);
                }
                self.in_flight = Some(effect.clone());
                vec![effect]
            }
            Next::Stuck(message) => self.fail(&EffectError::Cluster(message)),
        }
    }

    fn apply_outcome(&mut self, effect: &Effect, outcome: Outcome) {
        match (effect, outcome) {
            (Effect::ReadPersistentVolume { .. }, Outcome::Read(at, volume)) => {
                (self.read, self.fresh) = (at, volume);
            }
            (Effect::ReadClaim { .. }, Outcome::Claim(claim)) => self.claim = claim.into(),
            (Effect::DestroyVolume { .. }, _) => {
                self.destroyed = true;
                self.tries.reset();
                // The next step needs the object as it is then.
                self.fresh = None;
            }
            (
                Effect::DeletePersistentVolume { .. }
                | Effect::RemovePersistentVolumeFinalizer { .. }
                | Effect::RestoreFinalizer { .. },
                _,
            ) => {
                self.fresh = None;
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.fresh = None;
        self.claim = Lookup::NotYet;
    }

    fn fail(&mut self, error: &EffectError) -> Vec<Effect> {
        self.forget();
        let effects = self.tries.failed(Regarding::Volume, FAILED, error);
        self.waiting = effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        effects
    }

    fn next(&self, view: ReclaimView<'_>) -> Next {
        let Some(cached) = view.volume else { return Next::Nothing };
        let Some(backing) = backing_volume(cached) else { return Next::Nothing };
        if lacks_finalizer(cached) && is_created_by(view.setup, cached, &backing) {
            return Next::Do(Effect::RestoreFinalizer { volume: volume_version(cached) });
        }
        let unbound = is_unbound(cached);
        if !wants_deletion(cached) && !unbound {
            return Self::retained(cached);
        }
        if view.is_shared && !unbound {
            let message = "another PersistentVolume has the same volume; remove one of them";
            return Next::Stuck(message.to_owned());
        }
        let name = cached.metadata.name.clone().unwrap_or_default();
        let Some(fresh) = &self.fresh else {
            return Next::Do(Effect::ReadPersistentVolume { name });
        };
        // It must be the same object, still released, and name the same volume.
        let same = fresh.metadata.uid == cached.metadata.uid
            && backing_volume(fresh).as_ref() == Some(&backing);
        if same && is_unbound(fresh) {
            return self.left_over(fresh);
        }
        if !same || !wants_deletion(fresh) {
            return Next::Nothing;
        }
        if self.destroyed {
            return Self::remove(fresh);
        }
        let claim_ref = fresh.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let Some((namespace, claim, uid)) = claim_ref.and_then(|claim| {
            Some((claim.namespace.clone()?, claim.name.clone()?, claim.uid.clone()?))
        }) else {
            return Next::Stuck("it does not say whose claim it was for".to_owned());
        };
        match &self.claim {
            Lookup::NotYet => Next::Do(Effect::ReadClaim { namespace, name: claim }),
            // The claim exists: Kubernetes has not finished with it, unless it is bound to another PersistentVolume.
            Lookup::There(existing)
                if existing.metadata.uid.as_ref() == Some(&uid)
                    && !is_left_over(fresh, existing) =>
            {
                Next::Nothing
            }
            Lookup::There(_) | Lookup::Absent => {
                let BackingVolume { array, array_id, volume } = backing;
                if let Err(message) = check_array(view.arrays, &array, &array_id, &volume.name) {
                    return Next::Stuck(message);
                }
                // An admin may have bound the PersistentVolume to another claim than the one that the volume was
                // created for.
                let claim_uid_of = claim_uid_of(view.setup, fresh, &volume.name);
                let Some(uid) = claim_uid_of.map(str::to_owned) else {
                    let message = format!(
                        "{} on {array} was not made by this cluster, but imported; set the reclaim policy to Retain",
                        volume.name
                    );
                    return Next::Stuck(message);
                };
                // The next step is final, and the API server accepts it only if nothing has changed since the read: a
                // PersistentVolume that is being deleted cannot be bound to another claim any more. The provisioner's
                // finalizer keeps it until the volume is destroyed.
                if fresh.metadata.deletion_timestamp.is_none() {
                    return Next::Do(Effect::DeletePersistentVolume {
                        volume: volume_version(fresh),
                    });
                }
                let cluster = view.setup.cluster.clone();
                let identities = view.setup.identities.clone();
                let owner =
                    Box::new(Owner { cluster, identities, namespace, claim, uid, since: None });
                let (array_id, read) = (Some(array_id), self.read);
                Next::Do(Effect::DestroyVolume { array, array_id, volume, owner, read })
            }
        }
    }

    /// Kubernetes has unbound the PersistentVolume. If its claim is bound to another one, it is deleted, and
    /// `ClaimState` decides about its volume. If an admin has removed the UID, another claim may be bound to it.
    fn left_over(&self, fresh: &PersistentVolume) -> Next {
        let claim_ref = fresh.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let name =
            claim_ref.and_then(|claim| Some((claim.namespace.clone()?, claim.name.clone()?)));
        match (&self.claim, name) {
            (Lookup::NotYet, Some((namespace, name))) => {
                Next::Do(Effect::ReadClaim { namespace, name })
            }
            (Lookup::There(existing), _) if is_left_over(fresh, existing) => {
                Next::Do(Effect::DeletePersistentVolume { volume: volume_version(fresh) })
            }
            _ => Next::Nothing,
        }
    }

    /// Removes the provisioner's finalizer after the volume was destroyed, which deletes the PersistentVolume.
    fn remove(fresh: &PersistentVolume) -> Next {
        let volume = volume_version(fresh);
        if has_finalizer(fresh) {
            Next::Do(Effect::RemovePersistentVolumeFinalizer { volume })
        } else {
            Next::Nothing
        }
    }

    /// Removes the provisioner's finalizer from a deleted PersistentVolume with the policy `Retain`.
    fn retained(volume: &PersistentVolume) -> Next {
        let is_being_deleted = volume.metadata.deletion_timestamp.is_some();
        if is_being_deleted && policy(volume) == Some("Retain") && has_finalizer(volume) {
            Next::Do(Effect::RemovePersistentVolumeFinalizer { volume: volume_version(volume) })
        } else {
            Next::Nothing
        }
    }
}

/// Returns the facts whose change ends the wait of a PersistentVolume: the arrays, and its policy.
fn wait_basis(view: ReclaimView<'_>) -> WaitBasis {
    WaitBasis::of(view.arrays, &(view.is_shared, view.volume.and_then(policy)))
}

/// Returns the UID of the claim for which this cluster created the volume of a PersistentVolume; none if the names do
/// not match those that the provisioner gives.
fn claim_uid_of<'v>(
    setup: &Setup,
    volume: &'v PersistentVolume,
    existing: &VolumeName,
) -> Option<&'v str> {
    let uid = name::made_for(volume.metadata.name.as_deref()?)?;
    (name::volume(&setup.cluster, uid).as_ref() == Some(existing)).then_some(uid)
}

fn is_created_by(setup: &Setup, volume: &PersistentVolume, backing_volume: &BackingVolume) -> bool {
    claim_uid_of(setup, volume, &backing_volume.volume.name).is_some()
}

/// Returns whether a PersistentVolume with the policy `Delete` lacks the provisioner's finalizer: it was restored from
/// a backup, or the finalizer was removed by hand. The API server rejects finalizers on an object that is being
/// deleted.
fn lacks_finalizer(volume: &PersistentVolume) -> bool {
    policy(volume) == Some("Delete")
        && volume.metadata.deletion_timestamp.is_none()
        && !has_finalizer(volume)
}

/// Fails if an array cannot destroy a volume now, or if another array has its place, which would report that it has no
/// such volume.
fn check_array(
    arrays: &[ArrayState],
    name: &str,
    id: &str,
    volume: &VolumeName,
) -> Result<(), String> {
    let state = arrays.iter().find(|array| array.name == name);
    match state.map(|state| &state.health) {
        None => Err(format!(
            "the storage document has no array {name}, which has {volume}; put the array back, or set the PersistentVolume's reclaim policy to Retain when the array is gone for good"
        )),
        Some(Health::Down(why)) => Err(format!("{name}: {why}")),
        Some(Health::Up { id: now, .. }) if now != id => {
            Err(format!("{name} is not the array that has {volume}: that one's id is {id}"))
        }
        Some(Health::Up { .. }) => Ok(()),
    }
}

/// Returns whether the claim is gone and the policy is `Delete`.
fn wants_deletion(volume: &PersistentVolume) -> bool {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Released") && policy(volume) == Some("Delete") && has_finalizer(volume)
}

/// Returns whether Kubernetes, or an admin, has removed the UID of the claim from a PersistentVolume that was created
/// for a claim.
fn is_unbound(volume: &PersistentVolume) -> bool {
    let claim_ref = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let has_uid = |uid: &Option<String>| uid.as_ref().is_some_and(|uid| !uid.is_empty());
    claim_ref.is_some_and(|claim| !has_uid(&claim.uid))
        && volume.metadata.deletion_timestamp.is_none()
        && volume.metadata.name.as_deref().and_then(name::made_for).is_some()
}

fn policy(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref()
}

fn has_finalizer(volume: &PersistentVolume) -> bool {
    volume.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}

#[cfg(test)]
mod tests;
