//! Decides how a claim and its PersistentVolume are bound: the provisioner writes both sides once
//! kube-controller-manager knows the PersistentVolume. Decision 15 has the reasons.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::state::ControllerBarrier;
use super::{ClaimState, ClaimView, Next};
use crate::contract::FINALIZER;
use crate::contract::annotation;
use crate::provisioner::decide::effect::{Effect, Lookup};
use crate::provisioner::decide::object::{object_version, volume_version};
use crate::provisioner::decide::setup::Binding;

impl ClaimState {
    /// Removes the provisioner's finalizer from a PersistentVolume that was deleted from outside, if its claim is not
    /// bound.
    fn release_deleted(&self, deleted: &PersistentVolume, claim: &PersistentVolumeClaim) -> Next {
        let volume = volume_version(deleted);
        let has_finalizer =
            deleted.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER);
        if !has_finalizer || self.written.released_uid.as_ref() == Some(&volume.uid) {
            return Next::Nothing;
        }
        match &self.reads.claim {
            Lookup::NotYet => Next::Do(Effect::ReadClaim {
                namespace: claim.metadata.namespace.clone().unwrap_or_default(),
                name: claim.metadata.name.clone().unwrap_or_default(),
            }),
            Lookup::There(now) if now.metadata.uid == claim.metadata.uid && !is_bound(now) => {
                Next::Do(Effect::RemovePersistentVolumeFinalizer { volume })
            }
            Lookup::There(_) | Lookup::Absent => Next::Nothing,
        }
    }

    /// Writes the status of a claim that is bound in its spec only.
    pub(super) fn finish_binding(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
    ) -> Next {
        match self.newest_volume(view) {
            Some(volume) if view.setup.binding == Binding::Direct => {
                let volume = Box::new(volume.clone());
                Next::Do(Effect::SetClaimBound { claim: object_version(claim), volume })
            }
            _ => Next::Nothing,
        }
    }

    /// Writes both sides of the binding, once kube-controller-manager knows the PersistentVolume. If
    /// kube-controller-manager binds first, nothing is left to write.
    pub(super) fn bind(
        &self,
        existing: &PersistentVolume,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
    ) -> Next {
        let phase = existing.status.as_ref().and_then(|status| status.phase.as_deref());
        let phase = phase.unwrap_or("Pending");
        let is_new = matches!(phase, "Pending" | "Available");
        // It was deleted from outside before it was bound: another one replaces it.
        if is_new && existing.metadata.deletion_timestamp.is_some() {
            let volume = volume_version(existing);
            let has_finalizer =
                existing.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER);
            let is_released =
                !has_finalizer || self.written.released_uid.as_ref() == Some(&volume.uid);
            return if is_released {
                Next::Nothing
            } else {
                Next::Do(Effect::RemovePersistentVolumeFinalizer { volume })
            };
        }
        // Kubernetes may have set the phase `Released` by mistake; it binds no PersistentVolume that is being deleted.
        // The claim is read again first, because it may be bound by now.
        if phase != "Bound" && existing.metadata.deletion_timestamp.is_some() {
            return self.release_deleted(existing, claim);
        }
        if view.setup.binding == Binding::Controller {
            return Next::Nothing;
        }
        if is_new {
            return Next::Do(Effect::SetPersistentVolumeBound { volume: volume_version(existing) });
        }
        // In any other phase, kube-controller-manager took the claim for deleted, and has to correct the phase itself.
        if phase != "Bound" {
            return Next::Nothing;
        }
        let uid = existing.metadata.uid.as_deref().unwrap_or_default();
        match &self.barriers.controller {
            Some(ControllerBarrier { volume_uid, is_passed: true }) if volume_uid == uid => {
                let volume = existing.metadata.name.clone().unwrap_or_default();
                Next::Do(Effect::BindClaim { claim: object_version(claim), volume })
            }
            Some(ControllerBarrier { volume_uid, is_passed: false }) if volume_uid == uid => {
                Next::Nothing
            }
            _ => Next::AwaitController { volume_uid: uid.to_owned() },
        }
    }
}

/// Returns whether a claim is bound except for its status. A claim with the phase `Lost` does not count:
/// kube-controller-manager has to correct that itself.
pub(super) fn is_half_bound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let annotations = claim.metadata.annotations.as_ref();
    phase.is_none_or(|phase| phase == "Pending")
        && annotations.is_some_and(|all| all.contains_key(annotation::BIND_COMPLETED))
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
    bound.is_some_and(|bound| !bound.is_empty())
}
