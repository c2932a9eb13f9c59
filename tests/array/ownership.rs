//! Whose a volume is, which array says so, and when a request is held back: nothing is taken over, recovered or
//! destroyed that is not provably the claim's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pso_gen::arrays::{Error, Fence, Fenced, OnlyIf};
use pso_gen::contract::{Owner, VolumeId, VolumeName};
use pso_gen::simulator::{Method, Settings};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, block, file, owner};
use crate::id;

/// Milliseconds of ten years, in which the simulated arrays have made nothing.
const TEN_YEARS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

fn reason<T: std::fmt::Debug>(done: Result<T, Error>) -> &'static str {
    done.map_or_else(|error| error.reason(), |_| "done")
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).expect("a name")
}

/// Takes all tags off a volume, as its maker may have ended before there were any.
async fn untag(bench: &Bench, volume: &str) {
    let query = [
        ("resource_names", volume),
        ("keys", "cluster,namespace,claim,uid"),
        ("namespaces", "pso-gen"),
    ];
    bench.send(Method::Delete, "volumes/tags", &query, Json::Null).await;
}

#[tokio::test]
async fn a_file_system_that_was_destroyed_is_never_recovered() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let wanted = file("prod-pvc-1", 1 << 30);
    // Its name is right, and what is on it may be anything.
    bench.send(Method::Post, "file-systems", &[("names", "prod-pvc-1")], json!({})).await;
    let query = [("names", "prod-pvc-1")];
    bench.send(Method::Patch, "file-systems", &query, json!({"destroyed": true})).await;
    let error = array.ensure(&wanted).await.expect_err("whose it was is not known");
    assert_eq!(error.reason(), "NotOurs");
    assert!(error.to_string().contains("eradicate it"), "{error}");
    assert_eq!(bench.object("file systems", "prod-pvc-1").await["destroyed"], true);
    bench.send(Method::Delete, "file-systems", &query, Json::Null).await;
    array.ensure(&wanted).await.expect("made anew");
}

#[tokio::test]
async fn what_is_older_than_its_claim_was_not_made_for_it() {
    for flashblade in [true, false] {
        // Before tags came with a volume, one without tags may be unfinished.
        let older = Settings { rest: Some(3), ..Settings::default() };
        let bench = if flashblade {
            Bench::flashblade().await
        } else {
            Bench::flasharray_with(older).await
        };
        let array = bench.client();
        let (resource, kind) =
            if flashblade { ("file-systems", "file systems") } else { ("volumes", "volumes") };
        let body = json!({"provisioned": 1 << 30});
        bench.send(Method::Post, resource, &[("names", "prod-pvc-1")], body).await;
        let created = bench.object(kind, "prod-pvc-1").await["created"].as_u64().expect("a time");
        let mut wanted =
            if flashblade { file("prod-pvc-1", 1 << 30) } else { block("prod-pvc-1", 1 << 30) };
        wanted.owner.since = Some(created + TEN_YEARS);
        assert_eq!(reason(array.ensure(&wanted).await), "NotOurs", "{flashblade}");
        // A clock that is some minutes off proves nothing.
        wanted.owner.since = Some(created + 10 * 60 * 1000);
        assert_eq!(reason(array.ensure(&wanted).await), "done", "{flashblade}");
    }
}

#[tokio::test]
async fn a_volume_without_tags_is_not_ours_however_it_is_called() {
    let bench = Bench::flasharray().await;
    let array = bench.client();
    for destroyed in [false, true] {
        let volume = if destroyed { "prod-pvc-1" } else { "prod-pvc-2" };
        let body = json!({"provisioned": 1 << 30});
        bench.send(Method::Post, "volumes", &[("names", volume)], body).await;
        if destroyed {
            let body = json!({"destroyed": true});
            bench.send(Method::Patch, "volumes", &[("names", volume)], body).await;
        }
        assert_eq!(reason(array.ensure(&block(volume, 1 << 30)).await), "NotOurs", "{volume}");
        assert_eq!(bench.object("volumes", volume).await["destroyed"], destroyed, "{volume}");
    }
    // Nor is one destroyed that has lost its tags, whatever its name and id say.
    let made = array.ensure(&block("prod-pvc-3", 1 << 30)).await.expect("made");
    untag(&bench, "prod-pvc-3").await;
    let owner = Owner { since: Some(0), ..owner() };
    assert_eq!(reason(array.destroy(&id(&made), &owner).await), "NotOurs");
}

#[tokio::test]
async fn another_cluster_of_the_same_name_has_another_identity() {
    let bench = Bench::flasharray().await;
    let array = bench.client();
    let of = |identities: &[&str]| {
        let mut wanted = block("prod-pvc-1", 1 << 30);
        wanted.owner.identities = identities.iter().map(|it| (*it).to_owned()).collect();
        wanted
    };
    let (own, other) = (of(&["3f2a9c1e7b4d4e1a"]), of(&["aaaaaaaaaaaaaaaa"]));
    let made = array.ensure(&own).await.expect("made");
    assert_eq!(reason(array.ensure(&other).await), "NotOurs");
    let error = array.destroy(&id(&made), &other.owner).await.expect_err("another cluster's");
    assert!(error.to_string().contains("another cluster of the same name"), "{error}");
    // One that takes over recognises the volumes of the former cluster, and writes its own name on them.
    let heir = of(&["aaaaaaaaaaaaaaaa", "3f2a9c1e7b4d4e1a"]);
    array.ensure(&heir).await.expect("recognised");
    assert_eq!(reason(array.ensure(&own).await), "NotOurs", "it is the heir's now");
    array.destroy(&id(&made), &heir.owner).await.expect("destroyed");
    // Volumes from before there were identities are known by name and UID.
    let older = array.ensure(&block("prod-pvc-2", 1 << 30)).await.expect("made");
    array.destroy(&id(&older), &own.owner).await.expect("destroyed");
}

#[tokio::test]
async fn what_another_array_says_is_never_that_something_is_gone() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let only_if = OnlyIf { array_id: Some("another".to_owned()), fence: None };
        let elsewhere = array.only_if(only_if);
        let volume = VolumeId { name: name("prod-pvc-1"), id: "of that array".to_owned() };
        assert_eq!(reason(elsewhere.describe(&volume.name).await), "WrongArray");
        assert_eq!(reason(elsewhere.destroy(&volume, &owner()).await), "WrongArray");
        assert_eq!(reason(elsewhere.list("prod-").await), "WrongArray");
        let array_id = Some(array.identity().await.expect("an identity").id);
        let right = array.only_if(OnlyIf { array_id, fence: None });
        assert_eq!(reason(right.destroy(&volume, &owner()).await), "done", "it is gone there");
    }
}

/// Lets so many requests out that change something, and counts how often it is asked.
#[derive(Debug)]
struct Gate {
    lets: usize,
    asked: AtomicUsize,
    then: Fenced,
}

impl Fence for Gate {
    fn check(&self) -> Result<(), Fenced> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        if asked < self.lets { Ok(()) } else { Err(self.then) }
    }
}

#[tokio::test]
async fn a_request_is_held_back_when_its_turn_comes_too_late() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let flashblade = bench.is_flashblade();
        let (wanted, resource, kind) = if flashblade {
            (file("prod-pvc-1", 1 << 30), "file-systems", "file systems")
        } else {
            (block("prod-pvc-1", 1 << 30), "volumes", "volumes")
        };
        let made = array.ensure(&wanted).await.expect("made");
        let changes = || bench.calls(Method::Patch, resource);
        for then in [Fenced::Expired, Fenced::NotLeading] {
            // The first request is answered with 429; meanwhile the decision has got old.
            let faults =
                json!([{"fault": {"throttled": {"retryAfter": 0}}, "method": "PATCH", "times": 1}]);
            bench.control("PUT", "/faults", faults).await;
            let before = changes();
            let gate = Arc::new(Gate { lets: 1, asked: AtomicUsize::new(0), then });
            let fence = Some(Arc::clone(&gate) as Arc<dyn Fence>);
            let guarded = array.only_if(OnlyIf { array_id: None, fence });
            let expected = if then == Fenced::Expired { "Expired" } else { "NotLeading" };
            assert_eq!(reason(guarded.destroy(&id(&made), &owner()).await), expected);
            assert_eq!(gate.asked.load(Ordering::SeqCst), 2, "once before each request");
            assert_eq!(changes() - before, 1, "nothing is sent after that");
            assert_eq!(bench.object(kind, "prod-pvc-1").await["destroyed"], false);
        }
        // Every kind of change is held back, and nothing that only reads.
        bench.control("PUT", "/faults", json!([])).await;
        let gate = Gate { lets: 0, asked: AtomicUsize::new(0), then: Fenced::NotLeading };
        let guarded = array.only_if(OnlyIf { array_id: None, fence: Some(Arc::new(gate)) });
        let suffix = pso_gen::contract::SnapshotSuffix::new("s1").expect("a suffix");
        let snapshot = array.snapshot(&id(&made), &suffix).await.expect("taken");
        let writes = bench.all_calls();
        let other = if flashblade { file("prod-pvc-2", 1) } else { block("prod-pvc-2", 1) };
        assert_eq!(reason(guarded.ensure(&other).await), "NotLeading");
        assert_eq!(reason(guarded.expand(&id(&made), 2 << 30).await), "NotLeading");
        assert_eq!(reason(guarded.snapshot(&id(&made), &suffix).await), "NotLeading");
        assert_eq!(reason(guarded.destroy_snapshot(&snapshot).await), "NotLeading");
        assert_eq!(reason(guarded.rename(&name("prod-pvc-1"), &name("x")).await), "NotLeading");
        assert_eq!(reason(guarded.list("prod-").await), "done");
        let reads = bench.all_calls() - writes;
        assert!(reads <= 3, "each reads once at most: {reads}");
    }
}

#[tokio::test]
async fn the_first_to_rename_is_the_only_one() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let wanted = if bench.is_flashblade() { file("a", 1 << 20) } else { block("a", 1 << 20) };
        array.ensure(&wanted).await.expect("made");
        assert_eq!(reason(array.rename(&name("a"), &name("b")).await), "done");
        assert_eq!(reason(array.rename(&name("a"), &name("c")).await), "Refused");
        let there = array.list("").await.expect("read");
        assert_eq!(there.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}

#[tokio::test]
async fn a_file_system_on_which_clients_work_is_not_destroyed() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let made = array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    let mounted = json!([{"fault": "mounted", "resource": "file-systems/performance"}]);
    bench.control("PUT", "/faults", mounted).await;
    let error = array.destroy(&id(&made), &owner()).await.expect_err("in use");
    assert_eq!(error.reason(), "InUse");
    assert!(error.to_string().ends_with("clients send 2.5 operations a second"), "{error}");
    assert_eq!(bench.object("file systems", "prod-pvc-1").await["destroyed"], false);
    // A user who may not look is no reason to keep it.
    let forbidden = json!([{"fault": "forbidden", "resource": "file-systems/performance"}]);
    bench.control("PUT", "/faults", forbidden).await;
    array.destroy(&id(&made), &owner()).await.expect("destroyed");
}

#[tokio::test]
async fn volumes_are_found_by_their_ids_whatever_becomes_of_them() {
    for bench in [Bench::flashblade().await, Bench::flasharray().await] {
        let array = bench.client();
        let (resource, wanted): (&str, fn(&str, u64) -> _) =
            if bench.is_flashblade() { ("file-systems", file) } else { ("volumes", block) };
        let mut ids = Vec::new();
        for number in 0..60 {
            let made = array.ensure(&wanted(&format!("prod-pvc-{number}"), 1 << 30)).await;
            ids.push(made.expect("made").id);
        }
        let change = async |name: &str, body: Json| {
            bench.send(Method::Patch, resource, &[("names", name)], body).await;
        };
        change("prod-pvc-0", json!({"name": "elsewhere"})).await;
        change("prod-pvc-1", json!({"destroyed": true})).await;
        change("prod-pvc-2", json!({"destroyed": true})).await;
        bench.send(Method::Delete, resource, &[("names", "prod-pvc-2")], Json::Null).await;
        ids.push("nothing' or name='prod-pvc-3".to_owned());
        let found = array.find(&ids).await.expect("found");
        assert_eq!(found.len(), 59, "all but one that is eradicated, and one that never was");
        let of = |id: &String| found.iter().find(|volume| volume.id == *id).expect("found");
        assert_eq!(of(&ids[0]).name, "elsewhere");
        let (destroyed, alive) = (of(&ids[1]), of(&ids[5]));
        assert!(destroyed.destroyed && destroyed.time_left.is_some_and(|left| left > 0));
        assert_eq!((alive.destroyed, alive.time_left), (false, None));
        assert_eq!(array.find(&[]).await.expect("nothing"), []);
    }
}

#[tokio::test]
async fn a_volume_that_a_host_has_is_given_to_no_new_claim() {
    let bench = Bench::flasharray().await;
    let array = bench.client();
    array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect("made");
    bench.send(Method::Post, "hosts", &[("names", "node-1")], json!({})).await;
    let query = [("host_names", "node-1"), ("volume_names", "prod-pvc-1")];
    bench.send(Method::Post, "connections", &query, json!({})).await;
    let error = array.ensure(&block("prod-pvc-1", 1 << 30)).await.expect_err("in use");
    assert_eq!(error.reason(), "InUse");
    assert!(error.to_string().contains("1 hosts are connected"), "{error}");
}

#[tokio::test]
async fn how_a_file_system_is_served_is_reported() {
    let bench = Bench::flashblade().await;
    let array = bench.client();
    let body = json!({
        "provisioned": 1 << 30, "writable": false,
        "nfs": {"v3_enabled": true, "v4_1_enabled": false, "rules": "10.20.0.0/16(rw)"},
    });
    bench.send(Method::Post, "file-systems", &[("names", "old")], body).await;
    let served = async || {
        let there = array.describe(&name("old")).await.expect("asked").expect("there");
        there.served.expect("a file system")
    };
    let reported = served().await;
    assert_eq!((reported.nfs.v3, reported.nfs.v4_1, reported.writable), (true, false, false));
    assert_eq!(reported.rules.as_deref(), Some("10.20.0.0/16(rw)"));
    // With an export policy, the rules are written there.
    bench.send(Method::Post, "nfs-export-policies", &[("names", "p")], json!({})).await;
    let body = json!({"nfs": {"export_policy": {"name": "p"}}});
    bench.send(Method::Patch, "file-systems", &[("names", "old")], body).await;
    assert_eq!(served().await.rules, None);
    // One of ours is put right.
    array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("made");
    let query = [("names", "prod-pvc-1")];
    bench.send(Method::Patch, "file-systems", &query, json!({"writable": false})).await;
    array.ensure(&file("prod-pvc-1", 1 << 30)).await.expect("put right");
    assert_eq!(bench.object("file systems", "prod-pvc-1").await["writable"], true);
}
