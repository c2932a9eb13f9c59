//! Derives the metrics of attachments from effects and their outcomes. Decides nothing.

use std::collections::HashMap;
use std::time::Instant;

use super::super::metrics::Metrics;
use crate::provisioner::decide::{
    AttachmentEffect, AttachmentOutcome, AttachmentWork, EffectError, Reason, Severity,
};

/// The state behind the metrics of attachments.
pub(super) struct AttachmentMetrics {
    metrics: Metrics,
    /// When work for a VolumeAttachment began.
    started: HashMap<String, Instant>,
}

impl AttachmentMetrics {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, started: HashMap::new() }
    }

    /// Notes that an effect starts.
    pub(super) fn effect_started(&mut self, name: &str, effect: &AttachmentEffect, now: Instant) {
        self.started.entry(name.to_owned()).or_insert(now);
        if let Some(label) = effect.label() {
            self.metrics.effect_in_flight(label, 1);
        }
    }

    /// Notes that an effect ended.
    pub(super) fn effect_ended(
        &mut self,
        name: &str,
        effect: &AttachmentEffect,
        done: &Result<AttachmentOutcome, EffectError>,
        now: Instant,
    ) {
        if let Some(label) = effect.label() {
            self.metrics.effect_in_flight(label, -1);
        }
        let detaches = matches!(
            effect,
            AttachmentEffect::Detach { .. } | AttachmentEffect::RemoveFinalizer { .. }
        );
        let operation = if detaches { "detach" } else { "attach" };
        match (effect, done) {
            (
                AttachmentEffect::SetAttached { .. } | AttachmentEffect::RemoveFinalizer { .. },
                Ok(_),
            ) => {
                if let Some(started) = self.started.remove(name) {
                    self.metrics.attached(operation, now.duration_since(started));
                }
            }
            (_, Err(EffectError::Array { .. } | EffectError::Cluster(_)))
            | (AttachmentEffect::Attach { .. }, Ok(AttachmentOutcome::Elsewhere(_))) => {
                self.metrics.attach_failed(operation);
            }
            _ => {}
        }
    }

    /// Counts an event.
    pub(super) fn event(&self, severity: Severity, reason: Reason) {
        self.metrics.event(severity, reason);
    }

    /// Forgets a VolumeAttachment.
    pub(super) fn gone(&mut self, name: &str) {
        self.started.remove(name);
    }

    /// Sets the number of VolumeAttachments by state, from the work that is left for each and whether it fails.
    pub(super) fn update_gauges(&self, all: impl Iterator<Item = (AttachmentWork, bool)>) {
        let mut counts = HashMap::from(
            ["attached", "attaching", "detaching", "failing"].map(|state| (state, 0)),
        );
        for (work, failing) in all {
            let state = match work {
                _ if failing => "failing",
                AttachmentWork::Attached => "attached",
                AttachmentWork::Attaching => "attaching",
                AttachmentWork::Detaching => "detaching",
            };
            *counts.entry(state).or_default() += 1;
        }
        self.metrics.attachments(&counts);
    }
}
