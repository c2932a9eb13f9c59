//! What is used, as a test says, and what arrays make of it.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::talk::Talk;

fn space(talk: &mut Talk, field: &str) -> Json {
    talk.get("arrays/space", &[])[0]["space"][field].clone()
}

#[test]
fn a_flashblade_adds_up_its_file_systems() {
    let mut talk = Talk::with_flashblade(&Settings::default());
    for name in ["a", "b"] {
        talk.post("file-systems", &[("names", name)], json!({"provisioned": 1000}));
    }
    assert!(talk.array.fill("a", 300) && talk.array.fill("B", 50) && !talk.array.fill("c", 1));
    let a = [("names", "a")];
    let used = talk.get("file-systems", &a)[0]["space"].clone();
    for field in ["virtual", "unique", "total_used", "total_physical"] {
        assert_eq!(used[field], 300, "{field}");
    }
    assert_eq!(used["available_provisioned"], 700);
    assert_eq!(
        (space(&mut talk, "total_provisioned"), space(&mut talk, "total_used")),
        (json!(2000), json!(350))
    );
    talk.patch("file-systems", &[("names", "b")], json!({"destroyed": true}));
    assert_eq!(
        (space(&mut talk, "virtual"), space(&mut talk, "destroyed")),
        (json!(300), json!(50))
    );
    talk.delete("file-systems", &[("names", "b")]);
    talk.patch("file-systems", &a, json!({"provisioned": 500}));
    assert_eq!(
        (space(&mut talk, "total_provisioned"), space(&mut talk, "total_used")),
        (json!(500), json!(300))
    );
    let objects = talk.get("arrays/space", &[("type", "object-store")]);
    assert_eq!(objects[0]["space"]["total_used"], 0);
    let contents = talk.array.contents(10, talk.now);
    assert_eq!(contents["provisioned"], 500);
}

#[test]
fn a_hard_limit_is_not_set_below_what_is_used() {
    let mut talk = Talk::with_flashblade(&Settings::default());
    let a = [("names", "a")];
    talk.post("file-systems", &a, json!({"provisioned": 1000}));
    assert!(talk.array.fill("a", 300));
    talk.patch("file-systems", &a, json!({"provisioned": 200}));
    let hard = json!({"hard_limit_enabled": true});
    talk.refused("hard limit", Method::Patch, "file-systems", &a, hard.clone());
    talk.patch("file-systems", &a, json!({"hard_limit_enabled": true, "provisioned": 300}));
    let small = json!({"provisioned": 299});
    talk.refused("hard limit", Method::Patch, "file-systems", &a, small.clone());
    let anyway = [("names", "a"), ("ignore_usage", "true")];
    assert_eq!(talk.patch("file-systems", &anyway, small)[0]["provisioned"], 299);
    talk.patch("file-systems", &a, json!({"writable": false}));
    talk.refused("hard limit", Method::Patch, "file-systems", &a, json!({"provisioned": 100}));
}

#[test]
fn a_flasharray_adds_up_its_volumes() {
    let mut talk = Talk::with_flasharray(&Settings::default());
    for name in ["a", "b"] {
        talk.post("volumes", &[("names", name)], json!({"provisioned": 1 << 30}));
    }
    assert!(talk.array.fill("a", 300) && talk.array.fill("b", 50) && !talk.array.fill("c", 1));
    assert_eq!(talk.get("volumes", &[("names", "a")])[0]["space"]["total_used"], 300);
    talk.patch("volumes", &[("names", "b")], json!({"destroyed": true}));
    assert_eq!(
        (space(&mut talk, "total_used"), space(&mut talk, "unique")),
        (json!(350), json!(300))
    );
    assert_eq!(
        (space(&mut talk, "total_provisioned"), space(&mut talk, "used_provisioned")),
        (json!(1_u64 << 31), json!(1_u64 << 30))
    );
    talk.delete("volumes", &[("names", "b")]);
    assert_eq!(
        (space(&mut talk, "total_used"), space(&mut talk, "total_provisioned")),
        (json!(300), json!(1_u64 << 30))
    );
}

/// More than 64 bits hold is no reason to fail.
#[test]
fn sums_have_no_end() {
    let mut talk = Talk::with_flashblade(&Settings::default());
    for name in ["a", "b", "c"] {
        talk.post("file-systems", &[("names", name)], json!({"provisioned": i64::MAX}));
        assert!(talk.array.fill(name, u64::MAX / 2));
    }
    assert_eq!(space(&mut talk, "total_provisioned"), json!(i64::MAX));
}
