//! Executes effects on snapshots, a limited number at a time on each array, so that thousands of due snapshots delay no
//! claim, and one namespace does not delay another. Objects of the cluster are unknown here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

use super::effect_error::of_array;
use crate::arrays::Array;
use crate::concurrency::{Permit, Purpose, RequestLimit};
use crate::provisioner::decide::{Effect, EffectError, Outcome, ReadTime};

/// The maximum number of concurrent snapshot effects on an array: half of the requests that it gets.
const AT_ONCE: usize = 4;

/// Permits for snapshot effects.
#[derive(Debug, Default)]
pub(super) struct SnapshotLimit {
    /// Permits by array.
    limit: Mutex<HashMap<String, Arc<RequestLimit>>>,
}

impl SnapshotLimit {
    /// Waits for a permit, which lasts until the returned value is dropped. Other effects do not wait.
    pub(super) async fn permit(&self, effect: &Effect) -> Option<Permit> {
        let (Effect::ListSnapshots { array, .. }
        | Effect::TakeSnapshot { array, .. }
        | Effect::DestroySnapshot { array, .. }) = effect
        else {
            return None;
        };
        let limit = {
            let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(RequestLimit::new(AT_ONCE));
            Arc::clone(limit.entry(array.clone()).or_insert_with(new))
        };
        Some(limit.take(Purpose::Work).await)
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
        let take = |effect: &Effect| snapshots.permit(effect).now_or_never();
        let mut limit: Vec<_> = (0..AT_ONCE).map(|_| take(&list("one")).expect("a turn")).collect();
        assert!(take(&list("one")).is_none(), "it waits");
        assert!(take(&list("two")).is_some(), "another array is not waited for");
        let (array, name) = ("one".to_owned(), VolumeName::new("v").expect("a name"));
        let other = Effect::FindVolume { array, array_id: None, name };
        assert!(take(&other).is_some_and(|permit| permit.is_none()), "other effects do not wait");
        limit.pop();
        assert!(take(&list("one")).is_some());
    }
}
