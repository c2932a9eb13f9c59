//! The LUN of a connection: a node that was cut off may still write to a device of the one that it had.

use pso_gen::arrays::{AttachRequest, BlockArray as _};
use pso_gen::contract::VolumeId;
use pso_gen::simulator::Method;
use serde_json::{Value as Json, json};

use super::attach::{here, node, request, volume};
use super::bench::Bench;

/// The LUNs of all connections, by the name of the volume.
async fn luns(bench: &Bench) -> Vec<(String, u64)> {
    let kinds = bench.contents().await;
    let collection =
        kinds.into_iter().find(|collection| collection["kind"] == "connections").expect("a kind");
    let objects = collection["objects"].as_array().expect("objects");
    let lun = |object: &Json| {
        let name = object["volume"]["name"].as_str().expect("a name").to_owned();
        (name, object["lun"].as_u64().expect("a LUN"))
    };
    let mut luns: Vec<(String, u64)> = objects.iter().map(lun).collect();
    luns.sort();
    luns
}

/// Connects a new volume to `prod-n1` by hand, under a LUN.
async fn occupy(bench: &Bench, lun: u32) {
    let name = format!("by-hand-{lun}");
    let body = json!({"provisioned": 1 << 30});
    bench.send(Method::Post, "volumes", &[("names", &name)], body).await;
    let pair = [("host_names", "prod-n1"), ("volume_names", name.as_str())];
    bench.send(Method::Post, "connections", &pair, json!({"lun": lun})).await;
}

fn after(lun: u32) -> u32 {
    1 + lun % 254
}

#[tokio::test]
async fn no_volume_gets_the_lun_under_which_a_node_may_still_write_to_another() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let attach =
        async |volume: &VolumeId| here(array.attach(&request(volume, node("n1"))).await).lun;
    let mut volumes = Vec::new();
    for number in 1..=4 {
        volumes.push(volume(array.as_ref(), number).await);
    }
    let (kept, left) = (attach(&volumes[0]).await, attach(&volumes[1]).await);
    // The fence: the node was not asked, so it has a device of this LUN.
    array.detach(&volumes[1], &node("n1")).await.expect("detached");
    for next in [&volumes[2], &volumes[3]] {
        let lun = attach(next).await;
        assert!(lun != left && lun != kept && (1..=254).contains(&lun), "{lun}, {left}, {kept}");
    }
    assert_eq!(attach(&volumes[1]).await, left, "it returns to its own");
    let other = AttachRequest { exclusive: false, ..request(&volumes[1], node("n2")) };
    assert_eq!(here(array.attach(&other).await).lun, left, "on each node");
}

#[tokio::test]
async fn a_lun_that_is_taken_leads_to_the_next_one() {
    let bench = Bench::flasharray().await;
    let array = bench.flasharray_client();
    let one = volume(array.as_ref(), 1).await;
    let attach = async || here(array.attach(&request(&one, node("n1"))).await).lun;
    let first = attach().await;
    array.detach(&one, &node("n1")).await.expect("detached");
    occupy(&bench, first).await;
    occupy(&bench, after(first)).await;
    let third = after(after(first));
    assert_eq!(attach().await, third);
    assert_eq!(attach().await, third, "it keeps the LUN");
    bench
        .send(
            Method::Delete,
            "connections",
            &[("host_names", "prod-n1"), ("volume_names", &format!("by-hand-{first}"))],
            Json::Null,
        )
        .await;
    assert_eq!(attach().await, third, "also when its first one is free");
}

#[tokio::test]
async fn a_connection_whose_answer_is_lost_exists_once_and_has_its_lun() {
    for is_taken in [false, true] {
        for fault in [json!("answerLost"), json!("twice"), json!({"late": {"delay": 20}})] {
            let bench = Bench::flasharray().await;
            let array = bench.flasharray_client();
            let one = volume(array.as_ref(), 1).await;
            let attach = async || here(array.attach(&request(&one, node("n1"))).await).lun;
            let mut expected = attach().await;
            array.detach(&one, &node("n1")).await.expect("detached");
            if is_taken {
                occupy(&bench, expected).await;
                expected = after(expected);
            }
            let faults = json!([
                {"fault": fault, "method": "POST", "resource": "connections", "times": 2},
            ]);
            bench.control("PUT", "/faults", faults).await;
            assert_eq!(attach().await, expected, "{fault}");
            bench.control("PUT", "/faults", json!([])).await;
            bench.nothing_is_late().await;
            assert_eq!(attach().await, expected, "{fault}");
            let luns = luns(&bench).await;
            let own: Vec<u64> =
                luns.iter().filter(|(name, _)| name == "prod-pvc-1").map(|(_, lun)| *lun).collect();
            assert_eq!(own, [u64::from(expected)], "{fault}: {luns:?}");
        }
    }
}
