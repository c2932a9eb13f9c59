//! Executes effects, in the cluster and on arrays, and returns their outcomes. Decides nothing.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tracing::warn;

use super::arrays::Arrays;
use super::effect_error::{of_array, refused};
use super::leader_election::Leadership;
use super::registrar::Registrar;
use super::restore_point;
use super::snapshot_limit::{self, SnapshotLimit};
use super::trim::trimmed;
use crate::arrays::{Array, OnlyIf};
use crate::concurrency::{Purpose, RequestLimit};
use crate::contract::Retry;
use crate::contract::annotation;
use crate::contract::{FINALIZER, PROVISIONER};
use crate::provisioner::decide::{
    BarrierEffect, Effect, EffectError, Listed, ObjectVersion, Outcome, ReadTime, Reason, Severity,
    barrier, quantity,
};
use crate::sanitize;

/// The field manager, and the reporting controller of events.
const MANAGER: &str = "pso-gen";

/// The maximum number of concurrent requests to the API server. More requests slow it down and cause 429.
const AT_ONCE: usize = 32;

/// Executes effects in the cluster and on arrays.
pub(super) struct Executor {
    client: Client,
    arrays: Arrays,
    leadership: Leadership,
    registrar: Registrar,
    reporter: Reporter,
    snapshots: SnapshotLimit,
    /// Permits for requests to the API server. Each request in flight has a connection of its own.
    limit: RequestLimit,
}

impl Executor {
    pub(super) fn new(
        client: Client,
        arrays: Arrays,
        leadership: Leadership,
        registrar: Registrar,
    ) -> Self {
        let reporter = Reporter { controller: PROVISIONER.to_owned(), instance: None };
        Self {
            client,
            arrays,
            leadership,
            registrar,
            reporter,
            snapshots: SnapshotLimit::default(),
            limit: RequestLimit::new(AT_ONCE),
        }
    }

    /// Executes an effect when its turn has come.
    pub(super) async fn act(&self, effect: Effect) -> Result<Outcome, EffectError> {
        let _permit = self.snapshots.permit(&effect).await;
        let _permit =
            if effect.is_for_array() { None } else { Some(self.limit.take(Purpose::Work).await) };
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
        // Thousands may wait: the request is built after the permit.
        if effect.is_for_array() {
            return Box::pin(self.on_array(effect)).await;
        }
        let reads = matches!(effect, Effect::ReadClaim { .. });
        let outcome = Box::pin(self.in_cluster(effect)).await?;
        // The answer to a write is kept in memory while the claim is reconciled.
        Ok(if reads { outcome } else { trimmed(outcome) })
    }

    /// Asks an array again for volumes with certain ids; an error replaces the list.
    pub(super) async fn look_up(&self, mut listed: Listed, ids: &[String]) -> Listed {
        listed.volumes = match listed.volumes {
            Ok(volumes) => self.arrays.look_up(&listed.array, volumes, ids).await,
            away => away,
        };
        listed
    }

    /// Executes an effect on an array.
    async fn on_array(&self, effect: Effect) -> Result<Outcome, EffectError> {
        match effect {
            Effect::EnsureVolume { array, array_id, wanted } => {
                let made = self.array(&array, array_id, None)?.ensure(&wanted).await;
                Ok(Outcome::Volume(Some(made.map_err(|error| of_array(&error))?)))
            }
            Effect::FindVolume { array, array_id, name } => {
                let found = self.array(&array, array_id, None)?.describe(&name).await;
                Ok(Outcome::Volume(found.map_err(|error| of_array(&error))?))
            }
            Effect::DestroyVolume { array, array_id, volume, owner, read } => {
                let array = self.array(&array, array_id, Some(read))?;
                self.registrar.check_to_destroy(array.as_ref()).await?;
                array.destroy(&volume, &owner).await.map_err(|error| of_array(&error))?;
                Ok(Outcome::Good)
            }
            Effect::ExpandVolume { array, array_id, volume, size } => {
                let grown = self.array(&array, Some(array_id), None)?.expand(&volume, size).await;
                let grown = grown.map_err(|error| of_array(&error))?;
                Ok(Outcome::Volume(Some(grown)))
            }
            Effect::ListSnapshots { ref array, .. }
            | Effect::TakeSnapshot { ref array, .. }
            | Effect::DestroySnapshot { ref array, .. } => {
                let read = match &effect {
                    Effect::DestroySnapshot { read, .. } => *read,
                    _ => None,
                };
                let array = self.array(array, None, read)?;
                if read.is_some() {
                    self.registrar.check_to_destroy(array.as_ref()).await?;
                }
                snapshot_limit::act(array.as_ref(), &effect, self.leadership.now()).await
            }
            _ => Ok(Outcome::Good),
        }
    }

    /// Executes an effect in the cluster.
    async fn in_cluster(&self, effect: Effect) -> Result<Outcome, EffectError> {
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
            Effect::FindRestorePoint { namespace, name } => {
                let found = restore_point::find(&self.client, &self.arrays, &namespace, &name);
                Ok(Outcome::RestorePoint(found.await?))
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

    /// Creates or deletes a barrier.
    pub(super) async fn execute_barrier(&self, effect: BarrierEffect) -> Result<(), EffectError> {
        let _permit = self.limit.take(Purpose::Work).await;
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
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

    async fn delete(&self, volume: ObjectVersion) -> Result<Outcome, EffectError> {
        let preconditions =
            Preconditions { uid: Some(volume.uid), resource_version: Some(volume.version) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        ignore_not_found(self.volumes().delete(&volume.name, &params).await)
    }

    /// Records an event on an object. An event that cannot be published stops nothing.
    pub(super) async fn record_event(
        &self,
        object: ObjectReference,
        severity: Severity,
        reason: Reason,
        message: String,
    ) {
        let type_ = match severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(shortened(&message)),
            action: "Provision".to_owned(),
            secondary: None,
        };
        let _permit = self.limit.take(Purpose::Event).await;
        // Each event has a recorder of its own: a recorder remembers events for minutes, and merges events of the same
        // reason even if their texts differ.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if !self.leadership.leads() {
            return;
        }
        if let Err(error) = recorder.publish(&event, &object).await {
            let (namespace, name) = (object.namespace, object.name);
            warn!(%error, %reason, namespace, name, "event not published");
        }
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Returns an array of the storage document, which must have the given id. It rejects changes unless this process
    /// leads, and unless the given time of a read is recent.
    pub(super) fn array(
        &self,
        name: &str,
        array_id: Option<String>,
        read: Option<ReadTime>,
    ) -> Result<Arc<dyn Array>, EffectError> {
        let array = self.arrays.get(name).ok_or_else(|| EffectError::Array {
            reason: "UnknownArray",
            message: format!("the storage document has no array {name}"),
            retry: Retry::Later,
        })?;
        self.registrar.check(name)?;
        let fence = Some(self.leadership.fence(read));
        Ok(array.only_if(OnlyIf { array_id, fence }))
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

pub(super) fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Returns a patch that removes the provisioner's finalizer from the object with this UID.
fn without_finalizer(object: &ObjectVersion) -> Json {
    json!({"uid": object.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]})
}

/// Returns a note that the API server accepts: it limits the bytes of an event.
fn shortened(note: &str) -> String {
    const LONGEST: usize = 1024;
    let mut note = sanitize::line(note, LONGEST);
    if note.len() > LONGEST {
        let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|end| note.is_char_boundary(*end));
        note.truncate(end.unwrap_or_default());
        note.push('…');
    }
    note
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_never_says_more_than_it_may() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"a".repeat(1024)).len(), 1024);
        let long = shortened(&format!("a{}", "é".repeat(1000)));
        assert!(long.len() <= 1024 && long.ends_with("é…"), "{long}");
    }
}
