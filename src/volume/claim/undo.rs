//! A claim that goes, or has got another volume, before its own was bound: what was made for it goes first.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{ClaimWork, Next, View, asked, claimed, owner_of, seen};
use crate::array::Name;
use crate::volume::effect::{Asked, Effect};
use crate::volume::name;

impl ClaimWork {
    /// The claim goes, or has another volume: what was made for it and has no PersistentVolume goes first.
    pub(super) fn undo(&self, view: View<'_>, claim: &PersistentVolumeClaim) -> Next {
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let own = name::persistent_volume(uid);
        let (asked, name) = (asked(claim), name::volume(&view.setup.cluster, uid));
        let Some(name) = name.filter(|_| !asked.is_empty()) else {
            return Next::Do(Effect::Finish { claim: seen(claim) });
        };
        // The view may be behind: whether there is a PersistentVolume is asked of the API server itself.
        match &self.read {
            Asked::NotYet => Next::Do(Effect::ReadVolume { name: own }),
            // From here on, the volume is the matter of its PersistentVolume: Kubernetes releases that
            // when the claim is gone, bound or not.
            Asked::There(volume) if claimed(volume) == Some(uid) => {
                Next::Do(Effect::Finish { claim: seen(claim) })
            }
            Asked::There(_) | Asked::Absent => self.clean_up(claim, asked, name),
        }
    }

    /// Looks at each array that was asked, and destroys what was made there. An imported volume has
    /// another name, and is not found.
    pub(super) fn clean_up(
        &self,
        claim: &PersistentVolumeClaim,
        asked: Vec<String>,
        name: Name,
    ) -> Next {
        if let Some((array, snapshot)) = self.snapshot.clone() {
            return Next::Do(Effect::DestroySnapshot { array, snapshot });
        }
        let Some(array) = asked.into_iter().find(|array| !self.clean.contains(array)) else {
            return Next::Do(Effect::Finish { claim: seen(claim) });
        };
        let found = self.found.as_ref().filter(|(on, _)| *on == array);
        let found = found.and_then(|(_, volume)| volume.volume_id());
        match found.filter(|volume| volume.name == name) {
            Some(volume) => {
                Next::Do(Effect::Destroy { array, volume, owner: owner_of(claim, &name) })
            }
            None => Next::Do(Effect::Find { array, name }),
        }
    }
}
