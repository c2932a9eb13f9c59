//! The node service: block volumes of a FlashArray become mounts and devices of the pods on this node.
//!
//! [`NodeService`] is what CSI's Node service calls. Knows neither gRPC nor the Kubernetes API.

pub mod check;
pub mod decide;
pub mod host;
mod request;
mod service;

use std::fmt::Debug;
use std::path::Path;

use async_trait::async_trait;

pub use host::Host;
pub use request::{
    Access, ExpandRequest, FsType, InvalidHandle, NodeError, NodeErrorKind, NodeIdentity,
    NodeReport, PublishRequest, StageRequest, Usage, VolumeHandle, VolumeMode, VolumePaths,
    VolumeStats,
};
pub use service::{Node, NodeSetup};

/// What CSI's Node service asks for. Every call is idempotent and safe to repeat after a crash.
#[async_trait]
pub trait NodeService: Send + Sync + Debug {
    /// Connects this node to a volume and mounts its file system at the staging path.
    async fn stage(&self, request: StageRequest) -> Result<(), NodeError>;

    /// Unmounts the staging path and removes all devices of the volume from this node.
    async fn unstage(&self, volume: &VolumeHandle, staging: &Path) -> Result<(), NodeError>;

    /// Mounts a staged volume for one pod.
    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError>;

    /// Unmounts a volume from one pod and removes the target.
    async fn unpublish(&self, volume: &VolumeHandle, target: &Path) -> Result<(), NodeError>;

    /// Returns usage and condition of a volume.
    async fn stats(
        &self,
        volume: &VolumeHandle,
        path: &Path,
        staging: Option<&Path>,
    ) -> Result<VolumeStats, NodeError>;

    /// Expands devices and file system to the size on the array. Returns the bytes of the device afterwards.
    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError>;

    /// Returns what this node reports about itself.
    async fn identity(&self) -> Result<NodeIdentity, NodeError>;
}

/// Which volumes are attached to this node.
#[async_trait]
pub trait Attachments: Send + Sync + Debug {
    /// Returns whether a volume is attached to this node, or is about to be. The error says why it is unknown.
    async fn is_attached(&self, volume: &VolumeHandle) -> Result<bool, String>;
}

/// Writes the record that a volume has been formatted to the VolumeAttachment of this node
/// ([`crate::contract::annotation::FORMATTED`]). A pod reaches the volume only after that.
#[async_trait]
pub trait FormatRecord: Send + Sync + Debug {
    /// Records that the volume is formatted. Succeeds if the record exists already; the error says why it could not be
    /// written.
    async fn record_formatted(&self, volume: &VolumeHandle) -> Result<(), String>;
}
