//! Combines the schedules for a volume's snapshots, and decides which snapshots expire.
//!
//! A class's schedule is the minimum: a claim's own schedule adds to it, so that no annotation on a claim makes the
//! provisioner destroy a snapshot that the class keeps. Arrays and clocks are unknown here.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::setup::ClassSetup;
use super::slot::Slot;
use crate::contract::annotation;
use crate::contract::{SnapshotPolicy, SnapshotSchedule};

/// The number of snapshots that may be destroyed for each one that is taken: the one that expires, and one of the
/// surplus after a schedule was shortened. So a shortened schedule destroys snapshots one by one, which leaves time to
/// notice and revert it.
const FOR_EACH_TAKEN: usize = 2;

/// The schedules of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schedules {
    /// Each schedule keeps its own snapshots. Empty: no snapshots.
    all: Vec<SnapshotSchedule>,
    /// Whether the class, and with it the minimum, is known.
    is_floor_known: bool,
    /// The part of the claim's schedule that is refused, as text for events.
    pub(super) refused: Option<String>,
}

impl Schedules {
    /// Returns the schedules of a claim's volume; an error if they are unknown.
    pub(super) fn of(
        claim: &PersistentVolumeClaim,
        class: Option<&Result<ClassSetup, String>>,
    ) -> Result<Self, String> {
        let written =
            claim.metadata.annotations.as_ref().and_then(|all| all.get(annotation::SNAPSHOTS));
        let own = written
            .map(|text| {
                SnapshotPolicy::parse(text)
                    .map_err(|why| format!("{}: {why}", annotation::SNAPSHOTS))
            })
            .transpose();
        match (class, own) {
            (Some(Ok(class)), own) => Self::with_class(class, own),
            (_, Err(why)) => Err(why),
            (Some(Err(why)), Ok(None)) => Err(why.clone()),
            (None, Ok(None)) => Ok(Self::default()),
            (class, Ok(Some(own))) => {
                let why = match class {
                    Some(Err(why)) => why.as_str(),
                    _ => "the claim's class does not exist",
                };
                let refused =
                    "no older snapshot is destroyed, because the schedule of the class is unknown";
                let refused =
                    matches!(own, SnapshotPolicy::Every(_)).then(|| format!("{why}: {refused}"));
                Ok(Self { all: schedule(own).collect(), is_floor_known: false, refused })
            }
        }
    }

    fn with_class(
        class: &ClassSetup,
        own: Result<Option<SnapshotPolicy>, String>,
    ) -> Result<Self, String> {
        let known = |all, refused| Ok(Self { all, is_floor_known: true, refused });
        let SnapshotPolicy::Every(floor) = class.snapshots else {
            let own = own?.into_iter().flat_map(schedule);
            return known(own.collect(), None);
        };
        let stays =
            format!("those of the class {} ({}) are taken and kept", class.name, class.snapshots);
        match own {
            // A mistake on a claim must not stop the snapshots that the admin configured.
            Err(why) => known(vec![floor], Some(format!("{why}; {stays}"))),
            Ok(None) => known(vec![floor], None),
            Ok(Some(own)) if class.claims_may_reduce => known(schedule(own).collect(), None),
            Ok(Some(own)) => {
                let refused = own.is_below(floor).then(|| {
                    format!(
                        "{}: `{own}` requests less than the class lets claims have; {stays}",
                        annotation::SNAPSHOTS
                    )
                });
                let on_top = schedule(own).filter(|own| own.adds_to(floor));
                known(std::iter::once(floor).chain(on_top).collect(), refused)
            }
        }
    }

    /// Returns whether there are no schedules.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the slots that are due at `now` (seconds since 1970) for the volume of a claim.
    pub(super) fn due(&self, now: u64, uid: &str) -> Vec<Slot> {
        let due = |each: &SnapshotSchedule| Slot::due(now, u64::from(each.every.0), uid);
        let mut slots: Vec<Slot> = self.all.iter().map(due).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Returns the slots with a snapshot that no schedule keeps any more; `newest_first` has all slots with a snapshot.
    ///
    /// A slot is kept by the schedules that it belongs to. A slot of no current schedule was created by a former one:
    /// it is kept until each current schedule has all its snapshots, and all of these are newer.
    fn surplus(&self, newest_first: &[Slot]) -> Vec<Slot> {
        if !self.is_floor_known {
            return Vec::new();
        }
        let mut newer = vec![0; self.all.len()];
        let mut surplus = Vec::new();
        for slot in newest_first {
            let is_of = |each: &SnapshotSchedule| slot.0.is_multiple_of(u64::from(each.every.0));
            let is_former = !self.all.iter().any(is_of);
            let mut is_kept = false;
            for (each, newer) in self.all.iter().zip(&mut newer) {
                // At least one is kept, whatever the schedule says.
                let has_room = *newer < usize::from(each.keep).max(1);
                is_kept |= (is_former || is_of(each)) && has_room;
                *newer += usize::from(is_of(each));
            }
            if !is_kept {
                surplus.push(*slot);
            }
        }
        surplus
    }

    /// Returns the slot whose snapshot is destroyed next, the oldest first; none if enough were destroyed in this
    /// round. `taken` and `destroyed` are the numbers of this round.
    pub(super) fn next_to_destroy(
        &self,
        newest_first: &[Slot],
        taken: usize,
        destroyed: usize,
    ) -> Option<Slot> {
        let surplus = self.surplus(newest_first);
        let is_enough = if taken > 0 {
            destroyed >= FOR_EACH_TAKEN * taken
        } else {
            // The process that took the last ones did not finish. Any surplus waits for later rounds, so that restarts
            // of the process do not accelerate the deletion.
            surplus.len() + destroyed > self.all.len()
        };
        surplus.last().copied().filter(|_| !is_enough)
    }
}

fn schedule(snapshots: SnapshotPolicy) -> impl Iterator<Item = SnapshotSchedule> {
    let schedule = match snapshots {
        SnapshotPolicy::Every(schedule) => Some(schedule),
        SnapshotPolicy::Never => None,
    };
    schedule.into_iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOUR: u64 = 3600;

    fn class(parameters: &[(&str, &str)]) -> Result<ClassSetup, String> {
        let parameters: serde_json::Map<_, _> = parameters
            .iter()
            .chain(&[("backend", "file")])
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        let class = json!({
            "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
            "parameters": parameters,
        });
        ClassSetup::read(&serde_json::from_value(class).expect("typed")).expect("ours")
    }

    fn of(
        own: Option<&str>,
        class: Option<&Result<ClassSetup, String>>,
    ) -> Result<Schedules, String> {
        let annotations = own.map(|own| json!({"pso-gen.io/snapshots": own}));
        let claim = json!({"metadata": {"name": "data", "annotations": annotations}});
        Schedules::of(&serde_json::from_value(claim).expect("typed"), class)
    }

    fn words(schedules: &Schedules) -> Vec<String> {
        schedules.all.iter().map(|each| SnapshotPolicy::Every(*each).to_string()).collect()
    }

    #[test]
    fn a_claim_adds_to_its_class_and_takes_nothing_from_it() {
        let floor = "every 6h, keep 28";
        let class = class(&[("snapshots", floor)]);
        for (own, on_top, is_refused) in [
            (None, None, false),
            (Some(floor), None, false),
            (Some("every 1h, keep 48"), Some("every 1h, keep 48"), false),
            (Some("every 5m, keep 1"), Some("every 5m, keep 1"), true),
            (Some("never"), None, true),
            (Some("daily"), None, true),
        ] {
            let schedules = of(own, Some(&class)).expect("schedules");
            let all: Vec<&str> = [floor].into_iter().chain(on_top).collect();
            assert_eq!(words(&schedules), all, "{own:?}");
            assert_eq!(schedules.refused.is_some(), is_refused, "{own:?}");
            if let Some(refused) = schedules.refused {
                let stays = "; those of the class pure-file (every 6h, keep 28) are taken and kept";
                assert!(refused.ends_with(stays), "{refused}");
            }
        }
    }

    #[test]
    fn an_admin_may_let_claims_reduce() {
        let class =
            class(&[("snapshots", "every 6h, keep 28"), ("claimsMayReduceSnapshots", "true")]);
        let own = |own| words(&of(Some(own), Some(&class)).expect("schedules"));
        assert_eq!(own("every 1h, keep 2"), ["every 1h, keep 2"]);
        assert_eq!(own("never"), [""; 0]);
        assert_eq!(own("daily"), ["every 6h, keep 28"], "a mistake changes nothing");
    }

    /// Returns 40 snapshots that are six hours apart.
    fn forty_slots() -> Vec<Slot> {
        (0..40).map(|back| Slot((100_000 - back) * 6 * HOUR)).collect()
    }

    #[test]
    fn without_its_class_nothing_is_destroyed() {
        for class in [None, Some(&Err("class pure-file is wrong".to_owned()))] {
            let schedules = of(Some("every 5m, keep 1"), class).expect("schedules");
            assert_eq!(words(&schedules), ["every 5m, keep 1"]);
            assert_eq!(schedules.next_to_destroy(&forty_slots(), 1, 0), None);
            assert!(schedules.refused.expect("a refusal").ends_with("the class is unknown"));
            assert!(of(Some("daily"), class).is_err());
        }
        assert!(of(None, None).expect("none").is_empty());
        assert_eq!(of(None, Some(&Err("wrong".to_owned()))), Err("wrong".to_owned()));
    }

    #[test]
    fn each_schedule_keeps_its_own() {
        let class = class(&[("snapshots", "every 6h, keep 28")]);
        let schedules = of(Some("every 5m, keep 1"), Some(&class)).expect("schedules");
        assert_eq!(schedules.surplus(&forty_slots()), forty_slots()[28..]);
        // One of the claim's schedule is kept, between those of the class.
        let mut slots = forty_slots();
        slots.truncate(3);
        slots.splice(0..0, [Slot(slots[0].0 + 600), Slot(slots[0].0 + 300)]);
        assert_eq!(schedules.surplus(&slots), [slots[1]]);
        // An hourly one belongs to a former schedule: it stays as long as the class has fewer than its 28.
        let former = Slot(99_990 * 6 * HOUR + HOUR);
        let schedules = of(None, Some(&class)).expect("schedules");
        for (newer, is_kept) in [(27, true), (28, false)] {
            let newer =
                forty_slots().into_iter().map(|slot| Slot(slot.0 + 3000 * HOUR)).take(newer);
            let slots: Vec<Slot> = newer.chain([former]).collect();
            assert_eq!(schedules.surplus(&slots).is_empty(), is_kept);
        }
    }

    #[test]
    fn a_shorter_schedule_destroys_one_by_one() {
        let class = class(&[("snapshots", "every 6h, keep 1")]);
        let schedules = of(None, Some(&class)).expect("schedules");
        let destroyed_next = |existing, taken, destroyed| {
            schedules.next_to_destroy(&forty_slots()[..existing], taken, destroyed)
        };
        assert_eq!(destroyed_next(40, 1, 0), Some(forty_slots()[39]), "the oldest");
        assert_eq!(destroyed_next(39, 1, 1), Some(forty_slots()[38]));
        assert_eq!(destroyed_next(38, 1, 2), None, "two for one that was taken");
        assert_eq!(destroyed_next(40, 0, 0), None, "none when none was taken");
        // A process ended between the two steps.
        assert_eq!(destroyed_next(2, 0, 0), Some(forty_slots()[1]));
        assert_eq!(destroyed_next(1, 0, 1), None);
        assert_eq!(destroyed_next(1, 1, 0), None, "one is always kept");
    }
}
