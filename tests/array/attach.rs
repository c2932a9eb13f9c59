//! Volumes as block devices of nodes: hosts, connections, the record of formatting, ports of each transport.

use pso_gen::arrays::{AttachRequest, Attached, BlockArray, ChapFolder, Error};
use pso_gen::contract::{
    Attachment, BlockTransport, ChapPassword, CloneSource, NodeHost, NodeId, Retry, VolumeId,
};
use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use super::bench::{Bench, block, owner};
use super::{Array, id};

/// A node of the cluster `prod` with one initiator of each kind.
pub(crate) fn node(name: &str) -> NodeHost {
    let node = NodeId {
        node: name.to_owned(),
        iqn: Some(format!("iqn.2026-01.com.example:{name}")),
        nqn: Some(format!("nqn.2014-08.org.nvmexpress:uuid:{name}")),
        wwns: vec![format!(
            "21000024ff3dfa{:02x}",
            name.bytes().fold(0, |sum: u8, b| sum.wrapping_mul(7).wrapping_add(b))
        )],
    };
    NodeHost { cluster: "prod".to_owned(), node }
}

pub(crate) fn request(volume: &VolumeId, host: NodeHost) -> AttachRequest {
    AttachRequest {
        volume: volume.clone(),
        host,
        transport: None,
        exclusive: true,
        passwords: None,
    }
}

pub(crate) fn here(attached: Result<Attached, Error>) -> Attachment {
    match attached.expect("attached") {
        Attached::Here(attachment) => attachment,
        Attached::Elsewhere(hosts) => panic!("{hosts:?} are connected"),
    }
}

fn elsewhere(attached: Result<Attached, Error>) -> Vec<String> {
    match attached.expect("an answer") {
        Attached::Elsewhere(hosts) => hosts.into_iter().map(|host| host.name).collect(),
        Attached::Here(attachment) => panic!("{attachment:?}"),
    }
}

pub(crate) async fn volume(array: &impl Array, number: u8) -> VolumeId {
    id(&array.ensure(&block(&format!("prod-pvc-{number}"), 1 << 30)).await.expect("made"))
}

async fn names(bench: &Bench, kind: &str) -> Vec<String> {
    let kinds = bench.contents().await;
    let collection =
        kinds.into_iter().find(|collection| collection["kind"] == kind).expect("a kind");
    let objects = collection["objects"].as_array().expect("objects");
    objects.iter().map(|object| object["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What a test may do to a host by hand, before it sees what comes of it.
async fn host(bench: &Bench, name: &str, body: Json) {
    bench.send(Method::Post, "hosts", &[("names", name)], body).await;
}

#[tokio::test]
async fn a_node_reaches_a_volume_until_it_is_detached() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let (one, two) = (volume(array.as_ref(), 1).await, volume(array.as_ref(), 2).await);
    let seen = here(array.attach(&request(&one, node("n1"))).await);
    assert_eq!((seen.transport, seen.size), (BlockTransport::Iscsi, 1 << 30));
    assert_eq!(seen.target, "iqn.2010-06.com.purestorage:flasharray.00000001");
    assert_eq!(seen.portals, ["192.0.2.11:3260"]);
    assert_eq!(
        Some(seen.serial.as_str()),
        array.find(std::slice::from_ref(&one.id)).await.expect("found")[0].serial.as_deref()
    );
    assert!(seen.never_formatted);
    assert_eq!(here(array.attach(&request(&one, node("n1"))).await), seen, "again");
    assert_ne!(here(array.attach(&request(&two, node("n1"))).await).lun, seen.lun);
    assert_eq!(names(&bench, "hosts").await, ["prod-n1"], "one host for all volumes of a node");
    assert_eq!(bench.calls(Method::Post, "connections"), 2);

    let error = array.destroy(&one, &owner()).await.expect_err("in use");
    assert_eq!((error.reason(), error.retry()), ("InUse", Retry::Soon));
    array.detach(&one, &node("n2")).await.expect("never attached there");
    assert_eq!(array.hosts(&one).await.expect("listed")[0].name, "prod-n1");
    array.detach(&one, &node("n1")).await.expect("detached");
    array.detach(&one, &node("n1")).await.expect("detached already");
    assert_eq!(array.hosts(&one).await.expect("listed"), []);
    array.destroy(&one, &owner()).await.expect("destroyed");
    let error = array.attach(&request(&one, node("n1"))).await.expect_err("destroyed");
    assert_eq!(error.reason(), "NotFound");
}

#[tokio::test]
async fn an_exclusive_volume_is_connected_to_one_node() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    here(array.attach(&request(&volume, node("n1"))).await);
    assert_eq!(elsewhere(array.attach(&request(&volume, node("n2"))).await), ["prod-n1"]);
    let shared = AttachRequest { exclusive: false, ..request(&volume, node("n2")) };
    here(array.attach(&shared).await);
    assert_eq!(
        elsewhere(array.attach(&request(&volume, node("n1"))).await),
        ["prod-n1", "prod-n2"],
        "also when the node itself is connected"
    );
    array.disconnect(&volume, "prod-n2").await.expect("disconnected");
    here(array.attach(&request(&volume, node("n1"))).await);
}

#[tokio::test]
async fn detached_is_what_the_array_shows_and_not_what_it_answers() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    here(array.attach(&request(&volume, node("n1"))).await);
    bench
        .control(
            "PUT",
            "/faults",
            json!([{"fault": "pretended", "method": "DELETE", "resource": "connections"}]),
        )
        .await;
    let error = array.detach(&volume, &node("n1")).await.expect_err("still connected");
    assert!(error.to_string().contains("still connected"), "{error}");
    bench.control("PUT", "/faults", json!([])).await;
    array.detach(&volume, &node("n1")).await.expect("detached");
}

#[tokio::test]
async fn two_nodes_with_one_initiator_are_refused_by_both_names() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let (one, two) = (volume(array.as_ref(), 1).await, volume(array.as_ref(), 2).await);
    here(array.attach(&request(&one, node("n1"))).await);
    let mut twin = node("n2");
    twin.node.iqn = node("n1").node.iqn;
    for volume in [&one, &two] {
        let error = array.attach(&request(volume, twin.clone())).await.expect_err("a twin");
        let text = error.to_string();
        assert!(text.contains("prod-n1") && text.contains("node n2"), "{text}");
        assert!(text.contains("two nodes have the initiator name"), "{text}");
        array.detach(volume, &twin).await.expect("nothing to do");
    }
    assert_eq!(array.hosts(&one).await.expect("listed")[0].name, "prod-n1", "it keeps the volume");
    // A node that was renamed: its host has no connection left.
    array.detach(&one, &node("n1")).await.expect("detached");
    here(array.attach(&request(&one, twin)).await);
    assert_eq!(names(&bench, "hosts").await, ["prod-n2"]);
}

#[tokio::test]
async fn a_host_that_has_the_initiator_is_used_unless_it_is_another_machine_too() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let (one, two) = (volume(array.as_ref(), 1).await, volume(array.as_ref(), 2).await);
    host(&bench, "rack7", json!({"iqns": ["iqn.2026-01.com.example:n1"]})).await;
    here(array.attach(&request(&one, node("n1"))).await);
    assert_eq!(array.hosts(&one).await.expect("listed")[0].name, "rack7");
    array.detach(&one, &node("n1")).await.expect("detached");
    assert_eq!(array.hosts(&one).await.expect("listed"), []);

    let both = json!({"iqns": ["iqn.2026-01.com.example:n2", "iqn.2026-01.com.example:other"]});
    host(&bench, "rack8", both).await;
    let error = array.attach(&request(&two, node("n2"))).await.expect_err("two machines");
    assert!(error.to_string().contains("iqn.2026-01.com.example:other"), "{error}");
    assert_eq!(array.hosts(&two).await.expect("listed"), []);

    // A node that was installed anew has another initiator; a machine that still has volumes is not cut off.
    host(&bench, "prod-n3", json!({"iqns": ["iqn.2026-01.com.example:before"]})).await;
    bench
        .send(
            Method::Post,
            "connections",
            &[("host_names", "prod-n3"), ("volume_names", "prod-pvc-2")],
            json!({}),
        )
        .await;
    let error = array.attach(&request(&one, node("n3"))).await.expect_err("another machine");
    assert!(error.to_string().contains("iqn.2026-01.com.example:before"), "{error}");
    array.disconnect(&two, "prod-n3").await.expect("disconnected");
    here(array.attach(&request(&one, node("n3"))).await);
    assert_eq!(
        bench.object("hosts", "prod-n3").await["iqns"],
        json!(["iqn.2026-01.com.example:n3"])
    );
}

#[tokio::test]
async fn the_transport_is_the_first_that_array_and_node_share_or_the_chosen_one() {
    let settings = Settings {
        nvme: vec!["192.0.2.21".to_owned(), "2001:db8::21".to_owned()],
        fibre_channel: vec![
            "52:4A:93:70:4E:E5:68:00".to_owned(),
            "52:4A:93:70:4E:E5:68:10".to_owned(),
        ],
        ..Settings::default()
    };
    let bench = Bench::flasharray_with(settings).await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    let seen = here(array.attach(&request(&volume, node("n1"))).await);
    assert_eq!((seen.transport, seen.lun), (BlockTransport::NvmeTcp, 1));
    assert_eq!(seen.target, "nqn.2010-06.com.purestorage:flasharray.00000001");
    assert_eq!(seen.portals, ["192.0.2.21:4420", "[2001:db8::21]:4420"]);
    assert_eq!(bench.object("hosts", "prod-n1-nvme").await["iqns"], json!([]));
    // Another transport uses another host of the same node, and an exclusive volume has one.
    let mut chosen = request(&volume, node("n1"));
    chosen.transport = Some(BlockTransport::FibreChannel);
    assert_eq!(elsewhere(array.attach(&chosen).await), ["prod-n1-nvme"]);
    array.detach(&volume, &node("n1")).await.expect("detached");
    let seen = here(array.attach(&chosen).await);
    assert_eq!(seen.portals, ["524a93704ee56800", "524a93704ee56810"]);
    assert_eq!((seen.transport, seen.target.as_str()), (BlockTransport::FibreChannel, ""));
    let wwns = bench.object("hosts", "prod-n1").await["wwns"].clone();
    assert_eq!(wwns.as_array().map(Vec::len), Some(1));
    assert!(wwns[0].as_str().is_some_and(|wwn| wwn.starts_with("21:00:00:24:FF:3D:FA:")), "{wwns}");
    // One that has no Fibre Channel takes what it has.
    let mut plain = node("n2");
    (plain.node.nqn, plain.node.wwns) = (None, Vec::new());
    let shared = AttachRequest { exclusive: false, ..request(&volume, plain.clone()) };
    assert_eq!(here(array.attach(&shared).await).transport, BlockTransport::Iscsi);
    plain.node.iqn = None;
    let error = array.attach(&request(&volume, plain)).await.expect_err("no initiator");
    assert!(
        error.to_string().contains("the array has nvme-tcp, fc, iscsi, the node none"),
        "{error}"
    );
    // What detaches a node finds its hosts of all transports.
    array.detach(&volume, &node("n1")).await.expect("detached");
    assert_eq!(array.hosts(&volume).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn only_an_empty_volume_may_be_formatted_and_only_until_that_is_recorded() {
    for rest in [None, Some(26)] {
        let bench = Bench::flasharray_with(Settings { rest, ..Settings::default() }).await;
        let array = bench.flasharray_client();
        let first = volume(array.as_ref(), 1).await;
        let may = async |volume: &VolumeId| {
            here(array.attach(&request(volume, node("n1"))).await).never_formatted
        };
        assert!(may(&first).await, "REST {rest:?}");
        for (number, source) in [(2, CloneSource::Volume(first.clone()))] {
            let mut clone = block(&format!("prod-pvc-{number}"), 1 << 30);
            clone.source = Some(source);
            let clone = id(&array.ensure(&clone).await.expect("copied"));
            assert!(!may(&clone).await, "a clone has what its source has");
        }
        bench
            .send(Method::Post, "volumes", &[("names", "archive")], json!({"provisioned": 1 << 30}))
            .await;
        let name = pso_gen::contract::VolumeName::new("archive").expect("a name");
        let import = array.describe(&name).await.expect("read").expect("there");
        assert!(!may(&id(&import)).await, "pso-gen did not make it");
        let tags = bench.calls(Method::Put, "volumes/tags/batch");
        array.record_formatted(&id(&import)).await.expect("nothing to record");
        assert_eq!(bench.calls(Method::Put, "volumes/tags/batch"), tags);
        array.record_formatted(&first).await.expect("recorded");
        array.record_formatted(&first).await.expect("recorded already");
        assert_eq!(bench.calls(Method::Put, "volumes/tags/batch"), tags + 1);
        assert!(!may(&first).await);
        // Also when the volume was destroyed and recovered since.
        array.detach(&first, &node("n1")).await.expect("detached");
        array.destroy(&first, &owner()).await.expect("destroyed");
        volume(array.as_ref(), 1).await;
        assert!(!may(&first).await);
    }
}

#[tokio::test]
async fn what_is_gone_is_detached() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    here(array.attach(&request(&volume, node("n1"))).await);
    let pair = [("host_names", "prod-n1"), ("volume_names", "prod-pvc-1")];
    bench.send(Method::Delete, "connections", &pair, Json::Null).await;
    array.detach(&volume, &node("n1")).await.expect("there is no connection");
    bench.send(Method::Delete, "hosts", &[("names", "prod-n1")], Json::Null).await;
    array.detach(&volume, &node("n1")).await.expect("there is no host");
    array.disconnect(&volume, "prod-n1").await.expect("there is no host");
    // It was renamed by hand, and another one has its name: the connection is found by the volume's id.
    here(array.attach(&request(&volume, node("n1"))).await);
    bench.send(Method::Patch, "volumes", &[("names", "prod-pvc-1")], json!({"name": "kept"})).await;
    let error = array.attach(&request(&volume, node("n2"))).await.expect_err("renamed");
    assert_eq!(error.reason(), "NotOurs");
    let other = id(&array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("made"));
    here(array.attach(&request(&other, node("n1"))).await);
    array.detach(&volume, &node("n1")).await.expect("detached");
    assert_eq!(array.hosts(&volume).await.expect("listed"), []);
    assert_eq!(array.hosts(&other).await.expect("listed").len(), 1);
    bench.send(Method::Patch, "volumes", &[("names", "kept")], json!({"destroyed": true})).await;
    bench.send(Method::Delete, "volumes", &[("names", "kept")], Json::Null).await;
    array.detach(&volume, &node("n1")).await.expect("there is no volume");
    array.record_formatted(&volume).await.expect("there is no volume");
    assert_eq!(array.hosts(&volume).await.expect("none"), []);
}

#[tokio::test]
async fn a_host_is_deleted_when_it_is_ours_and_not_in_use() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    here(array.attach(&request(&volume, node("n1"))).await);
    array.delete_hosts(&node("n1")).await.expect("left alone");
    assert_eq!(names(&bench, "hosts").await, ["prod-n1"], "it is connected");
    array.detach(&volume, &node("n1")).await.expect("detached");
    host(&bench, "prod-n2", json!({"iqns": ["iqn.2026-01.com.example:other"]})).await;
    host(&bench, "rack3", json!({"iqns": ["iqn.2026-01.com.example:n3"]})).await;
    for name in ["n1", "n1", "n2", "n3"] {
        array.delete_hosts(&node(name)).await.expect("deleted, or left alone");
    }
    assert_eq!(names(&bench, "hosts").await, ["prod-n2", "rack3"], "the others are not its own");
}

#[tokio::test]
async fn an_array_gets_the_password_of_a_node_before_the_node_is_connected() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let with = |node_name: &str| AttachRequest {
        passwords: Some(ChapFolder::new(folder.path())),
        transport: Some(BlockTransport::Iscsi),
        ..request(&volume, node(node_name))
    };
    let error = array.attach(&with("n1")).await.expect_err("no key");
    assert_eq!(error.reason(), "NoPassword");
    assert_eq!(bench.calls(Method::Post, "hosts"), 0, "nothing was changed");
    std::fs::write(folder.path().join("n1"), "correct-horse-9\n").expect("written");
    here(array.attach(&with("n1")).await);
    let shelves = bench.contents().await;
    let hosts = shelves.iter().find(|shelf| shelf["kind"] == "hosts").expect("hosts");
    let user = "iqn.2026-01.com.example:n1";
    let chap = json!({"host_user": user, "host_password": "****"});
    assert_eq!(hosts["objects"][0]["chap"], chap);
    // A new password takes effect at the next attachment.
    let before = bench.calls(Method::Patch, "hosts");
    std::fs::write(folder.path().join("n1"), "another-horse-9").expect("written");
    here(array.attach(&with("n1")).await);
    assert_eq!(bench.calls(Method::Patch, "hosts"), before + 1);
}

#[tokio::test]
async fn a_password_is_set_at_the_host_of_its_node_and_no_other() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let volume = volume(array.as_ref(), 1).await;
    let password = ChapPassword::new("correct-horse-9").expect("valid");
    array.set_password(&node("n1"), &password).await.expect("there is no host");
    assert_eq!(bench.calls(Method::Patch, "hosts"), 0);
    here(array.attach(&request(&volume, node("n1"))).await);
    host(&bench, "rack3", json!({"iqns": ["iqn.2026-01.com.example:n3"]})).await;
    array.set_password(&node("n1"), &password).await.expect("set");
    let contents = bench.contents().await;
    let hosts = contents.iter().find(|kind| kind["kind"] == "hosts").expect("hosts");
    let users: Vec<_> = hosts["objects"]
        .as_array()
        .expect("hosts")
        .iter()
        .map(|host| host["chap"]["host_user"].clone())
        .collect();
    assert_eq!(users, [json!("iqn.2026-01.com.example:n1"), Json::Null]);
    assert_eq!(bench.calls(Method::Patch, "hosts"), 1);
}
