//! Reads all that there is at one moment, for a person or a program that asks how things are.

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

use super::arrays::{Arrays, Lookout};
use super::metrics::Metrics;
use super::now;
use super::registrar::{IDENTITY_OF, registrations};
use crate::report::Census;
use crate::volume::{PROVISIONER, identity};

/// Reads all that there is. The arrays' volumes come first: what is seen there was known to the cluster
/// before, and is looked for there afterwards.
pub async fn census(
    client: &Client,
    arrays: Option<&Arrays>,
    lease: Option<(&str, &str)>,
) -> Result<Census, kube::Error> {
    let mut census = Census::default();
    if let Some(arrays) = arrays {
        let mut lookout = Lookout::new(arrays.clone(), Metrics::default());
        (census.listed, census.arrays) = futures::join!(arrays.list(), lookout.look());
        let there = arrays.all().map(|array| async {
            let there = registrations(array.as_ref(), &arrays.setup().cluster).await.ok()?;
            Some((array.name().to_owned(), there))
        });
        census.registrations = join_all(there).await.into_iter().flatten().collect();
        census.setup = Some(arrays.setup().clone());
        // Who may not read it is told of nothing that follows from it.
        let namespaces = Api::<Namespace>::all(client.clone());
        let uid = namespaces.get(IDENTITY_OF).await.ok().and_then(|it| it.metadata.uid);
        census.identity = uid.as_deref().and_then(identity);
    }
    let all = ListParams::default();
    let own = ListParams::default().fields(&format!("reportingController={PROVISIONER}"));
    let claims = Api::<PersistentVolumeClaim>::all(client.clone());
    let volumes = Api::<PersistentVolume>::all(client.clone());
    let (classes, events) = (Api::all(client.clone()), Api::<Event>::all(client.clone()));
    let (claims, volumes, classes, events) = futures::try_join!(
        claims.list(&all),
        volumes.list(&all),
        classes.list(&all),
        events.list(&own)
    )?;
    (census.claims, census.volumes) = (claims.items, volumes.items);
    (census.classes, census.events) = (classes.items, events.items);
    if let Some((namespace, name)) = lease {
        let leases = Api::<Lease>::namespaced(client.clone(), namespace);
        census.lease = leases.get_opt(name).await?;
    }
    census.now = now();
    Ok(census)
}
