//! Volumes of Pure Service Orchestrator and Portworx become those of claims of ours, as `docs/migrate.md` says.

use super::stories::{as_list, kubectl};
use super::*;

/// A volume of an old driver: claim, array, driver, name on the array, and the UID of the claim that it was made for.
type Old = (&'static str, &'static str, &'static str, String, String);

/// Asks an array of the simulator, and returns its answer.
fn array(stage: &Stage, array: &str, method: &str, path: &str, body: &str) -> Json {
    let (url, token) = endpoint(stage, array);
    let login = if array.starts_with("fb") { "/api/login" } else { "/api/2.26/login" };
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--cacert"]);
        curl.arg(stage.folder.path().join("storage.ca.pem")).args(more);
        let output = curl.output().expect("curl runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{more:?}: {told}");
        told
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
fn old_objects(stage: &Stage, old: &[Old]) -> Vec<Json> {
    let mut objects = Vec::new();
    for (claim, at, driver, volume, uid) in old {
        let (path, body) = if *at == "fb1" {
            let nfs = json!({"v4_1_enabled": true, "rules": "*(rw,no_root_squash)"});
            ("file-systems", json!({"provisioned": 2_u64 << 30, "nfs": nfs}))
        } else {
            ("volumes", json!({"provisioned": 2_u64 << 30}))
        };
        array(stage, at, "POST", &format!("{path}?names={volume}"), &body.to_string());
        let (backend, mode) =
            if *at == "fb1" { ("file", "ReadWriteMany") } else { ("block", "ReadWriteOnce") };
        // Portworx has numbers of its own for volumes.
        let handle = if *driver == "pure-csi" { volume.as_str() } else { "859941020356581382" };
        objects.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pvc-{uid}")},
            "spec": {
                "accessModes": [mode], "capacity": {"storage": "2Gi"}, "storageClassName": "old",
                "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {"namespace": "moved", "name": claim},
                "csi": {"driver": driver, "volumeHandle": handle, "volumeAttributes": {"backend": backend}},
            },
        }));
        objects.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": "moved"},
            "spec": {
                "accessModes": [mode], "storageClassName": "old", "volumeName": format!("pvc-{uid}"),
                "resources": {"requests": {"storage": "2Gi"}},
            },
        }));
    }
    objects
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn volumes_of_the_old_drivers_are_taken_over_without_moving_data() {
    let mut stage = Stage::open("moved").await;
    let uid = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    // Of PSO 6, with a name of its own for the cluster; of PSO 5; of Portworx.
    let old: [Old; 4] = [
        ("six-file", "fb1", "pure-csi", format!("prod-pvc-{}", uid(1)), uid(1)),
        ("six-block", "fa1", "pure-csi", format!("prod-pvc-{}", uid(2)), uid(2)),
        ("five-file", "fb1", "pure-csi", format!("k8s-pvc-{}", uid(3)), uid(3)),
        ("px-block", "fa1", "pxd.portworx.com", format!("px_6b9c9668-pvc-{}", uid(4)), uid(4)),
    ];
    let on_array = |stage: &Stage, name: &str, at: &str| {
        let kind = if at == "fb1" { "file-systems" } else { "volumes" };
        array(stage, at, "GET", &format!("{kind}?names={name}"), "")["items"][0].clone()
    };
    let objects = old_objects(&stage, &old);
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&objects));
    let claims = stage.claims("moved");
    let all_bound = async || {
        let all = claims.list(&ListParams::default()).await.expect("listed").items;
        all.len() == old.len() && all.iter().all(is_bound)
    };
    stage.until("the old claims are bound", all_bound).await;
    let before: Vec<Json> =
        old.iter().map(|(_, at, _, name, _)| on_array(&stage, name, at)).collect();

    // What the page says, step by step.
    let folder = tempfile::tempdir().expect("a folder");
    let list = kubectl(&stage, &["get", "pv", "-o", "json"], "");
    fs::write(folder.path().join("pv.json"), list).expect("written");
    let [blade, flash] = ["fb1", "fa1"].map(|name| endpoint(&stage, name));
    let values = json!({
        "clusterID": "prod",
        "arrays": {
            "FlashBlades": [{"MgmtEndPoint": blade.0, "APIToken": blade.1, "NFSEndPoint": "192.0.2.1"}],
            "FlashArrays": [{"MgmtEndPoint": flash.0, "APIToken": flash.1}],
        },
        "flashblade": {"exportRules": "*(rw,no_root_squash)"},
    });
    fs::write(folder.path().join("values.yaml"), values.to_string()).expect("written");
    let mut import = binary();
    import.current_dir(folder.path()).args(["import-pso", "values.yaml", "--volumes", "pv.json"]);
    let told = import.args(["--nodes", "10.0.0.0/8", "--prefix", "px_6b9c9668"]).output();
    let told = told.expect("runs");
    let words = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{words}");
    assert!(words.contains("4 PersistentVolumes have the reclaim policy Delete"), "{words}");
    let written = fs::read_to_string(folder.path().join("storage.pso.yaml")).expect("written");
    for token in [&blade.1, &flash.1] {
        assert!(!words.contains(token) && !written.contains(token), "a token got out");
    }
    // The simulated arrays are known by a certificate of their own; else the document is as it was written.
    let written: Json = serde_yaml::from_str(&written).expect("YAML");
    let path = stage.folder.path().join("storage.pso.yaml");
    let mut document: Json =
        serde_yaml::from_str(&fs::read_to_string(&path).expect("text")).expect("YAML");
    assert_eq!(written["spec"]["cluster"], "prod-gen", "what begins with the old name is not ours");
    for field in ["cluster", "imports", "nodes"] {
        document["spec"][field] = written["spec"][field].clone();
    }
    fs::write(&path, document.to_string()).expect("written");

    let retain = r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}"#;
    for (claim, _, _, _, uid) in &old {
        kubectl(&stage, &["patch", "pv", &format!("pvc-{uid}"), "-p", retain], "");
        kubectl(&stage, &["delete", "pvc", claim, "-n", "moved"], "");
        kubectl(&stage, &["delete", "pv", &format!("pvc-{uid}")], "");
    }
    let mut orphans = binary();
    orphans.args(["orphans", "--older-than", "0", "--storage"]).arg(&path).arg("--kubeconfig");
    let told = orphans.arg(&stage.kubeconfig).output().expect("runs");
    let list = String::from_utf8_lossy(&told.stdout);
    assert!(
        told.status.success(),
        "nobody knows them, and yet they are not ours to destroy: {list}"
    );
    stage.start();
    for (claim_name, at, ..) in &old {
        let class = if *at == "fb1" { "pure-file" } else { "pure-block" };
        claims
            .create(&PostParams::default(), &claim(claim_name, class, "2Gi"))
            .await
            .expect("made");
    }
    stage.until("the new claims are bound", all_bound).await;
    for ((claim, at, _, name, _), before) in old.iter().zip(&before) {
        let now = on_array(&stage, name, at);
        for field in ["id", "name", "provisioned", "created", "destroyed"] {
            assert_eq!(now[field], before[field], "{claim}: {field}");
        }
        let bound = claims.get(claim).await.expect("there").spec.expect("a spec").volume_name;
        let volume = stage.volumes().get(&bound.expect("a name")).await.expect("there");
        let annotations = volume.metadata.annotations.expect("annotated");
        assert_eq!(&annotations["pso-gen.io/volume"], name, "{claim}");
        let policy = volume.spec.expect("a spec").persistent_volume_reclaim_policy;
        assert_eq!(policy.as_deref(), Some("Retain"), "{claim}");
    }
    assert_eq!(stage.on_arrays().await.len(), old.len(), "no other volume was made");
}
