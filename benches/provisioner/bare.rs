//! The bare loop: for every claim the writes that bind it, and nothing else. No array, no record of what
//! is being done, nothing read again, nothing made good: what no provisioner can be faster than.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
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
    /// The loop writes all that pso-gen writes: also a finalizer on the claim before, and two events.
    Same,
    /// kube-controller-manager.
    Controller,
}

/// Runs until it is killed.
pub(super) async fn run(binding: Binding, kubeconfig: &Path) -> Result<(), Anything> {
    let client = stage::client(kubeconfig).await?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let reporter = Reporter { controller: PROVISIONER.to_owned(), instance: None };
    let recorder = Recorder::new(client.clone(), reporter);
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
            let recorder = recorder.clone();
            tokio::spawn(async move {
                let _place = places.acquire().await;
                if let Err(error) = provision(client, recorder, binding, &claim).await {
                    eprintln!("{}: {error}", claim.metadata.name.unwrap_or_default());
                }
            });
        }
    }
    Ok(())
}

/// Writes an event, which nobody waits for.
fn tell(recorder: &Recorder, claim: &PersistentVolumeClaim, reason: &str) {
    let (recorder, claim) = (recorder.clone(), claim.object_ref(&()));
    let event = Event {
        type_: EventType::Normal,
        reason: reason.to_owned(),
        note: Some("as pso-gen does".to_owned()),
        action: "Provision".to_owned(),
        secondary: None,
    };
    tokio::spawn(async move {
        if let Err(error) = recorder.publish(&event, &claim).await {
            eprintln!("event: {error}");
        }
    });
}

async fn provision(
    client: Client,
    recorder: Recorder,
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
    if binding == Binding::Same {
        tell(&recorder, claim, "Provisioning");
        let intent = json!({
            "finalizers": ["bench.pso-gen.io/volume"], "annotations": {"bench.pso-gen.io/array": "none"},
        });
        let intent = Patch::Strategic(json!({ "metadata": intent }));
        claims.patch(&claim_name, &params, &intent).await?;
    }
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
    let mut bind = json!({"metadata": {"annotations": annotations}, "spec": {"volumeName": name}});
    if binding == Binding::Same {
        tell(&recorder, claim, "ProvisioningSucceeded");
        bind["metadata"]["$deleteFromPrimitiveList/finalizers"] =
            json!(["bench.pso-gen.io/volume"]);
    }
    claims.patch(&claim_name, &params, &Patch::Strategic(bind)).await?;
    let bound = json!({
        "status": {"phase": "Bound", "accessModes": spec.access_modes, "capacity": asked},
    });
    claims.patch_status(&claim_name, &params, &Patch::Merge(bound)).await?;
    Ok(())
}
