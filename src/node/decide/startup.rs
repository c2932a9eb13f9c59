//! What an earlier life of this node has left: volumes that are staged here, not attached here any more, and used by
//! no pod. Kubelet forgets to unstage when it ends between unpublishing and unstaging.

use super::view::{HostView, StagedVolume};

/// Returns whether a staged volume can be unstaged, given whether it is attached to this node. Whether a pod still uses it is
/// checked again when it is unstaged.
pub fn is_left_over(state: &StagedVolume, is_attached: bool, view: &HostView) -> bool {
    let device = view.mounts_at(&state.staging).next_back().map(|mount| mount.number);
    let mut others = view.mounts.iter().filter(|mount| mount.path != state.staging);
    let is_used = others.any(|mount| Some(mount.number) == device);
    !state.released && !is_attached && !is_used
}
