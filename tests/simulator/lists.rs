//! Lists: filters, orders, pages.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::{ArrayClient, names};

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let mut client = ArrayClient::with_flashblade(&Settings { page: 4, ..Settings::default() });
    for number in 0..10 {
        let body = json!({"provisioned": 1000 - number});
        client.post("file-systems", &[("names", &format!("fs{number}"))], body);
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let query = [("continuation_token", token.as_str())];
        let answer = client.ask(Method::Get, "file-systems", &query, json!(null));
        assert_eq!(answer.body["total_item_count"], 10);
        seen.extend(answer.body["items"].as_array().expect("items").clone());
        match answer.body["continuation_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
        // One that comes and one that goes in between change nothing for the others.
        client.patch("file-systems", &[("names", "fs0")], json!({"name": "fs00"}));
        client.patch("file-systems", &[("names", "fs00")], json!({"name": "fs0"}));
    }
    assert_eq!(seen.len(), 10);

    let filter =
        [("filter", "provisioned>995 and name='fs*'"), ("sort", "provisioned"), ("limit", "3")];
    assert_eq!(names(&client.get("file-systems", &filter)), ["fs4", "fs3", "fs2"]);
    let none = client.ask(Method::Get, "file-systems", &[("limit", "0")], json!(null));
    assert_eq!((&none.body["items"], &none.body["total_item_count"]), (&json!([]), &json!(10)));
    for (words, query) in [
        ("exclude", vec![("names", "fs1"), ("ids", "x")]),
        ("does not exist", vec![("names", "fs1,nope")]),
        ("filter", vec![("filter", "name=")]),
        ("token", vec![("continuation_token", "abc")]),
    ] {
        client.refused(words, Method::Get, "file-systems", &query, json!(null));
    }
}

/// A FlashBlade counts what a filter leaves in every answer, a FlashArray when it is asked to; both add up.
#[test]
fn filtered_lists_are_counted_and_added_up() {
    let sizes = [1_u64 << 20, 2 << 20, 3 << 20];
    let mut blade = ArrayClient::with_flashblade(&Settings { page: 1, ..Settings::default() });
    let mut array = ArrayClient::with_flasharray(&Settings { page: 1, ..Settings::default() });
    for (number, size) in sizes.iter().enumerate() {
        let names = [("names", format!("v{number}"))];
        let names = [("names", names[0].1.as_str())];
        blade.post("file-systems", &names, json!({"provisioned": size}));
        array.post("volumes", &names, json!({"provisioned": size}));
    }
    let filter = format!("provisioned>{}", sizes[0]);
    let filtered = [("filter", filter.as_str())];
    let answer = blade.ask(Method::Get, "file-systems", &filtered, json!(null));
    assert_eq!(answer.body["total_item_count"], 2);
    assert_eq!(answer.body["items"].as_array().map(Vec::len), Some(1), "a page");
    let answer = array.ask(Method::Get, "volumes", &filtered, json!(null));
    assert!(answer.body.get("total_item_count").is_none());

    let query = [("filter", filter.as_str()), ("total_only", "true")];
    let blade_total = blade.ask(Method::Get, "file-systems", &query, json!(null)).body;
    assert_eq!(blade_total["items"], json!([]));
    assert_eq!(blade_total["total_item_count"], 2);
    assert_eq!(blade_total["total"]["provisioned"], sizes[1] + sizes[2]);
    assert_eq!(blade_total["total"]["space"]["data_reduction"], 1.0);
    let array_total = array.ask(Method::Get, "volumes", &query, json!(null)).body;
    assert_eq!(array_total["items"], json!([]));
    assert_eq!(array_total["total"][0]["provisioned"], sizes[1] + sizes[2], "a list of one");
    let named = [("names", "v0,v2"), ("total_only", "true")];
    let named = blade.ask(Method::Get, "file-systems", &named, json!(null)).body;
    assert_eq!(named["total"]["provisioned"], sizes[0] + sizes[2]);
    let none = [("filter", "name='x*'"), ("total_only", "true")];
    let none = blade.ask(Method::Get, "file-systems", &none, json!(null)).body;
    assert_eq!((&none["total"], &none["total_item_count"]), (&json!({}), &json!(0)));
}

/// What belongs to one object is found before pages are cut, not after.
#[test]
fn what_belongs_to_one_object_is_paged_too() {
    let mut client = ArrayClient::with_flasharray(&Settings { page: 2, ..Settings::default() });
    for volume in ["a", "b"] {
        client.post("volumes", &[("names", volume)], json!({"provisioned": 1 << 20}));
    }
    for number in 0..5 {
        let suffix = format!("s{number}");
        let both = [("source_names", "a,b")];
        client.post("volume-snapshots", &both, json!({ "suffix": suffix }));
    }
    let mut seen: Vec<Json> = Vec::new();
    let mut token = String::new();
    loop {
        let query = [
            ("source_names", "b"),
            ("continuation_token", token.as_str()),
            ("total_item_count", "true"),
        ];
        let page = client.ask(Method::Get, "volume-snapshots", &query, json!(null));
        assert_eq!(page.body["total_item_count"], 5);
        let items = page.body["items"].as_array().expect("items").clone();
        assert!(items.len() <= 2);
        seen.extend(items);
        if page.body["more_items_remaining"] == false {
            break;
        }
        page.body["continuation_token"].as_str().expect("a token").clone_into(&mut token);
    }
    assert_eq!(names(&seen), ["b.s0", "b.s1", "b.s2", "b.s3", "b.s4"]);

    let sorted = |offset| [("sort", "name-"), ("offset", offset), ("source_names", "a")];
    let page = client.ask(Method::Get, "volume-snapshots", &sorted("2"), json!(null));
    assert_eq!(names(page.body["items"].as_array().expect("items")), ["a.s2", "a.s1"]);
    assert_eq!(page.body["more_items_remaining"], true);
    assert!(page.body.get("continuation_token").is_none(), "sorted lists are paged by offset");
    let page = client.ask(Method::Get, "volume-snapshots", &sorted("4"), json!(null));
    assert_eq!(page.body["more_items_remaining"], false);
}
