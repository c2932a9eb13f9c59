//! Tags of volumes.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::array_client::ArrayClient;

/// Keys and values of a volume's tags.
fn tags(client: &mut ArrayClient, volume: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let query = [&[("resource_names", volume)], more].concat();
    let word = |tag: &Json, field: &str| tag[field].as_str().expect("a text").to_owned();
    client.get("volumes/tags", &query).iter().map(|t| (word(t, "key"), word(t, "value"))).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn tags_are_put_listed_and_deleted() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    for volume in ["a", "b"] {
        client.post("volumes", &[("names", volume)], json!({}));
    }
    let both = [("resource_names", "a,b")];
    let made = client.put(
        "volumes/tags/batch",
        &both,
        json!([{"key": "pvc", "value": "data"}, {"key": "ns", "value": "shop", "namespace": "k8s"}]),
    );
    assert_eq!(made.len(), 4);
    assert_eq!((&made[0]["namespace"], &made[0]["copyable"]), (&json!("default"), &json!(true)));
    client.put(
        "volumes/tags/batch",
        &[("resource_names", "a")],
        json!([{"key": "pvc", "value": "x"}]),
    );
    assert_eq!(tags(&mut client, "a", &[]), [pair("pvc", "x")], "of the default namespace");
    assert_eq!(tags(&mut client, "b", &[]), [pair("pvc", "data")]);
    let all = [("namespaces", "default,k8s")];
    assert_eq!(tags(&mut client, "a", &all).len(), 2);
    let filter = [("namespaces", "default,k8s"), ("filter", "value='shop'")];
    assert_eq!(tags(&mut client, "a", &filter), [pair("ns", "shop")]);

    let gone = [("resource_names", "a,b"), ("keys", "pvc")];
    client.delete("volumes/tags", &gone);
    client.refused("Tag does not exist", Method::Delete, "volumes/tags", &gone, json!(null));
    client
        .delete("volumes/tags", &[("resource_names", "a"), ("keys", "ns"), ("namespaces", "k8s")]);
    assert_eq!(tags(&mut client, "a", &all), []);
    assert_eq!(tags(&mut client, "b", &all), [pair("ns", "shop")]);
    for (words, query) in [
        ("'resource_names'", vec![]),
        ("does not exist", vec![("resource_names", "nope")]),
        ("does not exist", vec![("resource_names", "a"), ("resource_destroyed", "true")]),
    ] {
        client.refused(words, Method::Get, "volumes/tags", &query, json!(null));
    }
}

#[test]
fn tags_have_limits() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    client.post("volumes", &[("names", "a")], json!({}));
    let a = [("resource_names", "a")];
    let what = "volumes/tags/batch";
    let many = |n: usize| -> Json {
        (0..n).map(|i| json!({"key": format!("k{i}"), "value": ""})).collect::<Vec<_>>().into()
    };
    let tag =
        |key: usize, value: usize| json!([{"key": "ä".repeat(key), "value": "ö".repeat(value)}]);
    client.put(what, &a, many(30));
    client.put(what, &a, tag(64, 256));
    client.refused("64", Method::Put, what, &a, tag(65, 1));
    client.refused("64", Method::Put, what, &a, tag(0, 1));
    client.refused("256", Method::Put, what, &a, tag(1, 257));
    let twice = json!([{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]);
    client.refused("twice", Method::Put, what, &a, twice);
    client.misused("1 to 30", Method::Put, what, &a, many(31));
    client.misused("1 to 30", Method::Put, what, &a, many(0));
    client.misused("1 to 30", Method::Put, what, &a, json!({"key": "k"}));
    assert_eq!(client.get("volumes/tags", &a).len(), 31, "what is refused changes nothing");
}

#[test]
fn tags_follow_their_volume_and_its_copies() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let body = json!({"provisioned": 1 << 20, "tags": [
        {"key": "app", "value": "shop"}, {"key": "once", "value": "1", "copyable": false},
    ]});
    client.post("volumes", &[("names", "a")], body);
    assert_eq!(tags(&mut client, "a", &[]), [pair("app", "shop"), pair("once", "1")]);
    let copy = json!({"source": {"name": "a"}, "tags": [{"key": "new", "value": "2"}]});
    client.post("volumes", &[("names", "b")], copy);
    assert_eq!(tags(&mut client, "b", &[]), [pair("app", "shop"), pair("new", "2")]);

    client.patch("volumes", &[("names", "a")], json!({"name": "c"}));
    let of_c = client.get("volumes/tags", &[("resource_names", "c")]);
    assert_eq!(of_c[0]["resource"]["name"], "c");
    client.patch("volumes", &[("names", "c")], json!({"destroyed": true}));
    assert_eq!(tags(&mut client, "c", &[("resource_destroyed", "true")]).len(), 2);
    client.delete("volumes", &[("names", "c")]);
    client.post("volumes", &[("names", "c")], json!({}));
    assert_eq!(tags(&mut client, "c", &[]), [], "tags end with their volume");
    let odd = json!({"tags": [{"key": ""}]});
    client.refused("64", Method::Post, "volumes", &[("names", "d")], odd);
    client.refused("does not exist", Method::Get, "volumes", &[("names", "d")], json!(null));
}
