//! Detects volumes of bound PersistentVolumes that were changed on their array: destroyed, renamed, moved or shrunk by
//! hand, or restored with the whole array.
//!
//! The result is only reported; no effect follows from it. The requests to arrays and the readers of the report are
//! unknown here.

use std::fmt;

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Serialize;

use super::claim_spec;
use super::persistent_volume::{backing_ids, backing_volume, quantity};
use crate::contract::Volume;

/// A volume that differs from its PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AbnormalVolume {
    /// The PersistentVolume that names it.
    pub persistent_volume: String,
    /// The claim that has it, `NAMESPACE/NAME`.
    pub claim: String,
    /// The array, by its name in the PersistentVolume.
    pub array: String,
    /// The name of the volume in the PersistentVolume.
    pub name: String,
    /// The difference.
    pub condition: Condition,
    /// Milliseconds until the array eradicates it, if it is destroyed and the array reports the time.
    pub time_left: Option<u64>,
}

/// The difference between a volume and its PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// The array has destroyed it, and can recover it until it eradicates it.
    Destroyed,
    /// The array does not have it.
    Gone,
    /// The array does not have it, and has another one of the same name.
    Replaced,
    /// It has another name now, in the pod, volume group or realm that it was in.
    Renamed(String),
    /// It is in another pod, volume group or realm; this is its whole name now.
    Moved(String),
    /// It is smaller: its size and the size in the PersistentVolume, in bytes.
    Shrunk(u64, u64),
}

impl AbnormalVolume {
    /// Returns whether an earlier observation was the same, apart from the time left.
    pub fn is_same(&self, before: &Self) -> bool {
        self.condition == before.condition && self.name == before.name
    }

    /// Returns the description for events.
    pub fn description(&self) -> String {
        let Self { array, name, condition, time_left, .. } = self;
        match condition {
            Condition::Destroyed => {
                let left =
                    time_left.map(|left| format!("; {array} eradicates it in {}", Left(left)));
                format!("its volume {name} is destroyed on {array}{}", left.unwrap_or_default())
            }
            Condition::Gone => format!("its volume {name} is not on {array} any more"),
            Condition::Replaced => format!(
                "its volume {name} is not on {array} any more, which has another volume of that name"
            ),
            Condition::Renamed(now) => format!("its volume {name} on {array} is called {now} now"),
            Condition::Moved(now) => format!("its volume {name} on {array} was moved to {now}"),
            Condition::Shrunk(has, recorded) => format!(
                "its volume {name} on {array} has {}, and its PersistentVolume says {}",
                quantity(*has).0,
                quantity(*recorded).0
            ),
        }
    }

    /// Returns the remedy for the platform admin.
    pub fn remedy(&self) -> String {
        let Self { array, name, condition, .. } = self;
        match condition {
            Condition::Destroyed => format!("recover {name} on {array} before it is eradicated"),
            Condition::Gone => {
                format!("restore {name} from a backup or a replica: its data is gone from {array}")
            }
            Condition::Replaced => format!(
                "check the content of the {name} that {array} has now; to use it, keep the PersistentVolume (reclaim \
                 policy Retain), delete it and the claim, and import the volume for a new claim"
            ),
            Condition::Renamed(_) => format!("give it the name {name} again on {array}"),
            Condition::Moved(_) => format!("move it back on {array}, so that it is called {name}"),
            Condition::Shrunk(_, recorded) => format!(
                "set its size on {array} to {} again; on a FlashArray, first restore the snapshot from before, \
                 which the array keeps for 24 h: what was cut off is on that alone",
                quantity(*recorded).0
            ),
        }
    }
}

/// Displays a remaining time, given in milliseconds, in hours and minutes.
struct Left(u64);

impl Left {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * Self::MINUTE;
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        match seconds {
            0..120 => write!(f, "{seconds} s"),
            120..7200 => write!(f, "{} min", seconds / Self::MINUTE),
            _ => {
                let (hours, minutes) = (seconds / Self::HOUR, seconds % Self::HOUR / Self::MINUTE);
                match minutes {
                    0 => write!(f, "{hours} h"),
                    minutes => write!(f, "{hours} h {minutes} min"),
                }
            }
        }
    }
}

/// Returns the difference between a bound PersistentVolume and its volume on an array that has the volumes `existing`;
/// none if they agree or the volume is unknown. A volume that is not in `existing` counts as gone: the list must be
/// complete, or complete for the requested ids.
pub fn condition(volume: &PersistentVolume, existing: &[Volume]) -> Option<AbnormalVolume> {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let backing_volume = backing_volume(volume).filter(|_| phase == Some("Bound"))?;
    let name = &backing_volume.volume.name;
    let condition = match existing.iter().find(|existing| existing.id == backing_volume.volume.id) {
        None if existing.iter().any(|existing| name.is(&existing.name) && !existing.destroyed) => {
            Condition::Replaced
        }
        None => Condition::Gone,
        Some(existing) if existing.destroyed => Condition::Destroyed,
        Some(existing) if own_name(&existing.name) != existing.name => {
            Condition::Moved(existing.name.clone())
        }
        Some(existing) if !name.is(&existing.name) => Condition::Renamed(existing.name.clone()),
        Some(existing) => {
            let recorded =
                claim_spec::capacity(volume).filter(|recorded| existing.size < *recorded)?;
            Condition::Shrunk(existing.size, recorded)
        }
    };
    let found = existing.iter().find(|existing| existing.id == backing_volume.volume.id);
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let word = |word: Option<&String>| word.cloned().unwrap_or_default();
    Some(AbnormalVolume {
        persistent_volume: volume.metadata.name.clone().unwrap_or_default(),
        claim: format!(
            "{}/{}",
            word(claim.and_then(|claim| claim.namespace.as_ref())),
            word(claim.and_then(|claim| claim.name.as_ref()))
        ),
        array: backing_volume.array,
        name: backing_volume.volume.name.to_string(),
        time_left: found
            .and_then(|existing| existing.time_left)
            .filter(|_| condition == Condition::Destroyed),
        condition,
    })
}

/// Returns the ids of volumes that the array must be asked for again, by id, before a difference is reported: a list
/// has only some names, and may be older than the PersistentVolumes.
pub fn suspects<'v>(
    array_id: &str,
    existing: &[Volume],
    volumes: impl IntoIterator<Item = &'v PersistentVolume>,
) -> Vec<String> {
    let suspect = |volume: &PersistentVolume| {
        let (array, id) = backing_ids(volume)?;
        (array == array_id && condition(volume, existing).is_some()).then_some(id)
    };
    let mut ids: Vec<String> = volumes.into_iter().filter_map(suspect).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Updates a list of volumes with the array's answer to a request for ids.
pub fn refresh(existing: &mut Vec<Volume>, asked: &[String], answer: Vec<Volume>) {
    existing.retain(|volume| asked.binary_search(&volume.id).is_err());
    existing.extend(answer);
}

/// Returns a volume's name without its pod, volume group or realm.
fn own_name(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAME: &str = "prod-pvc-1";

    fn bound(phase: &str, size: &str) -> PersistentVolume {
        serde_json::from_value(json!({
            "metadata": {"name": "pvc-1", "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner",
                "pso-gen.io/array": "fa1", "pso-gen.io/array-id": "a",
                "pso-gen.io/volume": NAME, "pso-gen.io/volume-id": "1",
            }},
            "spec": {
                "claimRef": {"namespace": "files", "name": "data", "uid": "1"},
                "capacity": {"storage": size},
            },
            "status": {"phase": phase},
        }))
        .expect("typed")
    }

    fn existing(id: &str, name: &str) -> Volume {
        Volume { name: name.to_owned(), id: id.to_owned(), size: 2 << 30, ..Volume::default() }
    }

    fn description(existing: &[Volume]) -> Option<String> {
        condition(&bound("Bound", "2Gi"), existing).map(|found| found.description())
    }

    #[test]
    fn manual_changes_of_a_volume_are_detected() {
        assert_eq!(description(&[existing("1", NAME)]), None);
        assert_eq!(
            description(&[existing("1", "PROD-pvc-1")]),
            None,
            "arrays compare without case"
        );
        let larger = Volume { size: 3 << 30, ..existing("1", NAME) };
        assert_eq!(description(&[larger]), None);
        let is = |volumes: &[Volume], expected: &str| {
            assert_eq!(description(volumes).as_deref(), Some(expected));
        };
        let destroyed = |time_left| Volume { destroyed: true, time_left, ..existing("1", NAME) };
        is(&[destroyed(None)], "its volume prod-pvc-1 is destroyed on fa1");
        let day = "its volume prod-pvc-1 is destroyed on fa1; fa1 eradicates it in 23 h 59 min";
        is(&[destroyed(Some(24 * 3_600_000 - 1))], day);
        is(&[], "its volume prod-pvc-1 is not on fa1 any more");
        let restored =
            "its volume prod-pvc-1 is not on fa1 any more, which has another volume of that name";
        is(&[existing("2", NAME)], restored);
        is(&[existing("1", "old")], "its volume prod-pvc-1 on fa1 is called old now");
        for moved in ["pod1::prod-pvc-1", "vg1/prod-pvc-1", "pod1::vg1/other"] {
            is(
                &[existing("1", moved)],
                &format!("its volume prod-pvc-1 on fa1 was moved to {moved}"),
            );
        }
        let smaller = Volume { size: 1 << 30, ..existing("1", NAME) };
        is(&[smaller], "its volume prod-pvc-1 on fa1 has 1Gi, and its PersistentVolume says 2Gi");
        for phase in ["Released", "Available"] {
            assert!(condition(&bound(phase, "2Gi"), &[]).is_none(), "{phase}");
        }
    }

    #[test]
    fn only_a_change_is_news() {
        let look =
            |volumes: &[Volume]| condition(&bound("Bound", "2Gi"), volumes).expect("abnormal");
        let destroyed =
            |left| Volume { destroyed: true, time_left: Some(left), ..existing("1", NAME) };
        let (early, late) = (look(&[destroyed(9_000_000)]), look(&[destroyed(60_000)]));
        assert!(late.is_same(&early), "the remaining time causes no event");
        assert!(late.description().ends_with("eradicates it in 60 s") && !look(&[]).is_same(&late));
        assert!(early.description().ends_with("in 2 h 30 min"), "{}", early.description());
    }

    #[test]
    fn what_a_list_does_not_show_is_asked_for_by_id() {
        let volumes = [bound("Bound", "2Gi"), bound("Released", "2Gi")];
        assert_eq!(suspects("a", &[], &volumes), ["1"]);
        assert_eq!(suspects("b", &[], &volumes), [""; 0], "of another array");
        assert_eq!(suspects("a", &[existing("1", NAME)], &volumes), [""; 0]);
        let mut list = vec![existing("2", "other"), Volume { size: 1, ..existing("1", NAME) }];
        assert_eq!(suspects("a", &list, &volumes), ["1"], "it grew after it was listed");
        refresh(&mut list, &["1".to_owned()], vec![existing("1", NAME)]);
        assert_eq!((list.len(), suspects("a", &list, &volumes).len()), (2, 0));
    }
}
