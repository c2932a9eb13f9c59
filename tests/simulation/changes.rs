//! Changes that admins make while claims are provisioned: a class is deleted and recreated, an array is removed from
//! the storage document.

use pso_gen::contract::Retry;
use pso_gen::provisioner::decide::{Effect, EffectError, Input, Outcome, backing_volume};

use super::{Key, Run};

impl Run {
    /// Deletes the class, or recreates it.
    pub(crate) fn set_class(&mut self, is_there: bool) {
        self.has_class = is_there;
        self.note(format!("admin: the class is there: {is_there}"));
        self.look_at_claims();
    }

    /// Removes an array from the storage document.
    pub(crate) fn take_out(&mut self, array: &str) {
        self.states.retain(|state| state.name != array);
        self.arrays.out.insert(array.to_owned());
        self.note(format!("admin: {array} is taken out"));
        self.look_at_claims();
    }

    fn look_at_claims(&mut self) {
        for uid in self.process.claims.keys().cloned().collect::<Vec<_>>() {
            self.step(&Key::Claim(uid), Input::Changed);
        }
    }

    /// Returns the answer to requests for an array that the storage document does not have.
    pub(super) fn unknown_array(&self, effect: &Effect) -> Option<Result<Outcome, EffectError>> {
        let (Effect::EnsureVolume { array, .. }
        | Effect::FindVolume { array, .. }
        | Effect::DestroyVolume { array, .. }
        | Effect::ExpandVolume { array, .. }
        | Effect::TakeSnapshot { array, .. }
        | Effect::DestroySnapshot { array, .. }
        | Effect::ListSnapshots { array, .. }) = effect
        else {
            return None;
        };
        let is_there = self.states.iter().any(|state| state.name == *array);
        (!is_there).then(|| {
            let message = format!("the storage document has no array {array}");
            Err(EffectError::Array { reason: "UnknownArray", message, retry: Retry::Later })
        })
    }

    /// Returns the array of the PersistentVolume that a claim is bound to.
    pub(crate) fn array_of(&self, name: &str) -> String {
        let claim = &self.cluster.claims[name];
        let finalizers = claim.metadata.finalizers.iter().flatten().count();
        let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
        self.must(bound.is_some() && finalizers == 0, "a claim is not bound");
        let volume = bound.and_then(|bound| self.cluster.volumes.get(bound));
        let backing_volume = volume.and_then(backing_volume);
        self.must(backing_volume.is_some(), "a claim has no volume of the provisioner");
        backing_volume.map(|backing_volume| backing_volume.array).unwrap_or_default()
    }

    /// Checks that the cluster has neither a claim nor a PersistentVolume.
    pub(crate) fn must_be_empty(&self) {
        self.must(self.cluster.claims.is_empty(), "a claim is left");
        self.must(self.cluster.volumes.is_empty(), "a PersistentVolume is left");
    }
}
