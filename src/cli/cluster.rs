//! What commands share that talk to a cluster and its arrays: who is talked to, and the storage document.

use std::path::Path;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Trouble;
use super::files::Input;
use crate::controller::{CountRequests, Metrics, SmallPages};
use crate::diagnostic::{Code, Diagnostic, Place, Sources};
use crate::pipeline::read_storage;
use crate::spec::{STORAGE, StorageSpec, split};
use crate::yaml;

/// Returns a client of the cluster of a kubeconfig, or of the one that kubectl would take.
pub(super) async fn client(
    kubeconfig: Option<&Path>,
    metrics: &Metrics,
) -> Result<Client, Trouble> {
    let cluster = |error: &dyn std::fmt::Display| Trouble::Cluster(error.to_string());
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| cluster(&error))?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(file, &options).await.map_err(|e| cluster(&e))?
        }
        None => Config::infer().await.map_err(|error| cluster(&error))?,
    };
    let builder = ClientBuilder::try_from(config).map_err(|error| cluster(&error))?;
    let builder = builder.with_layer(&CountRequests::new(metrics));
    Ok(builder.with_layer(&SmallPages::default()).build())
}

/// Reads the one storage document of a file.
pub(super) fn storage(
    path: &Path,
    sources: &Sources,
) -> Result<Result<StorageSpec, Vec<Diagnostic>>, Trouble> {
    let input = Input::File(path.to_owned());
    let source = match yaml::decode(&input.name(), input.read()?, sources) {
        Ok(source) => source,
        Err(wrong) => return Ok(Err(vec![wrong])),
    };
    let read = yaml::read(source, sources);
    if !read.diagnostics.is_empty() {
        return Ok(Err(read.diagnostics));
    }
    let kinds = [STORAGE.to_owned()];
    let mut specs = Vec::new();
    for node in read.documents {
        match split(node, &kinds).map_err(|wrong| vec![wrong]).and_then(|d| read_storage(&d)) {
            Ok((_, spec)) => specs.push(spec),
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    if let (Some(only), true) = (specs.pop(), specs.is_empty()) {
        return Ok(Ok(only));
    }
    let message = "there must be one document of the kind `Storage` in the file";
    Ok(Err(vec![Diagnostic::new(Code::UnknownKind, Place::start_of(source), message)]))
}

/// Reads `NAMESPACE/NAME`.
pub(super) fn namespaced(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    let parts =
        parts.ok_or_else(|| "write NAMESPACE/NAME, such as `pso-system/pso-gen`".to_owned());
    parts.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
}
