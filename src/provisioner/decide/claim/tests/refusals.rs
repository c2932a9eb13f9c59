//! Tests of claims that are refused, or that change after their start: sizes, sources, classes and arrays.

use super::*;
use crate::contract::VolumeName;
use crate::provisioner::decide::Import;

/// Returns the claim `old` of 2 GiB with its PersistentVolume on an array.
fn old(array: &str) -> (Value, Value) {
    let claim = json!({"metadata": {"namespace": "files", "name": "old", "uid": "0"}});
    let volume = json!({
        "metadata": {"name": "pvc-0", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": array,
            "pso-gen.io/array-id": array, "pso-gen.io/volume": "prod-pvc-0", "pso-gen.io/volume-id": "0",
        }},
        "spec": {
            "claimRef": {"uid": "0"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-0"},
            "capacity": {"storage": "2Gi"},
        },
    });
    (claim, volume)
}

/// Returns a claim of a size that clones `old`.
fn copy(size: &str) -> Stage {
    let mut stage = Stage::new();
    stage.claim["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "old"});
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!(size);
    stage.source = Some(old("fb1"));
    stage
}

#[test]
fn a_copy_is_at_least_as_large_as_its_source() {
    for size in ["1Gi", "2147483647", "2147483646999m"] {
        let steps = copy(size).run(Input::Changed);
        assert!(
            steps.len() == 1 && steps[0].contains("to copy has 2Gi, and its copy asks for"),
            "{size}: {steps:?}"
        );
    }
    for size in ["2Gi", "2147483647001m", "3Gi"] {
        assert_eq!(copy(size).run(Input::Changed)[0], "ask fb1", "{size}");
    }
    // A FlashArray has rounded the source up, and rounds a clone of the same request up too.
    let mut stage = copy("107374182400m");
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.kind = ArrayKind::FlashArray;
    for array in &mut stage.arrays {
        array.kind = ArrayKind::FlashArray;
    }
    let (_, source) = stage.source.as_mut().expect("a source");
    source["spec"]["capacity"]["storage"] = json!("103Mi");
    source["spec"]["nfs"] = Value::Null;
    assert_eq!(stage.run(Input::Changed)[0], "ask fb1");
}

#[test]
fn a_source_is_identified_by_group_and_kind() {
    let source = |source: Value| {
        let mut stage = copy("2Gi");
        stage.claim["spec"]["dataSource"] = Value::Null;
        stage.claim["spec"]["dataSourceRef"] = source;
        stage.run(Input::Changed)
    };
    let own = json!({"kind": "PersistentVolumeClaim", "name": "old"});
    assert_eq!(source(own)[0], "ask fb1");
    let own = json!({"kind": "PersistentVolumeClaim", "name": "old", "namespace": "files"});
    assert_eq!(source(own)[0], "ask fb1");
    let foreign = json!({"kind": "PersistentVolumeClaim", "name": "old", "namespace": "other"});
    assert!(source(foreign)[0].contains("is in another namespace"));
    let group = "snapshot.storage.k8s.io";
    let snapshot = json!({"apiGroup": group, "kind": "VolumeSnapshot", "name": "s"});
    assert!(source(snapshot)[0].contains("a VolumeSnapshot cannot be a source"));
    // Populators create a claim of their own; provisioners ignore these claims without an event.
    for kind in ["PersistentVolumeClaim", "VolumeSnapshot", "Backup"] {
        let populator = json!({"apiGroup": "example.com", "kind": kind, "name": "old"});
        assert_eq!(source(populator), [""; 0], "{kind}");
    }
}

#[test]
fn a_class_that_is_gone_or_changes_hands_keeps_what_was_begun_until_the_claim_is_served() {
    let mut stage = Stage::new().asked("fb1");
    stage.there.insert("fb1");
    let class = stage.class.take();
    let steps = stage.run(Input::Changed);
    assert!(steps.len() == 1 && steps[0].starts_with("class pure-file is gone"), "{steps:?}");
    // The class exists again: the claim continues at once.
    stage.class = class;
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
    // Another provisioner has created a volume, and the claim is bound to that.
    let mut stage = Stage::new().asked("fb1");
    stage.there.insert("fb1");
    stage.class = None;
    stage.run(Input::Changed);
    stage.claim["spec"]["volumeName"] = json!("theirs");
    let steps = stage.run(Input::Due);
    assert_eq!(steps, ["read", "look at fb1", "read", "destroy on fb1", "finish"]);
    // A claim that was not started belongs to the other provisioner.
    let mut stage = Stage::new();
    stage.class = None;
    assert_eq!(stage.run(Input::Changed), [""; 0]);
}

#[test]
fn a_class_that_is_made_anew_for_the_other_kind_of_array_begins_anew() {
    let stage = || {
        let mut stage = Stage::new().asked("fb1");
        stage.arrays.push(ArrayState { kind: ArrayKind::FlashArray, ..array("fa1", 0) });
        let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
        class.kind = ArrayKind::FlashArray;
        stage
    };
    let steps = stage().run(Input::Changed);
    assert_eq!(steps, ["look at fb1", "ask fb1,fa1", "make on fa1", "create for fa1"]);
    let mut made = stage();
    made.there.insert("fb1");
    let steps = made.run(Input::Changed);
    assert!(steps[1].contains("delete the claim and create it again"), "{steps:?}");
}

#[test]
fn an_array_that_is_taken_out_of_the_document_lets_claims_end() {
    let left =
        "the storage document does not have fb9 any more, where prod-pvc-1 may have been created";
    let mut stage = Stage::new().asked("fb9");
    let steps = stage.run(Input::Changed);
    assert!(steps[0].starts_with(left), "{steps:?}");
    assert_eq!(steps[1..], ["ask fb2", "make on fb2", "create for fb2"]);
    // A removed array is skipped, and the others are cleaned up.
    let mut stage = Stage::new().asked("fb9,fb1");
    stage.there.insert("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    let steps = stage.run(Input::Changed);
    assert_eq!(steps[..4], ["read", "look at fb1", "read", "destroy on fb1"]);
    assert!(steps[4].starts_with(left), "{steps:?}");
    assert_eq!(steps[5..], ["finish"]);
    // A clone can be created on no other array.
    let mut stage = copy("2Gi");
    stage.source = Some(old("fb9"));
    let steps = stage.run(Input::Changed);
    assert!(steps[0].contains("is on fb9, which the storage document does not have"), "{steps:?}");
    // A renamed array is the same array.
    let mut stage = Stage::new().asked("fb9");
    stage.claim["metadata"]["annotations"]["pso-gen.io/array-id"] = json!("fb1");
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
}

#[test]
fn a_wait_ends_when_an_array_is_back_or_less_is_asked_for() {
    let waits = |stage: &mut Stage| stage.run(Input::Changed) == [""; 0];
    let mut stage = Stage::new();
    stage.arrays = vec![ArrayState {
        health: Health::Down("the array is not reached".to_owned()),
        ..array("fb1", 0)
    }];
    let steps = "no array takes it: fb1: the array is not reached";
    assert_eq!(stage.run(Input::Changed), [steps]);
    // After nine attempts, the next one is minutes away.
    for _ in 0..9 {
        assert_eq!(stage.run(Input::Due), [""; 0], "it is reported once");
    }
    assert!(waits(&mut stage));
    stage.arrays = vec![array("fb1", 0)];
    assert_eq!(stage.run(Input::Changed), ["ask fb1", "make on fb1", "create for fb1"]);

    // An expansion that fails, and whose request is lowered again, as Kubernetes allows.
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeName"] = json!("pvc-1");
    stage.volume = Some(old("fb1").1);
    let volume = stage.volume.as_mut().expect("a volume");
    volume["metadata"]["name"] = json!("pvc-1");
    volume["spec"]["claimRef"]["uid"] = json!("1");
    let ask = |stage: &mut Stage, size: &str| {
        stage.claim["spec"]["resources"]["requests"]["storage"] = json!(size);
        stage.claim["status"] = json!({
            "phase": "Bound", "capacity": {"storage": "2Gi"},
            "allocatedResources": {"storage": size},
            "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
        });
    };
    ask(&mut stage, "100Ti");
    assert_eq!(stage.run(Input::Changed), ["grow on fb1"]);
    let full = EffectError::Array {
        reason: "Exhausted",
        message: "the array has no room".to_owned(),
        retry: Retry::Elsewhere,
    };
    assert_eq!(stage.run(Input::Done(Err(full))), ["the array has no room"]);
    assert!(waits(&mut stage));
    ask(&mut stage, "3Gi");
    assert_eq!(stage.run(Input::Changed), ["grow on fb1"], "at once");
}

#[test]
fn an_import_is_checked_before_its_persistent_volume_is_made() {
    let stage = || {
        let mut stage = Stage::new();
        let import =
            Import { array: "fb1".to_owned(), volume: VolumeName::new("old").expect("a name") };
        stage.setup.imports.insert(("files".to_owned(), "data".to_owned()), import);
        stage.called = "old";
        stage.there.insert("fb1");
        stage
    };
    assert_eq!(stage().run(Input::Changed), ["ask fb1", "look at fb1", "create for fb1"]);
    let refused = |mut stage: Stage| stage.run(Input::Changed).pop().unwrap_or_default();
    let mut twice = stage();
    let import =
        Import { array: "fb1".to_owned(), volume: VolumeName::new("OLD").expect("a name") };
    twice.setup.imports.insert(("files".to_owned(), "more".to_owned()), import);
    assert!(refused(twice).contains("is to be imported for files/more too"));
    for (server, name) in [("192.0.2.1", "old"), ("", "OLD")] {
        let mut foreign = stage();
        let key = crate::provisioner::decide::foreign_key(server, name);
        foreign.foreign.insert(key, ["pv-of-pso".to_owned()].into());
        assert!(refused(foreign).contains("PersistentVolume pv-of-pso of another driver"));
    }
    let mut large = stage();
    large.claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    assert!(refused(large).contains("old on fb1 has 1Gi; ask for that"));
    let mut gone = stage();
    gone.there.clear();
    assert!(refused(gone).contains("fb1 has no volume old to import"));
}

#[test]
fn a_volume_attributes_class_on_a_bound_claim_is_refused_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeName"] = json!("pvc-1");
    stage.claim["status"] = json!({"phase": "Bound", "capacity": {"storage": "2Gi"}});
    stage.volume = Some(old("fb1").1);
    let volume = stage.volume.as_mut().expect("a volume");
    volume["metadata"]["name"] = json!("pvc-1");
    volume["spec"]["claimRef"]["uid"] = json!("1");
    assert_eq!(stage.run(Input::Changed), [""; 0]);
    stage.claim["spec"]["volumeAttributesClassName"] = json!("fast");
    let steps = stage.run(Input::Changed);
    assert!(steps.len() == 1 && steps[0].ends_with("; the volume is as before"), "{steps:?}");
    // The expansion continues with the lowered request.
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!("3Gi");
    assert!(stage.run(Input::Changed)[0].starts_with("SetResizing"));
    let mut stage = Stage { work: ClaimState::default(), ..stage };
    stage.volume.as_mut().expect("a volume")["metadata"]["annotations"] = json!({});
    assert_eq!(stage.run(Input::Changed), [""; 0], "that of another driver is its own matter");
}

#[test]
fn wishes_that_no_new_volume_can_meet_are_refused() {
    for (field, value, why) in [
        ("selector", json!({"matchLabels": {"tier": "gold"}}), "a claim with a selector"),
        ("volumeAttributesClassName", json!("fast"), "VolumeAttributesClass fast"),
    ] {
        let mut stage = Stage::new();
        stage.claim["spec"][field] = value;
        let steps = stage.run(Input::Changed);
        assert!(steps.len() == 1 && steps[0].contains(why), "{steps:?}");
    }
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeAttributesClassName"] = json!("");
    // A claim without a class can be bound to any PersistentVolume, also to a new one.
    stage.claim["spec"]["selector"] = json!({});
    assert_eq!(stage.run(Input::Changed)[0], "ask fb2");
}
