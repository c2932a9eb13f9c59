//! Creates the clients of the arrays from the storage document.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arrays::{Arrays, Client};
use super::metrics::Metrics;
use crate::arrays::{
    Array, ChapFolder, Endpoint, Error, FlashArray, FlashBlade, Observer, RequestLimits, TokenFile,
    Trust,
};
use crate::contract::ArrayKind;
use crate::contract::StorageSpec;
use crate::contract::storage::{ArraySpec, ArrayType, SecretSource};
use crate::contract::{ExportRule, Squash, VolumeName};
use crate::provisioner::decide::{ArrayTraits, Binding, Import, Setup};

/// A part of the storage document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An invalid network of nodes.
    #[error("`nodes`: {0:?} is not a network")]
    Nodes(String),
    /// An invalid name of a volume to import.
    #[error("`imports`: {0:?} is not a name of a volume")]
    Import(String),
    /// Two arrays with one name.
    #[error("`arrays`: two are called {0:?}; give each a name of its own")]
    Twice(String),
    /// A token or CA that is neither in a Secret nor in a file.
    #[error("array {0}: `{1}` says neither a Secret nor a file")]
    SecretSource(String, &'static str),
    /// An invalid certificate pin.
    #[error("array {0}: `pin` is not the digest of a key")]
    Pin(String),
    /// An invalid address of an array.
    #[error(transparent)]
    Array(#[from] Error),
}

/// Returns the arrays of a storage document. Relative paths start at `folder`; a Secret is a folder of its name in
/// `secrets`, as mounted into a pod. `metrics` count their operations.
pub fn set_up(
    spec: &StorageSpec,
    folder: &Path,
    secrets: &Path,
    binding: Binding,
    metrics: &Metrics,
) -> Result<Arrays, SetupError> {
    let rule = |network: &String| {
        // Root on a node stays root: kubelet and init containers set owners.
        ExportRule::new(network.as_str(), false, Squash::None)
            .ok_or_else(|| SetupError::Nodes(network.clone()))
    };
    let exports = spec.nodes.iter().map(|network| rule(&network.0)).collect::<Result<_, _>>()?;
    let imports = spec.imports.iter().map(|import| {
        let volume = VolumeName::new(&import.volume)
            .ok_or_else(|| SetupError::Import(import.volume.clone()))?;
        let array = import.array.clone();
        Ok(((import.namespace.clone(), import.claim.clone()), Import { array, volume }))
    });
    let imports = imports.collect::<Result<_, SetupError>>()?;
    let takes_over = spec.take_over.iter().map(|it| it.0.clone()).collect();
    let mut names = HashSet::new();
    if let Some(array) = spec.arrays.iter().find(|it| !names.insert(it.name.to_lowercase())) {
        return Err(SetupError::Twice(array.name.clone()));
    }
    // The API server provides the cluster's identity.
    // The policies that are rendered with the provisioner let it create PersistentVolumes of these classes only.
    let classes = spec.provisioner.as_ref().map(|_| {
        let always = ["pure-file", "pure-block"].map(str::to_owned);
        spec.classes.keys().cloned().chain(always).collect()
    });
    let of = Setup::of(spec.cluster.as_str());
    let csi = spec.installed_csi();
    let (snapshots, attributes) = (csi.is_some(), csi.is_some_and(|csi| csi.resizer.is_some()));
    let setup =
        Setup { takes_over, exports, binding, imports, classes, snapshots, attributes, ..of };
    let arrays = spec.arrays.iter().map(|array| client(array, folder, secrets, metrics));
    Ok(Arrays::new(setup, arrays.collect::<Result<Vec<_>, _>>()?))
}

/// Returns the FlashArrays of a storage document with their traits. Relative paths start at `folder`; a Secret is a
/// folder of its name in `secrets`, as mounted into a pod.
pub fn flasharrays(
    spec: &StorageSpec,
    folder: &Path,
    secrets: &Path,
) -> Result<Vec<(FlashArray, ArrayTraits)>, SetupError> {
    let of_kind = spec.arrays.iter().filter(|array| array.r#type == ArrayType::FlashArray);
    let array = |spec: &ArraySpec| {
        Ok((FlashArray::new(endpoint(spec, folder, secrets, None)?)?, traits(spec)))
    };
    of_kind.map(array).collect()
}

fn client(
    spec: &ArraySpec,
    folder: &Path,
    secrets: &Path,
    metrics: &Metrics,
) -> Result<Client, SetupError> {
    let endpoint = endpoint(spec, folder, secrets, Some(Arc::new(metrics.clone())))?;
    let (kind, array): (_, Arc<dyn Array>) = match spec.r#type {
        ArrayType::FlashBlade => (ArrayKind::FlashBlade, Arc::new(FlashBlade::new(endpoint)?)),
        ArrayType::FlashArray => (ArrayKind::FlashArray, Arc::new(FlashArray::new(endpoint)?)),
    };
    let passwords = spec.chap.as_ref().map(|chap| ChapFolder::new(secrets.join(&chap.secret)));
    let transport = spec.transport.map(Into::into);
    Ok(Client { kind, traits: traits(spec), transport, passwords, array })
}

fn traits(spec: &ArraySpec) -> ArrayTraits {
    ArrayTraits {
        labels: spec.labels.clone(),
        topology: spec.topology.clone(),
        data: spec.data.clone(),
        stage_secret: spec.chap.as_ref().map(|chap| (chap.namespace.clone(), chap.secret.clone())),
    }
}

fn endpoint(
    spec: &ArraySpec,
    folder: &Path,
    secrets: &Path,
    observer: Option<Arc<dyn Observer>>,
) -> Result<Endpoint, SetupError> {
    let file = |kept: &SecretSource, field| match (&kept.secret, &kept.key, &kept.file) {
        (Some(secret), Some(key), None) => Ok(secrets.join(secret).join(key)),
        (None, None, Some(file)) => Ok(folder.join(file)),
        _ => Err(SetupError::SecretSource(spec.name.clone(), field)),
    };
    let ca: Option<PathBuf> = spec.ca.as_ref().map(|ca| file(ca, "ca")).transpose()?;
    let trust = match (&spec.pin, ca) {
        (Some(pin), _) => Trust::pin(pin).ok_or_else(|| SetupError::Pin(spec.name.clone()))?,
        (None, Some(path)) => Trust::Ca(path),
        (None, None) => Trust::System,
    };
    Ok(Endpoint {
        name: spec.name.clone(),
        management: spec.management.clone(),
        token: TokenFile::new(file(&spec.token, "token")?),
        trust,
        id: spec.id.clone(),
        limits: RequestLimits::default(),
        observer,
    })
}
