//! How file systems are exported: by their own fields, by exports, on servers.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::{ArrayClient, names};

/// The exports of a file system.
fn exports(client: &mut ArrayClient, system: &str) -> Vec<Json> {
    let filter = format!("member.name='{system}'");
    client.get("file-system-exports", &[("filter", &filter)])
}

#[test]
fn a_new_file_system_is_exported_by_default() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let made = client.post("file-systems", &[("names", "a")], json!({}));
    assert_eq!(made[0]["nfs"]["rules"], "*(rw,no_root_squash)");
    let of_a = exports(&mut client, "a");
    assert_eq!(names(&of_a), ["_array_server::NFS::a", "_array_server::SMB::a"]);
    assert_eq!(
        (&of_a[0]["enabled"], &of_a[0]["status"]),
        (&json!(false), &json!("protocol_disabled"))
    );
    client.patch("file-systems", &[("names", "a")], json!({"nfs": {"v4_1_enabled": true}}));
    let of_a = exports(&mut client, "a");
    assert_eq!((&of_a[0]["enabled"], of_a[0].get("status")), (&json!(true), None));
    assert_eq!(of_a[1]["enabled"], false, "SMB is off");

    let none = [("names", "b"), ("default_exports", "")];
    let made = client.post("file-systems", &none, json!({}));
    assert_eq!((&made[0]["nfs"]["rules"], exports(&mut client, "b")), (&json!(""), vec![]));
    let rules = json!({"nfs": {"rules": "10.0.0.0/8(rw)"}});
    let asked = [("names", "c"), ("default_exports", "")];
    client.post("file-systems", &asked, rules);
    assert_eq!(exports(&mut client, "c").len(), 1, "rules of its own always export it");
    let odd = [("names", "d"), ("default_exports", "nfs,ftp")];
    client.refused("default_exports", Method::Post, "file-systems", &odd, json!({}));

    client.patch("file-systems", &[("names", "a")], json!({"name": "a2"}));
    let renamed = exports(&mut client, "a2");
    assert_eq!(names(&renamed), ["_array_server::NFS::a2", "_array_server::SMB::a2"]);
    client.patch("file-systems", &[("names", "a2")], json!({"destroyed": true}));
    assert_eq!(exports(&mut client, "a2")[0]["enabled"], false);
    client.delete("file-systems", &[("names", "a2")]);
    assert_eq!(exports(&mut client, "a2"), Vec::<Json>::new());
}

#[test]
fn a_file_system_is_exported_by_rules_or_by_a_policy() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post(
        "nfs-export-policies",
        &[("names", "p")],
        json!({"rules": [{"client": "10.0.0.1"}]}),
    );
    let a = [("names", "a")];
    let missing = json!({"nfs": {"export_policy": {"name": "nope"}}});
    client.refused("does not exist", Method::Post, "file-systems", &a, missing);
    let both = json!({"nfs": {"export_policy": {"name": "p"}, "rules": "*(rw)"}});
    client.refused("exclude", Method::Post, "file-systems", &a, both);
    let by_policy = json!({"nfs": {"export_policy": {"name": "p"}, "v3_enabled": true}});
    let made = client.post("file-systems", &a, by_policy.clone());
    assert_eq!(
        (&made[0]["nfs"]["rules"], &made[0]["nfs"]["export_policy"]["name"]),
        (&json!(""), &json!("p"))
    );
    let export = [("names", "_array_server::NFS::a")];
    assert_eq!(client.get("file-system-exports", &export)[0]["policy"]["name"], "p");
    client.refused("in use", Method::Delete, "nfs-export-policies", &[("names", "p")], json!(null));
    let more = json!({"nfs": {"add_rules": "10.0.0.2(rw)"}});
    client.refused("by a policy", Method::Patch, "file-systems", &a, more.clone());

    client.patch("nfs-export-policies", &[("names", "p")], json!({"enabled": false, "name": "q"}));
    let off = client.get("file-system-exports", &export);
    assert_eq!(
        (&off[0]["status"], &off[0]["policy"]["name"]),
        (&json!("policy_disabled"), &json!("q"))
    );
    assert_eq!(client.get("file-systems", &a)[0]["nfs"]["export_policy"]["name"], "q");

    let by_rules = client.patch("file-systems", &a, json!({"nfs": {"rules": "10.0.0.1(rw)"}}));
    assert_eq!(by_rules[0]["nfs"].get("export_policy"), None);
    assert_eq!(client.get("file-system-exports", &export)[0].get("policy"), None);
    let changed = client.patch("file-systems", &a, more);
    assert_eq!(changed[0]["nfs"]["rules"], "10.0.0.1(rw) 10.0.0.2(rw)");
    let edit = json!({"nfs": {
        "add_rules": "10.0.0.3(ro)", "after": "10.0.0.1(rw)", "remove_rules": "10.0.0.2(rw)",
    }});
    let changed = client.patch("file-systems", &a, edit);
    assert_eq!(changed[0]["nfs"]["rules"], "10.0.0.1(rw) 10.0.0.3(ro)");
    let closed = client.patch("file-systems", &a, json!({"nfs": {"rules": ""}}));
    assert_eq!(closed[0]["nfs"]["rules"], "");
    client.refused("does not exist", Method::Get, "file-system-exports", &export, json!(null));
    client.delete("nfs-export-policies", &[("names", "q")]);
}

#[test]
fn exports_are_made_changed_and_deleted() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post("nfs-export-policies", &[("names", "p")], json!({}));
    client.post("file-systems", &[("names", "a"), ("default_exports", "")], json!({}));
    client.post("file-systems", &[("names", "b")], json!({}));
    let pair = [("member_names", "a"), ("policy_names", "p")];
    let made = client.post("file-system-exports", &pair, json!({}));
    assert_eq!(names(&made), ["_array_server::NFS::a"]);
    let a = client.get("file-systems", &[("names", "a")]);
    assert_eq!(a[0]["nfs"]["export_policy"]["name"], "p", "it shows in the file system, too");
    client.refused("already exists", Method::Post, "file-system-exports", &pair, json!({}));
    // Names of exports are taken on a server, whatever file system they are of.
    let taken = json!({"export_name": "b"});
    client.refused("already exists", Method::Post, "file-system-exports", &pair, taken);
    let second = json!({"export_name": "other", "server": {"name": "_array_server"}});
    let both = [("member_names", "a"), ("policy_names", "p,_smb_client_allow_everyone")];
    assert_eq!(client.post("file-system-exports", &both, second).len(), 2);
    for (words, query) in [
        ("does not exist", [("member_names", "nope"), ("policy_names", "p")]),
        ("does not exist", [("member_names", "a"), ("policy_names", "nope")]),
        ("'policy_names'", [("member_names", "a"), ("policy_names", "")]),
    ] {
        client.refused(words, Method::Post, "file-system-exports", &query, json!({}));
    }
    let nowhere = json!({"server": {"name": "nope"}});
    client.refused("Server", Method::Post, "file-system-exports", &pair, nowhere);

    let twice = [("member_names", "a"), ("policy_names", "p,p")];
    let third = json!({"export_name": "third"});
    client.refused("already exists", Method::Post, "file-system-exports", &twice, third.clone());
    client.post("file-system-exports", &both, third);
    // Nobody is exported by a name that is another's, however it gets there.
    let third = [("names", "third")];
    client.refused("already exists", Method::Post, "file-systems", &third, json!({}));
    let rename = json!({"name": "third"});
    client.refused("already exists", Method::Patch, "file-systems", &[("names", "b")], rename);
    client.post("file-systems", &[("names", "third"), ("default_exports", "")], json!({}));

    let own = [("names", "_array_server::NFS::a")];
    let moved = client.patch("file-system-exports", &own, json!({"export_name": "moved"}));
    assert_eq!(names(&moved), ["_array_server::NFS::moved"]);
    let a = client.get("file-systems", &[("names", "a")]);
    assert_eq!(a[0]["nfs"].get("export_policy"), None, "that export has another name now");
    let moved = [("names", "_array_server::NFS::moved")];
    let odd = json!({"export_name": "no way"});
    client.refused("Invalid export name", Method::Patch, "file-system-exports", &moved, odd);
    client.delete("file-system-exports", &moved);
    client.delete("file-system-exports", &[("names", "_array_server::NFS::b")]);
    let b = client.get("file-systems", &[("names", "b")]);
    assert_eq!(b[0]["nfs"]["rules"], "", "without its export, its rules are none");
}

#[test]
fn servers_are_made_and_deleted() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    assert_eq!(names(&client.get("servers", &[])), ["_array_server"]);
    let query = [("names", "s"), ("create_ds", "s_nfs")];
    let made = client.post("servers", &query, json!({}));
    assert_eq!(made[0]["directory_services"], json!([{"name": "s_nfs"}]));
    let odd = [("names", "t"), ("create_ds", "other")];
    client.refused("_nfs", Method::Post, "servers", &odd, json!({}));
    client.refused("already exists", Method::Post, "servers", &query, json!({}));

    client.post("nfs-export-policies", &[("names", "p")], json!({}));
    client.post("file-systems", &[("names", "a")], json!({"nfs": {"v3_enabled": true}}));
    let pair = [("member_names", "a"), ("policy_names", "p")];
    let made = client.post("file-system-exports", &pair, json!({"server": {"name": "s"}}));
    assert_eq!((names(&made)[0], &made[0]["enabled"]), ("s::NFS::a", &json!(true)));
    let gone = |name| [("names", name), ("cascade_delete", "directory-services")];
    client.refused("has exports", Method::Delete, "servers", &gone("s"), json!(null));
    client.refused("default", Method::Delete, "servers", &gone("_array_server"), json!(null));
    client.delete("file-system-exports", &[("names", "s::NFS::a")]);
    client.delete("servers", &gone("s"));
    assert_eq!(names(&client.get("servers", &[])), ["_array_server"]);
}

#[test]
fn of_several_addresses_one_says_which_server_it_is_for() {
    let attached = |addresses: &[&str]| {
        let data = addresses.iter().map(|address| (*address).to_owned()).collect();
        let mut client = ArrayClient::with_flashblade(&Settings { data, ..Settings::default() });
        let interfaces = client.get("network-interfaces", &[]);
        let servers =
            interfaces.iter().map(|i| i["attached_servers"].as_array().map_or(0, Vec::len));
        servers.collect::<Vec<_>>()
    };
    assert_eq!(attached(&["192.0.2.1"]), [0]);
    assert_eq!(attached(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]), [0, 1, 0]);
}
