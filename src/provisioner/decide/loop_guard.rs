//! Remembers the effects for one object since its last pause. An effect that repeats waits first, so that no error
//! becomes a loop without a pause.

use super::effect::{Effect, EffectError};

/// Effects that succeeded since the last failure or idle moment.
#[derive(Debug, Clone, Default)]
pub(super) struct LoopGuard {
    done: Vec<Effect>,
    /// Consecutive repetitions.
    again: u32,
}

impl LoopGuard {
    /// Records an effect that succeeded.
    pub(super) fn done(&mut self, effect: &Effect) {
        // After a change, a repeated read is legitimate.
        if !reads(effect) {
            self.done.retain(|done| !reads(done));
        }
        self.done.push(effect.clone());
    }

    /// Allows another read of the cluster's objects, because a search found a volume.
    pub(super) fn found(&mut self) {
        let reads = |effect: &Effect| {
            matches!(effect, Effect::ReadPersistentVolume { .. } | Effect::ReadClaim { .. })
        };
        self.done.retain(|done| !reads(done));
    }

    /// Forgets all effects, because nothing is left to do.
    pub(super) fn ended(&mut self) {
        *self = Self::default();
    }

    /// Forgets the effects, because the object waits after a failure.
    pub(super) fn waits(&mut self) {
        self.done.clear();
    }

    /// Returns an error if an effect was executed already. The first repetition is a conflict, because the view may be
    /// stale.
    pub(super) fn repeats(&mut self, effect: &Effect) -> Option<EffectError> {
        if !self.done.contains(effect) {
            return None;
        }
        self.done.clear();
        self.again += 1;
        if self.again == 1 {
            return Some(EffectError::Conflict);
        }
        let what = match effect {
            Effect::FindVolume { array, name, .. } => {
                format!("{array} answers for {name}, and that is of no use")
            }
            _ => "the completed steps changed nothing".to_owned(),
        };
        Some(EffectError::Cluster(what))
    }
}

fn reads(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::ReadPersistentVolume { .. }
            | Effect::ReadClaim { .. }
            | Effect::FindVolume { .. }
            | Effect::ReadVolumeSnapshot { .. }
            | Effect::FindSnapshot { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::VolumeName;

    #[test]
    fn the_same_once_more_waits_and_what_follows_a_change_does_not() {
        let read = Effect::ReadPersistentVolume { name: "pvc-1".to_owned() };
        let name = VolumeName::new("prod-pvc-1").expect("a name");
        let find = Effect::FindVolume { array: "fb1".to_owned(), array_id: None, name };
        let mut chain = LoopGuard::default();
        assert_eq!(chain.repeats(&read), None);
        chain.done(&read);
        assert_eq!(chain.repeats(&find), None);
        chain.done(&find);
        assert_eq!(
            chain.repeats(&read),
            Some(EffectError::Conflict),
            "also with another in between"
        );
        chain.done(&read);
        let message = "the completed steps changed nothing".to_owned();
        assert_eq!(chain.repeats(&read), Some(EffectError::Cluster(message)));
        chain.ended();
        chain.done(&read);
        chain.done(&Effect::AwaitController);
        assert_eq!(chain.repeats(&read), None, "something has been done in between");
        assert_eq!(chain.repeats(&Effect::AwaitController), Some(EffectError::Conflict));
    }
}
