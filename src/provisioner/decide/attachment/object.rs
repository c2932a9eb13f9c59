//! Facts that a VolumeAttachment, a CSINode and a PersistentVolume state about an attachment. Decides nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};

use crate::contract::annotation;
use crate::contract::{ATTACHER_FINALIZER, Attachment, DRIVER, NodeId, VolumeId, VolumeName};
use crate::provisioner::decide::effect::ObjectVersion;
use crate::provisioner::decide::persistent_volume::BackingVolume;

/// Returns the id that the node service has reported for a node; none if the service is not registered there.
pub fn node_id(node: &CSINode) -> Option<NodeId> {
    let driver = node.spec.drivers.iter().find(|driver| driver.name == DRIVER)?;
    NodeId::parse(&driver.node_id)
}

/// Returns whether a VolumeAttachment is one of this driver.
pub(super) fn is_ours(attachment: &VolumeAttachment) -> bool {
    attachment.spec.attacher == DRIVER
}

/// Returns whether a VolumeAttachment is being deleted: the volume shall be detached.
pub(super) fn is_being_deleted(attachment: &VolumeAttachment) -> bool {
    attachment.metadata.deletion_timestamp.is_some()
}

pub(super) fn has_finalizer(attachment: &VolumeAttachment) -> bool {
    attachment.metadata.finalizers.iter().flatten().any(|each| each == ATTACHER_FINALIZER)
}

/// Returns whether the status says that the volume is attached.
pub fn is_attached(attachment: &VolumeAttachment) -> bool {
    attachment.status.as_ref().is_some_and(|status| status.attached)
}

/// Returns the publish context in the status.
pub(super) fn context(attachment: &VolumeAttachment) -> Option<&BTreeMap<String, String>> {
    attachment.status.as_ref()?.attachment_metadata.as_ref()
}

/// Returns whether the record of formatting is still to be copied to the array.
pub(super) fn has_new_format(attachment: &VolumeAttachment) -> bool {
    let written = attachment.metadata.annotations.as_ref();
    let formatted =
        written.and_then(|all| all.get(annotation::FORMATTED)).is_some_and(|value| value == "true");
    formatted && context(attachment).is_none_or(Attachment::allows_formatting)
}

/// Returns the error in the status.
pub(super) fn error(attachment: &VolumeAttachment, detaching: bool) -> Option<&str> {
    let status = attachment.status.as_ref()?;
    let error = if detaching { &status.detach_error } else { &status.attach_error };
    error.as_ref()?.message.as_deref()
}

/// Returns the name of the PersistentVolume.
pub(super) fn volume_name(attachment: &VolumeAttachment) -> Option<&str> {
    attachment.spec.source.persistent_volume_name.as_deref()
}

/// Returns the volume that was recorded on a VolumeAttachment before it was attached.
pub fn recorded_volume(attachment: &VolumeAttachment) -> Option<BackingVolume> {
    let word = |key: &str| attachment.metadata.annotations.as_ref()?.get(key).cloned();
    let name = VolumeName::new(word(annotation::VOLUME)?)?;
    let volume = VolumeId { name, id: word(annotation::VOLUME_ID)? };
    Some(BackingVolume {
        array: word(annotation::ARRAY)?,
        array_id: word(annotation::ARRAY_ID)?,
        volume,
    })
}

/// Returns the node id that was recorded there. Its name is the one of the VolumeAttachment, which nothing changes.
pub fn recorded_node(attachment: &VolumeAttachment) -> Option<NodeId> {
    let word = attachment.metadata.annotations.as_ref()?.get(annotation::NODE_ID)?;
    let recorded = NodeId::parse(word)?;
    Some(NodeId { node: attachment.spec.node_name.clone(), ..recorded })
}

/// Returns the volume of a PersistentVolume from its source, which the API server keeps from being changed.
pub(super) fn volume_of(volume: &PersistentVolume) -> Option<BackingVolume> {
    let csi = volume.spec.as_ref()?.csi.as_ref()?;
    if csi.driver != DRIVER {
        return None;
    }
    let (array_id, id) = csi.volume_handle.split_once('/')?;
    let word = |key: &str| csi.volume_attributes.as_ref()?.get(key).cloned();
    let volume = VolumeId { name: VolumeName::new(word("name")?)?, id: id.to_owned() };
    Some(BackingVolume { array: word("array")?, array_id: array_id.to_owned(), volume })
}

/// Returns whether two records name one volume.
pub(super) fn is_same(one: &BackingVolume, other: &BackingVolume) -> bool {
    (&one.array_id, &one.volume.id) == (&other.array_id, &other.volume.id)
}

/// Returns whether a volume may be connected to one node only.
pub(super) fn is_exclusive(volume: &PersistentVolume) -> bool {
    let modes = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    modes.is_none_or(|modes| {
        modes.iter().all(|mode| matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod"))
    })
}

/// Returns the version of a VolumeAttachment, for a write that fails if it has changed.
pub(super) fn object_version(attachment: &VolumeAttachment) -> ObjectVersion {
    let metadata = &attachment.metadata;
    ObjectVersion {
        namespace: None,
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        version: metadata.resource_version.clone().unwrap_or_default(),
    }
}
