//! A claim that names a VolumeSnapshot as its source.

use super::*;
use crate::contract::{CloneSource, Snapshot, SnapshotOf};
use crate::provisioner::decide::restore_point::SnapshotIds;

/// A claim of this size that is restored from a snapshot of 2 GiB on the first of two FlashArrays.
fn restore(size: &str) -> Stage {
    let mut stage = Stage::new();
    stage.setup.snapshots = true;
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.kind = ArrayKind::FlashArray;
    for array in &mut stage.arrays {
        array.kind = ArrayKind::FlashArray;
        let Health::Up { id, .. } = &mut array.health else { panic!("away: {array:?}") };
        *id = format!("id-of-{}", array.name);
    }
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!(size);
    stage.claim["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"});
    stage
}

/// The ids of a snapshot on the array that would not be chosen otherwise.
fn ids() -> SnapshotIds {
    let (array, snapshot) = ("id-of-fb1".to_owned(), "s1".to_owned());
    SnapshotIds { array, snapshot, volume: Some("v0".to_owned()), mode: None }
}

/// That snapshot, of 2 GiB.
fn snapshot() -> SnapshotOf {
    let snapshot = Snapshot {
        name: "prod-pvc-0.csi-0123456789abcdef0123456789abcdef".to_owned(),
        id: "s1".to_owned(),
        volume: "prod-pvc-0".to_owned(),
        created: None,
        destroyed: false,
        size: Some(2 * GIB),
    };
    SnapshotOf { snapshot, volume_id: "v0".to_owned() }
}

fn is_read(effects: &[Effect]) -> bool {
    let (namespace, name) = ("files".to_owned(), "before".to_owned());
    effects == [Effect::ReadVolumeSnapshot { namespace, name }]
}

/// Executes the search, which is the next effect, and returns the effects that follow.
fn search(stage: &mut Stage, ids: SnapshotIds, found: SnapshotOf) -> Vec<Effect> {
    let effects = stage.step(Input::Done(Ok(Outcome::VolumeSnapshot(Ok(Box::new(ids))))));
    let (array, array_id) = ("fb1".to_owned(), "id-of-fb1".to_owned());
    let id = "s1".to_owned();
    assert_eq!(effects, [Effect::FindSnapshot { array, array_id, id }], "one array is asked");
    stage.step(Input::Done(Ok(Outcome::FoundSnapshot(Some(Box::new(found))))))
}

/// Begins, and executes the search.
fn found(stage: &mut Stage, ids: SnapshotIds, found: SnapshotOf) -> Vec<Effect> {
    let effects = stage.step(Input::Changed);
    assert!(is_read(&effects), "it is searched before anything is written: {effects:?}");
    search(stage, ids, found)
}

/// Begins, and reads a VolumeSnapshot that stands for no snapshot.
fn not_found(stage: &mut Stage, why: &str) -> Vec<Effect> {
    let effects = stage.step(Input::Changed);
    assert!(is_read(&effects), "{effects:?}");
    stage.step(Input::Done(Ok(Outcome::VolumeSnapshot(Err(why.to_owned())))))
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
        let effects = found(&mut stage, ids(), snapshot());
        let intent = effects.iter().find_map(|effect| match effect {
            Effect::RecordIntent { asked, .. } => Some(asked.clone()),
            _ => None,
        });
        assert_eq!(intent.as_deref(), Some(&["fb1".to_owned()][..]), "{effects:?}");
        stage.ask("fb1");
        let claim = Box::new(typed(&stage.claim));
        // After a write, the snapshot is searched again.
        let effects = stage.step(Input::Done(Ok(Outcome::Claim(Some(claim)))));
        assert!(is_read(&effects), "{effects:?}");
        let effects = search(&mut stage, ids(), snapshot());
        let [Effect::EnsureVolume { array, wanted, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(array, "fb1");
        assert_eq!(wanted.source, Some(CloneSource::Snapshot(snapshot().snapshot.name)));
    }
}

#[test]
fn what_does_not_fit_the_snapshot_is_refused_before_anything_is_written() {
    let effects = found(&mut restore("1Gi"), ids(), snapshot());
    let why = refusal(&effects);
    assert!(why.contains("has 2Gi, and the claim asks for 1Gi; ask for 2Gi or more"), "{why}");
    let block = SnapshotIds { mode: Some("Block".to_owned()), ..ids() };
    let effects = found(&mut restore("2Gi"), block, snapshot());
    assert!(refusal(&effects).contains("another volumeMode than Filesystem"), "{effects:?}");
    let effects = not_found(&mut restore("2Gi"), "is not ready yet");
    assert_eq!(refusal(&effects), "the VolumeSnapshot before is not ready yet");
    let mut theirs = snapshot();
    theirs.volume_id = "v1".to_owned();
    let effects = found(&mut restore("2Gi"), ids(), theirs);
    assert!(refusal(&effects).contains("is not a snapshot of its `spec.source`"), "{effects:?}");

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
    let effects = not_found(&mut stage, "is not ready yet");
    assert_eq!(refusal(&effects), "the VolumeSnapshot before is not ready yet");
    for _ in 0..3 {
        let effects = stage.step(Input::Due);
        assert!(is_read(&effects), "{effects:?}");
        let still = Outcome::VolumeSnapshot(Err("is not ready yet".to_owned()));
        stage.step(Input::Done(Ok(still)));
    }
    let effects = stage.step(Input::Due);
    assert!(is_read(&effects), "{effects:?}");
    let effects = search(&mut stage, ids(), snapshot());
    let intends = |effect: &Effect| matches!(effect, Effect::RecordIntent { .. });
    assert!(effects.iter().any(intends), "{effects:?}");
}

/// An array that is away delays the restores from its own snapshots, and no others.
#[test]
fn only_the_array_of_the_snapshot_is_waited_for() {
    let mut stage = restore("2Gi");
    let others = stage.arrays.iter_mut().filter(|array| array.name != "fb1");
    others.for_each(|array| array.health = Health::Down("no route".to_owned()));
    let effects = found(&mut stage, ids(), snapshot());
    let intends = |effect: &Effect| matches!(effect, Effect::RecordIntent { .. });
    assert!(effects.iter().any(intends), "{effects:?}");

    let mut stage = restore("2Gi");
    let own = stage.arrays.iter_mut().find(|array| array.name == "fb1").expect("there");
    let there = std::mem::replace(&mut own.health, Health::Down("no route".to_owned()));
    stage.step(Input::Changed);
    let effects = stage.step(Input::Done(Ok(Outcome::VolumeSnapshot(Ok(Box::new(ids()))))));
    let why = refusal(&effects).to_owned();
    assert_eq!(
        why,
        "the VolumeSnapshot before is on none of the arrays that answer; fb1: no route"
    );
    // The answer of an array wakes the claim.
    stage.arrays.iter_mut().find(|array| array.name == "fb1").expect("there").health = there;
    let effects = stage.step(Input::Due);
    assert!(is_read(&effects), "{effects:?}");
    let effects = search(&mut stage, ids(), snapshot());
    assert!(effects.iter().any(intends), "{effects:?}");
}

/// The snapshot may be deleted as soon as the array has created the volume.
#[test]
fn a_volume_that_is_complete_does_not_need_its_snapshot_any_more() {
    let mut stage = restore("1Gi").asked("fb1");
    stage.there.insert("fb1");
    let effects = not_found(&mut stage, "is not there");
    assert!(matches!(effects[..], [Effect::FindVolume { .. }]), "{effects:?}");
    let effects = stage.step(Input::Done(Ok(Outcome::Volume(Some(made("fb1"))))));
    let is_next =
        |effect: &Effect| matches!(effect, Effect::CreatePersistentVolume(_) | Effect::AwaitWatch);
    assert!(effects.iter().any(is_next), "{effects:?}");
}

/// The volume may have been restored already, but an array that is away cannot say so: nothing is cleaned up.
#[test]
fn a_started_restore_waits_for_an_array_that_is_away() {
    let mut stage = restore("2Gi").asked("fb1");
    let own = stage.arrays.iter_mut().find(|array| array.name == "fb1").expect("there");
    own.health = Health::Down("no route".to_owned());
    stage.step(Input::Changed);
    let effects = stage.step(Input::Done(Ok(Outcome::VolumeSnapshot(Ok(Box::new(ids()))))));
    let why = "the VolumeSnapshot before is on none of the arrays that answer; fb1: no route";
    assert_eq!(refusal(&effects), why, "{effects:?}");
}
