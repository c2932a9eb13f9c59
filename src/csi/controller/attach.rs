//! ControllerPublishVolume and ControllerUnpublishVolume: which node reaches a volume.

use tonic::{Code, Status};

use super::arrays::Arrays;
use crate::arrays::{AttachRequest, Attached, BlockArray as _};
use crate::contract::{NodeHost, NodeId};
use crate::csi::error::{invalid, of_array, status};
use crate::csi::message::{
    ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest, StringMap,
};
use crate::csi::request::{capability, check_shared, handle, required};
use crate::node::{Access, VolumeHandle};
use crate::sanitize::quoted;

/// Connects a node to a volume. Returns the publish context.
pub(super) async fn publish(
    arrays: &Arrays,
    request: &ControllerPublishVolumeRequest,
) -> Result<StringMap, Status> {
    required("volume_id", &request.volume_id)?;
    required("node_id", &request.node_id)?;
    let (mode, access) = capability(request.volume_capability.as_ref())?;
    check_shared(&mode, access)?;
    let found = arrays.existing(handle(&request.volume_id)?).await?;
    let node = node(&request.node_id)?;
    if node.iqn.is_none() && node.nqn.is_none() && node.wwns.is_empty() {
        let id = quoted(&request.node_id);
        let message = format!("no node with an initiator has the id {id}");
        return Err(status(Code::NotFound, &message));
    }
    let wanted = AttachRequest {
        volume: found.id.clone(),
        host: NodeHost { cluster: arrays.cluster().to_owned(), node },
        transport: None,
        exclusive: matches!(access, Access::SingleNodeWriter | Access::SingleNodeReader),
        passwords: None,
    };
    match found.on.array.attach(&wanted).await.map_err(|error| of_array(&error))? {
        Attached::Here(attachment) => Ok(attachment.to_context()),
        Attached::Elsewhere(hosts) => {
            let hosts: Vec<_> = hosts.into_iter().map(|host| host.name).collect();
            Err(status(
                Code::FailedPrecondition,
                &format!(
                    "{} may be connected to one host only, and is connected to {}; detach it there first",
                    found.id.name,
                    hosts.join(", ")
                ),
            ))
        }
    }
}

/// Disconnects a node from a volume; without a node, all of this cluster. Whatever is gone already counts as
/// disconnected.
///
/// The node's record of formatting is on the VolumeAttachment, which CSI does not show. A node that was connected may
/// have formatted the volume, so the array records that it has, before the connection ends. From then on, the zeros of a
/// damaged volume are no reason to format it.
pub(super) async fn unpublish(
    arrays: &Arrays,
    request: &ControllerUnpublishVolumeRequest,
) -> Result<(), Status> {
    required("volume_id", &request.volume_id)?;
    let Ok(handle) = request.volume_id.parse::<VolumeHandle>() else { return Ok(()) };
    let Some(found) = arrays.find(handle).await? else { return Ok(()) };
    let array = &found.on.array;
    let hosts = array.hosts(&found.id).await.map_err(|error| of_array(&error))?;
    if !request.node_id.is_empty() {
        let host = NodeHost { cluster: arrays.cluster().to_owned(), node: node(&request.node_id)? };
        if hosts.iter().any(|there| host.is(there)) {
            array.record_formatted(&found.id).await.map_err(|error| of_array(&error))?;
        }
        return array.detach(&found.id, &host).await.map_err(|error| of_array(&error));
    }
    // A host that an admin connected is not ours to disconnect.
    let ours = hosts.iter().filter(|host| NodeHost::is_of_cluster(arrays.cluster(), &host.name));
    for host in ours {
        array.record_formatted(&found.id).await.map_err(|error| of_array(&error))?;
        array.disconnect(&found.id, &host.name).await.map_err(|error| of_array(&error))?;
    }
    Ok(())
}

/// Parses the id of a node.
fn node(id: &str) -> Result<NodeId, Status> {
    NodeId::parse(id).ok_or_else(|| {
        invalid(&format!("node_id is {}, not one of pso-gen's node service", quoted(id)))
    })
}
