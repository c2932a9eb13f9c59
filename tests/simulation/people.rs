//! Actions of users on PersistentVolumes and claims, besides creation and deletion: they set policies, rescue released
//! volumes and remove finalizers.

use k8s_openapi::api::core::v1::PersistentVolume;
use pso_gen::contract::FINALIZER;

use super::Run;
use crate::cluster::phase_of;

impl Run {
    /// A user sets the reclaim policy of a PersistentVolume at any time, even while it is being deleted.
    pub(super) fn set_policy(&mut self, policy: &str) {
        if self.destroys_late() {
            return;
        }
        // A PersistentVolume that is deleted while its claim exists has no guarantee.
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
        // A PersistentVolume that is deleted with `Retain` leaves its volume to the admin.
        let goes = self.cluster.volumes[&name].metadata.deletion_timestamp.is_some();
        if goes && policy == "Retain" {
            self.kept.insert(name.trim_start_matches("pvc-").to_owned());
        }
    }

    /// An admin rescues a PersistentVolume whose claim was deleted: it is bound to a new claim, and in use again.
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
        // Its volume may be destroyed already if the admin is too late.
        let uid = name.trim_start_matches("pvc-");
        let alive = self.arrays.volumes.values().any(|(volume, of)| of == uid && !volume.destroyed);
        if lives(uid) || !alive || !self.cluster.create_claim(claim, "pure-file") {
            return false;
        }
        self.note(format!("user: {name} is saved for {claim}, {policy}"));
        self.cluster.bind_again(&name, claim, policy);
        true
    }

    /// A user removes the provisioner's finalizer from a claim and deletes it.
    pub(crate) fn tear_off(&mut self, claim: &str) {
        self.note(format!("user: {claim} is torn off"));
        let torn = self.cluster.claims.get(claim).and_then(|claim| claim.metadata.uid.clone());
        self.torn_off.extend(torn);
        self.cluster.tear_off_claim(claim);
    }

    /// A user removes the provisioner's finalizer from every PersistentVolume.
    pub(crate) fn strip_volumes(&mut self) {
        self.note("user: PersistentVolumes lose their finalizer");
        self.cluster.strip_volumes();
    }

    /// Checks that every PersistentVolume has the provisioner's finalizer.
    pub(crate) fn must_all_be_held(&self) {
        let held = self.cluster.volumes.values().all(|volume| {
            volume.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
        });
        self.must(held, "a PersistentVolume lacks the finalizer of the provisioner");
    }
}
