//! Does what has been decided, and says what came of it.

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use serde_json::json;
use tracing::{info, warn};

use super::arrays::Arrays;
use super::lease::Leadership;
use crate::array::Error as ArrayError;
use crate::volume::{
    ARRAY, Effect, FINALIZER, Outcome, PROVISIONER, Seen, Severity, Trouble, quantity,
};

/// Name under which fields are ours, and events come.
const MANAGER: &str = "pso-gen";

/// Does things in the cluster and on arrays.
pub(super) struct Hands {
    client: Client,
    arrays: Arrays,
    leadership: Leadership,
    recorder: Recorder,
}

impl Hands {
    pub(super) fn new(client: Client, arrays: Arrays, leadership: Leadership) -> Self {
        let reporter = Reporter { controller: PROVISIONER.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, arrays, leadership, recorder }
    }

    /// Does one thing.
    pub(super) async fn act(&self, effect: Effect) -> Result<Outcome, Trouble> {
        if !self.leadership.leads() {
            return Err(Trouble::NotLeading);
        }
        match effect {
            Effect::Ensure { .. }
            | Effect::Find { .. }
            | Effect::Destroy { .. }
            | Effect::Grow { .. } => self.on_array(effect).await,
            Effect::Intend { .. }
            | Effect::Finish { .. }
            | Effect::ReadClaim { .. }
            | Effect::Resizing { .. }
            | Effect::Resized { .. } => self.on_claim(effect).await,
            _ => self.on_volume(effect).await,
        }
    }

    async fn on_array(&self, effect: Effect) -> Result<Outcome, Trouble> {
        match effect {
            Effect::Ensure { array, wanted } => {
                let made =
                    self.array(&array)?.ensure(&wanted).await.map_err(|error| told(&error))?;
                info!(array, volume = made.name, claim = wanted.owner.claim, "volume made");
                Ok(Outcome::Volume(Some(made)))
            }
            Effect::Find { array, name } => {
                let found =
                    self.array(&array)?.describe(&name).await.map_err(|error| told(&error))?;
                Ok(Outcome::Volume(found))
            }
            Effect::Destroy { array, volume, owner } => {
                self.array(&array)?.destroy(&volume, &owner).await.map_err(|error| told(&error))?;
                info!(array, volume = %volume.name, claim = owner.claim, "volume destroyed");
                Ok(Outcome::Good)
            }
            Effect::Grow { array, volume, size } => {
                let grown = self.array(&array)?.grow(&volume, size).await;
                let grown = grown.map_err(|error| told(&error))?;
                info!(array, volume = grown.name, size = grown.size, "volume grown");
                Ok(Outcome::Volume(Some(grown)))
            }
            _ => Ok(Outcome::Good),
        }
    }

    async fn on_claim(&self, effect: Effect) -> Result<Outcome, Trouble> {
        match effect {
            Effect::Intend { claim, array, size: _ } => {
                let metadata = json!({
                    "uid": claim.uid, "resourceVersion": claim.version,
                    "finalizers": [FINALIZER], "annotations": {ARRAY: array},
                });
                self.patch_claim(&claim, metadata).await
            }
            Effect::Finish { claim } => self.patch_claim(&claim, without_finalizer(&claim)).await,
            Effect::ReadClaim { namespace, name } => {
                let claims =
                    Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &namespace);
                let read = claims.get_opt(&name).await.map_err(|error| refused(&error))?;
                Ok(Outcome::Claim(read.map(Box::new)))
            }
            Effect::Resizing { claim, size } => {
                let status = json!({
                    "allocatedResources": {"storage": quantity(size)},
                    "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
                    "conditions": [{"type": "Resizing", "status": "True", "lastTransitionTime": now()}],
                });
                self.patch_status(&claim, status).await
            }
            Effect::Resized { claim, size, on_node: true } => {
                let status = json!({
                    "allocatedResources": {"storage": quantity(size)},
                    "allocatedResourceStatuses": {"storage": "NodeResizePending"},
                    "conditions": [
                        {"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": now()},
                        {"$patch": "delete", "type": "Resizing"},
                    ],
                });
                self.patch_status(&claim, status).await
            }
            Effect::Resized { claim, size, on_node: false } => {
                let status = json!({
                    "capacity": {"storage": quantity(size)},
                    "allocatedResourceStatuses": {"storage": null},
                    "conditions": [{"$patch": "delete", "type": "Resizing"}],
                });
                self.patch_status(&claim, status).await
            }
            _ => Ok(Outcome::Good),
        }
    }

    async fn on_volume(&self, effect: Effect) -> Result<Outcome, Trouble> {
        match effect {
            Effect::Create(volume) => {
                let made = self.volumes().create(&PostParams::default(), &volume).await;
                Ok(Outcome::PersistentVolume(Some(Box::new(
                    made.map_err(|error| refused(&error))?,
                ))))
            }
            Effect::ReadVolume { name } => {
                let read = self.volumes().get_opt(&name).await.map_err(|error| refused(&error))?;
                Ok(Outcome::PersistentVolume(read.map(Box::new)))
            }
            Effect::Delete { volume } => {
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: Some(volume.uid),
                        resource_version: Some(volume.version),
                    }),
                    ..DeleteParams::default()
                };
                gone_is_good(self.volumes().delete(&volume.name, &params).await)
            }
            Effect::Release { volume } => {
                let mut metadata = without_finalizer(&volume);
                metadata["resourceVersion"] = volume.version.clone().into();
                let patch = json!({ "metadata": metadata });
                let patched =
                    self.volumes().patch(&volume.name, &params(), &Patch::Strategic(patch)).await;
                gone_is_good(patched)
            }
            Effect::SetCapacity { volume, size } => {
                let patch = json!({
                    "metadata": {"uid": volume.uid, "resourceVersion": volume.version},
                    "spec": {"capacity": {"storage": quantity(size)}},
                });
                let patch = Patch::Strategic(patch);
                let written = self.volumes().patch(&volume.name, &params(), &patch).await;
                let written = written.map_err(|error| refused(&error))?;
                Ok(Outcome::PersistentVolume(Some(Box::new(written))))
            }
            _ => Ok(Outcome::Good),
        }
    }

    /// Tells people something about an object. That it cannot be told is no reason to stop.
    pub(super) async fn tell(
        &self,
        object: ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let type_ = match severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        info!(reason, message, object = object.name, "event");
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(message),
            action: "Provision".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object).await {
            warn!(%error, "event not published");
        }
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn array(&self, name: &str) -> Result<&std::sync::Arc<dyn crate::array::Array>, Trouble> {
        self.arrays.get(name).ok_or_else(|| Trouble::Array {
            reason: "UnknownArray",
            message: format!("the storage document has no array {name}"),
            retry: crate::array::Retry::Later,
        })
    }

    async fn patch_status(
        &self,
        claim: &Seen,
        status: serde_json::Value,
    ) -> Result<Outcome, Trouble> {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": claim.uid, "resourceVersion": claim.version}, "status": status,
        }));
        let patched = claims.patch_status(&claim.name, &params(), &patch).await;
        Ok(Outcome::Claim(Some(Box::new(patched.map_err(|error| refused(&error))?))))
    }

    async fn patch_claim(
        &self,
        claim: &Seen,
        metadata: serde_json::Value,
    ) -> Result<Outcome, Trouble> {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        let patch = Patch::Strategic(json!({ "metadata": metadata }));
        match claims.patch(&claim.name, &params(), &patch).await {
            Ok(claim) => Ok(Outcome::Claim(Some(Box::new(claim)))),
            Err(error) if is(&error, 404) => Ok(Outcome::Claim(None)),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn now() -> Time {
    Time(Timestamp::now())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// A change of metadata that takes our finalizer off the object with this UID and no other.
fn without_finalizer(object: &Seen) -> serde_json::Value {
    json!({"uid": object.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]})
}

fn gone_is_good<T>(result: kube::Result<T>) -> Result<Outcome, Trouble> {
    match result {
        Ok(_) => Ok(Outcome::Good),
        Err(error) if is(&error, 404) => Ok(Outcome::Good),
        Err(error) => Err(refused(&error)),
    }
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn refused(error: &kube::Error) -> Trouble {
    match error {
        kube::Error::Api(status) if status.reason == "AlreadyExists" => Trouble::Exists,
        kube::Error::Api(status) if status.code == 409 => Trouble::Conflict,
        kube::Error::Api(status) if status.code == 404 => Trouble::Conflict,
        _ => Trouble::Cluster(error.to_string()),
    }
}

fn told(error: &ArrayError) -> Trouble {
    Trouble::Array { reason: error.reason(), message: error.to_string(), retry: error.retry() }
}
