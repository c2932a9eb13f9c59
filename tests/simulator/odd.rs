//! Bodies that no client should send: refused or taken, but never the end of an array.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::ArrayClient;

/// Values that are seldom what a field takes.
fn values() -> Vec<Json> {
    let nested = json!({"name": 5, "rules": 5, "enabled": "yes"});
    vec![
        json!(null),
        json!(5),
        json!(-1),
        json!("x"),
        json!([]),
        json!([5]),
        json!([{}]),
        json!({}),
        nested,
    ]
}

/// Sends each value in each field of each resource, and as the whole body.
fn send(client: &mut ArrayClient, resources: &[(&str, &[(&str, &str)])], fields: &[&str]) {
    client.misuses = true;
    for (resource, query) in resources {
        for method in [Method::Post, Method::Patch, Method::Put] {
            for value in values() {
                client.ask(method, resource, query, value.clone());
                for field in fields {
                    let status = client.ask(method, resource, query, json!({*field: value})).status;
                    assert!(
                        [200, 400, 404].contains(&status),
                        "{method:?} {resource} {field}={value}"
                    );
                }
            }
        }
    }
    for (resource, _) in resources {
        client.ask(Method::Get, resource, &[], json!(null));
    }
}

#[test]
fn a_flashblade_survives_odd_bodies() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let a = &[("names", "a")][..];
    let pair = &[("member_names", "a"), ("policy_names", "a")][..];
    let resources = [
        ("nfs-export-policies", a),
        ("nfs-export-policies/rules", &[("policy_names", "a")]),
        ("nfs-export-policies/rules", &[("names", "a.1")]),
        ("policies", a),
        ("file-systems", a),
        ("file-systems", &[("names", "a"), ("overwrite", "true")]),
        ("file-system-snapshots", &[("source_names", "a")]),
        ("file-system-snapshots", &[("names", "a.x")]),
        ("file-system-exports", pair),
        ("file-system-exports", &[("names", "_array_server::NFS::a")]),
        ("policies/file-systems", pair),
        ("servers", &[("names", "s"), ("create_ds", "s_nfs")]),
        ("quotas/users", &[("file_system_names", "a"), ("uids", "1")]),
    ];
    let fields = [
        "nfs",
        "smb",
        "source",
        "provisioned",
        "rules",
        "add_rules",
        "remove_rules",
        "suffix",
        "policy",
        "server",
        "export_name",
        "client",
        "security",
        "index",
        "quota",
        "dns",
        "eradication_config",
        "share_policy",
        "workload",
    ];
    send(&mut client, &resources, &fields);
}

#[test]
fn a_flasharray_survives_odd_bodies() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let a = &[("names", "a")][..];
    let resources = [
        ("volumes", a),
        ("volumes/tags/batch", &[("resource_names", "a")]),
        ("volume-snapshots", &[("source_names", "a")]),
        ("volume-snapshots", &[("names", "a.x")]),
        ("hosts", a),
        ("connections", &[("host_names", "a"), ("volume_names", "a")]),
        ("protection-groups", a),
        ("protection-groups/volumes", &[("group_names", "a"), ("member_names", "a")]),
        ("protection-group-snapshots", &[("source_names", "a")]),
        ("protection-group-snapshots", &[("names", "a.x")]),
        ("pods", a),
        ("volume-groups", a),
    ];
    let fields = [
        "provisioned",
        "source",
        "tags",
        "qos",
        "priority_adjustment",
        "pod",
        "volume_group",
        "suffix",
        "chap",
        "iqns",
        "add_iqns",
        "remove_iqns",
        "preferred_arrays",
        "vlan",
        "lun",
        "snapshot_schedule",
        "source_retention",
        "failover_preferences",
        "quota_limit",
        "host_group",
    ];
    send(&mut client, &resources, &fields);
}
