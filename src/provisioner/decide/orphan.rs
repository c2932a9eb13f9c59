//! Finds orphaned volumes: volumes on an array whose name belongs to a claim of this cluster, without that claim and
//! without a PersistentVolume.
//!
//! Orphans are only reported: the provisioner never destroys them. The requests to arrays and the readers of the report
//! are unknown here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde::Serialize;

use super::object::claim_uid;
use super::persistent_volume::backing_ids;
use crate::contract::Volume;
use crate::contract::name::volume_prefix;

/// Minimum age of an orphan, in seconds: the PersistentVolume of a younger volume may not exist yet.
pub const GRACE: u64 = 600;

/// An array's volumes at a moment.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The array's name in the storage document.
    pub array: String,
    /// The array's id and its volumes; an error if the array did not answer.
    pub volumes: Result<(String, Vec<Volume>), String>,
}

/// An orphaned volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// The array.
    pub array: String,
    /// Its name there.
    pub name: String,
    /// Its id there.
    pub id: String,
}

/// The changes since the last check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Volumes that are orphaned now.
    pub new: Vec<Orphan>,
    /// Volumes that are no longer orphaned.
    pub gone: Vec<Orphan>,
}

/// The orphans of all arrays.
#[derive(Debug, Clone, Default)]
pub struct Orphans {
    arrays: BTreeMap<String, ArrayRecord>,
}

/// The orphans of one array.
#[derive(Debug, Clone, Default)]
struct ArrayRecord {
    /// The array's id.
    id: String,
    /// The number of checks, up to a limit.
    checks: u8,
    /// Whether the last check failed.
    failed: bool,
    /// Ids of volumes that the last check did not find in the cluster, and the time of the first such check.
    suspects: BTreeMap<String, u64>,
    orphans: BTreeSet<Orphan>,
}

impl Orphans {
    /// Checks an array's volumes at a time in seconds since 1970. `is_known` returns whether a claim or
    /// PersistentVolume exists for a volume and the UID in its name; it must know all of them.
    pub fn update(
        &mut self,
        cluster: &str,
        listed: &Listed,
        now: u64,
        is_known: impl Fn(&Volume, &str) -> bool,
    ) -> Report {
        let record = self.arrays.entry(listed.array.clone()).or_default();
        let Ok((id, volumes)) = &listed.volumes else {
            // Without a list, the state of the volumes is unknown.
            record.failed = true;
            return Report::default();
        };
        if record.id != *id {
            *record = ArrayRecord { id: id.clone(), ..ArrayRecord::default() };
        }
        record.checks = record.checks.saturating_add(1);
        record.failed = false;
        let unknown = unknown(cluster, volumes, is_known);
        let (mut suspects, mut orphans) = (BTreeMap::new(), BTreeSet::new());
        for (volume, _) in unknown {
            let before = record.suspects.get(&volume.id).copied();
            let since = before.unwrap_or(now);
            suspects.insert(volume.id.clone(), since);
            let created = volume.created.map_or(since, |created| created / 1000);
            if before.is_some() && created.saturating_add(GRACE) <= now {
                let (array, name, id) =
                    (listed.array.clone(), volume.name.clone(), volume.id.clone());
                orphans.insert(Orphan { array, name, id });
            }
        }
        let report = Report {
            new: orphans.difference(&record.orphans).cloned().collect(),
            gone: record.orphans.difference(&orphans).cloned().collect(),
        };
        (record.suspects, record.orphans) = (suspects, orphans);
        report
    }

    /// Returns the number of orphans of each array; none if it is unknown.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        self.arrays.iter().map(|(array, record)| {
            (array.as_str(), (record.checks >= 2 && !record.failed).then_some(record.orphans.len()))
        })
    }

    /// Returns the orphans.
    pub fn all(&self) -> impl Iterator<Item = &Orphan> {
        self.arrays.values().flat_map(|record| &record.orphans)
    }
}

/// A volume without claim and PersistentVolume at one moment; it may be too young to be an orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownVolume {
    /// The array.
    pub array: String,
    /// Its name there.
    pub name: String,
    /// Its id there.
    pub id: String,
    /// The UID in its name, that of the claim it was made for.
    pub uid: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its age in seconds; none if the array does not report it.
    pub age: Option<u64>,
    /// Whether it is old enough to be an orphan: the PersistentVolume of a younger one may not exist yet.
    pub is_orphan: bool,
}

/// Returns the volumes without claim and PersistentVolume. `claims` and `volumes` must be complete and must have been
/// read after the arrays: a volume is created after its claim, and the claim is removed only after the volume is
/// destroyed or has its PersistentVolume. The times are in seconds: the current time since 1970, and the minimum age of
/// an orphan, usually [`GRACE`].
pub fn unknown_volumes(
    cluster: &str,
    listed: &[Listed],
    claims: &[PersistentVolumeClaim],
    volumes: &[PersistentVolume],
    (now, grace): (u64, u64),
) -> Vec<UnknownVolume> {
    let uids: HashSet<&str> = claims.iter().filter_map(|c| c.metadata.uid.as_deref()).collect();
    let backed: HashSet<(String, String)> = volumes.iter().filter_map(backing_ids).collect();
    // A claim that has its volume needs no second one, on any array.
    let served: HashSet<&str> = volumes
        .iter()
        .filter(|volume| backing_ids(volume).is_some())
        .filter_map(claim_uid)
        .collect();
    let mut unknown_volumes = Vec::new();
    for Listed { array, volumes } in listed {
        let Ok((array_id, volumes)) = volumes else { continue };
        // The array may have been renamed; ids are never reused.
        let is_known = |volume: &Volume, uid: &str| {
            (uids.contains(uid) && !served.contains(uid))
                || backed.contains(&(array_id.clone(), volume.id.clone()))
        };
        unknown_volumes.extend(unknown(cluster, volumes, is_known).map(|(volume, uid)| {
            let created = volume.created.map(|created| created / 1000);
            UnknownVolume {
                array: array.clone(),
                name: volume.name.clone(),
                id: volume.id.clone(),
                uid,
                size: volume.size,
                age: created.map(|created| now.saturating_sub(created)),
                is_orphan: created.is_some_and(|created| created.saturating_add(grace) <= now),
            }
        }));
    }
    unknown_volumes
}

/// Returns the volumes with a name of this cluster that are not destroyed and not known, with the UIDs in their names.
fn unknown<'v>(
    cluster: &str,
    volumes: &'v [Volume],
    is_known: impl Fn(&Volume, &str) -> bool,
) -> impl Iterator<Item = (&'v Volume, String)> {
    let prefix = volume_prefix(cluster);
    volumes.iter().filter(|volume| !volume.destroyed).filter_map(move |volume| {
        let uid = uid(&prefix, &volume.name)?;
        (!is_known(volume, &uid)).then_some((volume, uid))
    })
}

/// Returns the UID in a volume's name; none if the provisioner gives no such name.
fn uid(prefix: &str, name: &str) -> Option<String> {
    // Arrays keep the case, and compare without it.
    let (name, prefix) = (name.to_ascii_lowercase(), prefix.to_ascii_lowercase());
    let uid = name.strip_prefix(&prefix)?;
    let groups: Vec<&str> = uid.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    let is_uid =
        lengths.eq([8, 4, 4, 4, 12]) && uid.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    is_uid.then(|| uid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn volume(name: &str, created: Option<u64>) -> Volume {
        Volume {
            name: name.to_owned(),
            id: format!("id of {name}"),
            size: 1,
            destroyed: false,
            created: created.map(|seconds| seconds * 1000),
            ..Volume::default()
        }
    }

    fn listed(volumes: Vec<Volume>) -> Listed {
        Listed { array: "fb1".to_owned(), volumes: Ok(("id of fb1".to_owned(), volumes)) }
    }

    fn count(orphans: &Orphans) -> Option<usize> {
        orphans.counts().find(|(array, _)| *array == "fb1").and_then(|(_, count)| count)
    }

    /// Checks with an empty cluster; returns the numbers of new and of gone orphans.
    fn update(orphans: &mut Orphans, now: u64, volumes: Vec<Volume>) -> (usize, usize) {
        let report = orphans.update("prod", &listed(volumes), now, |_, _| false);
        (report.new.len(), report.gone.len())
    }

    #[test]
    fn an_orphan_is_reported_once_and_once_when_it_is_gone() {
        let name = format!("prod-pvc-{UID}");
        let there = || vec![volume(&name, Some(0))];
        let mut orphans = Orphans::default();
        assert_eq!(update(&mut orphans, 1000, there()), (0, 0), "one look is none");
        assert_eq!(count(&orphans), None, "not known yet");
        assert_eq!(update(&mut orphans, 1600, there()), (1, 0));
        assert_eq!(update(&mut orphans, 2200, there()), (0, 0), "reported already");
        assert_eq!((count(&orphans), orphans.all().count()), (Some(1), 1));
        let report = orphans.update("prod", &listed(there()), 2800, |_, uid| uid == UID);
        assert_eq!(report.gone.len(), 1, "a claim has it now");
        assert_eq!(count(&orphans), Some(0));
        update(&mut orphans, 3400, there());
        assert_eq!(update(&mut orphans, 4000, there()), (1, 0), "two looks again");
        let destroyed = vec![Volume { destroyed: true, ..volume(&name, Some(0)) }];
        assert_eq!(update(&mut orphans, 4600, destroyed), (0, 1));
    }

    #[test]
    fn a_young_one_is_none() {
        let name = format!("prod-pvc-{UID}");
        let mut orphans = Orphans::default();
        for now in [1000, 1300, 1599] {
            assert_eq!(update(&mut orphans, now, vec![volume(&name, Some(1000))]), (0, 0), "{now}");
        }
        assert_eq!(update(&mut orphans, 1600, vec![volume(&name, Some(1000))]), (1, 0));
        // Without a time on the array, what counts is when it was seen first.
        let mut orphans = Orphans::default();
        for now in [1000, 1300, 1599] {
            assert_eq!(update(&mut orphans, now, vec![volume(&name, None)]), (0, 0), "{now}");
        }
        assert_eq!(update(&mut orphans, 1600, vec![volume(&name, None)]), (1, 0));
    }

    #[test]
    fn volumes_with_foreign_names_are_ignored() {
        let others = [
            "prod-pvc-1".to_owned(),
            format!("prod-pvc-{UID}-copy"),
            format!("prod-pvc-{}", UID.replace('0', "x")),
            format!("test-pvc-{UID}"),
            format!("prod-b-pvc-{UID}"),
            UID.to_owned(),
        ];
        let others: Vec<Volume> = others.iter().map(|name| volume(name, Some(0))).collect();
        let mut orphans = Orphans::default();
        for now in [10_000, 20_000, 30_000] {
            assert_eq!(update(&mut orphans, now, others.clone()), (0, 0));
        }
        assert_eq!(count(&orphans), Some(0));
        let ours = volume(&format!("PROD-pvc-{}", UID.to_uppercase()), Some(0));
        update(&mut orphans, 40_000, vec![ours.clone()]);
        assert_eq!(update(&mut orphans, 50_000, vec![ours]), (1, 0), "in whatever case");
    }

    #[test]
    fn what_was_not_seen_is_neither_there_nor_gone() {
        let there = || vec![volume(&format!("prod-pvc-{UID}"), Some(0))];
        let mut orphans = Orphans::default();
        update(&mut orphans, 1000, there());
        update(&mut orphans, 2000, there());
        let away = Listed { array: "fb1".to_owned(), volumes: Err("away".to_owned()) };
        assert_eq!(orphans.update("prod", &away, 3000, |_, _| false), Report::default());
        assert_eq!(count(&orphans), None, "not none");
        assert_eq!(update(&mut orphans, 4000, there()), (0, 0), "it was reported before");
        let other = Listed { array: "fb1".to_owned(), volumes: Ok(("another".to_owned(), vec![])) };
        assert_eq!(orphans.update("prod", &other, 5000, |_, _| false), Report::default());
        assert_eq!(count(&orphans), None, "another array answers: nothing is known of it");
    }
}
