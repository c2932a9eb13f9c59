//! The volumes that PersistentVolumes record, for the comparison with the volumes of an array, and the volumes that
//! PersistentVolumes of other drivers name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::PersistentVolume;

use super::Cache;
use crate::contract::Volume;
use crate::provisioner::decide::{
    AbnormalVolume, backing_volume, capacity, condition, is_block, suspects,
};

/// The volume that a PersistentVolume records, in compact form.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RecordedVolume {
    /// The volume's name, as [`hashed`].
    name: u64,
    /// Its size, in bytes.
    size: u64,
}

/// Returns a hash of a volume's name. Arrays compare names without case.
fn hashed(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.to_ascii_lowercase().hash(&mut hasher);
    hasher.finish()
}

impl Cache {
    /// Records the volume of one of the provisioner's PersistentVolumes.
    pub(super) fn update_recorded(&mut self, name: &str, volume: Option<&PersistentVolume>) {
        match volume.and_then(|volume| Some((backing_volume(volume)?, capacity(volume)?))) {
            Some((backing_volume, size)) => {
                let recorded =
                    RecordedVolume { name: hashed(backing_volume.volume.name.as_str()), size };
                self.recorded.insert(name.to_owned(), recorded);
            }
            None => {
                self.recorded.remove(name);
            }
        }
    }

    /// Updates the index of the volumes that PersistentVolumes of other drivers name.
    pub(super) fn update_foreign(&mut self, name: &str, key: Option<String>) {
        if let Some(before) = self.names_foreign.remove(name)
            && let Some(names) = self.foreign.get_mut(&before)
        {
            names.remove(name);
            if names.is_empty() {
                self.foreign.remove(&before);
            }
        }
        if let Some(key) = key {
            self.foreign.entry(key.clone()).or_default().insert(name.to_owned());
            self.names_foreign.insert(name.to_owned(), key);
        }
    }

    /// Returns the provisioner's PersistentVolumes on an array, by its id, whose volumes differ from `listed`.
    fn volumes_on<'w>(&'w self, array_id: &'w str, listed: &[Volume]) -> Vec<PersistentVolume> {
        let listed: HashMap<&str, &Volume> =
            listed.iter().map(|volume| (volume.id.as_str(), volume)).collect();
        let of_array = self.volume_ids.iter().filter(|(_, (array, _))| array == array_id);
        let changed = of_array.filter(|(name, (_, id))| {
            // Most volumes have not changed; their PersistentVolumes stay serialized.
            let is_changed = |listed: &&Volume| {
                let recorded = self.recorded.get(*name).copied().unwrap_or_default();
                listed.destroyed
                    || listed.size < recorded.size
                    || hashed(&listed.name) != recorded.name
            };
            listed.get(id.as_str()).is_none_or(is_changed)
        });
        changed.filter_map(|(name, _)| self.volume(name)).collect()
    }

    /// Returns the ids of the volumes for which an array must be asked again.
    pub(in super::super) fn suspects(&self, array_id: &str, listed: &[Volume]) -> Vec<String> {
        suspects(array_id, listed, &self.volumes_on(array_id, listed))
    }

    /// Returns the volumes of bound PersistentVolumes that differ on an array, by the names of the PersistentVolumes.
    /// `listed` must have all volumes of this cluster on the array.
    pub(in super::super) fn abnormal(
        &self,
        array_id: &str,
        listed: &[Volume],
    ) -> BTreeMap<String, AbnormalVolume> {
        let volumes = self.volumes_on(array_id, listed);
        let abnormal = volumes.iter().filter_map(|volume| condition(volume, listed));
        abnormal.map(|abnormal| (abnormal.persistent_volume.clone(), abnormal)).collect()
    }

    /// Returns the names of the bound PersistentVolumes that the node service mounts.
    pub(in super::super) fn bound_block_volumes(&self) -> BTreeSet<String> {
        let is_bound = |volume: &PersistentVolume| {
            volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        let all = self.volume_ids.keys().filter_map(|name| Some((name, self.volume(name)?)));
        let bound = all.filter(|(_, volume)| is_block(volume) && is_bound(volume));
        bound.map(|(name, _)| name.clone()).collect()
    }
}
