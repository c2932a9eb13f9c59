//! Reads the state of cluster and arrays at one moment, for reports.

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};

use super::arrays::{ArrayMonitor, Arrays};
use super::listing::for_each;
use super::metrics::Metrics;
use super::now;
use super::registrar::{IDENTITY_OF, registrations};
use super::trim::Trim;
use crate::contract::PROVISIONER;
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
        (inventory.listed, inventory.arrays) = futures::join!(arrays.list(), array_monitor.poll());
        let lists = arrays.all().map(|array| async {
            let list = registrations(array.as_ref(), &arrays.setup().cluster).await.ok()?;
            Some((array.name().to_owned(), list))
        });
        inventory.registrations = join_all(lists).await.into_iter().flatten().collect();
        inventory.setup = Some(arrays.setup().clone());
        // Without the right to read them, the report omits the parts that depend on them.
        let namespaces = Api::<Namespace>::all(client.clone());
        let uid = namespaces.get(IDENTITY_OF).await.ok().and_then(|it| it.metadata.uid);
        inventory.identity = uid.as_deref().and_then(identity);
    }
    let own = format!("reportingController={PROVISIONER}");
    (inventory.claims, inventory.volumes, inventory.classes, inventory.events) =
        futures::try_join!(all(client, ""), all(client, ""), all(client, ""), all(client, &own),)?;
    if let Some(arrays) = arrays {
        for listed in &mut inventory.listed {
            let Ok((array_id, volumes)) = &listed.volumes else { continue };
            let ids = suspects(array_id, volumes, &inventory.volumes);
            if !ids.is_empty() {
                let volumes = (array_id.clone(), volumes.clone());
                listed.volumes = arrays.look_up(&listed.array, volumes, &ids).await;
            }
        }
    }
    // An admin of one namespace may not read these. The report omits the parts that depend on them.
    let everything = ListParams::default();
    let (attachments, csi_nodes) = (Api::all(client.clone()), Api::all(client.clone()));
    let (attachments, csi_nodes) =
        futures::join!(attachments.list(&everything), csi_nodes.list(&everything));
    inventory.attachments = attachments.map(|list| list.items).unwrap_or_default();
    inventory.csi_nodes = csi_nodes.ok().map(|list| list.items);
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
    for_each(client, fields, keep).await?;
    Ok(objects)
}
