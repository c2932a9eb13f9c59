//! Decides when scheduled snapshots of a bound volume are taken, one in each slot, and destroyed. Their schedules and
//! expiry are in [`schedule`](super::schedule).
//!
//! Clocks are unknown here: the time is part of the view. The array's own list, read once in a slot, shows
//! which snapshots exist: so a crash, a second leader or a lost answer creates no second snapshot, and a downtime is followed by one
//! snapshot, not many. Snapshots of admins, protection groups and policies are neither counted nor changed.

#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::backoff::Backoff;
use super::effect::{Effect, EffectError, Input, Outcome, Regarding, Severity};
use super::persistent_volume::{BackingVolume, backing_volume};
use super::read_time::ReadTime;
use super::reason::Reason;
use super::schedule::Schedules;
use super::setup::ClassSetup;
use super::slot::Slot;
use crate::contract::{Retry, Snapshot};

/// The reason of the events on snapshots.
const FAILED: Reason = Reason::SnapshotFailed;

/// Everything known about a volume's snapshots when they are reconciled.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotView<'v> {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// The PersistentVolume; none if it is gone.
    pub volume: Option<&'v PersistentVolume>,
    /// Whether another PersistentVolume names the same volume on the same array.
    pub is_shared: bool,
    /// The claim that it is for; none if it is gone.
    pub claim: Option<&'v PersistentVolumeClaim>,
    /// The claim's class; none if it does not exist or has another provisioner, an error if it is invalid.
    pub class: Option<&'v Result<ClassSetup, String>>,
}

/// The work on the snapshots of one volume; a crash loses it.
#[derive(Debug, Clone, Default)]
pub struct SnapshotState {
    in_flight: Option<Effect>,
    round: Option<Round>,
    waiting: bool,
    tries: Backoff,
    /// The last event about a refused schedule.
    refused: Option<String>,
}

/// The snapshots that are due at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DueSnapshots {
    backing_volume: BackingVolume,
    /// At least one.
    slots: Vec<Slot>,
    schedules: Schedules,
}

/// The progress of a slot.
#[derive(Debug, Clone)]
struct Round {
    due: DueSnapshots,
    /// All snapshots of the volume, after they were listed.
    existing: Option<Vec<Snapshot>>,
    /// The time of that request.
    read: ReadTime,
    taken: usize,
    destroyed: usize,
    done: bool,
}

enum Next {
    Nothing,
    Do(Effect),
    Stuck(String),
}

impl SnapshotState {
    /// Returns whether the state holds nothing that must be remembered.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.waiting && self.round.is_none()
    }

    /// Processes an input, and returns the effects to execute.
    pub fn step(&mut self, view: SnapshotView<'_>, event: Input) -> Vec<Effect> {
        self.tries.of(view.volume.map(|volume| &volume.metadata));
        match event {
            Input::Changed if self.waiting => return Vec::new(),
            Input::Changed | Input::ControllerCaughtUp | Input::WatchCaughtUp => {}
            Input::Due => self.waiting = false,
            Input::Done(done) => {
                let Some(effect) = self.in_flight.take() else { return Vec::new() };
                let result = done.and_then(|outcome| self.apply_outcome(effect, outcome));
                if let Err(error) = result {
                    return self.fail(view, &error);
                }
            }
        }
        if self.in_flight.is_some() || self.waiting {
            return Vec::new();
        }
        let next = self.next(view);
        let mut effects = Vec::from_iter(self.refuse());
        match next {
            Next::Nothing => {}
            Next::Do(effect) => {
                self.in_flight = Some(effect.clone());
                effects.push(effect);
            }
            Next::Stuck(message) => effects.extend(self.fail(view, &EffectError::Cluster(message))),
        }
        effects
    }

    /// Returns the event about the refused part of a claim's schedule, once.
    fn refuse(&mut self) -> Option<Effect> {
        let refused = self.round.as_ref().and_then(|round| round.due.schedules.refused.clone());
        if self.refused == refused {
            return None;
        }
        self.refused.clone_from(&refused);
        let (about, reason) = (Regarding::Claim, Reason::SnapshotScheduleRefused);
        let event = |message| Effect::RecordEvent {
            severity: Severity::Warning,
            regarding: about,
            reason,
            message,
        };
        refused.map(event)
    }

    fn apply_outcome(&mut self, effect: Effect, outcome: Outcome) -> Result<(), EffectError> {
        let Some(round) = &mut self.round else { return Ok(()) };
        match (effect, outcome) {
            (Effect::ListSnapshots { .. }, Outcome::Snapshots(at, all)) => {
                round.read = at;
                // A volume with another name was renamed by hand, and a snapshot under the new name would never be
                // found again.
                let own = &round.due.backing_volume.volume.name;
                let is_other = |each: &Snapshot| !each.volume.is_empty() && !own.is(&each.volume);
                if let Some(other) = all.iter().find(|each| is_other(each)) {
                    let message = format!("{own} is called {} now", other.volume);
                    return Err(EffectError::Array {
                        reason: "NotOurs",
                        message,
                        retry: Retry::Later,
                    });
                }
                round.existing = Some(all);
            }
            (Effect::TakeSnapshot { .. }, Outcome::Snapshot(taken)) => {
                // Older ones are destroyed only because this one exists.
                let slot = round.due.slot_of(&taken);
                let is_due = slot.is_some_and(|slot| round.due.slots.contains(&slot));
                if !is_due || taken.destroyed {
                    let message = format!(
                        "the array took the snapshot {}, which was not requested",
                        taken.name
                    );
                    return Err(EffectError::Array {
                        reason: "Malformed",
                        message,
                        retry: Retry::Later,
                    });
                }
                round.taken += 1;
                round.existing.get_or_insert_default().push(taken);
            }
            (Effect::DestroySnapshot { snapshot, .. }, _) => {
                let existing = round.existing.iter_mut().flatten();
                existing
                    .filter(|each| each.id == snapshot.id)
                    .for_each(|each| each.destroyed = true);
                round.destroyed += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, view: SnapshotView<'_>, error: &EffectError) -> Vec<Effect> {
        // Remembered objects may be the cause of the error.
        self.round = None;
        if let Ok(None) = DueSnapshots::of(view) {
            // The volume was deleted meanwhile, which explains the error.
            self.tries.reset();
            return Vec::new();
        }
        let effects = self.tries.failed(Regarding::Claim, FAILED, error);
        self.waiting = effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        effects
    }

    fn next(&mut self, view: SnapshotView<'_>) -> Next {
        let due = match DueSnapshots::of(view) {
            Ok(Some(due)) => due,
            Ok(None) => {
                self.round = None;
                self.tries.reset();
                return Next::Nothing;
            }
            Err(why) => return Next::Stuck(why),
        };
        let round = match &mut self.round {
            Some(round) if round.due == due => round,
            other => {
                let read = ReadTime::default();
                other.insert(Round {
                    due,
                    existing: None,
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
            None if round.existing.is_none() => Next::Stuck("the time has no name".to_owned()),
            None => {
                round.done = true;
                // The list may be long, and is stale in the next slot.
                round.existing = Some(Vec::new());
                self.tries.reset();
                Next::Nothing
            }
        }
    }
}

impl Round {
    fn next(&self) -> Option<Effect> {
        let DueSnapshots { backing_volume, slots, schedules } = &self.due;
        let BackingVolume { array, volume, .. } = backing_volume.clone();
        let Some(existing) = &self.existing else {
            return Some(Effect::ListSnapshots { array, volume });
        };
        let ours = existing.iter().filter_map(|each| Some((self.due.slot_of(each)?, each)));
        let mut ours: Vec<(Slot, &Snapshot)> = ours.collect();
        // A snapshot that was destroyed by hand is not taken again.
        if let Some(slot) = slots.iter().find(|slot| !ours.iter().any(|(of, _)| of == *slot)) {
            return slot.suffix().map(|suffix| Effect::TakeSnapshot { array, volume, suffix });
        }
        // A snapshot of the future, from a wrong clock, must not displace others.
        let last = slots.iter().max()?;
        ours.retain(|(of, each)| !each.destroyed && of <= last);
        ours.sort_by_key(|(of, _)| std::cmp::Reverse(*of));
        let newest_first: Vec<Slot> = ours.iter().map(|(of, _)| *of).collect();
        let slot = schedules.next_to_destroy(&newest_first, self.taken, self.destroyed)?;
        let (_, snapshot) = ours.into_iter().find(|(of, _)| *of == slot)?;
        let (snapshot, read) = (snapshot.clone(), Some(self.read));
        Some(Effect::DestroySnapshot { array, snapshot, read })
    }
}

impl DueSnapshots {
    /// Returns the snapshots that are due now; none without schedules, an error if the schedules are unknown.
    fn of(view: SnapshotView<'_>) -> Result<Option<Self>, String> {
        let (Some(volume), Some(claim)) = (view.volume, view.claim) else { return Ok(None) };
        let Some(backing_volume) = backing_volume(volume).filter(|_| are_bound(volume, claim))
        else {
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
        Ok(Some(Self { backing_volume, slots, schedules }))
    }

    fn slot_of(&self, snapshot: &Snapshot) -> Option<Slot> {
        Slot::of(snapshot, self.backing_volume.volume.name.as_str())
    }
}

/// Returns whether the two are bound to each other, and the claim is not being deleted. A PersistentVolume that is
/// being deleted is in use until its claim is deleted.
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
