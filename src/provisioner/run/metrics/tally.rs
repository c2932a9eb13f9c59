//! Counts what becomes of claims and PersistentVolumes by looking at what was decided and what came of it.
//! Decides nothing.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::Key;
use super::super::cache::{State, Subject};
use super::Metrics;
use crate::contract::annotation;
use crate::provisioner::decide::{Effect, EffectError, Outcome, Severity};

/// The deciding task's own part of what is counted.
pub(in super::super) struct Tally {
    metrics: Metrics,
    /// Since when something has been done for a claim or PersistentVolume whose end is waited for.
    begun: HashMap<Key, Begun>,
    /// What is being done now, and since when. Each has one at a time.
    under_way: HashMap<Key, Doing>,
    /// What came to its end last: the step that follows is about it.
    ended: Option<(Key, &'static str)>,
    /// Whose last attempt failed, until one goes well.
    failing: HashSet<Key>,
    /// Who waits for the next attempt.
    waiting: HashSet<Key>,
    /// Classes that have numbers: what there is none of any more gets a 0.
    counted: HashSet<String>,
}

/// What is being done for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Doing {
    /// The word for it.
    pub(in super::super) effect: &'static str,
    /// The array on which, if it is.
    pub(in super::super) array: Option<String>,
    since: Instant,
}

#[derive(Debug, Clone)]
struct Begun {
    at: Instant,
    class: String,
    /// Whether its volume was destroyed by us.
    destroyed: bool,
}

/// The word for an effect; none for what nobody waits for.
pub(in super::super) fn word(effect: &Effect) -> Option<&'static str> {
    Some(match effect {
        Effect::RecordIntent { .. } => "intend",
        Effect::Reschedule { .. } => "reschedule",
        Effect::RemoveClaimFinalizer { .. } => "finish",
        Effect::EnsureVolume { .. } => "ensure",
        Effect::FindVolume { .. } => "find",
        Effect::DestroyVolume { .. } => "destroy",
        Effect::CreatePersistentVolume(_) => "create",
        Effect::SetPersistentVolumeBound { .. } => "set-bound",
        Effect::BindClaim { .. } => "bind",
        Effect::SetClaimBound { .. } => "set-claim-bound",
        Effect::ReadPersistentVolume { .. } => "read-volume",
        Effect::ReadClaim { .. } => "read-claim",
        Effect::DeletePersistentVolume { .. } => "delete",
        Effect::RemovePersistentVolumeFinalizer { .. } => "release",
        Effect::RestoreFinalizer { .. } => "adopt",
        Effect::SetResizing { .. } => "resizing",
        Effect::ExpandVolume { .. } => "grow",
        Effect::SetCapacity { .. } => "set-capacity",
        Effect::SetResized { .. } => "resized",
        Effect::ListSnapshots { .. } => "list-snapshots",
        Effect::TakeSnapshot { .. } => "take-snapshot",
        Effect::DestroySnapshot { .. } => "destroy-snapshot",
        Effect::Requeue(_)
        | Effect::RecordEvent { .. }
        | Effect::AwaitController
        | Effect::AwaitWatch => return None,
    })
}

/// The array that an effect is about. The claim may not show it yet.
pub(in super::super) fn array(effect: &Effect) -> Option<&str> {
    match effect {
        // Of several that are asked, the last one now.
        Effect::RecordIntent { asked, .. } => asked.last().map(String::as_str),
        Effect::EnsureVolume { array, .. }
        | Effect::FindVolume { array, .. }
        | Effect::DestroyVolume { array, .. }
        | Effect::ExpandVolume { array, .. }
        | Effect::ListSnapshots { array, .. }
        | Effect::TakeSnapshot { array, .. }
        | Effect::DestroySnapshot { array, .. } => Some(array),
        Effect::CreatePersistentVolume(volume) => {
            volume.metadata.annotations.as_ref()?.get(annotation::ARRAY).map(String::as_str)
        }
        _ => None,
    }
}

/// Whether an effect is a part of making a volume larger.
fn is_growth(word: &str) -> bool {
    matches!(word, "resizing" | "grow" | "set-capacity" | "resized")
}

/// Whether a trouble is none: the newer state is on its way here, or somebody else sees to it.
fn is_harmless(trouble: &EffectError) -> bool {
    matches!(trouble, EffectError::Conflict | EffectError::Exists | EffectError::NotLeading)
}

impl Tally {
    pub(in super::super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            begun: HashMap::new(),
            under_way: HashMap::new(),
            ended: None,
            failing: HashSet::new(),
            waiting: HashSet::new(),
            counted: HashSet::new(),
        }
    }

    /// Something is being done from now on.
    pub(in super::super) fn begins(&mut self, key: &Key, effect: &Effect, now: Instant) {
        let Some(word) = word(effect) else { return };
        if matches!(effect, Effect::RecordIntent { .. }) {
            self.failing.remove(key);
        }
        let array = array(effect).map(str::to_owned);
        self.under_way.insert(key.clone(), Doing { effect: word, array, since: now });
        self.doing(word).inc();
    }

    /// It has come to its end. Returns what it was.
    pub(in super::super) fn ends(
        &mut self,
        key: &Key,
        done: &Result<Outcome, EffectError>,
        subject: Option<&Subject>,
    ) -> Option<Doing> {
        let doing = self.under_way.remove(key)?;
        let word = doing.effect;
        self.ended = Some((key.clone(), word));
        self.doing(word).dec();
        let good = done.is_ok();
        // What takes long or may be refused; a read that went well proves nothing.
        if good && matches!(word, "ensure" | "create" | "bind" | "grow" | "destroy" | "finish") {
            self.failing.remove(key);
        }
        if good
            && word == "destroy"
            && let Some(begun) = self.begun.get_mut(key)
        {
            begun.destroyed = true;
        }
        let counter = match word {
            "grow" => Some(&self.metrics.0.grown),
            "take-snapshot" => Some(&self.metrics.0.snapshots),
            _ => None,
        };
        if let Some(counter) = counter.filter(|_| good) {
            let class = subject.map(|subject| subject.class.clone()).unwrap_or_default();
            counter.get_or_create(&[("class", class)]).inc();
        }
        Some(doing)
    }

    /// The time of the next attempt has come.
    pub(in super::super) fn due(&mut self, key: &Key) {
        self.waiting.remove(key);
    }

    /// A step has been taken: what was known then, and what came out of it. `trouble` is what it was told
    /// of its last effect.
    pub(in super::super) fn stepped(
        &mut self,
        key: &Key,
        subject: Option<&Subject>,
        trouble: Option<&EffectError>,
        effects: &[Effect],
        now: Instant,
    ) {
        let comes_again = effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        if comes_again {
            self.waiting.insert(key.clone());
        } else if effects.iter().any(|effect| !matches!(effect, Effect::RecordEvent { .. })) {
            // The wait may have ended before its time.
            self.waiting.remove(key);
        }
        for effect in effects {
            if let Effect::RecordEvent { severity, reason, .. } = effect {
                let kind = match severity {
                    Severity::Normal => "Normal",
                    Severity::Warning => "Warning",
                };
                let labels = [("reason", reason.as_str().to_owned()), ("type", kind.to_owned())];
                self.metrics.0.events.get_or_create(&labels).inc();
            }
        }
        let failed = comes_again && !trouble.is_some_and(is_harmless);
        if failed {
            self.failing.insert(key.clone());
        }
        match (key, subject) {
            (Key::Claim(_), Some(claim)) => self.claim(key, claim, failed, effects, now),
            (Key::Claim(_), None) => {
                // It has changed its mind.
                self.begun.remove(key);
                self.failing.remove(key);
            }
            (Key::Volume(_), Some(volume)) => self.volume(key, volume, failed, effects, now),
            (Key::Snapshots(_), Some(volume)) => {
                if failed {
                    let labels = [("class", volume.class.clone())];
                    self.metrics.0.snapshots_failed.get_or_create(&labels).inc();
                }
            }
            (Key::Snapshots(_), None) => {
                self.failing.remove(key);
            }
            (Key::Volume(_), None) => {
                self.failing.remove(key);
                if let Some(begun) = self.begun.remove(key).filter(|begun| begun.destroyed) {
                    let labels = [("class", begun.class)];
                    let took = now.duration_since(begun.at).as_secs_f64();
                    self.metrics.0.deleted.get_or_create(&labels).inc();
                    self.metrics.0.delete_duration.get_or_create(&labels).observe(took);
                }
            }
        }
    }

    fn claim(
        &mut self,
        key: &Key,
        claim: &Subject,
        failed: bool,
        effects: &[Effect],
        now: Instant,
    ) {
        let labels = [("class", claim.class.clone()), ("source", claim.source.to_owned())];
        // Its end is that it is gone.
        if claim.goes {
            return;
        }
        if claim.is_settled {
            if let Some(begun) = self.begun.remove(key) {
                let took = now.duration_since(begun.at).as_secs_f64();
                self.metrics.0.provisioned.get_or_create(&labels).inc();
                self.metrics.0.provision_duration.get_or_create(&labels).observe(took);
            }
            let ended = self.ended.take().filter(|(of, _)| of == key);
            let grows = ended.is_some_and(|(_, word)| is_growth(word));
            if failed && grows {
                self.metrics.0.growth_failed.get_or_create(&[("class", claim.class.clone())]).inc();
            }
            return;
        }
        if failed {
            self.metrics.0.provision_failed.get_or_create(&labels).inc();
        }
        if !effects.is_empty() {
            self.begin(key, claim, now);
        }
    }

    fn volume(
        &mut self,
        key: &Key,
        volume: &Subject,
        failed: bool,
        effects: &[Effect],
        now: Instant,
    ) {
        if failed {
            let labels = [("class", volume.class.clone())];
            self.metrics.0.delete_failed.get_or_create(&labels).inc();
        }
        if !effects.is_empty() {
            self.begin(key, volume, now);
        }
    }

    fn begin(&mut self, key: &Key, subject: &Subject, now: Instant) {
        let class = subject.class.clone();
        self.begun.entry(key.clone()).or_insert(Begun { at: now, class, destroyed: false });
    }

    /// How many bound volumes an array does not have any more; none when that is not known.
    pub(in super::super) fn missing(&self, array: &str, count: Option<usize>) {
        self.metrics.missing(array, count);
    }

    /// How many orphans there are on each array; none where that is not known.
    pub(in super::super) fn orphans<'a>(
        &self,
        counts: impl Iterator<Item = (&'a str, Option<usize>)>,
    ) {
        for (array, count) in counts {
            let labels = [("array", array.to_owned())];
            match count {
                Some(count) => {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    self.metrics.0.orphans.get_or_create(&labels).set(count);
                }
                // Not known is not none.
                None => {
                    self.metrics.0.orphans.remove(&labels);
                }
            }
        }
    }

    /// Counts what there is at a moment: claims as `(key, state, class, age)`, and messages that wait.
    pub(in super::super) fn survey<'c>(
        &mut self,
        claims: impl Iterator<Item = (Key, State, &'c str, Duration)>,
        messages: usize,
        now: Instant,
    ) {
        let mut counts: HashMap<(String, &'static str), i64> = HashMap::new();
        let mut oldest: HashMap<String, f64> = HashMap::new();
        for (key, state, class, age) in claims {
            self.counted.insert(class.to_owned());
            let fails = self.failing.contains(&key);
            let word = if fails { "failing" } else { state.as_str() };
            *counts.entry((class.to_owned(), word)).or_default() += 1;
            let waits = state == State::Pending || fails && state != State::Bound;
            if waits {
                let oldest = oldest.entry(class.to_owned()).or_default();
                *oldest = oldest.max(age.as_secs_f64());
            }
        }
        for class in &self.counted {
            oldest.entry(class.clone()).or_default();
            for word in State::WORDS {
                counts.entry((class.clone(), word)).or_default();
            }
        }
        self.metrics.claims(counts, oldest);
        let eldest = self.under_way.values().map(|doing| now.duration_since(doing.since)).max();
        self.metrics.0.oldest_effect.set(eldest.unwrap_or_default().as_secs_f64());
        self.metrics.0.retries.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        self.metrics.0.messages.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    fn doing(&self, word: &'static str) -> impl std::ops::Deref<Target = super::Gauge> + '_ {
        self.metrics.0.under_way.get_or_create(&[("effect", word.to_owned())])
    }
}

#[cfg(test)]
mod tests;
