//! The provisioner as a process against a real control plane and simulated arrays.
//!
//!   cargo test --test controlplane -- --ignored
//!
//! starts a control plane by `tests/controlplane/start` (which builds it when it has to), or takes the
//! cluster of `KUBECONFIG` when that is set. Classes, namespaces and volumes that it makes are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs};

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    Namespace, PersistentVolume, PersistentVolumeClaim, ResourceQuota,
};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use serde_json::{Value as Json, json};

#[path = "controlplane/attach.rs"]
mod attach;
#[path = "controlplane/binding.rs"]
mod binding;
#[path = "controlplane/claims.rs"]
mod claims;
#[path = "controlplane/crowd.rs"]
mod crowd;
#[path = "controlplane/demo.rs"]
mod demo;
#[path = "controlplane/fenced.rs"]
mod fenced;
#[path = "controlplane/fenced_attachments.rs"]
mod fenced_attachments;
#[path = "controlplane/hostile.rs"]
mod hostile;
#[path = "controlplane/neighbours.rs"]
mod neighbours;
#[path = "controlplane/node_account.rs"]
mod node_account;
#[path = "controlplane/old_drivers.rs"]
mod old_drivers;
#[path = "controlplane/oncall.rs"]
mod oncall;
#[path = "controlplane/ownership.rs"]
mod ownership;
#[path = "controlplane/platform.rs"]
mod platform;
#[path = "controlplane/refused.rs"]
mod refused;
#[path = "controlplane/sidecars.rs"]
mod sidecars;
#[path = "controlplane/stories.rs"]
mod stories;
#[path = "controlplane/tenant.rs"]
mod tenant;
#[path = "controlplane/theft.rs"]
mod theft;

/// The file in a stage's folder with each request that has changed something on an array, a line for each.
const ARRAYS_STATE: &str = "arrays.state";

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
}

/// A control plane, arrays, and a provisioner.
struct Stage {
    namespace: String,
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    client: Client,
    page: String,
    provisioner: Option<Process>,
    /// None of a cluster that shares another one's.
    _simulator: Option<Process>,
    control_plane: Option<Process>,
}

impl Stage {
    async fn open(namespace: &str) -> Self {
        Self::open_with(namespace, None).await
    }

    /// The same with a control plane of its own, and further flags for kube-controller-manager.
    async fn open_with(namespace: &str, flags: Option<&str>) -> Self {
        let (kubeconfig, control_plane) = match (env::var_os("KUBECONFIG"), flags) {
            (Some(path), None) => (PathBuf::from(path), None),
            // Its own: what another story has left would be looked after here.
            (_, flags) => {
                let (path, process) =
                    control_plane(&[("CONTROLLER_MANAGER_FLAGS", flags.unwrap_or_default())]);
                (path, Some(process))
            }
        };
        let stage = Self::on(namespace, kubeconfig, control_plane).await;
        stage.prepare(namespace).await;
        stage
    }

    /// The same on a control plane that is there, without classes and namespace.
    async fn on(namespace: &str, kubeconfig: PathBuf, control_plane: Option<Process>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut simulator = binary()
            .args(["simulate", "--flashblades", "2", "--format", "json", "--storage-out"])
            .arg(folder.path().join("storage.pso.yaml"))
            .arg("--state")
            .arg(folder.path().join(ARRAYS_STATE))
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = simulator.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let announced: Json = serde_json::from_str(&line).expect("JSON");
        Self {
            namespace: namespace.to_owned(),
            folder,
            client: client(&kubeconfig).await,
            kubeconfig,
            page: announced["page"].as_str().expect("a page").to_owned(),
            provisioner: None,
            _simulator: Some(Process(simulator)),
            control_plane,
        }
    }

    /// Another cluster with the same arrays, under a name.
    async fn neighbour(&self, namespace: &str, cluster: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = |name: &str| self.folder.path().join(name);
        for entry in fs::read_dir(self.folder.path()).expect("listed") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("text");
            fs::copy(from(name), folder.path().join(name)).expect("copied");
        }
        let storage = folder.path().join("storage.pso.yaml");
        let text = fs::read_to_string(&storage).expect("text");
        let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
        assert_eq!(document["spec"]["cluster"], "demo");
        document["spec"]["cluster"] = json!(cluster);
        fs::write(&storage, document.to_string()).expect("written");
        let (kubeconfig, process) = control_plane(&[]);
        let stage = Self {
            namespace: namespace.to_owned(),
            folder,
            client: client(&kubeconfig).await,
            kubeconfig,
            page: self.page.clone(),
            provisioner: None,
            _simulator: None,
            control_plane: Some(process),
        };
        stage.prepare(namespace).await;
        stage
    }

    /// The classes as the storage document renders them, a class that retains, and a namespace.
    async fn prepare(&self, namespace: &str) {
        let storage = self.folder.path().join("storage.pso.yaml");
        let rendered = binary().arg("render").arg(&storage).output();
        let rendered = rendered.expect("runs");
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        let rendered = String::from_utf8(rendered.stdout).expect("text");
        let objects: Vec<Json> = serde_yaml::from_multiple(&rendered).expect("YAML");
        let classes = Api::<StorageClass>::all(self.client.clone());
        let mut retains = None;
        for object in objects.iter().filter(|object| object["kind"] == "StorageClass") {
            let class: StorageClass = serde_json::from_value(object.clone()).expect("a class");
            if class.metadata.name.as_deref() == Some("pure-file") {
                let mut class = class.clone();
                class.metadata.name = Some("keep-file".to_owned());
                class.reclaim_policy = Some("Retain".to_owned());
                retains = Some(class);
            }
            let _ = classes.create(&PostParams::default(), &class).await;
        }
        let _ = classes.create(&PostParams::default(), &retains.expect("pure-file")).await;
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}));
        namespaces.create(&PostParams::default(), &namespace.expect("typed")).await.expect("made");
    }

    fn start(&mut self) {
        self.provisioner = Some(self.spawn(&[]));
    }

    /// Waits until the cluster is registered on every array.
    async fn until_registered(&self) {
        let registered = async || {
            let objects = self.objects(&["file systems", "volumes"]).await;
            let is_one =
                |object: &Json| object["name"].as_str().is_some_and(|name| name.contains("-is-"));
            let on: BTreeSet<_> = objects
                .into_iter()
                .filter(|(_, object)| is_one(object))
                .map(|(on, _)| on)
                .collect();
            on.len() == 3
        };
        self.until("the cluster is registered on all arrays", registered).await;
    }

    fn spawn(&self, more: &[&str]) -> Process {
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let process = binary()
            .arg("provisioner")
            .arg("--storage")
            .arg(self.folder.path().join("storage.pso.yaml"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(process.expect("starts"))
    }

    /// Ends the provisioner as `kill -9` does.
    fn kill(&mut self) {
        self.provisioner = None;
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("provisioner.log")
    }

    fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    /// Returns the PersistentVolumes that are for claims of this stage.
    async fn own_volumes(&self) -> Vec<PersistentVolume> {
        let all = self.volumes().list(&ListParams::default()).await.expect("listed").items;
        let own = all.into_iter().filter(|volume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.and_then(|claim| claim.namespace.as_ref()) == Some(&self.namespace)
        });
        own.collect()
    }

    /// Returns the volumes that live on the arrays, by name, with their sizes.
    async fn on_arrays(&self) -> BTreeMap<String, u64> {
        self.live(&["file systems", "volumes"]).await
    }

    /// Returns the names of the snapshots that live on the arrays.
    async fn snapshots(&self) -> BTreeSet<String> {
        self.live(&["snapshots"]).await.into_keys().collect()
    }

    async fn live(&self, kinds: &[&str]) -> BTreeMap<String, u64> {
        let mut live = BTreeMap::new();
        for (_, object) in self.objects(kinds).await {
            let name = object["name"].as_str().expect("a name").to_owned();
            // By these, clusters are registered.
            if name.contains("-is-") {
                continue;
            }
            let size = object["provisioned"].as_u64().unwrap_or_default();
            assert_eq!(live.insert(name, size), None, "one volume on two arrays");
        }
        live
    }

    /// Returns the objects of some kinds that live, with the names of their arrays.
    async fn objects(&self, kinds: &[&str]) -> Vec<(String, Json)> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let state =
            reqwest::get(format!("{}/state?most=5000", self.page)).await.expect("an answer");
        let state: Json = state.json().await.expect("JSON");
        let mut found = Vec::new();
        for array in state["arrays"].as_array().expect("arrays") {
            let name = array["name"].as_str().expect("a name");
            for kind in array["contents"]["kinds"].as_array().expect("kinds") {
                if !kinds.contains(&kind["kind"].as_str().expect("a kind")) {
                    continue;
                }
                let objects = kind["objects"].as_array().expect("objects");
                assert_eq!(kind["count"], objects.len(), "all are shown");
                let live = objects.iter().filter(|object| object["destroyed"] == false);
                found.extend(live.map(|object| (name.to_owned(), object.clone())));
            }
        }
        found
    }

    /// Sends a signal to kube-controller-manager, which must be one that this test has started.
    fn signal_controller_manager(&self, signal: &str) {
        let start = self.control_plane.as_ref().expect("a control plane of its own").0.id();
        let children = fs::read_to_string(format!("/proc/{start}/task/{start}/children"));
        let children = children.expect("children");
        let is_it = |pid: &&str| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"kube-controller-manager")
        };
        let pid = children.split_whitespace().find(is_it).expect("kube-controller-manager");
        assert!(Command::new("kill").args([signal, pid]).status().expect("runs").success());
    }

    /// Returns the reasons of all events about claims of a namespace.
    async fn event_reasons(&self, namespace: &str) -> BTreeSet<String> {
        let events = Api::<Event>::namespaced(self.client.clone(), namespace);
        let list = events.list(&ListParams::default()).await.expect("listed");
        list.items.into_iter().filter_map(|event| event.reason).collect()
    }

    /// Waits until something holds, and fails with the log when it does not.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        if !in_time(Duration::from_millis(200), holds).await {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let own = log.lines().rev().filter(|line| line.contains(r#""target":"pso_gen"#));
            let end: Vec<&str> = own.take(30).collect();
            panic!("not in time: {what}\n{}", end.join("\n"));
        }
    }
}

/// Waits until something holds, which is asked so often. Returns whether it does within three minutes: on any machine,
/// what holds at all holds by then.
async fn in_time(often: Duration, holds: impl AsyncFn() -> bool) -> bool {
    let start = Instant::now();
    while !holds().await {
        if start.elapsed() > Duration::from_secs(180) {
            return false;
        }
        tokio::time::sleep(often).await;
    }
    true
}

/// Lets time pass, where processes have clocks of their own and there is no condition to wait for: nothing may
/// happen meanwhile, or the process is to be met at any moment of its work. Whoever calls it says which.
async fn let_pass(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a config")).expect("a client")
}

/// Starts a control plane of its own, which ends when the returned process does. `flags` are variables with
/// further flags, as `tests/controlplane/start` describes them.
fn control_plane(flags: &[(&str, &str)]) -> (PathBuf, Process) {
    // Where the project is now, not where it was when this was built.
    let project = env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let start = Path::new(&project).join("tests/controlplane/start");
    let mut process = Command::new(start)
        .arg("--until-eof")
        .envs(flags.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert!(!line.trim().is_empty(), "the control plane did not start");
    (PathBuf::from(line.trim()), Process(process))
}

fn claim(name: &str, class: &str, size: &str) -> PersistentVolumeClaim {
    let mode = if class == "pure-block" { "ReadWriteOnce" } else { "ReadWriteMany" };
    let claim = json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": [mode], "storageClassName": class,
            "resources": {"requests": {"storage": size}},
        },
    });
    serde_json::from_value(claim).expect("typed")
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn uid(claim: &PersistentVolumeClaim) -> String {
    claim.metadata.uid.clone().expect("a UID")
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn claims_live_grow_and_go() {
    let mut stage = Stage::open("life").await;
    stage.start();
    let claims = stage.claims("life");
    let post = PostParams::default();
    for (name, class) in [("file", "pure-file"), ("block", "pure-block"), ("kept", "keep-file")] {
        claims.create(&post, &claim(name, class, "1Gi")).await.expect("made");
    }
    let wrong = claim("wrong", "pure-block", "1Gi");
    let mut wrong = serde_json::to_value(wrong).expect("JSON");
    wrong["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    claims.create(&post, &serde_json::from_value(wrong).expect("typed")).await.expect("made");
    let all = ListParams::default();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed");
        list.items.iter().filter(|claim| is_bound(claim)).count() == 3
    };
    stage.until("three claims bound", bound).await;
    let live = stage.on_arrays().await;
    let list = claims.list(&all).await.expect("listed").items;
    for claim in list.iter().filter(|claim| is_bound(claim)) {
        let name = format!("demo-pvc-{}", uid(claim));
        assert_eq!(live.get(&name), Some(&(1 << 30)), "{name} in {live:?}");
        assert!(
            !claim
                .metadata
                .finalizers
                .iter()
                .flatten()
                .any(|f| f == "pso-gen.io/volume-protection")
        );
    }
    assert_eq!(live.len(), 3, "the one that asks for what cannot be has none");
    let events = Api::<Event>::namespaced(stage.client.clone(), "life");
    let reported = async || {
        let list = events.list(&all).await.expect("listed").items;
        list.iter().any(|event| {
            let of = event.regarding.as_ref().and_then(|object| object.name.as_deref());
            of == Some("wrong") && event.reason.as_deref() == Some("ProvisioningFailed")
        })
    };
    stage.until("the wrong one is reported", reported).await;

    let grow = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims.patch("file", &PatchParams::default(), &Patch::Merge(grow)).await.expect("asked");
    let grown = async || {
        let claim = claims.get("file").await.expect("there");
        let capacity = claim.status.and_then(|status| status.capacity);
        capacity.is_some_and(|all| all["storage"].0 == "3Gi")
    };
    stage.until("the claim has grown", grown).await;
    assert!(stage.on_arrays().await.values().any(|size| *size == 3 << 30));

    for name in ["file", "block", "kept", "wrong"] {
        claims.delete(name, &DeleteParams::default()).await.expect("deleted");
    }
    let gone = async || {
        let left = stage.own_volumes().await;
        let left: Vec<_> =
            left.iter().filter_map(|v| v.spec.as_ref()?.storage_class_name.as_deref()).collect();
        left == ["keep-file"] && claims.list(&all).await.expect("listed").items.is_empty()
    };
    stage.until("all but the retained one is gone", gone).await;
    assert_eq!(stage.on_arrays().await.len(), 1, "and kept on its array");
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn snapshots_come_by_schedule_and_go_with_their_volume() {
    let mut stage = Stage::open("snapshots").await;
    stage.start();
    let claims = stage.claims("snapshots");
    let post = PostParams::default();
    let asks = [
        ("file", "pure-file", "every 365d, keep 2"),
        ("block", "pure-block", "every 365d, keep 2"),
        ("none", "pure-file", "never"),
        ("wrong", "pure-file", "daily"),
    ];
    for (name, class, snapshots) in asks {
        let mut claim = claim(name, class, "1Gi");
        let annotations = [("pso-gen.io/snapshots".to_owned(), snapshots.to_owned())];
        claim.metadata.annotations = Some(annotations.into());
        claims.create(&post, &claim).await.expect("made");
    }
    let both = async || stage.snapshots().await.len() == 2;
    stage.until("both volumes have a snapshot", both).await;
    let before = stage.snapshots().await;
    for name in ["file", "block"] {
        let uid = uid(&claims.get(name).await.expect("there"));
        let of_it = |snapshot: &&String| snapshot.starts_with(&format!("demo-pvc-{uid}.pso-"));
        assert_eq!(before.iter().filter(of_it).count(), 1, "{before:?}");
    }
    let events =
        Api::<k8s_openapi::api::events::v1::Event>::namespaced(stage.client.clone(), "snapshots");
    let reported = async || {
        let list = events.list(&ListParams::default()).await.expect("listed").items;
        let failed = list.iter().filter(|event| event.reason.as_deref() == Some("SnapshotFailed"));
        let of = failed.filter_map(|event| event.regarding.as_ref()?.name.as_deref());
        of.collect::<Vec<_>>() == ["wrong"]
    };
    stage.until("the wrong schedule is reported", reported).await;

    // Another process finds what is there.
    stage.kill();
    stage.start();
    claims.create(&post, &claim("later", "pure-file", "1Gi")).await.expect("made");
    let bound = async || is_bound(&claims.get("later").await.expect("there"));
    stage.until("the new process works", bound).await;
    assert_eq!(stage.snapshots().await, before);

    for (name, _, _) in asks {
        claims.delete(name, &DeleteParams::default()).await.expect("deleted");
    }
    let gone = async || stage.on_arrays().await.len() == 1 && stage.snapshots().await.is_empty();
    stage.until("the volumes are gone, and their snapshots with them", gone).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn of_two_processes_one_leads_and_the_other_takes_over() {
    let stage = Stage::open("leases").await;
    let lease = ["--lease", "leases/provisioner"];
    let mut processes = vec![stage.spawn(&lease), stage.spawn(&lease)];
    let leases = Api::<Lease>::namespaced(stage.client.clone(), "leases");
    let holder = async || {
        let lease = leases.get_opt("provisioner").await.expect("an answer")?;
        lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
    };
    stage.until("somebody leads", async || holder().await.is_some()).await;
    let claims = stage.claims("leases");
    let post = PostParams::default();
    let is_bound = async |name: &str| is_bound(&claims.get(name).await.expect("there"));
    claims.create(&post, &claim("one", "pure-file", "1Gi")).await.expect("made");
    stage.until("the first claim is bound", async || is_bound("one").await).await;
    let log = fs::read_to_string(stage.log()).expect("a log");
    assert_eq!(log.matches(r#""message":"leading""#).count(), 1, "one leads");

    // The leader is killed: the other waits until the lease has ended. Which one it was is not known;
    // killing the one that waits changes nothing, so the other is killed after it.
    let first = holder().await;
    drop(processes.remove(0));
    processes.push(stage.spawn(&lease));
    claims.create(&post, &claim("two", "pure-block", "1Gi")).await.expect("made");
    stage.until("the second claim is bound", async || is_bound("two").await).await;
    drop(processes.remove(0));
    claims.create(&post, &claim("three", "pure-file", "1Gi")).await.expect("made");
    stage.until("the third claim is bound", async || is_bound("three").await).await;
    assert_ne!(holder().await, first, "somebody else leads");
    assert_eq!(stage.on_arrays().await.len(), 3);

    // One that is asked to end gives the lease back, and the next need not wait.
    let last = processes.pop().expect("one is left");
    let id = last.0.id().to_string();
    assert!(Command::new("kill").arg(id).status().expect("runs").success());
    stage.until("the lease is given back", async || holder().await.is_none()).await;
    drop(last);
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn five_hundred_claims_while_the_process_is_killed_twenty_times() {
    const CLAIMS: usize = 500;
    let mut stage = Stage::open("chaos").await;
    let claims = stage.claims("chaos");
    let mut dice = fastrand::Rng::new();
    let post = PostParams::default();
    stage.start();
    let mut kills = 0;
    for number in 0..CLAIMS {
        let class = ["pure-file", "pure-block"][number % 2];
        claims.create(&post, &claim(&format!("c{number}"), class, "1Gi")).await.expect("made");
        // Some change their mind at once, and some come back under the same name.
        if number % 10 == 3 {
            claims.delete(&format!("c{number}"), &DeleteParams::default()).await.expect("deleted");
        }
        if number % (CLAIMS / 10) == 7 {
            stage.kill();
            kills += 1;
            stage.start();
        }
    }
    while kills < 20 {
        // At any moment of its work.
        let_pass(Duration::from_millis(dice.u64(200..3000))).await;
        stage.kill();
        kills += 1;
        stage.start();
    }
    let all = ListParams::default();
    let gone: BTreeSet<usize> = (0..CLAIMS).filter(|number| number % 10 == 3).collect();
    for number in gone.iter().step_by(2) {
        let class = ["pure-file", "pure-block"][number % 2];
        let again = claim(&format!("c{number}"), class, "1Gi");
        let made = async || claims.create(&post, &again).await.is_ok();
        stage.until("a claim is made again under its name", made).await;
    }
    let expected = CLAIMS - gone.len() + gone.iter().step_by(2).count();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        list.len() == expected && list.iter().all(is_bound)
    };
    stage.until("every claim bound", bound).await;
    let settled = async || {
        let list = claims.list(&all).await.expect("listed").items;
        let wanted: BTreeSet<String> =
            list.iter().map(|c| format!("demo-pvc-{}", uid(c))).collect();
        let live: BTreeSet<String> = stage.on_arrays().await.into_keys().collect();
        let volumes = stage.own_volumes().await;
        let finalizers = list.iter().flat_map(|claim| claim.metadata.finalizers.iter().flatten());
        wanted == live
            && volumes.len() == list.len()
            && finalizers.filter(|each| *each == "pso-gen.io/volume-protection").count() == 0
    };
    stage.until("the arrays hold what the claims have, and nothing else", settled).await;
}

/// Remembers every phase that a claim of a namespace is ever seen in.
fn note_phases(stage: &Stage, namespace: &str) -> Arc<Mutex<BTreeSet<String>>> {
    let phases = Arc::new(Mutex::new(BTreeSet::new()));
    let (noted, claims) = (Arc::clone(&phases), stage.claims(namespace));
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(watcher(claims, watcher::Config::default()));
        while let Some(event) = stream.next().await {
            if let Ok(watcher::Event::Apply(claim) | watcher::Event::InitApply(claim)) = event {
                let phase = claim.status.and_then(|status| status.phase).unwrap_or_default();
                noted.lock().expect("not poisoned").insert(phase);
            }
        }
    });
    phases
}

/// The race that binding claims ourselves could lose: kube-controller-manager hears of a claim's binding
/// before it has seen the PersistentVolume, and calls the claim `Lost`.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn no_claim_is_lost_while_the_controller_manager_stands_still() {
    const CLAIMS: usize = 60;
    let mut stage = Stage::open_with("stopped", Some("")).await;
    let phases = note_phases(&stage, "stopped");
    stage.start();
    let claims = stage.claims("stopped");
    let post = PostParams::default();
    let all = ListParams::default();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        list.iter().filter(|claim| is_bound(claim)).count()
    };
    for round in 0..4 {
        stage.signal_controller_manager("-STOP");
        for number in 0..CLAIMS {
            let name = format!("c{round}-{number}");
            claims.create(&post, &claim(&name, "pure-file", "1Gi")).await.expect("made");
        }
        let made = async || {
            let volumes = stage.volumes().list(&all).await.expect("listed").items;
            let ours = volumes.iter().filter(|volume| {
                volume.metadata.name.as_ref().is_some_and(|name| name.starts_with("pvc-"))
            });
            ours.count() == (round + 1) * CLAIMS
        };
        stage.until("all have a PersistentVolume", made).await;
        // Nothing is bound meanwhile.
        let_pass(Duration::from_secs(1)).await;
        assert_eq!(bound().await, round * CLAIMS, "nobody is bound that the other may not know");
        stage.signal_controller_manager("-CONT");
        let bound = async || bound().await == (round + 1) * CLAIMS;
        stage.until("all are bound", bound).await;
    }
    let marks = async || {
        let volumes = stage.volumes().list(&all).await.expect("listed").items;
        volumes.len() == 4 * CLAIMS
    };
    stage.until("no mark is left", marks).await;
    let reasons = stage.event_reasons("stopped").await;
    assert!(reasons.contains("ProvisioningSucceeded"), "{reasons:?}");
    assert!(!reasons.contains("ClaimLost") && !reasons.contains("ClaimMisbound"), "{reasons:?}");
    assert!(!phases.lock().expect("not poisoned").contains("Lost"));
}

/// The same while it is far behind with PersistentVolumes and not with claims.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn no_claim_is_lost_while_the_controller_manager_is_far_behind() {
    const CLAIMS: usize = 30;
    let mut stage = Stage::open_with("behind", Some("--kube-api-qps 4 --kube-api-burst 1")).await;
    let phases = note_phases(&stage, "behind");
    stage.start();
    let post = PostParams::default();
    let volumes = stage.volumes();
    for number in 0..40 {
        let other = json!({
            "metadata": {"name": format!("other-{number}")},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": "other", "nfs": {"server": "192.0.2.1", "path": "/other"},
            },
        });
        let other = serde_json::from_value(other).expect("typed");
        volumes.create(&post, &other).await.expect("made");
    }
    let claims = stage.claims("behind");
    for number in 0..CLAIMS {
        let claim = claim(&format!("c{number}"), "pure-file", "1Gi");
        claims.create(&post, &claim).await.expect("made");
    }
    let all = ListParams::default();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        list.iter().filter(|claim| is_bound(claim)).count() == CLAIMS
    };
    stage.until("all are bound", bound).await;
    // It is behind still: whatever it gets to see now is what has been written, and no claim is lost by that.
    let_pass(Duration::from_secs(10)).await;
    assert!(bound().await, "and they stay bound");
    assert!(!stage.event_reasons("behind").await.contains("ClaimLost"));
    assert!(!phases.lock().expect("not poisoned").contains("Lost"));
}

/// Returns an answer's status and text.
async fn get(address: &str, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

/// Returns the sum of a metric's values of all labels.
async fn sum(address: &str, name: &str, with: &str) -> f64 {
    let (_, text) = get(address, "/metrics").await;
    let lines = text.lines().filter(|line| line.contains(with));
    let values = lines.filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn metrics_probes_and_log_tell_of_claims_and_of_an_array_that_is_away() {
    const PROVISIONED: &str = "controller_persistentvolumeclaim_provision_total";
    let mut stage = Stage::open("watched").await;
    stage.provisioner = Some(stage.spawn(&["--listen", "127.0.0.1:0", "--log", "trace"]));
    let log = || fs::read_to_string(stage.log()).unwrap_or_default();
    let line = |message: &str| {
        let lines = log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines.filter(|line| line["fields"]["message"] == message).collect::<Vec<_>>()
    };
    let listens = "serving metrics and probes";
    stage.until("it listens", async || !line(listens).is_empty()).await;
    let address = line(listens)[0]["fields"]["address"].as_str().expect("an address").to_owned();
    stage.until("it is ready", async || get(&address, "/readyz").await.0 == 200).await;

    let claims = stage.claims("watched");
    let post = PostParams::default();
    for (name, class) in [("file", "pure-file"), ("block", "pure-block")] {
        claims.create(&post, &claim(name, class, "1Gi")).await.expect("made");
    }
    let both = async || sum(&address, PROVISIONED, "").await >= 2.0;
    stage.until("both are counted", both).await;
    let bound = async || sum(&address, "pso_gen_claims", r#"state="bound""#).await >= 2.0;
    stage.until("both are bound", bound).await;
    assert!((sum(&address, PROVISIONED, "").await - 2.0).abs() < 0.1, "each once");
    let seconds = "controller_persistentvolumeclaim_provision_duration_seconds_sum";
    assert!(sum(&address, seconds, "").await > 0.0);
    for made in line("volume created") {
        let fields = &made["fields"];
        assert!(fields["claim"].as_str().is_some_and(|claim| claim.starts_with("watched/")));
        assert!(fields["volume"].as_str().is_some_and(|volume| volume.starts_with("demo-pvc-")));
        assert!(fields["array"].is_string(), "{made}");
    }

    // The only FlashArray goes. It is asked every 30 s: reported once, asked at least twice. A refusal is
    // noticed at once; one that only breaks connections would be asked for 90 s each time.
    let away = json!([{"fault": "forbidden", "array": "fa1", "resource": "arrays/space"}]);
    let faults = async |rules: Json| {
        let put = reqwest::Client::new().put(format!("{}/faults", stage.page));
        assert!(put.json(&rules).send().await.expect("an answer").status().is_success());
    };
    faults(away).await;
    let up = async || sum(&address, "pso_gen_array_up", r#"array="fa1""#).await > 0.5;
    stage.until("the array is seen to be away", async || !up().await).await;
    claims.create(&post, &claim("late", "pure-block", "1Gi")).await.expect("made");
    let failing = async || {
        let of = r#"class="pure-block",state="failing""#;
        sum(&address, "pso_gen_claims", of).await > 0.5
    };
    stage.until("a claim fails", failing).await;
    let asked = async || {
        let of = r#"array="fa1",operation="capacity",outcome="Forbidden""#;
        sum(&address, "pso_gen_array_operations_total", of).await > 1.5
    };
    stage.until("the array is asked again", asked).await;
    assert_eq!(get(&address, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/readyz").await, (200, "ok\n".to_owned()));
    assert!(
        sum(&address, "controller_persistentvolumeclaim_provision_failed_total", "").await > 0.5
    );
    let (_, text) = get(&address, "/metrics").await;
    assert!(!text.contains(r#"pso_gen_array_capacity_bytes{array="fa1"}"#), "an old number");
    faults(json!([])).await;
    stage.until("the array is back", async || up().await).await;
    let third = async || sum(&address, PROVISIONED, r#"class="pure-block""#).await > 1.5;
    stage.until("the late claim is bound", third).await;
    assert_eq!(line("array is unreachable").len(), 1, "reported once");
    assert_eq!(line("array is reachable again").len(), 1);

    claims.delete("file", &DeleteParams::default()).await.expect("deleted");
    let deleted = async || {
        sum(&address, "controller_persistentvolume_delete_total", r#"class="pure-file""#).await
            > 0.5
    };
    stage.until("its volume's end is counted", deleted).await;
    assert_eq!(line("volume destroyed").len(), 1);

    let (_, metrics) = get(&address, "/metrics").await;
    let log = log();
    let entries = fs::read_dir(stage.folder.path()).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let tokens: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|word| word == "token")).collect();
    assert_eq!(tokens.len(), 3);
    for path in tokens {
        let token = fs::read_to_string(path).expect("text");
        let token = token.trim();
        assert!(token.len() > 10 && !metrics.contains(token) && !log.contains(token));
    }
}
