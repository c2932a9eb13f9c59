//! The clients against the simulated arrays, over https, as the provisioner uses them. Every request and
//! every answer is held against the official documents where they are at hand.

#[path = "array/attach.rs"]
mod attach;
#[path = "array/bench.rs"]
mod bench;
#[path = "simulator/document.rs"]
mod document;
#[path = "array/faults.rs"]
mod faults;
#[path = "array/hostile.rs"]
mod hostile;
#[path = "array/luns.rs"]
mod luns;
#[path = "array/ownership.rs"]
mod ownership;
#[path = "array/trust.rs"]
mod trust;

use std::time::Duration;

use bench::{Bench, block, file, limited, owner};
use pso_gen::arrays::{Array, Kind};
use pso_gen::contract::{
    CloneSource, Owner, Retry, SnapshotSuffix, Transport, VolumeId, VolumeName,
};
use pso_gen::provisioner::decide::Slot;
use pso_gen::simulator::{Method, Settings};
use serde_json::json;

/// Longer than any operation of these tests is patient.
const HOUR: Duration = Duration::from_secs(3600);

fn id(volume: &pso_gen::contract::Volume) -> VolumeId {
    volume.volume_id().expect("a name of ours")
}

fn suffix(text: &str) -> SnapshotSuffix {
    SnapshotSuffix::new(text).expect("a suffix")
}

#[tokio::test]
async fn a_file_system_is_made_with_one_request_and_one_log_in() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let wanted = file("prod-pvc-1", 1 << 30);
    let made = array.ensure(&wanted).await.expect("made");
    assert_eq!((made.name.as_str(), made.size, made.destroyed), ("prod-pvc-1", 1 << 30, false));
    assert_eq!(bench.calls(Method::Post, "file-systems"), 1);

    let object = bench.object("file systems", "prod-pvc-1").await;
    assert_eq!(object["hard_limit_enabled"], true, "its size is enforced");
    assert_eq!(object["nfs"]["rules"], "10.20.0.0/16(rw,no_root_squash)");
    assert_eq!(
        (&object["nfs"]["v3_enabled"], &object["nfs"]["v4_1_enabled"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(object["snapshot_directory_enabled"], false);

    let again = array.ensure(&wanted).await.expect("it is there");
    assert_eq!(again, made);
    array.expand(&id(&made), 3 << 30).await.expect("grown");
    let smaller = array.expand(&id(&made), 1 << 30).await.expect("left as it is");
    assert_eq!(smaller.size, 3 << 30, "never smaller");
    let smaller = array.ensure(&wanted).await.expect("left as it is");
    assert_eq!(smaller.size, 3 << 30, "not by ensure either");

    array.destroy(&id(&made), &owner()).await.expect("destroyed");
    array.destroy(&id(&made), &owner()).await.expect("destroyed already");
    let object = bench.object("file systems", "prod-pvc-1").await;
    assert_eq!(
        (&object["destroyed"], &object["nfs"]["v4_1_enabled"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(bench.calls(Method::Delete, "file-systems"), 0, "never eradicated");

    assert_eq!(bench.logins(), 1);
    array.log_out().await;
    assert_eq!(bench.calls(Method::Post, "logout"), 1);
}

#[tokio::test]
async fn limits_come_with_a_volume_and_are_put_on_one_that_has_others() {
    let bench = Bench::flasharray().await;
    let array = bench.client();
    let wanted = limited("prod-pvc-1", 1 << 30, 500 << 20, 10_000);
    let made = array.ensure(&wanted).await.expect("made");
    let qos = json!({"bandwidth_limit": 500 << 20, "iops_limit": 10_000});
    assert_eq!(bench.object("volumes", "prod-pvc-1").await["qos"], qos);
    array.ensure(&wanted).await.expect("it is there");
    assert_eq!(bench.calls(Method::Patch, "volumes"), 0, "they came with it");

    // Made without them, by one that ended in between, or a copy of an array that does not heed them.
    array.ensure(&block("prod-pvc-2", 1 << 30)).await.expect("made");
    assert_eq!(bench.object("volumes", "prod-pvc-2").await["qos"], json!({}));
    array.ensure(&limited("prod-pvc-2", 1 << 30, 1 << 20, 100)).await.expect("limited");
    let qos = json!({"bandwidth_limit": 1 << 20, "iops_limit": 100});
    assert_eq!(bench.object("volumes", "prod-pvc-2").await["qos"], qos);
    array.ensure(&block("prod-pvc-2", 1 << 30)).await.expect("left as it is");
    assert_eq!(bench.object("volumes", "prod-pvc-2").await["qos"], qos);

    let mut copy = limited("prod-pvc-3", 2 << 30, 1 << 30, 5000);
    copy.source = Some(CloneSource::Volume(id(&made)));
    array.ensure(&copy).await.expect("copied");
    let qos = json!({"bandwidth_limit": 1 << 30, "iops_limit": 5000});
    assert_eq!(bench.object("volumes", "prod-pvc-3").await["qos"], qos);
}

#[tokio::test]
async fn a_volume_is_made_with_one_request_and_carries_its_owner() {
    let bench = Bench::flasharray().await;
    let array = bench.client();
    let made = array.ensure(&block("prod-pvc-1", 5_000_000_000)).await.expect("made");
    assert_eq!(made.size, 5_000_658_944, "whole mebibytes");
    assert_eq!(bench.calls(Method::Post, "volumes"), 1);
    assert_eq!(bench.calls(Method::Put, "volumes/tags/batch"), 0, "tags came with it");
    let serial = made.serial.clone().expect("a serial number");
    assert_eq!(made.wwid(), Some(format!("3624a9370{}", serial.to_lowercase())));

    let mut foreign = block("prod-pvc-1", 1 << 30);
    foreign.owner.uid = "another".to_owned();
    let error = array.ensure(&foreign).await.expect_err("not ours");
    assert_eq!((error.reason(), error.retry()), ("NotOurs", Retry::Later));
    let error = array.destroy(&id(&made), &foreign.owner).await.expect_err("not ours");
    assert_eq!(error.reason(), "NotOurs");

    let grown = array.expand(&id(&made), 6 << 30).await.expect("grown");
    assert_eq!((grown.size, grown.serial), (6 << 30, made.serial.clone()));
    array.destroy(&id(&made), &owner()).await.expect("destroyed");
    let back = array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("taken back");
    assert_eq!((back.id, back.size), (made.id, 6 << 30));
    assert_eq!(bench.logins(), 1);
}

#[tokio::test]
async fn older_flasharrays_get_the_tags_afterwards() {
    let bench = Bench::flasharray_with(Settings { rest: Some(3), ..Settings::default() }).await;
    let array = bench.client();
    assert_eq!(array.identity().await.expect("an identity").rest, "2.3");
    let made = array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("made");
    assert_eq!(bench.calls(Method::Put, "volumes/tags/batch"), 1);
    array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("it is there");
    assert_eq!(bench.calls(Method::Put, "volumes/tags/batch"), 1, "once is enough");
    array.destroy(&id(&made), &owner()).await.expect("destroyed");

    // A maker that ended between the volume and its tags: the name shows whose it is, while its claim is there.
    for (name, expected) in [("prod-pvc-1-x", "NotOurs"), ("prod-pvc-1", "destroyed")] {
        let body = json!({"provisioned": 1 << 30});
        if name != "prod-pvc-1" {
            bench.send(Method::Post, "volumes", &[("names", name)], body).await;
        }
        let there = array.describe(&VolumeName::new(name).expect("a name")).await.expect("read");
        let there = there.expect("there");
        if name == "prod-pvc-1" {
            let back = json!({"destroyed": false});
            bench.send(Method::Patch, "volumes", &[("names", name)], back).await;
            let tags = [
                ("resource_names", name),
                ("keys", "cluster,namespace,claim,uid"),
                ("namespaces", "pso-gen"),
            ];
            bench.send(Method::Delete, "volumes/tags", &tags, serde_json::Value::Null).await;
        }
        let ended = array.destroy(&id(&there), &owner()).await;
        assert_eq!(ended.map_or_else(|error| error.reason(), |()| "destroyed"), "NotOurs");
        let owner = Owner { since: Some(0), ..owner() };
        let ended = array.destroy(&id(&there), &owner).await;
        assert_eq!(ended.map_or_else(|error| error.reason(), |()| "destroyed"), expected);
    }
    let older = Bench::flasharray_with(Settings { rest: Some(2), ..Settings::default() }).await;
    let error = older.client().identity().await.expect_err("too old");
    assert_eq!(error.retry(), Retry::Never);
    let needs = "REST 2.3 to 2.56 is required, and the array offers up to 2.2";
    assert!(error.to_string().contains(needs), "{error}");
}

#[tokio::test]
async fn the_oldest_flashblade_will_do() {
    let bench = Bench::flashblade_with(Settings { rest: Some(0), ..Settings::default() }).await;
    let array = bench.client();
    assert_eq!(array.identity().await.expect("an identity").rest, "2.0");
    let made = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    array.capacity().await.expect("a capacity");
    array.transport().await.expect("addresses");
    array.snapshot(&id(&made), &suffix("s1")).await.expect("taken");
    let mut copy = file("prod-pvc-2", 1 << 30);
    copy.source = Some(CloneSource::Snapshot("prod-pvc-1.s1".to_owned()));
    let error = array.ensure(&copy).await.expect_err("too old");
    assert_eq!((error.reason(), error.retry()), ("Unsupported", Retry::Never));
    assert!(error.to_string().contains("2.25"), "{error}");
}

#[tokio::test]
async fn what_has_changed_by_hand_is_put_right_and_never_shrunk() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let wanted = file("prod-pvc-1", 1 << 30);
    array.ensure(&wanted).await.expect("made");
    let by_hand = json!({
        "provisioned": 5_u64 << 30, "hard_limit_enabled": false,
        "nfs": {"v3_enabled": true, "rules": "*(rw,no_root_squash)"},
    });
    bench.send(Method::Patch, "file-systems", &[("names", "prod-pvc-1")], by_hand).await;
    array.ensure(&wanted).await.expect("put right");
    let object = bench.object("file systems", "prod-pvc-1").await;
    assert_eq!(object["provisioned"], 5_u64 << 30);
    assert_eq!(object["hard_limit_enabled"], true);
    assert_eq!(object["nfs"]["rules"], "10.20.0.0/16(rw,no_root_squash)");
    assert_eq!(object["nfs"]["v3_enabled"], false);
}

#[tokio::test]
async fn another_object_of_a_name_is_left_alone() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let first = id(&array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made"));
    array.destroy(&first, &owner()).await.expect("destroyed");
    bench
        .send(Method::Delete, "file-systems", &[("names", "prod-pvc-1")], serde_json::Value::Null)
        .await;
    array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made anew");
    array.destroy(&first, &owner()).await.expect("the one that is meant is gone");
    let error = array.expand(&first, 2 << 30).await.expect_err("gone");
    assert_eq!(error.reason(), "NotFound");
    let object = bench.object("file systems", "prod-pvc-1").await;
    assert_eq!(
        (&object["destroyed"], &object["provisioned"]),
        (&json!(false), &json!(1_u64 << 30))
    );

    // And one that somebody has renamed is no longer ours.
    let second = id(&array.ensure(&file("prod-pvc-2", 1 << 30)).await.expect("made"));
    bench
        .send(Method::Patch, "file-systems", &[("names", "prod-pvc-2")], json!({"name": "kept"}))
        .await;
    let error = array.destroy(&second, &owner()).await.expect_err("renamed");
    assert_eq!(error.reason(), "NotOurs");
    assert!(error.to_string().contains("kept"), "{error}");
}

#[tokio::test]
async fn snapshots_and_copies_on_both_arrays() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let wanted = |name: &str, size| {
            if bench.is_flashblade() { file(name, size) } else { block(name, size) }
        };
        let volume = id(&array.ensure(&wanted("prod-pvc-1", 1 << 30)).await.expect("made"));
        let taken = array.snapshot(&volume, &suffix("s1")).await.expect("taken");
        assert_eq!((taken.name.as_str(), taken.volume.as_str()), ("prod-pvc-1.s1", "prod-pvc-1"));
        let again = array.snapshot(&volume, &suffix("s1")).await.expect("found");
        assert_eq!(again.id, taken.id);
        array.snapshot(&volume, &suffix("s2")).await.expect("taken");
        let names = |all: Vec<pso_gen::contract::Snapshot>| {
            all.into_iter().map(|s| (s.name, s.destroyed)).collect::<Vec<_>>()
        };
        array.destroy_snapshot(&taken).await.expect("destroyed");
        array.destroy_snapshot(&taken).await.expect("destroyed already");
        assert_eq!(
            names(array.snapshots(&volume).await.expect("listed")),
            [("prod-pvc-1.s1".to_owned(), true), ("prod-pvc-1.s2".to_owned(), false)]
        );
        array.snapshot(&volume, &suffix("s1")).await.expect("taken back");
        let other =
            VolumeId { id: "00000001-0000-4000-8000-00000000ffff".to_owned(), ..volume.clone() };
        let error = array.snapshot(&other, &suffix("s1")).await.expect_err("of another volume");
        assert_eq!(error.reason(), "NotOurs");

        let mut copy = wanted("prod-pvc-2", 2 << 30);
        copy.owner.uid = "2".to_owned();
        copy.source = Some(CloneSource::Snapshot("prod-pvc-1.s1".to_owned()));
        let made = array.ensure(&copy).await.expect("copied");
        assert_eq!(made.size, 2 << 30, "and grown");
        let mut of_nothing = wanted("prod-pvc-3", 1 << 30);
        of_nothing.source = Some(CloneSource::Snapshot("prod-pvc-1.none".to_owned()));
        let error = array.ensure(&of_nothing).await.expect_err("no such snapshot");
        assert_eq!(error.reason(), "Refused");
        let prefixed = array.list("prod-").await.expect("listed");
        assert_eq!(
            prefixed.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
            ["prod-pvc-1", "prod-pvc-2"]
        );
    }
}

#[tokio::test]
async fn a_volume_goes_with_the_snapshots_of_its_schedule() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let wanted = if bench.is_flashblade() { file } else { block }("prod-pvc-1", 1 << 30);
        let volume = id(&array.ensure(&wanted).await.expect("made"));
        let slots = [Slot(1_795_392_000), Slot(1_795_413_600)];
        for slot in slots {
            let suffix = slot.suffix().expect("a suffix");
            array.snapshot(&volume, &suffix).await.expect("taken");
        }
        array.snapshot(&volume, &suffix("before-upgrade")).await.expect("taken");
        let live = async || {
            let all = array.snapshots(&volume).await.expect("listed");
            let live = all.iter().filter(|snapshot| !snapshot.destroyed);
            live.map(|snapshot| Slot::of(snapshot, "prod-pvc-1")).collect::<Vec<_>>()
        };
        assert_eq!(live().await, [None, Some(slots[0]), Some(slots[1])], "found by their names");
        array.destroy(&volume, &owner()).await.expect("destroyed");
        assert_eq!(live().await, [], "they go with it");
        let suffix = Slot(1_795_435_200).suffix().expect("a suffix");
        array.snapshot(&volume, &suffix).await.expect_err("there is nothing to take one of");
    }
}

#[tokio::test]
async fn clients_learn_where_volumes_are_and_how_full_it_is() {
    let data = vec!["192.0.2.12".to_owned(), "192.0.2.11".to_owned()];
    let settings = Settings { data, capacity: 1 << 40, ..Settings::default() };
    let blade = Bench::flashblade_with(settings.clone()).await;
    let Transport::Nfs { addresses } = blade.client().transport().await.expect("addresses") else {
        panic!("a FlashBlade serves NFS");
    };
    assert!(addresses.contains(&"192.0.2.11".to_owned()), "{addresses:?}");
    let array = Bench::flasharray_with(settings).await;
    let client = array.client();
    let Transport::Block(targets) = client.transport().await.expect("ports") else {
        panic!("a FlashArray serves block devices");
    };
    assert_eq!(targets.len(), 1);
    assert!(targets[0].target.starts_with("iqn."), "{targets:?}");
    assert_eq!(targets[0].portals, ["192.0.2.11:3260", "192.0.2.12:3260"]);
    client.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("made");
    let capacity = client.capacity().await.expect("a capacity");
    assert_eq!((capacity.total, capacity.provisioned), (1 << 40, Some(1 << 30)));
}

#[tokio::test]
async fn a_full_array_differs_from_a_wrong_request() {
    let bench = Bench::flashblade_with(Settings { limit: 1, ..Settings::default() }).await;
    let array = bench.client();
    array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    let error = array.ensure(&file("prod-pvc-2", 1 << 30)).await.expect_err("full");
    assert_eq!((error.reason(), error.retry()), ("Exhausted", Retry::Elsewhere));
    assert_eq!(
        array.describe(&VolumeName::new("prod-pvc-2").expect("a name")).await.expect("read"),
        None
    );
}

#[tokio::test]
async fn a_thousand_callers_log_in_once() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let array = array.clone();
            tokio::spawn(
                async move { array.ensure(&file(&format!("pvc-{number}"), 1 << 20)).await },
            )
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("made");
    }
    assert_eq!((bench.logins(), bench.calls(Method::Post, "file-systems")), (1, 200));
    bench.control("DELETE", "/arrays/array1/sessions", serde_json::Value::Null).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let array = array.clone();
            tokio::spawn(async move { array.capacity().await })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("after one of them has logged in again");
    }
    assert_eq!(bench.logins(), 2);
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let bench = Bench::flasharray_with(Settings { page: 7, ..Settings::default() }).await;
    let array = bench.client();
    for number in 0..40 {
        array.ensure(&block(&format!("prod-pvc-{number}"), 1 << 20)).await.expect("made");
    }
    assert_eq!(array.list("prod-").await.expect("listed").len(), 40);
    assert_eq!(array.list("PROD-pvc-1").await.expect("listed").len(), 11, "case does not count");
    assert!(array.list("other-").await.expect("listed").is_empty());
}

#[tokio::test]
async fn a_list_under_change_has_what_stays_once() {
    let bench = Bench::flasharray_with(Settings { page: 3, ..Settings::default() }).await;
    let array = bench.client();
    for number in 0..30 {
        array.ensure(&block(&format!("prod-pvc-{number:02}"), 1 << 20)).await.expect("made");
    }
    bench
        .control("PUT", "/faults", json!([{"fault": {"slow": {"delay": 3}}, "method": "GET"}]))
        .await;
    let changes = async {
        for number in 0..20 {
            let between = block(&format!("prod-pvc-{number:02}-x"), 1 << 20);
            let made = array.ensure(&between).await.expect("made");
            array.destroy(&id(&made), &owner()).await.expect("destroyed");
            bench
                .send(Method::Delete, "volumes", &[("names", &made.name)], serde_json::Value::Null)
                .await;
        }
    };
    let lists = async {
        let mut lists = Vec::new();
        for _ in 0..5 {
            lists.push(array.list("prod-").await.expect("listed"));
        }
        lists
    };
    let ((), lists) = tokio::join!(changes, lists);
    for list in lists {
        let mut staying: Vec<String> = list.into_iter().map(|volume| volume.name).collect();
        staying.retain(|name| !name.ends_with("-x"));
        let expected: Vec<String> = (0..30).map(|n| format!("prod-pvc-{n:02}")).collect();
        assert_eq!(staying, expected);
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_looked_for() {
    let bench = Bench::flashblade().await;
    let mut endpoint = bench.endpoint();
    // Real time, of the client and of a server on sockets: long enough for every other answer, since one that
    // is lost is asked for again, and far shorter than the slow one.
    endpoint.limits.request_timeout = Duration::from_secs(2);
    let array = pso_gen::arrays::FlashBlade::new(endpoint).expect("an address");
    array.identity().await.expect("logged in");
    let slow = json!([{"fault": {"slow": {"delay": 3_600_000}}, "method": "POST", "times": 1}]);
    bench.control("PUT", "/faults", slow).await;
    let made = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made in the end");
    assert_eq!(bench.contents().await[0]["count"], 1);
    assert_eq!(bench.object("file systems", "prod-pvc-1").await["id"], made.id);
}

#[tokio::test]
async fn what_cannot_be_known_is_said() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.identity().await.expect("logged in");
    bench.control("PUT", "/faults", json!([{"fault": "refused", "method": "POST"}])).await;
    let error = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect_err("no answer, ever");
    assert_eq!((error.reason(), error.retry()), ("UnknownOutcome", Retry::Soon));
    bench.control("PUT", "/faults", json!([{"fault": "refused", "method": "GET"}])).await;
    let error = array.capacity().await.expect_err("no answer");
    assert_eq!((error.reason(), error.retry()), ("Unreachable", Retry::Soon));

    bench.control("PUT", "/faults", json!([])).await;
    let made = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    bench
        .control("PUT", "/faults", json!([{"fault": "eradicationDisabled", "method": "PATCH"}]))
        .await;
    let error = array.destroy(&id(&made), &owner()).await.expect_err("protected");
    assert_eq!((error.reason(), error.retry()), ("EradicationDisabled", Retry::Later));
}

#[tokio::test]
async fn another_array_at_the_address_is_not_touched() {
    let bench = Bench::flashblade().await;
    let mut endpoint = bench.endpoint();
    endpoint.id = Some("11111111-0000-4000-8000-000000000000".to_owned());
    let array = pso_gen::arrays::FlashBlade::new(endpoint).expect("an address");
    let error = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect_err("another array");
    assert_eq!(error.reason(), "WrongArray");
    assert_eq!(bench.calls(Method::Post, "file-systems"), 0);

    // Nor one of the other kind.
    let array = pso_gen::arrays::FlashArray::new(bench.endpoint()).expect("an address");
    let error = array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect_err("no FlashArray");
    assert!(matches!(error.kind(), Kind::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_certificate_of_nobody_is_refused() {
    let bench = Bench::flashblade().await;
    let pinned = |pin: [u8; 32]| {
        let mut endpoint = bench.endpoint();
        endpoint.trust = pso_gen::arrays::Trust::Pin(pin);
        pso_gen::arrays::FlashBlade::new(endpoint).expect("an address")
    };
    pinned(bench.pin()).identity().await.expect("its key is the pinned one");
    let mut system = bench.endpoint();
    system.trust = pso_gen::arrays::Trust::System;
    let unknown = pso_gen::arrays::FlashBlade::new(system).expect("an address");
    for array in [pinned([0; 32]), unknown] {
        let error = array.identity().await.expect_err("not trusted");
        assert_eq!(error.reason(), "Untrusted", "{error}");
        assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    }
    assert_eq!(bench.logins(), 1, "no token was sent to whom is not trusted");
}

#[tokio::test]
async fn a_new_token_is_taken_and_a_wrong_one_does_not_hammer() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.identity().await.expect("logged in");
    bench.write_token("T-wrong");
    let error = array.capacity().await.expect_err("refused");
    assert_eq!(error.reason(), "LoginRefused", "{error}");
    assert!(!format!("{error:?}").contains("T-wrong"), "{error:?}");
    for _ in 0..5 {
        array.capacity().await.expect_err("refused");
    }
    assert_eq!(
        bench.calls(Method::Post, "login"),
        2,
        "one that was refused is not tried at once again"
    );
    bench.write_token(&format!("{}\n", Settings::default().token));
    array.capacity().await.expect("the new token is taken");
    std::fs::remove_file(bench.token_file()).expect("removed");
    array.capacity().await.expect("the session goes on while the file is away");
}

#[tokio::test]
async fn the_token_is_nowhere_to_be_seen() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    let token = Settings::default().token;
    let shown = format!("{array:?}");
    assert!(shown.contains("array1"), "{shown}");
    assert!(!shown.contains(&token) && !shown.contains("session-1"), "{shown}");
}

#[tokio::test]
async fn an_array_that_is_away_is_reported_soon() {
    let bench = Bench::flashblade().await;
    let mut endpoint = bench.endpoint();
    endpoint.management = "127.0.0.1:1".to_owned();
    let array = pso_gen::arrays::FlashBlade::new(endpoint).expect("an address");
    let error = array.capacity().await.expect_err("nobody there");
    assert_eq!((error.reason(), error.retry()), ("Unreachable", Retry::Soon), "{error}");
    let error = pso_gen::arrays::FlashBlade::new(pso_gen::arrays::Endpoint {
        management: "http://array".to_owned(),
        ..bench.endpoint()
    });
    assert!(error.is_err(), "only https");
}

#[tokio::test]
async fn a_busy_array_is_asked_again_and_given_up_in_the_end() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.identity().await.expect("logged in");
    for fault in [json!({"throttled": {}}), json!("busy"), json!("unavailable")] {
        bench.control("PUT", "/faults", json!([{"fault": fault, "times": 3}])).await;
        let before = bench.all_calls();
        array.capacity().await.expect("in the end");
        assert_eq!(bench.all_calls() - before, 4, "{fault}");
    }
    bench.control("PUT", "/faults", json!([{"fault": "busy"}])).await;
    let mut endpoint = bench.endpoint();
    // It is to be left alone for longer than anybody is patient: nothing is waited for.
    (endpoint.limits.first_backoff, endpoint.limits.longest_backoff) = (HOUR, HOUR);
    let array = pso_gen::arrays::FlashBlade::new(endpoint).expect("an address");
    let before = bench.all_calls();
    let error = array.capacity().await.expect_err("busy for longer than the patience lasts");
    assert_eq!((error.reason(), error.retry()), ("Busy", Retry::Soon));
    assert_eq!(bench.all_calls() - before, 1);
}

#[tokio::test]
async fn an_array_that_says_how_long_is_left_alone_for_so_long() {
    let bench = Bench::flashblade().await;
    let mut endpoint = bench.endpoint();
    endpoint.limits.longest_backoff = HOUR * 2;
    let array = pso_gen::arrays::FlashBlade::new(endpoint).expect("an address");
    array.identity().await.expect("logged in");
    let throttled = json!([{"fault": {"throttled": {"retryAfter": 3600}}, "times": 1}]);
    bench.control("PUT", "/faults", throttled).await;
    let before = bench.all_calls();
    for _ in 0..3 {
        // By its own measure the client would ask again after five milliseconds, and get an answer.
        let error = array.capacity().await.expect_err("an hour is longer than the patience");
        assert_eq!((error.reason(), error.retry()), ("Busy", Retry::Soon));
    }
    assert_eq!(bench.all_calls() - before, 1, "its word counts, for every operation");
}

#[tokio::test]
async fn an_array_that_refuses_some_of_many_requests_gets_all_in_the_end() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.identity().await.expect("logged in");
    let throttled = json!([{"fault": {"throttled": {"retryAfter": 0}}, "times": 40}]);
    bench.control("PUT", "/faults", throttled).await;
    let before = bench.all_calls();
    let calls: Vec<_> = (0..60)
        .map(|number| {
            let array = array.clone();
            tokio::spawn(
                async move { array.ensure(&file(&format!("pvc-{number}"), 1 << 20)).await },
            )
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("made in the end");
    }
    assert!(bench.all_calls() - before >= 40 + 60, "those that were refused are asked again");
    assert_eq!((bench.logins(), bench.contents().await[0]["count"].as_u64()), (1, Some(60)));
}

#[tokio::test]
async fn those_who_may_not_get_an_error_without_a_new_log_in() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    array.identity().await.expect("logged in");
    bench
        .control("PUT", "/faults", json!([{"fault": "forbidden", "resource": "arrays/space"}]))
        .await;
    for _ in 0..3 {
        let error = array.capacity().await.expect_err("forbidden");
        assert_eq!((error.reason(), error.retry()), ("Forbidden", Retry::Later));
    }
    assert_eq!(bench.logins(), 1);
}
