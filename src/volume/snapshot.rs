//! Snapshots by schedule: for each bound volume one in each slot, and the newest so many of them kept. Which
//! schedules these are, and what they let go, is [`schedule`](super::schedule)'s matter.
//!
//! Knows no clock: the time is part of the view. What was done in a slot is read from the array itself, once;
//! so a crash, a second leader or a lost answer makes no second one, and time in which nobody ran makes one
//! and not many. Snapshots of people, protection groups and policies are neither counted nor touched.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::effect::{About, Effect, Event, Outcome, Severity, Trouble};
use super::moment::Moment;
use super::persistent::{Behind, behind};
use super::reason::Reason;
use super::retry::Tries;
use super::schedule::Schedules;
use super::setup::ClassSetup;
use super::slot::Slot;
use crate::array::{Retry, Snapshot};

/// What people are told of snapshots.
const FAILED: Reason = Reason::SnapshotFailed;

/// What is known when a volume's snapshots are looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// The PersistentVolume; none when it is gone.
    pub volume: Option<&'v PersistentVolume>,
    /// Whether another PersistentVolume tells of the same volume on the same array.
    pub is_shared: bool,
    /// The claim that it is for; none when it is gone.
    pub claim: Option<&'v PersistentVolumeClaim>,
    /// The claim's class; none when it is not there or not ours, an error when it is wrong.
    pub class: Option<&'v Result<ClassSetup, String>>,
}

/// The work on the snapshots of one volume: what a crash takes away.
#[derive(Debug, Clone, Default)]
pub struct SnapshotWork {
    doing: Option<Effect>,
    round: Option<Round>,
    waiting: bool,
    tries: Tries,
    /// What people were told last of a wish that is not followed.
    refused: Option<String>,
}

/// What is to be there at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    behind: Behind,
    /// At least one.
    slots: Vec<Slot>,
    schedules: Schedules,
}

/// What has been done about it.
#[derive(Debug, Clone)]
struct Round {
    wanted: Wanted,
    /// All snapshots of the volume, as far as they have been asked for.
    there: Option<Vec<Snapshot>>,
    /// When they were asked for.
    read: Moment,
    taken: usize,
    destroyed: usize,
    done: bool,
}

enum Next {
    Nothing,
    Do(Effect),
    Stuck(String),
}

impl SnapshotWork {
    /// Returns whether nothing of it needs to be remembered.
    pub fn is_idle(&self) -> bool {
        self.doing.is_none() && !self.waiting && self.round.is_none()
    }

    /// Takes an event, and returns what is to be done.
    pub fn step(&mut self, view: View<'_>, event: Event) -> Vec<Effect> {
        match event {
            Event::Changed if self.waiting => return Vec::new(),
            Event::Changed | Event::Known | Event::CaughtUp => {}
            Event::Due => self.waiting = false,
            Event::Done(done) => {
                let Some(effect) = self.doing.take() else { return Vec::new() };
                let learnt = done.and_then(|outcome| self.learn(effect, outcome));
                if let Err(trouble) = learnt {
                    return self.fail(view, &trouble);
                }
            }
        }
        if self.doing.is_some() || self.waiting {
            return Vec::new();
        }
        let next = self.next(view);
        let mut effects = Vec::from_iter(self.refuse());
        match next {
            Next::Nothing => {}
            Next::Do(effect) => {
                self.doing = Some(effect.clone());
                effects.push(effect);
            }
            Next::Stuck(message) => effects.extend(self.fail(view, &Trouble::Cluster(message))),
        }
        effects
    }

    /// Tells people once what of a claim's wish is not followed.
    fn refuse(&mut self) -> Option<Effect> {
        let refused = self.round.as_ref().and_then(|round| round.wanted.schedules.refused.clone());
        if self.refused == refused {
            return None;
        }
        self.refused.clone_from(&refused);
        let (about, reason) = (About::Claim, Reason::SnapshotScheduleRefused);
        let tell = |message| Effect::Tell { severity: Severity::Warning, about, reason, message };
        refused.map(tell)
    }

    fn learn(&mut self, effect: Effect, outcome: Outcome) -> Result<(), Trouble> {
        let Some(round) = &mut self.round else { return Ok(()) };
        match (effect, outcome) {
            (Effect::ListSnapshots { .. }, Outcome::Snapshots(at, all)) => {
                round.read = at;
                // A volume with another name is somebody's by now; and what is taken of it under that
                // name would never be found again.
                let own = &round.wanted.behind.volume.name;
                let is_other = |each: &Snapshot| !each.volume.is_empty() && !own.is(&each.volume);
                if let Some(other) = all.iter().find(|each| is_other(each)) {
                    let message = format!("{own} is called {} now", other.volume);
                    return Err(Trouble::Array { reason: "NotOurs", message, retry: Retry::Later });
                }
                round.there = Some(all);
            }
            (Effect::TakeSnapshot { .. }, Outcome::Snapshot(taken)) => {
                // Older ones are destroyed on the ground that this one is there.
                let slot = round.wanted.slot_of(&taken);
                let is_wanted = slot.is_some_and(|slot| round.wanted.slots.contains(&slot));
                if !is_wanted || taken.destroyed {
                    let message =
                        format!("{} was taken, and is not what was asked for", taken.name);
                    return Err(Trouble::Array {
                        reason: "Malformed",
                        message,
                        retry: Retry::Later,
                    });
                }
                round.taken += 1;
                round.there.get_or_insert_default().push(taken);
            }
            (Effect::DestroySnapshot { snapshot, .. }, _) => {
                let there = round.there.iter_mut().flatten();
                there.filter(|each| each.id == snapshot.id).for_each(|each| each.destroyed = true);
                round.destroyed += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, view: View<'_>, trouble: &Trouble) -> Vec<Effect> {
        // What was thought to be known may be what was wrong.
        self.round = None;
        if let Ok(None) = Wanted::of(view) {
            // The volume has gone meanwhile, which is why.
            self.tries.good();
            return Vec::new();
        }
        let effects = self.tries.failed(About::Claim, FAILED, trouble);
        self.waiting = effects.iter().any(|effect| matches!(effect, Effect::Later(_)));
        effects
    }

    fn next(&mut self, view: View<'_>) -> Next {
        let wanted = match Wanted::of(view) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => {
                self.round = None;
                self.tries.good();
                return Next::Nothing;
            }
            Err(why) => return Next::Stuck(why),
        };
        let round = match &mut self.round {
            Some(round) if round.wanted == wanted => round,
            other => {
                let read = Moment::default();
                other.insert(Round {
                    wanted,
                    there: None,
                    read,
                    taken: 0,
                    destroyed: 0,
                    done: false,
                })
            }
        };
        if round.done {
            return Next::Nothing;
        }
        match round.next() {
            Some(effect) => Next::Do(effect),
            None if round.there.is_none() => Next::Stuck("the time has no name".to_owned()),
            None => {
                round.done = true;
                // The list may be long, and is old when the next slot comes.
                round.there = Some(Vec::new());
                self.tries.good();
                Next::Nothing
            }
        }
    }
}

impl Round {
    fn next(&self) -> Option<Effect> {
        let Wanted { behind, slots, schedules } = &self.wanted;
        let Behind { array, volume, .. } = behind.clone();
        let Some(there) = &self.there else { return Some(Effect::ListSnapshots { array, volume }) };
        let ours = there.iter().filter_map(|each| Some((self.wanted.slot_of(each)?, each)));
        let mut ours: Vec<(Slot, &Snapshot)> = ours.collect();
        // One that somebody has destroyed was there: it is not taken back.
        if let Some(slot) = slots.iter().find(|slot| !ours.iter().any(|(of, _)| of == *slot)) {
            return slot.suffix().map(|suffix| Effect::TakeSnapshot { array, volume, suffix });
        }
        // One of a time to come, which a wrong clock has made, must not take the place of others.
        let last = slots.iter().max()?;
        ours.retain(|(of, each)| !each.destroyed && of <= last);
        ours.sort_by_key(|(of, _)| std::cmp::Reverse(*of));
        let newest_first: Vec<Slot> = ours.iter().map(|(of, _)| *of).collect();
        let slot = schedules.next_to_go(&newest_first, self.taken, self.destroyed)?;
        let (_, snapshot) = ours.into_iter().find(|(of, _)| *of == slot)?;
        let (snapshot, read) = (snapshot.clone(), Some(self.read));
        Some(Effect::DestroySnapshot { array, snapshot, read })
    }
}

impl Wanted {
    /// Returns what is to be there now; none when no snapshots are wanted, an error when that cannot be
    /// told.
    fn of(view: View<'_>) -> Result<Option<Self>, String> {
        let (Some(volume), Some(claim)) = (view.volume, view.claim) else { return Ok(None) };
        let Some(behind) = behind(volume).filter(|_| are_bound(volume, claim)) else {
            return Ok(None);
        };
        let schedules = Schedules::of(claim, view.class)?;
        if schedules.is_empty() {
            return Ok(None);
        }
        if view.is_shared {
            let message = "another PersistentVolume has the same volume; remove one of them";
            return Err(message.to_owned());
        }
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        let slots = schedules.due(view.now, uid);
        Ok(Some(Self { behind, slots, schedules }))
    }

    fn slot_of(&self, snapshot: &Snapshot) -> Option<Slot> {
        Slot::of(snapshot, self.behind.volume.name.as_str())
    }
}

/// Whether the two are bound to each other, and the claim stays. A PersistentVolume that somebody deletes is in
/// use until its claim goes.
fn are_bound(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let uid = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.as_ref());
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
    phase == Some("Bound")
        && claim.metadata.deletion_timestamp.is_none()
        && uid.is_some()
        && uid == claim.metadata.uid.as_ref()
        && name == volume.metadata.name.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-23T06:00:00Z
    const SIX: u64 = 1_795_413_600;
    const HOUR: u64 = 3600;

    fn class(snapshots: &str) -> Result<ClassSetup, String> {
        let class = json!({
            "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
            "parameters": {"backend": "file", "snapshots": snapshots},
        });
        ClassSetup::read(&serde_json::from_value(class).expect("typed")).expect("ours")
    }

    struct Stage {
        volume: PersistentVolume,
        claim: PersistentVolumeClaim,
        class: Result<ClassSetup, String>,
        is_shared: bool,
        now: u64,
        work: SnapshotWork,
        /// On the array.
        there: Vec<Snapshot>,
    }

    impl Stage {
        fn new(own: &str) -> Self {
            let volume = json!({
                "metadata": {"name": "pvc-1", "annotations": {
                    "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                    "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "id",
                }},
                "spec": {"claimRef": {"uid": "1"}},
                "status": {"phase": "Bound"},
            });
            let claim = json!({
                "metadata": {"name": "data", "uid": "1", "annotations": {"pso-gen.io/snapshots": own}},
                "spec": {"volumeName": "pvc-1"},
            });
            Self {
                volume: serde_json::from_value(volume).expect("typed"),
                claim: serde_json::from_value(claim).expect("typed"),
                class: class("never"),
                is_shared: false,
                now: SIX + 1000,
                work: SnapshotWork::default(),
                there: Vec::new(),
            }
        }

        fn step(&mut self, event: Event) -> Vec<Effect> {
            let (volume, claim) = (Some(&self.volume), Some(&self.claim));
            let class = Some(&self.class);
            let view = View { now: self.now, volume, is_shared: self.is_shared, claim, class };
            self.work.step(view, event)
        }

        fn put(&mut self, suffix: &str, destroyed: bool) {
            self.there.push(Snapshot {
                name: format!("prod-pvc-1.{suffix}"),
                id: format!("id of {suffix}"),
                volume: "prod-pvc-1".to_owned(),
                created: None,
                destroyed,
                size: None,
            });
        }

        /// Does all that is asked for; returns it in short.
        fn run(&mut self) -> Vec<String> {
            let (mut told, mut event) = (Vec::new(), Event::Changed);
            while let Some(effect) = self.step(event).pop() {
                let outcome = match effect {
                    Effect::ListSnapshots { .. } => {
                        told.push("list".to_owned());
                        Outcome::Snapshots(Moment::default(), self.there.clone())
                    }
                    Effect::TakeSnapshot { suffix, .. } => {
                        told.push(format!("take {suffix}"));
                        self.put(&suffix.to_string(), false);
                        Outcome::Snapshot(self.there.last().expect("put").clone())
                    }
                    Effect::DestroySnapshot { snapshot, .. } => {
                        told.push(format!("destroy {}", snapshot.name));
                        self.there.retain(|each| each.id != snapshot.id);
                        Outcome::Good
                    }
                    other => panic!("{other:?}"),
                };
                event = Event::Done(Ok(outcome));
            }
            told
        }
    }

    #[test]
    fn a_slot_costs_one_list_and_nothing_more_until_the_next() {
        let mut stage = Stage::new("every 1h, keep 2");
        for suffix in ["pso-20261122T2300", "pso-20261123T0200", "mine", "pso-20261123T0200.x"] {
            stage.put(suffix, false);
        }
        // Nobody looked for three hours: one is taken, not three.
        let told = ["list", "take pso-20261123T0600", "destroy prod-pvc-1.pso-20261122T2300"];
        assert_eq!(stage.run(), told);
        for _ in 0..3 {
            stage.now += HOUR / 6;
            assert_eq!(stage.run(), [""; 0]);
        }
        stage.now += HOUR;
        let told = ["list", "take pso-20261123T0700", "destroy prod-pvc-1.pso-20261123T0200"];
        assert_eq!(stage.run(), told);
    }

    #[test]
    fn what_is_there_is_not_taken_again() {
        // A process began anew.
        let mut stage = Stage::new("every 1h, keep 2");
        stage.put("pso-20261123T0600", false);
        assert_eq!(stage.run(), ["list"]);
        // Somebody has destroyed it.
        let mut stage = Stage::new("every 1h, keep 2");
        stage.put("pso-20261123T0600", true);
        assert_eq!(stage.run(), ["list"]);
        // The clock was wrong: one of next year is no reason to keep no other.
        let mut stage = Stage::new("every 1h, keep 1");
        stage.put("pso-20271123T0600", false);
        stage.put("pso-20261123T0500", false);
        let told = ["list", "take pso-20261123T0600", "destroy prod-pvc-1.pso-20261123T0500"];
        assert_eq!(stage.run(), told);
    }

    #[test]
    fn one_that_is_on_its_way_out_gets_none() {
        let deleted = Some(serde_json::from_value(json!("2026-11-23T06:00:00Z")).expect("a time"));
        let changes: [fn(&mut Stage); 5] = [
            |stage| {
                stage.volume.status.get_or_insert_default().phase = Some("Released".to_owned());
            },
            |stage| {
                let claim = stage.volume.spec.get_or_insert_default().claim_ref.as_mut();
                claim.expect("a claim").uid = Some("2".to_owned());
            },
            |stage| {
                let name = &mut stage.claim.spec.get_or_insert_default().volume_name;
                *name = Some("pvc-2".to_owned());
            },
            |stage| stage.volume.metadata.annotations = None,
            |stage| stage.claim = Stage::new("never").claim,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut stage = Stage::new("every 1h, keep 2");
            change(&mut stage);
            assert_eq!(stage.run(), [""; 0], "{number}");
            assert!(stage.work.is_idle(), "{number}");
        }
        let mut stage = Stage::new("every 1h, keep 2");
        stage.claim.metadata.deletion_timestamp.clone_from(&deleted);
        assert_eq!(stage.run(), [""; 0], "it goes");
        let mut stage = Stage::new("every 1h, keep 2");
        stage.volume.metadata.deletion_timestamp = deleted;
        assert_ne!(stage.run(), [""; 0], "in use until its claim goes");
    }

    /// What people are told, and whether somebody comes again.
    fn told(effects: &[Effect]) -> (Vec<&str>, bool) {
        let tells = effects.iter().filter_map(|effect| match effect {
            Effect::Tell {
                about: About::Claim, reason: Reason::SnapshotFailed, message, ..
            } => Some(message.as_str()),
            _ => None,
        });
        (tells.collect(), effects.iter().any(|effect| matches!(effect, Effect::Later(_))))
    }

    #[test]
    fn trouble_is_told_once_and_nothing_is_destroyed_on_its_ground() {
        let mut stage = Stage::new("every 1h, keep 1");
        stage.put("pso-20261123T0400", false);
        stage.put("pso-20261123T0500", false);
        let trouble = |retry| Trouble::Array {
            reason: "Unreachable",
            message: "fb1: no answer".to_owned(),
            retry,
        };
        let first = stage.step(Event::Changed);
        assert!(matches!(first[..], [Effect::ListSnapshots { .. }]), "{first:?}");
        let failed = stage.step(Event::Done(Err(trouble(Retry::Soon))));
        assert_eq!(told(&failed), (vec!["fb1: no answer"], true));
        assert!(stage.step(Event::Changed).is_empty(), "it waits");
        let again = stage.step(Event::Due);
        assert!(matches!(again[..], [Effect::ListSnapshots { .. }]), "{again:?}");
        let failed = stage.step(Event::Done(Err(trouble(Retry::Soon))));
        assert_eq!(told(&failed), (vec![], true), "that is no news");
        stage.step(Event::Due);
        let list = Outcome::Snapshots(Moment::default(), stage.there.clone());
        let take = stage.step(Event::Done(Ok(list)));
        assert!(matches!(take[..], [Effect::TakeSnapshot { .. }]), "{take:?}");
        // The answer is about something else: nothing follows from it.
        let other = Outcome::Snapshot(stage.there[0].clone());
        let failed = stage.step(Event::Done(Ok(other)));
        assert_eq!(told(&failed).0.len(), 1, "{failed:?}");
        let again = stage.step(Event::Due);
        assert!(matches!(again[..], [Effect::ListSnapshots { .. }]), "{again:?}");
        // Meanwhile the claim goes, and with it what there is to tell.
        stage.volume.status = None;
        assert_eq!(stage.step(Event::Done(Err(trouble(Retry::Soon)))), []);
        assert!(stage.work.is_idle());
    }

    #[test]
    fn a_volume_that_was_renamed_is_left_alone() {
        let mut stage = Stage::new("every 1h, keep 1");
        stage.put("pso-20261123T0500", false);
        stage.there[0].volume = "mine".to_owned();
        stage.step(Event::Changed);
        let list = Outcome::Snapshots(Moment::default(), stage.there.clone());
        let failed = stage.step(Event::Done(Ok(list)));
        assert_eq!(told(&failed), (vec!["prod-pvc-1 is called mine now"], true));
    }

    #[test]
    fn a_schedule_that_cannot_be_is_told() {
        let wrong =
            "pso-gen.io/snapshots: expected `every 6h, keep 28` or `never`, found \"daily\"";
        assert_eq!(told(&Stage::new("daily").step(Event::Changed)), (vec![wrong], true));
        let mut stage = Stage::new("");
        stage.claim.metadata.annotations = None;
        stage.class = Err("class pure-file is wrong".to_owned());
        assert_eq!(told(&stage.step(Event::Changed)), (vec!["class pure-file is wrong"], true));
        let mut stage = Stage::new("every 1h, keep 2");
        stage.is_shared = true;
        assert!(told(&stage.step(Event::Changed)).0[0].contains("another PersistentVolume"));
    }

    #[test]
    fn a_claims_wish_destroys_nothing_that_its_class_keeps() {
        let mut stage = Stage::new("every 5m, keep 1");
        stage.class = class("every 1h, keep 20");
        for hour in 0..20 {
            let day = if hour < 18 { 22 } else { 23 };
            stage.put(&format!("pso-202611{day}T{:02}00", (hour + 6) % 24), false);
        }
        let first = stage.step(Event::Changed);
        let is_told = |effect: &&Effect| {
            matches!(effect, Effect::Tell {
                about: About::Claim, severity: Severity::Warning,
                reason: Reason::SnapshotScheduleRefused, message,
            } if message.contains("`every 5m, keep 1` asks for less"))
        };
        assert_eq!(first.iter().filter(is_told).count(), 1, "{first:?}");
        stage.work = SnapshotWork::default();
        // The seconds by which this volume comes later are its claim's; both slots are past.
        let told = ["list", "take pso-20261123T0600", "take pso-20261123T0615"];
        let run = stage.run();
        assert_eq!(run[..3], told);
        assert_eq!(run[3..], ["destroy prod-pvc-1.pso-20261122T0600"], "as without the wish");
        stage.now += 300;
        let told = ["list", "take pso-20261123T0620", "destroy prod-pvc-1.pso-20261123T0615"];
        assert_eq!(stage.run(), told);
        assert_eq!(stage.step(Event::Changed), [], "told once");
    }

    #[test]
    fn a_class_that_goes_takes_no_snapshots_along() {
        let mut stage = Stage::new("every 1h, keep 1");
        stage.put("pso-20261123T0400", false);
        stage.put("pso-20261123T0500", false);
        stage.class = Err("class pure-file is wrong".to_owned());
        assert_eq!(stage.run(), ["list", "take pso-20261123T0600"]);
    }
}
