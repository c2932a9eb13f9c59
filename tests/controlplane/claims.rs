//! Claims that people really have, against a real control plane: sizes of every form, the class by its old annotation,
//! sources and wishes that are refused, an import that no node could mount, a smaller request after an expansion that
//! has failed, volumes that people change on their arrays, and a cluster that was given another name.

use super::oncall::{ask, flashblade};
use super::stories::faults;
use super::*;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pso_gen::arrays::Array as _;
use pso_gen::contract::{
    ExportRule, NfsVersions, Owner, Squash, VolumeName, VolumeOptions, VolumeRequest,
};

/// Compares volumes with what the arrays have as often as a test can wait for it.
const COMPARES: [&str; 2] = ["--compare-every", "2"];

/// A claim of the class `pure-file` with further fields of its spec.
fn with(name: &str, size: &str, spec: &Json) -> PersistentVolumeClaim {
    let mut claim = serde_json::to_value(claim(name, "pure-file", size)).expect("JSON");
    let fields = spec.as_object().expect("fields").clone();
    claim["spec"].as_object_mut().expect("a spec").extend(fields);
    serde_json::from_value(claim).expect("typed")
}

fn storage_of(quantities: Option<&BTreeMap<String, Quantity>>) -> String {
    quantities.and_then(|all| all.get("storage")).map(|size| size.0.clone()).unwrap_or_default()
}

impl Stage {
    /// Returns what our events say of a claim, those of Kubernetes' own controllers aside.
    async fn words(&self, claim: &str) -> Vec<String> {
        let events = Api::<Event>::namespaced(self.client.clone(), &self.namespace);
        let list = events.list(&ListParams::default()).await.expect("listed");
        let about = |event: &Event| {
            let regarding = event.regarding.as_ref().and_then(|object| object.name.as_deref());
            let ours = event.reporting_controller.as_deref() == Some("pso-gen.io/provisioner");
            ours && regarding == Some(claim)
        };
        let own = list.items.into_iter().filter(about);
        own.map(|event| {
            format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default())
        })
        .collect()
    }

    async fn until_reported(&self, claim: &str, words: &str) {
        let reported = async || self.words(claim).await.iter().any(|text| text.contains(words));
        self.until(&format!("{claim} has the event {words:?}"), reported).await;
    }

    /// What is said of a claim's size on the claim, on its PersistentVolume and on the array.
    async fn sizes(&self, name: &str) -> (String, String, u64) {
        let claim = self.claims(&self.namespace).get(name).await.expect("there");
        let own = self.volumes().get(&format!("pvc-{}", uid(&claim))).await.expect("there");
        let on_array = self.on_arrays().await;
        let status = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
        (
            storage_of(status),
            storage_of(own.spec.and_then(|spec| spec.capacity).as_ref()),
            on_array.get(&format!("demo-pvc-{}", uid(&claim))).copied().unwrap_or_default(),
        )
    }

    async fn ask_for(&self, name: &str, size: &str) {
        let more = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let claims = self.claims(&self.namespace);
        let patched = claims.patch(name, &PatchParams::default(), &Patch::Merge(&more)).await;
        patched.expect("patched");
    }

    /// Changes the storage document, while no provisioner runs.
    fn write_storage(&self, change: impl Fn(&mut Json)) {
        let path = self.folder.path().join("storage.pso.yaml");
        let text = fs::read_to_string(&path).expect("text");
        let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
        change(&mut document["spec"]);
        fs::write(&path, document.to_string()).expect("written");
    }
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn claims_as_people_write_them() {
    let mut stage = Stage::open("people").await;
    let old = VolumeRequest {
        name: VolumeName::new("old-v3-only").expect("a name"),
        owner: Owner::default(),
        size: 2 << 30,
        source: None,
        details: VolumeOptions::File {
            exports: vec![ExportRule::new("10.0.0.0/8", false, Squash::None).expect("a rule")],
            nfs: NfsVersions { v3: true, v4_1: false },
        },
    };
    flashblade(&stage, "fb2").ensure(&old).await.expect("made");
    let import =
        json!([{"namespace": "people", "claim": "old3", "array": "fb2", "volume": "old-v3-only"}]);
    stage.write_storage(|spec| spec["imports"] = import.clone());
    stage.provisioner = Some(stage.spawn(&COMPARES));

    let mut legacy = claim("legacy", "pure-file", "1Gi");
    legacy.spec.as_mut().expect("a spec").storage_class_name = None;
    let key = "volume.beta.kubernetes.io/storage-class".to_owned();
    legacy.metadata.annotations = Some([(key, "pure-file".to_owned())].into());
    let claims = stage.claims("people");
    let group = "snapshot.storage.k8s.io";
    for claim in [
        claim("frac", "pure-file", "0.1Gi"),
        claim("block", "pure-block", "0.1Gi"),
        legacy,
        claim("old3", "pure-file", "1Gi"),
        with(
            "snap",
            "1Gi",
            &json!({"dataSource": {"apiGroup": group, "kind": "VolumeSnapshot", "name": "s"}}),
        ),
        with(
            "filled",
            "1Gi",
            &json!({"dataSourceRef": {"apiGroup": "example.com", "kind": "Backup", "name": "b"}}),
        ),
        with("picks", "1Gi", &json!({"selector": {"matchLabels": {"tier": "gold"}}})),
    ] {
        claims.create(&PostParams::default(), &claim).await.expect("made");
    }
    let bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    for name in ["frac", "block", "legacy"] {
        stage.until(&format!("{name} is bound"), async || bound(name).await).await;
    }
    // One size everywhere: whole bytes, and whole mebibytes on a FlashArray.
    let size = |text: &str, bytes| (text.to_owned(), text.to_owned(), bytes);
    assert_eq!(stage.sizes("frac").await, size("107374183", 107_374_183));
    assert_eq!(stage.sizes("block").await, size("103Mi", 103 << 20));
    let own = format!("pvc-{}", uid(&claims.get("legacy").await.expect("there")));
    let own = stage.volumes().get(&own).await.expect("there").spec.expect("a spec");
    assert_eq!(own.storage_class_name.as_deref(), Some("pure-file"));
    let (_, table, _) = ask(&stage, &["status", "people/legacy"]);
    assert!(table.contains("people/legacy") && table.contains("pure-file"), "{table}");
    stage.ask_for("frac", "1.1Gi").await;
    let grown = async || stage.sizes("frac").await == size("1181116007", 1_181_116_007);
    stage.until("it has grown to 1.1Gi", grown).await;

    // Refusals, each with its cause.
    let copy = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "frac"}});
    let copy = with("small", "1Gi", &copy);
    claims.create(&PostParams::default(), &copy).await.expect("made");
    stage.until_reported("small", "ask for 1181116007 or more").await;
    stage.until_reported("snap", "a VolumeSnapshot cannot be a source").await;
    stage.until_reported("picks", "remove the selector").await;
    stage.until_reported("old3", "old-v3-only on fb2 is served with NFS 3 alone").await;
    assert_eq!(stage.words("filled").await, [""; 0], "a populator's");
    for name in ["small", "snap", "filled", "picks", "old3"] {
        assert!(!bound(name).await, "{name}");
    }

    grows_less_after_an_expansion_that_failed(&stage).await;
    reports_what_is_done_by_hand(&stage).await;
    for word in stage.words("legacy").await.iter().chain(&stage.words("small").await) {
        assert!(!word.contains("https://"), "{word}");
    }
    stage.kill();
    stage.start();

    does_nothing_under_another_name(&mut stage).await;
    serves_as_soon_as_an_array_is_back(&stage).await;
}

/// Kubernetes takes a smaller request than one that has failed, and that one is met.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#recovering-from-failure-when-expanding-volumes>
async fn grows_less_after_an_expansion_that_failed(stage: &Stage) {
    let claims = stage.claims(&stage.namespace);
    let status = async || claims.get("frac").await.expect("there").status.unwrap_or_default();
    let full = json!({"fault": "limitReached", "method": "PATCH", "resource": "file-systems"});
    faults(stage, json!([full])).await;
    stage.ask_for("frac", "5Ti").await;
    stage.until_reported("frac", "VolumeResizeFailed").await;
    let begun = status().await;
    assert_eq!(storage_of(begun.allocated_resources.as_ref()), "5Ti");
    assert!(begun.allocated_resource_statuses.is_some_and(|all| all.contains_key("storage")));
    stage.ask_for("frac", "2Gi").await;
    faults(stage, json!([])).await;
    let size = ("2Gi".to_owned(), "2Gi".to_owned(), 2 << 30);
    let ended = async || {
        let status = status().await;
        status.allocated_resource_statuses.is_none_or(|all| all.is_empty())
            && storage_of(status.allocated_resources.as_ref()) == "2Gi"
            && stage.sizes("frac").await == size
    };
    stage.until("it has grown to the smaller size, and Kubernetes knows that", ended).await;
    stage.until_reported("frac", "the volume was expanded to 2Gi").await;
}

/// Volumes are renamed, destroyed and shrunk on their arrays, and are as before after a while, as after a restore.
async fn reports_what_is_done_by_hand(stage: &Stage) {
    let claims = stage.claims(&stage.namespace);
    let of =
        async |claim: &str| format!("demo-pvc-{}", uid(&claims.get(claim).await.expect("there")));
    let (legacy, frac, block) = (of("legacy").await, of("frac").await, of("block").await);
    let all = stage.objects(&["file systems", "volumes"]).await;
    let array = |volume: &str| {
        let (array, _) = all.iter().find(|(_, object)| object["name"] == volume).expect("on one");
        array.clone()
    };
    // Claim, what is done and what undoes it, what is said of it.
    let query = |resource: &str, name: &str| format!("{resource}?names={name}");
    let (files, destroyed) = ("file-systems", json!({"destroyed": true}));
    let by_hand = [
        (
            "legacy",
            [query(files, &legacy), query(files, "mine")],
            [json!({"name": "mine"}), json!({"name": legacy})],
            "is called mine now",
        ),
        (
            "frac",
            [query(files, &frac), query(files, &frac)],
            [destroyed, json!({"destroyed": false})],
            "eradicates it in",
        ),
        (
            "block",
            [format!("{}&truncate=true", query("volumes", &block)), query("volumes", &block)],
            [json!({"provisioned": 50 << 20}), json!({"provisioned": 103 << 20})],
            "has 50Mi, and its PersistentVolume says 103Mi",
        ),
    ];
    let volumes = [("legacy", &legacy), ("frac", &frac), ("block", &block)];
    let arrays: BTreeMap<&str, String> =
        volumes.into_iter().map(|(claim, volume)| (claim, array(volume))).collect();
    for (claim, [path, _], [change, _], _) in &by_hand {
        change_by_hand(stage, &arrays[claim], path, change).await;
    }
    let (code, table, _) = ask(stage, &["status"]);
    for (claim, _, _, said) in &by_hand {
        let line = table.lines().find(|line| line.contains(&format!("people/{claim}: ")));
        assert!(code == 1 && line.is_some_and(|line| line.contains(said)), "{claim}: {table}");
        stage
            .until_reported(
                claim,
                &format!(
                    "VolumeConditionAbnormal: its volume {}",
                    volumes.iter().find(|(each, _)| each == claim).expect("one of them").1
                ),
            )
            .await;
        stage.until_reported(claim, said).await;
    }
    for (claim, [_, path], [_, change], _) in &by_hand {
        change_by_hand(stage, &arrays[claim], path, change).await;
    }
    for (claim, volume) in volumes {
        let said = format!("VolumeConditionNormal: its volume {volume} on {}", arrays[claim]);
        stage.until_reported(claim, &said).await;
    }
    let (_, table, _) = ask(stage, &["status"]);
    for (claim, _) in volumes {
        assert!(!table.contains(&format!("people/{claim}: ")), "{table}");
    }
}

/// Changes an object of an array by its REST API, as a storage admin does.
async fn change_by_hand(stage: &Stage, array: &str, path: &str, change: &Json) {
    let text = fs::read_to_string(stage.folder.path().join("storage.pso.yaml")).expect("text");
    let document: Json = serde_yaml::from_str(&text).expect("YAML");
    let arrays = document["spec"]["arrays"].as_array().expect("arrays");
    let array = arrays.iter().find(|each| each["name"] == array).expect("in the document");
    let token = stage.folder.path().join(array["token"]["file"].as_str().expect("a file"));
    let token = fs::read_to_string(token).expect("text");
    // Whose certificate it is has no bearing here.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build();
    let client = client.expect("a client");
    let base = format!("https://{}/api", array["management"].as_str().expect("an address"));
    let versions = client.get(format!("{base}/api_version")).send().await.expect("an answer");
    let versions: Json = versions.json().await.expect("JSON");
    let versions = versions.get("versions").or_else(|| versions.get("version"));
    let newest = versions.and_then(|all| all.as_array()?.last()?.as_str().map(str::to_owned));
    let newest = newest.expect("versions");
    let login =
        if array["type"] == "FlashArray" { format!("{newest}/login") } else { "login".to_owned() };
    let login = client.post(format!("{base}/{login}")).header("api-token", token.trim());
    let login = login.send().await.expect("an answer");
    let session = login.headers()["x-auth-token"].clone();
    let changed = client.patch(format!("{base}/{newest}/{path}")).header("x-auth-token", session);
    let changed = changed.json(change).send().await.expect("an answer");
    assert!(changed.status().is_success(), "{path}: {:?}", changed.text().await);
}

/// The storage document has another name for the cluster, for a while.
async fn does_nothing_under_another_name(stage: &mut Stage) {
    stage.kill();
    stage.write_storage(|spec| spec["cluster"] = json!("renamed"));
    let claims = stage.claims(&stage.namespace);
    let bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    claims.create(&PostParams::default(), &claim("late", "pure-file", "1Gi")).await.expect("made");
    let before = stage.on_arrays().await;
    stage.start();
    let refused = async || {
        let log = fs::read_to_string(stage.log()).unwrap_or_default();
        log.contains("write `cluster: demo` again")
    };
    stage.until("the other name is refused", refused).await;
    // Nothing is done meanwhile.
    let_pass(Duration::from_secs(5)).await;
    assert!(!bound("late").await && stage.on_arrays().await == before);
    stage.kill();
    stage.write_storage(|spec| spec["cluster"] = json!("demo"));
    stage.start();
    stage.until("the last one is bound", async || bound("late").await).await;
}

/// An array is away for long enough that the next try of a claim is a minute ahead: it is served as soon as the
/// array is back.
async fn serves_as_soon_as_an_array_is_back(stage: &Stage) {
    let claims = stage.claims(&stage.namespace);
    let bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    let away = json!([{"fault": "forbidden", "array": "fa1", "resource": "arrays/space"}]);
    faults(stage, away).await;
    let away = async || {
        let log = fs::read_to_string(stage.log()).unwrap_or_default();
        log.lines().any(|line| line.contains("array is unreachable") && line.contains("fa1"))
    };
    stage.until("fa1 is away", away).await;
    let waits = claim("waits", "pure-block", "1Gi");
    claims.create(&PostParams::default(), &waits).await.expect("made");
    stage.until_reported("waits", "no array takes it: fa1").await;
    // By the provisioner's clock tries come after 1, 3, 7, 15, 31, 63 and 127 seconds, or a quarter sooner: the next
    // one is a while ahead.
    let_pass(Duration::from_secs(66)).await;
    faults(stage, json!([])).await;
    // The provisioner looks at an array that is away every 30 seconds of its clock.
    let back = Instant::now();
    stage.until("it is bound", async || bound("waits").await).await;
    assert!(back.elapsed() < Duration::from_secs(35), "{:?}", back.elapsed());
}
