//! `pso-gen csi`: serves CSI's Controller service on a socket.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::cluster::storage;
use super::output::{self, Format};
use super::{CommandError, Outcome};
use crate::compiler::diagnostic::Sources;
use crate::csi::{Controller, ControllerArray};
use crate::provisioner::decide::identity;
use crate::provisioner::run::flasharrays;

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

    /// UID of the namespace `kube-system`, which distinguishes clusters of one name in the owner tags of volumes
    #[arg(long, value_name = "UID", value_parser = cluster_identity)]
    cluster_uid: String,

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
    let identities = spec.take_over.iter().map(|taken| &taken.0);
    let identities = std::iter::once(&args.cluster_uid).chain(identities).cloned();
    let controller = Controller::new(spec.cluster.as_str(), identities.collect(), arrays.collect());
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(async {
        let end = asked_to_end()?;
        controller.serve(&args.socket, end).await?;
        Ok(Outcome::Success)
    })
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
