//! The volumes that PersistentVolumes record, for the comparison with the volumes of an array, and the volumes that
//! PersistentVolumes of other drivers name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::PersistentVolume;

use super::Cache;
use crate::contract::Volume;
use crate::provisioner::decide::{AbnormalVolume, behind, capacity, condition, is_block, suspects};

/// The volume that a PersistentVolume records, in compact form.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
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
    pub(super) fn note_told(&mut self, name: &str, volume: Option<&PersistentVolume>) {
        match volume.and_then(|volume| Some((behind(volume)?, capacity(volume)?))) {
            Some((behind, size)) => {
                let told = Told { name: hashed(behind.volume.name.as_str()), size };
                self.told.insert(name.to_owned(), told);
            }
            None => {
                self.told.remove(name);
            }
        }
    }

    /// Updates the index of the volumes that PersistentVolumes of other drivers name.
    pub(super) fn note_foreign(&mut self, name: &str, key: Option<String>) {
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

    /// Returns the provisioner's PersistentVolumes on an array, by its id, whose volumes differ from `there`.
    fn volumes_on<'w>(&'w self, array_id: &'w str, there: &[Volume]) -> Vec<PersistentVolume> {
        let there: HashMap<&str, &Volume> =
            there.iter().map(|volume| (volume.id.as_str(), volume)).collect();
        let of_array = self.tells_of.iter().filter(|(_, (array, _))| array == array_id);
        let odd = of_array.filter(|(name, (_, id))| {
            // Most volumes have not changed; their PersistentVolumes stay serialized.
            let is_odd = |there: &&Volume| {
                let told = self.told.get(*name).copied().unwrap_or_default();
                there.destroyed || there.size < told.size || hashed(&there.name) != told.name
            };
            there.get(id.as_str()).is_none_or(is_odd)
        });
        odd.filter_map(|(name, _)| self.volume(name)).collect()
    }

    /// Returns the ids of the volumes for which an array must be asked again.
    pub(in super::super) fn suspects(&self, array_id: &str, there: &[Volume]) -> Vec<String> {
        suspects(array_id, there, &self.volumes_on(array_id, there))
    }

    /// Returns the volumes of bound PersistentVolumes that differ on an array, by the names of the PersistentVolumes.
    /// `there` must have all volumes of this cluster on the array.
    pub(in super::super) fn abnormal(
        &self,
        array_id: &str,
        there: &[Volume],
    ) -> BTreeMap<String, AbnormalVolume> {
        let volumes = self.volumes_on(array_id, there);
        let found = volumes.iter().filter_map(|volume| condition(volume, there));
        found.map(|found| (found.persistent_volume.clone(), found)).collect()
    }

    /// Returns the names of the bound PersistentVolumes that the node service mounts.
    pub(in super::super) fn bound_block_volumes(&self) -> BTreeSet<String> {
        let is_bound = |volume: &PersistentVolume| {
            volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        let all = self.tells_of.keys().filter_map(|name| Some((name, self.volume(name)?)));
        let bound = all.filter(|(_, volume)| is_block(volume) && is_bound(volume));
        bound.map(|(name, _)| name.clone()).collect()
    }
}
