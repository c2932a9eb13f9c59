//! Counts the calls of CSI's Node service that concern a volume. Knows nothing about what they do.

use async_trait::async_trait;
use tonic::Status;

#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::metrics::NodeMetrics;
use super::rpc::Node;

/// A Node service whose calls are counted.
#[derive(Debug)]
pub(super) struct Metered<N> {
    pub(super) node: N,
    pub(super) metrics: NodeMetrics,
}

#[async_trait]
impl<N: Node> Node for Metered<N> {
    async fn stage(
        &self,
        request: NodeStageVolumeRequest,
    ) -> Result<NodeStageVolumeResponse, Status> {
        self.metrics.measure("stage", self.node.stage(request)).await
    }

    async fn unstage(
        &self,
        request: NodeUnstageVolumeRequest,
    ) -> Result<NodeUnstageVolumeResponse, Status> {
        self.metrics.measure("unstage", self.node.unstage(request)).await
    }

    async fn publish(
        &self,
        request: NodePublishVolumeRequest,
    ) -> Result<NodePublishVolumeResponse, Status> {
        self.metrics.measure("publish", self.node.publish(request)).await
    }

    async fn unpublish(
        &self,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<NodeUnpublishVolumeResponse, Status> {
        self.metrics.measure("unpublish", self.node.unpublish(request)).await
    }

    async fn stats(
        &self,
        request: NodeGetVolumeStatsRequest,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        self.metrics.measure("stats", self.node.stats(request)).await
    }

    async fn expand(
        &self,
        request: NodeExpandVolumeRequest,
    ) -> Result<NodeExpandVolumeResponse, Status> {
        self.metrics.measure("expand", self.node.expand(request)).await
    }

    async fn capabilities(
        &self,
        request: NodeGetCapabilitiesRequest,
    ) -> Result<NodeGetCapabilitiesResponse, Status> {
        self.node.capabilities(request).await
    }

    async fn info(&self, request: NodeGetInfoRequest) -> Result<NodeGetInfoResponse, Status> {
        self.node.info(request).await
    }

    async fn volume_health(
        &self,
        request: NodeGetVolumeHealthRequest,
    ) -> Result<NodeGetVolumeHealthResponse, Status> {
        self.node.volume_health(request).await
    }

    async fn storage_health(
        &self,
        request: NodeGetStorageHealthRequest,
    ) -> Result<NodeGetStorageHealthResponse, Status> {
        self.node.storage_health(request).await
    }
}
