//! Answers `/livez` and `/readyz` of the services, and `/metrics` of the node service. No answer depends on a device or an
//! array, so one that hangs does not get the process restarted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::{TcpListener, UnixStream};

use super::metrics::NodeMetrics;
use crate::monitoring::{metrics_text, probe_answer};

/// The time limit for a connection to the own socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct NodeProbes {
    /// The metrics.
    pub metrics: NodeMetrics,
    /// The CSI socket.
    pub socket: PathBuf,
    /// Whether kubelet has to register the driver.
    pub registers: bool,
}

impl NodeProbes {
    /// Serves probes and metrics until the process ends. Any client may reach the port.
    pub async fn serve(self, listener: TcpListener) {
        crate::monitoring::serve(listener, self.routes()).await;
    }

    fn routes(self) -> Router {
        let metrics = async |State(probes): State<Self>| metrics_text(probes.metrics.text());
        let live = async |State(probes): State<Self>| probe_answer(connects(&probes.socket).await);
        let ready = async |State(probes): State<Self>| probe_answer(probes.is_ready().await);
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .with_state(self)
    }

    /// Returns whether pods can get volumes.
    async fn is_ready(&self) -> Result<(), String> {
        connects(&self.socket).await?;
        if self.registers && !self.metrics.is_registered() {
            return Err("kubelet has not registered the driver".to_owned());
        }
        Ok(())
    }
}

/// What the probes of the Controller service look at.
#[derive(Debug, Clone)]
pub struct ControllerProbes {
    /// The CSI socket.
    pub socket: PathBuf,
}

impl ControllerProbes {
    /// Serves probes until the process ends. Any client may reach the port.
    pub async fn serve(self, listener: TcpListener) {
        let answer =
            async |State(probes): State<Self>| probe_answer(connects(&probes.socket).await);
        let routes = Router::new().route("/livez", get(answer)).route("/readyz", get(answer));
        crate::monitoring::serve(listener, routes.with_state(self)).await;
    }
}

/// Returns whether kubelet or a sidecar can connect. A socket that was removed comes back only with a new process.
async fn connects(path: &Path) -> Result<(), String> {
    let socket = crate::sanitize::name(&path.display().to_string());
    match tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{socket}: {error}")),
        Err(_) => Err(format!("{socket} takes no connection")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csi::socket::Socket;

    #[tokio::test]
    async fn the_process_lives_while_its_socket_is_there_and_is_ready_when_kubelet_knows_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("csi.sock");
        let metrics = NodeMetrics::new();
        let probes =
            NodeProbes { metrics: metrics.clone(), socket: socket.clone(), registers: true };
        let why = connects(&socket).await.expect_err("no socket");
        assert!(why.contains("csi.sock"), "{why}");
        let listening = Socket::listen(&socket).expect("free");
        assert_eq!(connects(&socket).await, Ok(()));
        let why = Err("kubelet has not registered the driver".to_owned());
        assert_eq!(probes.is_ready().await, why);
        metrics.registered(true);
        assert_eq!(probes.is_ready().await, Ok(()));
        metrics.registered(false);
        let alone = NodeProbes { registers: false, ..probes.clone() };
        assert_eq!(alone.is_ready().await, Ok(()));
        drop(listening);
        assert!(connects(&socket).await.is_err() && probes.is_ready().await.is_err());
    }
}
