//! An effect waits between its decision and its request: for its turn, for a busy array, or for the pause after a
//! failed attempt. Meanwhile the cluster changes. The conditions that block a request at its turn are those of the
//! product's clients (`src/arrays/fence.rs`).

use std::time::Duration;

use pso_gen::contract::Retry;
use pso_gen::provisioner::decide::{Effect, EffectError, Health, Input, Outcome, ReadTime};

use super::{Crash, Key, Run};

impl Run {
    /// Returns the time, by the clocks of every process.
    pub(super) fn moment(&self) -> ReadTime {
        let now = Duration::from_secs(self.arrays.now);
        ReadTime { steady: now, wall: now }
    }

    /// The next effect starts to wait, or a waiting one has its turn.
    pub(super) fn act(&mut self) -> bool {
        let begins =
            !self.process.asked.is_empty() && (self.process.waiting.is_empty() || self.dice.bool());
        if begins {
            let asked = self.process.asked.pop_front();
            self.process.waiting.extend(asked);
            return true;
        }
        if self.process.waiting.is_empty() {
            return false;
        }
        // An effect for another array may overtake.
        let turn = self.dice.usize(0..self.process.waiting.len());
        let (key, effect) = self.process.waiting.swap_remove(turn);
        self.send(&key, &effect);
        true
    }

    /// The array is busy, or the whole process is paused: all waiting effects get older.
    pub(super) fn stall(&mut self) {
        let seconds = self.dice.u64(1..60);
        self.note(format!("all wait for {seconds} s"));
        self.arrays.now += seconds;
    }

    /// Executes an effect at its turn, unless the process ends at it.
    fn send(&mut self, key: &Key, effect: &Effect) {
        let number = self.done;
        self.done += 1;
        let crash = self.crashes.iter().find(|(at, _)| *at == number).map(|(_, kind)| *kind);
        let line = format!("{number} {effect:?}");
        self.note(format!(
            "{}{}",
            &line[..line.len().min(160)],
            crash.map_or(String::new(), |c| format!(" CRASH {c:?}"))
        ));
        if crash == Some(Crash::Before) {
            self.crash();
            return;
        }
        let chance = self.dice.f64();
        if chance < self.faults {
            let trouble = Self::trouble(effect);
            self.note("  fails");
            self.answer(key, Err(trouble));
            return;
        }
        let outcome = self.request(effect.clone());
        if crash == Some(Crash::Unheard) {
            self.crash();
            return;
        }
        if chance < 2.0 * self.faults {
            self.note("  answer lost");
            let trouble = Self::trouble(effect);
            self.answer(key, Err(trouble));
            return;
        }
        self.answer(key, outcome);
        if crash == Some(Crash::After) {
            self.crash();
        }
    }

    /// Delivers the answer of a request. The creation of a PersistentVolume serves as a barrier for other claims.
    fn answer(&mut self, key: &Key, answer: Result<Outcome, EffectError>) {
        let created = match &answer {
            Ok(Outcome::PersistentVolume(Some(volume))) => volume.metadata.uid.as_deref(),
            _ => None,
        };
        for passed in self.process.watch_barriers.creation_ends(key, created) {
            self.step(&passed, Input::WatchCaughtUp);
        }
        self.step(key, Input::Done(answer));
    }

    /// Sends the request of an effect, unless it is blocked.
    fn request(&mut self, effect: Effect) -> Result<Outcome, EffectError> {
        if let Some(trouble) = self.held_back(&effect) {
            self.note("  held back");
            return Err(trouble);
        }
        self.apply(effect)
    }

    /// Returns why a request is blocked, or answered by another array.
    fn held_back(&self, effect: &Effect) -> Option<EffectError> {
        let trouble = |reason, message: &str| EffectError::Array {
            reason,
            message: message.to_owned(),
            retry: Retry::Soon,
        };
        if let Effect::DestroyVolume { read, .. } | Effect::DestroySnapshot { read: Some(read), .. } =
            effect
            && !self.moment().allows(*read)
        {
            return Some(trouble("Expired", "the decision is too old"));
        }
        let (array, expected) = match effect {
            Effect::EnsureVolume { array, array_id, .. }
            | Effect::FindVolume { array, array_id, .. }
            | Effect::DestroyVolume { array, array_id, .. } => (array, array_id.as_ref()?),
            Effect::ExpandVolume { array, array_id, .. } => (array, array_id),
            _ => return None,
        };
        let state = self.states.iter().find(|state| state.name == *array)?;
        if let Health::Up { id, .. } = &state.health
            && id != expected
        {
            return Some(trouble("WrongArray", "this is another array"));
        }
        None
    }

    /// The process ends while its requests are in flight, and another one starts. A waiting request is blocked at its
    /// turn, because its process does not lead any more; a request that was sent may arrive late.
    pub(super) fn crash_with_late_effect(&mut self) {
        let all: Vec<Effect> =
            self.process.waiting.iter().map(|(_, effect)| effect.clone()).collect();
        for effect in all {
            // A volume that is created on one array while the next process creates it on another would be an orphan
            // whose claim exists.
            let possible = match &effect {
                Effect::EnsureVolume { .. } => self.late_volumes,
                Effect::RecordIntent { asked, .. } => asked.len() == 1,
                _ => true,
            };
            if possible && self.held_back(&effect).is_none() && self.dice.u8(0..4) > 0 {
                self.late.push(effect);
            }
        }
        self.crash();
    }

    /// Returns whether a request that destroys something was sent and has not arrived. It cannot be recalled: changes
    /// that users make in this time are too late.
    pub(super) fn destroys_late(&self) -> bool {
        self.late.iter().any(|effect| matches!(effect, Effect::DestroyVolume { .. }))
    }
}
