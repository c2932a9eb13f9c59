//! An attacker with the token of the provisioner's account changes no more than the provisioner does. What may
//! be created is in `hostile.rs`.

use kube::api::{DynamicObject, TypeMeta};
use kube::discovery::ApiResource;

use super::hostile::volume;
use super::platform::{Installed, NAME, NAMESPACE};
use super::stories::{as_list, kubectl};
use super::*;

const SELECTED: &str = "volume.kubernetes.io/selected-node";

/// An attacker with the token of an account.
pub(super) struct Thief {
    pub(super) client: Client,
}

impl Thief {
    pub(super) fn api(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk(&kind);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    pub(super) fn volumes(&self) -> Api<DynamicObject> {
        self.api("v1", "PersistentVolume", None)
    }

    /// Creates an object, if only it could.
    pub(super) async fn creates(&self, object: &Json) -> kube::Result<DynamicObject> {
        let word = |key: &str| object[key].as_str().expect("text").to_owned();
        let (version, kind) = (word("apiVersion"), word("kind"));
        let api = self.api(&version, &kind, object["metadata"]["namespace"].as_str());
        let mut made: DynamicObject = serde_json::from_value(object.clone()).expect("typed");
        made.types = Some(TypeMeta { api_version: version, kind });
        api.create(&PostParams { dry_run: true, ..PostParams::default() }, &made).await
    }
}

/// Nothing that is tried here is meant to stay.
pub(super) fn dry() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(what: &str, tried: kube::Result<T>, why: &str) {
    match tried {
        Err(kube::Error::Api(error)) => {
            let (code, message) = (error.code, &error.message);
            assert!(code == 403 && message.contains(why), "{what}: {code} {message}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_stolen_token_changes_nothing_of_others() {
    let installed = Installed::new("thief").await;
    let stage = &installed.stage;
    let thief = Thief { client: client(&installed.own).await };
    let counts =
        async || thief.creates(&volume(&json!({"spec": {"claimRef": null}}))).await.is_err();
    stage.until("the policy counts", counts).await;
    let _provisioner = installed.spawn();
    let claims = stage.claims("thief");
    let mut mine = claim("mine", "pure-file", "1Gi");
    mine.metadata.annotations = Some([("team".to_owned(), "one".to_owned())].into());
    claims.create(&PostParams::default(), &mine).await.expect("made");
    let bound = async || is_bound(&claims.get("mine").await.expect("there"));
    stage.until("the claim is bound", bound).await;

    let others = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "others"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"],
            "storageClassName": "none", "nfs": {"server": "192.0.2.1", "path": "/others"},
        },
    });
    let pending = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "pending", "namespace": "thief", "annotations": {SELECTED: "node-a"}},
        "spec": {
            "storageClassName": "nobodys", "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&[others, pending]));

    let ours = format!("pvc-{}", uid(&claims.get("mine").await.expect("there")));
    changes_no_volumes(&thief, &ours).await;
    changes_no_claims(&thief).await;
    may_attach_nothing_of_others(&thief, stage).await;
    may_nothing_else(&thief, &mine).await;
}

async fn changes_no_volumes(thief: &Thief, ours: &str) {
    let volumes = thief.volumes();
    let alone = "leaves PersistentVolumes of others alone";
    let annotated = json!({"metadata": {"annotations": {
        "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner",
    }}});
    let annotated = Patch::Merge(&annotated);
    refused("theirs", volumes.delete("others", &DeleteParams::default().dry_run()).await, alone);
    refused("theirs", volumes.patch("others", &dry(), &annotated).await, alone);
    let bound = volumes.delete(ours, &DeleteParams::default().dry_run()).await;
    refused("its own that is bound", bound, "no PersistentVolume that is bound");
    refused("its status", volumes.patch_status("others", &dry(), &annotated).await, alone);
    for (what, patch, why) in [
        ("whose it is", json!({"spec": {"claimRef": {"name": "other"}}}), "but its capacity"),
        (
            "its end",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
            "but its capacity",
        ),
        ("how it is mounted", json!({"spec": {"mountOptions": ["exec"]}}), "but its capacity"),
        ("labels", json!({"metadata": {"labels": {"a": "b"}}}), "but its own finalizer"),
        (
            "finalizers",
            json!({"metadata": {"finalizers": ["pso-gen.io/volume-protection"]}}),
            "own finalizer",
        ),
        (
            "its own finalizer",
            json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}}),
            "only when that is being deleted",
        ),
        (
            "annotations",
            json!({"metadata": {"annotations": {"pso-gen.io/volume": "x"}}}),
            "finalizer",
        ),
    ] {
        refused(what, volumes.patch(ours, &dry(), &Patch::Merge(&patch)).await, why);
    }
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let by_status = volumes.patch_status(ours, &dry(), &Patch::Merge(&labels)).await;
    refused("labels by its status", by_status, "but its own finalizer");
    // What is released is destroyed.
    let released = json!({"status": {"phase": "Released"}});
    let by_status = volumes.patch_status(ours, &dry(), &Patch::Merge(&released)).await;
    refused("that it is released", by_status, "to Bound only");
    let larger = json!({"spec": {"capacity": {"storage": "2Gi"}}});
    volumes.patch(ours, &dry(), &Patch::Merge(&larger)).await.expect("what the provisioner does");
}

async fn changes_no_claims(thief: &Thief) {
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let own = thief.api("v1", "PersistentVolumeClaim", Some("thief"));
    let patches =
        async |name: &str, patch: &Json| own.patch(name, &dry(), &Patch::Merge(patch)).await;
    let annotation = |key: &str, value: Json| json!({"metadata": {"annotations": {key: value}}});
    for (what, name, patch, why) in [
        ("labels", "mine", labels.clone(), "no labels, owners or finalizers"),
        (
            "protection",
            "mine",
            json!({"metadata": {"finalizers": null}}),
            "no labels, owners or finalizers",
        ),
        (
            "size",
            "mine",
            json!({"spec": {"resources": {"requests": {"storage": "9Gi"}}}}),
            "asks for",
        ),
        ("a word", "mine", annotation("team", json!("two")), "writes no annotations of others"),
        ("a new word", "mine", annotation("new", json!("two")), "writes no annotations of others"),
        ("no word", "mine", annotation("team", Json::Null), "takes off no annotations of others"),
        (
            "a node",
            "mine",
            annotation(SELECTED, json!("node-a")),
            "writes no annotations of others",
        ),
        (
            "an array",
            "pending",
            annotation("pso-gen.io/array", json!("fb1,elsewhere")),
            "only arrays of the storage document",
        ),
        (
            "an import",
            "pending",
            annotation("pso-gen.io/import", json!("home")),
            "imports for a claim only the volume",
        ),
        (
            "that it is not bound",
            "mine",
            annotation("pv.kubernetes.io/bind-completed", json!("no")),
            "with the value yes only",
        ),
        (
            "a volume",
            "pending",
            json!({"spec": {"volumeName": "others"}}),
            "to its own PersistentVolume",
        ),
    ] {
        refused(what, patches(name, &patch).await, why);
    }
    patches("pending", &annotation(SELECTED, Json::Null)).await.expect("what the provisioner does");
    let by_status =
        own.patch_status("mine", &dry(), &Patch::Merge(&annotation("team", json!("two")))).await;
    let lost = json!({"status": {"phase": "Lost"}});
    let lost = own.patch_status("mine", &dry(), &Patch::Merge(&lost)).await;
    refused("that it is lost", lost, "to Bound only");
    refused("annotations by its status", by_status, "writes no annotations of others");
}

/// VolumeAttachments: those of other drivers, and of its own what others wrote there.
async fn may_attach_nothing_of_others(thief: &Thief, stage: &Stage) {
    let attachment = |name: &str, driver: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {
                "name": name, "finalizers": ["example.com/kept"],
                "annotations": {"example.com/note": "kept"},
            },
            "spec": {
                "attacher": driver, "nodeName": "n1", "source": {"persistentVolumeName": "none"},
            },
        })
    };
    let both = [attachment("ours", "pso-gen.io"), attachment("theirs", "example.com")];
    kubectl(stage, &["apply", "-f", "-"], &as_list(&both));
    let all = thief.api("storage.k8s.io/v1", "VolumeAttachment", None);
    let attached = json!({"status": {"attached": true}});
    let status = all.patch_status("theirs", &dry(), &Patch::Merge(&attached)).await;
    refused("another driver's", status, "touches no VolumeAttachments of other drivers");
    for (what, patch, why) in [
        ("a finalizer", json!({"metadata": {"finalizers": null}}), "finalizers of others"),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}}), "changes no labels"),
        (
            "an annotation",
            json!({"metadata": {"annotations": {"example.com/note": null}}}),
            "writes no annotations of others",
        ),
        // Its own policy and that of the node service refuse it, and either may answer.
        (
            "the record of formatting",
            json!({"metadata": {"annotations": {"pso-gen.io/formatted": "true"}}}),
            "annotation",
        ),
    ] {
        refused(what, all.patch("ours", &dry(), &Patch::Merge(&patch)).await, why);
    }
    let ours = json!({"metadata": {"annotations": {"pso-gen.io/node-id": "n1"}}});
    all.patch("ours", &dry(), &Patch::Merge(&ours)).await.expect("what the provisioner does");
    for kind in ["create", "delete"] {
        let verb = format!("cannot {kind} resource");
        let done = match kind {
            "create" => thief.creates(&attachment("new", "pso-gen.io")).await.map(|_| ()),
            _ => all.delete("ours", &DeleteParams::default().dry_run()).await.map(|_| ()),
        };
        refused(kind, done, &verb);
    }
}

/// What its role does not say at all.
async fn may_nothing_else(thief: &Thief, mine: &PersistentVolumeClaim) {
    let all = ListParams::default();
    let here = |version, kind| thief.api(version, kind, Some(NAMESPACE));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    });
    refused("a pod", thief.creates(&pod).await, "cannot create resource \"pods\"");
    let mut claim = serde_json::to_value(mine).expect("JSON");
    claim["metadata"]["namespace"] = json!("thief");
    (claim["apiVersion"], claim["kind"]) = (json!("v1"), json!("PersistentVolumeClaim"));
    refused("a claim", thief.creates(&claim).await, "cannot create resource");
    refused("Secrets", here("v1", "Secret").list(&all).await, "cannot list resource \"secrets\"");
    refused(
        "a Secret",
        here("v1", "Secret").get("arrays").await,
        "cannot get resource \"secrets\"",
    );
    let leases = here("coordination.k8s.io/v1", "Lease");
    refused("a lease", leases.get("kube-scheduler").await, "cannot get resource \"leases\"");
    let policies =
        thief.api("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", None);
    let policy = format!("{NAME}-persistentvolumes");
    let dry = DeleteParams::default().dry_run();
    refused(
        "the policy",
        policies.delete(&policy, &dry).await.map(|_| ()),
        "cannot delete resource",
    );
}
