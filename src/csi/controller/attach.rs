//! ControllerPublishVolume and ControllerUnpublishVolume: which node reaches a volume.

use tonic::{Code, Status};

use super::arrays::{Arrays, Found};
use crate::arrays::{Array as _, Host};
use crate::contract::{Attachment, BlockTransport, NodeId, Transport};
use crate::csi::error::{invalid, of_array, status};
use crate::csi::message::{
    ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest, Words,
};
use crate::csi::request::{capability, check_shared, handle, required};
use crate::node::{Access, VolumeHandle};
use crate::sanitize::quoted;

/// Connects a node to a volume. Returns the publish context.
pub(super) async fn publish(
    arrays: &Arrays,
    request: &ControllerPublishVolumeRequest,
) -> Result<Words, Status> {
    required("volume_id", &request.volume_id)?;
    required("node_id", &request.node_id)?;
    let (mode, access) = capability(request.volume_capability.as_ref())?;
    check_shared(&mode, access)?;
    let found = arrays.existing(handle(&request.volume_id)?).await?;
    let (node, iqn) = node(&request.node_id)?;
    let host = Host { name: format!("{}-{}", arrays.cluster(), node.node), iqn };
    let is_exclusive = matches!(access, Access::SingleNodeWriter | Access::SingleNodeReader);
    if is_exclusive {
        check_alone(&found, &host).await?;
    }
    let array = &found.on.array;
    let connected = array.connect(&found.id, &host).await.map_err(|error| of_array(&error))?;
    let Transport::Iscsi { target, portals } =
        array.reach().await.map_err(|error| of_array(&error))?
    else {
        return Err(Status::internal("a FlashArray has no iSCSI ports"));
    };
    let attachment = Attachment {
        transport: BlockTransport::Iscsi,
        target,
        portals,
        lun: u32::try_from(connected.lun).map_err(|_| Status::internal("a LUN out of range"))?,
        serial: found.volume.serial.clone().unwrap_or_default(),
        size: found.volume.size,
        never_formatted: false,
    };
    Ok(attachment.to_context())
}

/// Fails while another host than the node's is connected: a file system on the volume would be destroyed by two.
async fn check_alone(found: &Found<'_>, host: &Host) -> Result<(), Status> {
    let all = found.on.array.connections(&found.id).await.map_err(|error| of_array(&error))?;
    let Some(other) = all.iter().find(|each| !each.host.eq_ignore_ascii_case(&host.name)) else {
        return Ok(());
    };
    Err(status(
        Code::FailedPrecondition,
        &format!(
            "{} is connected to the host {} and may be connected to one only; detach it there first",
            found.id.name, other.host
        ),
    ))
}

/// Disconnects a node from a volume. Whatever is gone already counts as disconnected.
pub(super) async fn unpublish(
    arrays: &Arrays,
    request: &ControllerUnpublishVolumeRequest,
) -> Result<(), Status> {
    required("volume_id", &request.volume_id)?;
    let Ok(handle) = request.volume_id.parse::<VolumeHandle>() else { return Ok(()) };
    let Some(found) = arrays.find(handle).await? else { return Ok(()) };
    let (_, iqn) = node(&request.node_id)?;
    found.on.array.disconnect(&found.id, &iqn).await.map_err(|error| of_array(&error))
}

/// Returns a node and its iSCSI initiator.
fn node(id: &str) -> Result<(NodeId, String), Status> {
    let node = NodeId::parse(id).ok_or_else(|| {
        invalid(&format!("node_id is {}, not one of pso-gen's node service", quoted(id)))
    })?;
    let iqn = node.iqn.clone().ok_or_else(|| {
        status(
            Code::NotFound,
            &format!("no node with an iSCSI initiator has the id {}", quoted(id)),
        )
    })?;
    Ok((node, iqn))
}
