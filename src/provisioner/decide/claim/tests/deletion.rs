//! Tests of claims that are deleted: every volume that was created for them is destroyed, and no other.

use super::*;

#[test]
fn every_array_that_was_asked_is_cleaned_up() {
    let mut stage = Stage::new().asked("fb1,fb2");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    stage.there = ["fb1", "fb2"].into();
    let steps = stage.run(Input::Changed);
    // Each volume that was found needs another read.
    let each = ["look at fb1", "read", "destroy on fb1", "look at fb2", "read", "destroy on fb2"];
    assert_eq!(steps, [&["read"][..], &each, &["finish"]].concat());
}

#[test]
fn a_volume_that_an_admin_has_given_to_another_claim_stays_when_its_own_claim_goes() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    stage.there = ["fb1"].into();
    stage.read = Some(json!({
        "metadata": {"name": "pvc-1", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
        }},
        "spec": {"claimRef": {"uid": "2"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}},
    }));
    assert_eq!(stage.run(Input::Changed), ["read", "finish"]);
    // A PersistentVolume of that name with another volume does not keep this one.
    let mut other = Stage::new().asked("fb1");
    (other.claim, other.there) = (stage.claim.clone(), stage.there.clone());
    other.ask("fb1");
    other.read = stage.read.map(|mut volume| {
        volume["metadata"]["annotations"]["pso-gen.io/volume"] = json!("prod-pvc-3");
        volume
    });
    let steps = other.run(Input::Changed);
    assert_eq!(steps, ["read", "look at fb1", "read", "destroy on fb1", "finish"]);
}

#[test]
fn what_was_made_for_a_claim_that_disappears_goes_as_far_as_it_is_remembered() {
    let mut stage = Stage::new();
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
    // The provisioner's finalizer is removed by hand, and the claim disappears before its PersistentVolume exists.
    stage.gone = true;
    stage.there.insert("fb2");
    let refused = Input::Done(Err(EffectError::Cluster("refused".to_owned())));
    assert_eq!(stage.run(refused), ["refused"]);
    let cleans = ["read the claim", "read", "look at fb2", "read", "destroy on fb2"];
    assert_eq!(stage.run(Input::Due), cleans);
    stage.there.clear();
    assert_eq!(stage.run(Input::Changed), cleans[..3]);

    // The watch is stale: the API server still has the claim.
    let mut stage = Stage::new();
    stage.run(Input::Changed);
    stage.successor = Some(stage.claim.clone());
    stage.gone = true;
    stage.there.insert("fb2");
    stage.run(Input::Done(Err(EffectError::Cluster("refused".to_owned()))));
    assert_eq!(stage.run(Input::Due), ["read the claim"]);

    // Another process does not know the claim: the volume is an orphan, and reported.
    let mut stage = Stage::new();
    stage.gone = true;
    assert_eq!(stage.run(Input::Changed), [""; 0]);
}
