//! The condition of a published volume, and its size if it cannot be asked.

use std::path::Path;

use super::identity::{map_uuid, wwid};
use super::publish::devices;
use super::view::{HostView, StagedVolume};

/// What is abnormal about a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// For people. The owner of the pod reads it in an event.
    pub text: String,
    /// Whether the file system at the path is the volume's and answers, so that it can be asked for its usage.
    pub may_ask: bool,
}

/// Returns what is abnormal about a volume at a path; none if it is healthy.
pub fn condition(view: &HostView, state: &StagedVolume, path: &Path) -> Option<Condition> {
    let silent = |text: String| Some(Condition { text, may_ask: false });
    let all = devices(view, state);
    if all.is_empty() {
        return silent(format!(
            "no path to volume {} is left on this node: check the network to the array's ports",
            state.volume
        ));
    }
    let map = view.maps.iter().find(|map| map.uuid == map_uuid(&state.serial));
    if let Some(map) = map {
        if map.suspended {
            return silent(format!("the multipath map {} is suspended: all I/O waits", map.alias));
        }
        let is_live = |name: &String| view.disks.iter().any(|disk| disk.name == *name && disk.live);
        if !map.slaves.iter().any(is_live) {
            return silent(format!("the multipath map {} has no live path", map.alias));
        }
    }
    let top = view.mounts_at(path).next_back();
    match top {
        None => silent(format!("nothing is mounted at {}", path.display())),
        Some(_) if state.block => None,
        // Usage of another device is not the volume's, and whether that device hangs is unknown.
        Some(top) if !all.iter().any(|device| device.number == top.number) => {
            silent(format!("what is mounted at {} is not volume {}", path.display(), state.volume))
        }
        Some(top) if top.aborted => Some(Condition {
            text: format!(
                "the kernel has set the file system of volume {} read-only after an error: delete the pods that use it \
                 on this node, so that it is checked and mounted again",
                state.volume
            ),
            may_ask: true,
        }),
        Some(top) if top.errors => Some(Condition {
            text: format!(
                "the kernel has counted errors in the file system of volume {} since its last check, and may have \
                 stopped writing to it: delete the pods that use it on this node, so that it is checked and mounted again",
                state.volume
            ),
            may_ask: true,
        }),
        Some(_) => None,
    }
}

/// Returns the size of a volume's device in bytes, as the kernel has recorded it; none if the device is gone.
pub fn size(view: &HostView, state: &StagedVolume) -> Option<u64> {
    if let Some(map) = view.maps.iter().find(|map| map.uuid == map_uuid(&state.serial)) {
        return Some(map.size);
    }
    let wwid = wwid(state.transport()?, &state.serial);
    view.disks.iter().find(|disk| disk.wwid.as_ref() == Some(&wwid)).map(|disk| disk.size)
}
