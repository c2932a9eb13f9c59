//! A leader that stands still at any effect, and goes on when another process leads: it writes nothing more, by the
//! API server's own record and by the arrays'.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::jiff::Timestamp;
use pso_gen::contract::annotation::{ARRAY, SELECTED_NODE, SNAPSHOTS};
use pso_gen::contract::name::{BARRIER_PREFIX, FINALIZER};
use pso_gen::provisioner::decide::Effect;

use super::stories::{as_list, faults, kubectl};
use super::*;

pub(super) const NAMESPACE: &str = "fenced";

/// Where an effect of the first process is held, so that it is tried again and again until the process stands still.
pub(super) enum Held {
    /// The API server refuses the write: resource and operation, and which of them, in the Common Expression Language.
    Refused(&'static str, &'static str, String),
    /// Its array has no time: the word for it in the provisioner's metrics.
    Waits(&'static str),
    /// Not at all: it writes nothing, or is not tried again.
    Not,
}

/// Makes a function that lists the effects of a kind. One without a line here does not compile.
macro_rules! list_moments {
    ($of:ident: $($effect:ident => $held:expr,)*) => {
        fn moments() -> Vec<(&'static str, Held)> {
            let _every = |effect: &$of| match effect {
                $($of::$effect { .. } => stringify!($effect),)*
            };
            vec![$((stringify!($effect), $held),)*]
        }
    };
}
pub(super) use list_moments;

const CLAIMS: &str = "persistentvolumeclaims";
const CLAIMS_STATUS: &str = "persistentvolumeclaims/status";
const VOLUMES: &str = "persistentvolumes";
const VOLUMES_STATUS: &str = "persistentvolumes/status";

list_moments! { Effect:
    RecordIntent => of_claim(CLAIMS, "intend", &format!("'{ARRAY}' in {}", annotations("object"))),
    Reschedule => of_claim(CLAIMS, "reschedule", &format!(
        "'{SELECTED_NODE}' in {} && !('{SELECTED_NODE}' in {})", annotations("oldObject"), annotations("object"),
    )),
    RemoveClaimFinalizer => of_claim(CLAIMS, "finish", &finalizer("oldObject", "object")),
    EnsureVolume => Held::Waits("ensure-volume"),
    FindVolume => Held::Not,
    ReadVolumeSnapshot => Held::Not,
    FindSnapshot => Held::Not,
    DestroyVolume => Held::Waits("destroy-volume"),
    CreatePersistentVolume => Held::Refused(VOLUMES, "CREATE", format!("{} in ['create', 'finish']", claim_of("object"))),
    SetPersistentVolumeBound => of_volume(VOLUMES_STATUS, "setbound", "object.status.phase == 'Bound'"),
    AwaitController => Held::Refused(VOLUMES, "CREATE", format!("object.metadata.name.matches('^{BARRIER_PREFIX}[0-9a-z]+-[0-9]+$')")),
    AwaitWatch => Held::Refused(VOLUMES, "CREATE", format!("object.metadata.name.matches('^{BARRIER_PREFIX}[0-9a-z]+-w[0-9]+$')")),
    // Nor may Kubernetes bind the claim before us, or there is no need for what comes before it.
    BindClaim => Held::Refused(CLAIMS, "UPDATE", "object.metadata.name in ['bind', 'setbound', 'awaitcontroller'] && \
        object.spec.?volumeName.orValue('') != ''".to_owned()),
    SetClaimBound => of_claim(CLAIMS_STATUS, "setclaimbound", "object.?status.?phase.orValue('') == 'Bound'"),
    ReadPersistentVolume => Held::Not,
    ReadClaim => Held::Not,
    DeletePersistentVolume => Held::Refused(VOLUMES, "DELETE", format!("{} == 'delete'", claim_of("oldObject"))),
    RestoreFinalizer => of_volume(VOLUMES, "adopt", &finalizer("object", "oldObject")),
    RemovePersistentVolumeFinalizer => of_volume(VOLUMES, "release", &finalizer("oldObject", "object")),
    SetResizing => of_claim(CLAIMS_STATUS, "resizing", "object.?status.?allocatedResourceStatuses.hasValue()"),
    ExpandVolume => Held::Waits("expand-volume"),
    SetCapacity => of_volume(VOLUMES, "setcapacity", "object.spec.capacity != oldObject.spec.capacity"),
    SetResized => of_claim(CLAIMS_STATUS, "resized", "object.?status.?capacity != oldObject.?status.?capacity"),
    ListSnapshots => Held::Not,
    TakeSnapshot => Held::Waits("take-snapshot"),
    DestroySnapshot => Held::Waits("destroy-snapshot"),
    Requeue => Held::Not,
    // An event that is not written is not tried again.
    RecordEvent => Held::Not,
}

fn annotations(of: &str) -> String {
    format!("{of}.metadata.?annotations.orValue({{}})")
}

/// Says that one of two states of an object has the finalizer, and the other one has not.
fn finalizer(with: &str, without: &str) -> String {
    let has = |state: &str| format!("'{FINALIZER}' in {state}.metadata.?finalizers.orValue([])");
    format!("{} && !({})", has(with), has(without))
}

fn claim_of(volume: &str) -> String {
    format!("{volume}.spec.?claimRef.?name.orValue('')")
}

fn of_claim(resource: &'static str, name: &str, which: &str) -> Held {
    Held::Refused(resource, "UPDATE", format!("object.metadata.name == '{name}' && {which}"))
}

fn of_volume(resource: &'static str, claim: &str, which: &str) -> Held {
    Held::Refused(resource, "UPDATE", format!("{} == '{claim}' && {which}", claim_of("object")))
}

/// What a process has written to the cluster, by the API server's own record.
#[derive(Default)]
pub(super) struct Written {
    /// Its lease, and when.
    pub(super) leases: Vec<Timestamp>,
    /// Anything else, and when.
    pub(super) others: Vec<(Timestamp, String)>,
    /// The effects of which the API server has refused one.
    held: BTreeSet<String>,
}

/// A control plane that records who writes what, and processes of the provisioner with names of their own.
pub(super) struct Recorded {
    pub(super) stage: Stage,
    /// A client with the name of the first process.
    one: Client,
    audit: PathBuf,
    _logs: tempfile::TempDir,
}

impl Recorded {
    pub(super) async fn open(namespace: &str) -> Self {
        let logs = tempfile::tempdir().expect("a folder");
        let (policy, audit) = (logs.path().join("policy"), logs.path().join("audit"));
        let rules = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}, {"level": "None"}],
        });
        fs::write(&policy, rules.to_string()).expect("written");
        let flags = format!(
            "--audit-policy-file {} --audit-log-path {} --audit-log-mode blocking",
            policy.display(),
            audit.display()
        );
        let (kubeconfig, process) = control_plane(&[("APISERVER_FLAGS", &flags)]);
        let stage = Stage::on(namespace, kubeconfig, Some(process)).await;
        // A node matters where some array is not reached from all.
        let storage = stage.folder.path().join("storage.pso.yaml");
        let text = fs::read_to_string(&storage).expect("text");
        let mut document: Json = serde_yaml::from_str(&text).expect("YAML");
        let arrays = document["spec"]["arrays"].as_array_mut().expect("arrays");
        let array = arrays.iter_mut().find(|array| array["name"] == "fb2").expect("there");
        array["topology"] = json!({"topology.kubernetes.io/zone": "b"});
        fs::write(&storage, document.to_string()).expect("written");
        stage.prepare(namespace).await;
        let one = client(&as_user(&stage, "one")).await;
        Self { stage, one, audit, _logs: logs }
    }

    /// Starts a process under a name.
    pub(super) fn spawn(&self, who: &str) -> Process {
        let own = as_user(&self.stage, who);
        let log = fs::File::options().create(true).append(true).open(self.stage.log());
        let process = binary()
            .args([
                "provisioner",
                "--lease",
                "fenced/lease",
                "--listen",
                "127.0.0.1:0",
                "--storage",
            ])
            .arg(self.stage.folder.path().join("storage.pso.yaml"))
            .arg("--kubeconfig")
            .arg(own)
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        Process(process.expect("starts"))
    }

    pub(super) fn written(&self, who: &str) -> Written {
        let text = fs::read_to_string(&self.audit).unwrap_or_default();
        let mut written = Written::default();
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
            if entry["impersonatedUser"]["username"] != who {
                continue;
            }
            let at = entry["requestReceivedTimestamp"].as_str().expect("a time");
            let at: Timestamp = at.parse().expect("a time");
            let of = &entry["objectRef"];
            let answer = entry["responseStatus"]["message"].as_str().unwrap_or_default();
            written.held.extend(answer.split_once(HELD).map(|(_, effect)| effect.to_owned()));
            if of["resource"] != "leases" {
                written.others.push((at, format!("{} {of}", entry["verb"])));
            } else if entry["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300) {
                written.leases.push(at);
            }
        }
        written
    }

    /// Has the API server refuse what some effects write, of everybody but the second process and us.
    pub(super) async fn hold(&self, moments: &[(&'static str, Held)]) {
        let mut objects = Vec::new();
        for (effect, held) in moments {
            let Held::Refused(resource, operation, condition) = held else { continue };
            objects.extend(refusal(effect, resource, operation, condition));
        }
        // Policies count a while after they are written, all at the same time.
        let first = objects[0]["metadata"]["name"].as_str().expect("a name");
        let probe = format!("probe-{first}");
        objects.extend(refusal(
            &probe,
            "configmaps",
            "CREATE",
            &format!("object.metadata.name == '{probe}'"),
        ));
        kubectl(&self.stage, &["apply", "-f", "-"], &as_list(&objects));
        let maps = Api::<ConfigMap>::namespaced(self.one.clone(), NAMESPACE);
        let probe: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": probe}})).expect("typed");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        self.stage
            .until("the policies count", async || maps.create(&dry, &probe).await.is_err())
            .await;
    }

    /// Waits until the first process has tried what it is kept from.
    pub(super) async fn until_held(&self, moments: &[(&'static str, Held)]) {
        let expected: BTreeSet<_> = moments
            .iter()
            .filter(|(_, held)| matches!(held, Held::Refused(..)))
            .map(|(effect, _)| (*effect).to_owned())
            .collect();
        let start = Instant::now();
        loop {
            let held = self.written("one").held;
            let missing: Vec<_> = expected.difference(&held).collect();
            if missing.is_empty() {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "never tried: {missing:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns how many of some effects the first process is at, by its metrics.
    pub(super) async fn under_way(&self, effect: &str) -> u64 {
        let log = fs::read_to_string(self.stage.log()).expect("a log");
        let address = log.lines().filter_map(|line| {
            let line: Json = serde_json::from_str(line).ok()?;
            line["fields"]["address"].as_str().map(str::to_owned)
        });
        let address = { address }.next().expect("where it serves metrics");
        let page = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer");
        let page = page.text().await.expect("text");
        let series = format!("pso_gen_effects_in_flight{{effect=\"{effect}\"}} ");
        let found = page.lines().find_map(|line| line.strip_prefix(&series));
        found.map_or(0, |number| number.parse().expect("a number"))
    }

    /// Lets the first process go on, which stood still when another one took the lease, and fails when it writes anything.
    pub(super) async fn writes_no_more(&self, one: &mut Process, taken: Timestamp) {
        let before = (self.written("one").others.len(), self.changes_on_arrays());
        signal(one, "-CONT");
        let start = Instant::now();
        while one.0.try_wait().expect("its state").is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "the first one ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let written = self.written("one").others;
        let late: Vec<_> = written.iter().filter(|(at, _)| *at >= taken).collect();
        assert!(late.is_empty(), "{late:?}");
        assert_eq!(written.len(), before.0, "{:?}", &written[before.0..]);
        assert_eq!(self.changes_on_arrays(), before.1, "on an array");
    }

    /// Returns how many requests have changed something on an array.
    pub(super) fn changes_on_arrays(&self) -> usize {
        let state = fs::read_to_string(self.stage.folder.path().join(ARRAYS_STATE));
        state.expect("a record").lines().count()
    }
}

/// What is before an effect's name in what the API server answers.
const HELD: &str = "held: ";

/// A policy and its binding.
fn refusal(effect: &str, resource: &str, operation: &str, condition: &str) -> [Json; 2] {
    let name = format!("hold-{}", effect.to_lowercase());
    let version = "admissionregistration.k8s.io/v1";
    let rule = json!({
        "apiGroups": ["", "storage.k8s.io"], "apiVersions": ["v1"], "operations": [operation], "resources": [resource],
    });
    let spec = json!({
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "who", "expression": "!(request.userInfo.username in ['two', 'admin'])"}],
        "validations": [{
            "expression": format!("!({condition})"), "message": format!("{HELD}{effect}"), "reason": "Forbidden",
        }],
    });
    let binding = json!({"policyName": name, "validationActions": ["Deny"]});
    [("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", binding)].map(|(kind, spec)| {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    })
}

/// Writes a kubeconfig of an admin with a name.
fn as_user(stage: &Stage, who: &str) -> PathBuf {
    let text = fs::read_to_string(&stage.kubeconfig).expect("text");
    let mut config: Json = serde_yaml::from_str(&text).expect("YAML");
    let user = &mut config["users"][0]["user"];
    (user["as"], user["as-groups"]) = (json!(who), json!(["system:masters"]));
    let own = stage.folder.path().join(format!("{who}.kubeconfig"));
    fs::write(&own, config.to_string()).expect("written");
    own
}

pub(super) fn signal(process: &Process, signal: &str) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("runs").success());
}

/// Changes claims by their names.
async fn change(stage: &Stage, names: &[&str], change: &Json) {
    for name in names {
        let patch = Patch::Merge(change);
        stage
            .claims(NAMESPACE)
            .patch(name, &PatchParams::default(), &patch)
            .await
            .expect("patched");
    }
}

#[tokio::test]
#[ignore = "starts a control plane"]
#[expect(clippy::too_many_lines, reason = "one life, in which each step needs those before it")]
async fn a_process_that_stands_still_at_any_effect_writes_no_more_without_the_lease() {
    let recorded = Recorded::open(NAMESPACE).await;
    let stage = &recorded.stage;
    let (claims, post) = (stage.claims(NAMESPACE), PostParams::default());
    let make = async |names: &[&str], class: &str| {
        for name in names {
            claims.create(&post, &claim(name, class, "1Gi")).await.expect("made");
        }
    };
    let leases = Api::<Lease>::namespaced(stage.client.clone(), NAMESPACE);
    let mut one = recorded.spawn("one");
    let leads = async || leases.get_opt("lease").await.expect("an answer").is_some();
    stage.until("the first one leads", leads).await;
    let mut two = recorded.spawn("two");

    // What the life of a claim is held in the middle of.
    make(
        &["resizing", "setcapacity", "resized", "delete", "release", "adopt", "source"],
        "pure-file",
    )
    .await;
    make(&["grow", "destroy", "takesnapshot"], "pure-block").await;
    let all_are_bound = async || {
        let list = claims.list(&ListParams::default()).await.expect("listed").items;
        list.iter().all(|claim| {
            is_bound(claim)
                && claim
                    .metadata
                    .finalizers
                    .as_ref()
                    .is_none_or(|all| !all.iter().any(|each| each == FINALIZER))
        })
    };
    stage.until("all are bound", all_are_bound).await;

    // From now on, each effect is held at one of them.
    let is_mark = |effect: &str| ["AwaitController", "AwaitWatch"].contains(&effect);
    let (marks, others): (Vec<_>, Vec<_>) =
        moments().into_iter().partition(|(effect, _)| is_mark(effect));
    recorded.hold(&others).await;
    let busy = json!({"throttled": {"retryAfter": 1}});
    let busy = |method: &str, resource: &str| json!({"fault": busy, "method": method, "resource": resource});
    let rules = json!([
        busy("POST", "volumes"),
        busy("PATCH", "volumes"),
        busy("POST", "volume-snapshots"),
        busy("PATCH", "file-system-snapshots"),
    ]);
    faults(stage, rules).await;

    make(&["intend", "create", "setbound", "bind", "setclaimbound", "finish"], "pure-file").await;
    make(&["ensure"], "pure-block").await;
    let mut copy = serde_json::to_value(claim("copy", "pure-file", "1Gi")).expect("JSON");
    copy["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "source"});
    claims.create(&post, &serde_json::from_value(copy).expect("typed")).await.expect("made");
    let classes = Api::<StorageClass>::all(stage.client.clone());
    let mut late = classes.get("pure-file").await.expect("there");
    late.metadata = serde_json::from_value(json!({"name": "late"})).expect("typed");
    late.volume_binding_mode = Some("WaitForFirstConsumer".to_owned());
    classes.create(&post, &late).await.expect("made");
    let mut gone = claim("reschedule", "late", "1Gi");
    gone.metadata.annotations = Some([(SELECTED_NODE.to_owned(), "gone".to_owned())].into());
    claims.create(&post, &gone).await.expect("made");
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    change(stage, &["resizing", "setcapacity", "resized", "grow"], &larger).await;
    change(
        stage,
        &["takesnapshot"],
        &json!({"metadata": {"annotations": {SNAPSHOTS: "every 365d, keep 2"}}}),
    )
    .await;
    let adopted = format!("pvc-{}", uid(&claims.get("adopt").await.expect("there")));
    let bare = Patch::Merge(json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}}));
    stage.volumes().patch(&adopted, &PatchParams::default(), &bare).await.expect("patched");
    let begun = async || {
        let claim = claims.get("finish").await.expect("there");
        claim.metadata.finalizers.is_some_and(|all| all.iter().any(|each| each == FINALIZER))
    };
    stage.until("one is begun that nobody will need", begun).await;
    for name in ["delete", "release", "destroy", "finish"] {
        claims.delete(name, &DeleteParams::default()).await.expect("deleted");
    }
    recorded.until_held(&others).await;
    for mark in marks.chunks(1) {
        recorded.hold(mark).await;
        make(&[&mark[0].0.to_lowercase()], "pure-file").await;
        recorded.until_held(mark).await;
    }
    for (effect, held) in moments() {
        if let Held::Waits(word) = held {
            stage.until(effect, async || recorded.under_way(word).await > 0).await;
        }
    }

    signal(&one, "-STOP");
    faults(stage, json!([])).await;
    let leads = async || !recorded.written("two").leases.is_empty();
    stage.until("the second one leads", leads).await;
    let finished = async || {
        let list = claims.list(&ListParams::default()).await.expect("listed").items;
        let there = list.iter().map(|claim| claim.metadata.name.as_deref().expect("a name"));
        let (waits, bound): (Vec<_>, Vec<_>) =
            there.zip(&list).partition(|(name, _)| *name == "reschedule");
        let is_large = |claim: &PersistentVolumeClaim| {
            let size = |of: Option<&BTreeMap<String, Quantity>>| {
                of.and_then(|of| of.get("storage")).cloned()
            };
            let spec = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
            let status = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
            size(spec.and_then(|spec| spec.requests.as_ref())) == size(status)
        };
        let volume = stage.volumes().get(&adopted).await.expect("there");
        waits.iter().all(|(_, claim)| {
            !claim.metadata.annotations.clone().unwrap_or_default().contains_key(SELECTED_NODE)
        }) && bound
            .iter()
            .all(|(name, claim)| is_bound(claim) && (is_large(claim) || *name == "grow"))
            && volume
                .metadata
                .finalizers
                .is_some_and(|all| all.iter().any(|each| each == FINALIZER))
            && stage.own_volumes().await.len() == bound.len()
            && stage.on_arrays().await.len() == bound.len()
            && stage.snapshots().await.len() == 1
    };
    stage.until("the second one has finished all", finished).await;
    let taken = recorded.written("two").leases[0];
    // It may not be taken for the first one.
    two.0.kill().expect("killed");
    two.0.wait().expect("its end");

    recorded.writes_no_more(&mut one, taken).await;
}
