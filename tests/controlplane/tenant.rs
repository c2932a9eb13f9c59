//! A tenant, who may write everything in one namespace, and a provisioner for another storage: what the
//! rendered policies refuse them, and what they do not.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;

use super::platform::{Installed, SERVER};
use super::stories::{as_list, kubectl};
use super::theft::{Thief, dry, refused};
use super::*;

const TENANT: &str = "tenant";
/// What a tenant may write on claims.
const OF_TENANTS: [(&str, &str); 3] = [
    ("pso-gen.io/snapshots", "every 6h, keep 4"),
    ("pso-gen.io/owner", "ada@example.com"),
    ("team", "one"),
];
/// What only the provisioner may.
const RECORDS: [&str; 8] = [
    "pso-gen.io/array",
    "pso-gen.io/array-id",
    "pso-gen.io/cluster",
    "pso-gen.io/cluster-id",
    "pso-gen.io/import",
    "pso-gen.io/record",
    "pso-gen.io/volume",
    "pso-gen.io/volume-id",
];
const LISTED: &str = "is not allowed";
const DRIVEN: &str = "the CSI driver is not allowed in a pod";
const OURS: &str = "are reserved for the pso-gen provisioner";
const FINALIZER: &str = "the finalizer pso-gen.io/volume-protection is reserved";

async fn installed() -> Installed {
    let foreign = json!({"provisioner": {"foreign": {
        "servers": ["nas.example.com", "192.0.2.7:3260"], "drivers": ["listed.example.com"],
    }}});
    let installed = Installed::with(TENANT, &foreign).await;
    let namespaced = json!([
        {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims", "persistentvolumeclaims/status"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["*"]},
    ]);
    let volumes = json!([
        {"apiGroups": [""], "resources": ["persistentvolumes", "persistentvolumes/status"], "verbs": ["*"]},
    ]);
    let admin = json!([{"apiGroups": ["pso-gen.io"], "resources": ["persistentvolumes"], "verbs": ["create"]}]);
    let mut objects = Vec::new();
    for (name, kind, rules) in [
        ("tenant", "Role", namespaced),
        ("neighbour", "ClusterRole", volumes.clone()),
        ("restorer", "ClusterRole", json!([volumes[0], admin[0]])),
    ] {
        let whole = |kind: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
                "metadata": {"name": name, "namespace": if kind.starts_with("Cluster") { Json::Null } else { json!(TENANT) }},
            })
        };
        let mut role = whole(kind);
        role["rules"] = rules;
        let mut binding = whole(&format!("{kind}Binding"));
        binding["roleRef"] =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        binding["subjects"] =
            json!([{"kind": "ServiceAccount", "name": name, "namespace": TENANT}]);
        objects.extend([
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": TENANT}}),
            role,
            binding,
        ]);
    }
    kubectl(&installed.stage, &["apply", "-f", "-"], &as_list(&objects));
    installed
}

async fn account(installed: &Installed, name: &str) -> Thief {
    let stage = &installed.stage;
    let path = stage.folder.path().join(name);
    let token = kubectl(stage, &["-n", TENANT, "create", "token", name], "");
    let text = fs::read_to_string(&stage.kubeconfig).expect("text");
    let mut config: Json = serde_yaml::from_str(&text).expect("YAML");
    config["users"] = json!([{"name": "user", "user": {"token": token.trim()}}]);
    fs::write(&path, config.to_string()).expect("written");
    Thief { client: client(&path).await }
}

fn pod(volumes: &[Json]) -> Json {
    let named = volumes.iter().enumerate().map(|(index, volume)| {
        let mut volume = volume.clone();
        volume["name"] = json!(format!("v{index}"));
        volume
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": TENANT},
        "spec": {
            "containers": [{"name": "a", "image": "example.com/none"}],
            "volumes": named.collect::<Vec<_>>(),
        },
    })
}

fn nfs(server: &str) -> Json {
    json!({"nfs": {"server": server, "path": "/demo-pvc-1"}})
}

/// With the name of another node: an array knows by it who may attach a volume.
fn iscsi(portal: &str, portals: &[&str]) -> Json {
    json!({"iscsi": {
        "targetPortal": portal, "portals": portals, "iqn": "iqn.2010-06.com.purestorage:a", "lun": 1,
        "initiatorName": "iqn.1994-05.com.redhat:another-node",
    }})
}

fn csi(driver: &str, attributes: &[(&str, &str)]) -> Json {
    let attributes: Json = attributes.iter().copied().collect();
    json!({"csi": {"driver": driver, "volumeAttributes": attributes}})
}

fn allowed_volumes() -> Vec<(&'static str, Vec<Json>)> {
    vec![
        ("no volume", vec![]),
        ("an empty folder", vec![json!({"emptyDir": {}})]),
        ("a claim", vec![json!({"persistentVolumeClaim": {"claimName": "mine"}})]),
        (
            "a Secret and a ConfigMap",
            vec![json!({"secret": {"secretName": "a"}}), json!({"configMap": {"name": "a"}})],
        ),
        ("a listed server", vec![nfs("nas.example.com")]),
        ("a listed portal", vec![iscsi("192.0.2.7:3260", &[])]),
        (
            "a driver for secrets",
            vec![csi("secrets-store.csi.k8s.io", &[("secretProviderClass", "a")])],
        ),
        (
            "a driver that needs nothing",
            vec![json!({"csi": {"driver": "csi.spiffe.io", "readOnly": true}})],
        ),
        ("a listed driver", vec![csi("listed.example.com", &[("server", "anywhere")])]),
    ]
}

fn refused_volumes() -> Vec<(&'static str, Vec<Json>, &'static str)> {
    vec![
        ("the array", vec![nfs(SERVER)], LISTED),
        ("another spelling of it", vec![nfs("192.0.2.010")], LISTED),
        ("it by IPv6", vec![nfs("::ffff:192.0.2.10")], LISTED),
        ("it by a name", vec![nfs("fb1.example.com")], LISTED),
        ("it by a name of the tenant's", vec![nfs("10.evil.example.net")], LISTED),
        ("a listed server in capitals", vec![nfs("NAS.example.com")], LISTED),
        ("a listed server with a dot", vec![nfs("nas.example.com.")], LISTED),
        (
            "the array after others",
            vec![json!({"emptyDir": {}}), nfs("nas.example.com"), nfs(SERVER)],
            LISTED,
        ),
        ("a portal", vec![iscsi("192.0.2.20", &[])], LISTED),
        ("a further portal", vec![iscsi("192.0.2.7:3260", &["192.0.2.20"])], LISTED),
        ("another port", vec![iscsi("192.0.2.7", &[])], LISTED),
        (
            "Fibre Channel",
            vec![json!({"fc": {"targetWWNs": ["524a937000000001"], "lun": 1}})],
            LISTED,
        ),
        ("Fibre Channel by id", vec![json!({"fc": {"wwids": ["3624a9370"]}})], LISTED),
        ("a FlexVolume", vec![json!({"flexVolume": {"driver": "example.com/nfs"}})], LISTED),
        ("our driver", vec![csi("pso-gen.io", &[])], DRIVEN),
        ("our driver without a word", vec![json!({"csi": {"driver": "pso-gen.io"}})], DRIVEN),
        (
            "the driver for NFS",
            vec![csi("nfs.csi.k8s.io", &[("server", SERVER), ("share", "/")])],
            DRIVEN,
        ),
        (
            "the driver for NFS, in capitals",
            vec![csi("nfs.csi.k8s.io", &[("SERVER", SERVER)])],
            DRIVEN,
        ),
        ("the driver for SMB", vec![csi("smb.csi.k8s.io", &[("source", "//a/b")])], DRIVEN),
        ("the old driver", vec![csi("pure-csi", &[])], DRIVEN),
        (
            "any driver that takes a server",
            vec![csi("other.example.com", &[("Server", SERVER)])],
            DRIVEN,
        ),
        (
            "any driver that takes a portal",
            vec![csi("other.example.com", &[("targetPortal", SERVER)])],
            DRIVEN,
        ),
    ]
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_tenant_mounts_by_claims_alone() {
    let installed = installed().await;
    let tenant = account(&installed, "tenant").await;
    // A policy counts some moments after it is there.
    let counts = async || tenant.creates(&pod(&[nfs(SERVER)])).await.is_err();
    installed.stage.until("the policy counts", counts).await;
    for (what, volumes) in allowed_volumes() {
        let made = tenant.creates(&pod(&volumes)).await;
        assert!(made.is_ok(), "{what}: {made:?}");
    }
    let mut wrong = Vec::new();
    for (what, volumes, why) in refused_volumes() {
        match tenant.creates(&pod(&volumes)).await {
            Err(kube::Error::Api(error)) if error.code == 403 && error.message.contains(why) => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Behind many others: the number of volumes is no way past.
    let many: Vec<Json> = (0..9000).map(|_| json!({"emptyDir": {}})).chain([nfs(SERVER)]).collect();
    refused("the array after thousands", tenant.creates(&pod(&many)).await, LISTED);

    // By a workload: Kubernetes' own controllers make the pods.
    let template = pod(&[nfs(SERVER)])["spec"].clone();
    let labels = json!({"app": "a"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": TENANT},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    });
    kubectl(&installed.stage, &["apply", "-f", "-"], &deployment.to_string());
    let deployments = Api::<Deployment>::namespaced(installed.stage.client.clone(), TENANT);
    let failed = async || {
        let status = deployments.get("a").await.expect("there").status.unwrap_or_default();
        let mut conditions = status.conditions.unwrap_or_default().into_iter();
        conditions.any(|each| {
            each.type_ == "ReplicaFailure" && each.message.unwrap_or_default().contains(LISTED)
        })
    };
    installed.stage.until("no pod is made", failed).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_tenant_writes_no_record_of_the_provisioner() {
    let installed = installed().await;
    let stage = &installed.stage;
    let tenant = account(&installed, "tenant").await;
    let whole = |changes: &Json| {
        let mut object = serde_json::to_value(claim("forged", "pure-file", "1Gi")).expect("JSON");
        (object["apiVersion"], object["kind"]) = (json!("v1"), json!("PersistentVolumeClaim"));
        object["metadata"]["namespace"] = json!(TENANT);
        json_patch::merge(&mut object, changes);
        object
    };
    let annotated = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}});
    let ours = json!({"metadata": {"finalizers": ["pso-gen.io/volume-protection"]}});
    let counts = async || tenant.creates(&whole(&ours)).await.is_err();
    stage.until("the policy counts", counts).await;
    let allowed =
        json!({"metadata": {"finalizers": ["a.b/c"], "annotations": Json::from_iter(OF_TENANTS)}});
    tenant.creates(&whole(&allowed)).await.expect("a tenant's");
    refused("the finalizer", tenant.creates(&whole(&ours)).await, FINALIZER);
    let after = json!({"metadata": {"finalizers": ["a.b/c", "pso-gen.io/volume-protection"]}});
    refused("the finalizer after others", tenant.creates(&whole(&after)).await, FINALIZER);
    for key in RECORDS {
        refused(key, tenant.creates(&whole(&annotated(key, "fb1"))).await, OURS);
        refused(key, tenant.creates(&whole(&annotated(key, ""))).await, OURS);
    }

    // Of one that the provisioner has written on, and of one that it has not.
    let _provisioner = installed.spawn();
    let claims = stage.claims(TENANT);
    let both = [("bound", "pure-file"), ("pending", "nobodys")];
    for (name, class) in both {
        claims.create(&PostParams::default(), &claim(name, class, "1Gi")).await.expect("made");
    }
    // The provisioner takes its finalizer off after Kubernetes has bound the claim.
    let bound = async || {
        let claim = claims.get("bound").await.expect("there");
        let finalizers = claim.metadata.finalizers.as_deref().unwrap_or_default();
        is_bound(&claim) && !finalizers.iter().any(|each| each == "pso-gen.io/volume-protection")
    };
    stage.until("the claim is bound, and done with", bound).await;
    let own = tenant.api("v1", "PersistentVolumeClaim", Some(TENANT));
    for (name, class) in both {
        let finalizers = claims.get(name).await.expect("there").metadata.finalizers;
        let more: Vec<String> = finalizers
            .into_iter()
            .flatten()
            .chain(["pso-gen.io/volume-protection".to_owned()])
            .collect();
        let more = json!({"metadata": {"finalizers": more}});
        both_ways(&own, name, &more, FINALIZER).await;
        for key in RECORDS {
            both_ways(&own, name, &annotated(key, "fa1"), OURS).await;
        }
        for (key, value) in OF_TENANTS {
            let patch = Patch::Merge(annotated(key, value));
            own.patch(name, &dry(), &patch).await.expect("a tenant's");
        }
        let server_side = PatchParams { force: true, ..PatchParams::apply("tenant").dry_run() };
        let mut applied = whole(&annotated("pso-gen.io/array", "fa1"));
        applied["metadata"]["name"] = json!(name);
        applied["spec"]["storageClassName"] = json!(class);
        refused(name, own.patch(name, &server_side, &Patch::Apply(applied)).await, OURS);
    }
    // What the provisioner has written stays while other things change, and may be taken off.
    let grow = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    own.patch("bound", &dry(), &Patch::Merge(grow)).await.expect("a tenant's");
    assert!(
        claims
            .get("bound")
            .await
            .expect("there")
            .metadata
            .annotations
            .is_some_and(|all| { all.contains_key("pso-gen.io/array") })
    );
    let bare = json!({"metadata": {"annotations": {"pso-gen.io/array": null}, "finalizers": null}});
    own.patch("bound", &dry(), &Patch::Merge(bare)).await.expect("a human who has to end it");

    // By a workload, whose claims Kubernetes' own controller makes.
    let template = whole(&annotated("pso-gen.io/array", "fa1"));
    let labels = json!({"app": "a"});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a", "namespace": TENANT},
        "spec": {
            "serviceName": "a", "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "a", "image": "example.com/none"}]},
            },
            "volumeClaimTemplates": [{"metadata": template["metadata"], "spec": template["spec"]}],
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &set.to_string());
    let reported = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), TENANT);
        let events = events.list(&ListParams::default()).await.expect("listed");
        events.into_iter().any(|event| event.note.unwrap_or_default().contains(OURS))
    };
    stage.until("the claim is refused", reported).await;

    // The namespace goes with all that is in it.
    kubectl(stage, &["delete", "namespace", TENANT, "--wait=false"], "");
    let gone = async || {
        let namespaces = Api::<Namespace>::all(stage.client.clone());
        namespaces.get_opt(TENANT).await.expect("asked").is_none()
    };
    stage.until("the namespace is gone", gone).await;
}

/// A patch of the claim itself and of its status.
async fn both_ways(own: &Api<DynamicObject>, name: &str, patch: &Json, why: &str) {
    let patch = Patch::Merge(patch);
    refused(name, own.patch(name, &dry(), &patch).await, why);
    refused(name, own.patch_status(name, &dry(), &patch).await, why);
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn another_provisioner_makes_no_volume_on_our_arrays() {
    let installed = installed().await;
    let stage = &installed.stage;
    let neighbour = account(&installed, "neighbour").await;
    let restorer = account(&installed, "restorer").await;
    let admin = Thief { client: stage.client.clone() };
    let volume = |name: &str, source: &Json, metadata: &Json| {
        let mut object = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]},
        });
        json_patch::merge(&mut object["spec"], source);
        json_patch::merge(&mut object["metadata"], metadata);
        object
    };
    let nfs = |server: &str| json!({"nfs": {"server": server, "path": "/demo-pvc-1"}});
    let csi = |driver: &str, attributes: Json| json!({"csi": {"driver": driver, "volumeHandle": "a", "volumeAttributes": attributes}});
    let none = json!({});
    let said =
        json!({"annotations": {"pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner"}});
    let finalizer = json!({"finalizers": ["pso-gen.io/volume-protection"]});
    let record = json!({"annotations": {"pso-gen.io/volume-id": "1"}});
    let listed = nfs("nas.example.com");
    let counts = async || neighbour.creates(&volume("a", &nfs(SERVER), &none)).await.is_err();
    stage.until("the policy counts", counts).await;
    for (what, source) in [
        ("a listed server", listed.clone()),
        (
            "a listed portal",
            json!({"iscsi": {"targetPortal": "192.0.2.7:3260", "iqn": "iqn.2010-06.com.purestorage:a", "lun": 1}}),
        ),
        ("another storage", csi("ebs.csi.aws.com", json!({"partition": "1"}))),
        (
            "a listed server by a driver",
            csi("nfs.csi.k8s.io", json!({"server": "nas.example.com", "share": "/"})),
        ),
        ("a folder", json!({"hostPath": {"path": "/a"}})),
    ] {
        let made = neighbour.creates(&volume("a", &source, &none)).await;
        assert!(made.is_ok(), "{what}: {made:?}");
    }
    let iscsi = json!({"iscsi": {"targetPortal": "192.0.2.20", "iqn": "iqn.2010-06.com.purestorage:a", "lun": 1}});
    let hostile = [
        ("the array", nfs(SERVER), none.clone(), LISTED),
        ("it by a name", nfs("fb1.example.com"), none.clone(), LISTED),
        ("a portal", iscsi, none.clone(), LISTED),
        ("Fibre Channel", json!({"fc": {"wwids": ["3624a9370"]}}), none.clone(), LISTED),
        (
            "a FlexVolume",
            json!({"flexVolume": {"driver": "example.com/nfs"}}),
            none.clone(),
            LISTED,
        ),
        (
            "our driver",
            csi("pso-gen.io", json!({})),
            none.clone(),
            "only the pso-gen provisioner creates",
        ),
        (
            "the driver for NFS",
            csi("nfs.csi.k8s.io", json!({"Server": "other"})),
            none.clone(),
            LISTED,
        ),
        (
            "any driver that names the array",
            csi("other", json!({"x": format!("{SERVER}:/a")})),
            none.clone(),
            "mounts from an array of the storage document",
        ),
        (
            "one that says it is ours",
            listed.clone(),
            said.clone(),
            "is reserved for the pso-gen provisioner",
        ),
        ("one with our finalizer", listed.clone(), finalizer.clone(), FINALIZER),
        ("one with a record", listed.clone(), record.clone(), OURS),
    ];
    for (what, source, metadata, why) in &hostile {
        refused(what, neighbour.creates(&volume("a", source, metadata)).await, why);
        // A backup is restored by whoever has the right to, and admins have every right.
        for (who, account) in [("restorer", &restorer), ("admin", &admin)] {
            let made = account.creates(&volume("a", source, metadata)).await;
            assert!(made.is_ok(), "{what} by {who}: {made:?}");
        }
    }
    kubectl(stage, &["apply", "-f", "-"], &volume("theirs", &listed, &none).to_string());
    let volumes = neighbour.volumes();
    for (patch, why) in
        [(said, "is reserved for the pso-gen provisioner"), (finalizer, FINALIZER), (record, OURS)]
    {
        let patch = Patch::Merge(json!({ "metadata": patch }));
        refused("theirs", volumes.patch("theirs", &dry(), &patch).await, why);
        refused("its status", volumes.patch_status("theirs", &dry(), &patch).await, why);
    }
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["a.b/c"]}}));
    volumes.patch("theirs", &dry(), &label).await.expect("another provisioner's");
}
