//! `pso-gen node`: serves CSI's Node service on a node, and registers it with kubelet.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::cluster::Cluster;
use super::csi::{asked_to_end, log};
use super::{CommandError, Outcome, output};
use crate::contract::BlockTransport;
use crate::csi::{ClusterRecords, FileRecords, NodeMetrics, NodeProbes, NodeSockets, serve_node};
use crate::node::check::{Severity, check};
use crate::node::host::{LinuxHost, LinuxSetup};
use crate::node::{Attachments, FormatRecord, Node, NodeSetup};
use crate::provisioner::run::Metrics;

/// Serve CSI's Node service for block volumes on this node
///
/// Attaches block volumes to the kernel, formats new ones, mounts them for pods, and registers the driver with kubelet.
/// It runs in the process namespace of the host, and uses the programs of the host.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    service: Option<Service>,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(Check),
}

/// Check whether this host has what block volumes need
///
/// Prints what the host lacks, with remedies. Changes nothing.
#[derive(Debug, clap::Args)]
struct Check {
    /// Folder of kubelet on the host
    #[arg(long, value_name = "FOLDER", default_value = KUBELET)]
    kubelet_dir: PathBuf,

    /// Transport that the node is to use; without this option, all for which the host has an initiator, or iSCSI
    #[arg(long = "transport", value_name = "NAME", value_parser = transport)]
    transports: Vec<BlockTransport>,
}

/// The time from one look at the paths of staged volumes to the next.
const HEAL_EVERY: Duration = Duration::from_secs(60);

/// The time from one look at the number of paths to the next, for metrics.
const SURVEY_EVERY: Duration = Duration::from_secs(60);

/// Kubelet's own default.
const KUBELET: &str = "/var/lib/kubelet";

#[derive(Debug, clap::Args)]
struct Service {
    /// Name of the node in Kubernetes
    #[arg(long, value_name = "NAME")]
    node_name: String,

    /// CSI socket; kubelet connects to the same path
    #[arg(long, value_name = "PATH")]
    csi_socket: PathBuf,

    /// Socket by which kubelet registers the driver, in its folder `plugins_registry`
    #[arg(long, value_name = "PATH", required_unless_present = "standalone")]
    registration_socket: Option<PathBuf>,

    /// Folder of kubelet on the host
    #[arg(long, value_name = "FOLDER", default_value = KUBELET)]
    kubelet_dir: PathBuf,

    /// Largest number of volumes on this node; without this option, there is no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_volumes: Option<u32>,

    /// Label of the place from which this node reaches arrays, such as `topology.kubernetes.io/zone=a`
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    topology: Vec<(String, String)>,

    /// Kubeconfig of the cluster; the default is the pod's service account
    #[arg(long, value_name = "FILE", conflicts_with = "standalone")]
    kubeconfig: Option<PathBuf>,

    /// Run without a cluster, and record formatted volumes in this file
    #[arg(long, value_name = "FILE")]
    standalone: Option<PathBuf>,

    /// Serve metrics and probes at this address and port, such as `0.0.0.0:8080`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Log level: error, warn, info, debug, or a filter such as `pso_gen=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn transport(word: &str) -> Result<BlockTransport, String> {
    BlockTransport::parse(word).ok_or_else(|| "write iscsi, nvme-tcp or fc".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty());
    let parts = parts.ok_or_else(|| "write KEY=VALUE".to_owned())?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    match (&args.action, &args.service) {
        (Some(Action::Check(args)), _) => runtime.block_on(checked(args)),
        (None, Some(args)) => runtime.block_on(serve(args)),
        // The command line requires one of the two.
        (None, None) => Err(CommandError::MissingNodeName),
    }
}

async fn serve(args: &Service) -> Result<Outcome, CommandError> {
    log(&args.log)?;
    let end = asked_to_end()?;
    let host = LinuxHost::new(LinuxSetup::of_container(args.kubelet_dir.clone()));
    let sockets = NodeSockets {
        csi: args.csi_socket.clone(),
        registration: args.registration_socket.clone(),
    };
    let setup = NodeSetup {
        name: args.node_name.clone(),
        max_volumes: args.max_volumes,
        topology: args.topology.clone(),
    };
    let (records, attachments): (Arc<dyn FormatRecord>, Option<Arc<dyn Attachments>>) =
        if let Some(path) = &args.standalone {
            (Arc::new(FileRecords::new(path)), None)
        } else {
            let client = Cluster::of(args.kubeconfig.as_deref(), &Metrics::default()).await?.client;
            let records = Arc::new(ClusterRecords::new(client, args.node_name.as_str()));
            (Arc::<ClusterRecords>::clone(&records), Some(records))
        };
    let node = Arc::new(Node::new(host, records, setup));
    let metrics = NodeMetrics::new();
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(address) = args.listen {
        let taken = |source| CommandError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        info!(%address, "serving metrics and probes");
        let (socket, registers) = (sockets.csi.clone(), sockets.registration.is_some());
        let probes = NodeProbes { metrics: metrics.clone(), socket, registers };
        tasks.spawn(probes.serve(listener));
    }
    // None of this holds up the sockets: kubelet registers the node also while a device hangs.
    let (healed, set_report, counts) = (Arc::clone(&node), Arc::clone(&node), metrics.clone());
    tasks.spawn(async move { heal(&healed).await });
    tasks.spawn(async move { report(&set_report, &counts).await });
    if let Some(attachments) = attachments {
        let cleaned = Arc::clone(&node);
        tasks.spawn(async move { clean_up(&cleaned, &attachments).await });
    }
    Box::pin(serve_node(node, &sockets, metrics, end)).await?;
    tasks.abort_all();
    Ok(Outcome::Success)
}

/// Adds paths that have come back to staged volumes, again and again.
async fn heal(node: &Node<LinuxHost>) {
    let mut again = tokio::time::interval(HEAL_EVERY);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        let errors = match node.heal().await {
            Ok(errors) => errors,
            Err(error) => vec![error],
        };
        for error in errors {
            warn!(%error, "a volume's paths are not completed");
        }
    }
}

/// Sets the metrics of the staged volumes, again and again.
async fn report(node: &Node<LinuxHost>, metrics: &NodeMetrics) {
    let mut again = tokio::time::interval(SURVEY_EVERY);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        let report = node.report().await;
        metrics.set_report(&report);
        if let Err(error) = report.volumes {
            warn!(%error, "the state of the staged volumes is unknown");
        }
    }
}

/// Unstages what an earlier process left and no pod uses. What fails is tried again.
async fn clean_up(node: &Node<LinuxHost>, attachments: &Arc<dyn Attachments>) {
    let mut again = tokio::time::interval(HEAL_EVERY);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        match node.clean_up(attachments).await {
            Ok((done, errors)) => {
                info!(unstaged = done.len(), "compared staged volumes with their attachments");
                if errors.is_empty() {
                    return;
                }
                for error in errors {
                    warn!(%error, "a volume that is not attached any more cannot be unstaged");
                }
            }
            Err(error) => warn!(%error, "staged volumes are not compared with their attachments"),
        }
    }
}

/// Prints what the host lacks.
async fn checked(args: &Check) -> Result<Outcome, CommandError> {
    let host = LinuxHost::new(LinuxSetup::of_container(args.kubelet_dir.clone()));
    let facts = host.facts(&args.kubelet_dir).await;
    let mut transports: BTreeSet<BlockTransport> = args.transports.iter().copied().collect();
    if transports.is_empty() {
        let of = [
            (facts.id.iqn.is_some(), BlockTransport::Iscsi),
            (facts.id.nqn.is_some(), BlockTransport::NvmeTcp),
            (!facts.id.wwns.is_empty(), BlockTransport::FibreChannel),
        ];
        transports.extend(of.into_iter().filter(|(has, _)| *has).map(|(_, transport)| transport));
        // A host without any initiator lacks at least this one.
        if transports.is_empty() {
            transports.insert(BlockTransport::Iscsi);
        }
    }
    let found = check(&facts, &transports);
    let mut lines = String::new();
    for finding in &found {
        let gravity = match finding.gravity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        lines.push_str(&format!("{gravity}: {}; {}\n", finding.cause, finding.remedy));
    }
    if found.is_empty() {
        lines.push_str("the host has what block volumes need\n");
    }
    output::data(&crate::sanitize::lines(&lines))?;
    let is_wrong = found.iter().any(|finding| finding.gravity == Severity::Error);
    Ok(if is_wrong { Outcome::Failure } else { Outcome::Success })
}
