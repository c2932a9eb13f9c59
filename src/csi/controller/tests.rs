//! The Controller service against simulated FlashArrays.

mod scope;
mod snapshots;

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;

use super::*;
use crate::arrays::{Array as _, Endpoint, FlashArray, RequestLimits, TokenFile, Trust};
use crate::contract::{Attachment, NodeId};
use crate::csi::rpc::Controller as _;
use crate::provisioner::decide::ArrayTraits;
use crate::simulator::{self, Options, Settings, serve};

const GIB: i64 = 1 << 30;
const CLAIM: &str = "pvc-0f8fad5b-d9cb-469f-a165-70867728950e";

/// Simulated arrays, and the folder with what their clients need.
struct Fixture {
    running: simulator::Running,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(names: &[&str]) -> Self {
        let arrays = (1..).zip(names).map(|(number, name)| {
            let name = (*name).to_owned();
            let settings = Settings { number, name, ..Settings::default() };
            let array = simulator::FlashArray::new(settings.clone());
            (simulator::Array::FlashArray(Box::new(array)), settings)
        });
        let running = serve(arrays.collect(), &Options::default()).await.expect("served");
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = running.certificate.as_deref().expect("https");
        std::fs::write(folder.path().join("ca.pem"), certificate).expect("written");
        for array in &running.arrays {
            std::fs::write(folder.path().join(&array.name), &array.token).expect("written");
        }
        Self { running, folder }
    }

    fn client(&self, name: &str) -> FlashArray {
        let array = self.running.arrays.iter().find(|array| array.name == name).expect("there");
        let endpoint = Endpoint {
            name: name.to_owned(),
            management: array.url.trim_start_matches("https://").to_owned(),
            token: TokenFile::new(self.folder.path().join(name)),
            trust: Trust::Ca(self.folder.path().join("ca.pem")),
            id: None,
            limits: RequestLimits::default(),
            observer: None,
        };
        FlashArray::new(endpoint).expect("an address")
    }

    /// An array at this address that takes connections and never answers; its lists alone end soon.
    fn silent(&self, address: String) -> FlashArray {
        let hour = Duration::from_secs(3600);
        let limits = RequestLimits {
            request_timeout: hour,
            operation_timeout: hour,
            list_timeout: Duration::from_millis(100),
            ..RequestLimits::default()
        };
        let endpoint = Endpoint {
            name: "silent".to_owned(),
            management: address,
            token: TokenFile::new(self.folder.path().join(&self.running.arrays[0].name)),
            trust: Trust::Ca(self.folder.path().join("ca.pem")),
            id: None,
            limits,
            observer: None,
        };
        FlashArray::new(endpoint).expect("an address")
    }

    /// The service of a cluster; each array is in the zone of its name.
    fn service(&self, cluster: &str, identity: &str) -> Controller {
        let arrays = self.running.arrays.iter().map(|array| ControllerArray {
            array: self.client(&array.name),
            traits: ArrayTraits {
                topology: [("zone".to_owned(), array.name.clone())].into(),
                ..ArrayTraits::default()
            },
        });
        Controller::new(cluster, vec![identity.to_owned()], arrays.collect(), Scope::All)
    }
}

fn single() -> VolumeCapability {
    VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume::default())),
        access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
    }
}

fn of_size(required_bytes: i64, limit_bytes: i64) -> CapacityRange {
    CapacityRange { required_bytes, limit_bytes }
}

fn wanted(name: &str, size: i64) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: name.to_owned(),
        capacity_range: Some(of_size(size, 0)),
        volume_capabilities: vec![single()],
        ..CreateVolumeRequest::default()
    }
}

async fn created(service: &Controller, request: CreateVolumeRequest) -> Volume {
    service.create_volume(request).await.expect("created").volume.expect("a volume")
}

fn delete(id: &str) -> DeleteVolumeRequest {
    DeleteVolumeRequest { volume_id: id.to_owned(), ..DeleteVolumeRequest::default() }
}

fn node_id(name: &str) -> String {
    let iqn = Some(format!("iqn.1994-05.com.redhat:{name}"));
    NodeId { node: name.to_owned(), iqn, ..NodeId::default() }.format().expect("short")
}

fn publish(id: &str, node: &str) -> ControllerPublishVolumeRequest {
    ControllerPublishVolumeRequest {
        volume_id: id.to_owned(),
        node_id: node_id(node),
        volume_capability: Some(single()),
        ..ControllerPublishVolumeRequest::default()
    }
}

fn unpublish(id: &str, node: &str) -> ControllerUnpublishVolumeRequest {
    ControllerUnpublishVolumeRequest {
        volume_id: id.to_owned(),
        node_id: node_id(node),
        ..ControllerUnpublishVolumeRequest::default()
    }
}

#[tokio::test]
async fn a_volume_lives_as_one_of_the_provisioners() {
    let lab = Fixture::new(&["fa1"]).await;
    let service = lab.service("prod", "3f2a9c1e7b4d4e1a");
    let volume = created(&service, wanted(CLAIM, 3 * GIB + 1)).await;
    assert_eq!(volume.capacity_bytes, 3 * GIB + (1 << 20), "rounded up");
    assert_eq!(volume.volume_context["array"], "fa1");
    assert_eq!(volume.volume_context["name"], format!("prod-{CLAIM}"));
    let again = created(&service, wanted(CLAIM, 3 * GIB + 1)).await;
    assert_eq!(again, volume);
    let other = service.create_volume(wanted(CLAIM, 4 * GIB)).await.expect_err("another size");
    assert_eq!(other.code(), Code::AlreadyExists);

    service.unpublish(unpublish(&volume.volume_id, "one")).await.expect("never attached");
    let attached = service.publish(publish(&volume.volume_id, "one")).await.expect("attached");
    let attachment = Attachment::from_context(&attached.publish_context).expect("a context");
    assert_eq!(attachment.serial, volume.volume_context["serial"]);
    assert_eq!(i64::try_from(attachment.size), Ok(volume.capacity_bytes));
    assert!(attachment.never_formatted, "it was created empty");
    service.unpublish(unpublish(&volume.volume_id, "two")).await.expect("not attached to it");
    let again = service.publish(publish(&volume.volume_id, "one")).await.expect("attached already");
    assert_eq!(again, attached);
    let second = service.publish(publish(&volume.volume_id, "two")).await;
    assert_eq!(second.expect_err("for one node").code(), Code::FailedPrecondition);
    let same = created(&service, wanted(CLAIM, 3 * GIB + 1)).await;
    assert_eq!(same, volume, "also while it is in use");
    let in_use = service.delete_volume(delete(&volume.volume_id)).await;
    assert_eq!(in_use.expect_err("in use").code(), Code::FailedPrecondition);

    let expand = |required, limit| ControllerExpandVolumeRequest {
        volume_id: volume.volume_id.clone(),
        capacity_range: Some(of_size(required, limit)),
        ..ControllerExpandVolumeRequest::default()
    };
    let grown = service.expand(expand(5 * GIB, 0)).await.expect("expanded");
    assert_eq!((grown.capacity_bytes, grown.node_expansion_required), (5 * GIB, true));
    let smaller = service.expand(expand(4 * GIB, 0)).await.expect("left as it is");
    assert_eq!(smaller.capacity_bytes, 5 * GIB);
    let too_small = service.expand(expand(GIB, 2 * GIB)).await.expect_err("it cannot shrink");
    assert_eq!(too_small.code(), Code::OutOfRange);

    let limit = |key: &str, value: &str| ControllerModifyVolumeRequest {
        volume_id: volume.volume_id.clone(),
        mutable_parameters: [(key.to_owned(), value.to_owned())].into(),
        ..ControllerModifyVolumeRequest::default()
    };
    service.modify(limit("iops", "1000")).await.expect("limited while it is in use");
    let wrong = service.modify(limit("speed", "1000")).await.expect_err("no parameter");
    assert_eq!(wrong.code(), Code::InvalidArgument);

    service.unpublish(unpublish(&volume.volume_id, "one")).await.expect("detached");
    service.unpublish(unpublish(&volume.volume_id, "one")).await.expect("detached already");
    let moved = service.publish(publish(&volume.volume_id, "two")).await.expect("it may move");
    let moved = Attachment::from_context(&moved.publish_context).expect("a context");
    assert!(!moved.never_formatted, "the first node may have formatted it");
    let from_all = ControllerUnpublishVolumeRequest {
        node_id: String::new(),
        ..unpublish(&volume.volume_id, "two")
    };
    service.unpublish(from_all).await.expect("detached from all nodes");
    let without_initiator = ControllerPublishVolumeRequest {
        node_id: "worker-without-initiator".to_owned(),
        ..publish(&volume.volume_id, "one")
    };
    let error = service.publish(without_initiator).await.expect_err("no initiator");
    assert_eq!(error.code(), Code::NotFound);
    service.delete_volume(delete(&volume.volume_id)).await.expect("destroyed");
    service.delete_volume(delete(&volume.volume_id)).await.expect("destroyed already");
    service.unpublish(unpublish(&volume.volume_id, "one")).await.expect("it is gone");
    let gone = service.publish(publish(&volume.volume_id, "one")).await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_not_this_clusters_is_left_alone() {
    let lab = Fixture::new(&["fa1"]).await;
    let (ours, namesake) = (lab.service("prod", "aaaa"), lab.service("prod", "bbbb"));
    let volume = created(&ours, wanted(CLAIM, GIB)).await;
    let id = &volume.volume_id;
    let refused = namesake.delete_volume(delete(id)).await.expect_err("another cluster's");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let refused = namesake.create_volume(wanted(CLAIM, GIB)).await.expect_err("another's");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let grow = ControllerExpandVolumeRequest {
        volume_id: id.clone(),
        capacity_range: Some(of_size(2 * GIB, 0)),
        ..ControllerExpandVolumeRequest::default()
    };
    let refused = namesake.expand(grow).await.expect_err("another cluster's");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let modify = ControllerModifyVolumeRequest {
        volume_id: id.clone(),
        mutable_parameters: [("iops".to_owned(), "1000".to_owned())].into(),
        ..ControllerModifyVolumeRequest::default()
    };
    let refused = namesake.modify(modify).await.expect_err("another cluster's");
    assert_eq!(refused.code(), Code::FailedPrecondition);

    // The provisioner of a namesake has registered the name.
    let array = lab.client("fa1");
    let registers = |uid: &str| {
        let registration = crate::provisioner::decide::Registration::new(uid, 1).expect("a UID");
        crate::contract::VolumeRequest {
            name: registration.name("prod").expect("short"),
            owner: crate::contract::Owner {
                cluster: "prod".to_owned(),
                namespace: "kube-system".to_owned(),
                claim: "registration".to_owned(),
                uid: uid.to_owned(),
                ..crate::contract::Owner::default()
            },
            size: 1 << 20,
            source: None,
            details: crate::contract::VolumeOptions::Block {
                default_protection: false,
                qos: crate::contract::Qos::default(),
            },
        }
    };
    array.ensure(&registers(&"b".repeat(36))).await.expect("registered");
    for refused in [
        ours.delete_volume(delete(id)).await.map(drop).expect_err("registered elsewhere"),
        ours.create_volume(wanted("new", GIB)).await.map(drop).expect_err("registered elsewhere"),
    ] {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("takeOver"), "{}", refused.message());
    }

    let test = lab.service("test", "cccc");
    let refused = test.delete_volume(delete(id)).await.expect_err("of another name");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let listed = test.list_volumes(ListVolumesRequest::default()).await.expect("a list");
    assert_eq!(listed.entries, []);
    let there = array.list("prod-pvc-").await.expect("a list");
    assert!(there.iter().all(|volume| !volume.destroyed && volume.size == 1 << 30), "{there:?}");

    // Of an array that the storage document lacks, nothing is known.
    let elsewhere = format!("unknown/{}", id.split_once('/').expect("two parts").1);
    let unknown = ours.delete_volume(delete(&elsewhere)).await.expect_err("it may exist");
    assert_eq!(unknown.code(), Code::FailedPrecondition);
    ours.delete_volume(delete("fake")).await.expect("no such id is ever given");
}

#[tokio::test]
async fn a_volume_is_created_where_the_request_wants_it_and_only_once() {
    let lab = Fixture::new(&["fa1", "fa2"]).await;
    let service = lab.service("prod", "aaaa");
    let place = |zone: &str| Topology { segments: [("zone".to_owned(), zone.to_owned())].into() };
    let there = |name: &str, preferred: &[&str], requisite: &[&str]| {
        let all = |zones: &[&str]| zones.iter().map(|zone| place(zone)).collect();
        CreateVolumeRequest {
            accessibility_requirements: Some(TopologyRequirement {
                requisite: all(requisite),
                preferred: all(preferred),
            }),
            ..wanted(name, GIB)
        }
    };
    for (name, preferred, requisite, on) in [
        ("a", &["fa2", "fa1"][..], &["fa1", "fa2"][..], "fa2"),
        ("b", &[][..], &["fa2"][..], "fa2"),
        ("c", &["nowhere"][..], &["fa1"][..], "fa1"),
    ] {
        let volume = created(&service, there(name, preferred, requisite)).await;
        assert_eq!(volume.volume_context["array"], on, "{name}");
        assert_eq!(volume.accessible_topology, [place(on)]);
        // A later request finds it where it is.
        let again = created(&service, there(name, &["fa1", "fa2"], &[])).await;
        assert_eq!(again, volume);
    }
    let nowhere = service.create_volume(there("d", &[], &["nowhere"])).await.expect_err("no array");
    assert_eq!(nowhere.code(), Code::ResourceExhausted);

    let listed = service.list_volumes(ListVolumesRequest::default()).await.expect("a list");
    let on: BTreeMap<String, usize> =
        listed.entries.iter().fold(BTreeMap::new(), |mut on, entry| {
            let volume = entry.volume.as_ref().expect("a volume");
            *on.entry(volume.volume_context["array"].clone()).or_default() += 1;
            on
        });
    assert_eq!(on, [("fa1".to_owned(), 1), ("fa2".to_owned(), 2)].into());
    let free = |zone: &str| GetCapacityRequest {
        accessible_topology: Some(place(zone)),
        ..GetCapacityRequest::default()
    };
    let one = service.get_capacity(free("fa1")).await.expect("a capacity");
    let none = service.get_capacity(free("nowhere")).await.expect("a capacity");
    let all = service.get_capacity(GetCapacityRequest::default()).await.expect("a capacity");
    assert!(one.available_capacity > 0 && all.available_capacity > one.available_capacity);
    assert_eq!((none.available_capacity, none.maximum_volume_size), (0, None));
}

#[tokio::test]
async fn no_second_volume_is_created_while_an_array_that_may_have_it_is_away() {
    let lab = Fixture::new(&["fa1", "fa2"]).await;
    let service = lab.service("prod", "aaaa");
    let first = created(&service, wanted(CLAIM, GIB)).await;
    let on = first.volume_context["array"].clone();
    // Its token is refused from now on.
    std::fs::write(lab.folder.path().join(&on), "T-wrong").expect("written");
    let later = lab.service("prod", "aaaa");
    let refused = later.create_volume(wanted(CLAIM, GIB)).await.expect_err("it may be there");
    assert_eq!(refused.code(), Code::Unavailable);
    let refused = later.delete_volume(delete(&first.volume_id)).await.expect_err("it may be there");
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_request_that_lacks_something_is_invalid() {
    let lab = Fixture::new(&["fa1"]).await;
    let service = lab.service("prod", "aaaa");
    let shared = VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        ..single()
    };
    let file = [("backend".to_owned(), "file".to_owned())];
    for wrong in [
        wanted("", GIB),
        CreateVolumeRequest { volume_capabilities: Vec::new(), ..wanted("a", GIB) },
        CreateVolumeRequest { volume_capabilities: vec![shared.clone()], ..wanted("a", GIB) },
        CreateVolumeRequest { parameters: file.into(), ..wanted("a", GIB) },
        wanted("a", -1),
        CreateVolumeRequest {
            volume_content_source: Some(VolumeContentSource::default()),
            ..wanted("a", GIB)
        },
    ] {
        let error = service.create_volume(wrong.clone()).await.expect_err("wrong");
        assert_eq!(error.code(), Code::InvalidArgument, "{:?} {wrong:?}", error.message());
    }
    let volume = created(&service, wanted("a", GIB)).await;
    let check = |capability: VolumeCapability| ValidateVolumeCapabilitiesRequest {
        volume_id: volume.volume_id.clone(),
        volume_capabilities: vec![capability],
        ..ValidateVolumeCapabilitiesRequest::default()
    };
    let good = service.validate(check(single())).await.expect("an answer");
    assert_eq!(good.confirmed.map(|good| good.volume_capabilities), Some(vec![single()]));
    let bad = service.validate(check(shared)).await.expect("an answer");
    assert!(bad.confirmed.is_none() && bad.message.contains("for one node"), "{}", bad.message);
}

#[tokio::test]
async fn a_volume_that_is_detached_from_all_nodes_may_have_been_formatted() {
    let lab = Fixture::new(&["fa1"]).await;
    let service = lab.service("prod", "3f2a9c1e7b4d4e1a");
    let volume = created(&service, wanted("a", GIB)).await.volume_id;
    service.publish(publish(&volume, "one")).await.expect("attached");
    let all = ControllerUnpublishVolumeRequest { node_id: String::new(), ..unpublish(&volume, "") };
    service.unpublish(all).await.expect("detached");
    let attached = service.publish(publish(&volume, "one")).await.expect("attached");
    let attachment = Attachment::from_context(&attached.publish_context).expect("a context");
    assert!(!attachment.never_formatted);
}

/// An array that takes connections and is silent delays no call for a volume or snapshot of another one.
#[tokio::test]
async fn only_the_array_of_a_volume_is_waited_for() {
    let lab = Fixture::new(&["fa1"]).await;
    let volume = created(&lab.service("prod", "3f2a9c1e7b4d4e1a"), wanted(CLAIM, GIB)).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let arrays = [lab.silent(address), lab.client("fa1")];
    let arrays =
        arrays.map(|array| ControllerArray { array, traits: ArrayTraits::default() }).into();
    let service = Controller::new("prod", vec!["3f2a9c1e7b4d4e1a".to_owned()], arrays, Scope::All);
    let calls = async {
        let take = CreateSnapshotRequest {
            name: "snapshot-1".to_owned(),
            source_volume_id: volume.volume_id.clone(),
            ..CreateSnapshotRequest::default()
        };
        let taken = service.create_snapshot(take).await.expect("taken");
        let snapshot_id = taken.snapshot.expect("a snapshot").snapshot_id;
        assert_eq!(created(&service, wanted(CLAIM, GIB)).await.volume_id, volume.volume_id);
        let destroy = DeleteSnapshotRequest { snapshot_id, ..DeleteSnapshotRequest::default() };
        service.delete_snapshot(destroy).await.expect("destroyed");
    };
    tokio::time::timeout(Duration::from_secs(120), calls).await.expect("in time");
}
