//! Protection groups, their volumes and their snapshots.

use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::DAY;
use crate::array_client::{ArrayClient, names};

const MEMBERS: &str = "protection-groups/volumes";

/// The volumes of a protection group.
fn members(client: &mut ArrayClient, group: &str) -> Vec<String> {
    let members = client.get(MEMBERS, &[("group_names", group)]);
    let count = &client.get("protection-groups", &[("names", group)])[0]["volume_count"];
    assert_eq!(count, members.len(), "its count is right");
    let name = |member: &Json| member["member"]["name"].as_str().expect("a name").to_owned();
    members.iter().map(name).collect()
}

fn talk_with_volumes(settings: &Settings) -> ArrayClient {
    let mut client = ArrayClient::with_flasharray(settings);
    for volume in ["a", "b", "c"] {
        client.post("volumes", &[("names", volume)], json!({}));
    }
    client
}

#[test]
fn a_group_has_schedules_and_volumes() {
    let mut client = talk_with_volumes(&Settings::default());
    let pg = [("names", "pg")];
    let made = client.post("protection-groups", &pg, json!(null));
    assert_eq!(made[0]["retention_lock"], "unlocked");
    client.refused(
        "Invalid name",
        Method::Post,
        "protection-groups",
        &[("names", "p_g")],
        json!({}),
    );
    let schedule = json!({
        "snapshot_schedule": {"enabled": true, "frequency": DAY, "at": 7200},
        "source_retention": {"all_for_sec": 3600, "days": 3},
    });
    let changed = client.patch("protection-groups", &pg, schedule);
    assert_eq!(
        (&changed[0]["snapshot_schedule"], &changed[0]["source_retention"]),
        (
            &json!({"enabled": true, "frequency": DAY, "at": 7200}),
            &json!({"all_for_sec": 3600, "days": 3, "per_day": 4})
        )
    );
    let short = json!({"source_retention": {"all_for_sec": 59}});
    client.refused("all_for_sec", Method::Patch, "protection-groups", &pg, short);

    let two = [("group_names", "pg"), ("member_names", "a,b")];
    assert_eq!(client.post(MEMBERS, &two, json!(null)).len(), 2);
    client.post(MEMBERS, &two, json!(null));
    assert_eq!(members(&mut client, "pg"), ["a", "b"], "a member stays one");
    client.patch("protection-groups", &pg, json!({"name": "pg2"}));
    client.patch("volumes", &[("names", "a")], json!({"name": "a2"}));
    assert_eq!(members(&mut client, "pg2"), ["a2", "b"]);
    client.patch("volumes", &[("names", "b")], json!({"destroyed": true}));
    let gone = client.get(MEMBERS, &[("member_destroyed", "true")]);
    assert_eq!((gone.len(), &gone[0]["member"]["name"]), (1, &json!("b")));
    let live = [("member_destroyed", "true"), ("member_names", "a2")];
    client.refused("does not exist", Method::Get, MEMBERS, &live, json!(null));
    client.delete("volumes", &[("names", "b")]);
    assert_eq!(members(&mut client, "pg2"), ["a2"]);
    let pair = [("group_names", "pg2"), ("member_names", "a2")];
    client.delete(MEMBERS, &pair);
    client.refused("does not exist", Method::Delete, MEMBERS, &pair, json!(null));

    client.post(MEMBERS, &pair, json!(null));
    let pg2 = [("names", "pg2")];
    client.refused("not been destroyed", Method::Delete, "protection-groups", &pg2, json!(null));
    client.patch("protection-groups", &pg2, json!({"destroyed": true}));
    client.refused("has been destroyed", Method::Post, MEMBERS, &pair, json!(null));
    let back = client.patch("protection-groups", &pg2, json!({"destroyed": false}));
    assert_eq!(back[0]["volume_count"], 1, "members stay");
    client.patch("protection-groups", &pg2, json!({"destroyed": true}));
    client.delete("protection-groups", &pg2);
    assert!(client.get(MEMBERS, &[("member_names", "a2")]).is_empty());
}

#[test]
fn a_snapshot_of_a_group_has_one_of_each_volume() {
    let mut client = talk_with_volumes(&Settings::default());
    let pg = [("names", "pg")];
    client.post("protection-groups", &pg, json!(null));
    client.post(MEMBERS, &[("group_names", "pg"), ("member_names", "a,b")], json!(null));
    let source = [("source_names", "pg")];
    let what = "protection-group-snapshots";
    let made = client.post(what, &source, json!({"suffix": "s1"}));
    assert_eq!(names(&made), ["pg.s1"]);
    client.refused("already exists", Method::Post, what, &source, json!({"suffix": "s1"}));
    assert_eq!(names(&client.get("volume-snapshots", &[])), ["pg.s1.a", "pg.s1.b"]);
    let copy = json!({"source": {"name": "pg.s1.a"}});
    client.post("volumes", &[("names", "copy")], copy);
    let second = client.post(what, &source, json!(null));
    assert_ne!(second[0]["suffix"], "s1", "without a suffix, one is made");
    let rename = json!({"name": "x"});
    let part = [("names", "pg.s1.a")];
    client.refused("part of", Method::Patch, "volume-snapshots", &part, rename);

    client.patch("volumes", &[("names", "a")], json!({"name": "a2"}));
    client.patch(what, &[("names", "pg.s1")], json!({"name": "s9"}));
    client.patch("protection-groups", &pg, json!({"name": "pg2"}));
    let all = client.get("volume-snapshots", &[("filter", "suffix='s9'")]);
    assert_eq!(names(&all), ["pg2.s9.a2", "pg2.s9.b"]);

    let s9 = [("names", "pg2.s9")];
    client.patch(what, &s9, json!({"destroyed": true}));
    let gone = client.get("volume-snapshots", &[("destroyed", "true")]);
    assert_eq!(names(&gone), ["pg2.s9.a2", "pg2.s9.b"]);
    for destroyed in [true, false] {
        client.patch("volumes", &[("names", "a2")], json!({ "destroyed": destroyed }));
    }
    let gone = client.get("volume-snapshots", &[("destroyed", "true")]);
    assert_eq!(names(&gone), ["pg2.s9.a2", "pg2.s9.b"], "it went with the group, not the volume");
    client.patch(what, &s9, json!({"destroyed": false}));
    assert_eq!(client.get("volume-snapshots", &[("destroyed", "false")]).len(), 4);
    client.patch(what, &s9, json!({"destroyed": true}));
    client.delete(what, &s9);
    assert_eq!(client.get("volume-snapshots", &[]).len(), 2);

    let pg2 = [("names", "pg2")];
    client.patch("protection-groups", &pg2, json!({"destroyed": true}));
    assert_eq!(client.get("volume-snapshots", &[("destroyed", "true")]).len(), 2);
    client.refused(
        "has been destroyed",
        Method::Post,
        what,
        &[("source_names", "pg2")],
        json!(null),
    );
    client.wait(DAY);
    assert!(client.get("protection-groups", &[]).is_empty());
    assert!(client.get("volume-snapshots", &[]).is_empty() && client.get(what, &[]).is_empty());
}

#[test]
fn new_volumes_join_the_default_protection() {
    let default_protection = Some("safe".to_owned());
    let mut client = talk_with_volumes(&Settings { default_protection, ..Settings::default() });
    assert_eq!(members(&mut client, "safe"), ["a", "b", "c"], "unless asked not to");
    client.post("protection-groups", &[("names", "mine")], json!(null));
    let plain = [
        ("names", "d"),
        ("with_default_protection", "false"),
        ("add_to_protection_group_names", "mine"),
    ];
    client.post("volumes", &plain, json!({}));
    assert_eq!(members(&mut client, "safe").len(), 3);
    assert_eq!(members(&mut client, "mine"), ["d"]);
    let missing = [("names", "e"), ("add_to_protection_group_names", "nope")];
    client.refused("does not exist", Method::Post, "volumes", &missing, json!({}));

    let safe = [("names", "safe")];
    client.patch("protection-groups", &safe, json!({"retention_lock": "ratcheted"}));
    for body in [
        json!({"retention_lock": "unlocked"}),
        json!({"destroyed": true}),
        json!({"snapshot_schedule": {"enabled": false}}),
    ] {
        client.refused("retention lock", Method::Patch, "protection-groups", &safe, body);
    }
    let leave = [("group_names", "safe"), ("member_names", "a")];
    client.refused("retention lock", Method::Delete, MEMBERS, &leave, json!(null));
    client.post("protection-group-snapshots", &[("source_names", "safe")], json!({"suffix": "s"}));
    client.patch("volumes", &[("names", "a")], json!({"destroyed": true}));
    let a = [("names", "a")];
    client.refused("Eradication is disabled", Method::Delete, "volumes", &a, json!(null));
    let part = [("names", "safe.s.a")];
    client.refused(
        "Eradication is disabled",
        Method::Delete,
        "volume-snapshots",
        &part,
        json!(null),
    );
    let whole = [("names", "safe.s")];
    let what = "protection-group-snapshots";
    client.patch(what, &whole, json!({"destroyed": true}));
    client.refused("Eradication is disabled", Method::Delete, what, &whole, json!(null));
    client.wait(DAY);
    assert_eq!(members(&mut client, "safe"), ["b", "c"], "in the end the array eradicates it");
    client.patch("volumes", &[("names", "d")], json!({"destroyed": true}));
    client.delete("volumes", &[("names", "d")]);
}
