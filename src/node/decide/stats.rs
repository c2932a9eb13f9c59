//! The condition of a published volume.

use std::path::Path;

use super::identity::map_uuid;
use super::publish::devices;
use super::view::{HostView, StagedVolume};

/// Returns what is abnormal about a volume at a path, for people; none if it is healthy. The owner of the pod reads it
/// in an event.
pub fn condition(view: &HostView, state: &StagedVolume, path: &Path) -> Option<String> {
    let all = devices(view, state);
    if all.is_empty() {
        return Some(format!(
            "no path to volume {} is left on this node: check the network to the array's ports",
            state.volume
        ));
    }
    let map = view.maps.iter().find(|map| map.uuid == map_uuid(&state.serial));
    if let Some(map) = map {
        if map.suspended {
            return Some(format!("the multipath map {} is suspended: all I/O waits", map.alias));
        }
        let is_live = |name: &String| view.disks.iter().any(|disk| disk.name == *name && disk.live);
        if !map.slaves.iter().any(is_live) {
            return Some(format!("the multipath map {} has no live path", map.alias));
        }
    }
    let top = view.mounts_at(path).next_back();
    match top {
        None => Some(format!("nothing is mounted at {}", path.display())),
        Some(_) if state.block => None,
        Some(top) if !all.iter().any(|device| device.number == top.number) => {
            Some(format!("what is mounted at {} is not volume {}", path.display(), state.volume))
        }
        Some(top) if top.aborted => Some(format!(
            "the kernel has set the file system of volume {} read-only after an error: delete the pods that use it on \
             this node, so that it is checked and mounted again",
            state.volume
        )),
        Some(_) => None,
    }
}
