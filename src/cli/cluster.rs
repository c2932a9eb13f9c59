//! Shared by commands that access a cluster and its arrays: connects to the cluster, and reads the storage document.

use std::error::Error;
use std::path::Path;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::CommandError;
use super::input_files::Input;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Sources};
use crate::compiler::run::read_storage;
use crate::compiler::spec::{STORAGE, split};
use crate::compiler::yaml;
use crate::contract::StorageSpec;
use crate::provisioner::run::{CountRequests, Metrics, SmallPages, cause, chain, remedy};

/// A cluster that a command reads.
pub(super) struct Cluster {
    /// Kubernetes client.
    pub(super) client: Client,
    /// Address of its API server, for display.
    pub(super) address: String,
}

impl Cluster {
    /// Returns the cluster of a kubeconfig, or the one that kubectl would use.
    pub(super) async fn of(
        kubeconfig: Option<&Path>,
        metrics: &Metrics,
    ) -> Result<Self, CommandError> {
        let config = match kubeconfig {
            Some(path) => {
                let name = super::path_text::shown(path);
                let failure = |error: &(dyn Error + 'static)| CommandError::Unreachable {
                    address: format!("of {name}"),
                    cause: chain(error),
                    remedy: "name a kubeconfig that `kubectl --kubeconfig FILE get namespaces` works with",
                };
                let file = Kubeconfig::read_from(path).map_err(|error| failure(&error))?;
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(file, &options).await;
                config.map_err(|error| failure(&error))?
            }
            None => Config::infer().await.map_err(|error| CommandError::Unreachable {
                address: "of this machine".to_owned(),
                cause: chain(&error),
                remedy: "name a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, or run in a pod with a service account",
            })?,
        };
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let address = crate::sanitize::name(&address);
        let builder = ClientBuilder::try_from(config);
        let builder = builder.map_err(|error| unreachable(&address, &error))?;
        let builder = builder.with_layer(&CountRequests::new(metrics));
        Ok(Self { client: builder.with_layer(&SmallPages::default()).build(), address })
    }

    /// Returns why a request failed, with the address and a remedy.
    pub(super) fn unreachable(&self, error: &kube::Error) -> CommandError {
        unreachable(&self.address, error)
    }
}

fn unreachable(address: &str, error: &kube::Error) -> CommandError {
    CommandError::Unreachable {
        address: address.to_owned(),
        cause: cause(error),
        remedy: remedy(error),
    }
}

/// Reads the single storage document of a file.
pub(super) fn storage(
    path: &Path,
    sources: &Sources,
) -> Result<Result<StorageSpec, Vec<Diagnostic>>, CommandError> {
    let input = Input::File(path.to_owned());
    let source = match yaml::decode(&input.name(), input.read()?, sources) {
        Ok(source) => source,
        Err(error) => return Ok(Err(vec![error])),
    };
    let read = yaml::read(source, sources);
    if !read.diagnostics.is_empty() {
        return Ok(Err(read.diagnostics));
    }
    let kinds = [STORAGE.to_owned()];
    let mut specs = Vec::new();
    for node in read.documents {
        match split(node, &kinds).map_err(|error| vec![error]).and_then(|d| read_storage(&d)) {
            Ok((_, spec)) => specs.push(spec),
            Err(errors) => return Ok(Err(errors)),
        }
    }
    if let (Some(only), true) = (specs.pop(), specs.is_empty()) {
        return Ok(Ok(only));
    }
    let message = "there must be one document of the kind `Storage` in the file";
    Ok(Err(vec![Diagnostic::new(Code::UnknownKind, Place::start_of(source), message)]))
}

/// Parses `NAMESPACE/NAME`.
pub(super) fn namespaced(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    let parts =
        parts.ok_or_else(|| "write NAMESPACE/NAME, such as `pso-system/pso-gen`".to_owned());
    parts.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
}
