//! Volumes as block devices of nodes: what a FlashArray does for a node that shall reach a volume, and for one that
//! shall not reach it any more. Knows neither Kubernetes nor CSI, which both call it.

use async_trait::async_trait;

use super::chap::ChapFolder;
use super::error::Error;
use crate::contract::{Attachment, BlockHost, BlockTransport, ChapPassword, NodeHost, VolumeId};

/// A request to let a node reach a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachRequest {
    /// The volume.
    pub volume: VolumeId,
    /// The node.
    pub host: NodeHost,
    /// The transport; `None` takes the first of [`BlockTransport::ALL`] that array and node have in common.
    pub transport: Option<BlockTransport>,
    /// Whether no other host may be connected (`ReadWriteOnce`, `ReadWriteOncePod`).
    pub exclusive: bool,
    /// The passwords of the nodes, for iSCSI; none if the array asks for none.
    pub passwords: Option<ChapFolder>,
}

/// The result of [`BlockArray::attach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// The node reaches the volume.
    Here(Attachment),
    /// Other hosts are connected, and the request was exclusive: nothing was connected.
    Elsewhere(Vec<BlockHost>),
}

/// An array that connects its volumes to nodes as block devices.
///
/// Every method may be repeated, also after a lost response. Each reads what is there and changes what differs. What
/// is already gone, be it the volume, the host or the connection, counts as disconnected.
#[async_trait]
pub trait BlockArray: std::fmt::Debug + Send + Sync {
    /// Connects the node's host to a volume. Uses the host that has one of the node's initiators, or creates one.
    /// Fails when two nodes have one initiator name, when the host has initiators of other machines too, and when
    /// array and node have no transport in common.
    async fn attach(&self, wanted: &AttachRequest) -> Result<Attached, Error>;

    /// Disconnects every host of a node from a volume, and reads back that it is disconnected: from then on, the node
    /// cannot write to the volume. The node itself is not asked, and it may be gone.
    async fn detach(&self, volume: &VolumeId, host: &NodeHost) -> Result<(), Error>;

    /// Disconnects the host with a name from a volume, in the same way.
    async fn disconnect(&self, volume: &VolumeId, host: &str) -> Result<(), Error>;

    /// Returns the hosts that are connected to a volume.
    async fn hosts(&self, volume: &VolumeId) -> Result<Vec<BlockHost>, Error>;

    /// Sets the CHAP password of a node at its hosts, if it has any. Sessions stay, and the next log-in needs it.
    async fn set_password(&self, host: &NodeHost, password: &ChapPassword) -> Result<(), Error>;

    /// Records on the array that a volume was formatted, so that no node formats it again.
    async fn record_formatted(&self, volume: &VolumeId) -> Result<(), Error>;

    /// Deletes the hosts of a node that is gone: those with a name that pso-gen gives to it, without initiators of
    /// other machines, and without connections. Other hosts stay.
    async fn delete_hosts(&self, host: &NodeHost) -> Result<(), Error>;
}
