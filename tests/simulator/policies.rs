//! Snapshot policies of file systems, and quotas of their users.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::DAY;
use crate::talk::{Talk, names};

#[test]
fn snapshot_policies_are_attached_and_detached() {
    let mut talk = Talk::with_flashblade(&Settings::default());
    let daily = json!({"every": DAY, "keep_for": 7 * DAY, "at": 7_200_000});
    let hourly = json!({"every": 3_600_000, "keep_for": DAY});
    let p = [("names", "p")];
    let made = talk.post("policies", &p, json!({"rules": [daily]}));
    assert_eq!((&made[0]["enabled"], &made[0]["rules"]), (&json!(true), &json!([daily])));
    let odd = json!({"rules": [{"every": 3_600_000, "keep_for": DAY, "at": 0}]});
    talk.refused("in days", Method::Patch, "policies", &p, odd);
    let changed = json!({"enabled": false, "add_rules": [hourly], "remove_rules": [daily]});
    let changed = talk.patch("policies", &p, changed);
    assert_eq!((&changed[0]["enabled"], &changed[0]["rules"]), (&json!(false), &json!([hourly])));
    let gone = json!({"remove_rules": [daily]});
    talk.refused("rule does not exist", Method::Patch, "policies", &p, gone);

    talk.post("file-systems", &[("names", "a"), ("policy_names", "p")], json!({}));
    talk.post("file-systems", &[("names", "b")], json!({}));
    let missing = [("names", "c"), ("policy_names", "nope")];
    talk.refused("Policy does not exist", Method::Post, "file-systems", &missing, json!({}));
    let pair = [("member_names", "b"), ("policy_names", "p")];
    let member = talk.post("policies/file-systems", &pair, json!(null));
    assert_eq!(member[0]["member"]["name"], "b");
    talk.refused("already exists", Method::Post, "file-systems/policies", &pair, json!(null));
    let pages = talk.ask(Method::Get, "file-systems/policies", &[("limit", "1")], json!(null));
    assert!(pages.body["continuation_token"].is_string());
    let of = |talk: &mut Talk, query: &[(&str, &str)]| {
        let members = talk.get("policies/file-systems", query);
        let names =
            members.iter().map(|m| m["member"]["name"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(of(&mut talk, &[("policy_names", "p")]), ["a", "b"]);
    talk.patch("file-systems", &[("names", "b")], json!({"name": "b2"}));
    assert_eq!(of(&mut talk, &[("member_names", "b2")]), ["b2"]);

    talk.refused("in use", Method::Delete, "policies", &p, json!(null));
    let pair = [("member_names", "b2"), ("policy_names", "p")];
    talk.delete("file-systems/policies", &pair);
    let missing = json!(null);
    talk.refused("does not exist", Method::Delete, "policies/file-systems", &pair, missing);
    talk.patch("file-systems", &[("names", "a")], json!({"destroyed": true}));
    talk.refused("in use", Method::Delete, "policies", &p, json!(null));
    talk.delete("file-systems", &[("names", "a")]);
    talk.delete("policies", &p);
    assert!(talk.get("policies", &[]).is_empty());
}

/// Quotas of users and of groups are the same, but for their words.
#[test]
fn quotas_are_made_changed_and_deleted() {
    for (what, who, numbers, names_of, default) in [
        ("quotas/users", "user", "uids", "user_names", "default_user_quota"),
        ("quotas/groups", "group", "gids", "group_names", "default_group_quota"),
    ] {
        let mut talk = Talk::with_flashblade(&Settings::default());
        talk.post("file-systems", &[("names", "a")], json!({default: 500}));
        let two = [("file_system_names", "a"), (numbers, "1000,1001,1000")];
        let made = talk.post(what, &two, json!({"quota": 4096}));
        assert_eq!(made.len(), 2);
        assert_eq!(
            (&made[0][who], &made[0]["file_system_default_quota"], &made[0]["usage"]),
            (&json!({"id": 1000}), &json!(500), &json!(0))
        );
        talk.refused("already exists", Method::Post, what, &two, json!({"quota": 1}));
        let by_name = [("file_system_names", "a"), (names_of, "ann")];
        talk.refused("'quota'", Method::Post, what, &by_name, json!({"quota": 0}));
        talk.post(what, &by_name, json!({"quota": 1}));
        talk.misused("'quota'", Method::Post, what, &[two[0], (numbers, "7")], json!({}));
        talk.misused(numbers, Method::Post, what, &[two[0], (numbers, "ann")], json!({"quota": 1}));

        let one = [("file_system_names", "a"), (numbers, "1001")];
        assert_eq!(talk.patch(what, &one, json!({"quota": 8192}))[0]["quota"], 8192);
        talk.patch("file-systems", &[("names", "a")], json!({"name": "b"}));
        let all = talk.get(what, &[("file_system_names", "b")]);
        assert_eq!(all.iter().filter(|quota| quota["file_system"]["name"] == "b").count(), 3);
        let found = talk.get(what, &[("file_system_names", "b"), (numbers, "1001")]);
        assert_eq!(found[0]["quota"], 8192);
        let named: Vec<Json> = talk.get(what, &[("names", names(&found)[0])]);
        assert_eq!(named, found);
        let one = [("file_system_names", "b"), (numbers, "1001")];
        talk.delete(what, &one);
        talk.refused("does not exist", Method::Delete, what, &one, json!(null));
        talk.patch("file-systems", &[("names", "b")], json!({"destroyed": true}));
        talk.delete("file-systems", &[("names", "b")]);
        assert!(talk.get(what, &[]).is_empty(), "they end with their file system");
    }
}
