//! Keeps this cluster's registration on every array, and checks whether volumes may be created or destroyed there.
//! [`ClusterRegistration`] decides the steps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::{Api, Client};
use tracing::{debug, info, warn};

use super::arrays::Arrays;
use super::leader_election::Leadership;
use super::listing::for_each;
use super::metrics::Metrics;
use crate::arrays::{Array, Error, OnlyIf};
use crate::contract::ArrayKind;
use crate::contract::{
    NfsVersions, Owner, Qos, Retry, Volume, VolumeName, VolumeOptions, VolumeRequest,
};
use crate::provisioner::decide::{
    ClusterRegistration, EffectError, Registration, RegistrationStep, cluster_of, identity,
};

/// The namespace whose UID identifies a cluster. Every cluster has it from the start.
pub(super) const IDENTITY_OF: &str = "kube-system";

/// The size of the object that registers a cluster, in bytes: the smallest volume of every array.
const SIZE: u64 = 1 << 20;

/// The time limit for an array's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit when the process ends: the lease is released after that.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why no volume may be created on an array before it shows the registration.
const NOT_REGISTERED: &str = "this cluster is not registered on it yet";

/// The maximum number of consecutive steps in one check.
const MAX_STEPS: usize = 4;

/// The reason why the identity of the cluster is unknown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The API server did not return it.
    #[error("the namespace {IDENTITY_OF} cannot be read: {0}")]
    Cluster(#[from] kube::Error),
    /// The UID is not one that Kubernetes creates.
    #[error("the namespace {IDENTITY_OF} has the UID {0:?}, which is none")]
    Uid(String),
    /// The cluster's name in the storage document differs from the one in its volumes.
    #[error(
        "the storage document has `cluster: {now}`, and the volumes of this cluster are called {before}-pvc-…: write `cluster: {before}` again, since volumes keep their names"
    )]
    Renamed {
        /// The name in the storage document.
        now: String,
        /// The name in the volumes' names.
        before: String,
    },
}

/// Reads the UID of the cluster's namespace `kube-system`.
pub async fn cluster_uid(client: &Client) -> Result<String, IdentityError> {
    let namespace = Api::<Namespace>::all(client.clone()).get(IDENTITY_OF).await?;
    let uid = namespace.metadata.uid.unwrap_or_default();
    if identity(&uid).is_none() {
        return Err(IdentityError::Uid(uid));
    }
    Ok(uid)
}

/// Fails if all PersistentVolumes of the cluster were created under another name: a provisioner with the new name would
/// not recognise their volumes.
pub(super) async fn check_name(client: &Client, cluster: &str) -> Result<(), IdentityError> {
    let (mut before, mut has_own) = (None, false);
    let refresh = |volume: PersistentVolume| {
        if let Some(name) = cluster_of(&volume) {
            has_own |= name.eq_ignore_ascii_case(cluster);
            before.get_or_insert(name);
        }
        // One with the name is enough: others may have been taken over from another cluster.
        !has_own
    };
    // The watch reports a list that fails; under a wrong name, nothing is destroyed either.
    if let Err(error) = for_each(client, "", refresh).await {
        debug!(%error, "the cluster's name is not compared with its volumes");
        return Ok(());
    }
    match before.filter(|_| !has_own) {
        Some(before) => Err(IdentityError::Renamed { now: cluster.to_owned(), before }),
        None => Ok(()),
    }
}

/// Reads the registrations under a cluster's name on an array.
pub(super) async fn registrations(
    array: &dyn Array,
    cluster: &str,
) -> Result<Vec<Registration>, Error> {
    let volumes = array.list(&Registration::prefix(cluster)).await?;
    let alive = volumes.iter().filter(|volume| !volume.destroyed);
    Ok(alive.filter_map(|volume| Registration::parse(cluster, &volume.name)).collect())
}

/// This cluster's registrations, one on each array.
#[derive(Debug, Clone)]
pub(super) struct Registrar {
    arrays: Arrays,
    leadership: Leadership,
    metrics: Metrics,
    registrations: Arc<BTreeMap<String, Mutex<CachedRegistration>>>,
}

#[derive(Debug)]
struct CachedRegistration {
    registration: ClusterRegistration,
    /// The reason why no volume may be created on the array, if there is one.
    refused: Option<String>,
}

impl Registrar {
    /// Returns the registrar of a process that leads in the cluster whose namespace `kube-system` has this UID.
    pub(super) fn new(
        arrays: &Arrays,
        leadership: &Leadership,
        metrics: &Metrics,
        uid: &str,
    ) -> Result<Self, IdentityError> {
        let me = Registration::new(uid, leadership.term())
            .ok_or_else(|| IdentityError::Uid(uid.to_owned()))?;
        let setup = arrays.setup();
        let registration = ClusterRegistration::new(&setup.cluster, me, setup.takes_over.clone());
        let entry = || CachedRegistration {
            registration: registration.clone(),
            refused: Some(NOT_REGISTERED.to_owned()),
        };
        let names = arrays.all().map(|array| array.name().to_owned());
        Ok(Self {
            registrations: Arc::new(names.map(|name| (name, Mutex::new(entry()))).collect()),
            arrays: arrays.of_cluster(registration.identities()),
            leadership: leadership.clone(),
            metrics: metrics.clone(),
        })
    }

    /// Returns the arrays, for volumes of this cluster.
    pub(super) fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// Checks all arrays once, and executes the steps that are needed.
    pub(super) async fn refresh(&self) {
        join_all(self.arrays.all().map(|array| self.refresh_array(array.as_ref()))).await;
    }

    /// Returns the reason why no volume may be created on an array; none if it may.
    pub(super) fn refused(&self, array: &str) -> Option<String> {
        self.with(array, |entry| entry.refused.clone())?
    }

    /// Fails if no volume may be created on an array.
    pub(super) fn check(&self, array: &str) -> Result<(), EffectError> {
        self.refused(array).map_or(Ok(()), |why| Err(unregistered(array, &why)))
    }

    /// Reads an array's current registrations, and fails if no volume may be destroyed there.
    pub(super) async fn check_to_destroy(&self, array: &dyn Array) -> Result<(), EffectError> {
        let name = array.name();
        self.check(name)?;
        let volumes = tokio::time::timeout(ANSWER_TIMEOUT, self.read(array)).await;
        let volumes =
            volumes.map_err(|_| unregistered(name, "its registrations cannot be read in time"))?;
        let volumes = volumes.map_err(|error| super::effect_error::of_array(&error))?;
        let now = self.leadership.now();
        let checked = self.with(name, |entry| entry.registration.check(&volumes, now));
        checked.unwrap_or(Ok(())).map_err(|not_yet| EffectError::Array {
            reason: not_yet.reason,
            message: format!("{name}: {}", not_yet.why),
            retry: Retry::Soon,
        })
    }

    /// Ends the registrations on all arrays, so that the next leader need not wait.
    pub(super) async fn end(&self) {
        let all = self.arrays.all().map(|array| async move {
            let names = self.with(array.name(), |entry| entry.registration.ending()).flatten();
            if let Some((from, to)) = names {
                // If this fails, the next leader waits half a minute.
                let array = self.guarded(array.as_ref());
                let _ = tokio::time::timeout(END_TIMEOUT, array.rename(&from, &to)).await;
            }
        });
        join_all(all).await;
    }

    /// Checks an array within a time limit: an array that does not answer must not delay the others.
    async fn refresh_array(&self, array: &dyn Array) {
        let looked = tokio::time::timeout(ANSWER_TIMEOUT, self.apply_steps(array)).await;
        if looked.is_err() {
            // A step may have succeeded without an answer: the next check shows it.
            self.failed(array.name(), "the array does not answer in time");
        }
    }

    /// Records that a check has failed. Without a registration, that is the reason why no volume may be created.
    fn failed(&self, array: &str, why: &str) {
        self.with(array, |entry| {
            entry.registration.failed();
            if !entry.registration.is_registered() {
                entry.refused = Some(format!("this cluster cannot be registered on it: {why}"));
            }
        });
    }

    async fn apply_steps(&self, array: &dyn Array) {
        let name = array.name();
        for _ in 0..MAX_STEPS {
            let volumes = match self.read(array).await {
                Ok(volumes) => volumes,
                // An unknown state is read again before anything is destroyed.
                Err(error) => return self.failed(name, &error.kind().to_string()),
            };
            let now = self.leadership.now();
            let step = self.with(name, |entry| {
                let lost = entry.registration.lost();
                let step = entry.registration.next_step(&volumes, now);
                self.note(name, entry, step.as_ref().err(), lost);
                step
            });
            let Some(Ok(Some(step))) = step else { return };
            if let Err(error) = self.apply_step(array, &step).await {
                warn!(array = name, %error, "registration not written");
                return self.failed(name, &error.kind().to_string());
            }
        }
    }

    /// Notes the result of a check: `error` is the reason why nothing may be done on the array.
    fn note(&self, array: &str, entry: &mut CachedRegistration, error: Option<&String>, lost: u32) {
        let refused = match error {
            Some(error) => Some(error.clone()),
            None if entry.registration.is_registered() => None,
            // A step is being taken. The last failure of one stays the reason until the array shows its result.
            None => entry.refused.clone().or_else(|| Some(NOT_REGISTERED.to_owned())),
        };
        if entry.refused != refused {
            match &refused {
                Some(why) if error.is_some() => {
                    warn!(array, error = why, "the cluster's name is another's");
                }
                Some(_) => {}
                None => info!(array, "registered"),
            }
        }
        entry.refused = refused;
        if entry.registration.lost() > lost {
            warn!(
                array,
                "another provisioner of this cluster's identity has registered: is there a copy of this cluster? Nothing is destroyed meanwhile"
            );
        }
        self.metrics.registered(array, error.is_none(), entry.registration.lost() - lost);
    }

    async fn apply_step(&self, array: &dyn Array, step: &RegistrationStep) -> Result<(), Error> {
        let array = self.guarded(array);
        match step {
            RegistrationStep::Create(name) => {
                array.ensure(&self.desired_volume(array.name(), name)).await.map(drop)
            }
            RegistrationStep::Rename { from, to } => array.rename(from, to).await,
            RegistrationStep::Remove(volume) => array.destroy(volume, &self.owner()).await,
        }
    }

    fn guarded(&self, array: &dyn Array) -> Arc<dyn Array> {
        array.only_if(OnlyIf { array_id: None, fence: Some(self.leadership.fence(None)) })
    }

    async fn read(&self, array: &dyn Array) -> Result<Vec<Volume>, Error> {
        array.list(&Registration::prefix(&self.arrays.setup().cluster)).await
    }

    fn owner(&self) -> Owner {
        let setup = self.arrays.setup();
        Owner {
            cluster: setup.cluster.clone(),
            identities: setup.identities.clone(),
            namespace: IDENTITY_OF.to_owned(),
            claim: "registration".to_owned(),
            uid: setup.identities.first().cloned().unwrap_or_default(),
            since: None,
        }
    }

    fn desired_volume(&self, array: &str, name: &VolumeName) -> VolumeRequest {
        // It has no export and no connection, so no client can reach it.
        let details = match self.arrays.kind(array) {
            Some(ArrayKind::FlashBlade) | None => VolumeOptions::File {
                exports: Vec::new(),
                nfs: NfsVersions { v3: false, v4_1: false },
            },
            Some(ArrayKind::FlashArray) => {
                VolumeOptions::Block { default_protection: false, qos: Qos::default() }
            }
        };
        VolumeRequest { name: name.clone(), owner: self.owner(), size: SIZE, source: None, details }
    }

    fn with<R>(
        &self,
        array: &str,
        refresh: impl FnOnce(&mut CachedRegistration) -> R,
    ) -> Option<R> {
        let entry = self.registrations.get(array)?;
        Some(refresh(&mut entry.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn unregistered(array: &str, why: &str) -> EffectError {
    let message = format!("{array}: {why}");
    EffectError::Array { reason: "NotRegistered", message, retry: Retry::Later }
}

/// The wait before the next attempt to read the cluster's identity.
pub(super) const IDENTITY_RETRY: Duration = Duration::from_secs(2);
