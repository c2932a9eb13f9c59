//! Finds PersistentVolumes to which Kubernetes would bind a claim. While one exists, the provisioner creates none.
//!
//! The rules are those of `FindMatchingVolume`, by which kube-controller-manager and the scheduler choose
//! (`k8s.io/component-helpers/storage/volume`). kube-controller-manager does not compare node affinity, and compares a
//! selector only for claims that are not provisioned anyway. The consequences are decided elsewhere.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_spec;
use super::persistent_volume::backing_volume;
use crate::contract::PROVISIONER;
use crate::contract::annotation;
use crate::contract::name;

/// The claims to which a PersistentVolume may be bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservedFor {
    /// Any claim of a class that it satisfies.
    Class(String),
    /// The claim with a namespace and name, with any UID.
    Claim(String, String),
    /// The claim with a UID.
    Uid(String),
}

/// Returns the claims to which Kubernetes may bind a PersistentVolume; none if it is being deleted, or is the one that
/// the provisioner created for the claim that it names.
pub fn reserved_for(volume: &PersistentVolume) -> Option<ReservedFor> {
    if volume.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let spec = volume.spec.as_ref()?;
    let Some(claim) = &spec.claim_ref else {
        return Some(ReservedFor::Class(class_of(volume).to_owned()));
    };
    match claim.uid.as_deref().filter(|uid| !uid.is_empty()) {
        Some(uid) => {
            let own = volume.metadata.name.as_deref() == Some(&name::persistent_volume(uid));
            (!own || backing_volume(volume).is_none()).then(|| ReservedFor::Uid(uid.to_owned()))
        }
        None => Some(ReservedFor::Claim(claim.namespace.clone()?, claim.name.clone()?)),
    }
}

/// Returns whether Kubernetes would bind a claim without a PersistentVolume to this one. `waits` is whether the claim's
/// class waits for the first pod: then the scheduler has considered those that are reserved for no claim.
///
/// The phase does not count: a PersistentVolume that is not `Available` yet will be.
pub fn is_match(volume: &PersistentVolume, claim: &PersistentVolumeClaim, waits: bool) -> bool {
    let meta = &claim.metadata;
    let is_reserved = match reserved_for(volume) {
        None => false,
        Some(ReservedFor::Class(class)) => {
            !waits && class == crate::contract::class_of(claim).unwrap_or_default()
        }
        Some(ReservedFor::Claim(namespace, name)) => {
            meta.namespace.as_ref() == Some(&namespace) && meta.name.as_ref() == Some(&name)
        }
        Some(ReservedFor::Uid(uid)) => meta.uid.as_ref() == Some(&uid),
    };
    is_reserved && satisfies(volume, claim)
}

/// Returns whether a PersistentVolume satisfies the requests of a claim.
fn satisfies(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(has), Some(asks)) = (&volume.spec, &claim.spec) else { return false };
    let (Some(size), Some(requested)) = (claim_spec::capacity(volume), claim_spec::size(claim))
    else {
        return false;
    };
    let mode = |mode: &Option<String>| mode.as_deref() == Some("Block");
    let vac = |name: &Option<String>| name.clone().unwrap_or_default();
    let modes = has.access_modes.as_deref().unwrap_or_default();
    size >= requested
        && mode(&has.volume_mode) == mode(&asks.volume_mode)
        && vac(&has.volume_attributes_class_name) == vac(&asks.volume_attributes_class_name)
        && asks.access_modes.iter().flatten().all(|mode| modes.contains(mode))
}

/// Returns the class of a PersistentVolume. The annotation takes precedence, as in Kubernetes.
fn class_of(volume: &PersistentVolume) -> &str {
    let legacy =
        volume.metadata.annotations.as_ref().and_then(|all| all.get(annotation::LEGACY_CLASS));
    let class = || volume.spec.as_ref()?.storage_class_name.as_ref();
    legacy.or_else(class).map(String::as_str).unwrap_or_default()
}

/// Returns whether Kubernetes has found no PersistentVolume for a claim, and requests one from the provisioner, by an
/// annotation that also has an older name.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#volume-kubernetes-io-storage-provisioner>
pub fn is_handed_over(claim: &PersistentVolumeClaim) -> bool {
    let all = claim.metadata.annotations.as_ref();
    let key = |key: &str| all.and_then(|all| all.get(key));
    let asked =
        key(annotation::STORAGE_PROVISIONER).or_else(|| key(annotation::STORAGE_PROVISIONER_BETA));
    asked.is_some_and(|asked| asked == PROVISIONER)
}

/// Detects that more claims wait for kube-controller-manager than it processes in time.
///
/// It writes on each claim, 30 at once and then 20 per second by default. While few claims wait, the write comes within
/// milliseconds. With more claims, waiting would limit the provisioner to a few claims per second, whatever the arrays
/// can do; then the provisioner starts claims without the write if no PersistentVolume fits them. Claims that were
/// started count until they are bound: as long as they wait, kube-controller-manager does not process the others
/// either.
#[derive(Debug)]
pub struct Backlog {
    limit: usize,
    is_there: bool,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::of(24)
    }
}

impl Backlog {
    /// Returns a detector for a backlog of more than `limit` claims.
    pub fn of(limit: usize) -> Self {
        Self { limit, is_there: false }
    }

    /// Updates the number of waiting claims, and returns whether there is a backlog. It lasts until no claim waits: the
    /// writes to all of them are in one queue.
    pub fn update(&mut self, waiting: usize) -> bool {
        self.is_there = waiting > self.limit || (self.is_there && waiting > 0);
        self.is_there
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim() -> PersistentVolumeClaim {
        typed(json!({
            "metadata": {"namespace": "files", "name": "data", "uid": "1"},
            "spec": {
                "storageClassName": "pure-file", "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "9Gi"}},
            },
        }))
    }

    fn typed<K: serde::de::DeserializeOwned>(object: Value) -> K {
        serde_json::from_value(object).expect("typed")
    }

    /// Returns a PersistentVolume that fits `claim`, with a change.
    fn volume(change: &Value) -> PersistentVolume {
        let mut volume = json!({
            "metadata": {"name": "pre-0", "annotations": {}},
            "spec": {
                "storageClassName": "pure-file", "capacity": {"storage": "9Gi"},
                "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            },
        });
        for (part, fields) in change.as_object().cloned().unwrap_or_default() {
            for (field, value) in fields.as_object().cloned().unwrap_or_default() {
                volume[&part][field] = value;
            }
        }
        typed(volume)
    }

    #[test]
    fn what_kubernetes_would_bind_is_a_rival_and_nothing_else() {
        let to = |claim: Value| json!({"spec": {"claimRef": claim}});
        let named = json!({"namespace": "files", "name": "data"});
        let rivals = [
            json!({}),
            to(named.clone()),
            // Kubernetes does not compare the class of a PersistentVolume that names the claim.
            json!({"spec": {"claimRef": named, "storageClassName": ""}}),
            to(json!({"namespace": "files", "name": "data", "uid": "1"})),
            json!({"spec": {"capacity": {"storage": "10Gi"}, "volumeMode": "Filesystem"}}),
            json!({"status": {"phase": "Pending"}}),
            json!({
                "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "pure-file"}},
                "spec": {"storageClassName": "other"},
            }),
        ];
        for change in rivals {
            assert!(is_match(&volume(&change), &claim(), false), "{change}");
        }
        let others = [
            json!({"spec": {"storageClassName": "other"}}),
            json!({"spec": {"capacity": {"storage": "8Gi"}}}),
            json!({"spec": {"claimRef": named, "capacity": {"storage": "8Gi"}}}),
            json!({"spec": {"volumeMode": "Block"}}),
            json!({"spec": {"accessModes": ["ReadWriteOnce"]}}),
            json!({"spec": {"volumeAttributesClassName": "gold"}}),
            json!({"metadata": {"deletionTimestamp": "2026-11-30T00:00:00Z"}}),
            to(json!({"namespace": "files", "name": "other"})),
            to(json!({"namespace": "other", "name": "data"})),
            to(json!({"namespace": "files", "name": "data", "uid": "2"})),
        ];
        for change in others {
            assert!(!is_match(&volume(&change), &claim(), false), "{change}");
        }
        // The scheduler has considered the others for the node.
        assert!(!is_match(&volume(&json!({})), &claim(), true));
        assert!(is_match(
            &volume(&to(json!({"namespace": "files", "name": "data"}))),
            &claim(),
            true
        ));
    }

    #[test]
    fn our_own_for_the_claim_is_none() {
        let annotations = json!({
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "7",
        });
        let claim_ref = json!({"namespace": "files", "name": "data", "uid": "1"});
        let own = json!({
            "metadata": {"name": "pvc-1", "annotations": annotations},
            "spec": {"claimRef": claim_ref},
        });
        assert!(!is_match(&volume(&own), &claim(), false));
        let mut strange = own;
        strange["metadata"]["name"] = json!("pvc-2");
        assert!(is_match(&volume(&strange), &claim(), false));
    }

    #[test]
    fn kubernetes_hands_a_claim_over_by_either_key() {
        let with = |annotations: Value| {
            let mut claim = claim();
            claim.metadata.annotations = Some(typed(annotations));
            is_handed_over(&claim)
        };
        assert!(!is_handed_over(&claim()));
        assert!(with(json!({"volume.kubernetes.io/storage-provisioner": PROVISIONER})));
        assert!(with(json!({"volume.beta.kubernetes.io/storage-provisioner": PROVISIONER})));
        assert!(!with(json!({
            "volume.kubernetes.io/storage-provisioner": "example.com",
            "volume.beta.kubernetes.io/storage-provisioner": PROVISIONER,
        })));
    }

    #[test]
    fn a_crowd_lasts_until_nobody_waits() {
        let mut crowd = Backlog::of(2);
        let looks = [0, 2, 3, 2, 1, 0, 1, 2].map(|waiting| crowd.update(waiting));
        assert_eq!(looks, [false, false, true, true, true, false, false, false]);
    }
}
