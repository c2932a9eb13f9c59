//! Destroys an orphaned volume that an admin has named, by the rules of the provisioner.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, Client};

use super::arrays::Arrays;
use super::inventory::all;
use super::leader_election::Leadership;
use super::now;
use super::registrar::{cluster_uid, registrations};
use super::unreachable::{cause, chain, remedy};
use crate::arrays::{Array, Error as ArrayError, OnlyIf};
use crate::contract::{Owner, VolumeId, VolumeName};
use crate::provisioner::decide::{
    Listed, REGISTRATION_LOOK, Registration, UnknownVolume, identity, registered_elsewhere,
    unknown_volumes,
};

/// The time between two reads: within it, every leading provisioner has renewed its lease, and has taken back a
/// registration that another one took.
const BETWEEN: Duration = REGISTRATION_LOOK.saturating_add(Duration::from_secs(2));

/// The reason why a volume was not destroyed.
#[derive(Debug, thiserror::Error)]
pub enum NotDestroyed {
    /// The storage document has no such array.
    #[error("the storage document has no array {0}")]
    NoArray(String),
    /// Arrays reject the name.
    #[error("this is not a name of a volume")]
    NoName,
    /// An array did not answer.
    #[error("{0} cannot be read: {1}")]
    Away(String, ArrayError),
    /// No array has the volume.
    #[error("no array has a volume of that name")]
    NotThere,
    /// More than one array has the volume.
    #[error("{0} have a volume of that name; write ARRAY/NAME")]
    Several(String),
    /// The volume is destroyed already.
    #[error("it is destroyed already; the array eradicates it when its timer ends")]
    Destroyed,
    /// A claim or PersistentVolume has it, or its name is not one of this cluster.
    #[error(
        "it is not orphaned: it has a claim or a PersistentVolume, or its name is not one of this cluster"
    )]
    Known,
    /// It is too young: its PersistentVolume may not exist yet.
    #[error("it is too young: it may be on its way into the cluster")]
    Young,
    /// The cluster did not answer.
    #[error("the cluster cannot be read: {}; {}", cause(.0), remedy(.0))]
    Cluster(#[from] kube::Error),
    /// The array is not registered for this cluster, or the registration is uncertain.
    #[error("{0}")]
    NotRegistered(String),
    /// The array rejected the request.
    #[error("{0}")]
    Refused(ArrayError),
}

/// Destroys an orphaned volume, `NAME` or `ARRAY/NAME`, by the rules of the provisioner. Fresh answers must show that
/// the volume has a name of this cluster, is at least `grace` seconds old, has neither a claim nor a PersistentVolume,
/// and is connected to no host; and that the array is registered for this cluster and for the provisioner that leads by
/// `lease`, namespace and name. With `only_look`, all checks run and nothing is destroyed.
pub async fn destroy_orphan(
    client: &Client,
    arrays: &Arrays,
    named: &str,
    lease: Option<(&str, &str)>,
    grace: u64,
    only_look: bool,
) -> Result<UnknownVolume, NotDestroyed> {
    let (array, name) = match named.split_once('/') {
        Some((array, name)) => (Some(array), name),
        None => (None, named),
    };
    if let Some(array) = array.filter(|array| arrays.get(array).is_none()) {
        return Err(NotDestroyed::NoArray(array.to_owned()));
    }
    let name = VolumeName::new(name).ok_or(NotDestroyed::NoName)?;
    // The arrays are read before the cluster, as above.
    let asked = arrays.all().filter(|asked| array.is_none_or(|array| asked.name() == array));
    let answers = asked.map(|asked| {
        let name = &name;
        async move { (asked, asked.describe(name).await) }
    });
    let mut existing = Vec::new();
    for (asked, answer) in join_all(answers).await {
        match answer {
            Ok(Some(volume)) => existing.push((asked, volume)),
            Ok(None) => {}
            Err(error) => return Err(away(asked.as_ref(), error)),
        }
    }
    if existing.len() > 1 {
        let names: Vec<&str> = existing.iter().map(|(array, _)| array.name()).collect();
        return Err(NotDestroyed::Several(names.join(" and ")));
    }
    let (array, volume) = existing.pop().ok_or(NotDestroyed::NotThere)?;
    if volume.destroyed {
        return Err(NotDestroyed::Destroyed);
    }
    let array_id = array.identity().await.map_err(|error| away(array.as_ref(), error))?.id;
    let cluster = &arrays.setup().cluster;
    let listed =
        Listed { array: array.name().to_owned(), volumes: Ok((array_id.clone(), vec![volume])) };
    // A volume that the cluster knows is rejected at once; the other checks take longer.
    find_stray(client, cluster, &listed, grace).await?;
    let identities = check_registration(client, arrays, array.as_ref(), lease).await?;
    let alone = Leadership::alone();
    let read = alone.now();
    let stray = find_stray(client, cluster, &listed, grace).await?;
    if !only_look {
        // The claim's name is unknown; the array compares only the UID.
        let owner = Owner {
            cluster: cluster.clone(),
            identities,
            uid: stray.uid.clone(),
            ..Owner::default()
        };
        let volume = VolumeId { name, id: stray.id.clone() };
        let only_if = OnlyIf { array_id: Some(array_id), fence: Some(alone.fence(Some(read))) };
        array.only_if(only_if).destroy(&volume, &owner).await.map_err(NotDestroyed::Refused)?;
    }
    Ok(stray)
}

/// Returns the one volume of a list, unless the cluster knows it or it is too young.
async fn find_stray(
    client: &Client,
    cluster: &str,
    listed: &Listed,
    grace: u64,
) -> Result<UnknownVolume, NotDestroyed> {
    let (claims, volumes): (Vec<PersistentVolumeClaim>, Vec<PersistentVolume>) =
        futures::try_join!(all(client, ""), all(client, ""))?;
    let listed = std::slice::from_ref(listed);
    let mut found = unknown_volumes(cluster, listed, &claims, &volumes, (now(), grace));
    let stray = found.pop().ok_or(NotDestroyed::Known)?;
    if stray.is_orphan { Ok(stray) } else { Err(NotDestroyed::Young) }
}

fn away(array: &dyn Array, error: ArrayError) -> NotDestroyed {
    NotDestroyed::Away(array.name().to_owned(), error)
}

/// Checks that an array is registered for this cluster and its leading provisioner, and returns the identities that the
/// cluster's volumes may have. It reads twice: a copy of this cluster has the same identity, and its provisioner takes
/// the registration back.
async fn check_registration(
    client: &Client,
    arrays: &Arrays,
    array: &dyn Array,
    lease: Option<(&str, &str)>,
) -> Result<Vec<String>, NotDestroyed> {
    let uncertain = |why: String| NotDestroyed::NotRegistered(format!("{}: {why}", array.name()));
    let setup = arrays.setup();
    let uid = cluster_uid(client).await.map_err(|error| uncertain(chain(&error)))?;
    let own = identity(&uid).unwrap_or_default();
    let identities: Vec<String> =
        [own.clone()].into_iter().chain(setup.takes_over.iter().cloned()).collect();
    let read = async || {
        let all = registrations(array, &setup.cluster).await;
        let mut all = all.map_err(|error| away(array, error))?;
        if let Some(other) = all.iter().find(|it| !identities.contains(&it.identity)) {
            return Err(uncertain(registered_elsewhere(&setup.cluster, &other.identity, &own)));
        }
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(uncertain(format!(
                "cluster {own} is not registered on it: let a provisioner of this cluster run first"
            ))),
        }
    };
    let leader = async || -> Result<Option<Lease>, NotDestroyed> {
        let Some((namespace, name)) = lease else { return Ok(None) };
        Ok(Api::<Lease>::namespaced(client.clone(), namespace).get_opt(name).await?)
    };
    let (before, lease_before) = (read().await?, leader().await?);
    tokio::time::sleep(BETWEEN).await;
    let (after, lease_after) = (read().await?, leader().await?);
    if before != after {
        return Err(uncertain(
            "its registration changes executor: another provisioner of this cluster's identity is at work".to_owned(),
        ));
    }
    if after.is_ended() || leads(&after, lease_before.as_ref(), lease_after.as_ref()) {
        return Ok(identities);
    }
    Err(uncertain(
        "it is registered for a provisioner that does not lead in this cluster by the lease; give `--lease NAMESPACE/NAME`, and see `pso-gen status`".to_owned(),
    ))
}

/// Returns whether a registration is that of the process that holds a lease and has renewed it between two reads.
fn leads(registration: &Registration, before: Option<&Lease>, after: Option<&Lease>) -> bool {
    let (Some(before), Some(after)) = (before.and_then(spec), after.and_then(spec)) else {
        return false;
    };
    let term = |holder: &String| holder.rsplit_once('_').map(|(_, term)| term.to_owned());
    let holder = after.holder_identity.as_ref();
    holder.is_some()
        && before.holder_identity.as_ref() == holder
        && holder.and_then(term).as_ref() == Some(&registration.term)
        && before.renew_time != after.renew_time
}

fn spec(lease: &Lease) -> Option<&k8s_openapi::api::coordination::v1::LeaseSpec> {
    lease.spec.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(holder: &str, renewed: &str) -> Lease {
        let spec = json!({"holderIdentity": holder, "renewTime": renewed});
        serde_json::from_value(json!({ "spec": spec })).expect("typed")
    }

    #[test]
    fn a_registration_is_that_of_a_leader_that_lives() {
        let registration = Registration {
            identity: "3f2a9c1e7b4d4e1a".to_owned(),
            term: "0000000000000007".to_owned(),
        };
        let (old, new) = ("2026-11-23T06:00:00.000000Z", "2026-11-23T06:00:12.000000Z");
        let of = "pod-a_0000000000000007";
        let ours = leads(&registration, Some(&lease(of, old)), Some(&lease(of, new)));
        assert!(ours);
        for (before, after) in [
            // The lease of a copy, from a backup: nothing renews it.
            (Some(lease(of, old)), Some(lease(of, old))),
            (Some(lease(of, old)), Some(lease("pod-a_0000000000000008", new))),
            (Some(lease("pod-a_0000000000000008", old)), Some(lease(of, new))),
            (Some(lease("", old)), Some(lease("", new))),
            (None, Some(lease(of, new))),
            (None, None),
        ] {
            assert!(!leads(&registration, before.as_ref(), after.as_ref()), "{before:?} {after:?}");
        }
    }
}
