//! Orphans: volumes on an array that carry the name of a claim of ours and that nothing in the cluster knows.
//!
//! Only ever reported: that nothing knows a volume is never a reason to destroy it. Knows neither how arrays
//! are listed nor who is told.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde::Serialize;

use super::claim::claimed;
use super::persistent_volume::volume_behind;
use crate::contract::Volume;
use crate::contract::name::volume_prefix;

/// How old an orphan is at least, in seconds: younger ones may be on their way into the cluster.
pub const GRACE: u64 = 600;

/// An array's volumes at a moment.
#[derive(Debug, Clone)]
pub struct Listed {
    /// How the storage document calls the array.
    pub array: String,
    /// Its id, as it said itself, and its volumes; an error when it could not be asked.
    pub volumes: Result<(String, Vec<Volume>), String>,
}

/// A volume that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// The array.
    pub array: String,
    /// Its name there.
    pub name: String,
    /// Its id there.
    pub id: String,
}

/// What has changed with a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Orphans that were none before.
    pub new: Vec<Orphan>,
    /// Those that are none any more.
    pub gone: Vec<Orphan>,
}

/// What is known of orphans.
#[derive(Debug, Clone, Default)]
pub struct Orphans {
    arrays: BTreeMap<String, Known>,
}

/// What is known of an array's.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The id of the array that this is about.
    id: String,
    /// How often it has been looked at, as far as that matters.
    looks: u8,
    /// Whether the last look failed.
    failed: bool,
    /// Ids of volumes that nobody knew at the last look, and when that was seen first.
    suspects: BTreeMap<String, u64>,
    orphans: BTreeSet<Orphan>,
}

impl Orphans {
    /// Takes a look at an array, at a time in seconds since 1970. `is_known` tells of a volume and the UID in its
    /// name whether a claim or a PersistentVolume is there for it; it must know all there are.
    pub fn look(
        &mut self,
        cluster: &str,
        listed: &Listed,
        now: u64,
        is_known: impl Fn(&Volume, &str) -> bool,
    ) -> Report {
        let known = self.arrays.entry(listed.array.clone()).or_default();
        let Ok((id, volumes)) = &listed.volumes else {
            // Nothing is said of what was not seen.
            known.failed = true;
            return Report::default();
        };
        if known.id != *id {
            *known = Known { id: id.clone(), ..Known::default() };
        }
        known.looks = known.looks.saturating_add(1);
        known.failed = false;
        let unknown = unknown(cluster, volumes, is_known);
        let (mut suspects, mut orphans) = (BTreeMap::new(), BTreeSet::new());
        for (volume, _) in unknown {
            let before = known.suspects.get(&volume.id).copied();
            let since = before.unwrap_or(now);
            suspects.insert(volume.id.clone(), since);
            let made = volume.created.map_or(since, |made| made / 1000);
            if before.is_some() && made.saturating_add(GRACE) <= now {
                let (array, name, id) =
                    (listed.array.clone(), volume.name.clone(), volume.id.clone());
                orphans.insert(Orphan { array, name, id });
            }
        }
        let report = Report {
            new: orphans.difference(&known.orphans).cloned().collect(),
            gone: known.orphans.difference(&orphans).cloned().collect(),
        };
        (known.suspects, known.orphans) = (suspects, orphans);
        report
    }

    /// Returns how many orphans each array has; none where that is not known.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        self.arrays.iter().map(|(array, known)| {
            (array.as_str(), (known.looks >= 2 && !known.failed).then_some(known.orphans.len()))
        })
    }

    /// Returns the orphans.
    pub fn all(&self) -> impl Iterator<Item = &Orphan> {
        self.arrays.values().flat_map(|known| &known.orphans)
    }
}

/// A volume that nobody knows at a moment, whether or not that means anything yet.
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
    /// Its age in seconds; none when the array does not tell.
    pub age: Option<u64>,
    /// Whether it is old enough to be an orphan: a younger one may be on its way into the cluster.
    pub is_orphan: bool,
}

/// Returns the volumes that neither a claim nor a PersistentVolume knows. Claims and PersistentVolumes must be
/// all there are, and must have been read after the arrays were: a volume is made after its claim, and
/// what knows it then goes only after it is destroyed or its PersistentVolume is there. The times are in
/// seconds: now, since 1970, and how old an orphan is at least, mostly [`GRACE`].
pub fn unknown_volumes(
    cluster: &str,
    listed: &[Listed],
    claims: &[PersistentVolumeClaim],
    volumes: &[PersistentVolume],
    (now, grace): (u64, u64),
) -> Vec<UnknownVolume> {
    let uids: HashSet<&str> = claims.iter().filter_map(|c| c.metadata.uid.as_deref()).collect();
    let behind: HashSet<(String, String)> = volumes.iter().filter_map(volume_behind).collect();
    // A claim that has its volume needs no second one of its name, on whichever array.
    let served: HashSet<&str> = volumes
        .iter()
        .filter(|volume| volume_behind(volume).is_some())
        .filter_map(claimed)
        .collect();
    let mut found = Vec::new();
    for Listed { array, volumes } in listed {
        let Ok((array_id, volumes)) = volumes else { continue };
        // An array may have got another name since; ids are never given again.
        let is_known = |volume: &Volume, uid: &str| {
            (uids.contains(uid) && !served.contains(uid))
                || behind.contains(&(array_id.clone(), volume.id.clone()))
        };
        found.extend(unknown(cluster, volumes, is_known).map(|(volume, uid)| {
            let made = volume.created.map(|made| made / 1000);
            UnknownVolume {
                array: array.clone(),
                name: volume.name.clone(),
                id: volume.id.clone(),
                uid,
                size: volume.size,
                age: made.map(|made| now.saturating_sub(made)),
                is_orphan: made.is_some_and(|made| made.saturating_add(grace) <= now),
            }
        }));
    }
    found
}

/// The live volumes with a name of ours that nobody knows, with the UIDs in their names.
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

/// Returns the UID in a volume's name; none when the name is not one that we give.
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

    /// Looks with nobody in the cluster knowing anything; returns how many are new, and how many gone.
    fn look(orphans: &mut Orphans, now: u64, volumes: Vec<Volume>) -> (usize, usize) {
        let report = orphans.look("prod", &listed(volumes), now, |_, _| false);
        (report.new.len(), report.gone.len())
    }

    #[test]
    fn an_orphan_is_told_once_and_once_when_it_goes() {
        let name = format!("prod-pvc-{UID}");
        let there = || vec![volume(&name, Some(0))];
        let mut orphans = Orphans::default();
        assert_eq!(look(&mut orphans, 1000, there()), (0, 0), "one look is none");
        assert_eq!(count(&orphans), None, "not known yet");
        assert_eq!(look(&mut orphans, 1600, there()), (1, 0));
        assert_eq!(look(&mut orphans, 2200, there()), (0, 0), "told already");
        assert_eq!((count(&orphans), orphans.all().count()), (Some(1), 1));
        let report = orphans.look("prod", &listed(there()), 2800, |_, uid| uid == UID);
        assert_eq!(report.gone.len(), 1, "somebody knows it now");
        assert_eq!(count(&orphans), Some(0));
        look(&mut orphans, 3400, there());
        assert_eq!(look(&mut orphans, 4000, there()), (1, 0), "two looks again");
        let destroyed = vec![Volume { destroyed: true, ..volume(&name, Some(0)) }];
        assert_eq!(look(&mut orphans, 4600, destroyed), (0, 1));
    }

    #[test]
    fn a_young_one_is_none() {
        let name = format!("prod-pvc-{UID}");
        let mut orphans = Orphans::default();
        for now in [1000, 1300, 1599] {
            assert_eq!(look(&mut orphans, now, vec![volume(&name, Some(1000))]), (0, 0), "{now}");
        }
        assert_eq!(look(&mut orphans, 1600, vec![volume(&name, Some(1000))]), (1, 0));
        // Without a time on the array, what counts is when it was seen first.
        let mut orphans = Orphans::default();
        for now in [1000, 1300, 1599] {
            assert_eq!(look(&mut orphans, now, vec![volume(&name, None)]), (0, 0), "{now}");
        }
        assert_eq!(look(&mut orphans, 1600, vec![volume(&name, None)]), (1, 0));
    }

    #[test]
    fn names_that_we_do_not_give_are_nobodys_business() {
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
            assert_eq!(look(&mut orphans, now, others.clone()), (0, 0));
        }
        assert_eq!(count(&orphans), Some(0));
        let ours = volume(&format!("PROD-pvc-{}", UID.to_uppercase()), Some(0));
        look(&mut orphans, 40_000, vec![ours.clone()]);
        assert_eq!(look(&mut orphans, 50_000, vec![ours]), (1, 0), "in whatever case");
    }

    #[test]
    fn what_was_not_seen_is_neither_there_nor_gone() {
        let there = || vec![volume(&format!("prod-pvc-{UID}"), Some(0))];
        let mut orphans = Orphans::default();
        look(&mut orphans, 1000, there());
        look(&mut orphans, 2000, there());
        let away = Listed { array: "fb1".to_owned(), volumes: Err("away".to_owned()) };
        assert_eq!(orphans.look("prod", &away, 3000, |_, _| false), Report::default());
        assert_eq!(count(&orphans), None, "not none");
        assert_eq!(look(&mut orphans, 4000, there()), (0, 0), "it was told before");
        let other = Listed { array: "fb1".to_owned(), volumes: Ok(("another".to_owned(), vec![])) };
        assert_eq!(orphans.look("prod", &other, 5000, |_, _| false), Report::default());
        assert_eq!(count(&orphans), None, "another array answers: nothing is known of it");
    }
}
