//! Snapshot policies of file systems, and quotas of their users.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::DAY;
use crate::array_client::{ArrayClient, names};

#[test]
fn snapshot_policies_are_attached_and_detached() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let daily = json!({"every": DAY, "keep_for": 7 * DAY, "at": 7_200_000});
    let hourly = json!({"every": 3_600_000, "keep_for": DAY});
    let p = [("names", "p")];
    let made = client.post("policies", &p, json!({"rules": [daily]}));
    assert_eq!((&made[0]["enabled"], &made[0]["rules"]), (&json!(true), &json!([daily])));
    let odd = json!({"rules": [{"every": 3_600_000, "keep_for": DAY, "at": 0}]});
    client.refused("in days", Method::Patch, "policies", &p, odd);
    let changed = json!({"enabled": false, "add_rules": [hourly], "remove_rules": [daily]});
    let changed = client.patch("policies", &p, changed);
    assert_eq!((&changed[0]["enabled"], &changed[0]["rules"]), (&json!(false), &json!([hourly])));
    let gone = json!({"remove_rules": [daily]});
    client.refused("rule does not exist", Method::Patch, "policies", &p, gone);

    client.post("file-systems", &[("names", "a"), ("policy_names", "p")], json!({}));
    client.post("file-systems", &[("names", "b")], json!({}));
    let missing = [("names", "c"), ("policy_names", "nope")];
    client.refused("Policy does not exist", Method::Post, "file-systems", &missing, json!({}));
    let pair = [("member_names", "b"), ("policy_names", "p")];
    let member = client.post("policies/file-systems", &pair, json!(null));
    assert_eq!(member[0]["member"]["name"], "b");
    client.refused("already exists", Method::Post, "file-systems/policies", &pair, json!(null));
    let pages = client.ask(Method::Get, "file-systems/policies", &[("limit", "1")], json!(null));
    assert!(pages.body["continuation_token"].is_string());
    let of = |client: &mut ArrayClient, query: &[(&str, &str)]| {
        let members = client.get("policies/file-systems", query);
        let names =
            members.iter().map(|m| m["member"]["name"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(of(&mut client, &[("policy_names", "p")]), ["a", "b"]);
    client.patch("file-systems", &[("names", "b")], json!({"name": "b2"}));
    assert_eq!(of(&mut client, &[("member_names", "b2")]), ["b2"]);

    client.refused("in use", Method::Delete, "policies", &p, json!(null));
    let pair = [("member_names", "b2"), ("policy_names", "p")];
    client.delete("file-systems/policies", &pair);
    let missing = json!(null);
    client.refused("does not exist", Method::Delete, "policies/file-systems", &pair, missing);
    client.patch("file-systems", &[("names", "a")], json!({"destroyed": true}));
    client.refused("in use", Method::Delete, "policies", &p, json!(null));
    client.delete("file-systems", &[("names", "a")]);
    client.delete("policies", &p);
    assert!(client.get("policies", &[]).is_empty());
}

/// Quotas of users and of groups are the same, but for their words.
#[test]
fn quotas_are_made_changed_and_deleted() {
    for (what, who, numbers, names_of, default) in [
        ("quotas/users", "user", "uids", "user_names", "default_user_quota"),
        ("quotas/groups", "group", "gids", "group_names", "default_group_quota"),
    ] {
        let mut client = ArrayClient::with_flashblade(&Settings::default());
        client.post("file-systems", &[("names", "a")], json!({default: 500}));
        let two = [("file_system_names", "a"), (numbers, "1000,1001,1000")];
        let made = client.post(what, &two, json!({"quota": 4096}));
        assert_eq!(made.len(), 2);
        assert_eq!(
            (&made[0][who], &made[0]["file_system_default_quota"], &made[0]["usage"]),
            (&json!({"id": 1000}), &json!(500), &json!(0))
        );
        client.refused("already exists", Method::Post, what, &two, json!({"quota": 1}));
        let by_name = [("file_system_names", "a"), (names_of, "ann")];
        client.refused("'quota'", Method::Post, what, &by_name, json!({"quota": 0}));
        client.post(what, &by_name, json!({"quota": 1}));
        client.misused("'quota'", Method::Post, what, &[two[0], (numbers, "7")], json!({}));
        client.misused(
            numbers,
            Method::Post,
            what,
            &[two[0], (numbers, "ann")],
            json!({"quota": 1}),
        );

        let one = [("file_system_names", "a"), (numbers, "1001")];
        assert_eq!(client.patch(what, &one, json!({"quota": 8192}))[0]["quota"], 8192);
        client.patch("file-systems", &[("names", "a")], json!({"name": "b"}));
        let all = client.get(what, &[("file_system_names", "b")]);
        assert_eq!(all.iter().filter(|quota| quota["file_system"]["name"] == "b").count(), 3);
        let found = client.get(what, &[("file_system_names", "b"), (numbers, "1001")]);
        assert_eq!(found[0]["quota"], 8192);
        let named: Vec<Json> = client.get(what, &[("names", names(&found)[0])]);
        assert_eq!(named, found);
        let one = [("file_system_names", "b"), (numbers, "1001")];
        client.delete(what, &one);
        client.refused("does not exist", Method::Delete, what, &one, json!(null));
        client.patch("file-systems", &[("names", "b")], json!({"destroyed": true}));
        client.delete("file-systems", &[("names", "b")]);
        assert!(client.get(what, &[]).is_empty(), "they end with their file system");
    }
}
