//! Kubelet's plugin registration: kubelet finds the socket in its folder `plugins_registry`, asks for the driver's name
//! and socket, and reports whether it accepted them.
//! <https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/#device-plugin-registration>

use async_trait::async_trait;
use tonic::Status;
use tracing::{error, info};

#[allow(
    clippy::wildcard_imports,
    reason = "the service has dozens of messages; the lint is silent in tests, so it cannot be expected"
)]
use super::message::*;
use super::metrics::NodeMetrics;
use super::rpc::Registration;
use crate::contract::DRIVER;
use crate::sanitize;

/// The driver, as kubelet registers it.
#[derive(Debug)]
pub(super) struct Driver {
    /// The path of the CSI socket, as kubelet sees it.
    pub(super) endpoint: String,
    /// Shows whether kubelet has registered it.
    pub(super) metrics: NodeMetrics,
}

#[async_trait]
impl Registration for Driver {
    async fn get_info(&self, _: InfoRequest) -> Result<PluginInfo, Status> {
        Ok(PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: DRIVER.to_owned(),
            endpoint: self.endpoint.clone(),
            // The version of the interface whose major number kubelet compares.
            supported_versions: vec!["1.0.0".to_owned()],
        })
    }

    async fn notify(
        &self,
        status: RegistrationStatus,
    ) -> Result<RegistrationStatusResponse, Status> {
        self.metrics.registered(status.plugin_registered);
        if status.plugin_registered {
            info!("kubelet registered the driver");
        } else {
            // Kubelet tries again by itself, at longer and longer intervals.
            let why = sanitize::line(&status.error, sanitize::LONGEST);
            error!(why, "kubelet refused the driver; volumes cannot be mounted on this node");
        }
        Ok(RegistrationStatusResponse {})
    }
}
