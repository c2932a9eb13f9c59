//! Volumes and their snapshots.

use pso_gen::simulator::{Method, Settings};
use serde_json::json;

use crate::DAY;
use crate::array_client::{ArrayClient, names};

#[test]
fn a_volume_from_birth_to_eradication() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let volume = [("names", "k8s-pvc-1")];
    for size in [1, (1 << 20) + 1] {
        client.refused("size", Method::Post, "volumes", &volume, json!({ "provisioned": size }));
    }
    let plain = [("names", "k8s-pvc-1"), ("with_default_protection", "false")];
    let made = client.post("volumes", &plain, json!({"provisioned": 1 << 30}));
    let serial = made[0]["serial"].as_str().expect("a serial").to_owned();
    assert_eq!(serial.len(), 24);
    assert!(serial.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{serial}");
    let smallest = client.post("volumes", &[("names", "small")], json!({}));
    assert_eq!(smallest[0]["provisioned"], 1 << 20, "without a size, it has the smallest");

    let shrink = json!({"provisioned": 1 << 29});
    client.refused("truncate", Method::Patch, "volumes", &volume, shrink);
    let grown = client.patch("volumes", &volume, json!({"provisioned": 1_u64 << 31}));
    assert_eq!(
        (&grown[0]["provisioned"], &grown[0]["serial"]),
        (&json!(1_u64 << 31), &json!(serial))
    );

    let source = [("source_names", "k8s-pvc-1")];
    let snapshot = client.post("volume-snapshots", &source, json!({"suffix": "s1"}));
    assert_eq!(names(&snapshot), ["k8s-pvc-1.s1"]);
    let copy = json!({"source": {"name": "k8s-pvc-1.s1"}});
    let copy = client.post("volumes", &[("names", "copy")], copy);
    assert_eq!(copy[0]["provisioned"], 1_u64 << 31);
    assert_ne!(copy[0]["serial"], json!(serial));

    client.patch("volumes", &volume, json!({"destroyed": true}));
    let snapshots = client.get("volume-snapshots", &source);
    assert_eq!(snapshots[0]["destroyed"], true, "snapshots end with their volume");
    client.refused(
        "already exists",
        Method::Post,
        "volumes",
        &volume,
        json!({"provisioned": 1 << 30}),
    );
    let back = client.patch("volumes", &volume, json!({"destroyed": false}));
    assert_eq!(back[0]["serial"], json!(serial), "it comes back as the same device");
    assert_eq!(client.get("volume-snapshots", &source)[0]["destroyed"], false);
    client.patch("volumes", &volume, json!({"destroyed": true}));
    client.wait(DAY);
    assert_eq!(names(&client.get("volumes", &[])), ["copy", "small"]);
    assert!(client.get("volume-snapshots", &[]).is_empty());
}

#[test]
fn a_copy_goes_over_a_volume_only_when_asked_to() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let made = client.post("volumes", &[("names", "a")], json!({"provisioned": 1 << 20}));
    client.post("volumes", &[("names", "b")], json!({"provisioned": 1 << 21}));
    let source = json!({"source": {"name": "b"}});
    client.refused("already exists", Method::Post, "volumes", &[("names", "a")], source.clone());
    let over = [("names", "a"), ("overwrite", "true")];
    let after = client.post("volumes", &over, source.clone());
    assert_eq!(after[0]["serial"], made[0]["serial"], "hosts go on with the same device");
    assert_eq!(
        (&after[0]["provisioned"], &after[0]["source"]["name"]),
        (&json!(1 << 21), &json!("b"))
    );
    let protects = [over[0], over[1], ("with_default_protection", "false")];
    client.refused("Protection", Method::Post, "volumes", &protects, source);
    let missing = json!({"source": {"name": "nope"}});
    client.refused("No such volume", Method::Post, "volumes", &[("names", "c")], missing);
}

#[test]
fn truncation_leaves_something_to_undo_for_a_day() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    client.post("volumes", &[("names", "a")], json!({"provisioned": 1 << 30}));
    let shrink = [("names", "a"), ("truncate", "true")];
    let shrunk = client.patch("volumes", &shrink, json!({"provisioned": 1 << 20}));
    assert_eq!(shrunk[0]["provisioned"], 1 << 20);
    let undo = client.get("volume-snapshots", &[("source_names", "a")]);
    assert_eq!(
        (&undo[0]["provisioned"], &undo[0]["time_remaining"]),
        (&json!(1 << 30), &json!(DAY))
    );
    client.wait(DAY);
    assert!(client.get("volume-snapshots", &[]).is_empty());
}

#[test]
fn limits_and_priorities_are_kept_and_checked() {
    let mut client = ArrayClient::with_flasharray(&Settings { limit: 1, ..Settings::default() });
    let body = json!({"provisioned": 1 << 20, "qos": {"iops_limit": 1000}, "priority_adjustment": {
        "priority_adjustment_operator": "-", "priority_adjustment_value": 10,
    }});
    let a = [("names", "a")];
    let made = client.post("volumes", &a, body);
    assert_eq!(
        (&made[0]["qos"], &made[0]["priority"]),
        (&json!({"iops_limit": 1000}), &json!(-10))
    );
    let changed = json!({"qos": {"bandwidth_limit": 1 << 20, "iops_limit": ""}});
    let changed = client.patch("volumes", &a, changed);
    assert_eq!(
        changed[0]["qos"],
        json!({"bandwidth_limit": 1 << 20}),
        "an empty text ends a limit"
    );
    let low = json!({"qos": {"iops_limit": 99}});
    client.misused("'qos.iops_limit'", Method::Patch, "volumes", &a, low);
    client.misused("Unknown field 'size'", Method::Patch, "volumes", &a, json!({"size": 1}));
    client.refused("limit reached", Method::Post, "volumes", &[("names", "b")], json!({}));
}

#[test]
fn what_belongs_to_a_volume_goes_by_its_new_name() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    client.post("volumes", &[("names", "a")], json!({}));
    let made = client.post("volume-snapshots", &[("source_names", "a")], json!({"suffix": "s1"}));
    client.post("hosts", &[("names", "h")], json!({}));
    client.post("connections", &[("host_names", "h"), ("volume_names", "a")], json!({}));
    client.patch("volumes", &[("names", "a")], json!({"name": "b"}));
    let id = made[0]["source"]["id"].as_str().expect("an id");
    assert_eq!(names(&client.get("volume-snapshots", &[("source_ids", id)])), ["b.s1"]);
    let connections = client.get("connections", &[("volume_ids", id)]);
    assert_eq!(connections[0]["volume"]["name"], "b");
    let renamed = client.patch("volume-snapshots", &[("names", "b.s1")], json!({"name": "s2"}));
    assert_eq!((names(&renamed)[0], &renamed[0]["suffix"]), ("b.s2", &json!("s2")));
    client.patch("volume-snapshots", &[("names", "b.s2")], json!({"destroyed": true}));
    client.delete("volume-snapshots", &[("names", "b.s2")]);
    assert!(client.get("volume-snapshots", &[]).is_empty());
}
