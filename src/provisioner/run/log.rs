//! Writes the log lines about claims and PersistentVolumes: one line for each change, with the claim, its volume and
//! its array as far as they are known. Decides nothing, and does nothing else.

use tracing::{debug, info, warn};

use super::Key;
use super::cache::Subject;
use crate::provisioner::decide::{Effect, EffectError, Outcome, Reason, Severity};

/// The fields of every line. Unknown ones are omitted.
#[derive(Debug, Default)]
struct Fields<'s> {
    claim: Option<&'s str>,
    volume: Option<&'s str>,
    array: Option<&'s str>,
}

fn fields(subject: Option<&Subject>) -> Fields<'_> {
    subject.map_or_else(Fields::default, |subject| Fields {
        claim: Some(subject.claim.as_str()),
        volume: subject.volume.as_deref(),
        array: subject.array.as_deref(),
    })
}

/// Logs that an effect starts.
pub(super) fn effect_started(key: &Key, subject: Option<&Subject>, effect: &Effect) {
    let Fields { claim, volume, array } = fields(subject);
    debug!(claim, volume, array, ?key, ?effect, "effect");
}

/// Logs that an effect ended. An event reports an error when it is new.
pub(super) fn effect_ended(
    key: &Key,
    subject: Option<&Subject>,
    effect: &str,
    done: &Result<Outcome, EffectError>,
) {
    let Fields { claim, volume, array } = fields(subject);
    match (effect, done) {
        ("ensure-volume", Ok(Outcome::Volume(Some(created)))) => {
            info!(claim, volume, array, size = created.size, "volume created");
        }
        ("expand-volume", Ok(Outcome::Volume(Some(expanded)))) => {
            info!(claim, volume, array, size = expanded.size, "volume expanded");
        }
        ("take-snapshot", Ok(Outcome::Snapshot(taken))) => {
            info!(claim, volume, array, snapshot = taken.name, "snapshot taken");
        }
        ("destroy-volume", Ok(_)) => info!(claim, volume, array, "volume destroyed"),
        (_, Ok(_)) => debug!(claim, volume, array, ?key, effect, "done"),
        (_, Err(error)) => debug!(claim, volume, array, ?key, effect, ?error, "failed"),
    }
}

/// Logs an event.
pub(super) fn event(subject: Option<&Subject>, severity: Severity, reason: Reason, note: &str) {
    let Fields { claim, volume, array } = fields(subject);
    let reason = reason.as_str();
    match severity {
        Severity::Normal => info!(claim, volume, array, reason, note, "event"),
        Severity::Warning => warn!(claim, volume, array, reason, note, "event"),
    }
}
