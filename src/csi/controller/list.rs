//! Lists of the Controller service, in pages, and the capacity of the arrays.

use std::collections::BTreeMap;

use tonic::{Code, Status};

use super::arrays::Arrays;
use super::{parameters, snapshots};
use crate::arrays::Array as _;
use crate::contract::name;
use crate::csi::error::{invalid, of_array, status};
use crate::csi::message::{
    GetCapacityRequest, GetCapacityResponse, ListSnapshotsRequest, ListSnapshotsResponse,
    ListVolumesRequest, ListVolumesResponse, SnapshotEntry, VolumeEntry,
};
use crate::csi::request::{bytes, capability};
use crate::node::VolumeHandle;
use crate::provisioner::decide::Health;

/// Returns this cluster's volumes on all arrays.
pub(super) async fn volumes(
    arrays: &Arrays,
    request: &ListVolumesRequest,
) -> Result<ListVolumesResponse, Status> {
    let page = Page::of(request.max_entries, &request.starting_token)?;
    let prefix = name::volume_prefix(arrays.cluster());
    let mut all = BTreeMap::new();
    for on in arrays.all() {
        let volumes = on.array.list(&prefix).await.map_err(|error| of_array(&error))?;
        let id = on.array.identity().await.map_err(|error| of_array(&error))?.id;
        for volume in volumes.iter().filter(|volume| !volume.destroyed) {
            let described = on.described(&id, volume, None);
            all.insert(described.volume_id.clone(), described);
        }
    }
    let (some, next_token) = page.take_entries(all.into_iter().collect());
    let entry = |volume| VolumeEntry { volume: Some(volume), status: None };
    Ok(ListVolumesResponse { entries: some.into_iter().map(entry).collect(), next_token })
}

/// Returns the snapshots of this service on all arrays: all of them, one, or those of a volume.
pub(super) async fn snapshots(
    arrays: &Arrays,
    request: &ListSnapshotsRequest,
) -> Result<ListSnapshotsResponse, Status> {
    let page = Page::of(request.max_entries, &request.starting_token)?;
    let is_wanted = |wanted: &str, id: &str| wanted.is_empty() || wanted == id;
    let all = snapshots::list(arrays).await?.into_iter().filter(|snapshot| {
        is_wanted(&request.snapshot_id, &snapshot.snapshot_id)
            && is_wanted(&request.source_volume_id, &snapshot.source_volume_id)
    });
    let all = all.map(|snapshot| (snapshot.snapshot_id.clone(), snapshot));
    let (some, next_token) = page.take_entries(all.collect());
    let entry = |snapshot| SnapshotEntry { snapshot: Some(snapshot) };
    Ok(ListSnapshotsResponse { entries: some.into_iter().map(entry).collect(), next_token })
}

/// A page of a list that is sorted by ids.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    /// Its length. `None` without a limit.
    length: Option<usize>,
    /// The id after which it begins: it stays right when entries come and go between two pages.
    after: Option<String>,
}

impl Page {
    fn of(max_entries: i32, token: &str) -> Result<Self, Status> {
        let length = usize::try_from(max_entries)
            .map_err(|_| invalid(&format!("max_entries is {max_entries}, less than nothing")))?;
        if !token.is_empty() && token.parse::<VolumeHandle>().is_err() {
            return Err(status(Code::Aborted, "starting_token is not from a list of this service"));
        }
        Ok(Self {
            length: Some(length).filter(|length| *length > 0),
            after: Some(token.to_owned()).filter(|token| !token.is_empty()),
        })
    }

    /// Returns the entries of the page, and the token of the next one.
    fn take_entries<T>(self, mut sorted: Vec<(String, T)>) -> (Vec<T>, String) {
        if let Some(after) = self.after {
            sorted.retain(|(id, _)| *id > after);
        }
        let mut next = String::new();
        if let Some(length) = self.length.filter(|length| *length < sorted.len()) {
            sorted.truncate(length);
            next = sorted.last().map(|(id, _)| id.clone()).unwrap_or_default();
        }
        (sorted.into_iter().map(|(_, entry)| entry).collect(), next)
    }
}

/// Returns the free capacity of the arrays that a class and a place allow, and the largest volume among them.
pub(super) async fn capacity(
    arrays: &Arrays,
    request: &GetCapacityRequest,
) -> Result<GetCapacityResponse, Status> {
    for each in &request.volume_capabilities {
        capability(Some(each))?;
    }
    let class = parameters::class(&request.parameters)?;
    let (mut available, mut largest) = (0_u64, 0);
    for state in arrays.states().await {
        let is_there = request.accessible_topology.as_ref().is_none_or(|place| {
            state.traits.topology.iter().all(|(key, value)| place.segments.get(key) == Some(value))
        });
        let fits =
            class.arrays.iter().all(|(key, value)| state.traits.labels.get(key) == Some(value));
        if let (Health::Up { capacity, .. }, true, true) = (&state.health, is_there, fits) {
            available = available.saturating_add(capacity.total.saturating_sub(capacity.used));
            largest = largest.max(capacity.total);
        }
    }
    Ok(GetCapacityResponse {
        available_capacity: bytes(available),
        // Volumes are thin: one may be as large as its array.
        maximum_volume_size: Some(bytes(largest)).filter(|largest| *largest > 0),
        minimum_volume_size: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let all = |ids: &[&str]| {
            ids.iter().map(|id| (format!("a/{id}"), (*id).to_owned())).collect::<Vec<_>>()
        };
        let page = |length, token: &str| Page::of(length, token).expect("right");
        let (first, token) = page(2, "").take_entries(all(&["1", "2", "3", "4"]));
        assert_eq!((first, token.as_str()), (vec!["1".to_owned(), "2".to_owned()], "a/2"));
        // The last one is deleted, and another one is created before it.
        let (second, end) = page(2, &token).take_entries(all(&["0", "1", "3", "4"]));
        assert_eq!((second, end.as_str()), (vec!["3".to_owned(), "4".to_owned()], ""));
        assert_eq!(page(0, "").take_entries(all(&["1"])).1, "");
        assert_eq!(Page::of(1, "invalid-token").expect_err("foreign").code(), Code::Aborted);
        assert_eq!(Page::of(-1, "").expect_err("negative").code(), Code::InvalidArgument);
    }
}
