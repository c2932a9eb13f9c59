//! Decides the steps that expand a bound volume: the array first, then the Kubernetes objects.
//!
//! The order and the fields are those of the CSI project's external-resizer, so that a claim looks as documented:
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims>.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_spec::{self, bytes};
use super::effect::{Effect, ObjectVersion};
use super::persistent_volume::{Behind, behind};

/// Returns the next effect that expands a bound volume to the size that its claim requests; none if it has that size.
/// `grown` is the size in bytes that the array reported.
pub(super) fn next(
    claim: &PersistentVolumeClaim,
    seen: ObjectVersion,
    volume: &PersistentVolume,
    seen_volume: ObjectVersion,
    grown: Option<u64>,
) -> Option<Effect> {
    let behind = behind(volume)?;
    let spec = volume.spec.as_ref()?;
    // A PersistentVolume that is being deleted is in use until its claim is deleted, and can be expanded until then.
    if spec.claim_ref.as_ref()?.uid != claim.metadata.uid {
        return None;
    }
    let size = claim_spec::size(claim)?;
    let has = claim_spec::capacity(volume)?;
    if has < size {
        return Some(match grown.filter(|grown| *grown >= size) {
            Some(size) => Effect::SetCapacity { volume: seen_volume, size },
            None if !is_marked(claim, size) => Effect::SetResizing { claim: seen, size },
            None => {
                let Behind { array, array_id, volume } = behind;
                Effect::ExpandVolume { array, array_id, volume, size }
            }
        });
    }
    // On a block device, the node expands the file system and updates the status itself.
    let on_node = spec.csi.is_some() && spec.volume_mode.as_deref() != Some("Block");
    let status = claim.status.as_ref()?;
    let told = bytes(status.capacity.as_ref()?.get("storage")?)?;
    let waits = status.allocated_resource_statuses.as_ref().and_then(|all| all.get("storage"));
    let waits = waits.is_some_and(|word| word == "NodeResizePending");
    (told < has && !(on_node && waits)).then(|| Effect::SetResized {
        claim: seen,
        size: has,
        on_node,
    })
}

/// Returns whether the claim's status records the expansion to this size already.
fn is_marked(claim: &PersistentVolumeClaim, size: u64) -> bool {
    let marked = || {
        let status = claim.status.as_ref()?;
        let word = status.allocated_resource_statuses.as_ref()?.get("storage")?;
        let to = bytes(status.allocated_resources.as_ref()?.get("storage")?)?;
        Some(word == "ControllerResizeInProgress" && to == size)
    };
    marked() == Some(true)
}
