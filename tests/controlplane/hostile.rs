//! PersistentVolumes that an attacker with the provisioner's token would create: each is one that the
//! provisioner makes, with something changed, and each is refused.

use super::platform::{Installed, SERVER};
use super::theft::{Thief, refused};
use super::*;

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
/// The array whose id the storage document gives, and that id.
const KNOWN: (&str, &str) = ("fa9", "a3bb189e-8bf9-3888-9912-ace4e6543002");

/// The PersistentVolume of a file system as the provisioner makes it, changed by a merge patch.
pub(super) fn volume(changes: &Json) -> Json {
    let name = format!("demo-pvc-{UID}");
    let object = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": format!("pvc-{UID}"), "finalizers": ["pso-gen.io/volume-protection"],
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner",
                "pso-gen.io/array": "fb1", "pso-gen.io/array-id": "id-of-fb1",
                "pso-gen.io/volume": name, "pso-gen.io/volume-id": "id-of-it",
            },
        },
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "pure-file",
            "mountOptions": ["nfsvers=4.1", "hard"],
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "thief",
                "name": "victim", "uid": UID,
            },
            "nfs": {"server": SERVER, "path": format!("/{name}")},
        },
    });
    changed(object, changes)
}

/// The same of a block volume.
fn block(changes: &Json) -> Json {
    let (array, id) = KNOWN;
    let object = volume(&json!({
        "metadata": {"annotations": {"pso-gen.io/array": array, "pso-gen.io/array-id": id}},
        "spec": {
            "nfs": null, "mountOptions": null, "storageClassName": "pure-block",
            "accessModes": ["ReadWriteOnce"],
            "csi": {
                "driver": "pso-gen.io", "volumeHandle": format!("{id}/id-of-it"), "fsType": "xfs",
                "volumeAttributes": {
                    "array": array, "name": format!("demo-pvc-{UID}"), "serial": "8A2F0000000000000001",
                },
            },
        },
    }));
    changed(object, changes)
}

/// The same of a file system that is imported for the claim `thief/archive`.
fn import(changes: &Json) -> Json {
    let object = volume(&json!({
        "metadata": {"annotations": {"pso-gen.io/volume": "archive-2019"}},
        "spec": {
            "claimRef": {"name": "archive"}, "nfs": {"path": "/archive-2019"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }));
    changed(object, changes)
}

/// The same on an array that the nodes of one zone reach.
fn zone(changes: &Json) -> Json {
    let object = volume(&json!({
        "metadata": {"annotations": {"pso-gen.io/array": "fb2"}},
        "spec": {"nfs": {"server": "192.0.2.11"}, "nodeAffinity": affinity(&[("topology.kubernetes.io/zone", "In", &["b"])])},
    }));
    changed(object, changes)
}

fn mark(changes: &Json) -> Json {
    let mark = serde_json::to_value(pso_gen::provisioner::decide::barrier("zz-pso-gen-mark-x-1"))
        .expect("JSON");
    changed(mark, changes)
}

fn changed(mut object: Json, changes: &Json) -> Json {
    json_patch::merge(&mut object, changes);
    object
}

fn affinity(labels: &[(&str, &str, &[&str])]) -> Json {
    let labels = labels
        .iter()
        .map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values}));
    json!({"required": {"nodeSelectorTerms": [{"matchExpressions": labels.collect::<Vec<_>>()}]}})
}

fn within(field: &str, fields: Json) -> Json {
    Json::from_iter([(field, fields)])
}

fn metadata(fields: Json) -> Json {
    within("metadata", fields)
}

fn spec(fields: Json) -> Json {
    within("spec", fields)
}

fn annotated(key: &str, value: &str) -> Json {
    json!({"metadata": {"annotations": {key: value}}})
}

fn claim_ref(fields: Json) -> Json {
    spec(within("claimRef", fields))
}

fn nfs(fields: Json) -> Json {
    spec(within("nfs", fields))
}

fn csi(fields: Json) -> Json {
    spec(within("csi", fields))
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_stolen_token_makes_no_volume_but_ours() {
    let (array, id) = KNOWN;
    let fields = json!({
        "imports": [{"namespace": "thief", "claim": "archive", "array": "fb1", "volume": "archive-2019"}],
        "classes": {
            "quick": {"like": "pure-file", "mountOptions": ["nconnect=8"]},
            "kept": {"like": "pure-block", "fileSystem": "ext4", "reclaimPolicy": "Retain"},
        },
        "more": [{
            "name": array, "type": "FlashArray", "management": "192.0.2.99", "id": id,
            "token": {"secret": "arrays", "key": "fa1"}, "ca": {"secret": "arrays", "key": "ca.pem"},
        }],
    });
    let installed = Installed::with("thief", &fields).await;
    let thief = Thief { client: client(&installed.own).await };
    // A policy counts some moments after it is there.
    let counts = async || thief.creates(&volume(&claim_ref(json!({"uid": OTHER})))).await.is_err();
    installed.stage.until("the policy counts", counts).await;
    let quick =
        json!({"storageClassName": "quick", "mountOptions": ["nfsvers=4.1", "hard", "nconnect=8"]});
    let kept = json!({
        "storageClassName": "kept", "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"fsType": "ext4"},
    });
    for (what, ours) in [
        ("a file system", volume(&json!({}))),
        ("with options", volume(&spec(quick))),
        ("a block volume", block(&json!({}))),
        ("a device", block(&spec(json!({"volumeMode": "Block"})))),
        ("one that is kept", block(&spec(kept))),
        ("one that is imported", import(&json!({}))),
        ("one for some nodes", zone(&json!({}))),
        ("a mark", mark(&json!({}))),
    ] {
        let made = thief.creates(&ours).await;
        assert!(made.is_ok(), "{what} is what the provisioner makes: {made:?}");
    }
    let all = [metadatas(), wheres(), hows(), marks()].concat();
    assert!(all.len() > 90, "{}", all.len());
    let mut wrong = Vec::new();
    for (what, object, why) in all {
        match thief.creates(&object).await {
            Err(kube::Error::Api(error)) if error.code == 403 && error.message.contains(why) => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    refused("a Pod", thief.creates(&pod()).await, "cannot create resource \"pods\"");
}

fn pod() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "thief"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    })
}

type Hostile = (&'static str, Json, &'static str);

const NAMED: &str = "for one claim, by whose UID it is named";
const OWN: &str = "sets only its own annotations and finalizer";
const ITS: &str = "only of the claim's own volume";
const FOREIGN: &str = "only of a volume on an array of the storage document";
const SECRET: &str = "hands no Secret to a driver";
const CLASS: &str = "uses the mount options and the file system";
const KEEPS: &str = "uses the reclaim policy";
const NODES: &str = "limits a volume to the nodes that reach its array";
const PLAIN: &str = "sets no field of a PersistentVolume but";
const NO_MARK: &str = "makes a mark for no claim that there is";

/// Whose it is, and what is written on it.
fn metadatas() -> Vec<Hostile> {
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": OTHER}]);
    let long = "0f8fad5b-d9cb-469f-a165-70867728950e.a.etc";
    vec![
        ("for anybody", volume(&claim_ref(Json::Null)), NAMED),
        ("for a name", volume(&claim_ref(json!({"uid": null}))), NAMED),
        ("for another claim", volume(&claim_ref(json!({"uid": OTHER}))), NAMED),
        ("of another name", volume(&metadata(json!({"name": "mine"}))), NAMED),
        ("for a Secret", volume(&claim_ref(json!({"kind": "Secret"}))), NAMED),
        ("for nothing of a kind", volume(&claim_ref(json!({"kind": null}))), NAMED),
        ("for another API", volume(&claim_ref(json!({"apiVersion": "v2"}))), NAMED),
        ("for no namespace", volume(&claim_ref(json!({"namespace": null}))), NAMED),
        ("for no name", volume(&claim_ref(json!({"name": null}))), NAMED),
        ("for a part", volume(&claim_ref(json!({"fieldPath": "spec"}))), NAMED),
        ("for a version", volume(&claim_ref(json!({"resourceVersion": "1"}))), NAMED),
        ("a UID with more behind it", uid(long), NAMED),
        ("a short UID", uid("1"), NAMED),
        (
            "nobody's",
            volume(&annotated("pv.kubernetes.io/provisioned-by", "other")),
            "without saying so",
        ),
        (
            "without annotations",
            volume(&metadata(json!({"annotations": null}))),
            "without saying so",
        ),
        (
            "mount options by the old annotation",
            volume(&annotated("volume.beta.kubernetes.io/mount-options", "exec,suid")),
            OWN,
        ),
        (
            "a class by the old annotation",
            volume(&annotated("volume.beta.kubernetes.io/storage-class", "x")),
            OWN,
        ),
        ("a group for its pods", volume(&annotated("pv.beta.kubernetes.io/gid", "0")), OWN),
        (
            "nodes by the old annotation",
            volume(&annotated("volume.alpha.kubernetes.io/node-affinity", "{}")),
            OWN,
        ),
        (
            "a Secret by annotation",
            volume(&annotated("volume.kubernetes.io/provisioner-deletion-secret-name", "root")),
            OWN,
        ),
        (
            "migrated to another driver",
            volume(&annotated("pv.kubernetes.io/migrated-to", "other")),
            OWN,
        ),
        (
            "bound by a controller",
            volume(&annotated("pv.kubernetes.io/bound-by-controller", "yes")),
            OWN,
        ),
        (
            "an annotation of Argo CD",
            volume(&annotated("argocd.argoproj.io/tracking-id", "x")),
            OWN,
        ),
        ("one more of ours", volume(&annotated("pso-gen.io/other", "x")), OWN),
        (
            "without the array",
            volume(&metadata(json!({"annotations": {"pso-gen.io/array": null}}))),
            OWN,
        ),
        (
            "without the volume's id",
            volume(&metadata(json!({"annotations": {"pso-gen.io/volume-id": null}}))),
            OWN,
        ),
        ("labels", volume(&metadata(json!({"labels": {"topology.kubernetes.io/zone": "b"}}))), OWN),
        ("owners", volume(&metadata(json!({"ownerReferences": owner}))), OWN),
        ("without our finalizer", volume(&metadata(json!({"finalizers": null}))), OWN),
        (
            "a finalizer of others",
            volume(&metadata(json!({"finalizers": ["pso-gen.io/volume-protection", "a.b/c"]}))),
            OWN,
        ),
        (
            "another claim's volume",
            volume(&annotated("pso-gen.io/volume", &format!("demo-pvc-{OTHER}"))),
            ITS,
        ),
        (
            "another cluster's volume",
            volume(&annotated("pso-gen.io/volume", &format!("next-pvc-{UID}"))),
            ITS,
        ),
        ("an import for another claim", import(&claim_ref(json!({"name": "victim"}))), ITS),
        ("an import in another namespace", import(&claim_ref(json!({"namespace": "other"}))), ITS),
        ("an import from another array", import(&annotated("pso-gen.io/array", "fb2")), ITS),
        ("another volume than the import's", import(&annotated("pso-gen.io/volume", "home")), ITS),
        ("no array", volume(&annotated("pso-gen.io/array", "fb7")), FOREIGN),
        ("no id", volume(&annotated("pso-gen.io/array-id", "")), FOREIGN),
        ("a path for an id", volume(&annotated("pso-gen.io/volume-id", "../1")), FOREIGN),
        ("another array's id", other_id(), FOREIGN),
    ]
}

/// Consistent in itself, but not the id that the storage document gives.
fn other_id() -> Json {
    block(&json!({
        "metadata": {"annotations": {"pso-gen.io/array-id": OTHER}},
        "spec": {"csi": {"volumeHandle": format!("{OTHER}/id-of-it")}},
    }))
}

fn uid(uid: &str) -> Json {
    volume(&json!({
        "metadata": {"name": format!("pvc-{uid}"), "annotations": {"pso-gen.io/volume": format!("demo-pvc-{uid}")}},
        "spec": {"claimRef": {"uid": uid}, "nfs": {"path": format!("/demo-pvc-{uid}")}},
    }))
}

/// What is mounted, and from where.
fn wheres() -> Vec<Hostile> {
    let path = |path: &str| volume(&nfs(json!({ "path": path })));
    let server = |server: &str| volume(&nfs(json!({ "server": server })));
    let source = |source: Json| volume(&changed(spec(json!({"nfs": null})), &spec(source)));
    let handle = |handle: &str| block(&csi(json!({ "volumeHandle": handle })));
    let attributes = |attributes: Json| block(&csi(json!({ "volumeAttributes": attributes })));
    let secret = json!({"name": "root", "namespace": "kube-system"});
    let secrets = [
        "controllerPublishSecretRef",
        "nodeStageSecretRef",
        "nodePublishSecretRef",
        "controllerExpandSecretRef",
        "nodeExpandSecretRef",
    ];
    let mut all = vec![
        ("out of the file system", path(&format!("/demo-pvc-{UID}/../demo-pvc-{OTHER}")), FOREIGN),
        ("below it", path(&format!("/demo-pvc-{UID}/a")), FOREIGN),
        ("to all of them", path("/"), FOREIGN),
        ("another file system", path("/home"), FOREIGN),
        ("another claim's", path(&format!("/demo-pvc-{OTHER}")), FOREIGN),
        ("the first part alone", path("/demo-pvc-"), FOREIGN),
        ("with two slashes", path(&format!("//demo-pvc-{UID}")), FOREIGN),
        ("with one at the end", path(&format!("/demo-pvc-{UID}/")), FOREIGN),
        ("its snapshots", path(&format!("/demo-pvc-{UID}/.snapshot")), FOREIGN),
        ("what is imported, by path alone", path("/archive-2019"), FOREIGN),
        ("read only", volume(&nfs(json!({"readOnly": true}))), FOREIGN),
        ("another server", server("192.0.2.66"), FOREIGN),
        ("another spelling of the server", server("192.0.2.010"), FOREIGN),
        ("a name of the server", server("fb1.example.com"), FOREIGN),
        ("an NFS volume of a FlashArray", volume(&annotated("pso-gen.io/array", "fa1")), FOREIGN),
        ("a folder of the node", source(json!({"hostPath": {"path": "/"}})), FOREIGN),
        (
            "a disk of the node",
            source(
                json!({"local": {"path": "/dev/sda"}, "nodeAffinity": affinity(&[("a", "In", &["b"])])}),
            ),
            FOREIGN,
        ),
        (
            "iSCSI",
            source(
                json!({"iscsi": {"targetPortal": SERVER, "iqn": "iqn.2010-06.com.purestorage:a", "lun": 1}}),
            ),
            FOREIGN,
        ),
        (
            "Fibre Channel",
            source(json!({"fc": {"targetWWNs": ["5000000000000001"], "lun": 1}})),
            FOREIGN,
        ),
        ("a FlexVolume", source(json!({"flexVolume": {"driver": "a/b"}})), FOREIGN),
        ("another driver", block(&csi(json!({"driver": "other"}))), FOREIGN),
        ("a handle of another volume", handle("id-of-fa1/other"), FOREIGN),
        ("a handle of another array", handle(&format!("{OTHER}/id-of-it")), FOREIGN),
        ("a handle that is a path", handle(&format!("{}/../id-of-it", KNOWN.1)), FOREIGN),
        ("the name of another volume", attributes(json!({"name": "home"})), FOREIGN),
        ("the name of another array", attributes(json!({"array": "fa1"})), FOREIGN),
        ("one attribute more", attributes(json!({"portal": "192.0.2.66"})), FOREIGN),
        ("one attribute less", attributes(json!({"serial": null})), FOREIGN),
        ("a serial that is a path", attributes(json!({"serial": "../sda"})), FOREIGN),
        ("no attributes", attributes(Json::Null), FOREIGN),
        ("a block volume that is read only", block(&csi(json!({"readOnly": true}))), FOREIGN),
        ("a block volume of a FlashBlade", block(&annotated("pso-gen.io/array", "fb1")), FOREIGN),
    ];
    for of in secrets {
        all.push(("a Secret", block(&csi(json!({ of: secret }))), SECRET));
    }
    all
}

/// How it is mounted, kept and placed.
fn hows() -> Vec<Hostile> {
    let options = |options: Json| volume(&spec(json!({ "mountOptions": options })));
    let nodes = |labels: &[(&str, &str, &[&str])]| spec(json!({"nodeAffinity": affinity(labels)}));
    let zone_label = "topology.kubernetes.io/zone";
    let terms = |terms: Json| {
        zone(&json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}))
    };
    let in_b =
        json!({"matchExpressions": [{"key": zone_label, "operator": "In", "values": ["b"]}]});
    let in_a =
        json!({"matchExpressions": [{"key": zone_label, "operator": "In", "values": ["a"]}]});
    let field = json!([{"key": "metadata.name", "operator": "In", "values": ["node-a"]}]);
    let with_field = json!({"matchExpressions": in_b["matchExpressions"], "matchFields": field});
    vec![
        ("no options", options(Json::Null), CLASS),
        ("another option", options(json!(["nfsvers=4.1", "hard", "exec"])), CLASS),
        ("another version", options(json!(["nfsvers=3", "hard"])), CLASS),
        ("another port", options(json!(["nfsvers=4.1", "hard", "port=2050"])), CLASS),
        ("another address", options(json!(["nfsvers=4.1", "hard", "addr=192.0.2.66"])), CLASS),
        (
            "another mount server",
            options(json!(["nfsvers=4.1", "hard", "mounthost=192.0.2.66"])),
            CLASS,
        ),
        ("options of another class", options(json!(["nfsvers=4.1", "hard", "nconnect=8"])), CLASS),
        ("options twice", options(json!(["nfsvers=4.1", "hard", "hard"])), CLASS),
        ("options in one", options(json!(["nfsvers=4.1,hard"])), CLASS),
        ("options for a block volume", block(&spec(json!({"mountOptions": ["bind"]}))), CLASS),
        ("a class that there is not", volume(&spec(json!({"storageClassName": "other"}))), CLASS),
        ("no class", volume(&spec(json!({"storageClassName": null}))), CLASS),
        (
            "a class of blocks",
            volume(&spec(json!({"storageClassName": "pure-block", "mountOptions": null}))),
            CLASS,
        ),
        ("another file system", block(&csi(json!({"fsType": "nfs"}))), CLASS),
        ("no file system", block(&csi(json!({"fsType": null}))), CLASS),
        (
            "kept against the class",
            volume(&spec(json!({"persistentVolumeReclaimPolicy": "Retain"}))),
            KEEPS,
        ),
        (
            "destroyed against the class",
            block(&spec(json!({"storageClassName": "kept", "csi": {"fsType": "ext4"}}))),
            KEEPS,
        ),
        (
            "an import that is destroyed",
            import(&spec(json!({"persistentVolumeReclaimPolicy": "Delete"}))),
            KEEPS,
        ),
        (
            "cleared by a pod",
            volume(&spec(json!({"persistentVolumeReclaimPolicy": "Recycle"}))),
            KEEPS,
        ),
        ("on one node", volume(&nodes(&[("kubernetes.io/hostname", "In", &["node-a"])])), NODES),
        ("on other nodes", zone(&nodes(&[(zone_label, "In", &["a"])])), NODES),
        ("on more nodes", zone(&nodes(&[(zone_label, "In", &["b", "a"])])), NODES),
        ("not on its nodes", zone(&nodes(&[(zone_label, "NotIn", &["b"])])), NODES),
        ("on fewer nodes", zone(&nodes(&[(zone_label, "In", &["b"]), ("a", "In", &["b"])])), NODES),
        ("on all nodes", zone(&spec(json!({"nodeAffinity": null}))), NODES),
        ("on further nodes", terms(json!([in_b, in_a])), NODES),
        ("on a node by name", terms(json!([with_field])), NODES),
        ("a file system as a device", volume(&spec(json!({"volumeMode": "Block"}))), PLAIN),
        (
            "with other attributes",
            block(&spec(json!({"volumeAttributesClassName": "gold"}))),
            PLAIN,
        ),
    ]
}

/// Barriers, which are let pass without a claim.
fn marks() -> Vec<Hostile> {
    let secret = json!({"name": "root", "namespace": "kube-system"});
    let folder = json!({"spec": {"csi": null, "hostPath": {"path": "/"}}});
    vec![
        ("a folder called a mark", mark(&folder), NAMED),
        ("a mark for a claim", mark(&claim_ref(json!({"uid": UID}))), NO_MARK),
        ("a mark for a name", mark(&claim_ref(json!({"name": "victim"}))), NO_MARK),
        ("a mark for a namespace", mark(&claim_ref(json!({"namespace": "thief"}))), NO_MARK),
        (
            "a mark that is destroyed",
            mark(&spec(json!({"persistentVolumeReclaimPolicy": "Delete"}))),
            NO_MARK,
        ),
        ("a mark of a class", mark(&spec(json!({"storageClassName": "pure-block"}))), NO_MARK),
        ("a mark with a volume", mark(&csi(json!({"volumeHandle": "a/b"}))), NO_MARK),
        ("a mark with attributes", mark(&csi(json!({"volumeAttributes": {"a": "b"}}))), NO_MARK),
        ("a mark with a file system", mark(&csi(json!({"fsType": "xfs"}))), NO_MARK),
        ("a mark with a Secret", mark(&csi(json!({"nodeStageSecretRef": secret}))), NO_MARK),
        ("a mark with options", mark(&spec(json!({"mountOptions": ["exec"]}))), NO_MARK),
        (
            "a mark with nodes",
            mark(&spec(json!({"nodeAffinity": affinity(&[("a", "In", &["b"])])}))),
            NO_MARK,
        ),
        ("a mark with labels", mark(&metadata(json!({"labels": {"a": "b"}}))), NO_MARK),
        (
            "a mark with annotations",
            mark(&annotated("volume.beta.kubernetes.io/storage-class", "pure-file")),
            NO_MARK,
        ),
        ("a mark with a finalizer", mark(&metadata(json!({"finalizers": ["a.b/c"]}))), NO_MARK),
    ]
}
