//! A claim without a PersistentVolume: the array is chosen and written on the claim, the volume made, and the
//! PersistentVolume created.

use crate::contract::ArrayKind;
use crate::contract::class_of;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::{
    Asking, CaughtUp, ClaimState, ClaimView, FAILED, Next, asked, claimed, is_gone, owner_of, seen,
};
use crate::contract::annotation;
use crate::contract::name;
use crate::contract::{
    CloneSource, SnapshotSuffix, Transport, Volume, VolumeId, VolumeName, VolumeOptions,
    VolumeRequest,
};
use crate::provisioner::decide::array_selection::{ArrayNeeds, SelectedArray, select_array};
use crate::provisioner::decide::claim_spec;
use crate::provisioner::decide::content_source::{Origin, Unknown, origin};
use crate::provisioner::decide::effect::Effect;
use crate::provisioner::decide::import;
use crate::provisioner::decide::matching::is_handed_over;
use crate::provisioner::decide::persistent_volume::{self, Behind, behind, foreign_key};
use crate::provisioner::decide::setup::{ArrayState, Binding, ClassSetup, Health, Import, Setup};

impl ClaimState {
    pub(super) fn provision(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        uid: &str,
        ours: bool,
    ) -> Next {
        let stuck = |message: String| Next::Stuck { reason: FAILED, message };
        let class = match view.class {
            // What was begun goes when the claim goes or has another provisioner's volume, and not before: a request
            // of ours may still be on its way.
            None if ours => {
                let class = class_of(claim).unwrap_or_default();
                return stuck(format!(
                    "class {class} is gone or has another provisioner; create the class again, or delete the claim"
                ));
            }
            None => return Next::Nothing,
            Some(class) if !ours && !may_begin(view, claim, class) => return Next::Nothing,
            Some(Err(wrong)) => return stuck(wrong.clone()),
            Some(Ok(class)) => class,
        };
        let annotation = |key: &str| claim.metadata.annotations.as_ref()?.get(key).cloned();
        if class.waits
            && !ours
            && annotation(annotation::SELECTED_NODE).is_none_or(|node| node.is_empty())
        {
            return Next::Nothing;
        }
        let (Some(name), Some(size)) =
            (name::volume(&view.setup.cluster, uid), claim_spec::size(claim))
        else {
            return stuck(
                "the claim asks for no size, or the cluster's name is too long".to_owned(),
            );
        };
        if let Err(wrong) = check_modes(claim, class).and_then(|()| claim_spec::check(claim)) {
            return stuck(wrong);
        }
        let origin = match origin(view, claim, class, ours) {
            Ok(origin) => origin,
            Err(Unknown::NotOurs) => return Next::Nothing,
            Err(Unknown::NotThere(why)) if ours => return self.do_without(view, claim, class, why),
            Err(Unknown::NotThere(why) | Unknown::Wrong(why)) => return stuck(why),
        };
        let mut asked = if ours { asked(view, claim) } else { Vec::new() };
        // Where there is one already, there is no need for another, whoever has written that.
        let made = self.made.as_ref().and_then(|(on, _)| asked.iter().find(|it| it.array == *on));
        let Some(Asking { array, id: array_id }) = made.or(asked.last()).cloned() else {
            return choose(view, claim, class, &origin, asked, None);
        };
        if let Some(there) = self.newest_volume(view) {
            return self.compare(there, view, claim, class, uid);
        }
        if asked.last().is_some_and(|asking| is_gone(view, asking)) {
            asked.retain(|asking| !is_gone(view, asking));
            return choose(view, claim, class, &origin, asked, None);
        }
        // The class was made anew, for the other kind of array.
        if view.arrays.iter().any(|state| state.name == array && state.kind != class.kind) {
            return if self.clean.contains(&array) {
                choose(view, claim, class, &origin, asked, None)
            } else if self.found.as_ref().is_some_and(|(on, _)| *on == array) {
                let class = &class.name;
                stuck(format!(
                    "{name} was made on {array} before class {class} was for the other kind of array; delete the claim and create it again"
                ))
            } else {
                Next::Do(Effect::FindVolume { array, array_id, name })
            };
        }
        if let Origin::Import(import) = origin {
            return self.import(view, claim, class, import, size);
        }
        let found = self.found.as_ref().is_some_and(|(on, _)| *on == array);
        if self.full.as_ref() == Some(&array) && !self.clean.contains(&array) {
            // A request may have been done all the same, before another was refused.
            return if found {
                stuck(format!("{array} has the volume and says that it has no room"))
            } else {
                Next::Do(Effect::FindVolume { array, array_id, name })
            };
        }
        // The class, or what is written on the claim, may have changed since the array was chosen. What is
        // there already stays; nothing new is put where the class does not allow it.
        let is_there = found || self.made.as_ref().is_some_and(|(on, _)| *on == array);
        if matches!(origin, Origin::Empty) && !is_there && !is_allowed(view, class, &array) {
            return if self.clean.contains(&array) {
                choose(view, claim, class, &origin, asked, None)
            } else {
                Next::Do(Effect::FindVolume { array, array_id, name })
            };
        }
        if self.full.as_ref() == Some(&array) {
            return choose(view, claim, class, &origin, asked, Some(&array));
        }
        let Some((_, made)) = self.made.as_ref().filter(|(on, _)| *on == array) else {
            let mut wanted = wanted(view.setup, claim, class, name, size);
            if let Origin::Copy(Behind { volume, .. }) = origin {
                wanted.source = match (class.kind, &self.snapshot) {
                    (ArrayKind::FlashArray, _) => Some(CloneSource::Volume(volume)),
                    (ArrayKind::FlashBlade, Some((on, snapshot))) if *on == array => {
                        Some(CloneSource::Snapshot(snapshot.name.clone()))
                    }
                    // A FlashBlade copies snapshots alone.
                    (ArrayKind::FlashBlade, _) => return take_snapshot(array, volume, uid),
                };
            }
            return Next::Do(Effect::EnsureVolume { array, array_id, wanted: Box::new(wanted) });
        };
        if let Some((array, snapshot)) = self.snapshot.clone() {
            return Next::Do(Effect::DestroySnapshot { array, snapshot, read: None });
        }
        self.create(view, claim, class, &array, made)
    }

    /// Creates the PersistentVolume of a volume that is there, unless Kubernetes binds the claim to another one.
    fn create(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        array: &str,
        volume: &Volume,
    ) -> Next {
        // Of two that name a claim, Kubernetes takes either. Should the other one go to another claim, or go, the
        // volume is there and is used.
        if view.rival.is_some() {
            return Next::Nothing;
        }
        if self.caught_up != CaughtUp::Yes {
            return Next::AwaitWatch;
        }
        create(view, claim, class, array, volume)
    }

    /// What the volume is a copy of is gone. When the copy has been made by then, that will do.
    pub(super) fn do_without(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        why: String,
    ) -> Next {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let name = name::volume(&view.setup.cluster, uid);
        if let Some(there) = self.newest_volume(view) {
            return self.compare(there, view, claim, class, uid);
        }
        let asked = asked(view, claim).pop().filter(|asking| !is_gone(view, asking));
        let (Some(Asking { array, id: array_id }), Some(name)) = (asked, name) else {
            return Next::Stuck { reason: FAILED, message: why };
        };
        match self.found.as_ref().filter(|(on, _)| *on == array) {
            None if !self.clean.contains(&array) => {
                Next::Do(Effect::FindVolume { array, array_id, name })
            }
            Some((_, found)) if claim_spec::size(claim).is_some_and(|size| found.size >= size) => {
                self.create(view, claim, class, &array, found)
            }
            _ => Next::Stuck { reason: FAILED, message: why },
        }
    }

    /// Takes a volume that is there already for the claim's.
    pub(super) fn import(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        import: &Import,
        size: u64,
    ) -> Next {
        let stuck = |message: String| Next::Stuck { reason: FAILED, message };
        let Import { array, volume } = import;
        let own = (claim.metadata.namespace.as_deref(), claim.metadata.name.as_deref());
        let own = (own.0.unwrap_or_default(), own.1.unwrap_or_default());
        if let Some((namespace, other)) = import::other_claim(view.setup, import, own) {
            return stuck(format!(
                "{volume} on {array} is to be imported for {namespace}/{other} too; take one of the two out of the storage document"
            ));
        }
        if self.clean.contains(array) {
            return stuck(format!(
                "{array} has no volume {volume} to import; correct `imports` in the storage document, or recover the volume if it is destroyed"
            ));
        }
        let Some((_, found)) = self.found.as_ref().filter(|(on, _)| on == array) else {
            let array_id = up(view, array).map(|(_, id)| id.to_owned());
            return Next::Do(Effect::FindVolume {
                array: array.clone(),
                array_id,
                name: volume.clone(),
            });
        };
        if let Err(why) = import::check_import(found, class, view.setup, size) {
            return stuck(format!("{volume} on {array} {why}"));
        }
        let array_id = up(view, array).map(|(_, id)| id.to_owned()).unwrap_or_default();
        if let Some(others) = view.behind.get(&(array_id, found.id.clone()))
            && let Some(other) = others.first()
        {
            return stuck(format!("{volume} on {array} has the PersistentVolume {other} already"));
        }
        if let Some(other) = foreign(view, array, volume) {
            return stuck(format!(
                "{volume} on {array} is that of the PersistentVolume {other} of another driver; set its reclaim policy to Retain, and delete its claim, before this one gets the volume"
            ));
        }
        self.create(view, claim, &class.keeping(), array, found)
    }

    /// There is a PersistentVolume of the claim's name: the two are bound, unless it is a stranger's.
    pub(super) fn compare(
        &self,
        there: &PersistentVolume,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        uid: &str,
    ) -> Next {
        let made = self.made.as_ref().and_then(|(array, made)| {
            let state = view.arrays.iter().find(|state| state.name == *array)?;
            persistent_volume::make(claim, class, state, made).ok()
        });
        let same = claimed(there) == Some(uid)
            && behind(there).is_some()
            && made.is_none_or(|made| persistent_volume::are_same(&made, there));
        if same {
            return self.bind(there, view, claim);
        }
        let name = there.metadata.name.as_deref().unwrap_or_default();
        let message = format!("there is another PersistentVolume {name}; remove it, or the claim");
        Next::Stuck { reason: FAILED, message }
    }
}

/// Whether a volume may be made for a claim on which nothing is written yet: Kubernetes has found no PersistentVolume
/// for it, and we know of none either.
///
/// Until Kubernetes has said so, nothing is written on the claim: its controller would find it changed when it does, and
/// would write a Warning. Only where it does not come to all claims in time, a claim is begun without it. What was
/// missed then is found by a view that is known to be new enough, before the PersistentVolume is created.
fn may_begin(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &Result<ClassSetup, String>,
) -> bool {
    // The scheduler lets no crowd of them come.
    let waits_for_pod = class.as_ref().is_ok_and(|class| class.waits);
    let too_late = view.is_crowded && view.setup.binding == Binding::Direct && !waits_for_pod;
    view.rival.is_none() && (is_handed_over(claim) || too_late)
}

/// Takes the snapshot by which a file system is copied. Its name follows from the claim, so that the next
/// process finds it.
fn take_snapshot(array: String, volume: VolumeId, uid: &str) -> Next {
    if let Some(suffix) = SnapshotSuffix::new(format!("clone-{uid}")) {
        Next::Do(Effect::TakeSnapshot { array, volume, suffix })
    } else {
        let message = format!("a snapshot cannot be called clone-{uid}");
        Next::Stuck { reason: FAILED, message }
    }
}

/// Creates the PersistentVolume of a volume that is there.
fn create(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    array: &str,
    volume: &Volume,
) -> Next {
    let stuck = |message: String| Next::Stuck { reason: FAILED, message };
    // What is written down for good is the id of the array that has the volume.
    let recorded = asked(view, claim).into_iter().find(|asking| asking.array == array);
    let recorded = recorded.and_then(|asking| asking.id);
    let found = up(view, array).map(|(_, id)| id);
    if let Some((recorded, found)) = recorded.as_deref().zip(found).filter(|(a, b)| a != b) {
        return stuck(format!(
            "{array} is another array now: its id is {found}, and that which was asked has {recorded}"
        ));
    }
    let Some(state) = view.arrays.iter().find(|state| state.name == array) else {
        return stuck(format!("the storage document has no array {array} any more"));
    };
    match persistent_volume::make(claim, class, state, volume) {
        Ok(volume) => Next::Do(Effect::CreatePersistentVolume(Box::new(volume))),
        Err(why) => stuck(why),
    }
}

/// Chooses an array, another one when that which was asked last is full.
fn choose(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    origin: &Origin<'_>,
    mut asked: Vec<Asking>,
    full: Option<&str>,
) -> Next {
    let some_nodes = view.arrays.iter().any(|array| !array.traits.topology.is_empty());
    if class.waits && some_nodes && view.node.is_none() && asked.is_empty() {
        // The node is gone: the scheduler chooses another one.
        return Next::Do(Effect::Reschedule { claim: seen(claim) });
    }
    // What is there already needs no further room.
    let import = match origin {
        Origin::Import(import) => Some(*import),
        Origin::Empty | Origin::Copy(_) => None,
    };
    let size = claim_spec::size(claim).filter(|_| import.is_none()).unwrap_or_default();
    let need = ArrayNeeds {
        kind: class.kind,
        size,
        labels: &class.arrays,
        class: Some(class),
        node: view.node.filter(|_| class.waits),
        only: origin.array(),
        full,
    };
    match select_array(view.arrays, &need) {
        Ok(SelectedArray { array, why }) => {
            // Where it was asked before, it is asked again: there may be room by now.
            asked.retain(|each| each.array != array.name);
            let id = up(view, &array.name).map(|(_, id)| id.to_owned());
            asked.push(Asking { array: array.name.clone(), id });
            let (asked, ids) = asked
                .into_iter()
                .map(|asking| (asking.array, asking.id.unwrap_or_default()))
                .unzip();
            let import = import.map(|import| import.volume.clone());
            let effect = Effect::RecordIntent { claim: seen(claim), asked, ids, import, size };
            Next::RecordIntent { effect, why }
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

/// Returns the PersistentVolume of another driver that is in use with a volume of an array, or destroys it.
fn foreign<'v>(view: ClaimView<'v>, array: &str, volume: &VolumeName) -> Option<&'v str> {
    let (state, _) = up(view, array)?;
    let addresses = match &state.health {
        Health::Up { reach: Transport::Nfs { addresses }, .. } => addresses.as_slice(),
        _ => &[],
    };
    let servers = addresses.iter().chain(&state.traits.data).map(String::as_str);
    let mut keys = servers.chain([""]).map(|server| foreign_key(server, volume.as_str()));
    let names = keys.find_map(|key| view.foreign.get(&key))?;
    names.first().map(String::as_str)
}

/// An array that can be asked for anything, with its id.
fn up<'v>(view: ClaimView<'v>, array: &str) -> Option<(&'v ArrayState, &'v str)> {
    let state = view.arrays.iter().find(|state| state.name == array)?;
    match &state.health {
        Health::Up { id, .. } => Some((state, id)),
        Health::Down(_) => None,
    }
}

/// Whether a class allows its volumes on an array, and the claim's node reaches it. That an array cannot be
/// asked now is no reason against it.
fn is_allowed(view: ClaimView<'_>, class: &ClassSetup, array: &str) -> bool {
    let state = view.arrays.iter().find(|state| state.name == array);
    state.is_some_and(|state| {
        state.kind == class.kind
            && has_all(&state.traits.labels, &class.arrays)
            && class.allows(&state.traits)
            && view
                .node
                .filter(|_| class.waits)
                .is_none_or(|node| has_all(node, &state.traits.topology))
    })
}

/// Whether labels have all of the wanted ones.
fn has_all(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
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

fn wanted(
    setup: &Setup,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    name: VolumeName,
    size: u64,
) -> VolumeRequest {
    let owner = owner_of(setup, claim);
    let details = match class.kind {
        ArrayKind::FlashBlade => {
            let exports = class.exports.as_ref().unwrap_or(&setup.exports).clone();
            VolumeOptions::File { exports, nfs: class.nfs() }
        }
        // What protects new volumes is the array's administrator's choice, and destroys nothing of ours.
        ArrayKind::FlashArray => VolumeOptions::Block { default_protection: true, qos: class.qos },
    };
    VolumeRequest { name, owner, size, source: None, details }
}
