//! Volumes of Pure Service Orchestrator and Portworx become those of claims of ours, as `docs/migrate.md` says.

use super::stories::{as_list, kubectl};
use super::*;

/// A migration: what one old driver leaves, and what it was configured with.
struct Rehearsal {
    /// The driver's name, and how names of its volumes begin.
    driver: &'static str,
    prefix: &'static str,
    /// Its StorageClasses.
    classes: Vec<Json>,
    volumes: Vec<Old>,
    /// The file with its configuration, for addresses and tokens of `fb1` and `fa1`.
    config: fn(&(String, String), &(String, String)) -> Json,
    /// Further arguments of `import-pso`.
    arguments: &'static [&'static str],
    /// The name of the cluster that follows.
    cluster: &'static str,
}

/// A volume of an old driver.
struct Old {
    claim: &'static str,
    array: &'static str,
    class: &'static str,
    nfs3: bool,
    uid: String,
}

impl Rehearsal {
    fn volume(&self, old: &Old) -> String {
        format!("{}-pvc-{}", self.prefix, old.uid)
    }
}

fn old(number: u32, claim: &'static str, array: &'static str, class: &'static str) -> Old {
    let uid = format!("00000000-0000-4000-8000-{number:012}");
    Old { claim, array, class, nfs3: class.contains("nfs3"), uid }
}

/// A StorageClass of an old driver.
fn old_class(name: &str, provisioner: &str, backend: &str, mounts: &[&str]) -> Json {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "parameters": {"backend": backend}, "mountOptions": mounts,
        "allowVolumeExpansion": true,
    })
}

/// Asks an array of the simulator, and returns its answer.
fn array(stage: &Stage, array: &str, method: &str, path: &str, body: &str) -> Json {
    let (url, token) = endpoint(stage, array);
    let login = if array.starts_with("fb") { "/api/login" } else { "/api/2.26/login" };
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--cacert"]);
        curl.arg(stage.folder.path().join("storage.ca.pem")).args(more);
        let output = curl.output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{more:?}: {text}");
        text
    };
    let token = format!("api-token: {token}");
    let headers =
        curl(&["-X", "POST", "-D", "-", "-o", "/dev/null", "-H", &token, &format!("{url}{login}")]);
    let session = headers.lines().find(|line| line.to_lowercase().starts_with("x-auth-token:"));
    let session = session.expect("a session").trim();
    let kind = if array.starts_with("fb") { "2.15" } else { "2.26" };
    let url = format!("{url}/api/{kind}/{path}");
    let json = "Content-Type: application/json";
    let mut more = vec!["-X", method, "-H", session, "-H", json];
    if !body.is_empty() {
        more.extend(["--data", body]);
    }
    more.push(&url);
    serde_json::from_str(&curl(&more)).expect("JSON")
}

/// Returns address and token of an array of the storage document.
fn endpoint(stage: &Stage, array: &str) -> (String, String) {
    let text = fs::read_to_string(stage.folder.path().join("storage.pso.yaml")).expect("text");
    let document: Json = serde_yaml::from_str(&text).expect("YAML");
    let arrays = document["spec"]["arrays"].as_array().expect("arrays");
    let found = arrays.iter().find(|entry| entry["name"] == array).expect("listed");
    let token = found["token"]["file"].as_str().expect("a file");
    let token = fs::read_to_string(stage.folder.path().join(token)).expect("a token");
    let address = found["management"].as_str().expect("an address");
    (format!("https://{address}"), token.trim().to_owned())
}

/// Makes the old volumes on the arrays, and returns their claims and PersistentVolumes, as the old drivers leave
/// them.
fn old_objects(stage: &Stage, rehearsal: &Rehearsal) -> Vec<Json> {
    let mut objects = Vec::new();
    for old in &rehearsal.volumes {
        let Old { claim, array: at, class, nfs3, uid } = old;
        let volume = rehearsal.volume(old);
        let file = *at == "fb1";
        let (path, body) = if file {
            let nfs =
                json!({"v3_enabled": nfs3, "v4_1_enabled": !nfs3, "rules": "*(rw,no_root_squash)"});
            ("file-systems", json!({"provisioned": 2_u64 << 30, "nfs": nfs}))
        } else {
            ("volumes", json!({"provisioned": 2_u64 << 30}))
        };
        array(stage, at, "POST", &format!("{path}?names={volume}"), &body.to_string());
        let (backend, mode) =
            if file { ("file", "ReadWriteMany") } else { ("block", "ReadWriteOnce") };
        // Portworx has numbers of its own for volumes.
        let px = rehearsal.driver != "pure-csi";
        let handle = if px { format!("8599410203565{:>05}", &uid[31..]) } else { volume };
        let backend = if px { format!("pure_{backend}") } else { backend.to_owned() };
        let mut spec = json!({
            "accessModes": [mode], "capacity": {"storage": "2Gi"}, "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": stage.namespace, "name": claim},
            "csi": {"driver": rehearsal.driver, "volumeHandle": handle, "volumeAttributes": {"backend": backend}},
        });
        if *nfs3 {
            spec["mountOptions"] = json!(["nfsvers=3"]);
        }
        objects.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pvc-{uid}")},
            "spec": spec,
        }));
        objects.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": stage.namespace},
            "spec": {
                "accessModes": [mode], "storageClassName": class, "volumeName": format!("pvc-{uid}"),
                "resources": {"requests": {"storage": "2Gi"}},
            },
        }));
    }
    objects
}

/// An object as it was read, ready to be created again: what the page says to remove is removed.
fn again(mut object: Json) -> Json {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "finalizers", "creationTimestamp", "managedFields"]
        {
            metadata.remove(field);
        }
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        // With these, Kubernetes takes the claim for one that has lost its volume.
        annotations.remove("pv.kubernetes.io/bind-completed");
        annotations.remove("pv.kubernetes.io/bound-by-controller");
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(claim) = object["spec"]["claimRef"].as_object_mut() {
        claim.remove("uid");
        claim.remove("resourceVersion");
    }
    object
}

/// Goes through `docs/migrate.md` with the volumes of one driver, there and back.
#[expect(clippy::too_many_lines, reason = "the page's steps, one after the other")]
async fn rehearse(namespace: &str, rehearsal: &Rehearsal) {
    let mut stage = Stage::open(namespace).await;
    let olds = &rehearsal.volumes;
    let on_array = |stage: &Stage, old: &Old| {
        let kind = if old.array == "fb1" { "file-systems" } else { "volumes" };
        let path = format!("{kind}?names={}", rehearsal.volume(old));
        array(stage, old.array, "GET", &path, "")["items"][0].clone()
    };
    // The old driver's cluster: its classes, claims and volumes.
    kubectl(&stage, &["delete", "storageclass", "pure-file", "pure-block"], "");
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&rehearsal.classes));
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&old_objects(&stage, rehearsal)));
    let claims = stage.claims(namespace);
    let all_bound = async || {
        let all = claims.list(&ListParams::default()).await.expect("listed").items;
        all.len() == olds.len() && all.iter().all(is_bound)
    };
    stage.until("the old claims are bound", all_bound).await;
    let before: Vec<Json> = olds.iter().map(|old| on_array(&stage, old)).collect();

    // 1. The storage document.
    let folder = tempfile::tempdir().expect("a folder");
    let dump = kubectl(&stage, &["get", "pv,sc", "-o", "json"], "");
    fs::write(folder.path().join("dump.json"), dump).expect("written");
    let [blade, flash] = ["fb1", "fa1"].map(|name| endpoint(&stage, name));
    let config = (rehearsal.config)(&blade, &flash);
    fs::write(folder.path().join("config.yaml"), config.to_string()).expect("written");
    let mut import = binary();
    import.current_dir(folder.path()).args(["import-pso", "config.yaml", "--volumes", "dump.json"]);
    let output = import.args(["--nodes", "10.0.0.0/8"]).args(rehearsal.arguments).output();
    let output = output.expect("runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let number = olds.len();
    assert!(
        words.contains(&format!("{number} PersistentVolumes have the reclaim policy Delete")),
        "{words}"
    );
    assert!(
        words.contains(&format!("{number} volumes to import, 0 that need a decision")),
        "{words}"
    );
    let written = fs::read_to_string(folder.path().join("storage.pso.yaml")).expect("written");
    for token in [&blade.1, &flash.1] {
        assert!(!words.contains(token) && !written.contains(token), "a token got out");
    }
    // The simulated arrays are known by a certificate of their own; else the document is as it was written.
    let written: Json = serde_yaml::from_str(&written).expect("YAML");
    let path = stage.folder.path().join("storage.pso.yaml");
    let mut document: Json =
        serde_yaml::from_str(&fs::read_to_string(&path).expect("text")).expect("YAML");
    assert_eq!(
        written["spec"]["cluster"], rehearsal.cluster,
        "names of the old driver are not ours"
    );
    for field in ["cluster", "imports", "nodes", "classes"] {
        if !written["spec"][field].is_null() {
            document["spec"][field] = written["spec"][field].clone();
        }
    }
    fs::write(&path, document.to_string()).expect("written");

    // 2. and 3.: keep the volumes, replace the classes, delete claims and PersistentVolumes.
    let retain = r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}"#;
    let mut way_back = rehearsal.classes.clone();
    for old in olds {
        let pv = format!("pvc-{}", old.uid);
        kubectl(&stage, &["patch", "pv", &pv, "-p", retain], "");
        for what in [&["pv", &pv][..], &["pvc", old.claim, "-n", namespace]] {
            let kept = kubectl(&stage, &[&["get", "-o", "json"], what].concat(), "");
            way_back.push(again(serde_json::from_str(&kept).expect("JSON")));
        }
    }
    let names: Vec<&str> =
        rehearsal.classes.iter().filter_map(|class| class["metadata"]["name"].as_str()).collect();
    kubectl(&stage, &[&["delete", "storageclass"], names.as_slice()].concat(), "");
    let rendered = binary().arg("render").arg(&path).output().expect("runs");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    kubectl(&stage, &["apply", "-f", "-"], &String::from_utf8_lossy(&rendered.stdout));
    for old in olds {
        kubectl(&stage, &["delete", "pvc", old.claim, "-n", namespace], "");
        kubectl(&stage, &["delete", "pv", &format!("pvc-{}", old.uid)], "");
    }
    let mut orphans = binary();
    orphans.args(["orphans", "--older-than", "0", "--storage"]).arg(&path).arg("--kubeconfig");
    let output = orphans.arg(&stage.kubeconfig).output().expect("runs");
    let list = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "they have no owner, and yet they are not ours to destroy: {list}"
    );
    stage.start();
    for old in olds {
        let mut new = claim(old.claim, old.class, "2Gi");
        let mode = if old.array == "fb1" { "ReadWriteMany" } else { "ReadWriteOnce" };
        new.spec.get_or_insert_default().access_modes = Some(vec![mode.to_owned()]);
        claims.create(&PostParams::default(), &new).await.expect("made");
    }
    stage.until("the new claims are bound", all_bound).await;
    let unchanged = |stage: &Stage| {
        for (old, before) in olds.iter().zip(&before) {
            let now = on_array(stage, old);
            for field in ["id", "name", "provisioned", "created", "destroyed"] {
                assert_eq!(now[field], before[field], "{}: {field}", old.claim);
            }
        }
    };
    unchanged(&stage);
    let mut new = Vec::new();
    for old in olds {
        let bound = claims.get(old.claim).await.expect("there").spec.expect("a spec").volume_name;
        let volume = stage.volumes().get(&bound.expect("a name")).await.expect("there");
        let annotations = volume.metadata.annotations.expect("annotated");
        assert_eq!(annotations["pso-gen.io/volume"], rehearsal.volume(old), "{}", old.claim);
        let spec = volume.spec.expect("a spec");
        assert_eq!(
            spec.persistent_volume_reclaim_policy.as_deref(),
            Some("Retain"),
            "{}",
            old.claim
        );
        let mounts = spec.mount_options.unwrap_or_default();
        assert_eq!(mounts.contains(&"nfsvers=3".to_owned()), old.nfs3, "{}: {mounts:?}", old.claim);
        new.push(volume.metadata.name.expect("a name"));
    }
    assert_eq!(stage.on_arrays().await.len(), olds.len(), "no other volume was made");

    // The way back.
    for (old, pv) in olds.iter().zip(&new) {
        kubectl(&stage, &["delete", "pvc", old.claim, "-n", namespace], "");
        kubectl(&stage, &["delete", "pv", pv], "");
    }
    stage.kill();
    document["spec"]["imports"] = json!([]);
    fs::write(&path, document.to_string()).expect("written");
    stage.start();
    let ours: Vec<String> = {
        let text = kubectl(&stage, &["get", "storageclass", "-o", "json"], "");
        let list: Json = serde_json::from_str(&text).expect("JSON");
        let names = list["items"].as_array().expect("items").iter();
        names.filter_map(|class| class["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    kubectl(&stage, &[&["delete", "storageclass"], ours.as_slice()].concat(), "");
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&way_back));
    stage.until("the old claims are bound again", all_bound).await;
    for old in olds {
        let bound = claims.get(old.claim).await.expect("there").spec.expect("a spec").volume_name;
        assert_eq!(bound, Some(format!("pvc-{}", old.uid)), "{}", old.claim);
    }
    unchanged(&stage);
    assert_eq!(stage.on_arrays().await.len(), olds.len(), "no other volume was made");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn volumes_of_pso_5_come_over_and_go_back() {
    let rehearsal = Rehearsal {
        driver: "pure-csi",
        prefix: "team_a",
        classes: vec![
            old_class("pure-file", "pure-csi", "file", &[]),
            old_class("pure-block", "pure-csi", "block", &[]),
            old_class("files-nfs3", "pure-csi", "file", &["nfsvers=3", "tcp"]),
        ],
        volumes: vec![
            old(1, "file", "fb1", "pure-file"),
            old(2, "block", "fa1", "pure-block"),
            old(3, "file-three", "fb1", "files-nfs3"),
        ],
        config: |blade, flash| {
            json!({
                "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
                "metadata": {"name": "pso"},
                "spec": {"values": {
                    "namespace": {"pure": "team_a"},
                    "arrays": {
                        "FlashBlades": [{"MgmtEndPoint": blade.0, "APIToken": blade.1, "NfsEndPoint": "192.0.2.1"}],
                        "FlashArrays": [{"MgmtEndPoint": flash.0, "APIToken": flash.1}],
                    },
                }},
            })
        },
        arguments: &[],
        cluster: "team-a",
    };
    rehearse("from-five", &rehearsal).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn volumes_of_pso_6_come_over_and_go_back() {
    let rehearsal = Rehearsal {
        driver: "pure-csi",
        prefix: "prod",
        classes: vec![
            old_class("pure-file", "pure-csi", "file", &[]),
            old_class("gold", "pure-csi", "block", &["discard"]),
        ],
        volumes: vec![old(1, "file", "fb1", "pure-file"), old(2, "block", "fa1", "gold")],
        config: |blade, flash| {
            json!({
                "clusterID": "prod",
                "arrays": {
                    "FlashBlades": [{"MgmtEndPoint": blade.0, "APIToken": blade.1, "NFSEndPoint": "192.0.2.1"}],
                    "FlashArrays": [{"MgmtEndPoint": flash.0, "APIToken": flash.1}],
                },
                "flashblade": {"exportRules": "*(rw,no_root_squash)"},
            })
        },
        arguments: &[],
        cluster: "prod-gen",
    };
    rehearse("from-six", &rehearsal).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn volumes_of_portworx_come_over_and_go_back() {
    let rehearsal = Rehearsal {
        driver: "pxd.portworx.com",
        prefix: "px_6b9c9668",
        classes: vec![
            old_class("px-files", "pxd.portworx.com", "pure_file", &["nfsvers=4.1"]),
            old_class("px-files-nfs3", "pxd.portworx.com", "pure_file", &["nfsvers=3"]),
            old_class("px-blocks", "pxd.portworx.com", "pure_block", &[]),
        ],
        volumes: vec![
            old(1, "file", "fb1", "px-files"),
            old(2, "file-three", "fb1", "px-files-nfs3"),
            old(3, "block", "fa1", "px-blocks"),
        ],
        config: |blade, flash| {
            let arrays = json!({
                "FlashBlades": [{"MgmtEndPoint": blade.0, "APIToken": blade.1, "NFSEndPoint": "192.0.2.1"}],
                "FlashArrays": [{"MgmtEndPoint": flash.0, "APIToken": flash.1}],
            });
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "px-pure-secret"},
                "stringData": {"pure.json": arrays.to_string()},
            })
        },
        arguments: &["--cluster", "prod-x", "--prefix", "px_6b9c9668"],
        cluster: "prod-x",
    };
    rehearse("from-portworx", &rehearsal).await;
}

/// `validate --since` refuses the changes of a StorageClass that Kubernetes refuses, and no others.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_class_may_change_where_since_lets_it() {
    let stage = Stage::open("changes").await;
    let classes = Api::<StorageClass>::all(stage.client.clone());
    let before = classes.get("pure-file").await.expect("there");
    let json = serde_json::to_value(&before).expect("JSON");
    for (field, value, may) in [
        ("provisioner", json!("other.example.com/x"), false),
        ("parameters", json!({"backend": "file", "more": "x"}), false),
        ("reclaimPolicy", json!("Retain"), false),
        ("volumeBindingMode", json!("WaitForFirstConsumer"), false),
        ("mountOptions", json!(["nfsvers=3"]), true),
        ("allowVolumeExpansion", json!(false), true),
        (
            "allowedTopologies",
            json!([{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]),
            true,
        ),
    ] {
        let mut after = json.clone();
        after[field] = value;
        let change = pso_gen::compiler::check::Change {
            identity: pso_gen::compiler::manifest::Identity {
                group: "storage.k8s.io".to_owned(),
                kind: "StorageClass".to_owned(),
                namespace: String::new(),
                name: "pure-file".to_owned(),
            },
            before: Some(json.clone()),
            after: Some(after.clone()),
        };
        let refused = pso_gen::compiler::check::since(&[change], |_| None);
        assert_eq!(refused.is_empty(), may, "{field}: {refused:?}");
        let after: StorageClass = serde_json::from_value(after).expect("a class");
        let post = PostParams { dry_run: true, ..PostParams::default() };
        let answer = classes.replace("pure-file", &post, &after).await;
        assert_eq!(answer.is_ok(), may, "{field}: {answer:?}");
    }
}
