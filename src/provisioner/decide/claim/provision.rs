//! Decides the steps from a claim without a volume to its PersistentVolume: the choice of an array, the creation of the
//! volume, and the PersistentVolume itself. Binding is decided elsewhere.

use crate::contract::ArrayKind;
use crate::contract::class_of;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::asked_arrays::{AskedArray, asked_arrays, is_gone};
use super::state::{OnArray, WatchBarrier};
use super::{ClaimState, ClaimView, FAILED, Next};
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
use crate::provisioner::decide::object::{claim_uid, object_version, owner_of};
use crate::provisioner::decide::persistent_volume::{
    self, BackingVolume, backing_volume, foreign_key,
};
use crate::provisioner::decide::setup::{ArrayState, Binding, ClassSetup, Health, Import, Setup};

impl ClaimState {
    #[expect(
        clippy::too_many_lines,
        reason = "one question after the other, in the order in which they are safe"
    )]
    pub(super) fn provision(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        uid: &str,
        is_started: bool,
    ) -> Next {
        let stuck = |message: String| Next::Stuck { reason: FAILED, message };
        let class = match view.class {
            // The cleanup waits until the claim is deleted or bound to another provisioner's volume: until then, a
            // request to the array may still be in flight.
            None if is_started => {
                let class = class_of(claim).unwrap_or_default();
                return stuck(format!(
                    "class {class} is gone or has another provisioner; create the class again, or delete the claim"
                ));
            }
            None => return Next::Nothing,
            Some(class) if !is_started && !may_start(view, claim, class) => return Next::Nothing,
            Some(Err(message)) => return stuck(message.clone()),
            Some(Ok(class)) => class,
        };
        let annotation = |key: &str| claim.metadata.annotations.as_ref()?.get(key).cloned();
        if class.waits
            && !is_started
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
        let checked = check_modes(claim, class)
            .and_then(|()| claim_spec::check(claim, view.setup.attributes));
        if let Err(message) = checked {
            return stuck(message);
        }
        let origin = match origin(view, claim, class, is_started, &self.arrays.restore) {
            Ok(origin) => origin,
            Err(Unknown::NotOurs) => return Next::Nothing,
            Err(Unknown::NotRead(effect)) => return Next::Do(effect),
            Err(Unknown::NotThere(why)) if is_started => {
                return self.use_finished_clone(view, claim, class, why);
            }
            Err(Unknown::NotThere(why) | Unknown::Wrong(why)) => return stuck(why),
        };
        let mut asked = if is_started { asked_arrays(view, claim) } else { Vec::new() };
        // An array that has the volume already stays, even if the claim names a later one.
        let created = self.arrays.created.as_ref();
        let created = created.and_then(|on| asked.iter().find(|asked| asked.array == on.array));
        let Some(AskedArray { array, id: array_id }) = created.or(asked.last()).cloned() else {
            return choose(view, claim, class, &origin, asked, None);
        };
        if let Some(existing) = self.newest_volume(view) {
            return self.compare(existing, view, claim, class, uid);
        }
        if asked.last().is_some_and(|each| is_gone(view, each)) {
            asked.retain(|each| !is_gone(view, each));
            return choose(view, claim, class, &origin, asked, None);
        }
        // The class was recreated for the other kind of array.
        if view.arrays.iter().any(|state| state.name == array && state.kind != class.kind) {
            return if self.arrays.without_volume.contains(&array) {
                choose(view, claim, class, &origin, asked, None)
            } else if self.arrays.found_on(&array).is_some() {
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
        let is_found = self.arrays.found_on(&array).is_some();
        if self.arrays.full.as_ref() == Some(&array) && !self.arrays.without_volume.contains(&array)
        {
            // An earlier request may have created the volume before the array rejected a later one.
            return if is_found {
                stuck(format!("{array} has the volume and reports that it has no room"))
            } else {
                Next::Do(Effect::FindVolume { array, array_id, name })
            };
        }
        // The class or the annotation of the claim may have changed since the array was chosen. An existing volume
        // stays; a new one is created only where the class allows it.
        let exists = is_found || self.arrays.created_on(&array).is_some();
        if matches!(origin, Origin::Empty) && !exists && !is_allowed(view, class, &array) {
            return if self.arrays.without_volume.contains(&array) {
                choose(view, claim, class, &origin, asked, None)
            } else {
                Next::Do(Effect::FindVolume { array, array_id, name })
            };
        }
        if self.arrays.full.as_ref() == Some(&array) {
            return choose(view, claim, class, &origin, asked, Some(&array));
        }
        let Some(created) = self.arrays.created_on(&array) else {
            let mut request = volume_request(view.setup, claim, class, name, size);
            if let Origin::Restore(point) = origin {
                request.source = Some(CloneSource::Snapshot(point.snapshot.name.clone()));
            } else if let Origin::Copy(BackingVolume { volume, .. }) = origin {
                request.source = match (class.kind, &self.arrays.clone_snapshot) {
                    (ArrayKind::FlashArray, _) => Some(CloneSource::Volume(volume)),
                    (ArrayKind::FlashBlade, Some(snapshot)) if snapshot.array == array => {
                        Some(CloneSource::Snapshot(snapshot.item.name.clone()))
                    }
                    // A FlashBlade clones only snapshots.
                    (ArrayKind::FlashBlade, _) => return take_snapshot(array, volume, uid),
                };
            }
            return Next::Do(Effect::EnsureVolume { array, array_id, wanted: Box::new(request) });
        };
        if let Some(OnArray { array, item: snapshot }) = self.arrays.clone_snapshot.clone() {
            return Next::Do(Effect::DestroySnapshot { array, snapshot, read: None });
        }
        self.create(view, claim, class, &array, created)
    }

    /// Creates the PersistentVolume of an existing volume, unless Kubernetes would bind the claim to another one.
    fn create(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        array: &str,
        volume: &Volume,
    ) -> Next {
        // Of two PersistentVolumes that name a claim, Kubernetes binds either. The volume stays until the other one is
        // bound to another claim or deleted, and is used then.
        if view.rival.is_some() {
            return Next::Nothing;
        }
        if self.barriers.watch != WatchBarrier::Passed {
            return Next::AwaitWatch;
        }
        create(view, claim, class, array, volume)
    }

    /// Uses the clone if the array finished it before its source disappeared; otherwise reports `why`.
    pub(super) fn use_finished_clone(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        why: String,
    ) -> Next {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let name = name::volume(&view.setup.cluster, uid);
        if let Some(existing) = self.newest_volume(view) {
            return self.compare(existing, view, claim, class, uid);
        }
        let asked = asked_arrays(view, claim).pop().filter(|each| !is_gone(view, each));
        let (Some(AskedArray { array, id: array_id }), Some(name)) = (asked, name) else {
            return Next::Stuck { reason: FAILED, message: why };
        };
        match self.arrays.found_on(&array) {
            None if !self.arrays.without_volume.contains(&array) => {
                Next::Do(Effect::FindVolume { array, array_id, name })
            }
            Some(found) if claim_spec::size(claim).is_some_and(|size| found.size >= size) => {
                self.create(view, claim, class, &array, found)
            }
            _ => Next::Stuck { reason: FAILED, message: why },
        }
    }

    /// Uses an existing volume, which the storage document names, for the claim.
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
        if self.arrays.without_volume.contains(array) {
            return stuck(format!(
                "{array} has no volume {volume} to import; correct `imports` in the storage document, or recover the volume if it is destroyed"
            ));
        }
        let Some(found) = self.arrays.found_on(array) else {
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
        if let Some(others) = view.persistent_volumes.get(&(array_id, found.id.clone()))
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

    /// Binds an existing PersistentVolume of the claim's name, unless the provisioner did not create it.
    pub(super) fn compare(
        &self,
        existing: &PersistentVolume,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
        class: &ClassSetup,
        uid: &str,
    ) -> Next {
        let expected = self.arrays.created.as_ref().and_then(|created| {
            let state = view.arrays.iter().find(|state| state.name == created.array)?;
            persistent_volume::make(claim, class, state, &created.item).ok()
        });
        let same = claim_uid(existing) == Some(uid)
            && backing_volume(existing).is_some()
            && expected.is_none_or(|expected| persistent_volume::are_same(&expected, existing));
        if same {
            return self.bind(existing, view, claim);
        }
        let name = existing.metadata.name.as_deref().unwrap_or_default();
        let message = format!("there is another PersistentVolume {name}; remove it, or the claim");
        Next::Stuck { reason: FAILED, message }
    }
}

/// Returns whether the provisioner may start with a claim: neither kube-controller-manager nor the provisioner knows a
/// PersistentVolume that fits it.
///
/// Until kube-controller-manager has marked the claim, the provisioner writes nothing on it: a write of
/// kube-controller-manager would conflict, and it would record a Warning. Only if more claims wait than it can
/// reconcile in time, the provisioner starts without the mark. The barrier of the watch, before the PersistentVolume is
/// created, then finds a PersistentVolume that was missed.
fn may_start(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &Result<ClassSetup, String>,
) -> bool {
    // The scheduler limits the rate of claims that wait for their pods.
    let waits_for_pod = class.as_ref().is_ok_and(|class| class.waits);
    let too_late = view.is_crowded && view.setup.binding == Binding::Direct && !waits_for_pod;
    view.rival.is_none() && (is_handed_over(claim) || too_late)
}

/// Takes the snapshot from which a file system is cloned. Its name follows from the UID of the claim, so that another
/// process finds it.
fn take_snapshot(array: String, volume: VolumeId, uid: &str) -> Next {
    if let Some(suffix) = SnapshotSuffix::new(format!("clone-{uid}")) {
        Next::Do(Effect::TakeSnapshot { array, volume, suffix })
    } else {
        let message = format!("a snapshot cannot be called clone-{uid}");
        Next::Stuck { reason: FAILED, message }
    }
}

/// Creates the PersistentVolume of an existing volume.
fn create(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    array: &str,
    volume: &Volume,
) -> Next {
    let stuck = |message: String| Next::Stuck { reason: FAILED, message };
    // The PersistentVolume records the id of the array that has the volume.
    let recorded = asked_arrays(view, claim).into_iter().find(|each| each.array == array);
    let recorded = recorded.and_then(|each| each.id);
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

/// Chooses an array; another one if `full` names the one that was asked last.
fn choose(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    origin: &Origin<'_>,
    mut asked: Vec<AskedArray>,
    full: Option<&str>,
) -> Next {
    let some_nodes = view.arrays.iter().any(|array| !array.traits.topology.is_empty());
    if class.waits && some_nodes && view.node.is_none() && asked.is_empty() {
        // The node does not exist any more: the scheduler has to choose another one.
        return Next::Do(Effect::Reschedule { claim: object_version(claim) });
    }
    // An existing volume needs no further capacity.
    let import = match origin {
        Origin::Import(import) => Some(*import),
        Origin::Empty | Origin::Copy(_) | Origin::Restore(_) => None,
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
            // An array that was asked before may be asked again: it may have room by now.
            asked.retain(|each| each.array != array.name);
            let id = up(view, &array.name).map(|(_, id)| id.to_owned());
            asked.push(AskedArray { array: array.name.clone(), id });
            let (asked, ids) =
                asked.into_iter().map(|each| (each.array, each.id.unwrap_or_default())).unzip();
            let import = import.map(|import| import.volume.clone());
            let effect =
                Effect::RecordIntent { claim: object_version(claim), asked, ids, import, size };
            Next::RecordIntent { effect, why }
        }
        // The node cannot change any more after an array was asked.
        Err(refusal) if refusal.for_another_node && class.waits && asked.is_empty() => {
            Next::Do(Effect::Reschedule { claim: object_version(claim) })
        }
        Err(refusal) => {
            let message = format!("no array takes it: {}", refusal.why);
            Next::Stuck { reason: FAILED, message }
        }
    }
}

/// Returns the PersistentVolume of another driver that uses a volume of an array, or that destroys it with its claim.
fn foreign<'v>(view: ClaimView<'v>, array: &str, volume: &VolumeName) -> Option<&'v str> {
    let (state, _) = up(view, array)?;
    let addresses = match &state.health {
        Health::Up { transport: Transport::Nfs { addresses }, .. } => addresses.as_slice(),
        _ => &[],
    };
    let servers = addresses.iter().chain(&state.traits.data).map(String::as_str);
    let mut keys = servers.chain([""]).map(|server| foreign_key(server, volume.as_str()));
    let names = keys.find_map(|key| view.foreign.get(&key))?;
    names.first().map(String::as_str)
}

/// Returns a reachable array and its id.
fn up<'v>(view: ClaimView<'v>, array: &str) -> Option<(&'v ArrayState, &'v str)> {
    let state = view.arrays.iter().find(|state| state.name == array)?;
    match &state.health {
        Health::Up { id, .. } => Some((state, id)),
        Health::Down(_) => None,
    }
}

/// Returns whether a class allows its volumes on an array, and the claim's node reaches it. The array need not be
/// reachable now.
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

/// Returns whether `labels` contains all of `wanted`.
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

/// Returns the request for a claim's volume.
fn volume_request(
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
        // The array's administrator chooses the default protection, which never destroys volumes.
        ArrayKind::FlashArray => VolumeOptions::Block { default_protection: true, qos: class.qos },
    };
    VolumeRequest { name, owner, size, source: None, details }
}
