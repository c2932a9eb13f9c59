//! The state of the cluster as the watches show it, and the last known state of the arrays, with indexes. Decides
//! nothing.

mod claims;
mod matching;
mod recorded_volume;
mod store;
mod subject;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use k8s_openapi::api::core::v1::{Node, ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

use super::Key;
use super::serialized::Serialized;
use crate::contract::Capacity;
use crate::contract::SnapshotPolicy;
use crate::contract::annotation;
use crate::contract::class_of;
use crate::contract::name::{made_for, persistent_volume};
use crate::provisioner::decide::{
    ArrayState, Backlog, ClaimView, ClassSetup, Health, ObjectVersion, ReclaimView, ReservedFor,
    Setup, SnapshotView, SourceView, backing_ids, foreign, is_match, reserved_for, source_of,
};
use claims::{Claim, Claims};
use matching::MatchingVolumes;
use recorded_volume::RecordedVolume;
pub(super) use store::Store;
pub(super) use subject::{State, Subject};

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    setup: Setup,
    claims: Claims,
    /// PersistentVolumes by name.
    volumes: Store<Serialized<PersistentVolume>>,
    classes: Store<Option<Result<ClassSetup, String>>>,
    /// Labels of the nodes, by name.
    nodes: Store<BTreeMap<String, String>>,
    arrays: Vec<ArrayState>,
    are_arrays_known: bool,
    /// Names of the PersistentVolumes of each volume on an array, by array id and volume id.
    persistent_volumes: HashMap<(String, String), BTreeSet<String>>,
    /// The volume that each PersistentVolume names.
    volume_ids: HashMap<String, (String, String)>,
    /// UIDs of the claims of the provisioner's PersistentVolumes, by the names of the PersistentVolumes.
    claimed: HashMap<String, String>,
    /// The recorded volume of each of the provisioner's PersistentVolumes, by name.
    recorded: HashMap<String, RecordedVolume>,
    /// Names of the PersistentVolumes of other drivers by the volume that they name; empty unless the document has
    /// imports.
    foreign: HashMap<String, BTreeSet<String>>,
    /// The volume that each of them names.
    names_foreign: HashMap<String, String>,
    /// PersistentVolumes that Kubernetes may still bind to claims.
    matching: MatchingVolumes,
    backlog: Backlog,
    is_crowded: bool,
}

impl Cache {
    /// Returns an empty cache. `nodes` is whether nodes are watched.
    pub(super) fn new(setup: Setup, nodes: bool) -> Self {
        Self {
            nodes: Store::new(!nodes),
            setup,
            claims: Claims::default(),
            volumes: Store::default(),
            classes: Store::default(),
            arrays: Vec::new(),
            are_arrays_known: false,
            persistent_volumes: HashMap::new(),
            volume_ids: HashMap::new(),
            claimed: HashMap::new(),
            recorded: HashMap::new(),
            foreign: HashMap::new(),
            names_foreign: HashMap::new(),
            matching: MatchingVolumes::default(),
            backlog: Backlog::default(),
            is_crowded: false,
        }
    }

    /// Returns whether all kinds of objects were seen once.
    pub(super) fn is_ready(&self) -> bool {
        let lists = [self.claims.are_complete(), self.volumes.complete, self.classes.complete];
        lists == [true; 3] && self.nodes.complete && self.are_arrays_known
    }

    /// Returns the kinds of objects that were not seen yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let is_known = [
            (self.claims.are_complete(), "claims"),
            (self.volumes.complete, "PersistentVolumes"),
            (self.classes.complete, "StorageClasses"),
            (self.nodes.complete, "nodes"),
            (self.are_arrays_known, "arrays"),
        ];
        is_known.into_iter().filter(|(is_known, _)| !is_known).map(|(_, kind)| kind).collect()
    }

    /// Returns all subjects to reconcile.
    pub(super) fn all(&self) -> Vec<Key> {
        let claims = self.claims.uids().cloned().map(Key::Claim);
        let volumes = self.volumes.objects.keys().cloned().map(Key::Volume);
        claims.chain(volumes).chain(self.snapshots().cloned().map(Key::Snapshots)).collect()
    }

    pub(super) fn claims(&mut self, event: Event<PersistentVolumeClaim>) -> Vec<Key> {
        let mut keys = Vec::new();
        for uid in self.claims.apply_event(event) {
            keys.push(Key::Volume(persistent_volume(&uid)));
            keys.push(Key::Claim(uid));
        }
        keys.extend(self.update_backlog().map(Key::Claim));
        keys
    }

    /// Counts the claims that wait for kube-controller-manager. Returns them if they have become too many for it.
    fn update_backlog(&mut self) -> impl Iterator<Item = String> + use<> {
        let classes = self.classes.objects.iter();
        // The scheduler limits the rate of claims that wait for a pod.
        let is_ours = |class: &Option<Result<ClassSetup, String>>| matches!(class, Some(Ok(class)) if !class.waits);
        let ours = classes.filter(|(_, class)| is_ours(class)).map(|(name, _)| name);
        let waiting = ours.clone().map(|class| self.claims.unanswered(class).len()).sum();
        let before = std::mem::replace(&mut self.is_crowded, self.backlog.update(waiting));
        let is_new = self.is_crowded && !before;
        let all = ours.filter(|_| is_new).flat_map(|class| self.claims.unanswered(class));
        all.cloned().collect::<Vec<_>>().into_iter()
    }

    pub(super) fn volumes(&mut self, event: Event<PersistentVolume>) -> Vec<Key> {
        let changed = self.volumes.apply_event(event, name, Serialized::new);
        let mut keys = Vec::new();
        for name in changed {
            self.update_volume_indexes(&name);
            keys.extend(self.update_matching(&name).into_iter().map(Key::Claim));
            let own = made_for(&name).map(str::to_owned);
            // An admin may have bound it to another claim than its own.
            let other = self.claimed.get(&name).filter(|uid| own.as_ref() != Some(*uid)).cloned();
            keys.extend(own.into_iter().chain(other).map(Key::Claim));
            keys.push(Key::Volume(name));
        }
        keys
    }

    /// Updates the index of the PersistentVolumes that Kubernetes may bind. Returns the claims for which it changed.
    fn update_matching(&mut self, name: &str) -> Vec<String> {
        let reserved_for = self.volume(name).as_ref().and_then(reserved_for);
        let mut changed = Vec::new();
        for reservation in self.matching.update(name, reserved_for) {
            match reservation {
                ReservedFor::Class(class) => changed.extend(self.claims.unbound(&class).cloned()),
                ReservedFor::Claim(namespace, name) => {
                    changed.extend(self.claims.named(&namespace, &name).cloned());
                }
                ReservedFor::Uid(uid) => changed.push(uid),
            }
        }
        changed
    }

    /// Returns the PersistentVolume to which Kubernetes would bind a claim, if it is not the claim's own.
    fn rival(&self, claim: &PersistentVolumeClaim) -> Option<String> {
        if is_bound(claim) {
            return None;
        }
        let waits = matches!(self.class(claim), Some(Ok(class)) if class.waits);
        let mut names = self.matching.of(claim);
        names
            .find(|name| self.volume(name).is_some_and(|volume| is_match(&volume, claim, waits)))
            .cloned()
    }

    /// Updates the index of the volumes of PersistentVolumes.
    fn update_volume_indexes(&mut self, name: &str) {
        let volume = self.volume(name);
        if !self.setup.imports.is_empty() {
            self.update_foreign(name, volume.as_ref().and_then(foreign));
        }
        let now = volume.as_ref().and_then(backing_ids);
        self.update_recorded(name, volume.as_ref());
        let claim = volume.and_then(|volume| volume.spec?.claim_ref?.uid);
        match claim.filter(|_| now.is_some()) {
            Some(uid) => self.claimed.insert(name.to_owned(), uid),
            None => self.claimed.remove(name),
        };
        let before = match &now {
            Some(now) => self.volume_ids.insert(name.to_owned(), now.clone()),
            None => self.volume_ids.remove(name),
        };
        if let Some(before) = before.filter(|before| Some(before) != now.as_ref())
            && let Some(names) = self.persistent_volumes.get_mut(&before)
        {
            names.remove(name);
            if names.is_empty() {
                self.persistent_volumes.remove(&before);
            }
        }
        if let Some(now) = now {
            self.persistent_volumes.entry(now).or_default().insert(name.to_owned());
        }
    }

    pub(super) fn classes(&mut self, event: Event<StorageClass>) -> Vec<Key> {
        let setup = &self.setup;
        let read = |class: StorageClass| (name(&class), setup.read(&class));
        let mut of = String::new();
        let mut read = |class| {
            let (name, class) = read(class);
            of = name;
            class
        };
        let event = match event {
            Event::Apply(class) => Event::Apply(read(class)),
            Event::Delete(class) => Event::Delete(read(class)),
            Event::InitApply(class) => Event::InitApply(read(class)),
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
        };
        let changed = self.classes.apply_event(event, |_| of.clone(), |class| class);
        let waiting = changed.iter().flat_map(|class| self.claims.unbound(class));
        waiting.cloned().map(Key::Claim).collect()
    }

    pub(super) fn nodes(&mut self, event: Event<PartialObjectMeta<Node>>) {
        let mut of = String::new();
        let mut labels = |node: PartialObjectMeta<Node>| {
            of = name(&node);
            node.metadata.labels.unwrap_or_default()
        };
        let event = match event {
            Event::Apply(node) => Event::Apply(labels(node)),
            Event::Delete(node) => Event::Delete(labels(node)),
            Event::InitApply(node) => Event::InitApply(labels(node)),
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
        };
        // A change of a node triggers no claim: the scheduler chooses another node for it.
        self.nodes.apply_event(event, |_| of.clone(), |labels| labels);
    }

    pub(super) fn arrays(&mut self, states: Vec<ArrayState>) -> Vec<Key> {
        self.arrays = states;
        self.are_arrays_known = true;
        let ours = self.classes.objects.iter().filter(|(_, class)| class.is_some());
        let waiting: HashSet<&String> = ours
            .flat_map(|(class, _)| self.claims.unbound(class))
            .chain(self.claims.unfinished())
            .collect();
        waiting.into_iter().cloned().map(Key::Claim).collect()
    }

    /// Adds a volume's size to the provisioned size of an array until the array reports again, so that the next volume
    /// may be placed on another one.
    pub(super) fn reserve_capacity(&mut self, array: &str, size: u64) {
        let Some(state) = self.arrays.iter_mut().find(|state| state.name == array) else { return };
        if let Health::Up { capacity, .. } = &mut state.health {
            let provisioned = capacity.provisioned.unwrap_or(capacity.used).saturating_add(size);
            capacity.provisioned = Some(provisioned);
        }
    }

    /// Reverts [`reserve_capacity`](Self::reserve_capacity), because the placement is decided again.
    pub(super) fn release_capacity(&mut self, array: &str, size: u64) {
        let Some(state) = self.arrays.iter_mut().find(|state| state.name == array) else { return };
        if let Health::Up { capacity: Capacity { provisioned: Some(provisioned), .. }, .. } =
            &mut state.health
        {
            *provisioned = provisioned.saturating_sub(size);
        }
    }

    /// Returns whether the cache has a newer version of a claim than `version`, or the claim is gone.
    pub(super) fn has_changed(&self, version: &ObjectVersion) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        self.claim(&version.uid).is_none_or(|claim| {
            claim.metadata.resource_version.as_deref().and_then(number) > number(&version.version)
        })
    }

    fn claim(&self, uid: &str) -> Option<PersistentVolumeClaim> {
        self.claims.get(uid)?.object.open()
    }

    fn volume(&self, name: &str) -> Option<PersistentVolume> {
        self.volumes.objects.get(name)?.open()
    }

    fn class(&self, claim: &PersistentVolumeClaim) -> Option<&Result<ClassSetup, String>> {
        self.classes.objects.get(class_of(claim)?)?.as_ref()
    }

    /// Calls `read` with the view of a claim.
    pub(super) fn with_claim<R>(&self, uid: &str, read: impl FnOnce(ClaimView<'_>) -> R) -> R {
        let own = persistent_volume(uid);
        let (claim, volume) = (self.claim(uid), self.volume(&own));
        let claim = claim.as_ref();
        let bound = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.as_deref());
        let bound = bound.filter(|bound| *bound != own).and_then(|bound| self.volume(bound));
        let source = claim.and_then(|claim| self.source(claim));
        let source = source.as_ref();
        let rival = claim.and_then(|claim| self.rival(claim));
        read(ClaimView {
            setup: &self.setup,
            claim,
            volume: volume.as_ref(),
            bound: bound.as_ref(),
            class: claim.and_then(|claim| self.class(claim)),
            arrays: &self.arrays,
            node: claim.and_then(selected_node).and_then(|node| self.nodes.objects.get(node)),
            source: source.map(|(claim, volume)| SourceView { claim, volume: volume.as_ref() }),
            persistent_volumes: &self.persistent_volumes,
            foreign: &self.foreign,
            rival: rival.as_deref(),
            is_crowded: self.is_crowded,
        })
    }

    /// Returns the claim to clone, and its PersistentVolume.
    fn source(
        &self,
        claim: &PersistentVolumeClaim,
    ) -> Option<(PersistentVolumeClaim, Option<PersistentVolume>)> {
        let (_, source) = source_of(claim)?;
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let claim = self.claim(self.claims.named(namespace, source)?)?;
        let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        let volume = bound.and_then(|bound| self.volume(bound));
        Some((claim, volume))
    }

    /// Calls `read` with the view of a PersistentVolume that may have to be deleted.
    pub(super) fn with_release<R>(&self, name: &str, read: impl FnOnce(ReclaimView<'_>) -> R) -> R {
        let volume = self.volume(name);
        let (volume, is_shared) = (volume.as_ref(), self.is_shared(name));
        read(ReclaimView { setup: &self.setup, volume, is_shared, arrays: &self.arrays })
    }

    /// Returns whether another PersistentVolume names the same volume.
    fn is_shared(&self, name: &str) -> bool {
        let names = self
            .volume_ids
            .get(name)
            .and_then(|persistent_volumes| self.persistent_volumes.get(persistent_volumes));
        names.is_some_and(|names| names.len() > 1)
    }

    /// Returns whether a claim exists and has no PersistentVolume yet.
    pub(super) fn is_unbound(&self, uid: &str) -> bool {
        self.claims.get(uid).is_some_and(|claim| !claim.is_bound)
    }

    /// Returns the provisioner's PersistentVolumes that may need snapshots.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &String> {
        let may = |name: &&String| {
            let uid = self.claimed.get(*name);
            let claim = uid.and_then(|uid| self.claims.get(uid));
            claim.is_some_and(|claim| claim.has_schedule || self.has_schedule(claim))
        };
        self.volume_ids.keys().filter(may)
    }

    /// Returns whether a claim's class has a snapshot schedule.
    fn has_schedule(&self, claim: &Claim) -> bool {
        let class = claim.class.as_ref().and_then(|class| self.classes.objects.get(class));
        match class {
            Some(Some(Ok(class))) => class.snapshots != SnapshotPolicy::Never,
            _ => false,
        }
    }

    /// Calls `read` with the view of a PersistentVolume that may need snapshots.
    pub(super) fn with_snapshots<R>(
        &self,
        name: &str,
        now: u64,
        read: impl FnOnce(SnapshotView<'_>) -> R,
    ) -> R {
        let (volume, claim) = (self.volume(name), self.claim_of(name));
        let (claim, is_shared) = (claim.as_ref(), self.is_shared(name));
        let class = claim.and_then(|claim| self.class(claim));
        read(SnapshotView { now, volume: volume.as_ref(), is_shared, claim, class })
    }

    /// Returns the claim of a PersistentVolume.
    fn claim_of(&self, name: &str) -> Option<PersistentVolumeClaim> {
        self.claim(self.volume(name)?.spec?.claim_ref?.uid.as_deref()?)
    }

    /// Returns whether an object in the cluster knows a volume, by the ids of array and volume and the UID in its name.
    pub(super) fn knows(&self, array_id: &str, id: &str, uid: &str) -> bool {
        // A claim that has its volume needs no second one, on any array.
        let is_served = self.volume_ids.contains_key(&persistent_volume(uid));
        (self.claims.get(uid).is_some() && !is_served)
            || self.persistent_volumes.contains_key(&(array_id.to_owned(), id.to_owned()))
    }

    /// Returns the cluster's name, the prefix of the name of every volume.
    pub(super) fn cluster(&self) -> &str {
        &self.setup.cluster
    }

    /// Returns whether nothing is left to do for a claim.
    pub(super) fn is_settled(&self, uid: &str) -> bool {
        self.claims.get(uid).is_none_or(|claim| claim.is_bound && claim.is_free)
    }

    /// Returns the object of a subject, for events about it.
    pub(super) fn reference(&self, key: &Key) -> Option<ObjectReference> {
        match key {
            Key::Claim(uid) => self.claim(uid).map(|claim| claim.object_ref(&())),
            Key::Volume(name) => self.volume(name).map(|volume| volume.object_ref(&())),
            Key::Snapshots(name) => self.claim_of(name).map(|claim| claim.object_ref(&())),
        }
    }
}

fn name<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()).is_some_and(|v| !v.is_empty())
}

fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(annotation::SELECTED_NODE).map(String::as_str)
}

#[cfg(test)]
mod tests;
