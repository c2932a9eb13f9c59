//! CSI's Identity service: the driver's name and what it offers.

use async_trait::async_trait;
use tonic::Status;

#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::rpc::Identity;
use crate::contract::DRIVER;

/// The driver's identity. The sockets of the node service and of the Controller service say the same: what the driver
/// offers is said of it as a whole. Only beside the provisioner, the Controller service expands nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct DriverIdentity {
    /// Whether nodes and volumes have places. Without any, a tool that asks for places would find no node.
    pub(super) has_topology: bool,
    /// Whether the driver's own services expand volumes, and not the provisioner alone.
    pub(super) expands: bool,
}

#[async_trait]
impl Identity for DriverIdentity {
    async fn get_plugin_info(
        &self,
        _: GetPluginInfoRequest,
    ) -> Result<GetPluginInfoResponse, Status> {
        Ok(GetPluginInfoResponse {
            name: DRIVER.to_owned(),
            vendor_version: env!("CARGO_PKG_VERSION").to_owned(),
            manifest: StringMap::new(),
        })
    }

    async fn get_plugin_capabilities(
        &self,
        _: GetPluginCapabilitiesRequest,
    ) -> Result<GetPluginCapabilitiesResponse, Status> {
        let service = |r#type: PluginServiceType| {
            PluginCapabilityType::Service(PluginService { r#type: r#type.into() })
        };
        let online = PluginVolumeExpansionType::Online.into();
        let mut types = vec![service(PluginServiceType::ControllerService)];
        if self.expands {
            let expansion = PluginVolumeExpansion { r#type: online };
            types.push(PluginCapabilityType::VolumeExpansion(expansion));
        }
        if self.has_topology {
            types.push(service(PluginServiceType::VolumeAccessibilityConstraints));
        }
        let capability = |r#type| PluginCapability { r#type: Some(r#type) };
        Ok(GetPluginCapabilitiesResponse {
            capabilities: types.into_iter().map(capability).collect(),
        })
    }

    async fn probe(&self, _: ProbeRequest) -> Result<ProbeResponse, Status> {
        Ok(ProbeResponse { ready: Some(true) })
    }
}
