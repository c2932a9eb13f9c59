//! Tests of the cache: indexes, the cost of an event, and new lists.

use serde_json::json;

use super::super::serialized::opened;
use super::*;

fn volume(name: &str, id: &str) -> PersistentVolume {
    let annotations = json!({
        "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
        "pso-gen.io/array-id": "a",
        "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": id,
    });
    let volume = json!({"metadata": {"name": name, "annotations": annotations}});
    serde_json::from_value(volume).expect("typed")
}

fn setup() -> Setup {
    Setup::of("prod")
}

#[test]
fn two_that_tell_of_one_volume_are_noticed_until_one_goes() {
    let mut cache = Cache::new(setup(), false);
    for (name, id) in [("one", "1"), ("two", "1"), ("three", "3")] {
        cache.volumes(Event::Apply(volume(name, id)));
    }
    let shared = |cache: &Cache| ["one", "two", "three"].map(|name| cache.is_shared(name));
    assert_eq!(shared(&cache), [true, true, false]);
    cache.volumes(Event::Apply(volume("two", "2")));
    assert_eq!(shared(&cache), [false, false, false]);
    cache.volumes(Event::Apply(volume("three", "2")));
    assert_eq!(shared(&cache), [false, true, true]);
    cache.volumes(Event::Delete(volume("three", "2")));
    assert_eq!(shared(&cache), [false, false, false]);
}

fn copy(number: usize, source: &str) -> PersistentVolumeClaim {
    let claim = json!({
        "metadata": {"namespace": "files", "name": format!("c{number}"), "uid": number.to_string()},
        "spec": {
            "storageClassName": "pure-file",
            "dataSource": {"kind": "PersistentVolumeClaim", "name": source},
        },
    });
    serde_json::from_value(claim).expect("typed")
}

#[test]
fn an_event_costs_the_same_however_many_claims_there_are() {
    let cost = |claims: usize, source: &str| {
        let mut cache = Cache::new(setup(), false);
        for number in 0..claims {
            cache.claims(Event::Apply(copy(number, source)));
        }
        let before = opened();
        for key in cache.claims(Event::Apply(copy(claims, source))) {
            cache.subject(&key);
            if let Key::Claim(uid) = &key {
                let found = cache.with_claim(uid, |view| view.source.is_some());
                assert_eq!(found, source == "c1");
            }
        }
        cache.classes(Event::Apply(StorageClass::default()));
        opened() - before
    };
    assert_eq!(cost(10, "missing"), cost(3000, "missing"));
    assert_eq!(cost(10, "c1"), cost(3000, "c1"));
    assert!(cost(3000, "c1") <= 4, "objects that are opened: {}", cost(3000, "c1"));
}

#[test]
fn claims_of_others_are_not_looked_at_when_arrays_are() {
    let mut cache = Cache::new(setup(), false);
    for number in 0..100 {
        cache.claims(Event::Apply(copy(number, "missing")));
    }
    assert_eq!(cache.arrays(Vec::new()), []);
    let class = json!({
        "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
        "parameters": {"backend": "file"},
    });
    let class: StorageClass = serde_json::from_value(class).expect("typed");
    assert_eq!(cache.classes(Event::Apply(class)).len(), 100);
    assert_eq!(cache.arrays(Vec::new()).len(), 100);
    assert_eq!(cache.states().count(), 100);
}

#[test]
fn what_a_new_list_does_not_have_is_gone() {
    let mut cache = Cache::new(setup(), false);
    for event in
        [Event::Init, Event::InitApply(volume("one", "1")), Event::InitApply(volume("two", "2"))]
    {
        cache.volumes(event);
    }
    assert!(!cache.volumes.complete, "no decision is based on an incomplete list");
    cache.volumes(Event::InitDone);
    cache.volumes(Event::Init);
    cache.volumes(Event::InitApply(volume("two", "2")));
    assert!(cache.volume("one").is_some(), "until the list is complete");
    let touched = cache.volumes(Event::InitDone);
    assert_eq!(touched, [Key::Volume("one".to_owned())]);
    assert!(cache.volume("one").is_none() && cache.volume("two").is_some());
}
