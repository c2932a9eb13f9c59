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
enum Shows {
    /// kube-controller-manager knows all PersistentVolumes that existed before the barrier.
    Controller,
    /// The watch has shown all PersistentVolumes that existed before the barrier.
    Watch,
}

/// The barriers of one process, and the subjects that wait for them.
#[derive(Debug)]
pub struct Barriers<K> {
    shows: Shows,
    /// Prefix of the names of this process's barriers.
    prefix: String,
    made: u64,
    /// Subjects that wait for the next barrier.
    waiting: Vec<Waiting<K>>,
    /// The requested barrier, and the subjects that wait for it.
    out: Option<(String, Vec<Waiting<K>>)>,
    /// Whether [`Barriers::due`] will be called.
    soon: bool,
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
        Self::showing(Shows::Controller, format!("{BARRIER_PREFIX}{process}-"))
    }

    /// Returns the barriers that prove that the process's own watch has shown all PersistentVolumes that existed when a
    /// subject began to wait. The watch passes a barrier when it shows it, in any phase.
    pub fn of_watch(process: &str) -> Self {
        Self::showing(Shows::Watch, format!("{BARRIER_PREFIX}{process}-w"))
    }

    fn showing(shows: Shows, prefix: String) -> Self {
        Self {
            shows,
            prefix,
            made: 0,
            waiting: Vec::new(),
            out: None,
            soon: false,
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
        if self.soon || self.out.is_some() {
            return None;
        }
        self.soon = true;
        Some(BarrierEffect::Soon)
    }

    /// Ends the short time. `wants` returns whether a subject still waits.
    pub fn due(&mut self, wants: impl Fn(&K) -> bool) -> Option<BarrierEffect> {
        self.soon = false;
        self.waiting.retain(|each| wants(&each.who));
        if self.waiting.is_empty() || self.out.is_some() {
            return None;
        }
        self.made += 1;
        let name = format!("{}{}", self.prefix, self.made);
        self.out = Some((name.clone(), std::mem::take(&mut self.waiting)));
        Some(BarrierEffect::Create(name))
    }

    /// Processes a barrier that the watch shows. Returns the subjects that stop waiting, and the effects to execute.
    pub fn seen(&mut self, mark: &PersistentVolume) -> (Vec<K>, Vec<BarrierEffect>) {
        let name = mark.metadata.name.as_deref().unwrap_or_default();
        let delete = BarrierEffect::Delete(name.to_owned());
        match self.out.take() {
            Some((ours, who)) if ours == name => {
                let phase = mark.status.as_ref().and_then(|status| status.phase.as_deref());
                if self.shows == Shows::Controller && phase != Some("Available") {
                    self.out = Some((ours, who));
                    return (Vec::new(), Vec::new());
                }
                let who = who.into_iter().map(|each| each.who).collect();
                (who, [Some(delete), self.again()].into_iter().flatten().collect())
            }
            // Another process left it behind, or its creation seemed to fail.
            other => {
                self.out = other;
                let goes = mark.metadata.deletion_timestamp.is_some();
                (Vec::new(), (!goes).then_some(delete).into_iter().collect())
            }
        }
    }

    /// Processes a barrier that is gone, or that could not be created: its subjects wait for the next one.
    pub fn gone(&mut self, name: &str) -> Option<BarrierEffect> {
        let (_, who) = self.out.take_if(|(ours, _)| ours == name)?;
        self.waiting.extend(who);
        self.again()
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
        let out = self.out.as_mut().map(|(_, waiting)| waiting);
        let waiting = std::iter::once(&mut self.waiting).chain(out);
        let passed = waiting.flat_map(|all| all.extract_if(.., |each| each.since < number));
        passed.map(|each| each.who).collect()
    }

    fn again(&mut self) -> Option<BarrierEffect> {
        let needed = !self.soon && !self.waiting.is_empty();
        self.soon |= needed;
        needed.then_some(BarrierEffect::Soon)
    }
}

/// Returns whether a name is that of a barrier.
pub fn is_barrier(name: &str) -> bool {
    name.starts_with(BARRIER_PREFIX)
}

/// Returns a barrier: a PersistentVolume that is reserved for a claim that never exists.
pub fn mark(name: &str) -> PersistentVolume {
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
        PersistentVolume { status, ..mark(name) }
    }

    fn created(effect: Option<BarrierEffect>) -> String {
        match effect {
            Some(BarrierEffect::Create(name)) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_barrier_serves_all_subjects_that_wait_and_no_later_one() {
        let mut marks = Barriers::new("a");
        assert_eq!(marks.wait(1), Some(BarrierEffect::Soon));
        assert_eq!(marks.wait(2), None);
        assert_eq!(marks.wait(3), None);
        let name = created(marks.due(|who| *who != 3));
        assert_eq!(marks.wait(4), None, "its PersistentVolume may be younger than the mark");
        assert_eq!(marks.seen(&at(&name, "Pending")), (vec![], vec![]));
        let (who, effects) = marks.seen(&at(&name, "Available"));
        assert_eq!(who, [1, 2]);
        assert_eq!(effects, [BarrierEffect::Delete(name), BarrierEffect::Soon]);
        let name = created(marks.due(|_| true));
        assert_eq!(marks.seen(&at(&name, "Available")).0, [4]);
        assert_eq!(marks.due(|_| true), None);
    }

    #[test]
    fn our_own_watch_shows_a_mark_before_kubernetes_knows_it() {
        let mut marks = Barriers::of_watch("a");
        assert_eq!(marks.wait(1), Some(BarrierEffect::Soon));
        let name = created(marks.due(|_| true));
        assert!(marks.are_of(&name) && !Barriers::<u8>::of_watch("b").are_of(&name));
        assert_eq!(marks.wait(2), None, "it may have begun to wait after the mark was created");
        let (who, effects) = marks.seen(&at(&name, "Pending"));
        assert_eq!(who, [1]);
        assert_eq!(effects, [BarrierEffect::Delete(name), BarrierEffect::Soon]);
    }

    #[test]
    fn a_persistent_volume_that_is_created_anyway_serves_as_a_barrier() {
        let mut marks = Barriers::of_watch("a");
        marks.wait(1);
        marks.creation_begins(7);
        marks.wait(2);
        assert_eq!(marks.creation_shown(&7, "u0"), NONE, "an older one of the same name");
        assert_eq!(marks.creation_ends(&7, Some("u7")), NONE);
        assert!(marks.expects_creation());
        assert_eq!(
            marks.creation_shown(&7, "u7"),
            [1],
            "the second began to wait after the creation began"
        );
        assert_eq!(marks.creation_shown(&7, "u7"), NONE, "once");
        assert!(!marks.expects_creation());
        marks.wait(3);
        marks.creation_begins(9);
        assert_eq!(marks.creation_shown(&9, "u9"), NONE, "the answer comes later");
        assert_eq!(marks.creation_ends(&9, Some("u9")), [2, 3]);
        marks.wait(2);
        // Those that wait for a barrier that was requested stop waiting too.
        let name = created(marks.due(|_| true));
        marks.creation_begins(8);
        assert_eq!(marks.creation_ends(&8, Some("u8")), NONE);
        assert_eq!(marks.creation_shown(&8, "u8"), [2]);
        assert_eq!(marks.seen(&at(&name, "Pending")), (vec![], vec![BarrierEffect::Delete(name)]));
    }

    #[test]
    fn a_creation_that_failed_proves_nothing() {
        let mut marks = Barriers::of_watch("a");
        marks.wait(1);
        marks.creation_begins(7);
        assert_eq!(marks.creation_ends(&7, None), NONE);
        assert_eq!(marks.creation_shown(&7, "u7"), NONE);
        marks.creation_begins(8);
        assert_eq!(marks.creation_shown(&8, "u8"), NONE);
        assert_eq!(marks.creation_ends(&8, None), NONE, "an earlier request may have created it");
        marks.creation_begins(9);
        marks.forget_creations();
        assert_eq!(marks.creation_ends(&9, Some("u9")), NONE);
        assert_eq!(marks.creation_shown(&9, "u9"), NONE, "the list had it");
        assert!(!marks.expects_creation());
        assert!(matches!(marks.due(|_| true), Some(BarrierEffect::Create(_))));
    }

    #[test]
    fn a_mark_that_is_gone_is_made_again_and_those_of_others_go() {
        let mut marks = Barriers::new("a");
        marks.wait(1);
        let first = created(marks.due(|_| true));
        assert_eq!(marks.gone(&first), Some(BarrierEffect::Soon));
        let second = created(marks.due(|_| true));
        assert_ne!(first, second);
        let late = marks.seen(&at(&first, "Available"));
        assert_eq!(late, (vec![], vec![BarrierEffect::Delete(first)]));
        assert_eq!(marks.gone("zz-other"), None);
        assert_eq!(marks.seen(&at(&second, "Available")).0, [1]);
    }
}
