//! Decides how a volume leaves its node.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::effect::AttachmentEffect;
use super::nodes::nodes_of;
use super::object::{
    has_finalizer, has_new_format, is_being_deleted, is_same, object_version, recorded_volume,
    volume_name, volume_of,
};
use super::{AttachmentState, AttachmentView, Next};
use crate::provisioner::decide::effect::Lookup;
use crate::provisioner::decide::persistent_volume::BackingVolume;

impl AttachmentState {
    /// Decides about a VolumeAttachment that is being deleted.
    pub(super) fn detach(&self, view: AttachmentView<'_>, attachment: &VolumeAttachment) -> Next {
        if self.released || !has_finalizer(attachment) {
            return Next::Nothing;
        }
        let there = match (&self.volume, volume_name(attachment)) {
            (Lookup::NotYet, Some(name)) => {
                return Next::Do(AttachmentEffect::ReadPersistentVolume { name: name.to_owned() });
            }
            (Lookup::There(volume), _) => volume_of(volume),
            _ => None,
        };
        // Annotations may be changed, and another PersistentVolume may have taken the name: both volumes are detached.
        let mut volumes: Vec<BackingVolume> =
            there.into_iter().chain(recorded_volume(attachment)).collect();
        volumes.dedup_by(|one, other| is_same(one, other));
        let nodes = nodes_of(view.nodes, attachment);
        let is_on_node = |other: &&&VolumeAttachment| {
            other.spec.node_name == attachment.spec.node_name
                && other.metadata.uid != attachment.metadata.uid
        };
        let mut on_node = view.others.iter().filter(is_on_node);
        // Two PersistentVolumes may name one volume.
        let is_needed = on_node.any(|other| has_finalizer(other) && !is_being_deleted(other));
        let first = volumes.first().cloned().map(Box::new);
        if let (Some(volume), true) = (&first, has_new_format(attachment) && !self.recorded_format)
        {
            return Next::Do(AttachmentEffect::RecordFormatted { volume: volume.clone() });
        }
        if let Some(volume) = volumes.get(self.detached).filter(|_| !is_needed) {
            let volume = Box::new(volume.clone());
            return Next::Do(AttachmentEffect::Detach { volume, nodes });
        }
        let is_gone = !view.nodes.contains_key(&attachment.spec.node_name);
        if let (Some(volume), true) = (first, is_gone && !self.deleted_hosts) {
            return Next::Do(AttachmentEffect::DeleteHosts { volume, nodes });
        }
        // Without a volume, nothing was connected: the record is older than the first connection.
        Next::Do(AttachmentEffect::RemoveFinalizer { attachment: object_version(attachment) })
    }
}
