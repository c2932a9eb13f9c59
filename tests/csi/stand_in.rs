//! A node service without devices: staged and published volumes are folders. It holds the order of calls that CSI
//! demands, and nothing about kernels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use pso_gen::contract::NodeId;
use pso_gen::node::{
    ExpandRequest, NodeError, NodeErrorKind, NodeIdentity, NodeService, PublishRequest,
    StageRequest, Usage, VolumeHandle, VolumeStats,
};

/// A staged volume.
#[derive(Debug)]
struct Staged {
    at: PathBuf,
    size: u64,
    targets: Vec<PathBuf>,
}

/// The node service.
#[derive(Debug, Default)]
pub(crate) struct StandIn {
    volumes: Mutex<BTreeMap<VolumeHandle, Staged>>,
}

fn not_found(what: &str) -> NodeError {
    NodeError::new(NodeErrorKind::NotFound, what)
}

fn failed(error: std::io::Error) -> NodeError {
    NodeError::new(NodeErrorKind::Internal, error.to_string())
}

#[async_trait]
impl NodeService for StandIn {
    async fn stage(&self, request: StageRequest) -> Result<(), NodeError> {
        if !request.staging.is_dir() {
            return Err(not_found("the staging path is no folder"));
        }
        let mut volumes = self.volumes.lock().expect("free");
        let size = request.attachment.size;
        let staged = Staged { at: request.staging.clone(), size, targets: Vec::new() };
        let staged = volumes.entry(request.handle).or_insert(staged);
        if staged.at != request.staging {
            let why = "it is staged elsewhere";
            return Err(NodeError::new(NodeErrorKind::FailedPrecondition, why));
        }
        staged.size = size;
        Ok(())
    }

    async fn unstage(&self, volume: &VolumeHandle, staging: &Path) -> Result<(), NodeError> {
        let mut volumes = self.volumes.lock().expect("free");
        let Some(staged) = volumes.get(volume).filter(|staged| staged.at == staging) else {
            return Ok(());
        };
        if !staged.targets.is_empty() {
            let why = "it is still published";
            return Err(NodeError::new(NodeErrorKind::FailedPrecondition, why));
        }
        volumes.remove(volume);
        Ok(())
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        let mut volumes = self.volumes.lock().expect("free");
        let staged = volumes.get_mut(&request.handle);
        let Some(staged) = staged.filter(|staged| staged.at == request.staging) else {
            let why = "it is not staged";
            return Err(NodeError::new(NodeErrorKind::FailedPrecondition, why));
        };
        if !staged.targets.contains(&request.target) {
            std::fs::create_dir(&request.target).map_err(failed)?;
            staged.targets.push(request.target);
        }
        Ok(())
    }

    async fn unpublish(&self, volume: &VolumeHandle, target: &Path) -> Result<(), NodeError> {
        let mut volumes = self.volumes.lock().expect("free");
        let Some(staged) = volumes.get_mut(volume) else { return Ok(()) };
        let before = staged.targets.len();
        staged.targets.retain(|each| each != target);
        if staged.targets.len() < before {
            std::fs::remove_dir(target).map_err(failed)?;
        }
        Ok(())
    }

    async fn stats(
        &self,
        volume: &VolumeHandle,
        path: &Path,
        _: Option<&Path>,
    ) -> Result<VolumeStats, NodeError> {
        let volumes = self.volumes.lock().expect("free");
        let staged = volumes.get(volume).ok_or_else(|| not_found("it is not staged"))?;
        if staged.at != path && !staged.targets.iter().any(|each| each == path) {
            return Err(not_found("it is not at this path"));
        }
        let bytes = Some(Usage { total: staged.size, used: 0, available: staged.size });
        Ok(VolumeStats { bytes, ..VolumeStats::default() })
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        let mut volumes = self.volumes.lock().expect("free");
        let staged = volumes.get_mut(&request.handle).ok_or_else(|| not_found("not staged"))?;
        staged.size = staged.size.max(request.wanted.unwrap_or_default());
        Ok(staged.size)
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        let id = NodeId {
            node: "node-1".to_owned(),
            iqn: Some("iqn.1994-05.com.redhat:1a2b3c".to_owned()),
            ..NodeId::default()
        };
        Ok(NodeIdentity { id, max_volumes: Some(64), topology: Vec::new() })
    }
}
