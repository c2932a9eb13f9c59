//! The FlashArrays of the Controller service, and how volumes are found on them and recognised as this cluster's.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tonic::{Code, Status};

use crate::arrays::{Array as _, FlashArray};
use crate::contract::{ArrayKind, Owner, Volume, VolumeId, VolumeName, name};
use crate::csi::error::{of_array, status};
use crate::csi::message;
use crate::csi::message::StringMap;
use crate::csi::request::bytes;
use crate::node::VolumeHandle;
use crate::provisioner::decide::{
    ArrayState, ArrayTraits, Health, Registration, registered_elsewhere,
};

/// The time limit for an array to report its state.
pub(super) const ARRAY_TIMEOUT: Duration = Duration::from_secs(10);

/// A FlashArray of the storage document.
#[derive(Debug)]
pub struct ControllerArray {
    /// Its client.
    pub array: FlashArray,
    /// Its traits from the storage document.
    pub traits: ArrayTraits,
}

/// The arrays, and the cluster that they serve.
#[derive(Debug)]
pub(super) struct Arrays {
    cluster: String,
    /// This cluster's identity, and those of the clusters that it has taken over.
    identities: Vec<String>,
    all: Vec<ControllerArray>,
}

/// A volume of this cluster that exists.
#[derive(Debug)]
pub(super) struct ExistingVolume<'a> {
    pub(super) on: &'a ControllerArray,
    pub(super) handle: VolumeHandle,
    pub(super) volume: Volume,
    pub(super) id: VolumeId,
}

impl Arrays {
    pub(super) fn new(
        cluster: &str,
        identities: Vec<String>,
        arrays: Vec<ControllerArray>,
    ) -> Self {
        Self { cluster: cluster.to_owned(), identities, all: arrays }
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn all(&self) -> &[ControllerArray] {
        &self.all
    }

    /// Returns whether an array is unreachable for some nodes.
    pub(super) fn have_topology(&self) -> bool {
        self.all.iter().any(|on| !on.traits.topology.is_empty())
    }

    /// Returns the owner of the volume that has this UID in its name.
    pub(super) fn owner(&self, uid: &str, namespace: &str, claim: &str) -> Owner {
        Owner {
            cluster: self.cluster.clone(),
            identities: self.identities.clone(),
            namespace: namespace.to_owned(),
            claim: claim.to_owned(),
            uid: uid.to_owned(),
            since: None,
        }
    }

    /// Returns the UID in the name of a volume of this cluster.
    pub(super) fn uid<'v>(&self, volume: &'v VolumeName) -> Option<&'v str> {
        let prefix = name::volume_prefix(&self.cluster);
        volume.begins_with(&prefix).then(|| &volume.as_str()[prefix.len()..])
    }

    /// Returns the array with an id, as soon as it answers: another one may be silent.
    pub(super) async fn array(&self, id: &str) -> Result<&ControllerArray, Status> {
        let asked = self.all.iter().map(|on| async move { (on, on.array.identity().await) });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut silent = None;
        while let Some((on, answer)) = asked.next().await {
            match answer {
                Ok(identity) if identity.id == id => return Ok(on),
                Ok(_) => {}
                Err(error) => silent = Some(of_array(&error)),
            }
        }
        // One that does not answer may be the one that is asked for.
        Err(silent.unwrap_or_else(|| {
            let id = crate::sanitize::quoted(id);
            status(
                Code::FailedPrecondition,
                &format!(
                    "no FlashArray of the storage document has the id {id}; add the array to the document"
                ),
            )
        }))
    }

    /// Returns the volume with a handle, if it exists and is not destroyed.
    pub(super) async fn find(
        &self,
        handle: VolumeHandle,
    ) -> Result<Option<ExistingVolume<'_>>, Status> {
        let on = self.array(&handle.array_id).await?;
        let ids = std::slice::from_ref(&handle.volume_id);
        let mut found = on.array.find(ids).await.map_err(|error| of_array(&error))?;
        let Some(volume) = found.pop().filter(|volume| !volume.destroyed) else { return Ok(None) };
        let id = volume.volume_id().filter(|id| self.uid(&id.name).is_some());
        let Some(id) = id else {
            let (name, prefix) = (&volume.name, name::volume_prefix(&self.cluster));
            return Err(status(
                Code::FailedPrecondition,
                &format!(
                    "the volume is called {name} on {}, and the names of this cluster's volumes begin with {prefix}; rename it back",
                    on.array.name()
                ),
            ));
        };
        Ok(Some(ExistingVolume { on, handle, volume, id }))
    }

    /// Returns the volume with a handle, which must exist.
    pub(super) async fn existing(
        &self,
        handle: VolumeHandle,
    ) -> Result<ExistingVolume<'_>, Status> {
        let text = handle.to_string();
        self.find(handle).await?.ok_or_else(|| {
            status(Code::NotFound, &format!("the volume {text} does not exist, or is destroyed"))
        })
    }

    /// Returns the volume of a name, destroyed or not; one that exists as soon as its array answers. Fails while an array
    /// does not answer that may have it: otherwise another array would get a second one.
    pub(super) async fn named(
        &self,
        name: &VolumeName,
    ) -> Result<Option<(&ControllerArray, Volume)>, Status> {
        let asked = self.all.iter().map(|on| async move { (on, on.array.describe(name).await) });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut silent = None;
        let mut destroyed = None;
        while let Some((on, answer)) = asked.next().await {
            match answer {
                // Of two, the one that is in use.
                Ok(Some(volume)) if !volume.destroyed => return Ok(Some((on, volume))),
                Ok(Some(volume)) => destroyed = Some((on, volume)),
                Ok(None) => {}
                Err(error) => silent = Some(of_array(&error)),
            }
        }
        silent.map_or(Ok(destroyed), Err)
    }

    /// Fails if another cluster has registered this cluster's name on an array: both would create volumes of the same
    /// names, and destroy them. Without any registration there is no provisioner, which alone registers.
    pub(super) async fn check_registration(&self, on: &ControllerArray) -> Result<(), Status> {
        let there = on.array.list(&Registration::prefix(&self.cluster)).await;
        let there = there.map_err(|error| of_array(&error))?;
        let alive = there.iter().filter(|volume| !volume.destroyed);
        let mut registered =
            alive.filter_map(|volume| Registration::parse(&self.cluster, &volume.name));
        match registered.find(|other| !self.identities.contains(&other.identity)) {
            None => Ok(()),
            Some(other) => {
                let own = self.identities.first().map(String::as_str).unwrap_or_default();
                let why = registered_elsewhere(&self.cluster, &other.identity, own);
                let message = format!("{}: {why}", on.array.name());
                Err(status(Code::FailedPrecondition, &message))
            }
        }
    }

    /// Returns the states of all arrays, for the choice of one.
    pub(super) async fn states(&self) -> Vec<ArrayState> {
        let asked = self.all.iter().map(|on| async move {
            let state = async {
                let id = on.array.identity().await?.id;
                let capacity = on.array.capacity().await?;
                let transport = on.array.transport().await?;
                Ok::<_, crate::arrays::Error>(Health::Up { id, capacity, transport })
            };
            let health = match tokio::time::timeout(ARRAY_TIMEOUT, state).await {
                Ok(Ok(health)) => health,
                Ok(Err(error)) => Health::Down(error.kind().to_string()),
                Err(_) => Health::Down(format!(
                    "the array does not report its state within {} s",
                    ARRAY_TIMEOUT.as_secs()
                )),
            };
            ArrayState {
                name: on.array.name().to_owned(),
                kind: ArrayKind::FlashArray,
                traits: on.traits.clone(),
                health,
            }
        });
        join_all(asked).await
    }

    /// Returns the array of a name in the storage document.
    pub(super) fn of_name(&self, name: &str) -> Option<&ControllerArray> {
        self.all.iter().find(|on| on.array.name() == name)
    }

    /// Ends the sessions with all arrays.
    pub(super) async fn log_out(&self) {
        join_all(self.all.iter().map(|on| on.array.log_out())).await;
    }
}

impl ControllerArray {
    /// Returns a volume as CSI describes it. The context is that of the PersistentVolumes of pso-gen's provisioner.
    pub(super) fn described(
        &self,
        array_id: &str,
        volume: &Volume,
        source: Option<message::VolumeContentSource>,
    ) -> message::Volume {
        let serial = volume.serial.clone().unwrap_or_default();
        let context = [
            ("array", self.array.name().to_owned()),
            ("name", volume.name.clone()),
            ("serial", serial),
        ];
        let segments: StringMap = self.traits.topology.clone();
        let topology = message::Topology { segments };
        message::Volume {
            capacity_bytes: bytes(volume.size),
            volume_id: format!("{array_id}/{}", volume.id),
            volume_context: context.map(|(key, value)| (key.to_owned(), value)).into(),
            content_source: source,
            accessible_topology: Some(topology)
                .filter(|topology| !topology.segments.is_empty())
                .into_iter()
                .collect(),
        }
    }
}
