//! NFS export policies and their rules.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::{ArrayClient, names};

const RULES: &str = "nfs-export-policies/rules";

/// The clients of a policy's rules, in order.
fn clients(client: &mut ArrayClient, policy: &str) -> Vec<String> {
    let rules = client.get(RULES, &[("policy_names", policy)]);
    for (at, rule) in rules.iter().enumerate() {
        assert_eq!(rule["index"], at + 1, "{rule}");
    }
    let in_policy = &client.get("nfs-export-policies", &[("names", policy)])[0]["rules"];
    let client_name = |rule: &Json| rule["client"].as_str().expect("a client").to_owned();
    let clients: Vec<String> = rules.iter().map(client_name).collect();
    let same: Vec<String> = in_policy.as_array().expect("rules").iter().map(client_name).collect();
    assert_eq!(clients, same, "both show the same");
    clients
}

#[test]
fn rules_stand_in_the_order_of_their_groups() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post("nfs-export-policies", &[("names", "p")], json!({}));
    let of_p = [("policy_names", "p")];
    let everybody = client.post(RULES, &of_p, json!({}));
    assert_eq!(names(&everybody), ["p.1"]);
    let shown = &everybody[0];
    assert_eq!(
        (&shown["client"], &shown["permission"], &shown["access"], &shown["security"]),
        (&json!("*"), &json!("ro"), &json!("root-squash"), &json!(["sys"]))
    );
    for client_name in ["host.example", "10.0.0.1", "10.1.0.0/16", "@group"] {
        client.post(RULES, &of_p, json!({"client": client_name, "permission": "rw"}));
    }
    let order = ["10.0.0.1", "10.1.0.0/16", "host.example", "@group", "*"];
    assert_eq!(clients(&mut client, "p"), order, "addresses, others, everybody");

    let before = [("policy_names", "p"), ("before_rule_name", "p.3")];
    client.post(RULES, &before, json!({"client": "10.0.0.0"}));
    assert_eq!(clients(&mut client, "p")[..2], ["10.0.0.0", "10.0.0.1"]);
    let other_group = json!({"client": "other.example"});
    client.refused("cannot stand there", Method::Post, RULES, &before, other_group);
    let last = json!({"index": 3});
    client.patch(RULES, &[("names", "p.6")], last);
    assert_eq!(clients(&mut client, "p")[..3], ["10.0.0.1", "10.1.0.0/16", "10.0.0.0"]);
    client.patch(RULES, &[("names", "p.6")], json!({"client": "*"}));
    assert_eq!(clients(&mut client, "p")[4..], ["*", "*"], "with its client, its group changes");
    let id = client.get(RULES, &[("names", "p.1")])[0]["id"].as_str().expect("an id").to_owned();
    client.patch(RULES, &[("names", "p.6"), ("before_rule_id", &id)], json!({}));
    let last: Vec<Json> = client.get(RULES, &[("policy_names", "p")]).split_off(4);
    assert_eq!(names(&last), ["p.6", "p.1"]);

    client.delete(RULES, &[("names", "p.1,p.6")]);
    assert_eq!(clients(&mut client, "p").len(), 4);
    client.delete("nfs-export-policies", &[("names", "p")]);
    assert!(client.get(RULES, &[]).is_empty(), "rules end with their policy");
}

#[test]
fn rules_are_changed_and_checked() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let rules = json!({"rules": [{}, {"client": "10.0.0.1", "anonuid": 1000}]});
    let made = client.post("nfs-export-policies", &[("names", "p")], rules);
    assert_eq!(made[0]["rules"][0]["client"], "10.0.0.1", "in order, however they are given");
    let one = [("ids", made[0]["rules"][0]["id"].as_str().expect("an id"))];
    let changed = client.patch(RULES, &one, json!({"anongid": "2000", "access": "no-squash"}));
    assert_eq!(
        (&changed[0]["anonuid"], &changed[0]["anongid"], &changed[0]["access"]),
        (&json!(1000), &json!(2000), &json!("no-squash"))
    );
    let cleared = client.patch(RULES, &one, json!({"anonuid": ""}));
    assert_eq!(cleared[0].get("anonuid"), None);
    for (words, body) in [
        ("'permission'", json!({"permission": "wo"})),
        ("'access'", json!({"access": "root_squash"})),
        ("'security'", json!({"security": ["none"]})),
        ("'client'", json!({"client": "10.0.0.1(rw)"})),
        ("'anonuid'", json!({"anonuid": "nobody"})),
    ] {
        client.refused(words, Method::Patch, RULES, &one, body);
    }
    client.refused("'policy_names'", Method::Post, RULES, &[], json!({}));
    let replaced = json!({"rules": [{"client": "@all", "permission": "rw"}]});
    client.patch("nfs-export-policies", &[("names", "p")], replaced);
    assert_eq!(clients(&mut client, "p"), ["@all"]);
    client.post("nfs-export-policies", &[("names", "q")], json!({"rules": [{}]}));
    assert_eq!(names(&client.get(RULES, &[("limit", "1")])), ["p.1"], "by policy, then by index");
    let rename = json!({"name": "r"});
    client.patch("nfs-export-policies", &[("names", "p")], rename.clone());
    assert_eq!(names(&client.get(RULES, &[("policy_names", "r")])), ["r.1"]);
    client.refused("exists", Method::Patch, "nfs-export-policies", &[("names", "q")], rename);
}

#[test]
fn a_version_locks_out_who_has_read_an_older_one() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let version = |items: &[Json]| items[0]["version"].as_str().expect("a version").to_owned();
    let p = [("names", "p")];
    let first = version(&client.post("nfs-export-policies", &p, json!({"rules": [{}]})));
    let query = [("policy_names", "p"), ("versions", &first)];
    let rule = client.post(RULES, &query, json!({"client": "10.0.0.1"}));
    let second = version(&client.get("nfs-export-policies", &p));
    assert_ne!(first, second, "each change makes another");
    assert_eq!(rule[0]["policy_version"], json!(second));
    for (method, what, name, body) in [
        (Method::Post, RULES, ("policy_names", "p"), json!({})),
        (Method::Patch, RULES, ("names", "p.1"), json!({})),
        (Method::Delete, RULES, ("names", "p.1"), json!(null)),
        (Method::Patch, "nfs-export-policies", ("names", "p"), json!({"enabled": false})),
        (Method::Delete, "nfs-export-policies", ("names", "p"), json!(null)),
    ] {
        let old = client.ask(method, what, &[name, ("versions", &first)], body);
        assert_eq!(old.status, 412, "{method:?} {what}: {old:?}");
    }
    let query = [("names", "p"), ("versions", &second)];
    let third = version(&client.patch("nfs-export-policies", &query, json!({"enabled": false})));
    client.delete("nfs-export-policies", &[("names", "p"), ("versions", &third)]);
}
