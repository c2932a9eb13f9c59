//! Tests of the report: claims, released volumes, arrays, the lease and orphans.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::contract::{ArrayKind, Capacity, FINALIZER, PROVISIONER, Transport, Volume, annotation};
use crate::provisioner::decide::{ArrayTraits, Health};

/// 2026-11-23T07:00:00Z
const NOW: u64 = 1_795_417_200;
const UID: &str = "11111111-1111-1111-1111-111111111111";

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("typed")
}

fn array(name: &str, health: Health) -> ArrayState {
    let (kind, traits) = (ArrayKind::FlashBlade, ArrayTraits::default());
    ArrayState { name: name.to_owned(), kind, traits, health }
}

fn up(used: u64) -> Health {
    let capacity = Capacity { total: 1000, used, provisioned: Some(500) };
    let transport = Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
    Health::Up { id: "a".to_owned(), capacity, transport }
}

fn on_array(name: &str, made: u64) -> Volume {
    Volume {
        name: name.to_owned(),
        id: format!("id of {name}"),
        size: 1 << 30,
        destroyed: false,
        created: Some(made * 1000),
        ..Volume::default()
    }
}

/// One class, one array with one volume, and one bound claim of it.
fn inventory() -> Inventory {
    let class = json!({
        "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
        "parameters": {"backend": "file"},
    });
    let claim = json!({
        "metadata": {
            "namespace": "files", "name": "data", "uid": UID, "creationTimestamp": "2026-11-23T06:00:00Z",
        },
        "spec": {
            "storageClassName": "pure-file", "volumeName": format!("pvc-{UID}"),
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    });
    let name = format!("prod-pvc-{UID}");
    let volume = json!({
        "metadata": {"name": format!("pvc-{UID}"), "uid": "v", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "a", "pso-gen.io/volume": name, "pso-gen.io/volume-id": format!("id of {name}"),
        }},
        "spec": {
            "claimRef": {"namespace": "files", "name": "data", "uid": UID},
            "persistentVolumeReclaimPolicy": "Delete",
        },
        "status": {"phase": "Bound", "lastPhaseTransitionTime": "2026-11-23T06:00:00Z"},
    });
    let listed = Ok(("a".to_owned(), vec![on_array(&name, NOW - 3600)]));
    Inventory {
        claims: vec![typed(claim)],
        volumes: vec![typed(volume)],
        classes: vec![typed(class)],
        arrays: vec![array("fb1", up(100))],
        listed: vec![Listed { array: "fb1".to_owned(), volumes: listed }],
        setup: Some(Setup::of("prod")),
        identity: None,
        registrations: Vec::new(),
        now: NOW,
        ..Inventory::default()
    }
}

/// Returns the claim without its PersistentVolume.
fn pending() -> Inventory {
    let mut inventory = inventory();
    inventory.volumes.clear();
    inventory.claims[0].status = Some(typed(json!({"phase": "Pending"})));
    inventory.claims[0].spec.as_mut().expect("a spec").volume_name = None;
    let asked = (annotation::STORAGE_PROVISIONER.to_owned(), PROVISIONER.to_owned());
    inventory.claims[0].metadata.annotations.get_or_insert_default().extend([asked]);
    inventory
}

fn event(reason: &str, kind: &str, time: &str) -> Event {
    typed(json!({
        "metadata": {"name": reason}, "regarding": {"uid": UID}, "reason": reason, "type": kind,
        "note": format!("note of {reason}"), "eventTime": time,
    }))
}

fn report(inventory: &Inventory) -> Report {
    Report::new(inventory, &ReportFilter::default(), None)
}

fn problems(inventory: &Inventory) -> Vec<String> {
    let problems = report(inventory).problems.into_iter();
    problems.map(|problem| format!("{}: {}", problem.about, problem.what)).collect()
}

#[test]
fn a_healthy_system_is_reported_without_a_problem() {
    let report = report(&inventory());
    assert_eq!(report.problems, []);
    let claim = &report.claims[0];
    assert_eq!((claim.state, claim.age), ("Bound", 3600));
    assert_eq!((claim.array.as_deref(), claim.size), (Some("fb1"), Some(1 << 30)));
    assert_eq!(report.arrays[0].volumes, Some(1));
    assert_eq!((report.orphans.len(), report.released.len(), report.barriers), (0, 0, 0));
}

#[test]
fn a_missing_driver_is_no_problem_of_each_claim_where_the_nodes_can_be_read() {
    let missing = || event("NodeServiceMissing", "Warning", "2026-11-23T06:10:00.000000Z");
    let unknown = Inventory { events: vec![missing()], ..inventory() };
    assert_eq!(problems(&unknown), ["claim files/data: note of NodeServiceMissing"]);
    let known = Inventory { csi_nodes: Some(Vec::new()), ..unknown };
    assert_eq!(problems(&known), [""; 0], "`attachments` reports it, once for all claims");
    // It hides no other problem.
    let failed = event("VolumeResizeFailed", "Warning", "2026-11-23T06:05:00.000000Z");
    let both = Inventory { events: vec![failed, missing()], ..known };
    assert_eq!(problems(&both), ["claim files/data: note of VolumeResizeFailed"]);
}

#[test]
fn the_newest_event_says_why_a_claim_is_pending() {
    let mut inventory = pending();
    assert_eq!(
        problems(&inventory)[..1],
        ["claim files/data: no provisioner has processed it yet"]
    );
    inventory.events.push(event("ProvisioningFailed", "Warning", "2026-11-23T06:10:00.000000Z"));
    assert_eq!(problems(&inventory)[..1], ["claim files/data: note of ProvisioningFailed"]);
    inventory.events.push(event("Provisioning", "Normal", "2026-11-23T06:20:00.000000Z"));
    assert_eq!(
        problems(&inventory)[..1],
        ["claim files/data: no provisioner has processed it yet"]
    );
    inventory.now = NOW - 3600 + 10;
    assert_eq!(problems(&inventory), [""; 0], "it is young");
    inventory.events[0].regarding = None;
    assert_eq!(problems(&inventory), [""; 0], "an event about something else");
}

/// The reason why the claim waits, and the remedy.
fn first_problem(inventory: &Inventory) -> [String; 2] {
    let problem = report(inventory).problems.into_iter().next().expect("a problem");
    [problem.what, problem.remedy]
}

#[test]
fn a_claim_that_kubernetes_has_not_come_to_waits_for_that() {
    let mut inventory = pending();
    inventory.claims[0].metadata.annotations = None;
    let [what, remedy] = first_problem(&inventory);
    assert!(what.starts_with("it waits for kube-controller-manager"), "{what}");
    assert!(remedy.contains("--kube-api-qps"), "{remedy}");
    inventory.claims[0].metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    assert!(
        !first_problem(&inventory)[0].contains("kube-controller-manager"),
        "it was begun without"
    );
    inventory.claims[0].metadata.finalizers = None;
    inventory.events.push(event("ProvisioningFailed", "Warning", "2026-11-23T06:10:00.000000Z"));
    assert_eq!(first_problem(&inventory)[0], "note of ProvisioningFailed");
    inventory.events.clear();
    inventory.now = NOW - 3600 + 10;
    assert_eq!(problems(&inventory), [""; 0], "Kubernetes may need some seconds");
}

#[test]
fn a_claim_waits_for_what_kubernetes_may_bind_it_to() {
    let mut inventory = pending();
    let fits = json!({
        "metadata": {"name": "prepared", "uid": "p"},
        "spec": {
            "capacity": {"storage": "2Gi"}, "storageClassName": "pure-file",
            "nfs": {"server": "192.0.2.9", "path": "/prepared"},
        },
        "status": {"phase": "Released"},
    });
    inventory.volumes.push(typed(fits));
    // The earlier event is not the reason for the wait.
    inventory.events.push(event("ProvisioningFailed", "Warning", "2026-11-23T06:10:00.000000Z"));
    let [what, remedy] = first_problem(&inventory);
    assert!(what.starts_with("it waits for the PersistentVolume prepared"), "{what}");
    assert!(remedy.contains("delete prepared"), "{remedy}");
    inventory.classes[0].volume_binding_mode = Some("WaitForFirstConsumer".to_owned());
    let node = (annotation::SELECTED_NODE.to_owned(), "n1".to_owned());
    inventory.claims[0].metadata.annotations.get_or_insert_default().extend([node]);
    assert_eq!(
        first_problem(&inventory)[0],
        "note of ProvisioningFailed",
        "the scheduler has looked"
    );
    inventory.classes[0].volume_binding_mode = None;
    inventory.volumes[0].spec.as_mut().expect("a spec").capacity = None;
    assert_eq!(first_problem(&inventory)[0], "note of ProvisioningFailed", "it does not fit");
}

#[test]
fn a_claim_that_names_a_persistent_volume_waits_for_that() {
    let mut inventory = pending();
    inventory.claims[0].spec.as_mut().expect("a spec").volume_name = Some("mine".to_owned());
    let [what, remedy] = first_problem(&inventory);
    assert!(what.ends_with("PersistentVolume mine by name, which does not exist"), "{what}");
    assert!(remedy.starts_with("create mine"), "{remedy}");
    inventory.volumes.push(typed(json!({"metadata": {"name": "mine"}, "spec": {}})));
    assert!(first_problem(&inventory)[0].ends_with("Kubernetes has not bound it yet"));
}

#[test]
fn a_claim_that_waits_for_its_pod_is_no_problem() {
    let mut inventory = pending();
    inventory.classes[0].volume_binding_mode = Some("WaitForFirstConsumer".to_owned());
    inventory.listed.clear();
    assert_eq!(report(&inventory).claims[0].state, "Waiting");
    assert_eq!(problems(&inventory), [""; 0]);
    let node = [("volume.kubernetes.io/selected-node".to_owned(), "n1".to_owned())];
    inventory.claims[0].metadata.annotations = Some(node.into());
    assert_eq!(report(&inventory).claims[0].state, "Pending");
}

#[test]
fn claims_of_others_are_left_out_and_a_scope_narrows() {
    let mut inventory = inventory();
    let mut other = inventory.claims[0].clone();
    other.metadata.namespace = Some("other".to_owned());
    inventory.claims.push(other.clone());
    other.spec.as_mut().expect("a spec").storage_class_name = Some("standard".to_owned());
    inventory.claims.push(other);
    assert_eq!(report(&inventory).claims.len(), 2);
    let scope = ReportFilter { namespace: Some("files".to_owned()), claim: None };
    assert_eq!(Report::new(&inventory, &scope, None).claims.len(), 1);
    let scope = ReportFilter { claim: Some("none".to_owned()), ..scope };
    assert_eq!(Report::new(&inventory, &scope, None).claims.len(), 0);
}

#[test]
fn expansions_lost_claims_and_stuck_deletions_are_reported() {
    let mut inventory = inventory();
    let requests = typed(json!({"requests": {"storage": "2Gi"}}));
    inventory.claims[0].spec.as_mut().expect("a spec").resources = Some(requests);
    assert_eq!((report(&inventory).claims[0].state, problems(&inventory)), ("Growing", Vec::new()));
    inventory.events.push(event("VolumeResizeFailed", "Warning", "2026-11-23T06:10:00.000000Z"));
    assert_eq!(problems(&inventory), ["claim files/data: note of VolumeResizeFailed"]);
    inventory.events.clear();
    inventory.claims[0].metadata.deletion_timestamp = Some(typed(json!("2026-11-23T06:30:00Z")));
    assert_eq!(problems(&inventory), ["claim files/data: it is being deleted, and is still there"]);
    inventory.claims[0].metadata.deletion_timestamp = None;
    inventory.claims[0].status = Some(typed(json!({"phase": "Lost"})));
    let lost = format!("claim files/data: its PersistentVolume pvc-{UID} is gone");
    assert_eq!(problems(&inventory), [lost]);
}

#[test]
fn a_released_volume_that_stays_is_reported_unless_it_is_retained() {
    let mut inventory = inventory();
    inventory.claims.clear();
    inventory.volumes[0].status.as_mut().expect("a status").phase = Some("Released".to_owned());
    let what = "no provisioner has destroyed its volume yet";
    assert_eq!(problems(&inventory), [format!("PersistentVolume pvc-{UID}: {what}")]);
    let spec = inventory.volumes[0].spec.as_mut().expect("a spec");
    spec.persistent_volume_reclaim_policy = Some("Retain".to_owned());
    let report = report(&inventory);
    assert_eq!((report.problems.len(), report.released[0].claim.as_str()), (0, "files/data"));
    assert_eq!(report.orphans, [], "its PersistentVolume knows it");
}

#[test]
fn unreachable_and_full_arrays_are_reported() {
    let mut inventory = inventory();
    inventory.arrays = vec![
        array("fb1", up(849)),
        array("fb2", up(850)),
        array("fb3", Health::Down("not reached".to_owned())),
    ];
    assert_eq!(problems(&inventory), ["array fb2: it is 85% full", "array fb3: not reached"]);
}

#[test]
fn a_lease_that_is_not_renewed_is_reported() {
    let mut inventory = inventory();
    let steps = |inventory: &Inventory| {
        let report = Report::new(inventory, &ReportFilter::default(), Some("pso/pso-gen"));
        report.problems.first().map(|problem| problem.what.clone())
    };
    assert!(steps(&inventory).expect("a problem").starts_with("no provisioner is leading"));
    let lease = |time: &str| {
        typed(json!({"spec": {
            "holderIdentity": "pod-1", "renewTime": time, "leaseDurationSeconds": 15,
        }}))
    };
    inventory.lease = Some(lease("2026-11-23T06:59:50.000000Z"));
    assert_eq!(steps(&inventory), None);
    inventory.lease = Some(lease("2026-11-23T06:59:00.000000Z"));
    assert_eq!(steps(&inventory).expect("a problem"), "pod-1 led, and has not said so for 60 s");
}

#[test]
fn an_orphan_has_no_object_a_name_of_this_cluster_and_an_age() {
    let mut inventory = inventory();
    inventory.claims.clear();
    inventory.volumes.clear();
    let orphans = |inventory: &Inventory| {
        let (orphans, problem) = orphans(inventory, GRACE);
        assert_eq!(problem.is_some(), !orphans.is_empty());
        orphans.into_iter().map(|orphan| orphan.name).collect::<Vec<_>>()
    };
    let name = format!("prod-pvc-{UID}");
    assert_eq!(orphans(&inventory), [name.as_str()]);
    let whole = inventory.clone();
    let volumes = |inventory: &mut Inventory, volume: Volume| {
        inventory.listed[0].volumes = Ok(("a".to_owned(), vec![volume]));
    };
    volumes(&mut inventory, on_array(&name, NOW - GRACE + 1));
    assert_eq!(orphans(&inventory), [""; 0], "too young");
    volumes(&mut inventory, Volume { created: None, ..on_array(&name, 0) });
    assert_eq!(orphans(&inventory), [""; 0], "its age is unknown");
    volumes(&mut inventory, Volume { destroyed: true, ..on_array(&name, 0) });
    assert_eq!(orphans(&inventory), [""; 0], "destroyed");
    for other in ["prod-b-pvc-11111111-1111-1111-1111-111111111111", "prod-pvc-mine", "archive"] {
        volumes(&mut inventory, on_array(other, 0));
        assert_eq!(orphans(&inventory), [""; 0], "{other} belongs to another cluster");
    }
    // A claim with the UID has the volume, and so has a PersistentVolume with the array and the id, or with the name.
    let known = super::tests::inventory();
    let mut by_claim = whole.clone();
    by_claim.claims = known.claims;
    assert_eq!(orphans(&by_claim), [""; 0]);
    let mut by_volume = whole;
    by_volume.volumes = known.volumes;
    assert_eq!(orphans(&by_volume), [""; 0]);
    by_volume.listed[0].array = "renamed".to_owned();
    assert_eq!(orphans(&by_volume), [""; 0], "the array has got another name");
    let annotations = by_volume.volumes[0].metadata.annotations.as_mut().expect("annotated");
    annotations.insert("pso-gen.io/volume-id".to_owned(), "another".to_owned());
    assert_eq!(orphans(&by_volume), [name.as_str()], "that one has another volume");
}

#[test]
fn manual_changes_of_a_volume_are_reported_with_the_time_left() {
    let name = format!("prod-pvc-{UID}");
    let steps = |change: &dyn Fn(&mut Volume)| {
        let mut inventory = inventory();
        let spec = inventory.volumes[0].spec.as_mut().expect("a spec");
        spec.capacity = Some([("storage".to_owned(), typed(json!("1Gi")))].into());
        let mut there = on_array(&name, NOW - 3600);
        change(&mut there);
        inventory.listed[0].volumes = Ok(("a".to_owned(), vec![there]));
        problems(&inventory)
    };
    assert_eq!(steps(&|_| {}), [""; 0]);
    let about = format!("claim files/data: its volume {name}");
    let destroyed = steps(&|there| (there.destroyed, there.time_left) = (true, Some(19_800_000)));
    assert_eq!(
        destroyed,
        [format!("{about} is destroyed on fb1; fb1 eradicates it in 5 h 30 min")]
    );
    let renamed = steps(&|there| there.name = "mine".to_owned());
    assert_eq!(renamed, [format!("{about} on fb1 is called mine now")]);
    let moved = steps(&|there| there.name = format!("realm::{name}"));
    assert_eq!(moved, [format!("{about} on fb1 was moved to realm::{name}")]);
    let shrunk = steps(&|there| there.size = 1 << 29);
    assert_eq!(shrunk, [format!("{about} on fb1 has 512Mi, and its PersistentVolume says 1Gi")]);
    let restored = steps(&|there| there.id = "another".to_owned());
    let two = format!("{about} is not on fb1 any more, which has another volume of that name");
    assert_eq!(restored[0], two);
    assert!(restored[1].contains("1 volumes are known neither"), "{restored:?}");
}

#[test]
fn an_array_that_was_removed_from_the_document_is_reported_with_the_objects_that_name_it() {
    let mut inventory = inventory();
    inventory.arrays = vec![array("fb2", up(100))];
    inventory.listed.clear();
    let mut on_its_way = pending().claims.remove(0);
    on_its_way.metadata = typed(json!({
        "namespace": "files", "name": "new", "uid": "2", "finalizers": ["pso-gen.io/volume-protection"],
        "annotations": {"pso-gen.io/array": "fb1,fb2"},
        "creationTimestamp": "2026-11-23T06:00:00Z",
    }));
    inventory.claims.push(on_its_way);
    let steps = problems(&inventory);
    let removed = "array fb1: the storage document does not have it, and 1 PersistentVolumes and 1 claims on their way name it";
    assert_eq!(steps[0], removed, "{steps:?}");
    assert!(report(&inventory).problems[0].remedy.contains("reclaim policy set to Retain"));
}

#[test]
fn a_claim_is_found_by_its_old_annotation() {
    let mut inventory = inventory();
    inventory.claims[0].spec.as_mut().expect("a spec").storage_class_name = None;
    assert_eq!(report(&inventory).claims.len(), 0);
    let annotations = inventory.claims[0].metadata.annotations.get_or_insert_default();
    annotations
        .insert(crate::contract::annotation::LEGACY_CLASS.to_owned(), "pure-file".to_owned());
    assert_eq!(report(&inventory).claims[0].class, "pure-file");
}
