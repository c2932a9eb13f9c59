//! What the provisioner reports to the on-call engineer, as a process beside a small stand-in for the
//! Kubernetes API: metrics, probes, log, and the page about them.

#[path = "provisioner/hostile.rs"]
mod hostile;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream;
use pso_gen::csi::NodeMetrics;
use pso_gen::provisioner::decide::Reason;
use pso_gen::provisioner::run::Metrics;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the stand-in has: a class, a claim, and a lease.
#[derive(Clone)]
struct Api {
    claim: Arc<Mutex<Json>>,
    lease: Arc<Mutex<Json>>,
    /// Whether it answers anything but leases.
    up: Arc<Mutex<bool>>,
    /// Whether it says which cluster it is of.
    known: Arc<Mutex<bool>>,
    /// Claims of others, each as the text that it is sent as.
    others: Arc<Mutex<Vec<String>>>,
    /// How many claims were asked for at once, each time.
    limits: Arc<Mutex<Vec<usize>>>,
    /// What was printed.
    events: Arc<Mutex<Vec<Json>>>,
    /// PersistentVolumes that were created.
    volumes: Arc<watch::Sender<Vec<Json>>>,
}

const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";
const CSI_NODES: &str = "/apis/storage.k8s.io/v1/csinodes";
const EVENTS: &str = "/apis/events.k8s.io/v1/events";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/pso-system/leases/pso-gen";
const UID: &str = "5d3c1f0a-0000-4000-8000-000000000001";

impl Api {
    fn new(holder: &str) -> Self {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "data", "namespace": "apps", "uid": UID, "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                // Kubernetes has found no PersistentVolume for it.
                "annotations": {"volume.kubernetes.io/storage-provisioner": "pso-gen.io/provisioner"},
            },
            "spec": {
                "accessModes": ["ReadWriteMany"], "storageClassName": "pure-file",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "pso-gen", "namespace": "pso-system", "resourceVersion": "1"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 3600},
        });
        Self {
            claim: Arc::new(Mutex::new(claim)),
            lease: Arc::new(Mutex::new(lease)),
            up: Arc::new(Mutex::new(true)),
            known: Arc::new(Mutex::new(true)),
            others: Arc::default(),
            limits: Arc::default(),
            events: Arc::default(),
            volumes: Arc::default(),
        }
    }

    /// A page of all claims, ours last.
    fn page(&self, query: &str) -> Response {
        let word = |key: &str| {
            let words = query.split('&').filter_map(|word| word.split_once('='));
            words.filter(|(word, _)| *word == key).find_map(|(_, value)| value.parse().ok())
        };
        let (from, limit): (usize, usize) =
            (word("continue").unwrap_or(0), word("limit").unwrap_or(usize::MAX));
        self.limits.lock().expect("unharmed").push(limit);
        let others = self.others.lock().expect("unharmed");
        let own = self.claim.lock().expect("unharmed").to_string();
        let all = others.iter().chain([&own]);
        let items: Vec<&str> = all.skip(from).take(limit).map(String::as_str).collect();
        let next = from + items.len();
        let next = if next > others.len() { String::new() } else { next.to_string() };
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "PersistentVolumeClaimList",
                "metadata": {{"resourceVersion": "1", "continue": "{next}"}}, "items": [{}]}}"#,
            items.join(",")
        );
        ([("content-type", "application/json")], text).into_response()
    }

    async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

async fn answer(State(api): State<Api>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path();
    let mut sent: Json = serde_json::from_slice(&body).unwrap_or_default();
    let mut lease = api.lease.lock().expect("unharmed");
    if path == LEASE {
        if method == Method::PUT {
            *lease = sent;
        }
        return axum::Json(lease.clone()).into_response();
    }
    if path == KUBE_SYSTEM {
        if !*api.known.lock().expect("unharmed") {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let metadata = json!({"name": "kube-system", "uid": UID});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        return axum::Json(namespace).into_response();
    }
    if !*api.up.lock().expect("unharmed") {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if uri.query().is_some_and(|query| query.contains("watch=true")) {
        if path == VOLUMES {
            return watched(api.volumes.subscribe());
        }
        // Nothing happens any more.
        return Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
            .into_response();
    }
    if (&method, path) == (&Method::GET, CLAIMS) {
        return api.page(uri.query().unwrap_or_default());
    }
    let mut claim = api.claim.lock().expect("unharmed");
    let list = |kind: &str, items: Vec<Json>| {
        axum::Json(json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": "1"}, "items": items,
        }))
        .into_response()
    };
    match (method, path) {
        (Method::GET, VOLUMES) => list("PersistentVolumeList", Vec::new()),
        (Method::GET, ATTACHMENTS) => list("VolumeAttachmentList", Vec::new()),
        (Method::GET, CSI_NODES) => list("CSINodeList", Vec::new()),
        (Method::GET, CLASSES) => {
            let class = json!({
                "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
                "parameters": {"backend": "file"},
            });
            list("StorageClassList", vec![class])
        }
        (Method::PATCH, path) if path.ends_with("/persistentvolumeclaims/data") => {
            claim["metadata"]["resourceVersion"] = json!("2");
            for field in ["finalizers", "annotations"] {
                claim["metadata"][field] = sent["metadata"][field].clone();
            }
            // What is set to nothing goes.
            if let Some(annotations) = claim["metadata"]["annotations"].as_object_mut() {
                annotations.retain(|_, value| !value.is_null());
            }
            axum::Json(claim.clone()).into_response()
        }
        (Method::GET, EVENTS) => list("EventList", api.events.lock().expect("unharmed").clone()),
        (Method::POST, path) if path.ends_with("/events") => {
            api.events.lock().expect("unharmed").push(sent.clone());
            (StatusCode::CREATED, axum::Json(sent)).into_response()
        }
        (Method::POST, VOLUMES) => {
            api.volumes.send_modify(|volumes| {
                sent["metadata"]["resourceVersion"] = json!((volumes.len() + 2).to_string());
                sent["metadata"]["uid"] = json!(format!("volume-{}", volumes.len()));
                volumes.push(sent.clone());
            });
            (StatusCode::CREATED, axum::Json(sent)).into_response()
        }
        (Method::POST, _) => (StatusCode::CREATED, axum::Json(sent)).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What a watch shows of what is created from now on.
fn watched(volumes: watch::Receiver<Vec<Json>>) -> Response {
    let changes = stream::unfold((volumes, 0), |(mut volumes, shown)| async move {
        let object = {
            let all = volumes.wait_for(|all| all.len() > shown).await.ok()?;
            all[shown].clone()
        };
        let line = format!("{}\n", json!({"type": "ADDED", "object": object}));
        Some((Ok::<_, std::io::Error>(Bytes::from(line)), (volumes, shown + 1)))
    });
    Body::from_stream(changes).into_response()
}

/// Simulated arrays, a stand-in for the Kubernetes API, and a provisioner.
struct Stage {
    folder: tempfile::TempDir,
    api: Api,
    provisioner: Option<Process>,
    _simulator: Process,
    /// Where metrics and probes are.
    address: String,
}

impl Stage {
    async fn open(holder: &str, more: &[&str]) -> Self {
        Self::of(Api::new(holder), &[], more).await
    }

    /// One with arrays that have some faults.
    async fn of(api: Api, faults: &[Json], more: &[&str]) -> Self {
        let mut stage = Self::set(api, faults).await;
        stage.start(more).await;
        stage
    }

    /// All but the provisioner.
    async fn set(api: Api, faults: &[Json]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let server = api.serve().await;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": format!("http://{server}")}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
        });
        fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("written");
        let mut simulator = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(["simulate", "--storage-out"])
            .arg(folder.path().join("storage.pso.yaml"))
            .args(faults.iter().flat_map(|fault| ["--fault".to_owned(), fault.to_string()]))
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = simulator.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self {
            folder,
            api,
            provisioner: None,
            _simulator: Process(simulator),
            address: String::new(),
        }
    }

    async fn start(&mut self, more: &[&str]) {
        let path = |name: &str| self.folder.path().join(name);
        let process = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .arg("provisioner")
            .args(["--listen", "127.0.0.1:0", "--log", "trace", "--storage"])
            .arg(path("storage.pso.yaml"))
            .arg("--kubeconfig")
            .arg(path("kubeconfig"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("log")).expect("a log"))
            .spawn();
        self.provisioner = Some(Process(process.expect("starts")));
        let start = "serving metrics and probes";
        self.until(start, async || !self.lines(start).is_empty()).await;
        let line = self.lines(start).remove(0);
        let address = line["fields"]["address"].as_str();
        self.address = address.expect("an address").into();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Returns the lines of the log with a message.
    fn lines(&self, message: &str) -> Vec<Json> {
        let log = self.log();
        // The last line may be half written.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines.filter(|line| line["fields"]["message"] == message).collect()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// Returns a metric's value.
    async fn value(&self, start: &str) -> Option<String> {
        let (_, text) = self.get("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' ').map(str::to_owned))
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !holds().await {
            if start.elapsed() > Duration::from_secs(60) {
                let log = self.log();
                let own = log.lines().rev().filter(|line| line.contains("\"pso_gen"));
                let end: Vec<&str> = own.take(30).collect();
                panic!("not in time: {what}\n{}", end.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the arrays' tokens.
    fn tokens(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let tokens = paths.filter(|path| path.extension().is_some_and(|word| word == "token"));
        tokens.map(|path| fs::read_to_string(path).expect("text").trim().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_tells_what_it_does_and_no_secret() {
    let stage = Stage::open("", &[]).await;
    let made = async || !stage.lines("volume created").is_empty();
    stage.until("the volume is made", made).await;
    let created = r#"rest_client_requests_total{code="201",method="POST"}"#;
    stage
        .until("the PersistentVolume is created", async || stage.value(created).await.is_some())
        .await;
    stage.until("ready", async || stage.get("/readyz").await.0 == 200).await;
    assert_eq!(stage.get("/livez").await, (200, "ok\n".to_owned()));
    for (start, value) in [
        (r#"pso_gen_array_operations_total{array="fb1",operation="ensure",outcome="ok"}"#, "2"),
        (r#"pso_gen_array_up{array="fa1"}"#, "1"),
        (r#"pso_gen_watch_restarts_total{resource="storageclasses"}"#, "0"),
        ("pso_gen_leader", "1"),
    ] {
        assert_eq!(stage.value(start).await.as_deref(), Some(value), "{start}");
    }
    // The event is held back for some seconds.
    let event = r#"pso_gen_events_total{reason="Provisioning",type="Normal"}"#;
    let published = async || stage.value(event).await.as_deref() == Some("1");
    stage.until("the event is published", published).await;
    let pending = r#"pso_gen_claims{class="pure-file",state="pending"}"#;
    let counted = async || stage.value(pending).await.as_deref() == Some("1");
    stage.until("the claim is counted", counted).await;

    // Whom each line is about can be filtered for.
    for (message, level) in [("volume created", "INFO"), ("event", "INFO"), ("effect", "DEBUG")] {
        let lines = stage.lines(message);
        let line = lines.first().expect("a line");
        assert_eq!(line["level"], level, "{line}");
        assert_eq!(line["fields"]["claim"], "apps/data", "{line}");
        assert_eq!(line["fields"]["array"], "fb1", "{line}");
        assert_eq!(line["fields"]["volume"], format!("demo-pvc-{UID}"), "{line}");
    }
    let line = stage.lines("volume created").remove(0);
    assert_eq!(
        (&line["fields"]["array"], &line["fields"]["size"]),
        (&json!("fb1"), &json!(1 << 30))
    );

    let (_, metrics) = stage.get("/metrics").await;
    let tokens = stage.tokens();
    assert_eq!(tokens.len(), 2);
    let log = stage.log();
    assert!(log.contains("\"level\":\"TRACE\""), "all there is was logged");
    for token in tokens {
        assert!(token.len() > 10 && !metrics.contains(&token) && !log.contains(&token));
    }
    for hidden in [UID, "apps", "data\""] {
        assert!(!metrics.contains(hidden), "{hidden} is one of many: no label\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_is_ready_and_leads_when_its_time_comes() {
    let stage = Stage::open("somebody", &["--lease", "pso-system/pso-gen"]).await;
    stage.until("ready to wait", async || stage.get("/readyz").await.0 == 200).await;
    assert_eq!(stage.value("pso_gen_leader").await.as_deref(), Some("0"));
    let lines = stage.lines("waiting to lead");
    assert_eq!((lines.len(), &lines[0]["fields"]["holder"]), (1, &json!("somebody")));

    *stage.api.up.lock().expect("unharmed") = false;
    *stage.api.known.lock().expect("unharmed") = false;
    stage.api.lease.lock().expect("unharmed")["spec"]["holderIdentity"] = json!("");
    let leads = async || stage.value("pso_gen_leader").await.as_deref() == Some("1");
    stage.until("it leads", leads).await;
    let nameless = (503, "not seen yet: the cluster's identity\n".to_owned());
    stage
        .until("it asks which cluster this is", async || stage.get("/readyz").await == nameless)
        .await;
    assert_eq!(stage.get("/livez").await.0, 200, "starting anew would not help");
    *stage.api.known.lock().expect("unharmed") = true;
    let blind = (
        503,
        "not seen yet: claims, PersistentVolumes, StorageClasses, VolumeAttachments, CSINodes\n"
            .to_owned(),
    );
    stage.until("it sees nothing", async || stage.get("/readyz").await == blind).await;
    assert_eq!(stage.get("/livez").await.0, 200, "starting anew would not help");
    let restarts = r#"pso_gen_watch_restarts_total{resource="persistentvolumes"}"#;
    let again =
        async || stage.value(restarts).await.is_some_and(|n| n.parse::<u64>().ok() > Some(1));
    stage.until("it looks again and again", again).await;
    let ended = stage.lines("watch ended; it starts again");
    assert_eq!(ended.len(), 5, "once for each: {ended:?}");

    *stage.api.up.lock().expect("unharmed") = true;
    stage.until("it sees", async || stage.get("/readyz").await.0 == 200).await;
    assert_eq!(stage.lines("watch goes on").len(), 5);
    // From somebody to nobody, and from nobody to us.
    assert_eq!(stage.value("pso_gen_leader_changes_total").await.as_deref(), Some("2"));
}

#[test]
fn an_address_that_is_taken_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let storage = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/storage/storage.pso.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["provisioner", "--storage", storage, "--listen", &address])
        .output()
        .expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&format!("--listen {address}: ")), "{stderr}");
}

/// What `render` refuses, it refuses too: the document in its ConfigMap may come from anywhere.
#[test]
fn a_document_with_one_array_under_two_names_is_refused_at_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = folder.path().join("storage.pso.yaml");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/storage/storage.pso.yaml");
    let example = fs::read_to_string(example).expect("an example");
    for (from, to, cause) in [
        ("fa2.example.com", "FA1.example.com.:443", "another array has this address"),
        ("name: fa2", "name: fa1", "another array has the name"),
        ("nodes: [10.20.0.0/16]", "nodes: [0.0.0.0/0]", "contains all addresses"),
        ("data: 10.20.9.1", "data: 127.0.0.1", "is a loopback address"),
    ] {
        fs::write(&storage, example.replace(from, to)).expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(["provisioner", "--storage"])
            .arg(&storage)
            .output()
            .expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(cause), "{cause}: {stderr}");
    }
}

fn page() -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/provisioner.md");
    fs::read_to_string(path).expect("a page")
}

/// The words in the first column of the tables below a heading.
fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split(&format!("\n## {heading}\n")).nth(1).expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let word = line.split('`').nth(1).unwrap_or_default();
        word.split('{').next().unwrap_or_default().to_owned()
    })
    .collect()
}

#[test]
fn the_page_tells_of_every_event_and_metric_and_of_no_other() {
    let page = page();
    let reasons: BTreeSet<String> =
        Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    assert_eq!(reasons.len(), Reason::ALL.len());
    assert_eq!(documented(&page, "Events"), reasons);

    let names: BTreeSet<String> = Metrics::new().names().iter().cloned().collect();
    assert_eq!(documented(&page, "Metrics"), names);
    // Elsewhere on the page too.
    assert!(names_of_metrics(&page).is_superset(&names));
}

#[test]
fn the_page_of_the_node_service_has_each_of_its_metrics_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/node.md");
    let page = fs::read_to_string(path).expect("a page");
    let names: BTreeSet<String> = NodeMetrics::new().names().iter().cloned().collect();
    assert_eq!(documented(&page, "Metrics"), names);
}

/// Returns the metrics that a text names. Fails when there is none of a name: alerts and panels of it would
/// never show anything.
fn names_of_metrics(text: &str) -> BTreeSet<String> {
    let (ours, of_nodes) = (Metrics::new(), NodeMetrics::new());
    let names: BTreeSet<String> = ours.names().iter().chain(of_nodes.names()).cloned().collect();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| {
        ["controller_persistent", "pso_gen_", "rest_client_"].iter().any(|p| word.starts_with(p))
    };
    let stem = |word: &str| {
        let stem = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
        let stem = stem.unwrap_or(word).to_owned();
        assert!(names.contains(&stem), "no metric {word}");
        stem
    };
    words.filter(ours).map(stem).collect()
}

fn beside_the_compiler(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compiler/compile/platform");
    fs::read_to_string(folder.join(file)).expect("a file")
}

#[test]
fn each_alert_can_fire_and_is_reported_of_on_the_page() {
    let rules = |file: &str| -> Vec<Json> {
        let alerts: Json = serde_yaml::from_str(&beside_the_compiler(file)).expect("YAML");
        alerts["groups"][0]["rules"].as_array().expect("rules").clone()
    };
    let (ours, of_nodes) = (rules("alerts.yaml"), rules("node-alerts.yaml"));
    let mut named = BTreeSet::new();
    for rule in ours.iter().chain(&of_nodes) {
        let name = rule["alert"].as_str().expect("a name");
        assert!(named.insert(name.to_owned()), "{name} twice");
        let expression = rule["expr"].as_str().expect("an expression");
        // Two alerts of the node service are about metrics of kube-state-metrics.
        let ours = expression.contains("pso-gen") || !names_of_metrics(expression).is_empty();
        assert!(ours, "{name} is about no metric");
        for field in ["summary", "description"] {
            assert!(rule["annotations"][field].is_string(), "{name} has no {field}");
        }
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{name}: {severity:?}");
    }
    let page = page();
    let section = page.split("\n## Alerts\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let headings = section.expect("a section").lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(headings.map(str::to_owned).collect::<BTreeSet<_>>(), named);
}

#[test]
fn each_panel_of_the_dashboard_shows_something() {
    let dashboard: Json =
        serde_json::from_str(&beside_the_compiler("dashboard.json")).expect("JSON");
    let mut numbers = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(numbers.insert(panel["id"].as_u64().expect("a number")), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            assert!(!names_of_metrics(expression).is_empty(), "{expression}");
        }
    }
    assert!(numbers.len() > 10);
}
