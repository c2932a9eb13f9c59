//! A Node service that offers nothing, beside a Controller service that does not expand: external-resizer asks a driver
//! what its nodes can expand, and ends if there is no answer. Nodes are served by the node service on their own sockets.

use async_trait::async_trait;
use tonic::Status;

#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::rpc::Node;

/// The service.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoNode;

fn elsewhere<T>() -> Result<T, Status> {
    Err(Status::unimplemented("no node is served on this socket"))
}

#[async_trait]
impl Node for NoNode {
    async fn stage(&self, _: NodeStageVolumeRequest) -> Result<NodeStageVolumeResponse, Status> {
        elsewhere()
    }

    async fn unstage(
        &self,
        _: NodeUnstageVolumeRequest,
    ) -> Result<NodeUnstageVolumeResponse, Status> {
        elsewhere()
    }

    async fn publish(
        &self,
        _: NodePublishVolumeRequest,
    ) -> Result<NodePublishVolumeResponse, Status> {
        elsewhere()
    }

    async fn unpublish(
        &self,
        _: NodeUnpublishVolumeRequest,
    ) -> Result<NodeUnpublishVolumeResponse, Status> {
        elsewhere()
    }

    async fn stats(
        &self,
        _: NodeGetVolumeStatsRequest,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        elsewhere()
    }

    async fn expand(&self, _: NodeExpandVolumeRequest) -> Result<NodeExpandVolumeResponse, Status> {
        elsewhere()
    }

    async fn capabilities(
        &self,
        _: NodeGetCapabilitiesRequest,
    ) -> Result<NodeGetCapabilitiesResponse, Status> {
        Ok(NodeGetCapabilitiesResponse::default())
    }

    async fn info(&self, _: NodeGetInfoRequest) -> Result<NodeGetInfoResponse, Status> {
        elsewhere()
    }

    async fn volume_health(
        &self,
        _: NodeGetVolumeHealthRequest,
    ) -> Result<NodeGetVolumeHealthResponse, Status> {
        elsewhere()
    }

    async fn storage_health(
        &self,
        _: NodeGetStorageHealthRequest,
    ) -> Result<NodeGetStorageHealthResponse, Status> {
        elsewhere()
    }
}
