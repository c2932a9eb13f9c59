//! Snapshots of the Controller service. Their suffixes begin with `csi-`: neither the provisioner's schedules nor an
//! admin's snapshots have that form, and no other snapshot is ever destroyed here.

use futures::future::try_join_all;
use tonic::{Code, Status};

use super::arrays::{ARRAY_TIMEOUT, Arrays, ControllerArray};
use super::names::digest;
use crate::arrays::Array as _;
use crate::contract::{CSI_PREFIX, Snapshot, SnapshotOf, SnapshotSuffix, VolumeName, name};
use crate::csi::error::{of_array, status};
use crate::csi::message::{self, CreateSnapshotRequest, Timestamp};
use crate::csi::request::{bytes, handle, required};
use crate::node::VolumeHandle;

/// A snapshot that exists.
#[derive(Debug)]
pub(super) struct ExistingSnapshot<'a> {
    pub(super) on: &'a ControllerArray,
    pub(super) snapshot: Snapshot,
    /// The ids of the array and of the volume.
    pub(super) array_id: String,
    pub(super) volume_id: String,
}

/// Returns whether this service took a snapshot.
pub(super) fn is_ours(snapshot: &Snapshot) -> bool {
    SnapshotSuffix::is_of_csi(&snapshot.name)
}

/// Takes a snapshot, or returns the one that an earlier call of the same name took.
pub(super) async fn create(
    arrays: &Arrays,
    request: &CreateSnapshotRequest,
) -> Result<message::Snapshot, Status> {
    required("name", &request.name)?;
    let source = required("source_volume_id", &request.source_volume_id)?;
    let found = arrays.existing(handle(source)?).await?;
    let suffix = SnapshotSuffix::of_csi(&digest(&request.name));
    let suffix = suffix.ok_or_else(|| Status::internal("a wrong suffix"))?;
    for other in named(arrays, found.on, &format!("*.{suffix}")).await? {
        if other.volume_id != found.id.id {
            let message = format!(
                "the name is that of {}, a snapshot of another volume",
                other.snapshot.name
            );
            return Err(status(Code::AlreadyExists, &message));
        }
    }
    let taken = found.on.array.snapshot(&found.id, &suffix).await;
    let snapshot = taken.map_err(|error| of_array(&error))?;
    Ok(described(&ExistingSnapshot {
        on: found.on,
        snapshot,
        array_id: found.handle.array_id,
        volume_id: found.id.id,
    }))
}

/// Destroys a snapshot. The array keeps it until its eradication timer ends.
pub(super) async fn delete(arrays: &Arrays, snapshot_id: &str) -> Result<(), Status> {
    required("snapshot_id", snapshot_id)?;
    let Some(found) = find(arrays, snapshot_id).await? else { return Ok(()) };
    arrays.check_registration(found.on).await?;
    found.on.array.destroy_snapshot(&found.snapshot).await.map_err(|error| of_array(&error))
}

/// Returns a snapshot as CSI describes it.
pub(super) async fn get(arrays: &Arrays, snapshot_id: &str) -> Result<message::Snapshot, Status> {
    required("snapshot_id", snapshot_id)?;
    Ok(described(&existing(arrays, snapshot_id).await?))
}

/// Returns a snapshot that must exist.
pub(super) async fn existing<'a>(
    arrays: &'a Arrays,
    snapshot_id: &str,
) -> Result<ExistingSnapshot<'a>, Status> {
    find(arrays, snapshot_id).await?.ok_or_else(|| {
        let id = crate::sanitize::quoted(snapshot_id);
        status(Code::NotFound, &format!("no snapshot of pso-gen has the id {id}"))
    })
}

/// Returns the snapshot with an id, `ARRAY_ID/SNAPSHOT_ID`.
pub(super) async fn find<'a>(
    arrays: &'a Arrays,
    snapshot_id: &str,
) -> Result<Option<ExistingSnapshot<'a>>, Status> {
    // The form is that of a volume's.
    let Ok(id) = snapshot_id.parse::<VolumeHandle>() else { return Ok(None) };
    let on = arrays.array(&id.array_id).await?;
    let found = on.array.find_snapshot(&id.volume_id).await.map_err(|error| of_array(&error))?;
    let is_of_cluster = |found: &SnapshotOf| {
        let volume = found.snapshot.name.split_once('.').and_then(|(it, _)| VolumeName::new(it));
        volume.is_some_and(|volume| arrays.uid(&volume).is_some())
    };
    let found = found.filter(|found| is_alive(found) && is_of_cluster(found));
    Ok(found.map(|SnapshotOf { snapshot, volume_id }| ExistingSnapshot {
        on,
        snapshot,
        array_id: id.array_id,
        volume_id,
    }))
}

/// Returns all snapshots of this service on all arrays, in the order of their ids.
pub(super) async fn list(arrays: &Arrays) -> Result<Vec<message::Snapshot>, Status> {
    let all = all(arrays, &pattern(arrays)).await?;
    let described = all.into_iter().map(|(on, array_id, SnapshotOf { snapshot, volume_id })| {
        described(&ExistingSnapshot { on, snapshot, array_id, volume_id })
    });
    let mut all: Vec<_> = described.collect();
    all.sort_by(|one, other| one.snapshot_id.cmp(&other.snapshot_id));
    Ok(all)
}

/// Returns the pattern of the names of all snapshots of this service.
fn pattern(arrays: &Arrays) -> String {
    format!("{}*.{CSI_PREFIX}*", name::volume_prefix(arrays.cluster()))
}

/// Returns the snapshots on all arrays whose names match a pattern. Only one array has to answer: another one that is silent
/// keeps no snapshot from being taken, and external-snapshotter's names contain a UID, so that it uses none twice.
async fn named(
    arrays: &Arrays,
    own: &ControllerArray,
    pattern: &str,
) -> Result<Vec<SnapshotOf>, Status> {
    let asked = arrays.all().iter().map(|on| async move {
        let found = on.array.snapshots_like(pattern);
        if on.array.name() == own.array.name() {
            return found.await.map_err(|error| of_array(&error));
        }
        let found = tokio::time::timeout(ARRAY_TIMEOUT, found).await;
        Ok(found.ok().and_then(Result::ok).unwrap_or_default())
    });
    let named = try_join_all(asked).await?;
    Ok(named.into_iter().flatten().filter(is_alive).collect())
}

fn is_alive(each: &SnapshotOf) -> bool {
    !each.snapshot.destroyed && is_ours(&each.snapshot)
}

/// Returns the snapshots on all arrays whose names match a pattern, with the ids of their arrays.
async fn all<'a>(
    arrays: &'a Arrays,
    pattern: &str,
) -> Result<Vec<(&'a ControllerArray, String, SnapshotOf)>, Status> {
    let mut all = Vec::new();
    for on in arrays.all() {
        let found = on.array.snapshots_like(pattern).await.map_err(|error| of_array(&error))?;
        let id = on.array.identity().await.map_err(|error| of_array(&error))?.id;
        all.extend(found.into_iter().filter(is_alive).map(|each| (on, id.clone(), each)));
    }
    Ok(all)
}

fn described(found: &ExistingSnapshot<'_>) -> message::Snapshot {
    let created = found.snapshot.created.unwrap_or_default();
    message::Snapshot {
        size_bytes: bytes(found.snapshot.size.unwrap_or_default()),
        snapshot_id: format!("{}/{}", found.array_id, found.snapshot.id),
        source_volume_id: format!("{}/{}", found.array_id, found.volume_id),
        creation_time: Some(Timestamp {
            seconds: bytes(created / 1000),
            nanos: i32::try_from(created % 1000).unwrap_or_default() * 1_000_000,
        }),
        ready_to_use: true,
        group_snapshot_id: String::new(),
        accessible_topology: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_snapshots_of_this_service_are_ours() {
        let snapshot = |suffix: &str| Snapshot {
            name: format!("prod-pvc-1.{suffix}"),
            id: String::new(),
            volume: "prod-pvc-1".to_owned(),
            created: None,
            destroyed: false,
            size: None,
        };
        assert!(is_ours(&snapshot(&format!("csi-{}", digest("snapshot-1")))));
        for other in ["every-6h-1", "csi-backup", "csi-", "before-upgrade"] {
            assert!(!is_ours(&snapshot(other)), "{other}");
        }
    }
}
