//! The nodes of a cluster and their host objects on arrays: which host belongs to which node. Decides nothing.

use std::collections::HashMap;

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::object::recorded_node;
use crate::contract::name::volume_prefix;
use crate::contract::{BlockHost, Initiators, NodeHost, NodeId};
use crate::provisioner::decide::persistent_volume::BackingVolume;

/// The id of each node that has a CSINode; none where the node service is not registered.
pub type NodeIds = HashMap<String, Option<NodeId>>;

pub(super) fn host_of(cluster: &str, node: NodeId) -> NodeHost {
    NodeHost { cluster: cluster.to_owned(), node }
}

/// Returns the node of a VolumeAttachment as its record and its CSINode know it; by its name alone if neither does.
pub(super) fn nodes_of(nodes: &NodeIds, attachment: &VolumeAttachment) -> Vec<NodeId> {
    let name = &attachment.spec.node_name;
    let now = nodes.get(name).cloned().flatten();
    let now = now.map(|node| NodeId { node: name.clone(), ..node });
    let mut nodes: Vec<NodeId> = recorded_node(attachment).into_iter().chain(now).collect();
    nodes.dedup();
    if nodes.is_empty() {
        nodes.push(NodeId { node: name.clone(), ..NodeId::default() });
    }
    nodes
}

/// Returns whether a connected host is one of this cluster: a node has it, or it has the cluster's name and the volume
/// was created by the cluster, which no other cluster uses.
pub(super) fn is_known(
    cluster: &str,
    nodes: &NodeIds,
    backing_volume: &BackingVolume,
    host: &BlockHost,
) -> bool {
    let nodes = nodes
        .iter()
        .filter_map(|(name, node)| Some(NodeId { node: name.clone(), ..node.clone()? }));
    let mut nodes = nodes.map(|node| host_of(cluster, node));
    nodes.any(|node| node.is(host))
        || (NodeHost::is_of_cluster(cluster, &host.name)
            && backing_volume.volume.name.begins_with(&volume_prefix(cluster)))
}

/// Returns the refusal of a node that has an initiator of another one: both would see each other's volumes.
pub(super) fn twin(nodes: &NodeIds, node: &NodeId) -> Option<String> {
    let own = Initiators::of(node);
    nodes.iter().filter(|(name, _)| **name != node.node).find_map(|(name, other)| {
        let shared = own.shared(&Initiators::of(other.as_ref()?))?;
        let mut both = [&node.node, name];
        both.sort();
        Some(format!(
            "nodes {} and {} have one initiator name, {shared}; give one of them another name (iSCSI: /etc/iscsi/initiatorname.iscsi, NVMe: /etc/nvme/hostnqn) and restart it",
            both[0], both[1]
        ))
    })
}
