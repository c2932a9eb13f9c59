//! Decides when a failed step is retried, which change ends the wait early, and which events were recorded already.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::effect::{Effect, EffectError, Regarding, Severity};
use super::reason::Reason;
use super::setup::{ArrayState, Health};
use crate::contract::Retry;

/// First and longest time between two attempts.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Consecutive failures with `InUse` that cause no event: about a minute.
const PATIENT: u32 = 6;

/// Failures of one subject, and the events that reported them.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// The last normal event of each reason.
    told: BTreeMap<Reason, String>,
    /// The last warning: if two causes alternate, each change causes an event.
    warned: Option<(Reason, String)>,
}

impl Backoff {
    /// Forgets all failures after a success.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Returns the event for an object, once for each reason and kind in a row: a message that differs only in a
    /// waiting time causes none. For warnings, each change of reason or kind causes an event.
    pub(super) fn tell(
        &mut self,
        about: Regarding,
        severity: Severity,
        reason: Reason,
        kind: &str,
        message: String,
    ) -> Option<Effect> {
        match severity {
            Severity::Warning => {
                let now = Some((reason, kind.to_owned()));
                if self.warned == now {
                    return None;
                }
                self.warned = now;
            }
            Severity::Normal => {
                if self.told.get(&reason).is_some_and(|told| told == kind) {
                    return None;
                }
                self.told.insert(reason, kind.to_owned());
            }
        }
        Some(Effect::RecordEvent { severity, regarding: about, reason, message })
    }

    /// Returns the effects of a failure: an event if the failure is new, and the time of the retry.
    pub(super) fn failed(
        &mut self,
        about: Regarding,
        reason: Reason,
        trouble: &EffectError,
    ) -> Vec<Effect> {
        let (kind, message, slow) = match trouble {
            // The watch delivers the newer state.
            EffectError::Conflict | EffectError::Exists => return vec![Effect::Requeue(FIRST)],
            // The next leader retries it.
            EffectError::NotLeading => return Vec::new(),
            EffectError::Cluster(message) => (without_numbers(message), message.clone(), false),
            // One reason has several causes, which only the message distinguishes.
            EffectError::Array { reason, message, retry } => {
                let kind = format!("{reason}: {}", without_numbers(message));
                (kind, message.clone(), *retry != Retry::Soon)
            }
        };
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        let wait = if slow { doubled.max(FIRST * 15) } else { doubled };
        self.failures += 1;
        // Ends by itself half a minute after a change of leader: no event.
        if matches!(trouble, EffectError::Array { reason: "Registering", .. }) {
            return vec![Effect::Requeue(wait)];
        }
        // The array reports a disconnect half a minute after the pod has ended.
        if matches!(trouble, EffectError::Array { reason: "InUse", .. }) && self.failures <= PATIENT
        {
            return vec![Effect::Requeue(wait)];
        }
        let told = self.tell(about, Severity::Warning, reason, &kind, message);
        told.into_iter().chain([Effect::Requeue(wait)]).collect()
    }
}

/// Returns a message without numbers, such as versions: messages that differ only in these cause one event.
fn without_numbers(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The facts on which a wait is based. The wait ends early if they improve: an array is reachable again, or the
/// requests of the object have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WaitBasis {
    /// The reachable arrays, one bit each.
    up: u128,
    /// A hash of the requests.
    wish: u64,
}

impl WaitBasis {
    /// Returns the current facts: the arrays and `wish`, the requests of the object.
    pub(super) fn of(arrays: &[ArrayState], wish: &impl Hash) -> Self {
        let up = |(index, state): (usize, &ArrayState)| {
            let up = matches!(state.health, Health::Up { .. });
            u128::from(up) << (index % 128)
        };
        let mut hasher = DefaultHasher::new();
        wish.hash(&mut hasher);
        Self { up: arrays.iter().enumerate().map(up).sum(), wish: hasher.finish() }
    }

    /// Stores the current facts, and returns whether they end the wait.
    pub(super) fn is_better(&mut self, now: Self) -> bool {
        let better = now.up & !self.up != 0 || now.wish != self.wish;
        // An array that became unreachable meanwhile may end the wait later.
        *self = now;
        better
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cause_is_reported_and_a_new_number_is_not() {
        let mut tries = Backoff::default();
        let mut tells = |message: &str| {
            let trouble = EffectError::Cluster(message.to_owned());
            let effects = tries.failed(Regarding::Claim, Reason::ProvisioningFailed, &trouble);
            effects.iter().any(|effect| matches!(effect, Effect::RecordEvent { .. }))
        };
        assert!(tells("no array takes it: fa1: more than 95% full"));
        assert!(!tells("no array takes it: fa1: more than 96% full"));
        assert!(tells("no array takes it: fa1: the array is not reached"));
    }

    #[test]
    fn a_repeated_event_is_recorded_once() {
        let mut tries = Backoff::default();
        let mut told = |reason, kind: &str| {
            tries
                .tell(Regarding::Claim, Severity::Normal, reason, kind, "text".to_owned())
                .is_some()
        };
        assert!(told(Reason::Provisioning, "fb1") && told(Reason::ProvisioningFailed, "Busy"));
        assert!(!told(Reason::Provisioning, "fb1") && !told(Reason::ProvisioningFailed, "Busy"));
        assert!(told(Reason::Provisioning, "fb2") && told(Reason::ProvisioningFailed, "Refused"));
    }

    #[test]
    fn causes_that_alternate_are_reported_at_each_change() {
        let mut tries = Backoff::default();
        let mut told = |reason, message: &str| {
            let (message, retry) = (message.to_owned(), Retry::Soon);
            let trouble = EffectError::Array { reason: "NotOurs", message, retry };
            let effects = tries.failed(Regarding::Claim, reason, &trouble);
            effects.iter().any(|effect| matches!(effect, Effect::RecordEvent { .. }))
        };
        let (making, cleaning) = (Reason::ProvisioningFailed, Reason::ProvisioningCleanupFailed);
        assert!(told(making, "it is destroyed"));
        assert!(!told(making, "it is destroyed"));
        assert!(told(making, "it is older than its claim"), "the same word for another cause");
        assert!(told(making, "it is destroyed"), "it changed in between");
        assert!(told(cleaning, "it is destroyed") && told(making, "it is destroyed"));
        assert!(!told(making, "it is destroyed"));
    }

    #[test]
    fn a_wait_ends_when_an_array_is_back_or_something_else_is_asked_for() {
        let state = |name: &str, up: bool| ArrayState {
            name: name.to_owned(),
            kind: crate::contract::ArrayKind::FlashBlade,
            traits: crate::provisioner::decide::ArrayTraits::default(),
            health: if up {
                let capacity = crate::contract::Capacity { total: 1, used: 0, provisioned: None };
                let reach = crate::contract::Transport::Nfs { addresses: Vec::new() };
                Health::Up { id: name.to_owned(), capacity, reach }
            } else {
                Health::Down("the array is not reached".to_owned())
            },
        };
        let at = |a, b, wish: u32| WaitBasis::of(&[state("a", a), state("b", b)], &wish);
        let mut ground = at(true, false, 1);
        assert!(!ground.is_better(at(true, false, 1)));
        assert!(!ground.is_better(at(false, false, 1)), "one more is away");
        assert!(ground.is_better(at(true, false, 1)), "it is back");
        assert!(ground.is_better(at(true, true, 1)));
        assert!(ground.is_better(at(true, true, 2)), "less is asked for");
        assert!(!ground.is_better(at(true, true, 2)));
    }
}
