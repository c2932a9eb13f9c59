//! Growth of a volume that is bound: the array first, then what Kubernetes says of it.
//!
//! The order and the fields are those of the CSI project's resizer, so that whoever reads a claim finds
//! what they know: <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims>.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_spec::{self, bytes};
use super::effect::{Effect, ObjectVersion};
use super::persistent_volume::{Behind, behind};

/// Returns the next step of making a bound volume as large as its claim asks for; none when it is.
/// `grown` is the size in bytes that the array has answered.
pub(super) fn next(
    claim: &PersistentVolumeClaim,
    seen: ObjectVersion,
    volume: &PersistentVolume,
    seen_volume: ObjectVersion,
    grown: Option<u64>,
) -> Option<Effect> {
    let behind = behind(volume)?;
    let spec = volume.spec.as_ref()?;
    // One that somebody deletes is in use until its claim goes, and grows until then.
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
    // On a block device, the node has to make the file system larger; it says itself when it has.
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

/// Whether the claim says already that it is being made so large.
fn is_marked(claim: &PersistentVolumeClaim, size: u64) -> bool {
    let marked = || {
        let status = claim.status.as_ref()?;
        let word = status.allocated_resource_statuses.as_ref()?.get("storage")?;
        let to = bytes(status.allocated_resources.as_ref()?.get("storage")?)?;
        Some(word == "ControllerResizeInProgress" && to == size)
    };
    marked() == Some(true)
}
