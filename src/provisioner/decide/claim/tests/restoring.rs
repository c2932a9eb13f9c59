//! A claim that names a VolumeSnapshot as its source.

use super::*;
use crate::contract::{CloneSource, Snapshot};
use crate::provisioner::decide::restore_point::RestorePoint;

/// A claim of this size that is restored from a snapshot of 2 GiB on the first of two FlashArrays.
fn restore(size: &str) -> Stage {
    let mut stage = Stage::new();
    stage.setup.snapshots = true;
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.kind = ArrayKind::FlashArray;
    for array in &mut stage.arrays {
        array.kind = ArrayKind::FlashArray;
    }
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!(size);
    stage.claim["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"});
    stage
}

/// A snapshot of 2 GiB on the array that would not be chosen otherwise.
fn point() -> Box<RestorePoint> {
    let snapshot = Snapshot {
        name: "prod-pvc-0.csi-0123456789abcdef0123456789abcdef".to_owned(),
        id: "s1".to_owned(),
        volume: "prod-pvc-0".to_owned(),
        created: None,
        destroyed: false,
        size: Some(2 * GIB),
    };
    Box::new(RestorePoint { array: "fb1".to_owned(), snapshot, mode: None })
}

/// Executes the search with this result, and returns the effect that follows.
fn found(stage: &mut Stage, result: Result<Box<RestorePoint>, String>) -> Vec<Effect> {
    let first = stage.step(Input::Changed);
    let search =
        Effect::FindRestorePoint { namespace: "files".to_owned(), name: "before".to_owned() };
    assert_eq!(first, [search], "it is searched before anything is written");
    stage.step(Input::Done(Ok(Outcome::RestorePoint(result))))
}

fn refusal(effects: &[Effect]) -> &str {
    let message = effects.iter().find_map(|effect| match effect {
        Effect::RecordEvent { severity: Severity::Warning, message, .. } => Some(message.as_str()),
        _ => None,
    });
    message.unwrap_or_else(|| panic!("no refusal: {effects:?}"))
}

#[test]
fn the_volume_is_created_from_the_snapshot_on_its_array() {
    for size in ["2Gi", "3Gi"] {
        let mut stage = restore(size);
        let effects = found(&mut stage, Ok(point()));
        let intent = effects.iter().find_map(|effect| match effect {
            Effect::RecordIntent { asked, .. } => Some(asked.clone()),
            _ => None,
        });
        assert_eq!(intent.as_deref(), Some(&["fb1".to_owned()][..]), "{effects:?}");
        stage.ask("fb1");
        let claim = Box::new(typed(&stage.claim));
        // After a write, the snapshot is searched again.
        let effects = stage.step(Input::Done(Ok(Outcome::Claim(Some(claim)))));
        assert!(matches!(effects[..], [Effect::FindRestorePoint { .. }]), "{effects:?}");
        let effects = stage.step(Input::Done(Ok(Outcome::RestorePoint(Ok(point())))));
        let [Effect::EnsureVolume { array, wanted, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(array, "fb1");
        assert_eq!(wanted.source, Some(CloneSource::Snapshot(point().snapshot.name)));
    }
}

#[test]
fn what_does_not_fit_the_snapshot_is_refused_before_anything_is_written() {
    let effects = found(&mut restore("1Gi"), Ok(point()));
    let why = refusal(&effects);
    assert!(why.contains("has 2Gi, and the claim asks for 1Gi; ask for 2Gi or more"), "{why}");
    let block = Box::new(RestorePoint { mode: Some("Block".to_owned()), ..*point() });
    let effects = found(&mut restore("2Gi"), Ok(block));
    assert!(refusal(&effects).contains("another volumeMode than Filesystem"), "{effects:?}");
    let effects = found(&mut restore("2Gi"), Err("is not ready yet".to_owned()));
    assert_eq!(refusal(&effects), "the VolumeSnapshot before is not ready yet");

    let mut stage = restore("2Gi");
    stage.setup.snapshots = false;
    let effects = stage.step(Input::Changed);
    assert!(refusal(&effects).contains("installs no CSI services"), "{effects:?}");
    let mut stage = restore("2Gi");
    stage.claim["spec"]["dataSourceRef"] = stage.claim["spec"]["dataSource"].clone();
    stage.claim["spec"]["dataSourceRef"]["namespace"] = json!("elsewhere");
    let effects = stage.step(Input::Changed);
    assert!(refusal(&effects).contains("is in another namespace"), "{effects:?}");
    let mut stage = restore("2Gi");
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.kind = ArrayKind::FlashBlade;
    let effects = stage.step(Input::Changed);
    assert!(refusal(&effects).contains("is for files"), "{effects:?}");
}

/// Each attempt searches again: a search that found nothing is no reason to stop.
#[test]
fn a_snapshot_that_comes_later_is_found() {
    let mut stage = restore("2Gi");
    let effects = found(&mut stage, Err("is not ready yet".to_owned()));
    assert_eq!(refusal(&effects), "the VolumeSnapshot before is not ready yet");
    for _ in 0..3 {
        let effects = stage.step(Input::Due);
        assert!(matches!(effects[..], [Effect::FindRestorePoint { .. }]), "{effects:?}");
        let still = Outcome::RestorePoint(Err("is not ready yet".to_owned()));
        stage.step(Input::Done(Ok(still)));
    }
    let effects = stage.step(Input::Due);
    assert!(matches!(effects[..], [Effect::FindRestorePoint { .. }]), "{effects:?}");
    let effects = stage.step(Input::Done(Ok(Outcome::RestorePoint(Ok(point())))));
    let intends = |effect: &Effect| matches!(effect, Effect::RecordIntent { .. });
    assert!(effects.iter().any(intends), "{effects:?}");
}

/// The snapshot may be deleted as soon as the array has created the volume.
#[test]
fn a_volume_that_is_complete_does_not_need_its_snapshot_any_more() {
    let mut stage = restore("1Gi").asked("fb1");
    stage.there.insert("fb1");
    let effects = found(&mut stage, Err("is not there".to_owned()));
    assert!(matches!(effects[..], [Effect::FindVolume { .. }]), "{effects:?}");
    let effects = stage.step(Input::Done(Ok(Outcome::Volume(Some(made("fb1"))))));
    let is_next =
        |effect: &Effect| matches!(effect, Effect::CreatePersistentVolume(_) | Effect::AwaitWatch);
    assert!(effects.iter().any(is_next), "{effects:?}");
}
