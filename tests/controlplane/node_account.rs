//! The account of the node service, and a thief with its token: it may write one annotation, on the VolumeAttachments of
//! its own node. No other account writes that annotation.

use kube::api::DynamicObject;

use super::platform::{Installed, NAMESPACE};
use super::stories::{as_list, kubectl};
use super::theft::{Thief, dry, refused};
use super::*;

/// Namespace and name of the node service.
const NODE: &str = "pso-gen-node";
const FORMATTED: &str = "pso-gen.io/formatted";
const DRIVER: &str = "pso-gen.io";

/// Returns a VolumeAttachment.
fn attachment(name: &str, driver: &str, node: &str) -> Json {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {
            "name": name, "finalizers": ["external-attacher/an-attacher"],
            "annotations": {"csi.alpha.kubernetes.io/node-id": format!("{node};iqn.1994-05.com.redhat:1")},
        },
        "spec": {
            "attacher": driver, "nodeName": node,
            "source": {"persistentVolumeName": format!("pv-of-{name}")},
        },
    })
}

fn annotated(key: &str, value: &Json) -> Json {
    json!({"metadata": {"annotations": {key: value}}})
}

/// A cluster with two nodes, a pod of the node service on each, and some VolumeAttachments.
async fn nodes(installed: &Installed) -> BTreeMap<String, String> {
    let stage = &installed.stage;
    let node = |name: &str| {
        let labels = json!({"kubernetes.io/os": "linux"});
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    };
    kubectl(stage, &["apply", "-f", "-"], &as_list(&["node-a", "node-b"].map(node)));
    let capacity = json!({"status": {"allocatable": {
        "cpu": "4", "memory": "8Gi", "pods": "10", "ephemeral-storage": "8Gi",
    }}});
    for node in ["node-a", "node-b"] {
        let patch = capacity.to_string();
        kubectl(stage, &["patch", "node", node, "--subresource=status", "-p", &patch], "");
    }
    let objects = [
        attachment("ours-a", DRIVER, "node-a"),
        attachment("second-a", DRIVER, "node-a"),
        attachment("ours-b", DRIVER, "node-b"),
        attachment("theirs-a", "other.example.com", "node-a"),
    ];
    kubectl(stage, &["apply", "-f", "-"], &as_list(&objects));
    let pods = || {
        let text = kubectl(stage, &["-n", NODE, "get", "pods", "-o", "json"], "");
        let pods: Json = serde_json::from_str(&text).expect("JSON");
        let pods = pods["items"].as_array().expect("pods").clone();
        let word = |value: &Json| value.as_str().map(str::to_owned);
        let placed = pods.iter().filter_map(|pod| {
            Some((word(&pod["spec"]["nodeName"])?, word(&pod["metadata"]["name"])?))
        });
        placed.collect::<BTreeMap<_, _>>()
    };
    stage.until("a pod is on each node", async || pods().len() == 2).await;
    pods()
}

/// Returns an account by a token; `more` are arguments of `kubectl create token`.
async fn account(installed: &Installed, name: &str, args: &[&str]) -> Thief {
    let stage = &installed.stage;
    let path = stage.folder.path().join(name);
    let token = kubectl(stage, &[&["create", "token"], args].concat(), "");
    let text = fs::read_to_string(&stage.kubeconfig).expect("text");
    let mut config: Json = serde_yaml::from_str(&text).expect("YAML");
    config["users"] = json!([{"name": "user", "user": {"token": token.trim()}}]);
    fs::write(&path, config.to_string()).expect("written");
    Thief { client: client(&path).await }
}

async fn patch(who: &Thief, name: &str, patch: &Json) -> kube::Result<DynamicObject> {
    let attachments = who.api("storage.k8s.io/v1", "VolumeAttachment", None);
    attachments.patch(name, &dry(), &Patch::Merge(patch)).await
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn the_token_of_a_node_records_formatting_on_its_own_node_and_nothing_else() {
    let installed = Installed::new("nodes").await;
    let stage = &installed.stage;
    let pods = nodes(&installed).await;
    let bound = |pod: &str| {
        ["-n", NODE, NODE, "--bound-object-kind", "Pod", "--bound-object-name", pod]
            .map(str::to_owned)
    };
    let bound = bound(&pods["node-a"]);
    let bound: Vec<&str> = bound.iter().map(String::as_str).collect();
    let node = account(&installed, "node", &bound).await;
    let unbound = account(&installed, "unbound", &["-n", NODE, NODE]).await;
    let admin = Thief { client: stage.client.clone() };
    let provisioner = Thief { client: client(&installed.own).await };
    let formatted = annotated(FORMATTED, &json!("true"));
    let counts = async || {
        patch(&node, "ours-b", &formatted).await.is_err()
            && patch(&admin, "ours-a", &formatted).await.is_err()
    };
    stage.until("the policies count", counts).await;

    patch(&node, "ours-a", &formatted).await.expect("what the node service does");
    writes_nothing_else(&node).await;
    let none = patch(&unbound, "ours-a", &formatted).await;
    refused("a token that no pod has", none, "the node that its token is bound to");
    may_nothing_else(&node).await;

    // The record is there for good, whoever asks.
    let attachments = node.api("storage.k8s.io/v1", "VolumeAttachment", None);
    let (kept, record) = (PatchParams::default(), Patch::Merge(&formatted));
    attachments.patch("ours-a", &kept, &record).await.expect("what the node service does");
    patch(&node, "ours-a", &formatted).await.expect("again");
    let reserved = "is reserved for the pso-gen node service";
    for (what, value) in [("no record", Json::Null), ("another record", json!("false"))] {
        let change = annotated(FORMATTED, &value);
        refused(what, patch(&admin, "ours-a", &change).await, reserved);
        assert!(patch(&node, "ours-a", &change).await.is_err(), "{what} by the node");
    }
    refused("an admin's record", patch(&admin, "ours-b", &formatted).await, reserved);
    let by_provisioner = patch(&provisioner, "ours-b", &formatted).await;
    assert!(matches!(by_provisioner, Err(kube::Error::Api(error)) if error.code == 403));
    let mut new = attachment("new-a", DRIVER, "node-a");
    new["metadata"]["annotations"] = json!({FORMATTED: "true"});
    refused("a new one with a record", admin.creates(&new).await, reserved);

    // What other controllers and drivers do.
    new["metadata"]["annotations"] = Json::Null;
    admin.creates(&new).await.expect("as kube-controller-manager does");
    let attached = json!({"status": {"attached": true, "attachmentMetadata": {"lun": "1"}}});
    let api = admin.api("storage.k8s.io/v1", "VolumeAttachment", None);
    api.patch_status("ours-a", &dry(), &Patch::Merge(&attached))
        .await
        .expect("as the attacher does");
    let released = json!({"metadata": {"finalizers": null}});
    patch(&admin, "ours-a", &released).await.expect("as the attacher does");
    patch(&admin, "theirs-a", &formatted).await.expect("another driver's own matter");
    api.delete("ours-a", &DeleteParams::default().dry_run()).await.expect("as Kubernetes does");
}

/// Each change of a VolumeAttachment except the one that the node service makes.
async fn writes_nothing_else(node: &Thief) {
    let formatted = annotated(FORMATTED, &json!("true"));
    let alone = "changes no annotation except its record";
    let fields = "changes no labels, owners, finalizers or fields";
    let owner = json!([{
        "apiVersion": "v1", "kind": "Node", "name": "node-a",
        "uid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    }]);
    for (what, name, change, why) in [
        ("another node", "ours-b", formatted.clone(), "the node that its token is bound to"),
        ("another driver", "theirs-a", formatted, "of its own driver"),
        ("another value", "ours-a", annotated(FORMATTED, &json!("false")), "records only that"),
        ("no value", "ours-a", annotated(FORMATTED, &json!("")), "records only that"),
        ("another annotation", "ours-a", annotated("a", &json!("b")), alone),
        (
            "the node's initiators",
            "ours-a",
            annotated("csi.alpha.kubernetes.io/node-id", &json!("node-b")),
            alone,
        ),
        (
            "no annotation",
            "ours-a",
            annotated("csi.alpha.kubernetes.io/node-id", &Json::Null),
            alone,
        ),
        ("labels", "ours-a", json!({"metadata": {"labels": {"a": "b"}}}), fields),
        ("no finalizer", "ours-a", json!({"metadata": {"finalizers": null}}), fields),
        ("an owner", "ours-a", json!({"metadata": {"ownerReferences": owner}}), fields),
    ] {
        refused(what, patch(node, name, &change).await, why);
    }
    let spec = json!({"spec": {"nodeName": "node-b"}});
    assert!(patch(node, "ours-a", &spec).await.is_err(), "the node");
}

/// What its role does not say at all.
async fn may_nothing_else(node: &Thief) {
    let all = ListParams::default();
    let api = |version, kind, namespace| node.api(version, kind, namespace);
    let attachments = api("storage.k8s.io/v1", "VolumeAttachment", None);
    attachments.get("ours-a").await.expect("what the node service does");
    let listed = attachments.list(&all).await.map(|_| ());
    refused("all attachments", listed, "cannot list resource");
    let attached = json!({"status": {"attached": true}});
    let status = attachments.patch_status("ours-a", &dry(), &Patch::Merge(&attached)).await;
    refused("the status", status, "cannot patch resource");
    let deleted = attachments.delete("ours-a", &DeleteParams::default().dry_run()).await;
    refused("an attachment", deleted.map(|_| ()), "cannot delete resource");
    let made = node.creates(&attachment("new", DRIVER, "node-a")).await;
    refused("a new attachment", made, "cannot create resource");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": NODE},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    });
    refused("a pod", node.creates(&pod).await, "cannot create resource \"pods\"");
    for (version, kind, namespace) in [
        ("v1", "Secret", Some(NODE)),
        ("v1", "Secret", Some(NAMESPACE)),
        ("v1", "ConfigMap", Some(NAMESPACE)),
        ("v1", "Pod", Some(NODE)),
        ("v1", "PersistentVolume", None),
        ("v1", "PersistentVolumeClaim", Some("nodes")),
        ("v1", "Node", None),
        ("storage.k8s.io/v1", "CSINode", None),
    ] {
        let listed = api(version, kind, namespace).list(&all).await.map(|_| ());
        refused(kind, listed, "cannot list resource");
    }
    let read = api("v1", "Secret", Some(NAMESPACE)).get("arrays").await;
    refused("the token of an array", read, "cannot get resource \"secrets\"");
}

/// The pods that are rendered are the ones that Kubernetes takes, in their namespace and in no other.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn only_its_own_namespace_takes_the_pods_of_the_node_service() {
    let installed = Installed::new("privileged").await;
    let stage = &installed.stage;
    let pods = nodes(&installed).await;
    assert_eq!(pods.len(), 2);
    let text = kubectl(stage, &["-n", NODE, "get", "daemonset", NODE, "-o", "json"], "");
    let set: Json = serde_json::from_str(&text).expect("JSON");
    let admin = Thief { client: stage.client.clone() };
    for namespace in [NAMESPACE, "privileged"] {
        kubectl(
            stage,
            &[
                "label",
                "--overwrite",
                "namespace",
                "privileged",
                "pod-security.kubernetes.io/enforce=baseline",
            ],
            "",
        );
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": namespace},
            "spec": set["spec"]["template"]["spec"],
        });
        let mut pod = pod;
        pod["spec"]["serviceAccountName"] = json!("default");
        refused(namespace, admin.creates(&pod).await, "violates PodSecurity");
    }
    // The API server stores what was rendered: no default of its own is a permanent difference.
    let rendered = installed.objects().iter().find(|object| object["kind"] == "CSIDriver");
    let text = kubectl(stage, &["get", "csidriver", DRIVER, "-o", "json"], "");
    let stored: Json = serde_json::from_str(&text).expect("JSON");
    let wanted = rendered.expect("a CSIDriver")["spec"].as_object().expect("fields").clone();
    for (field, value) in wanted {
        assert_eq!(stored["spec"][&field], value, "{field}");
    }
}
