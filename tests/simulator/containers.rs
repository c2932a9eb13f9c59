//! Pods and volume groups, and the volumes in them.

use pso_gen::simulator::{Method, Settings};
use serde_json::json;

use crate::DAY;
use crate::array_client::{ArrayClient, names};

#[test]
fn volumes_in_a_pod_need_it() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    let v = [("names", "p::v")];
    client.refused("Pod does not exist", Method::Post, "volumes", &v, json!({}));
    let made = client.post("pods", &[("names", "p")], json!({}));
    assert_eq!(made[0]["arrays"][0]["name"], "array1");
    for name in ["p::-v", "p::", "p::a::b"] {
        client.refused("Invalid name", Method::Post, "volumes", &[("names", name)], json!({}));
    }
    let volume = client.post("volumes", &v, json!({}));
    assert_eq!(volume[0]["pod"]["name"], "p");
    let out = json!({"name": "v"});
    client.refused("does not move", Method::Patch, "volumes", &v, out);
    client.post("protection-groups", &[("names", "p::pg")], json!(null));
    client.post("protection-groups", &[("names", "pg")], json!(null));
    let pair = |group| [("group_names", group), ("member_names", "p::v")];
    let members = "protection-groups/volumes";
    client.refused("not in the pod", Method::Post, members, &pair("pg"), json!(null));
    client.post(members, &pair("p::pg"), json!(null));
    let source = [("source_names", "p::pg")];
    client.post("protection-group-snapshots", &source, json!({"suffix": "s"}));

    client.patch("pods", &[("names", "p")], json!({"name": "q"}));
    assert_eq!(names(&client.get("volumes", &[])), ["q::v"], "what is in it goes by its new name");
    assert_eq!(names(&client.get("volume-snapshots", &[])), ["q::pg.s.v"]);
    assert_eq!(names(&client.get("protection-groups", &[])), ["pg", "q::pg"]);

    let move_out = json!({"pod": {"name": ""}});
    let v = [("names", "q::v")];
    client.refused("protection groups", Method::Patch, "volumes", &v, move_out.clone());
    let leave = [
        v[0],
        ("remove_from_protection_group_names", "q::pg"),
        ("add_to_protection_group_names", "pg"),
    ];
    let moved = client.patch("volumes", &leave, move_out);
    assert_eq!((names(&moved)[0], moved[0].get("pod")), ("v", None));
    let of_v = client.get(members, &[("member_names", "v")]);
    assert_eq!((of_v.len(), &of_v[0]["group"]["name"]), (1, &json!("pg")));
}

#[test]
fn a_container_goes_with_its_contents_only_when_asked_to() {
    for (what, name, field) in [("pods", "box", "pod"), ("volume-groups", "box", "volume_group")] {
        let mut client = ArrayClient::with_flasharray(&Settings::default());
        let container = [("names", name)];
        client.post(what, &container, json!({}));
        client.refused("already exists", Method::Post, what, &container, json!({}));
        let inside = if field == "pod" { "box::v" } else { "box/v" };
        client.post("volumes", &[("names", inside)], json!({}));
        client.post("volume-snapshots", &[("source_names", inside)], json!({"suffix": "s"}));
        let destroy = json!({"destroyed": true});
        client.refused("not empty", Method::Patch, what, &container, destroy.clone());
        let with = [container[0], ("destroy_contents", "true")];
        client.post("hosts", &[("names", "h")], json!({}));
        let pair = [("host_names", "h"), ("volume_names", inside)];
        client.post("connections", &pair, json!({}));
        client.refused("existing connections", Method::Patch, what, &with, destroy.clone());
        client.delete("connections", &pair);
        client.patch(what, &with, destroy.clone());
        let gone = [("destroyed", "true")];
        assert_eq!(names(&client.get("volumes", &gone)), [inside]);
        assert_eq!(client.get("volume-snapshots", &gone).len(), 1);
        let volume = [("names", inside)];
        let back = json!({"destroyed": false});
        client.refused("has been destroyed", Method::Patch, "volumes", &volume, back.clone());

        client.patch(what, &container, back);
        assert_eq!(client.get("volumes", &gone).len(), 0, "what went with it comes back with it");
        assert_eq!(client.get("volume-snapshots", &gone).len(), 0);
        client.patch(what, &with, destroy.clone());
        client.refused("not empty", Method::Delete, what, &container, json!(null));
        client.delete(what, &[container[0], ("eradicate_contents", "true")]);
        assert_eq!((client.get("volumes", &[]).len(), client.get(what, &[]).len()), (0, 0));
        assert!(client.get("volume-snapshots", &[]).is_empty());

        client.post(what, &container, json!({}));
        client.patch(what, &container, destroy);
        client.wait(DAY);
        assert!(client.get(what, &[]).is_empty());
    }
}

#[test]
fn volumes_move_between_volume_groups() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    client.post("pods", &[("names", "p")], json!({"quota_limit": 1 << 30}));
    let body = json!({"qos": {"iops_limit": 1000}});
    let made = client.post("volume-groups", &[("names", "g")], body);
    assert_eq!(made[0]["qos"]["iops_limit"], 1000);
    client.post("volume-groups", &[("names", "p::g")], json!({}));
    client.post("volumes", &[("names", "v")], json!({}));
    let count = |client: &mut ArrayClient| {
        client.get("volume-groups", &[("names", "g")])[0]["volume_count"].clone()
    };
    let into = json!({"volume_group": {"name": "g"}});
    let moved = client.patch("volumes", &[("names", "v")], into);
    assert_eq!((names(&moved)[0], count(&mut client)), ("g/v", json!(1)));
    let v = [("names", "g/v")];
    let other = json!({"volume_group": {"name": "p::g"}});
    client.refused("another pod", Method::Patch, "volumes", &v, other);
    client.patch("volume-groups", &[("names", "g")], json!({"name": "g2"}));
    let moved =
        client.patch("volumes", &[("names", "g2/v")], json!({"volume_group": {"name": ""}}));
    assert_eq!(names(&moved), ["v"]);
    client.patch("volume-groups", &[("names", "g2")], json!({"name": "g"}));
    assert_eq!(count(&mut client), json!(0));

    client.post("volumes", &[("names", "p::g/w")], json!({}));
    client.patch("pods", &[("names", "p")], json!({"name": "q", "quota_limit": ""}));
    let w = client.get("volumes", &[("names", "q::g/w")]);
    assert_eq!(
        (&w[0]["pod"]["name"], &w[0]["volume_group"]["name"]),
        (&json!("q"), &json!("q::g"))
    );
    client.refused("Invalid name", Method::Post, "volume-groups", &[("names", "a/b")], json!({}));
    let odd = json!({"failover_preferences": [{"name": "other"}]});
    client.refused("Array does not exist", Method::Patch, "pods", &[("names", "q")], odd);
}

#[test]
fn two_volumes_do_not_move_to_one_name() {
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    for group in ["g", "h"] {
        client.post("volume-groups", &[("names", group)], json!({}));
        client.post("volumes", &[("names", &format!("{group}/v"))], json!({}));
    }
    let out = json!({"volume_group": {"name": ""}});
    client.refused(
        "already exists",
        Method::Patch,
        "volumes",
        &[("names", "g/v,h/v")],
        out.clone(),
    );
    client.patch("volumes", &[("names", "g/v,g/V")], out);
    assert_eq!(names(&client.get("volumes", &[])), ["h/v", "v"], "one that is named twice is one");
}
