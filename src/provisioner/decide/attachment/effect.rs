//! Effects that attach and detach volumes, and their outcomes. How they are executed is unknown here.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::contract::{Attachment, BlockHost, NodeId};
use crate::provisioner::decide::effect::{EffectError, ObjectVersion, Severity};
use crate::provisioner::decide::persistent_volume::BackingVolume;
use crate::provisioner::decide::read_time::ReadTime;
use crate::provisioner::decide::reason::Reason;

/// An effect for the executor. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq)]
pub enum AttachmentEffect {
    /// Read a PersistentVolume from the API server.
    ReadPersistentVolume {
        /// Its name.
        name: String,
    },
    /// Write the finalizer, the volume and the node on a VolumeAttachment, so that the volume can be detached when
    /// everything else is gone. Fails if the object has changed since.
    Record {
        /// The VolumeAttachment, in the version that was seen.
        attachment: ObjectVersion,
        /// The volume.
        volume: Box<BackingVolume>,
        /// The node id.
        node_id: String,
    },
    /// Connect the node's host to the volume.
    Attach {
        /// The volume.
        volume: Box<BackingVolume>,
        /// The node.
        node: NodeId,
        /// Whether no other host may be connected.
        exclusive: bool,
    },
    /// Write that the volume is attached, with its publish context.
    SetAttached {
        /// The VolumeAttachment, in the version that was seen.
        attachment: ObjectVersion,
        /// The publish context.
        context: BTreeMap<String, String>,
    },
    /// List all VolumeAttachments from the API server, not from the watch.
    ListAttachments,
    /// Disconnect a host that belongs to no VolumeAttachment. The request is sent only while the process leads, and
    /// until [`VALID`](crate::provisioner::decide::VALID) after `read`.
    Disconnect {
        /// The volume.
        volume: Box<BackingVolume>,
        /// The host's name on the array.
        host: String,
        /// The time of the list on which the decision is based.
        read: ReadTime,
    },
    /// Record on the array that the volume was formatted.
    RecordFormatted {
        /// The volume.
        volume: Box<BackingVolume>,
    },
    /// Disconnect the node's hosts from the volume, and read back that they are: the fence.
    Detach {
        /// The volume.
        volume: Box<BackingVolume>,
        /// The node, as each source knows it.
        nodes: Vec<NodeId>,
    },
    /// Delete the hosts of a node that is gone. Whether it succeeds does not matter.
    DeleteHosts {
        /// The volume that was attached to the node, which names the array.
        volume: Box<BackingVolume>,
        /// The node, as each source knows it.
        nodes: Vec<NodeId>,
    },
    /// Write why the volume is not attached, or not detached, yet.
    SetError {
        /// The VolumeAttachment, in the version that was seen.
        attachment: ObjectVersion,
        /// Whether it is being detached.
        detaching: bool,
        /// Text for people.
        message: String,
    },
    /// Remove the finalizer: the node does not reach the volume any more.
    RemoveFinalizer {
        /// The VolumeAttachment, in the version that was seen.
        attachment: ObjectVersion,
    },
    /// Send [`AttachmentInput::Due`] after some time. It has no outcome.
    Requeue(Duration),
    /// Record an event on the claim of the volume. It has no outcome.
    RecordEvent {
        /// Normal or warning.
        severity: Severity,
        /// Why.
        reason: Reason,
        /// Text for events and logs.
        message: String,
    },
}

impl AttachmentEffect {
    /// Returns the volume that an effect changes on its array; none for an effect in the cluster. One effect at a time
    /// changes a volume.
    pub fn on_array(&self) -> Option<&BackingVolume> {
        match self {
            Self::Attach { volume, .. }
            | Self::Disconnect { volume, .. }
            | Self::RecordFormatted { volume }
            | Self::Detach { volume, .. }
            | Self::DeleteHosts { volume, .. } => Some(volume),
            _ => None,
        }
    }

    /// Returns the word for it in logs and metrics; none for an effect without an outcome.
    pub fn label(&self) -> Option<&'static str> {
        Some(match self {
            Self::ReadPersistentVolume { .. } => "read-persistent-volume",
            Self::Record { .. } => "record-attachment",
            Self::Attach { .. } => "attach-volume",
            Self::SetAttached { .. } => "set-attached",
            Self::ListAttachments => "list-attachments",
            Self::Disconnect { .. } => "disconnect-host",
            Self::RecordFormatted { .. } => "record-formatted",
            Self::Detach { .. } => "detach-volume",
            Self::DeleteHosts { .. } => "delete-hosts",
            Self::SetError { .. } => "set-attachment-error",
            Self::RemoveFinalizer { .. } => "remove-attachment-finalizer",
            Self::Requeue(_) | Self::RecordEvent { .. } => return None,
        })
    }
}

/// An input of [`AttachmentState::step`](super::AttachmentState::step).
#[derive(Debug, Clone)]
pub enum AttachmentInput {
    /// The view has changed.
    Changed,
    /// The time of an [`AttachmentEffect::Requeue`] has come.
    Due,
    /// The result of the effect in flight.
    Done(Result<AttachmentOutcome, EffectError>),
}

/// The outcome of an effect that succeeded.
#[derive(Debug, Clone)]
pub enum AttachmentOutcome {
    /// The VolumeAttachment as it was written; none if it does not exist.
    Written(Option<Box<VolumeAttachment>>),
    /// The PersistentVolume; none if it does not exist.
    PersistentVolume(Option<Box<PersistentVolume>>),
    /// All VolumeAttachments, with the time of the request.
    Attachments(ReadTime, Vec<VolumeAttachment>),
    /// The node reaches the volume.
    Attached(Box<Attachment>),
    /// Other hosts are connected to the volume, and nothing was changed.
    Elsewhere(Vec<BlockHost>),
    /// Success without a value.
    Good,
}
