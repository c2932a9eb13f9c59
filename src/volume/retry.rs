//! When to come again, and what people have been told already.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effect::{About, Effect, Severity, Trouble};
use super::reason::Reason;
use crate::array::Retry;

/// First and longest time between two tries.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// How often in a row it is no news that a volume is in use: a minute.
const PATIENT: u32 = 6;

/// What is remembered of failures.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    failures: u32,
    /// What was told last for each reason.
    told: BTreeMap<Reason, String>,
}

impl Tries {
    /// All is well again.
    pub(super) fn good(&mut self) {
        *self = Self::default();
    }

    /// Says something about an object, once for each reason and kind in a row: a message that only differs in
    /// how long something has been waited for is not news.
    pub(super) fn tell(
        &mut self,
        about: About,
        severity: Severity,
        reason: Reason,
        kind: &str,
        message: String,
    ) -> Option<Effect> {
        if self.told.get(&reason).is_some_and(|told| told == kind) {
            return None;
        }
        self.told.insert(reason, kind.to_owned());
        Some(Effect::Tell { severity, about, reason, message })
    }

    /// Returns what follows from a failure: words when they are news, and when to come again.
    pub(super) fn failed(
        &mut self,
        about: About,
        reason: Reason,
        trouble: &Trouble,
    ) -> Vec<Effect> {
        let (kind, message, slow) = match trouble {
            // The newer state is on its way here.
            Trouble::Conflict | Trouble::Exists => return vec![Effect::Later(FIRST)],
            // The next leader sees to it.
            Trouble::NotLeading => return Vec::new(),
            // Free of numbers, such as versions: what only differs in these is no news.
            Trouble::Cluster(message) => {
                let kind = message.chars().filter(|c| !c.is_ascii_digit()).collect();
                (kind, message.clone(), false)
            }
            Trouble::Array { reason, message, retry } => {
                ((*reason).to_owned(), message.clone(), *retry != Retry::Soon)
            }
        };
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        let wait = if slow { doubled.max(FIRST * 15) } else { doubled };
        self.failures += 1;
        // Passes by itself half a minute after a change of leader: no news for people.
        if matches!(trouble, Trouble::Array { reason: "Registering", .. }) {
            return vec![Effect::Later(wait)];
        }
        // Of the last moments of a pod, an array tells half a minute later.
        if matches!(trouble, Trouble::Array { reason: "InUse", .. }) && self.failures <= PATIENT {
            return vec![Effect::Later(wait)];
        }
        let told = self.tell(about, Severity::Warning, reason, &kind, message);
        told.into_iter().chain([Effect::Later(wait)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cause_is_told_and_a_new_number_is_not() {
        let mut tries = Tries::default();
        let mut tells = |message: &str| {
            let trouble = Trouble::Cluster(message.to_owned());
            let effects = tries.failed(About::Claim, Reason::ProvisioningFailed, &trouble);
            effects.iter().any(|effect| matches!(effect, Effect::Tell { .. }))
        };
        assert!(tells("no array takes it: fa1: more than 95% full"));
        assert!(!tells("no array takes it: fa1: more than 96% full"));
        assert!(tells("no array takes it: fa1: the array is not reached"));
    }

    #[test]
    fn what_comes_again_is_told_once() {
        let mut tries = Tries::default();
        let mut told = |reason, kind: &str| {
            tries.tell(About::Claim, Severity::Normal, reason, kind, "text".to_owned()).is_some()
        };
        assert!(told(Reason::Provisioning, "fb1") && told(Reason::ProvisioningFailed, "Busy"));
        assert!(!told(Reason::Provisioning, "fb1") && !told(Reason::ProvisioningFailed, "Busy"));
        assert!(told(Reason::Provisioning, "fb2") && told(Reason::ProvisioningFailed, "Refused"));
    }
}
