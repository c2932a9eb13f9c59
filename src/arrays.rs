//! Clients of the arrays' REST APIs. Callers request a state of a volume and get the result.
//!
//! ```text
//!  Array (ensure, grow, destroy, …) ─▶ flashblade | flasharray ─▶ convergence ─▶ rest ─▶ session, limits, trust
//! ```
//!
//! Every `ensure` may be repeated, also after a lost response: the client reads the current state again and compares
//! it, and never infers it from a message. It never changes an object that belongs to another owner. Knows nothing
//! about Kubernetes, and shares no code with the simulator.

mod block;
mod bounded;
mod capacity;
mod certificate_error;
mod chap;
mod convergence;
mod error;
mod fence;
mod flasharray;
mod flashblade;
mod identity;
mod lifecycle;
mod limits;
mod observer;
mod rest;
mod session;
mod snapshot;
mod token;
mod trust;
mod version;

use std::sync::Arc;

use async_trait::async_trait;

use crate::contract::{
    Capacity, Owner, Snapshot, SnapshotOf, SnapshotSuffix, Transport, Volume, VolumeId, VolumeName,
    VolumeRequest,
};

pub use block::{AttachRequest, Attached, BlockArray};
pub use chap::ChapFolder;
pub use error::{Error, Kind};
pub use fence::{Fence, Fenced, OnlyIf};
pub use flasharray::FlashArray;
pub use flashblade::FlashBlade;
pub use identity::Identity;
pub use limits::RequestLimits;
pub use observer::{EndedOperation, Observer};
pub use rest::Endpoint;
pub use token::TokenFile;
pub use trust::Trust;

/// An array of either kind.
///
/// Every method may be called concurrently. It waits while the array is overloaded and ends after
/// [`RequestLimits::operation_timeout`] ([`list`](Self::list): [`RequestLimits::list_timeout`]) at the latest, with an
/// [`Error`] that says whether to retry. Responses are read up to size limits. Names, ids and addresses that an array
/// cannot have are rejected, and other texts are sanitized.
#[async_trait]
pub trait Array: std::fmt::Debug + Send + Sync {
    /// Returns the array's name in the storage document.
    fn name(&self) -> &str;

    /// Returns another handle of the same array, whose operations proceed only under the given conditions.
    fn only_if(&self, only_if: OnlyIf) -> Arc<dyn Array>;

    /// Returns the identity that the array reports.
    async fn identity(&self) -> Result<Identity, Error>;

    /// Returns its total, used and provisioned capacity.
    async fn capacity(&self) -> Result<Capacity, Error>;

    /// Returns the addresses where clients reach its volumes.
    async fn transport(&self) -> Result<Transport, Error>;

    /// Returns the same array as one that connects volumes to nodes; `None` for one that serves file systems only.
    /// It has the conditions of this handle.
    fn block(&self) -> Option<Arc<dyn BlockArray>>;

    /// Creates a volume, or changes an existing one to the requested state. Never shrinks a volume. Recovers a destroyed
    /// volume when its tags prove that it was created for the same owner (FlashArray). Otherwise it fails, so that one
    /// claim never gets the data of another.
    async fn ensure(&self, wanted: &VolumeRequest) -> Result<Volume, Error>;

    /// Returns the volume with a name, destroyed or not.
    async fn describe(&self, name: &VolumeName) -> Result<Option<Volume>, Error>;

    /// Returns all volumes, destroyed or not, whose names begin with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<Volume>, Error>;

    /// Returns the volumes with the given ids, destroyed or not, whatever their names are. Ids that do not exist are
    /// left out.
    async fn find(&self, ids: &[String]) -> Result<Vec<Volume>, Error>;

    /// Renames a volume. Fails when no volume has the old name, or one has the new name.
    async fn rename(&self, from: &VolumeName, to: &VolumeName) -> Result<(), Error>;

    /// Expands a volume to at least `size` bytes.
    async fn expand(&self, volume: &VolumeId, size: u64) -> Result<Volume, Error>;

    /// Destroys a volume with its snapshots. The array eradicates them when its timer ends; pso-gen never does.
    /// Succeeds when the volume is already destroyed or gone. Fails while a host is connected, and when name, id and
    /// owner do not match.
    async fn destroy(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error>;

    /// Takes a snapshot `name.suffix`, or returns the existing one of that name.
    async fn snapshot(&self, volume: &VolumeId, suffix: &SnapshotSuffix)
    -> Result<Snapshot, Error>;

    /// Returns a volume's snapshots, destroyed or not.
    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<Snapshot>, Error>;

    /// Returns the snapshots of all volumes whose names match a pattern in which `*` stands for any characters.
    async fn snapshots_like(&self, pattern: &str) -> Result<Vec<SnapshotOf>, Error>;

    /// Returns the snapshot with an id, destroyed or not.
    async fn find_snapshot(&self, id: &str) -> Result<Option<SnapshotOf>, Error>;

    /// Destroys a snapshot. Succeeds when it is already destroyed or gone.
    async fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error>;

    /// Ends the session with the array, if one is open.
    async fn log_out(&self);
}
