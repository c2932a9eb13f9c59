//! Claims: from the wish for a volume to a PersistentVolume, and back when somebody changes their mind.
//!
//! In this order, each step safe to repeat: Kubernetes finds no PersistentVolume for the claim (decision 24); the
//! array is written on the claim, with a finalizer; the volume is made; the PersistentVolume is created, already with the claim's UID; the two are bound, by us
//! or by Kubernetes' own controller (decision 15); the finalizer goes. A claim that is deleted on the way
//! keeps its finalizer until what was made for it is gone.

mod asked_arrays;
mod bind;
mod cleanup;
mod provision;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::backoff::{Backoff, WaitBasis};
use super::claim_spec;
use super::effect::{
    Effect, EffectError, Input, Lookup, ObjectVersion, Outcome, Regarding, Severity,
};
use super::expansion;
use super::loop_guard::LoopGuard;
use super::persistent_volume::{behind, quantity};
use super::read_time::ReadTime;
use super::reason::Reason;
use super::setup::{ArrayState, ClassSetup, Setup};
use crate::contract::FINALIZER;
use crate::contract::name;
use crate::contract::{Owner, Retry, Snapshot, Volume};
use asked_arrays::{Asking, asked, ground, is_gone};
use bind::is_half_bound;

/// What people are told of claims.
const PROVISIONING: Reason = Reason::Provisioning;
const SUCCEEDED: Reason = Reason::ProvisioningSucceeded;
const FAILED: Reason = Reason::ProvisioningFailed;
const CLEANUP_FAILED: Reason = Reason::ProvisioningCleanupFailed;
const RESIZING: Reason = Reason::Resizing;
const RESIZED: Reason = Reason::VolumeResizeSuccessful;
const RESIZE_FAILED: Reason = Reason::VolumeResizeFailed;

/// What is known when a claim is looked at.
#[derive(Debug, Clone, Copy)]
pub struct ClaimView<'v> {
    /// What the admin has set.
    pub setup: &'v Setup,
    /// The claim; none when it is gone.
    pub claim: Option<&'v PersistentVolumeClaim>,
    /// The PersistentVolume of the claim's own name.
    pub volume: Option<&'v PersistentVolume>,
    /// The PersistentVolume that the claim is bound to, when it is another one.
    pub bound: Option<&'v PersistentVolume>,
    /// The claim's class; none when it is not there or not ours, an error when it is wrong.
    pub class: Option<&'v Result<ClassSetup, String>>,
    /// The arrays.
    pub arrays: &'v [ArrayState],
    /// Labels of the node that the scheduler has chosen for the claim's first pod; none when it has not, or
    /// the node is not there.
    pub node: Option<&'v BTreeMap<String, String>>,
    /// The claim that this one is to be a copy of; none when there is none, or it is not there.
    pub source: Option<SourceView<'v>>,
    /// Names of the PersistentVolumes that tell of one volume on an array, by array and id.
    pub behind: &'v HashMap<(String, String), BTreeSet<String>>,
    /// Names of the PersistentVolumes of other drivers that are in use with what they name, or destroy it with their
    /// claims, by [`foreign_key`](super::foreign_key).
    pub foreign: &'v HashMap<String, BTreeSet<String>>,
    /// Another PersistentVolume, to which Kubernetes would bind the claim.
    pub rival: Option<&'v str>,
    /// Whether more claims wait for Kubernetes' own controller than it looks at in time.
    pub is_crowded: bool,
}

/// The claim that another one is to be a copy of.
#[derive(Debug, Clone, Copy)]
pub struct SourceView<'v> {
    /// The claim.
    pub claim: &'v PersistentVolumeClaim,
    /// The PersistentVolume that it is bound to; none when it is not.
    pub volume: Option<&'v PersistentVolume>,
}

/// The work on one claim: what a crash takes away.
#[derive(Debug, Clone, Default)]
pub struct ClaimState {
    doing: Option<Effect>,
    /// The claim as it was last answered, newer than what the view may have.
    newest: Option<Box<PersistentVolumeClaim>>,
    /// The volume that has been made, and the array that has it.
    made: Option<(String, Volume)>,
    /// The snapshot by which a file system is copied, and the array that has it.
    snapshot: Option<(String, Snapshot)>,
    /// The size that the array has answered to growing, in bytes.
    grown: Option<u64>,
    /// The PersistentVolume as it was last answered to a write, newer than what the view may have.
    volume: Option<Box<PersistentVolume>>,
    /// UID of the PersistentVolume that a mark was asked for, and whether that was answered.
    mark: Option<(String, bool)>,
    /// Whether the view has all PersistentVolumes that there were when the claim was first seen.
    caught_up: CaughtUp,
    /// UID of a PersistentVolume that somebody has deleted, and that we have let go of.
    let_go: Option<String>,
    /// The PersistentVolume as the API server itself told, and when it was asked.
    read: Lookup<Box<PersistentVolume>>,
    read_at: ReadTime,
    /// The claim as the API server itself told, after the watch has said that it is gone.
    read_claim: Lookup<Box<PersistentVolumeClaim>>,
    /// A volume that was looked for and found, and the array that has it.
    found: Option<(String, Volume)>,
    /// Arrays that were looked at and have no volume for the claim, or none any more.
    clean: BTreeSet<String>,
    /// The array that has no room for the volume.
    full: Option<String>,
    /// Why the array was chosen.
    why: String,
    waiting: bool,
    /// What the wait rests on.
    ground: WaitBasis,
    tries: Backoff,
    chain: LoopGuard,
}

/// Whether a view has all PersistentVolumes that there were at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CaughtUp {
    /// It is not known.
    #[default]
    Unknown,
    /// That has been asked for.
    Lookup,
    Yes,
}

/// What is to be done next.
enum Next {
    /// Nothing, until something changes.
    Nothing,
    Do(Effect),
    /// Write which array is asked, and tell why.
    RecordIntent {
        effect: Effect,
        why: String,
    },
    /// Wait until Kubernetes' own controller knows the PersistentVolume with this UID.
    AwaitController(String),
    /// Wait until the view has all PersistentVolumes that there are now.
    AwaitWatch,
    /// Something that only somebody else can mend.
    Stuck {
        reason: Reason,
        message: String,
    },
}

impl ClaimState {
    /// Returns whether nothing of it needs to be remembered.
    pub fn is_idle(&self) -> bool {
        self.doing.is_none() && !self.waiting
    }

    /// Takes an event, and returns what is to be done.
    pub fn step(&mut self, view: ClaimView<'_>, event: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let ground = ground(view);
        self.tries.of(view.claim.map(|claim| &claim.metadata));
        match event {
            Input::Changed if self.waiting && !self.ground.is_better(ground) => return effects,
            Input::Changed | Input::Due => self.waiting = false,
            Input::ControllerCaughtUp => {
                if let Some((_, known)) = &mut self.mark {
                    *known = true;
                }
            }
            Input::WatchCaughtUp => self.caught_up = CaughtUp::Yes,
            Input::Done(done) => {
                let Some(effect) = self.doing.take() else { return effects };
                match done {
                    Ok(outcome) => {
                        self.chain.done(&effect);
                        effects.extend(self.announce_success(view, &effect, &outcome));
                        self.learn(effect, outcome);
                    }
                    // What was in the way has been seen by now: the next try need not wait.
                    Err(EffectError::Conflict) if is_outdated(&effect, view.claim) => {}
                    Err(trouble) => {
                        self.chain.waits();
                        self.ground = ground;
                        effects.extend(self.fail(&effect, &trouble));
                        return effects;
                    }
                }
            }
        }
        if self.doing.is_some() || self.waiting {
            return effects;
        }
        self.ground = ground;
        // What was answered to a write counts until the view has caught up with it.
        let is_seen = |ours: &PersistentVolume| {
            let mut cached = [view.volume, view.bound].into_iter().flatten();
            cached
                .any(|cached| cached.metadata.name == ours.metadata.name && !is_newer(ours, cached))
        };
        if self.volume.as_deref().is_some_and(is_seen) {
            self.volume = None;
        }
        // Should it disappear while its volume is being made, this is how it is known what to clean up.
        if let Some(claim) = view.claim.filter(|claim| has_finalizer(claim))
            && self.newest.is_none()
        {
            self.newest = Some(Box::new(claim.clone()));
        }
        match self.next(view) {
            // What was read is as old as this moment; the next look reads again.
            Next::Nothing => {
                self.chain.ended();
                self.read = Lookup::NotYet;
                self.read_claim = Lookup::NotYet;
                self.forget_arrays();
                self.grown = None;
            }
            Next::RecordIntent { effect, why } => {
                self.why = why;
                effects.extend(self.warn(view, &effect));
                effects.extend(self.announce(&effect));
                self.doing = Some(effect.clone());
                effects.push(effect);
                // The volume will be there by the time that this is known.
                effects.extend(self.catch_up());
            }
            Next::AwaitWatch => effects.extend(self.catch_up()),
            Next::AwaitController(uid) => {
                self.mark = Some((uid, false));
                effects.push(Effect::AwaitController);
            }
            Next::Do(effect) => {
                if let Some(trouble) = self.chain.repeats(&effect) {
                    effects.extend(self.fail(&effect, &trouble));
                    self.waiting = true;
                    return effects;
                }
                effects.extend(self.warn(view, &effect));
                effects.extend(self.announce(&effect));
                self.doing = Some(effect.clone());
                effects.push(effect);
            }
            Next::Stuck { reason, message } => {
                self.forget_arrays();
                let trouble = EffectError::Cluster(message);
                let failed = self.tries.failed(Regarding::Claim, reason, &trouble);
                self.waiting = failed.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
                effects.extend(failed);
            }
        }
        effects
    }

    /// Has it found out that the view is as new as this moment, once.
    fn catch_up(&mut self) -> Option<Effect> {
        if self.caught_up != CaughtUp::Unknown {
            return None;
        }
        self.caught_up = CaughtUp::Lookup;
        Some(Effect::AwaitWatch)
    }

    /// What arrays have told is as old as this moment; the next look asks again.
    fn forget_arrays(&mut self) {
        self.found = None;
        self.clean.clear();
        self.full = None;
    }

    fn learn(&mut self, effect: Effect, outcome: Outcome) {
        match (effect, outcome) {
            (Effect::RecordIntent { .. }, Outcome::Claim(claim)) => {
                self.newest = claim;
                self.made = None;
                self.forget_arrays();
            }
            (
                Effect::Reschedule { .. }
                | Effect::BindClaim { .. }
                | Effect::SetClaimBound { .. }
                | Effect::RemoveClaimFinalizer { .. }
                | Effect::SetResizing { .. }
                | Effect::SetResized { .. },
                Outcome::Claim(claim),
            ) => self.newest = claim,
            (Effect::ExpandVolume { .. }, Outcome::Volume(grown)) => {
                self.tries.good();
                self.grown = grown.map(|grown| grown.size);
            }
            (
                Effect::CreatePersistentVolume(_)
                | Effect::SetPersistentVolumeBound { .. }
                | Effect::SetCapacity { .. },
                Outcome::PersistentVolume(volume),
            ) => self.volume = volume,
            (Effect::EnsureVolume { array, .. }, Outcome::Volume(made)) => {
                self.tries.good();
                self.made = made.map(|made| (array, made));
            }
            (Effect::TakeSnapshot { array, .. }, Outcome::Snapshot(taken)) => {
                self.snapshot = Some((array, taken));
            }
            (Effect::DestroySnapshot { .. }, _) => self.snapshot = None,
            (Effect::RemovePersistentVolumeFinalizer { volume }, _) => {
                self.let_go = Some(volume.uid)
            }
            (Effect::FindVolume { array, .. }, Outcome::Volume(found)) => match found {
                Some(volume) if !volume.destroyed => {
                    self.found = Some((array, volume));
                    // What follows from it may be to destroy it, on fresh ground alone.
                    self.read = Lookup::NotYet;
                    self.chain.found();
                }
                _ => {
                    self.clean.insert(array);
                }
            },
            (Effect::DestroyVolume { array, .. }, _) => {
                self.clean.insert(array);
            }
            (Effect::ReadPersistentVolume { .. }, Outcome::Read(at, volume)) => {
                (self.read_at, self.read) = (at, volume.into());
            }
            (Effect::ReadClaim { .. }, Outcome::Claim(claim)) => self.read_claim = claim.into(),
            _ => {}
        }
    }

    fn fail(&mut self, effect: &Effect, trouble: &EffectError) -> Vec<Effect> {
        // What was thought to be known may be what was wrong. Not so of the claim: what was answered of it is
        // never newer than it is, and the view may be older still.
        self.volume = None;
        self.read = Lookup::NotYet;
        self.read_claim = Lookup::NotYet;
        if let EffectError::Array { retry, .. } = trouble {
            self.made = None;
            self.forget_arrays();
            if let (Effect::EnsureVolume { array, .. }, Retry::Elsewhere) = (effect, retry) {
                self.full = Some(array.clone());
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
        let effects = self.tries.failed(Regarding::Claim, reason, trouble);
        // What somebody else has written is on its way here, and the next try need not wait longer.
        self.waiting = !matches!(trouble, EffectError::Conflict | EffectError::Exists)
            && effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        effects
    }

    fn next(&self, view: ClaimView<'_>) -> Next {
        let Some(cached) = view.claim else { return self.disappeared(view) };
        // What was answered to a write is newer than what the view has, until that has caught up.
        let claim = match &self.newest {
            Some(newest) if is_newer(&**newest, cached) => newest,
            _ => cached,
        };
        if claim.metadata.uid != cached.metadata.uid {
            return Next::Nothing;
        }
        let ours = has_finalizer(claim);
        if claim.metadata.deletion_timestamp.is_some() {
            return if ours { self.undo(view, claim) } else { Next::Nothing };
        }
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        if let Some(bound) = bound.filter(|bound| !bound.is_empty()) {
            // To ours, all is done; to another, ours is not needed: it was bound by somebody's hand.
            return match (ours, bound == name::persistent_volume(uid)) {
                (true, true) => Next::Do(Effect::RemoveClaimFinalizer { claim: seen(claim) }),
                (true, false) => self.undo(view, claim),
                (false, true) if is_half_bound(claim) => self.finish_binding(view, claim),
                (false, true) => self.grow(claim, self.newest_volume(view)),
                // One of ours that an admin has bound to another claim than it was made for.
                (false, false) => self.grow(claim, self.newest_bound(view)),
            };
        }
        self.provision(view, claim, uid, ours)
    }

    fn grow(&self, claim: &PersistentVolumeClaim, volume: Option<&PersistentVolume>) -> Next {
        let Some(volume) = volume else { return Next::Nothing };
        let next = expansion::next(claim, seen(claim), volume, seen_volume(volume), self.grown);
        match (next, claim_spec::check_attributes(claim)) {
            (Some(effect), _) => Next::Do(effect),
            (None, Err(message))
                if claimed(volume) == claim.metadata.uid.as_deref() && behind(volume).is_some() =>
            {
                let message = format!("{message}; the volume is as before");
                Next::Stuck { reason: Reason::VolumeModifyFailed, message }
            }
            (None, _) => Next::Nothing,
        }
    }

    /// The PersistentVolume of the claim's own name, as new as it is known.
    fn newest_volume<'a>(&'a self, view: ClaimView<'a>) -> Option<&'a PersistentVolume> {
        let name = view.claim.and_then(|claim| claim.metadata.uid.as_deref());
        let name = name.map(name::persistent_volume);
        let ours = self.volume.as_deref();
        ours.filter(|ours| ours.metadata.name == name).or(view.volume)
    }

    /// The PersistentVolume that the claim is bound to, when it is another one, as new as it is known.
    fn newest_bound<'a>(&'a self, view: ClaimView<'a>) -> Option<&'a PersistentVolume> {
        let bound = view.bound?;
        let ours = self.volume.as_deref();
        Some(ours.filter(|ours| ours.metadata.name == bound.metadata.name).unwrap_or(bound))
    }

    /// What people are told of a step that is worth telling.
    fn announce(&mut self, effect: &Effect) -> Option<Effect> {
        let (reason, message) = match effect {
            Effect::RecordIntent { asked, import, .. } => {
                let array = asked.last().map(String::as_str).unwrap_or_default();
                let message = match import {
                    Some(volume) => format!("{volume} on {array} is being imported"),
                    None => format!("a volume is being made on {array}, {}", self.why),
                };
                (PROVISIONING, message)
            }
            Effect::SetResizing { size, .. } => {
                (RESIZING, format!("the volume is being made {} large", quantity(*size).0))
            }
            Effect::SetResized { size, on_node: false, .. } => {
                (RESIZED, format!("the volume is {} large", quantity(*size).0))
            }
            Effect::SetResized { size, on_node: true, .. } => {
                let size = quantity(*size).0;
                (RESIZED, format!("the volume is {size} large; its node makes the file system so"))
            }
            _ => return None,
        };
        // It is another matter on another array, whatever the reason to choose that one.
        let kind = match effect {
            Effect::RecordIntent { asked, .. } => asked.last().cloned().unwrap_or_default(),
            _ => message.clone(),
        };
        self.tries.tell(Regarding::Claim, Severity::Normal, reason, &kind, message)
    }

    /// Tells that a claim has got the volume that was made for it: not before that is so, because Kubernetes may bind
    /// it to another one until then.
    fn announce_success(
        &mut self,
        view: ClaimView<'_>,
        effect: &Effect,
        outcome: &Outcome,
    ) -> Option<Effect> {
        let (
            Effect::RemoveClaimFinalizer { .. } | Effect::BindClaim { .. },
            Outcome::Claim(Some(claim)),
        ) = (effect, outcome)
        else {
            return None;
        };
        if self.made.is_none() || !is_bound_to_own(claim) {
            return None;
        }
        let message = self.success(view);
        let kind = message.clone();
        self.tries.tell(Regarding::Claim, Severity::Normal, SUCCEEDED, &kind, message)
    }

    fn success(&self, view: ClaimView<'_>) -> String {
        let name = self.made.as_ref().map(|(_, made)| made.name.as_str()).unwrap_or_default();
        let array = self
            .newest_volume(view)
            .and_then(behind)
            .map(|behind| behind.array)
            .unwrap_or_default();
        format!("volume {name} on {array}")
    }
}

/// Whether an effect was about an older version of the claim than the view has by now.
fn is_outdated(effect: &Effect, claim: Option<&PersistentVolumeClaim>) -> bool {
    let (Effect::RecordIntent { claim: seen, .. }
    | Effect::SetClaimBound { claim: seen, .. }
    | Effect::SetResizing { claim: seen, .. }
    | Effect::SetResized { claim: seen, .. }) = effect
    else {
        return false;
    };
    let version = |version: &str| version.parse::<u64>().ok();
    let now = claim.and_then(|claim| claim.metadata.resource_version.as_deref());
    now.and_then(version) > version(&seen.version)
}

/// Whether an answer is newer than what a watch has shown of the same object.
fn is_newer<K: Metadata<Ty = ObjectMeta>>(answer: &K, cached: &K) -> bool {
    let (answer, cached) = (answer.metadata(), cached.metadata());
    let number = |meta: &ObjectMeta| meta.resource_version.as_ref()?.parse::<u64>().ok();
    // Since Kubernetes 1.35 they may be compared as numbers (KEP-5504); before, that has been so in fact.
    answer.uid == cached.uid && number(answer) > number(cached)
}

/// Whether a claim is bound to the PersistentVolume that was created for it.
fn is_bound_to_own(claim: &PersistentVolumeClaim) -> bool {
    let own = claim.metadata.uid.as_deref().map(name::persistent_volume);
    own.is_some() && claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()) == own.as_ref()
}

/// UID of the claim that a PersistentVolume is for.
pub(super) fn claimed(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_deref()
}

fn has_finalizer(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}

fn seen(claim: &PersistentVolumeClaim) -> ObjectVersion {
    ObjectVersion {
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone().unwrap_or_default(),
        uid: claim.metadata.uid.clone().unwrap_or_default(),
        version: claim.metadata.resource_version.clone().unwrap_or_default(),
    }
}

pub(super) fn seen_volume(volume: &PersistentVolume) -> ObjectVersion {
    ObjectVersion {
        namespace: None,
        name: volume.metadata.name.clone().unwrap_or_default(),
        uid: volume.metadata.uid.clone().unwrap_or_default(),
        version: volume.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The owner that is written on an array.
fn owner_of(setup: &Setup, claim: &PersistentVolumeClaim) -> Owner {
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    let made = claim.metadata.creation_timestamp.as_ref();
    Owner {
        cluster: setup.cluster.clone(),
        identities: setup.identities.clone(),
        since: made.and_then(|made| u64::try_from(made.0.as_millisecond()).ok()),
        namespace: claim.metadata.namespace.clone().unwrap_or_default(),
        claim: claim.metadata.name.clone().unwrap_or_default(),
        uid,
    }
}
