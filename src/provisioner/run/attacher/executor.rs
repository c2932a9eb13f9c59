//! Executes the effects that attach and detach volumes. Decides nothing.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tracing::debug;

use super::super::arrays::Arrays;
use super::super::effect_error::{of_array, refused};
use super::super::executor::{Executor, params};
use super::super::leader_election::Leadership;
use super::super::registrar::Registrar;
use super::passwords::PasswordSetter;
use crate::arrays::{Array, AttachRequest, Attached, BlockArray, ChapFolder};
use crate::concurrency::{Purpose, RequestLimit};
use crate::contract::{
    ATTACHER_FINALIZER, BlockTransport, ChapPassword, NodeHost, NodeId, Retry, annotation,
};
use crate::provisioner::decide::{
    AttachmentEffect, AttachmentOutcome, BackingVolume, EffectError, ObjectVersion, ReadTime,
};
use crate::sanitize;

/// The most requests to the API server at once: attachments shall not delay claims.
const AT_ONCE: usize = 16;

/// The longest error that a VolumeAttachment gets, in characters. kube-controller-manager copies it into an event.
const WORDS: usize = 600;

/// An array and its block devices.
type Block = (Arc<dyn Array>, Arc<dyn BlockArray>);
type Done = Result<AttachmentOutcome, EffectError>;

/// Executes effects on VolumeAttachments and arrays.
pub(super) struct AttachmentExecutor {
    client: Client,
    arrays: Arrays,
    leadership: Leadership,
    registrar: Registrar,
    /// For events, and for arrays under the conditions of this process.
    pub(super) common: Arc<Executor>,
    limit: RequestLimit,
}

impl AttachmentExecutor {
    pub(super) fn new(
        client: Client,
        arrays: Arrays,
        leadership: Leadership,
        registrar: Registrar,
        common: Arc<Executor>,
    ) -> Self {
        Self { client, arrays, leadership, registrar, common, limit: RequestLimit::new(AT_ONCE) }
    }

    /// Executes an effect when its turn has come.
    pub(super) async fn act(&self, effect: AttachmentEffect) -> Done {
        if let Some(volume) = effect.on_array() {
            let volume = volume.clone();
            if !self.leadership.leads() {
                return Err(EffectError::NotLeading);
            }
            return Box::pin(self.on_array(&volume, effect)).await;
        }
        let _permit = self.limit.take(Purpose::Work).await;
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
        Box::pin(self.in_cluster(effect)).await
    }

    /// Deletes the hosts of a node that is gone, on every array. What fails stays, and harms nothing.
    pub(super) async fn delete_hosts(&self, node: NodeId) {
        let host = self.host(node);
        for name in self.arrays.all().map(|array| array.name().to_owned()) {
            let deleted = async {
                let array = self.common.array(&name, None, None)?;
                let Some(block) = array.block() else { return Ok(()) };
                self.registrar.check_to_destroy(array.as_ref()).await?;
                block.delete_hosts(&host).await.map_err(|error| of_array(&error))
            };
            if let Err(error) = deleted.await {
                debug!(array = name, node = host.node.node, ?error, "hosts not deleted");
            }
        }
    }

    /// Returns whether an array asks nodes for CHAP passwords.
    pub(super) fn have_passwords(&self, array: &str) -> bool {
        self.arrays.passwords(array).is_some()
    }

    async fn on_array(&self, volume: &BackingVolume, effect: AttachmentEffect) -> Done {
        let failed = |error| of_array(&error);
        match effect {
            AttachmentEffect::Attach { node, exclusive, .. } => {
                let request = AttachRequest {
                    volume: volume.volume.clone(),
                    host: self.host(node),
                    transport: self.transport(&volume.array),
                    exclusive,
                    passwords: self.arrays.passwords(&volume.array),
                };
                let (_, array) = self.block(volume, None)?;
                Ok(match array.attach(&request).await.map_err(failed)? {
                    Attached::Here(attachment) => AttachmentOutcome::Attached(Box::new(attachment)),
                    Attached::Elsewhere(hosts) => AttachmentOutcome::Elsewhere(hosts),
                })
            }
            AttachmentEffect::Disconnect { host, read, .. } => {
                let (_, array) = self.block(volume, Some(read))?;
                array.disconnect(&volume.volume, &host).await.map_err(failed)?;
                Ok(AttachmentOutcome::Good)
            }
            AttachmentEffect::RecordFormatted { .. } => {
                let (_, array) = self.block(volume, None)?;
                array.record_formatted(&volume.volume).await.map_err(failed)?;
                Ok(AttachmentOutcome::Good)
            }
            AttachmentEffect::Detach { nodes, .. } => {
                let (_, array) = self.block(volume, None)?;
                for node in nodes {
                    array.detach(&volume.volume, &self.host(node)).await.map_err(failed)?;
                }
                Ok(AttachmentOutcome::Good)
            }
            AttachmentEffect::DeleteHosts { nodes, .. } => {
                let (all, array) = self.block(volume, None)?;
                self.registrar.check_to_destroy(all.as_ref()).await?;
                for node in nodes {
                    array.delete_hosts(&self.host(node)).await.map_err(failed)?;
                }
                Ok(AttachmentOutcome::Good)
            }
            _ => Ok(AttachmentOutcome::Good),
        }
    }

    async fn in_cluster(&self, effect: AttachmentEffect) -> Done {
        match effect {
            AttachmentEffect::ReadPersistentVolume { name } => {
                let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
                let read = volumes.get_opt(&name).await.map_err(|error| refused(&error))?;
                Ok(AttachmentOutcome::PersistentVolume(read.map(Box::new)))
            }
            AttachmentEffect::ListAttachments => {
                let now = self.leadership.now();
                let listed = self.attachments().list(&ListParams::default()).await;
                let listed = listed.map_err(|error| refused(&error))?;
                Ok(AttachmentOutcome::Attachments(now, listed.items))
            }
            AttachmentEffect::Record { attachment, volume, node_id } => {
                let metadata = json!({
                    "finalizers": [ATTACHER_FINALIZER],
                    "annotations": {
                        annotation::ARRAY: volume.array, annotation::ARRAY_ID: volume.array_id,
                        annotation::VOLUME: volume.volume.name.as_str(),
                        annotation::VOLUME_ID: volume.volume.id, annotation::NODE_ID: node_id,
                    },
                });
                self.patch(&attachment, metadata).await
            }
            AttachmentEffect::RemoveFinalizer { attachment } => {
                let metadata = json!({"$deleteFromPrimitiveList/finalizers": [ATTACHER_FINALIZER]});
                self.patch(&attachment, metadata).await
            }
            AttachmentEffect::SetAttached { attachment, context } => {
                let status =
                    json!({"attached": true, "attachmentMetadata": context, "attachError": null});
                self.patch_status(&attachment, &status).await
            }
            AttachmentEffect::SetError { attachment, detaching, message } => {
                let field = if detaching { "detachError" } else { "attachError" };
                let message = sanitize::line(&message, WORDS);
                let error = json!({"time": Time(Timestamp::now()), "message": message});
                // The API server requires the field `attached`.
                let status = if detaching {
                    json!({ field: error })
                } else {
                    json!({"attached": false, field: error})
                };
                self.patch_status(&attachment, &status).await
            }
            _ => Ok(AttachmentOutcome::Good),
        }
    }

    fn attachments(&self) -> Api<VolumeAttachment> {
        Api::all(self.client.clone())
    }

    async fn patch(&self, attachment: &ObjectVersion, mut metadata: Json) -> Done {
        metadata["uid"] = attachment.uid.clone().into();
        metadata["resourceVersion"] = attachment.version.clone().into();
        let patch = Patch::Strategic(json!({ "metadata": metadata }));
        written(self.attachments().patch(&attachment.name, &params(), &patch).await)
    }

    async fn patch_status(&self, attachment: &ObjectVersion, status: &Json) -> Done {
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": attachment.uid, "resourceVersion": attachment.version},
            "status": status,
        }));
        written(self.attachments().patch_status(&attachment.name, &params(), &patch).await)
    }

    fn host(&self, node: NodeId) -> NodeHost {
        NodeHost { cluster: self.arrays.setup().cluster.clone(), node }
    }

    /// Returns the transport that the storage document chooses for an array.
    fn transport(&self, array: &str) -> Option<BlockTransport> {
        self.arrays.transport(array)
    }

    /// Returns the array of a volume, which must have the volume's array id, and its block devices.
    fn block(&self, volume: &BackingVolume, read: Option<ReadTime>) -> Result<Block, EffectError> {
        let array = self.common.array(&volume.array, Some(volume.array_id.clone()), read)?;
        let block = array.block().ok_or_else(|| EffectError::Array {
            reason: "Unsupported",
            message: format!("{} has no block devices", volume.array),
            retry: Retry::Later,
        })?;
        Ok((array, block))
    }
}

#[async_trait]
impl PasswordSetter for AttachmentExecutor {
    fn passwords(&self, array: &str) -> Option<ChapFolder> {
        self.arrays.passwords(array)
    }

    async fn set(
        &self,
        volume: &BackingVolume,
        node: NodeId,
        password: &ChapPassword,
    ) -> Result<(), EffectError> {
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
        let (_, array) = self.block(volume, None)?;
        array.set_password(&self.host(node), password).await.map_err(|error| of_array(&error))
    }
}

/// Returns the outcome of a write. An object that is gone needs no write any more.
fn written(result: kube::Result<VolumeAttachment>) -> Done {
    match result {
        Ok(attachment) => Ok(AttachmentOutcome::Written(Some(Box::new(attachment)))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(AttachmentOutcome::Written(None)),
        Err(error) => Err(refused(&error)),
    }
}
