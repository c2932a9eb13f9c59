//! What the Controller service does with a volume that exists: delete, expand, limit, and say what it can be used for.

use tonic::{Code, Status};

use super::arrays::Arrays;
use super::names::MAX_VOLUME_SIZE;
use super::parameters;
use super::snapshots::is_ours;
use crate::arrays::Array as _;
use crate::contract::{ArrayKind, Qos};
use crate::csi::error::{invalid, of_array, status};
use crate::csi::message::{
    Confirmed, ControllerExpandVolumeRequest, ControllerModifyVolumeRequest,
    ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse,
};
use crate::csi::request::{Sizes, bytes, capability, check_shared, handle, required};
use crate::node::VolumeHandle;

/// Destroys a volume. The array keeps it until its eradication timer ends, as for every volume of pso-gen.
pub(super) async fn delete(arrays: &Arrays, volume_id: &str) -> Result<(), Status> {
    required("volume_id", volume_id)?;
    // A text that no volume of ours has as its id was never created.
    let Ok(handle) = volume_id.parse::<VolumeHandle>() else { return Ok(()) };
    let Some(found) = arrays.find(handle).await? else { return Ok(()) };
    // Destroying a volume destroys its snapshots, and their objects in the cluster would promise data that is gone.
    let all = found.on.array.snapshots(&found.id).await.map_err(|error| of_array(&error))?;
    if let Some(snapshot) = all.iter().find(|snapshot| !snapshot.destroyed && is_ours(snapshot)) {
        return Err(status(
            Code::FailedPrecondition,
            &format!(
                "{} has the snapshot {}, which would be destroyed with it; delete the VolumeSnapshots of the volume first",
                found.id.name, snapshot.name
            ),
        ));
    }
    let uid = arrays.uid(&found.id.name).unwrap_or_default();
    let owner = arrays.owner(uid, "", "");
    arrays.check_registration(found.on).await?;
    found.on.array.destroy(&found.id, &owner).await.map_err(|error| of_array(&error))
}

/// Expands a volume on its array. Returns its size in bytes.
pub(super) async fn expand(
    arrays: &Arrays,
    request: &ControllerExpandVolumeRequest,
) -> Result<i64, Status> {
    required("volume_id", &request.volume_id)?;
    if request.capacity_range.is_none() {
        return Err(invalid("the request has no capacity_range"));
    }
    let handle = handle(&request.volume_id)?;
    let sizes = Sizes::of(request.capacity_range.as_ref())?;
    if let Some(given) = &request.volume_capability {
        capability(Some(given))?;
    }
    let found = arrays.existing(handle).await?;
    let size = ArrayKind::FlashArray.rounded(sizes.smallest).max(found.volume.size);
    if size > MAX_VOLUME_SIZE || !sizes.contain(size) {
        return Err(status(
            Code::OutOfRange,
            &format!(
                "the volume would have {size} bytes: volumes never shrink, are rounded up to 1 MiB, and have at most {MAX_VOLUME_SIZE}"
            ),
        ));
    }
    let owner = arrays.owner(arrays.uid(&found.id.name).unwrap_or_default(), "", "");
    found.on.array.check_owned(&found.id, &owner).await.map_err(|error| of_array(&error))?;
    let grown = found.on.array.expand(&found.id, size).await.map_err(|error| of_array(&error))?;
    Ok(bytes(grown.size))
}

/// Limits a volume's bandwidth and operations.
pub(super) async fn modify(
    arrays: &Arrays,
    request: &ControllerModifyVolumeRequest,
) -> Result<(), Status> {
    let handle = handle(&request.volume_id)?;
    let qos = parameters::limits(&request.mutable_parameters)?;
    let found = arrays.existing(handle).await?;
    if qos == Qos::default() {
        return Ok(());
    }
    let owner = arrays.owner(arrays.uid(&found.id.name).unwrap_or_default(), "", "");
    found.on.array.limit(&found.id, &owner, qos).await.map_err(|error| of_array(&error))
}

/// Returns whether a volume can be used in some ways.
pub(super) async fn validate(
    arrays: &Arrays,
    request: ValidateVolumeCapabilitiesRequest,
) -> Result<ValidateVolumeCapabilitiesResponse, Status> {
    required("volume_id", &request.volume_id)?;
    if request.volume_capabilities.is_empty() {
        return Err(invalid("the request has no volume_capabilities"));
    }
    let handle = handle(&request.volume_id)?;
    arrays.existing(handle).await?;
    let checked = request.volume_capabilities.iter().try_for_each(|each| {
        let (mode, access) = capability(Some(each))?;
        check_shared(&mode, access)
    });
    let checked = checked.and_then(|()| parameters::class(&request.parameters).map(drop));
    let checked = checked.and_then(|()| parameters::limits(&request.mutable_parameters).map(drop));
    Ok(match checked {
        Ok(()) => ValidateVolumeCapabilitiesResponse {
            confirmed: Some(Confirmed {
                volume_context: request.volume_context,
                volume_capabilities: request.volume_capabilities,
                parameters: request.parameters,
                mutable_parameters: request.mutable_parameters,
            }),
            message: String::new(),
        },
        Err(why) => ValidateVolumeCapabilitiesResponse {
            confirmed: None,
            message: why.message().to_owned(),
        },
    })
}
