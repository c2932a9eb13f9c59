//! Steps on one PersistentVolume that the simulation comes upon too seldom.

use serde_json::{Value, json};

use super::*;
use crate::contract::{ArrayKind, Capacity, Transport};
use crate::provisioner::decide::setup::ArrayTraits;

fn released() -> Value {
    json!({
        "metadata": {
            "name": "pvc-1", "uid": "v", "resourceVersion": "7", "finalizers": [FINALIZER],
            "deletionTimestamp": "2026-11-23T06:00:00Z",
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
            },
        },
        "spec": {
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": "files", "name": "data", "uid": "1"},
            "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"},
        },
        "status": {"phase": "Released"},
    })
}

/// Returns the effects of a view when the API server has another PersistentVolume than the cache, and no claim.
fn follows(cached: &Value, fresh: &Value) -> Vec<Effect> {
    let typed = |value: &Value| -> PersistentVolume {
        serde_json::from_value(value.clone()).expect("typed")
    };
    let capacity = Capacity { total: 1 << 40, used: 0, provisioned: None };
    let transport = Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
    let health = Health::Up { id: "a".to_owned(), capacity, transport };
    let (kind, traits) = (ArrayKind::FlashBlade, ArrayTraits::default());
    let arrays = [ArrayState { name: "fb1".to_owned(), kind, traits, health }];
    let (setup, cached) = (Setup::of("prod"), typed(cached));
    let view =
        ReclaimView { setup: &setup, volume: Some(&cached), is_shared: false, arrays: &arrays };
    let mut work = ReclaimState::default();
    let mut event = Input::Changed;
    loop {
        let effects = work.step(view, event);
        event = match effects.first() {
            Some(Effect::ReadPersistentVolume { .. }) => {
                let there = Some(Box::new(typed(fresh)));
                Input::Done(Ok(Outcome::Read(ReadTime::default(), there)))
            }
            Some(Effect::ReadClaim { .. }) => Input::Done(Ok(Outcome::Claim(None))),
            _ => return effects,
        };
    }
}

#[test]
fn a_volume_goes_by_what_the_api_server_says_and_not_by_what_was_seen() {
    let cached = released();
    assert!(matches!(follows(&cached, &cached)[..], [Effect::DestroyVolume { .. }]));
    for (pointer, value) in [
        ("/spec/persistentVolumeReclaimPolicy", json!("Retain")),
        ("/status/phase", json!("Bound")),
        ("/metadata/uid", json!("w")),
        ("/metadata/annotations/pso-gen.io~1volume-id", json!("2")),
        ("/metadata/finalizers", json!([])),
    ] {
        let mut fresh = released();
        *fresh.pointer_mut(pointer).expect(pointer) = value;
        assert_eq!(follows(&cached, &fresh), [], "{pointer}");
    }
}
