//! Reads all that there is at one moment, for whoever asks how things are; and destroys a volume that nobody
//! knows, when somebody has named it.

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::ListParams;
use kube::{Api, Client};

use super::arrays::{Arrays, Lookout};
use super::metrics::Metrics;
use super::now;
use super::trim::{Trim, Trimmed};
use super::watches::PAGE;
use crate::array::{Error as ArrayError, Name, Owner, VolumeId};
use crate::report::Census;
use crate::volume::{Listed, PROVISIONER, StrayVolume, strays};

/// Why a volume was not destroyed.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// There is no such array in the storage document.
    #[error("the storage document has no array {0}")]
    NoArray(String),
    /// It is not a name that arrays take.
    #[error("that is no name of a volume")]
    NoName,
    /// An array could not be asked.
    #[error("{0} cannot be asked: {1}")]
    Away(String, ArrayError),
    /// No array has it.
    #[error("no array has a volume of that name")]
    NotThere,
    /// More than one array has it.
    #[error("{0} have a volume of that name; write ARRAY/NAME")]
    Several(String),
    /// It is destroyed already.
    #[error("it is destroyed already; the array eradicates it when its timer ends")]
    Destroyed,
    /// Somebody knows it, or it is none of ours.
    #[error(
        "it is no orphan: a claim or a PersistentVolume has it, or its name is not one of this cluster"
    )]
    Known,
    /// It may be on its way into the cluster.
    #[error("it is too young: it may be on its way into the cluster")]
    Young,
    /// The cluster could not be asked.
    #[error("the cluster cannot be asked: {0}")]
    Cluster(#[from] kube::Error),
    /// The array has refused.
    #[error("{0}")]
    Refused(ArrayError),
}

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
        census.cluster = Some(arrays.setup().cluster.clone());
    }
    let own = format!("reportingController={PROVISIONER}");
    (census.claims, census.volumes, census.classes, census.events) =
        futures::try_join!(all(client, ""), all(client, ""), all(client, ""), all(client, &own),)?;
    if let Some((namespace, name)) = lease {
        let leases = Api::<Lease>::namespaced(client.clone(), namespace);
        census.lease = leases.get_opt(name).await?;
    }
    census.now = now();
    Ok(census)
}

/// How often a page is asked for that does not come, or is too large.
const TRIES: usize = 5;

/// Lists all objects of a kind, page by page; of each is kept what is looked at.
async fn all<K>(client: &Client, fields: &str) -> Result<Vec<K>, kube::Error>
where
    K: kube::Resource<DynamicType = ()> + Trim + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned,
{
    let api = Api::<Trimmed<K>>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    if !fields.is_empty() {
        params = params.fields(fields);
    }
    let mut objects = Vec::new();
    loop {
        let mut tries = 1;
        let page = loop {
            match api.list(&params).await {
                // Whoever sends it has learnt by then to ask for fewer objects: see `pages`.
                Err(kube::Error::Service(_)) if tries < TRIES => tries += 1,
                page => break page?,
            }
        };
        objects.extend(page.items.into_iter().map(|object| object.0));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// Destroys a volume that nobody knows, `NAME` or `ARRAY/NAME`, by the rules of the provisioner itself: when
/// fresh answers say that it has a name of ours, is as old as `grace` (in seconds), and neither a claim nor a PersistentVolume has it, and
/// the array says that no host has it. With `only_look` all is looked at, and nothing destroyed.
pub async fn destroy_orphan(
    client: &Client,
    arrays: &Arrays,
    named: &str,
    grace: u64,
    only_look: bool,
) -> Result<StrayVolume, Kept> {
    let (array, name) = match named.split_once('/') {
        Some((array, name)) => (Some(array), name),
        None => (None, named),
    };
    if let Some(array) = array.filter(|array| arrays.get(array).is_none()) {
        return Err(Kept::NoArray(array.to_owned()));
    }
    let name = Name::new(name).ok_or(Kept::NoName)?;
    // The arrays before the cluster, as above.
    let asked = arrays.all().filter(|asked| array.is_none_or(|array| asked.name() == array));
    let answers = asked.map(|asked| {
        let name = &name;
        async move { (asked, asked.describe(name).await) }
    });
    let mut there = Vec::new();
    for (asked, answer) in join_all(answers).await {
        match answer {
            Ok(Some(volume)) => there.push((asked, volume)),
            Ok(None) => {}
            Err(error) => return Err(Kept::Away(asked.name().to_owned(), error)),
        }
    }
    if there.len() > 1 {
        let names: Vec<&str> = there.iter().map(|(array, _)| array.name()).collect();
        return Err(Kept::Several(names.join(" and ")));
    }
    let (array, volume) = there.pop().ok_or(Kept::NotThere)?;
    if volume.destroyed {
        return Err(Kept::Destroyed);
    }
    let (claims, volumes): (Vec<PersistentVolumeClaim>, Vec<PersistentVolume>) =
        futures::try_join!(all(client, ""), all(client, ""))?;
    let listed = Listed {
        array: array.name().to_owned(),
        // Its id says nothing here.
        volumes: Ok((String::new(), vec![volume])),
    };
    let cluster = &arrays.setup().cluster;
    let mut found = strays(cluster, &[listed], &claims, &volumes, (now(), grace));
    let stray = found.pop().ok_or(Kept::Known)?;
    if !stray.is_orphan {
        return Err(Kept::Young);
    }
    if !only_look {
        // Whose claim it was is not known any more; the UID is, and the array compares that.
        let owner = Owner {
            cluster: cluster.clone(),
            uid: stray.uid.clone(),
            namespace: String::new(),
            claim: String::new(),
        };
        let volume = VolumeId { name, id: stray.id.clone() };
        array.destroy(&volume, &owner).await.map_err(Kept::Refused)?;
    }
    Ok(stray)
}
