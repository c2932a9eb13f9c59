//! The bare loop: for every claim the writes that bind it, and nothing else. No array, no record of what
//! is being done, nothing read again, nothing made good: what no provisioner can be faster than.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource as _};
use serde_json::json;
use tokio::sync::Semaphore;

use super::Anything;
use super::stage;

/// The class that it provisions.
pub(super) const CLASS: &str = "bare";
/// The provisioner of that class.
pub(super) const PROVISIONER: &str = "bare.bench.pso-gen.io";
/// Claims that are worked on at once.
const AT_ONCE: usize = 32;

/// Who binds claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Binding {
    /// The loop writes both sides.
    Direct,
    /// kube-controller-manager.
    Controller,
}

/// Runs until it is killed.
pub(super) async fn run(binding: Binding, kubeconfig: &Path) -> Result<(), Anything> {
    let client = stage::client(kubeconfig).await?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut known = HashSet::new();
    let claims = Api::<PersistentVolumeClaim>::all(client.clone());
    let stream = watcher(claims, watcher::Config::default()).default_backoff().applied_objects();
    let mut stream = std::pin::pin!(stream);
    while let Some(claim) = stream.try_next().await? {
        let is_wanted = claim.spec.as_ref().is_some_and(|spec| {
            spec.storage_class_name.as_deref() == Some(CLASS) && spec.volume_name.is_none()
        });
        if is_wanted && known.insert(claim.metadata.uid.clone()) {
            let (client, places) = (client.clone(), Arc::clone(&places));
            tokio::spawn(async move {
                let _place = places.acquire().await;
                if let Err(error) = provision(client, binding, &claim).await {
                    eprintln!("{}: {error}", claim.metadata.name.unwrap_or_default());
                }
            });
        }
    }
    Ok(())
}

async fn provision(
    client: Client,
    binding: Binding,
    claim: &PersistentVolumeClaim,
) -> Result<(), Anything> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (metadata, params) = (&claim.metadata, PatchParams::default());
    let claims =
        Api::<PersistentVolumeClaim>::namespaced(client.clone(), &text(&metadata.namespace));
    let volumes = Api::<PersistentVolume>::all(client);
    let (claim_name, name) = (text(&metadata.name), format!("pvc-{}", text(&metadata.uid)));
    let spec = claim.spec.as_ref().ok_or("no spec")?;
    let asked = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": asked, "accessModes": spec.access_modes, "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete", "claimRef": claim.object_ref(&()),
            "nfs": {"server": "192.0.2.1", "path": format!("/{name}")},
        },
    }))?;
    volumes.create(&PostParams::default(), &volume).await?;
    if binding == Binding::Controller {
        return Ok(());
    }
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    volumes.patch_status(&name, &params, &bound).await?;
    let annotations = json!({
        "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
    });
    let bind = json!({"metadata": {"annotations": annotations}, "spec": {"volumeName": name}});
    claims.patch(&claim_name, &params, &Patch::Merge(bind)).await?;
    let bound = json!({
        "status": {"phase": "Bound", "accessModes": spec.access_modes, "capacity": asked},
    });
    claims.patch_status(&claim_name, &params, &Patch::Merge(bound)).await?;
    Ok(())
}
