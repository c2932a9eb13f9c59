//! Claims with indexes for every lookup, so that the cost of an event does not depend on the number of claims.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;

use super::is_bound;
use super::store::Store;
use crate::contract::annotation;
use crate::contract::{FINALIZER, class_of};
use crate::provisioner::decide::is_handed_over;
use crate::provisioner::run::serialized::Serialized;

/// A claim, with the fields that are read of all claims at once.
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers to questions that have nothing in common"
)]
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) object: Serialized<PersistentVolumeClaim>,
    pub(super) class: Option<String>,
    pub(super) is_bound: bool,
    /// Whether the provisioner has nothing to finish for it.
    pub(super) is_free: bool,
    /// Whether the scheduler chose a node for its first pod.
    pub(super) is_placed: bool,
    /// Whether kube-controller-manager has found no PersistentVolume for it.
    is_handed_over: bool,
    /// Whether its annotation has a snapshot schedule.
    pub(super) has_schedule: bool,
    pub(super) created_at: Option<Timestamp>,
    /// Its namespace and name.
    path: (String, String),
}

impl Claim {
    fn new(claim: PersistentVolumeClaim) -> Self {
        let finalizers = claim.metadata.finalizers.iter().flatten();
        let annotations = claim.metadata.annotations.as_ref();
        let has = |key: &str| annotations.is_some_and(|all| all.contains_key(key));
        Self {
            class: class_of(&claim).map(str::to_owned),
            is_bound: is_bound(&claim),
            is_free: !finalizers.into_iter().any(|each| each == FINALIZER),
            is_placed: has(annotation::SELECTED_NODE),
            is_handed_over: is_handed_over(&claim),
            has_schedule: has(annotation::SNAPSHOTS),
            created_at: claim.metadata.creation_timestamp.as_ref().map(|time| time.0),
            path: (
                claim.metadata.namespace.clone().unwrap_or_default(),
                claim.metadata.name.clone().unwrap_or_default(),
            ),
            object: Serialized::new(claim),
        }
    }
}

/// The keys of a claim in the indexes.
#[derive(Debug)]
struct Entry {
    path: (String, String),
    class: Option<String>,
}

/// All claims, by UID.
#[derive(Debug, Default)]
pub(super) struct Claims {
    store: Store<Claim>,
    entries: HashMap<String, Entry>,
    /// UIDs by namespace and name.
    by_path: HashMap<(String, String), String>,
    /// UIDs by class.
    of_class: HashMap<String, HashSet<String>>,
    /// UIDs of claims without a PersistentVolume, by class.
    unbound: HashMap<String, HashSet<String>>,
    /// Of these, the claims that kube-controller-manager has not processed, by class.
    unanswered: HashMap<String, HashSet<String>>,
    /// UIDs of claims that the provisioner has to finish.
    unfinished: HashSet<String>,
}

impl Claims {
    /// Returns whether all claims were seen once.
    pub(super) fn are_complete(&self) -> bool {
        self.store.complete
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Claim> {
        self.store.objects.get(uid)
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = &String> {
        self.store.objects.keys()
    }

    /// Returns the UID of the claim of a name.
    pub(super) fn named(&self, namespace: &str, name: &str) -> Option<&String> {
        self.by_path.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Returns the UIDs of the claims of a class.
    pub(super) fn of_class(&self, class: &str) -> impl Iterator<Item = &String> {
        self.of_class.get(class).into_iter().flatten()
    }

    /// Returns the UIDs of the claims of a class that have no PersistentVolume yet.
    pub(super) fn unbound(&self, class: &str) -> impl Iterator<Item = &String> {
        self.unbound.get(class).into_iter().flatten()
    }

    /// Returns the claims of a class that kube-controller-manager has not processed.
    pub(super) fn unanswered(&self, class: &str) -> &HashSet<String> {
        static NONE: LazyLock<HashSet<String>> = LazyLock::new(HashSet::new);
        self.unanswered.get(class).unwrap_or(&NONE)
    }

    /// Returns the UIDs of the claims that the provisioner has to finish, whatever their classes are now.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &String> {
        self.unfinished.iter()
    }

    /// Processes a watch event. Returns the UIDs of the changed claims.
    pub(super) fn apply_event(&mut self, event: Event<PersistentVolumeClaim>) -> Vec<String> {
        let uid = |claim: &PersistentVolumeClaim| claim.metadata.uid.clone().unwrap_or_default();
        let changed = self.store.apply_event(event, uid, Claim::new);
        for uid in &changed {
            self.update_indexes(uid);
        }
        changed
    }

    /// Updates the indexes.
    fn update_indexes(&mut self, uid: &str) {
        if let Some(Entry { path, class }) = self.entries.remove(uid) {
            // Another claim may have the name by now.
            if self.by_path.get(&path).is_some_and(|of| of == uid) {
                self.by_path.remove(&path);
            }
            for index in [&mut self.of_class, &mut self.unbound, &mut self.unanswered] {
                let class = class.as_deref().unwrap_or_default();
                if let Some(uids) = index.get_mut(class) {
                    uids.remove(uid);
                    if uids.is_empty() {
                        index.remove(class);
                    }
                }
            }
            self.unfinished.remove(uid);
        }
        let Some(claim) = self.store.objects.get(uid) else { return };
        let entry = Entry { path: claim.path.clone(), class: claim.class.clone() };
        self.by_path.insert(entry.path.clone(), uid.to_owned());
        if let Some(class) = &entry.class {
            self.of_class.entry(class.clone()).or_default().insert(uid.to_owned());
            if !claim.is_bound {
                self.unbound.entry(class.clone()).or_default().insert(uid.to_owned());
                if !claim.is_handed_over {
                    self.unanswered.entry(class.clone()).or_default().insert(uid.to_owned());
                }
            }
        }
        if !claim.is_free {
            self.unfinished.insert(uid.to_owned());
        }
        self.entries.insert(uid.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn claim(uid: &str, name: &str, class: &str, bound: bool) -> PersistentVolumeClaim {
        let volume = bound.then(|| format!("pvc-{uid}"));
        let finalizers: &[&str] = if bound { &[] } else { &[FINALIZER] };
        serde_json::from_value(json!({
            "metadata": {"namespace": "files", "name": name, "uid": uid, "finalizers": finalizers},
            "spec": {"storageClassName": class, "volumeName": volume},
        }))
        .expect("typed")
    }

    fn uids_of(claims: &Claims, class: &str) -> [String; 3] {
        let joined = |uids: BTreeSet<&String>| {
            uids.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        [
            joined(claims.of_class(class).collect()),
            joined(claims.unbound(class).collect()),
            joined(claims.unfinished().collect()),
        ]
    }

    #[test]
    fn indices_follow_what_is_seen() {
        let mut claims = Claims::default();
        claims.apply_event(Event::Apply(claim("1", "data", "a", false)));
        claims.apply_event(Event::Apply(claim("2", "more", "a", false)));
        assert_eq!(uids_of(&claims, "a"), ["1 2", "1 2", "1 2"]);
        claims.apply_event(Event::Apply(claim("2", "more", "a", true)));
        assert_eq!(uids_of(&claims, "a"), ["1 2", "1", "1"]);
        assert_eq!(claims.named("files", "data").map(String::as_str), Some("1"));
        assert_eq!(claims.named("other", "data"), None);
        // Another claim of the name is seen before the deletion of the first one.
        claims.apply_event(Event::Apply(claim("3", "data", "b", false)));
        claims.apply_event(Event::Delete(claim("1", "data", "a", false)));
        assert_eq!(claims.named("files", "data").map(String::as_str), Some("3"));
        assert_eq!(uids_of(&claims, "a"), ["2", "", "3"]);
        assert_eq!(uids_of(&claims, "b"), ["3", "3", "3"]);
        // A list without the claim.
        for event in [Event::Init, Event::InitApply(claim("2", "more", "a", true)), Event::InitDone]
        {
            claims.apply_event(event);
        }
        assert_eq!(claims.named("files", "data"), None);
        assert_eq!(uids_of(&claims, "b"), ["", "", ""]);
        assert!(
            claims.entries.len() == 1 && claims.by_path.len() == 1 && claims.unbound.is_empty()
        );
    }
}
