//! Claims: from the wish for a volume to a PersistentVolume, and back when somebody changes their mind.
//!
//! In this order, each step safe to repeat: the array is written on the claim, with a finalizer; the
//! volume is made; the PersistentVolume is created, already with the claim's UID; the two are bound, by us
//! or by Kubernetes' own controller (decision 15); the finalizer goes. A claim that is deleted on the way
//! keeps its finalizer until what was made for it is gone.

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::effect::{About, Asked, Effect, Event, Outcome, Seen, Severity, Trouble};
use super::growth;
use super::name::{self, ARRAY, BIND_COMPLETED, FINALIZER, SELECTED_NODE};
use super::persistent::{self, behind, quantity};
use super::place::place;
use super::retry::Tries;
use super::setup::{ArrayKind, ArrayState, Binding, ClassSetup, Setup};
use crate::array::{Details, Name, Owner, Volume, Wanted};

/// Reasons of events, as the usual provisioners have them.
const PROVISIONING: &str = "Provisioning";
const SUCCEEDED: &str = "ProvisioningSucceeded";
const FAILED: &str = "ProvisioningFailed";
const CLEANUP_FAILED: &str = "ProvisioningCleanupFailed";
const RESIZING: &str = "Resizing";
const RESIZED: &str = "VolumeResizeSuccessful";
const RESIZE_FAILED: &str = "VolumeResizeFailed";

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
}

/// The work on one claim: what a crash takes away.
#[derive(Debug, Clone, Default)]
pub struct ClaimWork {
    doing: Option<Effect>,
    /// The claim as it was last answered, newer than what the view may have.
    newest: Option<Box<PersistentVolumeClaim>>,
    /// The volume that has been made.
    made: Option<Volume>,
    /// The size that the array has answered to growing, in bytes.
    grown: Option<u64>,
    /// The PersistentVolume as it was last answered to a write, newer than what the view may have.
    volume: Option<Box<PersistentVolume>>,
    /// UID of the PersistentVolume that a mark was asked for, and whether that was answered.
    mark: Option<(String, bool)>,
    /// The PersistentVolume as the API server itself told.
    read: Asked<Box<PersistentVolume>>,
    /// What the array has under the claim's name.
    found: Asked<Volume>,
    started: bool,
    waiting: bool,
    tries: Tries,
}

/// What is to be done next.
enum Next {
    /// Nothing, until something changes.
    Nothing,
    Do(Effect),
    /// Wait until Kubernetes' own controller knows the PersistentVolume with this UID.
    Mark(String),
    /// Something that only somebody else can mend.
    Stuck {
        reason: &'static str,
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
                self.found = Asked::NotYet;
                self.grown = None;
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
                let trouble = Trouble::Cluster(message);
                let failed = self.tries.failed(About::Claim, reason, &trouble);
                self.waiting = failed.iter().any(|effect| matches!(effect, Effect::Later(_)));
                effects.extend(failed);
            }
        }
        effects
    }

    fn learn(&mut self, effect: Effect, outcome: Outcome) {
        match (effect, outcome) {
            (
                Effect::Intend { .. }
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
            (Effect::Ensure { .. }, Outcome::Volume(made)) => {
                self.tries.good();
                self.made = made;
            }
            (Effect::Find { .. }, Outcome::Volume(found)) => self.found = found.into(),
            (Effect::Destroy { .. }, _) => self.found = Asked::Absent,
            (Effect::ReadVolume { .. }, Outcome::PersistentVolume(volume)) => {
                self.read = volume.into();
            }
            _ => {}
        }
    }

    fn fail(&mut self, effect: &Effect, trouble: &Trouble) -> Vec<Effect> {
        // What was thought to be known may be what was wrong.
        self.newest = None;
        self.volume = None;
        self.read = Asked::NotYet;
        if matches!(trouble, Trouble::Array { .. }) {
            self.made = None;
            self.found = Asked::NotYet;
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
        let Some(array) = annotation(ARRAY).filter(|_| ours) else {
            return match place(view.arrays, class.kind, size) {
                Ok(array) => {
                    let array = array.name.clone();
                    Next::Do(Effect::Intend { claim: seen(claim), array, size })
                }
                Err(why) => stuck(format!("no array takes it: {why}")),
            };
        };
        if let Some(there) = self.newest_volume(view) {
            return self.compare(there, view, claim, class, uid);
        }
        let Some(made) = &self.made else {
            let wanted = wanted(view.setup, claim, class, name, size);
            return Next::Do(Effect::Ensure { array, wanted: Box::new(wanted) });
        };
        let Some(state) = view.arrays.iter().find(|state| state.name == array) else {
            return stuck(format!("the storage document has no array {array} any more"));
        };
        match persistent::make(claim, class, state, made) {
            Ok(volume) => Next::Do(Effect::Create(Box::new(volume))),
            Err(why) => stuck(why),
        }
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
        let made = self.made.as_ref().and_then(|made| {
            let array = behind(there).map(|behind| behind.array)?;
            let state = view.arrays.iter().find(|state| state.name == array)?;
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
        let array = claim.metadata.annotations.as_ref().and_then(|all| all.get(ARRAY)).cloned();
        let name = name::volume(&view.setup.cluster, uid);
        let (Some(array), Some(name)) = (array, name) else {
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
            Asked::There(_) | Asked::Absent => self.destroy(claim, array, &name),
        }
    }

    fn destroy(&self, claim: &PersistentVolumeClaim, array: String, name: &Name) -> Next {
        match &self.found {
            Asked::NotYet => Next::Do(Effect::Find { array, name: name.clone() }),
            Asked::There(volume) if !volume.destroyed => match volume.volume_id() {
                Some(volume) => {
                    Next::Do(Effect::Destroy { array, volume, owner: owner_of(claim, name) })
                }
                None => Next::Nothing,
            },
            Asked::There(_) | Asked::Absent => Next::Do(Effect::Finish { claim: seen(claim) }),
        }
    }

    /// What people are told of a step that is worth telling.
    fn announce(&mut self, view: View<'_>, effect: &Effect) -> Option<Effect> {
        let (reason, message) = match effect {
            Effect::Intend { array, .. } if !self.started => {
                self.started = true;
                (PROVISIONING, format!("a volume is being made on {array}"))
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
        self.tries.tell(About::Claim, Severity::Normal, reason, "", message)
    }

    fn success(&self, view: View<'_>) -> String {
        let name = self.made.as_ref().map(|made| made.name.as_str()).unwrap_or_default();
        let array = self
            .newest_volume(view)
            .and_then(behind)
            .map(|behind| behind.array)
            .unwrap_or_default();
        format!("volume {name} on {array}")
    }
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

/// UID of the claim that a PersistentVolume is for.
fn claimed(volume: &PersistentVolume) -> Option<&str> {
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
