//! What the log says of claims and PersistentVolumes: one line for each change, with the claim, its volume
//! and its array wherever they are known. Decides nothing, and does nothing.

use tracing::{debug, info, warn};

use super::Key;
use super::cache::Subject;
use crate::provisioner::decide::{Effect, EffectError, Outcome, Reason, Severity};

/// The fields that every line has. What is not known is left out.
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

/// Something is being done from now on.
pub(super) fn begins(key: &Key, subject: Option<&Subject>, effect: &Effect) {
    let Fields { claim, volume, array } = fields(subject);
    debug!(claim, volume, array, ?key, ?effect, "effect");
}

/// Something has been done, or has gone wrong. What went wrong is told by an event when it is news.
pub(super) fn ends(
    key: &Key,
    subject: Option<&Subject>,
    effect: &str,
    done: &Result<Outcome, EffectError>,
) {
    let Fields { claim, volume, array } = fields(subject);
    match (effect, done) {
        ("ensure", Ok(Outcome::Volume(Some(made)))) => {
            info!(claim, volume, array, size = made.size, "volume made");
        }
        ("grow", Ok(Outcome::Volume(Some(grown)))) => {
            info!(claim, volume, array, size = grown.size, "volume grown");
        }
        ("take-snapshot", Ok(Outcome::Snapshot(taken))) => {
            info!(claim, volume, array, snapshot = taken.name, "snapshot taken");
        }
        ("destroy", Ok(_)) => info!(claim, volume, array, "volume destroyed"),
        (_, Ok(_)) => debug!(claim, volume, array, ?key, effect, "done"),
        (_, Err(trouble)) => debug!(claim, volume, array, ?key, effect, ?trouble, "not done"),
    }
}

/// People are told something by an event.
pub(super) fn tells(subject: Option<&Subject>, severity: Severity, reason: Reason, note: &str) {
    let Fields { claim, volume, array } = fields(subject);
    let reason = reason.as_str();
    match severity {
        Severity::Normal => info!(claim, volume, array, reason, note, "event"),
        Severity::Warning => warn!(claim, volume, array, reason, note, "event"),
    }
}
