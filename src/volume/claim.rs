//! Claims: from the wish for a volume to a PersistentVolume, and back when somebody changes their mind.
//!
//! In this order, each step safe to repeat: the array is written on the claim, with a finalizer; the
//! volume is made; the PersistentVolume is created, already with the claim's UID; the two are bound, by us
//! or by Kubernetes' own controller (decision 15); the finalizer goes. A claim that is deleted on the way
//! keeps its finalizer until what was made for it is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::effect::{About, Asked, Effect, Event, Outcome, Seen, Severity, Trouble};
use super::growth;
use super::name::{self, ARRAY, BIND_COMPLETED, FINALIZER, SELECTED_NODE};
use super::origin::{Origin, Unknown, origin};
use super::persistent::{self, Behind, behind, quantity};
use super::place::{Need, Place, place};
use super::reason::Reason;
use super::retry::Tries;
use super::setup::{ArrayKind, ArrayState, Binding, ClassSetup, Import, Setup};
use crate::array::{
    Details, Name, Owner, Retry, Snapshot, Source, Suffix, Volume, VolumeId, Wanted,
};

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
pub struct View<'v> {
    /// What the admin has set.
    pub setup: &'v Setup,
    /// The claim; none when it is gone.
    pub claim: Option<&'v PersistentVolumeClaim>,
    /// The PersistentVolume of the claim's own name.
    pub volume: Option<&'v PersistentVolume>,
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
pub struct ClaimWork {
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
    /// The PersistentVolume as the API server itself told.
    read: Asked<Box<PersistentVolume>>,
    /// A volume that was looked for and found, and the array that has it.
    found: Option<(String, Volume)>,
    /// Arrays that were looked at and have no volume for the claim, or none any more.
    clean: BTreeSet<String>,
    /// The array that has no room for the volume.
    full: Option<String>,
    /// Why the array was chosen.
    why: String,
    waiting: bool,
    tries: Tries,
}

/// What is to be done next.
enum Next {
    /// Nothing, until something changes.
    Nothing,
    Do(Effect),
    /// Write which array is asked, and tell why.
    Place {
        effect: Effect,
        why: String,
    },
    /// Wait until Kubernetes' own controller knows the PersistentVolume with this UID.
    Mark(String),
    /// Something that only somebody else can mend.
    Stuck {
        reason: Reason,
        message: String,
    },
}

impl ClaimWork {
    /// Returns whether nothing of it needs to be remembered.
    pub fn is_idle(&self) -> bool {
        self.doing.is_none() && !self.waiting
    }

    /// Takes an event, and returns what is to be done.
    pub fn step(&mut self, view: View<'_>, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Changed if self.waiting => return effects,
            Event::Changed => {}
            Event::Due => self.waiting = false,
            Event::Known => {
                if let Some((_, known)) = &mut self.mark {
                    *known = true;
                }
            }
            Event::Done(done) => {
                let Some(effect) = self.doing.take() else { return effects };
                match done {
                    Ok(outcome) => self.learn(effect, outcome),
                    // What was in the way has been seen by now: the next try need not wait.
                    Err(Trouble::Conflict) if is_outdated(&effect, view.claim) => {}
                    Err(trouble) => {
                        effects.extend(self.fail(&effect, &trouble));
                        return effects;
                    }
                }
            }
        }
        if self.doing.is_some() || self.waiting {
            return effects;
        }
        // What was answered to a write counts until the view has caught up with it.
        if self
            .volume
            .as_ref()
            .zip(view.volume)
            .is_some_and(|(ours, cached)| !is_newer(&**ours, cached))
        {
            self.volume = None;
        }
        match self.next(view) {
            // What was read is as old as this moment; the next look reads again.
            Next::Nothing => {
                self.read = Asked::NotYet;
                self.forget_arrays();
                self.grown = None;
            }
            Next::Place { effect, why } => {
                self.why = why;
                effects.extend(self.announce(view, &effect));
                self.doing = Some(effect.clone());
                effects.push(effect);
            }
            Next::Mark(uid) => {
                self.mark = Some((uid, false));
                effects.push(Effect::Mark);
            }
            Next::Do(effect) => {
                effects.extend(self.announce(view, &effect));
                self.doing = Some(effect.clone());
                effects.push(effect);
            }
            Next::Stuck { reason, message } => {
                self.forget_arrays();
                let trouble = Trouble::Cluster(message);
                let failed = self.tries.failed(About::Claim, reason, &trouble);
                self.waiting = failed.iter().any(|effect| matches!(effect, Effect::Later(_)));
                effects.extend(failed);
            }
        }
        effects
    }

    /// What arrays have told is as old as this moment; the next look asks again.
    fn forget_arrays(&mut self) {
        self.found = None;
        self.clean.clear();
        self.full = None;
    }

    fn learn(&mut self, effect: Effect, outcome: Outcome) {
        match (effect, outcome) {
            (Effect::Intend { .. }, Outcome::Claim(claim)) => {
                self.newest = claim;
                self.made = None;
                self.forget_arrays();
            }
            (
                Effect::Reschedule { .. }
                | Effect::Bind { .. }
                | Effect::SetClaimBound { .. }
                | Effect::Finish { .. }
                | Effect::Resizing { .. }
                | Effect::Resized { .. },
                Outcome::Claim(claim),
            ) => self.newest = claim,
            (Effect::Grow { .. }, Outcome::Volume(grown)) => {
                self.tries.good();
                self.grown = grown.map(|grown| grown.size);
            }
            (
                Effect::Create(_) | Effect::SetBound { .. } | Effect::SetCapacity { .. },
                Outcome::PersistentVolume(volume),
            ) => self.volume = volume,
            (Effect::Ensure { array, .. }, Outcome::Volume(made)) => {
                self.tries.good();
                self.made = made.map(|made| (array, made));
            }
            (Effect::TakeSnapshot { array, .. }, Outcome::Snapshot(taken)) => {
                self.snapshot = Some((array, taken));
            }
            (Effect::DestroySnapshot { .. }, _) => self.snapshot = None,
            (Effect::Find { array, .. }, Outcome::Volume(found)) => match found {
                Some(volume) if !volume.destroyed => self.found = Some((array, volume)),
                _ => {
                    self.clean.insert(array);
                }
            },
            (Effect::Destroy { array, .. }, _) => {
                self.clean.insert(array);
            }
            (Effect::ReadVolume { .. }, Outcome::PersistentVolume(volume)) => {
                self.read = volume.into();
            }
            _ => {}
        }
    }

    fn fail(&mut self, effect: &Effect, trouble: &Trouble) -> Vec<Effect> {
        // What was thought to be known may be what was wrong. Not so of the claim: what was answered of it is
        // never newer than it is, and the view may be older still.
        self.volume = None;
        self.read = Asked::NotYet;
        if let Trouble::Array { retry, .. } = trouble {
            self.made = None;
            self.forget_arrays();
            if let (Effect::Ensure { array, .. }, Retry::Elsewhere) = (effect, retry) {
                self.full = Some(array.clone());
            }
        }
        let reason = match effect {
            Effect::Find { .. } | Effect::Destroy { .. } => CLEANUP_FAILED,
            Effect::Resizing { .. }
            | Effect::Grow { .. }
            | Effect::SetCapacity { .. }
            | Effect::Resized { .. } => RESIZE_FAILED,
            _ => FAILED,
        };
        let effects = self.tries.failed(About::Claim, reason, trouble);
        // What somebody else has written is on its way here, and the next try need not wait longer.
        self.waiting = !matches!(trouble, Trouble::Conflict | Trouble::Exists)
            && effects.iter().any(|effect| matches!(effect, Effect::Later(_)));
        effects
    }

    fn next(&self, view: View<'_>) -> Next {
        let Some(cached) = view.claim else { return Next::Nothing };
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
                (true, true) => Next::Do(Effect::Finish { claim: seen(claim) }),
                (true, false) => self.undo(view, claim),
                (false, true) if is_half_bound(claim) => self.finish_binding(view, claim),
                (false, true) => self.grow(view, claim),
                (false, false) => Next::Nothing,
            };
        }
        self.provision(view, claim, uid, ours)
    }

    fn grow(&self, view: View<'_>, claim: &PersistentVolumeClaim) -> Next {
        let Some(volume) = self.newest_volume(view) else { return Next::Nothing };
        let next = growth::next(claim, seen(claim), volume, seen_volume(volume), self.grown);
        next.map_or(Next::Nothing, Next::Do)
    }

    /// The PersistentVolume of the claim's own name, as new as it is known.
    fn newest_volume<'a>(&'a self, view: View<'a>) -> Option<&'a PersistentVolume> {
        self.volume.as_deref().or(view.volume)
    }

    /// The claim has its PersistentVolume, and its status does not say so yet.
    fn finish_binding(&self, view: View<'_>, claim: &PersistentVolumeClaim) -> Next {
        match self.newest_volume(view) {
            Some(volume) if view.setup.binding == Binding::Direct => {
                let volume = Box::new(volume.clone());
                Next::Do(Effect::SetClaimBound { claim: seen(claim), volume })
            }
            _ => Next::Nothing,
        }
    }

    fn provision(
        &self,
        view: View<'_>,
        claim: &PersistentVolumeClaim,
        uid: &str,
        ours: bool,
    ) -> Next {
        let stuck = |message: String| Next::Stuck { reason: FAILED, message };
        let class = match view.class {
            None => return Next::Nothing,
            Some(Err(wrong)) => return stuck(wrong.clone()),
            Some(Ok(class)) => class,
        };
        let annotation = |key: &str| claim.metadata.annotations.as_ref()?.get(key).cloned();
        if class.waits && !ours && annotation(SELECTED_NODE).is_none_or(|node| node.is_empty()) {
            return Next::Nothing;
        }
        let (Some(name), Some(size)) =
            (name::volume(&view.setup.cluster, uid), growth::wanted(claim))
        else {
            return stuck(
                "the claim asks for no size, or the cluster's name is too long".to_owned(),
            );
        };
        if let Err(wrong) = check_modes(claim, class) {
            return stuck(wrong);
        }
        let origin = match origin(view, claim, class, ours) {
            Ok(origin) => origin,
            Err(Unknown::NotOurs) => return Next::Nothing,
            Err(Unknown::NotThere(why)) if ours => return self.do_without(view, claim, class, why),
            Err(Unknown::NotThere(why) | Unknown::Wrong(why)) => return stuck(why),
        };
        let asked = if ours { asked(claim) } else { Vec::new() };
        // Where there is one already, there is no need for another, whoever has written that.
        let made = self.made.as_ref().map(|(on, _)| on).filter(|on| asked.contains(on));
        let Some(array) = made.or(asked.last()).cloned() else {
            return choose(view, claim, class, &origin, asked, None);
        };
        if let Some(there) = self.newest_volume(view) {
            return self.compare(there, view, claim, class, uid);
        }
        if let Origin::Import(import) = origin {
            return self.import(view, claim, class, import, size);
        }
        if self.full.as_ref() == Some(&array) && !self.clean.contains(&array) {
            // A request may have been done all the same, before another was refused.
            return match &self.found {
                None => Next::Do(Effect::Find { array, name }),
                Some(_) => stuck(format!("{array} has the volume and says that it has no room")),
            };
        }
        if self.full.as_ref() == Some(&array) {
            return choose(view, claim, class, &origin, asked, Some(&array));
        }
        let Some((_, made)) = self.made.as_ref().filter(|(on, _)| *on == array) else {
            let mut wanted = wanted(view.setup, claim, class, name, size);
            if let Origin::Copy(Behind { volume, .. }) = origin {
                wanted.source = match (class.kind, &self.snapshot) {
                    (ArrayKind::FlashArray, _) => Some(Source::Volume(volume)),
                    (ArrayKind::FlashBlade, Some((on, snapshot))) if *on == array => {
                        Some(Source::Snapshot(snapshot.name.clone()))
                    }
                    // A FlashBlade copies snapshots alone.
                    (ArrayKind::FlashBlade, _) => return take_snapshot(array, volume, uid),
                };
            }
            return Next::Do(Effect::Ensure { array, wanted: Box::new(wanted) });
        };
        if let Some((array, snapshot)) = self.snapshot.clone() {
            return Next::Do(Effect::DestroySnapshot { array, snapshot });
        }
        create(view, claim, class, &array, made)
    }

    /// What the volume is a copy of is gone. When the copy has been made by then, that will do.
    fn do_without(
        &self,
        view: View<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        why: String,
    ) -> Next {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let name = name::volume(&view.setup.cluster, uid);
        let (Some(array), Some(name)) = (asked(claim).pop(), name) else {
            return Next::Stuck { reason: FAILED, message: why };
        };
        if let Some(there) = self.newest_volume(view) {
            return self.compare(there, view, claim, class, uid);
        }
        match self.found.as_ref().filter(|(on, _)| *on == array) {
            None if !self.clean.contains(&array) => Next::Do(Effect::Find { array, name }),
            Some((_, found)) if growth::wanted(claim).is_some_and(|size| found.size >= size) => {
                create(view, claim, class, &array, found)
            }
            _ => Next::Stuck { reason: FAILED, message: why },
        }
    }

    /// Takes a volume that is there already for the claim's.
    fn import(
        &self,
        view: View<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        import: &Import,
        size: u64,
    ) -> Next {
        let stuck = |message: String| Next::Stuck { reason: FAILED, message };
        let Import { array, volume } = import;
        if self.clean.contains(array) {
            return stuck(format!("{array} has no volume {volume} to import"));
        }
        let Some((_, found)) = self.found.as_ref().filter(|(on, _)| on == array) else {
            return Next::Do(Effect::Find { array: array.clone(), name: volume.clone() });
        };
        if found.size < size {
            let has = quantity(found.size).0;
            return stuck(format!(
                "{volume} on {array} has {has}; ask for that, and grow the claim"
            ));
        }
        if let Some(others) = view.behind.get(&(array.clone(), found.id.clone()))
            && let Some(other) = others.first()
        {
            return stuck(format!("{volume} on {array} has the PersistentVolume {other} already"));
        }
        create(view, claim, &class.keeping(), array, found)
    }

    /// There is a PersistentVolume of the claim's name: the two are bound, unless it is a stranger's.
    fn compare(
        &self,
        there: &PersistentVolume,
        view: View<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        uid: &str,
    ) -> Next {
        let made = self.made.as_ref().and_then(|(array, made)| {
            let state = view.arrays.iter().find(|state| state.name == *array)?;
            persistent::make(claim, class, state, made).ok()
        });
        let same = claimed(there) == Some(uid)
            && behind(there).is_some()
            && made.is_none_or(|made| persistent::are_same(&made, there));
        if same {
            return self.bind(there, view, claim);
        }
        let name = there.metadata.name.as_deref().unwrap_or_default();
        let message = format!("there is another PersistentVolume {name}; remove it, or the claim");
        Next::Stuck { reason: FAILED, message }
    }

    /// Writes both sides of the binding, once Kubernetes' own controller knows the PersistentVolume. That
    /// one may be faster, and then there is nothing left to write.
    fn bind(
        &self,
        there: &PersistentVolume,
        view: View<'_>,
        claim: &PersistentVolumeClaim,
    ) -> Next {
        let phase = there.status.as_ref().and_then(|status| status.phase.as_deref());
        let goes = there.metadata.deletion_timestamp.is_some();
        if view.setup.binding == Binding::Controller || goes {
            return Next::Nothing;
        }
        match phase.unwrap_or("Pending") {
            "Pending" | "Available" => {
                return Next::Do(Effect::SetBound { volume: seen_volume(there) });
            }
            "Bound" => {}
            // It is taken for that of a claim that is gone; whoever did so has to see that it lives.
            _ => return Next::Nothing,
        }
        let uid = there.metadata.uid.as_deref().unwrap_or_default();
        match &self.mark {
            Some((of, true)) if of == uid => {
                let volume = there.metadata.name.clone().unwrap_or_default();
                Next::Do(Effect::Bind { claim: seen(claim), volume })
            }
            Some((of, false)) if of == uid => Next::Nothing,
            _ => Next::Mark(uid.to_owned()),
        }
    }

    /// The claim goes, or has another volume: what was made for it and has no PersistentVolume goes first.
    fn undo(&self, view: View<'_>, claim: &PersistentVolumeClaim) -> Next {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let own = name::persistent_volume(uid);
        let (asked, name) = (asked(claim), name::volume(&view.setup.cluster, uid));
        let Some(name) = name.filter(|_| !asked.is_empty()) else {
            return Next::Do(Effect::Finish { claim: seen(claim) });
        };
        // The view may be behind: whether there is a PersistentVolume is asked of the API server itself.
        match &self.read {
            Asked::NotYet => Next::Do(Effect::ReadVolume { name: own }),
            // From here on, the volume is the matter of its PersistentVolume: Kubernetes releases that
            // when the claim is gone, bound or not.
            Asked::There(volume) if claimed(volume) == Some(uid) => {
                Next::Do(Effect::Finish { claim: seen(claim) })
            }
            Asked::There(_) | Asked::Absent => self.clean_up(claim, asked, name),
        }
    }

    /// Looks at each array that was asked, and destroys what was made there. An imported volume has
    /// another name, and is not found.
    fn clean_up(&self, claim: &PersistentVolumeClaim, asked: Vec<String>, name: Name) -> Next {
        if let Some((array, snapshot)) = self.snapshot.clone() {
            return Next::Do(Effect::DestroySnapshot { array, snapshot });
        }
        let Some(array) = asked.into_iter().find(|array| !self.clean.contains(array)) else {
            return Next::Do(Effect::Finish { claim: seen(claim) });
        };
        let found = self.found.as_ref().filter(|(on, _)| *on == array);
        let found = found.and_then(|(_, volume)| volume.volume_id());
        match found.filter(|volume| volume.name == name) {
            Some(volume) => {
                Next::Do(Effect::Destroy { array, volume, owner: owner_of(claim, &name) })
            }
            None => Next::Do(Effect::Find { array, name }),
        }
    }

    /// What people are told of a step that is worth telling.
    fn announce(&mut self, view: View<'_>, effect: &Effect) -> Option<Effect> {
        let (reason, message) = match effect {
            Effect::Intend { asked, import, .. } => {
                let array = asked.last().map(String::as_str).unwrap_or_default();
                let message = match import {
                    Some(volume) => format!("{volume} on {array} is being imported"),
                    None => format!("a volume is being made on {array}, {}", self.why),
                };
                (PROVISIONING, message)
            }
            Effect::Finish { .. } | Effect::Bind { .. } if self.made.is_some() => {
                (SUCCEEDED, self.success(view))
            }
            Effect::Resizing { size, .. } => {
                (RESIZING, format!("the volume is being made {} large", quantity(*size).0))
            }
            Effect::Resized { size, on_node: false, .. } => {
                (RESIZED, format!("the volume is {} large", quantity(*size).0))
            }
            Effect::Resized { size, on_node: true, .. } => {
                let size = quantity(*size).0;
                (RESIZED, format!("the volume is {size} large; its node makes the file system so"))
            }
            _ => return None,
        };
        // It is another matter on another array, whatever the reason to choose that one.
        let kind = match effect {
            Effect::Intend { asked, .. } => asked.last().cloned().unwrap_or_default(),
            _ => message.clone(),
        };
        self.tries.tell(About::Claim, Severity::Normal, reason, &kind, message)
    }

    fn success(&self, view: View<'_>) -> String {
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
    let (Effect::Intend { claim: seen, .. }
    | Effect::SetClaimBound { claim: seen, .. }
    | Effect::Resizing { claim: seen, .. }
    | Effect::Resized { claim: seen, .. }) = effect
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

/// Whether a claim is bound but for its status. One that is called `Lost` is not: Kubernetes' own
/// controller has to take that back itself.
fn is_half_bound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let annotations = claim.metadata.annotations.as_ref();
    phase.is_none_or(|phase| phase == "Pending")
        && annotations.is_some_and(|all| all.contains_key(BIND_COMPLETED))
}

/// Takes the snapshot by which a file system is copied. Its name follows from the claim, so that the next
/// process finds it.
fn take_snapshot(array: String, volume: VolumeId, uid: &str) -> Next {
    if let Some(suffix) = Suffix::new(format!("clone-{uid}")) {
        Next::Do(Effect::TakeSnapshot { array, volume, suffix })
    } else {
        let message = format!("a snapshot cannot be called clone-{uid}");
        Next::Stuck { reason: FAILED, message }
    }
}

/// Creates the PersistentVolume of a volume that is there.
fn create(
    view: View<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    array: &str,
    volume: &Volume,
) -> Next {
    let stuck = |message: String| Next::Stuck { reason: FAILED, message };
    let Some(state) = view.arrays.iter().find(|state| state.name == array) else {
        return stuck(format!("the storage document has no array {array} any more"));
    };
    match persistent::make(claim, class, state, volume) {
        Ok(volume) => Next::Do(Effect::Create(Box::new(volume))),
        Err(why) => stuck(why),
    }
}

/// Chooses an array, another one when that which was asked last is full.
fn choose(
    view: View<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    origin: &Origin<'_>,
    mut asked: Vec<String>,
    full: Option<&str>,
) -> Next {
    let some_nodes = view.arrays.iter().any(|array| !array.traits.topology.is_empty());
    if class.waits && some_nodes && view.node.is_none() {
        let message = "the node that the scheduler has chosen is not there".to_owned();
        return Next::Stuck { reason: FAILED, message };
    }
    // What is there already needs no further room.
    let import = match origin {
        Origin::Import(import) => Some(*import),
        Origin::Empty | Origin::Copy(_) => None,
    };
    let size = growth::wanted(claim).filter(|_| import.is_none()).unwrap_or_default();
    let need = Need {
        kind: class.kind,
        size,
        labels: &class.arrays,
        node: view.node.filter(|_| class.waits),
        only: origin.array(),
        full,
    };
    match place(view.arrays, &need) {
        Ok(Place { array, why }) => {
            // Where it was asked before, it is asked again: there may be room by now.
            asked.retain(|each| *each != array.name);
            asked.push(array.name.clone());
            let import = import.map(|import| import.volume.clone());
            let effect = Effect::Intend { claim: seen(claim), asked, import, size };
            Next::Place { effect, why }
        }
        // A pod that is there already stays where it is.
        Err(nowhere) if nowhere.for_another_node && class.waits && asked.is_empty() => {
            Next::Do(Effect::Reschedule { claim: seen(claim) })
        }
        Err(nowhere) => {
            let message = format!("no array takes it: {}", nowhere.why);
            Next::Stuck { reason: FAILED, message }
        }
    }
}

/// The arrays that have been asked for a claim's volume, the last one now.
fn asked(claim: &PersistentVolumeClaim) -> Vec<String> {
    let all = claim.metadata.annotations.as_ref().and_then(|all| all.get(ARRAY));
    let all = all.map(String::as_str).unwrap_or_default().split(',');
    all.filter(|array| !array.is_empty()).map(str::to_owned).collect()
}

/// UID of the claim that a PersistentVolume is for.
pub(super) fn claimed(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_deref()
}

fn has_finalizer(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}

fn seen(claim: &PersistentVolumeClaim) -> Seen {
    Seen {
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone().unwrap_or_default(),
        uid: claim.metadata.uid.clone().unwrap_or_default(),
        version: claim.metadata.resource_version.clone().unwrap_or_default(),
    }
}

pub(super) fn seen_volume(volume: &PersistentVolume) -> Seen {
    Seen {
        namespace: None,
        name: volume.metadata.name.clone().unwrap_or_default(),
        uid: volume.metadata.uid.clone().unwrap_or_default(),
        version: volume.metadata.resource_version.clone().unwrap_or_default(),
    }
}

fn check_modes(claim: &PersistentVolumeClaim, class: &ClassSetup) -> Result<(), String> {
    let spec = claim.spec.as_ref();
    let block = spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block");
    let shared = spec
        .and_then(|spec| spec.access_modes.as_ref())
        .is_some_and(|modes| modes.iter().any(|mode| mode.ends_with("Many")));
    let name = &class.name;
    match class.kind {
        ArrayKind::FlashBlade if block => {
            Err(format!("volumeMode Block needs a block class; {name} is on a FlashBlade"))
        }
        ArrayKind::FlashArray if shared && !block => {
            Err(format!("a file system on a FlashArray is for one node; {name} cannot be shared"))
        }
        _ => Ok(()),
    }
}

/// The owner that is written on an array; the cluster's name is the first part of the volume's.
fn owner_of(claim: &PersistentVolumeClaim, name: &Name) -> Owner {
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    let cluster = name.as_str().strip_suffix(&format!("-pvc-{uid}")).unwrap_or_default();
    Owner {
        cluster: cluster.to_owned(),
        namespace: claim.metadata.namespace.clone().unwrap_or_default(),
        claim: claim.metadata.name.clone().unwrap_or_default(),
        uid,
    }
}

fn wanted(
    setup: &Setup,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    name: Name,
    size: u64,
) -> Wanted {
    let owner = owner_of(claim, &name);
    let details = match class.kind {
        ArrayKind::FlashBlade => Details::File { exports: setup.exports.clone(), nfs: class.nfs() },
        // What protects new volumes is the array's administrator's choice, and destroys nothing of ours.
        ArrayKind::FlashArray => Details::Block { default_protection: true },
    };
    Wanted { name, owner, size, source: None, details }
}
