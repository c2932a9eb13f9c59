//! Barriers prove that kube-controller-manager, or the provisioner's own watch, has seen a PersistentVolume.
//!
//! kube-controller-manager sets a claim to `Lost` if the claim is bound to a PersistentVolume that it has not seen yet
//! (`syncBoundClaim` in its source), and it may be far behind. So before the provisioner binds a claim, it creates one
//! more PersistentVolume, the barrier, which no claim can use. kube-controller-manager processes PersistentVolumes in
//! the order of their creation, and after a new list in the order of their names. When it sets the barrier to
//! `Available`, it knows all PersistentVolumes that were created before. One barrier serves all claims that wait.
//!
//! For the provisioner's own watch, any PersistentVolume that the provisioner creates serves as a barrier: when many
//! claims come at once, few barriers or none are created.
//!
//! Pure: the reconciler reports barriers that the watch shows, and executes the effects. What waits for a barrier is
//! unknown here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::contract::DRIVER;
use crate::contract::name::BARRIER_PREFIX;

/// An effect on barriers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BarrierEffect {
    /// Call [`Barriers::due`] after a short time: by then, more claims may need a barrier, or none if
    /// kube-controller-manager has bound them.
    Soon,
    /// Create the barrier of this name.
    Create(String),
    /// Delete the barrier of this name.
    Delete(String),
}

/// The observer whose progress a barrier proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observer {
    /// kube-controller-manager knows all PersistentVolumes that existed before the barrier.
    Controller,
    /// The watch has shown all PersistentVolumes that existed before the barrier.
    Watch,
}

/// The barriers of one process, and the subjects that wait for them.
#[derive(Debug)]
pub struct Barriers<K> {
    observer: Observer,
    /// Prefix of the names of this process's barriers.
    prefix: String,
    created: u64,
    /// Subjects that wait for the next barrier.
    waiting: Vec<Waiting<K>>,
    /// The requested barrier, and the subjects that wait for it.
    requested: Option<(String, Vec<Waiting<K>>)>,
    /// Whether [`Barriers::due`] will be called.
    is_scheduled: bool,
    /// The number of creations of PersistentVolumes that have begun.
    begun: u64,
    /// Creations that the watch has not shown, by the subject that requested them.
    creations: BTreeMap<K, Creation>,
}

/// A subject that waits.
#[derive(Debug)]
struct Waiting<K> {
    who: K,
    /// The number of creations that had begun before it.
    since: u64,
}

/// The creation of a PersistentVolume for a claim.
#[derive(Debug)]
struct Creation {
    /// Its place in the order of creations, from 1.
    number: u64,
    /// The UID of the PersistentVolume, as the API server answered.
    answered: Option<String>,
    /// The UID of the PersistentVolume that the watch has shown before the answer.
    shown: Option<String>,
}

impl<K: Ord> Barriers<K> {
    /// Returns the barriers of a process. `process` must be unique, of lower-case letters and digits.
    pub fn new(process: &str) -> Self {
        Self::of_observer(Observer::Controller, format!("{BARRIER_PREFIX}{process}-"))
    }

    /// Returns the barriers that prove that the process's own watch has shown all PersistentVolumes that existed when a
    /// subject began to wait. The watch passes a barrier when it shows it, in any phase.
    pub fn of_watch(process: &str) -> Self {
        Self::of_observer(Observer::Watch, format!("{BARRIER_PREFIX}{process}-w"))
    }

    fn of_observer(observer: Observer, prefix: String) -> Self {
        Self {
            observer,
            prefix,
            created: 0,
            waiting: Vec::new(),
            requested: None,
            is_scheduled: false,
            begun: 0,
            creations: BTreeMap::new(),
        }
    }

    /// Returns whether the name is that of one of these barriers.
    pub fn are_of(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Adds a subject that waits for a barrier that is not created yet.
    pub fn wait(&mut self, who: K) -> Option<BarrierEffect> {
        self.waiting.push(Waiting { who, since: self.begun });
        if self.is_scheduled || self.requested.is_some() {
            return None;
        }
        self.is_scheduled = true;
        Some(BarrierEffect::Soon)
    }

    /// Ends the short time. `wants` returns whether a subject still waits.
    pub fn due(&mut self, wants: impl Fn(&K) -> bool) -> Option<BarrierEffect> {
        self.is_scheduled = false;
        self.waiting.retain(|each| wants(&each.who));
        if self.waiting.is_empty() || self.requested.is_some() {
            return None;
        }
        self.created += 1;
        let name = format!("{}{}", self.prefix, self.created);
        self.requested = Some((name.clone(), std::mem::take(&mut self.waiting)));
        Some(BarrierEffect::Create(name))
    }

    /// Processes a barrier that the watch shows. Returns the subjects that stop waiting, and the effects to execute.
    pub fn observe(&mut self, barrier: &PersistentVolume) -> (Vec<K>, Vec<BarrierEffect>) {
        let name = barrier.metadata.name.as_deref().unwrap_or_default();
        let delete = BarrierEffect::Delete(name.to_owned());
        match self.requested.take() {
            Some((ours, waiters)) if ours == name => {
                let phase = barrier.status.as_ref().and_then(|status| status.phase.as_deref());
                if self.observer == Observer::Controller && phase != Some("Available") {
                    self.requested = Some((ours, waiters));
                    return (Vec::new(), Vec::new());
                }
                let passed = waiters.into_iter().map(|each| each.who).collect();
                (passed, [Some(delete), self.schedule()].into_iter().flatten().collect())
            }
            // Another process left it behind, or its creation seemed to fail.
            other => {
                self.requested = other;
                let is_being_deleted = barrier.metadata.deletion_timestamp.is_some();
                (Vec::new(), (!is_being_deleted).then_some(delete).into_iter().collect())
            }
        }
    }

    /// Processes a barrier that is gone, or that could not be created: its subjects wait for the next one.
    pub fn deleted(&mut self, name: &str) -> Option<BarrierEffect> {
        let (_, waiters) = self.requested.take_if(|(ours, _)| ours == name)?;
        self.waiting.extend(waiters);
        self.schedule()
    }

    /// Records that the creation of a subject's PersistentVolume begins.
    pub fn creation_begins(&mut self, of: K) {
        self.begun += 1;
        self.creations.insert(of, Creation { number: self.begun, answered: None, shown: None });
    }

    /// Records the answer to the creation for a subject: the UID of the PersistentVolume, or `None` if this request may
    /// not have created it. Returns the subjects that stop waiting.
    pub fn creation_ends(&mut self, of: &K, uid: Option<&str>) -> Vec<K> {
        match self.creations.get_mut(of) {
            // Later requests of the same subject answer too.
            Some(Creation { answered: Some(_), .. }) => {}
            Some(creation) if uid.is_some() => creation.answered = uid.map(str::to_owned),
            _ => drop(self.creations.remove(of)),
        }
        self.pass(of)
    }

    /// Processes the PersistentVolume that the watch shows for a subject; a list does not count. Returns the subjects
    /// that stop waiting.
    pub fn creation_shown(&mut self, of: &K, uid: &str) -> Vec<K> {
        if let Some(creation) = self.creations.get_mut(of) {
            creation.shown = Some(uid.to_owned());
        }
        self.pass(of)
    }

    /// Forgets all creations: the watch begins again with a list, which need not show them in their order.
    pub fn forget_creations(&mut self) {
        self.creations.clear();
    }

    /// Returns whether the watch has yet to show the result of a creation.
    pub fn expects_creation(&self) -> bool {
        !self.creations.is_empty()
    }

    /// Returns the subjects that began to wait before a creation began, if the watch has shown its result.
    fn pass(&mut self, of: &K) -> Vec<K> {
        // Without the answer, what the watch shows may be a PersistentVolume that existed earlier.
        let is_shown = |creation: &Creation| {
            creation.answered.is_some() && creation.answered == creation.shown
        };
        if !self.creations.get(of).is_some_and(is_shown) {
            return Vec::new();
        }
        let Some(Creation { number, .. }) = self.creations.remove(of) else { return Vec::new() };
        let out = self.requested.as_mut().map(|(_, waiting)| waiting);
        let waiting = std::iter::once(&mut self.waiting).chain(out);
        let passed = waiting.flat_map(|all| all.extract_if(.., |each| each.since < number));
        passed.map(|each| each.who).collect()
    }

    fn schedule(&mut self) -> Option<BarrierEffect> {
        let needed = !self.is_scheduled && !self.waiting.is_empty();
        self.is_scheduled |= needed;
        needed.then_some(BarrierEffect::Soon)
    }
}

/// Returns whether a name is that of a barrier.
pub fn is_barrier(name: &str) -> bool {
    name.starts_with(BARRIER_PREFIX)
}

/// Returns a barrier: a PersistentVolume that is reserved for a claim that never exists.
pub fn barrier(name: &str) -> PersistentVolume {
    PersistentVolume {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeSpec {
            capacity: Some([("storage".to_owned(), Quantity("1".to_owned()))].into()),
            access_modes: Some(vec!["ReadOnlyMany".to_owned()]),
            // Without a UID, Kubernetes reserves it for a claim that does not exist yet.
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: Some("kube-system".to_owned()),
                name: Some(name.to_owned()),
                ..ObjectReference::default()
            }),
            persistent_volume_reclaim_policy: Some("Retain".to_owned()),
            csi: Some(CSIPersistentVolumeSource {
                driver: DRIVER.to_owned(),
                volume_handle: name.to_owned(),
                ..CSIPersistentVolumeSource::default()
            }),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PersistentVolumeStatus;

    use super::*;

    const NONE: [i32; 0] = [];

    fn at(name: &str, phase: &str) -> PersistentVolume {
        let phase = Some(phase.to_owned());
        let status = Some(PersistentVolumeStatus { phase, ..PersistentVolumeStatus::default() });
        PersistentVolume { status, ..barrier(name) }
    }

    fn created(effect: Option<BarrierEffect>) -> String {
        match effect {
            Some(BarrierEffect::Create(name)) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_barrier_serves_all_subjects_that_wait_and_no_later_one() {
        let mut barriers = Barriers::new("a");
        assert_eq!(barriers.wait(1), Some(BarrierEffect::Soon));
        assert_eq!(barriers.wait(2), None);
        assert_eq!(barriers.wait(3), None);
        let name = created(barriers.due(|waiters| *waiters != 3));
        assert_eq!(barriers.wait(4), None, "its PersistentVolume may be younger than the barrier");
        assert_eq!(barriers.observe(&at(&name, "Pending")), (vec![], vec![]));
        let (waiters, effects) = barriers.observe(&at(&name, "Available"));
        assert_eq!(waiters, [1, 2]);
        assert_eq!(effects, [BarrierEffect::Delete(name), BarrierEffect::Soon]);
        let name = created(barriers.due(|_| true));
        assert_eq!(barriers.observe(&at(&name, "Available")).0, [4]);
        assert_eq!(barriers.due(|_| true), None);
    }

    #[test]
    fn the_own_watch_shows_a_barrier_before_kubernetes_knows_it() {
        let mut barriers = Barriers::of_watch("a");
        assert_eq!(barriers.wait(1), Some(BarrierEffect::Soon));
        let name = created(barriers.due(|_| true));
        assert!(barriers.are_of(&name) && !Barriers::<u8>::of_watch("b").are_of(&name));
        assert_eq!(
            barriers.wait(2),
            None,
            "it may have begun to wait after the barrier was created"
        );
        let (waiters, effects) = barriers.observe(&at(&name, "Pending"));
        assert_eq!(waiters, [1]);
        assert_eq!(effects, [BarrierEffect::Delete(name), BarrierEffect::Soon]);
    }

    #[test]
    fn a_persistent_volume_that_is_created_anyway_serves_as_a_barrier() {
        let mut barriers = Barriers::of_watch("a");
        barriers.wait(1);
        barriers.creation_begins(7);
        barriers.wait(2);
        assert_eq!(barriers.creation_shown(&7, "u0"), NONE, "an older one of the same name");
        assert_eq!(barriers.creation_ends(&7, Some("u7")), NONE);
        assert_eq!(barriers.creation_ends(&7, None), NONE, "the answer to a later request");
        assert!(barriers.expects_creation());
        assert_eq!(
            barriers.creation_shown(&7, "u7"),
            [1],
            "the second began to wait after the creation began"
        );
        assert_eq!(barriers.creation_shown(&7, "u7"), NONE, "once");
        assert!(!barriers.expects_creation());
        barriers.wait(3);
        barriers.creation_begins(9);
        assert_eq!(barriers.creation_shown(&9, "u9"), NONE, "the answer comes later");
        assert_eq!(barriers.creation_ends(&9, Some("u9")), [2, 3]);
        barriers.wait(2);
        // Those that wait for a barrier that was requested stop waiting too.
        let name = created(barriers.due(|_| true));
        barriers.creation_begins(8);
        assert_eq!(barriers.creation_ends(&8, Some("u8")), NONE);
        assert_eq!(barriers.creation_shown(&8, "u8"), [2]);
        assert_eq!(
            barriers.observe(&at(&name, "Pending")),
            (vec![], vec![BarrierEffect::Delete(name)])
        );
    }

    #[test]
    fn a_creation_that_failed_proves_nothing() {
        let mut barriers = Barriers::of_watch("a");
        barriers.wait(1);
        barriers.creation_begins(7);
        assert_eq!(barriers.creation_ends(&7, None), NONE);
        assert_eq!(barriers.creation_shown(&7, "u7"), NONE);
        barriers.creation_begins(8);
        assert_eq!(barriers.creation_shown(&8, "u8"), NONE);
        assert_eq!(
            barriers.creation_ends(&8, None),
            NONE,
            "an earlier request may have created it"
        );
        barriers.creation_begins(9);
        barriers.forget_creations();
        assert_eq!(barriers.creation_ends(&9, Some("u9")), NONE);
        assert_eq!(barriers.creation_shown(&9, "u9"), NONE, "the list had it");
        assert!(!barriers.expects_creation());
        assert!(matches!(barriers.due(|_| true), Some(BarrierEffect::Create(_))));
    }

    #[test]
    fn a_deleted_barrier_is_created_again_and_those_of_other_processes_are_deleted() {
        let mut barriers = Barriers::new("a");
        barriers.wait(1);
        let first = created(barriers.due(|_| true));
        assert_eq!(barriers.deleted(&first), Some(BarrierEffect::Soon));
        let second = created(barriers.due(|_| true));
        assert_ne!(first, second);
        let late = barriers.observe(&at(&first, "Available"));
        assert_eq!(late, (vec![], vec![BarrierEffect::Delete(first)]));
        assert_eq!(barriers.deleted("zz-other"), None);
        assert_eq!(barriers.observe(&at(&second, "Available")).0, [1]);
    }
}
