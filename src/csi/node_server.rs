//! CSI's Node service over [`NodeService`]: checks requests and translates both ways. One call at a time for each volume.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tonic::Status;

use super::error::{invalid, of_node, unfinished};
#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::operation_locks::OperationLocks;
use super::request::{Sizes, bytes, capability, check_shared, handle, path, required};
use super::rpc::Node;
use crate::contract::{Attachment, ChapSecret, LONGEST_NODE_ID};
use crate::node::{
    ExpandRequest, NodeError, NodeService, PublishRequest, StageRequest, Usage, VolumeHandle,
};

/// The Node service of this node.
#[derive(Debug)]
pub(super) struct NodeAdapter {
    node: Arc<dyn NodeService>,
    locks: OperationLocks,
}

impl NodeAdapter {
    /// Returns the service over what the node does.
    pub(super) fn new(node: Arc<dyn NodeService>) -> Self {
        Self { node, locks: OperationLocks::default() }
    }

    /// Runs a call that changes something, alone for its volume and to its end.
    async fn change<T, F>(
        &self,
        volume: &VolumeHandle,
        call: impl FnOnce(Arc<dyn NodeService>) -> F,
    ) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NodeError>> + Send + 'static,
    {
        let call = call(Arc::clone(&self.node));
        let name = volume.to_string();
        self.locks.run(&name, async move { call.await.map_err(|error| of_node(&error)) }).await
    }
}

#[async_trait]
impl Node for NodeAdapter {
    async fn stage(
        &self,
        request: NodeStageVolumeRequest,
    ) -> Result<NodeStageVolumeResponse, Status> {
        required("volume_id", &request.volume_id)?;
        let staging = path("staging_target_path", &request.staging_target_path)?;
        let (mode, access) = capability(request.volume_capability.as_ref())?;
        check_shared(&mode, access)?;
        let handle = handle(&request.volume_id)?;
        let attachment = Attachment::from_context(&request.publish_context).map_err(|error| {
            invalid(&format!(
                "{error}; the attacher of pso-gen's provisioner writes it: is the provisioner running, and of this version?"
            ))
        })?;
        let passwords = ChapSecret::new(request.secrets);
        let request =
            StageRequest { handle: handle.clone(), staging, mode, attachment, access, passwords };
        let done = self.change(&handle, |node| async move { node.stage(request).await }).await;
        done.map_err(|status| unfinished(&status))?;
        Ok(NodeStageVolumeResponse {})
    }

    async fn unstage(
        &self,
        request: NodeUnstageVolumeRequest,
    ) -> Result<NodeUnstageVolumeResponse, Status> {
        required("volume_id", &request.volume_id)?;
        let staging = path("staging_target_path", &request.staging_target_path)?;
        let handle = handle(&request.volume_id)?;
        let volume = handle.clone();
        self.change(&handle, |node| async move { node.unstage(&volume, &staging).await }).await?;
        Ok(NodeUnstageVolumeResponse {})
    }

    async fn publish(
        &self,
        request: NodePublishVolumeRequest,
    ) -> Result<NodePublishVolumeResponse, Status> {
        required("volume_id", &request.volume_id)?;
        let target = path("target_path", &request.target_path)?;
        let (mode, access) = capability(request.volume_capability.as_ref())?;
        check_shared(&mode, access)?;
        let staging = path("staging_target_path", &request.staging_target_path)?;
        let handle = handle(&request.volume_id)?;
        let read_only = request.readonly;
        let request = PublishRequest { handle: handle.clone(), staging, target, mode, read_only };
        let done = self.change(&handle, |node| async move { node.publish(request).await }).await;
        done.map_err(|status| unfinished(&status))?;
        Ok(NodePublishVolumeResponse {})
    }

    async fn unpublish(
        &self,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<NodeUnpublishVolumeResponse, Status> {
        required("volume_id", &request.volume_id)?;
        let target = path("target_path", &request.target_path)?;
        let handle = handle(&request.volume_id)?;
        let volume = handle.clone();
        self.change(&handle, |node| async move { node.unpublish(&volume, &target).await }).await?;
        Ok(NodeUnpublishVolumeResponse {})
    }

    async fn stats(
        &self,
        request: NodeGetVolumeStatsRequest,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        required("volume_id", &request.volume_id)?;
        required("volume_path", &request.volume_path)?;
        let handle = handle(&request.volume_id)?;
        let volume_path = volume_path(&request.volume_path)?;
        let staging = optional_path("staging_target_path", &request.staging_target_path)?;
        // It changes nothing, so it waits for no other call.
        let stats = self.node.stats(&handle, &volume_path, staging.as_deref()).await;
        let stats = stats.map_err(|error| of_node(&error))?;
        let usage = |usage: Usage, unit: UsageUnit| VolumeUsage {
            available: bytes(usage.available),
            total: bytes(usage.total),
            used: bytes(usage.used),
            unit: unit.into(),
        };
        let inodes = stats.inodes.map(|inodes| usage(inodes, UsageUnit::Inodes));
        let message = stats.abnormal.as_deref().unwrap_or("the volume is healthy");
        Ok(NodeGetVolumeStatsResponse {
            usage: [usage(stats.bytes, UsageUnit::Bytes)].into_iter().chain(inodes).collect(),
            volume_condition: Some(VolumeCondition {
                abnormal: stats.abnormal.is_some(),
                message: crate::sanitize::line(message, crate::sanitize::LONGEST),
            }),
        })
    }

    async fn expand(
        &self,
        request: NodeExpandVolumeRequest,
    ) -> Result<NodeExpandVolumeResponse, Status> {
        required("volume_id", &request.volume_id)?;
        required("volume_path", &request.volume_path)?;
        let handle = handle(&request.volume_id)?;
        let volume_path = volume_path(&request.volume_path)?;
        let staging = optional_path("staging_target_path", &request.staging_target_path)?;
        let sizes = Sizes::of(request.capacity_range.as_ref())?;
        // Callers may leave it out.
        let given = request.volume_capability.as_ref();
        let mode = given.map(|given| capability(Some(given))).transpose()?.map(|(mode, _)| mode);
        let wanted = Some(sizes.smallest).filter(|size| *size > 0);
        let request =
            ExpandRequest { handle: handle.clone(), path: volume_path, staging, wanted, mode };
        let size = self.change(&handle, |node| async move { node.expand(request).await }).await?;
        Ok(NodeExpandVolumeResponse { capacity_bytes: bytes(size) })
    }

    async fn capabilities(
        &self,
        _: NodeGetCapabilitiesRequest,
    ) -> Result<NodeGetCapabilitiesResponse, Status> {
        // Scheduler and kubelet hold ReadWriteOncePod to one pod by themselves: SINGLE_NODE_MULTI_WRITER is not needed.
        use NodeRpcType::{
            ExpandVolume, GetVolumeHealth, GetVolumeStats, StageUnstageVolume, VolumeCondition,
        };
        let types =
            [StageUnstageVolume, GetVolumeStats, ExpandVolume, VolumeCondition, GetVolumeHealth];
        let capability = |r#type: NodeRpcType| NodeServiceCapability {
            r#type: Some(NodeServiceCapabilityType::Rpc(NodeRpc { r#type: r#type.into() })),
        };
        Ok(NodeGetCapabilitiesResponse { capabilities: types.map(capability).to_vec() })
    }

    async fn info(&self, _: NodeGetInfoRequest) -> Result<NodeGetInfoResponse, Status> {
        let identity = self.node.identity().await.map_err(|error| of_node(&error))?;
        let node_id = identity.id.format().ok_or_else(|| {
            Status::failed_precondition(format!(
                "the names of the node and its initiators are longer than {LONGEST_NODE_ID} bytes together; shorten the name in /etc/iscsi/initiatorname.iscsi"
            ))
        })?;
        let segments: StringMap = identity.topology.into_iter().collect();
        Ok(NodeGetInfoResponse {
            node_id,
            max_volumes_per_node: identity.max_volumes.map_or(0, i64::from),
            accessible_topology: Some(Topology { segments })
                .filter(|topology| !topology.segments.is_empty()),
        })
    }

    async fn volume_health(
        &self,
        request: NodeGetVolumeHealthRequest,
    ) -> Result<NodeGetVolumeHealthResponse, Status> {
        let handle = handle(&request.volume_id)?;
        let volume_path = optional_path("volume_publish_path", &request.volume_publish_path)?;
        let staging = optional_path("staging_target_path", &request.staging_target_path)?;
        // Without a path nothing is known, and an empty list says so.
        let abnormal = match volume_path.as_ref().or(staging.as_ref()) {
            None => None,
            Some(path) => {
                let stats = self.node.stats(&handle, path, staging.as_deref()).await;
                stats.map_err(|error| of_node(&error))?.abnormal
            }
        };
        let entry = |message: String| VolumeHealthEntry {
            status: VolumeHealthErrorType::Degraded.into(),
            reason: "Abnormal".to_owned(),
            message: crate::sanitize::line(&message, crate::sanitize::LONGEST),
        };
        let health_statuses = abnormal.map(entry).into_iter().collect();
        Ok(NodeGetVolumeHealthResponse {
            volume_health: Some(VolumeHealth { volume_id: request.volume_id, health_statuses }),
        })
    }

    async fn storage_health(
        &self,
        _: NodeGetStorageHealthRequest,
    ) -> Result<NodeGetStorageHealthResponse, Status> {
        Err(Status::unimplemented("NodeGetCapabilities does not list GET_STORAGE_HEALTH"))
    }
}

/// Parses the path of a volume. No volume is ever published at a path of another form.
fn volume_path(text: &str) -> Result<PathBuf, Status> {
    path("volume_path", text).map_err(|status| Status::not_found(status.message()))
}

/// Parses a path that may be left out.
fn optional_path(field: &str, text: &str) -> Result<Option<PathBuf>, Status> {
    if text.is_empty() { Ok(None) } else { path(field, text).map(Some) }
}
