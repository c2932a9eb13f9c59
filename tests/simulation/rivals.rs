//! PersistentVolumes that an admin creates, for a claim or for any claim: Kubernetes binds claims to them, whenever
//! they appear. A claim that had one at its creation gets no other.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolume;
use pso_gen::contract::name::persistent_volume;

use super::{Process, Run};

impl Run {
    /// Sets how many claims kube-controller-manager processes in time; if more wait, they are started without it.
    pub(crate) fn expect_crowd(&mut self, limit: usize) {
        self.crowd = limit;
        self.process = Process::new(self.processes, limit);
    }

    /// Stops the process's watch of PersistentVolumes for a number of steps, in which no PersistentVolume may be
    /// created.
    pub(crate) fn let_volumes_lag(&mut self, steps: usize) {
        self.volumes_lag = true;
        for _ in 0..steps {
            self.go_on();
        }
        self.volumes_lag = false;
        let ours = self.cluster.volumes.keys().any(|name| name.starts_with("pvc-"));
        self.must(
            !ours,
            "a PersistentVolume is created by a process that does not know the others",
        );
    }

    /// Leaves the binding to kube-controller-manager.
    pub(crate) fn leave_binding(&mut self) {
        self.setup.binding = pso_gen::provisioner::decide::Binding::Controller;
    }

    /// An admin creates a PersistentVolume for an existing or future claim, or for any claim.
    pub(crate) fn create_static(&mut self, claim: &str) {
        let there = self.cluster.claims.get(claim).and_then(|claim| claim.metadata.uid.clone());
        let whom = match self.dice.u8(0..4) {
            0 => None,
            1 => Some((claim, there)),
            _ => Some((claim, None)),
        };
        // With 0 GiB, it is too small for every claim.
        let size = [0, 1, 1, 4][self.dice.usize(0..4)];
        self.create_static_for(whom, size);
    }

    /// The same for a claim by name and UID, with a size in GiB.
    pub(crate) fn create_static_for(&mut self, whom: Option<(&str, Option<String>)>, size: u32) {
        let line = format!("admin: a PersistentVolume of {size}Gi for {whom:?}");
        let name = self.cluster.create_static(whom, size);
        self.note(format!("{line}: {name}"));
    }

    /// Records the PersistentVolumes that exist for a new claim.
    pub(super) fn note_promised(&mut self, claim: &str) {
        let uid = self.cluster.claims[claim].metadata.uid.clone().expect("a UID");
        let of = |volume: &PersistentVolume| volume.spec.as_ref()?.claim_ref.clone();
        let fits = |volume: &&PersistentVolume| {
            let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
            let capacity = capacity.map(|all| all["storage"].0.as_str());
            volume.metadata.deletion_timestamp.is_none()
                && volume.metadata.name.as_ref().is_some_and(|name| name.starts_with("static-"))
                && capacity != Some("0Gi")
        };
        let names = |wanted: &dyn Fn(&PersistentVolume) -> bool| -> BTreeSet<String> {
            let all = self.cluster.volumes.values().filter(fits);
            all.filter(|volume| wanted(volume)).filter_map(|v| v.metadata.name.clone()).collect()
        };
        let promised = names(&|volume| {
            of(volume).is_some_and(|of| of.name.as_deref() == Some(claim) && of.uid.is_none())
        });
        let fitting = names(&|volume| of(volume).is_none());
        self.promised.insert(uid.clone(), promised);
        self.fitting.insert(uid, fitting);
    }

    /// Checks that a claim is bound to the PersistentVolume that was reserved for it, and that nothing else is left.
    /// Returns whether an admin created that PersistentVolume.
    #[track_caller]
    pub(super) fn check_rivals(&self, uid: &str, bound: Option<&str>) -> bool {
        // Kubernetes may have started to bind it to an earlier claim of the name.
        let is_taken = |name: &&String| {
            let by = self.cluster.ever_claimed.get(*name);
            by.is_some_and(|by| by.iter().any(|by| by != uid))
        };
        let mut promised = self.promised.get(uid).into_iter().flatten();
        if let Some(promised) = promised.find(|name| !is_taken(name)) {
            // An admin may have created another one for it since.
            let kept = bound.is_some_and(|bound| bound.starts_with("static-"));
            self.must(kept, &format!("a claim is bound to {bound:?}, and {promised} named it"));
        }
        if !bound.is_some_and(|bound| bound.starts_with("static-")) {
            let mut fitting = self.fitting.get(uid).into_iter().flatten();
            let free = fitting.find(|name| !self.cluster.ever_claimed.contains_key(*name));
            self.must(
                free.is_none(),
                &format!("a claim is bound to {bound:?}, and {free:?} fitted"),
            );
            return false;
        }
        let own = self.arrays.volumes.values().filter(|(v, of)| of == uid && !v.destroyed).count();
        self.must(
            own == 0 || self.late_made.contains(uid),
            "a volume is left of a claim that is bound to another PersistentVolume",
        );
        let left = self.cluster.volumes.contains_key(&persistent_volume(uid));
        self.must(!left, "a PersistentVolume is left of a claim that is bound to another one");
        true
    }

    /// Returns whether a claim is bound to a PersistentVolume that an admin created.
    pub(crate) fn got_static(&self, claim: &str) -> bool {
        let claim = self.cluster.claims[claim].spec.as_ref();
        let bound = claim.and_then(|spec| spec.volume_name.as_ref());
        bound.is_some_and(|bound| bound.starts_with("static-"))
    }
}
