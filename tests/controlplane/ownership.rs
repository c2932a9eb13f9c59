//! Stories of data that must not be lost: a volume that an admin saves while its end is under way, two clusters of
//! one name, two provisioners of one cluster, a volume that somebody destroys on its array.

use pso_gen::provisioner::decide::REGISTRATION_GRACE;

use super::oncall::{ask, flashblade};
use super::stories::faults;
use super::stories::kubectl;
use super::*;

/// Merges a change into a PersistentVolume, as `kubectl patch` does.
async fn patch(stage: &Stage, name: &str, change: Json) {
    let patch = Patch::Merge(change);
    stage.volumes().patch(name, &PatchParams::default(), &patch).await.expect("patched");
}

impl Stage {
    /// Puts another cluster's PersistentVolumes into this one, as a backup does. Returns the UIDs of the claims that
    /// they were made for.
    async fn restore(&self, from: &Self) -> Vec<String> {
        let mut uids = Vec::new();
        for mut volume in from.own_volumes().await {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            uids.extend(claim.and_then(|claim| claim.uid.clone()));
            volume.metadata.uid = None;
            volume.metadata.resource_version = None;
            volume.status = None;
            self.volumes().create(&PostParams::default(), &volume).await.expect("restored");
        }
        uids
    }

    /// Destroys a file system on its array, as somebody at the array does.
    async fn destroy_by_hand(&self, name: &str) {
        use pso_gen::arrays::Array as _;
        use pso_gen::contract::Owner;
        let name = pso_gen::contract::VolumeName::new(name).expect("a name");
        for array in ["fb1", "fb2"] {
            let array = flashblade(self, array);
            if let Some(there) = array.describe(&name).await.expect("an answer") {
                let volume = there.volume_id().expect("a name of ours");
                array.destroy(&volume, &Owner::default()).await.expect("destroyed");
            }
        }
    }
}

fn phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status.and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Returns the first object of every array that matches, by its time of creation in milliseconds.
fn first_of(objects: &[(String, Json)], is: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut first = BTreeMap::new();
    for (array, object) in objects {
        if is(object["name"].as_str().expect("a name")) {
            let created = object["created"].as_u64().expect("a time");
            let earliest = first.entry(array.clone()).or_insert(created);
            *earliest = created.min(*earliest);
        }
    }
    first
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn no_volume_is_created_before_the_cluster_is_registered() {
    let mut stage = Stage::open("first").await;
    // Both FlashBlades reject the requests that would register the cluster, for longer than one check waits.
    let busy = json!([{
        "fault": {"throttled": {"retryAfter": 30}}, "method": "POST", "resource": "file-systems", "times": 2,
    }]);
    faults(&stage, busy).await;
    stage.start();
    let claims = stage.claims("first");
    for name in ["a", "b", "c"] {
        claims
            .create(&PostParams::default(), &claim(name, "pure-file", "1Gi"))
            .await
            .expect("made");
    }
    let all_bound = async || {
        let all = claims.list(&ListParams::default()).await.expect("listed").items;
        all.iter().all(is_bound)
    };
    stage.until("the claims are bound", all_bound).await;
    let objects = stage.objects(&["file systems"]).await;
    let registered = first_of(&objects, |name| name.contains("-is-"));
    let volumes = first_of(&objects, |name| name.contains("-pvc-"));
    assert!(!volumes.is_empty());
    for (array, created) in volumes {
        assert!(
            registered.get(&array).is_some_and(|first| *first <= created),
            "{array}: {objects:?}"
        );
    }
    let log = fs::read_to_string(stage.log()).expect("a log");
    assert!(!log.contains("another provisioner"), "{log}");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_that_an_admin_saves_while_its_end_waits_is_kept() {
    let mut stage = Stage::open("saved").await;
    stage.start();
    let claims = stage.claims("saved");
    let post = PostParams::default();
    claims.create(&post, &claim("data", "pure-file", "1Gi")).await.expect("made");
    let bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    stage.until("the claim is bound", async || bound("data").await).await;
    let own = uid(&claims.get("data").await.expect("there"));
    let name = format!("pvc-{own}");

    // The array is busy for longer than a decision is valid: the request that destroys waits.
    let busy = json!([{
        "fault": {"throttled": {"retryAfter": 20}}, "method": "PATCH", "resource": "file-systems", "times": 1,
    }]);
    stories::faults(&stage, busy).await;
    claims.delete("data", &DeleteParams::default()).await.expect("deleted");
    let waits = async || {
        fs::read_to_string(stage.log()).unwrap_or_default().contains("\"destroy\"") || {
            let volume = stage.volumes().get_opt(&name).await.expect("an answer");
            volume.is_some_and(|volume| volume.metadata.deletion_timestamp.is_some())
        }
    };
    stage.until("its end is under way", waits).await;
    patch(&stage, &name, json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})).await;
    let gone = async || stage.volumes().get_opt(&name).await.expect("an answer").is_none();
    stage.until("the PersistentVolume goes", gone).await;
    // Nothing is destroyed meanwhile: the array is there again, and whatever waited has had its turn.
    let_pass(Duration::from_secs(30)).await;
    assert!(stage.on_arrays().await.contains_key(&format!("demo-{name}")), "the volume is kept");

    // Before its end begins, it may be given to another claim, and is served there like any other.
    claims.create(&post, &claim("other", "pure-file", "1Gi")).await.expect("made");
    stage.until("the other claim is bound", async || bound("other").await).await;
    let name = format!("pvc-{}", uid(&claims.get("other").await.expect("there")));
    patch(&stage, &name, json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})).await;
    claims.delete("other", &DeleteParams::default()).await.expect("deleted");
    let released = async || phase(&stage.volumes().get(&name).await.expect("there")) == "Released";
    stage.until("it is released", released).await;
    patch(&stage, &name, json!({"spec": {"claimRef": null}})).await;
    let mut heir = claim("heir", "pure-file", "1Gi");
    heir.spec.get_or_insert_default().volume_name = Some(name.clone());
    claims.create(&post, &heir).await.expect("made");
    stage.until("the heir is bound", async || bound("heir").await).await;
    let grown = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims.patch("heir", &PatchParams::default(), &Patch::Merge(grown)).await.expect("patched");
    let volume = format!("demo-{name}");
    let larger = async || stage.on_arrays().await.get(&volume) == Some(&(3 << 30));
    stage.until("it has grown", larger).await;
    patch(&stage, &name, json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})).await;
    claims.delete("heir", &DeleteParams::default()).await.expect("deleted");
    let gone = async || !stage.on_arrays().await.contains_key(&volume);
    stage.until("it goes with its last claim", gone).await;
}

#[tokio::test]
#[ignore = "starts two control planes"]
async fn a_second_cluster_of_a_name_touches_nothing_until_it_takes_over() {
    let mut one = Stage::open_with("mine", Some("")).await;
    one.start();
    let post = PostParams::default();
    for name in ["a", "b"] {
        let class = if name == "a" { "pure-file" } else { "pure-block" };
        one.claims("mine").create(&post, &claim(name, class, "1Gi")).await.expect("made");
    }
    let bound = async |stage: &Stage, name: &str| {
        is_bound(&stage.claims(&stage.namespace).get(name).await.expect("there"))
    };
    for name in ["a", "b"] {
        one.until("the claims are bound", async || bound(&one, name).await).await;
    }
    let there = one.on_arrays().await;
    assert_eq!(there.len(), 2);

    // The same document in a second cluster, and the same PersistentVolumes, restored from a backup.
    let mut other = one.neighbour("mine", "demo").await;
    let uids = other.restore(&one).await;
    other.start();
    let claims = other.claims("mine");
    claims.create(&post, &claim("new", "pure-file", "1Gi")).await.expect("made");
    let reported = async || other.event_reasons("mine").await.contains("ProvisioningFailed");
    other.until("an event says why there is no volume", reported).await;
    let log = fs::read_to_string(other.log()).expect("a log");
    assert!(log.contains("is registered on this array by cluster"), "{log}");
    for uid in &uids {
        let released = async || {
            let volume = other.volumes().get_opt(&format!("pvc-{uid}")).await;
            volume.expect("an answer").is_some_and(|volume| phase(&volume) == "Released")
        };
        other.until("Kubernetes releases what has no claim", released).await;
    }
    let (code, table, _) = ask(&other, &["status"]);
    assert_eq!(code, 1, "{table}");
    assert!(table.contains("is registered on this array by cluster"), "{table}");
    // Of the first cluster's volumes the second knows one no more: that is no orphan of its.
    other
        .volumes()
        .delete(&format!("pvc-{}", uids[0]), &DeleteParams::default())
        .await
        .expect("deleted");
    let volume = format!("demo-pvc-{}", uids[0]);
    let orphan = ["orphans", "--destroy", &volume, "--older-than", "0"];
    let (code, done, words) = ask(&other, &orphan);
    assert_eq!((code, done.as_str()), (1, ""), "{words}");
    // Nothing is made or destroyed meanwhile.
    let_pass(REGISTRATION_GRACE + Duration::from_secs(15)).await;
    assert_eq!(one.on_arrays().await, there, "nothing was made or destroyed");
    // Some of its claims are for block volumes, which a node has to mount.
    let node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node-a"},
        "spec": {"drivers": [{"name": "pso-gen.io", "nodeID": "node-a"}]},
    });
    kubectl(&one, &["apply", "-f", "-"], &node.to_string());
    let (code, table, _) = ask(&one, &["status"]);
    assert_eq!(code, 0, "the first cluster is well: {table}");

    // The first one is gone for good: the second takes over.
    one.kill();
    other.kill();
    let found = table_of(&log);
    let storage = other.folder.path().join("storage.pso.yaml");
    let mut document: Json =
        serde_yaml::from_str(&fs::read_to_string(&storage).expect("text")).expect("YAML");
    document["spec"]["takeOver"] = json!([found]);
    fs::write(&storage, document.to_string()).expect("written");
    other.start();
    other.until("its claim is bound", async || bound(&other, "new").await).await;
    let gone = async || {
        let left = other.on_arrays().await;
        uids[1..].iter().all(|uid| !left.contains_key(&format!("demo-pvc-{uid}")))
    };
    other.until("what was released is destroyed, by its heir", gone).await;
}

/// The identity that a refusal names.
fn table_of(log: &str) -> String {
    let words = log.split("takeOver: [").nth(1).expect("the remedy");
    words.chars().skip_while(|c| !c.is_ascii_hexdigit()).take(16).collect()
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn of_two_provisioners_of_one_cluster_neither_destroys() {
    // As after an etcd that was restored beside the running one: the identity is the same.
    let mut stage = Stage::open("twice").await;
    stage.start();
    let claims = stage.claims("twice");
    claims.create(&PostParams::default(), &claim("data", "pure-file", "1Gi")).await.expect("made");
    let bound = async || is_bound(&claims.get("data").await.expect("there"));
    stage.until("the claim is bound", bound).await;
    let copy = stage.spawn(&["--listen", "127.0.0.1:0"]);
    let noticed = async || {
        let log = fs::read_to_string(stage.log()).unwrap_or_default();
        log.contains("another provisioner of this cluster's identity has registered")
    };
    stage.until("it is noticed", noticed).await;
    claims.delete("data", &DeleteParams::default()).await.expect("deleted");
    // Nothing is destroyed meanwhile.
    let_pass(REGISTRATION_GRACE + Duration::from_secs(15)).await;
    assert_eq!(stage.on_arrays().await.len(), 1, "nothing is destroyed");
    let failed = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), "default");
        let events = events.list(&ListParams::default()).await.expect("listed").items;
        events.iter().any(|event| event.reason.as_deref() == Some("VolumeFailedDelete"))
    };
    stage.until("an event says why", failed).await;
    drop(copy);
    let gone = async || stage.on_arrays().await.is_empty();
    stage.until("the one that is left destroys what is released", gone).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_bound_volume_that_is_destroyed_on_its_array_is_reported() {
    let mut stage = Stage::open("missing").await;
    let claims = stage.claims("missing");
    claims.create(&PostParams::default(), &claim("data", "pure-file", "1Gi")).await.expect("made");
    stage.provisioner = Some(stage.spawn(&["--compare-every", "2"]));
    let bound = async || is_bound(&claims.get("data").await.expect("there"));
    stage.until("the claim is bound", bound).await;
    let volume = format!("demo-pvc-{}", uid(&claims.get("data").await.expect("there")));
    stage.destroy_by_hand(&volume).await;
    let (code, table, _) = ask(&stage, &["status"]);
    assert_eq!(code, 1, "{table}");
    assert!(
        table.contains(&format!(
            "problem: claim missing/data: its volume {volume} is destroyed on fb"
        )),
        "{table}"
    );
    let reported =
        async || stage.event_reasons("missing").await.contains("VolumeConditionAbnormal");
    stage.until("the next comparison reports it", reported).await;
}
