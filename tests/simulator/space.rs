//! What is used, as a test says, and what arrays make of it.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::ArrayClient;

fn space(client: &mut ArrayClient, field: &str) -> Json {
    client.get("arrays/space", &[])[0]["space"][field].clone()
}

#[test]
fn a_flashblade_adds_up_its_file_systems() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    for name in ["a", "b"] {
        client.post("file-systems", &[("names", name)], json!({"provisioned": 1000}));
    }
    assert!(
        client.array.fill("a", 300) && client.array.fill("B", 50) && !client.array.fill("c", 1)
    );
    let a = [("names", "a")];
    let used = client.get("file-systems", &a)[0]["space"].clone();
    for field in ["virtual", "unique", "total_used", "total_physical"] {
        assert_eq!(used[field], 300, "{field}");
    }
    assert_eq!(used["available_provisioned"], 700);
    assert_eq!(
        (space(&mut client, "total_provisioned"), space(&mut client, "total_used")),
        (json!(2000), json!(350))
    );
    client.patch("file-systems", &[("names", "b")], json!({"destroyed": true}));
    assert_eq!(
        (space(&mut client, "virtual"), space(&mut client, "destroyed")),
        (json!(300), json!(50))
    );
    client.delete("file-systems", &[("names", "b")]);
    client.patch("file-systems", &a, json!({"provisioned": 500}));
    assert_eq!(
        (space(&mut client, "total_provisioned"), space(&mut client, "total_used")),
        (json!(500), json!(300))
    );
    let objects = client.get("arrays/space", &[("type", "object-store")]);
    assert_eq!(objects[0]["space"]["total_used"], 0);
    let contents = client.array.contents(10, client.now);
    assert_eq!(contents["provisioned"], 500);
}

#[test]
fn a_hard_limit_is_not_set_below_what_is_used() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let a = [("names", "a")];
    client.post("file-systems", &a, json!({"provisioned": 1000}));
    assert!(client.array.fill("a", 300));
    client.patch("file-systems", &a, json!({"provisioned": 200}));
    let hard = json!({"hard_limit_enabled": true});
    client.refused("hard limit", Method::Patch, "file-systems", &a, hard.clone());
    client.patch("file-systems", &a, json!({"hard_limit_enabled": true, "provisioned": 300}));
    let small = json!({"provisioned": 299});
    client.refused("hard limit", Method::Patch, "file-systems", &a, small.clone());
    let anyway = [("names", "a"), ("ignore_usage", "true")];
    assert_eq!(client.patch("file-systems", &anyway, small)[0]["provisioned"], 299);
    client.patch("file-systems", &a, json!({"writable": false}));
    client.refused("hard limit", Method::Patch, "file-systems", &a, json!({"provisioned": 100}));
}

#[test]
fn a_flasharray_adds_up_its_volumes() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    for name in ["a", "b"] {
        client.post("volumes", &[("names", name)], json!({"provisioned": 1 << 30}));
    }
    assert!(
        client.array.fill("a", 300) && client.array.fill("b", 50) && !client.array.fill("c", 1)
    );
    assert_eq!(client.get("volumes", &[("names", "a")])[0]["space"]["total_used"], 300);
    client.patch("volumes", &[("names", "b")], json!({"destroyed": true}));
    assert_eq!(
        (space(&mut client, "total_used"), space(&mut client, "unique")),
        (json!(350), json!(300))
    );
    assert_eq!(
        (space(&mut client, "total_provisioned"), space(&mut client, "used_provisioned")),
        (json!(1_u64 << 31), json!(1_u64 << 30))
    );
    client.delete("volumes", &[("names", "b")]);
    assert_eq!(
        (space(&mut client, "total_used"), space(&mut client, "total_provisioned")),
        (json!(300), json!(1_u64 << 30))
    );
}

/// More than 64 bits hold is no reason to fail.
#[test]
fn sums_have_no_end() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    for name in ["a", "b", "c"] {
        client.post("file-systems", &[("names", name)], json!({"provisioned": i64::MAX}));
        assert!(client.array.fill(name, u64::MAX / 2));
    }
    assert_eq!(space(&mut client, "total_provisioned"), json!(i64::MAX));
}
