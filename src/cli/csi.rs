//! `pso-gen csi`: serves CSI's Controller service on a socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::cluster::{Cluster, storage};
use super::output::{self, Format};
use super::{CommandError, Outcome};
use crate::compiler::diagnostic::Sources;
use crate::csi::{Controller, ControllerArray, ControllerProbes, Scope};
use crate::provisioner::decide::identity;
use crate::provisioner::run::{Status, cluster_uid, flasharrays};

/// Serve CSI's Controller service for block volumes
///
/// Creates, attaches, expands and deletes volumes on the FlashArrays of a storage document, and takes snapshots, for
/// tools such as Kubernetes' external-snapshotter. Volumes get the same names and owner tags as those of `pso-gen
/// provisioner`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,

    /// The storage document
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// UID of the namespace `kube-system`, which distinguishes clusters of one name in the owner tags of volumes; by
    /// default, it is read from the cluster
    #[arg(long, value_name = "UID", value_parser = cluster_identity)]
    cluster_uid: Option<String>,

    /// Kubeconfig of the cluster; the default is the pod's service account, or the context of kubectl
    #[arg(long, value_name = "FILE", conflicts_with = "cluster_uid")]
    kubeconfig: Option<PathBuf>,

    /// Leave everything that `pso-gen provisioner` does in this cluster to it: serve snapshots, limits and lists, and
    /// refuse to create, delete, attach, detach or expand volumes
    #[arg(long)]
    beside_provisioner: bool,

    /// Address of the http server for probes, such as `0.0.0.0:8080`; with port 0, the server uses a free port and logs
    /// it. Without this option, there is no server
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Folder with a subfolder for each Secret, as a pod mounts them
    #[arg(long, value_name = "FOLDER", default_value = "/etc/pso-gen/secrets")]
    secrets: PathBuf,

    /// Log level: error, warn, info, debug, or a filter such as `pso_gen=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn cluster_identity(uid: &str) -> Result<String, String> {
    identity(uid).ok_or_else(|| {
        "write the output of `kubectl get namespace kube-system --output jsonpath={.metadata.uid}`"
            .to_owned()
    })
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let sources = Sources::default();
    let spec = match storage(&args.config, &sources)? {
        Ok(spec) => spec,
        Err(diagnostics) => {
            output::diagnostics(&diagnostics, &sources, Format::Human);
            return Ok(Outcome::Failure);
        }
    };
    log(&args.log)?;
    let folder = args.config.parent().unwrap_or(Path::new(""));
    let arrays = flasharrays(&spec, folder, &args.secrets)?;
    if arrays.is_empty() {
        return Err(CommandError::NoFlashArray { path: super::path_text::shown(&args.config) });
    }
    let arrays = arrays.into_iter().map(|(array, traits)| ControllerArray { array, traits });
    let scope = if args.beside_provisioner { Scope::BesideProvisioner } else { Scope::All };
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(async {
        let end = asked_to_end()?;
        let identity = match &args.cluster_uid {
            Some(identity) => identity.clone(),
            None => of_cluster(args.kubeconfig.as_deref()).await?,
        };
        let identities = spec.take_over.iter().map(|taken| taken.0.clone());
        let identities = std::iter::once(identity).chain(identities).collect();
        let controller = Controller::new(&spec.cluster, identities, arrays.collect(), scope);
        if let Some(address) = args.listen {
            listen(address, &args.socket).await?;
        }
        controller.serve(&args.socket, end).await?;
        Ok(Outcome::Success)
    })
}

/// Returns the identity of a cluster, read from it.
async fn of_cluster(kubeconfig: Option<&Path>) -> Result<String, CommandError> {
    let cluster = Cluster::of(kubeconfig, Status::new().metrics()).await?;
    let uid = cluster_uid(&cluster.client).await?;
    Ok(identity(&uid).unwrap_or_default())
}

/// Starts the server for probes, which ends with the process.
async fn listen(address: SocketAddr, socket: &Path) -> Result<(), CommandError> {
    let taken = |source| CommandError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    info!(%address, "serving probes");
    tokio::spawn(ControllerProbes { socket: socket.to_owned() }.serve(listener));
    Ok(())
}

/// Starts the log.
pub(super) fn log(filter: &str) -> Result<(), CommandError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| CommandError::LogFilter { filter: filter.to_owned(), source })?;
    tracing_subscriber::fmt().json().with_env_filter(parsed).with_writer(|| output::Log).init();
    Ok(())
}

/// Returns what completes when the process is asked to end.
pub(super) fn asked_to_end() -> Result<impl Future<Output = ()> + Send, CommandError> {
    let mut end = signal(SignalKind::terminate()).map_err(CommandError::Start)?;
    Ok(async move {
        tokio::select! {
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
}
