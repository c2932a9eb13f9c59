//! Names of volumes, which contain their pod and volume group: renaming and moving.

use serde_json::Value as Json;

use super::FlashArray;
use crate::simulator::collection::{id, reference, text};
use crate::simulator::names::{self, Parts, within};
use crate::simulator::rest::Refusal;

impl FlashArray {
    /// Moves a volume to the pod or volume group in a body, or out of it when the name is empty.
    pub(super) fn move_to(&self, volume: &mut Json, body: &Json) -> Result<(), Refusal> {
        let name = text(volume, "name").to_owned();
        let parts = Parts::of(&name);
        if let Some(pod) = body.get("pod") {
            let pod = Some(text(pod, "name")).filter(|pod| !pod.is_empty());
            put(volume, "pod", pod.map(|pod| self.pods.live(pod)).transpose()?);
            put(volume, "volume_group", None);
            volume["name"] = within(pod, parts.own).into();
        }
        if let Some(group) = body.get("volume_group") {
            let group = Some(text(group, "name")).filter(|group| !group.is_empty());
            let pod = group.map_or(parts.pod, |group| Parts::of(group).pod);
            if pod != parts.pod {
                return Err(Refusal::of(name, "The volume group is in another pod."));
            }
            let there = group.map(|group| self.volume_groups.live(group)).transpose()?;
            put(volume, "volume_group", there);
            let own = parts.own;
            volume["name"] = match group {
                Some(group) => format!("{group}/{own}").into(),
                None => within(pod, own).into(),
            };
        }
        Ok(())
    }

    /// Refuses to recover a volume whose pod or volume group has been destroyed.
    pub(super) fn check_containers(&self, volume: &Json) -> Result<(), Refusal> {
        for (collection, field) in [(&self.pods, "pod"), (&self.volume_groups, "volume_group")] {
            if let Some(container) = collection.by_id(id(&volume[field])) {
                collection.live(text(container, "name"))?;
            }
        }
        Ok(())
    }
}

/// Refuses an invalid new name, and one that would move the volume.
pub(super) fn check_rename(old: &str, new: &str) -> Result<(), Refusal> {
    let (old, parts) = (Parts::of(old), Parts::of(new));
    if (old.pod, old.group) != (parts.pod, parts.group) {
        return Err(Refusal::of(new, "A new name does not move a volume."));
    }
    names::check(parts.own, true)
}

/// Sets or removes a reference.
fn put(volume: &mut Json, field: &str, object: Option<&Json>) {
    match object {
        Some(object) => volume[field] = reference(object),
        None => {
            volume.as_object_mut().map(|fields| fields.shift_remove(field));
        }
    }
}
