//! Reads the state of cluster and arrays at one moment, for reports.

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::{Api, Client};

use super::arrays::{ArrayMonitor, Arrays};
use super::listing::each;
use super::metrics::Metrics;
use super::now;
use super::registrar::{IDENTITY_OF, registrations};
use super::trim::Trim;
use crate::contract::{DRIVER, PROVISIONER};
use crate::provisioner::decide::{identity, suspects};
use crate::provisioner::report::Inventory;

/// Reads everything. The arrays' volumes come first: the cluster knew each of them before, and is read afterwards.
pub async fn inventory(
    client: &Client,
    arrays: Option<&Arrays>,
    lease: Option<(&str, &str)>,
) -> Result<Inventory, kube::Error> {
    let mut inventory = Inventory::default();
    if let Some(arrays) = arrays {
        let mut array_monitor = ArrayMonitor::new(arrays.clone(), Metrics::default());
        (inventory.listed, inventory.arrays) = futures::join!(arrays.list(), array_monitor.look());
        let there = arrays.all().map(|array| async {
            let there = registrations(array.as_ref(), &arrays.setup().cluster).await.ok()?;
            Some((array.name().to_owned(), there))
        });
        inventory.registrations = join_all(there).await.into_iter().flatten().collect();
        inventory.setup = Some(arrays.setup().clone());
        // Without the right to read them, the report omits what depends on them.
        let namespaces = Api::<Namespace>::all(client.clone());
        let uid = namespaces.get(IDENTITY_OF).await.ok().and_then(|it| it.metadata.uid);
        inventory.identity = uid.as_deref().and_then(identity);
    }
    let own = format!("reportingController={PROVISIONER}");
    (inventory.claims, inventory.volumes, inventory.classes, inventory.events) =
        futures::try_join!(all(client, ""), all(client, ""), all(client, ""), all(client, &own),)?;
    let is_block = |volume: &PersistentVolume| {
        let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
        csi.is_some_and(|csi| csi.driver == DRIVER)
    };
    // Who has only file volumes needs no right to list them.
    if inventory.volumes.iter().any(is_block) {
        inventory.attachments = all(client, "").await?;
    }
    if let Some(arrays) = arrays {
        for listed in &mut inventory.listed {
            let Ok((array_id, there)) = &listed.volumes else { continue };
            let ids = suspects(array_id, there, &inventory.volumes);
            if !ids.is_empty() {
                let there = (array_id.clone(), there.clone());
                listed.volumes = arrays.look_up(&listed.array, there, &ids).await;
            }
        }
    }
    if let Some((namespace, name)) = lease {
        let leases = Api::<Lease>::namespaced(client.clone(), namespace);
        inventory.lease = leases.get_opt(name).await?;
    }
    inventory.now = now();
    Ok(inventory)
}

/// Lists all objects of a kind, page by page, and keeps their trimmed form.
pub(super) async fn all<K>(client: &Client, fields: &str) -> Result<Vec<K>, kube::Error>
where
    K: kube::Resource<DynamicType = ()> + Trim + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned,
{
    let mut objects = Vec::new();
    let keep = |object| {
        objects.push(object);
        true
    };
    each(client, fields, keep).await?;
    Ok(objects)
}
