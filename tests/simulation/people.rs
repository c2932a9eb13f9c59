//! What people do to PersistentVolumes and claims besides making and deleting them: they set policies, save
//! what was released, take finalizers off.

use k8s_openapi::api::core::v1::PersistentVolume;
use pso_gen::contract::FINALIZER;

use super::Run;
use crate::cluster::phase_of;

impl Run {
    /// Somebody sets the reclaim policy of a PersistentVolume, whatever waits, also of one that goes.
    pub(super) fn set_policy(&mut self, policy: &str) {
        if self.destroys_late() {
            return;
        }
        // Of one that somebody deletes under a claim that lives, nothing is promised.
        let lives = |uid: &str| {
            self.cluster.claims.values().any(|claim| claim.metadata.uid.as_deref() == Some(uid))
        };
        let is_sane = |volume: &&PersistentVolume| {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.as_ref());
            name.starts_with("pvc-") && volume.metadata.deletion_timestamp.is_none()
                || name.starts_with("pvc-")
                    && !(claim.is_some_and(|uid| lives(uid))
                        || lives(name.trim_start_matches("pvc-")))
        };
        let names = self.cluster.volumes.values().filter(is_sane);
        let names: Vec<String> = names.filter_map(|volume| volume.metadata.name.clone()).collect();
        let Some(name) = self.dice.choice(names) else { return };
        self.note(format!("user: {name} is to be {policy}"));
        self.cluster.set_policy(&name, policy);
        self.policies.insert(name.clone(), self.arrays.now);
        // One that goes and is to be kept leaves its volume to the admin.
        let goes = self.cluster.volumes[&name].metadata.deletion_timestamp.is_some();
        if goes && policy == "Retain" {
            self.kept.insert(name.trim_start_matches("pvc-").to_owned());
        }
    }

    /// An admin saves a PersistentVolume whose claim was deleted: it gets a new claim, and is in use again.
    pub(crate) fn save_released(&mut self, claim: &str, policy: &str) -> bool {
        if self.destroys_late() {
            return false;
        }
        let lives = |uid: &str| {
            self.cluster.claims.values().any(|claim| claim.metadata.uid.as_deref() == Some(uid))
        };
        let released = self.cluster.volumes.values().find(|volume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.as_ref());
            phase_of(volume) == Some("Released")
                && volume.metadata.name.as_ref().is_some_and(|name| name.starts_with("pvc-"))
                && volume.metadata.deletion_timestamp.is_none()
                && !claim.is_some_and(|uid| lives(uid))
        });
        let Some(name) = released.and_then(|volume| volume.metadata.name.clone()) else {
            return false;
        };
        // Its volume may be gone already, when the admin comes too late.
        let uid = name.trim_start_matches("pvc-");
        let alive = self.arrays.volumes.values().any(|(volume, of)| of == uid && !volume.destroyed);
        if lives(uid) || !alive || !self.cluster.create_claim(claim, "pure-file") {
            return false;
        }
        self.note(format!("user: {name} is saved for {claim}, {policy}"));
        self.cluster.bind_again(&name, claim, policy);
        true
    }

    /// Somebody takes our finalizer off a claim and deletes it.
    pub(crate) fn tear_off(&mut self, claim: &str) {
        self.note(format!("user: {claim} is torn off"));
        let torn = self.cluster.claims.get(claim).and_then(|claim| claim.metadata.uid.clone());
        self.torn_off.extend(torn);
        self.cluster.tear_off_claim(claim);
    }

    /// Somebody takes our finalizer off every PersistentVolume.
    pub(crate) fn strip_volumes(&mut self) {
        self.note("user: PersistentVolumes lose their finalizer");
        self.cluster.strip_volumes();
    }

    /// Every PersistentVolume has our finalizer.
    pub(crate) fn must_all_be_held(&self) {
        let held = self.cluster.volumes.values().all(|volume| {
            volume.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
        });
        self.must(held, "a PersistentVolume has no finalizer of ours");
    }
}
