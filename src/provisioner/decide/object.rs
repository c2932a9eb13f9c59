//! Facts that one claim or PersistentVolume states about itself. Decides nothing.

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::contract::{FINALIZER, Owner, name};
use crate::provisioner::decide::effect::{Effect, ObjectVersion};
use crate::provisioner::decide::setup::Setup;

/// Returns whether an effect was based on an older version of the claim than the view has now.
pub(super) fn is_outdated(effect: &Effect, claim: Option<&PersistentVolumeClaim>) -> bool {
    let (Effect::RecordIntent { claim: expected, .. }
    | Effect::SetClaimBound { claim: expected, .. }
    | Effect::SetResizing { claim: expected, .. }
    | Effect::SetResized { claim: expected, .. }) = effect
    else {
        return false;
    };
    let version = |version: &str| version.parse::<u64>().ok();
    let current = claim.and_then(|claim| claim.metadata.resource_version.as_deref());
    current.and_then(version) > version(&expected.version)
}

/// Returns whether an answer of the API server is newer than the cached version of the same object.
pub(super) fn is_newer<K: Metadata<Ty = ObjectMeta>>(answer: &K, cached: &K) -> bool {
    let (answer, cached) = (answer.metadata(), cached.metadata());
    let number = |meta: &ObjectMeta| meta.resource_version.as_ref()?.parse::<u64>().ok();
    // Kubernetes 1.35 guarantees that versions compare as numbers (KEP-5504); earlier releases do so in practice.
    answer.uid == cached.uid && number(answer) > number(cached)
}

/// Returns whether a claim is bound to the PersistentVolume that was created for it.
pub(super) fn is_bound_to_own(claim: &PersistentVolumeClaim) -> bool {
    let own = claim.metadata.uid.as_deref().map(name::persistent_volume);
    own.is_some() && claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()) == own.as_ref()
}

/// Returns the UID of the claim that a PersistentVolume is for.
pub(super) fn claim_uid(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_deref()
}

/// Returns whether a claim has the provisioner's finalizer.
pub(super) fn has_finalizer(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}

/// Returns the version of a claim, for a write that fails if the claim has changed.
pub(super) fn object_version(claim: &PersistentVolumeClaim) -> ObjectVersion {
    ObjectVersion {
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone().unwrap_or_default(),
        uid: claim.metadata.uid.clone().unwrap_or_default(),
        version: claim.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// Returns the version of a PersistentVolume, for a write that fails if it has changed.
pub(super) fn volume_version(volume: &PersistentVolume) -> ObjectVersion {
    ObjectVersion {
        namespace: None,
        name: volume.metadata.name.clone().unwrap_or_default(),
        uid: volume.metadata.uid.clone().unwrap_or_default(),
        version: volume.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// Returns the owner that is written on the array.
pub(super) fn owner_of(setup: &Setup, claim: &PersistentVolumeClaim) -> Owner {
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    let created = claim.metadata.creation_timestamp.as_ref();
    Owner {
        cluster: setup.cluster.clone(),
        identities: setup.identities.clone(),
        since: created.and_then(|created| u64::try_from(created.0.as_millisecond()).ok()),
        namespace: claim.metadata.namespace.clone().unwrap_or_default(),
        claim: claim.metadata.name.clone().unwrap_or_default(),
        uid,
    }
}
