//! Decides the steps that expand a bound volume: the array first, then the Kubernetes objects.
//!
//! The order and the fields are those of the CSI project's external-resizer, so that a claim looks as documented:
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims>.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_spec::{self, bytes};
use super::effect::{Effect, ObjectVersion};
use super::persistent_volume::{BackingVolume, backing_volume};

/// Returns the next effect that expands a bound volume to the size that its claim requests; none if it has that size.
/// `grown` is the size in bytes that the array reported.
pub(super) fn next(
    claim: &PersistentVolumeClaim,
    claim_version: ObjectVersion,
    volume: &PersistentVolume,
    volume_version: ObjectVersion,
    grown: Option<u64>,
) -> Option<Effect> {
    let backing_volume = backing_volume(volume)?;
    let spec = volume.spec.as_ref()?;
    // A PersistentVolume that is being deleted is in use until its claim is deleted, and can be expanded until then.
    if spec.claim_ref.as_ref()?.uid != claim.metadata.uid {
        return None;
    }
    let size = claim_spec::size(claim)?;
    let has = claim_spec::capacity(volume)?;
    if has < size {
        return Some(match grown.filter(|grown| *grown >= size) {
            Some(size) => Effect::SetCapacity { volume: volume_version, size },
            None if !is_marked(claim, size) => Effect::SetResizing { claim: claim_version, size },
            None => {
                let BackingVolume { array, array_id, volume } = backing_volume;
                Effect::ExpandVolume { array, array_id, volume, size }
            }
        });
    }
    // The node service expands the device, with or without a file system on it, and kubelet updates the status then.
    // Kubelet asks for that only while the status says that it is pending.
    let on_node = spec.csi.is_some();
    let status = claim.status.as_ref()?;
    let reported = bytes(status.capacity.as_ref()?.get("storage")?)?;
    let waits = status.allocated_resource_statuses.as_ref().and_then(|all| all.get("storage"));
    let waits = waits.is_some_and(|word| word == "NodeResizePending");
    (reported < has && !(on_node && waits)).then(|| Effect::SetResized {
        claim: claim_version,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn object_version(name: &str) -> ObjectVersion {
        let (name, uid, version) = (name.to_owned(), "1".to_owned(), "1".to_owned());
        ObjectVersion { namespace: None, name, uid, version }
    }

    /// A claim that asks for 3Gi, with a status.
    fn claim(status: &Value) -> PersistentVolumeClaim {
        let claim = json!({
            "metadata": {"namespace": "files", "name": "data", "uid": "1"},
            "spec": {"resources": {"requests": {"storage": "3Gi"}}},
            "status": status,
        });
        serde_json::from_value(claim).expect("typed")
    }

    /// Our PersistentVolume of a size, for the claim with a UID.
    fn volume(size: &str, uid: &str, source: &Value) -> PersistentVolume {
        let mut volume = json!({
            "metadata": {"name": "pvc-1", "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "a1",
                "pso-gen.io/array-id": "id", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "7",
            }},
            "spec": {"capacity": {"storage": size}, "claimRef": {"name": "data", "uid": uid}},
        });
        for (field, value) in source.as_object().into_iter().flatten() {
            volume["spec"][field] = value.clone();
        }
        serde_json::from_value(volume).expect("typed")
    }

    fn nfs() -> Value {
        json!({"nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}})
    }

    fn iscsi(mode: &str) -> Value {
        json!({"csi": {"driver": "pso-gen.io", "volumeHandle": "id/7"}, "volumeMode": mode})
    }

    fn status_of(size: &str, word: Option<&str>, to: &str) -> Value {
        let mut status = json!({"capacity": {"storage": size}});
        if let Some(word) = word {
            status["allocatedResourceStatuses"] = json!({"storage": word});
            status["allocatedResources"] = json!({"storage": to});
        }
        status
    }

    fn step(status: &Value, volume: &PersistentVolume, grown: Option<u64>) -> Option<Effect> {
        next(&claim(status), object_version("data"), volume, object_version("pvc-1"), grown)
    }

    #[test]
    fn the_claim_says_so_first_then_the_array_then_kubernetes() {
        let small = volume("1Gi", "1", &nfs());
        let says = |effect: Option<Effect>| matches!(effect, Some(Effect::SetResizing { size, .. }) if size == 3 * GIB);
        assert!(says(step(&status_of("1Gi", None, ""), &small, None)));
        let marked = |word, to| status_of("1Gi", Some(word), to);
        assert!(
            says(step(&marked("ControllerResizeInProgress", "2Gi"), &small, None)),
            "of another size"
        );
        assert!(
            says(step(&marked("ControllerResizeFailed", "3Gi"), &small, None)),
            "by another word"
        );
        let now = marked("ControllerResizeInProgress", "3Gi");
        assert!(matches!(
            step(&now, &small, None),
            Some(Effect::ExpandVolume { array, array_id, size, .. })
                if (array.as_str(), array_id.as_str(), size) == ("a1", "id", 3 * GIB)
        ));
        for less in [None, Some(2 * GIB), Some(3 * GIB - 1)] {
            assert!(
                matches!(step(&now, &small, less), Some(Effect::ExpandVolume { .. })),
                "{less:?}"
            );
        }
        // The array's own size is written, which may be more.
        for size in [3 * GIB, 4 * GIB] {
            let effect = step(&now, &small, Some(size));
            assert!(matches!(effect, Some(Effect::SetCapacity { size: set, .. }) if set == size));
        }
        // Only then the claim's status is written, once.
        let large = volume("3Gi", "1", &nfs());
        let effect = step(&now, &large, None);
        assert!(
            matches!(effect, Some(Effect::SetResized { size, on_node: false, .. }) if size == 3 * GIB)
        );
        assert!(step(&status_of("3Gi", None, ""), &large, None).is_none());
        assert!(step(&status_of("4Gi", None, ""), &large, None).is_none(), "never smaller");
    }

    #[test]
    fn the_node_expands_a_block_volume_with_or_without_a_file_system() {
        for mode in ["Filesystem", "Block"] {
            let device = volume("3Gi", "1", &iscsi(mode));
            let done = status_of("1Gi", Some("ControllerResizeInProgress"), "3Gi");
            assert!(
                matches!(
                    step(&done, &device, None),
                    Some(Effect::SetResized { on_node: true, .. })
                ),
                "{mode}"
            );
            let waits = status_of("1Gi", Some("NodeResizePending"), "3Gi");
            assert!(step(&waits, &device, None).is_none(), "{mode}: the node says when it has");
            assert!(step(&status_of("3Gi", None, ""), &device, None).is_none(), "{mode}");
        }
    }

    #[test]
    fn what_is_not_the_claims_own_stays_as_it_is() {
        let status = status_of("1Gi", None, "");
        assert!(step(&status, &volume("1Gi", "2", &nfs()), None).is_none(), "another claim's");
        let mut foreign = volume("1Gi", "1", &nfs());
        foreign.metadata.annotations = None;
        assert!(step(&status, &foreign, None).is_none(), "another driver's");
        assert!(step(&json!({}), &volume("3Gi", "1", &nfs()), None).is_none(), "not bound yet");
    }
}
