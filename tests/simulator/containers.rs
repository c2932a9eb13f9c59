//! Pods and volume groups, and the volumes in them.

use pso_gen::simulator::{Method, Settings};
use serde_json::json;

use crate::DAY;
use crate::talk::{Talk, names};

#[test]
fn volumes_in_a_pod_need_it() {
    let mut talk = Talk::with_flasharray(&Settings::default());
    let v = [("names", "p::v")];
    talk.refused("Pod does not exist", Method::Post, "volumes", &v, json!({}));
    let made = talk.post("pods", &[("names", "p")], json!({}));
    assert_eq!(made[0]["arrays"][0]["name"], "array1");
    for name in ["p::-v", "p::", "p::a::b"] {
        talk.refused("Invalid name", Method::Post, "volumes", &[("names", name)], json!({}));
    }
    let volume = talk.post("volumes", &v, json!({}));
    assert_eq!(volume[0]["pod"]["name"], "p");
    let out = json!({"name": "v"});
    talk.refused("does not move", Method::Patch, "volumes", &v, out);
    talk.post("protection-groups", &[("names", "p::pg")], json!(null));
    talk.post("protection-groups", &[("names", "pg")], json!(null));
    let pair = |group| [("group_names", group), ("member_names", "p::v")];
    let members = "protection-groups/volumes";
    talk.refused("not in the pod", Method::Post, members, &pair("pg"), json!(null));
    talk.post(members, &pair("p::pg"), json!(null));
    let source = [("source_names", "p::pg")];
    talk.post("protection-group-snapshots", &source, json!({"suffix": "s"}));

    talk.patch("pods", &[("names", "p")], json!({"name": "q"}));
    assert_eq!(names(&talk.get("volumes", &[])), ["q::v"], "what is in it goes by its new name");
    assert_eq!(names(&talk.get("volume-snapshots", &[])), ["q::pg.s.v"]);
    assert_eq!(names(&talk.get("protection-groups", &[])), ["pg", "q::pg"]);

    let move_out = json!({"pod": {"name": ""}});
    let v = [("names", "q::v")];
    talk.refused("protection groups", Method::Patch, "volumes", &v, move_out.clone());
    let leave = [
        v[0],
        ("remove_from_protection_group_names", "q::pg"),
        ("add_to_protection_group_names", "pg"),
    ];
    let moved = talk.patch("volumes", &leave, move_out);
    assert_eq!((names(&moved)[0], moved[0].get("pod")), ("v", None));
    let of_v = talk.get(members, &[("member_names", "v")]);
    assert_eq!((of_v.len(), &of_v[0]["group"]["name"]), (1, &json!("pg")));
}

#[test]
fn a_container_goes_with_its_contents_only_when_asked_to() {
    for (what, name, field) in [("pods", "box", "pod"), ("volume-groups", "box", "volume_group")] {
        let mut talk = Talk::with_flasharray(&Settings::default());
        let container = [("names", name)];
        talk.post(what, &container, json!({}));
        talk.refused("already exists", Method::Post, what, &container, json!({}));
        let inside = if field == "pod" { "box::v" } else { "box/v" };
        talk.post("volumes", &[("names", inside)], json!({}));
        talk.post("volume-snapshots", &[("source_names", inside)], json!({"suffix": "s"}));
        let destroy = json!({"destroyed": true});
        talk.refused("not empty", Method::Patch, what, &container, destroy.clone());
        let with = [container[0], ("destroy_contents", "true")];
        talk.post("hosts", &[("names", "h")], json!({}));
        let pair = [("host_names", "h"), ("volume_names", inside)];
        talk.post("connections", &pair, json!({}));
        talk.refused("existing connections", Method::Patch, what, &with, destroy.clone());
        talk.delete("connections", &pair);
        talk.patch(what, &with, destroy.clone());
        let gone = [("destroyed", "true")];
        assert_eq!(names(&talk.get("volumes", &gone)), [inside]);
        assert_eq!(talk.get("volume-snapshots", &gone).len(), 1);
        let volume = [("names", inside)];
        let back = json!({"destroyed": false});
        talk.refused("has been destroyed", Method::Patch, "volumes", &volume, back.clone());

        talk.patch(what, &container, back);
        assert_eq!(talk.get("volumes", &gone).len(), 0, "what went with it comes back with it");
        assert_eq!(talk.get("volume-snapshots", &gone).len(), 0);
        talk.patch(what, &with, destroy.clone());
        talk.refused("not empty", Method::Delete, what, &container, json!(null));
        talk.delete(what, &[container[0], ("eradicate_contents", "true")]);
        assert_eq!((talk.get("volumes", &[]).len(), talk.get(what, &[]).len()), (0, 0));
        assert!(talk.get("volume-snapshots", &[]).is_empty());

        talk.post(what, &container, json!({}));
        talk.patch(what, &container, destroy);
        talk.wait(DAY);
        assert!(talk.get(what, &[]).is_empty());
    }
}

#[test]
fn volumes_move_between_volume_groups() {
    let mut talk = Talk::with_flasharray(&Settings::default());
    talk.post("pods", &[("names", "p")], json!({"quota_limit": 1 << 30}));
    let body = json!({"qos": {"iops_limit": 1000}});
    let made = talk.post("volume-groups", &[("names", "g")], body);
    assert_eq!(made[0]["qos"]["iops_limit"], 1000);
    talk.post("volume-groups", &[("names", "p::g")], json!({}));
    talk.post("volumes", &[("names", "v")], json!({}));
    let count =
        |talk: &mut Talk| talk.get("volume-groups", &[("names", "g")])[0]["volume_count"].clone();
    let into = json!({"volume_group": {"name": "g"}});
    let moved = talk.patch("volumes", &[("names", "v")], into);
    assert_eq!((names(&moved)[0], count(&mut talk)), ("g/v", json!(1)));
    let v = [("names", "g/v")];
    let other = json!({"volume_group": {"name": "p::g"}});
    talk.refused("another pod", Method::Patch, "volumes", &v, other);
    talk.patch("volume-groups", &[("names", "g")], json!({"name": "g2"}));
    let moved = talk.patch("volumes", &[("names", "g2/v")], json!({"volume_group": {"name": ""}}));
    assert_eq!(names(&moved), ["v"]);
    talk.patch("volume-groups", &[("names", "g2")], json!({"name": "g"}));
    assert_eq!(count(&mut talk), json!(0));

    talk.post("volumes", &[("names", "p::g/w")], json!({}));
    talk.patch("pods", &[("names", "p")], json!({"name": "q", "quota_limit": ""}));
    let w = talk.get("volumes", &[("names", "q::g/w")]);
    assert_eq!(
        (&w[0]["pod"]["name"], &w[0]["volume_group"]["name"]),
        (&json!("q"), &json!("q::g"))
    );
    talk.refused("Invalid name", Method::Post, "volume-groups", &[("names", "a/b")], json!({}));
    let odd = json!({"failover_preferences": [{"name": "other"}]});
    talk.refused("Array does not exist", Method::Patch, "pods", &[("names", "q")], odd);
}

#[test]
fn two_volumes_do_not_move_to_one_name() {
    let mut talk = Talk::with_flasharray(&Settings::default());
    for group in ["g", "h"] {
        talk.post("volume-groups", &[("names", group)], json!({}));
        talk.post("volumes", &[("names", &format!("{group}/v"))], json!({}));
    }
    let out = json!({"volume_group": {"name": ""}});
    talk.refused("already exists", Method::Patch, "volumes", &[("names", "g/v,h/v")], out.clone());
    talk.patch("volumes", &[("names", "g/v,g/V")], out);
    assert_eq!(names(&talk.get("volumes", &[])), ["h/v", "v"], "one that is named twice is one");
}
