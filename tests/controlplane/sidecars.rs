//! The programs of the Kubernetes storage group against `pso-gen csi`: external-snapshotter and external-resizer beside the
//! provisioner, as the storage document renders them, and external-attacher and external-resizer without it.

use super::attach::{attachments, contents, hosts, make_nodes};
use super::platform::{Installed, kubeconfig_of};
use super::stories::{as_list, kubectl};
use super::theft::{Thief, dry, refused};
use super::*;

const NAMESPACE: &str = "sidecars";
/// Name of the CSI services' objects.
const NAME: &str = "pso-gen-csi";
const GIB: u64 = 1 << 30;

/// Returns the folder with the programs.
fn built() -> PathBuf {
    let project = env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let built = Command::new(Path::new(&project).join("tests/csi/sidecars/build")).output();
    let built = built.expect("runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    PathBuf::from(String::from_utf8(built.stdout).expect("text").trim())
}

/// Starts a program with a log of its own.
fn spawn(stage: &Stage, mut program: Command, name: &str) -> Process {
    let log = fs::File::create(stage.folder.path().join(format!("{name}.log"))).expect("a log");
    let spawned = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    Process(spawned.expect("starts"))
}

/// Starts a program of the storage group with the socket of the CSI services.
fn sidecar(stage: &Stage, name: &str, args: &[String], kubeconfig: &Path) -> Process {
    let mut program = Command::new(built().join(name));
    program.args(args).arg("--v=5").arg(format!("--kubeconfig={}", kubeconfig.display()));
    spawn(stage, program, name)
}

/// A cluster with the provisioner, the CSI services and their sidecars as a storage document renders them, and with the
/// snapshot-controller.
async fn installed() -> (Installed, Vec<Process>) {
    let fields = json!({"csi": {
        "snapshotter": "registry.k8s.io/sig-storage/csi-snapshotter:v8.7.0",
        "resizer": "registry.k8s.io/sig-storage/csi-resizer:v2.3.0",
    }});
    let define = |stage: &Stage| {
        let definitions = built().join("crds").display().to_string();
        kubectl(stage, &["apply", "--server-side", "-f", &definitions], "");
        kubectl(stage, &["wait", "--for=condition=Established", "crd", "--all"], "");
    };
    let installed = Installed::prepared(NAMESPACE, &fields, &[NAME], define).await;
    let stage = &installed.stage;
    let own = kubeconfig_of(stage, NAME);
    let mut service = binary();
    service.args(installed.args(NAME, "csi")).arg("--kubeconfig").arg(&own);
    let mut controller = Command::new(built().join("snapshot-controller"));
    controller.arg("--v=5").arg(format!("--kubeconfig={}", stage.kubeconfig.display()));
    let (provisioner, service) = (installed.spawn(), spawn(stage, service, "csi"));
    serves(stage).await;
    let processes = vec![
        provisioner,
        service,
        sidecar(stage, "csi-snapshotter", &installed.args(NAME, "snapshotter"), &own),
        sidecar(stage, "csi-resizer", &installed.args(NAME, "resizer"), &own),
        spawn(stage, controller, "snapshot-controller"),
    ];
    (installed, processes)
}

/// Waits for the socket: a sidecar ends without it, and no kubelet would start it again here.
async fn serves(stage: &Stage) {
    let socket = stage.folder.path().join("csi.sock");
    stage.until("the CSI services are served", async || socket.exists()).await;
}

/// Returns an object.
fn get(stage: &Stage, kind: &str, name: &str) -> Json {
    let text = kubectl(stage, &["-n", NAMESPACE, "get", kind, name, "-o", "json"], "");
    serde_json::from_str(&text).expect("JSON")
}

fn snapshot(name: &str, of: &str) -> Json {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"source": {"persistentVolumeClaimName": of}},
    })
}

/// Makes a claim that is restored from a VolumeSnapshot.
async fn restore(stage: &Stage, name: &str, of: &str, size: &str) {
    let mut restored = serde_json::to_value(claim(name, "pure-block", size)).expect("JSON");
    restored["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": of});
    let restored = serde_json::from_value(restored).expect("typed");
    stage.claims(NAMESPACE).create(&PostParams::default(), &restored).await.expect("made");
}

/// Waits until a claim is bound, and returns the name of its volume on the array.
async fn bound(stage: &Stage, name: &str) -> String {
    let claims = stage.claims(NAMESPACE);
    let is_there = async || is_bound(&claims.get(name).await.expect("there"));
    stage.until(&format!("{name} is bound"), is_there).await;
    format!("demo-pvc-{}", uid(&claims.get(name).await.expect("there")))
}

/// Returns the notes of the events with a reason on a claim.
async fn notes(stage: &Stage, name: &str, reason: &str) -> Vec<String> {
    let events = Api::<Event>::namespaced(stage.client.clone(), NAMESPACE);
    let events = events.list(&ListParams::default()).await.expect("listed").items;
    let ours = events.into_iter().filter(|event| {
        event.reason.as_deref() == Some(reason)
            && event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name)
    });
    ours.filter_map(|event| event.note).collect()
}

/// Sets fields of a claim's specification.
async fn change(stage: &Stage, name: &str, spec: Json) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    stage.claims(NAMESPACE).patch(name, &PatchParams::default(), &patch).await.expect("changed");
}

/// Returns a volume on the array.
async fn on_array(stage: &Stage, name: &str) -> Json {
    let all = contents(stage, "volumes").await;
    all.into_iter().find(|volume| volume["name"] == name).expect("there")
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn snapshots_are_taken_restored_and_deleted_beside_the_provisioner() {
    let (installed, _processes) = installed().await;
    let stage = &installed.stage;
    let claims = stage.claims(NAMESPACE);
    let post = PostParams::default();
    claims.create(&post, &claim("data", "pure-block", "1Gi")).await.expect("made");
    // A claim may be there before its snapshot.
    restore(stage, "early", "before", "1Gi").await;
    let data = bound(stage, "data").await;
    let waits = async || {
        notes(stage, "early", "ProvisioningFailed")
            .await
            .iter()
            .any(|it| it.contains("is not there"))
    };
    stage.until("its absence is reported", waits).await;

    kubectl(stage, &["apply", "-f", "-"], &as_list(&[snapshot("before", "data")]));
    let ready = async || get(stage, "volumesnapshot", "before")["status"]["readyToUse"] == true;
    stage.until("the snapshot is ready", ready).await;
    let status = get(stage, "volumesnapshot", "before")["status"].clone();
    assert_eq!(status["restoreSize"], "1Gi");
    let taken = stage.snapshots().await;
    let taken: Vec<_> = taken.iter().collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].starts_with(&format!("{data}.csi-")), "{taken:?}");

    let early = bound(stage, "early").await;
    restore(stage, "larger", "before", "2Gi").await;
    let larger = bound(stage, "larger").await;
    restore(stage, "small", "before", "512Mi").await;
    let refused = async || {
        let all = notes(stage, "small", "ProvisioningFailed").await;
        all.iter().any(|it| it.contains("has 1Gi") && it.contains("ask for 1Gi or more"))
    };
    stage.until("a smaller claim is refused", refused).await;
    restore(stage, "files", "before", "1Gi").await;
    change_class(stage, "files").await;
    let refused = async || {
        let all = notes(stage, "files", "ProvisioningFailed").await;
        all.iter().any(|it| it.contains("pure-file is for files"))
    };
    stage.until("a class of files is refused", refused).await;
    let sizes = stage.on_arrays().await;
    assert_eq!((sizes[&early], sizes[&larger]), (GIB, 2 * GIB));
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    for restored in [&early, &larger] {
        let source = on_array(stage, restored).await["source"]["name"].clone();
        assert_eq!(source, taken[0].as_str(), "{restored}");
    }

    // The volume outlives its claim while a VolumeSnapshot needs it.
    claims.delete("data", &DeleteParams::default()).await.expect("deleted");
    let kept = async || !notes_of_volumes(stage, "VolumeFailedDelete").await.is_empty();
    stage.until("the volume of a snapshot is kept", kept).await;
    assert!(stage.on_arrays().await.contains_key(&data));
    // A claim that waits keeps the VolumeSnapshot that it names.
    kubectl(stage, &["-n", NAMESPACE, "delete", "pvc", "small", "files"], "");
    kubectl(stage, &["-n", NAMESPACE, "delete", "volumesnapshot", "before"], "");
    let gone = async || stage.snapshots().await.is_empty();
    stage.until("the snapshot is destroyed", gone).await;
    let gone = async || !stage.on_arrays().await.contains_key(&data);
    stage.until("its volume follows", gone).await;
    let contents = kubectl(stage, &["get", "volumesnapshotcontents", "-o", "name"], "");
    assert_eq!(contents, "");
}

/// Replaces the waiting claim by one of the class for files.
async fn change_class(stage: &Stage, name: &str) {
    let claims = stage.claims(NAMESPACE);
    let mut made = claims.get(name).await.expect("there");
    claims.delete(name, &DeleteParams::default()).await.expect("deleted");
    let gone = async || claims.get_opt(name).await.expect("an answer").is_none();
    stage.until("it is gone", gone).await;
    made.metadata = serde_json::from_value(json!({"name": name})).expect("typed");
    let spec = made.spec.as_mut().expect("a spec");
    spec.storage_class_name = Some("pure-file".to_owned());
    spec.volume_name = None;
    made.status = None;
    claims.create(&PostParams::default(), &made).await.expect("made");
}

async fn notes_of_volumes(stage: &Stage, reason: &str) -> Vec<String> {
    let events = Api::<Event>::all(stage.client.clone());
    let events = events.list(&ListParams::default()).await.expect("listed").items;
    let ours = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
    ours.filter_map(|event| event.note).collect()
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn limits_are_the_resizers_and_sizes_are_the_provisioners() {
    let (installed, _processes) = installed().await;
    let stage = &installed.stage;
    let class = |name: &str, parameters: Json| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
            "metadata": {"name": name}, "driverName": "pso-gen.io", "parameters": parameters,
        })
    };
    let classes = [
        class("fast", json!({"bandwidth": "500Mi", "iops": "20000"})),
        class("odd", json!({"speed": "high"})),
    ];
    kubectl(stage, &["apply", "-f", "-"], &as_list(&classes));
    let claims = stage.claims(NAMESPACE);
    let post = PostParams::default();
    claims.create(&post, &claim("data", "pure-block", "1Gi")).await.expect("made");
    let data = bound(stage, "data").await;
    // A snapshot as well, so that every right is used.
    let both = ["before", "second"].map(|name| snapshot(name, "data"));
    kubectl(stage, &["apply", "-f", "-"], &as_list(&both));
    let ready = async || {
        let is_ready = |name| get(stage, "volumesnapshot", name)["status"]["readyToUse"] == true;
        is_ready("before") && is_ready("second")
    };
    stage.until("the snapshots are ready", ready).await;
    kubectl(stage, &["-n", NAMESPACE, "delete", "volumesnapshot", "second"], "");
    let gone = async || stage.snapshots().await.len() == 1;
    stage.until("one is destroyed", gone).await;

    change(stage, "data", json!({"volumeAttributesClassName": "fast"})).await;
    let limited =
        async || get(stage, "pvc", "data")["status"]["currentVolumeAttributesClassName"] == "fast";
    stage.until("the volume is limited", limited).await;
    let volume = on_array(stage, &data).await;
    assert_eq!(volume["qos"]["bandwidth_limit"], 500_u64 << 20, "{volume}");
    assert_eq!(volume["qos"]["iops_limit"], 20_000, "{volume}");
    change(stage, "data", json!({"volumeAttributesClassName": "odd"})).await;
    let refused = async || {
        get(stage, "pvc", "data")["status"]["modifyVolumeStatus"]["status"] == "Infeasible"
    };
    stage.until("an unknown parameter is refused", refused).await;
    let notes = notes(stage, "data", "VolumeModifyFailed").await;
    assert!(notes.iter().all(|note| note.contains("speed")), "the resizer's: {notes:?}");

    // Both see the request for more; one acts.
    change(stage, "data", json!({"resources": {"requests": {"storage": "3Gi"}}})).await;
    let grown = async || stage.on_arrays().await[&data] == 3 * GIB;
    stage.until("it is expanded", grown).await;
    let pending = async || {
        let status = get(stage, "pvc", "data")["status"].clone();
        status["allocatedResourceStatuses"]["storage"] == "NodeResizePending"
    };
    stage.until("the node is to do the rest", pending).await;
    let (asked, refused) = installed.asked_by(NAME);
    // The snapshotter asks once, at its start, whether the cluster has groups of snapshots, which the driver does not offer.
    let groups = "list volumegroupsnapshotcontents";
    let refused: Vec<_> = refused.iter().filter(|line| !line.starts_with(groups)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let volumes =
        get(stage, "pv", &format!("pvc-{}", uid(&claims.get("data").await.expect("there"))));
    assert_eq!(volumes["spec"]["capacity"]["storage"], "3Gi");
    let log = fs::read_to_string(stage.folder.path().join("csi-resizer.log")).expect("a log");
    assert!(log.contains("Resize not supported"), "it would expand");

    an_attacker_with_the_token_gets_no_further(stage, &data).await;

    // A claim that is to be limited from its creation waits, with the remedy.
    let mut early = claim("early", "pure-block", "1Gi");
    early.spec.get_or_insert_default().volume_attributes_class_name = Some("fast".to_owned());
    claims.create(&post, &early).await.expect("made");
    let reported = async || {
        let all = super::sidecars::notes(stage, "early", "ProvisioningFailed").await;
        all.iter().any(|note| note.contains("when the claim is bound"))
    };
    stage.until("the remedy is reported", reported).await;

    kubectl(stage, &["-n", NAMESPACE, "delete", "volumesnapshot", "before"], "");
    let allowed = installed.allowed_to(NAME);
    // Only an event that repeats is patched; lists are for API servers that do not send them by the watch.
    let repeats = (String::new(), "events".to_owned(), "patch".to_owned());
    let is_needed = |right: &&super::platform::Right| **right != repeats && right.2 != "list";
    let unused: Vec<_> = allowed.difference(&asked).filter(is_needed).collect();
    assert!(unused.is_empty(), "never needed: {unused:#?}");
}

/// What the token of the CSI services can be used for beside what the sidecars do.
async fn an_attacker_with_the_token_gets_no_further(stage: &Stage, data: &str) {
    let thief = Thief { client: client(&kubeconfig_of(stage, NAME)).await };
    let of_others = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": "theirs"},
        "spec": {
            "driver": "other.example.com", "deletionPolicy": "Retain",
            "source": {"snapshotHandle": "theirs"},
            "volumeSnapshotRef": {"name": "theirs", "namespace": "default"},
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&[of_others]));
    let volume = data.replacen("demo-", "", 1);
    let volumes = thief.volumes();
    let only = "change only the VolumeAttributesClass of a PersistentVolume";
    for (what, change) in [
        ("a policy", json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})),
        ("a claim", json!({"spec": {"claimRef": {"name": "theirs"}}})),
        ("a size", json!({"spec": {"capacity": {"storage": "9Gi"}}})),
        ("a finalizer", json!({"metadata": {"finalizers": null}})),
        ("an annotation", json!({"metadata": {"annotations": {"a": "b"}}})),
    ] {
        refused(what, volumes.patch(&volume, &dry(), &Patch::Merge(change)).await, only);
    }
    let claims = thief.api("v1", "PersistentVolumeClaim", Some(NAMESPACE));
    for (what, change) in [
        ("a size", json!({"status": {"capacity": {"storage": "9Gi"}}})),
        ("a phase", json!({"status": {"phase": "Lost"}})),
        ("an annotation", json!({"metadata": {"annotations": {"a": "b"}}})),
    ] {
        let tried = claims.patch_status("data", &dry(), &Patch::Merge(change)).await;
        refused(what, tried, "record only the VolumeAttributesClass");
    }
    let contents = thief.api("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent", None);
    let change = json!({"metadata": {"annotations": {"a": "b"}}});
    let tried = contents.patch("theirs", &dry(), &Patch::Merge(change)).await;
    refused("another driver", tried, "of their own driver");
    let ours = get(stage, "volumesnapshot", "before");
    let ours = ours["status"]["boundVolumeSnapshotContentName"].as_str().expect("bound").to_owned();
    let change = json!({"spec": {"deletionPolicy": "Retain"}});
    let tried = contents.patch(&ours, &dry(), &Patch::Merge(change)).await;
    refused("a specification", tried, "not their specification");
    // Another tenant's snapshot would be restored, or destroyed with the content.
    for (what, handle) in [("another snapshot", json!("array/theirs")), ("none", Json::Null)] {
        let change = Patch::Merge(json!({"status": {"snapshotHandle": handle}}));
        let tried = contents.patch_status(&ours, &dry(), &change).await;
        refused(what, tried, "record the snapshot of a VolumeSnapshotContent once");
    }
    let named = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": "named"},
        "spec": {
            "driver": "pso-gen.io", "deletionPolicy": "Retain",
            "source": {"snapshotHandle": "array/named"},
            "volumeSnapshotRef": {"name": "named", "namespace": "default"},
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&[named]));
    let change = Patch::Merge(json!({"status": {"snapshotHandle": "array/theirs"}}));
    let tried = contents.patch_status("named", &dry(), &change).await;
    refused(
        "another one than the named one",
        tried,
        "the specification of a VolumeSnapshotContent",
    );
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn upstreams_attacher_and_resizer_serve_volumes_without_the_provisioner() {
    let mut stage = Stage::open_with(NAMESPACE, Some("")).await;
    stage.start();
    make_nodes(&stage, &[("n1", "n1"), ("n2", "n2")]);
    let claims = stage.claims(NAMESPACE);
    claims.create(&PostParams::default(), &claim("data", "pure-block", "1Gi")).await.expect("made");
    let data = bound(&stage, "data").await;
    let volume = data.replacen("demo-", "", 1);
    // From here on, the storage group's programs alone act.
    stage.kill();
    let socket = stage.folder.path().join("csi.sock");
    let mut service = binary();
    service.arg("csi").arg("--socket").arg(&socket);
    service.arg("--config").arg(stage.folder.path().join("storage.pso.yaml"));
    service.arg("--kubeconfig").arg(&stage.kubeconfig);
    let args = [format!("--csi-address={}", socket.display())];
    let service = spawn(&stage, service, "csi");
    serves(&stage).await;
    let _processes = [
        service,
        sidecar(&stage, "csi-attacher", &args, &stage.kubeconfig),
        sidecar(&stage, "csi-resizer", &args, &stage.kubeconfig),
    ];
    let attachment = |name: &str, node: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
            "spec": {
                "attacher": "pso-gen.io", "nodeName": node,
                "source": {"persistentVolumeName": volume},
            },
        })
    };
    kubectl(&stage, &["apply", "-f", "-"], &as_list(&[attachment("one", "n1")]));
    let status = async |name: &str| {
        let all = attachments(&stage).await.into_iter();
        let mut named = all.filter(|it| it.metadata.name.as_deref() == Some(name));
        named.next().and_then(|it| it.status)
    };
    let attached = async || status("one").await.is_some_and(|status| status.attached);
    stage.until("it is attached", attached).await;
    assert_eq!(hosts(&stage, &data).await, ["demo-n1"]);
    let context = status("one").await.and_then(|status| status.attachment_metadata);
    let context = pso_gen::contract::Attachment::from_context(&context.expect("a context"));
    assert_eq!(context.expect("valid").size, GIB);

    kubectl(&stage, &["apply", "-f", "-"], &as_list(&[attachment("two", "n2")]));
    let refused = async || {
        let error = status("two").await.and_then(|status| status.attach_error?.message);
        error.is_some_and(|error| error.contains("connected to one host only"))
    };
    stage.until("a second node is refused", refused).await;
    kubectl(&stage, &["delete", "volumeattachment", "one"], "");
    let moved = async || status("two").await.is_some_and(|status| status.attached);
    stage.until("it is attached to the second node", moved).await;
    assert_eq!(hosts(&stage, &data).await, ["demo-n2"], "and disconnected from the first");

    let grow = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims.patch("data", &PatchParams::default(), &Patch::Merge(grow)).await.expect("asked");
    let grown = async || stage.on_arrays().await[&data] == 3 * GIB;
    stage.until("it is expanded", grown).await;
    let pending = async || {
        let volume = get(&stage, "pv", &volume);
        let status = get(&stage, "pvc", "data")["status"].clone();
        volume["spec"]["capacity"]["storage"] == "3Gi"
            && status["allocatedResourceStatuses"]["storage"] == "NodeResizePending"
    };
    stage.until("the node is to do the rest", pending).await;
    kubectl(&stage, &["delete", "volumeattachment", "two"], "");
    assert_eq!(hosts(&stage, &data).await, Vec::<String>::new());
}
