//! Stories of whoever is on call: what `pso-gen status` and `pso-gen orphans` say and do.

use super::*;

/// Runs a command of ours as somebody at a terminal does. Returns its exit code and what it printed.
pub(crate) fn ask(stage: &Stage, args: &[&str]) -> (i32, String, String) {
    let output = binary()
        .args(args)
        .arg("--kubeconfig")
        .arg(&stage.kubeconfig)
        .arg("--storage")
        .arg(stage.folder.path().join("storage.pso.yaml"))
        .output()
        .expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

/// Returns a client of a FlashBlade of the storage document, as somebody else has one.
pub(crate) fn flashblade(stage: &Stage, name: &str) -> pso_gen::arrays::FlashBlade {
    use pso_gen::arrays::{FlashBlade, RequestLimits, TokenFile, Trust};
    let path = stage.folder.path().join("storage.pso.yaml");
    let text = fs::read_to_string(path).expect("text");
    let document: Json = serde_yaml::from_str(&text).expect("YAML");
    let arrays = document["spec"]["arrays"].as_array().expect("arrays");
    let array = arrays.iter().find(|array| array["name"] == name).expect("in the document");
    let word = |value: &Json| value.as_str().expect("a word").to_owned();
    let file = |value: &Json| stage.folder.path().join(word(&value["file"]));
    let endpoint = pso_gen::arrays::Endpoint {
        name: name.to_owned(),
        management: word(&array["management"]),
        token: TokenFile::new(file(&array["token"])),
        trust: match &array["pin"] {
            Json::String(pin) => Trust::pin(pin).expect("a pin"),
            _ => Trust::Ca(file(&array["ca"])),
        },
        id: None,
        limits: RequestLimits::default(),
        observer: None,
    };
    FlashBlade::new(endpoint).expect("an endpoint")
}

/// Makes a volume on an array by its REST API, as somebody else would.
async fn make_by_hand(stage: &Stage, name: &str) {
    use pso_gen::arrays::Array as _;
    use pso_gen::contract::{NfsVersions, Owner, VolumeOptions, VolumeRequest};
    let owner = Owner {
        cluster: "demo".to_owned(),
        namespace: "gone".to_owned(),
        claim: "gone".to_owned(),
        uid: name.trim_start_matches("demo-pvc-").to_owned(),
        ..Owner::default()
    };
    let nfs = NfsVersions { v3: false, v4_1: true };
    let details = VolumeOptions::File { exports: Vec::new(), nfs };
    let name = pso_gen::contract::VolumeName::new(name).expect("a name");
    let wanted = VolumeRequest { name, owner, size: 1 << 30, source: None, details };
    flashblade(stage, "fb1").ensure(&wanted).await.expect("made");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn status_tells_what_is_wrong_and_orphans_go_when_they_are_named() {
    let mut stage = Stage::open("oncall").await;
    let lease = ["--lease", "oncall/provisioner"];
    stage.provisioner = Some(stage.spawn(&lease));
    let claims = stage.claims("oncall");
    let post = PostParams::default();
    claims.create(&post, &claim("good", "pure-file", "1Gi")).await.expect("made");
    let bound = async || is_bound(&claims.get("good").await.expect("there"));
    stage.until("the claim is bound", bound).await;
    let own = format!("demo-pvc-{}", uid(&claims.get("good").await.expect("there")));

    // Other stories leave bound block volumes in this control plane: the driver is on a node.
    let node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "oncall"},
        "spec": {"drivers": [{"name": "pso-gen.io", "nodeID": "oncall", "topologyKeys": []}]},
    });
    stories::kubectl(&stage, &["apply", "-f", "-"], &node.to_string());
    let (code, table, _) = ask(&stage, &["status"]);
    assert_eq!(code, 0, "{table}");
    let row = table.lines().find(|line| line.starts_with("oncall/good")).expect("a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[1..4], ["pure-file", "Bound", "1Gi"], "{row}");
    assert_eq!(words[5], own, "{row}");
    assert!(table.contains("no problems"), "{table}");

    // Something is wrong: one array is away.
    stories::faults(&stage, json!([{"fault": "refused", "array": "fa1"}])).await;
    claims.create(&post, &claim("bad", "pure-block", "1Gi")).await.expect("made");
    let reported = async || stage.event_reasons("oncall").await.contains("ProvisioningFailed");
    stage.until("its failure is reported", reported).await;
    let (code, table, _) = ask(&stage, &["status", "--namespace", "oncall"]);
    assert_eq!(code, 1, "{table}");
    assert!(table.contains("problem: array fa1: "), "{table}");
    assert!(table.contains("problem: claim oncall/bad: "), "{table}");
    let (code, text, _) = ask(&stage, &["status", "oncall/bad", "--format", "json"]);
    let report: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, report["claims"].as_array().map(Vec::len)), (1, Some(1)));
    assert_eq!(report["claims"][0]["state"], "Pending");
    let away = report["arrays"].as_array().expect("arrays").iter();
    let away: Vec<&str> = away
        .filter(|array| array["state"] == "away")
        .map(|array| array["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(away, ["fa1"]);
    // An array that cannot be read may have orphans: that is no clean bill.
    let (code, list, words) = ask(&stage, &["orphans"]);
    assert_eq!((code, list.as_str()), (1, "no orphans\n"));
    assert!(words.contains("fa1 cannot be read"), "{words}");
    stories::faults(&stage, json!([])).await;
    // What is compared below must not change by itself.
    let bound = async || is_bound(&claims.get("bad").await.expect("there"));
    stage.until("the other claim is bound, too", bound).await;

    let (old, own) = ("demo-pvc-12345678-1234-1234-1234-123456789abc", own.as_str());
    make_by_hand(&stage, old).await;
    make_by_hand(&stage, "archive").await;
    let (code, list, _) = ask(&stage, &["orphans"]);
    assert_eq!((code, list.as_str()), (0, "no orphans\n"), "it is too young");
    let (code, list, _) = ask(&stage, &["orphans", "--older-than", "0"]);
    assert_eq!(code, 1);
    assert!(list.contains(old) && !list.contains(own) && !list.contains("archive"), "{list}");

    // What lives, what is young, what is not ours: all of that is kept.
    let before = stage.on_arrays().await;
    let refused =
        [(own, "it is not orphaned"), ("archive", "it is not orphaned"), (old, "it is too young")];
    for (name, why) in refused {
        let (code, done, words) = ask(&stage, &["orphans", "--destroy", name]);
        assert_eq!((code, done.as_str()), (1, ""), "{words}");
        assert!(words.contains(why), "{words}");
    }
    let unleased = ["orphans", "--destroy", old, "--older-than", "0"];
    let (code, done, words) = ask(&stage, &unleased);
    assert_eq!((code, done.as_str()), (1, ""), "{words}");
    assert!(words.contains("does not lead in this cluster by the lease"), "{words}");
    let only_look =
        [&["orphans", "--destroy", old, "--older-than", "0", "--dry-run"], &lease[..]].concat();
    let (code, done, _) = ask(&stage, &only_look);
    assert_eq!((code, done), (0, format!("{old}: would be destroyed on fb1\n")));
    assert_eq!(stage.on_arrays().await, before);
    let both = ["orphans", "--destroy", "fb1/none", "--destroy", old, "--older-than", "0"];
    let both = [&both, &lease[..]].concat();
    let (code, done, words) = ask(&stage, &both);
    assert_eq!((code, done), (1, format!("{old}: destroyed on fb1\n")), "{words}");
    let mut left = before;
    left.remove(old);
    assert_eq!(stage.on_arrays().await, left, "that one alone");
    let (code, _, words) = ask(&stage, &["orphans", "--destroy", old, "--older-than", "0"]);
    assert!(code == 1 && words.contains("destroyed already"), "{words}");
}
