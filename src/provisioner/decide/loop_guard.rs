//! What has been done for one object since it was last left alone. Doing the same once more brings nothing new:
//! whatever the reason, it waits first, so that no mistake becomes a loop without a pause.

use super::effect::{Effect, EffectError};

/// Effects that went well, since something was last waited for in vain or there was nothing to do.
#[derive(Debug, Clone, Default)]
pub(super) struct LoopGuard {
    done: Vec<Effect>,
    /// How often in a row something was to be done again.
    again: u32,
}

impl LoopGuard {
    /// An effect went well.
    pub(super) fn done(&mut self, effect: &Effect) {
        // What was read before something changed may well be read again.
        if !reads(effect) {
            self.done.retain(|done| !reads(done));
        }
        self.done.push(effect.clone());
    }

    /// What was found makes it worth to read the cluster's objects once more.
    pub(super) fn found(&mut self) {
        let reads = |effect: &Effect| {
            matches!(effect, Effect::ReadPersistentVolume { .. } | Effect::ReadClaim { .. })
        };
        self.done.retain(|done| !reads(done));
    }

    /// There is nothing to do.
    pub(super) fn ended(&mut self) {
        *self = Self::default();
    }

    /// Something went wrong, and is waited for.
    pub(super) fn waits(&mut self) {
        self.done.clear();
    }

    /// Returns what is the matter when an effect has been done already. The first time it is what is known that
    /// may be late.
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
            _ => "what was done has changed nothing".to_owned(),
        };
        Some(EffectError::Cluster(what))
    }
}

fn reads(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::ReadPersistentVolume { .. } | Effect::ReadClaim { .. } | Effect::FindVolume { .. }
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
        let message = "what was done has changed nothing".to_owned();
        assert_eq!(chain.repeats(&read), Some(EffectError::Cluster(message)));
        chain.ended();
        chain.done(&read);
        chain.done(&Effect::AwaitController);
        assert_eq!(chain.repeats(&read), None, "something has been done in between");
        assert_eq!(chain.repeats(&Effect::AwaitController), Some(EffectError::Conflict));
    }
}
