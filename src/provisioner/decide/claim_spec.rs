//! Reads the requests of a claim as Kubernetes does: its class, its size, and features that dynamic provisioning does
//! not support. Arrays and volumes are unknown here.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::contract::DRIVER;
use crate::contract::Quantity;

/// Returns the size that a claim asks for, in bytes, rounded up.
pub(super) fn size(claim: &PersistentVolumeClaim) -> Option<u64> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    bytes(requests.get("storage")?)
}

/// Returns the size of a PersistentVolume, in bytes.
pub fn capacity(volume: &PersistentVolume) -> Option<u64> {
    bytes(volume.spec.as_ref()?.capacity.as_ref()?.get("storage")?)
}

/// Returns a size of the API server in bytes, rounded up.
pub(super) fn bytes(quantity: &ApiQuantity) -> Option<u64> {
    Quantity::bytes_of(&quantity.0)
}

/// Rejects features that Kubernetes documents as unsupported by dynamic provisioning, and those that this driver lacks.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#selector>
/// `limited_later` is whether external-resizer applies VolumeAttributesClasses to bound claims.
pub(super) fn check(claim: &PersistentVolumeClaim, limited_later: bool) -> Result<(), String> {
    let Some(spec) = claim.spec.as_ref() else { return Ok(()) };
    if spec.selector.as_ref().is_some_and(selects) {
        return Err("a claim with a selector gets no new volume: remove the selector, or create the PersistentVolume that it selects".to_owned());
    }
    check_attributes(claim).map_err(|why| {
        if limited_later {
            "a VolumeAttributesClass applies to a bound claim: create the claim without it, and name it when the claim is bound".to_owned()
        } else {
            why
        }
    })
}

/// Rejects every `VolumeAttributesClass`: without external-resizer, nothing serves them.
/// <https://kubernetes.io/docs/concepts/storage/volume-attributes-classes/>
pub(super) fn check_attributes(claim: &PersistentVolumeClaim) -> Result<(), String> {
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    match name.unwrap_or_default() {
        "" => Ok(()),
        name => Err(format!(
            "VolumeAttributesClass {name} is not one that {DRIVER} serves: limits are set by the StorageClass"
        )),
    }
}

/// Returns whether a selector excludes any PersistentVolume; an empty one selects all.
fn selects(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.iter().flatten().count();
    labels + selector.match_expressions.iter().flatten().count() > 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(spec: &Value) -> PersistentVolumeClaim {
        let claim = json!({"spec": spec});
        serde_json::from_value(claim).expect("typed")
    }

    #[test]
    fn sizes_are_rounded_up_to_whole_bytes() {
        let asks = |size: &str| {
            super::size(&claim(&json!({"resources": {"requests": {"storage": size}}})))
        };
        assert_eq!(asks("107374182400m"), Some(107_374_183), "0.1Gi");
        assert_eq!(asks("1181116006400m"), Some(1_181_116_007), "1.1Gi");
        assert_eq!(
            (asks("1e3"), asks("1E"), asks("0.5Ti")),
            (Some(1000), Some(10_u64.pow(18)), Some(1 << 39))
        );
    }

    #[test]
    fn what_dynamic_provisioning_does_not_serve_is_refused() {
        let served = |spec: Value| check(&claim(&spec), false);
        assert_eq!(served(json!({"selector": {}, "volumeAttributesClassName": ""})), Ok(()));
        for selector in [
            json!({"matchLabels": {"a": "b"}}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
        ] {
            let why = served(json!({ "selector": selector })).expect_err("refused");
            assert!(why.contains("remove the selector"), "{why}");
        }
        let why = served(json!({"volumeAttributesClassName": "fast"})).expect_err("refused");
        assert!(why.starts_with("VolumeAttributesClass fast"), "{why}");
        let named = claim(&json!({"volumeAttributesClassName": "fast"}));
        let why = check(&named, true).expect_err("refused before it is bound");
        assert!(why.contains("when the claim is bound"), "{why}");
    }
}
