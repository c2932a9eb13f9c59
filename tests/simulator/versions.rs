//! Older REST versions: what they announce, refuse and leave out.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::ArrayClient;

fn settings(rest: u32) -> Settings {
    Settings { rest: Some(rest), ..Settings::default() }
}

/// Asks for something in a version, and returns the status and what is wrong.
fn ask(
    client: &mut ArrayClient,
    version: &'static str,
    (method, what, query, body): (Method, &str, &[(&str, &str)], Json),
) -> (u16, String) {
    client.version = version;
    let answer = client.ask(method, what, query, body);
    (answer.status, answer.body["errors"][0]["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn an_array_speaks_the_versions_up_to_its_newest() {
    let mut client = ArrayClient::with_flashblade(&settings(12));
    let get = |what| (Method::Get, what, &[][..], json!(null));
    assert_eq!(ask(&mut client, "2.12", get("file-systems")).0, 200);
    assert_eq!(ask(&mut client, "2.13", get("file-systems")).0, 404);
    assert_eq!(ask(&mut client, "2.12", get("servers")).0, 404);
    let mut client = ArrayClient::with_flasharray(&settings(20));
    for (version, status) in [("2.20", 200), ("2.22", 404), ("2.12", 404), ("2.18", 404)] {
        assert_eq!(ask(&mut client, version, get("volumes")).0, status, "{version}");
    }
}

#[test]
fn an_older_flashblade_knows_less() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post("policies", &[("names", "p")], json!({}));
    client.post("nfs-export-policies", &[("names", "e")], json!({}));
    let post = |query, body| (Method::Post, "file-systems", query, body);
    let a = &[("names", "a")][..];
    let by_policy = json!({"nfs": {"export_policy": {"name": "e"}}});
    for (since, before, request) in [
        ("2.13", "2.12", post(a, json!({"group_ownership": "creator"}))),
        (
            "2.15",
            "2.14",
            post(a, json!({"eradication_config": {"eradication_mode": "permission-based"}})),
        ),
        ("2.15", "2.14", post(&[("names", "a"), ("policy_names", "p")], json!({}))),
        ("2.16", "2.15", post(&[("names", "a"), ("default_exports", "nfs")], json!({}))),
        ("2.3", "2.2", post(a, by_policy)),
        ("2.3", "2.2", (Method::Get, "nfs-export-policies/rules", &[], json!(null))),
        ("2.16", "2.15", (Method::Get, "file-system-exports", &[], json!(null))),
        (
            "2.17",
            "2.16",
            (Method::Get, "file-systems", &[("context_names", "array1")], json!(null)),
        ),
    ] {
        let (status, why) = ask(&mut client, before, request.clone());
        assert!(status == 404 || why.contains("Unknown"), "{before} {request:?}: {status} {why}");
        let (status, why) = ask(&mut client, since, request.clone());
        assert_eq!(status, 200, "{since} {request:?}: {why}");
        if request.0 == Method::Post {
            client.version = "2.28";
            client.patch("file-systems", a, json!({"destroyed": true}));
            client.delete("file-systems", a);
        }
    }

    client.version = "2.28";
    client.post("file-systems", a, json!({}));
    client.post("file-system-snapshots", &[("source_names", "a")], json!({"suffix": "s"}));
    for (version, what, path, there) in [
        ("2.12", "file-systems", "/group_ownership", false),
        ("2.13", "file-systems", "/group_ownership", true),
        ("2.10", "file-systems", "/space/total_provisioned", false),
        ("2.15", "file-systems", "/space/total_used", false),
        ("2.0", "file-systems", "/space/total_physical", true),
        ("2.16", "arrays/space", "/space/total_used", true),
        ("2.4", "arrays", "/eradication_config", false),
        ("2.15", "network-interfaces", "/attached_servers", false),
        ("2.11", "file-system-snapshots", "/policies", false),
        ("2.18", "file-systems", "/realms", false),
    ] {
        client.version = version;
        let found = client.get(what, &[])[0].pointer(path).is_some();
        assert_eq!(found, there, "{version} {what}{path}");
    }
    // A new one is reported as a listed one is.
    client.version = "2.0";
    let made = client.post("file-systems", &[("names", "b")], json!({}));
    assert!(made[0].get("group_ownership").is_none());
}

#[test]
fn a_file_system_from_a_snapshot_is_young() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    client.post("file-systems", &[("names", "a")], json!({}));
    client.post("file-system-snapshots", &[("source_names", "a")], json!({"suffix": "s"}));
    let query = &[("names", "b"), ("include_snapshot", "true")][..];
    let request = (Method::Post, "file-systems", query, json!({"source": {"name": "a.s"}}));
    assert_eq!(
        ask(&mut client, "2.24", request.clone()),
        (400, "Unknown parameter 'include_snapshot'.".to_owned())
    );
    assert_eq!(ask(&mut client, "2.25", request).0, 200);
}

#[test]
fn an_older_flasharray_knows_less() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let tags = json!({"tags": [{"key": "k", "value": "v"}]});
    let adjusted = json!({"priority_adjustment": {"priority_adjustment_operator": "+"}});
    let a = &[("names", "a")][..];
    for (since, before, what, query, body) in [
        ("2.39", "2.38", "volumes", a, tags.clone()),
        ("2.10", "2.9", "volumes", a, adjusted),
        (
            "2.16",
            "2.15",
            "volumes",
            &[("names", "a"), ("with_default_protection", "true")],
            json!({}),
        ),
        ("2.39", "2.38", "hosts", a, tags),
        ("2.16", "2.15", "hosts", a, json!({"vlan": "any"})),
    ] {
        let request = (Method::Post, what, query, body);
        let (status, why) = ask(&mut client, before, request.clone());
        assert!(status == 400 && why.contains("Unknown"), "{before} {request:?}: {status} {why}");
        assert_eq!(ask(&mut client, since, request).0, 200, "{since} {what}");
        if what == "volumes" {
            client.patch(what, a, json!({"destroyed": true}));
        } else {
            assert!(client.get(what, a)[0].get("destroyed").is_none() || since == "2.39");
        }
        client.delete(what, a);
    }
    for (version, what, status) in [
        ("2.1", "arrays", 404),
        ("2.2", "arrays", 200),
        ("2.1", "ports", 404),
        ("2.3", "network-interfaces", 404),
        ("2.4", "network-interfaces", 200),
        ("2.0", "pods", 404),
    ] {
        assert_eq!(
            ask(&mut client, version, (Method::Get, what, &[], json!(null))).0,
            status,
            "{version}"
        );
    }
    client.version = "2.56";
    client.post("volumes", a, json!({}));
    client.post("hosts", &[("names", "h")], json!({}));
    for (version, what, path, there) in [
        ("2.9", "volumes", "/priority", false),
        ("2.10", "volumes", "/priority", true),
        ("2.25", "volumes", "/space/total_used", false),
        ("2.22", "arrays/space", "/space/used_provisioned", false),
        ("2.5", "arrays", "/eradication_config", false),
        ("2.6", "arrays", "/eradication_config/eradication_delay", true),
        ("2.9", "arrays", "/eradication_config/manual_eradication", false),
        ("2.25", "arrays", "/eradication_config/enabled_delay", false),
        ("2.26", "arrays", "/eradication_config/enabled_delay", true),
        ("2.0", "hosts", "/is_local", false),
        ("2.35", "hosts", "/destroyed", false),
        ("2.36", "hosts", "/destroyed", true),
    ] {
        client.version = version;
        let found = client.get(what, &[])[0].pointer(path).is_some();
        assert_eq!(found, there, "{version} {what}{path}");
    }
}
