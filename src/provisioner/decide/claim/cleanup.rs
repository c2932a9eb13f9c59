//! A claim that goes, or has got another volume, before its own was bound: what was made for it goes first.
//! So too when it has disappeared, because somebody has taken our finalizer off.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{ClaimState, ClaimView, Next, asked, claimed, has_finalizer, is_gone, owner_of, seen};
use crate::contract::name;
use crate::provisioner::decide::effect::{Effect, Lookup};
use crate::provisioner::decide::persistent_volume::{behind, is_left_over};

impl ClaimState {
    /// The claim goes, or has another volume: what was made for it and has no PersistentVolume goes first.
    pub(super) fn undo(&self, view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Next {
        let finish = || Next::Do(Effect::RemoveClaimFinalizer { claim: seen(claim) });
        self.clean_up(view, claim).unwrap_or_else(finish)
    }

    /// The watch says that the claim is gone. When it was to get a volume, somebody has taken our finalizer
    /// off: what has been made for it is cleaned up here, as long as this process remembers it.
    pub(super) fn disappeared(&self, view: ClaimView<'_>) -> Next {
        let Some(claim) = self.newest.as_deref().filter(|claim| has_finalizer(claim)) else {
            return Next::Nothing;
        };
        let meta = &claim.metadata;
        match &self.read_claim {
            Lookup::NotYet => Next::Do(Effect::ReadClaim {
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
            }),
            // The watch will tell of it again.
            Lookup::There(there) if there.metadata.uid == meta.uid => Next::Nothing,
            Lookup::There(_) | Lookup::Absent => {
                self.clean_up(view, claim).unwrap_or(Next::Nothing)
            }
        }
    }

    /// Looks at each array that was asked, and destroys what was made there. An imported volume has
    /// another name, and is not found. None when nothing is left to do.
    fn clean_up(&self, view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Option<Next> {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let asked = asked(view, claim);
        let name = name::volume(&view.setup.cluster, uid).filter(|_| !asked.is_empty())?;
        // The view may be behind: whether there is a PersistentVolume is asked of the API server itself, and
        // again before anything is destroyed.
        match &self.read {
            Lookup::NotYet => {
                return Some(Next::Do(Effect::ReadPersistentVolume {
                    name: name::persistent_volume(uid),
                }));
            }
            // The claim got another one. This one goes first, by `ReclaimState`, so that nothing is bound to it any
            // more; what is behind it may be kept by its policy, and was never in use.
            Lookup::There(volume) if is_left_over(volume, claim) => return Some(Next::Nothing),
            // From here on, the volume is the matter of its PersistentVolume: Kubernetes releases that
            // when the claim is gone, bound or not. An admin may have given it to another claim.
            Lookup::There(volume)
                if claimed(volume) == Some(uid)
                    || behind(volume).is_some_and(|behind| behind.volume.name == name) =>
            {
                return None;
            }
            Lookup::There(_) | Lookup::Absent => {}
        }
        if let Some((array, snapshot)) = self.snapshot.clone() {
            return Some(Next::Do(Effect::DestroySnapshot { array, snapshot, read: None }));
        }
        // On one that the storage document has no more, nothing can be done.
        let mut asked = asked.into_iter().filter(|asking| !is_gone(view, asking));
        let asking = asked.find(|asking| !self.clean.contains(&asking.array))?;
        let (array, array_id) = (asking.array, asking.id);
        let found = self.found.as_ref().filter(|(on, _)| *on == array);
        let found = found.and_then(|(_, volume)| volume.volume_id());
        Some(Next::Do(match found.filter(|volume| name.is(volume.name.as_str())) {
            Some(volume) => {
                let owner = Box::new(owner_of(view.setup, claim));
                let read = self.read_at;
                Effect::DestroyVolume { array, array_id, volume, owner, read }
            }
            None => Effect::FindVolume { array, array_id, name },
        }))
    }
}
