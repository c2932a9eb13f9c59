//! Tests of the choice of an array: room, labels, names and identities.

use super::*;

#[test]
fn a_volume_is_created_on_the_array_with_the_lowest_provisioned_share() {
    let mut stage = Stage::new();
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
}

#[test]
fn a_copy_is_made_where_its_source_is_whatever_other_arrays_have_room() {
    let mut stage = Stage::new();
    stage.claim["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "old"});
    let source = json!({"metadata": {"namespace": "files", "name": "old", "uid": "0"}});
    let volume = json!({
        "metadata": {"name": "pvc-0", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-0", "pso-gen.io/volume-id": "0",
        }},
        "spec": {"claimRef": {"uid": "0"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-0"}},
    });
    stage.source = Some((source, volume));
    let steps = stage.run(Input::Changed);
    assert_eq!(steps.first().map(String::as_str), Some("ask fb1"), "{steps:?}");
}

#[test]
fn a_full_array_is_looked_at_before_another_one_is_asked() {
    let mut stage = Stage::new().asked("fb2");
    stage.full = Some("fb2");
    assert_eq!(stage.run(Input::Changed), ["fb2 is full", "no room"]);
    let steps = stage.run(Input::Due);
    assert_eq!(steps, ["look at fb2", "ask fb2,fb1", "make on fb1", "create for fb1"]);

    // A request whose answer was lost had succeeded.
    let mut stage = Stage::new().asked("fb2");
    (stage.full, stage.there) = (Some("fb2"), ["fb2"].into());
    stage.run(Input::Changed);
    let steps = stage.run(Input::Due);
    assert_eq!(steps, ["look at fb2", "fb2 has the volume and reports that it has no room"]);
}

#[test]
fn a_volume_counts_for_the_array_that_it_was_made_on_alone() {
    let mut stage = Stage::new().asked("fb1");
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
    // The creation failed; before the next attempt, another array is written on the claim.
    stage.ask("fb2");
    let refused = Input::Done(Err(EffectError::Cluster("refused".to_owned())));
    assert_eq!(stage.run(refused), ["refused"]);
    assert_eq!(stage.run(Input::Due), ["make on fb2", "create for fb2"]);
}

#[test]
fn a_name_in_another_case_is_the_same_name() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "PROD-pvc-1");
    let steps = stage.run(Input::Changed);
    assert_eq!(steps, ["read", "look at fb1", "read", "destroy on fb1", "finish"]);
}

#[test]
fn an_array_that_answers_for_another_name_is_asked_after_a_pause() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "prod-pvc-2");
    assert_eq!(stage.run(Input::Changed), ["read", "look at fb1", "read"], "and then it waits");
    assert_eq!(stage.run(Input::Changed), [""; 0]);
    let steps = stage.run(Input::Due);
    let useless = "fb1 answers for prod-pvc-1, and that is of no use";
    assert_eq!(steps, ["read", "look at fb1", "read", useless]);
    assert_eq!(stage.run(Input::Due), ["read", "look at fb1", "read"], "which is reported once");
}

#[test]
fn an_array_that_the_class_does_not_allow_gets_nothing_new_whatever_stands_on_the_claim() {
    // A tenant has written the provisioner's finalizer and an array on the claim.
    let mut stage = Stage::new();
    stage.arrays[1].traits.labels = [("tier".to_owned(), "gold".to_owned())].into();
    stage.arrays[0].traits.labels = [("tier".to_owned(), "silver".to_owned())].into();
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.arrays = [("tier".to_owned(), "silver".to_owned())].into();
    let mut stage = stage.asked("fb2");
    let steps = stage.run(Input::Changed);
    assert_eq!(steps, ["look at fb2", "ask fb2,fb1", "make on fb1", "create for fb1"]);
    // An existing volume stays where it is after a change of the class.
    let mut stage = stage.asked("fb2");
    stage.work = ClaimState::default();
    stage.there.insert("fb2");
    assert_eq!(stage.run(Input::Changed), ["look at fb2", "make on fb2", "create for fb2"]);
    // An array that is not in the document does not count.
    let mut stage = stage.asked("fb9");
    stage.work = ClaimState::default();
    let steps = stage.run(Input::Changed);
    assert!(steps[0].starts_with("the storage document does not have fb9 any more"), "{steps:?}");
    assert_eq!(steps[1], "ask fb1");
}

#[test]
fn another_array_at_an_address_gets_no_persistent_volume_of_the_one_before() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["annotations"]["pso-gen.io/array-id"] = json!("former");
    let steps = stage.run(Input::Changed);
    assert_eq!(steps[0], "make on fb1", "the client compares the id");
    assert!(steps[1].contains("fb1 is another array now: its id is fb1"), "{steps:?}");
}
