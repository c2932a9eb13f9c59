//! Stories of claims as people and clusters make them, each on a stage of its own.

use super::*;

/// Runs the control plane's own kubectl, and returns what it printed.
pub(super) fn kubectl(stage: &Stage, args: &[&str], input: &str) -> String {
    let project = env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let built = Command::new(Path::new(&project).join("tests/controlplane/build")).output();
    let built = String::from_utf8(built.expect("runs").stdout).expect("text");
    let mut kubectl = Command::new(built.trim())
        .args(["kubectl", "--kubeconfig"])
        .arg(&stage.kubeconfig)
        .args(args)
        .env("HOME", stage.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    kubectl.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = kubectl.wait_with_output().expect("ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns what pso-gen renders for a file, without kinds that this API server does not have.
fn rendered(stage: &Stage, path: &Path) -> Vec<Json> {
    let storage = stage.folder.path().join("storage.pso.yaml");
    let rendered = binary().arg("render").arg("--storage").arg(storage).arg(path).output();
    let rendered = rendered.expect("runs");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text = String::from_utf8(rendered.stdout).expect("text");
    let objects: Vec<Json> = serde_yaml::from_multiple(&text).expect("YAML");
    objects.into_iter().filter(|object| object["kind"] != "HTTPRoute").collect()
}

pub(super) fn as_list(objects: &[Json]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Sets what goes wrong in the simulator.
pub(crate) async fn faults(stage: &Stage, rules: Json) {
    let put = reqwest::Client::new().put(format!("{}/faults", stage.page)).json(&rules);
    assert!(put.send().await.expect("an answer").status().is_success());
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn the_apps_as_rendered_get_their_volumes() {
    let mut stage = Stage::open("apps").await;
    stage.start();
    let project = env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let mut expected = BTreeMap::new();
    for app in ["scratch", "nextcloud", "owncloud"] {
        let path = Path::new(&project).join(format!("examples/tiny/{app}.pso.yaml"));
        let objects = rendered(&stage, &path);
        kubectl(&stage, &["apply", "--server-side", "-f", "-"], &as_list(&objects));
        for claim in objects.iter().filter(|object| object["kind"] == "PersistentVolumeClaim") {
            let metadata = &claim["metadata"];
            let namespace = metadata["namespace"].as_str().unwrap_or("default");
            let name = metadata["name"].as_str().expect("a name");
            expected.insert(format!("{namespace}/{name}"), claim["spec"].clone());
        }
    }
    assert!(expected.len() >= 5, "{expected:?}");
    let claims = Api::<PersistentVolumeClaim>::all(stage.client.clone());
    let all = ListParams::default();
    let name = |claim: &PersistentVolumeClaim| {
        let meta = &claim.metadata;
        format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or("")
        )
    };
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        let bound = list.iter().filter(|claim| is_bound(claim)).map(name);
        bound.filter(|name| expected.contains_key(name)).count() == expected.len()
    };
    stage.until("every claim of the apps is bound", bound).await;
    let live = stage.on_arrays().await;
    assert_eq!(live.len(), expected.len());
    for claim in claims.list(&all).await.expect("listed").items {
        let Some(spec) = expected.get(&name(&claim)) else { continue };
        let own = stage.volumes().get(&format!("pvc-{}", uid(&claim))).await.expect("there");
        let own = own.spec.expect("a spec");
        assert_eq!(json!(own.access_modes), spec["accessModes"], "{}", name(&claim));
        assert_eq!(
            json!(claim.status.clone().expect("a status").access_modes),
            spec["accessModes"]
        );
        let size = spec["resources"]["requests"]["storage"].as_str().expect("a size");
        assert_eq!(own.capacity.expect("a capacity")["storage"].0, size, "{}", name(&claim));
        let bytes = pso_gen::contract::Quantity::parse(size).expect("a size").bytes();
        assert_eq!(live[&format!("demo-pvc-{}", claim.metadata.uid.expect("a UID"))], bytes);
        let is_block = spec["storageClassName"] == "pure-block";
        assert_eq!((own.csi.is_some(), own.nfs.is_some()), (is_block, !is_block));
    }
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn what_a_quota_refuses_is_not_there_and_the_rest_goes_on() {
    let mut stage = Stage::open("limited").await;
    stage.start();
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "pso-gen-storage", "namespace": "limited"},
        "spec": {"hard": {
            "pure-file.storageclass.storage.k8s.io/persistentvolumeclaims": "3",
            "pure-file.storageclass.storage.k8s.io/requests.storage": "4Gi",
        }},
    });
    kubectl(&stage, &["apply", "-f", "-"], &quota.to_string());
    let claims = stage.claims("limited");
    let post = PostParams::default();
    let known = async || {
        let quotas = Api::<ResourceQuota>::namespaced(stage.client.clone(), "limited");
        let quota = quotas.get("pso-gen-storage").await.expect("there");
        quota.status.is_some_and(|status| status.hard.is_some())
    };
    stage.until("the quota counts", known).await;
    for name in ["a", "b"] {
        claims.create(&post, &claim(name, "pure-file", "1Gi")).await.expect("made");
    }
    let refused = claims.create(&post, &claim("c", "pure-file", "3Gi")).await;
    assert!(refused.expect_err("too much").to_string().contains("exceeded quota"));
    claims.create(&post, &claim("d", "pure-block", "9Gi")).await.expect("another class");
    let all = ListParams::default();
    let bound = async |count| {
        let list = claims.list(&all).await.expect("listed").items;
        list.len() == count && list.iter().all(is_bound)
    };
    stage.until("three are bound", async || bound(3).await).await;
    // What is freed may be had again, and growth is limited too.
    let grow = json!({"spec": {"resources": {"requests": {"storage": "4Gi"}}}});
    let grown = claims.patch("a", &PatchParams::default(), &Patch::Merge(&grow)).await;
    assert!(grown.expect_err("too much").to_string().contains("exceeded quota"));
    claims.delete("b", &DeleteParams::default()).await.expect("deleted");
    let again = async || claims.create(&post, &claim("c", "pure-file", "3Gi")).await.is_ok();
    stage.until("there is room again", again).await;
    stage.until("three are bound again", async || bound(3).await).await;
    let settled = async || stage.on_arrays().await.len() == 3;
    stage.until("the arrays hold three volumes", settled).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn an_array_that_is_away_holds_up_nobody_else_and_comes_back() {
    let mut stage = Stage::open("away").await;
    faults(&stage, json!([{"fault": "refused", "array": "fa1"}])).await;
    stage.start();
    let claims = stage.claims("away");
    let post = PostParams::default();
    let broken = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "broken"},
        "provisioner": "pso-gen.io/provisioner", "parameters": {"backend": "tape"},
    });
    kubectl(&stage, &["apply", "-f", "-"], &broken.to_string());
    for number in 0..5 {
        for class in ["pure-block", "broken", "pure-file"] {
            let claim = claim(&format!("{class}-{number}"), class, "1Gi");
            claims.create(&post, &claim).await.expect("made");
        }
    }
    let all = ListParams::default();
    let bound = async |class: &str| {
        let list = claims.list(&all).await.expect("listed").items;
        let of = list.iter().filter(|claim| is_bound(claim));
        of.filter(|claim| claim.metadata.name.as_ref().is_some_and(|name| name.starts_with(class)))
            .count()
    };
    // Not one waits for what stays broken.
    stage.until("the others are bound", async || bound("pure-file").await == 5).await;
    let why = async |name: &str| {
        let events = Api::<Event>::namespaced(stage.client.clone(), "away");
        let list = events.list(&all).await.expect("listed").items;
        let of = list.iter().filter(|event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
                && event.reason.as_deref() == Some("ProvisioningFailed")
        });
        of.filter_map(|event| event.note.clone()).collect::<Vec<_>>()
    };
    let reported =
        async || !why("pure-block-0").await.is_empty() && !why("broken-0").await.is_empty();
    stage.until("both reasons are reported", reported).await;
    assert!(why("pure-block-0").await[0].contains("fa1"), "{:?}", why("pure-block-0").await);
    assert!(why("broken-0").await[0].contains("tape"), "{:?}", why("broken-0").await);
    // Another cause of the same reason is reported as well.
    faults(&stage, json!([{"fault": "forbidden", "array": "fa1"}])).await;
    let another = async || why("pure-block-0").await.len() > 1;
    stage.until("the next cause is reported", another).await;
    let notes: BTreeSet<String> = why("pure-block-0").await.into_iter().collect();
    assert!(notes.len() > 1, "{notes:?}");
    faults(&stage, json!([])).await;
    stage.until("the array is back", async || bound("pure-block").await == 5).await;
    assert_eq!(bound("broken").await, 0);
    assert_eq!(stage.on_arrays().await.len(), 10);
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_claim_is_deleted_and_made_again_at_every_moment() {
    let mut stage = Stage::open("again").await;
    stage.start();
    let claims = stage.claims("again");
    let post = PostParams::default();
    // From at once to long after it is bound, between and during its requests.
    for step in 0..40_u64 {
        let wanted = claim("data", ["pure-file", "pure-block"][usize::from(step % 2 == 1)], "1Gi");
        let made = async || claims.create(&post, &wanted).await.is_ok();
        stage.until("the name is free", made).await;
        let_pass(Duration::from_millis(step * 12)).await;
        claims.delete("data", &DeleteParams::default()).await.expect("deleted");
    }
    let last = claim("data", "pure-file", "2Gi");
    let made = async || claims.create(&post, &last).await.is_ok();
    stage.until("the name is free", made).await;
    let bound = async || is_bound(&claims.get("data").await.expect("there"));
    stage.until("the last one is bound", bound).await;
    let name = format!("demo-pvc-{}", uid(&claims.get("data").await.expect("there")));
    let only = async || stage.on_arrays().await == BTreeMap::from([(name.clone(), 2 << 30)]);
    stage.until("nothing is left of the others", only).await;
    let volumes = async || stage.own_volumes().await.len() == 1;
    stage.until("nor any PersistentVolume", volumes).await;
    assert!(!stage.event_reasons("again").await.contains("ClaimLost"));
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn what_is_settled_is_not_written_any_more() {
    let mut stage = Stage::open("quiet").await;
    stage.start();
    let claims = stage.claims("quiet");
    let post = PostParams::default();
    for number in 0..50 {
        let class = ["pure-file", "pure-block", "keep-file"][number % 3];
        let claim = claim(&format!("c{number}"), class, "1Gi");
        claims.create(&post, &claim).await.expect("made");
    }
    let all = ListParams::default();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        list.iter().all(is_bound)
    };
    stage.until("all are bound", bound).await;
    // Retained when its policy says so by now, whatever its class said.
    let keep = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    let name = format!("pvc-{}", uid(&claims.get("c0").await.expect("there")));
    let volumes = stage.volumes();
    volumes.patch(&name, &PatchParams::default(), &Patch::Merge(&keep)).await.expect("patched");
    for gone in ["c0", "c1", "c2"] {
        claims.delete(gone, &DeleteParams::default()).await.expect("deleted");
    }
    let kept =
        async || stage.on_arrays().await.len() == 49 && stage.own_volumes().await.len() == 49;
    stage.until("one of three is gone", kept).await;
    let phase = async || {
        let volume = volumes.get(&name).await.expect("kept");
        volume.status.and_then(|status| status.phase).as_deref() == Some("Released")
    };
    stage.until("what is kept is released", phase).await;
    // Kubernetes notes on each claim that no pod uses it, a while after the last one did.
    let_pass(Duration::from_secs(20)).await;
    let versions = async || {
        let claims = claims.list(&all).await.expect("listed").items;
        let claims = claims.into_iter().map(|claim| claim.metadata);
        let volumes = stage.own_volumes().await;
        let all = claims.chain(volumes.into_iter().map(|volume| volume.metadata));
        all.map(|meta| (meta.uid, meta.resource_version)).collect::<BTreeSet<_>>()
    };
    let events = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), "quiet");
        events.list(&all).await.expect("listed").items.len()
    };
    // No node of this cluster has the driver: each of the 16 claims of block volumes reports that once.
    let reported = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), "quiet");
        let events = events.list(&all).await.expect("listed").items;
        let of = |event: &&Event| event.reason.as_deref() == Some("NodeServiceMissing");
        events.iter().filter(of).count() == 16
    };
    stage.until("the missing node service is reported", reported).await;
    let before = (versions().await, events().await);
    // Nothing is written meanwhile: long enough for the arrays to be looked at again.
    let_pass(Duration::from_secs(40)).await;
    assert_eq!((versions().await, events().await), before);
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_goes_where_its_pod_can_reach_it() {
    let mut stage = Stage::open("zones").await;
    let path = stage.folder.path().join("storage.pso.yaml");
    let text = fs::read_to_string(&path).expect("text");
    let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
    for array in document["spec"]["arrays"].as_array_mut().expect("arrays") {
        let zone = if array["name"] == "fb2" { "b" } else { "a" };
        array["topology"] = json!({"topology.kubernetes.io/zone": zone});
    }
    document["spec"]["classes"] = json!({"first": {"like": "pure-file", "waitForPod": true}});
    fs::write(&path, document.to_string()).expect("written");
    let classes: Vec<Json> = rendered(&stage, &path)
        .into_iter()
        .filter(|object| object["metadata"]["name"] == "first")
        .collect();
    let nodes = ["a", "b"].map(|zone| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": format!("node-{zone}"), "labels": {"topology.kubernetes.io/zone": zone}},
        })
    });
    let zone = |zone: &str| {
        let label = json!({"key": "topology.kubernetes.io/zone", "values": [zone]});
        json!({"matchLabelExpressions": [label]})
    };
    assert_eq!(classes[0]["allowedTopologies"], json!([zone("a"), zone("b")]));
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&classes));
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&nodes));
    let capacity = json!({"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}}});
    for node in ["node-a", "node-b"] {
        let args = ["patch", "node", node, "--subresource=status", "-p", &capacity.to_string()];
        kubectl(&stage, &args, "");
    }
    stage.start();
    let claims = stage.claims("zones");
    let post = PostParams::default();
    claims.create(&post, &claim("waits", "first", "1Gi")).await.expect("made");
    // Its turn has come when one that was written later is served.
    claims.create(&post, &claim("next", "pure-file", "1Gi")).await.expect("made");
    let served = async || is_bound(&claims.get("next").await.expect("there"));
    stage.until("the next one is bound", served).await;
    claims.delete("next", &DeleteParams::default()).await.expect("deleted");
    let gone = async || stage.on_arrays().await.is_empty();
    stage.until("no pod, no volume", gone).await;
    let waits = claims.get("waits").await.expect("there");
    assert!(!is_bound(&waits), "no pod, no volume");
    // The node that was chosen is gone: the choice is given back, and nothing is begun.
    let key = "volume.kubernetes.io/selected-node";
    let mut ghost = claim("ghost", "first", "1Gi");
    ghost.metadata.annotations = Some([(key.to_owned(), "gone-node".to_owned())].into());
    claims.create(&post, &ghost).await.expect("made");
    let chosen = async || {
        let ghost = claims.get("ghost").await.expect("there");
        ghost.metadata.annotations.is_some_and(|all| all.contains_key(key))
    };
    stage.until("the scheduler chooses again", async || !chosen().await).await;
    assert!(stage.on_arrays().await.is_empty(), "nothing was begun");
    claims.delete("ghost", &DeleteParams::default()).await.expect("deleted");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first", "namespace": "zones"},
        "spec": {
            "nodeSelector": {"topology.kubernetes.io/zone": "b"}, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "a", "image": "example.com/none"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "waits"}}],
        },
    });
    kubectl(&stage, &["apply", "-f", "-"], &pod.to_string());
    let bound = async || is_bound(&claims.get("waits").await.expect("there"));
    stage.until("the claim is bound when its pod has a node", bound).await;
    let name = format!("pvc-{}", uid(&waits));
    let volume = stage.volumes().get(&name).await.expect("there");
    let array = &volume.metadata.annotations.as_ref().expect("annotated")["pso-gen.io/array"];
    assert_eq!(array, "fb2", "the only one that zone b reaches");
    let affinity = json!(volume.spec.expect("a spec").node_affinity);
    assert!(affinity.to_string().contains(r#""values":["b"]"#), "{affinity}");
    let events = kubectl(&stage, &["get", "events", "-n", "zones", "-o", "json"], "");
    assert!(events.contains("fb1: the pod's node does not reach it"), "{events}");
    let scheduled = async || {
        let pod = kubectl(&stage, &["get", "pod", "first", "-n", "zones", "-o", "json"], "");
        pod.contains(r#""nodeName": "node-b""#)
    };
    stage.until("and the pod goes there", scheduled).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_that_is_there_is_imported_and_never_destroyed() {
    let mut stage = Stage::open("old").await;
    stage.start();
    let claims = stage.claims("old");
    let post = PostParams::default();
    claims.create(&post, &claim("first", "keep-file", "2Gi")).await.expect("made");
    let is_bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    stage.until("a volume is made", async || is_bound("first").await).await;
    let (volume, array) = {
        let uid = uid(&claims.get("first").await.expect("there"));
        let own = stage.volumes().get(&format!("pvc-{uid}")).await.expect("there");
        let array = own.metadata.annotations.expect("annotated")["pso-gen.io/array"].clone();
        claims.delete("first", &DeleteParams::default()).await.expect("deleted");
        let released = async || {
            let own = stage.volumes().get(&format!("pvc-{uid}")).await.expect("kept");
            own.status.and_then(|status| status.phase).as_deref() == Some("Released")
        };
        stage.until("it is kept", released).await;
        // Removing a PersistentVolume with `Retain` lets go of the volume.
        let own = format!("pvc-{uid}");
        stage.volumes().delete(&own, &DeleteParams::default()).await.expect("deleted");
        (format!("demo-pvc-{uid}"), array)
    };
    let gone = async || stage.own_volumes().await.is_empty();
    stage.until("its PersistentVolume is gone", gone).await;
    assert_eq!(stage.on_arrays().await.get(&volume), Some(&(2 << 30)));

    stage.kill();
    let path = stage.folder.path().join("storage.pso.yaml");
    let text = fs::read_to_string(&path).expect("text");
    let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
    document["spec"]["imports"] =
        json!([{"namespace": "old", "claim": "again", "array": array, "volume": volume}]);
    fs::write(&path, document.to_string()).expect("written");
    stage.start();
    // Its class would have it destroyed.
    claims.create(&post, &claim("again", "pure-file", "1Gi")).await.expect("made");
    claims.create(&post, &claim("other", "pure-file", "1Gi")).await.expect("made");
    let both = async || is_bound("again").await && is_bound("other").await;
    stage.until("both are bound", both).await;
    let own = format!("pvc-{}", uid(&claims.get("again").await.expect("there")));
    let imported = stage.volumes().get(&own).await.expect("there").spec.expect("a spec");
    assert_eq!(imported.nfs.expect("NFS").path, format!("/{volume}"));
    assert_eq!(imported.persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
    assert_eq!(imported.capacity.expect("a capacity")["storage"].0, "2Gi", "what it has");
    assert_eq!(stage.on_arrays().await.len(), 2);
    // Not even when somebody says that it shall go.
    let delete = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
    let patch = Patch::Merge(&delete);
    stage.volumes().patch(&own, &PatchParams::default(), &patch).await.expect("patched");
    claims.delete("again", &DeleteParams::default()).await.expect("deleted");
    let reported = async || {
        let events = kubectl(&stage, &["get", "events", "-A", "-o", "json"], "");
        events.contains("was not made by this cluster, but imported")
    };
    stage.until("an event says that it stays", reported).await;
    assert_eq!(stage.on_arrays().await.get(&volume), Some(&(2 << 30)));
}
