//! Tests of the snapshots of one volume: snapshots that are taken, destroyed and refused in each slot.

use serde_json::json;

use super::*;

/// 2026-11-23T06:00:00Z
const SIX: u64 = 1_795_413_600;
const HOUR: u64 = 3600;

fn class(snapshots: &str) -> Result<ClassSetup, String> {
    let class = json!({
        "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
        "parameters": {"backend": "file", "snapshots": snapshots},
    });
    ClassSetup::read(&serde_json::from_value(class).expect("typed")).expect("ours")
}

struct Stage {
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
    class: Result<ClassSetup, String>,
    is_shared: bool,
    now: u64,
    work: SnapshotState,
    /// The snapshots on the array.
    there: Vec<Snapshot>,
}

impl Stage {
    fn new(own: &str) -> Self {
        let volume = json!({
            "metadata": {"name": "pvc-1", "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "id",
            }},
            "spec": {"claimRef": {"uid": "1"}},
            "status": {"phase": "Bound"},
        });
        let claim = json!({
            "metadata": {"name": "data", "uid": "1", "annotations": {"pso-gen.io/snapshots": own}},
            "spec": {"volumeName": "pvc-1"},
        });
        Self {
            volume: serde_json::from_value(volume).expect("typed"),
            claim: serde_json::from_value(claim).expect("typed"),
            class: class("never"),
            is_shared: false,
            now: SIX + 1000,
            work: SnapshotState::default(),
            there: Vec::new(),
        }
    }

    fn step(&mut self, event: Input) -> Vec<Effect> {
        let (volume, claim) = (Some(&self.volume), Some(&self.claim));
        let class = Some(&self.class);
        let view = SnapshotView { now: self.now, volume, is_shared: self.is_shared, claim, class };
        self.work.step(view, event)
    }

    fn put(&mut self, suffix: &str, destroyed: bool) {
        self.there.push(Snapshot {
            name: format!("prod-pvc-1.{suffix}"),
            id: format!("id of {suffix}"),
            volume: "prod-pvc-1".to_owned(),
            created: None,
            destroyed,
            size: None,
        });
    }

    /// Executes effects until none is left, and returns them in short form.
    fn run(&mut self) -> Vec<String> {
        let (mut steps, mut event) = (Vec::new(), Input::Changed);
        while let Some(effect) = self.step(event).pop() {
            let outcome = match effect {
                Effect::ListSnapshots { .. } => {
                    steps.push("list".to_owned());
                    Outcome::Snapshots(ReadTime::default(), self.there.clone())
                }
                Effect::TakeSnapshot { suffix, .. } => {
                    steps.push(format!("take {suffix}"));
                    self.put(&suffix.to_string(), false);
                    Outcome::Snapshot(self.there.last().expect("put").clone())
                }
                Effect::DestroySnapshot { snapshot, .. } => {
                    steps.push(format!("destroy {}", snapshot.name));
                    self.there.retain(|each| each.id != snapshot.id);
                    Outcome::Good
                }
                other => panic!("{other:?}"),
            };
            event = Input::Done(Ok(outcome));
        }
        steps
    }
}

#[test]
fn a_slot_costs_one_list_and_nothing_more_until_the_next() {
    let mut stage = Stage::new("every 1h, keep 2");
    for suffix in ["pso-20261122T2300", "pso-20261123T0200", "mine", "pso-20261123T0200.x"] {
        stage.put(suffix, false);
    }
    // After a downtime of three hours, one snapshot is taken, not three.
    let steps = ["list", "take pso-20261123T0600", "destroy prod-pvc-1.pso-20261122T2300"];
    assert_eq!(stage.run(), steps);
    for _ in 0..3 {
        stage.now += HOUR / 6;
        assert_eq!(stage.run(), [""; 0]);
    }
    stage.now += HOUR;
    let steps = ["list", "take pso-20261123T0700", "destroy prod-pvc-1.pso-20261123T0200"];
    assert_eq!(stage.run(), steps);
}

#[test]
fn what_is_there_is_not_taken_again() {
    // The process was restarted.
    let mut stage = Stage::new("every 1h, keep 2");
    stage.put("pso-20261123T0600", false);
    assert_eq!(stage.run(), ["list"]);
    // The snapshot was destroyed by hand.
    let mut stage = Stage::new("every 1h, keep 2");
    stage.put("pso-20261123T0600", true);
    assert_eq!(stage.run(), ["list"]);
    // The clock was wrong: a snapshot of next year does not displace the others.
    let mut stage = Stage::new("every 1h, keep 1");
    stage.put("pso-20271123T0600", false);
    stage.put("pso-20261123T0500", false);
    let steps = ["list", "take pso-20261123T0600", "destroy prod-pvc-1.pso-20261123T0500"];
    assert_eq!(stage.run(), steps);
}

#[test]
fn one_that_is_on_its_way_out_gets_none() {
    let deleted = Some(serde_json::from_value(json!("2026-11-23T06:00:00Z")).expect("a time"));
    let changes: [fn(&mut Stage); 5] = [
        |stage| {
            stage.volume.status.get_or_insert_default().phase = Some("Released".to_owned());
        },
        |stage| {
            let claim = stage.volume.spec.get_or_insert_default().claim_ref.as_mut();
            claim.expect("a claim").uid = Some("2".to_owned());
        },
        |stage| {
            let name = &mut stage.claim.spec.get_or_insert_default().volume_name;
            *name = Some("pvc-2".to_owned());
        },
        |stage| stage.volume.metadata.annotations = None,
        |stage| stage.claim = Stage::new("never").claim,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut stage = Stage::new("every 1h, keep 2");
        change(&mut stage);
        assert_eq!(stage.run(), [""; 0], "{number}");
        assert!(stage.work.is_idle(), "{number}");
    }
    let mut stage = Stage::new("every 1h, keep 2");
    stage.claim.metadata.deletion_timestamp.clone_from(&deleted);
    assert_eq!(stage.run(), [""; 0], "it goes");
    let mut stage = Stage::new("every 1h, keep 2");
    stage.volume.metadata.deletion_timestamp = deleted;
    assert_ne!(stage.run(), [""; 0], "in use until its claim goes");
}

/// Returns the messages of the events, and whether a retry follows.
fn failures_and_retry(effects: &[Effect]) -> (Vec<&str>, bool) {
    let tells = effects.iter().filter_map(|effect| match effect {
        Effect::RecordEvent {
            regarding: Regarding::Claim,
            reason: Reason::SnapshotFailed,
            message,
            ..
        } => Some(message.as_str()),
        _ => None,
    });
    (tells.collect(), effects.iter().any(|effect| matches!(effect, Effect::Requeue(_))))
}

#[test]
fn an_error_is_reported_once_and_destroys_nothing() {
    let mut stage = Stage::new("every 1h, keep 1");
    stage.put("pso-20261123T0400", false);
    stage.put("pso-20261123T0500", false);
    let error = |retry| EffectError::Array {
        reason: "Unreachable",
        message: "fb1: no answer".to_owned(),
        retry,
    };
    let first = stage.step(Input::Changed);
    assert!(matches!(first[..], [Effect::ListSnapshots { .. }]), "{first:?}");
    let failed = stage.step(Input::Done(Err(error(Retry::Soon))));
    assert_eq!(failures_and_retry(&failed), (vec!["fb1: no answer"], true));
    assert!(stage.step(Input::Changed).is_empty(), "it waits");
    let again = stage.step(Input::Due);
    assert!(matches!(again[..], [Effect::ListSnapshots { .. }]), "{again:?}");
    let failed = stage.step(Input::Done(Err(error(Retry::Soon))));
    assert_eq!(failures_and_retry(&failed), (vec![], true), "reported already");
    stage.step(Input::Due);
    let list = Outcome::Snapshots(ReadTime::default(), stage.there.clone());
    let take = stage.step(Input::Done(Ok(list)));
    assert!(matches!(take[..], [Effect::TakeSnapshot { .. }]), "{take:?}");
    // An answer about another snapshot has no effect.
    let other = Outcome::Snapshot(stage.there[0].clone());
    let failed = stage.step(Input::Done(Ok(other)));
    assert_eq!(failures_and_retry(&failed).0.len(), 1, "{failed:?}");
    let again = stage.step(Input::Due);
    assert!(matches!(again[..], [Effect::ListSnapshots { .. }]), "{again:?}");
    // Meanwhile the claim disappears, and with it the reason for an event.
    stage.volume.status = None;
    assert_eq!(stage.step(Input::Done(Err(error(Retry::Soon)))), []);
    assert!(stage.work.is_idle());
}

#[test]
fn a_volume_that_was_renamed_is_left_alone() {
    let mut stage = Stage::new("every 1h, keep 1");
    stage.put("pso-20261123T0500", false);
    stage.there[0].volume = "mine".to_owned();
    stage.step(Input::Changed);
    let list = Outcome::Snapshots(ReadTime::default(), stage.there.clone());
    let failed = stage.step(Input::Done(Ok(list)));
    assert_eq!(failures_and_retry(&failed), (vec!["prod-pvc-1 is called mine now"], true));
}

#[test]
fn an_invalid_schedule_is_reported() {
    let wrong = "pso-gen.io/snapshots: expected `every 6h, keep 28` or `never`, found \"daily\"";
    assert_eq!(failures_and_retry(&Stage::new("daily").step(Input::Changed)), (vec![wrong], true));
    let mut stage = Stage::new("");
    stage.claim.metadata.annotations = None;
    stage.class = Err("class pure-file is wrong".to_owned());
    assert_eq!(
        failures_and_retry(&stage.step(Input::Changed)),
        (vec!["class pure-file is wrong"], true)
    );
    let mut stage = Stage::new("every 1h, keep 2");
    stage.is_shared = true;
    assert!(
        failures_and_retry(&stage.step(Input::Changed)).0[0].contains("another PersistentVolume")
    );
}

#[test]
fn a_claims_wish_destroys_nothing_that_its_class_keeps() {
    let mut stage = Stage::new("every 5m, keep 1");
    stage.class = class("every 1h, keep 20");
    for hour in 0..20 {
        let day = if hour < 18 { 22 } else { 23 };
        stage.put(&format!("pso-202611{day}T{:02}00", (hour + 6) % 24), false);
    }
    let first = stage.step(Input::Changed);
    let is_reported = |effect: &&Effect| {
        matches!(effect, Effect::RecordEvent {
            regarding: Regarding::Claim, severity: Severity::Warning,
            reason: Reason::SnapshotScheduleRefused, message,
        } if message.contains("`every 5m, keep 1` requests less"))
    };
    assert_eq!(first.iter().filter(is_reported).count(), 1, "{first:?}");
    stage.work = SnapshotState::default();
    // The delay within a slot depends on the claim; both slots are past.
    let steps = ["list", "take pso-20261123T0600", "take pso-20261123T0615"];
    let run = stage.run();
    assert_eq!(run[..3], steps);
    assert_eq!(run[3..], ["destroy prod-pvc-1.pso-20261122T0600"], "as without the wish");
    stage.now += 300;
    let steps = ["list", "take pso-20261123T0620", "destroy prod-pvc-1.pso-20261123T0615"];
    assert_eq!(stage.run(), steps);
    assert_eq!(stage.step(Input::Changed), [], "reported once");
}

#[test]
fn a_class_that_goes_takes_no_snapshots_along() {
    let mut stage = Stage::new("every 1h, keep 1");
    stage.put("pso-20261123T0400", false);
    stage.put("pso-20261123T0500", false);
    stage.class = Err("class pure-file is wrong".to_owned());
    assert_eq!(stage.run(), ["list", "take pso-20261123T0600"]);
}
