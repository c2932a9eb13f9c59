//! What an earlier life of this node has left: volumes that are staged here, not attached here any more, and used by
//! no pod. Kubelet forgets to unstage when it ends between unpublishing and unstaging.

use std::collections::BTreeSet;

use super::view::{HostView, StagedVolume};
use crate::node::request::VolumeHandle;

/// Returns the staged volumes that can be unstaged, given the volumes that are attached to this node. Whether a pod
/// still uses one is checked again when it is unstaged.
pub fn left_over(
    staged: &[StagedVolume],
    attached: &BTreeSet<VolumeHandle>,
    view: &HostView,
) -> Vec<StagedVolume> {
    let is_attached =
        |state: &StagedVolume| attached.iter().any(|handle| handle.to_string() == state.volume);
    let is_used = |state: &StagedVolume| {
        let device = view.mounts_at(&state.staging).next_back().map(|mount| mount.number);
        let mut others = view.mounts.iter().filter(|mount| mount.path != state.staging);
        others.any(|mount| Some(mount.number) == device)
    };
    let is_left = |state: &&StagedVolume| !state.released && !is_attached(state) && !is_used(state);
    staged.iter().filter(is_left).cloned().collect()
}
