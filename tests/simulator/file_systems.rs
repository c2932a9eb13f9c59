//! File systems and their snapshots.

use pso_gen::simulator::{Method, Settings};
use serde_json::json;

use crate::DAY;
use crate::array_client::{ArrayClient, names};

#[test]
fn a_file_system_from_birth_to_eradication() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let one = [("names", "k8s-pvc-1")];
    let body = json!({
        "provisioned": 1_u64 << 40, "hard_limit_enabled": true, "snapshot_directory_enabled": false,
        "nfs": {"v4_1_enabled": true, "rules": "10.20.0.0/16(rw,no_root_squash)"},
    });
    let made = client.post("file-systems", &one, body);
    assert_eq!(made[0]["provisioned"], 1_u64 << 40);
    assert_eq!(made[0]["nfs"]["v3_enabled"], false, "protocols are off unless asked for");
    assert_eq!(made[0]["eradication_config"]["eradication_mode"], "permission-based");
    client.refused(
        "already exists",
        Method::Post,
        "file-systems",
        &[("names", "K8S-pvc-1")],
        json!({}),
    );
    let grown = client.patch("file-systems", &one, json!({"provisioned": 1_u64 << 41}));
    assert_eq!(grown[0]["space"]["total_provisioned"], 1_u64 << 41);

    client.refused("not been destroyed", Method::Delete, "file-systems", &one, json!(null));
    let destroy = json!({"destroyed": true, "nfs": {"v3_enabled": false, "v4_1_enabled": false}});
    let gone = client.patch("file-systems", &one, destroy.clone());
    assert_eq!(gone[0]["time_remaining"], DAY);
    let body = json!({"provisioned": 5});
    client.refused("has been destroyed", Method::Patch, "file-systems", &one, body);
    // A destroyed one keeps its name.
    client.refused("already exists", Method::Post, "file-systems", &one, json!({}));

    let back = client.patch("file-systems", &one, json!({"destroyed": false}));
    assert!(back[0].get("time_remaining").is_none());
    assert_eq!(back[0]["nfs"]["v4_1_enabled"], false, "protocols stay off");

    client.patch("file-systems", &one, destroy);
    client.wait(DAY - 1);
    assert_eq!(client.get("file-systems", &[("destroyed", "true")]).len(), 1);
    client.now += 1;
    assert_eq!(client.get("file-systems", &[]).len(), 0);
}

#[test]
fn snapshots_are_taken_restored_and_end_with_their_file_system() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let a = client.post("file-systems", &[("names", "a")], json!({"provisioned": 4096}));
    let id = a[0]["id"].as_str().expect("an id").to_owned();
    let source = [("source_names", "a")];
    let first = client.post("file-system-snapshots", &source, json!({"suffix": "s1"}));
    assert_eq!(names(&first), ["a.s1"]);
    client.now += 1;
    let second = client.post("file-system-snapshots", &[("source_ids", &id)], json!(null));
    assert_ne!(second[0]["suffix"], "s1", "without a suffix, one is made");

    let over = [("names", "a"), ("overwrite", "true"), ("discard_non_snapshotted_data", "true")];
    let old = json!({"source": {"name": "a.s1"}});
    client.refused("newest", Method::Post, "file-systems", &over, old.clone());
    let newest = json!({"source": {"name": second[0]["name"]}});
    client.refused("discarded", Method::Post, "file-systems", &over[..2], newest.clone());
    client.post("file-systems", &over, newest);

    let new = [("names", "b"), ("include_snapshot", "true")];
    let copy = client.post("file-systems", &new, old.clone());
    assert_eq!(copy[0]["provisioned"], 4096);
    client.refused("from a snapshot", Method::Post, "file-systems", &[("names", "c")], old);

    let renamed = json!({"name": "a.first"});
    client.patch("file-system-snapshots", &[("names", "a.s1")], renamed);
    client.patch("file-systems", &[("names", "a")], json!({"name": "a2"}));
    let owned = client.get("file-system-snapshots", &[("owner_ids", &id), ("sort", "created")]);
    assert_eq!(names(&owned)[0], "a2.first", "both names have changed");
    let either = [("names_or_owner_names", "a2.first,b")];
    assert_eq!(names(&client.get("file-system-snapshots", &either)), ["a2.first"]);
    let missing = [("names_or_owner_names", "nope")];
    client.refused("does not exist", Method::Get, "file-system-snapshots", &missing, json!(null));
}

#[test]
fn snapshots_come_back_with_their_file_system() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post("file-systems", &[("names", "a")], json!({}));
    for suffix in ["early", "late"] {
        let source = [("source_names", "a")];
        client.post("file-system-snapshots", &source, json!({ "suffix": suffix }));
    }
    let query = [("names", "a.early"), ("latest_replica", "true")];
    client.patch("file-system-snapshots", &query, json!({"destroyed": true}));
    client.patch("file-systems", &[("names", "a")], json!({"destroyed": true}));
    let owned = [("names_or_owner_names", "a")];
    let snapshots = client.get("file-system-snapshots", &owned);
    assert!(snapshots.iter().all(|s| s["destroyed"] == true && s["owner_destroyed"] == true));
    let back = json!({"destroyed": false});
    let late = [("names", "a.late")];
    client.refused(
        "has been destroyed",
        Method::Patch,
        "file-system-snapshots",
        &late,
        back.clone(),
    );

    client.patch("file-systems", &[("names", "a")], back);
    let live = [("destroyed", "false")];
    assert_eq!(names(&client.get("file-system-snapshots", &live)), ["a.late"], "the other was not");
    client.patch("file-systems", &[("names", "a")], json!({"destroyed": true}));
    client.delete("file-systems", &[("names", "a")]);
    assert!(client.get("file-system-snapshots", &[]).is_empty());
}

#[test]
fn what_cannot_be_is_refused() {
    let mut client = ArrayClient::with_flashblade(&Settings {
        limit: 2,
        safe_mode: true,
        ..Settings::default()
    });
    let long = "a".repeat(64);
    for name in ["-a", "a-", "1234", "a b", "a.b", long.as_str()] {
        let query = [("names", name)];
        client.refused("Invalid name", Method::Post, "file-systems", &query, json!({}));
    }
    for name in ["a", "b"] {
        client.post("file-systems", &[("names", name)], json!({}));
    }
    client.refused("limit reached", Method::Post, "file-systems", &[("names", "c")], json!({}));
    let a = [("names", "a")];
    for (words, body) in [
        ("rules", json!({"nfs": {"rules": "(rw)"}})),
        ("'group_ownership'", json!({"group_ownership": "nobody"})),
        ("QoS policy does not exist", json!({"qos_policy": {"name": "fast"}})),
    ] {
        client.refused(words, Method::Patch, "file-systems", &a, body);
    }
    for (words, body) in [
        ("Unknown field 'size'", json!({"size": 1})),
        ("Invalid value of 'provisioned'", json!({"provisioned": ""})),
        ("Unknown field 'nfs.v2_enabled'", json!({"nfs": {"v2_enabled": true}})),
    ] {
        client.misused(words, Method::Patch, "file-systems", &a, body);
    }
    client.misused("'names'", Method::Delete, "file-systems", &[], json!(null));
    client.patch("file-systems", &a, json!({"destroyed": true}));
    client.refused("Eradication is disabled", Method::Delete, "file-systems", &a, json!(null));
    for resource in ["arrays", "arrays/performance", "arrays/space", "network-interfaces"] {
        assert_eq!(client.get(resource, &[]).len(), 1, "{resource}");
    }
}

#[test]
fn several_are_changed_together_or_not_at_all() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    for name in ["a", "b"] {
        client.post("file-systems", &[("names", name)], json!({}));
    }
    let both = [("names", "a,b")];
    let changed = client.patch("file-systems", &both, json!({"provisioned": 4096}));
    assert_eq!(names(&changed), ["a", "b"]);
    client.refused("One name", Method::Patch, "file-systems", &both, json!({"name": "c"}));
    client.patch("file-systems", &[("names", "b")], json!({"destroyed": true}));
    let body = json!({"provisioned": 8192});
    client.refused("has been destroyed", Method::Patch, "file-systems", &both, body);
    assert_eq!(client.get("file-systems", &[("names", "a")])[0]["provisioned"], 4096);
    let live = [("names", "b"), ("destroyed", "false")];
    client.refused("does not exist", Method::Get, "file-systems", &live, json!(null));
}
