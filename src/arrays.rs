//! The arrays behind their REST APIs, in the product's words: what is wanted of a volume, and what came
//! of it.
//!
//! ```text
//!  Array (ensure, grow, destroy, …) ─▶ flashblade | flasharray ─▶ goal ─▶ rest ─▶ session, pace, trust
//! ```
//!
//! Every `ensure` may be repeated, also after an answer was lost: what is there is read again and
//! compared, never guessed from a message. An object that is not ours is never touched. Knows nothing
//! of Kubernetes, and shares no code with the simulator.

mod bounded;
mod capacity;
mod certificate_error;
mod convergence;
mod error;
mod fence;
mod flasharray;
mod flashblade;
mod identity;
mod lifecycle;
mod limits;
mod rest;
mod session;
mod snapshot;
mod token;
mod trust;
mod version;

use std::sync::Arc;

use async_trait::async_trait;

use crate::contract::{
    Capacity, Owner, Snapshot, SnapshotSuffix, Transport, Volume, VolumeId, VolumeName,
    VolumeRequest,
};

pub use error::{Error, Kind};
pub use fence::{Fence, Fenced, OnlyIf};
pub use flasharray::{Connection, FlashArray, Host};
pub use flashblade::FlashBlade;
pub use identity::Identity;
pub use limits::Pace;
pub use rest::Endpoint;
pub use token::TokenFile;
pub use trust::Trust;

/// An array, whichever kind it is.
///
/// Every method may be called by many at once, waits while the array is overloaded, and ends after
/// [`Pace::patience`] ([`list`](Self::list): [`Pace::list`]) at the latest with an [`Error`] that says whether
/// to come again. What an array answers is read up to limits; names, ids and addresses that no array has are
/// refused, and other texts are made plain.
#[async_trait]
pub trait Array: std::fmt::Debug + Send + Sync {
    /// Returns how the storage document calls it.
    fn name(&self) -> &str;

    /// Returns another handle of the same array, whose operations go on only under conditions.
    fn only_if(&self, only_if: OnlyIf) -> Arc<dyn Array>;

    /// Returns which array it is, as it says itself.
    async fn identity(&self) -> Result<Identity, Error>;

    /// Returns its size and what of it is used and given out.
    async fn capacity(&self) -> Result<Capacity, Error>;

    /// Returns where clients reach its volumes.
    async fn reach(&self) -> Result<Transport, Error>;

    /// Makes a volume, or brings one that is there to what is wanted. Never makes one smaller. Takes a
    /// destroyed one back when its tags prove that it was made for the same owner (FlashArray); refuses it
    /// otherwise, rather than give one claim what another may have written.
    async fn ensure(&self, wanted: &VolumeRequest) -> Result<Volume, Error>;

    /// Returns what is there under a name, destroyed or not.
    async fn describe(&self, name: &VolumeName) -> Result<Option<Volume>, Error>;

    /// Returns all volumes, destroyed or not, whose names begin with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<Volume>, Error>;

    /// Returns those of the volumes with some ids that are there, destroyed or not, whatever they are called.
    async fn find(&self, ids: &[String]) -> Result<Vec<Volume>, Error>;

    /// Gives a volume another name. Goes wrong when there is none of the old name, or one of the new.
    async fn rename(&self, from: &VolumeName, to: &VolumeName) -> Result<(), Error>;

    /// Makes a volume at least `size` bytes large.
    async fn grow(&self, volume: &VolumeId, size: u64) -> Result<Volume, Error>;

    /// Destroys a volume with its snapshots; the array eradicates them when its timer ends, never we.
    /// Good when it is destroyed or gone already. Refused while a host is connected, and when name, id
    /// and owner do not go together.
    async fn destroy(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error>;

    /// Takes a snapshot `name.suffix`, or finds the one of that name.
    async fn snapshot(&self, volume: &VolumeId, suffix: &SnapshotSuffix)
    -> Result<Snapshot, Error>;

    /// Returns a volume's snapshots, destroyed or not.
    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<Snapshot>, Error>;

    /// Destroys a snapshot. Good when it is destroyed or gone already.
    async fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error>;

    /// Ends the session with the array, if there is one.
    async fn log_out(&self);
}
