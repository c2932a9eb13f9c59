//! What may be done in the world, what comes of it, and what can go wrong.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::moment::Moment;
use super::reason::Reason;
use crate::contract::{Name, Owner, Retry, Snapshot, Suffix, Volume, VolumeId, Wanted};

/// Something to be done by somebody else. Each may be done twice without harm, and each is answered by
/// an [`Outcome`], except those that only tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write on a claim that its volume is being made on an array: finalizer and annotation. Only if the
    /// claim is still as it was seen.
    Intend {
        /// The claim, as it was seen.
        claim: Seen,
        /// The arrays that are asked, the last one now.
        asked: Vec<String>,
        /// Their ids, in the same order; empty where one is not known.
        ids: Vec<String>,
        /// The volume that is imported.
        import: Option<Name>,
        /// How much of it the volume will be given, in bytes.
        size: u64,
    },
    /// Take the scheduler's choice of a node off a claim, so that it makes another.
    Reschedule {
        /// The claim, as it was seen.
        claim: Seen,
    },
    /// Take our finalizer off a claim.
    Finish {
        /// The claim, as it was seen.
        claim: Seen,
    },
    /// Make a volume, or find it.
    Ensure {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// What it shall be.
        wanted: Box<Wanted>,
    },
    /// Look for a volume by its name.
    Find {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// The volume's name.
        name: Name,
    },
    /// Destroy a volume. Goes out only while the process leads, and for as long as [`VALID`] after `read`;
    /// after that it goes wrong, and is decided upon anew.
    ///
    /// [`VALID`]: super::VALID
    Destroy {
        /// The array.
        array: String,
        /// Its id; none when it is not known.
        array_id: Option<String>,
        /// The volume.
        volume: VolumeId,
        /// For whom it was made.
        owner: Box<Owner>,
        /// When the API server was asked for what this rests on.
        read: Moment,
    },
    /// Create a PersistentVolume.
    Create(Box<PersistentVolume>),
    /// Write in a PersistentVolume's status that it is bound.
    SetBound {
        /// The PersistentVolume, as it was seen.
        volume: Seen,
    },
    /// Have it found out when Kubernetes' own controller knows all PersistentVolumes that there are now.
    /// Answered by [`Event::Known`], sooner or later.
    Mark,
    /// Have it found out when our own watch has shown all PersistentVolumes that there are now. Answered by
    /// [`Event::CaughtUp`], sooner or later.
    CatchUp,
    /// Bind a claim to its PersistentVolume, and take our finalizer off it: all that Kubernetes' own
    /// controller would write.
    Bind {
        /// The claim, as it was seen.
        claim: Seen,
        /// Name of the PersistentVolume.
        volume: String,
    },
    /// Write in a claim's status that it is bound.
    SetClaimBound {
        /// The claim, as it was seen.
        claim: Seen,
        /// The PersistentVolume, whose size and access modes are the claim's now.
        volume: Box<PersistentVolume>,
    },
    /// Read a PersistentVolume from the API server itself.
    ReadVolume {
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
    Delete {
        /// The PersistentVolume, as it was seen.
        volume: Seen,
    },
    /// Put our finalizer on a PersistentVolume of ours that has lost it, if it is still as it was seen.
    Adopt {
        /// The PersistentVolume, as it was seen.
        volume: Seen,
    },
    /// Take our finalizer off a PersistentVolume, if it is still as it was seen.
    Release {
        /// The PersistentVolume, as it was seen.
        volume: Seen,
    },
    /// Write in a claim's status that its volume is being made larger.
    Resizing {
        /// The claim, as it was seen.
        claim: Seen,
        /// The size that it will have, in bytes.
        size: u64,
    },
    /// Make a volume on an array at least so large.
    Grow {
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
        volume: Seen,
        /// The size, in bytes.
        size: u64,
    },
    /// Write in a claim's status that its volume is larger, or that its node has to do the rest.
    Resized {
        /// The claim, as it was seen.
        claim: Seen,
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
        suffix: Suffix,
    },
    /// Destroy a snapshot.
    DestroySnapshot {
        /// The array.
        array: String,
        /// The snapshot.
        snapshot: Snapshot,
        /// When the list was asked for on whose ground it goes, as for [`Self::Destroy`]; none of one by which a
        /// volume was copied.
        read: Option<Moment>,
    },
    /// Come again after some time. Not answered but by [`Event::Due`].
    Later(Duration),
    /// Tell people by an event on the object. Not answered.
    Tell {
        /// Good or bad.
        severity: Severity,
        /// About what.
        about: About,
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
            Self::Ensure { .. }
                | Self::Find { .. }
                | Self::Destroy { .. }
                | Self::Grow { .. }
                | Self::ListSnapshots { .. }
                | Self::TakeSnapshot { .. }
                | Self::DestroySnapshot { .. }
        )
    }
}

/// An object at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seen {
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
pub enum About {
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
pub enum Event {
    /// Something in its view has changed.
    Changed,
    /// The time of an [`Effect::Later`] has come.
    Due,
    /// Kubernetes' own controller knows all PersistentVolumes that there were at the time of an
    /// [`Effect::Mark`].
    Known,
    /// The view has all PersistentVolumes that there were at the time of an [`Effect::CatchUp`].
    CaughtUp,
    /// What came of its last effect.
    Done(Result<Outcome, Trouble>),
}

/// What came of an effect that went well.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The claim as it is now; none when there is none of that name.
    Claim(Option<Box<PersistentVolumeClaim>>),
    /// The PersistentVolume as it is now; none when there is none of that name.
    PersistentVolume(Option<Box<PersistentVolume>>),
    /// The same, as the API server itself was asked for it at a moment.
    Read(Moment, Option<Box<PersistentVolume>>),
    /// The volume on the array; none when there is none of that name.
    Volume(Option<Volume>),
    /// All snapshots of a volume, destroyed or not, as its array was asked for them at a moment.
    Snapshots(Moment, Vec<Snapshot>),
    /// The snapshot that was taken or found.
    Snapshot(Snapshot),
    /// Nothing to tell.
    Good,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
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
pub(super) enum Asked<T> {
    /// Nothing: nobody has asked.
    #[default]
    NotYet,
    /// It is not there.
    Absent,
    /// It is there.
    There(T),
}

impl<T> From<Option<T>> for Asked<T> {
    fn from(answer: Option<T>) -> Self {
        answer.map_or(Self::Absent, Self::There)
    }
}
