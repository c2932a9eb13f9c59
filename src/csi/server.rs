//! Serves the services on their sockets until the end is asked for; calls at work end first. Knows nothing about what
//! the calls do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared;
use tonic::transport::Server;
use tracing::{info, warn};

use super::identity::DriverIdentity;
use super::metered::Metered;
use super::metrics::NodeMetrics;
use super::no_node::NoNode;
use super::node_server::NodeAdapter;
use super::registration::Driver;
use super::rpc::{Controller, ControllerServer, IdentityServer, NodeServer, RegistrationServer};
use super::socket::{Socket, SocketError};
use crate::node::NodeService;

/// The time limit for calls at work at the end. Kubernetes kills a pod 30 seconds after it asks it to end.
const DRAIN: Duration = Duration::from_secs(20);

/// The sockets of the node service. A folder of kubelet's must have the same path for both.
#[derive(Debug, Clone)]
pub struct NodeSockets {
    /// The CSI socket, such as `/var/lib/kubelet/plugins/pso-gen.io/csi.sock`.
    pub csi: PathBuf,
    /// The socket by which kubelet registers the driver, such as
    /// `/var/lib/kubelet/plugins_registry/pso-gen.io-reg.sock`. `None` without a kubelet.
    pub registration: Option<PathBuf>,
}

/// Why serving ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket cannot be listened on.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The server failed.
    #[error("the server failed")]
    Server(#[from] tonic::transport::Error),
}

/// Serves CSI's Identity and Node services, and kubelet's plugin registration, until `end` completes. `metrics` count the
/// calls.
pub async fn serve_node(
    node: Arc<dyn NodeService>,
    sockets: &NodeSockets,
    metrics: NodeMetrics,
    end: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let end = end.shared();
    let has_topology = node.identity().await.is_ok_and(|node| !node.topology.is_empty());
    let csi = Socket::listen(&sockets.csi)?;
    info!(socket = %sockets.csi.display(), "serving CSI's Node service");
    let metered = Metered { node: NodeAdapter::new(node), metrics: metrics.clone() };
    let services = Server::builder()
        .add_service(IdentityServer(Arc::new(DriverIdentity { has_topology, expands: true })))
        .add_service(NodeServer(Arc::new(metered)))
        .serve_with_incoming_shutdown(csi, end.clone());
    let registration = async {
        let Some(path) = &sockets.registration else { return Ok(()) };
        // Kubelet asks as soon as this socket appears: the other one must be there.
        let socket = Socket::listen(path)?;
        info!(socket = %path.display(), "waiting for kubelet to register the driver");
        let endpoint = sockets.csi.display().to_string();
        let driver = RegistrationServer(Arc::new(Driver { endpoint, metrics }));
        let served = Server::builder().add_service(driver);
        Ok(served.serve_with_incoming_shutdown(socket, end.clone()).await?)
    };
    let both = async {
        let services = async { services.await.map_err(ServeError::from) };
        tokio::try_join!(services, registration).map(drop)
    };
    Box::pin(drained(both, end.clone())).await
}

/// Serves CSI's Identity and Controller services until `end` completes.
pub(super) async fn serve_controller(
    controller: impl Controller,
    identity: DriverIdentity,
    path: &std::path::Path,
    end: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let end = end.shared();
    let socket = Socket::listen(path)?;
    info!(socket = %path.display(), "serving CSI's Controller service");
    let served = Server::builder()
        .add_service(IdentityServer(Arc::new(identity)))
        .add_service(ControllerServer(Arc::new(controller)))
        .add_service(NodeServer(Arc::new(NoNode)))
        .serve_with_incoming_shutdown(socket, end.clone());
    drained(async { Ok(served.await?) }, end.clone()).await
}

/// Awaits a server, and for a limited time its calls at work after the end was asked for.
async fn drained<E: Future<Output = ()>>(
    served: impl Future<Output = Result<(), ServeError>>,
    end: Shared<E>,
) -> Result<(), ServeError> {
    let too_late = async {
        end.await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        done = served => done,
        () = too_late => {
            warn!("ending while calls are at work; their repetition continues them");
            Ok(())
        }
    }
}
