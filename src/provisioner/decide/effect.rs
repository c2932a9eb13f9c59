//! Effects that the executor carries out, their outcomes and errors. How they are executed is unknown here.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::read_time::ReadTime;
use super::reason::Reason;
use super::restore_point::SnapshotIds;
use crate::contract::{
    Owner, Retry, Snapshot, SnapshotOf, SnapshotSuffix, Volume, VolumeId, VolumeName, VolumeRequest,
};

/// An effect for the executor. Each is safe to repeat. Each has an [`Outcome`], except those that say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the finalizer and the chosen array on a claim. Fails if the claim has changed since.
    RecordIntent {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
        /// The arrays that were asked; the last one is the current one.
        asked: Vec<String>,
        /// Their ids, in the same order; empty if unknown.
        ids: Vec<String>,
        /// The volume that is imported.
        import: Option<VolumeName>,
        /// The size that the volume will have, in bytes.
        size: u64,
    },
    /// Remove the scheduler's choice of a node from a claim, so that it chooses again.
    Reschedule {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
    },
    /// Remove the provisioner's finalizer from a claim.
    RemoveClaimFinalizer {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
    },
    /// Create a volume, or find the existing one.
    EnsureVolume {
        /// The array.
        array: String,
        /// Its id; none if it is not known.
        array_id: Option<String>,
        /// The requested properties.
        wanted: Box<VolumeRequest>,
    },
    /// Find a volume by its name.
    FindVolume {
        /// The array.
        array: String,
        /// Its id; none if it is not known.
        array_id: Option<String>,
        /// The volume's name.
        name: VolumeName,
    },
    /// Read from a VolumeSnapshot and its VolumeSnapshotContent which snapshot they stand for.
    ReadVolumeSnapshot {
        /// The namespace of the VolumeSnapshot.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Find a snapshot by its id.
    FindSnapshot {
        /// The array.
        array: String,
        /// Its id.
        array_id: String,
        /// The id of the snapshot.
        id: String,
    },
    /// Destroy a volume. The request is sent only while the process leads, and until [`VALID`] after `read`; later it
    /// fails and the reconciler decides again.
    ///
    /// [`VALID`]: super::VALID
    DestroyVolume {
        /// The array.
        array: String,
        /// Its id; none if it is not known.
        array_id: Option<String>,
        /// The volume.
        volume: VolumeId,
        /// The claim that it was created for.
        owner: Box<Owner>,
        /// The time of the request to the API server on which the decision is based.
        read: ReadTime,
    },
    /// Create a PersistentVolume.
    CreatePersistentVolume(Box<PersistentVolume>),
    /// Set a PersistentVolume's status to bound.
    SetPersistentVolumeBound {
        /// The PersistentVolume, in the version that was seen.
        volume: ObjectVersion,
    },
    /// Wait until kube-controller-manager knows all PersistentVolumes that exist now. [`Input::ControllerCaughtUp`] is
    /// the answer.
    AwaitController,
    /// Wait until the watch has shown all PersistentVolumes that exist now. [`Input::WatchCaughtUp`] is the answer.
    AwaitWatch,
    /// Bind a claim to its PersistentVolume as kube-controller-manager would, and remove the provisioner's finalizer.
    BindClaim {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
        /// Name of the PersistentVolume.
        volume: String,
    },
    /// Set a claim's status to bound.
    SetClaimBound {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
        /// The PersistentVolume, whose size and access modes the status gets.
        volume: Box<PersistentVolume>,
    },
    /// Read a PersistentVolume from the API server, not from the watch.
    ReadPersistentVolume {
        /// Its name.
        name: String,
    },
    /// Read a claim from the API server, not from the watch.
    ReadClaim {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Delete a PersistentVolume, if it is still in the version that was seen.
    DeletePersistentVolume {
        /// The PersistentVolume, in the version that was seen.
        volume: ObjectVersion,
    },
    /// Put the provisioner's finalizer on a PersistentVolume that has lost it, if it is still in the version
    /// that was seen.
    RestoreFinalizer {
        /// The PersistentVolume, in the version that was seen.
        volume: ObjectVersion,
    },
    /// Take the provisioner's finalizer off a PersistentVolume, if it is still in the version that was seen.
    RemovePersistentVolumeFinalizer {
        /// The PersistentVolume, in the version that was seen.
        volume: ObjectVersion,
    },
    /// Record in a claim's status that its volume is being expanded.
    SetResizing {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
        /// The size that it will have, in bytes.
        size: u64,
    },
    /// Expand a volume on an array to at least a size.
    ExpandVolume {
        /// The array.
        array: String,
        /// Its id.
        array_id: String,
        /// The volume.
        volume: VolumeId,
        /// The size, in bytes.
        size: u64,
    },
    /// Write a PersistentVolume's new capacity.
    SetCapacity {
        /// The PersistentVolume, in the version that was seen.
        volume: ObjectVersion,
        /// The size, in bytes.
        size: u64,
    },
    /// Record in a claim's status that its volume was expanded, or that a node has to expand the device.
    SetResized {
        /// The claim, in the version that was seen.
        claim: ObjectVersion,
        /// The size, in bytes.
        size: u64,
        /// Whether a node has to expand the device, and the file system on it.
        on_node: bool,
    },
    /// List the snapshots of a volume.
    ListSnapshots {
        /// The array.
        array: String,
        /// The volume.
        volume: VolumeId,
    },
    /// Take a snapshot, or find the existing one of that name.
    TakeSnapshot {
        /// The array.
        array: String,
        /// The volume.
        volume: VolumeId,
        /// The suffix of the snapshot's name.
        suffix: SnapshotSuffix,
    },
    /// Destroy a snapshot.
    DestroySnapshot {
        /// The array.
        array: String,
        /// The snapshot.
        snapshot: Snapshot,
        /// The time of the request for the list on which the decision is based, as for [`Self::DestroyVolume`]; none
        /// for the snapshot of a clone.
        read: Option<ReadTime>,
    },
    /// Send [`Input::Due`] after some time.
    Requeue(Duration),
    /// Record an event on the object. It has no outcome.
    RecordEvent {
        /// Normal or warning.
        severity: Severity,
        /// The object of the event.
        regarding: Regarding,
        /// Why.
        reason: Reason,
        /// Text for events and logs.
        message: String,
    },
}

impl Effect {
    /// Returns whether it is executed on an array, not in the cluster.
    pub fn is_for_array(&self) -> bool {
        matches!(
            self,
            Self::EnsureVolume { .. }
                | Self::FindVolume { .. }
                | Self::FindSnapshot { .. }
                | Self::DestroyVolume { .. }
                | Self::ExpandVolume { .. }
                | Self::ListSnapshots { .. }
                | Self::TakeSnapshot { .. }
                | Self::DestroySnapshot { .. }
        )
    }
}

/// An object at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectVersion {
    /// Its namespace; none for a PersistentVolume.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID, which identifies the object.
    pub uid: String,
    /// Its version; a write fails if a newer one exists.
    pub version: String,
}

/// The subject of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Regarding {
    /// The claim of the work.
    Claim,
    /// The PersistentVolume of the work.
    Volume,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Information.
    Normal,
    /// A problem that needs attention.
    Warning,
}

/// An input of a state's `step`.
#[derive(Debug, Clone)]
pub enum Input {
    /// The view has changed.
    Changed,
    /// The time of an [`Effect::Requeue`] has come.
    Due,
    /// kube-controller-manager knows all PersistentVolumes that existed at the time of an
    /// [`Effect::AwaitController`].
    ControllerCaughtUp,
    /// The view has all PersistentVolumes that existed at the time of an [`Effect::AwaitWatch`].
    WatchCaughtUp,
    /// The result of the effect in flight.
    Done(Result<Outcome, EffectError>),
}

/// The outcome of an effect that succeeded.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The current claim; none if it does not exist.
    Claim(Option<Box<PersistentVolumeClaim>>),
    /// The current PersistentVolume; none if it does not exist.
    PersistentVolume(Option<Box<PersistentVolume>>),
    /// The PersistentVolume as read from the API server, with the time of the request.
    Read(ReadTime, Option<Box<PersistentVolume>>),
    /// The volume on the array; none if it does not exist.
    Volume(Option<Volume>),
    /// All snapshots of a volume, destroyed ones included, with the time of the request.
    Snapshots(ReadTime, Vec<Snapshot>),
    /// The snapshot that was taken or found.
    Snapshot(Snapshot),
    /// The snapshot that a VolumeSnapshot stands for; an error says why there is none.
    VolumeSnapshot(Result<Box<SnapshotIds>, String>),
    /// The snapshot on the array, destroyed or not; none if it does not exist.
    FoundSnapshot(Option<Box<SnapshotOf>>),
    /// Success without a value.
    Good,
}

/// The error of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectError {
    /// The object has changed in the meantime, or is gone.
    Conflict,
    /// An object of that name exists already.
    Exists,
    /// The API server rejected the request or did not answer.
    Cluster(String),
    /// The array rejected the request or did not answer.
    Array {
        /// The reason, one word of a closed list.
        reason: &'static str,
        /// Text for events and logs.
        message: String,
        /// When to retry.
        retry: Retry,
    },
    /// Another replica leads: this process must not execute effects.
    NotLeading,
}

/// The result of reading an object.
#[derive(Debug, Clone, Default)]
pub(super) enum Lookup<T> {
    /// Not read yet.
    #[default]
    NotYet,
    /// It does not exist.
    Absent,
    /// It exists.
    There(T),
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(answer: Option<T>) -> Self {
        answer.map_or(Self::Absent, Self::There)
    }
}
