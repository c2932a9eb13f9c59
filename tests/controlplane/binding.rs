//! Stories of who binds a claim to what: PersistentVolumes that admins have created and Kubernetes chooses, Warnings that
//! nobody should read, and a PersistentVolume of ours that an admin gives to another claim.

use super::platform::{Installed, document};
use super::stories::{as_list, faults, kubectl};
use super::*;

const CONTROLLER: [&str; 2] = ["--binding", "controller"];

/// A PersistentVolume of an admin, for a claim of a name or for any.
fn prepared(name: &str, class: &str, namespace: &str, claim: Option<&str>) -> PersistentVolume {
    let claim = claim.map(|claim| json!({"namespace": namespace, "name": claim}));
    let volume = json!({
        "metadata": {"name": format!("{namespace}-{name}")},
        "spec": {
            "capacity": {"storage": "9Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Retain", "claimRef": claim,
            "nfs": {"server": "192.0.2.99", "path": format!("/{name}")},
        },
    });
    serde_json::from_value(volume).expect("typed")
}

/// Returns all events of a namespace: type, reason, claim, text.
async fn events(stage: &Stage, namespace: &str) -> Vec<[String; 4]> {
    let events = Api::<Event>::namespaced(stage.client.clone(), namespace);
    let list = events.list(&ListParams::default()).await.expect("listed").items;
    let each = list.into_iter().map(|event| {
        let about = event.regarding.and_then(|object| object.name);
        [event.type_, event.reason, about, event.note].map(Option::unwrap_or_default)
    });
    each.collect()
}

/// Returns what claims are bound to, by their names.
async fn bound(claims: &Api<PersistentVolumeClaim>) -> BTreeMap<String, String> {
    let list = claims.list(&ListParams::default()).await.expect("listed").items;
    let bound = list.into_iter().filter(is_bound);
    bound.filter_map(|claim| Some((claim.metadata.name?, claim.spec?.volume_name?))).collect()
}

/// Puts the policy in force by which new claims say themselves that the provisioner is asked.
async fn annotate_claims(stage: &Stage) {
    let fields = json!({
        "classes": {"keep-file": {"like": "pure-file"}}, "provisioner": {"annotateClaims": true},
    });
    let mut objects = document(stage, &fields);
    objects.retain(|object| {
        object["kind"].as_str().is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
    });
    assert_eq!(objects.len(), 2);
    kubectl(stage, &["apply", "-f", "-"], &as_list(&objects));
    let plain = serde_json::to_value(claim("plain", "keep-file", "1Gi")).expect("JSON");
    let in_force = async || asked_at_once(stage, plain.clone()).await.is_some();
    stage.until("the policy is in force", in_force).await;
}

/// 30 claims are made in the same moment as the PersistentVolumes that name them; then 20 that others fit. When the
/// provisioner binds, the 30 are more than it waits with, and the 20 say from the beginning that it is asked: what
/// Kubernetes has looked at is known of none.
async fn chosen_by_kubernetes(namespace: &str, args: &[&str]) {
    const NAMED: usize = 30;
    const FITTING: usize = 20;
    let stage = Stage::open(namespace).await;
    let _provisioner = stage.spawn(args);
    let (claims, volumes, post) = (stage.claims(namespace), stage.volumes(), PostParams::default());
    let made = (0..NAMED).map(|number| {
        let name = format!("s{number}");
        let volume = prepared(&format!("pre-{number}"), "pure-file", namespace, Some(&name));
        let (claims, volumes, post) = (claims.clone(), volumes.clone(), post.clone());
        async move {
            volumes.create(&post, &volume).await.expect("made");
            claims.create(&post, &claim(&name, "pure-file", "9Gi")).await.expect("made");
        }
    });
    futures::future::join_all(made).await;
    let all = async |count| bound(&claims).await.len() == count;
    stage.until("all are bound", async || all(NAMED).await).await;
    for (claim, volume) in bound(&claims).await {
        assert_eq!(volume, format!("{namespace}-pre-{}", &claim[1..]), "{claim}");
    }

    if args.is_empty() {
        annotate_claims(&stage).await;
    }
    // Kubernetes takes none of these before it has called it Available.
    for number in 0..FITTING {
        let volume = prepared(&format!("any-{number}"), "keep-file", namespace, None);
        volumes.create(&post, &volume).await.expect("made");
    }
    let available = async || {
        let list = volumes.list(&ListParams::default()).await.expect("listed").items;
        let phase = |volume: &PersistentVolume| volume.status.clone()?.phase;
        list.iter().filter(|v| phase(v).as_deref() == Some("Available")).count() == FITTING
    };
    stage.until("all are available", available).await;
    let made = (0..FITTING).map(|number| {
        let claim = claim(&format!("f{number}"), "keep-file", "5Gi");
        let (claims, post) = (claims.clone(), post.clone());
        async move { claims.create(&post, &claim).await.expect("made") }
    });
    futures::future::join_all(made).await;
    stage.until("all are bound", async || all(NAMED + FITTING).await).await;
    for (claim, volume) in bound(&claims).await {
        assert!(!volume.starts_with("pvc-"), "{claim} is bound to {volume}");
    }
    let gone = async || stage.on_arrays().await.is_empty();
    stage.until("nothing of ours is on an array", gone).await;
    for [kind, reason, claim, text] in events(&stage, namespace).await {
        assert!(kind != "Warning" && reason != "ProvisioningSucceeded", "{claim}: {reason} {text}");
    }
    // And one for which there is none is served.
    claims.create(&post, &claim("last", "pure-file", "1Gi")).await.expect("made");
    stage.until("the last one is bound", async || all(NAMED + FITTING + 1).await).await;
    assert!(bound(&claims).await["last"].starts_with("pvc-"));
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn claims_are_bound_to_what_kubernetes_finds_for_them() {
    chosen_by_kubernetes("chosen", &[]).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn claims_are_bound_to_what_kubernetes_finds_for_them_when_it_binds() {
    chosen_by_kubernetes("left", &CONTROLLER).await;
}

/// Creates claims at once, files and blocks, and waits until all are bound.
async fn burst(stage: &Stage, name: &str, count: usize) {
    let claims = stage.claims(&stage.namespace);
    let made = (0..count).map(|number| {
        let class = ["pure-file", "pure-block"][number % 2];
        let (claims, claim) = (claims.clone(), claim(&format!("{name}{number}"), class, "1Gi"));
        async move { claims.create(&PostParams::default(), &claim).await.expect("made") }
    });
    futures::future::join_all(made).await;
    let all = async || {
        let bound = bound(&claims).await;
        bound.into_keys().filter(|claim| claim.starts_with(name)).count() == count
    };
    stage.until("all are bound", all).await;
}

/// Fails when there is a Warning on a claim, of Kubernetes or of ours.
async fn expect_no_warning(stage: &Stage) {
    // kube-controller-manager takes claims and writes events in their order, long after what they are about. Another
    // provisioner's claim is the last one.
    let other = json!({"metadata": {"name": "other"}, "provisioner": "example.com/other"});
    let other = serde_json::from_value(other).expect("typed");
    let classes = Api::<StorageClass>::all(stage.client.clone());
    classes.create(&PostParams::default(), &other).await.expect("made");
    let claims = stage.claims(&stage.namespace);
    let last = claim("last", "other", "1Gi");
    claims.create(&PostParams::default(), &last).await.expect("made");
    let reached = async || {
        let events = events(stage, &stage.namespace).await;
        events.iter().any(|event| event[1] == "ExternalProvisioning" && event[2] == "last")
    };
    stage.until("Kubernetes has come to the last claim", reached).await;
    let events = events(stage, &stage.namespace).await;
    let warnings = events.into_iter().filter(|event| event[0] == "Warning");
    assert_eq!(warnings.collect::<Vec<_>>(), [[""; 4]; 0]);
}

/// Returns who a claim says is asked for its volume, right after its creation. Nothing is created.
async fn asked_at_once(stage: &Stage, claim: Json) -> Option<String> {
    let claim = serde_json::from_value(claim).expect("typed");
    let post = PostParams { dry_run: true, ..PostParams::default() };
    let made = stage.claims(&stage.namespace).create(&post, &claim).await.expect("an answer");
    let words = made.metadata.annotations.unwrap_or_default();
    let keys = [
        "volume.kubernetes.io/storage-provisioner",
        "volume.beta.kubernetes.io/storage-provisioner",
    ];
    let [asked, beta] = keys.map(|key| words.get(key).cloned());
    assert_eq!(asked, beta);
    asked
}

/// With the policy that `annotateClaims` renders, as many claims as there are; and without it, as many as
/// kube-controller-manager comes to in time.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn no_warning_is_on_a_healthy_claim() {
    let fields = json!({
        "classes": {"pure-block": {"default": true}}, "provisioner": {"annotateClaims": true},
    });
    let installed = Installed::with("healthy", &fields).await;
    let stage = &installed.stage;
    let _provisioner = installed.spawn();
    let plain = || serde_json::to_value(claim("plain", "pure-file", "1Gi")).expect("JSON");
    let ours = Some("pso-gen.io/provisioner".to_owned());
    let in_force = async || asked_at_once(stage, plain()).await == ours;
    stage.until("the policy is in force", in_force).await;
    let with = |change: &dyn Fn(&mut Json)| {
        let mut claim = plain();
        change(&mut claim);
        claim
    };
    let legacy = with(&|claim| {
        claim["spec"]["storageClassName"] = Json::Null;
        claim["metadata"]["annotations"] =
            json!({"volume.beta.kubernetes.io/storage-class": "pure-file"});
    });
    assert_eq!(asked_at_once(stage, legacy).await, ours);
    let default = with(&|claim| claim["spec"]["storageClassName"] = Json::Null);
    assert_eq!(asked_at_once(stage, default).await, ours);
    let picks = json!({"matchLabels": {"tier": "gold"}});
    for (field, value) in [
        ("storageClassName", json!("foreign")),
        ("storageClassName", json!("")),
        ("storageClassName", json!("first")),
        ("volumeName", json!("mine")),
        ("selector", picks),
    ] {
        let claim = with(&|claim| claim["spec"][field] = value.clone());
        assert_eq!(asked_at_once(stage, claim).await, None, "{field} {value}");
    }

    burst(stage, "many", 200).await;
    let binding = ["delete", "mutatingadmissionpolicybinding", "pso-gen-provisioner-asked"];
    kubectl(stage, &binding, "");
    let ended = async || asked_at_once(stage, plain()).await.is_none();
    stage.until("the policy is in force no more", ended).await;
    burst(stage, "few", 24).await;
    expect_no_warning(stage).await;
}

/// kube-controller-manager has limits here with which it comes to all of them within the time of a test.
#[tokio::test]
#[ignore = "starts a control plane"]
async fn no_warning_is_on_a_healthy_claim_when_kubernetes_binds() {
    let limits = "--kube-api-qps 150 --kube-api-burst 30";
    let stage = Stage::open_with("leisurely", Some(limits)).await;
    let _provisioner = stage.spawn(&CONTROLLER);
    burst(&stage, "many", 200).await;
    expect_no_warning(&stage).await;
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_that_is_not_needed_any_more_goes() {
    let mut stage = Stage::open("late").await;
    stage.start();
    stage.until_registered().await;
    // The arrays are busy for as long as it takes an admin to create a PersistentVolume.
    let busy = json!([{
        "fault": {"throttled": {"retryAfter": 10}}, "method": "POST", "resource": "file-systems", "times": 4,
    }]);
    faults(&stage, busy).await;
    let (claims, post) = (stage.claims("late"), PostParams::default());
    for (name, class) in [("gone", "pure-file"), ("kept", "keep-file")] {
        claims.create(&post, &claim(name, class, "1Gi")).await.expect("made");
    }
    let begun = async || stage.event_reasons("late").await.contains("Provisioning");
    stage.until("a volume is being made", begun).await;
    for name in ["gone", "kept"] {
        let uid = uid(&claims.get(name).await.expect("there"));
        let mut volume = prepared(name, "pure-file", "late", Some(name));
        // With the UID, as the scheduler writes it, Kubernetes looks at the claim at once.
        let spec = volume.spec.as_mut().and_then(|spec| spec.claim_ref.as_mut());
        spec.expect("a claim").uid = Some(uid);
        stage.volumes().create(&post, &volume).await.expect("made");
    }
    stage.until("Kubernetes binds both", async || bound(&claims).await.len() == 2).await;
    for (claim, volume) in bound(&claims).await {
        assert_eq!(volume, format!("late-{claim}"));
    }
    let free = async || {
        let list = claims.list(&ListParams::default()).await.expect("listed").items;
        let ours = |claim: &PersistentVolumeClaim| {
            claim
                .metadata
                .finalizers
                .iter()
                .flatten()
                .any(|each| each == "pso-gen.io/volume-protection")
        };
        !list.iter().any(ours) && stage.on_arrays().await.is_empty()
    };
    stage.until("what was made for them is gone", free).await;
    for [kind, reason, claim, text] in events(&stage, "late").await {
        assert!(kind != "Warning" && reason != "ProvisioningSucceeded", "{claim}: {reason} {text}");
    }
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_volume_that_an_admin_binds_to_another_claim_is_served_as_before() {
    let mut stage = Stage::open("reused").await;
    stage.start();
    let (claims, post, patch) =
        (stage.claims("reused"), PostParams::default(), PatchParams::default());
    claims.create(&post, &claim("a", "keep-file", "1Gi")).await.expect("made");
    stage.until("it is bound", async || bound(&claims).await.len() == 1).await;
    let name = bound(&claims).await["a"].clone();
    let volume = format!("demo-{name}");
    claims.delete("a", &DeleteParams::default()).await.expect("deleted");
    let phase = async |wanted: &str| {
        let volume = stage.volumes().get(&name).await.expect("there");
        volume.status.and_then(|status| status.phase).as_deref() == Some(wanted)
    };
    stage.until("it is released", async || phase("Released").await).await;
    let unclaimed = Patch::Merge(json!({"spec": {"claimRef": null}}));
    stage.volumes().patch(&name, &patch, &unclaimed).await.expect("patched");
    let mut again = claim("again", "keep-file", "1Gi");
    again.spec.get_or_insert_default().volume_name = Some(name.clone());
    claims.create(&post, &again).await.expect("made");
    stage.until("it is bound again", async || bound(&claims).await.len() == 1).await;

    let grown = Patch::Merge(json!({
        "metadata": {"annotations": {"pso-gen.io/snapshots": "every 365d, keep 2"}},
        "spec": {"resources": {"requests": {"storage": "2Gi"}}},
    }));
    claims.patch("again", &patch, &grown).await.expect("patched");
    let larger = async || {
        let claim = claims.get("again").await.expect("there");
        let capacity = claim.status.and_then(|status| status.capacity);
        capacity.is_some_and(|all| all["storage"].0 == "2Gi")
            && stage.on_arrays().await.get(&volume) == Some(&(2 << 30))
    };
    stage.until("it has grown", larger).await;
    stage.until("it has a snapshot", async || stage.snapshots().await.len() == 1).await;
    let events = events(&stage, "reused").await;
    let has_event = |wanted: &str| {
        events.iter().any(|[_, reason, claim, _]| claim == "again" && reason == wanted)
    };
    assert!(
        has_event("Resizing") && has_event("VolumeResizeSuccessful"),
        "its claim has the events"
    );
    assert!(!has_event("ProvisioningFailed"));

    let policy = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
    stage.volumes().patch(&name, &patch, &policy).await.expect("patched");
    claims.delete("again", &DeleteParams::default()).await.expect("deleted");
    let gone = async || stage.volumes().get_opt(&name).await.expect("an answer").is_none();
    stage.until("it goes with its claim", gone).await;
    assert_eq!(stage.on_arrays().await, BTreeMap::new());
}
