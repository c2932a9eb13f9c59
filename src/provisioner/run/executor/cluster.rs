//! Executes effects with requests to the API server. Knows no arrays: the caller holds a permit of the API server
//! meanwhile, and an array that is silent would keep it from others.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value as Json, json};

use super::super::effect_error::refused;
use super::super::leader_election::Leadership;
use super::super::volume_snapshot;
use super::MANAGER;
use crate::contract::{FINALIZER, annotation};
use crate::provisioner::decide::{
    BarrierEffect, Effect, EffectError, ObjectVersion, Outcome, barrier, quantity,
};

/// Executes effects in the cluster.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) leadership: Leadership,
}

impl Cluster {
    /// Executes an effect in the cluster.
    pub(super) async fn act(&self, effect: Effect) -> Result<Outcome, EffectError> {
        match effect {
            Effect::RecordIntent { claim, asked, ids, import, size: _ } => {
                let import = import.map(|volume| volume.to_string());
                let metadata = json!({
                    "uid": claim.uid, "resourceVersion": claim.version, "finalizers": [FINALIZER],
                    "annotations": {
                        annotation::ARRAY: asked.join(","), annotation::ARRAY_ID: ids.join(","), annotation::IMPORT: import,
                    },
                });
                self.patch_claim(&claim, metadata).await
            }
            Effect::Reschedule { claim } => {
                let metadata = json!({
                    "uid": claim.uid, "resourceVersion": claim.version,
                    "annotations": {annotation::SELECTED_NODE: null},
                });
                self.patch_claim(&claim, metadata).await
            }
            Effect::RemoveClaimFinalizer { claim } => {
                self.patch_claim(&claim, without_finalizer(&claim)).await
            }
            Effect::ReadClaim { namespace, name } => {
                let read = self.claims(&namespace).get_opt(&name).await;
                Ok(Outcome::Claim(read.map_err(|error| refused(&error))?.map(Box::new)))
            }
            Effect::ReadVolumeSnapshot { namespace, name } => {
                let read = volume_snapshot::read(&self.client, &namespace, &name).await?;
                Ok(Outcome::VolumeSnapshot(read))
            }
            Effect::SetResizing { claim, size } => self.patch_status(&claim, resizing(size)).await,
            Effect::SetResized { claim, size, on_node: true } => {
                self.patch_status(&claim, resized_but_for_the_node(size)).await
            }
            Effect::SetResized { claim, size, on_node: false } => {
                self.patch_status(&claim, resized(size)).await
            }
            Effect::CreatePersistentVolume(volume) => {
                let made = self.volumes().create(&PostParams::default(), &volume).await;
                Ok(Outcome::PersistentVolume(Some(Box::new(
                    made.map_err(|error| refused(&error))?,
                ))))
            }
            Effect::ReadPersistentVolume { name } => {
                let now = self.leadership.now();
                let read = self.volumes().get_opt(&name).await.map_err(|error| refused(&error))?;
                Ok(Outcome::Read(now, read.map(Box::new)))
            }
            Effect::SetPersistentVolumeBound { volume } => {
                let patch = Patch::Strategic(json!({
                    "metadata": {"uid": volume.uid}, "status": {"phase": "Bound"},
                }));
                let written = self.volumes().patch_status(&volume.name, &params(), &patch).await;
                let written = written.map_err(|error| refused(&error))?;
                Ok(Outcome::PersistentVolume(Some(Box::new(written))))
            }
            Effect::BindClaim { claim, volume } => self.bind(&claim, &volume).await,
            Effect::SetClaimBound { claim, volume } => {
                let spec = volume.spec.unwrap_or_default();
                let status = json!({
                    "phase": "Bound", "accessModes": spec.access_modes, "capacity": spec.capacity,
                });
                self.patch_status(&claim, status).await
            }
            Effect::DeletePersistentVolume { volume } => self.delete(volume).await,
            Effect::RemovePersistentVolumeFinalizer { volume } => {
                let mut metadata = without_finalizer(&volume);
                metadata["resourceVersion"] = volume.version.clone().into();
                let patch = Patch::Strategic(json!({ "metadata": metadata }));
                ignore_not_found(self.volumes().patch(&volume.name, &params(), &patch).await)
            }
            Effect::RestoreFinalizer { volume } => {
                let patch = Patch::Strategic(json!({"metadata": {
                    "uid": volume.uid, "resourceVersion": volume.version, "finalizers": [FINALIZER],
                }}));
                ignore_not_found(self.volumes().patch(&volume.name, &params(), &patch).await)
            }
            Effect::SetCapacity { volume, size } => {
                let patch = Patch::Strategic(json!({
                    "metadata": {"uid": volume.uid, "resourceVersion": volume.version},
                    "spec": {"capacity": {"storage": quantity(size)}},
                }));
                let written = self.volumes().patch(&volume.name, &params(), &patch).await;
                let written = written.map_err(|error| refused(&error))?;
                Ok(Outcome::PersistentVolume(Some(Box::new(written))))
            }
            // These have no outcome; see `Reconciler`.
            _ => Ok(Outcome::Good),
        }
    }

    /// Creates or deletes a barrier.
    pub(super) async fn act_barrier(&self, effect: BarrierEffect) -> Result<(), EffectError> {
        match effect {
            BarrierEffect::Create(name) => {
                let created = self.volumes().create(&PostParams::default(), &barrier(&name)).await;
                created.map(drop).map_err(|error| refused(&error))
            }
            BarrierEffect::Delete(name) => {
                ignore_not_found(self.volumes().delete(&name, &DeleteParams::default()).await)
                    .map(drop)
            }
            // This has no outcome; see `Reconciler`.
            BarrierEffect::Soon => Ok(()),
        }
    }

    /// Writes without a resource version: kube-controller-manager writes on claims of this age, and the API server
    /// rejects the binding of a bound claim to another PersistentVolume.
    async fn bind(&self, claim: &ObjectVersion, volume: &str) -> Result<Outcome, EffectError> {
        let mut metadata = without_finalizer(claim);
        metadata["annotations"] =
            json!({annotation::BIND_COMPLETED: "yes", annotation::BOUND_BY_CONTROLLER: "yes"});
        let patch =
            Patch::Strategic(json!({ "metadata": metadata, "spec": {"volumeName": volume} }));
        let claims = self.claims(claim.namespace.as_deref().unwrap_or_default());
        match claims.patch(&claim.name, &params(), &patch).await {
            Ok(bound) => Ok(Outcome::Claim(Some(Box::new(bound)))),
            // Kubernetes has bound it to another one meanwhile. That is not an error; the claim's own volume is cleaned up.
            Err(error) if is(&error, 422) => {
                let there = claims.get_opt(&claim.name).await.map_err(|error| refused(&error))?;
                let elsewhere = there.filter(|there| {
                    let bound = there.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
                    there.metadata.uid.as_ref() == Some(&claim.uid)
                        && bound.is_some_and(|bound| !bound.is_empty() && bound != volume)
                });
                elsewhere.map_or_else(
                    || Err(refused(&error)),
                    |there| Ok(Outcome::Claim(Some(Box::new(there)))),
                )
            }
            Err(error) => Err(refused(&error)),
        }
    }

    async fn delete(&self, volume: ObjectVersion) -> Result<Outcome, EffectError> {
        let preconditions =
            Preconditions { uid: Some(volume.uid), resource_version: Some(volume.version) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        ignore_not_found(self.volumes().delete(&volume.name, &params).await)
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn patch_status(
        &self,
        claim: &ObjectVersion,
        status: Json,
    ) -> Result<Outcome, EffectError> {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        let claims = self.claims(namespace);
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": claim.uid, "resourceVersion": claim.version}, "status": status,
        }));
        let patched = claims.patch_status(&claim.name, &params(), &patch).await;
        Ok(Outcome::Claim(Some(Box::new(patched.map_err(|error| refused(&error))?))))
    }

    async fn patch_claim(
        &self,
        claim: &ObjectVersion,
        metadata: Json,
    ) -> Result<Outcome, EffectError> {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        let claims = self.claims(namespace);
        let patch = Patch::Strategic(json!({ "metadata": metadata }));
        match claims.patch(&claim.name, &params(), &patch).await {
            Ok(claim) => Ok(Outcome::Claim(Some(Box::new(claim)))),
            Err(error) if is(&error, 404) => Ok(Outcome::Claim(None)),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// Returns a claim's status during an expansion, as the CSI project's external-resizer writes it.
fn resizing(size: u64) -> Json {
    json!({
        "allocatedResources": {"storage": quantity(size)},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
        "conditions": [{"type": "Resizing", "status": "True", "lastTransitionTime": now()}],
    })
}

/// Returns a claim's status after an expansion whose file system the node has to expand.
fn resized_but_for_the_node(size: u64) -> Json {
    json!({
        "allocatedResources": {"storage": quantity(size)},
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        "conditions": [
            {"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": now()},
            {"$patch": "delete", "type": "Resizing"},
        ],
    })
}

/// Returns a claim's status after a complete expansion.
fn resized(size: u64) -> Json {
    json!({
        "capacity": {"storage": quantity(size)},
        "allocatedResourceStatuses": {"storage": null},
        "conditions": [{"$patch": "delete", "type": "Resizing"}],
    })
}

fn now() -> Time {
    Time(Timestamp::now())
}

/// Returns a patch that removes the provisioner's finalizer from the object with this UID.
fn without_finalizer(object: &ObjectVersion) -> Json {
    json!({"uid": object.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]})
}

pub(in super::super) fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn ignore_not_found<T>(result: kube::Result<T>) -> Result<Outcome, EffectError> {
    match result {
        Ok(_) => Ok(Outcome::Good),
        Err(error) if is(&error, 404) => Ok(Outcome::Good),
        Err(error) => Err(refused(&error)),
    }
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
