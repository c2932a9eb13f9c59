//! Barriers: how it is known that Kubernetes' own controller has seen a PersistentVolume.
//!
//! That controller takes a claim for `Lost` which is bound to a PersistentVolume that it has not seen yet
//! (`syncBoundClaim` in its source), and it may be far behind. So before we bind a claim, we create one more
//! PersistentVolume, a mark, which nobody can use. The controller takes PersistentVolumes one after the other
//! in the order in which they were created, and after a new list in the order of their names; and it writes
//! `Available` on a mark when its turn comes. Then it knows all that were created before. One mark serves
//! for all claims that wait for one, however many they are.
//!
//! Pure: what is seen and done of marks is told to it and asked by it. Knows nothing of what waits.

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::contract::DRIVER;
use crate::contract::name::BARRIER_PREFIX;

/// What is to be done about marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BarrierEffect {
    /// Call [`Barriers::due`] after a short time: other claims may need a mark by then, or none any more,
    /// because Kubernetes' own controller was faster.
    Soon,
    /// Create the mark of this name.
    Create(String),
    /// Delete the mark of this name.
    Delete(String),
}

/// What a mark shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// That Kubernetes' own controller knows what was there before it.
    Controller,
    /// That our own watch has shown what was there before it.
    Watch,
}

/// The marks of one process, and what waits for them.
#[derive(Debug)]
pub struct Barriers<K> {
    shows: Shows,
    /// First part of the names of this process's marks.
    prefix: String,
    made: u64,
    /// What waits for the next mark.
    waiting: Vec<K>,
    /// The mark that has been asked for, and what waits for it.
    out: Option<(String, Vec<K>)>,
    /// Whether [`Barriers::due`] will be called.
    soon: bool,
}

impl<K> Barriers<K> {
    /// Returns the marks of a process. `process` must be another for each, small letters and digits.
    pub fn new(process: &str) -> Self {
        Self::showing(Shows::Controller, format!("{BARRIER_PREFIX}{process}-"))
    }

    /// Returns those by which a process knows that its own watch has shown all PersistentVolumes that there were
    /// when something began to wait: any sight of them is enough.
    pub fn of_watch(process: &str) -> Self {
        Self::showing(Shows::Watch, format!("{BARRIER_PREFIX}{process}-w"))
    }

    fn showing(shows: Shows, prefix: String) -> Self {
        Self { shows, prefix, made: 0, waiting: Vec::new(), out: None, soon: false }
    }

    /// Whether a mark is one of these, by its name.
    pub fn are_of(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Something waits for a mark that is not created yet.
    pub fn wait(&mut self, who: K) -> Option<BarrierEffect> {
        self.waiting.push(who);
        if self.soon || self.out.is_some() {
            return None;
        }
        self.soon = true;
        Some(BarrierEffect::Soon)
    }

    /// The short time is over. `wants` says who still waits.
    pub fn due(&mut self, wants: impl Fn(&K) -> bool) -> Option<BarrierEffect> {
        self.soon = false;
        self.waiting.retain(wants);
        if self.waiting.is_empty() || self.out.is_some() {
            return None;
        }
        self.made += 1;
        let name = format!("{}{}", self.prefix, self.made);
        self.out = Some((name.clone(), std::mem::take(&mut self.waiting)));
        Some(BarrierEffect::Create(name))
    }

    /// A mark has been seen. Returns who need not wait any more, and what is to be done.
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
                (who, [Some(delete), self.again()].into_iter().flatten().collect())
            }
            // One that a process has left behind, or whose creation was thought to have failed.
            other => {
                self.out = other;
                let goes = mark.metadata.deletion_timestamp.is_some();
                (Vec::new(), (!goes).then_some(delete).into_iter().collect())
            }
        }
    }

    /// The mark of a name is gone, or could not be created: who waits for it waits for another.
    pub fn gone(&mut self, name: &str) -> Option<BarrierEffect> {
        let (_, who) = self.out.take_if(|(ours, _)| ours == name)?;
        self.waiting.extend(who);
        self.again()
    }

    fn again(&mut self) -> Option<BarrierEffect> {
        let needed = !self.soon && !self.waiting.is_empty();
        self.soon |= needed;
        needed.then_some(BarrierEffect::Soon)
    }
}

/// Returns whether a name is that of a mark.
pub fn is_barrier(name: &str) -> bool {
    name.starts_with(BARRIER_PREFIX)
}

/// Returns a mark: a PersistentVolume that is kept for a claim which nobody makes.
pub fn mark(name: &str) -> PersistentVolume {
    PersistentVolume {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeSpec {
            capacity: Some([("storage".to_owned(), Quantity("1".to_owned()))].into()),
            access_modes: Some(vec!["ReadOnlyMany".to_owned()]),
            // Without a UID: that of a claim that is still to come, for which Kubernetes keeps it.
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
    fn one_mark_serves_all_that_wait_and_nobody_who_came_later() {
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
