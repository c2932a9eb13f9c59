//! Derives the metrics of claims and PersistentVolumes from the effects that the reconciler decided and from their
//! outcomes. Decides nothing.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::Key;
use super::super::cache::{State, Subject};
use super::Metrics;
use crate::contract::annotation;
use crate::provisioner::decide::{Effect, EffectError, Outcome, Reason, Severity};

/// The state behind the metrics that the reconciler reports.
pub(in super::super) struct EffectMetrics {
    metrics: Metrics,
    /// Claims that are being provisioned and PersistentVolumes that are being deleted.
    started: HashMap<Key, Started>,
    /// The effect in flight of each subject; a subject has at most one.
    in_flight: HashMap<Key, InFlight>,
    /// The effect that ended last; the step that follows is about it.
    ended: Option<(Key, &'static str)>,
    /// Subjects whose last attempt failed, until one succeeds.
    failing: HashSet<Key>,
    /// Subjects that wait for the next attempt.
    waiting: HashSet<Key>,
    /// Classes with exported series: a state without claims gets a 0.
    classes: HashSet<String>,
}

/// An effect in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct InFlight {
    /// The value of the label `effect`.
    pub(in super::super) effect: &'static str,
    /// The array that executes it, if one does.
    pub(in super::super) array: Option<String>,
    since: Instant,
}

#[derive(Debug, Clone)]
struct Started {
    at: Instant,
    class: String,
    /// Whether the provisioner has destroyed its volume.
    destroyed: bool,
}

/// Returns the value of the label `effect`; none for an effect without an outcome to wait for.
pub(in super::super) fn label(effect: &Effect) -> Option<&'static str> {
    Some(match effect {
        Effect::RecordIntent { .. } => "record-intent",
        Effect::Reschedule { .. } => "reschedule",
        Effect::RemoveClaimFinalizer { .. } => "remove-claim-finalizer",
        Effect::EnsureVolume { .. } => "ensure-volume",
        Effect::FindVolume { .. } => "find-volume",
        Effect::ReadVolumeSnapshot { .. } => "read-volume-snapshot",
        Effect::FindSnapshot { .. } => "find-snapshot",
        Effect::DestroyVolume { .. } => "destroy-volume",
        Effect::CreatePersistentVolume(_) => "create-persistent-volume",
        Effect::SetPersistentVolumeBound { .. } => "set-persistent-volume-bound",
        Effect::BindClaim { .. } => "bind-claim",
        Effect::SetClaimBound { .. } => "set-claim-bound",
        Effect::ReadPersistentVolume { .. } => "read-persistent-volume",
        Effect::ReadClaim { .. } => "read-claim",
        Effect::DeletePersistentVolume { .. } => "delete-persistent-volume",
        Effect::RemovePersistentVolumeFinalizer { .. } => "remove-persistent-volume-finalizer",
        Effect::RestoreFinalizer { .. } => "restore-finalizer",
        Effect::SetResizing { .. } => "set-resizing",
        Effect::ExpandVolume { .. } => "expand-volume",
        Effect::SetCapacity { .. } => "set-capacity",
        Effect::SetResized { .. } => "set-resized",
        Effect::ListSnapshots { .. } => "list-snapshots",
        Effect::TakeSnapshot { .. } => "take-snapshot",
        Effect::DestroySnapshot { .. } => "destroy-snapshot",
        Effect::Requeue(_)
        | Effect::RecordEvent { .. }
        | Effect::AwaitController
        | Effect::AwaitWatch => return None,
    })
}

/// Returns the array that an effect concerns. The annotation of the claim may not have it yet.
pub(in super::super) fn array(effect: &Effect) -> Option<&str> {
    match effect {
        // The last one is the current one.
        Effect::RecordIntent { asked, .. } => asked.last().map(String::as_str),
        Effect::EnsureVolume { array, .. }
        | Effect::FindVolume { array, .. }
        | Effect::FindSnapshot { array, .. }
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

/// Returns whether an effect is a step of an expansion.
fn is_expansion(label: &str) -> bool {
    matches!(label, "set-resizing" | "expand-volume" | "set-capacity" | "set-resized")
}

/// Returns whether an error needs no attention: the watch delivers the newer state, or another replica leads.
fn is_harmless(error: &EffectError) -> bool {
    matches!(error, EffectError::Conflict | EffectError::Exists | EffectError::NotLeading)
}

impl EffectMetrics {
    pub(in super::super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            started: HashMap::new(),
            in_flight: HashMap::new(),
            ended: None,
            failing: HashSet::new(),
            waiting: HashSet::new(),
            classes: HashSet::new(),
        }
    }

    /// Records that an effect starts.
    pub(in super::super) fn effect_started(&mut self, key: &Key, effect: &Effect, now: Instant) {
        let Some(label) = label(effect) else { return };
        if matches!(effect, Effect::RecordIntent { .. }) {
            self.failing.remove(key);
        }
        let array = array(effect).map(str::to_owned);
        self.in_flight.insert(key.clone(), InFlight { effect: label, array, since: now });
        self.gauge(label).inc();
    }

    /// Records that the effect in flight ended, and returns it.
    pub(in super::super) fn effect_ended(
        &mut self,
        key: &Key,
        done: &Result<Outcome, EffectError>,
        subject: Option<&Subject>,
    ) -> Option<InFlight> {
        let ended = self.in_flight.remove(key)?;
        let label = ended.effect;
        self.ended = Some((key.clone(), label));
        self.gauge(label).dec();
        let succeeded = done.is_ok();
        // Only effects that are slow or may be rejected count as success; a read proves nothing.
        if succeeded
            && matches!(
                label,
                "ensure-volume"
                    | "create-persistent-volume"
                    | "bind-claim"
                    | "expand-volume"
                    | "destroy-volume"
                    | "remove-claim-finalizer"
            )
        {
            self.failing.remove(key);
        }
        if succeeded
            && label == "destroy-volume"
            && let Some(started) = self.started.get_mut(key)
        {
            started.destroyed = true;
        }
        let counter = match label {
            "expand-volume" => Some(&self.metrics.0.expanded),
            "take-snapshot" => Some(&self.metrics.0.snapshots),
            _ => None,
        };
        if let Some(counter) = counter.filter(|_| succeeded) {
            let class = subject.map(|subject| subject.class.clone()).unwrap_or_default();
            counter.get_or_create(&[("class", class)]).inc();
        }
        Some(ended)
    }

    /// Records that the time of the next attempt has come.
    pub(in super::super) fn due(&mut self, key: &Key) {
        self.waiting.remove(key);
    }

    /// Counts an event that is published.
    pub(in super::super) fn event_published(&mut self, severity: Severity, reason: Reason) {
        let kind = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let labels = [("reason", reason.as_str().to_owned()), ("type", kind.to_owned())];
        self.metrics.0.events.get_or_create(&labels).inc();
    }

    /// Records a step of a subject: its state at that time and the effects that were decided. `error` is the error of
    /// the effect that ended before, if it failed.
    pub(in super::super) fn record_step(
        &mut self,
        key: &Key,
        subject: Option<&Subject>,
        error: Option<&EffectError>,
        effects: &[Effect],
        now: Instant,
    ) {
        let is_requeued = effects.iter().any(|effect| matches!(effect, Effect::Requeue(_)));
        if is_requeued {
            self.waiting.insert(key.clone());
        } else if effects.iter().any(|effect| !matches!(effect, Effect::RecordEvent { .. })) {
            // A change may have ended the wait early.
            self.waiting.remove(key);
        }
        let failed = is_requeued && !error.is_some_and(is_harmless);
        if failed {
            self.failing.insert(key.clone());
        }
        match (key, subject) {
            (Key::Claim(_), Some(claim)) => self.claim(key, claim, failed, effects, now),
            (Key::Claim(_), None) => {
                // The claim was deleted before it was bound.
                self.started.remove(key);
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
                if let Some(started) = self.started.remove(key).filter(|started| started.destroyed)
                {
                    let labels = [("class", started.class)];
                    let took = now.duration_since(started.at).as_secs_f64();
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
        // The deletion of the claim ends the work, not a bound volume.
        if claim.is_being_deleted {
            return;
        }
        if claim.is_settled {
            if let Some(started) = self.started.remove(key) {
                let took = now.duration_since(started.at).as_secs_f64();
                self.metrics.0.provisioned.get_or_create(&labels).inc();
                self.metrics.0.provision_duration.get_or_create(&labels).observe(took);
            }
            let ended = self.ended.take().filter(|(of, _)| of == key);
            let expands = ended.is_some_and(|(_, label)| is_expansion(label));
            if failed && expands {
                self.metrics
                    .0
                    .expansion_failed
                    .get_or_create(&[("class", claim.class.clone())])
                    .inc();
            }
            return;
        }
        if failed {
            self.metrics.0.provision_failed.get_or_create(&labels).inc();
        }
        if !effects.is_empty() {
            self.start(key, claim, now);
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
            self.start(key, volume, now);
        }
    }

    fn start(&mut self, key: &Key, subject: &Subject, now: Instant) {
        let class = subject.class.clone();
        self.started.entry(key.clone()).or_insert(Started { at: now, class, destroyed: false });
    }

    /// Sets the number of missing volumes of an array; none if it is unknown.
    pub(in super::super) fn missing(&self, array: &str, count: Option<usize>) {
        self.metrics.missing(array, count);
    }

    /// Sets the number of orphaned volumes of each array; none where it is unknown.
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
                // Unknown is not zero: the series disappears.
                None => {
                    self.metrics.0.orphans.remove(&labels);
                }
            }
        }
    }

    /// Sets the gauges of a moment from the claims, as `(key, state, class, age)`, and the number of queued messages.
    pub(in super::super) fn update_gauges<'c>(
        &mut self,
        claims: impl Iterator<Item = (Key, State, &'c str, Duration)>,
        messages: usize,
        now: Instant,
    ) {
        let mut counts: HashMap<(String, &'static str), i64> = HashMap::new();
        let mut oldest: HashMap<String, f64> = HashMap::new();
        for (key, state, class, age) in claims {
            self.classes.insert(class.to_owned());
            let fails = self.failing.contains(&key);
            let state_label = if fails { "failing" } else { state.as_str() };
            *counts.entry((class.to_owned(), state_label)).or_default() += 1;
            let waits = state == State::Pending || fails && state != State::Bound;
            if waits {
                let oldest = oldest.entry(class.to_owned()).or_default();
                *oldest = oldest.max(age.as_secs_f64());
            }
        }
        for class in &self.classes {
            oldest.entry(class.clone()).or_default();
            for label in State::WORDS {
                counts.entry((class.clone(), label)).or_default();
            }
        }
        self.metrics.claims(counts, oldest);
        let ages = self.in_flight.values().map(|effect| now.duration_since(effect.since));
        self.metrics.0.oldest_effect.set(ages.max().unwrap_or_default().as_secs_f64());
        self.metrics.0.retries.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        self.metrics.0.queue_depth.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    fn gauge(&self, label: &'static str) -> impl std::ops::Deref<Target = super::Gauge> + '_ {
        self.metrics.0.in_flight.get_or_create(&[("effect", label.to_owned())])
    }
}

#[cfg(test)]
mod tests;
