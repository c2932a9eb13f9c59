//! Executes effects on snapshots, a limited number at a time on each array, so that thousands of due snapshots delay no
//! claim, and one namespace does not delay another. Objects of the cluster are unknown here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

use super::effect_error::of_array;
use crate::arrays::Array;
use crate::concurrency::{Turn, Turns, Urgency};
use crate::provisioner::decide::{Effect, EffectError, Outcome, ReadTime};

/// The maximum number of concurrent snapshot effects on an array: half of the requests that it gets.
const AT_ONCE: usize = 4;

/// Permits for snapshot effects.
#[derive(Debug, Default)]
pub(super) struct SnapshotLimit {
    /// Permits by array.
    turns: Mutex<HashMap<String, Arc<Turns>>>,
}

impl SnapshotLimit {
    /// Waits for a permit, which lasts until the returned value is dropped. Other effects do not wait.
    pub(super) async fn turn(&self, effect: &Effect) -> Option<Turn> {
        let (Effect::ListSnapshots { array, .. }
        | Effect::TakeSnapshot { array, .. }
        | Effect::DestroySnapshot { array, .. }) = effect
        else {
            return None;
        };
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Turns::new(AT_ONCE));
            Arc::clone(turns.entry(array.clone()).or_insert_with(new))
        };
        Some(turns.take(Urgency::Does).await)
    }
}

/// Executes a snapshot effect at a given time; other effects return none.
pub(super) async fn act(
    array: &dyn Array,
    effect: &Effect,
    now: ReadTime,
) -> Result<Outcome, EffectError> {
    match effect {
        Effect::ListSnapshots { volume, .. } => {
            let all = array.snapshots(volume).await.map_err(|error| of_array(&error))?;
            Ok(Outcome::Snapshots(now, all))
        }
        Effect::TakeSnapshot { volume, suffix, .. } => {
            let taken = array.snapshot(volume, suffix).await.map_err(|error| of_array(&error))?;
            Ok(Outcome::Snapshot(taken))
        }
        Effect::DestroySnapshot { snapshot, .. } => {
            array.destroy_snapshot(snapshot).await.map_err(|error| of_array(&error))?;
            info!(array = array.name(), snapshot = snapshot.name, "snapshot destroyed");
            Ok(Outcome::Good)
        }
        _ => Ok(Outcome::Good),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::contract::{VolumeId, VolumeName};

    #[test]
    fn each_array_has_its_own_turns() {
        let list = |array: &str| Effect::ListSnapshots {
            array: array.to_owned(),
            volume: VolumeId { name: VolumeName::new("v").expect("a name"), id: "1".to_owned() },
        };
        let snapshots = SnapshotLimit::default();
        let turn = |effect: &Effect| snapshots.turn(effect).now_or_never();
        let mut turns: Vec<_> = (0..AT_ONCE).map(|_| turn(&list("one")).expect("a turn")).collect();
        assert!(turn(&list("one")).is_none(), "it waits");
        assert!(turn(&list("two")).is_some(), "another array is not waited for");
        let (array, name) = ("one".to_owned(), VolumeName::new("v").expect("a name"));
        let other = Effect::FindVolume { array, array_id: None, name };
        assert!(turn(&other).is_some_and(|turn| turn.is_none()), "other effects do not wait");
        turns.pop();
        assert!(turn(&list("one")).is_some());
    }
}
