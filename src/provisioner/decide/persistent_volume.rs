//! Builds PersistentVolumes, and reads from them which volume on which array they stand for.
//!
//! `spec` is immutable after creation; decision 14 has the reasons for its content.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, NFSVolumeSource, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeSpec, SecretReference, VolumeNodeAffinity,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::setup::{ArrayState, ClassSetup, Health};
use crate::contract::annotation;
use crate::contract::name::{made_for, persistent_volume};
use crate::contract::{DRIVER, FINALIZER, PROVISIONER};
use crate::contract::{Transport, Volume, VolumeId, VolumeName};

/// The volume on an array that a PersistentVolume of the provisioner names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingVolume {
    /// The array.
    pub array: String,
    /// The array's id.
    pub array_id: String,
    /// The volume.
    pub volume: VolumeId,
}

/// Returns the PersistentVolume of a claim; an error if the array cannot be reached by clients.
pub(super) fn make(
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    array: &ArrayState,
    volume: &Volume,
) -> Result<PersistentVolume, String> {
    let Health::Up { id, transport, .. } = &array.health else {
        return Err(format!("{} is unreachable", array.name));
    };
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    let spec = claim.spec.clone().unwrap_or_default();
    let annotations = [
        (annotation::PROVISIONED_BY, PROVISIONER),
        (annotation::ARRAY, array.name.as_str()),
        (annotation::ARRAY_ID, id.as_str()),
        (annotation::VOLUME, volume.name.as_str()),
        (annotation::VOLUME_ID, volume.id.as_str()),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (nfs, csi) = match transport {
        Transport::Nfs { addresses } => {
            let server = array.traits.data.clone().or_else(|| addresses.first().cloned());
            let server = server.ok_or_else(|| format!("{} has no data address", array.name))?;
            let path = format!("/{}", volume.name);
            (Some(NFSVolumeSource { server, path, read_only: None }), None)
        }
        Transport::Block(_) => {
            let serial = volume.serial.clone().unwrap_or_default();
            let attributes =
                [("array", array.name.clone()), ("name", volume.name.clone()), ("serial", serial)];
            let csi = CSIPersistentVolumeSource {
                driver: DRIVER.to_owned(),
                volume_handle: format!("{id}/{}", volume.id),
                fs_type: class.file_system.clone(),
                volume_attributes: Some(
                    attributes.map(|(key, value)| (key.to_owned(), value)).into(),
                ),
                node_stage_secret_ref: array.traits.stage_secret.clone().map(
                    |(namespace, name)| SecretReference {
                        namespace: Some(namespace),
                        name: Some(name),
                    },
                ),
                ..CSIPersistentVolumeSource::default()
            };
            (None, Some(csi))
        }
    };
    Ok(PersistentVolume {
        metadata: ObjectMeta {
            name: Some(persistent_volume(&uid)),
            annotations: Some(annotations.into()),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            capacity: Some([("storage".to_owned(), quantity(volume.size))].into()),
            access_modes: spec.access_modes,
            volume_mode: spec.volume_mode,
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: Some(uid),
                ..ObjectReference::default()
            }),
            storage_class_name: Some(class.name.clone()),
            mount_options: Some(class.mount_options.clone()).filter(|options| !options.is_empty()),
            persistent_volume_reclaim_policy: Some(class.reclaim_policy.clone()),
            node_affinity: affinity(array),
            nfs,
            csi,
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    })
}

/// Returns the affinity for the nodes that reach an array; none if all nodes do.
fn affinity(array: &ArrayState) -> Option<VolumeNodeAffinity> {
    let requirement = |(key, value): (&String, &String)| NodeSelectorRequirement {
        key: key.clone(),
        operator: "In".to_owned(),
        values: Some(vec![value.clone()]),
    };
    let labels: Vec<_> = array.traits.topology.iter().map(requirement).collect();
    let term = NodeSelectorTerm { match_expressions: Some(labels), match_fields: None };
    (!array.traits.topology.is_empty()).then(|| VolumeNodeAffinity {
        required: Some(NodeSelector { node_selector_terms: vec![term] }),
    })
}

/// Returns the volume of a PersistentVolume; none if the provisioner did not create it.
pub fn backing_volume(volume: &PersistentVolume) -> Option<BackingVolume> {
    let none = BTreeMap::new();
    let annotations = volume.metadata.annotations.as_ref().unwrap_or(&none);
    let word = |key: &str| annotations.get(key).cloned();
    if word(annotation::PROVISIONED_BY)? != PROVISIONER {
        return None;
    }
    let volume = VolumeId {
        name: VolumeName::new(word(annotation::VOLUME)?)?,
        id: word(annotation::VOLUME_ID)?,
    };
    Some(BackingVolume {
        array: word(annotation::ARRAY)?,
        array_id: word(annotation::ARRAY_ID)?,
        volume,
    })
}

/// Returns the name of the cluster for which the volume of a PersistentVolume was created; none if it was imported, or
/// the provisioner did not create the PersistentVolume.
pub fn cluster_of(volume: &PersistentVolume) -> Option<String> {
    let uid = made_for(volume.metadata.name.as_deref()?)?;
    let name = backing_volume(volume)?.volume.name.to_string();
    name.strip_suffix(&format!("-pvc-{uid}")).map(str::to_owned)
}

/// Returns the ids of the array and of the volume of one of the provisioner's PersistentVolumes. Names are ambiguous:
/// the storage document may have had two for one array.
pub fn backing_ids(volume: &PersistentVolume) -> Option<(String, String)> {
    backing_volume(volume).map(|backing_volume| (backing_volume.array_id, backing_volume.volume.id))
}

/// Returns the key of the volume that a PersistentVolume of another driver uses, or destroys with its claim; none for
/// all others and for the provisioner's.
pub fn foreign(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let destroys = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
    if backing_volume(volume).is_some() || !(destroys || phase == Some("Bound")) {
        return None;
    }
    match (&spec.nfs, &spec.csi) {
        (Some(nfs), _) => Some(foreign_key(&nfs.server, nfs.path.trim_matches('/'))),
        (None, Some(csi)) => Some(foreign_key("", &csi.volume_handle)),
        (None, None) => None,
    }
}

/// Returns the key of a volume of another driver: its server, or nothing if the driver's handles are names of volumes,
/// and its name there.
pub fn foreign_key(server: &str, name: &str) -> String {
    format!("{server}/{}", name.to_ascii_lowercase())
}

/// Returns whether two PersistentVolumes of one name were created for the same claim and volume.
pub(super) fn are_same(one: &PersistentVolume, other: &PersistentVolume) -> bool {
    let claim = |volume: &PersistentVolume| {
        volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.clone())
    };
    claim(one).is_some()
        && claim(one) == claim(other)
        && backing_volume(one) == backing_volume(other)
}

/// Returns whether a PersistentVolume was created for a claim that is bound to another one. A claim stays bound to its
/// first PersistentVolume, so that no pod can have mounted this one. Kubernetes may have removed the claim's UID from
/// it.
pub(super) fn is_left_over(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let own = claim.metadata.uid.as_deref().map(persistent_volume);
    let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
    let claim_ref = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let is_for_it = claim_ref.is_some_and(|of| {
        let uid = of.uid.as_ref().filter(|uid| !uid.is_empty());
        uid.is_none_or(|uid| claim.metadata.uid.as_ref() == Some(uid))
            && of.namespace == claim.metadata.namespace
            && of.name == claim.metadata.name
    });
    is_for_it
        && bound.is_some_and(|bound| !bound.is_empty() && Some(bound) != own.as_ref())
        && volume.metadata.name == own
        && backing_volume(volume).is_some()
}

/// Returns a number of bytes in the largest unit of which it is a whole multiple.
pub fn quantity(bytes: u64) -> Quantity {
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let (mut number, mut unit) = (bytes, 0);
    while number > 0 && number.is_multiple_of(1024) && unit + 1 < units.len() {
        number /= 1024;
        unit += 1;
    }
    Quantity(format!("{number}{}", units[unit]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(name: &str, on_array: &str) -> PersistentVolume {
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "a", "pso-gen.io/volume": on_array, "pso-gen.io/volume-id": "1",
        }}}))
        .expect("typed")
    }

    #[test]
    fn a_volumes_name_has_the_name_of_its_cluster() {
        let of = |name: &str, on_array: &str| cluster_of(&volume(name, on_array));
        assert_eq!(of("pvc-1", "prod-a-pvc-1").as_deref(), Some("prod-a"));
        assert_eq!(of("pvc-1", "archive"), None, "imported");
        assert_eq!(of("pvc-1", "prod-a-pvc-2"), None);
        assert_eq!(cluster_of(&PersistentVolume::default()), None);
    }

    #[test]
    fn a_block_volume_names_the_secret_with_the_passwords_of_its_array() {
        use crate::contract::{ArrayKind, Capacity};
        use crate::provisioner::decide::setup::ArrayTraits;

        let class = json!({
            "metadata": {"name": "pure-block"}, "provisioner": PROVISIONER,
            "parameters": {"backend": "block"},
        });
        let class = serde_json::from_value(class).expect("typed");
        let class = ClassSetup::read(&class).expect("ours").expect("valid");
        let claim = json!({"metadata": {"namespace": "files", "name": "data", "uid": "1"}});
        let claim = serde_json::from_value(claim).expect("typed");
        let named = |stage_secret: Option<(String, String)>| {
            let capacity = Capacity { total: 9, used: 1, provisioned: None };
            let reach = Transport::Block(Vec::new());
            let array = ArrayState {
                name: "fa1".to_owned(),
                kind: ArrayKind::FlashArray,
                traits: ArrayTraits { stage_secret, ..ArrayTraits::default() },
                health: Health::Up { id: "a".to_owned(), capacity, transport: reach },
            };
            let made = make(&claim, &class, &array, &Volume::default()).expect("made");
            let csi = made.spec.expect("a spec").csi.expect("a block volume");
            csi.node_stage_secret_ref.map(|secret| (secret.namespace, secret.name))
        };
        assert_eq!(named(None), None);
        let secret = ("pso-system".to_owned(), "fa1-chap".to_owned());
        let expected = (Some(secret.0.clone()), Some(secret.1.clone()));
        assert_eq!(named(Some(secret)), Some(expected));
    }

    #[test]
    fn what_another_driver_uses_or_destroys_is_known_by_what_it_names() {
        let of = |spec: serde_json::Value, phase: &str| {
            let volume = json!({"spec": spec, "status": {"phase": phase}});
            foreign(&serde_json::from_value(volume).expect("typed"))
        };
        let csi = |policy: &str| {
            json!({
                "persistentVolumeReclaimPolicy": policy,
                "csi": {"driver": "pure-csi", "volumeHandle": "K8S-pvc-1"},
            })
        };
        assert_eq!(of(csi("Retain"), "Bound").as_deref(), Some("/k8s-pvc-1"));
        assert_eq!(of(csi("Delete"), "Released").as_deref(), Some("/k8s-pvc-1"));
        assert_eq!(of(csi("Retain"), "Released"), None, "it lets go of it");
        let nfs = json!({"nfs": {"server": "192.0.2.1", "path": "/k8s-pvc-1/"}});
        assert_eq!(of(nfs, "Bound").as_deref(), Some("192.0.2.1/k8s-pvc-1"));
        assert_eq!(of(json!({"hostPath": {"path": "/x"}}), "Bound"), None);
    }
}
