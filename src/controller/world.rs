//! The cluster as the watches have shown it, and the arrays as they were last seen.

use std::collections::{BTreeSet, HashMap, HashSet};

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Resource;
use kube::runtime::watcher::Event;

use super::Key;
use crate::volume::{
    ArrayState, ClaimView, ClassSetup, FINALIZER, Health, ReleaseView, Setup, persistent_volume,
    volume_behind,
};

/// Objects of one kind, by a name that is theirs alone.
#[derive(Debug)]
struct Known<K> {
    objects: HashMap<String, K>,
    /// What a list that is under way has shown.
    listed: HashSet<String>,
    complete: bool,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { objects: HashMap::new(), listed: HashSet::new(), complete: false }
    }
}

impl<K> Known<K> {
    /// Takes what a watch tells. Returns what has changed.
    fn hear(&mut self, event: Event<K>, key: impl Fn(&K) -> String) -> Vec<String> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key(&object);
                self.listed.insert(key.clone());
                self.objects.insert(key.clone(), object);
                vec![key]
            }
            Event::InitDone => {
                self.complete = true;
                let listed = std::mem::take(&mut self.listed);
                let gone = self.objects.keys().filter(|key| !listed.contains(*key));
                let gone: Vec<String> = gone.cloned().collect();
                for key in &gone {
                    self.objects.remove(key);
                }
                gone
            }
            Event::Apply(object) => {
                let key = key(&object);
                self.objects.insert(key.clone(), object);
                vec![key]
            }
            Event::Delete(object) => {
                let key = key(&object);
                self.objects.remove(&key);
                vec![key]
            }
        }
    }
}

/// All that is known.
#[derive(Debug)]
pub(super) struct World {
    setup: Setup,
    /// By UID.
    claims: Known<PersistentVolumeClaim>,
    /// By name.
    volumes: Known<PersistentVolume>,
    classes: Known<Option<Result<ClassSetup, String>>>,
    arrays: Vec<ArrayState>,
    arrays_seen: bool,
    /// Names of the PersistentVolumes that tell of one volume on an array.
    behind: HashMap<(String, String), BTreeSet<String>>,
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            claims: Known::default(),
            volumes: Known::default(),
            classes: Known::default(),
            arrays: Vec::new(),
            arrays_seen: false,
            behind: HashMap::new(),
        }
    }

    /// Whether all has been seen once.
    pub(super) fn is_ready(&self) -> bool {
        self.claims.complete && self.volumes.complete && self.classes.complete && self.arrays_seen
    }

    /// Returns what all there is to look at.
    pub(super) fn all(&self) -> Vec<Key> {
        let claims = self.claims.objects.keys().cloned().map(Key::Claim);
        claims.chain(self.volumes.objects.keys().cloned().map(Key::Volume)).collect()
    }

    pub(super) fn claims(&mut self, event: Event<PersistentVolumeClaim>) -> Vec<Key> {
        let uid = |claim: &PersistentVolumeClaim| claim.metadata.uid.clone().unwrap_or_default();
        let changed = self.claims.hear(trimmed(event), uid);
        let mut keys = Vec::new();
        for uid in changed {
            keys.push(Key::Volume(persistent_volume(&uid)));
            keys.push(Key::Claim(uid));
        }
        keys
    }

    pub(super) fn volumes(&mut self, event: Event<PersistentVolume>) -> Vec<Key> {
        let changed = self.volumes.hear(trimmed(event), name);
        let mut keys = Vec::new();
        for name in changed {
            self.note_behind(&name);
            if let Some(uid) = name.strip_prefix("pvc-") {
                keys.push(Key::Claim(uid.to_owned()));
            }
            keys.push(Key::Volume(name));
        }
        keys
    }

    /// Keeps the index of what is behind PersistentVolumes.
    fn note_behind(&mut self, name: &str) {
        self.behind.retain(|_, names| {
            names.remove(name);
            !names.is_empty()
        });
        if let Some(behind) = self.volumes.objects.get(name).and_then(volume_behind) {
            self.behind.entry(behind).or_default().insert(name.to_owned());
        }
    }

    pub(super) fn classes(&mut self, event: Event<StorageClass>) -> Vec<Key> {
        let read = |class: StorageClass| (name(&class), ClassSetup::read(&class));
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
        let changed = self.classes.hear(event, |_| of.clone());
        let waits = |claim: &PersistentVolumeClaim| {
            class_of(claim).is_some_and(|class| changed.iter().any(|changed| changed == class))
        };
        self.unbound(waits)
    }

    pub(super) fn arrays(&mut self, states: Vec<ArrayState>) -> Vec<Key> {
        self.arrays = states;
        self.arrays_seen = true;
        self.unbound(|_| true)
    }

    /// Counts what will be given of an array until it is asked again, so that the next volume may go to
    /// another.
    pub(super) fn give(&mut self, array: &str, size: u64) {
        let Some(state) = self.arrays.iter_mut().find(|state| state.name == array) else { return };
        if let Health::Up { capacity, .. } = &mut state.health {
            let given = capacity.provisioned.unwrap_or(capacity.used).saturating_add(size);
            capacity.provisioned = Some(given);
        }
    }

    fn unbound(&self, waits: impl Fn(&PersistentVolumeClaim) -> bool) -> Vec<Key> {
        let unbound = self.claims.objects.iter().filter(|(_, claim)| !is_bound(claim));
        let waiting = unbound.filter(|(_, claim)| waits(claim));
        waiting.map(|(uid, _)| Key::Claim(uid.clone())).collect()
    }

    pub(super) fn claim_view(&self, uid: &str) -> ClaimView<'_> {
        let claim = self.claims.objects.get(uid);
        let class = claim.and_then(class_of).and_then(|class| self.classes.objects.get(class));
        ClaimView {
            setup: &self.setup,
            claim,
            volume: self.volumes.objects.get(&persistent_volume(uid)),
            class: class.and_then(Option::as_ref),
            arrays: &self.arrays,
        }
    }

    pub(super) fn release_view(&self, name: &str) -> ReleaseView<'_> {
        let volume = self.volumes.objects.get(name);
        let names = volume.and_then(volume_behind).and_then(|behind| self.behind.get(&behind));
        let is_shared = names.is_some_and(|names| names.len() > 1);
        ReleaseView { setup: &self.setup, volume, is_shared }
    }

    /// Whether there is nothing left to do for a claim.
    pub(super) fn is_settled(&self, uid: &str) -> bool {
        self.claims.objects.get(uid).is_none_or(|claim| {
            let finalizers = claim.metadata.finalizers.iter().flatten();
            is_bound(claim) && !finalizers.into_iter().any(|each| each == FINALIZER)
        })
    }

    /// Returns the object of a work, for events about it.
    pub(super) fn reference(&self, key: &Key) -> Option<ObjectReference> {
        match key {
            Key::Claim(uid) => self.claims.objects.get(uid).map(|claim| claim.object_ref(&())),
            Key::Volume(name) => self.volumes.objects.get(name).map(|v| v.object_ref(&())),
        }
    }
}

fn name<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()).is_some_and(|v| !v.is_empty())
}

fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

/// Takes away what is large and never looked at.
fn trimmed<K: Resource>(event: Event<K>) -> Event<K> {
    let trim = |mut object: K| {
        object.meta_mut().managed_fields = None;
        object
    };
    match event {
        Event::Apply(object) => Event::Apply(trim(object)),
        Event::InitApply(object) => Event::InitApply(trim(object)),
        other => other,
    }
}
