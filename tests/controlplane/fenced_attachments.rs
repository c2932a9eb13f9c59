//! The same as in `fenced.rs` for what attaches and detaches block volumes: a leader that stands still at any of these
//! effects writes nothing more when it goes on.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use pso_gen::contract::ATTACHER_FINALIZER;
use pso_gen::provisioner::decide::AttachmentEffect;

use super::fenced::{Held, NAMESPACE, Recorded, list_moments, signal};
use super::stories::{as_list, faults, kubectl};
use super::*;

const ATTACHMENTS: &str = "volumeattachments";
const STATUS: &str = "volumeattachments/status";

list_moments! { AttachmentEffect:
    ReadPersistentVolume => Held::Not,
    Record => of(ATTACHMENTS, "record", &finalizer("object", "oldObject")),
    Attach => Held::Waits("attach-volume"),
    SetAttached => of(STATUS, "setattached", "object.status.attached"),
    ListAttachments => Held::Not,
    // Held at the volume of a host without a VolumeAttachment.
    Disconnect => Held::Waits("disconnect-host"),
    RecordFormatted => Held::Waits("record-formatted"),
    Detach => Held::Waits("detach-volume"),
    DeleteHosts => Held::Waits("delete-hosts"),
    SetError => of(STATUS, "seterror", "has(object.status.attachError)"),
    RemoveFinalizer => of(ATTACHMENTS, "removefinalizer", &finalizer("oldObject", "object")),
    Requeue => Held::Not,
    // An event that is not written is not tried again.
    RecordEvent => Held::Not,
}

fn of(resource: &'static str, name: &str, which: &str) -> Held {
    Held::Refused(resource, "UPDATE", format!("object.metadata.name == '{name}' && {which}"))
}

/// Says that one of two states of an object has the finalizer, and the other one has not.
fn finalizer(with: &str, without: &str) -> String {
    let has =
        |state: &str| format!("'{ATTACHER_FINALIZER}' in {state}.metadata.?finalizers.orValue([])");
    format!("{} && !({})", has(with), has(without))
}

/// A node whose node service has registered it.
fn node(name: &str) -> Json {
    let id = format!("{name};iqn.2026-01.com.example:{name}");
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name},
        "spec": {"drivers": [{"name": "pso-gen.io", "nodeID": id}]},
    })
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_process_that_stands_still_while_it_attaches_writes_no_more_without_the_lease() {
    // No kube-controller-manager asks for these attachments: pods are of no interest here.
    let recorded = Recorded::open(NAMESPACE).await;
    let stage = &recorded.stage;
    let leases = Api::<Lease>::namespaced(stage.client.clone(), NAMESPACE);
    let mut one = recorded.spawn("one");
    let leads = async || leases.get_opt("lease").await.expect("an answer").is_some();
    stage.until("the first one leads", leads).await;
    let mut two = recorded.spawn("two");

    let names = [
        "record",
        "attach",
        "setattached",
        "disconnect",
        "recordformatted",
        "detach",
        "deletehosts",
        "seterror",
        "removefinalizer",
    ];
    let claims = stage.claims(NAMESPACE);
    for name in names {
        let wanted = claim(name, "pure-block", "1Gi");
        claims.create(&PostParams::default(), &wanted).await.expect("made");
    }
    let all_are_bound = async || {
        let list = claims.list(&ListParams::default()).await.expect("listed").items;
        list.iter().all(is_bound)
    };
    stage.until("all are bound", all_are_bound).await;
    let nodes: Vec<Json> = ["n1", "n2", "gone"].map(node).into();
    kubectl(stage, &["apply", "-f", "-"], &as_list(&nodes));

    let attachments = Api::<VolumeAttachment>::all(stage.client.clone());
    let attach = async |attachment: &str, of: &str, node: &str| {
        let uid = uid(&claims.get(of).await.expect("there"));
        let object = json!({
            "metadata": {"name": attachment},
            "spec": {
                "attacher": "pso-gen.io", "nodeName": node,
                "source": {"persistentVolumeName": format!("pvc-{uid}")},
            },
        });
        let object = serde_json::from_value(object).expect("typed");
        attachments.create(&PostParams::default(), &object).await.expect("made");
    };
    // These are attached before anything is held.
    let before = [
        ("stale", "disconnect", "n1"),
        ("recordformatted", "recordformatted", "n1"),
        ("detach", "detach", "n1"),
        ("deletehosts", "deletehosts", "gone"),
        ("removefinalizer", "removefinalizer", "n1"),
    ];
    for (name, of, node) in before {
        attach(name, of, node).await;
    }
    let all_are_attached = async || {
        let all = attachments.list(&ListParams::default()).await.expect("listed").items;
        all.iter().all(|it| it.status.as_ref().is_some_and(|status| status.attached))
    };
    stage.until("they are attached", all_are_attached).await;
    // An admin removes the finalizer of one by hand, whose host stays connected.
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    signal(&one, "-STOP");
    attachments.patch("stale", &PatchParams::default(), &bare).await.expect("patched");
    attachments.delete("stale", &DeleteParams::default()).await.expect("deleted");
    signal(&one, "-CONT");

    // First what comes after a connection has changed, then the change of connections itself.
    let all = moments();
    recorded.hold(&all).await;
    let busy = json!({"throttled": {"retryAfter": 1}});
    let busy = |method: &str, resource: &str| json!({"fault": busy, "method": method, "resource": resource});
    let late = [busy("DELETE", "hosts"), busy("PUT", "volumes/tags/batch")];
    faults(stage, json!(late)).await;
    for (name, node) in [("record", "n1"), ("setattached", "n1"), ("seterror", "unknown")] {
        attach(name, name, node).await;
    }
    let formatted =
        ["annotate", "volumeattachment", "recordformatted", "pso-gen.io/formatted=true"];
    kubectl(stage, &formatted, "");
    attachments.delete("removefinalizer", &DeleteParams::default()).await.expect("deleted");
    recorded.until_held(&all).await;
    kubectl(stage, &["delete", "csinode", "gone"], "");
    attachments.delete("deletehosts", &DeleteParams::default()).await.expect("deleted");
    stage.until("a host waits", async || recorded.under_way("delete-hosts").await > 0).await;
    let early = [busy("POST", "connections"), busy("DELETE", "connections")];
    faults(stage, json!([&late[..], &early[..]].concat())).await;
    attach("attach", "attach", "n1").await;
    attach("disconnect", "disconnect", "n2").await;
    attachments.delete("detach", &DeleteParams::default()).await.expect("deleted");
    let waiting = all.iter().filter_map(|(_, held)| match held {
        Held::Waits(word) => Some(*word),
        _ => None,
    });
    for word in waiting {
        stage.until(word, async || recorded.under_way(word).await > 0).await;
    }
    signal(&one, "-STOP");
    faults(stage, json!([])).await;
    let leads = async || !recorded.written("two").leases.is_empty();
    stage.until("the second one leads", leads).await;
    let taken = recorded.written("two").leases[0];
    two.0.kill().expect("killed");
    two.0.wait().expect("its end");
    recorded.writes_no_more(&mut one, taken).await;
}
