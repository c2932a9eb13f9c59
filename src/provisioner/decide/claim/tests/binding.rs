//! Tests of claims that Kubernetes binds, and of PersistentVolumes that exist before or beside those of a claim.

use super::*;

#[test]
fn a_persistent_volume_that_somebody_deletes_is_let_go_of_once() {
    let mut stage = Stage::new().asked("fb1");
    stage.volume = Some(json!({
        "metadata": {
            "name": "pvc-1", "uid": "v", "deletionTimestamp": "2026-11-23T06:00:00Z",
            "finalizers": ["pso-gen.io/volume-protection"],
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
            },
        },
        "spec": {"claimRef": {"uid": "1"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}},
        "status": {"phase": "Available"},
    }));
    assert_eq!(stage.run(Input::Changed), ["let go of pvc-1"]);
    assert_eq!(stage.run(Input::Changed), [""; 0], "the view has not caught up");
    stage.volume = None;
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
}

#[test]
fn a_claim_that_an_admin_has_bound_to_a_volume_of_ours_grows() {
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeName"] = json!("pvc-former");
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    stage.claim["status"] = json!({
        "phase": "Bound", "capacity": {"storage": "1Gi"},
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
    });
    stage.bound = Some(json!({
        "metadata": {"name": "pvc-former", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-former",
            "pso-gen.io/volume-id": "id",
        }},
        "spec": {"claimRef": {"uid": "1"}, "capacity": {"storage": "1Gi"}},
    }));
    assert_eq!(stage.run(Input::Changed)[0], "grow on fb1");
    // The provisioner never changes a PersistentVolume of another driver.
    let mut stage = Stage { work: ClaimState::default(), ..stage };
    stage.bound.as_mut().expect("bound")["metadata"]["annotations"] = json!({});
    assert_eq!(stage.run(Input::Changed), [""; 0]);
}

#[test]
fn nothing_is_begun_before_kubernetes_has_found_nothing() {
    let none = [""; 0];
    let mut stage = Stage::new();
    let said = stage.claim["metadata"]["annotations"].take();
    assert_eq!(stage.run(Input::Changed), none);
    // Nothing is refused either: Kubernetes may find a PersistentVolume that satisfies the claim.
    stage.claim["spec"]["selector"] = json!({"matchLabels": {"tier": "gold"}});
    assert_eq!(stage.run(Input::Changed), none);
    stage.claim["spec"]["selector"].take();
    // While kube-controller-manager is too slow, claims are started unless Kubernetes would bind them.
    stage.is_crowded = true;
    stage.setup.binding = Binding::Controller;
    assert_eq!(stage.run(Input::Changed), none);
    stage.setup.binding = Binding::Direct;
    stage.rival = Some("pre-0");
    assert_eq!(stage.run(Input::Changed), none);
    stage.rival = None;
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
    let mut stage = Stage { rival: Some("pre-0"), ..Stage::new() };
    stage.claim["metadata"]["annotations"] = said;
    assert_eq!(
        stage.run(Input::Changed),
        none,
        "kube-controller-manager may bind the newer one at any moment"
    );
}

#[test]
fn no_persistent_volume_is_created_beside_another_or_before_all_are_known() {
    let mut stage = Stage::new().asked("fb1");
    let effects = stage.step(Input::Changed);
    assert!(matches!(effects[..], [Effect::EnsureVolume { .. }]), "{effects:?}");
    let made = |array| Input::Done(Ok(Outcome::Volume(Some(made(array)))));
    assert_eq!(stage.step(made("fb1")), [Effect::AwaitWatch]);
    assert_eq!(stage.step(Input::Changed), [], "it is asked for once");
    stage.rival = Some("pre-0");
    assert_eq!(stage.step(Input::WatchCaughtUp), [], "Kubernetes binds the claim to that one");
    stage.rival = None;
    let effects = stage.step(Input::Changed);
    assert!(matches!(effects[..], [Effect::CreatePersistentVolume(_)]), "{effects:?}");
}

#[test]
fn a_claim_that_kubernetes_binds_to_another_one_has_not_got_ours() {
    let mut stage = Stage::new();
    let steps = stage.run(Input::Changed);
    assert_eq!(steps, ["ask fb2", "make on fb2", "create for fb2"]);
    stage.claim["spec"]["volumeName"] = json!("pre-0");
    stage.claim["metadata"]["resourceVersion"] = json!("99");
    stage.there.insert("fb2");
    let steps = stage.run(Input::Done(Err(EffectError::Conflict)));
    let steps: Vec<String> = steps.into_iter().chain(stage.run(Input::Due)).collect();
    assert_eq!(steps, ["read", "look at fb2", "read", "destroy on fb2", "finish"]);
}

#[test]
fn a_node_that_is_gone_gives_the_choice_back_unless_something_was_begun() {
    let zone = |zone: &str| BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
    let waits = || {
        let mut stage = Stage::new();
        stage.class.as_mut().expect("a class").as_mut().expect("usable").waits = true;
        stage.arrays[0].traits.topology = zone("a");
        let annotations = &mut stage.claim["metadata"]["annotations"];
        annotations["volume.kubernetes.io/selected-node"] = json!("gone");
        stage.arrays.pop();
        stage
    };
    assert_eq!(waits().run(Input::Changed), ["choose another node"]);
    let mut stage = Stage { node: Some(zone("b")), ..waits() };
    assert_eq!(stage.run(Input::Changed), ["choose another node"], "no array is there");
    let mut stage = Stage { node: Some(zone("a")), ..waits() };
    assert_eq!(stage.run(Input::Changed)[0], "ask fb1");
    assert_eq!(waits().asked("fb1").run(Input::Changed), ["make on fb1", "create for fb1"]);
}
