//! Hosts and the connections by which they see volumes.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::{ArrayClient, names};

#[test]
fn hosts_see_volumes_by_connections() {
    let settings = Settings { hosts: 2, connections: 2, ..Settings::default() };
    let mut client = ArrayClient::with_flasharray(&settings);
    client.post("hosts", &[("names", "node1")], json!({}));
    for volume in ["a", "b", "c"] {
        client.post("volumes", &[("names", volume)], json!({"provisioned": 1 << 20}));
    }
    let pair = |volume| [("host_names", "node1"), ("volume_names", volume)];
    let lun = |items: Vec<Json>| items[0]["lun"].as_u64();
    assert_eq!(lun(client.post("connections", &pair("a"), json!({}))), Some(1));
    client.refused("in use", Method::Post, "connections", &pair("b"), json!({"lun": 1}));
    assert_eq!(lun(client.post("connections", &pair("b"), json!({}))), Some(2));
    client.refused("already exists", Method::Post, "connections", &pair("a"), json!({}));
    client.refused("limit reached", Method::Post, "connections", &pair("c"), json!({}));
    let destroy = json!({"destroyed": true});
    let a = [("names", "a")];
    client.refused("existing connections", Method::Patch, "volumes", &a, destroy);
    client.patch("volumes", &a, json!({"name": "a2"}));
    client.delete("connections", &pair("a2"));
    client.refused("does not exist", Method::Delete, "connections", &pair("a2"), json!(null));
    assert_eq!(lun(client.post("connections", &pair("c"), json!({}))), Some(1), "the lowest free");

    let renamed = client.patch("hosts", &[("names", "node1")], json!({"name": "node1b"}));
    assert_eq!((names(&renamed)[0], &renamed[0]["connection_count"]), ("node1b", &json!(2)));
    let of_host = client.get("connections", &[("host_names", "node1b")]);
    assert_eq!(of_host.len(), 2, "connections follow their host");
    let both = [("host_names", "node1b"), ("volume_names", "b")];
    assert_eq!(client.get("connections", &both)[0]["host"]["name"], "node1b");
    let missing = [("host_names", "node1")];
    client.refused("Host does not exist", Method::Get, "connections", &missing, json!(null));

    let used = [("names", "node1b")];
    client.refused("existing connections", Method::Delete, "hosts", &used, json!(null));
    client.delete("connections", &[("host_names", "node1b"), ("volume_names", "b,c")]);
    client.post("hosts", &[("names", "node2")], json!({}));
    client.refused("limit reached", Method::Post, "hosts", &[("names", "node3")], json!({}));
    client.delete("hosts", &used);
}

#[test]
fn an_initiator_belongs_to_one_host() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let iqn = |n: u8| format!("iqn.2026-01.com.example:node{n}");
    let node1 = [("names", "node1")];
    client.post("hosts", &node1, json!({"iqns": [iqn(1)]}));
    let taken = json!({"iqns": [iqn(1).to_uppercase().replace("IQN", "iqn")]});
    client.refused("already in use", Method::Post, "hosts", &[("names", "node2")], taken);
    let filter = format!("iqns='{}'", iqn(1));
    assert_eq!(names(&client.get("hosts", &[("filter", &filter)])), ["node1"]);

    let more =
        client.patch("hosts", &node1, json!({"add_iqns": [iqn(2)], "remove_iqns": [iqn(1)]}));
    assert_eq!(more[0]["iqns"], json!([iqn(2)]));
    client.post("hosts", &[("names", "node2")], json!({"iqns": [iqn(1)]}));
    for (words, body) in [
        ("already in use", json!({"add_iqns": [iqn(2)]})),
        ("already in use", json!({"add_iqns": [iqn(3), iqn(4), iqn(3)]})),
        ("already in use", json!({"add_iqns": [iqn(1)]})),
        ("Invalid initiator", json!({"add_iqns": ["/sbin/iscsi-iname"]})),
        ("does not exist", json!({"remove_iqns": [iqn(9)]})),
        ("excludes", json!({"iqns": [], "add_iqns": [iqn(3)]})),
        ("NQNs", json!({"add_nqns": ["nqn.2014-08.org.nvmexpress:uuid:1"]})),
    ] {
        client.refused(words, Method::Patch, "hosts", &node1, body);
    }
    assert_eq!(client.get("hosts", &node1)[0]["iqns"], json!([iqn(2)]), "nothing has changed");
    let wwn = json!({"wwns": ["52:4A:93:7A:36:AE:BD:00"]});
    client.post("hosts", &[("names", "node3")], wwn);
}

#[test]
fn the_fields_of_a_host_are_checked() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let node = [("names", "node")];
    let chap = json!({"host_user": "u", "host_password": "secret-secret"});
    let host = client.post("hosts", &node, json!({"chap": chap, "vlan": "100"}));
    assert_eq!(host[0]["chap"]["host_password"], "****", "passwords are never read back");
    let password = |host: &str, target: &str| json!({"chap": {"host_password": host, "target_password": target}});
    for (words, body) in [
        ("12 to 255", password("short", "secret-secret")),
        ("must differ", password("secret-secret", "secret-secret")),
        ("'personality'", json!({"personality": "linux"})),
        ("'vlan'", json!({"vlan": "4095"})),
        ("Array does not exist", json!({"preferred_arrays": [{"name": "other"}]})),
        ("Host group does not exist", json!({"host_group": {"name": "g"}})),
    ] {
        client.refused(words, Method::Patch, "hosts", &node, body);
    }
    let good = json!({"personality": "esxi", "preferred_arrays": [{"name": "array1"}]});
    assert_eq!(client.patch("hosts", &node, good)[0]["personality"], "esxi");
    for name in ["-node", "a_b", "::"] {
        let query = [("names", name)];
        client.refused("Invalid name", Method::Post, "hosts", &query, json!({}));
    }
}
