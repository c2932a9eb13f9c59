//! `pso-gen provisioner`: runs the provisioner, in the cluster or outside.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::cluster::{Cluster, namespaced, storage};
use super::output::{self, Format};
use super::{CommandError, Outcome};
use crate::compiler::diagnostic::Sources;
use crate::provisioner::decide::Binding;
use crate::provisioner::run::{self, COMPARE_EVERY, End, LeaseName, Status};

/// Provision volumes for claims of `pure-file` and `pure-block`
///
/// Creates volumes on the arrays of a storage document for the claims of the cluster, expands them, and destroys those
/// that are released. If several replicas share a lease, only the leader acts.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The storage document
    #[arg(long, value_name = "FILE")]
    storage: PathBuf,

    /// Kubeconfig of the cluster; the default is the pod's service account, or the context of kubectl
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Lease for leader election between replicas; without one, run only one replica
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced)]
    lease: Option<(String, String)>,

    /// Folder with a subfolder for each Secret, as a pod mounts them
    #[arg(long, value_name = "FOLDER", default_value = "/etc/pso-gen/secrets")]
    secrets: PathBuf,

    /// Component that binds claims to their PersistentVolumes
    #[arg(long, value_name = "WHO", value_enum, default_value = "direct")]
    binding: WhoBinds,

    /// Address of the http server for metrics and probes, such as `0.0.0.0:8080`; with port 0, the server uses a free
    /// port and logs it. Without this option, there is no server
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Seconds from one comparison of bound volumes with the arrays to the next
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = COMPARE_EVERY.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..),
        hide = true
    )]
    compare_every: u64,

    /// Log level: error, warn, info, debug, or a filter such as `pso_gen=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Component that binds claims.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum WhoBinds {
    /// The provisioner, as soon as kube-controller-manager has seen the PersistentVolume
    Direct,
    /// Only kube-controller-manager: about four claims a second at its default limits
    Controller,
}

impl From<WhoBinds> for Binding {
    fn from(who: WhoBinds) -> Self {
        match who {
            WhoBinds::Direct => Self::Direct,
            WhoBinds::Controller => Self::Controller,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let sources = Sources::default();
    let spec = match storage(&args.storage, &sources)? {
        Ok(spec) => spec,
        Err(errors) => {
            output::diagnostics(&errors, &sources, Format::Human);
            return Ok(Outcome::Failure);
        }
    };
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|source| CommandError::LogFilter { filter: args.log.clone(), source })?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(|| output::Log).init();
    let folder = args.storage.parent().unwrap_or(Path::new(""));
    let status = Status::new();
    let arrays = run::set_up(&spec, folder, &args.secrets, args.binding.into(), status.metrics())?;
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(async {
        if let Some(address) = args.listen {
            listen(address, &status).await?;
        }
        let client = Cluster::of(args.kubeconfig.as_deref(), status.metrics()).await?.client;
        let mut end = signal(SignalKind::terminate()).map_err(CommandError::Start)?;
        let ended = async {
            tokio::select! {
                _ = end.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        let lease = match &args.lease {
            None => None,
            Some((namespace, name)) => Some(LeaseName {
                namespace: namespace.clone(),
                name: name.clone(),
                client: Cluster::of(args.kubeconfig.as_deref(), status.metrics()).await?.client,
            }),
        };
        let compare_every = Duration::from_secs(args.compare_every);
        Ok(match run::run(client, arrays, lease, compare_every, &status, ended).await {
            End::Asked => Outcome::Success,
            End::LeaseLost => Outcome::Failure,
        })
    })
}

/// Starts the server for metrics and probes, which ends with the process.
async fn listen(address: SocketAddr, status: &Status) -> Result<(), CommandError> {
    let taken = |source| CommandError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    info!(%address, "serving metrics and probes");
    tokio::spawn(run::serve(listener, status.clone()));
    Ok(())
}
