//! Decides the cleanup of a claim that is deleted, or bound to another volume, before its own volume was bound: the
//! volume is destroyed before the claim loses its finalizer. A claim that disappeared, because its finalizer was
//! removed by hand, is cleaned up in the same way.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::asked_arrays::{asked_arrays, is_gone};
use super::state::OnArray;
use super::{ClaimState, ClaimView, Next};
use crate::contract::{Volume, name};
use crate::provisioner::decide::effect::{Effect, Lookup};
use crate::provisioner::decide::object::{claim_uid, has_finalizer, object_version, owner_of};
use crate::provisioner::decide::persistent_volume::{backing_volume, is_left_over};

impl ClaimState {
    /// Destroys the volume that was created for a claim and has no PersistentVolume, then removes the claim's
    /// finalizer.
    pub(super) fn undo(&self, view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Next {
        let finish = || Next::Do(Effect::RemoveClaimFinalizer { claim: object_version(claim) });
        self.clean_up(view, claim).unwrap_or_else(finish)
    }

    /// Cleans up after a claim that the watch reports as deleted although it had the finalizer. This needs the claim
    /// that this process remembers.
    pub(super) fn disappeared(&self, view: ClaimView<'_>) -> Next {
        let Some(claim) = self.written.claim.as_deref().filter(|claim| has_finalizer(claim)) else {
            return Next::Nothing;
        };
        let meta = &claim.metadata;
        match &self.reads.claim {
            Lookup::NotYet => Next::Do(Effect::ReadClaim {
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
            }),
            // The watch will deliver the claim again.
            Lookup::There(now) if now.metadata.uid == meta.uid => Next::Nothing,
            Lookup::There(_) | Lookup::Absent => {
                self.clean_up(view, claim).unwrap_or(Next::Nothing)
            }
        }
    }

    /// Searches each array that was asked, and destroys the claim's volume there. An imported volume has another name
    /// and is not found. Returns none if nothing is left to do.
    fn clean_up(&self, view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Option<Next> {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let asked = asked_arrays(view, claim);
        let name = name::volume(&view.setup.cluster, uid).filter(|_| !asked.is_empty())?;
        // The view may be stale: the PersistentVolume is read from the API server, and read again before anything is
        // destroyed.
        match &self.reads.volume {
            Lookup::NotYet => {
                return Some(Next::Do(Effect::ReadPersistentVolume {
                    name: name::persistent_volume(uid),
                }));
            }
            // The claim is bound to another PersistentVolume. `ReclaimState` deletes this one first, so that nothing
            // can be bound to it; its policy may keep the volume, which was never in use.
            Lookup::There(volume) if is_left_over(volume, claim) => return Some(Next::Nothing),
            // The PersistentVolume decides from here on: Kubernetes releases it when the claim is deleted, bound or
            // not. An admin may have bound it to another claim.
            Lookup::There(volume)
                if claim_uid(volume) == Some(uid)
                    || backing_volume(volume)
                        .is_some_and(|backing_volume| backing_volume.volume.name == name) =>
            {
                return None;
            }
            Lookup::There(_) | Lookup::Absent => {}
        }
        if let Some(OnArray { array, item: snapshot }) = self.arrays.clone_snapshot.clone() {
            return Some(Next::Do(Effect::DestroySnapshot { array, snapshot, read: None }));
        }
        // An array that is not in the storage document any more cannot be cleaned up.
        let mut asked = asked.into_iter().filter(|each| !is_gone(view, each));
        let next = asked.find(|each| !self.arrays.without_volume.contains(&each.array))?;
        let (array, array_id) = (next.array, next.id);
        let found = self.arrays.found_on(&array).and_then(Volume::volume_id);
        Some(Next::Do(match found.filter(|volume| name.is(volume.name.as_str())) {
            Some(volume) => {
                let owner = Box::new(owner_of(view.setup, claim));
                let read = self.reads.volume_read_at;
                Effect::DestroyVolume { array, array_id, volume, owner, read }
            }
            None => Effect::FindVolume { array, array_id, name },
        }))
    }
}
