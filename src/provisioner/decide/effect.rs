//! What may be done in the world, what comes of it, and what can go wrong.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::read_time::ReadTime;
use super::reason::Reason;
use crate::contract::{
    Owner, Retry, Snapshot, SnapshotSuffix, Volume, VolumeId, VolumeName, VolumeRequest,
};

/// Something to be done by somebody else. Each may be done twice without harm, and each is answered by
/// an [`Outcome`], except those that only tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write on a claim that its volume is being made on an array: finalizer and annotation. Only if the
    /// claim is still as it was seen.
    RecordIntent {
        /// The claim, as it was seen.
        claim: ObjectVersion,
        /// The arrays that are asked, the last one now.
        asked: Vec<String>,
        /// Their ids, in the same order; empty where one is not known.
        ids: Vec<String>,
        /// The volume that is imported.
        import: Option<VolumeName>,
        /// How much of it the volume will be given, in bytes.
        size: u64,
    },
    /// Take the scheduler's choice of a node off a claim, so that it makes another.
    Reschedule {
        /// The claim, as it was seen.
        claim: ObjectVersion,
    },
    /// Take our finalizer off a claim.
    RemoveClaimFinalizer {
        /// The claim, as it was seen.
        claim: ObjectVersion,
    },
    /// Make a volume, or find it.
    EnsureVolume {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// What it shall be.
        wanted: Box<VolumeRequest>,
    },
    /// Look for a volume by its name.
    FindVolume {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// The volume's name.
        name: VolumeName,
    },
    /// Destroy a volume. Goes out only while the process leads, and for as long as [`VALID`] after `read`;
    /// after that it goes wrong, and is decided upon anew.
    ///
    /// [`VALID`]: super::VALID
    DestroyVolume {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// The volume.
        volume: VolumeId,
        /// For whom it was made.
        owner: Box<Owner>,
        /// When the API server was asked for what this rests on.
        read: ReadTime,
    },
    /// Create a PersistentVolume.
    CreatePersistentVolume(Box<PersistentVolume>),
    /// Write in a PersistentVolume's status that it is bound.
    SetPersistentVolumeBound {
        /// The PersistentVolume, as it was seen.
        volume: ObjectVersion,
    },
    /// Have it found out when Kubernetes' own controller knows all PersistentVolumes that there are now.
    /// Answered by [`Input::ControllerCaughtUp`], sooner or later.
    AwaitController,
    /// Have it found out when our own watch has shown all PersistentVolumes that there are now. Answered by
    /// [`Input::WatchCaughtUp`], sooner or later.
    AwaitWatch,
    /// Bind a claim to its PersistentVolume, and take our finalizer off it: all that Kubernetes' own
    /// controller would write.
    BindClaim {
        /// The claim, as it was seen.
        claim: ObjectVersion,
        /// VolumeName of the PersistentVolume.
        volume: String,
    },
    /// Write in a claim's status that it is bound.
    SetClaimBound {
        /// The claim, as it was seen.
        claim: ObjectVersion,
        /// The PersistentVolume, whose size and access modes are the claim's now.
        volume: Box<PersistentVolume>,
    },
    /// Read a PersistentVolume from the API server itself.
    ReadPersistentVolume {
        /// Its name.
        name: String,
    },
    /// Read a claim from the API server itself.
    ReadClaim {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Delete a PersistentVolume, if it is still as it was seen.
    DeletePersistentVolume {
        /// The PersistentVolume, as it was seen.
        volume: ObjectVersion,
    },
    /// Put our finalizer on a PersistentVolume of ours that has lost it, if it is still as it was seen.
    RestoreFinalizer {
        /// The PersistentVolume, as it was seen.
        volume: ObjectVersion,
    },
    /// Take our finalizer off a PersistentVolume, if it is still as it was seen.
    RemovePersistentVolumeFinalizer {
        /// The PersistentVolume, as it was seen.
        volume: ObjectVersion,
    },
    /// Write in a claim's status that its volume is being made larger.
    SetResizing {
        /// The claim, as it was seen.
        claim: ObjectVersion,
        /// The size that it will have, in bytes.
        size: u64,
    },
    /// Make a volume on an array at least so large.
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
        /// The PersistentVolume, as it was seen.
        volume: ObjectVersion,
        /// The size, in bytes.
        size: u64,
    },
    /// Write in a claim's status that its volume is larger, or that its node has to do the rest.
    SetResized {
        /// The claim, as it was seen.
        claim: ObjectVersion,
        /// The size, in bytes.
        size: u64,
        /// Whether a node has to make the file system larger.
        on_node: bool,
    },
    /// List the snapshots of a volume.
    ListSnapshots {
        /// The array.
        array: String,
        /// The volume.
        volume: VolumeId,
    },
    /// Take a snapshot, or find the one of that name.
    TakeSnapshot {
        /// The array.
        array: String,
        /// The volume.
        volume: VolumeId,
        /// What is put after the volume's name.
        suffix: SnapshotSuffix,
    },
    /// Destroy a snapshot.
    DestroySnapshot {
        /// The array.
        array: String,
        /// The snapshot.
        snapshot: Snapshot,
        /// When the list was asked for on whose ground it goes, as for [`Self::DestroyVolume`]; none of one by which a
        /// volume was copied.
        read: Option<ReadTime>,
    },
    /// Come again after some time. Not answered but by [`Input::Due`].
    Requeue(Duration),
    /// Tell people by an event on the object. Not answered.
    RecordEvent {
        /// Good or bad.
        severity: Severity,
        /// Regarding what.
        regarding: Regarding,
        /// Why.
        reason: Reason,
        /// For people.
        message: String,
    },
}

impl Effect {
    /// Whether it is done on an array, and not in the cluster.
    pub fn is_for_array(&self) -> bool {
        matches!(
            self,
            Self::EnsureVolume { .. }
                | Self::FindVolume { .. }
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
    /// Its UID: what makes it this one.
    pub uid: String,
    /// Its version; what is written goes wrong when there is a newer one.
    pub version: String,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Regarding {
    /// The claim of the work.
    Claim,
    /// The PersistentVolume of the work.
    Volume,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// What makes a work go on.
#[derive(Debug, Clone)]
pub enum Input {
    /// Something in its view has changed.
    Changed,
    /// The time of an [`Effect::Requeue`] has come.
    Due,
    /// Kubernetes' own controller knows all PersistentVolumes that there were at the time of an
    /// [`Effect::AwaitController`].
    ControllerCaughtUp,
    /// The view has all PersistentVolumes that there were at the time of an [`Effect::AwaitWatch`].
    WatchCaughtUp,
    /// What came of its last effect.
    Done(Result<Outcome, EffectError>),
}

/// What came of an effect that went well.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The claim as it is now; none when there is none of that name.
    Claim(Option<Box<PersistentVolumeClaim>>),
    /// The PersistentVolume as it is now; none when there is none of that name.
    PersistentVolume(Option<Box<PersistentVolume>>),
    /// The same, as the API server itself was asked for it at a moment.
    Read(ReadTime, Option<Box<PersistentVolume>>),
    /// The volume on the array; none when there is none of that name.
    Volume(Option<Volume>),
    /// All snapshots of a volume, destroyed or not, as its array was asked for them at a moment.
    Snapshots(ReadTime, Vec<Snapshot>),
    /// The snapshot that was taken or found.
    Snapshot(Snapshot),
    /// Nothing to tell.
    Good,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectError {
    /// The object has changed in the meantime, or is gone.
    Conflict,
    /// There is an object of that name already.
    Exists,
    /// The API server says no, or nothing.
    Cluster(String),
    /// The array says no, or nothing.
    Array {
        /// One word, of a closed list.
        reason: &'static str,
        /// For people.
        message: String,
        /// Whether to come again.
        retry: Retry,
    },
    /// Somebody else leads now: nothing may be done any more.
    NotLeading,
}

/// What is known of an object by asking for it.
#[derive(Debug, Clone, Default)]
pub(super) enum Lookup<T> {
    /// Nothing: nobody has asked.
    #[default]
    NotYet,
    /// It is not there.
    Absent,
    /// It is there.
    There(T),
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(answer: Option<T>) -> Self {
        answer.map_or(Self::Absent, Self::There)
    }
}
