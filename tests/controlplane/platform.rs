//! The provisioner as a storage document renders it, with the token of its own account: its rights are
//! enough for all that it does, and none is too many.

use super::stories::{as_list, faults, kubectl};
use super::*;

pub(super) const NAME: &str = "pso-gen-provisioner";
pub(super) const NAMESPACE: &str = "pso-system";
pub(super) const SERVER: &str = "192.0.2.10";

/// A cluster with all that a storage document renders.
pub(super) struct Installed {
    pub(super) stage: Stage,
    objects: Vec<Json>,
    /// A kubeconfig with the provisioner's own token.
    pub(super) own: PathBuf,
    /// The API server's record of what the provisioner asked for.
    audit: PathBuf,
    _logs: tempfile::TempDir,
}

impl Installed {
    pub(super) async fn new(namespace: &str) -> Self {
        Self::with(namespace, &json!({})).await
    }

    /// The same with further fields in the storage document's `spec`.
    pub(super) async fn with(namespace: &str, fields: &Json) -> Self {
        Self::prepared(namespace, fields, &[], |_| ()).await
    }

    /// The same, with the record of further accounts' requests, and with a cluster that is prepared before the document
    /// is applied.
    pub(super) async fn prepared(
        namespace: &str,
        fields: &Json,
        accounts: &[&str],
        prepare: impl FnOnce(&Stage),
    ) -> Self {
        let logs = tempfile::tempdir().expect("a folder");
        let (policy, audit) = (logs.path().join("policy"), logs.path().join("audit"));
        let who: Vec<String> = [&[NAME], accounts].concat().into_iter().map(user).collect();
        let rules = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": who}, {"level": "None"}],
        });
        fs::write(&policy, rules.to_string()).expect("written");
        let flags = format!(
            "--audit-policy-file {} --audit-log-path {} --audit-log-mode blocking",
            policy.display(),
            audit.display()
        );
        let (kubeconfig, process) = control_plane(&[("APISERVER_FLAGS", &flags)]);
        let stage = Stage::on(namespace, kubeconfig, Some(process)).await;
        prepare(&stage);
        let objects = document(&stage, fields);
        kubectl(&stage, &["apply", "--server-side", "-f", "-"], &as_list(&objects));
        kubectl(&stage, &["create", "namespace", namespace], "");
        let own = kubeconfig_of(&stage, NAME);
        Self { stage, objects, own, audit, _logs: logs }
    }

    /// Returns what the storage document renders.
    pub(super) fn objects(&self) -> &[Json] {
        &self.objects
    }

    fn object(&self, kind: &str) -> &Json {
        self.named(kind, NAME)
    }

    pub(super) fn named(&self, kind: &str, name: &str) -> &Json {
        let is_it = |object: &&Json| object["kind"] == kind && object["metadata"]["name"] == name;
        self.objects.iter().find(is_it).expect(kind)
    }

    /// Starts a provisioner by the very arguments and document that its pods have.
    pub(super) fn spawn(&self) -> Process {
        let args = self.args(NAME, "provisioner");
        let log = fs::File::options().create(true).append(true).open(self.stage.log());
        let process = binary()
            .args(args)
            .arg("--kubeconfig")
            .arg(&self.own)
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        Process(process.expect("starts"))
    }

    /// Returns the arguments of a container of a Deployment, with the paths and addresses of this machine.
    pub(super) fn args(&self, deployment: &str, container: &str) -> Vec<String> {
        let folder = self.stage.folder.path();
        let document = &self.object("ConfigMap")["data"]["storage.pso.yaml"];
        let document = document.as_str().expect("text");
        // A process that has been started may be reading it.
        let mounted = folder.join("mounted.pso.yaml");
        if !mounted.exists() {
            fs::write(mounted, document).expect("written");
        }
        let pod = &self.named("Deployment", deployment)["spec"]["template"]["spec"];
        let mut containers = pod["containers"].as_array().expect("containers").iter();
        let container = containers.find(|it| it["name"] == container).expect("a container");
        let path = |name: &str| folder.join(name).display().to_string();
        let args = container["args"].as_array().expect("arguments").iter().map(|arg| {
            arg.as_str()
                .expect("text")
                .replace("/etc/pso-gen/storage/storage.pso.yaml", &path("mounted.pso.yaml"))
                .replace("/etc/pso-gen/secrets", &path("secrets"))
                .replace("/csi/csi.sock", &path("csi.sock"))
                .replace("0.0.0.0:8080", "127.0.0.1:0")
                .replace("0.0.0.0:8081", "127.0.0.1:0")
                .replace("0.0.0.0:8082", "127.0.0.1:0")
        });
        args.collect()
    }

    /// Returns what the provisioner has asked for: group, resource, verb; and what was refused.
    fn asked(&self) -> (BTreeSet<Right>, Vec<String>) {
        self.asked_by(NAME)
    }

    /// The same for another account.
    pub(super) fn asked_by(&self, account: &str) -> (BTreeSet<Right>, Vec<String>) {
        let text = fs::read_to_string(&self.audit).expect("a record");
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        let (mut asked, mut refused) = (BTreeSet::new(), Vec::new());
        for entry in entries.filter(|entry| entry["user"]["username"] == user(account)) {
            let of = &entry["objectRef"];
            let word = |key: &str| of[key].as_str().unwrap_or_default().to_owned();
            let resource = match of["subresource"].as_str() {
                Some(part) => format!("{}/{part}", word("resource")),
                None => word("resource"),
            };
            let verb = entry["verb"].as_str().unwrap_or_default().to_owned();
            let code = &entry["responseStatus"]["code"];
            if code == 403 || code == 422 {
                refused.push(format!("{verb} {resource} {}", entry["responseStatus"]));
            }
            asked.insert((word("apiGroup"), resource, verb));
        }
        (asked, refused)
    }

    /// Returns what its roles allow.
    fn allowed(&self) -> BTreeSet<Right> {
        self.allowed_to(NAME)
    }

    /// The same for the roles of another account.
    pub(super) fn allowed_to(&self, name: &str) -> BTreeSet<Right> {
        let mut allowed = BTreeSet::new();
        let rules = ["ClusterRole", "Role"].map(|kind| self.named(kind, name)["rules"].clone());
        let words = |list: &Json| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.map(|word| word.as_str().expect("text").to_owned()).collect()
        };
        for rule in rules.iter().flat_map(|rules| rules.as_array().expect("rules")) {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        allowed.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
        allowed
    }
}

/// Group, resource with its part, verb.
pub(super) type Right = (String, String, String);

/// Returns the user name of an account in the provisioner's namespace.
fn user(account: &str) -> String {
    format!("system:serviceaccount:{NAMESPACE}:{account}")
}

/// Writes a kubeconfig with the token of an account in the provisioner's namespace.
pub(super) fn kubeconfig_of(stage: &Stage, account: &str) -> PathBuf {
    let path = stage.folder.path().join(format!("{account}.kubeconfig"));
    let token = kubectl(stage, &["-n", NAMESPACE, "create", "token", account], "");
    let text = fs::read_to_string(&stage.kubeconfig).expect("text");
    let mut config: Json = serde_yaml::from_str(&text).expect("YAML");
    config["users"] = json!([{"name": "user", "user": {"token": token.trim()}}]);
    fs::write(&path, config.to_string()).expect("written");
    path
}

/// Makes the document of the simulated arrays one for the cluster, and returns what it renders.
pub(super) fn document(stage: &Stage, fields: &Json) -> Vec<Json> {
    let folder = stage.folder.path();
    let path = folder.join("storage.pso.yaml");
    let text = fs::read_to_string(&path).expect("text");
    let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
    let secrets = folder.join("secrets/arrays");
    fs::create_dir_all(&secrets).expect("made");
    let keep = |kept: &mut Json, key: &str| {
        let file = folder.join(kept["file"].as_str().expect("a file"));
        fs::copy(file, secrets.join(key)).expect("copied");
        *kept = json!({"secret": "arrays", "key": key});
    };
    for array in document["spec"]["arrays"].as_array_mut().expect("arrays") {
        let name = array["name"].as_str().expect("a name").to_owned();
        keep(&mut array["token"], &name);
        keep(&mut array["ca"], "ca.pem");
        if array["type"] == "FlashBlade" {
            array["data"] = json!(if name == "fb2" { "192.0.2.11" } else { SERVER });
        }
        if name == "fb2" {
            array["topology"] = json!({"topology.kubernetes.io/zone": "b"});
        }
    }
    let spec = document["spec"].as_object_mut().expect("a spec");
    spec.insert("classes".to_owned(), json!({"first": {"like": "pure-file", "waitForPod": true}}));
    let provisioner = json!({"image": "registry.example.com/pso-gen:0.1.0"});
    spec.insert("provisioner".to_owned(), provisioner);
    json_patch::merge(&mut document["spec"], fields);
    // Lists do not merge.
    let more = document["spec"].as_object_mut().and_then(|spec| spec.remove("more"));
    if let (Some(Json::Array(more)), Some(arrays)) =
        (more, document["spec"]["arrays"].as_array_mut())
    {
        arrays.extend(more);
    }
    fs::write(&path, document.to_string()).expect("written");
    let rendered = binary().arg("render").arg(&path).output().expect("runs");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text = String::from_utf8(rendered.stdout).expect("text");
    serde_yaml::from_multiple(&text).expect("YAML")
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn its_rights_are_enough_and_none_is_too_many() {
    let installed = Installed::new("rights").await;
    let stage = &installed.stage;
    works(&installed).await;

    let (asked, refused) = installed.asked();
    assert!(refused.is_empty(), "{refused:#?}");
    let allowed = installed.allowed();
    assert!(allowed.len() > 15, "{allowed:?}");
    let unused: Vec<_> = allowed.difference(&asked).collect();
    assert!(unused.is_empty(), "never needed: {unused:#?}");
    let beyond: Vec<_> = asked.difference(&allowed).collect();
    assert!(beyond.is_empty(), "by some other role: {beyond:#?}");

    // The pods themselves: Kubernetes makes them, in a namespace that takes none but restricted ones.
    let pods = || kubectl(stage, &["-n", NAMESPACE, "get", "pods", "-o", "json"], "");
    let made = async || {
        let pods: Json = serde_json::from_str(&pods()).expect("JSON");
        pods["items"].as_array().expect("pods").len() == 2
    };
    stage.until("both pods are there", made).await;
    let rendered = installed.objects.iter();
    let policies = rendered.filter(|object| object["kind"] == "ValidatingAdmissionPolicy");
    let policies: Vec<_> =
        policies.map(|policy| policy["metadata"]["name"].as_str().expect("a name")).collect();
    assert_eq!(policies.len(), 8, "{policies:?}");
    for name in policies {
        let policy = format!("validatingadmissionpolicy/{name}");
        let seen = || {
            let text = kubectl(stage, &["get", &policy, "-o", "json"], "");
            serde_json::from_str::<Json>(&text).expect("JSON")["status"].clone()
        };
        let checked = async || seen()["observedGeneration"].is_number();
        stage.until("the policy's types are checked", checked).await;
        assert_eq!(seen()["typeChecking"]["expressionWarnings"], Json::Null, "{name}");
    }
}

/// Has the provisioner do all that it ever does in a cluster.
#[expect(clippy::too_many_lines, reason = "a list of all that it does")]
async fn works(installed: &Installed) {
    const CLAIMS: usize = 40;
    let Installed { stage, .. } = installed;
    let mut processes = vec![installed.spawn(), installed.spawn()];
    let nodes = ["a", "b"].map(|zone| {
        let labels = json!({"topology.kubernetes.io/zone": zone});
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": format!("node-{zone}"), "labels": labels},
        })
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&nodes));
    let capacity = json!({"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}}});
    for node in ["node-a", "node-b"] {
        let args = ["patch", "node", node, "--subresource=status", "-p", &capacity.to_string()];
        kubectl(stage, &args, "");
    }

    // Many at once: they are bound by us, after a mark.
    let (claims, post) = (stage.claims("rights"), PostParams::default());
    for number in 0..CLAIMS {
        let class = ["pure-file", "pure-block"][number % 2];
        let mut claim = claim(&format!("c{number}"), class, "1Gi");
        let snapshots = ("pso-gen.io/snapshots".to_owned(), "every 365d, keep 2".to_owned());
        claim.metadata.annotations = Some([snapshots].into());
        claims.create(&post, &claim).await.expect("made");
    }
    let all = ListParams::default();
    let bound = async |count| {
        let list = claims.list(&all).await.expect("listed").items;
        list.iter().filter(|claim| is_bound(claim)).count() == count
    };
    stage.until("all are bound", async || bound(CLAIMS).await).await;
    let snapshots = async || stage.snapshots().await.len() == CLAIMS;
    stage.until("all have a snapshot", snapshots).await;

    // One that waits for its pod, and one that copies.
    claims.create(&post, &claim("waits", "first", "1Gi")).await.expect("made");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first", "namespace": "rights"},
        "spec": {
            "nodeSelector": {"topology.kubernetes.io/zone": "b"}, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "a", "image": "example.com/none"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "waits"}}],
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &pod.to_string());
    let mut copy = serde_json::to_value(claim("copy", "pure-file", "1Gi")).expect("JSON");
    copy["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "c0"});
    claims.create(&post, &serde_json::from_value(copy).expect("typed")).await.expect("made");
    stage.until("both are bound", async || bound(CLAIMS + 2).await).await;

    // A block volume on a node: what its driver and a kubelet would do is pretended.
    let node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node-a"},
        "spec": {"drivers": [{"name": "pso-gen.io", "nodeID": "node-a;iqn.2026-01.com.example:a"}]},
    });
    let bound_to = claims.get("c1").await.expect("there").spec.and_then(|spec| spec.volume_name);
    let attachment = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "c1"},
        "spec": {
            "attacher": "pso-gen.io", "nodeName": "node-a",
            "source": {"persistentVolumeName": bound_to},
        },
    });
    kubectl(stage, &["apply", "-f", "-"], &as_list(&[node, attachment]));
    let attached = async || {
        let text = kubectl(stage, &["get", "volumeattachment", "c1", "-o", "json"], "");
        serde_json::from_str::<Json>(&text).expect("JSON")["status"]["attached"] == true
    };
    stage.until("it is attached", attached).await;
    // It goes without a wait: kubectl would wait for the finalizer.
    kubectl(stage, &["delete", "volumeattachment", "c1", "--wait=false"], "");
    let detached =
        async || kubectl(stage, &["get", "volumeattachments", "-o", "name"], "").is_empty();
    stage.until("it is detached", detached).await;

    // An array that says no for a while.
    let reported = async || stage.event_reasons("rights").await.contains("ProvisioningFailed");
    faults(stage, json!([{"fault": "forbidden", "array": "fa1", "resource": "volumes"}])).await;
    claims.create(&post, &claim("late", "pure-block", "1Gi")).await.expect("made");
    stage.until("it is reported", reported).await;
    faults(stage, json!([])).await;
    stage.until("it is bound after all", async || bound(CLAIMS + 3).await).await;

    // A class by hand: the policies let nothing come of it, so nothing is begun.
    let classes = Api::<StorageClass>::all(stage.client.clone());
    let mut by_hand = classes.get("pure-file").await.expect("there");
    by_hand.metadata = serde_json::from_value(json!({"name": "by-hand"})).expect("typed");
    classes.create(&post, &by_hand).await.expect("made");
    claims.create(&post, &claim("by-hand", "by-hand", "1Gi")).await.expect("made");
    let refused = async || {
        let events = Api::<Event>::namespaced(stage.client.clone(), "rights");
        let events = events.list(&all).await.expect("listed").items;
        let notes = events.iter().filter_map(|event| event.note.as_deref());
        notes.into_iter().any(|note| note.contains("does not define the class by-hand"))
    };
    stage.until("it is refused", refused).await;
    assert_eq!(stage.on_arrays().await.len(), CLAIMS + 3);
    claims.delete("by-hand", &DeleteParams::default()).await.expect("deleted");

    let grow = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims.patch("c0", &PatchParams::default(), &Patch::Merge(grow)).await.expect("asked");
    let grown = async || {
        let status = claims.get("c0").await.expect("there").status;
        status.and_then(|s| s.capacity).is_some_and(|all| all["storage"].0 == "3Gi")
    };
    stage.until("it has grown", grown).await;

    // The leader is killed: the other goes on, and destroys what is released.
    drop(processes.remove(0));
    for number in 0..CLAIMS {
        claims.delete(&format!("c{number}"), &DeleteParams::default()).await.expect("deleted");
    }
    let gone = async || stage.on_arrays().await.len() == 3 && stage.own_volumes().await.len() == 3;
    stage.until("what is released is gone", gone).await;
    let marks = async || stage.volumes().list(&all).await.expect("listed").items.len() == 3;
    stage.until("no mark is left", marks).await;
    let (asked, _) = installed.asked();
    let deleted = (String::new(), "persistentvolumes".to_owned(), "delete".to_owned());
    assert!(asked.contains(&deleted));
    let log = fs::read_to_string(stage.log()).expect("a log");
    for word in ["orbidden:", "not published", "mark not"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
