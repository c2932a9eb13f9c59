//! Decides how a volume is connected to its node, and which other connections prevent that.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::effect::AttachmentEffect;
use super::nodes::{host_of, is_known, nodes_of, twin};
use super::object::{
    context, has_finalizer, has_new_format, is_attached, is_being_deleted, is_exclusive, is_ours,
    is_same, object_version, recorded_node, recorded_volume, volume_name, volume_of,
};
use super::{AttachmentState, AttachmentView, Next};
use crate::contract::{Attachment, BlockHost, NodeId};
use crate::provisioner::decide::effect::Lookup;
use crate::provisioner::decide::persistent_volume::BackingVolume;

impl AttachmentState {
    /// Decides about a VolumeAttachment that shall be, or is, attached.
    pub(super) fn attach(&self, view: AttachmentView<'_>, attachment: &VolumeAttachment) -> Next {
        if self.released {
            return Next::Nothing;
        }
        if is_attached(attachment) {
            return self.note_format(attachment);
        }
        let Some(name) = volume_name(attachment) else {
            return Next::Stuck("it names no PersistentVolume".to_owned());
        };
        let volume = match &self.volume {
            Lookup::NotYet => {
                return Next::Do(AttachmentEffect::ReadPersistentVolume { name: name.to_owned() });
            }
            Lookup::Absent => {
                return Next::Stuck(format!("PersistentVolume {name} does not exist"));
            }
            Lookup::There(volume) => volume,
        };
        let Some(backing_volume) = volume_of(volume) else {
            let message = format!(
                "PersistentVolume {name} does not name a volume of a FlashArray as pso-gen writes it"
            );
            return Next::Stuck(message);
        };
        let node_name = &attachment.spec.node_name;
        let node = match view.nodes.get(node_name) {
            Some(Some(node)) => NodeId { node: node_name.clone(), ..node.clone() },
            Some(None) | None => {
                return Next::Stuck(format!(
                    "the node service of pso-gen is not registered on node {node_name}; look at its pod on that node"
                ));
            }
        };
        if let Some(message) = twin(view.nodes, &node) {
            return Next::Stuck(message);
        }
        let Some(node_id) = node.format() else {
            return Next::Stuck(format!("the id of node {node_name} is longer than CSI allows"));
        };
        let is_recorded = has_finalizer(attachment)
            && recorded_volume(attachment).as_ref() == Some(&backing_volume)
            && recorded_node(attachment).as_ref() == Some(&node);
        let volume_id = Box::new(backing_volume);
        if !is_recorded {
            let attachment = object_version(attachment);
            return Next::Do(AttachmentEffect::Record { attachment, volume: volume_id, node_id });
        }
        if let Some(hosts) = &self.elsewhere {
            return self.occupied(view, attachment, &volume_id, hosts);
        }
        let Some(attached) = &self.attached else {
            let exclusive = is_exclusive(volume);
            // Until the other one is gone, its node may have formatted the volume without a record on the array.
            let leaves = |other: &&&VolumeAttachment| {
                other.spec.node_name != *node_name
                    && is_being_deleted(other)
                    && has_finalizer(other)
            };
            if let Some(other) = view.others.iter().find(leaves).filter(|_| exclusive) {
                let (from, name) = (&other.spec.node_name, other.metadata.name.as_deref());
                return Next::Stuck(format!(
                    "{} is still being detached from node {from}; it is attached here when VolumeAttachment {} is gone",
                    volume_id.volume.name,
                    name.unwrap_or_default()
                ));
            }
            return Next::Do(AttachmentEffect::Attach { volume: volume_id, node, exclusive });
        };
        let mut context = attached.to_context();
        if has_new_format(attachment) {
            if attached.never_formatted && !self.recorded_format {
                return Next::Do(AttachmentEffect::RecordFormatted { volume: volume_id });
            }
            Attachment::forbid_formatting(&mut context);
        }
        Next::Do(AttachmentEffect::SetAttached { attachment: object_version(attachment), context })
    }

    /// Copies the record of formatting to the array, and then to the publish context: from then on, neither allows it.
    fn note_format(&self, attachment: &VolumeAttachment) -> Next {
        let (Some(context), Some(volume)) = (context(attachment), recorded_volume(attachment))
        else {
            return Next::Nothing;
        };
        if !has_new_format(attachment) {
            return Next::Nothing;
        }
        if !self.recorded_format {
            return Next::Do(AttachmentEffect::RecordFormatted { volume: Box::new(volume) });
        }
        let mut context = context.clone();
        Attachment::forbid_formatting(&mut context);
        Next::Do(AttachmentEffect::SetAttached { attachment: object_version(attachment), context })
    }

    /// Decides about hosts that are connected in the way.
    fn occupied(
        &self,
        view: AttachmentView<'_>,
        attachment: &VolumeAttachment,
        backing_volume: &BackingVolume,
        hosts: &[BlockHost],
    ) -> Next {
        let Some((read, listed)) = &self.listed else {
            return Next::Do(AttachmentEffect::ListAttachments);
        };
        let of_volume = |other: &&VolumeAttachment| {
            is_ours(other)
                && (volume_name(other) == volume_name(attachment)
                    || recorded_volume(other).is_some_and(|it| is_same(&it, backing_volume)))
        };
        let of_volume: Vec<&VolumeAttachment> = listed.iter().filter(of_volume).collect();
        for host in hosts {
            let owner = of_volume.iter().find(|other| {
                nodes_of(view.nodes, other)
                    .into_iter()
                    .any(|node| host_of(view.cluster, node).is(host))
            });
            let message = match owner {
                Some(own) if own.metadata.uid == attachment.metadata.uid => continue,
                Some(other) => {
                    let (node, name) = (&other.spec.node_name, other.metadata.name.as_deref());
                    let name = name.unwrap_or_default();
                    format!(
                        "{} is connected to node {node} by VolumeAttachment {name}, and its access mode allows one node; it is attached here when that one is gone",
                        backing_volume.volume.name
                    )
                }
                None if is_known(view.cluster, view.nodes, backing_volume, host) => continue,
                None => format!(
                    "{} is connected to host {} on {}, which is not a node of this cluster; disconnect it on the array if that machine does not need it",
                    backing_volume.volume.name, host.name, backing_volume.array
                ),
            };
            return Next::Stuck(message);
        }
        let (volume, read) = (Box::new(backing_volume.clone()), *read);
        match hosts.first() {
            Some(host) => {
                Next::Do(AttachmentEffect::Disconnect { volume, host: host.name.clone(), read })
            }
            None => Next::Stuck(format!("{} is connected elsewhere", backing_volume.volume.name)),
        }
    }
}
