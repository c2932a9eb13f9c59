//! CSI's Controller service over the arrays' clients, for the tools that Kubernetes' storage group maintains: its
//! provisioner, snapshotter, resizer and attacher. Volumes get the same names and owner tags as those of pso-gen's own
//! provisioner. Knows nothing about the Kubernetes API.

mod arrays;
mod attach;
mod create;
mod list;
mod names;
mod parameters;
mod snapshots;
mod volumes;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tonic::Status;

use super::identity::DriverIdentity;
#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::operation_locks::OperationLocks;
use super::rpc;
use super::server::{ServeError, serve_controller};
use arrays::Arrays;
pub use arrays::ControllerArray;

/// The calls that the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All: the callers create, attach, expand and delete volumes through this service alone.
    All,
    /// Those that pso-gen's provisioner does not make itself: snapshots, limits and lists. The others fail with
    /// `UNIMPLEMENTED` and are not among the capabilities, so that no sidecar acts on what the provisioner acts on.
    BesideProvisioner,
}

/// The Controller service over some arrays.
#[derive(Debug, Clone)]
pub struct Controller {
    arrays: Arc<Arrays>,
    locks: OperationLocks,
    scope: Scope,
}

impl Controller {
    /// Returns the service for a cluster of this name, with its identity and those of the clusters that it has taken over.
    pub fn new(
        cluster: &str,
        identities: Vec<String>,
        arrays: Vec<ControllerArray>,
        scope: Scope,
    ) -> Self {
        let arrays = Arc::new(Arrays::new(cluster, identities, arrays));
        Self { arrays, locks: OperationLocks::default(), scope }
    }

    /// Serves CSI's Identity and Controller services on a socket until `end` completes.
    pub async fn serve(
        self,
        socket: &Path,
        end: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let arrays = Arc::clone(&self.arrays);
        let has_topology = arrays.have_topology();
        let identity = DriverIdentity { has_topology, expands: self.scope == Scope::All };
        let done = serve_controller(self, identity, socket, end).await;
        arrays.log_out().await;
        done
    }

    /// Fails if the provisioner makes this call itself.
    fn check_scope(&self) -> Result<(), Status> {
        match self.scope {
            Scope::All => Ok(()),
            Scope::BesideProvisioner => {
                Err(Status::unimplemented("the provisioner of pso-gen does this in this cluster"))
            }
        }
    }

    /// Runs a call, alone for what it changes and to its end.
    async fn change<T: Send + 'static, F>(
        &self,
        name: &str,
        call: impl FnOnce(Arc<Arrays>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        self.locks.run(name, call(Arc::clone(&self.arrays))).await
    }
}

#[async_trait]
impl rpc::Controller for Controller {
    async fn create_volume(
        &self,
        request: CreateVolumeRequest,
    ) -> Result<CreateVolumeResponse, Status> {
        self.check_scope()?;
        let name = request.name.clone();
        let call = |arrays: Arc<Arrays>| async move { create::create(&arrays, &request).await };
        let volume = Some(self.change(&name, call).await?);
        Ok(CreateVolumeResponse { volume })
    }

    async fn delete_volume(
        &self,
        request: DeleteVolumeRequest,
    ) -> Result<DeleteVolumeResponse, Status> {
        self.check_scope()?;
        let id = request.volume_id;
        let name = id.clone();
        let call = |arrays: Arc<Arrays>| async move { volumes::delete(&arrays, &id).await };
        self.change(&name, call).await?;
        Ok(DeleteVolumeResponse {})
    }

    async fn publish(
        &self,
        request: ControllerPublishVolumeRequest,
    ) -> Result<ControllerPublishVolumeResponse, Status> {
        self.check_scope()?;
        let name = request.volume_id.clone();
        let call = |arrays: Arc<Arrays>| async move { attach::publish(&arrays, &request).await };
        let publish_context = self.change(&name, call).await?;
        Ok(ControllerPublishVolumeResponse { publish_context })
    }

    async fn unpublish(
        &self,
        request: ControllerUnpublishVolumeRequest,
    ) -> Result<ControllerUnpublishVolumeResponse, Status> {
        self.check_scope()?;
        let name = request.volume_id.clone();
        let call = |arrays: Arc<Arrays>| async move { attach::unpublish(&arrays, &request).await };
        self.change(&name, call).await?;
        Ok(ControllerUnpublishVolumeResponse {})
    }

    async fn validate(
        &self,
        request: ValidateVolumeCapabilitiesRequest,
    ) -> Result<ValidateVolumeCapabilitiesResponse, Status> {
        volumes::validate(&self.arrays, request).await
    }

    async fn list_volumes(
        &self,
        request: ListVolumesRequest,
    ) -> Result<ListVolumesResponse, Status> {
        list::volumes(&self.arrays, &request).await
    }

    async fn get_capacity(
        &self,
        request: GetCapacityRequest,
    ) -> Result<GetCapacityResponse, Status> {
        self.check_scope()?;
        list::capacity(&self.arrays, &request).await
    }

    async fn capabilities(
        &self,
        _: ControllerGetCapabilitiesRequest,
    ) -> Result<ControllerGetCapabilitiesResponse, Status> {
        use ControllerRpcType::{
            CloneVolume, CreateDeleteSnapshot, CreateDeleteVolume, ExpandVolume, GetCapacity,
            GetSnapshot, ListSnapshots, ListVolumes, ModifyVolume, PublishUnpublishVolume,
        };
        let mut types =
            vec![ListVolumes, CreateDeleteSnapshot, ListSnapshots, ModifyVolume, GetSnapshot];
        if self.scope == Scope::All {
            types.extend([
                CreateDeleteVolume,
                PublishUnpublishVolume,
                GetCapacity,
                CloneVolume,
                ExpandVolume,
            ]);
        }
        let capability = |r#type: ControllerRpcType| ControllerServiceCapability {
            r#type: Some(ControllerServiceCapabilityType::Rpc(ControllerRpc {
                r#type: r#type.into(),
            })),
        };
        let capabilities = types.into_iter().map(capability).collect();
        Ok(ControllerGetCapabilitiesResponse { capabilities })
    }

    async fn create_snapshot(
        &self,
        request: CreateSnapshotRequest,
    ) -> Result<CreateSnapshotResponse, Status> {
        let name = request.name.clone();
        let call = |arrays: Arc<Arrays>| async move { snapshots::create(&arrays, &request).await };
        let snapshot = Some(self.change(&name, call).await?);
        Ok(CreateSnapshotResponse { snapshot })
    }

    async fn delete_snapshot(
        &self,
        request: DeleteSnapshotRequest,
    ) -> Result<DeleteSnapshotResponse, Status> {
        let id = request.snapshot_id;
        let name = id.clone();
        let call = |arrays: Arc<Arrays>| async move { snapshots::delete(&arrays, &id).await };
        self.change(&name, call).await?;
        Ok(DeleteSnapshotResponse {})
    }

    async fn list_snapshots(
        &self,
        request: ListSnapshotsRequest,
    ) -> Result<ListSnapshotsResponse, Status> {
        list::snapshots(&self.arrays, &request).await
    }

    async fn get_snapshot(
        &self,
        request: GetSnapshotRequest,
    ) -> Result<GetSnapshotResponse, Status> {
        let snapshot = Some(snapshots::get(&self.arrays, &request.snapshot_id).await?);
        Ok(GetSnapshotResponse { snapshot })
    }

    async fn expand(
        &self,
        request: ControllerExpandVolumeRequest,
    ) -> Result<ControllerExpandVolumeResponse, Status> {
        self.check_scope()?;
        let name = request.volume_id.clone();
        let call = |arrays: Arc<Arrays>| async move { volumes::expand(&arrays, &request).await };
        let capacity_bytes = self.change(&name, call).await?;
        // Devices and file systems follow on the node.
        Ok(ControllerExpandVolumeResponse { capacity_bytes, node_expansion_required: true })
    }

    async fn get_volume(
        &self,
        _: ControllerGetVolumeRequest,
    ) -> Result<ControllerGetVolumeResponse, Status> {
        Err(Status::unimplemented("ControllerGetCapabilities does not list GET_VOLUME"))
    }

    async fn modify(
        &self,
        request: ControllerModifyVolumeRequest,
    ) -> Result<ControllerModifyVolumeResponse, Status> {
        let name = request.volume_id.clone();
        let call = |arrays: Arc<Arrays>| async move { volumes::modify(&arrays, &request).await };
        self.change(&name, call).await?;
        Ok(ControllerModifyVolumeResponse {})
    }

    async fn list_volume_health(
        &self,
        _: ControllerListVolumeHealthRequest,
    ) -> Result<ControllerListVolumeHealthResponse, Status> {
        Err(Status::unimplemented("ControllerGetCapabilities does not list LIST_VOLUME_HEALTH"))
    }

    async fn get_volume_health(
        &self,
        _: ControllerGetVolumeHealthRequest,
    ) -> Result<ControllerGetVolumeHealthResponse, Status> {
        Err(Status::unimplemented("ControllerGetCapabilities does not list GET_VOLUME_HEALTH"))
    }
}
