//! A claim whose PersistentVolume is there: both sides of the binding are written, once Kubernetes' own
//! controller knows the PersistentVolume. Decision 15 says why.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::{ClaimState, ClaimView, Next, seen, seen_volume};
use crate::contract::FINALIZER;
use crate::contract::annotation;
use crate::provisioner::decide::effect::{Effect, Lookup};
use crate::provisioner::decide::setup::Binding;

impl ClaimState {
    /// Takes our finalizer off a PersistentVolume that somebody has deleted, when its claim is not bound to it.
    fn let_go(&self, there: &PersistentVolume, claim: &PersistentVolumeClaim) -> Next {
        let volume = seen_volume(there);
        let ours = there.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER);
        if !ours || self.let_go.as_ref() == Some(&volume.uid) {
            return Next::Nothing;
        }
        match &self.read_claim {
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

    /// The claim has its PersistentVolume, and its status does not say so yet.
    pub(super) fn finish_binding(
        &self,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
    ) -> Next {
        match self.newest_volume(view) {
            Some(volume) if view.setup.binding == Binding::Direct => {
                let volume = Box::new(volume.clone());
                Next::Do(Effect::SetClaimBound { claim: seen(claim), volume })
            }
            _ => Next::Nothing,
        }
    }

    /// Writes both sides of the binding, once Kubernetes' own controller knows the PersistentVolume. That
    /// one may be faster, and then there is nothing left to write.
    pub(super) fn bind(
        &self,
        there: &PersistentVolume,
        view: ClaimView<'_>,
        claim: &PersistentVolumeClaim,
    ) -> Next {
        let phase = there.status.as_ref().and_then(|status| status.phase.as_deref());
        let phase = phase.unwrap_or("Pending");
        let is_new = matches!(phase, "Pending" | "Available");
        // Somebody has deleted it before it was of any use: another one takes its place.
        if is_new && there.metadata.deletion_timestamp.is_some() {
            let volume = seen_volume(there);
            let ours = there.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER);
            let let_go = !ours || self.let_go.as_ref() == Some(&volume.uid);
            return if let_go {
                Next::Nothing
            } else {
                Next::Do(Effect::RemovePersistentVolumeFinalizer { volume })
            };
        }
        // The same when Kubernetes has called it released, by mistake: it binds none that is being deleted. The claim
        // is read anew, because it may be bound by now.
        if phase != "Bound" && there.metadata.deletion_timestamp.is_some() {
            return self.let_go(there, claim);
        }
        if view.setup.binding == Binding::Controller {
            return Next::Nothing;
        }
        if is_new {
            return Next::Do(Effect::SetPersistentVolumeBound { volume: seen_volume(there) });
        }
        // Otherwise it is taken for that of a claim that is gone; whoever did so has to see that it lives.
        if phase != "Bound" {
            return Next::Nothing;
        }
        let uid = there.metadata.uid.as_deref().unwrap_or_default();
        match &self.mark {
            Some((of, true)) if of == uid => {
                let volume = there.metadata.name.clone().unwrap_or_default();
                Next::Do(Effect::BindClaim { claim: seen(claim), volume })
            }
            Some((of, false)) if of == uid => Next::Nothing,
            _ => Next::AwaitController(uid.to_owned()),
        }
    }
}

/// Whether a claim is bound but for its status. One that is called `Lost` is not: Kubernetes' own
/// controller has to take that back itself.
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
