//! Block volumes on nodes, as kube-controller-manager asks for them: a pod on a node becomes a VolumeAttachment, and
//! the attacher connects the node's host. The nodes are pretended: nothing mounts.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::stories::{as_list, kubectl};
use super::*;

const NAMESPACE: &str = "attach";

/// Makes nodes whose node service has registered them, each with an initiator.
pub(super) fn make_nodes(stage: &Stage, nodes: &[(&str, &str)]) {
    let objects = nodes.iter().flat_map(|(name, initiator)| {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            },
        });
        let csi = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name},
            "spec": {"drivers": [{
                "name": "pso-gen.io", "nodeID": format!("{name};iqn.2026-01.com.example:{initiator}"),
                "topologyKeys": [],
            }]},
        });
        [node, csi]
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&objects.collect::<Vec<_>>()));
}

/// Makes a pod on a node that uses a claim.
fn make_pod(stage: &Stage, name: &str, node: &str, claim: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "nodeName": node, "containers": [{"name": "a", "image": "example.com/none"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &pod.to_string());
}

fn delete_pod(stage: &Stage, name: &str) {
    let args = ["-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force"];
    kubectl(stage, &args, "");
}

/// Returns the hosts that are connected to a volume on an array.
pub(super) async fn hosts(stage: &Stage, volume: &str) -> Vec<String> {
    let of_volume = |object: &Json| object["volume"]["name"] == volume;
    let all = contents(stage, "connections").await.into_iter().filter(of_volume);
    all.map(|object| object["host"]["name"].as_str().expect("a name").to_owned()).collect()
}

pub(super) async fn contents(stage: &Stage, kind: &str) -> Vec<Json> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let state = reqwest::get(format!("{}/state?most=5000", stage.page)).await.expect("an answer");
    let state: Json = state.json().await.expect("JSON");
    let arrays = state["arrays"].as_array().expect("arrays").iter();
    let kinds = arrays.flat_map(|array| array["contents"]["kinds"].as_array().expect("kinds"));
    let collections = kinds.filter(|collection| collection["kind"] == kind);
    collections
        .flat_map(|collection| collection["objects"].as_array().expect("objects"))
        .cloned()
        .collect()
}

pub(super) async fn attachments(stage: &Stage) -> Vec<VolumeAttachment> {
    let all = Api::<VolumeAttachment>::all(stage.client.clone());
    all.list(&ListParams::default()).await.expect("listed").items
}

/// Returns the nodes to which a PersistentVolume is attached, by the status of its VolumeAttachments.
async fn attached(stage: &Stage, volume: &str) -> Vec<String> {
    let of_volume = |it: &VolumeAttachment| {
        it.spec.source.persistent_volume_name.as_deref() == Some(volume)
            && it.status.as_ref().is_some_and(|status| status.attached)
    };
    let all = attachments(stage).await.into_iter().filter(of_volume);
    all.map(|it| it.spec.node_name).collect()
}

/// Makes a claim, and returns the names of its PersistentVolume and of its volume on the array.
async fn bound(stage: &Stage, name: &str) -> (String, String) {
    let claims = stage.claims(NAMESPACE);
    claims.create(&PostParams::default(), &claim(name, "pure-block", "1Gi")).await.expect("made");
    let is_there = async || is_bound(&claims.get(name).await.expect("there"));
    stage.until("the claim is bound", is_there).await;
    let uid = uid(&claims.get(name).await.expect("there"));
    (format!("pvc-{uid}"), format!("demo-pvc-{uid}"))
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_follows_its_pod_and_the_old_node_is_fenced() {
    let mut stage = Stage::open_with(NAMESPACE, Some("")).await;
    stage.start();
    make_nodes(&stage, &[("n1", "n1"), ("n2", "n2")]);
    let (volume, on_array) = bound(&stage, "data").await;
    make_pod(&stage, "one", "n1", "data");
    let is_on = async |node: &str| attached(&stage, &volume).await == [node];
    stage.until("it is attached to n1", async || is_on("n1").await).await;
    assert_eq!(hosts(&stage, &on_array).await, ["demo-n1"]);
    let status = attachments(&stage).await[0].status.clone().expect("a status");
    let context = pso_gen::contract::Attachment::from_context(
        &status.attachment_metadata.expect("a publish context"),
    );
    let context = context.expect("valid");
    assert_eq!((context.size, context.never_formatted), (1 << 30, true));
    assert!((1..=254).contains(&context.lun), "{}", context.lun);

    // The node service formats it, and says so.
    let name = attachments(&stage).await[0].metadata.name.clone().expect("a name");
    kubectl(&stage, &["annotate", "volumeattachment", &name, "pso-gen.io/formatted=true"], "");
    let recorded = async || {
        let status = attachments(&stage).await[0].status.clone().expect("a status");
        status.attachment_metadata.is_some_and(|all| all["format"] == "formatted")
    };
    stage.until("the record is copied", recorded).await;

    // The machine stands still, and kubelet still has the volume in use. The new pod waits.
    let handle = stage.volumes().get(&volume).await.expect("there").spec.expect("a spec").csi;
    let in_use = format!("kubernetes.io/csi/pso-gen.io^{}", handle.expect("CSI").volume_handle);
    let status = json!({"status": {
        "volumesInUse": [in_use], "conditions": [{"type": "Ready", "status": "Unknown"}],
    }});
    kubectl(
        &stage,
        &["patch", "node", "n1", "--subresource=status", "-p", &status.to_string()],
        "",
    );
    make_pod(&stage, "two", "n2", "data");
    let waits = async || stage.event_reasons(NAMESPACE).await.contains("FailedAttachVolume");
    stage.until("Kubernetes refuses a second node", waits).await;
    assert_eq!(hosts(&stage, &on_array).await, ["demo-n1"]);
    let taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";
    kubectl(&stage, &["taint", "node", "n1", taint], "");
    stage.until("it is attached to n2", async || is_on("n2").await).await;
    assert_eq!(hosts(&stage, &on_array).await, ["demo-n2"], "n1 cannot write any more");
    let status = attachments(&stage).await[0].status.clone().expect("a status");
    assert_eq!(status.attachment_metadata.expect("a context")["format"], "formatted");

    // An expansion does not wait for the node.
    let grow = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    let claims = stage.claims(NAMESPACE);
    claims.patch("data", &PatchParams::default(), &Patch::Merge(grow)).await.expect("asked");
    let grown = async || stage.on_arrays().await[&on_array] == 3 << 30;
    stage.until("it has grown", grown).await;

    // The claim is deleted with the volume attached: the volume stays until it is detached.
    claims.delete("data", &DeleteParams::default()).await.expect("deleted");
    delete_pod(&stage, "two");
    kubectl(&stage, &["delete", "node", "n2"], "");
    kubectl(&stage, &["delete", "csinode", "n2"], "");
    let gone = async || attachments(&stage).await.is_empty();
    stage.until("it is detached from a node that is gone", gone).await;
    let destroyed = async || stage.on_arrays().await.is_empty();
    stage.until("it is destroyed", destroyed).await;
    // The host goes with the node; it was detached before.
    let host = |name: &str| {
        let name = name.to_owned();
        move |object: &Json| object["name"] == name.as_str()
    };
    let left = async || {
        let all = contents(&stage, "hosts").await;
        all.iter().any(host("demo-n1")) && !all.iter().any(host("demo-n2"))
    };
    stage.until("the host is gone with its node", left).await;

    // n3 was cloned from n1, initiator and all.
    make_nodes(&stage, &[("n3", "n1")]);
    let (twin, on_array) = bound(&stage, "twin").await;
    make_pod(&stage, "three", "n3", "twin");
    let refused = async || {
        let all = attachments(&stage).await;
        let error = all
            .iter()
            .filter_map(|it| it.status.as_ref()?.attach_error.as_ref()?.message.as_deref());
        error.into_iter().any(|text| text.contains("nodes n1 and n3 have one initiator name"))
    };
    stage.until("it is refused by both names", refused).await;
    assert_eq!(hosts(&stage, &on_array).await, Vec::<String>::new());
    let reported = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), NAMESPACE);
        let events = events.list(&ListParams::default()).await.expect("listed").items;
        events.iter().any(|event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("three")
                && event.note.as_deref().is_some_and(|note| note.contains("n1 and n3"))
        })
    };
    stage.until("the pod's events say so", reported).await;
    // It gets a name of its own, and kubelet registers the driver anew.
    kubectl(&stage, &["delete", "csinode", "n3"], "");
    make_nodes(&stage, &[("n3", "n3")]);
    stage.until("it is attached", async || attached(&stage, &twin).await == ["n3"]).await;
    assert_eq!(hosts(&stage, &on_array).await, ["demo-n3"]);
    let (_, status, _) = oncall::ask(&stage, &["status", "--namespace", NAMESPACE]);
    let is_row = |line: &&str| line.starts_with("attach/twin ") && line.contains("n3");
    let row = status.lines().find(is_row).expect("a row");
    assert!(row.contains("Attached"), "{status}");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn volumes_move_while_the_provisioner_is_killed() {
    const NODES: [&str; 2] = ["n1", "n2"];
    let mut stage = Stage::open_with(NAMESPACE, Some("")).await;
    stage.start();
    make_nodes(&stage, &NODES.map(|node| (node, node)));
    let mut volumes = Vec::new();
    for number in 0..3 {
        volumes.push(bound(&stage, &format!("c{number}")).await);
    }
    for round in 0..10_usize {
        let node = NODES[round % 2];
        for number in 0..volumes.len() {
            make_pod(&stage, &format!("p{number}"), node, &format!("c{number}"));
        }
        // At another moment of its work in each round.
        let kill = Duration::from_millis(u64::try_from(round).expect("small") * 60);
        for _ in 0..2 {
            let_pass(kill).await;
            stage.kill();
            stage.start();
        }
        for (volume, on_array) in &volumes {
            let there = async || attached(&stage, volume).await == [node];
            stage.until("it is attached", there).await;
            assert_eq!(hosts(&stage, on_array).await, [format!("demo-{node}")]);
        }
        for number in 0..volumes.len() {
            delete_pod(&stage, &format!("p{number}"));
        }
        let_pass(kill).await;
        stage.kill();
        stage.start();
        let gone = async || attachments(&stage).await.is_empty();
        stage.until("all are detached", gone).await;
        for (_, on_array) in &volumes {
            assert_eq!(hosts(&stage, on_array).await, Vec::<String>::new());
        }
    }
    let log = fs::read_to_string(stage.log()).expect("a log");
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_claim_reports_once_that_no_node_can_mount_its_volume() {
    let namespace = "drivers";
    let mut stage = Stage::open_with(namespace, Some("")).await;
    // Other stories leave nodes in this control plane.
    kubectl(&stage, &["delete", "csinodes", "--all"], "");
    stage.start();
    let claims = stage.claims(namespace);
    for (name, class) in [("block", "pure-block"), ("file", "pure-file")] {
        let claim = claim(name, class, "1Gi");
        claims.create(&PostParams::default(), &claim).await.expect("made");
    }
    let events = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), namespace);
        let list = events.list(&ListParams::default()).await.expect("listed").items;
        let ours = list.into_iter().filter_map(|event| {
            let reason = event.reason.filter(|reason| reason.starts_with("NodeService"))?;
            let repeated = event.series.map_or(1, |series| series.count);
            Some((event.regarding?.name?, reason, event.type_?, repeated))
        });
        ours.collect::<BTreeSet<_>>()
    };
    let event = |reason: &str, severity: &str| {
        ("block".to_owned(), reason.to_owned(), severity.to_owned(), 1)
    };
    let missing = event("NodeServiceMissing", "Warning");
    let is_reported = async || events().await.contains(&missing);
    stage.until("the claim of the block volume has the event", is_reported).await;
    make_nodes(&stage, &[("n9", "n9")]);
    let available = event("NodeServiceAvailable", "Normal");
    let is_over = async || events().await.contains(&available);
    stage.until("the end is reported", is_over).await;
    assert_eq!(
        events().await,
        BTreeSet::from([missing, available]),
        "one each, and none for files"
    );
}
