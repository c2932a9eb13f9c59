//! Decides when a failed step is retried, which change ends the wait early, and which events were recorded already.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::effect::{Effect, EffectError, Regarding, Severity};
use super::reason::Reason;
use super::setup::{ArrayState, Health};
use crate::contract::Retry;

/// First and longest time between two attempts.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// A wait is shortened by up to a quarter, in steps of one of so many parts.
const PARTS: u32 = 4096;

/// Consecutive failures with `InUse` that cause no event: about a minute.
const PATIENT: u32 = 6;

/// Failures of one subject, and the events that reported them.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// A hash of the object's UID; 0 until the object is known.
    seed: u64,
    /// The last normal event of each reason.
    reported: BTreeMap<Reason, String>,
    /// The last warning: if two causes alternate, each change causes an event.
    warned: Option<(Reason, String)>,
}

impl Backoff {
    /// Remembers the object, whose UID spreads the waits.
    pub(super) fn of(&mut self, object: Option<&ObjectMeta>) {
        if self.seed != 0 {
            return;
        }
        if let Some(uid) = object.and_then(|object| object.uid.as_deref()) {
            let mut hasher = DefaultHasher::new();
            uid.hash(&mut hasher);
            self.seed = hasher.finish();
        }
    }

    /// Forgets all failures after a success.
    pub(super) fn reset(&mut self) {
        *self = Self { seed: self.seed, ..Self::default() };
    }

    /// Shortens a wait by up to a quarter, so that thousands of objects that have failed at once do not return at once.
    /// The part follows from the object's UID and the number of the attempt, not from chance.
    fn spread(&self, wait: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.failures).hash(&mut hasher);
        let part = u32::try_from(hasher.finish() % u64::from(PARTS / 4)).unwrap_or_default();
        wait.saturating_sub(wait * part / PARTS)
    }

    /// Returns the event for an object, once for each reason and kind in a row: a message that differs only in a
    /// waiting time causes none. For warnings, each change of reason or kind causes an event.
    pub(super) fn event_if_new(
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
                if self.reported.get(&reason).is_some_and(|reported| reported == kind) {
                    return None;
                }
                self.reported.insert(reason, kind.to_owned());
            }
        }
        Some(Effect::RecordEvent { severity, regarding: about, reason, message })
    }

    /// Returns the effects of a failure: an event if the failure is new, and the time of the retry.
    pub(super) fn failed(
        &mut self,
        about: Regarding,
        reason: Reason,
        error: &EffectError,
    ) -> Vec<Effect> {
        let (kind, message, slow) = match error {
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
        let wait = self.spread(if slow { doubled.max(FIRST * 15) } else { doubled });
        self.failures += 1;
        // Ends by itself half a minute after a change of leader: no event.
        if matches!(error, EffectError::Array { reason: "Registering", .. }) {
            return vec![Effect::Requeue(wait)];
        }
        // The array reports a disconnect half a minute after the pod has ended.
        if matches!(error, EffectError::Array { reason: "InUse", .. }) && self.failures <= PATIENT {
            return vec![Effect::Requeue(wait)];
        }
        let reported = self.event_if_new(about, Severity::Warning, reason, &kind, message);
        reported.into_iter().chain([Effect::Requeue(wait)]).collect()
    }
}

/// Returns a message without numbers, such as versions: messages that differ only in these cause one event.
pub(super) fn without_numbers(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The facts on which a wait is based. The wait ends early if they improve: an array is reachable again, or the
/// requests of the object have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WaitBasis {
    /// The reachable arrays, one bit each.
    up: u128,
    /// A hash of the requests.
    requests: u64,
}

impl WaitBasis {
    /// Returns the current facts: the arrays and `requests`, the requests of the object.
    pub(super) fn of(arrays: &[ArrayState], requests: &impl Hash) -> Self {
        let up = |(index, state): (usize, &ArrayState)| {
            let up = matches!(state.health, Health::Up { .. });
            u128::from(up) << (index % 128)
        };
        let mut hasher = DefaultHasher::new();
        requests.hash(&mut hasher);
        Self { up: arrays.iter().enumerate().map(up).sum(), requests: hasher.finish() }
    }

    /// Stores the current facts, and returns whether they end the wait.
    pub(super) fn improves(&mut self, now: Self) -> bool {
        let better = now.up & !self.up != 0 || now.requests != self.requests;
        // An array that became unreachable meanwhile may end the wait later.
        *self = now;
        better
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_new_cause_is_reported_and_a_new_number_is_not() {
        let mut tries = Backoff::default();
        let mut tells = |message: &str| {
            let error = EffectError::Cluster(message.to_owned());
            let effects = tries.failed(Regarding::Claim, Reason::ProvisioningFailed, &error);
            effects.iter().any(|effect| matches!(effect, Effect::RecordEvent { .. }))
        };
        assert!(tells("no array takes it: fa1: more than 95% full"));
        assert!(!tells("no array takes it: fa1: more than 96% full"));
        assert!(tells("no array takes it: fa1: the array is not reached"));
    }

    /// The waits of an object's first tries, which all fail.
    fn waits(uid: &str, retry: Retry, tries: usize) -> Vec<Duration> {
        let meta = ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        let mut all = Backoff::default();
        all.of(Some(&meta));
        let message = "busy".to_owned();
        let error = EffectError::Array { reason: "Busy", message, retry };
        let wait =
            |effect: Effect| if let Effect::Requeue(wait) = effect { Some(wait) } else { None };
        let mut failed = || all.failed(Regarding::Claim, Reason::ProvisioningFailed, &error);
        (0..tries).filter_map(|_| failed().into_iter().find_map(wait)).collect()
    }

    #[test]
    fn a_wait_doubles_up_to_five_minutes_and_is_up_to_a_quarter_shorter() {
        for (retry, first) in [(Retry::Soon, 1), (Retry::Later, 15)] {
            let mut longest = [Duration::ZERO; 12];
            for number in 0..500 {
                for (index, wait) in
                    waits(&format!("uid-{number}"), retry, 12).into_iter().enumerate()
                {
                    let whole = Duration::from_secs((1 << index).clamp(first, 300));
                    assert!(
                        wait <= whole && wait > whole * 3 / 4,
                        "{index}: {wait:?} of {whole:?}"
                    );
                    longest[index] = longest[index].max(wait.div_f64(whole.as_secs_f64()));
                }
            }
            let whole = Duration::from_millis(990);
            assert!(longest.iter().all(|wait| *wait > whole), "{longest:?}");
        }
    }

    #[test]
    fn what_fails_at_once_does_not_come_again_at_once() {
        for index in 0..6 {
            let mut all: Vec<Duration> =
                (0..1000).map(|n| waits(&format!("uid-{n}"), Retry::Soon, 6)[index]).collect();
            all.sort();
            // In each tenth of the time there is about a tenth of them.
            let whole = Duration::from_secs(1 << index);
            let after = |tenths: u32| whole * 3 / 4 + whole / 4 * tenths / 10;
            for tenth in 0..10 {
                let in_it = all.iter().filter(|w| (after(tenth)..after(tenth + 1)).contains(*w));
                let count = in_it.count();
                assert!((50..150).contains(&count), "try {index}, tenth {tenth}: {count}");
            }
        }
    }

    #[test]
    fn the_same_object_comes_again_at_the_same_times() {
        let of = |uid: &str| waits(uid, Retry::Soon, 9);
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        // Also when it has been well in between; not each of its tries is shorter by the same part.
        let mut tries = Backoff::default();
        let meta = |uid: &str| ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        tries.of(Some(&meta("a")));
        let seed = tries.seed;
        tries.reset();
        tries.of(None);
        tries.of(Some(&meta("b")));
        assert_eq!(tries.seed, seed, "one that is known stays known");
        let parts: BTreeSet<Duration> = (0..9).map(|index| of("a")[index] / (1 << index)).collect();
        assert!(parts.len() > 5, "{parts:?}");
    }

    #[test]
    fn a_repeated_event_is_recorded_once() {
        let mut tries = Backoff::default();
        let mut reported = |reason, kind: &str| {
            tries
                .event_if_new(Regarding::Claim, Severity::Normal, reason, kind, "text".to_owned())
                .is_some()
        };
        assert!(
            reported(Reason::Provisioning, "fb1") && reported(Reason::ProvisioningFailed, "Busy")
        );
        assert!(
            !reported(Reason::Provisioning, "fb1") && !reported(Reason::ProvisioningFailed, "Busy")
        );
        assert!(
            reported(Reason::Provisioning, "fb2")
                && reported(Reason::ProvisioningFailed, "Refused")
        );
    }

    #[test]
    fn causes_that_alternate_are_reported_at_each_change() {
        let mut tries = Backoff::default();
        let mut reported = |reason, message: &str| {
            let (message, retry) = (message.to_owned(), Retry::Soon);
            let error = EffectError::Array { reason: "NotOurs", message, retry };
            let effects = tries.failed(Regarding::Claim, reason, &error);
            effects.iter().any(|effect| matches!(effect, Effect::RecordEvent { .. }))
        };
        let (making, cleaning) = (Reason::ProvisioningFailed, Reason::ProvisioningCleanupFailed);
        assert!(reported(making, "it is destroyed"));
        assert!(!reported(making, "it is destroyed"));
        assert!(reported(making, "it is older than its claim"), "the same word for another cause");
        assert!(reported(making, "it is destroyed"), "it changed in between");
        assert!(reported(cleaning, "it is destroyed") && reported(making, "it is destroyed"));
        assert!(!reported(making, "it is destroyed"));
    }

    #[test]
    fn a_wait_ends_when_an_array_is_back_or_something_else_is_asked_for() {
        let state = |name: &str, up: bool| ArrayState {
            name: name.to_owned(),
            kind: crate::contract::ArrayKind::FlashBlade,
            traits: crate::provisioner::decide::ArrayTraits::default(),
            health: if up {
                let capacity = crate::contract::Capacity { total: 1, used: 0, provisioned: None };
                let transport = crate::contract::Transport::Nfs { addresses: Vec::new() };
                Health::Up { id: name.to_owned(), capacity, transport }
            } else {
                Health::Down("the array is not reached".to_owned())
            },
        };
        let at = |a, b, requests: u32| WaitBasis::of(&[state("a", a), state("b", b)], &requests);
        let mut ground = at(true, false, 1);
        assert!(!ground.improves(at(true, false, 1)));
        assert!(!ground.improves(at(false, false, 1)), "one more is away");
        assert!(ground.improves(at(true, false, 1)), "it is back");
        assert!(ground.improves(at(true, true, 1)));
        assert!(ground.improves(at(true, true, 2)), "less is asked for");
        assert!(!ground.improves(at(true, true, 2)));
    }

    /// The wait that effects ask for; none when they ask for none. A wait is at most a quarter shorter than the number of
    /// seconds that it is said to be: this returns that number.
    fn requeued(effects: &[Effect], seconds: u64) -> Option<u64> {
        let longest = Duration::from_secs(seconds);
        let shortest = longest * 3 / 4;
        effects.iter().find_map(|effect| match effect {
            Effect::Requeue(wait) => Some(if (shortest..=longest).contains(wait) {
                seconds
            } else {
                wait.as_secs() + 1000
            }),
            _ => None,
        })
    }

    fn array(reason: &'static str, retry: Retry) -> EffectError {
        EffectError::Array { reason, message: "it says no".to_owned(), retry }
    }

    #[test]
    fn the_time_between_tries_doubles_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut wait = |error: &EffectError, seconds| {
            let effects = backoff.failed(Regarding::Claim, Reason::ProvisioningFailed, error);
            requeued(&effects, seconds)
        };
        let cluster = EffectError::Cluster("no".to_owned());
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(wait(&cluster, seconds), Some(seconds));
        }
        for _ in 0..100 {
            assert_eq!(wait(&array("Busy", Retry::Soon), 300), Some(300));
        }
        // A newer state is on its way here: that is no failure, and the next leader tries by itself.
        assert_eq!(wait(&EffectError::Conflict, 1), Some(1));
        assert_eq!(wait(&EffectError::Exists, 1), Some(1));
        assert_eq!(wait(&EffectError::NotLeading, 1), None);
        assert_eq!(wait(&cluster, 300), Some(300));
        backoff.reset();
        let first = backoff.failed(Regarding::Claim, Reason::ProvisioningFailed, &cluster);
        assert_eq!(requeued(&first, 1), Some(1), "all was well in between");
        assert_eq!(first.len(), 2, "and so it is news again");
    }

    #[test]
    fn what_asking_again_does_not_change_is_asked_for_less_often() {
        for retry in [Retry::Later, Retry::Elsewhere, Retry::Never] {
            let mut backoff = Backoff::default();
            let mut wait = |seconds| {
                let error = array("Full", retry);
                let effects = backoff.failed(Regarding::Claim, Reason::ProvisioningFailed, &error);
                requeued(&effects, seconds)
            };
            for seconds in [15, 15, 15, 15, 16, 32] {
                assert_eq!(wait(seconds), Some(seconds), "{retry:?}");
            }
        }
    }

    #[test]
    fn what_passes_by_itself_is_no_news_at_first() {
        for (reason, event_at) in [("InUse", Some(7)), ("Registering", None), ("Busy", Some(1))] {
            let mut backoff = Backoff::default();
            let first = (1..50).find(|_| {
                let error = array(reason, Retry::Soon);
                let effects = backoff.failed(Regarding::Volume, Reason::VolumeFailedDelete, &error);
                let again = |effect: &&Effect| matches!(effect, Effect::Requeue(_));
                assert_eq!(effects.iter().filter(again).count(), 1, "{reason} is tried again");
                effects.len() > 1
            });
            assert_eq!(first, event_at, "{reason}");
        }
    }
}
