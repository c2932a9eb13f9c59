//! The schedules that a volume's snapshots follow, and which snapshots they let go.
//!
//! A class's schedule is a floor: a claim's own comes on top of it, so that nothing that can be written on a
//! claim makes the provisioner destroy what the class keeps. Knows neither arrays nor the time.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::setup::ClassSetup;
use super::slot::Slot;
use crate::contract::annotation;
use crate::contract::{SnapshotPolicy, SnapshotSchedule};

/// How many snapshots may be destroyed for each one that is taken: one that its end has come for, and one of
/// those that are too many since a schedule keeps fewer. So a changed schedule destroys them one by one, and
/// there is time to see it and to change it again.
const FOR_EACH_TAKEN: usize = 2;

/// What a volume's snapshots follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schedules {
    /// Each is kept by itself. None: no snapshots.
    all: Vec<SnapshotSchedule>,
    /// Whether the class is known, and with it what must not be destroyed.
    is_floor_known: bool,
    /// What of the claim's wish is not followed, for people.
    pub(super) refused: Option<String>,
}

impl Schedules {
    /// Returns the schedules of a claim's volume; an error when it cannot be told what is wanted at all.
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
                    _ => "the claim's class is not there",
                };
                let refused =
                    "no older snapshot is destroyed, since it is not known what the class keeps";
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
            // A slip on a claim must not cost it the snapshots that the admin wants.
            Err(why) => known(vec![floor], Some(format!("{why}; {stays}"))),
            Ok(None) => known(vec![floor], None),
            Ok(Some(own)) if class.claims_may_reduce => known(schedule(own).collect(), None),
            Ok(Some(own)) => {
                let refused = own.is_below(floor).then(|| {
                    format!(
                        "{}: `{own}` asks for less than the class lets claims have; {stays}",
                        annotation::SNAPSHOTS
                    )
                });
                let on_top = schedule(own).filter(|own| own.adds_to(floor));
                known(std::iter::once(floor).chain(on_top).collect(), refused)
            }
        }
    }

    /// Returns whether no snapshots are wanted.
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

    /// Returns which of the slots that have a snapshot, the newest first, no schedule keeps any more.
    ///
    /// A slot is kept by the schedules that it belongs to. One that belongs to none was taken by a former
    /// schedule: it is kept until each of today's has all its own, and all of these are newer.
    fn let_go(&self, newest_first: &[Slot]) -> Vec<Slot> {
        if !self.is_floor_known {
            return Vec::new();
        }
        let mut newer = vec![0; self.all.len()];
        let mut gone = Vec::new();
        for slot in newest_first {
            let is_of = |each: &SnapshotSchedule| slot.0.is_multiple_of(u64::from(each.every.0));
            let is_former = !self.all.iter().any(is_of);
            let mut is_kept = false;
            for (each, newer) in self.all.iter().zip(&mut newer) {
                // At least one is kept, whatever stands in the schedule.
                let has_room = *newer < usize::from(each.keep).max(1);
                is_kept |= (is_former || is_of(each)) && has_room;
                *newer += usize::from(is_of(each));
            }
            if !is_kept {
                gone.push(*slot);
            }
        }
        gone
    }

    /// Returns the slot whose snapshot is to be destroyed next, the oldest first; none when that is enough for
    /// now. `taken` and `destroyed` say how many snapshots have been in this round.
    pub(super) fn next_to_go(
        &self,
        newest_first: &[Slot],
        taken: usize,
        destroyed: usize,
    ) -> Option<Slot> {
        let gone = self.let_go(newest_first);
        let is_enough = if taken > 0 {
            destroyed >= FOR_EACH_TAKEN * taken
        } else {
            // Whoever took the last ones did not get to the end. More than these are for later rounds: how
            // often a process begins anew must not count.
            gone.len() + destroyed > self.all.len()
        };
        gone.last().copied().filter(|_| !is_enough)
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
        assert_eq!(own("daily"), ["every 6h, keep 28"], "a slip is no wish");
    }

    /// 40 snapshots that are six hours apart.
    fn shelf() -> Vec<Slot> {
        (0..40).map(|back| Slot((100_000 - back) * 6 * HOUR)).collect()
    }

    #[test]
    fn without_its_class_nothing_is_destroyed() {
        for class in [None, Some(&Err("class pure-file is wrong".to_owned()))] {
            let schedules = of(Some("every 5m, keep 1"), class).expect("schedules");
            assert_eq!(words(&schedules), ["every 5m, keep 1"]);
            assert_eq!(schedules.next_to_go(&shelf(), 1, 0), None);
            assert!(schedules.refused.expect("told").ends_with("what the class keeps"));
            assert!(of(Some("daily"), class).is_err());
        }
        assert!(of(None, None).expect("none").is_empty());
        assert_eq!(of(None, Some(&Err("wrong".to_owned()))), Err("wrong".to_owned()));
    }

    #[test]
    fn each_schedule_keeps_its_own() {
        let class = class(&[("snapshots", "every 6h, keep 28")]);
        let schedules = of(Some("every 5m, keep 1"), Some(&class)).expect("schedules");
        assert_eq!(schedules.let_go(&shelf()), shelf()[28..]);
        // Of the claim's one is kept, between those of the class.
        let mut slots = shelf();
        slots.truncate(3);
        slots.splice(0..0, [Slot(slots[0].0 + 600), Slot(slots[0].0 + 300)]);
        assert_eq!(schedules.let_go(&slots), [slots[1]]);
        // An hourly one is of a former schedule: as long as the class has fewer than its 28, it stays.
        let former = Slot(99_990 * 6 * HOUR + HOUR);
        let schedules = of(None, Some(&class)).expect("schedules");
        for (newer, is_kept) in [(27, true), (28, false)] {
            let newer = shelf().into_iter().map(|slot| Slot(slot.0 + 3000 * HOUR)).take(newer);
            let slots: Vec<Slot> = newer.chain([former]).collect();
            assert_eq!(schedules.let_go(&slots).is_empty(), is_kept);
        }
    }

    #[test]
    fn a_shorter_schedule_destroys_one_by_one() {
        let class = class(&[("snapshots", "every 6h, keep 1")]);
        let schedules = of(None, Some(&class)).expect("schedules");
        let goes =
            |there, taken, destroyed| schedules.next_to_go(&shelf()[..there], taken, destroyed);
        assert_eq!(goes(40, 1, 0), Some(shelf()[39]), "the oldest");
        assert_eq!(goes(39, 1, 1), Some(shelf()[38]));
        assert_eq!(goes(38, 1, 2), None, "two for one that was taken");
        assert_eq!(goes(40, 0, 0), None, "none when none was taken");
        // A process ended between the two.
        assert_eq!(goes(2, 0, 0), Some(shelf()[1]));
        assert_eq!(goes(1, 0, 1), None);
        assert_eq!(goes(1, 1, 0), None, "one is always kept");
    }
}
