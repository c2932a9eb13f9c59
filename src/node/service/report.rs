//! What the node service reports about volumes: paths, usage, condition. It changes nothing, so it waits for no call, and
//! it answers while a device hangs.

use std::path::PathBuf;

use super::{Inner, Node};
use crate::node::decide::{condition, paths, size};
use crate::node::host::Host;
use crate::node::request::{
    NodeError, NodeErrorKind, NodeReport, Usage, VolumeHandle, VolumePaths, VolumeStats,
};

impl<H: Host + 'static> Node<H> {
    /// Returns the paths of the staged volumes, and what hangs. Asks no device.
    pub async fn report(&self) -> NodeReport {
        // The files of the host are among what may hang, and then the volumes are unknown.
        let volumes = self.inner.volumes().await;
        NodeReport { volumes, hanging: self.inner.host.hanging() }
    }
}

impl<H: Host> Inner<H> {
    async fn volumes(&self) -> Result<Vec<VolumePaths>, NodeError> {
        let mut volumes = Vec::new();
        for state in self.host.staged().await?.into_iter().filter(|state| !state.released) {
            let Ok(handle) = state.volume.parse::<VolumeHandle>() else { continue };
            let view = self.host.view(&state.query(None)).await?;
            if let Some((paths, expected)) = paths(&state, &view) {
                volumes.push(VolumePaths { array_id: handle.array_id, paths, expected });
            }
        }
        Ok(volumes)
    }

    pub(super) async fn stats(
        &self,
        handle: VolumeHandle,
        path: PathBuf,
        staging: Option<PathBuf>,
    ) -> Result<VolumeStats, NodeError> {
        let state = self.state_of(&handle, staging.as_deref()).await?;
        let view = self.host.view(&state.query(Some(path.clone()))).await?;
        if view.mounts_at(&path).next().is_none() {
            return Err(NodeError::new(
                NodeErrorKind::NotFound,
                format!("volume {} is not published at {}", state.volume, path.display()),
            ));
        }
        let condition = condition(&view, &state, &path);
        let total = size(&view, &state).unwrap_or_default();
        let without_usage = |abnormal: String| VolumeStats {
            bytes: Usage { total, ..Usage::default() },
            inodes: None,
            abnormal: Some(abnormal),
        };
        let abnormal = match condition {
            // kubelet asks every minute, and each question to a device that hangs would hold a thread.
            Some(condition) if !condition.may_ask => return Ok(without_usage(condition.text)),
            condition => condition.map(|condition| condition.text),
        };
        Ok(match self.host.usage(&path).await {
            Ok((bytes, inodes)) => VolumeStats { bytes, inodes, abnormal },
            Err(error) => without_usage(
                abnormal
                    .unwrap_or_else(|| format!("volume {} cannot be read: {error}", state.volume)),
            ),
        })
    }
}
