//! Scheduled snapshots and orphans in a run, and their invariants.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pso_gen::contract::SnapshotPolicy;
use pso_gen::contract::annotation;
use pso_gen::contract::name::persistent_volume;
use pso_gen::contract::{Snapshot, Volume};
use pso_gen::provisioner::decide::{Effect, EffectError, Input, Listed, Outcome, backing_ids};

use super::{EVERY, Key, Run};

impl Run {
    /// Sets the schedule of the class.
    pub(crate) fn schedule(&mut self, text: &str) {
        let class = self.class.as_mut().expect("a class");
        class.snapshots = SnapshotPolicy::parse(text).expect("a schedule");
        self.note(format!("admin: the class has snapshots {text}"));
    }

    /// Allows claims to reduce the snapshots of their class.
    pub(crate) fn let_claims_reduce(&mut self) {
        self.class.as_mut().expect("a class").claims_may_reduce = true;
        self.floor = None;
    }

    /// A user recreates the class with an invalid schedule.
    pub(crate) fn spoil_class(&mut self) {
        self.class = Err("class pure-file is wrong".to_owned());
    }

    /// Sets a claim's own schedule.
    pub(crate) fn annotate(&mut self, name: &str, text: &str) {
        self.cluster.annotate_claim(name, annotation::SNAPSHOTS, text);
        self.note(format!("user: {name} is to have snapshots {text}"));
    }

    /// A user requests less than the class keeps, or makes a mistake.
    pub(super) fn wish_for_less(&mut self, name: &str) {
        let wish =
            ["never", "every 10m, keep 1", "every 20m, keep 1", "daily"][self.dice.usize(0..4)];
        if self.floor.is_some() && self.cluster.claims.contains_key(name) {
            self.annotate(name, wish);
        }
    }

    /// Advances the time, in seconds.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.arrays.now += seconds;
        self.note(format!("{seconds} s pass"));
    }

    /// Returns the number of scheduled snapshots of a claim's volume.
    pub(crate) fn snapshots(&self, name: &str) -> usize {
        let uid = self.cluster.claims[name].metadata.uid.clone().expect("a UID");
        let of_claim = |((_, _), (_, of)): &(&(String, String), &(Volume, String))| *of == uid;
        let volumes = self.arrays.volumes.iter().filter(of_claim);
        volumes.map(|((array, name), _)| self.arrays.slots_of(array, name).len()).sum()
    }

    /// Returns the number of writes to the API server.
    pub(crate) fn writes(&self) -> usize {
        self.cluster.history.len()
    }

    /// A leader checks whether snapshots are due; returns whether that causes an effect.
    pub(super) fn look(&mut self, leader: usize) -> bool {
        let before = self.process.asked.len() + self.process.timers.len();
        let remembered = self.process.snapshot_works[leader].keys();
        let names: BTreeSet<String> =
            self.process.volumes.keys().chain(remembered).cloned().collect();
        for name in names {
            self.step(&Key::Snapshots(leader, name), Input::Changed);
        }
        self.process.asked.len() + self.process.timers.len() > before
    }

    /// Compares the volumes on the arrays with the state of the process.
    pub(super) fn list(&mut self, fails: bool) {
        for state in &self.states {
            let of_array =
                self.arrays.volumes.iter().filter(|((array, _), _)| *array == state.name);
            let volumes = of_array.map(|(_, (volume, _))| volume.clone()).collect();
            let id = format!("id-of-{}", state.name);
            let volumes = if fails { Err("no answer".to_owned()) } else { Ok((id, volumes)) };
            let listed = Listed { array: state.name.clone(), volumes };
            let process = &self.process;
            let is_known = |volume: &Volume, uid: &str| {
                let behind = Some((format!("id-of-{}", state.name), volume.id.clone()));
                process.claims.contains_key(uid)
                    || process.volumes.values().any(|each| backing_ids(each) == behind)
            };
            let mut orphans = process.orphans.clone();
            let report = orphans.update(&self.setup.cluster, &listed, self.arrays.now, is_known);
            self.process.orphans = orphans;
            let is_right = report.new.iter().all(|orphan| {
                let there = self.arrays.find(&orphan.array, &orphan.name);
                let created = there.and_then(|there| there.created).unwrap_or(u64::MAX);
                created / 1000 + 600 <= self.arrays.now
            });
            self.must(
                is_right,
                "a volume that does not exist, or is young, is reported as an orphan",
            );
        }
    }

    pub(super) fn apply_to_snapshots(&mut self, effect: Effect) -> Result<Outcome, EffectError> {
        match effect {
            Effect::ListSnapshots { array, volume } => {
                let all = self.arrays.snapshots_of(&array, volume.name.as_str());
                Ok(Outcome::Snapshots(self.moment(), all))
            }
            Effect::TakeSnapshot { array, volume, suffix } => {
                let slot = self.check_slot(&suffix.to_string());
                let name = volume.name.as_str();
                let taken = self.arrays.snapshot(&array, name, &suffix.to_string(), slot);
                self.taken += usize::from(slot.is_some());
                let effect = Effect::TakeSnapshot { array, volume, suffix };
                taken.map(Outcome::Snapshot).ok_or_else(|| Self::trouble(&effect))
            }
            Effect::DestroySnapshot { array, snapshot, .. } => {
                self.destroy_snapshot(&array, &snapshot);
                Ok(Outcome::Good)
            }
            other => panic!("{other:?} is about something else"),
        }
    }

    /// Checks that the suffix of a snapshot is the time of a past slot, which makes it unique.
    fn check_slot(&self, suffix: &str) -> Option<u64> {
        // Snapshots for clones are destroyed as soon as the clone is complete.
        if suffix.starts_with("clone-") {
            return None;
        }
        let time = suffix.strip_prefix("pso-").and_then(|time| {
            let time = DateTime::strptime("%Y%m%dT%H%M", time).ok()?;
            u64::try_from(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()).ok()
        });
        self.must(time.is_some(), "a snapshot has a name of its own");
        let time = time.unwrap_or_default();
        let on_time = time.is_multiple_of(EVERY) && time <= self.arrays.now + self.skew;
        self.must(on_time, "a snapshot is not of a slot");
        Some(time)
    }

    /// Checks that snapshots of users are untouched, and that the newest of the provisioner's are kept.
    fn destroy_snapshot(&mut self, array: &str, snapshot: &Snapshot) {
        let here = |(on, each, _): &&mut (String, Snapshot, Option<u64>)| {
            on == array && each.id == snapshot.id && !each.destroyed
        };
        let Some((_, there, slot)) = self.arrays.snapshots.iter_mut().find(here) else { return };
        there.destroyed = true;
        if there.name.contains(".clone-") {
            return;
        }
        let Some(slot) = *slot else {
            self.must(false, "a snapshot of a user is destroyed");
            return;
        };
        let left = self.arrays.slots_of(array, &snapshot.volume);
        let newer = left.iter().filter(|left| **left > slot).count();
        self.must(newer >= self.keep, "too few snapshots are kept");
        self.must(self.class.is_ok(), "a snapshot is destroyed while it is not known what is kept");
        if let Some((every, keep)) = self.floor {
            let of_class = |slot: &u64| slot.is_multiple_of(every);
            let newer = left.iter().filter(|left| **left > slot && of_class(left)).count();
            self.must(!of_class(&slot) || newer >= keep, "what the class keeps is destroyed");
        }
        // Two for each that was taken, and one or two more if a process has ended meanwhile.
        self.destroyed += 1;
        let many = self.destroyed > 2 * self.taken + 2 * self.processes;
        self.must(!many, "many snapshots are destroyed at once");
    }

    /// A user takes a snapshot with a name similar to the provisioner's, or a protection group takes one.
    pub(super) fn take_foreign(&mut self) {
        let volumes: Vec<(String, String)> = self.arrays.volumes.keys().cloned().collect();
        if let Some((array, volume)) = self.dice.choice(volumes) {
            let suffix =
                ["before-upgrade", "pso-2026", "pso-19700101T0000.x"][self.dice.usize(0..3)];
            self.arrays.snapshot(&array, &volume, suffix, None);
        }
    }

    /// Checks that the volume of each bound claim has a snapshot of the last slot, and the right number of others.
    #[track_caller]
    pub(crate) fn check_snapshots(&self) {
        for volume in self.cluster.volumes.values() {
            let Some((array, id)) = backing_ids(volume) else { continue };
            let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
            let on =
                self.arrays.volumes.iter().find(|((on, _), (v, _))| *on == array && v.id == id);
            let (Some("Bound"), Some(((_, name), _))) = (phase, on) else { continue };
            let slots = self.arrays.slots_of(&array, name);
            let newest = slots.first().copied().unwrap_or_default();
            let last = (self.arrays.now / EVERY * EVERY).saturating_sub(EVERY);
            self.must(newest >= last, "the last slot has no snapshot");
            self.must(slots.len() <= self.keep, "more snapshots are kept than so many");
        }
    }

    /// A process ends after it has requested a volume; the array creates it when the claim is gone.
    pub(crate) fn leave_orphan(&mut self, name: &str) {
        self.create(name);
        let is_ensure = |effect: &Effect| matches!(effect, Effect::EnsureVolume { .. });
        while !self.process.asked.iter().any(|(_, effect)| is_ensure(effect)) {
            self.steps_until_effect(self.done + 1);
        }
        let asked = self.process.asked.iter().map(|(_, effect)| effect);
        self.late.extend(asked.filter(|effect| is_ensure(effect)).cloned());
        self.delete(name);
        self.crash();
        self.settle();
        self.act_late();
    }

    /// Checks that the reported orphans are the real ones; returns their number.
    #[track_caller]
    pub(crate) fn check_orphans(&mut self) -> usize {
        for _ in 0..2 {
            self.pass(700);
            self.list(false);
        }
        let claims: BTreeSet<&String> =
            self.cluster.claims.values().filter_map(|claim| claim.metadata.uid.as_ref()).collect();
        let live = self.arrays.volumes.iter().filter(|(_, (volume, _))| !volume.destroyed);
        let unknown = live.filter(|(_, (_, uid))| {
            !claims.contains(uid) && !self.cluster.volumes.contains_key(&persistent_volume(uid))
        });
        let there: BTreeSet<&(String, String)> = unknown.map(|(key, _)| key).collect();
        let reported = self.process.orphans.all().map(|o| (o.array.clone(), o.name.clone()));
        let reported: BTreeSet<(String, String)> = reported.collect();
        self.must(
            reported.iter().collect::<BTreeSet<_>>() == there,
            "the reported orphans are not the real ones",
        );
        let counts = self.process.orphans.counts();
        let count: Option<usize> = counts.map(|(_, count)| count).sum();
        self.must(count == Some(there.len()), "orphans are counted wrong");
        there.len()
    }
}
